//! Confirmations end to end: what a token is bound to, and what waits for one.

use anyhow::{Context, Result, ensure};
use easysync_tests::bed::Bed;
use easysync_tests::books::{Books, with_books};
use easysync_tests::refusal::refused;
use easysync_tests::run::Run;
use postgres::{Client, NoTls};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

/// Orders that become one document each; more than the threshold that `few` sets.
const ORDERS: &str = "connection => 'books', ids => '{225,226,227,228}'";
const CONFIRM: &str = "select easysync.confirm($1)";

fn few(bed: &mut Bed) -> Result<()> {
    bed.db.execute("select easysync.set_setting('confirm_threshold', '2')", &[])?;
    Ok(())
}

fn token(db: &mut Client) -> Result<String> {
    let row = db.query_one(
        &format!("select token, required from easysync.check_confirmation('orders', {ORDERS})"),
        &[],
    )?;
    ensure!(row.get::<_, bool>(1), "nothing needs a confirmation");
    row.get::<_, Option<String>>(0).context("no token")
}

/// Orders that nobody has paid: they become invoices, which are void once they are cancelled.
fn unpaid(bed: &mut Bed) -> Result<()> {
    bed.db.execute(
        "update commerce.orders set status = 'processing', paid_at = null, transaction_id = null
          where source_id in ('225', '226', '227', '228')",
        &[],
    )?;
    Ok(())
}

fn triggered(bed: &mut Bed) -> Result<i64> {
    Ok(bed.db.query_one(&format!("select easysync.trigger('orders', {ORDERS})"), &[])?.get(0))
}

fn wait_until_it_waits(bed: &mut Bed, id: i64) -> Result<()> {
    bed.wait_until(
        &format!(
            "(select status = 'awaiting_confirmation' from easysync.sync_runs where sync_id = {id})"
        ),
        SOON,
    )
}

fn requested(bed: &mut Bed, id: i64) -> Result<String> {
    let row = bed.db.query_one("select token from easysync.request_confirmation($1)", &[&id])?;
    row.get::<_, Option<String>>(0).context("no token")
}

fn ended(bed: &mut Bed, id: i64) -> Result<Run> {
    let open = "('queued', 'running')";
    bed.wait_until(
        &format!("(select status not in {open} from easysync.sync_runs where sync_id = {id})"),
        SOON,
    )?;
    Run::read(&mut bed.db, id)
}

fn sign_in(bed: &Bed, role: &str) -> Result<Client> {
    let mut config = bed.cluster.config(&bed.database);
    config.user(role).password("secret");
    config.connect(NoTls).with_context(|| format!("{role} signs in"))
}

fn documents(bed: &Bed, books: &Books) -> Result<usize> {
    Ok(books.records(bed, "SalesReceipt")?.len() + books.records(bed, "Invoice")?.len())
}

#[test]
fn a_sync_that_was_confirmed_beforehand_goes_ahead_once() -> Result<()> {
    with_books("confirm-before", "us_single", |bed, books| {
        bed.db.execute("select easysync.set_setting('confirm_threshold', '100')", &[])?;
        let open = bed.text(&format!(
            "(select to_jsonb(c) - 'expires_at' from easysync.check_confirmation('orders', {ORDERS}) c)"
        ))?;
        ensure!(
            open.as_deref().is_some_and(|text| text.contains("\"required\": false")),
            "{open:?}"
        );
        let open: serde_json::Value = serde_json::from_str(&open.unwrap_or_default())?;
        let is_whole = |p: &serde_json::Value| {
            p["month"].is_string() && p["currency"] == "USD" && p["sum"].is_string()
        };
        let periods = open["by_period"].as_array();
        ensure!(periods.is_some_and(|periods| periods.iter().any(is_whole)), "{open}");
        ensure!(bed.count("easysync_internal.confirmations")? == 0, "a token that nobody needs");
        few(bed)?;
        let token = token(&mut bed.db)?;
        let stored =
            bed.text("(select string_agg(c::text, '') from easysync_internal.confirmations c)")?;
        ensure!(stored.is_some_and(|text| !text.contains(&token)), "the token itself is stored");
        ensure!(
            documents(bed, books)? == 0 && bed.count("easysync.sync_queue")? == 0,
            "a question wrote"
        );

        let id: i64 = bed.db.query_one(CONFIRM, &[&token])?.get(0);
        let run = ended(bed, id)?;
        ensure!(run.status == "succeeded" && run.created > 4, "{run:?}");
        ensure!(documents(bed, books)? == 4, "{} documents", documents(bed, books)?);
        refused(&mut bed.db, CONFIRM, &[&token])?.assert("YS410", &["spent"]);
        Ok(())
    })
}

