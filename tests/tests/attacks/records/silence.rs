//! What must not fail without a word.

use super::{Attack, order_ids};
use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use serde_json::json;
use std::time::Duration;

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack { name: "a_time_filter_stops_nobody", run: time_filter },
        Attack { name: "a_run_that_can_not_be_read_is_set_aside", run: unreadable_run },
        Attack { name: "a_worker_without_rights_says_so_and_nobody_waits_for_it", run: no_rights },
        Attack { name: "an_emptied_hub_is_filled_again", run: emptied },
        Attack { name: "a_dropped_hub_is_filled_again_once_it_is_made_anew", run: dropped },
        Attack { name: "a_step_that_failed_as_a_whole_is_not_counted_in_records", run: whole_step },
    ]
}

fn time_filter() -> Result<()> {
    with_bed("records-filter", Setup::default(), |bed| {
        bed.connect_shop()?;
        for filters in [
            json!({"created_since": "2025-01-01"}),
            json!({"modified_since": "2025-01-01 10:00+02", "created_until": "2030-01-01"}),
        ] {
            let id: i64 = bed
                .db
                .query_one("select easysync.trigger('orders', 'full', filters => $1)", &[&filters])?
                .get(0);
            let run = bed.wait(id)?;
            ensure!(run.status == "succeeded", "{filters}: {run:?}");
        }
        bed.db.batch_execute(
            "select easysync.set_stream('shop', 'orders', filters => '{\"created_since\": \"2020-01-01\"}')",
        )?;
        bed.sync_well("orders", "full")?;
        bed.sync_well("customers", "full")?;
        Ok(())
    })
}

/// A run as a restored dump, or a hand in the tables, could leave it.
fn unreadable_run() -> Result<()> {
    with_bed("records-unreadable-run", Setup::default(), |bed| {
        bed.connect_shop()?;
        let deep = format!("{{\"x\":{}{}}}", "[".repeat(300), "]".repeat(300));
        let mut odd = vec![];
        for filters in ["{\"created_since\": \"nonsense\"}", "{\"colour\": 1}", deep.as_str()] {
            let id: i64 = bed
                .db
                .query_one(
                    "insert into easysync_internal.sync_runs (tenant_id, entity, mode, filters, triggered_by, requested_by)
                     values ('default', 'orders', 'full', ($1::text)::jsonb, 'manual', session_user) returning sync_id",
                    &[&filters],
                )?
                .get(0);
            odd.push(id);
        }
        bed.sync_well("orders", "full")?;
        for id in odd {
            let run = bed.wait(id)?;
            ensure!(run.status == "failed" && run.error_message.is_some(), "{run:?}");
            let logged = format!("easysync.sync_logs where level = 'error' and sync_id = {id}");
            ensure!(bed.count(&logged)? > 0, "the log says it of {id}");
        }
        Ok(())
    })
}

/// What psql has to say of a command.
fn psql(bed: &Bed, command: &str) -> Result<String> {
    let told = bed.cluster.program("psql").args(["-d", &bed.database, "-c", command]).output()?;
    Ok(String::from_utf8_lossy(&told.stderr).into_owned())
}

fn no_rights() -> Result<()> {
    with_bed("records-no-rights", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.sync_well("customers", "full")?;
        bed.db.batch_execute("revoke all on easysync_internal.sync_runs from easysync_worker")?;
        let told = psql(bed, "call easysync.run('customers')")?;
        ensure!(told.contains("permission denied for table sync_runs"), "{told}");
        let health = bed.text("select easysync.health()")?.context("health")?;
        ensure!(
            health.contains("permission denied") && !health.contains("\"status\": \"ok\""),
            "{health}"
        );
        ensure!(
            bed.cluster.log().contains("permission denied for table sync_runs"),
            "the log says it"
        );
        bed.db.batch_execute(
            "grant select, insert, update, delete on easysync_internal.sync_runs to easysync_worker",
        )?;
        bed.sync_well("customers", "full")?;
        bed.wait_until(
            "easysync.health()::text not like '%permission denied%'",
            Duration::from_secs(20),
        )?;
        // The role itself is gone for a while.
        bed.db.batch_execute("alter role easysync_worker rename to somebody")?;
        let told = psql(bed, "call easysync.run('customers')")?;
        ensure!(told.contains("easysync_worker"), "{told}");
        bed.db.batch_execute("alter role somebody rename to easysync_worker")?;
        bed.sync_well("customers", "full")?;
        Ok(())
    })
}

