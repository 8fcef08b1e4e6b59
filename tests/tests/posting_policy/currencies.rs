//! Amounts outside the US, currencies with other digits, exchange rates, and what rounding leaves.

use crate::acts::*;
use crate::desk::{Act, Case, Group, case};
use crate::looks::*;
use anyhow::{Context, ensure};
use rust_decimal::Decimal;
use serde_json::{Value, json};

pub fn groups() -> Vec<Group> {
    let of = |name, preset, settings, cases| Group { name, preset, settings, cases };
    vec![
        of("pounds", "uk", json!({}), pounds()),
        of("euros_at_home", "eu", json!({}), euros_at_home()),
        of("digits", "us", json!({}), digits()),
        of(
            "fixed_rates",
            "us",
            json!({"exchange_rate": "fixed", "exchange_rates": {"EUR": "1.2"}}),
            fixed_rates(),
        ),
        of(
            "no_sales_tax",
            "us_single",
            json!({"tax": {"sales_tax_item": "Sales tax collected for the US"}}),
            no_sales_tax(),
        ),
    ]
}

fn bought(who: Value, currency: &str, lines: Value) -> Value {
    with(
        order("completed", true),
        json!({"currency": currency, "billing": who, "line_items": lines}),
    )
}

fn rings(amount: &str) -> Value {
    json!([{"product_id": 25, "quantity": 1, "subtotal": amount, "total": amount}])
}

fn british() -> Value {
    person("Brit", "brit@lee.test", "", "GB")
}

fn german() -> Value {
    person("Gerd", "gerd@lee.test", "", "DE")
}

/// Three of 0.03: the shop taxes each with a cent, QuickBooks 0.09 with two.
fn small_things() -> Value {
    let line = json!({"product_id": 25, "quantity": 1, "subtotal": "0.03", "total": "0.03"});
    json!([line, line, line])
}

/// Seven of 1.13: the shop's tax by line is 7 x 0.23, on the sum it is 1.58.
fn seven_things() -> Value {
    json!(vec![json!({"product_id": 25, "quantity": 1, "subtotal": "1.13", "total": "1.13"}); 7])
}

fn pounds() -> Vec<Case> {
    vec![
        case("taxed at home", bought(british(), "GBP", rings("20.00")), &["SalesReceipt 24.00"])
            .then(
                all(vec![
                    has_lines("SalesReceipt", &["Ring (WC 25) 20.00 6"]),
                    shows("SalesReceipt", "/GlobalTaxCalculation", "TaxExcluded"),
                ]),
                &["SalesReceipt 24.00"],
            ),
        case(
            "tax that is rounded up line by line",
            bought(british(), "GBP", small_things()),
            &["SalesReceipt 0.12"],
        )
        .then(
            has_lines(
                "SalesReceipt",
                &[
                    "Ring (WC 25) 0.03 6",
                    "Ring (WC 25) 0.03 6",
                    "Ring (WC 25) 0.03 6",
                    "Rounding 0.01 10",
                ],
            ),
            &["SalesReceipt 0.12"],
        )
        .then(refunds("0.12"), &["RefundReceipt 0.12", "SalesReceipt 0.12"]),
        case(
            "goods of two rates, one of them abroad",
            bought(
                german(),
                "GBP",
                json!([
                    {"product_id": 25, "quantity": 1, "subtotal": "20.00", "total": "20.00"},
                    {"product_id": 30, "quantity": 1, "subtotal": "10.00", "total": "10.00"},
                ]),
            ),
            &["SalesReceipt 34.50"],
        )
        .then(
            has_lines("SalesReceipt", &["Ring (WC 25) 20.00 11", "Plain Tee #20 (WC 30) 10.00 12"]),
            &["SalesReceipt 34.50"],
        )
        // A third of each part, taxes too.
        .then(refunds("11.50"), &["RefundReceipt 11.50", "SalesReceipt 34.50"])
        .then(
            last_refund_has(&["Refunds 6.67 11", "Refunds 3.33 12"], "1.50"),
            &["RefundReceipt 11.50", "SalesReceipt 34.50"],
        )
        .then(
            refunds("23.00"),
            &["RefundReceipt 11.50", "RefundReceipt 23.00", "SalesReceipt 34.50"],
        )
        .then(
            last_refund_has(&["Refunds 13.33 11", "Refunds 6.67 12"], "3.00"),
            &["RefundReceipt 11.50", "RefundReceipt 23.00", "SalesReceipt 34.50"],
        ),
        case(
            "without tax: the code for it",
            bought(person("Ann", "ann@lee.test", "WY", "US"), "USD", rings("20.00")),
            &["SalesReceipt 20.00"],
        )
        .then(has_lines("SalesReceipt", &["Ring (WC 25) 20.00 10"]), &["SalesReceipt 20.00"]),
    ]
}

fn euros_at_home() -> Vec<Case> {
    // 7.91 and 19 % of each line: 7 x 0.21; on the sum 1.50.
    vec![
        case("seven lines", bought(german(), "EUR", seven_things()), &["SalesReceipt 9.38"]).then(
            all(vec![
                shows("SalesReceipt", "/TxnTaxDetail/TotalTax", "1.5"),
                shows("SalesReceipt", "/Line/7/Amount", "-0.03"),
                shows("SalesReceipt", "/Line/7/SalesItemLineDetail/ItemRef/name", "Rounding"),
            ]),
            &["SalesReceipt 9.38"],
        ),
        case(
            "yen, taxed at home",
            bought(german(), "JPY", rings("1001")),
            &["SalesReceipt 1191.19"],
        ),
    ]
}

