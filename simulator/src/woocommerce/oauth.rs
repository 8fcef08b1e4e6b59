//! One-legged OAuth 1.0a as WooCommerce checks it: the way in over plain http.

use super::auth::{Caller, refused};
use super::errors::{ApiError, ApiResult};
use super::params::{Param, Params, urldecode};
use super::state::Shop;
use crate::http::Request;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha1::Sha1;
use sha2::Sha256;

/// Timestamps may be off by so many seconds.
const WINDOW: i64 = 15 * 60;

const REQUIRED: [&str; 5] = [
    "oauth_consumer_key",
    "oauth_timestamp",
    "oauth_nonce",
    "oauth_signature",
    "oauth_signature_method",
];

/// RFC 3986: what PHP's `rawurlencode` leaves alone.
const RAW: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

fn rawurlencode(text: &str) -> String {
    utf8_percent_encode(text, RAW).to_string()
}

/// Query parameters and those of an `Authorization: OAuth` header.
fn collect(request: &Request, params: &Params) -> Params {
    let mut all = params.clone();
    let header = request.header("authorization").unwrap_or_default();
    let Some(fields) = header.strip_prefix("OAuth ") else { return all };
    for field in fields.split(',') {
        let Some((name, value)) = field.trim().split_once('=') else { continue };
        if name.starts_with("oauth_") {
            all.set_text(name, urldecode(&value.trim_matches('"').replace('+', "%2B")));
        }
    }
    all
}

/// Who signed the request; nobody if there is no OAuth in it.
///
/// Errors: anything that doesn't check out.
pub fn identify(shop: &mut Shop, request: &Request, params: &Params) -> ApiResult<Option<Caller>> {
    let all = collect(request, params);
    let missing: Vec<&str> =
        REQUIRED.into_iter().filter(|n| all.text(n).is_none_or(str::is_empty)).collect();
    if missing.len() == REQUIRED.len() {
        return Ok(None);
    }
    if !missing.is_empty() {
        let plural = if missing.len() > 1 { "s" } else { "" };
        let message = format!("Missing OAuth parameter{plural} {}", missing.join(", "));
        let code = "woocommerce_rest_authentication_missing_parameter";
        return Err(ApiError::new(401, code, message).without_allow());
    }
    let url =
        format!("{}{}", if request.secure { &shop.site_url } else { &shop.cron_url }, request.path);
    let now = shop.clock.now().as_second();
    let lenient = shop.clock.is_default();
    let key = all.text("oauth_consumer_key").unwrap_or_default();
    let Some(known) = shop.keys.find(key) else {
        return Err(refused("Consumer key is invalid."));
    };
    check_signature(&request.method, &url, &all, &known.consumer_secret)?;
    let timestamp: i64 = all.text("oauth_timestamp").and_then(|t| t.parse().ok()).unwrap_or(0);
    let near = |clock: i64| (timestamp - clock).abs() <= WINDOW;
    let in_time = near(now) || lenient && near(Timestamp::now().as_second());
    if !in_time {
        return Err(refused("Invalid timestamp."));
    }
    let nonce = all.text("oauth_nonce").unwrap_or_default();
    if known.nonces.values().any(|used| used == nonce) {
        return Err(refused("Invalid nonce - nonce has already been used."));
    }
    known.nonces.retain(|time, _| *time > timestamp - WINDOW);
    known.nonces.insert(timestamp, nonce.to_owned());
    Ok(Some(Caller { permissions: known.permissions, role: known.role }))
}

fn check_signature(method: &str, url: &str, all: &Params, secret: &str) -> ApiResult<()> {
    let given = all.text("oauth_signature").unwrap_or_default().replace(' ', "+");
    let base = base_string(method, url, all);
    let key = format!("{secret}&");
    let computed = match all.text("oauth_signature_method").unwrap_or_default() {
        "HMAC-SHA1" => hmac::<Hmac<Sha1>>(&key, &base),
        "HMAC-SHA256" => hmac::<Hmac<Sha256>>(&key, &base),
        _ => return Err(refused("Invalid signature - signature method is invalid.")),
    };
    match base.is_some() && computed == given {
        true => Ok(()),
        false => Err(refused("Invalid signature - provided signature does not match.")),
    }
}

/// `None` when there is a list among the parameters: measured, `include[]=1&include[]=2` fails.
fn base_string(method: &str, url: &str, all: &Params) -> Option<String> {
    let mut pairs = vec![];
    for (name, value) in all.iter() {
        match value {
            _ if name == "oauth_signature" => {}
            Param::Text(text) => pairs.push((rawurlencode(name), rawurlencode(text))),
            Param::List(_) => return None,
        }
    }
    pairs.sort();
    let joined: Vec<String> = pairs.into_iter().map(|(n, v)| format!("{n}={v}")).collect();
    Some(format!("{method}&{}&{}", rawurlencode(url), rawurlencode(&joined.join("&"))))
}

fn hmac<M: Mac + hmac::digest::KeyInit>(key: &str, base: &Option<String>) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = <M as Mac>::new_from_slice(key.as_bytes()) else { return String::new() };
    mac.update(base.as_deref().unwrap_or_default().as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}
