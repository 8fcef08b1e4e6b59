//! A REST gateway's session whose token says nothing, or something else than a tenant.

use super::Attack;
use anyhow::{Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::refusal::refused;
use easysync_tests::surface::{calls, everything};
use easysync_tests::tenants::{NAME, OF_NOBODY, answer, naming, session, two_tenants, views};
use postgres::Client;
use serde_json::json;
use std::time::Duration;

pub const CLASS: &str = "a gateway without claims";

const SOON: Duration = Duration::from_secs(20);

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack {
            name: "a_token_that_names_no_tenant_sees_and_does_nothing",
            run: a_token_that_names_no_tenant_sees_and_does_nothing,
        },
        Attack {
            name: "claims_of_other_roles_count_nothing",
            run: claims_of_other_roles_count_nothing,
        },
        Attack {
            name: "a_tenant_of_the_gateway_stops_nobody_elses_work",
            run: a_tenant_of_the_gateway_stops_nobody_elses_work,
        },
        Attack {
            name: "a_tenant_that_was_left_behind_goes_to_nobody",
            run: a_tenant_that_was_left_behind_goes_to_nobody,
        },
        Attack {
            name: "the_person_behind_the_gateway_is_kept_and_not_forged",
            run: the_person_behind_the_gateway_is_kept_and_not_forged,
        },
        Attack { name: "a_token_is_no_delivery", run: a_token_is_no_delivery },
    ]
}

/// PostgREST's way: one role signs in and becomes whatever the token says.
fn gateway(bed: &mut Bed) -> Result<Client> {
    bed.db.batch_execute(
        "create role gate login noinherit password 'north';
         create role gate_admin; grant easysync_admin to gate_admin; grant gate_admin to gate;
         create role gate_dba; grant easysync_operator, easysync_dba to gate_dba; grant gate_dba to gate",
    )?;
    bed.db.batch_execute("alter system set easysync.gateway_roles = 'gate'")?;
    bed.db.batch_execute("select pg_reload_conf()")?;
    bed.wait_until("current_setting('easysync.gateway_roles') = 'gate'", SOON)?;
    let mut client = session(bed, "gate")?;
    client.batch_execute("set role gate_admin")?;
    Ok(client)
}

fn claim(client: &mut Client, claims: &str) -> Result<()> {
    client.execute("select set_config('request.jwt.claims', $1, false)", &[&claims])?;
    Ok(())
}

/// Texts that a token's claims may be, or may be taken for, none of which names a tenant.
fn without_a_tenant() -> Vec<String> {
    let mut claims: Vec<String> = [
        "",
        "null",
        "{}",
        "[]",
        "7",
        "\"default\"",
        "no json",
        "[\"default\"]",
        "[{\"tenant_id\":\"default\"}]",
    ]
    .map(String::from)
    .into();
    for tenant in [
        json!(null),
        json!(""),
        json!([]),
        json!(["default"]),
        json!({}),
        json!({"tenant_id": "default"}),
        json!(0),
        json!(true),
        json!("*"),
        json!(" default"),
        json!("default\n"),
        json!("default\0"),
        json!("default:sandbox"),
        json!("default,north"),
        json!("{default}"),
        json!("d\u{e9}fault"),
        json!("d".repeat(64)),
        json!("default' or '1'='1"),
    ] {
        claims.push(json!({"sub": "mallory", "tenant_id": tenant}).to_string());
    }
    for other in ["Tenant_Id", "tenant", "tenant_id ", "app_metadata"] {
        claims.push(json!({other: "default"}).to_string());
    }
    claims.push("[".repeat(50_000));
    claims.push("{\"tenant_id\":\"default\"".into());
    claims.push("{\"tenant_id\":\"default\"} x".into());
    claims
}

