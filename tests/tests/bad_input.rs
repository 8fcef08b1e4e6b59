//! Bad input fails at the call, and the error names the valid choices or the cure.

use anyhow::{Context, Result};
use easysync_tests::bed::{Bed, Setup, credential_file, with_bed};
use easysync_tests::refusal::{Refusal, refused};
use serde_json::{Value, json};

const CONNECT: &str =
    "select easysync.connect($1, 'woocommerce', settings => $2, credentials => $3)";

/// `connect` with the shop's own address and keys but for what the test changes.
fn connect_refused(bed: &mut Bed, settings: &Value, credentials: &Value) -> Result<Refusal> {
    let refusal = refused(&mut bed.db, CONNECT, &[&"other", settings, credentials])
        .with_context(|| format!("{settings} {}", credentials["file"]))?;
    assert_eq!(bed.count("easysync.connections where connection = 'other'")?, 0);
    Ok(refusal)
}

fn own(bed: &Bed) -> (Value, Value) {
    let shop = &bed.simulator.state.woocommerce;
    (json!({"url": shop.https}), json!({"file": "shop.json"}))
}

#[test]
fn unknown_words_are_named_with_the_valid_ones() -> Result<()> {
    with_bed("bad-words", Setup::default(), |bed| {
        bed.connect_shop()?;
        let db = &mut bed.db;
        let refusal =
            refused(db, "select easysync.connect('x', 'shopify', settings => '{}')", &[])?;
        refusal.assert("22023", &["shopify", "woocommerce"]);

        for (call, sqlstate, words) in [
            ("trigger('order')", "22023", &["\"order\"", "orders", "customers", "refunds"][..]),
            ("trigger('orders', mode => 'fast')", "22023", &["fast", "incremental", "full"]),
            ("trigger('orders', connection => 'shp')", "YS404", &["shp", "shop"]),
            (
                "trigger('orders', filters => '{\"colour\":\"red\"}')",
                "22023",
                &["colour", "status"],
            ),
            (
                "trigger('orders', filters => '{\"status\":\"paid\"}')",
                "22023",
                &["paid", "processing", "completed"],
            ),
            (
                "trigger('orders', filters => '{\"created_since\":\"last week\"}')",
                "22023",
                &["created_since", "last week"],
            ),
            ("trigger('orders', mode => 'full', ids => '{1}')", "22023", &["ids", "full"]),
            ("trigger('orders', ids => '{one}')", "22023", &["one", "id"]),
            ("test_connection('shp')", "YS404", &["shp", "shop"]),
            ("enable('shp')", "YS404", &["shp", "shop"]),
            ("set_stream('shop', 'order')", "22023", &["\"order\"", "orders"]),
            (
                "set_stream('shop', 'orders', direction => 'sideways')",
                "22023",
                &["sideways", "pull", "off"],
            ),
            ("set_setting('colour', 'red')", "22023", &["colour", "log_level"]),
            ("set_setting('log_level', 'loud')", "22023", &["loud", "debug", "error"]),
            ("sync_status(4711)", "YS404", &["4711"]),
            ("cancel(4711)", "YS404", &["4711"]),
            ("retry_failure(4711)", "YS404", &["4711"]),
        ] {
            let refusal = refused(db, &format!("select easysync.{call}"), &[])?;
            eprintln!("{call}: {} | {}", refusal.message, refusal.hint);
            refusal.assert(sqlstate, words);
        }
        Ok(())
    })
}

#[test]
fn a_connection_that_can_not_work_is_refused_with_the_cure() -> Result<()> {
    with_bed("bad-connections", Setup::default(), |bed| {
        let (_, credentials) = own(bed);
        let https = bed.simulator.state.woocommerce.https.clone();
        let http = bed.simulator.state.woocommerce.http.clone();
        // A port that nobody listens on.
        let closed = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
            format!("https://{}", listener.local_addr()?)
        };
        for (settings, sqlstate, words) in [
            (json!({"url": "shop dot example"}), "YS422", &["url", "https://"][..]),
            (json!({"url": "ftp://shop.example"}), "YS422", &["https"]),
            (json!({}), "YS422", &["url"]),
            (json!({"url": 5}), "YS422", &["url"]),
            (json!({"url": "http://shop.example"}), "YS422", &["https", "allow_http"]),
            (json!({"url": https, "colour": "red"}), "YS422", &["colour"]),
            (json!({"url": "https://10.1.2.3"}), "YS422", &["private", "allowed_private_hosts"]),
            (json!({"url": "https://169.254.169.254"}), "YS422", &["allowed_private_hosts"]),
            (json!({"url": "https://[::1]:8443"}), "YS422", &["allowed_private_hosts"]),
            (json!({"url": closed}), "YS503", &["refused"]),
            (json!({"url": "https://nobody.invalid"}), "YS503", &["nobody.invalid"]),
            (json!([1, 2]), "22023", &["object"]),
        ] {
            let refusal = connect_refused(bed, &settings, &credentials)?;
            eprintln!("{settings}: {} | {}", refusal.message, refusal.hint);
            refusal.assert(sqlstate, words);
        }
        // Plain http is refused even to a listed private host, until the connection allows it.
        let refusal = connect_refused(bed, &json!({"url": http}), &credentials)?;
        refusal.assert("YS422", &["https", "allow_http"]);
        Ok(())
    })
}

