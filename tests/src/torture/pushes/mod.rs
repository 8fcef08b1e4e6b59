//! Orders of a shop that goes on selling are pushed into simulated books while workers and servers
//! die, answers are lost, tokens expire, limits are met, request ids are ignored and standbys take
//! over, each at a random call of a push. Afterwards the books hold one sales document for each
//! order and one reversing document for each refund, to the cent: counted in the books' own store,
//! not by our links.

mod blow;
mod failover;
mod ledger;
mod trade;

use super::{Plan, Report, breaking, clear_away};
use crate::bed::{Bed, Setup};
use crate::books::Books;
use crate::cluster::{Cluster, Options};
use crate::environment::Environment;
use crate::run::Run;
use anyhow::{Context, Result, bail};
use blow::Blow;
use fastrand::Rng;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use trade::Trade;

/// How long everything may take to come to rest: a circuit that opened stays so for minutes.
const REST: Duration = Duration::from_secs(500);

/// Everything a blow needs.
struct Torture {
    name: String,
    bed: Bed,
    books: Books,
    random: Rng,
    trade: Trade,
    report: Report,
    /// How often we made Postgres restart its processes: any other time was not our doing.
    crashes_wanted: usize,
    /// As the servers' logs tell, those of servers that are gone included.
    crashes: usize,
    /// The first primary, once another took over: credentials and certificates lie with it.
    origin: Option<Cluster>,
    /// The next primary, while it is a standby.
    standby: Option<Cluster>,
    failovers: u32,
    /// Blows that fell while a push was making its calls.
    amidst: u32,
    /// Grants that a failover may have lost with the last token, and that a person gave again.
    granted_again: u32,
}

/// Runs a plan on a bed of its own, telling `say` about each blow.
///
/// # Errors
/// The bed could not be made, or broke in a way that isn't part of the plan.
pub fn run(
    environment: &Environment,
    name: &str,
    plan: &Plan,
    mut say: impl FnMut(String),
) -> Result<Report> {
    let cluster = Options::default()
        .set("restart_after_crash", "on")
        // The nodes of a failover group bear one name.
        .set("easysync.instance", "the shop's database");
    let mut bed = Bed::start(environment, name, &Setup { cluster, ..Setup::default() })?;
    let ready = prepare(&mut bed);
    let (books, trade) = match ready {
        Ok(ready) => ready,
        Err(error) => {
            clear_away(bed, false, ())?;
            return Err(error);
        }
    };
    let mut torture = Torture {
        name: name.to_owned(),
        bed,
        books,
        random: Rng::with_seed(plan.seed),
        trade,
        report: Report::new(plan),
        crashes_wanted: 0,
        crashes: 0,
        origin: None,
        standby: None,
        failovers: 0,
        amidst: 0,
        granted_again: 0,
    };
    let outcome = torture.go(plan, &mut say);
    torture.end(outcome, &mut say)
}

/// Shop and books connected, the recorded shop pulled, nothing pushed yet.
fn prepare(bed: &mut Bed) -> Result<(Books, Trade)> {
    bed.connect_shop()?;
    bed.sync_well("orders", "full")?;
    // Nobody is there to confirm plans, and none of them destroys anything.
    bed.db.execute("select easysync.set_setting('confirm_threshold', '1000000')", &[])?;
    let settings = json!({
        "post": {"on_hold_unpaid": {trade::METHOD: "invoice", "default": "skip"}},
        "cancel_unpaid": "credit_memo",
    });
    let books = Books::connect_with(bed, "books", "us_single", &settings)?;
    // The pace is held against the limits by `make bench`. Here servers die and others take over,
    // which can't know what the last one called: every 429 is one that we sent.
    let rules = json!({"throttle": false});
    bed.simulator.put(&format!("/quickbooks/companies/{}/rules", books.realm), &rules)?;
    let trade = Trade::of(&bed.simulator.rest()?)?;
    Ok((books, trade))
}

