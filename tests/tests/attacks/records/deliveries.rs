//! Deliveries of webhooks that can't be read.

use super::Attack;
use anyhow::{Result, ensure};
use easysync_tests::bed::{Setup, with_bed};
use easysync_tests::hooks::{connect_with_secret, deliver, signed};
use serde_json::json;
use std::time::Duration;

pub fn attacks() -> Vec<Attack> {
    vec![Attack { name: "a_delivery_that_can_not_be_read_is_rejected_by_itself", run: unreadable }]
}

const NONE_OPEN: &str = "(select count(*) = 0 from easysync.webhook_events
    where status in ('received', 'accepted'))";

fn unreadable() -> Result<()> {
    with_bed("records-deliveries", Setup::default(), |bed| {
        connect_with_secret(bed)?;
        bed.sync_well("orders", "full")?;
        // Past the door, as a restored dump or an older version could have left it.
        bed.db.batch_execute(
            "alter table easysync_internal.webhook_events drop constraint headers_are_flat",
        )?;
        for depth in [100, 127, 128, 200, 2000] {
            bed.db.batch_execute(&format!(
                "insert into easysync_internal.webhook_events (tenant_id, connection, headers, body)
                 values ('default', 'shop', ('{{\"x\":' || repeat('[', {depth}) || repeat(']', {depth}) || '}}')::jsonb, '{{}}')"
            ))?;
        }
        let id =
            bed.text("select min(source_id::bigint) from commerce.orders")?.unwrap_or_default();
        bed.simulator.update_order(&id, &json!({"customer_note": "Behind the odd ones."}))?;
        let body = json!({"id": id.parse::<i64>()?}).to_string();
        let headers = signed(&mut bed.db, "order.updated", &body)?;
        deliver(&mut bed.db, &headers, &body)?;
        bed.wait_until(NONE_OPEN, Duration::from_secs(20))?;
        ensure!(
            bed.count(
                "easysync.webhook_events where status = 'rejected' and status_reason is not null"
            )? == 5,
            "each says why"
        );
        ensure!(
            bed.count("commerce.orders where customer_note = 'Behind the odd ones.'")? == 1,
            "fetched"
        );
        // At the door the same is refused.
        bed.db.batch_execute(
            "alter table easysync_internal.webhook_events add constraint headers_are_flat
             check (not jsonb_path_exists(headers, '$.**{4 to last}')) not valid",
        )?;
        let error = bed.db.execute(
            "insert into easysync.webhook_events (connection, headers, body)
             values ('shop', ('{\"x\":' || repeat('[', 200) || repeat(']', 200) || '}')::jsonb, '')",
            &[],
        );
        let error = error.err().and_then(|e| e.as_db_error().map(|e| e.message().to_owned()));
        ensure!(error.as_deref().is_some_and(|e| e.contains("headers")), "{error:?}");
        Ok(())
    })
}