#[test]
fn keys_that_do_not_fit_are_refused_with_the_cure() -> Result<()> {
    with_bed("bad-keys", Setup::default(), |bed| {
        let (settings, _) = own(bed);
        let key = bed.simulator.key("read_write")?.clone();
        let write_only = serde_json::to_value(bed.simulator.key("write_only")?)?;
        let read_only = serde_json::to_value(bed.simulator.key("read_only")?)?;
        let customer = serde_json::to_value(bed.simulator.key("customer_role")?)?;
        let wrong_key = json!({"consumer_key": "ck_0", "consumer_secret": key.consumer_secret});
        let wrong_secret = json!({"consumer_key": key.consumer_key, "consumer_secret": "cs_0"});
        for (credentials, sqlstate, words) in [
            (wrong_key, "YS401", &["credentials", "easysync.set_credentials"][..]),
            (wrong_secret, "YS401", &["easysync.set_credentials"]),
            (read_only, "YS401", &["write", "easysync.set_credentials"]),
            (write_only, "YS401", &["may only write", "easysync.set_credentials"]),
            (customer, "YS401", &["administrator"]),
            (json!({"consumer_key": "ck_1"}), "YS422", &["consumer_secret"]),
            (json!({"consumer_key": 1, "consumer_secret": "cs_1"}), "YS422", &["consumer_key"]),
            (json!(["ck_1", "cs_1"]), "22023", &["object"]),
        ] {
            let refusal = connect_refused(bed, &settings, &credentials)?;
            eprintln!("{}: {} | {}", sqlstate, refusal.message, refusal.hint);
            refusal.assert(sqlstate, words);
            assert!(!refusal.text().contains(&key.consumer_secret), "{refusal:?}");
        }
        Ok(())
    })
}

#[test]
fn a_credential_file_outside_its_directory_is_refused() -> Result<()> {
    with_bed("bad-files", Setup::default(), |bed| {
        let (settings, _) = own(bed);
        let secret = json!({"consumer_key": "ck_planted", "consumer_secret": "cs_planted"});
        let outside = bed.cluster.dir().join("outside.json");
        easysync_tests::process::private_file(
            bed.cluster.environment(),
            &outside,
            &secret.to_string(),
        )?;
        std::os::unix::fs::symlink(&outside, bed.cluster.credential_dir().join("link.json"))?;
        credential_file(&bed.cluster, "list.json", &json!([1]))?;
        for name in [
            "../outside.json",
            outside.to_str().unwrap_or_default(),
            "link.json",
            "nothing.json",
            ".",
            "",
            "list.json",
        ] {
            let refusal = connect_refused(bed, &settings, &json!({"file": name}))?;
            refusal.assert("22023", &["easysync.credential_dir"]);
            assert!(!refusal.text().contains("planted"), "{refusal:?}");
        }
        Ok(())
    })
}

#[test]
fn a_private_address_that_nobody_listed_is_refused_without_a_call() -> Result<()> {
    let setup = Setup { allow_private: false, ..Setup::default() };
    with_bed("private-address", setup, |bed| {
        let (settings, credentials) = own(bed);
        let refusal = connect_refused(bed, &settings, &credentials)?;
        refusal.assert("YS422", &["easysync.allowed_private_hosts"]);
        assert_eq!(bed.simulator.calls()?, 0);
        Ok(())
    })
}

#[test]
fn json_of_the_wrong_shape_is_no_shop() -> Result<()> {
    with_bed("wrong-shape", Setup::default(), |bed| {
        let (settings, credentials) = own(bed);
        for body in ["{\"hello\": \"world\"}", "[1, 2, 3]", "<html><body>Welcome</body></html>"] {
            bed.simulator.fault("replace_body", json!({"body": body}), Value::Null)?;
            let refusal = connect_refused(bed, &settings, &credentials)?;
            eprintln!("{body}: {refusal:?}");
            assert!(refusal.sqlstate.starts_with("YS"), "{refusal:?}");
            assert!(!refusal.hint.is_empty(), "{refusal:?}");
            bed.simulator.clear_faults()?;
        }
        Ok(())
    })
}

#[test]
fn record_ids_that_do_not_exist_are_reported_by_the_sync() -> Result<()> {
    with_bed("no-such-records", Setup::default(), |bed| {
        bed.connect_shop()?;
        let id: i64 =
            bed.db.query_one("select easysync.trigger('orders', ids => '{99999999}')", &[])?.get(0);
        let run = bed.wait(id)?;
        let told = bed.count(
            "easysync.sync_logs where level <> 'debug'
             and (record_id = '99999999' or message like '%99999999%')",
        )?;
        assert!(told > 0, "{run:?}");
        Ok(())
    })
}
