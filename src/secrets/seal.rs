//! Sealing: AES-256-GCM, a fresh nonce each time, bound to the row that keeps the secret, to the
//! account that it may be sent to, and to the key.

use super::Keyring;
use aes_gcm::aead::{Aead, AeadCore, KeyInit, OsRng, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use engine::connector;
use engine::store::{Connection, Secret};
use engine::{Category, Error, Result};
use zeroize::Zeroizing;

/// First byte of a sealed secret.
const FORM: u8 = 2;
const NONCE_BYTES: usize = 12;

/// What a secret is bound to: opened for another row, or for a call to another address or account, it
/// doesn't open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    tenant: String,
    connection: String,
    recipient: String,
}

impl Binding {
    /// Of a connection as it is called: by its settings and its account.
    pub fn of(connection: &Connection) -> Result<Binding> {
        let Connection { connector, settings, account, .. } = connection;
        Ok(Binding {
            tenant: connection.tenant.to_string(),
            connection: connection.name.to_string(),
            recipient: connector::recipient(connector, settings, account)?,
        })
    }

    /// Each part with its length before it: no part can pass for another.
    fn with_key(&self, key_id: &str) -> Vec<u8> {
        [&self.tenant, &self.connection, &self.recipient, key_id]
            .map(|part| format!("{}:{part}", part.len()))
            .concat()
            .into_bytes()
    }
}

/// Seals with the active key; returns the key's id and the sealed bytes.
pub fn seal(keyring: &Keyring, binding: &Binding, secret: &Secret) -> Result<(String, Vec<u8>)> {
    let key_id = keyring.active_id().to_owned();
    let key = keyring.key(&key_id)?;
    let text = serde_json::to_string(secret.expose())
        .map(Zeroizing::new)
        .map_err(|_| Error::internal("credentials could not be written down"))?;
    let nonce = Aes256Gcm::generate_nonce(&mut OsRng);
    let aad = binding.with_key(&key_id);
    let sealed = Aes256Gcm::new(key.as_ref().into())
        .encrypt(&nonce, Payload { msg: text.as_bytes(), aad: &aad })
        .map_err(|_| Error::internal("credentials could not be sealed"))?;
    let mut bytes = vec![FORM];
    bytes.extend_from_slice(&nonce);
    bytes.extend_from_slice(&sealed);
    Ok((key_id, bytes))
}

/// Opens what `seal` made for the same binding.
pub fn open(keyring: &Keyring, binding: &Binding, key_id: &str, sealed: &[u8]) -> Result<Secret> {
    let damaged = || {
        let name = &binding.connection;
        Error::new(
            Category::Authentication,
            "sealed_credentials",
            format!(
                "the credentials of \"{name}\" don't open with key \"{key_id}\" for this account"
            ),
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
    let aad = binding.with_key(key_id);
    let text = Aes256Gcm::new(key.as_ref().into())
        .decrypt(Nonce::from_slice(nonce), Payload { msg: message, aad: &aad })
        .map(Zeroizing::new)
        .map_err(|_| damaged())?;
    serde_json::from_slice(&text).map(Secret::new).map_err(|_| damaged())
}
