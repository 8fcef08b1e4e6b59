//! What a session may set, make and call for itself: paths, shadows, settings, wrappers, cheap functions.

use crate::Attack;
use anyhow::{Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::refusal::refused;
use easysync_tests::surface::{calls, everything};
use easysync_tests::tenants::{
    NAME, OF_NOBODY, answer, naming, session, sign_in, two_tenants, views,
};
use postgres::Client;

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack {
            name: "shadows_in_a_session_open_nothing",
            run: shadows_in_a_session_open_nothing,
        },
        Attack {
            name: "settings_of_a_session_open_nothing",
            run: settings_of_a_session_open_nothing,
        },
        Attack {
            name: "a_cheap_function_sees_no_foreign_row",
            run: a_cheap_function_sees_no_foreign_row,
        },
        Attack {
            name: "what_is_read_later_is_checked_later",
            run: what_is_read_later_is_checked_later,
        },
        Attack {
            name: "a_wrapper_lends_its_tenant_to_nobody",
            run: a_wrapper_lends_its_tenant_to_nobody,
        },
        Attack {
            name: "a_key_of_another_tenant_says_nothing",
            run: a_key_of_another_tenant_says_nothing,
        },
        Attack {
            name: "a_tenant_is_asked_for_by_its_exact_name",
            run: a_tenant_is_asked_for_by_its_exact_name,
        },
    ]
}

/// Views and functions, as that session: nothing of "default" shown, nothing changed.
fn nothing_opens(bed: &mut Bed, client: &mut Client, sync_id: i64, how: &str) -> Result<()> {
    let before = everything(&mut bed.db, "default")?;
    for view in views(&mut bed.db)? {
        let shown = answer(client, &format!("select * from easysync.{view}"));
        let own = OF_NOBODY.contains(&view.as_str()) || shown.is_empty();
        ensure!(own && !shown.contains(NAME), "{how}: {view} shows {shown}");
    }
    for (_, call) in calls(&mut bed.db, &naming(sync_id))? {
        let shown = answer(client, &call);
        ensure!(!shown.contains(NAME), "{how}: {call} tells {shown}");
    }
    ensure!(everything(&mut bed.db, "default")? == before, "{how} changed something");
    Ok(())
}

fn shadows_in_a_session_open_nothing() -> Result<()> {
    with_bed("attack-session-shadows", Setup::default(), |bed| {
        let sync_id = two_tenants(bed)?;
        bed.db.batch_execute(
            "grant create on database shop to north_viewer, north_operator, north_admin",
        )?;
        for role in ["easysync_viewer", "easysync_operator", "easysync_admin"] {
            let mut client = sign_in(bed, role)?;
            let schema = role.replace("easysync", "evil");
            client.batch_execute(&include_str!("shadows.sql").replace("SCHEMA", &schema))?;
            nothing_opens(bed, &mut client, sync_id, role)?;
            for statement in [
                "create function easysync.allowed_tenants(text) returns int language sql as 'select 1'",
                "create or replace view easysync.connections as select 1",
                "create table easysync_internal.x ()",
            ] {
                ensure!(client.batch_execute(statement).is_err(), "{role} may {statement}");
            }
        }
        Ok(())
    })
}

/// Each line is what a session sets before it looks. One that can't be set opens nothing either.
const SETTINGS: [&str; 12] = [
    "set standard_conforming_strings = off; set backslash_quote = on; set escape_string_warning = off",
    "set row_security = off; set check_function_bodies = off; set transform_null_equals = on",
    "set client_encoding = 'SJIS'; set extra_float_digits = 0; set array_nulls = off",
    "set datestyle = 'SQL, DMY'; set timezone = '+15'; set intervalstyle = 'iso_8601'",
    "set xmloption = document; set quote_all_identifiers = on; set bytea_output = escape",
    "set default_transaction_read_only = on",
    "set default_transaction_isolation = serializable",
    "set enable_seqscan = off; set enable_indexscan = off; set plan_cache_mode = force_generic_plan",
    "set lock_timeout = '10ms'; set work_mem = '64kB'; set cursor_tuple_fraction = 0",
    "set role north_viewer",
    "set default_tablespace = ''; set temp_tablespaces = ''; set session_replication_role = replica",
    "set easysync.tenants = 'default'; set request.jwt.claims = '{\"tenant_id\":\"default\"}'",
];

