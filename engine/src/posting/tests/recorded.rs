//! The table at the end of the posting policy, from the recorded shop.

use super::books::Books;
use super::companies::{demo, eur, multicurrency, uk, us};
use super::shop::{Sale, sale, sales};
use crate::posting::amounts::{self, Amounts};
use crate::posting::company::Company;
use crate::posting::decide::{Decision, decide};
use crate::posting::lines::ItemKey;
use crate::posting::plan::Operation;
use crate::posting::posted::{DocumentKind, Posted};
use crate::posting::settings::Settings;
use crate::posting::summary::{Row, Summary, Tally};
use crate::posting::tax::DocumentTax;
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};

fn d(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn tally(count: u64, sum: &str) -> Tally {
    Tally { count, sum: d(sum) }
}

/// One posted order: the sale's amounts, and those of each refund.
struct Posting {
    sale: Sale,
    kind: DocumentKind,
    amounts: Amounts,
    refunds: Vec<Amounts>,
}

/// Plans the whole shop and writes it into pretended books, which check every body.
fn post(company: &Company, settings: &Settings) -> (Summary, Vec<Posting>) {
    let mut summary = Summary::default();
    let mut postings = vec![];
    let mut books = Books::new(company, settings);
    for sale in sales() {
        let plan = books.push(&sale);
        assert_eq!(plan.failures, [], "order {}", sale.order.number);
        summary.plan(&sale.order.currency, sale.order.total, &plan);
        let Decision::Post(kind) = plan.decision else { continue };
        let mut amounts = vec![];
        for step in &plan.steps {
            let Operation::Create { document, .. } = &step.operation else { panic!("{step:?}") };
            if let Some(of) = &document.amounts {
                assert_eq!(of.sum(), document.total, "{document:?}");
                amounts.push(of.clone());
            }
        }
        let refunds = amounts.split_off(1);
        let amounts = amounts.remove(0);
        assert_eq!(amounts.total, sale.order.total);
        postings.push(Posting { sale, kind, amounts, refunds });
    }
    assert!(summary.is_balanced());
    assert_eq!(books.sales_documents(), summary.documents());
    for (currency, row) in &summary.currencies {
        assert_eq!(books.net(currency), row.net(), "the books themselves say so: {currency}");
    }
    (summary, postings)
}

fn row(summary: &Summary, currency: &str) -> Row {
    summary.currencies[currency].clone()
}

fn assert_usd(row: &Row) {
    assert_eq!(row.orders, tally(275, "231093.77"));
    assert_eq!(row.posted(), tally(192, "154169.69"));
    assert_eq!(row.posted[&DocumentKind::SalesReceipt], tally(180, "152001.24"));
    assert_eq!(row.posted[&DocumentKind::Invoice], tally(12, "2168.45"));
    assert_eq!(row.refunds[&DocumentKind::RefundReceipt], tally(38, "9444.64"));
    assert_eq!(row.refunds[&DocumentKind::CreditMemo], tally(2, "2.00"));
    assert_eq!(row.net(), d("144723.05"));
    let skipped: Vec<(&str, Tally)> = row.skipped.iter().map(|(k, v)| (*k, *v)).collect();
    assert_eq!(
        skipped,
        [
            ("cancelled", tally(9, "7012.76")),
            ("empty", tally(1, "0")),
            ("failed", tally(14, "6283.84")),
            ("on_hold", tally(14, "12011.34")),
            ("pending", tally(41, "51491.69")),
            ("refunded_unpaid", tally(1, "25.00")),
        ]
    );
    assert_eq!(row.attention(), tally(3, "99.45"));
}

#[test]
fn a_us_company_without_multicurrency_gets_the_usd_row_alone() {
    let company = us();
    let (summary, books) = post(&company, &demo(&company));
    assert_usd(&row(&summary, "USD"));
    assert_eq!(summary.documents(), 232);
    let blocked: u64 = summary.currencies.values().map(|row| row.blocked().count).sum();
    assert_eq!(blocked, 9);
    assert_eq!(customers(&books), 80);
}

#[test]
fn companies_with_multicurrency_get_all_rows() {
    for company in [us(), uk(), eur()].map(multicurrency) {
        let (summary, books) = post(&company, &demo(&company));
        assert_usd(&row(&summary, "USD"));
        let rows: Vec<(&str, Tally, Tally, Tally, Decimal)> = summary
            .currencies
            .iter()
            .map(|(c, row)| (c.as_str(), row.orders, row.posted(), row.refunds(), row.net()))
            .filter(|row| row.0 != "USD")
            .collect();
        let none = Tally::default();
        assert_eq!(
            rows,
            [
                ("EUR", tally(4, "3120.35"), tally(2, "81.73"), none, d("81.73")),
                (
                    "GBP",
                    tally(5, "24284.74"),
                    tally(2, "14786.43"),
                    tally(1, "14719.95"),
                    d("66.48")
                ),
                ("JPY", tally(3, "136.61"), tally(3, "136.61"), none, d("136.61")),
                ("KWD", tally(2, "625.65"), tally(2, "625.65"), none, d("625.65")),
            ]
        );
        assert_eq!(row(&summary, "GBP").posted[&DocumentKind::Invoice], tally(1, "66.48"));
        assert_eq!(summary.documents(), 242, "{}", company.name);
        assert_eq!(customers(&books), 88);
    }
}

#[test]
fn a_uk_company_without_multicurrency_gets_three_documents() {
    let company = uk();
    let (summary, _) = post(&company, &demo(&company));
    assert_eq!(summary.documents(), 3);
}

/// One customer per person and currency; orders of nobody are the web customer's.
fn customers(books: &[Posting]) -> usize {
    let of = |b: &Posting| (b.sale.order.customer_id, b.sale.order.currency.clone());
    books.iter().map(of).collect::<BTreeSet<_>>().len()
}

#[test]
fn tax_collected_for_others_net_of_refunds_is_that_of_the_table() {
    let company = us();
    let (_, books) = post(&company, &demo(&company));
    let mut tax: BTreeMap<String, Decimal> = BTreeMap::new();
    let mut add = |amounts: &Amounts, sign: Decimal| {
        for line in &amounts.lines {
            if let ItemKey::Named(item) = &line.item {
                *tax.entry(item.clone()).or_default() += sign * line.amount;
            }
        }
        if let DocumentTax::Total(own) = amounts.tax {
            *tax.entry("US".into()).or_default() += sign * own;
        }
    };
    for book in &books {
        add(&book.amounts, Decimal::ONE);
        book.refunds.iter().for_each(|amounts| add(amounts, -Decimal::ONE));
    }
    let tax: Vec<String> = tax.iter().map(|(to, sum)| format!("{to} {sum}")).collect();
    assert_eq!(tax, ["CA tax 2589.48", "DE tax 3684.51", "GB tax 3789.17", "US 2241.43"]);
}

#[test]
fn eighty_usd_orders_bear_tax_for_other_countries() {
    let company = us();
    let (_, books) = post(&company, &demo(&company));
    let foreign =
        |b: &&Posting| b.amounts.lines.iter().any(|l| matches!(l.item, ItemKey::Named(_)));
    assert_eq!(books.iter().filter(foreign).count(), 80);
}

#[test]
fn what_is_receivable_is_the_open_balance_of_the_invoices() {
    let company = us();
    let (_, books) = post(&company, &demo(&company));
    let open: Decimal = books
        .iter()
        .filter(|b| b.kind == DocumentKind::Invoice)
        .map(|b| b.amounts.total - b.refunds.iter().map(|a| a.total).sum::<Decimal>())
        .sum();
    assert_eq!(open, d("2166.45"));
}

#[test]
fn a_fully_refunded_order_is_refunded_code_by_code_to_nothing() {
    for company in [us(), uk(), eur()].map(multicurrency) {
        let (_, books) = post(&company, &demo(&company));
        let mut seen = 0;
        for book in books.iter().filter(|b| b.sale.order.refunded_total == b.sale.order.total) {
            if book.refunds.is_empty() || book.sale.refunds.iter().any(|r| !r.lines.is_empty()) {
                continue;
            }
            seen += 1;
            let mut left = amounts::nets(&book.amounts.lines);
            for refund in &book.refunds {
                for (code, net) in amounts::nets(&refund.lines) {
                    *left.entry(code).or_default() -= net;
                }
            }
            assert!(left.values().all(Decimal::is_zero), "{}: {left:?}", book.sale.order.number);
            let tax: Decimal = book.refunds.iter().map(|a| a.tax.total()).sum();
            assert_eq!(tax, book.amounts.tax.total());
        }
        assert!(seen >= 10, "{seen}");
    }
}

#[test]
fn no_order_of_the_shop_that_is_posted_needs_a_rounding_line_in_the_us() {
    let company = multicurrency(us());
    let (_, books) = post(&company, &demo(&company));
    assert!(books.iter().all(|b| b.amounts.rounding.is_zero()));
}

#[test]
fn orders_with_tax_rounded_at_the_subtotal_post_to_the_cent_when_paid() {
    for company in [us(), uk(), eur()].map(multicurrency) {
        let settings = demo(&company);
        for number in ["514", "515", "516", "519", "521", "522", "523", "524"] {
            let mut order = sale(number).order;
            order.status = "processing".into();
            order.paid_at = Some(order.created_at);
            let zone = settings.zone().unwrap();
            let decision = decide(&order, &Posted::default(), &settings, &company, &zone);
            assert_eq!(decision, Decision::Post(DocumentKind::SalesReceipt));
            let amounts = amounts::of_sale(&order, &settings, &company).unwrap();
            assert_eq!(amounts.sum(), order.total, "order {number}");
            assert_eq!(amounts.total, order.total);
            assert!(amounts.rounding.abs() <= amounts::rounding_cap(amounts.lines.len()));
            if company.is_us() {
                assert_eq!(amounts.rounding.abs(), d("0.01"), "order {number}");
            }
        }
    }
}
