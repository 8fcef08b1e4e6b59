//! Time: what one tenant asks for, however much, costs another no more than a turn.

use crate::Attack;
use anyhow::{Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use serde_json::json;
use std::net::TcpListener;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack {
            name: "ten_thousand_runs_of_one_tenant_cost_another_a_turn",
            run: ten_thousand_runs_of_one_tenant_cost_another_a_turn,
        },
        Attack {
            name: "runs_that_never_end_leave_others_a_place",
            run: runs_that_never_end_leave_others_a_place,
        },
        Attack {
            name: "a_flood_of_deliveries_holds_up_its_own_tenant_only",
            run: a_flood_of_deliveries_holds_up_its_own_tenant_only,
        },
        Attack {
            name: "schedules_that_catch_up_hold_up_their_own_tenant_only",
            run: schedules_that_catch_up_hold_up_their_own_tenant_only,
        },
    ]
}

/// "default" and "north" with a connection each to the shop.
fn two_shops(bed: &mut Bed) -> Result<()> {
    bed.connect_shop()?;
    bed.db.batch_execute(
        "select easysync.add_tenant_member('postgres', 'north');
         set easysync.tenant_id = 'north'",
    )?;
    bed.connect_shop()?;
    bed.db.batch_execute("reset easysync.tenant_id")?;
    Ok(())
}

fn ten_thousand_runs_of_one_tenant_cost_another_a_turn() -> Result<()> {
    with_bed("attack-turns-runs", Setup::default(), |bed| {
        two_shops(bed)?;
        bed.db.batch_execute(
            "insert into easysync_internal.sync_runs (tenant_id, entity, mode, connection, ids, requested_by)
             select 'north', (array['customers', 'products', 'orders', 'refunds'])[1 + n % 4], 'ids', 'shop', '{1}', 'postgres'
             from generate_series(1, 10000) as n",
        )?;
        let north = "easysync_internal.sync_runs where tenant_id = 'north'";
        bed.wait_until(
            &format!("(select count(*) > 3 from {north} and started_at is not null)"),
            SOON,
        )?;
        for entity in ["products", "customers", "orders"] {
            let run = bed.sync(entity, "incremental")?;
            ensure!(run.status == "succeeded", "{run:?}");
            let between = bed.count(&format!(
                "{north} and started_at between
                     (select queued_at from easysync_internal.sync_runs where sync_id = {id})
                     and (select started_at from easysync_internal.sync_runs where sync_id = {id})",
                id = run.sync_id
            ))?;
            ensure!(between <= 4, "{entity}: {between} runs of the other tenant came before it");
        }
        ensure!(
            bed.count(&format!("{north} and status = 'queued'"))? > 5000,
            "the others are over"
        );
        // In turns, not one tenant after the other: neither is left behind.
        bed.db.batch_execute("delete from easysync_internal.sync_runs where status = 'queued'")?;
        Ok(())
    })
}

/// A shop that takes calls and answers none.
fn silent_shop() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        let calls: Vec<_> = listener.incoming().collect();
        drop(calls);
    });
    Ok(url)
}

fn runs_that_never_end_leave_others_a_place() -> Result<()> {
    with_bed("attack-turns-silent", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.db.batch_execute(
            "select easysync.add_tenant_member('postgres', 'north'); set easysync.tenant_id = 'north'",
        )?;
        bed.db.execute(
            "select easysync.connect('shop', 'woocommerce', settings => $1, verify => false,
                                     credentials => '{\"consumer_key\": \"ck_0123456789\", \"consumer_secret\": \"cs_0123456789\"}')",
            &[&json!({"url": silent_shop()?, "allow_http": true})],
        )?;
        // As if it had answered once, and a stream that nobody else holds up.
        bed.db.batch_execute(
            "reset easysync.tenant_id;
             update easysync_internal.connections set status = 'connected' where tenant_id = 'north';
             update easysync_internal.streams set direction = 'pull' where tenant_id = 'north' and entity = 'vendors';
             insert into easysync_internal.sync_runs (tenant_id, entity, mode, connection, requested_by)
             select 'north', entity, 'full', 'shop', 'postgres'
             from unnest(array['customers', 'products', 'refunds', 'vendors']) as entity",
        )?;
        let north = "easysync_internal.sync_runs where tenant_id = 'north' and status";
        bed.wait_until(&format!("(select count(*) = 3 from {north} = 'running')"), SOON)?;
        let run = bed.sync_well("products", "incremental")?;
        ensure!(run.created > 0, "{run:?}");
        ensure!(bed.count(&format!("{north} = 'running'"))? == 3, "the silent ones are over");
        ensure!(bed.count(&format!("{north} = 'queued'"))? == 1, "a fourth place was taken");
        Ok(())
    })
}

