//! Which orders are posted, and as what.

use super::companies::{demo, demo_with, multicurrency, uk, us};
use super::shop::{sale, sales};
use crate::posting::company::Company;
use crate::posting::decide::{Decision, decide};
use crate::posting::input::Order;
use crate::posting::posted::{DocumentKind, Posted};
use crate::posting::settings::Settings;
use serde_json::json;

fn decided(order: &Order, settings: &Settings, company: &Company) -> Decision {
    decide(order, &Posted::default(), settings, company, &settings.zone().unwrap())
}

fn code(decision: &Decision) -> String {
    match decision {
        Decision::Skip(reason) => format!("skip {}", reason.code),
        Decision::Blocked(reason) => format!("blocked {}", reason.code),
        Decision::Attention(reason) => format!("attention {}", reason.code),
        Decision::Post(kind) => kind.to_string(),
    }
}

/// A paid order of the shop with another status, with or without its date of payment.
fn with_status(status: &str, paid: bool) -> Order {
    let mut order = sale("262").order;
    order.status = status.into();
    if !paid {
        order.paid_at = None;
    }
    if status == "refunded" {
        order.refunded_total = order.total;
    }
    order
}

#[test]
fn each_row_of_the_table_decides_as_it_says() {
    let (company, settings) = (us(), demo(&us()));
    let table = [
        ("checkout-draft", "skip draft", "skip draft"),
        ("auto-draft", "skip draft", "skip draft"),
        ("failed", "attention paid_but_not_sold", "skip failed"),
        ("pending", "attention paid_but_not_sold", "skip pending"),
        ("on-hold", "attention paid_but_not_sold", "skip on_hold"),
        ("processing", "SalesReceipt", "Invoice"),
        ("completed", "SalesReceipt", "Invoice"),
        ("refunded", "SalesReceipt", "skip refunded_unpaid"),
        ("cancelled", "attention paid_but_not_sold", "skip cancelled"),
        ("trash", "attention paid_but_not_sold", "skip cancelled"),
        ("shipped", "attention unknown_status", "attention unknown_status"),
    ];
    for (status, paid, unpaid) in table {
        assert_eq!(code(&decided(&with_status(status, true), &settings, &company)), paid);
        assert_eq!(code(&decided(&with_status(status, false), &settings, &company)), unpaid);
    }
}

#[test]
fn an_order_deleted_in_the_shop_is_as_cancelled() {
    let (company, settings) = (us(), demo(&us()));
    let mut order = with_status("completed", false);
    order.deleted_at = Some(order.created_at);
    assert_eq!(code(&decided(&order, &settings, &company)), "skip cancelled");
}

#[test]
fn unpaid_orders_become_invoices_where_settings_say_so() {
    let company = us();
    let settings = demo_with(
        &company,
        json!({"post": {"pending_unpaid": "invoice", "on_hold_unpaid": {"bacs": "invoice"}}}),
    );
    assert_eq!(code(&decided(&with_status("pending", false), &settings, &company)), "Invoice");
    let mut order = with_status("on-hold", false);
    order.payment_method = Some("bacs".into());
    assert_eq!(code(&decided(&order, &settings, &company)), "Invoice");
    order.payment_method = Some("cod".into());
    assert_eq!(code(&decided(&order, &settings, &company)), "skip on_hold");
}

#[test]
fn a_status_of_a_plugin_is_taken_as_the_standard_one_it_maps_to() {
    let company = us();
    let settings = demo_with(&company, json!({"post": {"statuses": {"shipped": "completed"}}}));
    for status in ["shipped", "wc-shipped"] {
        assert_eq!(code(&decided(&with_status(status, true), &settings, &company)), "SalesReceipt");
    }
}

