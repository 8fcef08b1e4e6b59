//! A role with CREATE on the database may lay out schemas, functions and operators before CREATE
//! EXTENSION or `connect` finds them. None of it is used, and none of it runs.

use super::Attack;
use super::ground::{LOOT, only_as, sign_in_to, times, with_app};
use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use postgres::Client;

pub const CLASS: &str = "a role with CREATE on the database";

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack { name: "schemas_that_were_laid_ready_are_refused", run: schemas },
        Attack { name: "functions_and_operators_of_public_are_not_found", run: public_functions },
        Attack { name: "default_privileges_give_nothing_away", run: default_privileges },
        Attack { name: "a_member_of_our_owner_is_refused", run: member },
        Attack { name: "a_superuser_takes_no_hub_that_was_laid_ready", run: ready_hub },
        Attack { name: "rows_go_to_no_table_in_the_place_of_the_hubs", run: replaced },
        Attack { name: "everything_of_ours_is_owned_and_granted_as_it_should_be", run: catalogue },
    ]
}

/// A second database without the extension, in which `mallory` may create schemas.
fn with_database(
    name: &str,
    attack: impl FnOnce(&mut Bed, &mut Client, &mut Client) -> Result<()>,
) -> Result<()> {
    with_bed(&format!("attack-{name}"), Setup::default(), |bed| {
        bed.db.batch_execute("create role mallory login password 'mallory'")?;
        bed.db.batch_execute("create database trial")?;
        bed.db.batch_execute("grant create on database trial to mallory")?;
        let mut admin = bed.cluster.client("trial")?;
        admin.batch_execute("grant all on schema public to mallory")?;
        let mut mallory = sign_in_to(bed, "trial", "mallory")?;
        mallory.batch_execute(LOOT)?;
        attack(bed, &mut admin, &mut mallory)
    })
}

fn refused(admin: &mut Client, sql: &str, what: &str) -> Result<()> {
    let error = admin.batch_execute(sql).err().with_context(|| format!("{sql} was allowed"))?;
    let database = error.as_db_error().context("an error of the database")?;
    ensure!(database.message().contains(what), "{sql}: {}", database.message());
    ensure!(database.hint().is_some(), "{sql}: no hint");
    Ok(())
}

fn schemas() -> Result<()> {
    with_database("schemas", |_, admin, mallory| {
        for schema in ["easysync", "easysync_internal", "easysync_ledger"] {
            mallory.batch_execute(&format!("create schema {schema}"))?;
            refused(admin, "create extension easysync", &format!("schema {schema} exists"))?;
            // The hint leads out.
            admin.batch_execute(&format!("drop schema {schema}"))?;
        }
        admin.batch_execute("create extension easysync")?;
        Ok(())
    })
}

fn public_functions() -> Result<()> {
    with_database("public", |_, admin, mallory| {
        mallory.batch_execute(
            "create function public.format(text, name) returns text language plpgsql as
                 $$ begin perform loot.grab('format'); return pg_catalog.format($1, $2::text); end $$;
             create function public.format(text, text) returns text language plpgsql as
                 $$ begin perform loot.grab('format'); return pg_catalog.format($1, $2); end $$;
             create function public.quote_ident(name) returns text language plpgsql as
                 $$ begin perform loot.grab('quote_ident'); return pg_catalog.quote_ident($1::text); end $$;
             create function public.array_agg(text) returns text language plpgsql as
                 $$ begin perform loot.grab('agg'); return $1; end $$;
             create function public.is_name(name, text) returns boolean language plpgsql as
                 $$ begin perform loot.grab('operator'); return $1::text = $2; end $$;
             create operator public.= (leftarg = name, rightarg = text, function = public.is_name);
             create operator public.<> (leftarg = text, rightarg = name, function = public.is_name2);"
                .replace("public.is_name2", "public.is_text")
                .replace(
                    "create operator public.<>",
                    "create function public.is_text(text, name) returns boolean language plpgsql as
                         $$ begin perform loot.grab('operator'); return $1 = $2::text; end $$;
                     create operator public.<>",
                )
                .as_str(),
        )?;
        admin.batch_execute("create extension easysync")?;
        let seen: i64 = admin.query_one("select count(*) from loot.seen", &[])?.get(0);
        ensure!(seen == 0, "functions of public ran in CREATE EXTENSION");
        admin.batch_execute(
            "select easysync.connect('shop', 'woocommerce', settings => '{\"url\": \"https://shop.example\"}',
                 credentials => '{\"consumer_key\": \"ck_1\", \"consumer_secret\": \"cs_1\"}', verify => false);
             select * from easysync.sync_progress; select * from easysync.sync_runs; select easysync.health();
             select * from easysync.connection_health; select easysync.trigger('orders', connection => 'shop')",
        )
        .or_else(|error| if error.code().is_some_and(|c| c.code() == "YS422" || c.code() == "22023") { Ok(()) } else { Err(error) })?;
        let seen: i64 = admin.query_one("select count(*) from loot.seen", &[])?.get(0);
        ensure!(seen == 0, "functions of public ran in ours");
        Ok(())
    })
}

