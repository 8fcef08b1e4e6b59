//! What WooCommerce's refusals mean. Their bodies are `{"code", "message", "data"}`; `data` is an
//! object with the status, or (refunds) a bare number. Faults of PHP come as web pages
//! (woocommerce.md, sections 1, 8 and 9).

use crate::error::{Category, Error};
use crate::http::Response;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// A refusal as WordPress writes it.
#[derive(Debug, Deserialize)]
struct Refusal<'a> {
    code: String,
    #[serde(default)]
    message: String,
    /// Mostly an object with the status; a bare number for refunds.
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

impl Refusal<'_> {
    /// The message, and for a wrong parameter what would be right.
    fn said(&self) -> String {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Data {
            params: BTreeMap<String, String>,
        }
        let data: Data =
            self.data.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
        let mut said = self.message.trim().trim_end_matches('.').to_owned();
        for text in data.params.values() {
            said.push_str(": ");
            said.push_str(text.trim_end_matches('.'));
        }
        said
    }
}

/// None where the answer is a success.
pub fn of(response: &Response, secure: bool) -> Option<Error> {
    let status = response.status.as_u16();
    if response.status.is_success() {
        return None;
    }
    let refusal: Option<Refusal<'_>> = response.json().ok().map(|json| json.value);
    let error = match &refusal {
        Some(refusal) => told(status, refusal, &response.host, secure),
        None => untold(status, response),
    };
    Some(error.http_status(status))
}

/// The code of a refusal that says the record isn't there: the list itself works.
pub fn is_gone(error: &Error) -> bool {
    error.http_status == Some(404)
        && (error.code.ends_with("_invalid_id") || error.code == "woocommerce_rest_invalid_id")
}

/// The route isn't known to this version.
pub fn is_no_route(error: &Error) -> bool {
    error.code == "rest_no_route"
}

/// One record may be to blame, or the length of the list: a shorter one may pass.
pub fn is_poison(error: &Error) -> bool {
    let server =
        error.category == Category::Network && matches!(error.http_status, Some(500 | 502 | 504));
    server || matches!(error.code.as_str(), "timeout" | "too_large" | "bad_json" | "bad_encoding")
}

/// A code as WordPress and its plugins write them; another text in its place isn't shown.
fn plain(code: &str) -> &str {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let is_code = !code.is_empty() && code.len() <= 64 && code.chars().all(fits);
    if is_code && crate::mask::text(code) == code { code } else { "refused" }
}

fn told(status: u16, refusal: &Refusal<'_>, host: &str, secure: bool) -> Error {
    let code = refusal.code.as_str();
    let said = refusal.said();
    let new = |category, message: String| Error::new(category, plain(code), message).said(&said);
    match (status, code) {
        (401, "woocommerce_rest_authentication_error") => {
            new(Category::Authentication, format!("\"{host}\" refused the credentials"))
                .hint(authentication_cure(&refusal.message))
        }
        (401, _) => new(
            Category::Authentication,
            format!("\"{host}\" refused the credentials: the key is unknown, or did not arrive"),
        )
        .hint(if secure {
            "Make a key in WooCommerce > Settings > Advanced > REST API and call \
             easysync.set_credentials. Where the key is right: the proxy before the shop must pass \
             on the Authorization header, and WordPress must know that the call came by https \
             (X-Forwarded-Proto)."
        } else {
            "Make a key in WooCommerce > Settings > Advanced > REST API and call \
             easysync.set_credentials."
        }),
        (403, _) => new(
            Category::Authentication,
            format!("\"{host}\" does not let the key's user see this"),
        )
        .hint("Make the key for an administrator or a shop manager: a customer's sees nothing."),
        (404, "rest_no_route") => new(Category::NotFound, format!("\"{host}\" has no such API"))
            .hint("Is WooCommerce active and at least 3.5?"),
        (404, _) => new(Category::NotFound, format!("\"{host}\" has no such record")),
        (410, _) => new(Category::Conflict, format!("\"{host}\" has done that already"))
            .hint("There is nothing left to do."),
        // They come as 500, but trying again ends the same.
        (500, "woocommerce_rest_cannot_create_order_refund") | (400 | 413 | 501, _) => {
            new(Category::Validation, format!("\"{host}\" refused the request"))
        }
        (500.., _) => new(Category::Network, format!("\"{host}\" failed (HTTP {status})"))
            .hint("The shop's error log has the cause."),
        _ => new(Category::Validation, format!("\"{host}\" refused the request (HTTP {status})")),
    }
}

fn authentication_cure(message: &str) -> &'static str {
    let message = message.to_ascii_lowercase();
    if message.contains("read permission") {
        "The key may only write: make one that may read and call easysync.set_credentials."
    } else if message.contains("write permission") {
        "The key may only read: make one that may write too and call easysync.set_credentials."
    } else if message.contains("timestamp") {
        "The clocks of this server and the shop differ by more than 15 minutes: set the right time."
    } else if message.contains("signature") {
        "The secret is wrong, or the shop knows itself by another address than \"url\": use the one \
         under Settings > General > Site Address."
    } else {
        "Make a new key in WooCommerce > Settings > Advanced > REST API and call \
         easysync.set_credentials."
    }
}

/// An answer that WordPress' API didn't write.
fn untold(status: u16, response: &Response) -> Error {
    let host = &response.host;
    let code = format!("http_{status}");
    match status {
        401 => Error::new(
            Category::Authentication,
            code,
            format!("\"{host}\" refused the call before WooCommerce saw it (HTTP 401)"),
        )
        .hint("The web server asks for a password of its own: allow /wp-json/ without one."),
        403 | 406 => Error::new(
            Category::Blocked,
            code,
            format!("\"{host}\" refused the call before WooCommerce saw it (HTTP {status})"),
        )
        .hint("A firewall or security plugin keeps the API closed: let this server's address through to /wp-json/."),
        404 => Error::new(
            Category::NotFound,
            code,
            format!("\"{host}\" has no WordPress API at this address (HTTP 404)"),
        )
        .hint("Check \"url\"; and in WordPress, Settings > Permalinks must not be \"Plain\"."),
        500.. => Error::new(
            Category::Network,
            code,
            format!("\"{host}\" failed (HTTP {status})"),
        )
        .hint("The shop's PHP error log has the cause; it is often out of memory: a smaller \"page_size\" helps."),
        _ => Error::new(
            Category::Validation,
            code,
            format!("\"{host}\" answered with HTTP {status}"),
        ),
    }
}
