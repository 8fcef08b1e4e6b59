//! Credentials given by file, so that no secret is ever typed into SQL. Each tenant has a directory of
//! its own: an admin of one tenant names no file of another.

use engine::store::Secret;
use engine::{Error, Result};
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A credential file holds a handful of keys.
const MOST_BYTES: u64 = 64 * 1024;

/// Bytes of a file's name, at most, on the file systems that servers have.
const LONGEST_NAME: usize = 255;

/// The tenant of an installation that has but one, and its sandbox: their files may lie in
/// `easysync.credential_dir` itself.
const DEFAULT_TENANT: [&str; 2] = ["default", "default:sandbox"];

/// Reads `name` in the tenant's directory below `easysync.credential_dir`: a regular file that nobody
/// but the server's user may read, and that holds a JSON object.
pub fn read_credential_file(directory: Option<&Path>, tenant: &str, name: &str) -> Result<Secret> {
    let Some(directory) = directory else {
        return Err(Error::argument(
            "credentials can't be given by file: easysync.credential_dir is not set",
            "A superuser sets it in postgresql.conf, or give the credentials as a parameter.",
        ));
    };
    let folder = folder_of(tenant)?;
    let itself = match DEFAULT_TENANT.contains(&tenant) {
        true => ", or in easysync.credential_dir itself while there is no such directory",
        false => "",
    };
    let hint = format!(
        "Name a file in the directory \"{folder}\" of easysync.credential_dir{itself}, without a path."
    );
    let refused = |why: &str| Error::argument(format!("credential file \"{name}\": {why}"), &hint);
    let plain = !name.is_empty()
        && !name.starts_with('.')
        && !name.contains(['/', '\\', '\0'])
        && name.len() <= LONGEST_NAME;
    if !plain {
        return Err(refused("is not a plain file name"));
    }
    let directory = tenant_directory(directory, tenant, &folder).map_err(|why| refused(&why))?;
    let text = read_private(&directory.join(name)).map_err(|why| refused(&why))?;
    serde_json::from_slice(&text)
        .map(Secret::new)
        .map_err(|_| refused("does not hold a JSON object"))
}

/// The directory's name for a tenant. A gateway's claim may be any text, and a sandbox's name holds a
/// colon: what isn't safe in a file's name is written otherwise, and no two tenants share a name.
fn folder_of(tenant: &str) -> Result<String> {
    let mut name = String::with_capacity(tenant.len());
    for (at, byte) in tenant.bytes().enumerate() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => name.push(char::from(byte)),
            b'.' if at > 0 => name.push('.'),
            b':' => name.push('+'),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    if name.is_empty() || name.len() > LONGEST_NAME {
        return Err(Error::argument(
            "this tenant's name can't be a directory's, so it has no credential files",
            "Give the credentials as a parameter.",
        ));
    }
    Ok(name)
}

/// Where the tenant's files lie. As soon as there is a directory `default`, the default tenant's files
/// lie there alone, and what is in `easysync.credential_dir` itself is nobody's.
fn tenant_directory(base: &Path, tenant: &str, folder: &str) -> Result<PathBuf, String> {
    let own = base.join(folder);
    match fs::symlink_metadata(&own) {
        Ok(found) if found.is_dir() => Ok(own),
        Ok(_) => Err(format!("\"{folder}\" is not a directory (links are not followed)")),
        Err(e) if e.kind() == ErrorKind::NotFound && DEFAULT_TENANT.contains(&tenant) => {
            Ok(base.into())
        }
        Err(e) => Err(cause(&e)),
    }
}

/// The bytes of a private file. Everything is asked of the opened file: what a name stands for may
/// change in between.
fn read_private(path: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>, String> {
    let file = OpenOptions::new()
        .read(true)
        // Without waiting for a writer, should it be a pipe.
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .map_err(|e| cause(&e))?;
    let metadata = file.metadata().map_err(|e| cause(&e))?;
    if !metadata.is_file() {
        return Err("is not an ordinary file (links are not followed)".into());
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(format!("may be read or changed by others (mode {mode:o}): chmod 600"));
    }
    if metadata.len() > MOST_BYTES {
        return Err("is larger than 64 kB".into());
    }
    let mut text = zeroize::Zeroizing::new(Vec::new());
    file.take(MOST_BYTES).read_to_end(&mut text).map_err(|e| cause(&e))?;
    Ok(text)
}

fn cause(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such file".into(),
        ErrorKind::PermissionDenied => "the server's user may not read it".into(),
        _ if error.raw_os_error() == Some(libc::ELOOP) => {
            "is not an ordinary file (links are not followed)".into()
        }
        _ => error.to_string(),
    }
}
