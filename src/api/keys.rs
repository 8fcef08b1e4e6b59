//! Changing the key that seals credentials.

use crate::error::{DbError, DbResult, to_json};
use crate::guc;
use crate::secrets::{self, Binding, Keyring, State};
use engine::store::{Connection, Secret};
use engine::{Error, Result};
use pgrx::prelude::*;
use serde_json::{Value, json};

/// The key file as `health` judges it: where it lies, whether it can be used, and which keys are in it.
pub fn status() -> Value {
    let (path, inside) = guc::key_file();
    let mut status = json!({ "inside_data_directory": inside, "exists": true, "usable": false });
    match Keyring::state(&path) {
        State::Missing => status["exists"] = false.into(),
        State::StartsOver => status["problem"] = "the key file asks for a new key".into(),
        State::Unusable(error) => {
            status["problem"] = error.message.into();
            status["cure"] = error.hint.into();
        }
        State::Good(keyring) => {
            status["usable"] = true.into();
            status["key_ids"] = keyring.ids().into();
        }
    }
    status
}

/// `prepare` adds a key to the file, `activate` seals everything with the newest one.
pub fn rotate(step: &str) -> Value {
    match try_rotate(step) {
        Ok((key_id, resealed)) => json!({ "key_id": key_id, "resealed": resealed }),
        Err(error) => json!({ "errors": [to_json(&error)] }),
    }
}

fn try_rotate(step: &str) -> Result<(String, usize)> {
    let mut keyring = secrets::keyring()?;
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
            "select tenant_id, name, connector, coalesce(account, ''), settings, key_id, sealed
               from easysync_internal.connections where sealed is not null order by 1, 2",
            None,
            &[],
        )?;
        for row in table {
            let text = |column| Ok::<_, DbError>(row.get::<String>(column)?.unwrap_or_default());
            let connection = Connection {
                tenant: text(1)?.into(),
                name: text(2)?.into(),
                connector: text(3)?,
                account: text(4)?,
                settings: row.get::<pgrx::JsonB>(5)?.map(|json| json.0).unwrap_or_default(),
                credentials: Secret::default(),
            };
            found.push((connection, text(6)?, row.get::<Vec<u8>>(7)?.unwrap_or_default()));
        }
        Ok::<_, DbError>(found)
    })?;
    let count = sealed.len();
    for (connection, old_key, bytes) in sealed {
        let failed = |e: Error| DbError::new("XX000", e.message);
        let binding = Binding::of(&connection).map_err(failed)?;
        let secret = secrets::open(keyring, &binding, &old_key, &bytes).map_err(failed)?;
        let (key_id, bytes) = secrets::seal(keyring, &binding, &secret).map_err(failed)?;
        Spi::run_with_args(
            "update easysync_internal.connections set key_id = $3, sealed = $4, sealed_at = pg_catalog.now() where tenant_id = $1 and name = $2",
            &[
                connection.tenant.as_str().into(),
                connection.name.as_str().into(),
                key_id.into(),
                bytes.into(),
            ],
        )?;
    }
    Ok(count)
}
