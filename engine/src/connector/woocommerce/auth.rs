//! Who calls: HTTP Basic over https, one-legged OAuth 1.0a (RFC 5849) over plain http. WooCommerce
//! answers both wrong keys and wrong ways of sending right ones with 401, and authenticates only
//! URLs that contain `/wp-json/` (woocommerce.md, section 1).

use crate::error::{Error, Result};
use crate::http::{Attempt, Signer, Url, header};
use crate::store::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::Sha256;
use std::sync::Arc;

/// Unreserved characters of RFC 3986: what RFC 5849, section 3.6, leaves as it is.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The signer of a shop's calls.
pub fn signer(url: &Url, credentials: &Secret) -> Result<Arc<dyn Signer>> {
    let (Some(key), Some(secret)) =
        (credentials.get("consumer_key"), credentials.get("consumer_secret"))
    else {
        return Err(super::settings::no_credentials());
    };
    if url.scheme() == "https" {
        return Ok(Arc::new(Basic::new(key, secret)?));
    }
    Ok(Arc::new(OneLegged { key: key.to_owned(), secret: secret.to_owned() }))
}

/// HTTP Basic. Over plain http it is refused like a missing key.
struct Basic(header::HeaderValue);

impl Basic {
    fn new(key: &str, secret: &str) -> Result<Self> {
        let text = format!("Basic {}", STANDARD.encode(format!("{key}:{secret}")));
        // Base64 is always a valid header.
        let mut value = header::HeaderValue::from_str(&text)
            .map_err(|_| Error::internal("the credentials make no header"))?;
        value.set_sensitive(true);
        Ok(Basic(value))
    }
}

impl Signer for Basic {
    fn sign(&self, attempt: &mut Attempt<'_>) -> Result<()> {
        attempt.headers.insert(header::AUTHORIZATION, self.0.clone());
        Ok(())
    }
}

/// OAuth 1.0a without a user, HMAC-SHA256, in the query: many servers drop the Authorization
/// header before PHP sees it. The secret itself is never sent.
///
/// Own code on `hmac` and `sha2`: `oauth1-request` has had no release in years and signs by
/// HMAC-SHA1 alone.
struct OneLegged {
    key: String,
    secret: String,
}

impl Signer for OneLegged {
    fn sign(&self, attempt: &mut Attempt<'_>) -> Result<()> {
        let oauth = parameters(&self.key, attempt.now, attempt.nonce);
        for (name, value) in &oauth {
            attempt.url.query_pairs_mut().append_pair(name, value);
        }
        let base = base_string(attempt.method.as_str(), attempt.url);
        let signature = signature(&base, &self.secret);
        attempt.url.query_pairs_mut().append_pair("oauth_signature", &signature);
        Ok(())
    }
}

fn parameters(key: &str, now: Timestamp, nonce: u128) -> [(&'static str, String); 5] {
    [
        ("oauth_consumer_key", key.to_owned()),
        ("oauth_nonce", format!("{nonce:032x}")),
        ("oauth_signature_method", "HMAC-SHA256".to_owned()),
        ("oauth_timestamp", now.as_second().to_string()),
        ("oauth_version", "1.0".to_owned()),
    ]
}

/// RFC 5849, section 3.4.1: method, address without query, and the sorted parameters of the query.
fn base_string(method: &str, url: &Url) -> String {
    let mut pairs: Vec<(String, String)> =
        url.query_pairs().map(|(name, value)| (encode(&name), encode(&value))).collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(n, v)| format!("{n}={v}")).collect();
    let mut address = url.clone();
    address.set_query(None);
    address.set_fragment(None);
    format!("{method}&{}&{}", encode(address.as_str()), encode(&pairs.join("&")))
}

/// RFC 5849, section 3.4.2, with SHA-256. There is no token, so the key ends with the `&`.
fn signature(base: &str, secret: &str) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(format!("{}&", encode(secret)).as_bytes())
    else {
        return String::new();
    };
    mac.update(base.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Method;

    /// The parameters of RFC 5849, section 3.4.1.1, moved into the query (theirs are spread over
    /// query, header and a form).
    #[test]
    fn the_base_string_is_that_of_the_rfc() {
        let url = Url::parse(
            "http://example.com/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b&oauth_consumer_key=\
             9djdj82h48djs9d2&oauth_token=kkk9d7dh3k39sjv7&oauth_signature_method=HMAC-SHA1&\
             oauth_timestamp=137131201&oauth_nonce=7d8f3e4a&c2=&a3=2+q",
        )
        .unwrap();
        assert_eq!(
            base_string("POST", &url),
            "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D\
             %253D%25253D%26c%2540%3D%26c2%3D%26oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce\
             %3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1%26oauth_timestamp%3D137131201%26\
             oauth_token%3Dkkk9d7dh3k39sjv7"
        );
    }

    /// Computed with Python's `hmac`, apart from this code.
    #[test]
    fn the_signature_is_what_another_implementation_computes() {
        let base = "GET&http%3A%2F%2Fshop.test%2Fwp-json%2Fwc%2Fv3%2Forders&include%3D1%252C2";
        assert_eq!(signature(base, "cs_1&2"), "PO54C7qIG5h9bcyrkhkgcsT6iWBVNMDSgUYnxnRM3ag=");
    }

    fn signed(scheme: &str, nonce: u128) -> (Url, header::HeaderMap) {
        let mut fields = serde_json::Map::new();
        fields.insert("consumer_key".into(), "ck_1".into());
        fields.insert("consumer_secret".into(), "cs_1".into());
        let mut url =
            Url::parse(&format!("{scheme}://shop.test/wp-json/wc/v3/orders?include=1,2")).unwrap();
        let mut headers = header::HeaderMap::new();
        let signer = signer(&url, &Secret::new(fields)).unwrap();
        let mut attempt = Attempt {
            method: &Method::GET,
            url: &mut url,
            headers: &mut headers,
            body: None,
            now: Timestamp::from_second(1_795_163_515).unwrap(),
            nonce,
        };
        signer.sign(&mut attempt).unwrap();
        (url, headers)
    }

    #[test]
    fn https_carries_basic_and_nothing_in_the_query() {
        let (url, headers) = signed("https", 1);
        assert_eq!(url.query(), Some("include=1,2"));
        let value = &headers[header::AUTHORIZATION];
        assert_eq!(value, "Basic Y2tfMTpjc18x");
        assert!(value.is_sensitive(), "no debug output shows it");
    }

    #[test]
    fn plain_http_is_signed_anew_for_each_attempt_and_never_shows_the_secret() {
        let (one, headers) = signed("http", 1);
        let (two, _) = signed("http", 2);
        assert!(headers.is_empty());
        assert!(!one.as_str().contains("cs_1"));
        let value = |url: &Url, name: &str| {
            url.query_pairs().find(|(key, _)| key == name).map(|(_, v)| v.into_owned()).unwrap()
        };
        assert_eq!(value(&one, "oauth_timestamp"), "1795163515");
        assert_ne!(value(&one, "oauth_nonce"), value(&two, "oauth_nonce"));
        assert_ne!(value(&one, "oauth_signature"), value(&two, "oauth_signature"));
        assert_eq!(value(&one, "include"), "1,2", "the comma form, never include[]");
    }
}
