//! Whoever owns the hub's relations may put a view, a rule, a policy, a cast or a trigger in their
//! place at any time. None of it may run with other rights than his own.

use super::Attack;
use super::ground::{only_as, sign_in, times, with_app};
use anyhow::{Result, ensure};
use easysync_tests::bed::Bed;

pub const CLASS: &str = "the hub's owner";

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack { name: "a_view_in_the_place_of_a_table_is_refused", run: view },
        Attack { name: "a_view_is_not_read_for_who_looks_at_changes", run: view_for_changes },
        Attack { name: "a_cast_of_a_key_runs_as_whoever_writes", run: cast },
        Attack { name: "a_policy_for_the_worker_runs_as_the_owner", run: policy },
        Attack { name: "settings_of_a_trigger_end_with_its_statement", run: settings },
        Attack { name: "a_trigger_cannot_change_who_it_is", run: identity },
        Attack { name: "deferred_triggers_run_as_the_owner_and_nothing_is_lost", run: deferred },
        Attack { name: "a_deferred_trigger_that_defers_again_is_refused", run: deferred_again },
        Attack { name: "a_cursor_that_is_held_is_closed", run: held_cursor },
        Attack { name: "a_trigger_sees_its_own_tenant_only", run: other_tenant },
        Attack { name: "a_rule_is_refused", run: rule },
        Attack { name: "a_child_table_is_refused", run: child },
        Attack { name: "a_column_of_another_type_is_refused", run: other_type },
        Attack { name: "defaults_checks_and_indexes_run_as_the_owner", run: expressions },
        Attack { name: "a_temporary_table_takes_no_place", run: temporary },
        Attack { name: "nothing_internal_is_callable", run: internals },
    ]
}

const MOVE_ORDERS: &str = "
alter table commerce.orders rename to real_orders;
create view commerce.orders as select o.* from commerce.real_orders as o where loot.grab('view');";

/// A sync of the orders fails with an error that says what is wrong with the table.
fn refused(bed: &mut Bed, what: &str) -> Result<()> {
    let run = bed.sync("orders", "full")?;
    ensure!(run.error_code.as_deref() == Some("foreign_hub"), "{run:?}");
    let said = run.error_message.unwrap_or_default();
    ensure!(said.contains(what), "{said:?} doesn't say {what:?}");
    Ok(())
}

fn view() -> Result<()> {
    with_app("hub-view", |bed, app| {
        app.batch_execute(MOVE_ORDERS)?;
        // A status that only the hub could know.
        let _ = bed
            .db
            .query("select easysync.trigger('orders', filters => '{\"status\": \"odd\"}')", &[]);
        let _ = bed.db.query("select * from easysync.dry_run('orders')", &[]);
        refused(bed, "it is not a table")?;
        only_as(bed, &[])
    })
}

fn view_for_changes() -> Result<()> {
    with_app("hub-changes", |bed, app| {
        bed.sync_well("orders", "full")?;
        app.batch_execute(
            "alter table commerce.customers rename to real_customers;
             create view commerce.customers as select c.* from commerce.real_customers as c where loot.grab('view');",
        )?;
        let mut clerk = sign_in(bed, "clerk")?;
        for reader in [&mut clerk, &mut bed.client()?] {
            let _ = reader.query("select * from easysync.sync_changes", &[]);
        }
        only_as(bed, &[])
    })
}

fn cast() -> Result<()> {
    with_app("hub-cast", |bed, app| {
        // Something that pushes, so that changes are noted.
        bed.db.batch_execute(
            "update easysync_internal.streams set direction = 'push' where entity = 'customers'",
        )?;
        app.batch_execute(
            "create type loot.text as (value text);
             grant usage on type loot.text to public;
             create function loot.plain(loot.text) returns text language plpgsql as
                 $$ begin perform loot.grab('cast'); return ($1).value; end $$;
             create cast (loot.text as text) with function loot.plain(loot.text) as implicit;
             create schema other;
             create table other.customers (tenant_id loot.text, id bigint);
             grant usage on schema other to clerk; grant insert on other.customers to clerk;",
        )?;
        bed.db.batch_execute(
            "grant usage on schema other to easysync_owner; grant trigger on other.customers to easysync_owner;
             set role easysync_owner;
             create trigger easysync_insert after insert on other.customers referencing new table as new_rows
                 for each statement execute function easysync_internal.note_hub_change('customers', 'id');
             reset role",
        )?;
        let mut clerk = sign_in(bed, "clerk")?;
        clerk.batch_execute("insert into other.customers values (row('default'), 1)")?;
        ensure!(times(bed)? > 0, "the cast was not tried");
        only_as(bed, &["clerk"])
    })
}

fn policy() -> Result<()> {
    with_app("hub-policy", |bed, app| {
        app.batch_execute(
            "alter table commerce.orders enable row level security, force row level security;
             create policy theft on commerce.orders to easysync_worker using (loot.grab('worker'));
             create policy own on commerce.orders using (loot.grab('own')) with check (loot.grab('own'));",
        )?;
        bed.sync_well("orders", "full")?;
        bed.sync_well("orders", "full")?;
        ensure!(times(bed)? > 0, "no policy was tried");
        only_as(bed, &["app"])
    })
}

