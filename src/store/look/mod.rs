//! A store on which a pull can be tried: reads go to the tables, and what would be written is
//! planned over them. No row, cursor, sequence or transaction id is touched; only the worker's keeps
//! the plan, in `sync_changes`.

mod overlay;

pub use overlay::{Earlier, Overlay, Planned, RowState};

use super::{PgStore, changes, links, lookup, page};
use crate::error::DbError;
use async_trait::async_trait;
use engine::model::{ConnectionName, Entity};
use engine::store::{
    Connection, Counts, Cursor, LogRow, Outcome, PageWrite, Progress, Run, Step, Store, Stream,
    SyncId,
};
use engine::{Error, Result};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where the plan goes.
enum Plan {
    /// With the run.
    Kept,
    /// To whoever asks, in memory; records that it may take.
    Told { most: u64, seen: Mutex<u64>, changes: Mutex<BTreeMap<i32, (ConnectionName, Planned)>> },
}

pub struct LookStore {
    inner: PgStore,
    overlay: Arc<Mutex<Overlay>>,
    plan: Plan,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LookStore {
    /// The worker's.
    pub fn keeping(inner: PgStore) -> Self {
        LookStore { inner, overlay: Arc::default(), plan: Plan::Kept }
    }

    /// A session's, for at most so many records.
    pub fn telling(inner: PgStore, most: u64) -> Self {
        let plan = Plan::Told { most, seen: Mutex::default(), changes: Mutex::default() };
        LookStore { inner, overlay: Arc::default(), plan }
    }

    /// What was planned, in order.
    pub fn told(&self) -> Vec<(ConnectionName, Planned)> {
        match &self.plan {
            Plan::Kept => vec![],
            Plan::Told { changes, .. } => locked(changes).values().cloned().collect(),
        }
    }

    fn tell(&self, stream: &Stream, planned: Vec<Planned>) {
        let Plan::Told { changes, .. } = &self.plan else { return };
        let mut changes = locked(changes);
        for change in planned {
            let id = change.change_id;
            match changes.get_mut(&id) {
                Some((_, earlier)) => earlier.follow(change),
                None => {
                    changes.insert(id, (stream.connection.name.clone(), change));
                }
            }
            // It came back to what the hub holds.
            if changes.get(&id).is_some_and(|(_, p)| p.is_empty()) {
                changes.remove(&id);
            }
        }
    }

    /// More than a session takes is the worker's.
    fn count(&self, page: &PageWrite) -> Result<()> {
        let Plan::Told { most, seen, .. } = &self.plan else { return Ok(()) };
        let mut seen = locked(seen);
        *seen += page.records_done;
        if *seen > *most || page.records_total.is_some_and(|total| total > *most) {
            return Err(engine::push::too_large(*most));
        }
        Ok(())
    }
}

#[async_trait]
impl Store for LookStore {
    async fn claim_run(&self) -> Result<Option<Run>> {
        Ok(None)
    }

    async fn plan_steps(&self, run: &Run) -> Result<Vec<Step>> {
        self.inner.plan_steps(run).await
    }

    async fn begin_step(&self, _run: &Run, _step: &Step) -> Result<()> {
        Ok(())
    }

    async fn end_step(&self, _: &Run, _: &Step, _: Outcome, _: Option<Error>) -> Result<()> {
        Ok(())
    }

    async fn end_run(&self, _: &Run, _: Outcome, _: Option<Error>) -> Result<()> {
        Ok(())
    }

    async fn stop_requests(&self) -> Result<Vec<SyncId>> {
        Ok(vec![])
    }

    async fn cursor(&self, stream: &Stream) -> Result<Cursor> {
        self.inner.cursor(stream).await
    }

