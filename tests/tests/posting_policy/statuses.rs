//! "Which, and as what", "Refunds".

use crate::acts::*;
use crate::desk::{Case, Group, case, nothing};
use crate::looks::{has_lines, last_refund_has};
use serde_json::json;

const PAID: &[&str] = &["SalesReceipt 20.00"];
const OPEN: &[&str] = &["Invoice 20.00 open 20.00"];
const WAITS: &[&str] = &["skipped: waits for payment"];
const NOT_SOLD: &[&str] = &["needs_attention: paid_but_not_sold"];
/// Drafts don't even come into the hub.
const DRAFT: &[&str] = &[];
const GONE: &[&str] = &["skipped: is cancelled or gone"];

pub fn groups() -> Vec<Group> {
    vec![
        Group { name: "us", preset: "us_single", settings: json!({}), cases: in_the_us() },
        Group { name: "refunds", preset: "us_single", settings: json!({}), cases: refunded() },
        Group { name: "uk", preset: "uk", settings: json!({}), cases: elsewhere() },
        Group {
            name: "settings",
            preset: "us_single",
            settings: json!({
                "post": {"pending_unpaid": "invoice",
                         "on_hold_unpaid": {"bacs": "invoice", "default": "skip"},
                         "statuses": {"packed": "processing"}},
            }),
            cases: by_settings(),
        },
        Group {
            name: "invoices",
            preset: "us_single",
            settings: json!({"sales_document": "invoice"}),
            cases: vec![case(
                "paid, as an invoice",
                order("completed", true),
                &["Invoice 20.00", "Payment 20.00"],
            )],
        },
        Group {
            name: "kept",
            preset: "us_single",
            settings: json!({"cancel_unpaid": "attention"}),
            cases: vec![case("cancelled unpaid", unpaid(), OPEN).after(never_paid()).then(
                edits(json!({"status": "cancelled"})),
                &["Invoice 20.00 open 20.00", "needs_attention: cancelled_with_document"],
            )],
        },
        Group {
            name: "credited",
            preset: "us_single",
            settings: json!({"cancel_unpaid": "credit_memo"}),
            cases: vec![case("cancelled unpaid", unpaid(), OPEN).after(never_paid()).then(
                edits(json!({"status": "cancelled"})),
                &["CreditMemo 20.00", "Invoice 20.00", "Payment 0.00"],
            )],
        },
    ]
}

fn in_the_us() -> Vec<Case> {
    vec![
        case("a draft", order("pending", false), DRAFT)
            .after(stored(json!({"status": "checkout-draft"}))),
        case("a draft that was paid", order("pending", false), DRAFT)
            .after(both(is_paid(), stored(json!({"status": "auto-draft"})))),
        case("failed", order("failed", false), &["skipped: has failed"]),
        case("failed and paid", order("failed", false), NOT_SOLD).after(is_paid()),
        case("pending", order("pending", false), WAITS),
        case("pending and paid", order("pending", false), NOT_SOLD).after(is_paid()),
        case("on hold", order("on-hold", false), WAITS),
        case("on hold and paid", order("on-hold", false), NOT_SOLD).after(is_paid()),
        case("processing and paid", order("processing", true), PAID),
        case("completed and paid", order("completed", true), PAID),
        case("completed on account, then paid", order("processing", false), OPEN)
            .after(stored(json!({"date_paid_gmt": null, "date_paid": null})))
            .then(is_paid(), &["Invoice 20.00", "Payment 20.00"])
            .then(nothing(), &["Invoice 20.00", "Payment 20.00"]),
        case("cancelled, nothing posted", order("cancelled", false), GONE),
        case("cancelled and paid, nothing posted", order("cancelled", false), NOT_SOLD)
            .after(is_paid()),
        case(
            "refunded, never paid",
            order("completed", true),
            &["skipped: was refunded without ever being paid: nothing was earned"],
        )
        .after(both(
            refunds("20.00"),
            stored(json!({"date_paid_gmt": null, "date_paid": null, "status": "refunded"})),
        )),
        case("a plugin's status", order("completed", true), &["needs_attention: unknown_status"])
            .after(stored(json!({"status": "packed"}))),
        case("cancelled after its receipt", order("completed", true), PAID).then(
            edits(json!({"status": "cancelled"})),
            &["SalesReceipt 20.00", "needs_attention: cancelled_with_document"],
        ),
        case("trashed after its receipt", order("completed", true), PAID)
            .then(trashes(), &["SalesReceipt 20.00", "needs_attention: cancelled_with_document"]),
        case("cancelled unpaid", unpaid(), OPEN)
            .after(never_paid())
            .then(edits(json!({"status": "cancelled"})), &["Invoice voided"])
            .then(nothing(), &["Invoice voided"]),
        case("reopened after its receipt", order("completed", true), PAID).then(
            edits(json!({"status": "pending"})),
            &["SalesReceipt 20.00", "needs_attention: reopened_with_document"],
        ),
        case(
            "nothing in it",
            json!({"status": "completed", "set_paid": true}),
            &["skipped: has no lines and comes to 0.00"],
        ),
        case("given away", given_away(), &["SalesReceipt 0.00"]).then(
            has_lines("SalesReceipt", &["Ring (WC 25) 20.00 NON", "Coupons -20.00 NON"]),
            &["SalesReceipt 0.00"],
        ),
        case("given away, never paid", given_away(), &["SalesReceipt 0.00"]).after(never_paid()),
        case("deleted for good after its receipt", order("completed", true), PAID)
            .then(deletes(), &["SalesReceipt 20.00", "needs_attention: cancelled_with_document"]),
        case("deleted for good, unpaid", unpaid(), OPEN)
            .after(never_paid())
            .then(deletes(), &["Invoice voided"]),
        case("cancelled unpaid, edited there", unpaid(), OPEN).after(never_paid()).then(
            both(
                in_books("edit", "Invoice", json!({"set": {"PrivateNote": "mine"}})),
                edits(json!({"status": "cancelled"})),
            ),
            &["Invoice 20.00 open 20.00", "needs_attention: cancelled_with_document"],
        ),
        case("the same again writes nothing", order("completed", true), PAID).then(nothing(), PAID),
        case(
            "before start_date",
            order("completed", true),
            &["skipped: is dated 2024-12-31, before start_date"],
        )
        .after(stored(json!({"date_paid_gmt": "2024-12-31T18:00:00"}))),
    ]
}

