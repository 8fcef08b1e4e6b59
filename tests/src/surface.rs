//! The surface as a whole: every row that a tenant has, and a call of every function there is. What is
//! added later is in it by itself.

use anyhow::Result;
use postgres::Client;
use std::collections::BTreeMap;

/// Every row of a tenant, and of tables that know no tenants, as one digest a table; log rows aside.
pub fn everything(client: &mut Client, tenant: &str) -> Result<BTreeMap<String, String>> {
    let tables = client.query(
        "select format('%I.%I', n.nspname, c.relname), exists (select from pg_attribute a
                where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname in ('commerce', 'easysync_ledger', 'easysync_internal')
           and c.relkind = 'r' and c.relname <> 'sync_log'",
        &[],
    )?;
    let mut found = BTreeMap::new();
    for row in tables {
        let (table, of_tenant): (String, bool) = (row.get(0), row.get(1));
        let filter =
            if of_tenant { format!("where tenant_id = '{tenant}'") } else { String::new() };
        let sql = format!(
            "select count(*) || ' ' || coalesce(md5(string_agg(t::text, '|' order by t::text)), '')
             from {table} t {filter}"
        );
        found.insert(table, client.query_one(&sql, &[])?.get(0));
    }
    Ok(found)
}

/// What the calls name.
#[derive(Debug, Clone)]
pub struct Naming {
    /// Of texts that have no words of their own: connections, schedules, ids.
    pub text: String,
    pub number: i64,
    pub tenant: String,
}

/// A call of every function of the surface, with all of its arguments.
pub fn calls(client: &mut Client, naming: &Naming) -> Result<Vec<(String, String)>> {
    let functions = client.query(
        "select p.proname::text, coalesce(a.name, ''), format_type(a.type, null)
         from pg_proc p
         left join lateral (
             select u.position, u.name, u.type
             from unnest(p.proargnames[1:p.pronargs], p.proargtypes::oid[]) with ordinality
                  as u (name, type, position)) as a on true
         where p.pronamespace = 'easysync'::regnamespace
           and p.prokind = 'f' and p.prorettype <> 'trigger'::regtype
           and not exists (select from pg_depend d join pg_extension e on e.oid = d.refobjid
                           where d.objid = p.oid and d.deptype = 'e' and e.extname <> 'easysync')
         order by p.oid, a.position",
        &[],
    )?;
    let mut calls: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in functions {
        let (function, name, kind): (String, String, Option<String>) =
            (row.get(0), row.get(1), row.get(2));
        let arguments = calls.entry(function).or_default();
        if let Some(kind) = kind {
            // postgrest_webhook's one argument has no name.
            let named = if name.is_empty() { String::new() } else { format!("{name} => ") };
            arguments.push(format!("{named}{}", value(&name, &kind, naming)));
        }
    }
    let call = |(function, arguments): (String, Vec<String>)| {
        let call = format!("select * from easysync.{function}({})", arguments.join(", "));
        (function, call)
    };
    Ok(calls.into_iter().map(call).collect())
}

fn value(name: &str, kind: &str, naming: &Naming) -> String {
    match (name, kind) {
        ("tenant" | "tenant_id", _) => format!("'{}'", naming.tenant),
        ("schema_name" | "hub_schema", _) => "'commerce'".into(),
        (_, "integer" | "bigint") => format!("{}::{kind}", naming.number),
        (_, "jsonb" | "json") => format!("'{{}}'::{kind}"),
        (_, "boolean") => "true".into(),
        ("entity", _) => "'orders'".into(),
        ("role" | "role_name" | "member", _) => "'postgres'".into(),
        ("mode", _) => "'full'".into(),
        ("cron", _) => "'0 * * * *'".into(),
        (_, "text" | "name") => format!("'{}'::{kind}", naming.text),
        (_, array) if array.ends_with("[]") => format!("'{{}}'::{array}"),
        (_, other) => format!("null::{other}"),
    }
}
