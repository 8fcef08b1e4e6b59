//! Rows that other sessions hold while a sync wants to write them.

use super::{Attack, ensure_failed, failure, order_ids};
use anyhow::{Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use serde_json::json;
use std::time::{Duration, Instant};

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack { name: "a_locked_row_is_one_failed_record_and_the_rest_lands", run: one_row },
        Attack { name: "a_locked_table_is_waited_for", run: whole_table },
    ]
}

fn prepare(bed: &mut Bed) -> Result<Vec<String>> {
    bed.connect_shop()?;
    bed.sync_well("orders", "full")?;
    let ids = order_ids(bed, 30)?;
    for id in &ids {
        bed.simulator.update_order(id, &json!({"customer_note": "Leave it with Ann."}))?;
    }
    Ok(ids)
}

const LANDED: &str = "commerce.orders where customer_note = 'Leave it with Ann.'";

fn one_row() -> Result<()> {
    with_bed("records-locked", Setup::default(), |bed| {
        let ids = prepare(bed)?;
        let mut holder = bed.client()?;
        let mut holding = holder.transaction()?;
        holding.execute(
            "select from commerce.orders where source_id = any ($1) for update",
            &[&vec![ids[3].as_str(), ids[17].as_str()]],
        )?;
        let began = Instant::now();
        let run = bed.sync("orders", "incremental")?;
        ensure!(began.elapsed() < Duration::from_secs(25), "it took {:?}", began.elapsed());
        ensure_failed(bed, &run, 2)?;
        let (code, message, _) = failure(bed, "orders", &ids[3])?;
        ensure!(code == "55P03", "{code} {message}");
        let again = bed.count(
            "easysync.sync_failures where retryable and next_attempt_at < now() + interval '1 minute'",
        )?;
        ensure!(again == 2, "it is tried again soon");
        ensure!(bed.count(LANDED)? == 28, "the others landed");
        // The holder is never the one that has to give way.
        holding
            .execute("update commerce.orders set email = email where source_id = $1", &[&ids[3]])?;
        holding.commit()?;
        bed.sync_well("orders", "incremental")?;
        ensure!(bed.count(LANDED)? == 30, "those, too");
        ensure!(bed.count("easysync.sync_failures")? == 0, "no failure is left");
        Ok(())
    })
}

fn whole_table() -> Result<()> {
    with_bed("records-locked-table", Setup::default(), |bed| {
        prepare(bed)?;
        let mut holder = bed.client()?;
        let mut holding = holder.transaction()?;
        holding.batch_execute("lock table commerce.orders in share mode")?;
        let id: i64 =
            bed.db.query_one("select easysync.trigger('orders', 'incremental')", &[])?.get(0);
        std::thread::sleep(Duration::from_secs(6));
        holding.commit()?;
        let run = bed.wait(id)?;
        ensure!(run.status == "succeeded", "{run:?}");
        ensure!(bed.count(LANDED)? == 30, "all of them");
        Ok(())
    })
}
