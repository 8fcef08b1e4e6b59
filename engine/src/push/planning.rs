//! Makes a plan, page by page: memory doesn't grow with the number of records, but for a key and
//! a place each.

use super::Push;
use super::store::{Bundle, Candidate, KeptPlan, PushStore, Scope, Told};
use super::undo::Undoing;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::model::{Entity, Mode};
use crate::plan::{Change, Draft, Gate, Key, Numbering, PlanHash, PlanSummary};
use crate::posting::input::{UNREADABLE_ROW, name_of};
use crate::store::{Filters, Run, Step};

/// Asks the gate, and closes a stored plan: its hash, and what it comes to. False: it waits for a
/// person.
pub(super) async fn submit(
    store: &dyn PushStore,
    clock: &dyn Clock,
    (run, step): (&Run, &Step),
    kept: Option<KeptPlan>,
    (hash, summary): (String, PlanSummary),
) -> Result<bool> {
    let settings = store.gate(&run.tenant).await?;
    let mut gate = Gate::of(&summary, &settings);
    if run.agreed {
        gate = gate.agreed();
    }
    let confirmed = kept
        .filter(|plan| plan.confirmed_hash.as_deref() == Some(&hash))
        .map_or(0, |plan| plan.confirmed);
    let released = run.dry_run || confirmed >= gate.confirmations;
    let until = (!released).then(|| clock.now().checked_add(settings.wait).ok()).flatten();
    let confirmed_hash = (confirmed > 0).then(|| hash.clone());
    let plan = KeptPlan { hash, summary, confirmed, confirmed_hash, released };
    store.close_plan(run, step, &plan, until).await?;
    Ok(released)
}

/// Where a plan stands.
pub(super) enum Place {
    /// Behind a record of the hub.
    Record(Option<Candidate>),
    /// Among the changes of the run that is undone.
    Undo(Undoing),
}

impl Place {
    /// The beginning.
    pub fn of(run: &Run) -> Place {
        match run.undoes {
            Some(_) => Place::Undo(Undoing::default()),
            None => Place::Record(None),
        }
    }
}

/// Records of one page.
const PAGE: usize = 200;

impl Push {
    /// Plans, stores the plan and asks the gate. False: it waits for a person. A dry run stops
    /// there and says true: nothing is sent, and nothing waits.
    pub(super) async fn plan_and_gate(&self, kept: Option<KeptPlan>) -> Result<bool> {
        let reads_queue = self.run.undoes.is_none();
        if reads_queue && !self.run.dry_run {
            self.store.fold(&self.run.tenant).await?;
        }
        let started = self.clock.now();
        let (scope, sweeps) = self.scope().await?;
        let last = self.store.begin_plan(&self.run, &self.step).await?;
        let mut numbering = Numbering::after(last);
        let (hash, summary) = self.plan(&scope, &mut numbering).await?;
        let (store, clock) = (&*self.store, &*self.clock);
        let released = submit(store, clock, (&self.run, &self.step), kept, (hash, summary)).await?;
        if released
            && sweeps
            && reads_queue
            && !self.run.dry_run
            && self.run.filters == Filters::default()
        {
            self.store.note_sweep(self.stream(), started).await?;
        }
        Ok(released)
    }

    /// Walks the records and stores what is to be changed; the hash of the plan, and what it comes
    /// to.
    pub(super) async fn plan(
        &self,
        scope: &Scope,
        numbering: &mut Numbering,
    ) -> Result<(String, PlanSummary)> {
        let mut hash = PlanHash::new(&self.stream().connection);
        let mut summary = PlanSummary::default();
        let mut place = Place::of(&self.run);
        while let Some(changes) =
            self.next_page(&mut place, scope, PAGE, numbering, &mut summary).await?
        {
            changes.iter().for_each(|change| {
                hash.add(change);
                summary.add(change);
            });
            if !changes.is_empty() {
                self.store.save_changes(&self.run, &self.step, changes).await?;
            }
            self.report_spent().await?;
        }
        Ok((hash.finish(), summary))
    }

