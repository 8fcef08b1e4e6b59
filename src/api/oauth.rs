//! Granting access to the books: the way out to the page, and the way back.

use super::accounts::stored;
use crate::error::to_json;
use crate::secrets::{Binding, base64_encode, keyring, seal_to_store};
use crate::{host, worker};
use engine::connector::quickbooks::auth::{Callback, State, TokenSet};
use engine::connector::quickbooks::push::{app, parse};
use engine::store::{Connection, Secret};
use engine::{Error, Result};
use jiff::Timestamp;
use pgrx::pg_sys;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn answer(result: Result<Value>) -> Value {
    result.unwrap_or_else(|error| json!({ "errors": [to_json(&error)] }))
}

/// The key that states are signed with: derived from the one that seals credentials, so that no
/// other secret has to be kept.
fn state_key(key_id: Option<&str>) -> Result<([u8; 32], String)> {
    let keyring = keyring()?;
    let id = key_id.unwrap_or(keyring.active_id()).to_owned();
    let key = keyring.key(&id)?;
    let mut digest = Sha256::new();
    digest.update(b"easysync oauth state key 1\0");
    digest.update(key.as_ref());
    Ok((digest.finalize().into(), id))
}

pub fn authorize_url(tenant: &str, connection: &str, redirect_uri: &str) -> Value {
    answer(try_authorize_url(tenant, connection, redirect_uri))
}

fn try_authorize_url(tenant: &str, name: &str, redirect_uri: &str) -> Result<Value> {
    let connection = stored(tenant, name)?;
    let http = worker::http_context()?;
    let app = app(&connection, &parse(&connection, &http)?, &http)?;
    let mut nonce = [0u8; 16];
    if !unsafe { pg_sys::pg_strong_random(nonce.as_mut_ptr().cast(), nonce.len()) } {
        return Err(Error::internal("the server has no random numbers"));
    }
    let (key, _) = state_key(None)?;
    let state =
        State::new(&connection.tenant, &connection.name, redirect_uri, Timestamp::now(), &nonce);
    Ok(json!({ "url": app.authorize_url(&state, &key)? }))
}

fn open_state(callback_url: &str) -> Result<State> {
    let text = Callback::state_of(callback_url).ok_or_else(|| {
        Error::argument(
            "this is not the address of an answer of QuickBooks: it has no state",
            "Copy the whole address from the browser: https://...?code=...&state=...&realmId=...",
        )
    })?;
    let (key, _) = state_key(None)?;
    State::open(&text, &key, Timestamp::now())
}

/// Whose callback it is; that its state is spent only once is the caller's to see.
pub fn state(callback_url: &str) -> Value {
    answer(open_state(callback_url).and_then(|state| {
        let callback = Callback::parse(callback_url)?;
        Ok(json!({
            "tenant": state.tenant.as_str(),
            "connection": state.connection.as_str(),
            "nonce": state.nonce,
            "realm": callback.realm.as_str(),
        }))
    }))
}

pub fn exchange(callback_url: &str) -> Value {
    answer(try_exchange(callback_url))
}

fn try_exchange(callback_url: &str) -> Result<Value> {
    let state = open_state(callback_url)?;
    let callback = Callback::parse(callback_url)?;
    let connection = stored(state.tenant.as_str(), state.connection.as_str())?;
    let http = worker::http_context()?;
    let exchanged = connection.clone();
    let tokens: TokenSet = host::block_on(async move {
        let app = app(&exchanged, &parse(&exchanged, &http)?, &http)?;
        app.exchange(&callback, &state.redirect_uri).await
    })??;
    let mut fields = connection.credentials.expose().clone();
    tokens.put(&mut fields);
    // From here on the credentials belong to that company.
    let granted = Connection { account: tokens.realm.to_string(), ..connection };
    let (key_id, sealed) = seal_to_store(&Binding::of(&granted)?, &Secret::new(fields))?;
    Ok(json!({
        "realm": tokens.realm.as_str(),
        "key_id": key_id,
        "sealed": base64_encode(&sealed),
        "expires_at": tokens.grant_ends_at().to_string(),
    }))
}
