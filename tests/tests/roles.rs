//! Each role signs in and tries every view and function there is, with another tenant's name and
//! another tenant's objects: nothing seen, nothing done. What is added to the surface is tried, too.

use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::surface::{Naming, calls, everything};
use postgres::{Client, NoTls};
use serde_json::json;

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

/// What belongs to the other tenant.
fn naming(sync_id: i64) -> Naming {
    Naming { text: NAME.into(), number: sync_id, tenant: "default".into() }
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
        let (views, calls) = (views(&mut bed.db)?, calls(&mut bed.db, &naming(sync_id))?);
        ensure!(views.len() > 15 && calls.len() > 30, "{} {}", views.len(), calls.len());
        // The owner does see something: an empty answer to the others means something.
        bed.db.batch_execute("set easysync.tenant_id = 'default'")?;
        let seen = views.iter().filter(|view| {
            !answer(&mut bed.db, &format!("select * from easysync.{view}")).is_empty()
        });
        ensure!(seen.count() > 8, "too little in the views to show anything");
        let before = everything(&mut bed.db, "default")?;

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
                let after = everything(&mut bed.db, "default")?;
                for (table, digest) in &before {
                    ensure!(after.get(table) == Some(digest), "{role} changed {table} by {call}");
                }
                ensure!(role != "none" || shown.is_empty(), "anyone may call {call}: {shown}");
            }
        }
        Ok(())
    })
}
