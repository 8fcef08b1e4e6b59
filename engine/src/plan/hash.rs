//! The hash that a confirmation is bound to.

use super::change::Change;
use crate::store::Connection;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Changes with what is hashed: a confirmation of another form confirms nothing.
const FORM: &[u8] = b"easysync plan 1";

/// SHA-256 over the writes of a plan, in order. What isn't written doesn't count: an order more
/// that is skipped leaves the plan the same. Versions (`SyncToken`) don't count either, only what
/// would be changed.
#[derive(Clone)]
pub struct PlanHash(Sha256);

impl std::fmt::Debug for PlanHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PlanHash(..)")
    }
}

impl PlanHash {
    /// The hash of an empty plan of a connection.
    pub fn new(connection: &Connection) -> PlanHash {
        let mut hash = PlanHash(Sha256::new());
        hash.part(FORM);
        hash.part(connection.tenant.as_str().as_bytes());
        hash.part(connection.name.as_str().as_bytes());
        hash.part(connection.account.as_bytes());
        hash
    }

    pub fn add(&mut self, change: &Change) {
        let draft = &change.draft;
        let Some(payload) = draft.payload.as_ref().filter(|_| draft.is_write()) else { return };
        self.part(draft.key.0.as_bytes());
        self.part(draft.target.as_bytes());
        self.part(draft.action.as_str().as_bytes());
        self.part(payload.remote_id.as_deref().unwrap_or_default().as_bytes());
        self.0.update([u8::from(draft.destructive)]);
        self.value(&payload.body);
        draft.fields.iter().for_each(|(path, values)| {
            self.part(path.as_bytes());
            self.value(values);
        });
    }

    /// 32 bytes in hex.
    pub fn finish(&self) -> String {
        self.0.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A length before each part, so that no two rows of parts run into the same bytes.
    fn part(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    fn value(&mut self, value: &Value) {
        self.part(value.to_string().as_bytes());
    }
}
