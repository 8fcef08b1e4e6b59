//! The words of the surface that are closed sets.

use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What kind of record a stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entity {
    Customers,
    Products,
    Orders,
    Refunds,
    Invoices,
    Payments,
    Vendors,
    Bills,
}

impl Entity {
    pub const ALL: [Entity; 8] = [
        Entity::Customers,
        Entity::Products,
        Entity::Orders,
        Entity::Refunds,
        Entity::Invoices,
        Entity::Payments,
        Entity::Vendors,
        Entity::Bills,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Entity::Customers => "customers",
            Entity::Products => "products",
            Entity::Orders => "orders",
            Entity::Refunds => "refunds",
            Entity::Invoices => "invoices",
            Entity::Payments => "payments",
            Entity::Vendors => "vendors",
            Entity::Bills => "bills",
        }
    }

    pub fn parse(word: &str) -> Result<Entity, Error> {
        Entity::ALL.into_iter().find(|e| e.as_str() == word).ok_or_else(|| {
            Error::argument(
                format!("unknown entity \"{word}\""),
                "Entities: customers, products, orders, refunds, invoices, payments, vendors, bills.",
            )
        })
    }

    /// What a run of this entity carries, in order: what an order needs comes before it, its
    /// refunds after (sql-surface.md, section 1).
    pub fn brings(self) -> &'static [Entity] {
        match self {
            Entity::Customers => &[Entity::Customers],
            Entity::Products => &[Entity::Products],
            Entity::Orders => {
                &[Entity::Customers, Entity::Products, Entity::Orders, Entity::Refunds]
            }
            Entity::Refunds => &[Entity::Refunds],
            Entity::Invoices => &[Entity::Invoices],
            Entity::Payments => &[Entity::Payments],
            Entity::Vendors => &[Entity::Vendors],
            Entity::Bills => &[Entity::Bills],
        }
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Pull,
    Push,
}

impl Direction {
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::Pull => "pull",
            Direction::Push => "push",
        }
    }
}

/// How much a run looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// What changed since the watermark; the first one is full.
    Incremental,
    /// All records, all compared; what is gone there is found.
    Full,
    /// Named records only; never moves the watermark.
    Ids,
}

impl Mode {
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Incremental => "incremental",
            Mode::Full => "full",
            Mode::Ids => "ids",
        }
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                $name(text.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                $name(text)
            }
        }
    };
}

name_type!(
    /// Whose data it is; first part of every key.
    TenantId
);
name_type!(
    /// Name of one account on a platform, unique in a tenant: `[a-z][a-z0-9_]{0,62}`.
    ConnectionName
);
