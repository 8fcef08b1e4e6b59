//! From a delivery's insert to the changed row in the hub; and what a burst of deliveries costs.

use crate::figures::{Figures, Target};
use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup};
use easysync_tests::compare::shop::id_of;
use easysync_tests::environment::Environment;
use easysync_tests::hooks::{connect_with_secret, deliver, signed};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const TRIALS: usize = 60;
const RECORDS: usize = 100;
const BURST: usize = 1000;

pub fn measure(environment: &Environment, figures: &mut Figures) -> Result<()> {
    let mut bed = Bed::start(environment, "bench-webhooks", &Setup::default())?;
    let outcome = observe(&mut bed);
    bed.stop(outcome.is_ok())?;
    let (mut times, fetches, burst) = outcome?;
    times.sort();
    let milliseconds = |at: usize| times[at].as_secs_f64() * 1000.0;
    let (median, ninety) = (milliseconds(TRIALS / 2), milliseconds(TRIALS * 9 / 10));
    figures.add("delivery_to_hub_ms", median, "ms", Target::Below(50.0));
    figures.add("delivery_to_hub_p90_ms", ninety, "ms", Target::None);
    let fetches = fetches as f64;
    figures.add("burst_of_1000_for_100_fetches", fetches, "records", Target::AtMost(120.0));
    figures.add("burst_of_1000_ms", burst.as_secs_f64() * 1000.0, "ms", Target::None);
    Ok(())
}

fn observe(bed: &mut Bed) -> Result<(Vec<Duration>, usize, Duration)> {
    connect_with_secret(bed)?;
    bed.sync_well("orders", "full")?;
    let shop = bed.simulator.shop()?;
    let ids: Vec<String> = shop.live_orders().into_iter().map(id_of).take(RECORDS).collect();
    let mut times = Vec::with_capacity(TRIALS);
    for trial in 0..TRIALS {
        let (id, note) = (&ids[trial % RECORDS], format!("trial {trial}"));
        let (headers, body) = change(bed, id, &note)?;
        let mut client = bed.client()?;
        let began = Instant::now();
        deliver(&mut client, &headers, &body)?;
        let seen =
            bed.db.prepare("select customer_note from commerce.orders where source_id = $1")?;
        while bed.db.query_one(&seen, &[id])?.get::<_, Option<String>>(0).as_ref() != Some(&note) {
            ensure!(began.elapsed() < Duration::from_secs(20), "delivery {trial} isn't acted on");
            std::thread::sleep(Duration::from_micros(200));
        }
        times.push(began.elapsed());
    }
    let mut deliveries = vec![];
    for event in 0..BURST {
        let id: u64 = ids[event % RECORDS].parse()?;
        let body = json!({"id": id, "n": event}).to_string();
        deliveries.push((signed(&mut bed.db, "order.updated", &body)?, body));
    }
    let mut client = bed.client()?;
    bed.simulator.reset_calls()?;
    let began = Instant::now();
    for (headers, body) in &deliveries {
        deliver(&mut client, headers, body)?;
    }
    let done = "(select count(*) = 0 from easysync.webhook_events
                  where status in ('received', 'accepted'))";
    bed.wait_until(done, Duration::from_secs(60))?;
    Ok((times, bed.simulator.record_fetches()?, began.elapsed()))
}

/// Changes an order; its delivery.
fn change(bed: &mut Bed, id: &str, note: &str) -> Result<(Value, String)> {
    let changed =
        bed.simulator.rest()?.put(&format!("orders/{id}"), &json!({"customer_note": note}));
    let body = changed.context("a change of an order")?.to_string();
    Ok((signed(&mut bed.db, "order.updated", &body)?, body))
}
