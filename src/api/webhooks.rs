//! Verifying a delivery in the session that brings it, and registering webhooks on the platform.

use super::accounts::stored;
use crate::error::to_json;
use crate::secrets::{Binding, base64_encode, seal_to_store};
use crate::{host, worker};
use aes_gcm::aead::OsRng;
use aes_gcm::aead::rand_core::RngCore;
use engine::connector::{self, Registration};
use engine::store::{Connection, Secret};
use engine::webhook::{Headers, Verdict};
use engine::{Error, Result};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Letters and digits only: WooCommerce decodes entities in a secret before it signs
/// (woocommerce.md, section 10).
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const SECRET_LETTERS: usize = 40;

/// `verdict` (`ping`, `rejected`, `ignored`, `accepted`) and `reason`.
pub fn judge(tenant: &str, connection: &str, headers: &Value, body: &str) -> Value {
    let verdict = stored(tenant, connection).map(|known| {
        let headers = Headers::parse(headers);
        engine::webhook::judge(&known.connector, &known.credentials, &headers, body)
    });
    let (word, reason) = match verdict {
        Ok(Verdict::Ping) => ("ping", None),
        Ok(Verdict::Rejected(reason)) => ("rejected", Some(reason)),
        Ok(Verdict::Ignored(_, reason)) => ("ignored", Some(reason)),
        Ok(Verdict::Accepted(..)) => ("accepted", None),
        Err(error) => ("rejected", Some(error.message)),
    };
    json!({ "verdict": word, "reason": reason })
}

/// `registrations`, and the credentials sealed with the secret; or `errors`.
pub fn register(tenant: &str, connection: &str, url: &str) -> Value {
    match try_register(tenant, connection, url) {
        Ok(answer) => answer,
        Err(error) => json!({ "errors": [to_json(&error)] }),
    }
}

fn try_register(tenant: &str, connection: &str, url: &str) -> Result<Value> {
    check_url(url)?;
    let policy = crate::guc::address_policy()?;
    let known = stored(tenant, connection)?;
    connector::validate(&known.connector, &known.settings, None, &policy).map_err(|problems| {
        problems.into_iter().next().unwrap_or_else(|| Error::internal("no settings"))
    })?;
    let mut fields = known.credentials.expose().clone();
    // Kept where there is one: deliveries that are under way were signed with it.
    let secret = match fields.get("webhook_secret").and_then(Value::as_str) {
        Some(secret) => secret.to_owned(),
        None => new_secret(),
    };
    fields.insert("webhook_secret".into(), json!(secret));
    let credentials = Secret::new(fields);
    let opened = Connection { credentials: credentials.clone(), ..known };
    let binding = Binding::of(&opened)?;
    let registrations = ask(opened, url.to_owned(), secret)?;
    let (key_id, sealed) = seal_to_store(&binding, &credentials)?;
    Ok(json!({
        "registrations": registrations.iter().map(registration).collect::<Vec<_>>(),
        "key_id": key_id,
        "sealed": base64_encode(&sealed),
    }))
}

/// Deliveries carry customers' data: https, or a host of our own.
fn check_url(url: &str) -> Result<()> {
    let wrong = |what: &str| {
        Error::argument(
            format!("webhooks can't deliver there: {what}"),
            "Give the https address of your receiver: https://pos.example/hooks/shop.",
        )
    };
    let parsed = engine::http::Url::parse(url).map_err(|_| wrong("it is no address"))?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
        return Err(wrong("it is no web address"));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(wrong(
            "it holds a password, which everybody who sees the shop's settings would read",
        ));
    }
    crate::guc::address_policy()?.check(&parsed, false).map(drop).or_else(|error| {
        // The shop calls it, not we: a name that isn't listed is the shop's affair, plain http isn't.
        if parsed.scheme() == "https" { Ok(()) } else { Err(wrong(&error.message)) }
    })
}

fn new_secret() -> String {
    let mut secret = String::with_capacity(SECRET_LETTERS);
    let mut byte = [0u8; 1];
    while secret.len() < SECRET_LETTERS {
        OsRng.fill_bytes(&mut byte);
        // 248 is the largest multiple of 62 in a byte: above it, letters would not be equally likely.
        if byte[0] < 248 {
            secret.push(char::from(ALPHABET[usize::from(byte[0] % 62)]));
        }
    }
    secret
}

/// Asks the platform, on a side thread: Ctrl-C ends it.
fn ask(connection: Connection, url: String, secret: String) -> Result<Vec<Registration>> {
    let http = worker::http_context()?;
    let cancel = CancellationToken::new();
    let _guard = cancel.clone().drop_guard();
    let connection = Arc::new(connection);
    host::block_on(async move {
        let http = http.with_cancel(cancel);
        connector::build(&connection, &http)?.keep_webhooks(&url, &secret, true).await
    })?
}

fn registration(registration: &Registration) -> Value {
    json!({
        "topic": engine::mask::label(&registration.topic),
        "webhook_id": engine::mask::label(&registration.webhook_id),
        "status": engine::mask::label(&registration.status),
        "action": registration.action,
        "message": registration.message.as_deref().map(engine::mask::foreign),
    })
}