#[test]
fn an_order_of_nothing_is_a_sales_receipt_and_one_without_lines_is_skipped() {
    let (company, settings) = (us(), demo(&us()));
    let mut order = with_status("completed", false);
    order.total = "0".parse().unwrap();
    assert_eq!(code(&decided(&order, &settings, &company)), "SalesReceipt");
    order.lines.clear();
    order.shipping_lines.clear();
    order.fee_lines.clear();
    assert_eq!(code(&decided(&order, &settings, &company)), "skip empty");
}

#[test]
fn sales_document_invoice_makes_every_sale_an_invoice() {
    let company = us();
    let settings = demo_with(&company, json!({"sales_document": "invoice"}));
    assert_eq!(code(&decided(&with_status("completed", true), &settings, &company)), "Invoice");
}

#[test]
fn status_comes_before_start_date_and_start_date_before_the_currency() {
    let company = us();
    let settings = demo_with(&company, json!({"start_date": "2030-01-01"}));
    let mut order = with_status("completed", true);
    order.currency = "EUR".into();
    assert_eq!(code(&decided(&order, &settings, &company)), "skip before_start_date");
    order.status = "failed".into();
    assert_eq!(code(&decided(&order, &settings, &company)), "attention paid_but_not_sold");
    order.paid_at = None;
    assert_eq!(code(&decided(&order, &demo(&company), &company)), "skip failed");
    let mut order = with_status("completed", true);
    order.currency = "EUR".into();
    assert_eq!(code(&decided(&order, &demo(&company), &company)), "blocked currency");
    assert_eq!(
        code(&decided(&order, &demo(&company), &multicurrency(us()))),
        "SalesReceipt",
        "multicurrency lets it through"
    );
}

#[test]
fn closed_books_hold_an_order_back_or_move_it_to_the_first_open_day() {
    let order = with_status("completed", true);
    let mut company = us();
    company.book_close_date = Some("2026-12-31".parse().unwrap());
    assert_eq!(code(&decided(&order, &demo(&company), &company)), "blocked closed_period");
    let settings = demo_with(&company, json!({"closed_period": "first_open_day"}));
    assert_eq!(code(&decided(&order, &settings, &company)), "SalesReceipt");
}

#[test]
fn a_refunded_order_whose_refunds_do_not_cover_it_needs_attention() {
    let (company, settings) = (us(), demo(&us()));
    let mut order = with_status("refunded", true);
    order.refunded_total -= rust_decimal::Decimal::ONE;
    let decision = decided(&order, &settings, &company);
    assert_eq!(code(&decision), "attention refunds_differ");
    let Decision::Attention(reason) = decision else { unreachable!() };
    assert!(reason.message.contains("USD 1134.04 of USD 1135.04"), "{}", reason.message);
}

#[test]
fn the_three_orders_that_need_attention_are_those_of_the_recorded_shop() {
    let (company, settings) = (multicurrency(us()), demo(&us()));
    let mut numbers: Vec<String> = sales()
        .iter()
        .filter(|s| matches!(decided(&s.order, &settings, &company), Decision::Attention(_)))
        .map(|s| s.order.number.clone())
        .collect();
    numbers.sort();
    assert_eq!(numbers, ["154", "454", "469"]);
}

#[test]
fn nine_orders_are_blocked_in_a_us_company_with_one_currency() {
    let (company, settings) = (us(), demo(&us()));
    let blocked = |s: &&super::shop::Sale| {
        code(&decided(&s.order, &settings, &company)) == "blocked currency"
    };
    assert_eq!(sales().iter().filter(blocked).count(), 9);
}

#[test]
fn a_uk_company_with_one_currency_posts_two_orders() {
    let (company, settings) = (uk(), demo(&uk()));
    let kinds: Vec<String> = sales()
        .iter()
        .map(|s| code(&decided(&s.order, &settings, &company)))
        .filter(|code| ["SalesReceipt", "Invoice"].contains(&code.as_str()))
        .collect();
    assert_eq!(kinds.len(), 2, "{kinds:?}");
    assert!(kinds.contains(&DocumentKind::Invoice.to_string()));
}
