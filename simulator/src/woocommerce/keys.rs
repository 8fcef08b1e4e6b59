//! API keys: each belongs to a user with a role and may read, write or both.

use rand::Rng;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// What a key's owner may do at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// May do everything.
    Administrator,
    /// May do everything that concerns the shop.
    ShopManager,
    /// May buy, and nothing through this API.
    Customer,
}

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permissions {
    /// GET only.
    Read,
    /// Anything but GET.
    Write,
    /// Both.
    ReadWrite,
}

impl Permissions {
    /// GET and HEAD.
    pub fn may_read(self) -> bool {
        self != Permissions::Write
    }

    /// POST, PUT, PATCH and DELETE.
    pub fn may_write(self) -> bool {
        self != Permissions::Read
    }
}

/// One API key.
#[derive(Clone)]
pub struct Key {
    /// `ck_` and 40 hex digits.
    pub consumer_key: String,
    /// `cs_` and 40 hex digits.
    pub consumer_secret: String,
    /// What it may do.
    pub permissions: Permissions,
    /// Of the user it belongs to.
    pub role: Role,
    /// OAuth nonces by timestamp. WooCommerce keeps only the last of a second.
    pub nonces: BTreeMap<i64, String>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?}, {:?})", self.permissions, self.role)
    }
}

impl Key {
    /// A new pair.
    pub fn generate(permissions: Permissions, role: Role) -> Self {
        let mut random = rand::rng();
        let mut hex = |prefix: &str| {
            let bytes: [u8; 20] = random.random();
            bytes.iter().fold(prefix.to_owned(), |text, byte| format!("{text}{byte:02x}"))
        };
        Key {
            consumer_key: hex("ck_"),
            consumer_secret: hex("cs_"),
            permissions,
            role,
            nonces: BTreeMap::new(),
        }
    }

    /// The pair, as the state file has it.
    pub fn to_json(&self) -> Value {
        json!({"consumer_key": self.consumer_key, "consumer_secret": self.consumer_secret})
    }
}

/// All keys of the shop, under names of ours.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    named: Vec<(String, Key)>,
}

impl Keys {
    /// One key of each kind that tests need.
    pub fn usual() -> Self {
        use {Permissions as P, Role as R};
        let key = |name: &str, p, r| (name.to_owned(), Key::generate(p, r));
        Keys {
            named: vec![
                key("read_write", P::ReadWrite, R::Administrator),
                key("read_only", P::Read, R::Administrator),
                key("write_only", P::Write, R::Administrator),
                key("shop_manager", P::ReadWrite, R::ShopManager),
                key("customer_role", P::ReadWrite, R::Customer),
            ],
        }
    }

    /// A key by our name for it.
    pub fn named(&self, name: &str) -> Option<&Key> {
        self.named.iter().find(|(n, _)| n == name).map(|(_, key)| key)
    }

    /// A key by its public half.
    pub fn find(&mut self, consumer_key: &str) -> Option<&mut Key> {
        self.named.iter_mut().map(|(_, key)| key).find(|k| k.consumer_key == consumer_key)
    }

    /// Adds a key, replacing one of the same name.
    pub fn add(&mut self, name: &str, key: Key) {
        self.remove(name);
        self.named.push((name.to_owned(), key));
    }

    /// Takes a key away; false when there is none of this name.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.named.len();
        self.named.retain(|(n, _)| n != name);
        self.named.len() < before
    }

    /// `{"read_write": {"consumer_key": ..., "consumer_secret": ...}, ...}`.
    pub fn to_json(&self) -> Value {
        Value::Object(self.named.iter().map(|(n, k)| (n.clone(), k.to_json())).collect())
    }
}
