//! A shop that delivers: its webhooks are made and repaired, deliveries get lost on the way, and the
//! hub is like the shop afterwards.

use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::compare::{differences, shop::id_of};
use easysync_tests::hooks::deliver;
use easysync_tests::receiver::{Delivered, Receiver};
use easysync_tests::torture::pulls::shopping::something_happens;
use serde_json::json;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);
const NONE_OPEN: &str = "(select count(*) = 0 from easysync.webhook_events
    where status in ('received', 'accepted'))";

/// A bed whose shop delivers to programs of this machine.
fn delivering() -> Setup {
    let simulator = ["--deliver-to-loopback", "--delivery-delay", "20"].map(str::to_owned).to_vec();
    Setup { simulator, ..Setup::default() }
}

fn register(bed: &mut Bed, url: &str) -> Result<Vec<(String, String, String)>> {
    let rows = bed.db.query(
        "select topic, status, action from easysync.register_webhooks('shop', $1)",
        &[&url],
    )?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
}

fn actions(registered: &[(String, String, String)], action: &str) -> usize {
    registered.iter().filter(|(_, status, done)| status == "active" && done == action).count()
}

#[test]
fn webhooks_are_made_kept_and_repaired() -> Result<()> {
    with_bed("webhooks-registered", delivering(), |bed| {
        bed.connect_shop()?;
        bed.sync_well("orders", "full")?;
        let health = "select webhooks from easysync.connection_health";
        assert_eq!(bed.text(health)?.as_deref(), Some("off"));
        for url in [
            "nowhere",
            "ftp://pos.example/",
            "http://pos.example/hooks",
            "https://a:b@pos.example/",
        ] {
            let error = register(bed, url).expect_err(url);
            ensure!(format!("{error:#}").contains("webhooks can't deliver there"), "{error:#}");
        }
        let receiver = Receiver::start()?;
        let made = register(bed, &receiver.url)?;
        assert_eq!((made.len(), actions(&made, "created")), (14, 14));
        assert_eq!(bed.text(health)?.as_deref(), Some("ok"));
        assert_eq!(actions(&register(bed, &receiver.url)?, "kept"), 14);

        // The shop signs with the secret that was made: a change arrives.
        let id = id_of(bed.simulator.shop()?.live_orders()[0]);
        bed.simulator.update_order(&id, &json!({"customer_note": "delivered"}))?;
        let mut client = bed.client()?;
        let began = Instant::now();
        let note = format!("select customer_note from commerce.orders where source_id = '{id}'");
        while bed.text(&note)?.as_deref() != Some("delivered") {
            ensure!(began.elapsed() < SOON, "the delivery doesn't come through");
            while let Ok(delivered) = receiver.deliveries.recv_timeout(Duration::from_millis(50)) {
                deliver(&mut client, &delivered.headers, &delivered.body)?;
            }
        }
        // New keys for the account don't change that secret.
        bed.db
            .execute("select easysync.set_credentials('shop', '{\"file\": \"shop.json\"}')", &[])?;
        assert_eq!(actions(&register(bed, &receiver.url)?, "kept"), 14);

        // WooCommerce switched one off; the daily look makes a new one.
        let rest = bed.simulator.rest()?;
        let hooks = rest.list("webhooks")?;
        let hook =
            hooks.iter().find(|hook| hook["topic"] == "order.updated").context("the hook")?;
        rest.put(&format!("webhooks/{}", hook["id"]), &json!({"status": "disabled"}))?;
        bed.db.execute(
            "update easysync_internal.connections set webhooks_checked_at = now() - interval '2 days'",
            &[],
        )?;
        bed.cluster.stop(easysync_tests::cluster::Stop::Fast)?;
        bed.cluster.start()?;
        bed.reconnect_patiently()?;
        let repaired = "exists (select from easysync.sync_logs where operation = 'webhook'
                         and message = 'webhooks were repaired: order.updated repaired')";
        bed.wait_until(repaired, SOON)?;
        assert_eq!(actions(&register(bed, &receiver.url)?, "kept"), 14);
        assert_eq!(rest.list("webhooks")?.len(), hooks.len());
        Ok(())
    })
}

/// What a bad network does to deliveries.
fn spoil(random: &mut fastrand::Rng, waiting: Vec<Delivered>) -> Vec<Delivered> {
    let mut spoilt = vec![];
    for delivered in waiting {
        match random.u8(0..10) {
            0..=2 => {}
            3 | 4 => spoilt.extend([delivered.clone(), delivered]),
            _ => spoilt.push(delivered),
        }
    }
    random.shuffle(&mut spoilt);
    spoilt
}

