//! Changing the key that seals credentials.

use crate::error::{DbError, DbResult, to_json};
use crate::guc;
use crate::secrets::{self, Keyring};
use engine::{Error, Result};
use pgrx::prelude::*;
use serde_json::{Value, json};

/// Where the key file lies; `health` warns while it is inside the data directory.
pub fn status() -> Value {
    let (path, inside) = guc::key_file();
    json!({ "inside_data_directory": inside, "exists": path.exists() })
}

/// `prepare` adds a key to the file, `activate` seals everything with the newest one.
pub fn rotate(step: &str) -> Value {
    match try_rotate(step) {
        Ok((key_id, resealed)) => json!({ "key_id": key_id, "resealed": resealed }),
        Err(error) => json!({ "errors": [to_json(&error)] }),
    }
}

fn try_rotate(step: &str) -> Result<(String, usize)> {
    let mut keyring = Keyring::load(&guc::key_file().0, true)?;
    match step {
        "prepare" => Ok((keyring.prepare()?, 0)),
        "activate" => activate(&mut keyring),
        "both" => {
            keyring.prepare()?;
            activate(&mut keyring)
        }
        other => Err(Error::argument(
            format!("unknown step \"{other}\""),
            "Steps: prepare, activate, both.",
        )),
    }
}

/// The old key stays in the file: a rollback of this transaction leaves secrets that it sealed.
fn activate(keyring: &mut Keyring) -> Result<(String, usize)> {
    let key_id = keyring.newest_id().to_owned();
    if key_id == keyring.active_id() {
        return Err(Error::argument(
            "there is no prepared key to activate",
            "Call easysync.rotate_encryption_key('prepare') first.",
        ));
    }
    keyring.activate(&key_id)?;
    let count = reseal(keyring).map_err(Error::from)?;
    Ok((key_id, count))
}

fn reseal(keyring: &Keyring) -> DbResult<usize> {
    let sealed = Spi::connect(|client| {
        let mut found = vec![];
        let table = client.select(
            "select tenant_id, name, key_id, sealed from easysync_internal.connections where sealed is not null order by 1, 2",
            None,
            &[],
        )?;
        for row in table {
            if let (Some(tenant), Some(name), Some(key_id), Some(bytes)) = (
                row.get::<String>(1)?,
                row.get::<String>(2)?,
                row.get::<String>(3)?,
                row.get::<Vec<u8>>(4)?,
            ) {
                found.push((tenant, name, key_id, bytes));
            }
        }
        Ok::<_, DbError>(found)
    })?;
    let count = sealed.len();
    for (tenant, name, old_key, bytes) in sealed {
        let failed = |e: Error| DbError::new("XX000", e.message);
        let secret = secrets::open(keyring, &tenant, &name, &old_key, &bytes).map_err(failed)?;
        let (key_id, bytes) = secrets::seal(keyring, &tenant, &name, &secret).map_err(failed)?;
        Spi::run_with_args(
            "update easysync_internal.connections set key_id = $3, sealed = $4, sealed_at = pg_catalog.now() where tenant_id = $1 and name = $2",
            &[tenant.into(), name.into(), key_id.into(), bytes.into()],
        )?;
    }
    Ok(count)
}