    /// Refunds that this run was asked for by their ids.
    fn asked_refunds(&self) -> Vec<String> {
        match (self.stream().entity, self.run.mode, &self.run.ids) {
            (Entity::Refunds, Mode::Ids, Some(ids)) => ids.clone(),
            _ => vec![],
        }
    }

    /// The changes of the next records. None: all have been looked at.
    pub(super) async fn next_page(
        &self,
        place: &mut Place,
        scope: &Scope,
        limit: usize,
        numbering: &mut Numbering,
        summary: &mut PlanSummary,
    ) -> Result<Option<Vec<Change>>> {
        self.check_cancel()?;
        let after = match place {
            Place::Undo(undoing) => {
                return self.undo_page(undoing, limit, numbering, summary).await;
            }
            Place::Record(after) => after,
        };
        let page = self.candidates(scope, *after, limit).await?;
        let Some(last) = page.last() else { return Ok(None) };
        *after = Some(*last);
        self.plan_page(&page, numbering, summary).await.map(Some)
    }

    async fn candidates(
        &self,
        scope: &Scope,
        after: Option<Candidate>,
        limit: usize,
    ) -> Result<Vec<Candidate>> {
        let roots = self.roots();
        self.store.candidates(&self.run, self.stream(), &roots, scope, after, limit).await
    }

    async fn drafts(&self, bundle: &Bundle) -> Result<Vec<Draft>> {
        match &bundle.unreadable {
            Some(error) => Err(error.clone()),
            None => self.target.draft(bundle).await,
        }
    }

    async fn plan_page(
        &self,
        page: &[Candidate],
        numbering: &mut Numbering,
        summary: &mut PlanSummary,
    ) -> Result<Vec<Change>> {
        let roots = self.roots();
        let bundles = self.store.bundles(self.stream(), &roots, page).await?;
        let (mut changes, mut in_step) = (vec![], vec![]);
        for (candidate, bundle) in page.iter().zip(bundles) {
            let Some(root) = roots.get(candidate.root) else { continue };
            let bundle = Bundle { asked_refunds: self.asked_refunds(), ..bundle };
            let drafts = match self.drafts(&bundle).await {
                Err(error) if error.code == UNREADABLE_ROW => {
                    vec![unreadable(root.entity, &bundle, error)]
                }
                drafts => drafts?,
            };
            in_step.extend(untold(root.entity, &bundle, &drafts));
            summary.records += 1;
            if drafts.is_empty() {
                summary.unchanged += 1;
            }
            changes.extend(numbering.number((root.entity, candidate.hub_id), drafts));
        }
        if !self.run.dry_run && !in_step.is_empty() {
            self.store.in_step(&self.run, in_step, &self.step).await?;
        }
        Ok(changes)
    }
}

/// A record that can't be sent since its row, or one that belongs to it, can't be read.
fn unreadable(entity: Entity, bundle: &Bundle, error: Error) -> Draft {
    let key = Key::new(entity, bundle.hub_id, "");
    let label = bundle.record.as_deref().map(name_of).unwrap_or_default();
    let reason = error.message.clone();
    let draft = Draft::skip(key, entity, bundle.hub_id, entity.as_str(), reason);
    Draft { record_id: bundle.record_id.clone(), label, error: Some(error), ..draft }
}

/// Records of a bundle, itself and its refunds, that ask for nothing: they are in step.
fn untold(entity: Entity, bundle: &Bundle, drafts: &[Draft]) -> Vec<Told> {
    #[derive(serde::Deserialize)]
    struct Refund {
        id: i64,
        source_id: Option<String>,
    }
    let refunds = bundle.refunds.iter().filter_map(|text| {
        let Refund { id, source_id } = serde_json::from_str(text).ok()?;
        let record_id = source_id.unwrap_or_else(|| id.to_string());
        Some(Told { entity: Entity::Refunds, hub_id: id, record_id })
    });
    let is_told = |record: &Told| {
        drafts.iter().any(|d| d.entity == record.entity && d.record_id == record.record_id)
    };
    let own = Told { entity, hub_id: bundle.hub_id, record_id: bundle.record_id.clone() };
    std::iter::once(own).chain(refunds).filter(|record| !is_told(record)).collect()
}
