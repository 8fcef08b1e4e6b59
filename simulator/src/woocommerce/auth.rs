//! Who is calling: Basic or query parameters over https, OAuth 1.0a otherwise.

use super::errors::{ApiError, ApiResult};
use super::keys::{Permissions, Role};
use super::oauth;
use super::params::Params;
use super::state::Shop;
use crate::http::Request;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// An authenticated caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Of the key.
    pub permissions: Permissions,
    /// Of the key's owner.
    pub role: Role,
}

pub(super) fn refused(message: &str) -> ApiError {
    ApiError::new(401, "woocommerce_rest_authentication_error", message).without_allow()
}

/// Finds out who calls. Nobody is no error here: public routes exist, and the others say that
/// they can't be viewed.
///
/// Errors: credentials that are known to be wrong.
pub fn identify(shop: &mut Shop, request: &Request, params: &Params) -> ApiResult<Option<Caller>> {
    // WooCommerce authenticates only URLs with the REST prefix: `?rest_route=` never is.
    if !request.path.to_ascii_lowercase().contains("/wp-json/") {
        return Ok(None);
    }
    if request.secure
        && let Some((key, secret)) = basic(request, params)
        && let Some(known) = shop.keys.find(&key)
    {
        if known.consumer_secret != secret {
            let mut error = refused("Consumer secret is invalid.");
            error.vary = true;
            return Err(error);
        }
        return Ok(Some(Caller { permissions: known.permissions, role: known.role }));
    }
    oauth::identify(shop, request, params)
}

/// The pair in the query, else in the header.
fn basic(request: &Request, params: &Params) -> Option<(String, String)> {
    let pair = (params.text("consumer_key"), params.text("consumer_secret"));
    if let (Some(key), Some(secret)) = pair {
        return Some((key.to_owned(), secret.to_owned()));
    }
    let header = request.header("authorization")?;
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (key, secret) = decoded.split_once(':')?;
    Some((key.to_owned(), secret.to_owned()))
}

/// May a key of these permissions use this method?
pub fn check_method(caller: Caller, method: &str) -> ApiResult<()> {
    let (allowed, what) = match method {
        "GET" | "HEAD" => (caller.permissions.may_read(), "read"),
        "POST" | "PUT" | "PATCH" | "DELETE" => (caller.permissions.may_write(), "write"),
        "OPTIONS" => (true, ""),
        _ => return Err(refused("Unknown request method.")),
    };
    match allowed {
        true => Ok(()),
        false => Err(refused(&format!("The API key provided does not have {what} permissions."))),
    }
}

/// What a call is about, for the refusal's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    List,
    View,
    Create,
    Edit,
    Delete,
    Batch,
}

/// May this caller manage the shop at all?
pub fn check_role(caller: Option<Caller>, purpose: Purpose) -> ApiResult<()> {
    if caller.is_some_and(|c| c.role != Role::Customer) {
        return Ok(());
    }
    let (code, message) = match purpose {
        Purpose::List => ("cannot_view", "Sorry, you cannot list resources."),
        Purpose::View => ("cannot_view", "Sorry, you cannot view this resource."),
        Purpose::Create => ("cannot_create", "Sorry, you are not allowed to create resources."),
        Purpose::Edit => ("cannot_edit", "Sorry, you are not allowed to edit this resource."),
        Purpose::Delete => ("cannot_delete", "Sorry, you are not allowed to delete this resource."),
        Purpose::Batch => {
            ("cannot_batch", "Sorry, you are not allowed to batch manipulate this resource.")
        }
    };
    let status = if caller.is_some() { 403 } else { 401 };
    let mut error =
        ApiError::new(status, &format!("woocommerce_rest_{code}"), message).without_allow();
    error.vary = caller.is_none();
    Err(error)
}
