//! Walking a list that shifts while it is read.

use super::{BATCH, Pull, Tally};
use crate::connector::{Page, Pass};
use crate::error::{Error, Result};
use crate::store::{Cursor, Walk};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// How far the walk steps back at first when rows have left the list; doubled until it meets
/// an element that it has seen.
const STEP_BACK: u64 = 10;

/// Pages that may wait, read and mapped, for the store, as a multiple of those asked for at once.
const PAGES_AHEAD: usize = 3;

impl Pull {
    pub(super) async fn walk_passes(
        &self,
        passes: &[Pass],
        cursor: &mut Cursor,
        tally: &mut Tally,
    ) -> Result<()> {
        while let Some(index) = cursor.walk.as_ref().map(|walk| walk.pass) {
            let Some(pass) = passes.get(index) else { break };
            self.walk_pass(pass, cursor, tally).await?;
            if let Some(walk) = cursor.walk.as_mut() {
                (walk.pass, walk.offset, walk.last_id) = (index + 1, 0, 0);
            }
        }
        Ok(())
    }

    async fn walk_pass(&self, pass: &Pass, cursor: &mut Cursor, tally: &mut Tally) -> Result<()> {
        let Some(mut walk) = cursor.walk.clone() else { return Ok(()) };
        let mut feed = Feed::new(self, pass, walk.offset);
        let mut step_back = STEP_BACK;
        let mut ended = false;
        while !ended {
            let mut batch = Batch::default();
            let covered_from = walk.last_id;
            while !ended && batch.len < BATCH && (batch.pages == 0 || feed.is_ready()) {
                let (offset, page) = self.next_page(&mut feed).await?;
                tally.calls += page.calls;
                if has_gap(&walk, offset, &page) {
                    feed.restart(offset.saturating_sub(step_back));
                    step_back *= 2;
                    continue;
                }
                step_back = STEP_BACK;
                self.note(&page.notes).await?;
                ended = feed.is_end(offset, &page);
                if walk.pass == 0 && offset == 0 {
                    walk.started_at = page.served_at.unwrap_or(walk.started_at);
                }
                batch.take(page, pass, &mut walk, offset);
                walk.offset = feed.after(offset);
            }
            let mut write = self.empty_page(tally);
            if pass.complete {
                let until = (!ended).then_some(walk.last_id);
                self.add_missing(pass, covered_from, until, &batch.ids, &mut write, tally).await?;
            }
            write.records.splice(0..0, batch.records);
            write.failures.splice(0..0, batch.failures);
            cursor.walk = Some(walk.clone());
            write.cursor = Some(cursor.clone());
            if counts(pass) {
                tally.done += batch.counted;
                tally.total = feed.total.map(|total| total.saturating_sub(batch.skipped));
                write.records_total = tally.total;
            }
            self.write(write, tally).await?;
        }
        Ok(())
    }

    async fn next_page(&self, feed: &mut Feed<'_>) -> Result<(u64, Page)> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Error::cancelled()),
            page = feed.next() => page,
        }
    }
}

/// Does the pass count as records looked at: not the trash, and not a list of bare ids.
fn counts(pass: &Pass) -> bool {
    !pass.ids_only && pass.name != "trash"
}

/// A page begins with the last element of the one before. Where it begins behind it, or is empty,
/// rows have left the list and others may have slipped into what was read already.
fn has_gap(walk: &Walk, offset: u64, page: &Page) -> bool {
    if offset == 0 || walk.last_id == 0 {
        return false;
    }
    match page.ids.first() {
        Some(first) => *first > walk.last_id,
        None => page.len == 0,
    }
}

/// The pages that go to the store together.
#[derive(Default)]
struct Batch {
    records: Vec<crate::model::Record>,
    failures: Vec<crate::model::RecordFailure>,
    ids: Vec<i64>,
    len: usize,
    pages: usize,
    counted: u64,
    skipped: u64,
}

