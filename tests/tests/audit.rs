//! The audit log: who did what, when, on what, from what to what. Every function that changes
//! something is in it, or is named here with the reason why not; so is every destructive write.

use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, credential_file, with_bed};
use easysync_tests::books::{Books, with_books};
use easysync_tests::refusal::refused;
use easysync_tests::run::Run;
use postgres::Client;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

/// Change what is configured, who may do what, what is confirmed, which credentials are used, or what
/// this database is: a row each time, under the function's name.
const AUDITED: [&str; 32] = [
    "add_tenant_member",
    "alter_connection",
    "alter_schedule",
    "cancel",
    "check_confirmation",
    "confirm",
    "connect",
    "create_hub",
    "disable",
    "discard_failure",
    "disconnect",
    "enable",
    "enable_row_security",
    "fence",
    "oauth_authorize_url",
    "oauth_complete",
    "register_webhooks",
    "remove_tenant_member",
    "request_confirmation",
    "reset_setting",
    "rotate_encryption_key",
    "schedule",
    "set_credentials",
    "set_sandbox",
    "set_setting",
    "set_stream",
    "undo",
    "unfence",
    "unschedule",
    // By the worker, when it comes to that: suspend, renew_tokens, go_ahead, ...
    "await_confirmation",
    "suspend",
    "void",
];

/// Change nothing that a person would have to answer for, or leave a record elsewhere.
const NOT_AUDITED: [(&str, &str); 9] = [
    ("trigger", "sync_runs keeps who asked, for what and when"),
    ("run", "it calls trigger"),
    ("retry", "sync_runs keeps who asked, and sync_failures what became of it"),
    ("retry_failure", "the same for one record"),
    ("dry_run", "it writes nothing"),
    ("dry_run_undo", "it writes nothing"),
    ("postgrest_webhook", "webhook_events keeps the delivery"),
    ("test_connection", "it writes nothing"),
    ("receive_webhook", "webhook_events keeps the delivery"),
];

