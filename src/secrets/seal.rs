//! Sealing: AES-256-GCM, a fresh nonce each time, bound to tenant, connection and key id.

use super::Keyring;
use aes_gcm::aead::{Aead, AeadCore, KeyInit, OsRng, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use engine::store::Secret;
use engine::{Category, Error, Result};
use zeroize::Zeroizing;

/// First byte of a sealed secret.
const FORM: u8 = 1;
const NONCE_BYTES: usize = 12;

/// What a secret is bound to: moved to another row, it doesn't open.
fn bound_to(tenant: &str, connection: &str, key_id: &str) -> Vec<u8> {
    [tenant, connection, key_id].map(|part| format!("{}:{part}", part.len())).concat().into_bytes()
}

/// Seals with the active key; returns the key's id and the sealed bytes.
pub fn seal(
    keyring: &Keyring,
    tenant: &str,
    connection: &str,
    secret: &Secret,
) -> Result<(String, Vec<u8>)> {
    let key_id = keyring.active_id().to_owned();
    let key = keyring.key(&key_id)?;
    let text = serde_json::to_string(secret.expose())
        .map(Zeroizing::new)
        .map_err(|_| Error::internal("credentials could not be written down"))?;
    let nonce = Aes256Gcm::generate_nonce(&mut OsRng);
    let aad = bound_to(tenant, connection, &key_id);
    let sealed = Aes256Gcm::new(key.as_ref().into())
        .encrypt(&nonce, Payload { msg: text.as_bytes(), aad: &aad })
        .map_err(|_| Error::internal("credentials could not be sealed"))?;
    let mut bytes = vec![FORM];
    bytes.extend_from_slice(&nonce);
    bytes.extend_from_slice(&sealed);
    Ok((key_id, bytes))
}

/// Opens what `seal` made.
pub fn open(
    keyring: &Keyring,
    tenant: &str,
    connection: &str,
    key_id: &str,
    sealed: &[u8],
) -> Result<Secret> {
    let damaged = || {
        Error::new(
            Category::Authentication,
            "sealed_credentials",
            format!("the credentials of \"{connection}\" don't open with key \"{key_id}\""),
        )
        .hint("Put the right key file in place, or give the credentials again (set_credentials).")
        .retryable(false)
    };
    let key = keyring.key(key_id)?;
    let Some((&FORM, rest)) = sealed.split_first() else { return Err(damaged()) };
    if rest.len() < NONCE_BYTES {
        return Err(damaged());
    }
    let (nonce, message) = rest.split_at(NONCE_BYTES);
    let aad = bound_to(tenant, connection, key_id);
    let text = Aes256Gcm::new(key.as_ref().into())
        .decrypt(Nonce::from_slice(nonce), Payload { msg: message, aad: &aad })
        .map(Zeroizing::new)
        .map_err(|_| damaged())?;
    serde_json::from_slice(&text).map(Secret::new).map_err(|_| damaged())
}
