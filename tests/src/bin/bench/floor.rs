//! The floor: what `COPY` from files takes for the very rows that a pull stored, into the same
//! tables with the same indexes and foreign keys, in one transaction.

use anyhow::Result;
use easysync_tests::bed::Bed;
use easysync_tests::process::private_dir;
use std::time::{Duration, Instant};

/// In the order in which foreign keys allow them.
const TABLES: [&str; 7] = [
    "commerce.customers",
    "commerce.products",
    "commerce.orders",
    "commerce.order_lines",
    "commerce.refunds",
    "commerce.refund_lines",
    "easysync_ledger.links",
];

/// Copies everything out, then measures how long it takes to come into a fresh database.
pub fn measure(bed: &mut Bed) -> Result<Duration> {
    let dir = bed.cluster.dir().join("floor");
    private_dir(bed.cluster.environment(), &dir)?;
    let file = |table: &str| format!("{}/{table}.copy", dir.display());
    for table in TABLES {
        bed.db.batch_execute(&format!("copy {table} to '{}'", file(table)))?;
    }

    let mut admin = bed.cluster.client("postgres")?;
    admin.batch_execute("create database floor")?;
    let mut db = bed.cluster.client("floor")?;
    db.batch_execute("create extension easysync")?;
    db.batch_execute("select easysync.create_hub('commerce')")?;
    for table in TABLES {
        // Noting changes is the extension's work, not the floor's.
        db.batch_execute(&format!("alter table {table} disable trigger user"))?;
    }
    db.batch_execute("checkpoint")?;

    let began = Instant::now();
    let mut transaction = db.transaction()?;
    for table in TABLES {
        transaction.batch_execute(&format!("copy {table} from '{}'", file(table)))?;
    }
    transaction.commit()?;
    let time = began.elapsed();

    drop(db);
    admin.batch_execute("drop database floor with (force)")?;
    std::fs::remove_dir_all(&dir)?;
    Ok(time)
}
