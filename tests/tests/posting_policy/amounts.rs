//! "Amounts": lines, prices, taxes, and what is left of the total.

use crate::acts::*;
use crate::desk::{Act, Case, Group, case};
use crate::looks::*;
use serde_json::{Value, json};

const PAID: &[&str] = &["SalesReceipt 20.00"];

pub fn groups() -> Vec<Group> {
    let us = |name, settings, cases| Group { name, preset: "us_single", settings, cases };
    vec![
        us("lines", json!({}), lines()),
        us("taxes", json!({}), taxes()),
        us(
            "own_by_default",
            json!({"tax": {"unmapped": "sales_tax"}}),
            vec![
                case("tax that nothing maps, as own tax", in_place("DE"), &["SalesReceipt 23.80"])
                    .then(
                        all(vec![
                            has_lines("SalesReceipt", &["Ring (WC 25) 20.00 TAX"]),
                            shows("SalesReceipt", "/TxnTaxDetail/TotalTax", "3.8"),
                        ]),
                        &["SalesReceipt 23.80"],
                    ),
            ],
        ),
        us("rounding", json!({}), rounding()),
        us("answers", json!({}), answers()),
        us(
            "by_ids",
            json!({"coupon_item": "3", "income_account": "79",
                   "deposit_accounts": {"default": "95", "cod": "94"}}),
            accounts(),
        ),
    ]
}

fn in_place(country: &str) -> Value {
    let state = if country == "US" { "NY" } else { "" };
    with(
        order("completed", true),
        json!({"billing": person("Petra", "petra@lee.test", state, country)}),
    )
}

fn of_line(quantity: i64, total: &str) -> Value {
    let line = json!({"product_id": 25, "quantity": quantity, "subtotal": total, "total": total});
    with(order("completed", true), json!({"line_items": [line]}))
}

fn lines() -> Vec<Case> {
    let quantity = "/Line/0/SalesItemLineDetail/Qty";
    let price = "/Line/0/SalesItemLineDetail/UnitPrice";
    let shipped = json!({
        "shipping_lines": [{"method_id": "flat_rate", "method_title": "Post", "total": "5.00"}],
        "fee_lines": [{"name": "Wrapping", "total": "2.00"}, {"name": "Thanks", "total": "-1.50"}],
    });
    vec![
        case("a price of two decimals", of_line(2, "20.00"), PAID).then(
            all(vec![shows("SalesReceipt", quantity, "2"), shows("SalesReceipt", price, "10")]),
            PAID,
        ),
        case("a price of more decimals", of_line(3, "20.00"), PAID).then(
            all(vec![shows("SalesReceipt", quantity, "3"), shows("SalesReceipt", price, "6.667")]),
            PAID,
        ),
        case("no price gives the amount", of_line(30_000, "20.01"), &["SalesReceipt 20.01"]).then(
            all(vec![
                shows("SalesReceipt", quantity, "none"),
                shows("SalesReceipt", price, "none"),
            ]),
            &["SalesReceipt 20.01"],
        ),
        case("post and fees", with(order("completed", true), shipped), &["SalesReceipt 25.50"])
            .then(
                has_lines(
                    "SalesReceipt",
                    &[
                        "Ring (WC 25) 20.00 NON",
                        "Shipping 5.00 NON",
                        "Fees 2.00 NON",
                        "Fees -1.50 NON",
                    ],
                ),
                &["SalesReceipt 25.50"],
            ),
    ]
}

fn taxes() -> Vec<Case> {
    // The shop taxes a negative fee whatever its tax_status says.
    let fee = json!({"fee_lines": [{"name": "Thanks", "total": "-2.00", "tax_status": "none"}]});
    const TAXED: &[&str] = &["SalesReceipt 19.90"];
    let quebec = json!({"billing": person("Quentin", "quentin@lee.test", "QC", "CA")});
    vec![
        case("a fee that bears tax, whatever it is called", with(in_place("US"), fee), TAXED)
            .then(has_lines("SalesReceipt", &["Ring (WC 25) 20.00 TAX", "Fees -2.00 TAX"]), TAXED),
        case("own tax, exactly the shop's", in_place("US"), &["SalesReceipt 22.11"])
            .then(shows("SalesReceipt", "/TxnTaxDetail/TotalTax", "2.11"), &["SalesReceipt 22.11"]),
        case(
            "tax for another country: a liability",
            with(order("completed", true), quebec),
            &["SalesReceipt 23.09"],
        )
        .then(
            has_lines(
                "SalesReceipt",
                &["Ring (WC 25) 20.00 NON", "GST and QST collected for Canada 3.09 NON"],
            ),
            &["SalesReceipt 23.09"],
        ),
    ]
}