const TABLES: &str = "select string_agg(n::text, ',' order by k) from (
    values ('customers', (select count(*) from commerce.customers)), ('orders', (select count(*) from commerce.orders)),
           ('lines', (select count(*) from commerce.order_lines)), ('refunds', (select count(*) from commerce.refunds)),
           ('refund_lines', (select count(*) from commerce.refund_lines)), ('products', (select count(*) from commerce.products))) as v (k, n)";

fn counts(bed: &mut Bed) -> Result<String> {
    bed.text(TABLES)?.context("counts")
}

fn emptied() -> Result<()> {
    with_bed("records-emptied", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.sync_well("orders", "full")?;
        let before = counts(bed)?;
        bed.db.batch_execute(
            "truncate commerce.customers, commerce.products, commerce.orders cascade",
        )?;
        let run = bed.sync("orders", "full")?;
        let missing = bed.text("select string_agg(l.remote_id || l.entity || coalesce(l.deleted_at::text, ''), ',') from easysync_ledger.links l where l.entity = 'orders' and not exists (select from commerce.orders o where o.id = l.hub_id)")?;
        let told = bed.text("select string_agg(format('%s %s %s', entity, record_id, error_message), ' | ') from easysync.sync_failures")?;
        ensure!(
            counts(bed)? == before,
            "{} instead of {before}, {missing:?} {told:?}",
            counts(bed)?
        );
        ensure!(run.unchanged < 289, "{run:?}");
        // One row, deleted by hand.
        let id = order_ids(bed, 1)?.remove(0);
        bed.db.execute(
            "with gone as (delete from commerce.order_lines using commerce.orders as o
                            where o.id = order_id and o.source_id = $1 returning 1)
             select count(*) from gone",
            &[&id],
        )?;
        bed.db.execute("delete from commerce.refunds using commerce.orders as o where o.id = order_id and o.source_id = $1", &[&id])?;
        bed.db.execute("delete from commerce.orders where source_id = $1", &[&id])?;
        bed.sync_well("orders", "full")?;
        ensure!(counts(bed)? == before, "{} instead of {before}", counts(bed)?);
        let run = bed.sync_well("orders", "full")?;
        ensure!(run.written() == 0, "{run:?}");
        Ok(())
    })
}

fn dropped() -> Result<()> {
    with_bed("records-dropped", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.sync_well("orders", "full")?;
        let before = counts(bed)?;
        bed.db.batch_execute("drop schema commerce cascade")?;
        let run = bed.sync("orders", "full")?;
        ensure!(run.status == "failed" && run.error_code.is_some(), "{run:?}");
        bed.db.batch_execute("select easysync.create_hub()")?;
        bed.sync_well("orders", "full")?;
        ensure!(counts(bed)? == before, "{} instead of {before}", counts(bed)?);
        // New rows don't take the ids of those that were filled in again.
        let order = bed
            .simulator
            .post("/woocommerce/orders", &json!({"status": "processing", "line_items": []}))?;
        bed.sync_well("orders", "incremental")?;
        let there = format!("commerce.orders where source_id = '{}'", order["id"]);
        ensure!(bed.count(&there)? == 1, "a new order landed");
        Ok(())
    })
}

fn whole_step() -> Result<()> {
    with_bed("records-whole-step", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.sync_well("orders", "full")?;
        bed.db.batch_execute("alter table commerce.refunds rename reason to why")?;
        let order = order_ids(bed, 1)?.remove(0);
        bed.simulator.update_order(&order, &json!({"customer_note": "Changed."}))?;
        bed.db.batch_execute(
            "update easysync_ledger.links set hash = '\\x00' where entity = 'refunds'",
        )?;
        let notices = psql(bed, "call easysync.run('orders', 'full')")?;
        ensure!(!notices.contains("0 of"), "{notices}");
        ensure!(notices.contains("refunds"), "{notices}");
        Ok(())
    })
}