#[test]
fn a_token_is_good_for_one_person_one_tenant_five_minutes_and_as_it_was_given() -> Result<()> {
    with_books("confirm-bound", "us_single", |bed, books| {
        few(bed)?;
        bed.db.batch_execute(
            "create role ann login password 'secret'; create role ben login password 'secret';
             grant easysync_operator to ann, ben;
             select easysync.add_tenant_member('ann', 'default');
             select easysync.add_tenant_member('ann', 'north');
             select easysync.add_tenant_member('ben', 'default');",
        )?;
        let mut ann = sign_in(bed, "ann")?;
        let mut ben = sign_in(bed, "ben")?;
        ann.batch_execute("set easysync.tenant_id = 'default'")?;
        let given = token(&mut ann)?;
        refused(&mut ben, CONFIRM, &[&given])?.assert("YS410", &["unknown"]);
        ann.batch_execute("set easysync.tenant_id = 'north'")?;
        refused(&mut ann, CONFIRM, &[&given])?.assert("YS410", &["unknown"]);
        ann.batch_execute("set easysync.tenant_id = 'default'")?;
        let last = if given.ends_with('a') { "b" } else { "a" };
        let tampered = format!("{}{last}", &given[..given.len() - 1]);
        refused(&mut ann, CONFIRM, &[&tampered])?.assert("YS410", &["unknown"]);

        let minutes =
            bed.text("(select round(extract(epoch from expires_at - issued_at)) from easysync_internal.confirmations)")?;
        ensure!(minutes.is_some_and(|text| text == "300"), "it lives otherwise");
        let later = "update easysync_internal.confirmations set expires_at = expires_at - interval '5 minutes'";
        bed.db.execute(later, &[])?;
        refused(&mut ann, CONFIRM, &[&given])?.assert("YS410", &["expired"]);
        // Behind a gateway one role is many people.
        bed.db.batch_execute(
            "create role gate login password 'secret'; grant easysync_operator to gate;
             select easysync.add_tenant_member('gate', 'default')",
        )?;
        bed.db.batch_execute("alter system set easysync.gateway_roles = 'gate'")?;
        bed.db.batch_execute("select pg_reload_conf()")?;
        let claims = |who: &str| {
            format!("set request.jwt.claims = '{{\"sub\": \"{who}\", \"tenant_id\": \"default\"}}'")
        };
        bed.wait_until("current_setting('easysync.gateway_roles') = 'gate'", SOON)?;
        let mut gate = sign_in(bed, "gate")?;
        gate.batch_execute(&claims("eve"))?;
        let of_eve = token(&mut gate)?;
        gate.batch_execute(&claims("mallory"))?;
        refused(&mut gate, CONFIRM, &[&of_eve])?.assert("YS410", &["unknown"]);
        // A new one makes the old one worthless.
        let (first, second) = (token(&mut ann)?, token(&mut ann)?);
        refused(&mut ann, CONFIRM, &[&first])?.assert("YS410", &["unknown"]);
        ensure!(documents(bed, books)? == 0, "something was sent");
        let id: i64 = ann.query_one(CONFIRM, &[&second])?.get(0);
        ensure!(ended(bed, id)?.status == "succeeded", "{:?}", Run::read(&mut bed.db, id)?);
        Ok(())
    })
}