fn volatile_functions(client: &mut Client) -> Result<BTreeSet<String>> {
    // What isn't volatile can't write: Postgres refuses it.
    let rows = client.query(
        "select distinct proname::text from pg_proc
          where pronamespace = 'easysync'::regnamespace and provolatile = 'v'
            and prorettype <> 'trigger'::regtype",
        &[],
    )?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

#[test]
fn every_function_that_may_write_is_audited_or_said_why_not() -> Result<()> {
    with_bed("audit-surface", Setup::default(), |bed| {
        let there = volatile_functions(&mut bed.db)?;
        let known: BTreeSet<&str> =
            AUDITED.into_iter().chain(NOT_AUDITED.into_iter().map(|(name, _)| name)).collect();
        let new: Vec<_> = there.iter().filter(|name| !known.contains(name.as_str())).collect();
        ensure!(
            new.is_empty(),
            "{new:?}: call easysync_internal.audit in it and add it to AUDITED, or to NOT_AUDITED with the reason"
        );
        for name in NOT_AUDITED.map(|(name, _)| name) {
            ensure!(there.contains(name), "{name} is gone, or can't write any more");
        }
        Ok(())
    })
}

/// An admin who signs in by himself, and works as easysync_admin.
fn become_boss(bed: &mut Bed) -> Result<()> {
    bed.db.batch_execute(
        "create role boss login; create role clerk login; grant easysync_admin, easysync_dba to boss;
         grant create on database shop to boss;
         grant easysync_viewer to clerk;
         set session authorization boss; set role easysync_admin",
    )?;
    Ok(())
}

/// Rows of an action so far.
fn rows_of(bed: &mut Bed, action: &str) -> Result<i64> {
    let count = "select count(*) from easysync.audit_log where action = $1";
    Ok(bed.db.query_one(count, &[&action])?.get(0))
}

/// The call, and the row that it leaves: on this object.
fn leaves_a_row(bed: &mut Bed, call: &str, object: &str) -> Result<()> {
    let action = call.split(['.', '(']).nth(1).context("a function")?.to_owned();
    let before = rows_of(bed, &action)?;
    bed.db.batch_execute(call).with_context(|| call.to_owned())?;
    ensure!(rows_of(bed, &action)? > before, "no row of {call}");
    let last = bed.db.query_one(
        "select object, session_user_name::text, current_user_name::text,
                audited_at > now() - interval '1 minute'
           from easysync.audit_log where action = $1 order by audit_id desc limit 1",
        &[&action],
    )?;
    let found: (String, String, String, bool) =
        (last.get(0), last.get(1), last.get(2), last.get(3));
    let wanted = (object.to_owned(), "boss".to_owned(), "easysync_admin".to_owned(), true);
    ensure!(found == wanted, "{call}: {found:?}, not {wanted:?}");
    Ok(())
}

/// One call of everything that is audited, but for what needs the books.
fn one_of_each(bed: &mut Bed) -> Result<()> {
    let url = bed.simulator.state.woocommerce.https.clone();
    let connect = format!(
        "select easysync.connect('shop', 'woocommerce', '{{\"url\":\"{url}\"}}', '{{\"file\":\"shop.json\"}}')"
    );
    for (call, object) in [
        (connect.as_str(), "shop"),
        ("select easysync.create_hub('elsewhere')", "elsewhere"),
        ("select easysync.alter_connection('shop', '{\"webhooks\": false}')", "shop"),
        ("select easysync.set_credentials('shop', '{\"file\":\"shop.json\"}')", "shop"),
        ("select easysync.disable('shop', 'a pause')", "shop"),
        ("select easysync.enable('shop')", "shop"),
        ("select easysync.set_stream('shop', 'orders', filters => '{}')", "shop orders"),
        ("select easysync.register_webhooks('shop', 'https://hooks.example/shop')", "shop"),
        ("select easysync.schedule('orders', '0 3 * * *', name => 'nightly')", "nightly"),
        ("select easysync.alter_schedule('nightly', cron => '0 4 * * *')", "nightly"),
        ("select easysync.unschedule('nightly')", "nightly"),
        ("select easysync.set_setting('confirm_threshold', '25')", "confirm_threshold"),
        ("select easysync.reset_setting('confirm_threshold')", "confirm_threshold"),
        ("select easysync.rotate_encryption_key()", "both"),
        ("select easysync.set_sandbox(true)", "default"),
        ("select easysync.set_sandbox(false)", "default"),
        ("select easysync.fence('a look')", "shop"),
        ("select easysync.unfence('takeover')", "takeover"),
        ("select easysync.enable_row_security()", "commerce"),
        ("select easysync.add_tenant_member('clerk', 'default')", "clerk"),
        ("select easysync.remove_tenant_member('clerk', 'default')", "clerk"),
    ] {
        leaves_a_row(bed, call, object)?;
    }
    bed.client()?.batch_execute(
        "insert into easysync_internal.sync_failures (failure_id, tenant_id, connection, entity,
             direction, record_id, error_category)
         overriding system value values (4711, 'default', 'shop', 'orders', 'pull', '9', 'network')",
    )?;
    leaves_a_row(bed, "select easysync.discard_failure(4711, 'a test')", "shop orders 9")
}

