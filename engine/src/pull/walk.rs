//! Walking a list that shifts while it is read.

use super::course::{Course, Next};
use super::feed::Feed;
use super::{BATCH, Pull, Tally};
use crate::connector::{Page, Pass};
use crate::error::{Error, Result};
use crate::http::budget::Held;
use crate::limits::PAGE_BYTES;
use crate::store::{Cursor, Walk};
use jiff::{SignedDuration, Timestamp};

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
        let mut course = Course::new(feed.limit());
        let mut ended = false;
        while !ended {
            let mut batch = Batch::default();
            let covered_from = walk.last_id;
            while !ended && batch.has_room() && (batch.pages == 0 || feed.is_ready()) {
                let (offset, page) = self.next_page(&mut feed).await?;
                tally.calls += page.calls;
                match course.next(walk.last_id, offset, &page)? {
                    Next::Back(to) => {
                        feed.restart(to);
                        continue;
                    }
                    Next::End => ended = true,
                    Next::On(to) => {
                        feed.go_on(to);
                        walk.offset = to;
                    }
                }
                self.note(&page.notes).await?;
                // Only the first sight of the list: what is read again later was there before.
                if walk.pass == 0 && offset == 0 && walk.last_id == 0 {
                    walk.started_at = believed(page.served_at, walk.started_at);
                }
                batch.take(page, pass, &mut walk);
            }
            let mut write = self.empty_page(tally);
            if pass.complete {
                let until = (!ended).then_some(walk.last_id);
                self.add_missing(pass, covered_from, until, &batch.ids, &mut write, tally).await?;
            }
            write.records.splice(0..0, batch.records);
            write.failures.splice(0..0, batch.failures);
            write.gone.extend(batch.gone);
            cursor.walk = Some(walk.clone());
            write.cursor = Some(cursor.clone());
            if counts(pass) {
                tally.done += batch.counted;
                tally.total = feed.total().map(|total| total.saturating_sub(batch.skipped));
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

/// How far ahead of ours a platform's clock is believed: time zones taken for UTC are within it.
const MOST_AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// When the walk began, by the platform's clock. One that is further ahead says nothing: the next run
/// would ask for changes after a time that is still to come, and see none.
fn believed(told: Option<Timestamp>, ours: Timestamp) -> Timestamp {
    told.filter(|told| told.duration_since(ours) <= MOST_AHEAD).unwrap_or(ours)
}

/// Does the pass count as records looked at: not the trash, and not a list of bare ids.
fn counts(pass: &Pass) -> bool {
    !pass.ids_only && pass.name != "trash"
}

/// The pages that go to the store together.
#[derive(Default)]
struct Batch {
    records: Vec<crate::model::Record>,
    failures: Vec<crate::model::RecordFailure>,
    gone: Vec<String>,
    ids: Vec<i64>,
    len: usize,
    pages: usize,
    counted: u64,
    skipped: u64,
    weight: usize,
    /// What its pages hold, until they are written.
    held: Vec<Held>,
}

impl Batch {
    fn has_room(&self) -> bool {
        self.len < BATCH && self.weight < PAGE_BYTES
    }

    /// Takes what this pass hasn't covered yet, and moves the walk's end.
    fn take(&mut self, page: Page, pass: &Pass, walk: &mut Walk) {
        let seen = |id: i64| id <= walk.last_id;
        let fresh: Vec<i64> = page.ids.iter().copied().filter(|id| !seen(*id)).collect();
        let own = |entity_type: &str, remote_id: &str| {
            pass.remote_type.is_empty()
                || entity_type != pass.remote_type
                || !remote_id.parse().is_ok_and(seen)
        };
        let unreadable = page.len.saturating_sub(page.ids.len());
        let counted = (fresh.len() + unreadable).saturating_sub(page.skipped);
        self.records.extend(page.records.into_iter().filter(|r| own(r.remote_type, &r.remote_id)));
        self.failures
            .extend(page.failures.into_iter().filter(|f| own(pass.remote_type, &f.remote_id)));
        self.gone.extend(page.gone);
        self.weight += page.weight;
        self.held.push(page.held);
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
