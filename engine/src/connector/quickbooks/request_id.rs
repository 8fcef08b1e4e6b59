//! Request ids: QuickBooks answers a repeated one with its first answer (quickbooks.md, section 2).
//!
//! They are derived, not random: after lost state the same wish gets the same id, so that the
//! platform itself sees the repetition.

use crate::error::{Error, Result};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt;

/// Changes with the derivation, so that no id of an older form means anything else.
const FORM: &[u8] = b"easysync request 1";

/// The longest id of a single write, and of a batch.
const MOST: usize = 50;
const MOST_OF_BATCH: usize = 36;

/// The id of one write or one batch. There is no write without one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(String);

/// What makes a write this write and no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish<'a> {
    /// Key of the remote account: the realm. Ids are unique in a company, whoever sends them.
    pub account: &'a str,
    /// Hub entity: `orders`.
    pub entity: &'a str,
    /// The record, with its own connection: `shop:order:175`.
    pub record: &'a str,
    /// What is done: `create SalesReceipt`.
    pub operation: &'a str,
    /// [`body_hash`] of what is sent.
    pub body_hash: &'a str,
    /// Writes of this record that were acknowledged: the same body again, after another one, is
    /// another wish.
    pub revision: u64,
}

impl RequestId {
    /// The id of a wish: 36 characters in the form of a UUID (version 8), which fits single writes
    /// and batches alike.
    pub fn derive(wish: &Wish<'_>) -> RequestId {
        let mut hasher = Sha256::new();
        part(&mut hasher, FORM);
        let texts = [wish.account, wish.entity, wish.record, wish.operation, wish.body_hash];
        texts.iter().for_each(|text| part(&mut hasher, text.as_bytes()));
        hasher.update(wish.revision.to_be_bytes());
        RequestId(uuid(hasher))
    }

    /// The id of a batch: that of its composition, in its order. The same wishes in another
    /// composition are another batch.
    pub fn of_batch<'a>(account: &str, items: impl IntoIterator<Item = &'a RequestId>) -> Self {
        let mut hasher = Sha256::new();
        part(&mut hasher, FORM);
        part(&mut hasher, b"batch");
        part(&mut hasher, account.as_bytes());
        items.into_iter().for_each(|id| part(&mut hasher, id.0.as_bytes()));
        RequestId(uuid(hasher))
    }

    /// The id that follows one whose call was refused. Whether QuickBooks repeats refusals is not
    /// documented; a batch with a refusal in it is an answer like any other, and repeated.
    pub fn after(refused: &str) -> RequestId {
        let mut hasher = Sha256::new();
        part(&mut hasher, FORM);
        part(&mut hasher, b"after");
        part(&mut hasher, refused.as_bytes());
        RequestId(uuid(hasher))
    }

    /// An id as it was stored with its intent. Error: one that QuickBooks would refuse (2130).
    pub fn stored(text: &str) -> Result<RequestId> {
        let fits = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
        if !text.is_empty() && text.len() <= MOST && text.bytes().all(fits) {
            return Ok(RequestId(text.to_owned()));
        }
        Err(Error::internal("a stored request id has no form that QuickBooks takes"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Short enough for a batch.
    pub fn fits_batch(&self) -> bool {
        self.0.len() <= MOST_OF_BATCH
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 of a body, in hex. The order of its members doesn't count, the digits of its numbers do.
pub fn body_hash(body: &Value) -> String {
    let mut hasher = Sha256::new();
    canonical(&mut hasher, body);
    hex(&hasher.finalize())
}

/// A length before each part, so that no two rows of parts run into the same bytes.
fn part(hasher: &mut Sha256, bytes: &[u8]) {
    hasher.update((bytes.len() as u64).to_be_bytes());
    hasher.update(bytes);
}

fn canonical(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Null => hasher.update(b"n"),
        Value::Bool(value) => hasher.update([b'b', u8::from(*value)]),
        Value::Number(number) => {
            hasher.update(b"d");
            part(hasher, number.to_string().as_bytes());
        }
        Value::String(text) => {
            hasher.update(b"s");
            part(hasher, text.as_bytes());
        }
        Value::Array(list) => {
            hasher.update(b"a");
            hasher.update((list.len() as u64).to_be_bytes());
            list.iter().for_each(|value| canonical(hasher, value));
        }
        Value::Object(members) => {
            hasher.update(b"o");
            hasher.update((members.len() as u64).to_be_bytes());
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|a, b| a.0.cmp(b.0));
            for (name, value) in members {
                part(hasher, name.as_bytes());
                canonical(hasher, value);
            }
        }
    }
}

fn uuid(hasher: Sha256) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hasher.finalize()[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex(&bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