fn a_token_that_names_no_tenant_sees_and_does_nothing() -> Result<()> {
    with_bed("attack-gateway-none", Setup::default(), |bed| {
        let sync_id = two_tenants(bed)?;
        let mut client = gateway(bed)?;
        // Whatever the login role is a member of: behind a gateway the token alone decides.
        bed.db.batch_execute(
            "select easysync.add_tenant_member('gate', 'default');
             select easysync.add_tenant_member('gate_admin', 'default')",
        )?;
        claim(&mut client, r#"{"tenant_id":"default"}"#)?;
        let seen = answer(&mut client, "select * from easysync.connections");
        ensure!(seen.contains(NAME), "with a tenant nothing is seen either: {seen}");

        let (views, calls) = (views(&mut bed.db)?, calls(&mut bed.db, &naming(sync_id))?);
        let before = everything(&mut bed.db, "default")?;
        for (number, claims) in without_a_tenant().iter().enumerate() {
            claim(&mut client, claims)?;
            // The wish of a session doesn't widen what it may see.
            let asked = ["default", "*", "north", ""][number % 4];
            client.execute("select set_config('easysync.tenant_id', $1, false)", &[&asked])?;
            ensure!(
                client
                    .query_one("select easysync.allowed_tenants() = '{}'", &[])?
                    .get::<_, bool>(0),
                "{claims} gives a tenant"
            );
            refused(&mut client, "select easysync.current_tenant()", &[])?
                .assert("42501", &["the token names no tenant", "tenant_id"]);
            for view in &views {
                let shown = answer(&mut client, &format!("select * from easysync.{view}"));
                ensure!(view == "vocabulary" || shown.is_empty(), "{claims} sees {view}: {shown}");
            }
            // Every function, once for all; a few of the claims are enough.
            if number % 8 == 0 {
                for (_, call) in &calls {
                    let shown = answer(&mut client, call);
                    ensure!(!shown.contains(NAME), "{claims} is told by {call}: {shown}");
                    ensure!(everything(&mut bed.db, "default")? == before, "{claims}: {call}");
                }
            }
            let health = answer(&mut client, "select easysync.health()");
            ensure!(!health.contains("pid") && !health.contains("fenced\\\": false"), "{health}");
        }
        client.batch_execute("reset request.jwt.claims; reset easysync.tenant_id")?;
        ensure!(answer(&mut client, "select * from easysync.connections").is_empty(), "unset");
        ensure!(OF_NOBODY.contains(&"vocabulary"), "what everybody sees");
        Ok(())
    })
}

fn claims_of_other_roles_count_nothing() -> Result<()> {
    with_bed("attack-gateway-forged", Setup::default(), |bed| {
        two_tenants(bed)?;
        gateway(bed)?;
        let mut north = session(bed, "north_admin")?;
        claim(&mut north, r#"{"tenant_id":"default","email":"boss@shop.example"}"#)?;
        ensure!(
            answer(&mut north, "select easysync.allowed_tenants()") == "({north})",
            "the claim"
        );
        for statement in [
            "set easysync.gateway_roles = 'north_admin'",
            "select set_config('easysync.gateway_roles', 'north_admin', false)",
            "alter role north_admin set easysync.gateway_roles = 'north_admin'",
            "alter database shop set easysync.gateway_roles = 'north_admin'",
            "set session authorization gate",
            "set role gate",
        ] {
            ensure!(north.batch_execute(statement).is_err(), "{statement} is allowed");
        }
        ensure!(north.query("select current_setting('easysync.gateway_roles')", &[]).is_err());
        ensure!(answer(&mut north, "select easysync.allowed_tenants()") == "({north})", "the list");
        Ok(())
    })
}

fn a_tenant_of_the_gateway_stops_nobody_elses_work() -> Result<()> {
    with_bed("attack-gateway-fence", Setup::default(), |bed| {
        bed.connect_shop()?;
        let mut client = gateway(bed)?;
        bed.db.batch_execute("grant create on database shop to gate")?;
        // Alone it is an installation for one tenant: the emergency stop is its own.
        claim(&mut client, r#"{"tenant_id":"default"}"#)?;
        client
            .batch_execute("select easysync.fence('alone'); select easysync.unfence('takeover')")?;
        // Nobody is a member of anything: tenants are the gateway's alone.
        claim(&mut client, r#"{"tenant_id":"north"}"#)?;
        for call in [
            "fence('mine')",
            "unfence('copy')",
            "rotate_encryption_key()",
            "add_tenant_member('gate', 'default')",
            "add_tenant_member('gate', 'north')",
            "remove_tenant_member('gate', 'default')",
        ] {
            refused(&mut client, &format!("select easysync.{call}"), &[])?
                .assert("42501", &["concerns every tenant", "easysync_dba"]);
        }
        ensure!(client.query("select * from easysync.tenant_members", &[]).is_err(), "members");
        // The login role may become one of easysync_dba; who acts as an admin isn't one.
        client.batch_execute("set role gate_dba")?;
        client.batch_execute("select easysync.fence('all of it')")?;
        client.batch_execute("set role gate_admin")?;
        refused(&mut client, "select easysync.unfence('takeover')", &[])?
            .assert("42501", &["concerns every tenant"]);
        Ok(())
    })
}

fn a_tenant_that_was_left_behind_goes_to_nobody() -> Result<()> {
    with_bed("attack-gateway-left", Setup::default(), |bed| {
        let mut client = gateway(bed)?;
        bed.db.batch_execute("grant create on database shop to gate, gate_admin")?;
        claim(&mut client, r#"{"tenant_id":"north"}"#)?;
        client.batch_execute("select easysync.create_hub('north_hub')")?;
        bed.db.batch_execute("drop extension easysync; create extension easysync")?;
        bed.db.batch_execute("grant easysync_admin to gate_admin")?;
        let connect = "select easysync.connect('shop', 'woocommerce', '{\"url\": \"https://shop.example\"}', verify => false)";
        for call in
            [connect, "select easysync.create_hub('north_hub')", "select easysync.current_tenant()"]
        {
            refused(&mut client, call, &[])?
                .assert("42501", &["tenant \"north\" is not open", "easysync_dba"]);
        }
        // By a role, while the installation is open.
        bed.db.batch_execute(
            "create role boss login password 'north'; grant easysync_admin to boss",
        )?;
        let mut boss = session(bed, "boss")?;
        refused(&mut boss, "select easysync.add_tenant_member('boss', 'north')", &[])?
            .assert("42501", &["tenant \"north\" is not one of yours", "easysync_dba"]);
        // The hint works.
        bed.db.batch_execute("select easysync.add_tenant_member('gate', 'north')")?;
        let tenant: String = client.query_one("select easysync.current_tenant()", &[])?.get(0);
        ensure!(tenant == "north", "{tenant}");
        // A new name is free.
        claim(&mut client, r#"{"tenant_id":"south"}"#)?;
        ensure!(answer(&mut client, "select easysync.current_tenant()") == "(south)", "south");
        Ok(())
    })
}

fn the_person_behind_the_gateway_is_kept_and_not_forged() -> Result<()> {
    with_bed("attack-gateway-person", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.db.batch_execute("select easysync.disable('shop')")?;
        let mut client = gateway(bed)?;
        let person = |person: &serde_json::Value| {
            let mut claims = person.clone();
            claims["tenant_id"] = json!("default");
            claims.to_string()
        };
        claim(&mut client, &person(&json!({"sub": "7f3c", "email": "ann@shop.example"})))?;
        client.batch_execute("set role gate_dba")?;
        let id: i64 = client.query_one("select easysync.trigger('orders')", &[])?.get(0);
        client.execute("select easysync.cancel($1, 'no')", &[&id])?;
        bed.wait(id)?;
        client.batch_execute("set role gate_admin")?;
        claim(&mut client, &person(&json!({"sub": "7f3c\n\u{7}"})))?;
        client.batch_execute("select easysync.set_sandbox(true)")?;
        claim(&mut client, &person(&json!({"email": ["x"], "sub": 7})))?;
        client.batch_execute("select easysync.set_sandbox(false); set role gate_dba")?;
        claim(&mut client, &person(&json!({"sub": "7f3c", "email": "ann@shop.example"})))?;
        client.batch_execute("select easysync.fence('ann')")?;
        for (action, wanted) in
            [("cancel", Some("ann@shop.example")), ("fence", Some("ann@shop.example"))]
        {
            let kept = bed.text(&format!(
                "select person from easysync.audit_log where action = '{action}'"
            ))?;
            ensure!(kept.as_deref() == wanted, "{action}: {kept:?}");
        }
        let switched = bed.text(
            "select string_agg(coalesce(person, '-'), ' ' order by audit_id) from easysync.audit_log
             where action = 'set_sandbox'",
        )?;
        ensure!(switched.as_deref() == Some("7f3c -"), "{switched:?}");
        let asked = bed.text("select person from easysync.sync_runs")?;
        ensure!(asked.as_deref() == Some("ann@shop.example"), "{asked:?}");
        // Who signs in himself has no such person, whatever he sets.
        bed.db.batch_execute(
            "create role eve login password 'north'; grant easysync_operator to eve",
        )?;
        let mut eve = session(bed, "eve")?;
        claim(&mut eve, &person(&json!({"email": "ann@shop.example"})))?;
        let id: i64 = eve.query_one("select easysync.trigger('orders')", &[])?.get(0);
        let row = bed.db.query_one(
            "select person, requested_by::text from easysync.sync_runs where sync_id = $1",
            &[&id],
        )?;
        let (person, by): (Option<String>, String) = (row.get(0), row.get(1));
        ensure!(person.is_none() && by == "eve", "{person:?} {by}");
        Ok(())
    })
}

/// Deliveries are taken for the claimed tenant only; none without a claim, but where the signature says whose.
fn a_token_is_no_delivery() -> Result<()> {
    with_bed("attack-gateway-delivery", Setup::default(), |bed| {
        two_tenants(bed)?;
        let mut client = gateway(bed)?;
        let count = "select count(*)::text from easysync_internal.webhook_events";
        let insert = "insert into easysync.webhook_events (connection, headers, body) values ('shop', '{}', '{\"id\":1}')";
        let into_default = "insert into easysync.webhook_events (tenant_id, connection, headers, body) values ('default', 'shop', '{}', '{\"id\":1}')";
        for claims in ["{}", "[]", r#"{"tenant_id":["default"]}"#] {
            claim(&mut client, claims)?;
            for statement in [insert, into_default] {
                refused(&mut client, statement, &[])?.assert("42501", &["tenant"]);
            }
            refused(&mut client, "select easysync.receive_webhook('shop', '{}', '{}')", &[])?
                .assert("42501", &["the token names no tenant"]);
            refused(&mut client, "select easysync.postgrest_webhook('{\"id\":1}')", &[])?
                .assert("PT401", &["signature"]);
        }
        claim(&mut client, r#"{"tenant_id":"north"}"#)?;
        refused(&mut client, into_default, &[])?.assert("42501", &["tenant \"default\""]);
        ensure!(bed.text(count)?.as_deref() == Some("0"), "something was taken");
        // What names no tenant goes to the claimed one.
        client.batch_execute(insert)?;
        let to = bed.text("select tenant_id from easysync_internal.webhook_events")?;
        ensure!(to.as_deref() == Some("north"), "{to:?}");
        Ok(())
    })
}