#[test]
fn each_change_is_audited_with_who_when_what_and_from_what_to_what() -> Result<()> {
    with_bed("audit", Setup::default(), |bed| {
        become_boss(bed)?;
        one_of_each(bed)?;
        bed.sync_well("orders", "full")?;
        let books = Books::connect(bed, "us_single")?;
        // A plan that waits, is confirmed, and goes ahead; another one that is given up.
        let run = books.push(bed, "full")?;
        ensure!(run.created > 0, "{run:?}");
        bed.db.batch_execute("select easysync.set_setting('confirm_threshold', '0')")?;
        let touch = "update commerce.orders set customer_note = 'again' where status = 'completed'";
        bed.client()?.batch_execute(touch)?;
        let check = "select * from easysync.check_confirmation('orders', 'full', 'books')";
        leaves_a_row(bed, check, "orders")?;
        let given_up: i64 = bed
            .db
            .query_one("select easysync.trigger('orders', 'full', connection => 'books')", &[])?
            .get(0);
        bed.wait_until(
            &format!(
                "select status = 'awaiting_confirmation' from easysync.sync_status({given_up})"
            ),
            SOON,
        )?;
        leaves_a_row(bed, &format!("select easysync.cancel({given_up}, 'no')"), "orders")?;
        leaves_a_row(bed, &format!("select easysync.undo({})", run.sync_id), "orders")?;
        // The books refuse us: the worker stops the connection.
        books.act(bed, "disconnect", &json!({}))?;
        bed.db.execute("select easysync.trigger('customers', connection => 'books')", &[])?;
        bed.wait_until(
            "select exists (select from easysync.audit_log where action = 'suspend'
                            and object = 'books' and session_user_name = 'easysync_worker')",
            SOON,
        )?;
        leaves_a_row(bed, "select easysync.disconnect('shop')", "shop")?;

        let acted: BTreeSet<String> = bed
            .db
            .query("select distinct action from easysync.audit_log", &[])?
            .iter()
            .map(|row| row.get(0))
            .collect();
        let missing: Vec<_> =
            AUDITED.iter().filter(|name| **name != "void" && !acted.contains(**name)).collect();
        ensure!(missing.is_empty(), "nothing of {missing:?} in the log");
        // Each step of the confirmation, by whom, bound to its sync.
        let steps = bed.text(&format!(
            "select string_agg(action || ' by ' || session_user_name, ', ' order by audit_id)
               from easysync.audit_log where sync_id = {}",
            run.sync_id
        ))?;
        assert_eq!(
            steps.as_deref(),
            Some(
                "await_confirmation by easysync_worker, request_confirmation by boss, \
                 confirm by boss, go_ahead by easysync_worker"
            )
        );
        for (what, from_to) in [
            ("set_setting", "\"10\" -> \"25\""),
            ("set_sandbox", "false -> true"),
            ("disable", "\"connected\" -> {\"reason\": \"a pause\", \"status\": \"disabled\"}"),
        ] {
            let row = bed.text(&format!(
                "select old_value::text || ' -> ' || new_value::text from easysync.audit_log
                  where action = '{what}' order by audit_id limit 1"
            ))?;
            assert_eq!(row.as_deref(), Some(from_to), "{what}");
        }
        Ok(())
    })
}

#[test]
fn the_log_takes_no_change_from_anybody() -> Result<()> {
    with_bed("audit-append", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.db.batch_execute("create role nobody_at_all")?;
        let log = "select md5(string_agg(a::text, '|' order by audit_id)) from easysync_internal.audit_log a";
        let before = bed.text(log)?;
        ensure!(before.is_some(), "the log is empty");
        for role in [
            "easysync_viewer",
            "easysync_operator",
            "easysync_admin",
            "easysync_webhook",
            "easysync_worker",
            "nobody_at_all",
        ] {
            bed.db.batch_execute(&format!("set role {role}"))?;
            for table in ["easysync.audit_log", "easysync_internal.audit_log"] {
                for change in [
                    format!("update {table} set action = 'nothing'"),
                    format!("delete from {table}"),
                    format!("truncate {table}"),
                    format!("insert into {table} (action) values ('nothing')"),
                ] {
                    let refusal = refused(&mut bed.db, &change, &[])?;
                    // A view can't be truncated at all, and one of two branches not be written to.
                    let expected: &[&str] = match table {
                        "easysync.audit_log" => &["42501", "42809", "55000"],
                        _ => &["42501"],
                    };
                    ensure!(
                        expected.contains(&refusal.sqlstate.as_str()),
                        "{role}: {change}: {refusal:?}"
                    );
                }
            }
            if role != "easysync_worker" {
                let forged = "select easysync_internal.audit('default', 'x', 'x', null, null)";
                assert_eq!(refused(&mut bed.db, forged, &[])?.sqlstate, "42501", "{role}");
            }
            bed.db.batch_execute("reset role")?;
        }
        assert_eq!(bed.text(log)?, before);
        Ok(())
    })
}

