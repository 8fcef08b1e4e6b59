//! Credentials given by file, so that no secret is ever typed into SQL.

use engine::store::Secret;
use engine::{Error, Result};
use std::fs;
use std::path::Path;

/// A credential file holds a handful of keys.
const MOST_BYTES: u64 = 64 * 1024;

/// Reads `name` in `easysync.credential_dir`: a plain file there that holds a JSON object.
pub fn read_credential_file(directory: Option<&Path>, name: &str) -> Result<Secret> {
    let Some(directory) = directory else {
        return Err(Error::argument(
            "credentials can't be given by file: easysync.credential_dir is not set",
            "A superuser sets it in postgresql.conf, or give the credentials as a parameter.",
        ));
    };
    let hint = "Name a file that lies in easysync.credential_dir itself, without a path.";
    let refused = |why: &str| Error::argument(format!("credential file \"{name}\": {why}"), hint);
    let plain = !name.is_empty()
        && !name.starts_with('.')
        && !name.contains(['/', '\\', '\0'])
        && name.len() <= 255;
    if !plain {
        return Err(refused("is not a plain file name"));
    }
    let path = directory.join(name);
    let metadata = fs::symlink_metadata(&path).map_err(|e| refused(&cause(&e)))?;
    if !metadata.is_file() {
        return Err(refused("is not an ordinary file (links are not followed)"));
    }
    if metadata.len() > MOST_BYTES {
        return Err(refused("is larger than 64 kB"));
    }
    let text = fs::read(&path).map(zeroize::Zeroizing::new).map_err(|e| refused(&cause(&e)))?;
    serde_json::from_slice(&text)
        .map(Secret::new)
        .map_err(|_| refused("does not hold a JSON object"))
}

fn cause(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".into(),
        std::io::ErrorKind::PermissionDenied => "the server's user may not read it".into(),
        _ => error.to_string(),
    }
}
