//! One page of a pull, in one transaction: records, what is gone, failures, and the cursor.

mod apply;
mod batch;
mod failures;
mod gone;
mod journal;
mod look;
mod probe;
mod progress;

use super::hub::Hub;
use super::look::Overlay;
use super::{changes, links, lookup, statistics};
use crate::error::DbResult;
use crate::host;
use batch::{Batch, Outcome};
use engine::store::{Counts, PageWrite, Stream};
use journal::Journal;
use pgrx::prelude::*;
use std::cell::RefCell;
use std::time::Duration;

thread_local! {
    /// Whose write the statement in hand is: the connection whose pull it belongs to, and whether
    /// anybody else would want to know.
    static ORIGIN: RefCell<Option<(String, bool)>> = const { RefCell::new(None) };
}

/// The connection whose pull makes the statement in hand; none in a trigger of a trigger: what
/// that writes is an application's.
pub fn change_origin() -> Option<String> {
    ORIGIN
        .with_borrow(|origin| origin.as_ref().map(|(name, _)| name.clone()))
        .filter(|_| is_direct())
}

/// Is nobody interested in the change that is being made?
pub fn changes_suppressed() -> bool {
    ORIGIN.with_borrow(|origin| origin.as_ref().is_some_and(|(_, nobody)| *nobody)) && is_direct()
}

fn is_direct() -> bool {
    let depth = unsafe { pgrx::direct_function_call::<i32>(pg_sys::pg_trigger_depth, &[]) };
    depth.unwrap_or(0) <= 1
}

/// Runs a write of the store with its origin known.
fn with_origin<R>(stream: &Stream, work: impl FnOnce() -> DbResult<R>) -> DbResult<R> {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            ORIGIN.set(None);
        }
    }
    let nobody: Option<bool> = super::spi::one(
        "select not exists (select from easysync_internal.streams
                             where direction in ('push', 'two_way')
                               and (tenant_id, connection) <> ($1, $2))",
        &[stream.connection.tenant.as_str().into(), stream.connection.name.as_str().into()],
    )?;
    ORIGIN.set(Some((stream.connection.name.to_string(), nobody.unwrap_or(false))));
    let _reset = Reset;
    work()
}

/// How long the writes to our own tables may take after those to the hub.
const OWN_WRITES: Duration = Duration::from_secs(60);

/// What becomes of records whose rows another session holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locked {
    /// The page gives way as a whole, and is tried again.
    GiveWay,
    /// Each of them becomes a failed record, to be tried again later; the rest lands.
    SetAside,
}

/// Writes a page. A record that this database refuses becomes a failed record; the rest lands.
pub fn write(page: &PageWrite, locked: Locked) -> DbResult<Counts> {
    let result = write_all(page, locked);
    if result.is_err() {
        lookup::forget();
    }
    result
}

fn write_all(page: &PageWrite, locked: Locked) -> DbResult<Counts> {
    let mut outcome = Outcome::default();
    links::settle_just_added()?;
    if !page.records.is_empty() || !page.gone.is_empty() {
        let mut hub = Hub::of_tenant(page.stream.connection.tenant.as_str())?;
        with_origin(&page.stream, || {
            let mut batch = Batch::new(&mut hub, page, locked)?;
            batch.write_records(&apply::newest(&page.records))?;
            batch.write_gone(&page.gone)?;
            outcome = batch.outcome;
            host::limit_time(OWN_WRITES);
            Ok(())
        })?;
        changes::keep(page, &outcome.changes)?;
        statistics::keep_up(&mut hub)?;
    }
    let failed = outcome.failed;
    outcome.counts.failed = failures::write(page, &failed)?;
    progress::write(page, &outcome.counts)?;
    Ok(outcome.counts)
}

/// Looks at a page: what writing it would do is planned in `overlay`, and nothing is written.
pub fn look(page: &PageWrite, overlay: &mut Overlay) -> DbResult<Counts> {
    let mut counts = Counts::default();
    if !page.records.is_empty() || !page.gone.is_empty() {
        let mut hub = Hub::of_tenant(page.stream.connection.tenant.as_str())?;
        let records = apply::newest(&page.records);
        let mut journal = Journal::looking(page.sync_id, overlay);
        counts += apply::apply(&mut hub, &page.stream, &records, true, &mut journal)?;
        gone::write(&mut hub, &page.stream, &page.gone, &mut counts, &mut journal)?;
    }
    for failure in &page.failures {
        overlay.skip(failures::planned(failure));
    }
    counts.failed += page.failures.len() as u64;
    Ok(counts)
}

/// Notes how far a look has come, and nothing of what it found.
pub fn note_look(page: &PageWrite, counts: &Counts) -> DbResult<()> {
    let seen = Counts { unchanged: counts.unchanged, ..Counts::default() };
    progress::advance(page, &seen)
}