#[test]
fn a_plan_that_has_moved_is_refused_with_what_moved() -> Result<()> {
    with_books("confirm-moved", "us_single", |bed, books| {
        few(bed)?;
        let before = token(&mut bed.db)?;
        let id = triggered(bed)?;
        wait_until_it_waits(bed, id)?;
        let waiting = requested(bed, id)?;
        bed.db.execute(
            "update commerce.orders set customer_note = 'Ring twice' where source_id = '226'",
            &[],
        )?;
        let number = bed
            .text("(select number from commerce.orders where source_id = '226')")?
            .context("226")?;
        for token in [&before, &waiting] {
            refused(&mut bed.db, CONFIRM, &[token])?
                .assert("YS409", &["with other values", &number]);
        }
        ensure!(documents(bed, books)? == 0, "something was sent");
        // Looked at again, it is another plan; that one can be confirmed.
        let again = requested(bed, id)?;
        refused(&mut bed.db, CONFIRM, &[&waiting])?.assert("YS410", &["unknown"]);
        bed.db.query_one(CONFIRM, &[&again])?;
        ensure!(ended(bed, id)?.status == "succeeded", "{:?}", Run::read(&mut bed.db, id)?);
        let sent = serde_json::to_string(&books.records(bed, "SalesReceipt")?)?;
        ensure!(sent.contains("Ring twice"), "the plan of before was sent");
        // What is done is no longer to be done.
        refused(&mut bed.db, CONFIRM, &[&before])?.assert("YS409", &["gone"]);
        Ok(())
    })
}

/// Four sessions at once; the sync of the one that won.
fn confirmed_by_four(bed: &mut Bed, token: &str) -> Result<i64> {
    let mut sessions = vec![];
    for _ in 0..4 {
        let (mut client, token) = (bed.client()?, token.to_owned());
        sessions.push(std::thread::spawn(move || {
            client.query_one(CONFIRM, &[&token]).map(|row| row.get::<_, i64>(0))
        }));
    }
    let mut won = vec![];
    for session in sessions {
        match session.join().map_err(|_| anyhow::anyhow!("a session died"))? {
            Ok(id) => won.push(id),
            // Spent, or already on its way.
            Err(error) => {
                let code = error.code().map(|code| code.code().to_owned());
                ensure!(matches!(code.as_deref(), Some("YS410" | "YS409")), "{error:?}");
            }
        }
    }
    ensure!(won.len() == 1, "{won:?}");
    Ok(won[0])
}

#[test]
fn two_sessions_that_confirm_at_once_run_it_once() -> Result<()> {
    with_books("confirm-twice", "us_single", |bed, books| {
        few(bed)?;
        let runs = bed.count("easysync.sync_runs")?;
        let before = token(&mut bed.db)?;
        let id = confirmed_by_four(bed, &before)?;
        ensure!(ended(bed, id)?.status == "succeeded", "{:?}", Run::read(&mut bed.db, id)?);
        ensure!(bed.count("easysync.sync_runs")? == runs + 1, "another run");
        ensure!(documents(bed, books)? == 4, "{} documents", documents(bed, books)?);

        bed.db.execute("update commerce.orders set customer_note = 'Ring twice'", &[])?;
        let id = triggered(bed)?;
        wait_until_it_waits(bed, id)?;
        let waiting = requested(bed, id)?;
        ensure!(confirmed_by_four(bed, &waiting)? == id, "another sync");
        let run = ended(bed, id)?;
        ensure!(run.status == "succeeded" && run.updated == 4, "{run:?}");
        ensure!(bed.count("easysync.sync_runs")? == runs + 2, "another run");
        Ok(())
    })
}