fn a_flood_of_deliveries_holds_up_its_own_tenant_only() -> Result<()> {
    with_bed("attack-turns-flood", Setup::default(), |bed| {
        two_shops(bed)?;
        let mut flood = bed.client()?;
        flood.batch_execute(
            "set easysync.tenant_id = 'north';
             insert into easysync_internal.webhook_events (tenant_id, connection, headers, body)
             select 'north', 'shop', '{\"x-wc-webhook-signature\":\"x\"}', '{\"id\":' || n || '}' from generate_series(1, 30000) as n",
        )?;
        let other = "easysync_internal.webhook_events where tenant_id = 'default'";
        for number in 0..3 {
            bed.db.batch_execute(
                "insert into easysync.webhook_events (connection, headers, body) values ('shop', '{}', '{\"id\":1}')",
            )?;
            bed.wait_until(
                &format!("(select count(*) > {number} from {other} and processed_at is not null)"),
                SOON,
            )?;
        }
        let between = bed.count(&format!(
            "easysync_internal.webhook_events as n, (select min(received_at) as since, max(processed_at) as until from {other}) as o
             where n.tenant_id = 'north' and n.processed_at > o.since and n.processed_at < o.until"
        ))?;
        let left = bed.count("easysync_internal.webhook_events where status = 'received'")?;
        println!("{between} of the flood between, {left} left");
        ensure!(left > 10_000, "the flood was over: {left}");
        ensure!(between <= 5_000, "{between} of another tenant's deliveries came before three");
        Ok(())
    })
}

fn schedules_that_catch_up_hold_up_their_own_tenant_only() -> Result<()> {
    with_bed("attack-turns-schedules", Setup::default(), |bed| {
        two_shops(bed)?;
        bed.db.batch_execute(
            "insert into easysync_internal.schedules
                 (tenant_id, name, entity, mode, connection, cron, overlap, missed, decided_at, created_by)
             select t, 'a' || n, 'products', 'incremental', 'shop', '*/10 * * * *', 'queue', 'run_all',
                    now() - interval '3 hours', 'postgres'
             from generate_series(1, 60) as n, unnest(array['east', 'north']) as t where t = 'north'
             union all
             select 'west', 'z', 'products', 'incremental', 'shop', '*/10 * * * *', 'skip', 'run_once',
                    now() - interval '1 hour', 'postgres'
             union all
             select 'default', 'z', 'products', 'incremental', 'shop', '*/10 * * * *', 'skip', 'run_once',
                    now() - interval '1 hour', 'postgres'",
        )?;
        let fired = "easysync_internal.schedules where last_run_at is not null and tenant_id =";
        bed.wait_until(&format!("(select count(*) = 60 from {fired} 'north')"), SOON)?;
        // Names and tenants that come later in the alphabet don't wait for the sixty.
        let before = bed.count(&format!(
            "{fired} 'north' and last_run_at < (select last_run_at from {fired} 'default')"
        ))?;
        ensure!(before <= 1, "{before} schedules of another tenant fired before that of default");
        ensure!(
            bed.count("easysync_internal.sync_runs where tenant_id = 'north'")? > 600,
            "no catching up"
        );
        bed.db.batch_execute("delete from easysync_internal.sync_runs where status = 'queued'")?;
        Ok(())
    })
}