impl Torture {
    fn go(&mut self, plan: &Plan, say: &mut impl FnMut(String)) -> Result<()> {
        for point in 1..=plan.points {
            self.wait_for_room()?;
            self.clear_faults()?;
            self.trade.goes_on(&self.bed.simulator.rest()?, &mut self.random)?;
            let blow = Blow::draw(&mut self.random);
            let after_calls = self.random.u64(1..=7);
            say(format!("{point:>4}  {} after {after_calls} calls", blow.name()));
            self.strike(blow, after_calls).with_context(|| blow.name())?;
            *self.report.blows.entry(blow.name()).or_default() += 1;
            if point % plan.between_looks == 0 || point == plan.points {
                let began = Instant::now();
                self.settle_and_look(point)?;
                say(format!("      at rest and compared after {:.1?}", began.elapsed()));
            }
        }
        let crashes = self.crashes + breaking::crashes(&self.bed);
        if crashes != self.crashes_wanted {
            let wanted = self.crashes_wanted;
            let problem = format!("Postgres reinitialised {crashes} times, {wanted} by our kills");
            self.report.problems.push(problem);
        }
        Ok(())
    }

    fn end(self, outcome: Result<()>, say: &mut impl FnMut(String)) -> Result<Report> {
        let Torture { bed, report, origin, standby, .. } = self;
        let well = outcome.is_ok() && report.is_well();
        if let Err(error) = &outcome {
            say(format!("broken off: {error:#}; logs are in {}", bed.cluster.dir().display()));
        }
        if let Some(mut standby) = standby {
            standby.remove()?;
        }
        clear_away(bed, well, ())?;
        if let (Some(mut origin), true) = (origin, well) {
            origin.remove()?;
        }
        outcome.map(|()| report)
    }

    /// Starts a pull with its push, waits for that many calls to the books, and lets something
    /// break.
    fn strike(&mut self, blow: Blow, after_calls: u64) -> Result<()> {
        blow.prepare(self)?;
        self.books.forget_calls(&self.bed)?;
        let mode = if self.random.u8(0..5) == 0 { "full" } else { "incremental" };
        self.bed.db.execute("select easysync.trigger('orders', $1)", &[&mode])?;
        self.report.syncs += 1;
        let began = Instant::now();
        let mut in_time = true;
        while in_time && self.books.calls(&self.bed)? < after_calls {
            // A short push may make fewer calls: then the blow falls on what comes after it.
            in_time = began.elapsed() < Duration::from_secs(4);
            std::thread::sleep(Duration::from_millis(1));
        }
        self.amidst += u32::from(in_time);
        blow.strike(self)
    }

