//! A plan that nobody stores: for the session that asks.

use super::Push;
use super::planning::Place;
use crate::error::{Category, Error, Result};
use crate::plan::{Change, Gate, Numbering, PlanHash, PlanSummary};
use jiff::SignedDuration;

/// What a push would change.
#[derive(Debug, Clone)]
pub struct Preview {
    pub changes: Vec<Change>,
    pub hash: String,
    pub summary: PlanSummary,
    pub gate: Gate,
}

/// Records of one page.
const PAGE: usize = 100;

impl Push {
    /// Plans as a run would (this run must be a dry run) and keeps nothing. At most `records` and
    /// `time`; beyond, the error says how the worker does it.
    pub async fn preview(&self, records: u64, time: SignedDuration) -> Result<Preview> {
        let began = self.clock.now();
        let settings = self.store.gate(&self.run.tenant).await?;
        self.prepare().await?;
        let (scope, _) = self.scope().await?;
        let mut numbering = Numbering::default();
        let mut hash = PlanHash::new(&self.stream().connection);
        let mut summary = PlanSummary::default();
        let mut changes: Vec<Change> = vec![];
        let mut place = Place::of(&self.run);
        while let Some(planned) =
            self.next_page(&mut place, &scope, PAGE, &mut numbering, &mut summary).await?
        {
            let late = self.clock.now().duration_since(began) > time;
            if late || summary.records > records {
                return Err(too_large(records));
            }
            planned.iter().for_each(|change| {
                hash.add(change);
                summary.add(change);
            });
            changes.extend(planned);
        }
        let gate = Gate::of(&summary, &settings);
        Ok(Preview { changes, hash: hash.finish(), summary, gate })
    }
}

/// A preview that is the worker's.
pub fn too_large(records: u64) -> Error {
    let message = format!("this preview is more than a session does: {records} records, 60 s");
    let mut error = Error::new(Category::Validation, "preview_too_large", message).hint(
        "Let the worker plan it: easysync.trigger(..., dry_run => true), then easysync.sync_changes.",
    );
    error.sqlstate = Some(crate::error::SqlState::TooLarge);
    error
}
