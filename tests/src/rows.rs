//! Which rows did a sync really write? Judged by Postgres' own row versions (`xmin`, `ctid`), not
//! by what the sync says of itself.

use anyhow::Result;
use postgres::Client;
use std::collections::BTreeMap;

const DOCUMENTS: [&str; 4] = ["orders", "customers", "products", "refunds"];

/// The versions of all hub documents, and of lines by table.
#[derive(Debug, Clone, Default)]
pub struct Versions(BTreeMap<(String, String), String>);

/// What was written between two looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Orders by their id in the shop, sorted.
    pub orders: Vec<String>,
    /// Other documents, as `customers 12`.
    pub others: Vec<String>,
}

impl Versions {
    pub fn read(client: &mut Client) -> Result<Self> {
        let mut versions = BTreeMap::new();
        for table in DOCUMENTS {
            let sql = format!(
                "select coalesce(source_id, id::text), xmin::text || ctid::text from commerce.{table}"
            );
            for row in client.query(&sql, &[])? {
                versions.insert((table.to_owned(), row.get(0)), row.get(1));
            }
        }
        Ok(Self(versions))
    }

    /// What is new or another version since `before`. Rows that are gone count, too.
    pub fn since(&self, before: &Self) -> Written {
        let mut written = Written::default();
        let keys = self.0.keys().chain(before.0.keys().filter(|key| !self.0.contains_key(key)));
        for key in keys {
            if self.0.get(key) == before.0.get(key) {
                continue;
            }
            match key {
                (table, id) if table == "orders" => written.orders.push(id.clone()),
                (table, id) => written.others.push(format!("{table} {id}")),
            }
        }
        written.orders.sort();
        written
    }
}
