//! Is a delivery genuine, and which records does it speak of?

use super::{Headers, MOST_BYTES};
use crate::connector::{quickbooks, woocommerce};
use crate::model::Entity;
use crate::store::Secret;

/// A record that may have changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hint {
    /// Key of the account it lies in, where the delivery says so (QuickBooks: the realm). None: the
    /// account that the delivery was made for.
    pub account: Option<String>,
    pub entity: Entity,
    /// Its id there.
    pub id: String,
}

/// What a delivery comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// WooCommerce tells a new webhook's address that it is one: unsigned, and nothing follows.
    Ping,
    /// Not genuine, or not to be told: why.
    Rejected(String),
    /// Genuine, and nothing to fetch: topic, and why.
    Ignored(Option<String>, String),
    /// Genuine: topic, and the records to fetch.
    Accepted(String, Vec<Hint>),
}

/// Judges a delivery for a connection with these credentials. `body` is what was received, byte for
/// byte: the signature is over these bytes.
pub fn judge(connector: &str, credentials: &Secret, headers: &Headers, body: &str) -> Verdict {
    if body.len() > MOST_BYTES {
        return Verdict::Rejected(format!("the body is longer than {MOST_BYTES} bytes"));
    }
    match connector {
        "woocommerce" => woocommerce::webhook::judge(credentials, headers, body),
        "quickbooks" => quickbooks::webhook::judge(credentials, headers, body),
        other => Verdict::Rejected(format!("{other} delivers no webhooks")),
    }
}

/// The signature against the connection's secret.
pub(crate) fn check_signature(
    secret: Option<&str>,
    signature: Option<&str>,
    body: &str,
) -> Result<(), String> {
    let Some(secret) = secret else {
        return Err("the connection has no webhook secret".into());
    };
    let Some(signature) = signature else { return Err("the delivery is not signed".into()) };
    match super::verifies(secret, signature, body.as_bytes()) {
        true => Ok(()),
        false => Err("the signature does not match".into()),
    }
}
