//! Webhooks end to end: deliveries go in as they came, the worker verifies them, fetches the records,
//! and the hub follows the shop. How one is judged and how they are gathered is the engine's affair
//! (engine/src/webhook).

use anyhow::{Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::compare::{differences, shop::id_of};
use easysync_tests::hooks::{connect_with_secret, deliver, signed};
use postgres::Client;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

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

/// Whoever delivers may do nothing else.
fn may_only_deliver(hook: &mut Client) {
    for forbidden in [
        "select body from easysync.webhook_events",
        "select easysync.health()",
        "insert into easysync.webhook_events (connection, headers, body, status) values ('shop', '{}', '', 'accepted')",
    ] {
        let error = hook.batch_execute(forbidden).expect_err(forbidden);
        assert_eq!(error.code().map(|code| code.code()), Some("42501"), "{forbidden}");
    }
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
        may_only_deliver(&mut hook);
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
        assert_eq!(code(error).as_deref(), Some("22023"));
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

#[test]
fn a_fetch_that_fails_is_tried_again() -> Result<()> {
    with_bed("webhooks-retried", Setup::default(), |bed| {
        connect_with_secret(bed)?;
        bed.sync_well("orders", "full")?;
        let id = id_of(bed.simulator.shop()?.live_orders()[0]);
        bed.simulator.update_order(&id, &json!({"customer_note": "second try"}))?;
        let body = format!("{{\"id\":{id}}}");
        let headers = signed(&mut bed.db, "order.updated", &body)?;
        // The shop refuses the key: the connection stops, and the delivery stays.
        let refusal = json!({"status": 401, "body": {"code": "woocommerce_rest_cannot_view",
            "message": "Sorry, you cannot list resources.", "data": {"status": 401}}});
        bed.simulator.fault("answer", refusal, json!({"path": "/orders"}))?;
        deliver(&mut bed.client()?, &headers, &body)?;
        let waits = "exists (select from easysync_internal.webhook_events where status = 'accepted'
            and sync_id is null and attempts = 1 and status_reason is not null
            and next_attempt_at between now() and now() + interval '2 minutes')";
        bed.wait_until(waits, SOON)?;
        bed.simulator.clear_faults()?;
        bed.db
            .execute("update easysync_internal.webhook_events set next_attempt_at = now()", &[])?;
        bed.db.execute("select easysync.enable('shop')", &[])?;
        bed.wait_until(NONE_OPEN, SOON)?;
        let note = format!("select customer_note from commerce.orders where source_id = '{id}'");
        assert_eq!(bed.text(&note)?.as_deref(), Some("second try"));
        assert_eq!(bed.count("easysync.webhook_events where status = 'processed'")?, 1);
        Ok(())
    })
}
