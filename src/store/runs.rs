//! Runs: taken from the queue, stopped, ended.

use super::row::Row;
use super::spi::{self, Arg, required};
use crate::error::{DbError, DbResult};
use crate::host;
use crate::worker::Ending;
use engine::model::{Entity, Mode, TenantId};
use engine::store::{Connection, Filters, Outcome, Run, SyncId};
use engine::{Category, Error};
use std::collections::{BTreeSet, HashSet};

/// Runs that have not ended, oldest first, but for those of a tenant whose sandbox is on, or of a
/// sandbox that is off: they rest; the partial index `sync_runs_open` holds just these.
const OPEN_RUNS: &str = "select sync_id, tenant_id, entity, mode, connection, ids, filters,
       status = 'running', coalesce(worker_epoch, 0), cancel_requested_at is not null, dry_run, undoes,
       triggered_by = 'schedule', crashes
  from easysync_internal.sync_runs
 where status in ('queued', 'running')
   and tenant_id <> all ((select easysync_internal.resting_tenants())::text[])
 order by sync_id limit 1000";

struct Open {
    sync_id: SyncId,
    tenant: TenantId,
    /// The error: what about it can't be read.
    run: DbResult<Run>,
    running: bool,
    epoch: i64,
    cancelled: bool,
    /// Points for ends of workers that had it in hand, since it last got on.
    crashes: i32,
}

/// Points for the end of a worker by a fault of its own while it had the run in hand, and for one of
/// which nobody knows why (`kill -9`, the machine, another process of the cluster). An end by order
/// counts nothing, and a run that got on since then begins again at none.
const FAULT: i32 = 5;
const UNKNOWN_END: i32 = 1;
/// From so many on it is carried out beside no other run of that kind: the next fault is its own.
const SUSPECT: i32 = FAULT;
/// From so many on it is set aside: two faults.
const SET_ASIDE: i32 = 2 * FAULT;

/// Takes the oldest run that may start: one at a time for each entity of a tenant, in the order
/// in which they were asked for. None while the database is fenced. A run that can't be taken ends
/// with the reason, and the others go on.
pub fn claim(epoch: i64) -> DbResult<Option<Run>> {
    let mut open = open_runs()?;
    if open.is_empty() || is_fenced()? {
        return Ok(None);
    }
    if note_ends(&open, epoch)? {
        open = open_runs()?;
    }
    let suspect_in_hand =
        open.iter().any(|o| o.running && o.epoch == epoch && o.crashes >= SUSPECT);
    let mut held: HashSet<(TenantId, Entity)> = HashSet::new();
    for open in open.iter().filter(|o| o.running && o.epoch == epoch) {
        if let Ok(run) = &open.run {
            held.extend(run.entity.brings().iter().map(|e| (run.tenant.clone(), *e)));
        }
    }
    for open in open.into_iter().filter(|o| !o.running || o.epoch != epoch) {
        let (sync_id, tenant) = (open.sync_id, open.tenant.clone());
        match host::in_subtransaction(|| take(open, epoch, suspect_in_hand, &mut held)) {
            Ok(None) => {}
            Ok(run) => return Ok(run),
            // The same for every run: rights, the server, a lock.
            Err(error)
                if error.is_transient() || error.is_about_server() || error.is_about_schema() =>
            {
                return Err(error);
            }
            Err(error) => refuse(sync_id, &tenant, error)?,
        }
    }
    Ok(None)
}

