//! Stored credentials are wanted at another address.

use crate::Attack;
use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, credential_file, with_bed};
use easysync_tests::books::with_books;
use easysync_tests::receiver::Receiver;
use easysync_tests::refusal::refused;
use serde_json::{Value, json};
use std::time::Duration;

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack {
            name: "an_admin_who_alters_the_address_gets_no_stored_key",
            run: an_admin_alters_the_address,
        },
        Attack {
            name: "settings_changed_behind_the_functions_open_no_stored_key",
            run: settings_are_changed_behind_the_functions,
        },
        Attack {
            name: "a_sealed_row_moved_to_another_connection_or_tenant_stays_shut",
            run: a_sealed_row_is_moved,
        },
        Attack {
            name: "no_role_but_the_owner_calls_what_opens_credentials",
            run: the_library_is_called_directly,
        },
        Attack {
            name: "tokens_of_the_books_stay_with_company_environment_and_server",
            run: the_books_are_moved,
        },
        Attack {
            name: "no_redirect_of_the_token_endpoint_gets_a_token_or_the_apps_secret",
            run: the_token_endpoint_redirects,
        },
        Attack { name: "a_receivers_address_is_shown_to_no_viewer", run: a_receivers_address },
        Attack {
            name: "keys_follow_a_shop_to_https_and_not_back_to_http",
            run: a_shop_changes_its_scheme,
        },
    ]
}

const ALTER: &str = "select easysync.alter_connection('shop', $1, verify => $2)";

/// A server that whoever wants the keys listens on; the cluster may call it.
fn listener() -> Result<Receiver> {
    Receiver::start()
}

fn assert_silent(listener: &Receiver, what: &str) -> Result<()> {
    // A call that is under way has the time to arrive.
    let called = listener.deliveries.recv_timeout(Duration::from_millis(300));
    ensure!(called.is_err(), "{what}: the listener was called: {called:?}");
    Ok(())
}

fn settings(bed: &mut Bed, name: &str) -> Result<Value> {
    let text = bed
        .text(&format!("select settings from easysync.connections where connection = '{name}'"))?;
    Ok(serde_json::from_str(&text.context("no settings")?)?)
}

fn an_admin_alters_the_address() -> Result<()> {
    with_bed("attack-alter", Setup::default(), |bed| {
        let listener = listener()?;
        bed.connect_shop()?;
        let before = settings(bed, "shop")?;
        let url = bed.simulator.state.woocommerce.https.clone();
        let elsewhere = listener.url.trim_end_matches("/hooks").to_owned();
        let others = [
            json!({"url": elsewhere, "allow_http": true}),
            json!({"url": format!("{elsewhere}/shop"), "allow_http": true}),
            json!({"url": elsewhere.replace("http:", "https:")}),
            // The same server, as another place on it.
            json!({"url": format!("{url}/other")}),
            json!({"url": url.replace("127.0.0.1", "localhost")}),
        ];
        for other in &others {
            for verify in [true, false] {
                refused(&mut bed.db, ALTER, &[other, &verify])?
                    .assert("YS409", &["another account", "Nothing was sent", "disconnect"]);
            }
        }
        assert_silent(&listener, "alter_connection")?;
        ensure!(settings(bed, "shop")? == before, "the settings moved");
        // Other spellings of the same place are no other place.
        let spelled = json!({"url": format!("{}/", url.replace("https", "HTTPS"))});
        bed.db.execute(ALTER, &[&spelled, &true])?;
        bed.sync_well("orders", "incremental")?;

        // The listener does hear of keys that are given for it.
        let own = json!({"consumer_key": "ck_own", "consumer_secret": "cs_own"});
        credential_file(&bed.cluster, "own.json", &own)?;
        let connect =
            "select easysync.connect('own', 'woocommerce', $1, '{\"file\":\"own.json\"}')";
        ensure!(bed.db.execute(connect, &[&others[0]]).is_err(), "the listener is no shop");
        let called = listener.deliveries.recv_timeout(Duration::from_secs(5));
        ensure!(called.is_ok(), "the listener hears nothing, whatever is sent");
        Ok(())
    })
}

