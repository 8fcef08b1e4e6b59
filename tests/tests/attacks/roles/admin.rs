//! An admin of a tenant wants its secrets back, hosts of the inside, or schemas that aren't hubs.

use super::{calls_nothing_else, gains_nothing, with_role};
use crate::Attack;
use anyhow::{Result, ensure};
use easysync_tests::refusal::refused;
use serde_json::json;

pub const CLASS: &str = "an admin";
const ROLE: &str = "easysync_admin";

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack { name: "an_admin_gains_no_rights", run: rights },
        Attack { name: "an_admin_calls_nothing_of_the_installation", run: calls },
        Attack { name: "an_admin_does_not_get_secrets_back", run: secrets },
        Attack { name: "an_admin_reaches_no_host_of_the_inside", run: inside },
        Attack { name: "an_admin_takes_no_schema_that_is_not_a_hub", run: schemas },
    ]
}

fn rights() -> Result<()> {
    with_role("admin-rights", ROLE, gains_nothing)
}

fn calls() -> Result<()> {
    with_role("admin-calls", ROLE, |bed, eve| calls_nothing_else(bed, eve, ROLE))
}

fn secrets() -> Result<()> {
    with_role("admin-secrets", ROLE, |bed, eve| {
        let pair = serde_json::to_value(bed.simulator.key("read_write")?)?;
        let secret = pair["consumer_secret"].as_str().unwrap_or_default().to_owned();
        eve.execute("select easysync.set_credentials('shop', $1)", &[&pair])?;
        let views = eve.query(
            "select c.oid::regclass::text from pg_class as c
              where c.relnamespace = 'easysync'::regnamespace and c.relkind = 'v' and has_table_privilege(c.oid, 'select')",
            &[],
        )?;
        ensure!(views.len() > 10, "only {} views", views.len());
        for view in views {
            let view: String = view.get(0);
            let shown: Option<String> = eve
                .query_one(&format!("select string_agg(v::text, ' ') from {view} as v"), &[])?
                .get(0);
            ensure!(!shown.unwrap_or_default().contains(&secret), "{view} shows the secret");
        }
        for file in ["../../../../etc/passwd", "/etc/passwd", "x/../../keys", "..", "a\u{0}b"] {
            let given = json!({ "file": file.replace('\u{0}', "%00") });
            let refusal = refused(eve, "select easysync.set_credentials('shop', $1)", &[&given])?;
            ensure!(!refusal.text().contains("root:"), "{refusal:?}");
        }
        Ok(())
    })
}

fn inside() -> Result<()> {
    with_role("admin-inside", ROLE, |_, eve| {
        for url in [
            "https://169.254.169.254/latest/meta-data",
            "https://[::1]:5432",
            "https://0x0a000001",
            "https://167772161",
            "https://10.1",
            "https://[::ffff:10.0.0.1]",
            "https://[fd00:ec2::254]",
            "http://shop.example",
            "file:///etc/passwd",
            "gopher://127.0.0.1:25",
            "https://user:pw@shop.example",
        ] {
            let refusal = refused(
                eve,
                "select easysync.connect('evil', 'woocommerce', $1, '{\"consumer_key\":\"ck_1\",\"consumer_secret\":\"cs_1\"}')",
                &[&json!({ "url": url })],
            )?;
            ensure!(["22023", "YS422"].contains(&refusal.sqlstate.as_str()), "{url}: {refusal:?}");
        }
        Ok(())
    })
}

fn schemas() -> Result<()> {
    with_role("admin-schemas", ROLE, |_, eve| {
        for schema in [
            "pg_catalog",
            "pg_temp",
            "information_schema",
            "easysync",
            "easysync_internal",
            "easysync_ledger",
            "public\"; drop schema commerce cascade; --",
            "",
        ] {
            let refusal = refused(eve, "select easysync.create_hub($1)", &[&schema])?;
            ensure!(
                ["22023", "42501", "YS422", "YS409"].contains(&refusal.sqlstate.as_str()),
                "{schema}: {refusal:?}"
            );
        }
        Ok(())
    })
}
