//! Credentials as a row of `connections` keeps them, under the keys of this server.

use super::{Binding, Keyring, open, seal};
use crate::guc;
use engine::Result;
use engine::store::{Connection, Secret};

/// Sealed credentials with the id of the key that sealed them; both None: the row holds none.
#[derive(Debug, Clone, Default)]
pub struct Sealed {
    /// Id in the key file.
    pub key_id: Option<String>,
    /// What [`seal`] made.
    pub bytes: Option<Vec<u8>>,
}

impl Sealed {
    /// Opens the credentials for the account of `binding`; empty where there are none.
    pub fn open(&self, binding: &Binding) -> Result<Secret> {
        let (Some(key_id), Some(bytes)) = (&self.key_id, &self.bytes) else {
            return Ok(Secret::default());
        };
        let keyring = Keyring::load(&guc::key_file().0, false)?;
        open(&keyring, binding, key_id, bytes)
    }

    /// The connection with its credentials. They open for the very settings and account that it is
    /// called with, and for no others.
    pub fn open_for(&self, connection: Connection) -> Result<Connection> {
        if self.bytes.is_none() {
            return Ok(connection);
        }
        let credentials = self.open(&Binding::of(&connection)?)?;
        Ok(Connection { credentials, ..connection })
    }
}

/// Seals credentials under the active key; the first ones make the key.
pub fn seal_to_store(binding: &Binding, secret: &Secret) -> Result<(String, Vec<u8>)> {
    let keyring = Keyring::load(&guc::key_file().0, true)?;
    seal(&keyring, binding, secret)
}
