//! `simulators.json`: where everything is, for the commands and tests that use it.

use crate::error::{Error, Result};
use crate::server::Served;
use crate::{Handle, PlatformHandle};
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The CA's file: beside the state file.
pub fn ca_path(state_file: &Path) -> PathBuf {
    state_file.with_file_name("simulators-ca.pem")
}

fn platform(served: &Served, handle: &PlatformHandle) -> Value {
    let mut entry = Map::new();
    entry.insert("https".into(), json!(handle.addresses.https));
    entry.insert("http".into(), json!(handle.addresses.http));
    if let Value::Object(more) = served.platform.describe() {
        entry.extend(more);
    }
    Value::Object(entry)
}

/// What the file says.
pub fn contents(handle: &Handle, ca_file: &Path) -> Value {
    let mut all = Map::new();
    all.insert("pid".into(), json!(std::process::id()));
    all.insert("control".into(), json!(handle.control));
    all.insert("ca_file".into(), json!(ca_file));
    for one in &handle.platforms {
        all.insert(one.name().into(), platform(&one.served, one));
    }
    Value::Object(all)
}

/// Writes CA and state, each complete or not at all: a reader that finds the file finds servers
/// that answer.
pub fn write(handle: &Handle, state_file: &Path) -> Result<()> {
    let ca_file = std::path::absolute(ca_path(state_file)).unwrap_or(ca_path(state_file));
    replace(&ca_file, handle.ca_pem.as_bytes())?;
    let text = format!("{:#}\n", contents(handle, &ca_file));
    replace(state_file, text.as_bytes())
}

fn replace(path: &Path, contents: &[u8]) -> Result<()> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let draft = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut file = std::fs::File::create(&draft).map_err(failed)?;
    file.write_all(contents).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&draft, path).map_err(failed)
}
