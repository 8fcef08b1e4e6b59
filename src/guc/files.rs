//! The files and roles that settings name: their state, and what is wrong with them.

use engine::{Error, Result};
use pgrx::pg_sys;
use serde_json::{Value, json};
use std::ffi::CString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Largest file of authorities: the public ones together are a quarter of it.
const MOST_BYTES: u64 = 1024 * 1024;

/// Tells whether a file was changed or replaced in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Version {
    /// None: the file can't be reached.
    pub fn of(path: &Path) -> Option<Version> {
        let found = fs::metadata(path).ok()?;
        Some(Version {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

/// The certificates of `easysync.ca_file`, in PEM.
pub fn authorities(path: &Path) -> Result<Vec<u8>> {
    let unreadable = |cause: String| {
        Error::argument(
            format!("easysync.ca_file can't be read: {}: {cause}", path.display()),
            "Give a PEM file that the server's user may read.",
        )
    };
    let metadata = fs::metadata(path).map_err(|e| unreadable(e.to_string()))?;
    if !metadata.is_file() || metadata.len() > MOST_BYTES {
        return Err(unreadable("not a file of at most 1 MB".into()));
    }
    let pem = fs::read(path).map_err(|e| unreadable(e.to_string()))?;
    engine::http::check_authorities(&pem)?;
    Ok(pem)
}

/// What is wrong with the files and roles that settings name, the key file aside, as `health` lists it:
/// `severity`, `reason`, `cure`. Must be called in a transaction.
pub fn problems() -> Vec<Value> {
    let mut found = vec![];
    if let Some(Err(error)) = super::ca_file().map(|path| authorities(&path)) {
        found.push(json!({
            "severity": "degraded",
            "reason": format!("{}: calls trust the public authorities only", error.message),
            "cure": "Put a PEM file with certificates in its place; the next sync reads it.",
        }));
    }
    if super::credential_dir().is_some_and(|directory| !directory.is_dir()) {
        found.push(json!({
            "severity": "degraded",
            "reason": "the directory that easysync.credential_dir names can't be reached",
            "cure": "Make it, with mode 0700, owned by the server's user, or set easysync.credential_dir to another one.",
        }));
    }
    for role in super::gateway_roles().into_iter().filter(|role| !exists(role)) {
        found.push(json!({
            "severity": "degraded",
            "reason": format!("easysync.gateway_roles names role \"{role}\", which does not exist"),
            "cure": "Create the role, or write its name as \\du shows it; a reload is enough.",
        }));
    }
    found
}

fn exists(role: &str) -> bool {
    CString::new(role).is_ok_and(
        |role| unsafe { pg_sys::get_role_oid(role.as_ptr(), true) } != pg_sys::InvalidOid,
    )
}