/// The header comes to this, whatever the lines say.
fn comes_to(total: &'static str) -> Act {
    stored(json!({"total": total}))
}

fn sixty() -> Value {
    let line = json!({"product_id": 25, "quantity": 1, "subtotal": "1.00", "total": "1.00"});
    with(order("completed", true), json!({"line_items": vec![line; 60]}))
}

fn rounding() -> Vec<Case> {
    const DIFFERS: &[&str] = &["needs_attention: total_differs"];
    vec![
        case("five cents", order("completed", true), &["SalesReceipt 20.05"])
            .after(comes_to("20.05"))
            .then(
                has_lines("SalesReceipt", &["Ring (WC 25) 20.00 NON", "Rounding 0.05 NON"]),
                &["SalesReceipt 20.05"],
            ),
        case("five cents less", order("completed", true), &["SalesReceipt 19.95"])
            .after(comes_to("19.95")),
        case("six cents", order("completed", true), DIFFERS)
            .after(comes_to("20.06"))
            .then(tells(&["20.06", "20.00", "0.06"]), DIFFERS),
        case("half a cent for each of 60 lines", sixty(), &["SalesReceipt 60.30"])
            .after(comes_to("60.30")),
        case("more than that", sixty(), DIFFERS).after(comes_to("60.31")),
    ]
}

fn answers() -> Vec<Case> {
    let off: Act = Box::new(|desk, _| {
        let with = json!({"name": "/TaxPrefs/UsingSalesTax", "value": false});
        desk.books.act(desk.bed, "preference", &with).map(drop)
    });
    let told = &["SalesReceipt 20.00", "needs_attention: answer_differs"];
    vec![
        // Somebody switches sales tax off between two looks at the company.
        case("posted first", order("completed", true), PAID).then(off, PAID),
        case(
            "QuickBooks makes another total of it",
            later(in_place("US")),
            &["skipped: waits for payment"],
        )
        .then(crate::desk::nothing(), &["skipped: waits for payment"])
        .then(edits(json!({"status": "completed"})), told)
        .then(tells(&["2.11"]), told),
    ]
}

fn later(order: Value) -> Value {
    with(order, json!({"status": "pending", "set_paid": false}))
}

fn accounts() -> Vec<Case> {
    let of = |method: &str| with(order("completed", true), json!({"payment_method": method}));
    let refunded = &["RefundReceipt 5.00", "SalesReceipt 20.00"];
    let account = "/DepositToAccountRef/name";
    vec![
        case("of a method with an account", of("cod"), PAID)
            .then(shows("SalesReceipt", account, "Cash on Delivery Clearing"), PAID)
            // Settings may have changed since: the money comes from where it went.
            .then(both(pays_into("Stripe Clearing"), refunds("5.00")), refunded)
            .then(shows("RefundReceipt", account, "Cash on Delivery Clearing"), refunded),
        case("of a method without one", of("barter"), PAID)
            .then(shows("SalesReceipt", account, "Shop Clearing"), PAID),
        case("of no method", of(""), PAID)
            .then(shows("SalesReceipt", account, "Shop Clearing"), PAID),
    ]
}

/// Money of cash on delivery goes to another account from now on.
fn pays_into(account: &'static str) -> Act {
    Box::new(move |desk, _| {
        let settings = json!({"deposit_accounts": {"default": "95", "cod": account}});
        let alter = "select easysync.alter_connection($1, $2)";
        desk.bed.db.execute(alter, &[&desk.books.name, &settings])?;
        Ok(())
    })
}