/// The shop shows so many decimals from now on.
fn decimals(places: u32) -> Act {
    Box::new(move |desk, _| {
        let settings = json!({"decimals": places.to_string()});
        desk.bed.simulator.put("/woocommerce/settings", &settings).map(drop)
    })
}

fn digits() -> Vec<Case> {
    let yen = bought(person("Yuki", "yuki@lee.test", "WY", "US"), "JPY", rings("1500"));
    let dinars = bought(
        person("Kadi", "kadi@lee.test", "WY", "US"),
        "KWD",
        json!([
            {"product_id": 25, "quantity": 1, "subtotal": "1.234", "total": "1.234"},
            {"product_id": 24, "quantity": 1, "subtotal": "1.234", "total": "1.234"},
            {"product_id": 26, "quantity": 1, "subtotal": "1.234", "total": "1.234"},
        ]),
    );
    let dear = with(
        bought(person("Edda", "edda@lee.test", "WY", "US"), "EUR", rings("20.00")),
        json!({"payment_method": ""}),
    );
    vec![
        case("no decimals", yen, &["SalesReceipt 1500.00"]).then(
            all(vec![
                shows("SalesReceipt", "/CurrencyRef/value", "JPY"),
                shows("SalesReceipt", "/DepositToAccountRef/name", "Shop Clearing JPY"),
            ]),
            &["SalesReceipt 1500.00"],
        ),
        // 3.702 are 3.70 to the cent, three lines of 1.23 are 3.69.
        case("three decimals", dinars, &["SalesReceipt 3.70"])
            .after(all(vec![decimals(3), edits(json!({"fee_lines": []}))]))
            .then(
                all(vec![
                    has_lines(
                        "SalesReceipt",
                        &[
                            "Ring (WC 25) 1.23 NON",
                            "Lamp (WC 24) 1.23 NON",
                            "Candle (WC 26) 1.23 NON",
                            "Rounding 0.01 NON",
                        ],
                    ),
                    decimals(2),
                ]),
                &["SalesReceipt 3.70"],
            ),
        case("QuickBooks's own rate, and the default account", dear, &["SalesReceipt 20.00"]).then(
            all(vec![
                shows("SalesReceipt", "/ExchangeRate", "1.15"),
                shows("SalesReceipt", "/DepositToAccountRef/name", "Shop Clearing EUR"),
            ]),
            &["SalesReceipt 20.00"],
        ),
    ]
}

fn fixed_rates() -> Vec<Case> {
    let edda = person("Edda", "edda@lee.test", "WY", "US");
    let unpaid = with(
        bought(edda.clone(), "EUR", rings("20.00")),
        json!({"status": "processing", "set_paid": false}),
    );
    let home: Act = Box::new(|desk, order| {
        for kind in ["Invoice", "Payment"] {
            let document = desk.document(order, kind)?;
            ensure!(money(&document["ExchangeRate"]) == "1.20", "{document}");
        }
        let invoice = desk.document(order, "Invoice")?;
        ensure!(money(&invoice["HomeTotalAmt"]) == "24.00", "{invoice}");
        Ok(())
    });
    let settled = &["Invoice 20.00", "Payment 20.00"];
    vec![
        case("the rate that settings give", unpaid, &["Invoice 20.00 open 20.00"])
            .after(stored(json!({"date_paid_gmt": null, "date_paid": null})))
            .then(is_paid(), settled)
            .then(home, settled),
        case(
            "a currency without one",
            bought(edda.clone(), "GBP", rings("20.00")),
            &["needs_attention: no_exchange_rate"],
        ),
        case(
            "the company's own needs none",
            bought(edda, "USD", rings("20.00")),
            &["SalesReceipt 20.00"],
        )
        .then(shows("SalesReceipt", "/ExchangeRate", "none"), &["SalesReceipt 20.00"]),
    ]
}

/// Automated sales tax is switched off in the company.
fn no_sales_tax() -> Vec<Case> {
    let off: Act = Box::new(|desk, _| {
        for name in ["/TaxPrefs/UsingSalesTax", "/TaxPrefs/PartnerTaxEnabled"] {
            let with = json!({"name": name, "value": false});
            desk.books.act(desk.bed, "preference", &with)?;
        }
        Ok(())
    });
    let york = bought(person("Nora", "nora@lee.test", "NY", "US"), "USD", rings("20.00"));
    let kept: Act = Box::new(|desk, order| {
        let receipt = desk.document(order, "SalesReceipt")?;
        let lines = receipt["Line"].as_array().context("lines")?;
        let tax: Decimal = lines
            .iter()
            .filter(|l| {
                l["SalesItemLineDetail"]["ItemRef"]["name"] == "Sales tax collected for the US"
            })
            .filter_map(|l| money(&l["Amount"]).parse::<Decimal>().ok())
            .sum();
        ensure!(tax == Decimal::new(211, 2), "{lines:?}");
        Ok(())
    });
    vec![
        case("tax goes on its item", york, &["SalesReceipt 22.11"])
            .after(both(off, restarts()))
            .then(kept, &["SalesReceipt 22.11"]),
    ]
}
