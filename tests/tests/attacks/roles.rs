//! Somebody who signs in with one of our roles, in an installation for one tenant, and wants more than
//! that role gives.

pub mod admin;
pub mod operator;
pub mod viewer;
pub mod webhook;

use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::refusal::refused;
use postgres::{Client, NoTls};

/// A connected shop that was synced, and a session of a member of the role.
fn with_role(
    name: &str,
    role: &str,
    attack: impl FnOnce(&mut Bed, &mut Client) -> Result<()>,
) -> Result<()> {
    with_bed(&format!("attack-{name}"), Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.sync_well("customers", "full")?;
        bed.db.batch_execute(&format!(
            "create role eve login password 'eve'; grant {role} to eve; grant temporary on database shop to eve"
        ))?;
        let mut config = bed.cluster.config(&bed.database);
        config.user("eve").password("eve");
        let mut eve = config.connect(NoTls).context("eve signs in")?;
        attack(bed, &mut eve)
    })
}

/// Each of the statements is refused for want of a right.
fn all_denied(eve: &mut Client, statements: &[&str]) -> Result<()> {
    for statement in statements {
        let refusal = refused(eve, statement, &[]).with_context(|| (*statement).to_owned())?;
        ensure!(refusal.sqlstate == "42501", "{statement}: {refusal:?}");
    }
    Ok(())
}

/// What no role of ours may do, whatever else it may.
fn gains_nothing(bed: &mut Bed, eve: &mut Client) -> Result<()> {
    all_denied(
        eve,
        &[
            "set role easysync_owner",
            "set role easysync_worker",
            "set session authorization postgres",
            "grant easysync_owner to eve",
            "create function easysync.mine() returns integer language sql as 'select 1'",
            "create table easysync_internal.mine (n integer)",
            "alter function easysync.current_tenant() security invoker",
            "alter function easysync.current_tenant() owner to eve",
            "alter view easysync.connections set (security_barrier = false)",
            "comment on schema easysync is 'mine'",
            "create trigger t before insert on easysync_internal.sync_runs for each row execute function suppress_redundant_updates_trigger()",
            "alter table easysync_internal.connections disable trigger all",
            "truncate easysync_internal.audit_log",
            "do $$ begin lock table easysync_internal.sync_runs in access exclusive mode; end $$",
            "copy easysync_internal.connections to stdout",
            "select sealed from easysync_internal.connections",
            "select * from easysync_ledger.links",
            "select pg_read_file('PG_VERSION')",
            "alter system set easysync.key_file = '/dev/null'",
        ],
    )?;
    let refusal = refused(eve, "drop extension easysync cascade", &[])?;
    ensure!(refusal.sqlstate == "42501", "{refusal:?}");
    // Only the server's own files set these.
    for statement in ["set easysync.key_file = '/dev/null'", "set easysync.gateway_roles = 'eve'"] {
        let refusal = refused(eve, statement, &[])?;
        ensure!(refusal.sqlstate == "55P02", "{statement}: {refusal:?}");
    }
    refused(eve, "alter extension easysync add function pg_catalog.now()", &[])?;
    // Nothing internal takes a call of hers, but what run() and the views need.
    let callable: Vec<String> = eve
        .query(
            "select p.oid::regprocedure::text from pg_proc as p
              where p.pronamespace = 'easysync_internal'::regnamespace
                and has_schema_privilege('easysync_internal', 'usage')
                and has_function_privilege(p.oid, 'execute')
                and pg_get_userbyid(p.proowner) <> 'easysync_owner'",
            &[],
        )?
        .iter()
        .map(|row| row.get(0))
        .collect();
    ensure!(callable.is_empty(), "not ours: {callable:?}");
    // Names of her own take the place of nobody's.
    eve.batch_execute(
        "create temp table sync_runs (tenant_id text); create temp table connections (tenant_id text);
         create temp table pg_roles (rolname name, rolsuper boolean);
         create function pg_temp.now() returns timestamptz language plpgsql as
             $$ begin raise exception 'her now() was called'; end $$;
         create function pg_temp.format(text, variadic text[]) returns text language plpgsql as
             $$ begin raise exception 'her format() was called'; end $$;
         set search_path = pg_temp, public",
    )?;
    // A webhook role may not ask for it.
    let asks = "select pg_catalog.has_function_privilege('easysync.current_tenant()', 'execute')";
    if eve.query_one(asks, &[])?.get(0) {
        let seen: String = eve.query_one("select easysync.current_tenant()", &[])?.get(0);
        ensure!(seen == "default", "{seen}");
    }
    eve.batch_execute("reset search_path")?;
    // Locks that anybody can take are none of ours.
    eve.batch_execute(
        "begin; select count(pg_advisory_xact_lock(n)) from generate_series(-500, 500) as n;
                select count(pg_advisory_xact_lock(n, 0)) from generate_series(-500, 500) as n",
    )?;
    bed.sync_well("customers", "incremental")?;
    eve.batch_execute("rollback")?;
    Ok(())
}

/// Every function that the role was not given is refused, and is refused before it looks at anything.
fn calls_nothing_else(bed: &mut Bed, eve: &mut Client, role: &str) -> Result<()> {
    let others: Vec<String> = bed
        .db
        .query(
            "select format('select easysync.%I(%s)', p.proname,
                    (select string_agg(format('null::%s', format_type(t.type, null)), ', ' order by t.place)
                       from unnest(p.proargtypes::oid[]) with ordinality as t (type, place)))
               from pg_proc as p
              where p.pronamespace = 'easysync'::regnamespace and p.prokind = 'f'
                and p.prorettype <> 'trigger'::regtype and not has_function_privilege($1, p.oid, 'execute')",
            &[&role],
        )?
        .iter()
        .map(|row| row.get(0))
        .collect();
    let calls: Vec<&str> = others.iter().map(String::as_str).collect();
    all_denied(eve, &calls)
}
