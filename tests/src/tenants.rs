//! Two tenants: "default" has something of everything, and members of "north" sign in, one of each role.

use crate::bed::Bed;
use crate::surface::Naming;
use anyhow::{Context, Result};
use postgres::{Client, NoTls};
use serde_json::json;

/// Rights that members of "north" have; the last one has none, and is a member of nothing.
pub const ROLES: [&str; 5] =
    ["easysync_viewer", "easysync_operator", "easysync_admin", "easysync_webhook", "none"];

/// The same for everybody: words, and settings with their defaults.
pub const OF_NOBODY: [&str; 2] = ["settings", "vocabulary"];

/// Connections are named so that any answer that gives one away shows it.
pub const NAME: &str = "lighthouse";

/// The user of "north" that has a role.
pub fn user(role: &str) -> String {
    format!("north_{}", role.trim_start_matches("easysync_"))
}

/// A tenant with something of everything, and members of another one who sign in by themselves.
pub fn two_tenants(bed: &mut Bed) -> Result<i64> {
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

/// A session of the user; every one's password is "north".
pub fn session(bed: &Bed, user: &str) -> Result<Client> {
    let mut config = bed.cluster.config(&bed.database);
    config.user(user).password("north");
    let mut client = config.connect(NoTls).with_context(|| format!("{user} signs in"))?;
    client.batch_execute("set statement_timeout = '20s'")?;
    Ok(client)
}

/// A session of the member of "north" that has the role, and asks for "default".
pub fn sign_in(bed: &Bed, role: &str) -> Result<Client> {
    let mut client = session(bed, &user(role))?;
    client.batch_execute("set easysync.tenant_id = 'default'")?;
    Ok(client)
}

/// What belongs to "default".
pub fn naming(sync_id: i64) -> Naming {
    Naming { text: NAME.into(), number: sync_id, tenant: "default".into() }
}

/// The views there are.
pub fn views(client: &mut Client) -> Result<Vec<String>> {
    let rows = client.query(
        "select relname::text from pg_class
         where relnamespace = 'easysync'::regnamespace and relkind in ('v', 'r', 'p') order by 1",
        &[],
    )?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// What a statement gives away; nothing where it is refused.
pub fn answer(client: &mut Client, sql: &str) -> String {
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