#[test]
fn a_large_plan_that_destroys_takes_two_tokens() -> Result<()> {
    with_books("confirm-two", "us_single", |bed, books| {
        unpaid(bed)?;
        let id = triggered(bed)?;
        books.wait(bed, id)?;
        ensure!(documents(bed, books)? == 4, "{} documents", documents(bed, books)?);
        few(bed)?;
        bed.db.execute("update commerce.orders set status = 'cancelled' where source_id in ('225', '226', '227', '228')", &[])?;
        let row = bed.db.query_one(
            &format!("select token, reasons, confirmations_required, destructive, notes, by_period, changes from easysync.check_confirmation('orders', {ORDERS})"),
            &[],
        )?;
        let notes: Vec<String> = row.get(4);
        ensure!(notes == ["a second confirmation is needed after this one"], "{notes:?}");
        let periods: serde_json::Value = row.get(5);
        let periods = periods.as_array().cloned().unwrap_or_default();
        let writes: i64 = periods.iter().filter_map(|period| period["count"].as_i64()).sum();
        ensure!(writes == i64::from(row.get::<_, i32>(6)), "{periods:?}");
        // What is taken back has no date in the plan.
        ensure!(
            periods.iter().all(|p| p["kind"] == "Invoice" && p["month"].is_null()),
            "{periods:?}"
        );
        let reasons: Vec<String> = row.get(1);
        ensure!(
            reasons.contains(&"bulk".into()) && reasons.contains(&"void".into()),
            "{reasons:?}"
        );
        ensure!(row.get::<_, i32>(2) == 2 && row.get::<_, i32>(3) > 2, "{row:?}");
        let id: i64 = bed.db.query_one(CONFIRM, &[&row.get::<_, String>(0)])?.get(0);
        wait_until_it_waits(bed, id)?;
        let row = bed.db.query_one(
            "select token, confirmations_given, notes from easysync.request_confirmation($1)",
            &[&id],
        )?;
        ensure!(row.get::<_, i32>(1) == 1, "{row:?}");
        let notes: Vec<String> = row.get(2);
        ensure!(notes == ["this is the second confirmation that is needed"], "{notes:?}");
        bed.db.query_one(CONFIRM, &[&row.get::<_, String>(0)])?;
        let run = ended(bed, id)?;
        ensure!(run.status == "succeeded" && run.deleted > 2, "{run:?}");
        Ok(())
    })
}

#[test]
fn a_schedule_sends_what_is_new_and_waits_with_what_destroys() -> Result<()> {
    with_books("confirm-schedule", "us_single", |bed, books| {
        few(bed)?;
        unpaid(bed)?;
        bed.db.batch_execute("select easysync.schedule('orders', '* * * * * *', connection => 'books', name => 'often',
                                                       filters => '{\"status\": [\"processing\", \"cancelled\"]}')")?;
        bed.wait_until("exists (select from easysync.sync_runs where triggered_by = 'schedule' and status in ('succeeded', 'partial') and created > 2)", SOON)?;
        bed.db.execute(
            "update commerce.orders set status = 'cancelled' where source_id = '226'",
            &[],
        )?;
        bed.wait_until("exists (select from easysync.sync_runs where triggered_by = 'schedule' and status = 'awaiting_confirmation')", SOON)?;
        bed.db.batch_execute("select easysync.alter_schedule('often', active => false)")?;
        let told = "easysync.notifications where event = 'confirmation_waits' and recovered_at is null and message like '%request_confirmation%'";
        ensure!(bed.count(told)? == 1, "nobody was told");

        let id: i64 = bed.db.query_one("select max(sync_id) from easysync.sync_runs where status = 'awaiting_confirmation'", &[])?.get(0);
        bed.db.execute("update easysync_internal.sync_runs set confirm_until = now() - interval '1 second' where sync_id = $1", &[&id])?;
        bed.db.query("select easysync_internal.expire_confirmations()", &[])?;
        let run = Run::read(&mut bed.db, id)?;
        ensure!(run.status == "expired" && run.error_message.is_some(), "{run:?}");
        ensure!(
            bed.count("easysync.notifications where event = 'confirmation_expired'")? == 1,
            "nobody was told"
        );
        ensure!(bed.count(&format!("easysync.sync_logs where sync_id = {id} and level = 'warn' and message like '%confirmed%'"))? == 1, "no log");
        ensure!(documents(bed, books)? > 2, "{}", documents(bed, books)?);
        Ok(())
    })
}
