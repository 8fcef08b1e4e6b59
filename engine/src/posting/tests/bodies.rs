//! Typical request bodies, whole.

use super::books::Books;
use super::companies::{demo, demo_json, demo_with, eur, multicurrency, parse, uk, us};
use super::shop::{Sale, sale, sales};
use crate::posting::company::Company;
use crate::posting::input::Customer;
use crate::posting::plan::Operation;
use crate::posting::settings::Settings;
use crate::posting::{compare, customers};
use serde_json::{Value, json};

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

/// The bodies of everything that an order asks for, as a run would send them.
fn sent(sale: &Sale, company: &Company, settings: &Settings) -> String {
    let mut books = Books::new(company, settings);
    books.push(sale);
    let bodies: Vec<String> = books
        .documents
        .values()
        .map(|(kind, entity)| {
            let mut body = entity.clone();
            // What the pretended books added.
            for key in ["Id", "SyncToken", "Balance"] {
                body.as_object_mut().unwrap().shift_remove(key);
            }
            for line in body["Line"].as_array_mut().unwrap() {
                line.as_object_mut().unwrap().shift_remove("Id");
            }
            format!("{kind} {}", pretty(&body))
        })
        .collect();
    bodies.join("\n")
}

#[test]
fn a_sales_receipt_with_coupon_fee_and_compound_tax() {
    let company = us();
    let settings = demo_with(
        &company,
        json!({
            "payment_methods": {"paypal": "Stripe"},
            "custom_fields": {"1": "number", "2": "coupons"},
        }),
    );
    insta::assert_snapshot!(sent(&sale("262"), &company, &settings));
}

#[test]
fn an_invoice_with_two_credits_and_their_application() {
    let company = us();
    let settings = demo_with(&company, json!({"terms": "Net 30"}));
    insta::assert_snapshot!(sent(&sale("190"), &company, &settings));
}

#[test]
fn a_sale_abroad_with_its_refund_by_line() {
    let company = us();
    insta::assert_snapshot!(sent(&sale("160"), &company, &demo(&company)));
}

#[test]
fn a_sale_in_the_uk_with_its_code_and_a_foreign_currency() {
    let company = multicurrency(uk());
    let mut json = demo_json(&company);
    json["tax"]["rates"]["GB"] = json!({"code": "20.0% S"});
    json["exchange_rate"] = json!("fixed");
    json["exchange_rates"] = json!({"USD": "0.79", "EUR": "0.85", "JPY": "0.0053", "KWD": "2.55"});
    insta::assert_snapshot!(sent(&sale("160"), &company, &parse(json)));
}

#[test]
fn a_sale_in_euro_is_written_in_euro() {
    let company = multicurrency(eur());
    let euro = sales().into_iter().find(|s| s.order.currency == "EUR" && s.order.paid_at.is_some());
    insta::assert_snapshot!(sent(&euro.unwrap(), &company, &demo(&company)));
}

#[test]
fn an_update_sends_all_lines_with_their_ids_and_leaves_the_head_alone() {
    let (company, settings) = (us(), demo(&us()));
    let mut books = Books::new(&company, &settings);
    let mut sale = sale("187");
    books.push(&sale);
    sale.order.customer_note = Some("Ring twice".into());
    let plan = books.plan(&sale);
    let Operation::Update { document, remote, changes } = &plan.steps[0].operation else {
        panic!("{plan:?}")
    };
    assert_eq!(changes[0].path, "CustomerMemo");
    let body = compare::update_body(&books.body(187, document), document, remote);
    insta::assert_snapshot!(pretty(&body));
}

#[test]
fn a_new_customer() {
    let customer: Customer = serde_json::from_value(json!({
        "id": 88, "source_id": "88", "email": "maya@example.test", "display_name": "Maya Okafor",
        "given_name": "Maya", "family_name": "Okafor", "phone": "+1 503 555 0100", "is_guest": false,
        "billing_address": {"name": "Maya Okafor", "line1": "12 Harbor Way", "city": "Portland",
            "region": "OR", "postal_code": "97205", "country": "US"},
    }))
    .unwrap();
    let body = customers::body(&customer, "Maya Okafor (WC 88)", "USD", &us());
    insta::assert_snapshot!(pretty(&body));
    let update = customers::update_body(&customer, "158", "3", &us());
    assert!(update["DisplayName"].is_null() && update["sparse"] == json!(true));
}
