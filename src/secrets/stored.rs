//! Credentials as a row of `connections` keeps them, under the keys of this server.

use super::{Binding, Keyring, open, seal};
use crate::guc;
use crate::store::read_one;
use engine::store::{Connection, Secret};
use engine::{Error, Result};

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
        let keyring = Keyring::load(&guc::key_file().0)?;
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

/// The keys of this server; the first use makes one. Must be called on the thread of Postgres.
pub fn keyring() -> Result<Keyring> {
    Keyring::load_or_create(&guc::key_file().0, || {
        let count = "select pg_catalog.count(*) from easysync_internal.connections where sealed is not null";
        Ok(read_one::<i64>(count, &[]).map_err(Error::from)?.unwrap_or(0))
    })
}

/// Seals credentials under the active key; the first ones make the key.
pub fn seal_to_store(binding: &Binding, secret: &Secret) -> Result<(String, Vec<u8>)> {
    seal(&keyring()?, binding, secret)
}
