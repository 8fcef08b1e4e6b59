//! Everything that a database holds, as hashes: whoever leaves no trace leaves them as they were.

use anyhow::{Context, Result};
use postgres::Client;
use std::collections::BTreeMap;

const SCHEMAS: &str = "('easysync_internal', 'easysync_ledger', 'commerce')";

/// A hash of each table's rows and the state of each sequence, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces(BTreeMap<String, String>);

impl Traces {
    pub fn read(db: &mut Client) -> Result<Self> {
        let tables = db.query(
            &format!(
                "select format('%I.%I', n.nspname, c.relname), c.relkind::text
                   from pg_class c join pg_namespace n on n.oid = c.relnamespace
                  where n.nspname in {SCHEMAS} and c.relkind in ('r', 'S')"
            ),
            &[],
        )?;
        let mut found = BTreeMap::new();
        for table in tables {
            let (name, kind): (String, String) = (table.get(0), table.get(1));
            // With the place of each version: also a row that was written as it was is told.
            let query = match kind.as_str() {
                "S" => format!("select last_value::text || is_called from {name}"),
                _ => format!(
                    "select coalesce(md5(string_agg(t.ctid::text || t.xmin || t.xmax || t::text, '' order by t.ctid)), '')
                       from {name} as t"
                ),
            };
            let hash: String = db.query_one(&query, &[]).with_context(|| name.clone())?.get(0);
            found.insert(name, hash);
        }
        Ok(Self(found))
    }

    /// Tables and sequences that aren't as they were.
    pub fn since(&self, before: &Traces) -> Vec<String> {
        let changed = |(name, hash): &(&String, &String)| before.0.get(*name) != Some(*hash);
        self.0.iter().filter(changed).map(|(name, _)| name.clone()).collect()
    }
}
