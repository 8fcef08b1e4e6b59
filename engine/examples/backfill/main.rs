//! A first load into the books on a simulated clock: the push pipeline as the worker runs it
//! (planner, gate, intents, limiter, connector, HTTP) with a store in memory, against the simulated
//! QuickBooks over its real sockets, with its limits enforced. Prints one JSON object of what was
//! measured; `make bench` holds it against the targets.
//!
//! Only time is not real: whoever waits moves the one clock that limiter and QuickBooks share.

mod clock;
mod company;
mod shop;

use clock::SharedClock;
use company::Company;
use engine::clock::Clock;
use engine::connector::quickbooks::limits::BATCHES_A_MINUTE;
use engine::model::{Direction, Entity, Mode};
use engine::push::store::PushStore;
use engine::push::{End, Push};
use engine::store::{DeletePolicy, Filters, Run, Step, Stream};
use engine::testing::MemHub;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What a call takes there, in simulated milliseconds. One after another, since the simulator
/// answers one at a time: four batches at once take four times as long.
const CALL_TAKES_MS: i64 = 700;

/// `backfill [orders [customers [items]]]`
fn main() -> Outcome<()> {
    let numbers: Vec<i64> = std::env::args().skip(1).filter_map(|n| n.parse().ok()).collect();
    let number = |at: usize, default| numbers.get(at).copied().unwrap_or(default);
    let size =
        shop::Size { orders: number(0, 10_000), customers: number(1, 2000), items: number(2, 500) };
    // One thread: the same run every time.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let figures = runtime.block_on(backfill(&size))?;
    println!("{figures}");
    Ok(())
}

async fn backfill(size: &shop::Size) -> Outcome<Value> {
    let company = Company::open(CALL_TAKES_MS).await?;
    let hub = Arc::new(MemHub::new(u64::MAX));
    let sold = shop::fill(&hub, size);
    let first = push(&company, &hub, 1).await?;
    let figures = measured(&company, size)?;
    // Once more: nothing is new, so nothing is called.
    let second = push(&company, &hub, 2).await?;
    let calls_again = company.calls()?["calls"].as_u64().unwrap_or(u64::MAX)
        - figures["calls"].as_u64().unwrap_or(0);
    let documents = company.get("documents")?["SalesReceipt"]["USD"].clone();
    let (count, total) = (documents["count"].to_string(), documents["total"].as_str());
    if count != size.orders.to_string() || total != Some(&sold.to_string()) {
        return Err(format!("{sold} was sold, the books have {documents}; {first:?}").into());
    }
    if calls_again > 0 {
        return Err(format!("a second push made {calls_again} calls: {second:?}").into());
    }
    Ok(figures)
}

/// One run over everything, as the worker makes it.
async fn push(company: &Company, hub: &Arc<MemHub>, sync_id: i64) -> Outcome<End> {
    let connection = Arc::clone(&company.connection);
    let tenant = connection.tenant.clone();
    let stream = Stream {
        connection,
        entity: Entity::Orders,
        direction: Direction::Push,
        filters: Filters::default(),
        delete_policy: DeletePolicy::Keep,
        rules: None,
    };
    {
        let mut state = hub.state();
        state.now = company.clock.now();
        state.plan = None;
        state.changes.clear();
    }
    let push = Push {
        store: Arc::clone(hub) as Arc<dyn PushStore>,
        target: company.target()?,
        clock: Arc::clone(&company.clock) as Arc<SharedClock>,
        cancel: CancellationToken::new(),
        run: Run {
            sync_id,
            tenant,
            entity: Entity::Orders,
            mode: Mode::Full,
            connection: None,
            ids: None,
            filters: Filters::default(),
            resumed: false,
            dry_run: false,
            undoes: None,
            agreed: false,
        },
        step: Step { step: 1, stream, finished: false },
        replan: Default::default(),
    };
    let end = push.carry_out().await?;
    match &end {
        End::Done(counts) if counts.failed == 0 => Ok(end),
        _ => Err(format!("the push ended with {end:?}: {:?}", hub.state().failures).into()),
    }
}

/// What the company has counted.
fn measured(company: &Company, size: &shop::Size) -> Outcome<Value> {
    let calls = company.calls()?;
    let number = |name: &str| calls[name].as_u64().ok_or(format!("no {name} in {calls}"));
    let batches = document_batches(company)?;
    let Some(whole) = batches.len().checked_sub(1).map(|n| n - n % BATCHES_A_MINUTE) else {
        return Err("no batch of documents was sent".into());
    };
    let minutes = |until: usize| -> f64 {
        let times = batches.get(until).zip(batches.first());
        times.map_or(0.0, |(last, first)| last.duration_since(*first).as_secs_f64() / 60.0)
    };
    // Batches go out in bursts, as their tokens come back: over whole rounds of tokens none of them
    // flatters.
    let rate = whole as f64 / minutes(whole);
    Ok(json!({
        "orders": size.orders,
        "calls": number("calls")?,
        "calls_per_order": number("calls")? as f64 / size.orders as f64,
        "throttled": number("throttled")?,
        "reads": number("reads")?,
        "reads_in_document_phase": company.reads_after(number("batches")? as usize - batches.len()),
        "document_batches": batches.len(),
        "document_minutes": minutes(batches.len() - 1),
        "rate_used": rate / BATCHES_A_MINUTE as f64,
    }))
}

/// When each batch of sales arrived.
fn document_batches(company: &Company) -> Outcome<Vec<Timestamp>> {
    let writes = company.get("writes")?;
    let mut found: BTreeMap<String, Timestamp> = BTreeMap::new();
    for write in writes.as_array().into_iter().flatten() {
        if write["entity"] == "SalesReceipt"
            && let (Some(id), Some(at)) = (write["request_id"].as_str(), write["at"].as_str())
        {
            found.insert(id.to_owned(), at.parse()?);
        }
    }
    let mut times: Vec<Timestamp> = found.into_values().collect();
    times.sort();
    Ok(times)
}