impl Batch {
    /// Takes what this pass hasn't covered yet, and moves the walk's end.
    fn take(&mut self, page: Page, pass: &Pass, walk: &mut Walk, offset: u64) {
        let seen = |id: i64| offset > 0 && id <= walk.last_id;
        let fresh: Vec<i64> = page.ids.iter().copied().filter(|id| !seen(*id)).collect();
        let own = |entity_type: &str, remote_id: &str| {
            entity_type != pass.remote_type || !remote_id.parse().is_ok_and(seen)
        };
        let unreadable = page.len.saturating_sub(page.ids.len());
        let counted = (fresh.len() + unreadable).saturating_sub(page.skipped);
        self.records.extend(page.records.into_iter().filter(|r| own(r.remote_type, &r.remote_id)));
        self.failures
            .extend(page.failures.into_iter().filter(|f| own(pass.remote_type, &f.remote_id)));
        self.len += fresh.len();
        self.pages += 1;
        self.counted += counted as u64;
        self.skipped += page.skipped as u64;
        if let Some(last) = fresh.iter().max() {
            walk.last_id = walk.last_id.max(*last);
        }
        self.ids.extend(fresh);
    }
}

/// Pages of a pass in order, several asked for ahead of their turn.
struct Feed<'a> {
    pull: &'a Pull,
    pass: Pass,
    limit: u64,
    in_flight: Arc<Semaphore>,
    ahead: VecDeque<(u64, Fetch)>,
    next_offset: u64,
    total: Option<u64>,
}

impl<'a> Feed<'a> {
    fn new(pull: &'a Pull, pass: &Pass, offset: u64) -> Self {
        Feed {
            pull,
            pass: pass.clone(),
            limit: pull.connector.page_size().max(2),
            in_flight: Arc::new(Semaphore::new(pull.connector.concurrency().max(1))),
            ahead: VecDeque::new(),
            next_offset: offset,
            total: None,
        }
    }

    /// Offset of the page after the one at `offset`: they share one element.
    fn after(&self, offset: u64) -> u64 {
        offset + self.limit - 1
    }

    fn restart(&mut self, offset: u64) {
        self.ahead.clear();
        self.next_offset = offset;
    }

    fn is_ready(&self) -> bool {
        self.ahead.front().is_some_and(|(_, fetch)| fetch.0.is_finished())
    }

    /// A short page is the last one, unless the platform says that there is more (a plugin that
    /// filters behind the paging).
    fn is_end(&self, offset: u64, page: &Page) -> bool {
        let reached = offset + page.len as u64;
        (page.len as u64) < self.limit && page.total.is_none_or(|total| reached >= total)
            || page.total.is_some_and(|total| total > 0 && reached >= total)
            || page.len == 0
    }

    /// Asks ahead as far as the list is known to go; without a total, for one page only.
    fn fill(&mut self) {
        let most = self.pull.connector.concurrency().max(1) * PAGES_AHEAD;
        while self.ahead.len() < most {
            let known = self.total.is_some_and(|total| self.next_offset + 1 < total);
            if !self.ahead.is_empty() && !known {
                break;
            }
            let offset = self.next_offset;
            self.ahead.push_back((offset, self.fetch(offset)));
            self.next_offset = self.after(offset);
        }
    }

    fn fetch(&self, offset: u64) -> Fetch {
        let connector = Arc::clone(&self.pull.connector);
        let stream = self.pull.step.stream.clone();
        let (pass, limit) = (self.pass.clone(), self.limit);
        let turn = Arc::clone(&self.in_flight);
        Fetch(tokio::spawn(async move {
            let _turn = turn.acquire_owned().await.map_err(|e| Error::internal(e.to_string()))?;
            connector.page(&stream, &pass, offset, limit).await
        }))
    }

    async fn next(&mut self) -> Result<(u64, Page)> {
        self.fill();
        let Some((offset, fetch)) = self.ahead.front_mut() else {
            return Err(Error::internal("a walk has no next page"));
        };
        let offset = *offset;
        let page = (&mut fetch.0)
            .await
            .map_err(|e| Error::internal(format!("reading a page failed: {e}")))??;
        self.ahead.pop_front();
        self.total = page.total.or(self.total);
        self.fill_after_first();
        Ok((offset, page))
    }

    /// Once the total is known the pages behind are asked for while this one is written.
    fn fill_after_first(&mut self) {
        if self.total.is_some_and(|total| self.next_offset + 1 < total) {
            self.fill();
        }
    }
}

/// A page that is being read; given up, it is not read on.
struct Fetch(JoinHandle<Result<Page>>);

impl Drop for Fetch {
    fn drop(&mut self) {
        self.0.abort();
    }
}
