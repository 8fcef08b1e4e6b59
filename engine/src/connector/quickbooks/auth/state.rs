//! The `state` of an authorisation: what comes back through the browser proves that we sent the
//! person there, for which connection, and lately.
//!
//! It is signed, not remembered: the key is the host's. That it is spent only once is the store's
//! to see, by the nonce.

use crate::error::{Category, Error, Result};
use crate::model::{ConnectionName, TenantId};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// How long a person may take between opening the address and coming back.
pub const LIFETIME: SignedDuration = SignedDuration::from_mins(10);

/// Before the signature, so that no other thing signed with the same key is taken for a state.
const PURPOSE: &[u8] = b"easysync oauth state 1\0";

/// What a state stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    #[serde(rename = "t")]
    pub tenant: TenantId,
    #[serde(rename = "c")]
    pub connection: ConnectionName,
    /// Where the browser is sent back to: the exchange must name the same address.
    #[serde(rename = "r")]
    pub redirect_uri: String,
    /// Seconds since 1970.
    #[serde(rename = "e")]
    pub expires: i64,
    /// Random, so that the store can tell a state that is spent.
    #[serde(rename = "n")]
    pub nonce: String,
}

/// The signed text that goes through the browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge(pub String);

impl State {
    /// A state that is good for ten minutes from `now`. `nonce` must be random, at least 16 bytes.
    pub fn new(
        tenant: &TenantId,
        connection: &ConnectionName,
        redirect_uri: &str,
        now: Timestamp,
        nonce: &[u8; 16],
    ) -> State {
        State {
            tenant: tenant.clone(),
            connection: connection.clone(),
            redirect_uri: redirect_uri.to_owned(),
            expires: now.as_second() + LIFETIME.as_secs(),
            nonce: URL_SAFE_NO_PAD.encode(nonce),
        }
    }

    /// Signs it. `key`: 32 secret bytes of the host's.
    pub fn seal(&self, key: &[u8; 32]) -> Result<Challenge> {
        let text = serde_json::to_string(self)
            .map_err(|_| Error::internal("the state of an authorisation can't be written"))?;
        let payload = URL_SAFE_NO_PAD.encode(text);
        let signature = URL_SAFE_NO_PAD.encode(mac(key, &payload)?.finalize().into_bytes());
        Ok(Challenge(format!("{payload}.{signature}")))
    }

    /// The state behind a text that came back. Errors: authentication (YS401) where it isn't ours
    /// or is older than ten minutes. That it wasn't spent before is for the caller to see.
    pub fn open(text: &str, key: &[u8; 32], now: Timestamp) -> Result<State> {
        let unknown = || {
            refused("this answer belongs to no authorisation that was begun here").hint(
                "Begin again: easysync.oauth_authorize_url, in the same database, and give the \
                 whole address that you land on.",
            )
        };
        let (payload, signature) = text.split_once('.').ok_or_else(unknown)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| unknown())?;
        mac(key, payload)?.verify_slice(&signature).map_err(|_| unknown())?;
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| unknown())?;
        let state: State = serde_json::from_slice(&payload).map_err(|_| unknown())?;
        if now.as_second() >= state.expires {
            return Err(refused("this authorisation was begun more than ten minutes ago")
                .hint("Begin again: easysync.oauth_authorize_url."));
        }
        Ok(state)
    }
}

fn refused(message: &str) -> Error {
    Error::new(Category::Authentication, "oauth_state", message)
}

fn mac(key: &[u8; 32], payload: &str) -> Result<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .map_err(|_| Error::internal("the key of a state has no usable length"))?;
    mac.update(PURPOSE);
    mac.update(payload.as_bytes());
    Ok(mac)
}