    /// What was asked for before has ended, or nearly: a blow ought to fall on a push.
    fn wait_for_room(&mut self) -> Result<()> {
        let began = Instant::now();
        while self.bed.count("easysync.sync_runs where status in ('queued', 'running')")? > 1 {
            if began.elapsed() > REST {
                bail!("syncs pile up: {}", self.what_waits()?);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// What the open syncs wait for, as far as the database knows.
    fn what_waits(&mut self) -> Result<String> {
        let told = self.bed.text(
            "select jsonb_build_object(
                'now', clock_timestamp(), 'health', easysync.health(),
                'runs', (select jsonb_agg(to_jsonb(r) - 'request') from easysync.sync_runs as r
                          where r.status in ('queued', 'running')),
                'steps', (select jsonb_agg(to_jsonb(p)) from easysync.sync_progress as p),
                'backends', (select jsonb_agg(jsonb_build_object('pid', a.pid, 'type', a.backend_type, 'state', a.state,
                                    'wait', a.wait_event, 'since', a.state_change, 'query', left(a.query, 200)))
                               from pg_stat_activity as a where a.datname is not null),
                'logs', (select jsonb_agg(l.message order by l.log_id desc) from (
                            select * from easysync.sync_logs order by log_id desc limit 15) as l))::text",
        )?;
        Ok(told.unwrap_or_default())
    }

    /// Makes the books misbehave; `matching` says on which calls.
    fn fault(&self, name: &str, arguments: &Value, matching: &Value) -> Result<()> {
        let mut body = json!({"fault": name, "match": matching});
        for (key, value) in arguments.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        self.bed.simulator.post("/quickbooks/faults", &body).map(drop)
    }

    fn clear_faults(&self) -> Result<()> {
        self.bed.simulator.delete("/quickbooks/faults").map(drop)
    }

    /// Changes rules of the company, as simulator/src/quickbooks/rules.rs has them.
    fn rules(&self, changes: &Value) -> Result<()> {
        let path = format!("/quickbooks/companies/{}/rules", self.books.realm);
        self.bed.simulator.put(&path, changes).map(drop)
    }

    /// Everything works again, all that was asked for has ended, and the books are held against the
    /// shop.
    fn settle_and_look(&mut self, point: u32) -> Result<()> {
        self.clear_faults()?;
        self.rules(&json!({"request_ids": "replay"}))?;
        self.push_until_well()?;
        let before = self.books.calls(&self.bed)?;
        let again = self.full_sync()?;
        let calls = self.books.calls(&self.bed)? - before;
        let mut problems = vec![];
        if again.written() > 0 || calls > 0 {
            problems.push(format!("a push of nothing new made {calls} calls: {again:?}"));
        }
        let verifies = "select verify_since::text from easysync_internal.identity";
        if let Some(since) = self.bed.text(verifies)? {
            problems.push(format!("it has been in verify mode since {since}"));
        }
        let open = "easysync_ledger.sync_requests where status in ('intended', 'sent', 'unknown')";
        let open = self.bed.count(open)?;
        if open > 0 {
            problems.push(format!("{open} intents are open"));
        }
        problems.extend(ledger::differences(&self.bed, &self.books, &self.trade)?);
        self.report.problems.extend(problems.into_iter().map(|p| format!("point {point}: {p}")));
        self.report.compared = format!(
            ", {}; {} blows amidst a push's calls, {} failovers, {} grants given again after one",
            ledger::told(&self.bed, &self.books)?,
            self.amidst,
            self.failovers,
            self.granted_again
        );
        Ok(())
    }

    /// Pushes all until nothing fails but what fails in the recorded shop.
    fn push_until_well(&mut self) -> Result<()> {
        let began = Instant::now();
        loop {
            self.grant_again()?;
            let run = self.full_sync()?;
            let failures = self.failures()?;
            let well = matches!(run.status.as_str(), "succeeded" | "partial");
            // The grant may have turned out to be gone since it was looked at: then nothing was pushed.
            if well && failures.is_empty() && self.books_status()? == "connected" {
                return Ok(());
            }
            if began.elapsed() > REST {
                bail!("it doesn't come to rest: {run:?}, {failures:#?}");
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    fn full_sync(&mut self) -> Result<Run> {
        self.report.syncs += 1;
        let id: i64 =
            self.bed.db.query_one("select easysync.trigger('orders', 'full')", &[])?.get(0);
        self.books.wait_for(&mut self.bed, id, REST)
    }

    /// Failed records, without those that the recorded shop has for good.
    fn failures(&mut self) -> Result<Vec<String>> {
        let rows = self.bed.db.query(
            "select format('%s %s: %s %s', f.entity, f.record_id, f.error_code, f.error_message)
             from easysync.sync_failures as f
             where f.error_category not in ('blocked', 'needs_attention')
                or not (f.entity = 'orders' and f.record_id::bigint <= $1)",
            &[&self.trade.last_recorded],
        )?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    fn books_status(&mut self) -> Result<String> {
        let status = "select status from easysync.connections where connection = 'books'";
        Ok(self.bed.text(status)?.unwrap_or_default())
    }

    /// A failover may lose the newest token, and with it the grant: then a person gives it anew.
    /// Without a failover nothing may lose it.
    fn grant_again(&mut self) -> Result<()> {
        let status = self.books_status()?;
        if status == "connected" {
            return Ok(());
        }
        if status != "reauthorize" || self.failovers == 0 {
            self.report.problems.push(format!("the connection is {status}"));
        }
        self.granted_again += 1;
        self.books.grant(&mut self.bed)
    }
}
