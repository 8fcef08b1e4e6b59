//! One record that can't be kept is one failed record, by name; all others land.

mod deliveries;
mod handmade;
mod locks;
mod silence;
mod triggers;
mod values;

use super::Attack;
use anyhow::{Context, Result, ensure};
use easysync_tests::bed::Bed;
use easysync_tests::run::Run;

pub const CLASS: &str = "odd records";

pub fn attacks() -> Vec<Attack> {
    [
        triggers::attacks(),
        values::attacks(),
        locks::attacks(),
        deliveries::attacks(),
        handmade::attacks(),
        silence::attacks(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Ids in the shop of the first orders of the recorded shop, as the hub has them.
fn order_ids(bed: &mut Bed, count: i64) -> Result<Vec<String>> {
    let rows = bed.db.query(
        "select source_id from commerce.orders where deleted_at is null
          order by source_id::bigint limit $1",
        &[&count],
    )?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Code, message and hint of a record's failure.
fn failure(bed: &mut Bed, entity: &str, id: &str) -> Result<(String, String, String)> {
    let row = bed.db.query_opt(
        "select error_code, error_message, coalesce(error_hint, '') from easysync.sync_failures
          where entity = $1 and record_id = $2",
        &[&entity, &id],
    )?;
    let row = row.with_context(|| format!("{entity} {id} has no failure"))?;
    Ok((row.get(0), row.get(1), row.get(2)))
}

/// The run is partial, with so many failed records, each of them with its row.
fn ensure_failed(bed: &mut Bed, run: &Run, count: i64) -> Result<()> {
    let kept = bed.count(&format!("easysync.sync_failures where sync_id = {}", run.sync_id))?;
    let told: Vec<String> = bed
        .db
        .query(
            "select format('%s %s: %s %s', entity, record_id, error_code, error_message)
               from easysync.sync_failures order by failure_id limit 20",
            &[],
        )?
        .iter()
        .map(|row| row.get(0))
        .collect();
    ensure!(
        run.status == "partial" && run.failed == count && kept == count,
        "{count} were to fail: {run:?}, {kept} kept: {told:#?}"
    );
    Ok(())
}