    async fn write_page(&self, page: PageWrite) -> Result<Counts> {
        self.count(&page)?;
        let page = Arc::new(page);
        let (looked, overlay) = (Arc::clone(&page), Arc::clone(&self.overlay));
        let keeps = matches!(self.plan, Plan::Kept);
        let result = self.inner.job(move || {
            let mut overlay = locked(&overlay);
            let counts = match page::look(&looked, &mut overlay) {
                Ok(counts) => counts,
                // Half a page may be planned: once more would plan it twice.
                Err(error) => return Err(DbError::new("XX000", error.message)),
            };
            let planned = overlay.take();
            if keeps {
                changes::keep_plan(&looked, &planned)?;
                page::note_look(&looked, &counts)?;
            }
            Ok((counts, planned))
        });
        let (counts, planned) = result.await?;
        self.tell(&page.stream, planned);
        Ok(counts)
    }

    async fn present_ids(
        &self,
        stream: &Stream,
        remote_type: &str,
        after: i64,
        until: Option<i64>,
        limit: usize,
    ) -> Result<Vec<i64>> {
        self.inner.present_ids(stream, remote_type, after, until, limit).await
    }

    async fn missing(
        &self,
        stream: &Stream,
        entity: Entity,
        ids: Vec<String>,
    ) -> Result<Vec<String>> {
        let mut missing = self.inner.missing(stream, entity, ids).await?;
        let overlay = locked(&self.overlay);
        missing.retain(|id| overlay.link(entity, id).is_none_or(|link| link.hub_id.is_none()));
        Ok(missing)
    }

    async fn failures_due(&self, stream: &Stream) -> Result<Vec<String>> {
        self.inner.failures_due(stream).await
    }

    async fn with_new_refunds(&self, stream: &Stream, orders: Vec<String>) -> Result<Vec<String>> {
        let (mut here, mut others): (Vec<(String, Vec<String>)>, Vec<String>) = (vec![], vec![]);
        {
            let overlay = locked(&self.overlay);
            for order in &orders {
                match overlay.refunds(order) {
                    Some(refunds) => here.push((order.clone(), refunds.clone())),
                    None => others.push(order.clone()),
                }
            }
        }
        let stored: HashSet<String> =
            self.inner.with_new_refunds(stream, others).await?.into_iter().collect();
        let looked = stream.clone();
        let job = self.inner.job(move || {
            let mut wanted = HashSet::new();
            for (order, refunds) in &here {
                let ids: Vec<&str> = refunds.iter().map(String::as_str).collect();
                let known = links::lookup(&looked, Entity::Refunds, &ids)?;
                if known.iter().any(|link| link.as_ref().is_none_or(|link| link.deleted)) {
                    wanted.insert(order.clone());
                }
            }
            Ok(wanted)
        });
        let wanted = job.await?;
        Ok(orders.into_iter().filter(|id| wanted.contains(id) || stored.contains(id)).collect())
    }

    async fn log(&self, rows: Vec<LogRow>) -> Result<()> {
        match self.plan {
            Plan::Kept => self.inner.log(rows).await,
            Plan::Told { .. } => Ok(()),
        }
    }

    async fn progress(&self, progress: Progress) -> Result<()> {
        match self.plan {
            Plan::Kept => self.inner.progress(progress).await,
            Plan::Told { .. } => Ok(()),
        }
    }

    async fn suspend_connection(&self, _: &Connection, _: &Error) -> Result<()> {
        Ok(())
    }

    async fn woken(&self) {
        self.inner.woken().await;
    }
}

impl PgStore {
    /// As [`Store::look`] says; what an interrupted look had planned is dropped.
    pub(super) async fn open_look(&self, run: &Run) -> Result<Arc<dyn Store>> {
        let sync_id = run.sync_id;
        self.job(move || {
            lookup::forget();
            changes::drop_plan(sync_id)
        })
        .await?;
        let inner = PgStore::new(Arc::clone(&self.bridge), self.epoch, self.poll_interval);
        Ok(Arc::new(LookStore::keeping(inner)))
    }
}
