//! The key file: several keys by id, one of them active. New secrets are sealed with the active
//! one; the others still open what they sealed.

use aes_gcm::aead::OsRng;
use aes_gcm::aead::rand_core::RngCore;
use engine::{Category, Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Bytes of a key of AES-256.
const KEY_BYTES: usize = 32;
/// Form of the file.
const VERSION: u32 = 1;
/// A file that holds this word alone: its owner says that the old keys are lost for good.
const START_OVER: &str = "new";

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
    /// Follows from the key: two keys never share one.
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

const UNUSABLE: &str =
    "Set easysync.key_file to a file (mode 0600) that the server's user may read and write.";
const DAMAGED: &str = "Put the key file back from where it is kept. If it is lost for good, write the word new into it: \
     the next easysync.set_credentials makes a key, and every connection needs its credentials again.";

fn failed(path: &Path, what: &str, cause: impl std::fmt::Display) -> Error {
    error(format!("the key file {} {what}: {cause}", path.display())).hint(UNUSABLE)
}

fn damaged(path: &Path, cause: impl std::fmt::Display) -> Error {
    error(format!("the key file {} is damaged: {cause}", path.display())).hint(DAMAGED)
}

fn error(message: String) -> Error {
    // Calling the platform again doesn't mend a file.
    Error::new(Category::Internal, "key_file", message).retryable(false)
}

/// What the key file is, without its keys.
pub enum State {
    Missing,
    /// Its owner asked for a new one.
    StartsOver,
    Unusable(Error),
    Good(Keyring),
}

impl Keyring {
    /// Looks at the key file, whatever it is.
    pub fn state(path: &Path) -> State {
        match Keyring::read(path) {
            Ok(Some(keyring)) => State::Good(keyring),
            Ok(None) if path.exists() => State::StartsOver,
            Ok(None) => State::Missing,
            Err(error) => State::Unusable(error),
        }
    }

    /// Reads the key file, which must be there.
    pub fn load(path: &Path) -> Result<Self> {
        Keyring::read(path)?.ok_or_else(|| {
            error(format!("the key file {} is missing", path.display())).hint(
                "Put the key file back, or give the credentials again with easysync.set_credentials.",
            )
        })
    }

    /// Reads the key file, or makes one with a first key. `sealed` says how many credentials were
    /// sealed already, which a new key could not open: then none is made behind their back.
    pub fn load_or_create(path: &Path, sealed: impl FnOnce() -> Result<i64>) -> Result<Self> {
        if let Some(keyring) = Keyring::read(path)? {
            return Ok(keyring);
        }
        let starts_over = path.exists();
        let sealed = if starts_over { 0 } else { sealed()? };
        if sealed > 0 {
            return Err(error(format!(
                "the key file {} is missing, and {sealed} credentials are sealed with its keys",
                path.display()
            ))
            .hint(
                "Put the key file back. If it is lost for good, make a file there (mode 0600) that holds the word new: \
                 the next call makes a key, and every other connection needs its credentials again \
                 (easysync.set_credentials).",
            ));
        }
        let mut stored = Stored { version: VERSION, active: String::new(), keys: vec![] };
        stored.active = stored.add_key();
        let keyring = Keyring { path: path.to_owned(), stored };
        match starts_over {
            true => keyring.replace()?,
            false => keyring.write_new()?,
        }
        // Two sessions at once: whoever made the file first has made the key.
        Keyring::load(path)
    }

    /// None: there is no key file, or one that asks for a new key.
    fn read(path: &Path) -> Result<Option<Self>> {
        let text = match fs::read_to_string(path) {
            Ok(text) => Zeroizing::new(text),
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) if e.kind() == ErrorKind::InvalidData => return Err(damaged(path, "no text")),
            Err(e) => return Err(failed(path, "can't be read", e)),
        };
        let mode = fs::metadata(path).map_err(|e| failed(path, "can't be read", e))?.permissions();
        if mode.mode() & 0o077 != 0 {
            return Err(failed(
                path,
                "may be read by others",
                format!("{:o}", mode.mode() & 0o777),
            ));
        }
        if text.trim() == START_OVER {
            return Ok(None);
        }
        let stored: Stored =
            serde_json::from_str(&text).map_err(|_| damaged(path, "no key list"))?;
        stored.check().map_err(|cause| damaged(path, cause))?;
        Ok(Some(Keyring { path: path.to_owned(), stored }))
    }

    /// The key that seals from now on.
    pub fn active_id(&self) -> &str {
        &self.stored.active
    }

    /// The newest key: what `activate` takes when `prepare` has added one.
    pub fn newest_id(&self) -> &str {
        self.stored.keys.last().map_or(self.stored.active.as_str(), |key| key.id.as_str())
    }

    /// The ids of all keys.
    pub fn ids(&self) -> Vec<String> {
        self.stored.keys.iter().map(|key| key.id.clone()).collect()
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
            .map_err(|_| damaged(&self.path, "a key is not 32 bytes long"))?;
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

/// The id of a key: it tells the key from every other one, and gives nothing of it away.
fn id_of(key: &[u8]) -> String {
    let mut digest = Sha256::new();
    digest.update(b"easysync key id 1\0");
    digest.update(key);
    let hex: String = digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("k-{hex}")
}

impl Stored {
    /// What is wrong with the list.
    fn check(&self) -> Result<(), String> {
        if self.version != VERSION {
            return Err(format!("its form is {}, this library reads {VERSION}", self.version));
        }
        for key in &self.keys {
            let bytes = Zeroizing::new(base64_decode(&key.key).unwrap_or_default());
            if bytes.len() != KEY_BYTES {
                return Err(format!("key \"{}\" is not 32 bytes long", key.id));
            }
            if id_of(&bytes) != key.id {
                return Err(format!("key \"{}\" is not the one that its id names", key.id));
            }
        }
        match self.keys.iter().any(|key| key.id == self.active) {
            true => Ok(()),
            false => Err(format!("the active key \"{}\" is not in it", self.active)),
        }
    }

    fn add_key(&mut self) -> String {
        let mut key = Zeroizing::new([0u8; KEY_BYTES]);
        OsRng.fill_bytes(key.as_mut());
        let id = id_of(key.as_ref());
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
