//! What a platform, or a trigger of the hub, writes: it may hold a name, a secret that it was sent, or
//! what steers a terminal.

use crate::Attack;
use anyhow::{Context, Result, ensure};
use base64::Engine;
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::receiver::Receiver;
use postgres::{Client, NoTls};
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack {
            name: "a_shops_words_reach_operators_masked_and_viewers_never",
            run: a_shops_words,
        },
        Attack {
            name: "a_triggers_words_reach_operators_masked_and_viewers_never",
            run: a_triggers_words,
        },
        Attack { name: "a_shop_that_echoes_what_it_is_sent_shows_no_secret", run: an_echo },
        Attack { name: "a_redirect_is_not_followed_and_shown_to_operators_alone", run: a_redirect },
        Attack { name: "a_shops_name_steers_no_terminal_and_no_log", run: a_shops_name },
        Attack { name: "a_huge_text_is_masked_in_no_time", run: a_huge_text },
    ]
}

/// A word of the platform's own, which nothing masks.
const MARK: &str = "custom-gateway-marker";

/// What must be shown to nobody.
const PLANTED: [&str; 6] =
    ["Quartz", "Sycamore", "zelda", "geheim-passwort", "0532 0130 00", "DE89370400440532013000"];

const WORDS: &str = "custom-gateway-marker: customer Zelda Quartz of 77 Planted Sycamore Lane, \
    zelda.q\\u0040mail.test or zelda＠mail.test, zelda at mail dot test, {\\\"first_name\\\": \\\"Quartz\\\"}, \
    password: geheim-passwort, https://user:geheim-passwort@x@db.test/, DE89 3704 0044 0532 0130 00";

fn sign_in(bed: &mut Bed, role: &str) -> Result<Client> {
    let user = format!("texts_{role}");
    bed.db
        .batch_execute(&format!("create role {user} login password 'x'; grant {role} to {user}"))?;
    let mut config = bed.cluster.config(&bed.database);
    config.user(&user).password("x").connect(NoTls).context("signing in")
}

/// Everything that somebody of the role sees of how things went.
fn seen(client: &mut Client) -> Result<String> {
    let mut all = String::new();
    for query in [
        "select string_agg(t::text, ' ') from easysync.sync_runs as t",
        "select string_agg(t::text, ' ') from easysync.sync_run_steps as t",
        "select string_agg(t::text, ' ') from easysync.sync_logs as t",
        "select string_agg(t::text, ' ') from easysync.sync_failures as t",
        "select string_agg(t::text, ' ') from easysync.connections as t",
        "select string_agg(t::text, ' ') from easysync.connection_health as t",
        "select easysync.health()::text",
        "select string_agg(easysync.sync_status(t.sync_id)::text, ' ') from easysync.sync_runs as t",
    ] {
        let text: Option<String> = client.query_one(query, &[]).context(query)?.get(0);
        all.push_str(&text.unwrap_or_default());
        all.push('\n');
    }
    Ok(all)
}

fn assert_split(bed: &mut Bed) -> Result<()> {
    let (mut viewer, mut operator) =
        (sign_in(bed, "easysync_viewer")?, sign_in(bed, "easysync_operator")?);
    let (theirs, all) = (seen(&mut viewer)?, seen(&mut operator)?);
    ensure!(all.contains(MARK), "operators aren't told: {all}");
    ensure!(!theirs.contains(MARK), "a viewer reads the original: {theirs}");
    // Behind a gateway the role counts that the request works as.
    bed.db.batch_execute(
        "create role texts_gateway noinherit login password 'x';
         grant easysync_viewer, easysync_operator to texts_gateway",
    )?;
    let mut config = bed.cluster.config(&bed.database);
    let mut gateway = config.user("texts_gateway").password("x").connect(NoTls)?;
    for (role, told) in [("easysync_viewer", false), ("easysync_operator", true)] {
        gateway.batch_execute(&format!("set role {role}"))?;
        ensure!(seen(&mut gateway)?.contains(MARK) == told, "{role} behind a gateway");
    }
    let log = bed.cluster.log();
    for planted in PLANTED {
        for (whose, text) in [("viewer", &theirs), ("operator", &all), ("server's log", &log)] {
            let at = text.to_lowercase().find(&planted.to_lowercase());
            ensure!(
                at.is_none(),
                "{whose}: {planted} in {}",
                &text[at.unwrap_or(0).saturating_sub(200)..][..300.min(text.len())]
            );
        }
    }
    Ok(())
}