/// A trigger before each row of the orders.
fn before_orders(body: &str) -> String {
    format!(
        "create function loot.before() returns trigger language plpgsql as $f$ begin {body} return new; end $f$;
         create trigger loot before insert or update on commerce.orders for each row execute function loot.before();"
    )
}

fn settings() -> Result<()> {
    with_app("hub-settings", |bed, app| {
        app.batch_execute(&before_orders(
            "perform set_config('default_transaction_read_only', 'on', false),
                     set_config('default_transaction_isolation', 'serializable', false),
                     set_config('search_path', 'loot', false),
                     set_config('lock_timeout', '1ms', false),
                     set_config('TimeZone', 'Asia/Tokyo', false),
                     set_config('DateStyle', 'SQL, DMY', false),
                     set_config('standard_conforming_strings', 'off', false),
                     set_config('row_security', 'off', false),
                     set_config('statement_timeout', '1ms', false),
                     set_config('bytea_output', 'escape', false);",
        ))?;
        bed.sync_well("orders", "full")?;
        app.batch_execute("update commerce.orders set number = number || '!'")?;
        bed.simulator.update_order("175", &serde_json::json!({"customer_note": "later"}))?;
        let run = bed.sync_well("orders", "full")?;
        ensure!(run.updated > 0, "{run:?}");
        bed.sync_well("customers", "full")?;
        Ok(())
    })
}

fn identity() -> Result<()> {
    with_app("hub-identity", |bed, app| {
        app.batch_execute(&before_orders(
            "begin reset session authorization; perform loot.grab('reset session'); exception when others then null; end;
             begin set session authorization postgres; perform loot.grab('session'); exception when others then null; end;
             begin set role postgres; perform loot.grab('role'); exception when others then null; end;
             begin reset role; perform loot.grab('reset'); exception when others then null; end;
             begin set role none; perform loot.grab('none'); exception when others then null; end;
             begin perform set_config('role', 'easysync_owner', false); perform loot.grab('owner'); exception when others then null; end;
             begin execute 'alter role app superuser'; perform loot.grab('alter'); exception when others then null; end;
             begin perform count(*) from easysync_internal.connections; perform loot.grab('tables'); exception when others then null; end;",
        ))?;
        bed.sync_well("orders", "full")?;
        ensure!(times(bed)? == 0, "a trigger could change who it is");
        Ok(())
    })
}

fn deferred() -> Result<()> {
    with_app("hub-deferred", |bed, app| {
        app.batch_execute(
            "create function loot.complete() returns trigger language plpgsql as $$
             begin
                 perform loot.grab('deferred');
                 if not exists (select from commerce.order_lines as l where l.tenant_id = new.tenant_id and l.order_id = new.id) then
                     raise exception 'an order without lines';
                 end if;
                 return null;
             end $$;
             create constraint trigger complete after insert or update on commerce.orders
                 deferrable initially deferred for each row execute function loot.complete();
             create table commerce.marks (tenant_id text, customer_id bigint,
                 foreign key (tenant_id, customer_id) references commerce.customers deferrable initially deferred);",
        )?;
        let run = bed.sync("orders", "full")?;
        ensure!(run.status == "succeeded" || run.status == "partial", "{run:?}");
        // Orders without a line are what the constraint is for; all others are there.
        let (orders, failed) = (
            bed.count("commerce.orders")?,
            bed.count("easysync.sync_failures where entity = 'orders' and error_message like '%without lines%'")?,
        );
        ensure!(orders + failed == 289 && orders > 280, "{orders} orders, {failed} failed");
        ensure!(times(bed)? >= orders, "the constraint was not tried");
        only_as(bed, &["app"])
    })
}

fn deferred_again() -> Result<()> {
    with_app("hub-deferred-again", |bed, app| {
        app.batch_execute(
            "create table loot.later (n int);
             create function loot.again() returns trigger language plpgsql as $$
             begin
                 perform loot.grab('again');
                 set constraints all deferred;
                 insert into loot.later values (1);
                 return null;
             end $$;
             create constraint trigger again after insert on loot.later
                 deferrable initially deferred for each row execute function loot.again();
             create constraint trigger again after insert on commerce.orders
                 deferrable initially deferred for each row execute function loot.again();",
        )?;
        bed.sync("orders", "full")?;
        only_as(bed, &["app"])?;
        // It costs its owner the records, and nobody else anything.
        bed.sync_well("customers", "full")?;
        Ok(())
    })
}

fn held_cursor() -> Result<()> {
    with_app("hub-cursor", |bed, app| {
        app.batch_execute(&before_orders(
            "begin execute 'declare held cursor with hold for select loot.grab(''held'')'; exception when others then null; end;",
        ))?;
        bed.sync_well("orders", "full")?;
        only_as(bed, &["app"])
    })
}

