//! Each role signs in and tries every view and function there is, with another tenant's name and
//! another tenant's objects: nothing seen, nothing done. What is added to the surface is tried, too.

use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use postgres::{Client, NoTls};
use serde_json::json;
use std::collections::BTreeMap;

const ROLES: [&str; 5] =
    ["easysync_viewer", "easysync_operator", "easysync_admin", "easysync_webhook", "none"];

/// Concern the whole database, by contract, and name no tenant.
const OF_THE_DATABASE: [&str; 3] = ["fence", "unfence", "rotate_encryption_key"];

/// The same for everybody: words, and settings with their defaults.
const OF_NOBODY: [&str; 2] = ["settings", "vocabulary"];

/// Connections are named so that any answer that gives one away shows it.
const NAME: &str = "lighthouse";

/// A tenant with something of everything, and members of another one who sign in by themselves.
fn two_tenants(bed: &mut Bed) -> Result<i64> {
    let shop = bed.simulator.state.woocommerce.clone();
    bed.connect_shop()?;
    let run = bed.sync_well("orders", "full")?;
    // A second connection, so that every view has a row that bears the name.
    bed.db.execute(
        "select easysync.connect($1, 'woocommerce', settings => $2, credentials => $3, verify => false)",
        &[
            &NAME,
            &json!({"url": format!("{}/{NAME}", shop.https)}),
            &json!({"consumer_key": "ck_0123456789", "consumer_secret": "cs_0123456789"}),
        ],
    )?;
    for role in ROLES {
        let user = user(role);
        bed.db.batch_execute(&format!("create role {user} login password 'north'"))?;
        if role != "none" {
            bed.db.batch_execute(&format!(
                "grant {role} to {user}; select easysync.add_tenant_member('{user}', 'north')"
            ))?;
        }
    }
    bed.db.batch_execute("select easysync.add_tenant_member('postgres', 'default')")?;
    Ok(run.sync_id)
}

fn user(role: &str) -> String {
    format!("north_{}", role.trim_start_matches("easysync_"))
}

fn sign_in(bed: &Bed, role: &str) -> Result<Client> {
    let mut config = bed.cluster.config(&bed.database);
    config.user(&user(role)).password("north");
    let mut client = config.connect(NoTls).with_context(|| format!("{role} signs in"))?;
    client.batch_execute("set easysync.tenant_id = 'default'; set statement_timeout = '20s'")?;
    Ok(client)
}

/// Every row of the tenant `default`, and of tables that know no tenants, as one digest a table.
fn everything(client: &mut Client) -> Result<BTreeMap<String, String>> {
    let tables = client.query(
        "select format('%I.%I', n.nspname, c.relname), exists (select from pg_attribute a
                where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname in ('commerce', 'easysync_ledger', 'easysync_internal')
           and c.relkind = 'r' and c.relname !~ '^sync_log'",
        &[],
    )?;
    let mut found = BTreeMap::new();
    for row in tables {
        let (table, of_tenant): (String, bool) = (row.get(0), row.get(1));
        let filter = if of_tenant { "where tenant_id = 'default'" } else { "" };
        let sql = format!(
            "select count(*) || ' ' || coalesce(md5(string_agg(t::text, '|' order by t::text)), '')
             from {table} t {filter}"
        );
        found.insert(table, client.query_one(&sql, &[])?.get(0));
    }
    Ok(found)
}

/// A call of every function of the surface, naming what belongs to the other tenant.
fn calls(client: &mut Client, sync_id: i64) -> Result<Vec<(String, String)>> {
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
            arguments.push(format!("{named}{}", value(&name, &kind, sync_id)));
        }
    }
    let call = |(function, arguments): (String, Vec<String>)| {
        let call = format!("select * from easysync.{function}({})", arguments.join(", "));
        (function, call)
    };
    Ok(calls.into_iter().map(call).collect())
}

fn value(name: &str, kind: &str, sync_id: i64) -> String {
    match (name, kind) {
        ("tenant" | "tenant_id", _) => "'default'".into(),
        ("schema_name" | "hub_schema", _) => "'commerce'".into(),
        (_, "integer" | "bigint") => format!("{sync_id}::{kind}"),
        (_, "jsonb" | "json") => format!("'{{}}'::{kind}"),
        (_, "boolean") => "true".into(),
        ("entity", _) => "'orders'".into(),
        ("role" | "role_name" | "member", _) => "'postgres'".into(),
        ("mode", _) => "'full'".into(),
        ("cron", _) => "'0 * * * *'".into(),
        (_, "text" | "name") => format!("'{NAME}'::{kind}"),
        (_, array) if array.ends_with("[]") => format!("'{{}}'::{array}"),
        (_, other) => format!("null::{other}"),
    }
}

fn views(client: &mut Client) -> Result<Vec<String>> {
    let rows = client.query(
        "select relname::text from pg_class
         where relnamespace = 'easysync'::regnamespace and relkind in ('v', 'r', 'p') order by 1",
        &[],
    )?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// What a statement gives away; nothing where it is refused.
fn answer(client: &mut Client, sql: &str) -> String {
    let rows = client.query(&format!("select t::text from ({sql}) as t"), &[]);
    let text = |row: &postgres::Row| row.get::<_, Option<String>>(0).unwrap_or_default();
    match rows {
        Ok(rows) => rows.iter().map(text).collect::<Vec<_>>().join("\n"),
        Err(error) => {
            // A statement that nobody could run would show nothing.
            let code = error.code().map_or("", |code| code.code());
            assert!(!["42883", "42601", "42703", "42804"].contains(&code), "{sql}: {error:?}");
            String::new()
        }
    }
}

#[test]
fn nobody_sees_or_does_anything_in_another_tenant() -> Result<()> {
    with_bed("roles", Setup::default(), |bed| {
        let sync_id = two_tenants(bed)?;
        let (views, calls) = (views(&mut bed.db)?, calls(&mut bed.db, sync_id)?);
        ensure!(views.len() > 15 && calls.len() > 30, "{} {}", views.len(), calls.len());
        // The owner does see something: an empty answer to the others means something.
        bed.db.batch_execute("set easysync.tenant_id = 'default'")?;
        let seen = views.iter().filter(|view| {
            !answer(&mut bed.db, &format!("select * from easysync.{view}")).is_empty()
        });
        ensure!(seen.count() > 8, "too little in the views to show anything");
        let before = everything(&mut bed.db)?;

        for role in ROLES {
            let mut client = sign_in(bed, role)?;
            for view in &views {
                let shown = answer(&mut client, &format!("select * from easysync.{view}"));
                let own = OF_NOBODY.contains(&view.as_str()) || shown.is_empty();
                ensure!(own && !shown.contains(NAME), "{role} sees in {view}: {shown}");
            }
            for (function, call) in &calls {
                if OF_THE_DATABASE.contains(&function.as_str()) {
                    continue;
                }
                let shown = answer(&mut client, call);
                ensure!(!shown.contains(NAME), "{role} is told by {call}: {shown}");
                let after = everything(&mut bed.db)?;
                for (table, digest) in &before {
                    ensure!(after.get(table) == Some(digest), "{role} changed {table} by {call}");
                }
                ensure!(role != "none" || shown.is_empty(), "anyone may call {call}: {shown}");
            }
        }
        Ok(())
    })
}