fn a_shops_words() -> Result<()> {
    with_bed("attack-words", Setup::default(), |bed| {
        bed.connect_shop()?;
        let refusal = format!(
            "{{\"code\":\"shop_says\",\"message\":\"{WORDS}\",\"data\":{{\"status\":400}}}}"
        );
        let page =
            format!("<html><body><h1>Error</h1><p>{WORDS}</p></body></html>").replace("\\\"", "\"");
        for (status, body) in
            [(400, refusal.clone()), (403, refusal), (200, page.clone()), (503, page)]
        {
            let answer = json!({"status": status, "body": body});
            bed.simulator.fault("answer", answer, json!({"path": "/orders"}))?;
            let run = bed.sync("orders", "full")?;
            ensure!(run.status != "succeeded", "{status}: {run:?}");
            bed.simulator.clear_faults()?;
            bed.db.batch_execute("select easysync.enable('shop')")?;
        }
        assert_split(bed)
    })
}

fn a_triggers_words() -> Result<()> {
    with_bed("attack-trigger-words", Setup::default(), |bed| {
        bed.connect_shop()?;
        let words = WORDS.replace('\'', "''");
        bed.db.batch_execute(&format!(
            "create function refuse() returns trigger language plpgsql as $$
             begin raise exception '%', '{words}'; end $$;
             create trigger refuse before insert on commerce.products
             for each row when (new.sku is not null) execute function refuse()"
        ))?;
        let run = bed.sync("products", "full")?;
        ensure!(run.failed > 0, "{run:?}");
        assert_split(bed)
    })
}

fn an_echo() -> Result<()> {
    with_bed("attack-echo", Setup::default(), |bed| {
        let keys = bed.simulator.key("read_write")?.clone();
        let pair = format!("{}:{}", keys.consumer_key, keys.consumer_secret);
        let basic = base64::engine::general_purpose::STANDARD.encode(&pair);
        let mut secrets =
            vec![keys.consumer_secret.clone(), keys.consumer_key.clone(), basic.clone()];
        bed.connect_shop()?;
        let url_safe = pair.replace(':', "%3A");
        let hex: String = pair.bytes().map(|byte| format!("{byte:02x}")).collect();
        let escaped: String =
            keys.consumer_secret.chars().map(|c| format!("\\u{:04x}", c as u32)).collect();
        secrets.push(hex.clone());
        let echoes = [
            format!("HTTP_AUTHORIZATION: Basic {basic}"),
            format!(
                "Authorization: Basic {basic} PHP_AUTH_USER={} PHP_AUTH_PW={}",
                keys.consumer_key, keys.consumer_secret
            ),
            format!("user {pair}@shop"),
            format!("Basic%20{url_safe}"),
            format!("[PHP_AUTH_PW] => {}", keys.consumer_secret),
            hex,
            escaped.replace('\\', "\\\\"),
        ];
        for (at, echo) in echoes.iter().enumerate() {
            let body = match at % 2 {
                0 => format!("{{\"code\":\"shop_says\",\"message\":\"{MARK} {echo}\"}}"),
                _ => format!("<html><body>{MARK} {echo}</body></html>"),
            };
            let answer = json!({"status": if at % 2 == 0 { 400 } else { 200 }, "body": body});
            bed.simulator.fault("answer", answer, json!({"path": "/orders"}))?;
            let run = bed.sync("orders", "full")?;
            ensure!(run.status != "succeeded", "{run:?}");
            // Whoever asks by hand gets it as an error, and a check as a row.
            let error = bed.db.batch_execute("select easysync.enable('shop')");
            let told = format!("{:?}", error.err());
            let checks = bed.text(
                "select string_agg(t::text, ' ') from easysync.test_connection('shop') as t",
            )?;
            let shown =
                seen(&mut bed.db)? + &told + &checks.unwrap_or_default() + &bed.cluster.log();
            ensure!(shown.contains(MARK), "{echo}: nothing was echoed");
            for secret in &secrets {
                ensure!(!shown.contains(secret.as_str()), "{echo}: {secret} is shown");
            }
            bed.simulator.clear_faults()?;
            bed.db.batch_execute("select easysync.enable('shop')")?;
        }
        Ok(())
    })
}

