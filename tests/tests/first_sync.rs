//! A real shop lands in Postgres, and stays in step.

use anyhow::{Context, Result};
use easysync_tests::bed::{Setup, with_bed};
use easysync_tests::compare::differences;
use easysync_tests::rows::Versions;
use serde_json::json;

#[test]
fn the_recorded_shop_lands_to_the_cent() -> Result<()> {
    with_bed("recorded-shop", Setup::default(), |bed| {
        bed.connect_shop()?;
        let run = bed.sync_well("orders", "incremental")?;
        assert_eq!(run.failed, 0);

        let shop = bed.simulator.shop()?;
        assert_eq!(differences(&mut bed.db, "shop", &shop)?, Vec::<String>::new());
        // Known by hand, so that simulator and comparison can't be wrong together.
        assert_eq!(bed.count("commerce.orders")?, 289);
        assert_eq!(bed.count("commerce.order_lines")?, 855);
        assert_eq!(bed.count("commerce.refunds")?, 43);
        assert_eq!(bed.count("commerce.customers where not is_guest")?, 43);
        assert_eq!(bed.count("commerce.customers where is_guest")?, 58);
        let usd = bed.text("select sum(total) from commerce.orders where currency = 'USD'")?;
        assert_eq!(usd.as_deref(), Some("231093.77"));
        Ok(())
    })
}

#[test]
fn a_second_sync_of_an_unchanged_shop_writes_nothing() -> Result<()> {
    with_bed("unchanged", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.sync_well("orders", "full")?;
        let before = Versions::read(&mut bed.db)?;

        for mode in ["incremental", "full"] {
            let run = bed.sync_well("orders", mode)?;
            assert_eq!(run.written(), 0, "{mode}: {run:?}");
            let written = Versions::read(&mut bed.db)?.since(&before);
            assert_eq!(written, Default::default(), "{mode}");
        }
        Ok(())
    })
}

#[test]
fn three_changed_orders_are_three_written_rows() -> Result<()> {
    with_bed("three-changed", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.sync_well("orders", "incremental")?;
        let before = Versions::read(&mut bed.db)?;
        let shop = bed.simulator.shop()?;
        let mut ids: Vec<String> =
            shop.live_orders().iter().take(3).map(|order| order["id"].to_string()).collect();
        for id in &ids {
            bed.simulator.update_order(id, &json!({"customer_note": "Leave at the door."}))?;
        }

        let run = bed.sync_well("orders", "incremental")?;

        ids.sort();
        let written = Versions::read(&mut bed.db)?.since(&before);
        assert_eq!(written.orders, ids);
        assert_eq!(written.others, Vec::<String>::new());
        assert_eq!((run.created, run.updated, run.deleted), (0, 3, 0), "{run:?}");
        let shop = bed.simulator.shop()?;
        assert_eq!(differences(&mut bed.db, "shop", &shop)?, Vec::<String>::new());
        Ok(())
    })
}

#[test]
fn refunds_follow_their_order_into_the_trash_and_back() -> Result<()> {
    with_bed("trash-and-back", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.sync_well("orders", "full")?;
        let shop = bed.simulator.shop()?;
        let refunded = shop.live_orders().into_iter().find(|o| o["refunds"][0]["id"].is_u64());
        let order = refunded.context("no order was refunded")?.clone();
        let refunds = order["refunds"].as_array().context("refunds")?.len() as i64;
        let path = format!("orders/{}", order["id"]);
        let rest = bed.simulator.rest()?;

        rest.delete(&format!("{path}?force=false"))?;
        bed.sync_well("orders", "incremental")?;
        assert_eq!(bed.count("commerce.refunds where deleted_at is not null")?, refunds);
        let shop = bed.simulator.shop()?;
        assert_eq!(differences(&mut bed.db, "shop", &shop)?, Vec::<String>::new());

        rest.put(&path, &json!({"status": "completed"}))?;
        bed.sync_well("orders", "incremental")?;
        assert_eq!(bed.count("commerce.refunds where deleted_at is not null")?, 0);
        let shop = bed.simulator.shop()?;
        assert_eq!(differences(&mut bed.db, "shop", &shop)?, Vec::<String>::new());

        let before = Versions::read(&mut bed.db)?;
        bed.sync_well("orders", "full")?;
        assert_eq!(Versions::read(&mut bed.db)?.since(&before), Default::default());
        Ok(())
    })
}

#[test]
fn garbage_for_one_order_of_a_hundred_fails_that_one_and_lands_the_rest() -> Result<()> {
    with_bed("one-garbage", Setup::generated(100), |bed| {
        bed.connect_shop()?;
        let shop = bed.simulator.shop()?;
        let id = shop.live_orders()[41]["id"].to_string();
        let number: u64 = id.parse()?;
        let spoil = json!({"id": number, "set": {"/total": "a lot"}});
        bed.simulator.fault("spoil_record", spoil, json!({"path": "/orders"}))?;

        let run = bed.sync("orders", "incremental")?;

        assert_eq!((run.status.as_str(), run.failed), ("partial", 1), "{run:?}");
        assert_eq!(bed.count("commerce.orders")?, 99);
        let failed = bed.db.query_one(
            "select record_id, error_message, error_hint from easysync.sync_failures",
            &[],
        )?;
        assert_eq!(failed.get::<_, String>(0), id);
        assert!(failed.get::<_, String>(1).contains("total"), "{failed:?}");

        // Once the shop is in order again, so is the hub.
        bed.simulator.clear_faults()?;
        bed.db.query("select * from easysync.retry()", &[])?;
        bed.wait_until(
            "select not exists (select from easysync.sync_failures)",
            std::time::Duration::from_secs(30),
        )?;
        assert_eq!(bed.count("commerce.orders")?, 100);
        Ok(())
    })
}
