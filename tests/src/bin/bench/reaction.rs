//! From the commit of a `trigger` to the worker's first byte to the shop.

use crate::figures::{Figures, Target};
use crate::proxy::Proxy;
use anyhow::{Context, Result};
use easysync_tests::bed::{Bed, Setup};
use easysync_tests::environment::Environment;
use serde_json::json;
use std::time::{Duration, Instant};

const TRIALS: usize = 60;

pub fn measure(environment: &Environment, figures: &mut Figures) -> Result<()> {
    let mut bed = Bed::start(environment, "bench-reaction", &Setup::generated(20))?;
    let outcome = times(&mut bed);
    bed.stop(outcome.is_ok())?;
    let mut times = outcome?;
    times.sort();
    let milliseconds = |at: usize| times[at].as_secs_f64() * 1000.0;
    let (median, ninety) = (milliseconds(TRIALS / 2), milliseconds(TRIALS * 9 / 10));
    figures.add("commit_to_request_ms", median, "ms", Target::Below(5.0));
    figures.add("commit_to_request_p90_ms", ninety, "ms", Target::None);
    Ok(())
}

fn times(bed: &mut Bed) -> Result<Vec<Duration>> {
    let shop = bed.simulator.state.woocommerce.https.clone();
    let proxy = Proxy::start(shop.trim_start_matches("https://").to_owned())?;
    bed.connect_shop_with(&json!({"url": format!("https://{}", proxy.address)}))?;
    bed.sync_well("customers", "incremental")?;
    let mut times = Vec::with_capacity(TRIALS);
    for _ in 0..TRIALS {
        while proxy.sent.try_recv().is_ok() {}
        let mut transaction = bed.db.transaction()?;
        let row = transaction.query_one("select easysync.trigger('customers')", &[])?;
        // From here on it could go out: the commit's own time is the server's, not the worker's.
        let before = Instant::now();
        transaction.commit()?;
        let committed = Instant::now();
        let first = proxy.sent.recv_timeout(Duration::from_secs(10)).context("no request")?;
        // It may well be heard before our own commit is answered.
        times.push(first.saturating_duration_since(committed.min(first).max(before)));
        bed.wait(row.get(0))?;
    }
    Ok(times)
}
