//! Runs: what they ask for, stopped, ended.

use super::spi::{self, Arg, required};
use crate::error::{DbError, DbResult};
use engine::store::{Connection, Filters, Outcome, SyncId};
use engine::{Category, Error};

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