/// The shop sets a date of payment with the status; an order on account has none.
fn unpaid() -> serde_json::Value {
    order("processing", false)
}

fn never_paid() -> crate::desk::Act {
    stored(json!({"date_paid_gmt": null, "date_paid": null}))
}

fn given_away() -> serde_json::Value {
    let line = json!([{"product_id": 25, "quantity": 2, "subtotal": "20.00", "total": "0.00"}]);
    with(order("completed", true), json!({"line_items": line}))
}

fn refunded() -> Vec<Case> {
    vec![
        case("part refunded by amount", order("completed", true), PAID)
            .then(refunds("5.00"), &["RefundReceipt 5.00", "SalesReceipt 20.00"])
            .then(nothing(), &["RefundReceipt 5.00", "SalesReceipt 20.00"])
            .then(
                refunds("3.00"),
                &["RefundReceipt 3.00", "RefundReceipt 5.00", "SalesReceipt 20.00"],
            ),
        case("part refunded by line", order("completed", true), PAID)
            .then(refunds_a_piece("10.00"), &["RefundReceipt 10.00", "SalesReceipt 20.00"])
            .then(
                last_refund_has(&["Ring (WC 25) 10.00 NON"], "0.00"),
                &["RefundReceipt 10.00", "SalesReceipt 20.00"],
            ),
        case(
            "refunded in two steps before it was posted",
            order("completed", true),
            &["RefundReceipt 15.00", "RefundReceipt 5.00", "SalesReceipt 20.00"],
        )
        .after(both(refunds("5.00"), refunds("15.00"))),
        case("fully refunded", order("completed", true), PAID)
            .then(refunds("20.00"), &["RefundReceipt 20.00", "SalesReceipt 20.00"]),
        case(
            "fully refunded before it was posted",
            order("completed", true),
            &["RefundReceipt 20.00", "SalesReceipt 20.00"],
        )
        .after(refunds("20.00")),
        case("a refund deleted", order("completed", true), PAID)
            .then(refunds("5.00"), &["RefundReceipt 5.00", "SalesReceipt 20.00"])
            .then(
                unrefunds(),
                &["RefundReceipt 5.00", "SalesReceipt 20.00", "needs_attention: refund_vanished"],
            ),
        case("part refunded while open, then paid", unpaid(), OPEN)
            .after(never_paid())
            .then(refunds("5.00"), &["CreditMemo 5.00", "Invoice 20.00 open 15.00", "Payment 0.00"])
            .then(
                is_paid(),
                &["CreditMemo 5.00", "Invoice 20.00", "Payment 0.00", "Payment 15.00"],
            ),
        case("paid, then refunded", unpaid(), OPEN)
            .after(never_paid())
            .then(is_paid(), &["Invoice 20.00", "Payment 20.00"])
            .then(refunds("5.00"), &["Invoice 20.00", "Payment 20.00", "RefundReceipt 5.00"]),
        case("refunded while open", unpaid(), OPEN)
            .after(never_paid())
            .then(refunds("20.00"), &["CreditMemo 20.00", "Invoice 20.00", "Payment 0.00"]),
        case("refunded by status alone", order("completed", true), PAID).then(
            stored(json!({"status": "refunded"})),
            &["SalesReceipt 20.00", "needs_attention: refunds_differ"],
        ),
    ]
}

fn elsewhere() -> Vec<Case> {
    let british = with(
        order("processing", false),
        json!({"currency": "GBP", "billing": person("Ann", "ann@lee.test", "", "GB")}),
    );
    vec![
        case("cancelled unpaid", british, &["Invoice 24.00 open 24.00"])
            .after(never_paid())
            .then(
                edits(json!({"status": "cancelled"})),
                &["CreditMemo 24.00", "Invoice 24.00", "Payment 0.00"],
            )
            .then(nothing(), &["CreditMemo 24.00", "Invoice 24.00", "Payment 0.00"]),
    ]
}

fn by_settings() -> Vec<Case> {
    let by_transfer = with(order("on-hold", false), json!({"payment_method": "bacs"}));
    vec![
        case("pending, as an invoice", order("pending", false), OPEN),
        case("on hold for a transfer, as an invoice", by_transfer, OPEN),
        case("on hold for a card", order("on-hold", false), WAITS),
        case("a plugin's status, mapped", order("completed", true), PAID)
            .after(stored(json!({"status": "packed"}))),
        case("an open invoice of a shop that cancels it", order("pending", false), OPEN)
            .then(edits(json!({"status": "cancelled"})), &["Invoice voided"]),
    ]
}
