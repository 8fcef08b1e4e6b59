//! "After posting": what shop and bookkeeper do to an order that has its document.

use crate::acts::*;
use crate::desk::{Act, Case, Group, case, nothing};
use crate::looks::{shows, tells};
use serde_json::{Value, json};

const PAID: &[&str] = &["SalesReceipt 20.00"];

const REFUNDED: &[&str] = &["RefundReceipt 5.00", "SalesReceipt 20.00"];

pub fn groups() -> Vec<Group> {
    vec![
        Group { name: "changes", preset: "us_single", settings: json!({}), cases: changes() },
        Group { name: "numbers", preset: "us_single", settings: json!({}), cases: numbers() },
        Group {
            name: "adopting",
            preset: "us_single",
            settings: json!({"adopt": true}),
            cases: adopting(),
        },
        Group { name: "closing", preset: "us_single", settings: json!({}), cases: closing() },
        Group {
            name: "closed",
            preset: "us_single",
            settings: json!({"closed_period": "first_open_day"}),
            cases: vec![
                case("paid in closed books", order("completed", true), PAID)
                    .after(both(closes("2026-11-30"), dated("2026-11-10T18:00:00")))
                    .then(shows("SalesReceipt", "/TxnDate", "2026-12-01"), PAID)
                    .then(refunds("5.00"), REFUNDED)
                    .then(shows("RefundReceipt", "/TxnDate", "2026-12-01"), REFUNDED),
            ],
        },
        Group { name: "one_currency", preset: "us_single", settings: json!({}), cases: euros() },
    ]
}

fn dated(paid: &'static str) -> Act {
    stored(json!({"date_paid_gmt": paid}))
}

fn closes(until: &'static str) -> Act {
    Box::new(move |desk, _| {
        desk.books.act(desk.bed, "close_books", &json!({"until": until})).map(drop)
    })
}

fn noted(note: &'static str) -> Act {
    edits(json!({"customer_note": note}))
}

fn changes() -> Vec<Case> {
    let deposit: Act = Box::new(|desk, order| {
        let receipt = desk.document(order, "SalesReceipt")?;
        let one = json!({"entity": "SalesReceipt", "id": receipt["Id"]});
        desk.books.act(desk.bed, "deposit", &json!({"transactions": [one]})).map(drop)
    });
    let open = &["Invoice 20.00 open 20.00"];
    vec![
        case("an amount changed", order("completed", true), PAID)
            .then(costs("18.00"), &["SalesReceipt 18.00"]),
        case("a modified date that moves", order("completed", true), PAID)
            .then(edits(json!({})), PAID)
            .then(shows("SalesReceipt", "/SyncToken", "0"), PAID),
        case("60 lines, one changed", long(), &["SalesReceipt 60.00"])
            .then(noted("ring twice"), &["SalesReceipt 60.00"]),
        case("deposited, then changed", order("completed", true), PAID)
            .then(both(deposit, costs("18.00")), &["SalesReceipt 20.00", "needs_attention: 6540"])
            .then(
                tells(&["20.00", "18.00", "deposit"]),
                &["SalesReceipt 20.00", "needs_attention: 6540"],
            ),
        case("edited there", order("completed", true), PAID).then(
            both(
                in_books("edit", "SalesReceipt", json!({"set": {"PrivateNote": "checked"}})),
                noted("ring twice"),
            ),
            &["SalesReceipt 20.00", "conflict: edited_there"],
        ),
        case("a token gone stale", order("completed", true), PAID).then(
            both(
                in_books("edit", "SalesReceipt", json!({"set": {"EmailStatus": "NeedToSend"}})),
                costs("18.00"),
            ),
            &["SalesReceipt 18.00"],
        ),
        case("paid in QuickBooks", order("processing", false), open)
            .after(stored(json!({"date_paid_gmt": null})))
            .then(both(in_books("pay", "Invoice", json!({})), is_paid()), &["Invoice 20.00"])
            .then(nothing(), &["Invoice 20.00"]),
        case("part paid in QuickBooks", order("processing", false), open)
            .after(stored(json!({"date_paid_gmt": null})))
            .then(
                both(in_books("pay", "Invoice", json!({"amount": 8})), is_paid()),
                &["Invoice 20.00", "Payment 12.00"],
            ),
        case("paid in QuickBooks, then cancelled", order("processing", false), open)
            .after(stored(json!({"date_paid_gmt": null})))
            .then(
                both(in_books("pay", "Invoice", json!({})), edits(json!({"status": "cancelled"}))),
                &["Invoice 20.00", "needs_attention: cancelled_with_document"],
            ),
        case("deleted there, then changed", order("completed", true), PAID).then(
            both(in_books("delete", "SalesReceipt", json!({})), costs("18.00")),
            &["not_found: gone_there"],
        ),
    ]
}

