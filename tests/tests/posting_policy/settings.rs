//! Settings of amounts, dates and heads of documents, each as it says.

use crate::acts::*;
use crate::desk::{Act, Case, Group, case};
use crate::looks::*;
use serde_json::{Value, json};

const PAID: &[&str] = &["SalesReceipt 20.00"];

pub fn groups() -> Vec<Group> {
    let us = |name, settings, cases| Group { name, preset: "us_single", settings, cases };
    vec![
        us(
            "gift_cards",
            json!({"gift_cards": {"products": ["SKU-0010"], "coupons": ["five-*"],
                                  "fees": ["Gift card*"]}}),
            gift_cards(),
        ),
        us("net", json!({"discounts": "net"}), net()),
        us("discount_line", json!({"discounts": "discount_line"}), discount_line()),
        us("coupons", json!({}), coupons()),
        us(
            "refund_prorata",
            json!({}),
            vec![refunded_twice(
                "prorata",
                (&["Refunds 9.95 TAX"], "1.05"),
                (&["Refunds 10.05 TAX"], "1.06"),
            )],
        ),
        us(
            "refund_none",
            json!({"refund_tax": "none"}),
            vec![refunded_twice(
                "none",
                (&["Refunds 11.00 NON"], "0.00"),
                (&["Refunds 20.00 TAX", "Refunds -11.00 NON"], "2.11"),
            )],
        ),
        us("dates", json!({"terms": "Net 30"}), dates()),
        us("txn_created", json!({"txn_date": "created"}), vec![dated("created", "2026-11-09")]),
        us(
            "txn_completed",
            json!({"txn_date": "completed"}),
            vec![dated("completed", "2026-11-13")],
        ),
        us(
            "fields",
            json!({"custom_fields": {"1": "number", "2": "payment_method", "3": "transaction_id"},
                   "payment_methods": {"stripe": "Stripe"}}),
            fields(),
        ),
    ]
}

fn two_goods() -> Value {
    json!({"line_items": [
        {"product_id": 25, "quantity": 2, "subtotal": "20.00", "total": "20.00"},
        {"product_id": 24, "quantity": 1, "subtotal": "10.00", "total": "10.00"},
    ]})
}

fn with_coupon() -> Value {
    let coupon = json!({"coupon_lines": [{"code": "five-fixed"}]});
    with(with(order("completed", true), two_goods()), coupon)
}

fn gift_cards() -> Vec<Case> {
    let sold = json!({"line_items": [
        {"product_id": 20, "quantity": 1, "subtotal": "20.00", "total": "20.00"},
    ]});
    let coupon = json!({"coupon_lines": [{"code": "five-fixed"}]});
    let fee = json!({"fee_lines": [{"name": "Gift card 4711", "total": "-5.00"}]});
    vec![
        case("sold", with(order("completed", true), sold), PAID)
            .then(has_lines("SalesReceipt", &["Gift cards 20.00 NON"]), PAID)
            .then(refunds_a_piece("20.00"), &["RefundReceipt 20.00", "SalesReceipt 20.00"])
            .then(
                has_lines("RefundReceipt", &["Gift cards 20.00 NON"]),
                &["RefundReceipt 20.00", "SalesReceipt 20.00"],
            ),
        case(
            "redeemed as a coupon",
            with(order("completed", true), coupon),
            &["SalesReceipt 15.00"],
        )
        .then(
            has_lines("SalesReceipt", &["Ring (WC 25) 20.00 NON", "Gift cards -5.00 NON"]),
            &["SalesReceipt 15.00"],
        ),
        case("redeemed as a fee", with(order("completed", true), fee), &["SalesReceipt 15.00"])
            .then(
                has_lines("SalesReceipt", &["Ring (WC 25) 20.00 NON", "Gift cards -5.00 NON"]),
                &["SalesReceipt 15.00"],
            ),
        // 20.00 were sold and given back, 5.00 redeemed twice.
        case("a liability, not a discount", order("completed", true), PAID).then(
            all(vec![
                account_holds("Gift cards outstanding", "10.00"),
                account_holds("Discounts given", "0.00"),
            ]),
            PAID,
        ),
    ]
}

fn net() -> Vec<Case> {
    vec![case("taken off the lines", with_coupon(), &["SalesReceipt 25.00"]).then(
        has_lines("SalesReceipt", &["Ring (WC 25) 16.67 NON", "Lamp (WC 24) 8.33 NON"]),
        &["SalesReceipt 25.00"],
    )]
}

/// In New York; a tee of the reduced rate is taxed elsewhere only.
fn taxed_and_untaxed() -> Value {
    let york = json!({"billing": person("Nell", "nell@lee.test", "NY", "US"), "line_items": [
        {"product_id": 25, "quantity": 2, "subtotal": "20.00", "total": "20.00"},
        {"product_id": 30, "quantity": 1, "subtotal": "10.00", "total": "10.00"},
    ]});
    with(with_coupon(), york)
}

fn discount_line() -> Vec<Case> {
    // 20.00 less 3.33 is taxed with 8.875 and 1.5 % of the sum: 1.48 and 0.27.
    const TAXED: &[&str] = &["SalesReceipt 26.75"];
    vec![
        case("of one code", with_coupon(), &["SalesReceipt 25.00"]).then(
            has_lines(
                "SalesReceipt",
                &["Ring (WC 25) 20.00 NON", "Lamp (WC 24) 10.00 NON", "discount 5.00"],
            ),
            &["SalesReceipt 25.00"],
        ),
        // QuickBooks would spread it over lines that bear another tax.
        case("of two codes: lines after all", taxed_and_untaxed(), TAXED).then(
            has_lines(
                "SalesReceipt",
                &[
                    "Ring (WC 25) 20.00 TAX",
                    "Plain Tee #20 (WC 30) 10.00 NON",
                    "Coupons -3.33 TAX",
                    "Coupons -1.67 NON",
                ],
            ),
            TAXED,
        ),
    ]
}

