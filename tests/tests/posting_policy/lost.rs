//! A standby that was far behind is the primary now: what was sent in the moments that it never saw
//! is in the books, and nobody here knows of it.

use crate::acts::{
    both, edits, in_books, order, person, refunds, stored, trashes, unrefunds, with,
};
use crate::desk::{Act, Case, Group, case, nothing};
use anyhow::ensure;
use serde_json::{Value, json};

const PAID: &[&str] = &["SalesReceipt 20.00"];
const OPEN: &[&str] = &["Invoice 20.00 open 20.00"];
const SETTLED: &[&str] = &["Invoice 20.00", "Payment 20.00"];

pub fn groups() -> Vec<Group> {
    let lost = |name, preset, cases| Group { name, preset, settings: json!({}), cases };
    vec![
        lost("lost", "us_single", sales()),
        lost("lost_payment", "us_single", vec![payment()]),
        lost("paid_there", "us_single", vec![paid_there()]),
        lost("lost_abroad", "uk", vec![abroad()]),
    ]
}

fn unpaid() -> Value {
    order("processing", false)
}

fn sales() -> Vec<Case> {
    vec![
        case("an invoice, its order cancelled since", unpaid(), OPEN)
            .after(never_paid())
            .then(both(loses(), edits(json!({"status": "cancelled"}))), &["Invoice voided"])
            .then(nothing(), &["Invoice voided"]),
        case("an invoice, its order in the trash", unpaid(), OPEN)
            .after(never_paid())
            .then(both(loses(), trashes()), &["Invoice voided"]),
        case("a receipt, its order cancelled since", order("completed", true), PAID)
            .then(
                both(loses(), edits(json!({"status": "cancelled"}))),
                &["SalesReceipt 20.00", "needs_attention: cancelled_with_document"],
            )
            .then(nothing(), &["SalesReceipt 20.00", "needs_attention: cancelled_with_document"]),
        case("a refund that is gone since", order("completed", true), PAID)
            .then(refunds("5.00"), &["RefundReceipt 5.00", "SalesReceipt 20.00"])
            .then(
                both(loses(), unrefunds()),
                &["RefundReceipt 5.00", "SalesReceipt 20.00", "needs_attention: refund_vanished"],
            ),
        case("a receipt and its refund", order("completed", true), PAID)
            .then(refunds("5.00"), &["RefundReceipt 5.00", "SalesReceipt 20.00"])
            .then(loses(), &["RefundReceipt 5.00", "SalesReceipt 20.00"]),
        case("an invoice, paid since", unpaid(), OPEN)
            .after(never_paid())
            .then(both(loses(), edits(json!({"status": "completed"}))), SETTLED)
            .then(loses(), SETTLED),
    ]
}

fn payment() -> Case {
    case("the payment alone", unpaid(), OPEN)
        .after(never_paid())
        .then(edits(json!({"status": "completed"})), SETTLED)
        .then(loses_payment(), SETTLED)
        .then(forgets_calls(), SETTLED)
        .then(no_call(), SETTLED)
}

fn paid_there() -> Case {
    case("paid in QuickBooks, then in the shop", unpaid(), OPEN)
        .after(never_paid())
        .then(
            both(in_books("pay", "Invoice", json!({})), edits(json!({"status": "completed"}))),
            &["Invoice 20.00"],
        )
        .then(forgets_calls(), &["Invoice 20.00"])
        .then(no_call(), &["Invoice 20.00"])
}

fn abroad() -> Case {
    let british = with(
        unpaid(),
        json!({"currency": "GBP", "billing": person("Ann", "ann@lee.test", "", "GB")}),
    );
    case("an invoice, cancelled since", british, &["Invoice 24.00 open 24.00"])
        .after(never_paid())
        .then(
            both(loses(), edits(json!({"status": "cancelled"}))),
            &["CreditMemo 24.00", "Invoice 24.00", "Payment 0.00"],
        )
        .then(loses(), &["CreditMemo 24.00", "Invoice 24.00", "Payment 0.00"])
        .then(nothing(), &["CreditMemo 24.00", "Invoice 24.00", "Payment 0.00"])
}

fn never_paid() -> Act {
    stored(json!({"date_paid_gmt": null, "date_paid": null}))
}

/// The server's last moments are lost: what it knew of the order's documents, and that it sent them.
fn loses() -> Act {
    forgets("true")
}

fn loses_payment() -> Act {
    forgets("l.remote_type = 'Payment'")
}

fn forgets(which: &'static str) -> Act {
    Box::new(move |desk, order| {
        desk.bed.db.batch_execute(&format!(
            "delete from easysync_ledger.links as l
              using easysync_internal.connections as c
              where c.name = '{}' and l.tenant_id = c.tenant_id and l.account = c.account and {which}
                and (l.entity = 'orders' and l.hub_id = (select o.id from commerce.orders as o where o.source_id = '{1}')
                     or l.entity = 'refunds' and l.hub_id in (
                         select r.id from commerce.refunds as r
                         join commerce.orders as o on o.id = r.order_id where o.source_id = '{1}'));
             delete from easysync_ledger.sync_requests;
             select easysync_internal.accept_identity('promotion', verify => true)",
            desk.books.name, order.id
        ))?;
        Ok(())
    })
}

fn forgets_calls() -> Act {
    Box::new(|desk, _| {
        desk.bed.db.execute("update easysync_internal.identity set verify_since = null", &[])?;
        desk.books.forget_calls(desk.bed)
    })
}

/// The push before this stage made none.
fn no_call() -> Act {
    Box::new(|desk, order| {
        let calls = desk.books.calls(desk.bed)?;
        ensure!(calls == 0, "order {}: {calls} calls for what is in step", order.id);
        Ok(())
    })
}