fn settings_of_a_session_open_nothing() -> Result<()> {
    with_bed("attack-session-settings", Setup::default(), |bed| {
        let sync_id = two_tenants(bed)?;
        bed.db.batch_execute("grant north_viewer to north_admin")?;
        for settings in SETTINGS {
            let mut client = sign_in(bed, "easysync_admin")?;
            for statement in settings.split("; ") {
                let _ = client.batch_execute(statement);
            }
            nothing_opens(bed, &mut client, sync_id, settings)?;
        }
        Ok(())
    })
}

/// A condition that costs nothing is tried first, unless the view is a barrier.
fn a_cheap_function_sees_no_foreign_row() -> Result<()> {
    with_bed("attack-session-cheap", Setup::default(), |bed| {
        two_tenants(bed)?;
        bed.db.batch_execute("grant create on database shop to north_admin")?;
        let mut client = sign_in(bed, "easysync_admin")?;
        client.batch_execute(
            "create schema spy; create table spy.seen (what text);
             create function spy.look(text) returns boolean language plpgsql cost 0.0000001 as
                 $$ begin insert into spy.seen values ($1); return true; end $$;
             create operator spy.@@@ (rightarg = text, function = spy.look)",
        )?;
        ensure!(
            client.batch_execute("alter function spy.look(text) leakproof").is_err(),
            "leakproof is the superuser's"
        );
        let foreign = |view: &&String| !OF_NOBODY.contains(&view.as_str());
        for view in views(&mut bed.db)?.iter().filter(foreign) {
            for condition in ["spy.look(v::text)", "operator(spy.@@@) v::text"] {
                let sql = format!("select count(*) from easysync.{view} as v where {condition}");
                // Some are for the dba alone.
                let _ = client.query(&sql, &[]);
            }
        }
        let seen = answer(&mut client, "select * from spy.seen");
        ensure!(seen.is_empty(), "seen: {seen}");
        // It does see what it may.
        client.batch_execute(
            "reset easysync.tenant_id; select easysync.set_setting('log_level', 'debug');
             select count(*) from easysync.audit_log as v where spy.look(v::text)",
        )?;
        ensure!(
            !answer(&mut client, "select * from spy.seen").is_empty(),
            "it sees nothing at all"
        );
        Ok(())
    })
}

/// Plans, functions and views that were made while a tenant was the session's own.
fn what_is_read_later_is_checked_later() -> Result<()> {
    with_bed("attack-session-later", Setup::default(), |bed| {
        two_tenants(bed)?;
        bed.db.batch_execute(
            "select easysync.add_tenant_member('north_admin', 'default');
             grant create on database shop to north_admin",
        )?;
        let mut client = sign_in(bed, "easysync_admin")?;
        client.batch_execute(
            "set plan_cache_mode = force_generic_plan;
             prepare seen as select connection from easysync.connections;
             create schema own; create view own.seen as select connection from easysync.connections;
             create function own.seen() returns setof text language sql stable as
                 'select connection from easysync.connections'",
        )?;
        let rows = |client: &mut Client, statement: &str| -> Result<usize> {
            let is_row = |message: &postgres::SimpleQueryMessage| {
                matches!(message, postgres::SimpleQueryMessage::Row(_))
            };
            Ok(client.simple_query(statement)?.iter().filter(|message| is_row(message)).count())
        };
        let all = ["execute seen", "select * from own.seen", "select * from own.seen()"];
        for statement in all {
            ensure!(rows(&mut client, statement)? == 2, "{statement} shows too little");
        }
        bed.db.batch_execute("select easysync.remove_tenant_member('north_admin', 'default')")?;
        for statement in all {
            ensure!(rows(&mut client, statement)? == 0, "{statement} still shows rows");
        }
        refused(&mut client, "select easysync.disable($1)", &[&NAME])?
            .assert("42501", &["tenant \"default\""]);
        Ok(())
    })
}