/// What no row may hold, given in every place that takes credentials or a text.
const MARK: &str = "Zx7MARKq9Wv2LtB4nR8sK1";

#[test]
fn no_secret_gets_into_the_log() -> Result<()> {
    with_bed("audit-secrets", Setup::default(), |bed| {
        bed.connect_shop()?;
        let url = bed.simulator.state.woocommerce.https.clone();
        let mut pair = serde_json::to_value(bed.simulator.key("read_write")?)?;
        pair["webhook_secret"] = json!(MARK);
        credential_file(&bed.cluster, "marked.json", &pair)?;
        let marked =
            json!({"consumer_key": format!("ck_{MARK}"), "consumer_secret": format!("cs_{MARK}")});
        bed.db.execute(
            "select easysync.connect('other', 'woocommerce', $1, $2, verify => false)",
            &[&json!({"url": "https://other.example"}), &marked],
        )?;
        bed.db
            .execute("select easysync.set_credentials('other', $1, verify => false)", &[&marked])?;
        bed.db.execute(
            "select easysync.set_credentials('shop', $1)",
            &[&json!({"file": "marked.json"})],
        )?;
        // Where none belongs: refused, or masked.
        for settings in [
            json!({"url": format!("https://user:{MARK}@third.example")}),
            json!({"url": "https://third.example", "consumer_secret": MARK}),
        ] {
            let connect =
                "select easysync.connect('third', 'woocommerce', $1, $2, verify => false)";
            ensure!(bed.db.execute(connect, &[&settings, &marked]).is_err(), "{settings}");
        }
        let token = format!("the token=cs_{MARK} leaked");
        let books = Books::connect(bed, "us_single")?;
        bed.db.execute("select easysync.disable('other', $1)", &[&token])?;
        bed.db.execute("select easysync.fence($1)", &[&token])?;
        let sync: i64 = bed.db.query_one("select easysync.trigger('orders')", &[])?.get(0);
        bed.db.execute("select easysync.cancel($1, $2)", &[&sync, &token])?;
        bed.db.batch_execute(
            "select easysync.unfence('takeover'); select easysync.rotate_encryption_key()",
        )?;
        books.act(bed, "expire_access", &json!({}))?;
        bed.db.execute("select easysync.trigger('customers', connection => 'books')", &[])?;
        bed.wait_until(
            "select exists (select from easysync.audit_log where action = 'renew_tokens')",
            SOON,
        )?;
        bed.db.batch_execute("select easysync.disconnect('other')")?;
        ensure!(bed.count("easysync.audit_log")? > 10, "the log holds little");

        let log = "select string_agg(a::text, E'\\n') from easysync_internal.audit_log a";
        let log = bed.text(log)?.unwrap_or_default();
        let pair = bed.simulator.key("read_write")?.clone();
        for secret in
            [MARK, &pair.consumer_key, &pair.consumer_secret, books.client_secret(), "RT1-39-"]
        {
            ensure!(!log.contains(secret), "the log holds a secret: {log}");
        }
        ensure!(log.contains(&url), "the address of the shop is no secret");
        Ok(())
    })
}

/// A row for each destructive write: which document, by which sync, for whom.
fn destroyed(bed: &mut Bed) -> Result<Vec<(String, String, i64, Value)>> {
    let rows = bed.db.query(
        "select action, object, sync_id, new_value from easysync.audit_log
          where action in ('void', 'delete', 'inactivate') order by audit_id",
        &[],
    )?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect())
}

fn pulled(bed: &mut Bed, entity: &str) -> Result<Run> {
    let trigger = "select easysync.trigger($1, connection => 'shop')";
    let id: i64 = bed.db.query_one(trigger, &[&entity])?.get(0);
    bed.wait(id)
}