/// Holds the ends of earlier workers against the runs that they had in hand, once. False: there are
/// none.
fn note_ends(open: &[Open], epoch: i64) -> DbResult<bool> {
    let left = |o: &&Open| o.running && o.epoch != epoch && o.epoch != 0;
    let theirs: BTreeSet<i64> = open.iter().filter(left).map(|o| o.epoch).collect();
    for theirs in &theirs {
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
    Ok(!theirs.is_empty())
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

/// Takes a run, if it may start now.
fn take(
    open: Open,
    epoch: i64,
    suspect_in_hand: bool,
    held: &mut HashSet<(TenantId, Entity)>,
) -> DbResult<Option<Run>> {
    let Open { run, running, cancelled, crashes, .. } = open;
    let mut run = run?;
    if crashes >= SET_ASIDE {
        set_aside(&run)?;
        return Ok(None);
    }
    let needs: Vec<_> = run.entity.brings().iter().map(|e| (run.tenant.clone(), *e)).collect();
    let free = needs.iter().all(|need| !held.contains(need));
    // Whoever comes later waits behind it, even where this one can't start yet.
    held.extend(needs);
    if !free || (crashes >= SUSPECT && suspect_in_hand) || !may_start(&run.tenant)? {
        return Ok(None);
    }
    if cancelled {
        end(run.sync_id, Outcome::Cancelled, None)?;
        return Ok(None);
    }
    spi::run(
        "update easysync_internal.sync_runs
            set status = 'running', worker_epoch = $2,
                started_at = coalesce(started_at, pg_catalog.clock_timestamp()),
                resumes = resumes + case when status = 'running' then 1 else 0 end
          where sync_id = $1",
        &[run.sync_id.into(), epoch.into()],
    )?;
    run.resumed = running;
    Ok(Some(run))
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

fn open_runs() -> DbResult<Vec<Open>> {
    spi::rows(OPEN_RUNS, &[], |row| {
        Ok(Open {
            sync_id: required(row, 1)?,
            tenant: required::<String>(row, 2)?.into(),
            run: host::in_subtransaction(|| run_of(row)),
            running: required(row, 8)?,
            epoch: required(row, 9)?,
            cancelled: required(row, 10)?,
            crashes: required(row, 14)?,
        })
    })
}

/// A row of [`OPEN_RUNS`].
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

/// Filters as the surface keeps them: a status may be one word, and times are texts.
pub fn filters_of(mut json: serde_json::Value) -> DbResult<Filters> {
    if json.is_null() {
        return Ok(Filters::default());
    }
    if let Some(status) = json.get_mut("status")
        && status.is_string()
    {
        *status = serde_json::Value::Array(vec![status.take()]);
    }
    for key in ["created_since", "created_until", "modified_since", "modified_until"] {
        if let Some(value) = json.get_mut(key)
            && let Some(text) = value.as_str()
        {
            *value = serde_json::Value::String(timestamp_text(text)?);
        }
    }
    serde_json::from_value(json).map_err(|e| DbError::new("22023", format!("invalid filter: {e}")))
}

/// A time as a person writes it (`2025-01-01`, `2025-01-01 10:00+02`), read by Postgres, in RFC
/// 3339.
fn timestamp_text(text: &str) -> DbResult<String> {
    let micros: Option<i64> =
        spi::one("select (extract(epoch from $1::timestamptz) * 1000000)::bigint", &[text.into()])?;
    let micros = micros.ok_or_else(|| DbError::new("22007", "a time is empty"))?;
    jiff::Timestamp::from_microsecond(micros)
        .map(|time| time.to_string())
        .map_err(|e| DbError::new("22008", e.to_string()))
}

/// Ends a run. Its counts are the sums of its steps; the view adds them up.
pub fn end(sync_id: SyncId, outcome: Outcome, error: Option<&Error>) -> DbResult<()> {
    if outcome == Outcome::AwaitsConfirmation {
        spi::run(
            "update easysync_internal.sync_runs
                set status = 'awaiting_confirmation', lease_until = null
              where sync_id = $1 and status = 'running'",
            &[sync_id.into()],
        )?;
        spi::run("select easysync_internal.note_waiting($1)", &[sync_id.into()])?;
        return Ok(());
    }
    spi::run(
        "update easysync_internal.sync_runs
            set status = $2, finished_at = pg_catalog.clock_timestamp(), lease_until = null,
                error_category = $3, error_code = $4, error_message = $5, error_hint = $6,
                error_detail = $7
          where sync_id = $1 and status in ('queued', 'running')",
        &error_args(sync_id, outcome, error),
    )?;
    if outcome == Outcome::Cancelled {
        spi::run(
            "update easysync_internal.sync_run_steps
                set status = 'cancelled', phase = null, wait_until = null,
                    finished_at = pg_catalog.clock_timestamp()
              where sync_id = $1 and status in ('queued', 'running')",
            &[sync_id.into()],
        )?;
    }
    spi::run("select easysync_internal.note_run_end($1)", &[sync_id.into()])?;
    Ok(())
}

/// `$1` key, `$2` outcome, `$3`..`$7` the error.
pub fn error_args(key: i64, outcome: Outcome, error: Option<&Error>) -> [Arg; 7] {
    let masked = error.map(|e| engine::mask::text(&e.message));
    [
        key.into(),
        outcome.as_str().into(),
        error.map(|e| e.category.as_str()).into(),
        error.map(|e| e.code.as_str()).into(),
        masked.as_deref().into(),
        error.and_then(|e| e.hint.as_deref()).into(),
        error.and_then(|e| e.said.as_deref()).into(),
    ]
}

/// Runs in hand that must stop: cancelled, their connection paused, or the database fenced.
pub fn stop_requests(epoch: i64) -> DbResult<Vec<SyncId>> {
    spi::rows(
        "select r.sync_id
           from easysync_internal.sync_runs r
          where r.status = 'running' and r.worker_epoch = $1
            and (r.cancel_requested_at is not null
                 or exists (select from easysync_internal.fence_state() f where f.state = 'fenced')
                 or exists (select from easysync_internal.sync_run_steps s
                             where s.sync_id = r.sync_id and s.status in ('queued', 'running')
                               and not exists (select from easysync_internal.connections c
                                                where c.tenant_id = s.tenant_id
                                                  and c.name = s.connection
                                                  and c.status = 'connected')))",
        &[epoch.into()],
        |row| required(row, 1),
    )
}

/// The platform refused the account: nothing is sent to it before a person has looked.
pub fn suspend_connection(connection: &Connection, error: &Error) -> DbResult<()> {
    let status =
        if error.category == Category::Authentication && connection.connector == "quickbooks" {
            "reauthorize"
        } else {
            "error"
        };
    spi::run(
        "select easysync_internal.suspend_connection($1, $2, $3, $4, $5)",
        &[
            connection.tenant.as_str().into(),
            connection.name.as_str().into(),
            status.into(),
            engine::mask::text(&error.message).as_str().into(),
            error.hint.as_deref().into(),
        ],
    )?;
    Ok(())
}
