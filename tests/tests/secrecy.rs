//! No secret and nobody's e-mail, phone or address leaves the hub: not into the server's log, the
//! log rows, the activity view or an error's text.

use anyhow::Result;
use easysync_tests::bed::{Bed, Setup, credential_file, with_bed};
use easysync_tests::cluster::Options;
use serde_json::json;
use std::time::Duration;

/// Values that stand nowhere else, planted in the shop.
const PLANTED: [&str; 5] = [
    "zelda.quartz@planted.test",
    "+15550199887",
    "77 Planted Sycamore Lane",
    "Zeldina",
    "Quartzworthy",
];

fn assert_clean(what: &str, text: &str, secrets: &[String]) {
    for secret in PLANTED.iter().map(|s| s.to_string()).chain(secrets.iter().cloned()) {
        if let Some(at) = text.find(&secret) {
            let line = text[..at].lines().last().unwrap_or_default();
            panic!("{what} holds a planted value ({}...): {line}", &secret[..4]);
        }
    }
}

/// Makes one order of the shop unreadable in a way that tempts an error to quote its values.
fn plant(bed: &Bed) -> Result<String> {
    let shop = bed.simulator.shop()?;
    let id = shop.live_orders()[7]["id"].to_string();
    let person = json!({
        "first_name": PLANTED[3], "last_name": PLANTED[4], "email": PLANTED[0],
        "phone": PLANTED[1], "address_1": PLANTED[2], "city": "Calgary",
    });
    bed.simulator.update_order(&id, &json!({"billing": person, "shipping": person}))?;
    Ok(id)
}

#[test]
fn neither_secrets_nor_people_show_in_logs_activity_or_errors() -> Result<()> {
    // The server logs as much as it can, statements included.
    let setup = Setup {
        cluster: Options::default().set("log_min_messages", "debug1").set("log_statement", "all"),
        ..Setup::default()
    };
    with_bed("secrecy", setup, |bed| {
        let keys = bed.simulator.key("read_write")?;
        let secrets = vec![keys.consumer_key.clone(), keys.consumer_secret.clone()];
        bed.db.batch_execute("select easysync.set_setting('log_level', 'debug')").ok();
        let id = plant(bed)?;
        bed.connect_shop()?;
        bed.sync_well("orders", "incremental")?;

        // An application's trigger that quotes the row, a shop that sends garbage, a wrong secret.
        bed.db.batch_execute(
            "create function refuse() returns trigger language plpgsql as $$
             begin raise exception 'refused: %', new; end $$;
             create trigger refuse before update on commerce.orders
             for each row execute function refuse()",
        )?;
        bed.simulator.update_order(&id, &json!({"customer_note": PLANTED[2]}))?;
        let run = bed.sync("orders", "incremental")?;
        assert_eq!(run.failed, 1, "{run:?}");
        bed.simulator.fault("truncate", json!({"bytes": 2_000}), json!({"path": "/orders"}))?;
        let run = bed.sync("orders", "full")?;
        assert_ne!(run.status, "succeeded", "{run:?}");
        bed.simulator.clear_faults()?;
        let wrong = json!({"consumer_key": secrets[0], "consumer_secret": "cs_wrong"});
        credential_file(&bed.cluster, "wrong.json", &wrong)?;
        let error = bed
            .db
            .batch_execute("select easysync.set_credentials('shop', '{\"file\":\"wrong.json\"}')")
            .expect_err("a wrong secret was accepted");
        assert_clean("the error", &format!("{error:?}"), &secrets);

        for (what, query) in [
            ("sync_logs", "select string_agg(l::text, E'\\n') from easysync.sync_logs l"),
            ("sync_runs", "select string_agg(r::text, E'\\n') from easysync.sync_runs r"),
            ("sync_failures", "select string_agg(f::text, E'\\n') from easysync.sync_failures f"),
            ("connections", "select string_agg(c::text, E'\\n') from easysync.connections c"),
            ("health", "select easysync.health()"),
            (
                "pg_stat_activity",
                "select string_agg(a::text, E'\\n') from pg_stat_activity a
                 where backend_type like 'easysync%'",
            ),
        ] {
            let text = bed.text(query)?.unwrap_or_default();
            assert_clean(what, &text, &secrets);
        }
        assert!(bed.count("easysync.sync_logs")? > 0);
        std::thread::sleep(Duration::from_millis(200));
        // What our own client typed is the client's doing, not ours.
        let log: String = bed
            .cluster
            .log()
            .lines()
            .filter(|line| !line.contains("statement:") && !line.contains("execute "))
            .collect::<Vec<_>>()
            .join("\n");
        assert_clean("the server's log", &log, &secrets);
        Ok(())
    })
}
