//! Whoever may deliver events wants to do more with it.

use super::{all_denied, calls_nothing_else, gains_nothing, with_role};
use crate::Attack;
use anyhow::{Result, ensure};
use std::time::Duration;

pub const CLASS: &str = "a webhook role";
const ROLE: &str = "easysync_webhook";

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack { name: "a_webhook_role_gains_no_rights", run: rights },
        Attack { name: "a_webhook_role_calls_nothing_else", run: calls },
        Attack { name: "a_webhook_role_reads_nothing_and_changes_nothing", run: reads },
        Attack { name: "a_forged_delivery_queues_nothing", run: forged },
    ]
}

fn rights() -> Result<()> {
    with_role("webhook-rights", ROLE, gains_nothing)
}

fn calls() -> Result<()> {
    with_role("webhook-calls", ROLE, |bed, eve| calls_nothing_else(bed, eve, ROLE))
}

fn reads() -> Result<()> {
    with_role("webhook-reads", ROLE, |_, eve| {
        all_denied(
            eve,
            &[
                "select * from easysync.webhook_events",
                "select * from easysync.connections",
                "select * from easysync.sync_logs",
                "select easysync.trigger('customers')",
                "select easysync.health()",
            ],
        )?;
        for statement in [
            "update easysync.webhook_events set body = ''",
            "delete from easysync.webhook_events",
            "insert into easysync.webhook_events (connection, headers, body, status) values ('shop', '{}', '', 'accepted')",
            "insert into easysync.webhook_events (connection, headers, body, sync_id) values ('shop', '{}', '', 1)",
            "insert into easysync.webhook_events (connection, headers, body, tenant_id) values ('shop', '{}', '', 'other')",
        ] {
            ensure!(eve.batch_execute(statement).is_err(), "{statement} was taken");
        }
        Ok(())
    })
}

fn forged() -> Result<()> {
    with_role("webhook-forged", ROLE, |bed, eve| {
        let before = bed.count("easysync_internal.sync_runs")?;
        for n in 0..50 {
            // Either refused at once, or kept and rejected.
            let _ = eve.execute(
                "insert into easysync.webhook_events (connection, headers, body)
                 values ('shop', jsonb_build_object('x-wc-webhook-topic', 'order.updated', 'x-wc-webhook-signature', $1::text), $2)",
                &[&format!("forged{n}="), &format!("{{\"id\":{n}}}")],
            );
        }
        bed.wait_until(
            "not exists (select from easysync_internal.webhook_events where status = 'received')",
            Duration::from_secs(30),
        )?;
        ensure!(
            bed.count(
                "easysync_internal.webhook_events where status in ('accepted', 'processed')"
            )? == 0,
            "a forged delivery was taken"
        );
        ensure!(bed.count("easysync_internal.sync_runs")? == before, "a sync was queued");
        Ok(())
    })
}
