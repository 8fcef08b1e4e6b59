//! Applications use the hub's tables while a pull writes them: they are never the ones that are
//! cancelled, and what they refuse fails alone.

use anyhow::{Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::compare::differences;
use postgres::Client;
use serde_json::json;
use std::time::Duration;

/// Every order changes in the shop, so that the next pull has to write each row.
fn change_all_orders(bed: &Bed) -> Result<()> {
    let shop = bed.simulator.shop()?;
    for order in shop.live_orders() {
        let id = order["id"].to_string();
        bed.simulator.update_order(&id, &json!({"customer_note": "changed everywhere"}))?;
    }
    Ok(())
}

/// An application that locks all orders one by one, slowly, then lets go.
fn lock_one_by_one(client: &mut Client, direction: &str) -> Result<()> {
    let ids: Vec<i64> = client
        .query(&format!("select id from commerce.orders order by id {direction}"), &[])?
        .iter()
        .map(|row| row.get(0))
        .collect();
    // As impatient as Postgres is by default: it looks for deadlocks after a second.
    let mut transaction = client.transaction()?;
    for id in ids {
        transaction
            .execute("update commerce.orders set attributes = attributes where id = $1", &[&id])?;
        std::thread::sleep(Duration::from_millis(10));
    }
    transaction.commit()?;
    Ok(())
}

#[test]
fn an_application_is_never_the_one_that_is_cancelled() -> Result<()> {
    with_bed("locks", Setup::generated(300), |bed| {
        bed.connect_shop()?;
        bed.sync_well("orders", "incremental")?;
        for direction in ["asc", "desc"] {
            change_all_orders(bed)?;
            let mut client = bed.client()?;
            let application = std::thread::spawn(move || lock_one_by_one(&mut client, direction));
            std::thread::sleep(Duration::from_millis(500));
            let run = bed.sync("orders", "incremental")?;
            application.join().expect("the application's thread")?;
            if run.status != "succeeded" {
                // What it had to leave is done once the application has let go.
                bed.db.query("select * from easysync.retry()", &[])?;
                bed.sync_well("orders", "full")?;
            }
            let shop = bed.simulator.shop()?;
            let found = differences(&mut bed.db, "shop", &shop)?;
            ensure!(found.is_empty(), "{direction}: {found:?}");
        }
        let cancelled = bed.cluster.log().lines().any(|line| {
            line.contains("client backend") && line.contains("ERROR") && line.contains("deadlock")
        });
        ensure!(!cancelled, "an application was cancelled");
        Ok(())
    })
}

#[test]
fn an_application_whose_check_refuses_one_row_fails_that_record_alone() -> Result<()> {
    with_bed("one-refused", Setup::generated(300), |bed| {
        bed.connect_shop()?;
        let shop = bed.simulator.shop()?;
        let id = shop.live_orders()[150]["id"].to_string();
        bed.db.batch_execute(&format!(
            "alter table commerce.orders add constraint not_this_one check (source_id <> '{id}')"
        ))?;

        let run = bed.sync("orders", "incremental")?;
        assert_eq!((run.status.as_str(), run.failed), ("partial", 1), "{run:?}");
        assert_eq!(bed.count("commerce.orders")?, 299);
        let failure =
            bed.db.query_one("select record_id, error_message from easysync.sync_failures", &[])?;
        assert_eq!(failure.get::<_, String>(0), id);
        assert!(failure.get::<_, String>(1).contains("not_this_one"), "{failure:?}");

        bed.db.batch_execute("alter table commerce.orders drop constraint not_this_one")?;
        bed.db.query("select * from easysync.retry()", &[])?;
        bed.wait_until(
            "select not exists (select from easysync.sync_failures)",
            Duration::from_secs(30),
        )?;
        let shop = bed.simulator.shop()?;
        assert_eq!(differences(&mut bed.db, "shop", &shop)?, Vec::<String>::new());
        Ok(())
    })
}