#[test]
fn each_destructive_write_is_audited_once_with_its_object_and_sync() -> Result<()> {
    with_books("audit-destroyed", "us_single", |bed, books| {
        // On account, never paid: an invoice. Cancelled: it is voided.
        let order = json!({
            "status": "processing", "set_paid": false, "payment_method": "stripe",
            "billing": {"first_name": "Ann", "last_name": "Lee", "email": "ann@lee.test", "state": "WY",
                        "country": "US", "address_1": "1 Main Street", "city": "Somewhere", "postcode": "82001"},
            "line_items": [{"product_id": 25, "quantity": 2, "subtotal": "20.00", "total": "20.00"}],
        });
        let id = bed.simulator.post("/woocommerce/orders", &order)?["id"].to_string();
        let unpaid = json!({"date_paid_gmt": null, "date_paid": null});
        bed.simulator.put(&format!("/woocommerce/orders/{id}"), &unpaid)?;
        let sync = |bed: &mut Bed| -> Result<i64> {
            let trigger = "select easysync.trigger('orders', connection => $1, ids => array[$2])";
            let pull: i64 = bed.db.query_one(trigger, &[&"shop", &id])?.get(0);
            bed.wait(pull)?;
            let push: i64 = bed.db.query_one(trigger, &[&books.name, &id])?.get(0);
            let run = books.wait(bed, push)?;
            ensure!(run.status == "succeeded", "{run:?}");
            Ok(push)
        };
        sync(bed)?;
        let before = books.records(bed, "Invoice")?;
        ensure!(before.len() == 1 && destroyed(bed)?.is_empty(), "{before:?}");
        bed.simulator.rest()?.put(&format!("orders/{id}"), &json!({"status": "cancelled"}))?;
        let voided = sync(bed)?;

        // A vendor who is gone is switched off.
        bed.db.batch_execute(
            "select easysync.set_stream('books', 'vendors', direction => 'push');
             insert into commerce.vendors (tenant_id, display_name, email, active)
             values ('default', 'Loom Works', 'loom@example.test', true)",
        )?;
        let push = "select easysync.trigger('vendors', 'full', connection => 'books')";
        let made: i64 = bed.db.query_one(push, &[])?.get(0);
        books.wait(bed, made)?;
        bed.db.execute("update commerce.vendors set active = false", &[])?;
        let off: i64 = bed.db.query_one(push, &[])?.get(0);
        books.wait(bed, off)?;

        // A customer who came with a sync that is taken back goes from the hub.
        let customer = json!({"email": "eve@lee.test", "first_name": "Eve", "last_name": "Lee"});
        bed.simulator.rest()?.post("customers", &customer)?;
        let came = pulled(bed, "customers")?;
        ensure!(came.created == 1, "{came:?}");
        let undo = "select easysync.undo($1)";
        let gone: i64 = bed.db.query_one(undo, &[&came.sync_id])?.get(0);
        let run = books.wait(bed, gone)?;
        ensure!(run.deleted == 1, "{run:?}");

        let rows = destroyed(bed)?;
        let found: Vec<(&str, i64)> =
            rows.iter().map(|(action, _, sync_id, _)| (action.as_str(), *sync_id)).collect();
        let wanted = [("void", voided), ("inactivate", off), ("delete", gone)];
        ensure!(found == wanted, "{rows:#?}");
        ensure!(rows[2].1.starts_with("hub customers "), "{}", rows[2].1);
        let (_, object, _, new) = &rows[0];
        let number = before[0]["Id"].as_str().context("the invoice's id")?;
        ensure!(object.starts_with(&format!("books Invoice {number} ")), "{object}");
        ensure!(new["requested_by"] == "postgres" && new["request_id"].is_string(), "{new}");
        let rows = bed.count(&format!(
            "easysync.audit_log where sync_id = {voided} and action in ('await_confirmation', 'confirm', 'go_ahead')"
        ))?;
        ensure!(rows >= 3, "{rows} rows of the confirmation");
        let text = bed.text("select string_agg(a::text, ' ') from easysync.audit_log a")?;
        let text = text.unwrap_or_default();
        ensure!(!text.contains("@lee.test"), "an address is in the log: {text}");
        Ok(())
    })
}