fn coupons() -> Vec<Case> {
    const TAXED: &[&str] = &["SalesReceipt 26.75"];
    vec![case("one line a tax code", taxed_and_untaxed(), TAXED).then(
        all(vec![
            has_lines(
                "SalesReceipt",
                &[
                    "Ring (WC 25) 20.00 TAX",
                    "Plain Tee #20 (WC 30) 10.00 NON",
                    "Coupons -3.33 TAX",
                    "Coupons -1.67 NON",
                ],
            ),
            shows("SalesReceipt", "/TxnTaxDetail/TotalTax", "1.75"),
        ]),
        TAXED,
    )]
}

type Wanted = (&'static [&'static str], &'static str);

/// 20.00 and 2.11 of tax, of which 11.00 are given back, and then the rest.
fn refunded_twice(name: &'static str, first: Wanted, second: Wanted) -> Case {
    let york = json!({"billing": person("Yvonne", "yvonne@lee.test", "NY", "US")});
    const ONE: &[&str] = &["RefundReceipt 11.00", "SalesReceipt 22.11"];
    const BOTH: &[&str] = &["RefundReceipt 11.00", "RefundReceipt 11.11", "SalesReceipt 22.11"];
    case(name, with(order("completed", true), york), &["SalesReceipt 22.11"])
        .then(refunds("11.00"), ONE)
        .then(last_refund_has(first.0, first.1), ONE)
        .then(refunds("11.11"), BOTH)
        .then(last_refund_has(second.0, second.1), BOTH)
        // What was sold, taxed and deposited is all taken back.
        .then(
            all(vec![
                account_holds("Stripe Clearing", "0.00"),
                account_holds("Sales Tax Payable", "0.00"),
            ]),
            BOTH,
        )
}

/// Shortly after midnight in UTC, which is the day before in New York.
fn times(created: &str, paid: Option<&str>, completed: Option<&str>) -> Act {
    stored(json!({"date_created_gmt": created, "date_paid_gmt": paid, "date_paid": paid,
                  "date_completed_gmt": completed}))
}

fn dated(name: &'static str, day: &'static str) -> Case {
    case(name, order("completed", true), PAID)
        .after(times(
            "2026-11-10T03:30:00",
            Some("2026-11-12T03:30:00"),
            Some("2026-11-14T03:30:00"),
        ))
        .then(shows("SalesReceipt", "/TxnDate", day), PAID)
}

fn dates() -> Vec<Case> {
    let open = &["Invoice 20.00 open 20.00"];
    let settled = &["Invoice 20.00", "Payment 20.00"];
    vec![
        dated("a receipt: the company's day of its payment", "2026-11-11"),
        case("an invoice: the day it was made, due by its terms", order("processing", false), open)
            .after(times("2026-11-10T03:30:00", None, None))
            .then(
                all(vec![
                    shows("Invoice", "/TxnDate", "2026-11-09"),
                    shows("Invoice", "/SalesTermRef/name", "Net 30"),
                    shows("Invoice", "/DueDate", "2026-12-09"),
                ]),
                open,
            )
            .then(times("2026-11-10T03:30:00", Some("2026-11-19T03:30:00"), None), settled)
            .then(
                all(vec![
                    shows("Invoice", "/TxnDate", "2026-11-09"),
                    shows("Payment", "/TxnDate", "2026-11-18"),
                ]),
                settled,
            ),
        case("a document keeps its day", order("completed", true), PAID)
            .after(times("2026-11-10T03:30:00", Some("2026-11-12T03:30:00"), None))
            .then(times("2026-11-10T03:30:00", Some("2026-11-15T03:30:00"), None), PAID)
            .then(shows("SalesReceipt", "/TxnDate", "2026-11-11"), PAID),
        case("a refund: the later of its day and the sale's", order("completed", true), PAID)
            .after(times("2026-11-10T03:30:00", Some("2027-01-05T18:00:00"), None))
            .then(refunds("5.00"), &["RefundReceipt 5.00", "SalesReceipt 20.00"])
            .then(
                shows("RefundReceipt", "/TxnDate", "2027-01-05"),
                &["RefundReceipt 5.00", "SalesReceipt 20.00"],
            ),
    ]
}

fn fields() -> Vec<Case> {
    let transaction = json!({"transaction_id": "ch_3Qabcdefghijklmnopqrstuv"});
    vec![
        case("what a shop knows of it", with(order("completed", true), transaction), PAID)
            .after(stored(json!({"number": "A-2026/77"})))
            .then(
                all(vec![
                    shows("SalesReceipt", "/DocNumber", "WC-A-2026/77"),
                    shows("SalesReceipt", "/CustomField/0/StringValue", "A-2026/77"),
                    shows("SalesReceipt", "/CustomField/1/StringValue", "stripe"),
                    shows(
                        "SalesReceipt",
                        "/CustomField/2/StringValue",
                        "ch_3Qabcdefghijklmnopqrstuv",
                    ),
                    shows("SalesReceipt", "/PaymentRefNum", "bcdefghijklmnopqrstuv"),
                    shows("SalesReceipt", "/PaymentMethodRef/name", "Stripe"),
                    shows("SalesReceipt", "/DepositToAccountRef/name", "Stripe Clearing"),
                ]),
                PAID,
            ),
    ]
}
