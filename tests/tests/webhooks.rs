//! Webhooks end to end: deliveries go in as they came, the worker verifies them, fetches the records,
//! and the hub follows the shop. How one is judged and how they are gathered is the engine's affair
//! (engine/src/webhook).

use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::compare::{differences, shop::id_of};
use easysync_tests::hooks::{connect_with_secret, deliver, signed};
use easysync_tests::receiver::{Delivered, Receiver};
use easysync_tests::torture::pulls::shopping::something_happens;
use postgres::Client;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);
const NONE_OPEN: &str = "(select count(*) = 0 from easysync.webhook_events
    where status in ('received', 'accepted'))";

/// A session that may deliver and nothing else.
fn deliverer(bed: &mut Bed) -> Result<Client> {
    bed.db.batch_execute("create role hook login; grant easysync_webhook to hook")?;
    let mut client = bed.client()?;
    client.batch_execute("set session authorization hook")?;
    Ok(client)
}

/// A recorded delivery.
fn recorded(bed: &Bed, name: &str) -> Result<(Value, String)> {
    let folder = bed.cluster.environment().root.join("simulator/fixtures/woocommerce/webhooks");
    let text = std::fs::read_to_string(folder.join(format!("{name}.headers")))?;
    let headers: serde_json::Map<String, Value> = text
        .lines()
        .skip(2)
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    let body = std::fs::read_to_string(folder.join(format!("{name}.body")))?;
    Ok((Value::Object(headers), body))
}

