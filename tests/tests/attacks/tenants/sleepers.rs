//! Code of one tenant's hub that takes its time: it is that tenant's own.

use crate::Attack;
use crate::ground::with_app;
use anyhow::{Context, Result, ensure};
use easysync_tests::bed::Bed;
use postgres::Client;
use serde_json::json;
use std::time::{Duration, Instant};

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack { name: "a_trigger_that_sleeps_costs_others_no_more_than_a_turn", run: sleeps },
        Attack { name: "a_trigger_that_can_not_be_cancelled_is_ended", run: stubborn },
    ]
}

/// Another tenant with a shop and a hub of its own, beside the application's.
fn with_south(bed: &mut Bed, app: &mut Client, trigger: &str) -> Result<()> {
    bed.db.batch_execute(
        "select easysync.add_tenant_member('app', 'default'),
                easysync.add_tenant_member('postgres', 'south');
         set easysync.tenant_id = 'south'",
    )?;
    let pair = serde_json::to_value(bed.simulator.key("read_write")?)?;
    bed.db.execute(
        "select easysync.create_hub('south_hub'),
                easysync.connect('shop', 'woocommerce', settings => $1, credentials => $2)",
        &[&json!({"url": bed.simulator.state.woocommerce.https}), &pair],
    )?;
    app.batch_execute(&format!(
        "create function loot.nap() returns trigger language plpgsql as $f$ begin {trigger} return new; end $f$;
         create trigger nap before insert or update on commerce.orders
            for each row execute function loot.nap()"
    ))?;
    Ok(())
}

/// Syncs of the other tenant while the first one's sleeps; the longest of them.
fn meanwhile(bed: &mut Bed, syncs: usize) -> Result<Duration> {
    let mut longest = Duration::ZERO;
    for _ in 0..syncs {
        let began = Instant::now();
        bed.sync_well("customers", "full")?;
        longest = longest.max(began.elapsed());
    }
    Ok(longest)
}

fn sleeps() -> Result<()> {
    with_app("hub-sleeps", |bed, app| {
        let trigger = "if new.source_id = (select min(o.source_id) from loot.odd as o) then perform pg_sleep(3600); end if;";
        app.batch_execute("create table loot.odd (source_id text)")?;
        with_south(bed, app, trigger)?;
        let order: String = bed.simulator.rest()?.get("orders?per_page=1&orderby=id&order=asc")?[0]
            ["id"]
            .to_string();
        app.execute("insert into loot.odd values ($1)", &[&order])?;
        app.batch_execute("set easysync.tenant_id = 'default'")?;
        let id: i64 = app.query_one("select easysync.trigger('orders', 'full')", &[])?.get(0);
        let longest = meanwhile(bed, 6)?;
        // A page as a whole, and its parts: then it is somebody else's turn.
        ensure!(longest < Duration::from_secs(45), "another tenant waited {longest:?}");
        bed.db.batch_execute("set easysync.tenant_id = 'default'")?;
        let run = bed.wait(id)?;
        ensure!(run.status == "partial", "{run:?}");
        let told = bed
            .text("select string_agg(distinct error_message || ' ' || retryable, ',') from easysync.sync_failures")?
            .context("no failure")?;
        ensure!(told.contains("took too long") && told.contains("true"), "{told}");
        let landed = bed.count("commerce.orders")?;
        ensure!((200..289).contains(&landed), "{landed} orders landed");
        // Once it is mended, everything is there.
        app.batch_execute("drop trigger nap on commerce.orders")?;
        bed.sync_well("orders", "full")?;
        ensure!(bed.count("commerce.orders")? == 289, "all of them");
        Ok(())
    })
}

/// It catches the cancellation and sleeps on.
fn stubborn() -> Result<()> {
    with_app("hub-stubborn", |bed, app| {
        let trigger = "loop begin perform pg_sleep(3600); exception when query_canceled then null; end; end loop;";
        with_south(bed, app, trigger)?;
        app.batch_execute("set easysync.tenant_id = 'default'")?;
        let id: i64 = app.query_one("select easysync.trigger('orders', 'full')", &[])?.get(0);
        let longest = meanwhile(bed, 4)?;
        ensure!(longest < Duration::from_secs(100), "another tenant waited {longest:?}");
        bed.db.batch_execute("set easysync.tenant_id = 'default'")?;
        let run = bed.wait(id)?;
        ensure!(
            run.status == "failed" && run.error_code.as_deref() == Some("set_aside"),
            "{run:?}"
        );
        bed.db.batch_execute("set easysync.tenant_id = 'south'")?;
        bed.sync_well("customers", "full")?;
        Ok(())
    })
}