fn long() -> Value {
    let line = json!({"product_id": 25, "quantity": 1, "subtotal": "1.00", "total": "1.00"});
    with(order("completed", true), json!({"line_items": vec![line; 60]}))
}

fn by_hand(number: &str, total: i64, date: &str) -> Value {
    json!({"DocNumber": number, "TxnDate": date, "CustomerRef": {"value": "1"},
           "Line": [{"Amount": total, "DetailType": "SalesItemLineDetail",
                     "SalesItemLineDetail": {"ItemRef": {"value": "1"}, "TaxCodeRef": {"value": "NON"}}}]})
}

fn numbers() -> Vec<Case> {
    vec![
        case(
            "its number is taken",
            order("completed", true),
            &["SalesReceipt 99.00", "needs_attention: number_taken"],
        )
        .after(enters("SalesReceipt", by_hand("WC-{id}", 99, "2026-11-20"))),
        case("its number is taken by the same sale", of_nobody(), PAID)
            .after(enters("SalesReceipt", by_hand("WC-{id}", 20, "2026-11-20"))),
    ]
}

/// As the web customer's, who is number 1 there.
fn of_nobody() -> Value {
    with(order("completed", true), json!({"billing": {"country": "US", "state": "WY"}}))
}

fn adopting() -> Vec<Case> {
    vec![
        case("entered by hand", order("completed", true), &["SalesReceipt 20.00"])
            .after(both(on_the_day(), enters("SalesReceipt", by_hand("WC-{id}", 20, "2026-11-23"))))
            .then(nothing(), &["SalesReceipt 20.00"]),
        case(
            "entered by hand with another total",
            order("completed", true),
            &["SalesReceipt 25.00", "needs_attention: number_taken"],
        )
        .after(both(on_the_day(), enters("SalesReceipt", by_hand("WC-{id}", 25, "2026-11-23")))),
        case("entered by nobody", order("completed", true), PAID),
    ]
}

fn closing() -> Vec<Case> {
    vec![
        case("closed after it was posted", order("completed", true), PAID)
            .then(
                both(closes("2026-11-30"), costs("18.00")),
                &["SalesReceipt 20.00", "blocked: 6210"],
            )
            .then(nothing(), &["SalesReceipt 20.00", "needs_attention: changed_after_posting"])
            .then(both(closes("2024-12-31"), restarts()), &["SalesReceipt 18.00"]),
        case("refunded in closed books", order("completed", true), PAID)
            .then(refunds("5.00"), &["SalesReceipt 20.00", "blocked: 6210"])
            .then(nothing(), &["SalesReceipt 20.00", "blocked: closed_period"])
            .then(nothing(), REFUNDED),
        case("dated in closed books", order("pending", false), &["skipped: waits for payment"])
            .then(edits(json!({"status": "completed"})), &["blocked: 6210"])
            .then(nothing(), &["blocked: closed_period"])
            .then(nothing(), PAID),
    ]
}

fn euros() -> Vec<Case> {
    vec![
        case(
            "in another currency",
            with(order("completed", true), json!({"currency": "EUR"})),
            &["blocked: currency"],
        ),
        // The status comes first, then start_date, then the currency.
        case(
            "in another currency, unpaid",
            with(order("pending", false), json!({"currency": "EUR"})),
            &["skipped: waits for payment"],
        ),
        case(
            "in another currency, before start_date",
            with(order("completed", true), json!({"currency": "EUR"})),
            &["skipped: is dated 2024-12-31, before start_date"],
        )
        .after(dated("2024-12-31T18:00:00")),
        case("before start_date, unpaid", order("pending", false), &["skipped: waits for payment"])
            .after(stored(json!({"date_created_gmt": "2024-12-31T18:00:00"}))),
    ]
}
