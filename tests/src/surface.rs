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

/// A function or procedure of the surface, with its arguments.
#[derive(Debug, Clone)]
pub struct Function {
    pub name: String,
    pub is_procedure: bool,
    /// Name and type; postgrest_webhook's one argument has no name.
    pub arguments: Vec<(String, String)>,
    /// So many of them have no default.
    pub required: usize,
}

impl Function {
    /// A call with the arguments that it can't do without, and the one at the place given.
    pub fn short_call(&self, naming: &Naming, place: usize, given: &str) -> String {
        let short = Function {
            arguments: self
                .arguments
                .iter()
                .enumerate()
                .filter(|(other, _)| *other < self.required || *other == place)
                .map(|(_, argument)| argument.clone())
                .collect(),
            ..self.clone()
        };
        short.call(naming, Some((place.min(self.required), given)))
    }

    /// A call with all arguments; the one at the place given has that value instead.
    pub fn call(&self, naming: &Naming, instead: Option<(usize, &str)>) -> String {
        let argument = |(place, (name, kind)): (usize, &(String, String))| {
            let named = if name.is_empty() { String::new() } else { format!("{name} => ") };
            match instead {
                Some((other, value)) if other == place => format!("{named}{value}"),
                _ => format!("{named}{}", value(name, kind, naming)),
            }
        };
        let arguments: Vec<String> = self.arguments.iter().enumerate().map(argument).collect();
        let verb = if self.is_procedure { "call" } else { "select * from" };
        format!("{verb} easysync.{}({})", self.name, arguments.join(", "))
    }
}

/// Every function and procedure that there is.
pub fn functions(client: &mut Client) -> Result<Vec<Function>> {
    let rows = client.query(
        "select p.proname::text, p.prokind = 'p', a.name, a.type, (p.pronargs - p.pronargdefaults)::int
         from pg_proc p
         cross join lateral (
             select coalesce(array_agg(coalesce(u.name, '') order by u.position), '{}'),
                    coalesce(array_agg(format_type(u.type, null) order by u.position), '{}')
             from unnest(p.proargnames[1:p.pronargs], p.proargtypes::oid[]) with ordinality
                  as u (name, type, position) where u.type is not null) as a (name, type)
         where p.pronamespace = 'easysync'::regnamespace
           and p.prokind in ('f', 'p') and p.prorettype <> 'trigger'::regtype
           and not exists (select from pg_depend d join pg_extension e on e.oid = d.refobjid
                           where d.objid = p.oid and d.deptype = 'e' and e.extname <> 'easysync')
         order by 1",
        &[],
    )?;
    let function = |row: &postgres::Row| {
        let (names, kinds): (Vec<String>, Vec<String>) = (row.get(2), row.get(3));
        let arguments = names.into_iter().zip(kinds).collect();
        let required = usize::try_from(row.get::<_, i32>(4)).unwrap_or_default();
        Function { name: row.get(0), is_procedure: row.get(1), arguments, required }
    };
    Ok(rows.iter().map(function).collect())
}

/// A call of every function of the surface, with all of its arguments.
pub fn calls(client: &mut Client, naming: &Naming) -> Result<Vec<(String, String)>> {
    let functions = functions(client)?.into_iter().filter(|function| !function.is_procedure);
    Ok(functions.map(|function| (function.name.clone(), function.call(naming, None))).collect())
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
