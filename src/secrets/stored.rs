//! Credentials as a row of `connections` keeps them, under the keys of this server.

use super::{Keyring, open, seal};
use crate::guc;
use engine::Result;
use engine::store::Secret;

/// Opens what a row holds; empty where it holds none.
pub fn open_stored(
    tenant: &str,
    connection: &str,
    key_id: Option<String>,
    sealed: Option<Vec<u8>>,
) -> Result<Secret> {
    let (Some(key_id), Some(sealed)) = (key_id, sealed) else { return Ok(Secret::default()) };
    let keyring = Keyring::load(&guc::key_file().0, false)?;
    open(&keyring, tenant, connection, &key_id, &sealed)
}

/// Seals credentials under the active key; the first ones make the key.
pub fn seal_to_store(tenant: &str, connection: &str, secret: &Secret) -> Result<(String, Vec<u8>)> {
    let keyring = Keyring::load(&guc::key_file().0, true)?;
    seal(&keyring, tenant, connection, secret)
}
