//! What stands in the way of posting is told at once.

use super::companies::{demo, demo_json, demo_with, multicurrency, parse, uk, us};
use super::shop::sales;
use crate::posting::checks::{Finding, check_company, check_settings, check_shop};
use crate::posting::company::Company;
use crate::posting::documents::Ground;
use crate::posting::facts::ShopFacts;
use crate::posting::settings::Settings;
use serde_json::{Value, json};

fn paths(findings: &[Finding], warnings: bool) -> Vec<&str> {
    let kept = findings.iter().filter(|f| f.is_warning == warnings);
    kept.map(|f| f.problem.path.as_str()).collect()
}

fn facts(settings: &Settings, company: &Company) -> ShopFacts {
    let zone = settings.zone().unwrap();
    let ground = Ground { settings, company, zone: &zone, shop: "shop" };
    let mut facts = ShopFacts::default();
    sales().iter().for_each(|sale| facts.add(&sale.order, &sale.refunds, &ground));
    facts
}

fn shop(settings: &Settings, company: &Company) -> Vec<Finding> {
    check_shop(settings, company, &facts(settings, company))
}

#[test]
fn what_is_required_is_told_all_at_once() {
    let settings = parse(json!({"guests": "shared", "gift_cards": {"fees": ["Gift*"]}}));
    assert_eq!(
        paths(&check_settings(&settings), false),
        [
            "time_zone",
            "start_date",
            "income_account",
            "deposit_accounts.default",
            "web_customer",
            "gift_card_account"
        ]
    );
    assert_eq!(check_settings(&demo(&us())), []);
}

#[test]
fn a_company_that_has_everything_has_no_findings() {
    for company in [us(), multicurrency(us()), uk(), multicurrency(uk())] {
        assert_eq!(check_company(&demo(&company), &company), [], "{}", company.name);
    }
}

#[test]
fn everything_that_the_company_lacks_is_told_at_once() {
    let mut company = uk();
    company.items.retain(|item| item.name != "Rounding");
    company.items.iter_mut().filter(|i| i.name == "Coupons").for_each(|i| i.active = false);
    company.accounts[1].active = false;
    company.book_close_date = Some("2025-06-30".parse().unwrap());
    let mut json = demo_json(&company);
    json["tax"]["rates"]["FR"] = json!({"code": "20% TVA"});
    json["tax"]["rates"]["US"] = json!("sales_tax");
    json["deposit_accounts"]["paypal"] = json!("Gift cards outstanding");
    json["income_account"] = json!("Clearing");
    json["terms"] = json!("Net 15");
    json["payment_methods"] = json!({"cod": "Cash"});
    json["custom_fields"] = json!({"2": "number"});
    json["discounts"] = json!("discount_line");
    json["inventory"] = json!("books");
    json["web_customer"] = json!("Shop");
    let findings = check_company(&parse(json), &company);
    let mut found = paths(&findings, false);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            "coupon_item",
            "custom_fields.2",
            "deposit_accounts.default",
            "deposit_accounts.paypal",
            "discounts",
            "income_account",
            "inventory",
            "payment_methods.cod",
            "rounding_item",
            "tax.rates.FR",
            "tax.rates.US",
            "terms",
            "web_customer",
        ]
    );
}

#[test]
fn a_gift_card_item_has_to_be_on_the_liability_account() {
    let company = us();
    let settings = |item: &str| {
        demo_with(
            &company,
            json!({"gift_cards": {"fees": ["Gift*"]}, "gift_card_item": item,
                   "gift_card_account": "Gift cards outstanding"}),
        )
    };
    assert_eq!(check_company(&settings("Gift cards"), &company), []);
    assert_eq!(paths(&check_company(&settings("Fees"), &company), false), ["gift_card_item"]);
}

#[test]
fn credits_applied_by_themselves_are_warned_of_and_refused_with_shared_guests() {
    let mut company = us();
    company.auto_apply_credit = true;
    assert_eq!(paths(&check_company(&demo(&company), &company), true), ["guests"]);
    let shared = demo_with(&company, json!({"guests": "shared"}));
    assert_eq!(paths(&check_company(&shared, &company), false), ["guests"]);
}