fn default_privileges() -> Result<()> {
    with_database("defaults", |_, admin, _| {
        admin.batch_execute(
            "alter default privileges grant all on tables to public;
             alter default privileges grant all on tables to mallory;
             alter default privileges grant all on sequences to mallory;
             alter default privileges grant execute on functions to mallory;
             alter default privileges grant usage on types to mallory;
             alter default privileges grant all on schemas to mallory;
             create extension easysync;
             select easysync.create_hub()",
        )?;
        let given = admin.query(
            "select o.what from (
                 select c.oid::regclass::text as what, c.relacl as acl, c.relnamespace as space from pg_class as c
                 union all select p.oid::regprocedure::text, p.proacl, p.pronamespace from pg_proc as p
                 union all select t.oid::regtype::text, t.typacl, t.typnamespace from pg_type as t
                 union all select n.nspname::text, n.nspacl, n.oid from pg_namespace as n) as o
             cross join lateral aclexplode(o.acl) as a
             where o.space in ('easysync'::regnamespace, 'easysync_internal'::regnamespace, to_regnamespace('easysync_ledger'))
               and a.grantee in (0, 'mallory'::regrole)",
            &[],
        )?;
        let given: Vec<String> = given.iter().map(|row| row.get(0)).collect();
        ensure!(given.is_empty(), "given away: {}", given.join(", "));
        Ok(())
    })
}

fn member() -> Result<()> {
    with_database("member", |_, admin, _| {
        // The cluster has the roles already: another database made them.
        for role in ["easysync_owner", "easysync_worker"] {
            admin.batch_execute(&format!("grant {role} to mallory"))?;
            refused(
                admin,
                "create extension easysync",
                &format!("role mallory is a member of {role}"),
            )?;
            admin.batch_execute(&format!("revoke {role} from mallory"))?;
        }
        admin.batch_execute("alter role easysync_owner login")?;
        refused(admin, "create extension easysync", "role easysync_owner has rights of its own")?;
        admin.batch_execute("alter role easysync_owner nologin; create extension easysync")?;
        Ok(())
    })
}

fn ready_hub() -> Result<()> {
    with_database("ready-hub", |_, admin, mallory| {
        mallory.batch_execute("create schema commerce")?;
        admin.batch_execute("create extension easysync")?;
        const CONNECT: &str =
            "select easysync.connect('shop', 'woocommerce', settings => '{\"url\": \"https://shop.example\"}',
                 credentials => '{\"consumer_key\": \"ck_1\", \"consumer_secret\": \"cs_1\"}', verify => false)";
        refused(admin, CONNECT, "the hub in schema commerce belongs to role mallory")?;
        mallory.batch_execute(
            "create view commerce.orders as select 1 as id where loot.grab('view');
             create table commerce.customers (tenant_id text, id bigint)",
        )?;
        refused(admin, CONNECT, "the hub in schema commerce belongs to role mallory")?;
        refused(admin, "select easysync.create_hub('commerce')", "belongs to role mallory")?;
        let seen: i64 = admin.query_one("select count(*) from loot.seen", &[])?.get(0);
        ensure!(seen == 0, "what was laid ready ran");
        admin.batch_execute("select easysync.create_hub('our_commerce')")?;
        admin.batch_execute(CONNECT)?;
        Ok(())
    })
}

