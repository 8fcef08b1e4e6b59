//! The key file: several keys by id, one of them active. New secrets are sealed with the active
//! one; the others still open what they sealed.

use aes_gcm::aead::OsRng;
use aes_gcm::aead::rand_core::RngCore;
use engine::{Category, Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Bytes of a key of AES-256.
const KEY_BYTES: usize = 32;

/// The key file as it is stored: JSON, mode 0600.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    /// Key that seals from now on.
    active: String,
    keys: Vec<StoredKey>,
}

#[derive(Serialize, Deserialize)]
struct StoredKey {
    id: String,
    /// 32 bytes, base64.
    key: Zeroizing<String>,
    created_at: jiff::Timestamp,
}

/// The keys of this server.
pub struct Keyring {
    path: PathBuf,
    stored: Stored,
}

fn failed(path: &Path, what: &str, cause: impl std::fmt::Display) -> Error {
    Error::new(
        Category::Internal,
        "key_file",
        format!("the key file {} {what}: {cause}", path.display()),
    )
    .hint("Set easysync.key_file to a file (mode 0600) that the server's user may read and write.")
}

impl Keyring {
    /// Reads the key file; makes it, with a first key, when it isn't there and `create` says so.
    pub fn load(path: &Path, create: bool) -> Result<Self> {
        if create && !path.exists() {
            let mut stored = Stored { version: 1, active: String::new(), keys: vec![] };
            stored.active = stored.add_key();
            let keyring = Keyring { path: path.to_owned(), stored };
            keyring.write_new()?;
            // Two sessions at once: whoever made the file first has made the key.
        }
        let text = fs::read_to_string(path)
            .map(Zeroizing::new)
            .map_err(|e| failed(path, "can't be read", e))?;
        let mode = fs::metadata(path).map_err(|e| failed(path, "can't be read", e))?.permissions();
        if mode.mode() & 0o077 != 0 {
            return Err(failed(
                path,
                "may be read by others",
                format!("{:o}", mode.mode() & 0o777),
            ));
        }
        let stored: Stored =
            serde_json::from_str(&text).map_err(|_| failed(path, "is damaged", "no key list"))?;
        Ok(Keyring { path: path.to_owned(), stored })
    }

    pub fn active_id(&self) -> &str {
        &self.stored.active
    }

    /// The newest key: what `activate` takes when `prepare` has added one.
    pub fn newest_id(&self) -> &str {
        self.stored.keys.last().map_or(self.stored.active.as_str(), |key| key.id.as_str())
    }

    /// A key by its id.
    pub fn key(&self, id: &str) -> Result<Zeroizing<[u8; KEY_BYTES]>> {
        let stored = self.stored.keys.iter().find(|key| key.id == id).ok_or_else(|| {
            Error::new(
                Category::Authentication,
                "key_missing",
                format!("the key \"{id}\" is not in {}", self.path.display()),
            )
            .hint(
                "Put the right key file in place, or give the credentials again (set_credentials).",
            )
            .retryable(false)
        })?;
        let bytes = Zeroizing::new(base64_decode(&stored.key).unwrap_or_default());
        let key: [u8; KEY_BYTES] = bytes
            .as_slice()
            .try_into()
            .map_err(|_| failed(&self.path, "is damaged", "a key is not 32 bytes long"))?;
        Ok(Zeroizing::new(key))
    }

    /// Adds a key without using it yet.
    pub fn prepare(&mut self) -> Result<String> {
        let id = self.stored.add_key();
        self.replace()?;
        Ok(id)
    }

    /// Seals with `id` from now on.
    pub fn activate(&mut self, id: &str) -> Result<()> {
        self.stored.active = id.to_owned();
        self.replace()
    }

    fn text(&self) -> Result<Zeroizing<String>> {
        serde_json::to_string_pretty(&self.stored)
            .map(Zeroizing::new)
            .map_err(|e| failed(&self.path, "can't be written", e))
    }

    fn write_new(&self) -> Result<()> {
        let text = self.text()?;
        let temporary = self.path.with_extension(format!("new.{}", std::process::id()));
        write_private(&temporary, &text).map_err(|e| failed(&self.path, "can't be made", e))?;
        // A link fails where the file is there already: the first one wins.
        let linked = fs::hard_link(&temporary, &self.path);
        let _ = fs::remove_file(&temporary);
        match linked {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                Err(failed(&self.path, "can't be made", e))
            }
            _ => Ok(()),
        }
    }

    fn replace(&self) -> Result<()> {
        let text = self.text()?;
        let temporary = self.path.with_extension(format!("new.{}", std::process::id()));
        write_private(&temporary, &text)
            .and_then(|()| fs::rename(&temporary, &self.path))
            .map_err(|e| failed(&self.path, "can't be written", e))
    }
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let _ = fs::remove_file(path);
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

impl Stored {
    fn add_key(&mut self) -> String {
        let mut key = Zeroizing::new([0u8; KEY_BYTES]);
        OsRng.fill_bytes(key.as_mut());
        let id = format!("k{}", self.keys.len() + 1);
        self.keys.push(StoredKey {
            id: id.clone(),
            key: Zeroizing::new(base64_encode(key.as_ref())),
            created_at: jiff::Timestamp::now(),
        });
        id
    }
}

pub fn base64_encode(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

pub fn base64_decode(text: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}
