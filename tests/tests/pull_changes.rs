//! What a pull changed can be read in `sync_changes`, value by value.

use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::changes::{Hub, apart, recorded};
use easysync_tests::shop_day::a_day_passes;
use serde_json::{Value, json};

/// Syncs, and compares what is told with what the tables show.
fn told_truly(bed: &mut Bed, mode: &str) -> Result<i64> {
    let before = Hub::read(&mut bed.db)?;
    let run = bed.sync_well("orders", mode)?;
    let after = Hub::read(&mut bed.db)?;
    let (said, done) = (recorded(&mut bed.db, run.sync_id)?, before.until(&after));
    let apart = apart(&said, &done);
    ensure!(apart.is_empty(), "{mode}: {:#}", Value::Array(apart));
    ensure!(!done.is_empty(), "{mode}: nothing was changed");
    Ok(run.sync_id)
}

#[test]
fn every_value_that_a_pull_changed_is_told_with_what_it_was() -> Result<()> {
    with_bed("pull-changes", Setup::default(), |bed| {
        bed.connect_shop()?;
        told_truly(bed, "full")?;
        a_day_passes(bed)?;
        let sync_id = told_truly(bed, "incremental")?;

        let actions = bed.text(&format!(
            "select jsonb_object_agg(action, n) from (select action, count(*) as n
               from easysync.sync_changes where sync_id = {sync_id} group by action) as a"
        ))?;
        let actions: Value = serde_json::from_str(&actions.context("no actions")?)?;
        assert_eq!(actions["create"], json!(3), "{actions}");
        assert!(actions["inactivate"].as_i64() >= Some(2), "{actions}");
        let odd = "easysync.sync_changes where status <> 'done' or finished_at is null
                   or direction <> 'pull' or label is null or target <> entity";
        assert_eq!(bed.count(odd)?, 0);
        let twice = "(select sync_id, change_id from easysync.sync_changes
                      group by sync_id, change_id having count(*) > 1) as t";
        assert_eq!(bed.count(twice)?, 0);
        Ok(())
    })
}

#[test]
fn what_was_deleted_here_is_told_with_all_that_it_held() -> Result<()> {
    with_bed("pull-deletes", Setup::generated(30), |bed| {
        bed.connect_shop()?;
        bed.db.batch_execute(
            "select easysync.set_stream('shop', 'orders', delete_policy => 'delete')",
        )?;
        told_truly(bed, "full")?;
        let rest = bed.simulator.rest()?;
        let shop = bed.simulator.shop()?;
        let ids: Vec<String> =
            shop.live_orders().iter().take(3).map(|order| order["id"].to_string()).collect();
        for id in &ids {
            rest.delete(&format!("orders/{id}?force=true"))?;
        }
        let sync_id = told_truly(bed, "full")?;
        let deleted = format!(
            "easysync.sync_changes where sync_id = {sync_id} and action = 'delete' and destructive"
        );
        assert_eq!(bed.count(&deleted)?, 3);
        // A row that somebody deleted here comes back, and that is told, too.
        bed.db.batch_execute(&format!(
            "delete from commerce.orders where source_id = '{}'",
            shop.live_orders()[4]["id"]
        ))?;
        bed.simulator.update_order(
            &shop.live_orders()[4]["id"].to_string(),
            &json!({"customer_note": "Ring twice."}),
        )?;
        told_truly(bed, "incremental")?;
        Ok(())
    })
}

#[test]
fn an_unchanged_shop_leaves_no_change_behind() -> Result<()> {
    with_bed("pull-unchanged", Setup::generated(30), |bed| {
        bed.connect_shop()?;
        bed.sync_well("orders", "full")?;
        let run = bed.sync_well("orders", "full")?;
        assert_eq!(
            bed.count(&format!("easysync.sync_changes where sync_id = {}", run.sync_id))?,
            0
        );
        assert_eq!(bed.count("easysync_internal.sync_changes")?, 0);
        Ok(())
    })
}

#[test]
fn a_new_installation_takes_no_credit_for_what_an_old_one_created() -> Result<()> {
    with_bed("pull-reinstalled", Setup::generated(30), |bed| {
        bed.connect_shop()?;
        let old = bed.sync_well("orders", "full")?.sync_id;
        let created =
            |id| format!("easysync.sync_changes where sync_id = {id} and action = 'create'");
        ensure!(bed.count(&created(old))? > 30, "nothing was created");

        bed.db.batch_execute("drop extension easysync")?;
        bed.db.batch_execute("create extension easysync")?;
        bed.connect_shop()?;
        let new = bed.sync_well("orders", "full")?;
        ensure!(new.sync_id > old, "sync {} again", new.sync_id);
        ensure!(new.created == 0 && bed.count(&created(new.sync_id))? == 0, "{new:?}");
        Ok(())
    })
}