/// A SECURITY DEFINER function works with the rights of its owner, in the tenants of whoever calls it.
fn a_wrapper_lends_its_tenant_to_nobody() -> Result<()> {
    with_bed("attack-session-wrapper", Setup::default(), |bed| {
        two_tenants(bed)?;
        bed.db.batch_execute(
            "create role clerk login password 'north'; grant easysync_admin to clerk;
             select easysync.add_tenant_member('clerk', 'default');
             create schema tools; grant usage, create on schema tools to public",
        )?;
        // Of a member of "default", for the others.
        session(bed, "clerk")?.batch_execute(
            "create function tools.seen() returns setof text security definer language sql as
                 $$ select connection from easysync.connections $$;
             create function tools.own() returns setof text security definer language sql as
                 $$ select unnest(easysync.allowed_tenants()) $$;
             create function tools.stop() returns void security definer language sql as
                 $$ select easysync.disable('shop') $$;
             create view tools.shown as select connection from easysync.connections",
        )?;
        for role in ["easysync_viewer", "easysync_admin", "easysync_webhook", "none"] {
            let mut client = sign_in(bed, role)?;
            for source in ["tools.seen()", "tools.shown", "tools.stop()"] {
                let shown = answer(&mut client, &format!("select * from {source}"));
                ensure!(shown.is_empty(), "{role} is shown by {source}: {shown}");
            }
            let own = answer(&mut client, "select * from tools.own()");
            ensure!(!own.contains("default"), "{role}: {own}");
        }
        let status =
            bed.text("select status from easysync_internal.connections where name = 'shop'")?;
        ensure!(status.as_deref() == Some("connected"), "{status:?}");
        Ok(())
    })
}

/// The same idempotency key in two tenants is two keys: neither waits for, nor tells of, the other.
fn a_key_of_another_tenant_says_nothing() -> Result<()> {
    with_bed("attack-session-key", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.db.batch_execute(
            "select easysync.add_tenant_member('postgres', 'north');
             set easysync.tenant_id = 'north'",
        )?;
        bed.connect_shop()?;
        let trigger = "select easysync.trigger('products', idempotency_key => 'k')";
        let north: i64 = bed.db.query_one(trigger, &[])?.get(0);
        let mut other = bed.client()?;
        other.batch_execute("set easysync.tenant_id = 'default'; set lock_timeout = '1s'")?;
        let open = "select easysync.trigger('customers', idempotency_key => 'open')";
        bed.db.batch_execute(&format!("begin; {open}"))?;
        let default: i64 = other.query_one(trigger, &[])?.get(0);
        ensure!(north != default, "one run for two tenants");
        other.batch_execute(open)?;
        bed.db.batch_execute("rollback")?;
        Ok(())
    })
}

fn a_tenant_is_asked_for_by_its_exact_name() -> Result<()> {
    with_bed("attack-session-names", Setup::default(), |bed| {
        two_tenants(bed)?;
        let mut client = session(bed, "north_admin")?;
        for asked in [
            "default",
            "DEFAULT",
            " default",
            "default ",
            "default:sandbox",
            "north,default",
            "{default}",
            "north default",
            "%",
            "_______",
            "d%",
            "default\u{200b}",
            "\u{ff44}efault",
            "default;",
            "default'--",
            "",
            "*",
            "**",
            "null",
        ] {
            client.execute("select set_config('easysync.tenant_id', $1, false)", &[&asked])?;
            let shown =
                answer(&mut client, "select connection, tenant_id from easysync.connections");
            ensure!(shown.is_empty(), "{asked:?} shows {shown}");
            let tenant = answer(&mut client, "select easysync.current_tenant()");
            ensure!(tenant.is_empty() || tenant == "(north)", "{asked:?} is {tenant}");
        }
        // Of any length, without repeating it.
        let long = "select set_config('easysync.tenant_id', repeat('x', 1000000), false)";
        client.execute(long, &[])?;
        let refusal = refused(&mut client, "select easysync.current_tenant()", &[])?;
        ensure!(refusal.text().len() < 500, "{}", refusal.text().len());
        Ok(())
    })
}
