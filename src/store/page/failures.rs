//! Failed records: kept by name until they land, or a person gives them up.

use crate::error::{DbError, DbResult};
use crate::store::logs;
use crate::store::spi::{self, Arg};
use crate::store::steps::stream_args;
use engine::model::{Cell, Entity, Record, RecordFailure};
use engine::plan::Action;
use engine::pull::HubChange;
use engine::store::{Level, LogRow, PageWrite};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashSet;

/// Columns whose values are somebody's own.
const PERSONAL: [&str; 10] = [
    "email",
    "display_name",
    "given_name",
    "family_name",
    "company",
    "phone",
    "billing_address",
    "shipping_address",
    "customer_note",
    "notes",
];

/// A record that this database refused.
pub fn refused(record: &Record, mut error: DbError) -> RecordFailure {
    error.message = without_people(error.message, record);
    // A refund whose order is missing: the order may have failed, too, and come later.
    let waits = error.sqlstate == "23502" && record.needs_another();
    let mut error = error.of_record();
    if waits {
        error = error
            .retryable(true)
            .hint("It waits for the record it belongs to, and is tried again by itself.");
    }
    RecordFailure {
        entity: record.entity,
        remote_id: record.remote_id.clone(),
        label: record.label.clone(),
        error,
        raw: record.raw.clone(),
    }
}

/// A record that is gone on the platform, and whose row could not be marked so.
pub fn not_marked(entity: Entity, id: &str, error: DbError) -> RecordFailure {
    RecordFailure {
        entity,
        remote_id: id.to_owned(),
        label: id.to_owned(),
        error: error.of_record(),
        raw: None,
    }
}

/// A record that couldn't be read, as a plan shows it.
pub fn planned(failure: &RecordFailure) -> HubChange {
    HubChange {
        entity: failure.entity,
        hub_id: 0,
        record_id: failure.remote_id.clone(),
        label: failure.label.clone(),
        target: failure.entity.as_str(),
        action: Action::Skip,
        reason: Some(engine::mask::text(&failure.error.whole())),
        fields: Default::default(),
    }
}

/// An application's trigger may quote the row in its message (`raise exception '%', new`): what is
/// personal in the record is taken out by its value, since names and streets have no form to be
/// known by.
fn without_people(message: String, record: &Record) -> String {
    let mut values = Vec::new();
    for (column, cell) in record.row.table.table().columns.iter().zip(&record.row.cells) {
        match cell {
            _ if !PERSONAL.contains(&column.name) => {}
            Cell::Text(text) => values.push(text.clone()),
            Cell::Json(json) => {
                // What the store writes was serialised by the engine: it can be read.
                collect(&serde_json::from_str(json).unwrap_or_default(), &mut values);
            }
            _ => {}
        }
    }
    // Two letters (a country, a region) name nobody, and stand in every other word.
    values.retain(|value| value.chars().count() > 2);
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    values.iter().fold(message, |message, value| message.replace(value.as_str(), "***"))
}

fn collect(json: &Value, values: &mut Vec<String>) {
    match json {
        Value::String(text) => values.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|item| collect(item, values)),
        Value::Object(map) => map.values().for_each(|item| collect(item, values)),
        _ => {}
    }
}

/// `attempts` is that of the row as it will be: 1, 5, 25 minutes, two hours, then six. What another
/// session held is tried again by the next sync, whenever that is.
const UPSERT: &str = "insert into easysync_internal.sync_failures as f
       (tenant_id, connection, entity, direction, record_id, label, error_category, error_code,
        error_message, error_hint, retryable, sync_id, raw_hash, error_detail, next_attempt_at)
values ($1, $2, $3, 'pull', $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,
        case when $6 = 'conflict' then pg_catalog.clock_timestamp()
             when $10 then pg_catalog.clock_timestamp() + interval '1 minute' end)
on conflict (tenant_id, connection, entity, direction, record_id, hub_id) do update
   set label = excluded.label, error_category = excluded.error_category,
       error_code = excluded.error_code, error_message = excluded.error_message,
       error_hint = excluded.error_hint, error_detail = excluded.error_detail, retryable = excluded.retryable,
       sync_id = excluded.sync_id, attempts = f.attempts + 1,
       last_attempt_at = pg_catalog.clock_timestamp(),
       discarded_at = case when f.raw_hash is not distinct from excluded.raw_hash
                           then f.discarded_at end,
       raw_hash = excluded.raw_hash,
       next_attempt_at = case when excluded.error_category = 'conflict' then pg_catalog.clock_timestamp()
                              when excluded.retryable then pg_catalog.clock_timestamp()
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
            engine::mask::label(&failure.label).as_str().into(),
            failure.error.category.as_str().into(),
            failure.error.code.as_str().into(),
            engine::mask::text(&failure.error.message).as_str().into(),
            failure.error.hint.as_deref().into(),
            Arg::Bool(Some(failure.error.retryable)),
            page.sync_id.into(),
        ];
        let raw = failure.raw.as_deref().map(|raw| Sha256::digest(raw.as_bytes())[..16].to_vec());
        args.push(Arg::Bytes(raw));
        args.push(failure.error.said.as_deref().into());
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