#[test]
fn the_recorded_shop_fits_the_demo_settings() {
    let company = us();
    let findings = shop(&demo(&company), &company);
    assert_eq!(paths(&findings, false), [] as [&str; 0]);
    let currencies: Vec<String> = findings
        .iter()
        .filter(|f| f.problem.path == "currency")
        .map(|f| f.problem.message.clone())
        .collect();
    assert_eq!(currencies.len(), 4);
    assert!(
        currencies[0].contains("EUR is blocked") && currencies[0].contains("2 orders: EUR 81.73")
    );
}

#[test]
fn payment_methods_are_listed_with_their_sums() {
    let company = multicurrency(us());
    let found = facts(&demo(&company), &company);
    let count = |method: &str| found.methods[method].values().map(|t| t.count).sum::<u64>();
    assert_eq!(count(""), 89, "89 of 201 posted orders have no method");
    assert_eq!(found.methods.keys().map(|m| count(m)).sum::<u64>(), 201);
    let findings = shop(&demo(&company), &company);
    let warned: Vec<&str> = paths(&findings, true);
    assert_eq!(
        warned,
        [
            "deposit_accounts.default",
            "deposit_accounts.bacs",
            "deposit_accounts.cod",
            "deposit_accounts.paypal"
        ]
    );
}

#[test]
fn unmapped_rates_are_listed_together_with_counts_and_sums() {
    let company = us();
    let settings = demo_with(&company, json!({"tax": {}}));
    let findings = shop(&settings, &company);
    let rates = ["tax.rates.3", "tax.rates.4", "tax.rates.5", "tax.rates.6", "tax.rates.7"];
    assert_eq!(paths(&findings, false), rates);
    let gb = &findings.iter().find(|f| f.problem.path == "tax.rates.7").unwrap().problem.message;
    assert!(gb.contains("GB-VAT-1") && gb.contains("USD 4100.56"), "{gb}");
}

#[test]
fn a_prefix_that_is_too_long_for_the_longest_number_is_told_at_connect() {
    let company = us();
    let settings = demo_with(&company, json!({"document_prefix": "HARBOUR-GOODS-"}));
    let findings = shop(&settings, &company);
    assert_eq!(paths(&findings, false), ["document_prefix"]);
    assert!(
        findings.iter().any(|f| f.problem.message.contains("-R")),
        "the refund's is the longest"
    );
}

#[test]
fn orders_before_the_start_are_counted_and_summed() {
    let company = us();
    let settings = demo_with(&company, json!({"start_date": "2026-01-01"}));
    let found = facts(&settings, &company);
    assert!(found.before_start["USD"].count > 50);
    let findings = shop(&settings, &company);
    assert!(paths(&findings, true).contains(&"start_date"));
}

#[test]
fn a_missing_web_customer_status_or_currency_is_told_with_counts() {
    let mut company = multicurrency(us());
    company.currencies.retain(|currency| currency != "KWD");
    let mut json: Value = demo_json(&company);
    json["web_customer"] = Value::Null;
    json["exchange_rate"] = json!("fixed");
    json["exchange_rates"] = json!({"EUR": 1.08, "GBP": "1.27", "JPY": "0.0067"});
    let settings = parse(json);
    let mut found = facts(&settings, &company);
    let mut order = sales().remove(0).order;
    order.status = "shipped".into();
    let zone = settings.zone().unwrap();
    let ground = Ground { settings: &settings, company: &company, zone: &zone, shop: "shop" };
    found.add(&order, &[], &ground);
    let findings = check_shop(&settings, &company, &found);
    assert_eq!(
        paths(&findings, false),
        ["post.statuses.shipped", "currency", "exchange_rates.KWD", "web_customer"]
    );
    let nobody = &findings.iter().find(|f| f.problem.path == "web_customer").unwrap().problem;
    assert!(nobody.message.contains("6 orders: USD"), "{}", nobody.message);
}
