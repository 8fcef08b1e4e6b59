//! Logical replication of the whole database beside syncs: a publication of all tables stops neither
//! pushes nor copies, and what it sends has a key.

use anyhow::{Result, ensure};
use easysync_tests::bed::{Setup, with_bed};
use easysync_tests::books::Books;
use easysync_tests::cluster::Options;

#[test]
fn a_publication_of_all_tables_breaks_neither_pushes_nor_copies() -> Result<()> {
    let setup = Setup {
        cluster: Options::default().set("wal_level", "logical").set("max_replication_slots", "4"),
        ..Setup::default()
    };
    with_bed("publication", setup, |bed| {
        bed.db.batch_execute("create publication everything for all tables")?;
        bed.db
            .batch_execute("select pg_create_logical_replication_slot('everything', 'pgoutput')")?;
        bed.connect_shop()?;
        bed.sync_well("orders", "incremental")?;
        let books = Books::connect(bed, "us_single")?;
        let run = books.push(bed, "incremental")?;
        ensure!(run.created > 0 && books.writes(bed)? > 0, "{run:?}");
        // A change of an application goes through hub_changes, whose rows are deleted.
        bed.db.batch_execute(
            "update commerce.orders set customer_note = 'published' where id % 50 = 0",
        )?;
        books.push(bed, "incremental")?;
        ensure!(bed.count("easysync_internal.hub_changes")? == 0, "changes were not taken up");
        bed.db.batch_execute("select easysync.fence('moved'); select easysync.unfence('copy')")?;
        let sent: i64 = bed
            .db
            .query_one(
                "select count(*) from pg_logical_slot_get_binary_changes('everything', null, null,
                        'proto_version', '1', 'publication_names', 'everything')",
                &[],
            )?
            .get(0);
        ensure!(sent > 1_000, "only {sent} messages");
        Ok(())
    })
}
