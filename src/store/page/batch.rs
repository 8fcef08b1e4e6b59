//! Records that are written together, and what becomes of them where that fails: they are halved until
//! the one at fault stands alone.

use super::journal::Journal;
use super::{Locked, apply, failures, gone, probe};
use crate::error::{DbError, DbResult};
use crate::host;
use crate::store::hub::Hub;
use crate::store::lookup;
use crate::store::spi;
use engine::model::{Record, RecordFailure};
use engine::pull::HubChange;
use engine::store::{Counts, PageWrite};
use std::time::{Duration, Instant};

/// How long records are set apart whose rows are held, within one transaction: what has landed
/// waits for its commit. What is left then fails together, to be tried again.
const SETTING_APART: Duration = Duration::from_secs(10);

/// How long a row is waited for while records are set apart. The page as a whole has waited longer
/// before.
const SHORT_WAIT: &str = "50ms";

/// How long a page may take as a whole, before its records are set apart.
const WHOLE_PAGE: Duration = Duration::from_secs(20);

/// How long one attempt may take while records are set apart: a trigger that sleeps takes the time of
/// its own records, not that of the others.
const ATTEMPT: Duration = Duration::from_secs(5);

/// From so many records on, one error of every one of them is the table's, not theirs.
const MANY: usize = 3;

/// What a batch has come to.
#[derive(Default)]
pub struct Outcome {
    pub counts: Counts,
    pub failed: Vec<RecordFailure>,
    /// What was changed in records that were here before.
    pub changes: Vec<HubChange>,
}

impl Outcome {
    fn landed(&mut self, counts: Counts, changes: Vec<HubChange>) {
        self.counts += counts;
        self.changes.extend(changes);
    }
}

/// A page on its way into the hub.
pub struct Batch<'a> {
    hub: &'a mut Hub,
    page: &'a PageWrite,
    locked: Locked,
    began: Instant,
    /// The tables were found to be as they should when something first failed.
    probed: bool,
    /// The tables themselves were found to be free when a row was held.
    lockable: bool,
    pub outcome: Outcome,
}

impl<'a> Batch<'a> {
    pub fn new(hub: &'a mut Hub, page: &'a PageWrite, locked: Locked) -> DbResult<Self> {
        if locked == Locked::SetAside {
            spi::run(
                "select pg_catalog.set_config('lock_timeout', $1, true)",
                &[SHORT_WAIT.into()],
            )?;
        }
        let outcome = Outcome::default();
        let began = Instant::now();
        Ok(Batch { hub, page, locked, began, probed: false, lockable: false, outcome })
    }