fn a_redirect() -> Result<()> {
    with_bed("attack-redirect", Setup::default(), |bed| {
        let listener = Receiver::start()?;
        bed.connect_shop()?;
        for status in [301, 302, 303, 307, 308] {
            let to = format!("{}/{MARK}?consumer_secret=cs_1", listener.url);
            let answer = json!({"status": status, "headers": {"location": to}, "body": ""});
            bed.simulator.fault("answer", answer, json!({"path": "/orders"}))?;
            let run = bed.sync("orders", "full")?;
            ensure!(run.error_code.as_deref() == Some("redirect"), "{run:?}");
            ensure!(!run.error_message.unwrap_or_default().contains("cs_1"), "its query is shown");
            bed.simulator.clear_faults()?;
        }
        let called = listener.deliveries.recv_timeout(Duration::from_millis(300));
        ensure!(called.is_err(), "it was followed: {called:?}");
        let (mut viewer, mut operator) =
            (sign_in(bed, "easysync_viewer")?, sign_in(bed, "easysync_operator")?);
        ensure!(!seen(&mut viewer)?.contains(MARK), "a viewer sees where it points");
        ensure!(seen(&mut operator)?.contains(MARK), "operators aren't told where it points");
        Ok(())
    })
}

fn a_shops_name() -> Result<()> {
    with_bed("attack-name", Setup::default(), |bed| {
        let steering = |text: &str| {
            text.chars().any(|c| {
                c.is_control() && c != '\n' && c != '\t'
                    || matches!(c, '\u{200e}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            })
        };
        let name = "Harbour\u{1b}]0;owned\u{7}\u{1b}[2J\r\nERROR:  sync 1 succeeded\u{202e}sdoog\u{2066}\u{200f}\u{9b}31m";
        let site = json!({"name": name, "home": "https://x", "namespaces": ["wp/v2", "wc/v3"]})
            .to_string();
        bed.simulator.fault(
            "replace_body",
            json!({"body": site}),
            json!({"path": "_fields=name"}),
        )?;
        let notices = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&notices);
        let mut config = bed.cluster.config(&bed.database);
        config.notice_callback(move |notice| {
            let mut kept = kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            kept.push_str(&format!(
                "{}\n{}\n",
                notice.message(),
                notice.hint().unwrap_or_default()
            ));
        });
        let mut client = config.connect(NoTls)?;
        let settings = json!({"url": bed.simulator.state.woocommerce.https});
        let connect =
            "select easysync.connect('shop', 'woocommerce', $1, '{\"file\":\"shop.json\"}')";
        client.execute(connect, &[&settings])?;
        let told = notices.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        ensure!(told.contains("Harbour"), "the name isn't told: {told}");
        ensure!(!told.lines().any(|line| line.starts_with("ERROR")), "a line of its own: {told}");
        ensure!(!steering(&told), "notices: {told:?}");
        let checks =
            bed.text("select string_agg(message, ' ') from easysync.test_connection('shop')")?;
        ensure!(!steering(&checks.context("no checks")?), "test_connection");

        // Also in what it says of an error, and in what a record is called.
        let answer = json!({"status": 400, "body": json!({"code": "a\u{1b}[31m", "message": name}).to_string()});
        bed.simulator.fault("answer", answer, json!({"path": "/customers"}))?;
        let run = bed.sync("customers", "full")?;
        ensure!(run.status == "failed" && run.error_code.as_deref() == Some("refused"), "{run:?}");
        bed.simulator.clear_faults()?;
        let shop = bed.simulator.shop()?;
        let id = shop.live_orders()[3]["id"].clone();
        let spoilt = json!({"id": id, "set": {"/number": name, "/total": "not a number"}});
        bed.simulator.fault("spoil_record", spoilt, json!({"path": "/orders"}))?;
        let run = bed.sync("orders", "full")?;
        ensure!(run.failed > 0, "{run:?}");
        let shown = seen(&mut bed.db)?;
        ensure!(shown.contains("Harbour"), "nothing of it is shown");
        let line = shown.lines().find(|line| steering(line));
        ensure!(line.is_none(), "a view: {line:?}");
        std::thread::sleep(Duration::from_millis(200));
        let log = bed.cluster.log();
        let line = log.lines().find(|line| steering(line));
        ensure!(line.is_none(), "the server's log: {line:?}");
        Ok(())
    })
}

fn a_huge_text() -> Result<()> {
    with_bed("attack-huge", Setup::default(), |bed| {
        bed.connect_shop()?;
        for unit in ["1 ", "a@", "\"a\": \"b\", ", "%2540", "://a:b@"] {
            let reason = unit.repeat(20_000_000 / unit.len());
            let began = Instant::now();
            // Arguments of people have a limit; this is the masking itself.
            let kept: i32 =
                bed.db.query_one("select length(easysync_internal.masked($1))", &[&reason])?.get(0);
            ensure!(began.elapsed() < Duration::from_secs(15), "{unit:?}: {:?}", began.elapsed());
            ensure!(kept < 70_000, "all of it is kept");
        }
        Ok(())
    })
}