fn other_tenant() -> Result<()> {
    with_app("hub-tenant", |bed, app| {
        bed.db.batch_execute(
            "select easysync.add_tenant_member('app', 'default'), easysync.add_tenant_member('postgres', 'south');
             set easysync.tenant_id = 'south'",
        )?;
        let settings = serde_json::json!({"url": "https://secret.example"});
        bed.db.execute(
            "select easysync.create_hub('south_hub'),
                    easysync.connect('hidden', 'woocommerce', settings => $1,
                        credentials => '{\"consumer_key\": \"ck_1\", \"consumer_secret\": \"cs_1\"}', verify => false)",
            &[&settings],
        )?;
        bed.db.batch_execute("set easysync.tenant_id = 'default'")?;
        app.batch_execute(&before_orders(
            "perform set_config('easysync.tenant_id', '*', true);
             insert into loot.seen select current_user, session_user, false, c.connection from easysync.connections as c where c.connection = 'hidden';
             perform set_config('easysync.tenant_id', 'south', true);
             insert into loot.seen select current_user, session_user, false, c.connection from easysync.connections as c where c.connection = 'hidden';
             insert into loot.seen select current_user, session_user, false, t from unnest(easysync.allowed_tenants()) as t where t = 'south';",
        ))?;
        bed.sync_well("orders", "full")?;
        ensure!(times(bed)? == 0, "a trigger saw another tenant");
        Ok(())
    })
}

fn rule() -> Result<()> {
    with_app("hub-rule", |bed, app| {
        app.batch_execute(
            "create rule theft as on insert to commerce.orders do also select loot.grab('rule')",
        )?;
        refused(bed, "it has rules")?;
        only_as(bed, &[])
    })
}

fn child() -> Result<()> {
    with_app("hub-child", |bed, app| {
        app.batch_execute("create table loot.child () inherits (commerce.orders)")?;
        refused(bed, "other tables inherit from it")
    })
}

fn other_type() -> Result<()> {
    with_app("hub-type", |bed, app| {
        app.batch_execute("alter table commerce.orders alter number type varchar(60)")?;
        refused(bed, "column number has another type")
    })
}

fn expressions() -> Result<()> {
    with_app("hub-expressions", |bed, app| {
        app.batch_execute(
            "create function loot.fixed(text) returns text language plpgsql immutable as
                 $$ begin perform loot.grab('index'); return $1; exception when others then return $1; end $$;
             alter table commerce.orders add column extra boolean default loot.grab('default');
             alter table commerce.orders add check (loot.grab('check'));
             create index on commerce.orders (loot.fixed(number));",
        )?;
        bed.sync_well("orders", "full")?;
        bed.db.batch_execute("select count(*) from easysync.sync_changes")?;
        ensure!(times(bed)? > 0, "nothing was tried");
        let session = bed.text("select string_agg(distinct by_session, ' ') from loot.seen")?;
        ensure!(
            session.as_deref() == Some("easysync_worker"),
            "the worker's session is {session:?}"
        );
        only_as(bed, &["app"])
    })
}

fn temporary() -> Result<()> {
    with_app("hub-temporary", |bed, app| {
        app.batch_execute(&before_orders(
            "begin
                 create temp table if not exists links (like commerce.orders);
                 create temp table if not exists orders (like commerce.orders);
                 create function pg_temp.now() returns timestamptz language plpgsql as 'begin perform loot.grab(''temp''); return pg_catalog.now(); end';
             exception when others then null; end;",
        ))?;
        bed.sync_well("orders", "full")?;
        bed.sync_well("refunds", "full")?;
        only_as(bed, &["app"])
    })
}

fn internals() -> Result<()> {
    with_app("hub-internals", |bed, app| {
        let callable: Vec<String> = bed
            .db
            .query(
                "select p.oid::regprocedure::text from pg_proc as p
                 where p.pronamespace = 'easysync_internal'::regnamespace
                   and (has_function_privilege('easysync_admin', p.oid, 'execute')
                        or has_function_privilege('public', p.oid, 'execute'))
                   and p.proname in ('open_account', 'hub_query', 'as_owner', 'exchange_code', 'rotate_key',
                                     'note_hub_change', 'preview', 'preview_pulls', 'webhooks_at', 'lock_exclusive',
                                     'try_lock_shared', 'analyze_links', 'hub_fields', 'audit')",
                &[],
            )?
            .iter()
            .map(|row| row.get(0))
            .collect();
        ensure!(callable.is_empty(), "callable by admins: {callable:?}");
        for call in [
            "select easysync_internal.as_owner('postgres', array['alter role app superuser'])",
            "select easysync_internal.hub_query('commerce', array['orders'], 'select null::text[]', 'default', null, null)",
            "select easysync_internal.open_account('default', 'shop', 'woocommerce', '{}', null, false)",
            "create trigger t after insert on loot.seen for each statement execute function easysync_internal.note_hub_change('orders', 'id')",
        ] {
            let answer = app.batch_execute(call);
            ensure!(answer.is_err(), "{call} was allowed");
        }
        Ok(())
    })
}
