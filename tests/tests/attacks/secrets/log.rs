//! The server's log is read for parameters.

use crate::Attack;
use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::cluster::Options;
use easysync_tests::refusal::refused;
use postgres::{Client, NoTls};
use serde_json::json;

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack { name: "no_parameter_with_a_secret_is_logged_with_its_duration", run: durations },
        Attack {
            name: "our_roles_keep_parameters_out_of_a_log_of_all_statements",
            run: statements,
        },
        Attack { name: "health_says_that_parameters_would_be_logged", run: health_warns },
    ]
}

const SECRET: &str = "cs_plantedsecret0123456789";
const NOTE: &str = "ring twice at Sycamore Lane";

/// Somebody of that role, who signs in by himself.
fn sign_in(bed: &mut Bed, role: &str) -> Result<Client> {
    let user = format!("log_{role}");
    bed.db.batch_execute(&format!(
        "create role {user} login password 'log'; grant {role} to {user};
         grant create on database {} to {user}",
        bed.database
    ))?;
    let mut config = bed.cluster.config(&bed.database);
    config.user(&user).password("log");
    config.connect(NoTls).context("signing in")
}

/// Everything that takes a secret or a customer's data as a parameter. Refusals count, too.
fn pass_secrets(admin: &mut Client, hook: &mut Client, before: &str) -> Result<()> {
    let keys = json!({"consumer_key": "ck_1", "consumer_secret": SECRET});
    let settings = json!({"url": "https://shop.example"});
    let body = json!({"id": 1, "customer_note": NOTE}).to_string();
    let headers = json!({"x-wc-webhook-signature": SECRET});
    let run = |client: &mut Client, sql: &str, args: &[&(dyn postgres::types::ToSql + Sync)]| {
        let mut transaction = client.transaction()?;
        transaction.batch_execute(before)?;
        if transaction.execute(sql, args).is_ok() {
            transaction.commit()?;
        }
        anyhow::Ok(())
    };
    let connect = "select easysync.connect('public', 'woocommerce', $1, $2, verify => false)";
    run(admin, connect, &[&settings, &keys])?;
    run(admin, "select easysync.set_credentials('public', $1, verify => false)", &[&keys])?;
    let callback = format!("https://app.example/?code={SECRET}&state=x&realmId=1234");
    run(admin, "select easysync.oauth_complete($1)", &[&callback])?;
    run(admin, "select easysync.confirm($1)", &[&SECRET])?;
    let insert =
        "insert into easysync.webhook_events (connection, headers, body) values ('public', $1, $2)";
    run(hook, insert, &[&headers, &body])?;
    run(hook, "select easysync.receive_webhook('public', $1, $2)", &[&headers, &body])
}

fn assert_clean(bed: &Bed) -> Result<()> {
    std::thread::sleep(std::time::Duration::from_millis(300));
    let log = bed.cluster.log();
    for secret in [SECRET, "Sycamore"] {
        let line = log.lines().find(|line| line.contains(secret));
        ensure!(line.is_none(), "logged: {line:?}");
    }
    Ok(())
}

fn durations() -> Result<()> {
    let setup = Setup {
        cluster: Options::default().set("log_min_duration_statement", "400"),
        ..Setup::default()
    };
    with_bed("attack-log-durations", setup, |bed| {
        let mut admin = sign_in(bed, "easysync_admin")?;
        admin.execute("select $1::text, pg_sleep(0.5)", &[&"control-parameter"])?;
        // One slow shop, one client that knows of nothing.
        bed.simulator.fault("latency", json!({"ms": 300}), json!({}))?;
        let keys = serde_json::to_value(bed.simulator.key("read_write")?)?;
        let settings = json!({"url": bed.simulator.state.woocommerce.https});
        admin.execute(
            "select easysync.connect('shop', 'woocommerce', $1, $2)",
            &[&settings, &keys],
        )?;
        admin.execute("select easysync.set_credentials('shop', $1)", &[&keys])?;
        std::thread::sleep(std::time::Duration::from_millis(300));
        let log = bed.cluster.log();
        ensure!(log.contains("control-parameter"), "the server logs no parameters");
        ensure!(log.contains("easysync.set_credentials('shop', $1)"), "the calls were quick");
        let secret = keys["consumer_secret"].as_str().context("no secret")?;
        let line = log.lines().find(|line| line.contains(secret));
        ensure!(line.is_none(), "logged: {line:?}");
        Ok(())
    })
}

fn statements() -> Result<()> {
    let setup =
        Setup { cluster: Options::default().set("log_statement", "all"), ..Setup::default() };
    with_bed("attack-log-statements", setup, |bed| {
        let (mut admin, mut hook) =
            (sign_in(bed, "easysync_admin")?, sign_in(bed, "easysync_webhook")?);
        admin.execute("select $1::text", &[&"control-parameter"])?;
        pass_secrets(&mut admin, &mut hook, "set local log_parameter_max_length = 0")?;
        assert_clean(bed)?;
        ensure!(bed.cluster.log().contains("control-parameter"), "the server logs no parameters");
        // Nobody else was given the right.
        bed.db.batch_execute("create role log_nobody login password 'log'")?;
        let mut config = bed.cluster.config(&bed.database);
        let mut nobody = config.user("log_nobody").password("log").connect(NoTls)?;
        let told = refused(&mut nobody, "set log_parameter_max_length = 0", &[]);
        ensure!(told.is_err() || told.is_ok_and(|told| told.sqlstate == "42501"), "anybody may");
        Ok(())
    })
}

fn health_warns() -> Result<()> {
    with_bed("attack-log-health", Setup::default(), |bed| {
        let mut told = |settings: &str| -> Result<bool> {
            bed.db.batch_execute(settings)?;
            bed.db.batch_execute("select pg_reload_conf()")?;
            std::thread::sleep(std::time::Duration::from_millis(500));
            let mut client = bed.client()?;
            let health: String = client.query_one("select easysync.health()::text", &[])?.get(0);
            Ok(health.contains("the server logs parameters"))
        };
        ensure!(!told("select 1")?, "a warning where nothing is logged");
        ensure!(told("alter system set log_statement = 'all'")?, "log_statement");
        ensure!(!told("alter system set log_parameter_max_length = 0")?, "they are cut off");
        ensure!(!told("alter system reset all")?, "a warning that stays");
        ensure!(told("alter system set log_min_duration_statement = 0")?, "durations");
        ensure!(told("alter system set log_parameter_max_length_on_error = 100")?, "on error");
        ensure!(!told("alter system reset all")?, "a warning that stays");
        Ok(())
    })
}