#[test]
fn lost_doubled_and_shuffled_deliveries_end_with_the_hub_like_the_shop() -> Result<()> {
    with_bed("webhooks-spoilt", delivering(), |bed| {
        bed.connect_shop()?;
        bed.sync_well("orders", "full")?;
        let receiver = Receiver::start()?;
        register(bed, &receiver.url)?;
        let mut random = fastrand::Rng::with_seed(26);
        let rest = bed.simulator.rest()?;
        let mut delivered = 0;
        for round in 0..12 {
            for _ in 0..random.usize(1..=8) {
                something_happens(&rest, &mut random)?;
            }
            std::thread::sleep(Duration::from_millis(150));
            let waiting: Vec<Delivered> = receiver.deliveries.try_iter().collect();
            let mut client = bed.client()?;
            for Delivered { headers, body } in spoil(&mut random, waiting) {
                deliver(&mut client, &headers, &body)?;
                delivered += 1;
            }
            if round % 4 == 3 {
                // The worker is away for a while, in the middle of it.
                let stop = "select pg_terminate_backend(pid) from pg_stat_activity
                             where backend_type = 'easysync worker'";
                bed.db.execute(stop, &[])?;
            }
        }
        ensure!(delivered > 30, "only {delivered} deliveries");
        bed.wait_until(NONE_OPEN, Duration::from_secs(60))?;
        // The next capture, with its look at all ids.
        bed.sync_well("orders", "incremental")?;
        let walk = "update easysync_internal.sync_state set cursor = cursor
            || '{\"last_id_walk_at\": \"2020-01-01T00:00:00Z\", \"last_full_at\": \"2020-01-01T00:00:00Z\"}'";
        bed.db.execute(walk, &[])?;
        bed.sync_well("orders", "incremental")?;
        let shop = bed.simulator.shop()?;
        let left = differences(&mut bed.db, "shop", &shop)?;
        // A refund that went with its order leaves no trace at all: that takes a full run.
        ensure!(left.iter().all(|one| one.starts_with("refund ")), "{left:#?}");
        bed.sync_well("orders", "full")?;
        assert_eq!(differences(&mut bed.db, "shop", &shop)?, Vec::<String>::new());
        Ok(())
    })
}

#[test]
fn what_leaves_no_trace_is_found_by_the_next_walk_or_full_run() -> Result<()> {
    with_bed("webhooks-traceless", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.sync_well("orders", "full")?;
        let shop = bed.simulator.shop()?;
        let rest = bed.simulator.rest()?;
        // Hard deletes.
        let order = id_of(shop.live_orders()[5]);
        rest.delete(&format!("orders/{order}?force=true"))?;
        let gone = format!(
            "(select deleted_at is not null from commerce.orders where source_id = '{order}')"
        );
        bed.db.execute(
            "update easysync_internal.sync_state set cursor = cursor
             || '{\"last_id_walk_at\": \"2020-01-01T00:00:00Z\", \"last_full_at\": \"2020-01-01T00:00:00Z\"}'",
            &[],
        )?;
        bed.sync_well("orders", "incremental")?;
        assert!(bed.db.query_one(&format!("select {gone}"), &[])?.get::<_, bool>(0));
        // A deleted refund, and the customer of an order deleted: neither moves a date.
        let refund = shop
            .refunds
            .iter()
            .find(|r| r["parent_id"].as_u64() != order.parse().ok())
            .context("a refund")?;
        rest.delete(&format!(
            "orders/{}/refunds/{}?force=true",
            refund["parent_id"], refund["id"]
        ))?;
        let buyer = shop
            .live_orders()
            .into_iter()
            .find(|o| o["customer_id"] != 0 && id_of(o) != order)
            .context("a buyer")?;
        rest.delete(&format!("customers/{}?force=true&reassign=0", buyer["customer_id"]))?;
        bed.sync_well("orders", "incremental")?;
        bed.sync_well("orders", "full")?;
        let shop = bed.simulator.shop()?;
        assert_eq!(differences(&mut bed.db, "shop", &shop)?, Vec::<String>::new());

        // A parent's stock moves what its variations show, and none of their dates.
        let inherits = |v: &&serde_json::Value| v["manage_stock"] == "parent";
        let variation = id_of(shop.variations.iter().find(inherits).context("inherited stock")?);
        let moved = json!({"id": variation.parse::<u64>()?, "set": {"/stock_quantity": 5}});
        bed.simulator.fault("spoil_record", moved, serde_json::Value::Null)?;
        let stock =
            format!("select stock_quantity from commerce.products where source_id = '{variation}'");
        bed.sync_well("products", "incremental")?;
        assert_ne!(bed.text(&stock)?.as_deref(), Some("5"));
        bed.sync_well("products", "full")?;
        assert_eq!(bed.text(&stock)?.as_deref(), Some("5"));
        Ok(())
    })
}