fn recorded_names(bed: &Bed) -> Result<Vec<String>> {
    let folder = bed.cluster.environment().root.join("simulator/fixtures/woocommerce/webhooks");
    let mut names = vec![];
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().into_string().unwrap_or_default();
        names.extend(name.strip_suffix(".body").map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

#[test]
fn recorded_deliveries_go_in_as_they_are() -> Result<()> {
    with_bed("webhooks-recorded", Setup::default(), |bed| {
        connect_with_secret(bed)?;
        bed.sync_well("orders", "full")?;
        let names = recorded_names(bed)?;
        assert_eq!(names.len(), 96);
        let mut hook = deliverer(bed)?;
        for name in &names {
            let (headers, body) = recorded(bed, name)?;
            deliver(&mut hook, &headers, &body)?;
        }
        bed.wait_until(NONE_OPEN, SOON)?;
        let of = |bed: &mut Bed, condition: &str| {
            bed.count(&format!("easysync.webhook_events where {condition}"))
        };
        assert_eq!(
            of(bed, "status = 'rejected' and status_reason = 'the signature does not match'")?,
            6
        );
        assert_eq!(of(bed, "status = 'ignored' and status_reason = 'ping'")?, 17);
        // Of the 73 genuine ones, those that speak of a record of the shop were fetched, the others not.
        let shop = bed.simulator.shop()?;
        // Drafts of the checkout aren't synced.
        let orders: Vec<Value> = shop.live_orders().into_iter().cloned().collect();
        let kinds = [
            ("order", &orders),
            ("order", &shop.trashed_orders),
            ("product", &shop.products),
            ("customer", &shop.customers),
        ];
        let there: BTreeSet<(&str, String)> = kinds
            .into_iter()
            .flat_map(|(kind, records)| records.iter().map(move |record| (kind, id_of(record))))
            .collect();
        let rows = bed.db.query(
            "select event_id, status, status_reason, topic, remote_ids from easysync.webhook_events
             where status_reason is distinct from 'ping' and status <> 'rejected'",
            &[],
        )?;
        assert_eq!(rows.len(), 73);
        let (mut fetched, mut unknown) = (0, 0);
        for row in rows {
            let (status, reason): (String, Option<String>) = (row.get(1), row.get(2));
            let ids: Vec<String> = row.get::<_, Option<Vec<String>>>(4).unwrap_or_default();
            let topic: Option<String> = row.get(3);
            let kind = topic.as_deref().and_then(|topic| topic.split('.').next()).unwrap_or("");
            let known = |id: &String| there.contains(&(kind, id.clone()));
            match (status.as_str(), reason.as_deref()) {
                ("ignored", Some("no such record there, or only a draft")) => {
                    unknown += 1;
                    assert!(!ids.iter().any(known), "{topic:?} {ids:?}");
                }
                ("processed", _) => {
                    fetched += 1;
                    assert!(ids.iter().any(known), "{topic:?} {ids:?} {reason:?}");
                }
                ("ignored", Some(_)) => assert_eq!(ids, [""; 0], "{topic:?} {reason:?}"),
                other => panic!("{topic:?}: {other:?}"),
            }
        }
        ensure!(unknown > 10, "{fetched} fetched, {unknown} unknown");
        assert_eq!(differences(&mut bed.db, "shop", &shop)?, Vec::<String>::new());
        assert_eq!(bed.count("easysync.sync_failures")?, 0);
        // Whoever delivers may do nothing else.
        for forbidden in [
            "select body from easysync.webhook_events",
            "select easysync.health()",
            "insert into easysync.webhook_events (connection, headers, body, status) values ('shop', '{}', '', 'accepted')",
        ] {
            let error = hook.batch_execute(forbidden).expect_err(forbidden);
            assert_eq!(error.code().map(|code| code.code()), Some("42501"), "{forbidden}");
        }
        Ok(())
    })
}

#[test]
fn three_duplicates_in_a_second_fetch_once() -> Result<()> {
    with_bed("webhooks-duplicates", Setup::default(), |bed| {
        connect_with_secret(bed)?;
        bed.sync_well("orders", "full")?;
        let id = id_of(&bed.simulator.shop()?.orders[0]);
        bed.simulator.update_order(&id, &json!({"customer_note": "seen by webhook"}))?;
        let body = bed.simulator.rest()?.get(&format!("orders/{id}"))?.to_string();
        let headers = signed(&mut bed.db, "order.updated", &body)?;
        bed.simulator.reset_calls()?;
        for _ in 0..3 {
            let row = bed
                .db
                .query_one("select easysync.receive_webhook('shop', $1, $2)", &[&headers, &body])?;
            ensure!(row.get::<_, i64>(0) > 0);
            std::thread::sleep(Duration::from_millis(300));
        }
        bed.wait_until(NONE_OPEN, SOON)?;
        assert_eq!(bed.simulator.record_fetches()?, 1);
        assert_eq!(bed.count("easysync.sync_runs where triggered_by = 'webhook'")?, 1);
        assert_eq!(bed.count("easysync.webhook_events where status = 'processed'")?, 3);
        let note = format!("select customer_note from commerce.orders where source_id = '{id}'");
        assert_eq!(bed.text(&note)?.as_deref(), Some("seen by webhook"));
        Ok(())
    })
}

#[test]
fn a_wrong_signature_answers_401_and_leaves_nothing_behind() -> Result<()> {
    with_bed("webhooks-refused", Setup::default(), |bed| {
        connect_with_secret(bed)?;
        let body = r#"{"id":999999}"#;
        let good = signed(&mut bed.db, "order.updated", body)?;
        let code = |error: postgres::Error| error.code().map(|code| code.code().to_owned());
        let receive = "select easysync.receive_webhook('shop', $1, $2)";
        let mut bad = good.clone();
        bad["x-wc-webhook-signature"] = json!("AAAA");
        for (headers, text) in [(&bad, body), (&good, "{\"id\": 999999}"), (&json!({}), body)] {
            let error = bed.db.query_one(receive, &[headers, &text]).expect_err("401");
            assert_eq!(code(error).as_deref(), Some("PT401"));
        }
        let error = bed
            .db
            .query_one("select easysync.receive_webhook('shp', $1, $2)", &[&good, &body])
            .expect_err("404");
        assert_eq!(code(error).as_deref(), Some("YS404"));
        let ping: i64 = bed.db.query_one(receive, &[&json!({}), &"webhook_id=3"])?.get(0);
        assert_eq!(ping, 0);

        // As PostgREST calls it: as anon, with the headers in a setting, the body as it came.
        bed.db.batch_execute(
            "create role anon; grant usage on schema easysync to anon;
             grant execute on function easysync.postgrest_webhook(json) to anon",
        )?;
        let call = |db: &mut Client, headers: &Value, body: &str| {
            let quoted = format!("'{}'", body.replace('\'', "''"));
            let mut transaction = db.transaction()?;
            transaction.execute(
                "select set_config('request.headers', $1, true)",
                &[&headers.to_string()],
            )?;
            transaction.batch_execute("set local role anon")?;
            transaction.batch_execute(&format!("select easysync.postgrest_webhook({quoted})"))?;
            transaction.commit()
        };
        let error = call(&mut bed.db, &bad, body).expect_err("401");
        assert_eq!(code(error).as_deref(), Some("PT401"));
        let error = call(&mut bed.db, &good, "{\"id\":\t999999}").expect_err("re-encoded");
        assert_eq!(code(error).as_deref(), Some("PT401"));
        assert_eq!(bed.count("easysync.webhook_events")?, 0);
        call(&mut bed.db, &good, body)?;
        bed.wait_until(NONE_OPEN, SOON)?;
        let row = bed.db.query_one(
            "select connection, status, status_reason from easysync.webhook_events",
            &[],
        )?;
        let told: (String, String, String) = (row.get(0), row.get(1), row.get(2));
        assert_eq!(
            told,
            ("shop".into(), "ignored".into(), "no such record there, or only a draft".into())
        );
        // Larger than any delivery.
        let large = "x".repeat((2 << 20) + 1);
        let error = bed
            .db
            .execute(
                "insert into easysync.webhook_events (connection, headers, body) values ('shop', '{}', $1)",
                &[&large],
            )
            .expect_err("too large");
        assert_eq!(code(error).as_deref(), Some("23514"));
        Ok(())
    })
}

#[test]
fn a_burst_of_a_thousand_costs_little_more_than_its_records() -> Result<()> {
    with_bed("webhooks-burst", Setup::default(), |bed| {
        connect_with_secret(bed)?;
        bed.sync_well("orders", "full")?;
        let shop = bed.simulator.shop()?;
        let ids: Vec<String> =
            shop.live_orders().iter().take(100).map(|order| id_of(order)).collect();
        for id in &ids {
            bed.simulator.update_order(id, &json!({"customer_note": format!("burst {id}")}))?;
        }
        let mut deliveries = vec![];
        for event in 0..1000 {
            let body = json!({"id": ids[event % 100].parse::<u64>()?, "n": event}).to_string();
            deliveries.push((signed(&mut bed.db, "order.updated", &body)?, body));
        }
        let mut hook = deliverer(bed)?;
        bed.simulator.reset_calls()?;
        for (headers, body) in &deliveries {
            deliver(&mut hook, headers, body)?;
        }
        bed.wait_until(NONE_OPEN, SOON)?;
        let fetches = bed.simulator.record_fetches()?;
        ensure!((100..=120).contains(&fetches), "{fetches} records fetched");
        assert_eq!(bed.count("easysync.webhook_events where status = 'processed'")?, 1000);
        assert_eq!(bed.count("commerce.orders where customer_note = 'burst ' || source_id")?, 100);
        Ok(())
    })
}

#[test]
fn deliveries_for_a_paused_connection_are_kept_and_marked() -> Result<()> {
    with_bed("webhooks-kept", Setup::default(), |bed| {
        connect_with_secret(bed)?;
        bed.sync_well("orders", "full")?;
        let id = id_of(bed.simulator.shop()?.live_orders()[0]);
        let body = format!("{{\"id\":{id}}}");
        let headers = signed(&mut bed.db, "order.updated", &body)?;
        bed.db.execute("select easysync.disable('shop')", &[])?;
        deliver(&mut bed.client()?, &headers, &body)?;
        let marked = "exists (select from easysync.webhook_events where status = 'accepted'
                       and status_reason = 'kept: \"shop\" is not connected now')";
        bed.wait_until(marked, SOON)?;
        bed.simulator.update_order(&id, &json!({"customer_note": "while paused"}))?;
        bed.db.execute("select easysync.enable('shop')", &[])?;
        bed.wait_until(NONE_OPEN, SOON)?;
        let note = format!("select customer_note from commerce.orders where source_id = '{id}'");
        assert_eq!(bed.text(&note)?.as_deref(), Some("while paused"));

        // Switched off for the connection: kept, and not acted on.
        bed.db.execute("select easysync.alter_connection('shop', '{\"webhooks\": false}')", &[])?;
        deliver(&mut bed.client()?, &signed(&mut bed.db, "order.deleted", &body)?, &body)?;
        bed.db.execute(
            "insert into easysync.webhook_events (connection, headers, body) values ('shp', '{}', '')",
            &[],
        )?;
        bed.wait_until(NONE_OPEN, SOON)?;
        let rows = bed.db.query(
            "select status, status_reason from easysync.webhook_events order by event_id",
            &[],
        )?;
        let told: Vec<(String, Option<String>)> =
            rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let wanted = [
            ("processed", None),
            ("ignored", Some("webhooks are switched off")),
            ("rejected", Some("unknown connection")),
        ];
        assert_eq!(
            told,
            wanted.map(|(status, reason)| (status.to_owned(), reason.map(str::to_owned)))
        );

        // Retention: bodies first, rows later.
        let age = |bed: &mut Bed, age: &str| {
            bed.db.execute(
                &format!("update easysync_internal.webhook_events set processed_at = now() - interval '{age}'"),
                &[],
            )
        };
        age(bed, "6 days")?;
        bed.db.execute("select easysync_internal.drop_old_webhooks()", &[])?;
        assert_eq!(bed.count("easysync.webhook_events where body <> ''")?, 2);
        age(bed, "8 days")?;
        bed.db.execute("select easysync_internal.drop_old_webhooks()", &[])?;
        assert_eq!(bed.count("easysync.webhook_events where body = '' and headers = '{}'")?, 3);
        age(bed, "31 days")?;
        bed.db.execute("select easysync_internal.drop_old_webhooks()", &[])?;
        assert_eq!(bed.count("easysync.webhook_events")?, 0);
        Ok(())
    })
}

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
        Ok(())
    })
}
