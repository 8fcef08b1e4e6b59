//! What lies behind the surface: helpers of views, which readers may call, and tables, which nobody may.

use crate::Attack;
use anyhow::{Result, ensure};
use easysync_tests::bed::{Setup, with_bed};
use easysync_tests::surface::everything;
use easysync_tests::tenants::{NAME, ROLES, answer, sign_in, two_tenants};

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack {
            name: "helpers_of_views_tell_only_their_own",
            run: helpers_of_views_tell_only_their_own,
        },
        Attack {
            name: "tables_behind_the_views_are_closed",
            run: tables_behind_the_views_are_closed,
        },
    ]
}

/// A value of "default" for an argument.
fn argument(name: &str, kind: &str, account: &str, sync_id: i64) -> String {
    match (name, kind) {
        ("account_key" | "account", _) => format!("'{account}'"),
        ("entity" | "entity_name", _) => "'orders'".into(),
        (_, "text[]") => "'{default}'".into(),
        (name, "text") if name.contains("connection") => format!("'{NAME}'"),
        (_, "text") => "'default'".into(),
        (_, "bigint" | "integer") => format!("{sync_id}::{kind}"),
        (_, kind) => format!("null::{kind}"),
    }
}

/// Whoever reads a view may call what it calls: with another tenant's names.
fn helpers_of_views_tell_only_their_own() -> Result<()> {
    with_bed("attack-internal-helpers", Setup::default(), |bed| {
        let sync_id = two_tenants(bed)?;
        bed.db.batch_execute(
            "grant usage on schema easysync_internal to north_viewer, north_webhook",
        )?;
        let of_shop = "select account from easysync_internal.connections
                       where tenant_id = 'default' and name = 'shop'";
        let account = bed.text(of_shop)?.unwrap_or_default();
        let functions = bed.db.query(
            "select format('%I.%I', 'easysync_internal', p.proname),
                    array(select format_type(t, null) from unnest(p.proargtypes::oid[]) as t),
                    coalesce(p.proargnames[1:p.pronargs], '{}')
             from pg_proc p
             where p.pronamespace = 'easysync_internal'::regnamespace and p.prokind = 'f'
               and p.prorettype not in ('trigger'::regtype, 'internal'::regtype, 'void'::regtype)",
            &[],
        )?;
        let (mut tried, before) = (0, everything(&mut bed.db, "default")?);
        for role in &ROLES[..4] {
            let mut client = sign_in(bed, role)?;
            for row in &functions {
                let (name, kinds): (String, Vec<String>) = (row.get(0), row.get(1));
                let names: Vec<String> = row.get(2);
                let given = |(place, kind): (usize, &String)| {
                    argument(names.get(place).map_or("", String::as_str), kind, &account, sync_id)
                };
                let arguments: Vec<String> = kinds.iter().enumerate().map(given).collect();
                let call = format!("select * from {name}({})", arguments.join(", "));
                let sql = format!("select t::text from ({call}) as t");
                if let Ok(rows) = client.query(&sql, &[]) {
                    tried += 1;
                    let shown: Vec<Option<String>> = rows.iter().map(|row| row.get(0)).collect();
                    let shown = format!("{shown:?}");
                    ensure!(
                        !shown.contains(NAME) && !shown.contains(&account),
                        "{role}: {name} tells {shown}"
                    );
                }
            }
        }
        ensure!(tried > 20, "only {tried} may be called");
        ensure!(everything(&mut bed.db, "default")? == before, "something was changed");
        Ok(())
    })
}

fn tables_behind_the_views_are_closed() -> Result<()> {
    with_bed("attack-internal-tables", Setup::default(), |bed| {
        two_tenants(bed)?;
        let relations = bed.db.query(
            "select format('%I.%I', n.nspname, c.relname), c.relkind::text
             from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where n.nspname in ('easysync_internal', 'easysync_ledger')
               and c.relkind in ('r', 'p', 'v', 'S')",
            &[],
        )?;
        ensure!(relations.len() > 25, "{}", relations.len());
        for role in ROLES {
            let mut client = sign_in(bed, role)?;
            for row in &relations {
                let (relation, kind): (String, String) = (row.get(0), row.get(1));
                let mut statements = vec![format!("select * from {relation}")];
                match kind.as_str() {
                    "S" => statements.push(format!("select setval('{relation}', 1)")),
                    "v" => {}
                    _ => statements.extend([
                        format!("delete from {relation}"),
                        format!("insert into {relation} default values"),
                        format!("truncate {relation}"),
                        format!("begin; lock table {relation}"),
                        format!("alter table {relation} disable trigger all"),
                        format!("copy {relation} to stdout"),
                    ]),
                }
                for statement in statements {
                    let error = client.batch_execute(&statement).err();
                    client.batch_execute("rollback")?;
                    let code = error.as_ref().and_then(|error| error.code());
                    ensure!(
                        code.is_some_and(|code| code.code() == "42501"),
                        "{role}: {statement}: {error:?}"
                    );
                }
            }
            // Statistics of columns hold values.
            let values = answer(
                &mut client,
                "select * from pg_stats
                 where schemaname in ('easysync_internal', 'easysync_ledger')",
            );
            ensure!(values.is_empty(), "{role} sees statistics: {values:.200}");
        }
        Ok(())
    })
}