/// Somebody has come to write our table: as the worker, as a superuser by mistake, by a restore.
fn settings_are_changed_behind_the_functions() -> Result<()> {
    with_bed("attack-settings", Setup::default(), |bed| {
        let listener = listener()?;
        bed.connect_shop()?;
        let elsewhere = json!({"url": listener.url, "allow_http": true});
        bed.db.execute("update easysync_internal.connections set settings = $1", &[&elsewhere])?;
        for call in [
            "select easysync.enable('shop')",
            "select * from easysync.register_webhooks('shop', 'https://hooks.example/shop')",
            "select easysync.alter_connection('shop', '{\"page_size\": 50}')",
        ] {
            refused(&mut bed.db, call, &[])?.assert("YS401", &["don't open", "set_credentials"]);
        }
        let told = bed.text(
            "select string_agg(message, ' ') from easysync.test_connection('shop') where not ok",
        )?;
        ensure!(told.as_deref().unwrap_or_default().contains("don't open"), "{told:?}");
        let run = bed.sync("orders", "full")?;
        ensure!(run.status == "failed", "{run:?}");
        assert_silent(&listener, "calls under other settings")
    })
}

fn a_sealed_row_is_moved() -> Result<()> {
    with_bed("attack-moved", Setup::default(), |bed| {
        let listener = listener()?;
        bed.connect_shop()?;
        let bare = "select easysync.connect('thief', 'woocommerce', $1, null, verify => false)";
        let elsewhere = json!({"url": listener.url, "allow_http": true});
        bed.db.execute(bare, &[&elsewhere])?;
        bed.db.batch_execute("select easysync.add_tenant_member('postgres', 'default')")?;
        bed.db.batch_execute("select easysync.add_tenant_member('postgres', 'other')")?;
        bed.db.batch_execute("set easysync.tenant_id = 'other'")?;
        let same = json!({"url": bed.simulator.state.woocommerce.https});
        bed.db.execute(
            "select easysync.connect('shop', 'woocommerce', $1, null, verify => false)",
            &[&same],
        )?;
        bed.db.batch_execute(
            "update easysync_internal.connections as c set key_id = s.key_id, sealed = s.sealed
             from easysync_internal.connections as s
             where s.tenant_id = 'default' and s.name = 'shop' and c.sealed is null",
        )?;
        for (tenant, name) in [("default", "thief"), ("other", "shop")] {
            bed.db.batch_execute(&format!("set easysync.tenant_id = '{tenant}'"))?;
            refused(&mut bed.db, "select easysync.enable($1)", &[&name])?
                .assert("YS401", &["don't open"]);
        }
        assert_silent(&listener, "a moved row")
    })
}

/// Functions of the library that are given a connection's name, an address, or the keys' next step.
const DANGEROUS: &str = "select p.oid::regprocedure::text from pg_proc as p
      join pg_language as l on l.oid = p.prolang
     where l.lanname = 'c' and p.pronamespace = 'easysync_internal'::regnamespace
       and p.proargnames && array['connection', 'settings', 'callback_url', 'step']
     order by 1";

fn the_library_is_called_directly() -> Result<()> {
    with_bed("attack-library", Setup::default(), |bed| {
        let functions: Vec<String> =
            bed.db.query(DANGEROUS, &[])?.iter().map(|row| row.get(0)).collect();
        ensure!(functions.len() >= 10, "too few: {functions:?}");
        let roles = [
            "easysync_viewer",
            "easysync_operator",
            "easysync_admin",
            "easysync_webhook",
            "easysync_worker",
            "public",
        ];
        for function in &functions {
            for role in roles {
                let granted: bool = bed
                    .db
                    .query_one(
                        "select has_function_privilege($1::text::name, $2::text::regprocedure, 'execute')",
                        &[&role, function],
                    )?
                    .get(0);
                ensure!(!granted, "{role} may call {function}");
            }
        }
        // Whoever runs code as the worker asks for another tenant's keys.
        let listener = listener()?;
        bed.connect_shop()?;
        bed.db.batch_execute("set role easysync_worker")?;
        let elsewhere = json!({"url": listener.url, "allow_http": true});
        let open = "select easysync_internal.open_account('default', 'shop', 'woocommerce', $1, null, true)";
        let told = refused(&mut bed.db, open, &[&elsewhere])?;
        ensure!(told.sqlstate == "42501", "{told:?}");
        // Even the owner gets no answer for another address.
        bed.db.batch_execute("reset role")?;
        let told: Value = bed.db.query_one(open, &[&elsewhere])?.get(0);
        ensure!(told["errors"][0]["code"] == "other_account", "{told}");
        assert_silent(&listener, "the library")
    })
}

