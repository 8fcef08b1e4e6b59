//! The cursor and the step's counters, in the transaction of the page that they follow from.

use crate::error::{DbError, DbResult};
use crate::store::spi::{self, Arg};
use crate::store::steps::stream_args;
use engine::model::Presence;
use engine::store::{Counts, Cursor, PageWrite, Stream};
use serde_json::json;

/// `$11`: what came along, as counts to add. The point for the rate moves once a minute.
const ADVANCE: &str = "update easysync_internal.sync_run_steps as s
   set records_done = s.records_done + $3, records_total = coalesce($4, s.records_total),
       created = s.created + $5, updated = s.updated + $6, deleted = s.deleted + $7,
       unchanged = s.unchanged + $8, failed = s.failed + $9, api_calls = s.api_calls + $10,
       phase = 'fetching', wait_until = null,
       along = (select coalesce(pg_catalog.jsonb_object_agg(k, v), '{}')
                  from (select key as k, pg_catalog.sum(value::bigint) as v
                          from (select * from pg_catalog.jsonb_each_text(s.along)
                                union all select * from pg_catalog.jsonb_each_text($11)) as both_sides
                         group by key) as summed),
       sampled_at = case when is_old then pg_catalog.clock_timestamp() else s.sampled_at end,
       sampled_done = case when is_old then s.records_done + $3 else s.sampled_done end
  from (select o.sync_id, o.step,
               coalesce(o.sampled_at < pg_catalog.clock_timestamp() - interval '1 minute', true)
                   as is_old
          from easysync_internal.sync_run_steps as o) as age
 where s.sync_id = $1 and s.step = $2 and age.sync_id = s.sync_id and age.step = s.step";

pub fn write(page: &PageWrite, counts: &Counts) -> DbResult<()> {
    if let Some(cursor) = &page.cursor {
        write_cursor(&page.stream, cursor)?;
    }
    advance(page, counts)
}

/// What `sync_progress` shows of the step.
pub fn advance(page: &PageWrite, counts: &Counts) -> DbResult<()> {
    let number = |value: u64| Arg::Int(Some(i64::try_from(value).unwrap_or(i64::MAX)));
    let args = [
        page.sync_id.into(),
        page.step.into(),
        number(page.records_done),
        Arg::Int(page.records_total.and_then(|total| i64::try_from(total).ok())),
        number(counts.created),
        number(counts.updated),
        number(counts.deleted),
        number(counts.unchanged),
        number(counts.failed),
        number(page.api_calls),
        Arg::Json(Some(along(page))),
    ];
    spi::run(ADVANCE, &args)?;
    Ok(())
}

/// Lines and variations that came with the page's records.
fn along(page: &PageWrite) -> serde_json::Value {
    let own = page
        .records
        .iter()
        .filter(|r| r.entity == page.stream.entity && r.presence == Presence::Live);
    let (mut lines, mut variations) = (0, 0);
    for record in own {
        lines += record.lines.len();
        variations += usize::from(record.remote_type == "variation");
    }
    let mut counts = serde_json::Map::new();
    for (name, count) in [("lines", lines), ("variations", variations)] {
        if count > 0 {
            counts.insert(name.to_owned(), json!(count));
        }
    }
    serde_json::Value::Object(counts)
}

fn write_cursor(stream: &Stream, cursor: &Cursor) -> DbResult<()> {
    let mut args = stream_args(stream);
    let json = serde_json::to_value(cursor)
        .map_err(|e| DbError::new("XX000", format!("a cursor can't be written down: {e}")))?;
    args.push(Arg::Json(Some(json)));
    spi::run(
        "insert into easysync_internal.sync_state (tenant_id, connection, entity, cursor)
         values ($1, $2, $3, $4)
         on conflict (tenant_id, connection, entity) do update
            set cursor = excluded.cursor, changed_at = pg_catalog.clock_timestamp()",
        &args,
    )?;
    Ok(())
}
