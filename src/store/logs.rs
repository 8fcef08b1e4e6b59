//! Log rows: masked once more on the way in. A log that can't be written never fails a sync.

use super::spi::{self, Arg};
use crate::error::DbResult;
use crate::host;
use engine::store::LogRow;

/// Rows below the tenant's `log_level` are left out.
const INSERT: &str = "insert into easysync_internal.sync_log
       (tenant_id, level, sync_id, connection, entity, record_id, operation, result, message,
        duration_ms, error_category, error_code, error_message, error_hint, error_detail,
        sandbox)
select $1, u.level, u.sync_id, u.connection, u.entity, u.record_id, u.operation, u.result,
       u.message, u.duration_ms, u.error_category, u.error_code, u.error_message, u.error_hint,
       u.error_detail, easysync_internal.is_twin($1)
  from unnest($2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
                         $8::text[], $9::text[], $10::bigint[], $11::text[], $12::text[],
                         $13::text[], $14::text[], $15::text[])
       as u (level, sync_id, connection, entity, record_id, operation, result, message,
             duration_ms, error_category, error_code, error_message, error_hint, error_detail)
 where pg_catalog.array_position(array['debug', 'info', 'warn', 'error'], u.level)
       >= pg_catalog.array_position(array['debug', 'info', 'warn', 'error'],
                                    easysync_internal.setting($1, 'log_level'))";

pub fn write(rows: &[LogRow]) -> DbResult<()> {
    for tenant in tenants(rows) {
        let own: Vec<&LogRow> = rows.iter().filter(|row| row.tenant.as_str() == tenant).collect();
        let args = arguments(tenant, &own);
        let written = host::in_subtransaction(|| spi::run(INSERT, &args).map(|_| ()));
        if let Err(error) = written {
            pgrx::log!("easysync: log rows were not written: SQLSTATE {}", error.sqlstate);
        }
    }
    Ok(())
}

fn tenants(rows: &[LogRow]) -> Vec<&str> {
    let mut tenants: Vec<&str> = rows.iter().map(|row| row.tenant.as_str()).collect();
    tenants.sort_unstable();
    tenants.dedup();
    tenants
}

fn arguments(tenant: &str, rows: &[&LogRow]) -> Vec<Arg> {
    let texts = |column: &dyn Fn(&LogRow) -> Option<String>| {
        Arg::Texts(rows.iter().map(|row| column(row)).collect())
    };
    let masked = |text: &str| engine::mask::text(text);
    vec![
        tenant.into(),
        texts(&|row| Some(row.level.as_str().into())),
        Arg::Ints(rows.iter().map(|row| row.sync_id).collect()),
        texts(&|row| row.connection.as_ref().map(ToString::to_string)),
        texts(&|row| row.entity.map(|e| e.as_str().into())),
        texts(&|row| row.record_id.as_deref().map(masked)),
        texts(&|row| Some(row.operation.into())),
        texts(&|row| Some(row.result.into())),
        texts(&|row| Some(masked(&row.message))),
        Arg::Ints(
            rows.iter().map(|row| row.duration_ms.and_then(|ms| i64::try_from(ms).ok())).collect(),
        ),
        texts(&|row| row.error.as_ref().map(|e| e.category.as_str().into())),
        texts(&|row| row.error.as_ref().map(|e| e.code.clone())),
        texts(&|row| row.error.as_ref().map(|e| masked(&e.message))),
        texts(&|row| row.error.as_ref().and_then(|e| e.hint.clone())),
        texts(&|row| row.error.as_ref().and_then(|e| e.said.clone())),
    ]
}