    /// Writes records together, and apart where that fails.
    pub fn write_records(&mut self, records: &[&Record]) -> DbResult<()> {
        let before = self.outcome.failed.len();
        self.records(records)?;
        match broken_table(&self.outcome.failed[before..], records) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn records(&mut self, records: &[&Record]) -> DbResult<()> {
        let error = match self.attempt(records) {
            Ok((counts, changes)) => {
                self.outcome.landed(counts, changes);
                return Ok(());
            }
            Err(error) => error,
        };
        let error = self.judge(error, records)?;
        match records {
            [] => Err(error),
            _ if self.is_late(&error) => {
                let all = records.iter().map(|record| failures::refused(record, error.clone()));
                self.outcome.failed.extend(all);
                Ok(())
            }
            [record] => {
                self.outcome.failed.push(failures::refused(record, error));
                Ok(())
            }
            _ => {
                let (first, second) = records.split_at(records.len() / 2);
                self.records(first)?;
                self.records(second)
            }
        }
    }

    /// Marks records as gone, together, and apart where that fails.
    pub fn write_gone(&mut self, ids: &[String]) -> DbResult<()> {
        if ids.is_empty() {
            return Ok(());
        }
        self.limit_time();
        let (hub, stream) = (&mut *self.hub, &self.page.stream);
        let mut journal = Journal::of(self.page.sync_id);
        let mut counts = Counts::default();
        let marked = host::in_subtransaction(|| {
            gone::write(hub, stream, ids, &mut counts, &mut journal)?;
            host::settle()
        });
        let error = match marked {
            Ok(()) => {
                self.outcome.landed(counts, journal.changes);
                return Ok(());
            }
            Err(error) => error,
        };
        let error = self.judge(error, &[])?;
        if self.is_late(&error) || ids.len() == 1 {
            let all = ids.iter().map(|id| failures::not_marked(stream.entity, id, error.clone()));
            self.outcome.failed.extend(all);
            return Ok(());
        }
        let (first, second) = ids.split_at(ids.len() / 2);
        self.write_gone(first)?;
        self.write_gone(second)
    }

    /// An error that some record may be at fault for comes back as that; any other ends the batch.
    fn judge(&mut self, error: DbError, records: &[&Record]) -> DbResult<DbError> {
        lookup::forget();
        self.limit_time();
        if error.is_transient() {
            return match self.locked {
                Locked::GiveWay => Err(error),
                Locked::SetAside => {
                    self.check_tables_are_free(records).map_err(|_| error.clone())?;
                    Ok(error)
                }
            };
        }
        if error.is_about_server() {
            return Err(error);
        }
        if !self.probed {
            probe::tables(self.hub, &self.page.stream, records)?;
            self.probed = true;
        }
        Ok(error)
    }

    /// An error where a whole table is held: then no record could be written, and the page waits.
    fn check_tables_are_free(&mut self, records: &[&Record]) -> DbResult<()> {
        if !self.lockable {
            let tables = probe::relations(self.hub, &self.page.stream, records)?;
            for (relation, _) in tables {
                let lock = format!("lock table {} in row exclusive mode", relation.qualified());
                host::in_subtransaction(|| relation.command(&lock))?;
            }
            self.lockable = true;
        }
        Ok(())
    }

    /// What comes next may take so long, whatever the hub's triggers do.
    fn limit_time(&self) {
        host::limit_time(match self.locked {
            Locked::GiveWay => WHOLE_PAGE,
            Locked::SetAside => ATTEMPT,
        });
    }

    /// Has setting apart what is held taken too long?
    fn is_late(&self, error: &DbError) -> bool {
        error.is_transient() && self.began.elapsed() > SETTING_APART
    }

    /// Once as if every unlinked record were new; if a row was here already (an application, or an
    /// installation before this one, was faster), once more taking such rows over.
    fn attempt(&mut self, records: &[&Record]) -> DbResult<(Counts, Vec<HubChange>)> {
        self.limit_time();
        let (hub, page) = (&mut *self.hub, self.page);
        let mut once = |take_over| {
            let mut journal = Journal::of(page.sync_id);
            let applied = host::in_subtransaction(|| {
                let counts = apply::apply(hub, &page.stream, records, take_over, &mut journal)?;
                // A deferred constraint that refuses a record must name it here, not at the commit.
                host::settle()?;
                Ok(counts)
            });
            applied.map(|counts| (counts, journal.changes))
        };
        match once(false) {
            Err(error) if error.sqlstate == "23505" => once(true),
            other => other,
        }
    }
}

/// The error that each record of an entity failed with, in the same words about the table's shape: a
/// trigger that is broken, say.
fn broken_table(failed: &[RecordFailure], records: &[&Record]) -> Option<DbError> {
    let first = failed.iter().find(|f| DbError::new(&f.error.code, "").is_about_schema())?;
    let alike = failed
        .iter()
        .filter(|f| f.entity == first.entity && f.error.said == first.error.said)
        .count();
    let all = records.iter().filter(|record| record.entity == first.entity).count();
    (alike >= MANY && alike == all)
        .then(|| DbError::new(&first.error.code, first.error.said.clone().unwrap_or_default()))
}
