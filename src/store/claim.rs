//! Claims: which run is taken next, of one tenant after the other.

use super::row::Row;
use super::runs::{end, filters_of};
use super::spi::{self, required};
use crate::error::{DbError, DbResult};
use crate::host::{self, fair};
use crate::worker::Ending;
use engine::model::{Entity, Mode, TenantId};
use engine::runner::MOST_RUNS_OF_TENANT;
use engine::store::{Outcome, Run, SyncId};
use engine::{Category, Error};
use std::collections::HashSet;
use std::sync::PoisonError;

/// Of up to 50 tenants after `$2`: the first run of each entity that nobody has in hand, and those that
/// this worker (epoch `$1`) has. A tenant whose sandbox is on, or a sandbox that is off, rests: it comes
/// without runs. The recursion takes a step in the partial index `sync_runs_turn` for each tenant,
/// and the rest one for each entity: ten thousand runs of one tenant cost no more than one.
const WAITING: &str = "with recursive tenants as (
    (select r.tenant_id collate \"C\" as id, 1 as place from easysync_internal.sync_runs r
      where r.status in ('queued', 'running') and r.tenant_id collate \"C\" > $2
      order by r.tenant_id collate \"C\" limit 1)
    union all
    select (select r.tenant_id collate \"C\" from easysync_internal.sync_runs r
             where r.status in ('queued', 'running') and r.tenant_id collate \"C\" > t.id
             order by r.tenant_id collate \"C\" limit 1), t.place + 1
      from tenants t where t.id is not null and t.place < 50),
resting as (select easysync_internal.resting_tenants() as ids)
select f.sync_id, t.id, f.entity, f.mode, f.connection, f.ids, f.filters, f.status = 'running',
       coalesce(f.worker_epoch, 0), f.cancel_requested_at is not null, f.dry_run, f.undoes,
       f.triggered_by = 'schedule', f.crashes,
       exists (select from easysync_internal.connections c
                where c.tenant_id <> t.id and c.status = 'connected'
                  and c.tenant_id <> all ((select ids from resting)::text[]))
  from tenants t
  left join lateral (
      select h.* from unnest(easysync_internal.words_of('entity')) as e (entity)
       cross join lateral (
           select r.* from easysync_internal.sync_runs r
            where r.status in ('queued', 'running') and r.tenant_id collate \"C\" = t.id
              and r.entity = e.entity
              and (r.status <> 'running' or r.worker_epoch is distinct from $1)
            order by r.sync_id limit 1) as h
      union all
      select r.* from easysync_internal.sync_runs r
       where r.status = 'running' and r.worker_epoch = $1 and r.tenant_id collate \"C\" = t.id) as f
    on t.id <> all ((select ids from resting)::text[])
 where t.id is not null
 order by t.id, f.sync_id";

struct Open {
    sync_id: SyncId,
    /// The error: what about it can't be read.
    run: DbResult<Run>,
    running: bool,
    epoch: i64,
    cancelled: bool,
    /// Points for ends of workers that had it in hand, since it last got on.
    crashes: i32,
}

/// What a tenant waits for, oldest first.
struct Waiting {
    tenant: TenantId,
    /// Are there other tenants that work?
    is_shared: bool,
    runs: Vec<Open>,
}

/// The tenant whose run was taken last: the next turn is that of the one after it.
pub type Turn = std::sync::Mutex<String>;

/// Points for the end of a worker by a fault of its own while it had the run in hand, and for one of
/// which nobody knows why (`kill -9`, the machine, another process of the cluster). An end by order
/// counts nothing, and a run that got on since then begins again at none.
const FAULT: i32 = 5;
const UNKNOWN_END: i32 = 1;
/// From so many on it is carried out beside no other run of that kind: the next fault is its own.
const SUSPECT: i32 = FAULT;
/// From so many on it is set aside: two faults.
const SET_ASIDE: i32 = 2 * FAULT;

/// What holds for a turn of claims.
#[derive(Clone, Copy)]
struct Worker {
    epoch: i64,
    /// Does it carry out a run that may be what took an earlier worker down?
    has_suspect: bool,
}

/// Takes a run that may start, of one tenant after the other; of a tenant's the oldest, one at a time
/// for each entity, in the order in which they were asked for. None while the database is fenced. A run
/// that can't be taken ends with the reason, and the others go on.
pub fn claim(epoch: i64, turn: &Turn) -> DbResult<Option<Run>> {
    let last = turn.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (mut after, mut wrapped) = (last.clone(), last.is_empty());
    let mut worker: Option<Worker> = None;
    loop {
        let mut batch = waiting(epoch, &after)?;
        let worker = match worker {
            Some(worker) => worker,
            None if batch.is_empty() => Worker { epoch, has_suspect: false },
            None if is_fenced()? => return Ok(None),
            None => {
                let (started, noted) = start(epoch)?;
                worker = Some(started);
                if noted {
                    batch = waiting(epoch, &after)?;
                }
                started
            }
        };
        after = batch.last().map(|waiting| waiting.tenant.to_string()).unwrap_or_default();
        for waiting in batch {
            // All the way round.
            if wrapped && !last.is_empty() && waiting.tenant.as_str() > last.as_str() {
                return Ok(None);
            }
            fair::set_shared(waiting.is_shared);
            let tenant = waiting.tenant.to_string();
            match claim_of(worker, waiting)? {
                Claim::Taken(run) => {
                    *turn.lock().unwrap_or_else(PoisonError::into_inner) = tenant;
                    return Ok(Some(*run));
                }
                // What waited behind it is the first one now.
                Claim::Ended => return claim(epoch, turn),
                Claim::Nothing => {}
            }
        }
        if after.is_empty() {
            if wrapped {
                return Ok(None);
            }
            wrapped = true;
        }
    }
}

/// What a run, or a tenant's turn, came to.
enum Claim {
    Taken(Box<Run>),
    /// A run ended instead: it was to be cancelled, can't be taken, or was set aside.
    Ended,
    Nothing,
}

/// The tenant's next run, if one may start.
fn claim_of(worker: Worker, waiting: Waiting) -> DbResult<Claim> {
    let in_hand = |open: &Open| open.running && open.epoch == worker.epoch;
    let mut held: HashSet<Entity> = HashSet::new();
    for open in waiting.runs.iter().filter(|open| in_hand(open)) {
        held.extend(open.run.iter().flat_map(|run| run.entity.brings()));
    }
    let in_hands = waiting.runs.iter().filter(|open| in_hand(open)).count();
    if waiting.is_shared && in_hands >= MOST_RUNS_OF_TENANT {
        return Ok(Claim::Nothing);
    }
    for open in waiting.runs {
        if in_hand(&open) {
            continue;
        }
        let sync_id = open.sync_id;
        match host::in_subtransaction(|| take(open, worker, &mut held)) {
            Ok(Claim::Nothing) => {}
            Ok(claim) => return Ok(claim),
            // The same for every run: rights, the server, a lock.
            Err(error)
                if error.is_transient() || error.is_about_server() || error.is_about_schema() =>
            {
                return Err(error);
            }
            Err(error) => {
                refuse(sync_id, &waiting.tenant, error)?;
                return Ok(Claim::Ended);
            }
        }
    }
    Ok(Claim::Nothing)
}

/// Takes a run, if it may start now.
fn take(open: Open, worker: Worker, held: &mut HashSet<Entity>) -> DbResult<Claim> {
    let Open { run, running, cancelled, crashes, .. } = open;
    let mut run = run?;
    if crashes >= SET_ASIDE {
        set_aside(&run)?;
        return Ok(Claim::Ended);
    }
    let needs = run.entity.brings();
    let free = needs.iter().all(|need| !held.contains(need));
    // Whoever comes later waits behind it, even where this one can't start yet.
    held.extend(needs);
    if !free || (crashes >= SUSPECT && worker.has_suspect) || !may_start(&run.tenant)? {
        return Ok(Claim::Nothing);
    }
    if cancelled {
        end(run.sync_id, Outcome::Cancelled, None)?;
        return Ok(Claim::Ended);
    }
    spi::run(
        "update easysync_internal.sync_runs
            set status = 'running', worker_epoch = $2,
                started_at = coalesce(started_at, pg_catalog.clock_timestamp()),
                resumes = resumes + case when status = 'running' then 1 else 0 end
          where sync_id = $1",
        &[run.sync_id.into(), worker.epoch.into()],
    )?;
    run.resumed = running;
    Ok(Claim::Taken(Box::new(run)))
}

/// Holds the ends of earlier workers against the runs that they had in hand, once. True: there were
/// some.
fn start(epoch: i64) -> DbResult<(Worker, bool)> {
    let in_hand = "select coalesce(r.worker_epoch, 0), pg_catalog.bool_or(r.crashes >= $1::integer)
       from easysync_internal.sync_runs r where r.status = 'running' group by 1";
    let found = spi::rows(in_hand, &[i64::from(SUSPECT).into()], |row| {
        Ok((required::<i64>(row, 1)?, required::<bool>(row, 2)?))
    })?;
    let has_suspect = found.contains(&(epoch, true));
    let left: Vec<i64> =
        found.into_iter().map(|(theirs, _)| theirs).filter(|e| *e != epoch && *e != 0).collect();
    for theirs in &left {
        let points = match crate::worker::ending_of(*theirs) {
            Ending::ByOrder => 0,
            Ending::Fault => FAULT,
            Ending::Unknown => UNKNOWN_END,
        };
        spi::run(
            "update easysync_internal.sync_runs r
                set worker_epoch = 0, (crashes, crashed_at) =
                    (select case when coalesce(sum(s.api_calls + s.records_done), 0) > r.crashed_at
                                 then 0 else r.crashes end + $2,
                            coalesce(sum(s.api_calls + s.records_done), 0)
                       from easysync_internal.sync_run_steps s where s.sync_id = r.sync_id)
              where r.status = 'running' and r.worker_epoch = $1",
            &[(*theirs).into(), i64::from(points).into()],
        )?;
    }
    Ok((Worker { epoch, has_suspect }, !left.is_empty()))
}

/// A run that took the worker down again and again ends, and says so.
fn set_aside(run: &Run) -> DbResult<()> {
    let message = format!(
        "sync {} of {} ended the worker while nothing else was in the way, and was set aside",
        run.sync_id, run.entity
    );
    let error = Error::new(Category::Internal, "set_aside", message).hint(format!(
        "The server's log says how the worker ended. Once that is cured: select easysync.trigger('{}').",
        run.entity
    ));
    spi::run(
        "update easysync_internal.sync_run_steps
            set status = case status when 'running' then 'failed' else 'skipped' end,
                phase = null, wait_until = null, finished_at = pg_catalog.clock_timestamp()
          where sync_id = $1 and status in ('queued', 'running')",
        &[run.sync_id.into()],
    )?;
    end(run.sync_id, Outcome::Failed, Some(&error))
}

/// Ends a run that can't be taken.
fn refuse(sync_id: SyncId, tenant: &TenantId, error: DbError) -> DbResult<()> {
    let message = format!("sync {sync_id} can't be started");
    let error = Error::new(Category::Validation, error.sqlstate, message)
        .said(&error.message)
        .hint("Ask for it again with easysync.trigger.");
    spi::run(
        "select easysync_internal.log_row($1, 'error', 'run', 'failed', $2, $3, null, null)",
        &[tenant.as_str().into(), error.message.as_str().into(), sync_id.into()],
    )?;
    end(sync_id, Outcome::Failed, Some(&error))
}

/// Nobody switches the tenant's sandbox until this transaction ends; false: somebody is about to, and
/// wakes us then.
fn may_start(tenant: &TenantId) -> DbResult<bool> {
    let args = [tenant.as_str().into()];
    Ok(spi::one("select easysync_internal.may_start($1)", &args)? == Some(true))
}

/// Compared before the first call of every run; a promotion is noted on the way.
fn is_fenced() -> DbResult<bool> {
    let state: Option<String> =
        spi::one("select f.state from easysync_internal.note_promotion() as f", &[])?;
    Ok(state.as_deref() == Some("fenced"))
}

fn waiting(epoch: i64, after: &str) -> DbResult<Vec<Waiting>> {
    let mut found: Vec<Waiting> = vec![];
    let rows = spi::rows(WAITING, &[epoch.into(), after.into()], |row| {
        let open = row.get::<i64>(1)?.map(|sync_id| open_run(row, sync_id)).transpose()?;
        Ok((TenantId::from(required::<String>(row, 2)?), required(row, 15)?, open))
    })?;
    for (tenant, is_shared, open) in rows {
        if found.last().is_none_or(|waiting| waiting.tenant != tenant) {
            found.push(Waiting { tenant, is_shared, runs: vec![] });
        }
        if let Some(waiting) = found.last_mut() {
            waiting.runs.extend(open);
        }
    }
    Ok(found)
}

fn open_run(row: &Row, sync_id: SyncId) -> DbResult<Open> {
    Ok(Open {
        sync_id,
        run: host::in_subtransaction(|| run_of(row)),
        running: required(row, 8)?,
        epoch: required(row, 9)?,
        cancelled: required(row, 10)?,
        crashes: required(row, 14)?,
    })
}

/// A row of [`WAITING`].
fn run_of(row: &Row) -> DbResult<Run> {
    let entity: String = required(row, 3)?;
    let mode: String = required(row, 4)?;
    let filters = row.get::<serde_json::Value>(7)?.unwrap_or_default();
    Ok(Run {
        sync_id: required(row, 1)?,
        tenant: required::<String>(row, 2)?.into(),
        entity: Entity::parse(&entity).map_err(|e| DbError::new("22023", e.message))?,
        mode: match mode.as_str() {
            "full" => Mode::Full,
            "ids" => Mode::Ids,
            _ => Mode::Incremental,
        },
        connection: row.get::<String>(5)?.map(Into::into),
        ids: row.get::<Vec<Option<String>>>(6)?.map(|ids| ids.into_iter().flatten().collect()),
        filters: filters_of(filters)?,
        resumed: false,
        dry_run: required(row, 11)?,
        undoes: row.get(12)?,
        agreed: required(row, 13)?,
    })
}
