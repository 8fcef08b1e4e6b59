//! Failed records: kept by name until they land, or a person gives them up.

use crate::error::{DbError, DbResult};
use crate::store::logs;
use crate::store::spi::{self, Arg};
use crate::store::steps::stream_args;
use engine::Error;
use engine::model::{Record, RecordFailure};
use engine::store::{Level, LogRow, PageWrite};
use sha2::{Digest, Sha256};
use std::collections::HashSet;

/// A record that this database refused.
pub fn refused(record: &Record, error: DbError) -> RecordFailure {
    RecordFailure {
        entity: record.entity,
        remote_id: record.remote_id.clone(),
        label: record.label.clone(),
        error: Error::from(error),
        raw: record.raw.clone(),
    }
}

/// `attempts` is that of the row as it will be: 1, 5, 25 minutes, two hours, then six.
const UPSERT: &str = "insert into easysync_internal.sync_failures as f
       (tenant_id, connection, entity, direction, record_id, label, error_category, error_code,
        error_message, error_hint, retryable, sync_id, raw_hash, next_attempt_at)
values ($1, $2, $3, 'pull', $4, $5, $6, $7, $8, $9, $10, $11, $12,
        case when $10 then pg_catalog.clock_timestamp() + interval '1 minute' end)
on conflict (tenant_id, connection, entity, direction, record_id) do update
   set label = excluded.label, error_category = excluded.error_category,
       error_code = excluded.error_code, error_message = excluded.error_message,
       error_hint = excluded.error_hint, retryable = excluded.retryable,
       sync_id = excluded.sync_id, attempts = f.attempts + 1,
       last_attempt_at = pg_catalog.clock_timestamp(),
       discarded_at = case when f.raw_hash is not distinct from excluded.raw_hash
                           then f.discarded_at end,
       raw_hash = excluded.raw_hash,
       next_attempt_at = case when excluded.retryable then pg_catalog.clock_timestamp()
            + least(interval '1 minute' * 5 ^ least(f.attempts, 4), interval '6 hours') end
returning (f.discarded_at is null)";

/// Keeps what failed, forgets what has landed; returns how many failed (those that a person gave
/// up and that haven't changed since don't count).
pub fn write(page: &PageWrite, refused: &[RecordFailure]) -> DbResult<u64> {
    let (mut count, mut rows) = (0, vec![]);
    for failure in page.failures.iter().chain(refused) {
        let mut args = vec![
            page.stream.connection.tenant.as_str().into(),
            page.stream.connection.name.as_str().into(),
            failure.entity.as_str().into(),
            failure.remote_id.as_str().into(),
            failure.label.as_str().into(),
            failure.error.category.as_str().into(),
            failure.error.code.as_str().into(),
            engine::mask::text(&failure.error.message).as_str().into(),
            failure.error.hint.as_deref().into(),
            Arg::Bool(Some(failure.error.retryable)),
            page.sync_id.into(),
        ];
        let raw = failure.raw.as_deref().map(|raw| Sha256::digest(raw.as_bytes())[..16].to_vec());
        args.push(Arg::Bytes(raw));
        if spi::one::<bool>(UPSERT, &args)? == Some(true) {
            count += 1;
            rows.push(log_row(page, failure));
        }
    }
    logs::write(&rows)?;
    forget_landed(page, refused)?;
    Ok(count)
}

fn log_row(page: &PageWrite, failure: &RecordFailure) -> LogRow {
    LogRow {
        tenant: page.stream.connection.tenant.clone(),
        level: Level::Warn,
        sync_id: Some(page.sync_id),
        connection: Some(page.stream.connection.name.clone()),
        entity: Some(failure.entity),
        record_id: Some(failure.remote_id.clone()),
        operation: "store",
        result: "failed",
        message: failure.error.message.clone(),
        duration_ms: None,
        error: Some(failure.error.clone()),
    }
}

/// Records that were read and stored, or are gone, have no failure any more.
fn forget_landed(page: &PageWrite, refused: &[RecordFailure]) -> DbResult<()> {
    let mut args = stream_args(&page.stream);
    let any: Option<bool> = spi::one(
        "select exists (select from easysync_internal.sync_failures
                         where tenant_id = $1 and connection = $2 and entity = $3
                           and direction = 'pull')",
        &args,
    )?;
    if any != Some(true) {
        return Ok(());
    }
    let failed: HashSet<&str> =
        page.failures.iter().chain(refused).map(|f| f.remote_id.as_str()).collect();
    let landed: Vec<Option<String>> = page
        .records
        .iter()
        .filter(|r| r.entity == page.stream.entity)
        .map(|r| &r.remote_id)
        .chain(&page.gone)
        .filter(|id| !failed.contains(id.as_str()))
        .map(|id| Some(id.clone()))
        .collect();
    args.push(Arg::Texts(landed));
    spi::run(
        "delete from easysync_internal.sync_failures
          where tenant_id = $1 and connection = $2 and entity = $3 and direction = 'pull'
            and record_id = any ($4)",
        &args,
    )?;
    Ok(())
}
