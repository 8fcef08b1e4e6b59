//! What is gone: found by its absence in a complete walk, believed when asked for by id.

use super::{Pull, Tally};
use crate::connector::Pass;
use crate::error::Result;
use crate::limits::PAGE_BYTES;
use crate::model::{Record, RecordFailure};
use crate::store::PageWrite;
use std::collections::HashSet;

/// Ids of the hub compared with the list at a time.
const CHUNK: usize = 1000;

impl Pull {
    /// Asks for the records that the hub holds in `(after, until]` and the list did not show, and
    /// adds to `write` what came back: alive after all (it slipped through a shifting page), in
    /// the trash, or gone.
    pub(super) async fn add_missing(
        &self,
        pass: &Pass,
        after: i64,
        until: Option<i64>,
        listed: &[i64],
        write: &mut PageWrite,
        tally: &mut Tally,
    ) -> Result<()> {
        let stream = &self.step.stream;
        let listed: HashSet<i64> = listed.iter().copied().collect();
        let mut after = after;
        loop {
            let known =
                self.store.present_ids(stream, pass.remote_type, after, until, CHUNK).await?;
            let missing: Vec<String> =
                known.iter().filter(|id| !listed.contains(id)).map(i64::to_string).collect();
            let chunk = usize::try_from(self.connector.page_size()).unwrap_or(100).max(1);
            for ids in missing.chunks(chunk) {
                let mut ids = ids.to_vec();
                while !ids.is_empty() {
                    self.check_cancel()?;
                    let found = self.by_ids(&ids).await?;
                    tally.calls += found.calls;
                    write.records.extend(found.records);
                    write.failures.extend(found.failures);
                    write.gone.extend(found.gone);
                    ids = found.rest;
                    // A shop that hides much and shows it by id: no more of it is kept than a page.
                    if weight(write) >= PAGE_BYTES {
                        let part = std::mem::replace(write, self.empty_page(tally));
                        self.write(part, tally).await?;
                    }
                }
            }
            match known.last() {
                Some(last) if known.len() == CHUNK => after = *last,
                _ => return Ok(()),
            }
        }
    }
}

fn weight(write: &PageWrite) -> usize {
    let failures = write.failures.iter().map(RecordFailure::weight);
    write.records.iter().map(Record::weight).chain(failures).sum()
}