fn the_books_are_moved() -> Result<()> {
    with_books("attack-books-moved", "us_single", |bed, books| {
        let listener = listener()?;
        let elsewhere = listener.url.trim_end_matches("/hooks").to_owned();
        let alter = "select easysync.alter_connection('books', $1)";
        for other in [
            json!({"api_url": elsewhere.clone()}),
            json!({"oauth_url": elsewhere}),
            json!({"environment": "production"}),
            json!({"api_url": null, "oauth_url": null}),
        ] {
            refused(&mut bed.db, alter, &[&other])?.assert("YS409", &["another account"]);
        }
        // An answer that names another company: nobody is asked for its tokens.
        let callback = books.callback(bed)?.replace(&books.realm, "9341450000009999");
        let before = books.get(bed, "calls")?;
        refused(&mut bed.db, "select easysync.oauth_complete($1)", &[&callback])?
            .assert("YS409", &["another company"]);
        ensure!(books.get(bed, "calls")? == before, "the code was exchanged");
        // A realm put in the place of the company's: its tokens are for the other one.
        let column = "update easysync_internal.connections set account = $1 where name = 'books'";
        bed.db.execute(column, &[&"9341450000009999"])?;
        refused(&mut bed.db, "select easysync.enable('books')", &[])?
            .assert("YS401", &["don't open"]);
        let run = books.push(bed, "incremental")?;
        ensure!(run.status == "failed", "{run:?}");
        bed.db.execute(column, &[&books.realm])?;
        bed.db.batch_execute("select easysync.enable('books')")?;
        assert_silent(&listener, "the books")
    })
}

fn a_shop_changes_its_scheme() -> Result<()> {
    with_bed("attack-scheme", Setup::default(), |bed| {
        let shop = bed.simulator.state.woocommerce.clone();
        bed.connect_shop_with(&json!({"url": shop.http, "allow_http": true}))?;
        // Another port is another account: the simulated shop's two addresses can't show the move.
        refused(&mut bed.db, ALTER, &[&json!({"url": shop.https}), &true])?
            .assert("YS409", &["another account"]);
        // By the form alone: the usual ports.
        let public = json!({"url": "http://shop.example", "allow_http": true});
        let keys = json!({"consumer_key": "ck_1", "consumer_secret": "cs_1"});
        bed.db.execute(
            "select easysync.connect('public', 'woocommerce', $1, $2, verify => false)",
            &[&public, &keys],
        )?;
        let alter = "select easysync.alter_connection('public', $1, verify => false)";
        bed.db.execute(alter, &[&json!({"url": "https://shop.example"})])?;
        refused(&mut bed.db, alter, &[&public])?.assert("YS409", &["another account"]);
        let sealed = "select easysync_internal.open_account('default', 'public', 'woocommerce',
                      '{\"url\": \"https://shop.example\"}', null, false) -> 'errors'";
        ensure!(bed.text(sealed)?.is_none(), "the keys were lost on the way to https");
        Ok(())
    })
}

/// A 307 or 308 would send the form on, with refresh token, client id and secret.
fn the_token_endpoint_redirects() -> Result<()> {
    with_books("attack-token-redirect", "us_single", |bed, books| {
        let listener = listener()?;
        for status in [302, 307, 308] {
            books.act(bed, "expire_access", &json!({}))?;
            let answer = json!({
                "fault": "answer", "status": status, "headers": {"location": listener.url},
                "body": "", "match": {"path": "/oauth2/v1/tokens"},
            });
            bed.simulator.post("/quickbooks/faults", &answer)?;
            bed.db.batch_execute(
                "update commerce.orders set customer_note = clock_timestamp()::text where source_id = '175'",
            )?;
            let push = "select easysync.trigger('orders', connection => 'books', ids => '{175}')";
            let id: i64 = bed.db.query_one(push, &[])?.get(0);
            let run = books.wait(bed, id)?;
            ensure!(run.status == "failed", "{status}: {run:?}");
            bed.simulator.delete("/quickbooks/faults")?;
        }
        assert_silent(&listener, "the token endpoint's redirect")
    })
}

fn a_receivers_address() -> Result<()> {
    with_bed("attack-receiver", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.db.batch_execute(
            "update easysync_internal.connections set webhook_url = 'https://pos.example/hooks/s3cr3tpath',
                    webhooks_problem = 'it is switched off';
             create role looker login password 'x'; grant easysync_viewer to looker",
        )?;
        let shown = "select easysync.health()::text || (select string_agg(h::text, ' ') from easysync.connection_health as h)
                         || (select string_agg(c::text, ' ') from easysync.connections as c)";
        let all = bed.text(shown)?.context("nothing")?;
        ensure!(all.contains("s3cr3tpath"), "an operator is told whole: {all}");
        let mut config = bed.cluster.config(&bed.database);
        let mut viewer = config.user("looker").password("x").connect(postgres::NoTls)?;
        let theirs: String = viewer.query_one(shown, &[])?.get(0);
        ensure!(theirs.contains("register_webhooks") && !theirs.contains("s3cr3tpath"), "{theirs}");
        Ok(())
    })
}
