//! Whose hub: each tenant has one of its own, unless the owner of the first says otherwise.

use crate::Attack;
use anyhow::{Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::refusal::refused;
use easysync_tests::tenants::session;
use postgres::Client;
use serde_json::json;
use std::collections::BTreeSet;

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack {
            name: "a_second_tenant_has_a_hub_that_the_first_owner_cannot_read",
            run: a_second_tenant_has_a_hub_that_the_first_owner_cannot_read,
        },
        Attack { name: "no_two_tenants_share_a_schema", run: no_two_tenants_share_a_schema },
        Attack {
            name: "a_schema_that_was_laid_out_for_a_tenant_is_not_taken",
            run: a_schema_that_was_laid_out_for_a_tenant_is_not_taken,
        },
        Attack {
            name: "only_the_owner_of_a_hub_shares_it",
            run: only_the_owner_of_a_hub_shares_it,
        },
    ]
}

/// Admins of two tenants, who may make schemas.
pub fn admins(bed: &mut Bed) -> Result<(Client, Client)> {
    bed.db.batch_execute(
        "create role north login password 'north'; create role south login password 'north';
         grant easysync_admin to north, south; grant create on database shop to north, south;
         select easysync.add_tenant_member('north', 'north');
         select easysync.add_tenant_member('south', 'south')",
    )?;
    Ok((session(bed, "north")?, session(bed, "south")?))
}

/// Stores a connection, disabled: the hub is made with it.
fn connect(client: &mut Client) -> Result<String> {
    client.execute(
        "select easysync.connect('shop', 'woocommerce', settings => $1, verify => false)",
        &[&json!({"url": "https://shop.example"})],
    )?;
    let tenant: String = client.query_one("select easysync.current_tenant()", &[])?.get(0);
    Ok(tenant)
}

fn hub(bed: &mut Bed, tenant: &str) -> Result<String> {
    let row = bed.db.query_one(
        "select hub_schema from easysync_ledger.tenants where tenant_id = $1",
        &[&tenant],
    )?;
    Ok(row.get(0))
}

fn a_second_tenant_has_a_hub_that_the_first_owner_cannot_read() -> Result<()> {
    with_bed("attack-hub-second", Setup::default(), |bed| {
        let (mut north, mut south) = admins(bed)?;
        connect(&mut north)?;
        connect(&mut south)?;
        ensure!(hub(bed, "north")? == "commerce", "the first one's: {}", hub(bed, "north")?);
        ensure!(hub(bed, "south")? == "commerce_south", "{}", hub(bed, "south")?);
        south.batch_execute(
            "insert into commerce_south.customers (tenant_id, display_name) values ('south', 'x')",
        )?;
        let error = north.query("select * from commerce_south.customers", &[]).unwrap_err();
        ensure!(error.code().is_some_and(|code| code.code() == "42501"), "{error:?}");
        // Each sandbox has its own, too.
        for client in [&mut north, &mut south] {
            client.batch_execute("select easysync.set_sandbox(true)")?;
        }
        ensure!(hub(bed, "north:sandbox")? == "commerce_sandbox", "north's sandbox");
        ensure!(hub(bed, "south:sandbox")? == "commerce_south_sandbox", "south's sandbox");
        Ok(())
    })
}

fn no_two_tenants_share_a_schema() -> Result<()> {
    with_bed("attack-hub-names", Setup::default(), |bed| {
        // The name of a digest, taken by a tenant that calls himself like that.
        let north = "a".repeat(63);
        let tenants = [
            "default",
            "North",
            "north",
            "NORTH",
            "a.b",
            "a:b",
            "a-b",
            "a_b",
            "a__b",
            "_a_b",
            "a_b_",
            "sandbox",
            "x_sandbox",
            "x",
            "commerce",
            "pg_x",
            "north:x",
            &north,
            &north[1..],
            "1",
        ];
        bed.db.batch_execute("select easysync.add_tenant_member('postgres', 'default')")?;
        let (mut hubs, mut sandboxes) = (BTreeSet::new(), BTreeSet::new());
        let mut made = vec![];
        for tenant in tenants {
            made.push(hub_of(bed, tenant, &mut hubs, &mut sandboxes)?);
        }
        // Whoever calls himself as a hub is called has another one.
        for schema in made.iter().filter(|schema| schema.contains("__")) {
            hub_of(bed, &schema["commerce_".len()..], &mut hubs, &mut sandboxes)?;
        }
        let both: Vec<_> = hubs.intersection(&sandboxes).collect();
        ensure!(both.is_empty(), "live and sandbox: {both:?}");
        Ok(())
    })
}

/// The tenant's hub, made; nobody had that schema before, nor that of its sandbox.
fn hub_of(
    bed: &mut Bed,
    tenant: &str,
    hubs: &mut BTreeSet<String>,
    sandboxes: &mut BTreeSet<String>,
) -> Result<String> {
    bed.db.execute("select easysync.add_tenant_member('postgres', $1)", &[&tenant])?;
    bed.db.execute("select set_config('easysync.tenant_id', $1, false)", &[&tenant])?;
    bed.db.batch_execute("begin")?;
    connect(&mut bed.db)?;
    let schema = hub(bed, tenant)?;
    bed.db.batch_execute("commit")?;
    let count = hubs.len();
    hubs.insert(schema.clone());
    ensure!(hubs.len() > count, "{tenant} shares {schema}");
    ensure!(schema.len() <= 55, "{schema} is too long");
    let sandbox: String =
        bed.db.query_one("select easysync_internal.sandbox_hub($1)", &[&schema])?.get(0);
    let count = sandboxes.len();
    sandboxes.insert(sandbox.clone());
    ensure!(sandboxes.len() > count, "the sandbox of {tenant} shares {sandbox}");
    Ok(schema)
}

fn a_schema_that_was_laid_out_for_a_tenant_is_not_taken() -> Result<()> {
    with_bed("attack-hub-squatted", Setup::default(), |bed| {
        let (mut north, mut south) = admins(bed)?;
        connect(&mut north)?;
        // North knows how south's will be called, and what is in it.
        north.batch_execute("select easysync.create_hub('commerce_south')")?;
        connect(&mut south)?;
        let schema = hub(bed, "south")?;
        ensure!(schema.starts_with("commerce_south__"), "{schema}");
        let owner = bed.text(&format!(
            "select distinct relowner::regrole from pg_class where relnamespace = '{schema}'::regnamespace and relkind = 'r'"
        ))?;
        ensure!(owner.as_deref() == Some("south"), "{owner:?}");
        Ok(())
    })
}

fn only_the_owner_of_a_hub_shares_it() -> Result<()> {
    with_bed("attack-hub-shared", Setup::default(), |bed| {
        let (mut north, mut south) = admins(bed)?;
        connect(&mut north)?;
        refused(&mut south, "select easysync.create_hub('commerce')", &[])?
            .assert("42501", &["commerce"]);
        // Rights on the schema aren't rights on its tables.
        north.batch_execute("grant usage, create on schema commerce to south")?;
        refused(&mut south, "select easysync.create_hub('commerce')", &[])?
            .assert("42501", &["commerce"]);
        ensure!(bed.count("easysync_ledger.tenants where tenant_id = 'south'")? == 0, "noted");
        // The owner may: as an admin of both.
        bed.db.batch_execute("select easysync.add_tenant_member('north', 'south')")?;
        north.batch_execute(
            "set easysync.tenant_id = 'south'; select easysync.create_hub('commerce')",
        )?;
        connect(&mut south)?;
        ensure!(hub(bed, "south")? == "commerce", "{}", hub(bed, "south")?);
        Ok(())
    })
}