fn replaced() -> Result<()> {
    with_app("replaced", |bed, app| {
        bed.db.batch_execute(
            "create schema forms; grant usage on schema forms to public;
             create table forms.customers (like commerce.customers including all);
             grant select on forms.customers to public",
        )?;
        app.batch_execute("drop schema commerce cascade")?;
        let mut mallory = super::ground::sign_in(bed, "mallory")?;
        // The very table, but his.
        mallory.batch_execute(
            "create schema commerce; create table commerce.customers (like forms.customers including all)",
        )?;
        let run = bed.sync("customers", "full")?;
        ensure!(run.status == "failed", "{run:?}");
        let rows: i64 = mallory.query_one("select count(*) from commerce.customers", &[])?.get(0);
        ensure!(rows == 0, "{rows} rows went to the wrong tables");
        only_as(bed, &[])?;
        ensure!(times(bed)? == 0, "nothing should have run");
        Ok(())
    })
}

/// Members of the extension, and what else is ours.
const OURS: &str = "
with ours as (
    select p.oid::regprocedure::text as what, p.proowner as owner, p.prosecdef, p.proconfig, p.prosrc, p.prolang, p.proacl as acl, 'f' as kind
      from pg_proc as p where p.pronamespace in ('easysync'::regnamespace, 'easysync_internal'::regnamespace)
    union all
    select c.oid::regclass::text, c.relowner, false, null, null, null, c.relacl, 'r'
      from pg_class as c where c.relnamespace in ('easysync'::regnamespace, 'easysync_internal'::regnamespace, 'easysync_ledger'::regnamespace)
       and c.relkind in ('r', 'p', 'v', 'S', 'm')
    union all
    select t.oid::regtype::text, t.typowner, false, null, null, null, t.typacl, 't'
      from pg_type as t where t.typnamespace in ('easysync'::regnamespace, 'easysync_internal'::regnamespace) and t.typtype = 'c'
    union all
    select n.nspname::text, n.nspowner, false, null, null, null, n.nspacl, 'n'
      from pg_namespace as n where n.nspname in ('easysync', 'easysync_internal', 'easysync_ledger'))";

fn catalogue() -> Result<()> {
    with_app("catalogue", |bed, _| {
        bed.sync_well("orders", "full")?;
        let mut wrong: Vec<String> = vec![];
        let mut ask = |db: &mut Client, what: &str, condition: &str| -> Result<()> {
            let sql = format!("{OURS} select what from ours where {condition} order by 1");
            for row in db.query(&sql, &[]).with_context(|| sql.clone())? {
                wrong.push(format!("{what}: {}", row.get::<_, String>(0)));
            }
            Ok(())
        };
        ask(&mut bed.db, "not easysync_owner's", "owner <> 'easysync_owner'::regrole")?;
        ask(
            &mut bed.db,
            "a function without a pinned search_path",
            "kind = 'f' and prolang in (select oid from pg_language where lanname in ('sql', 'plpgsql'))
             and what not like 'easysync.run(%'
             and not coalesce('search_path=pg_catalog, pg_temp' = any (proconfig), false)",
        )?;
        // The hub is reached by hub_query and as_owner alone: what they are handed is a text.
        ask(
            &mut bed.db,
            "a function that touches the hub",
            r"kind = 'f' and prosrc ~* '(from|join|into|update|table) +commerce\.'",
        )?;
        ask(
            &mut bed.db,
            "a function that executes text",
            r"kind = 'f' and prosrc ~* '\mexecute\M *(format|''|\$|[a-z_]+ *;)'
              and what !~ 'kept_since|make_hub_triggers|hub_schema|go_on_counting|count_links|read_links|read_requests|create_links'",
        )?;
        ask(
            &mut bed.db,
            "granted to somebody else",
            "exists (select from aclexplode(acl) as a where a.grantee = 0
                       or a.grantee::regrole::text not in ('easysync_owner', 'easysync_worker', 'easysync_viewer', 'easysync_operator',
                                                           'easysync_admin', 'easysync_webhook', 'easysync_dba'))",
        )?;
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        let superuser: bool = bed
            .db
            .query_one(
                "select rolsuper or rolcanlogin from pg_roles where rolname = 'easysync_owner'",
                &[],
            )?
            .get(0);
        ensure!(!superuser, "easysync_owner has rights of its own");
        Ok(())
    })
}
