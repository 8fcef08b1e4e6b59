//! A viewer wants to change something, or to read what viewers don't see.

use super::{all_denied, calls_nothing_else, gains_nothing, with_role};
use crate::Attack;
use anyhow::{Result, ensure};

pub const CLASS: &str = "a viewer";
const ROLE: &str = "easysync_viewer";

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack { name: "a_viewer_gains_no_rights", run: rights },
        Attack { name: "a_viewer_calls_nothing_of_an_operator", run: calls },
        Attack { name: "a_viewer_changes_nothing_and_reads_no_changes", run: changes },
    ]
}

fn rights() -> Result<()> {
    with_role("viewer-rights", ROLE, gains_nothing)
}

fn calls() -> Result<()> {
    with_role("viewer-calls", ROLE, |bed, eve| calls_nothing_else(bed, eve, ROLE))
}

fn changes() -> Result<()> {
    with_role("viewer-changes", ROLE, |bed, eve| {
        let before = bed.count("easysync_internal.sync_runs")?;
        all_denied(
            eve,
            &[
                "select easysync.trigger('customers')",
                "call easysync.run('customers')",
                "select easysync.cancel(1)",
                "select easysync.retry()",
                "select * from easysync.sync_changes",
                "select * from easysync.sync_conflicts",
                "select * from commerce.customers",
                "insert into easysync.webhook_events (connection, headers, body) values ('shop', '{}', '')",
                "select * from easysync.dry_run('customers')",
            ],
        )?;
        ensure!(bed.count("easysync_internal.sync_runs")? == before, "a sync was queued");
        Ok(())
    })
}
