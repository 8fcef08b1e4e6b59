//! Lines, coupons, tax codes, gift cards, rounding.

use super::books::Books;
use super::companies::{demo, demo_json, demo_with, eur, multicurrency, parse, uk, us};
use super::shop::{Sale, sale, sales};
use crate::posting::amounts::{Amounts, of_sale, rounding_cap};
use crate::posting::company::Company;
use crate::posting::input::Order;
use crate::posting::lines::{ItemKey, Line, Role, unit_price};
use crate::posting::money;
use crate::posting::reason::Reason;
use crate::posting::settings::Settings;
use crate::posting::tax::{Code, DocumentTax};
use rust_decimal::Decimal;
use serde_json::{Value, json};

fn d(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn amounts(order: &Order, changes: Value) -> Amounts {
    let company = us();
    of_sale(order, &demo_with(&company, changes), &company).unwrap_or_else(|r| panic!("{r}"))
}

fn refused(order: &Order, settings: &Settings, company: &Company) -> Reason {
    of_sale(order, settings, company).unwrap_err()
}

fn on(amounts: &Amounts, role: Role) -> Vec<&Line> {
    amounts.lines.iter().filter(|line| line.item == ItemKey::Role(role)).collect()
}

#[test]
fn a_unit_price_has_the_fewest_decimals_that_give_the_amount() {
    let table = [
        ("10.00", "4", Some("2.50")),
        ("10.00", "3", Some("3.333")),
        ("32.00", "4", Some("8.00")),
        ("0.01", "3", Some("0.003")),
        ("9.99", "7", Some("1.427")),
        ("0.00", "5", Some("0.00")),
        ("5.00", "0", None),
        ("1.00", "9000000", None),
        ("33.33", "0.5", Some("66.66")),
        ("-4.50", "3", Some("-1.50")),
    ];
    for (amount, quantity, price) in table {
        assert_eq!(unit_price(d(amount), d(quantity)), price.map(d), "{amount} / {quantity}");
    }
}

#[test]
fn a_line_without_a_fitting_price_has_neither_quantity_nor_price() {
    let mut order = sale("262").order;
    order.lines[0].quantity = d("9000000");
    let line = amounts(&order, json!({})).lines.remove(0);
    assert_eq!((line.quantity, line.unit_price, line.amount), (None, None, d("32.00")));
}

#[test]
fn more_than_two_decimals_are_rounded_half_up_by_line_and_the_header_rules() {
    let mut order = sale("262").order;
    order.lines[0].subtotal = d("32.0050");
    order.lines[0].total = d("28.8049");
    let amounts = amounts(&order, json!({}));
    assert_eq!(amounts.lines[0].amount, d("32.01"));
    assert_eq!(amounts.sum(), order.total);
}

#[test]
fn coupons_are_one_negative_line_per_tax_code_over_gross_lines() {
    let order = sale("262").order;
    let amounts = amounts(&order, json!({}));
    assert_eq!(amounts.lines[0].amount, d("32.00"), "gross");
    let coupons = on(&amounts, Role::Coupon);
    let told: Vec<(&Code, Decimal)> = coupons.iter().map(|l| (&l.code, l.amount)).collect();
    assert_eq!(told, [(&Code::Taxable, d("-109.48")), (&Code::Exempt, d("-4.00"))]);
    assert_eq!(told.iter().map(|c| c.1).sum::<Decimal>(), -order.discount_total);
    assert_eq!(coupons[0].description, "Discount: ten%off");
}

#[test]
fn net_discounts_are_taken_off_the_lines() {
    let order = sale("262").order;
    let amounts = amounts(&order, json!({"discounts": "net"}));
    assert_eq!(amounts.lines[0].amount, d("28.80"));
    assert!(on(&amounts, Role::Coupon).is_empty());
    assert_eq!(amounts.sum(), order.total);
}

#[test]
fn a_discount_line_needs_the_preference_and_one_code() {
    let mut company = us();
    let settings = demo_with(&company, json!({"discounts": "discount_line"}));
    let mut order = sale("262").order;
    let of = |order: &Order, company: &Company| of_sale(order, &settings, company).unwrap();
    assert_eq!(of(&order, &company).discount, None, "the preference is off");
    company.allow_discount = true;
    assert_eq!(of(&order, &company).discount, None, "two codes");
    order.lines.remove(1);
    order.fee_lines.clear();
    order.shipping_lines.clear();
    order.discount_total = d("109.48");
    let lines: Decimal = order.lines.iter().map(|line| line.total).sum();
    order.total = lines + order.total_tax;
    let amounts = of(&order, &company);
    assert_eq!(amounts.discount, Some(d("109.48")));
    assert_eq!(amounts.sum(), order.total);
    let mut books = Books::new(&company, &settings);
    books.push(&Sale { order, refunds: vec![] });
}

#[test]
fn shipping_and_fees_are_lines_of_their_own_and_their_taxes_decide_their_code() {
    let order = sale("262").order;
    let amounts = amounts(&order, json!({}));
    let shipping = on(&amounts, Role::Shipping);
    assert_eq!((shipping[0].amount, &shipping[0].code), (d("12.35"), &Code::Taxable));
    let fee = on(&amounts, Role::Fee);
    // Its tax_status says "none", and yet it bears tax.
    assert_eq!((fee[0].amount, &fee[0].code), (d("-3.00"), &Code::Taxable));
}

#[test]
fn own_tax_is_exactly_the_shop_s_and_lines_without_it_are_exempt() {
    let order = sale("262").order;
    let amounts = amounts(&order, json!({}));
    assert_eq!(amounts.tax, DocumentTax::Total(d("104.35")));
    assert_eq!(amounts.lines[1].code, Code::Exempt, "a reduced-rate line bore none");
}

#[test]
fn tax_for_another_country_is_a_line_on_its_liability_item() {
    let company = us();
    let amounts = of_sale(&sale("160").order, &demo(&company), &company).unwrap();
    let tax: Vec<&Line> =
        amounts.lines.iter().filter(|l| matches!(l.item, ItemKey::Named(_))).collect();
    assert_eq!(tax.len(), 1);
    assert_eq!(tax[0].item, ItemKey::Named("GB tax".into()));
    assert_eq!((tax[0].amount, &tax[0].code), (sale("160").order.total_tax, &Code::Exempt));
    assert_eq!(amounts.tax, DocumentTax::Total(Decimal::ZERO));
}

#[test]
fn a_rate_is_found_by_its_id_then_code_then_country_then_anywhere() {
    let company = us();
    let item = |rates: Value| {
        let mut json = demo_json(&company);
        json["tax"]["rates"] = rates;
        let amounts = of_sale(&sale("160").order, &parse(json), &company).unwrap();
        amounts.lines.iter().find_map(|line| match &line.item {
            ItemKey::Named(item) => Some(item.clone()),
            _ => None,
        })
    };
    let all = json!({"7": {"item": "a"}, "GB-VAT-1": {"item": "b"}, "GB": {"item": "c"}, "*": {"item": "d"}});
    assert_eq!(item(all).as_deref(), Some("a"));
    let all = json!({"GB-VAT-1": {"item": "b"}, "GB": {"item": "c"}, "*": {"item": "d"}});
    assert_eq!(item(all).as_deref(), Some("b"));
    assert_eq!(item(json!({"GB": {"item": "c"}, "*": {"item": "d"}})).as_deref(), Some("c"));
    assert_eq!(item(json!({"*": {"item": "d"}})).as_deref(), Some("d"));
    assert_eq!(item(json!({"GB": "sales_tax"})), None);
}

#[test]
fn tax_that_nothing_maps_is_refused_with_all_its_rates_and_sums() {
    let company = us();
    let settings = demo_with(&company, json!({"tax": {}}));
    let ca = sales().into_iter().find(|s| s.order.tax_lines.iter().any(|t| t.rate_id == "3"));
    let reason = refused(&ca.unwrap().order, &settings, &company);
    assert_eq!(reason.code, "unmapped_tax");
    let both =
        reason.message.contains("CA-QC-GST/TPS-1") && reason.message.contains("CA-QC-QST/TVQ-2");
    assert!(both, "{}", reason.message);
    assert!(of_sale(&sale("262").order, &settings, &company).is_ok(), "own tax needs no mapping");
}

#[test]
fn without_automated_tax_a_us_company_gets_tax_on_an_item() {
    let mut company = us();
    company.automated_sales_tax = None;
    let order = sale("262").order;
    assert_eq!(refused(&order, &demo(&company), &company).code, "no_sales_tax_item");
    let mut json = demo_json(&company);
    json["tax"]["sales_tax_item"] = json!("US tax");
    let settings = parse(json);
    let amounts = of_sale(&order, &settings, &company).unwrap();
    assert_eq!(amounts.tax, DocumentTax::None);
    let item = ItemKey::Named("US tax".into());
    assert!(amounts.lines.iter().any(|l| l.item == item && l.amount == d("104.35")));
    assert!(amounts.lines.iter().all(|l| l.code == Code::Exempt));
    Books::new(&company, &settings).push(&sale("262"));
}

/// The shop posted into a company whose own rates are mapped to its codes.
fn with_codes(company: &Company, rates: Value) -> (usize, Decimal) {
    let mut json = demo_json(company);
    for (rate, target) in rates.as_object().unwrap() {
        json["tax"]["rates"][rate] = target.clone();
    }
    let settings = parse(json);
    let mut books = Books::new(company, &settings);
    let (mut coded, mut rounding) = (0, Decimal::ZERO);
    for sale in sales() {
        let plan = books.push(&sale);
        assert_eq!(plan.failures, [], "order {}", sale.order.number);
        if let Ok(amounts) = of_sale(&sale.order, &settings, company) {
            coded += usize::from(!amounts.tax.total().is_zero());
            rounding = rounding.max(amounts.rounding.abs());
        }
    }
    assert_eq!(books.net("USD"), d("144723.05"));
    (coded, rounding)
}

#[test]
fn elsewhere_lines_bear_the_mapped_code_and_the_sums_hold_to_the_cent() {
    let (coded, rounding) = with_codes(&multicurrency(uk()), json!({"GB": {"code": "20.0% S"}}));
    assert!(coded > 20, "{coded} orders bear the code");
    assert!(rounding <= d("0.05"), "{rounding}");
    let rates = json!({"5": {"code": "19% USt"}, "6": {"code": "7% USt"}});
    let (coded, rounding) = with_codes(&multicurrency(eur()), rates);
    assert!(coded > 20, "{coded} orders bear the codes");
    assert!(rounding <= d("0.05"), "{rounding}");
}

#[test]
fn outside_the_us_a_code_for_lines_without_tax_is_required() {
    let company = multicurrency(uk());
    let mut json = demo_json(&company);
    json["tax"]["zero_code"] = Value::Null;
    assert_eq!(refused(&sale("262").order, &parse(json), &company).code, "no_zero_code");
}

#[test]
fn two_codes_on_one_line_are_refused() {
    let company = multicurrency(eur());
    let mut json = demo_json(&company);
    json["tax"]["rates"] = json!({"1": {"code": "4"}, "2": {"code": "5"}});
    assert_eq!(refused(&sale("262").order, &parse(json), &company).code, "several_tax_codes");
}

#[test]
fn the_rounding_line_takes_five_cents_or_half_a_cent_a_line_and_no_more() {
    assert_eq!(rounding_cap(3), d("0.05"));
    assert_eq!(rounding_cap(60), d("0.30"));
    let company = us();
    let settings = demo(&company);
    let mut order = sale("262").order;
    let total = order.total;
    order.total = total + d("0.05");
    let amounts = of_sale(&order, &settings, &company).unwrap();
    assert_eq!((amounts.rounding, amounts.sum()), (d("0.05"), order.total));
    let rounding = on(&amounts, Role::Rounding);
    assert_eq!((rounding[0].amount, &rounding[0].code), (d("0.05"), &Code::Exempt));
    order.total = total - d("0.06");
    let reason = refused(&order, &settings, &company);
    assert_eq!(reason.code, "total_differs");
    assert!(reason.message.contains("-0.06"), "{}", reason.message);
}

#[test]
fn sixty_lines_post_to_the_cent() {
    let sale = sales().into_iter().find(|s| s.order.lines.len() == 60).unwrap();
    let company = us();
    let amounts = of_sale(&sale.order, &demo(&company), &company).unwrap();
    assert!(amounts.lines.len() >= 60);
    assert_eq!(amounts.sum(), sale.order.total);
}

#[test]
fn a_line_whose_product_was_deleted_goes_on_the_unmatched_item() {
    let mut order = sale("262").order;
    order.lines[0].product_id = None;
    let amounts = amounts(&order, json!({}));
    assert_eq!(amounts.lines[0].item, ItemKey::Role(Role::Unmatched));
    assert_eq!(amounts.lines[0].description, "Plain Tee");
}

#[test]
fn an_order_of_nothing_keeps_its_lines_and_its_discount() {
    let zero = |s: &Sale| s.order.total.is_zero() && !s.order.discount_total.is_zero();
    let sale = sales().into_iter().find(zero).unwrap();
    let amounts = amounts(&sale.order, json!({}));
    assert_eq!((amounts.total, amounts.sum()), (Decimal::ZERO, Decimal::ZERO));
    assert!(amounts.lines.iter().any(|line| line.quantity.is_some()));
    assert!(!on(&amounts, Role::Coupon).is_empty());
}

fn gift_settings() -> Value {
    json!({
        "gift_cards": {"products": ["SKU-0038"], "coupons": ["ten*"], "fees": ["handling*"]},
        "gift_card_account": "Gift cards outstanding",
    })
}

#[test]
fn gift_cards_are_a_liability_sold_or_redeemed() {
    let order = sale("262").order;
    let amounts = amounts(&order, gift_settings());
    assert_eq!(amounts.lines[1].item, ItemKey::Role(Role::GiftCard), "sold, by SKU");
    let redeemed: Vec<&Line> =
        on(&amounts, Role::GiftCard).into_iter().filter(|l| l.key.starts_with("gift")).collect();
    let sum: Decimal = redeemed.iter().map(|line| line.amount).sum();
    assert_eq!(sum, d("-113.48"), "the coupon is a gift card");
    assert!(on(&amounts, Role::Coupon).is_empty(), "and no discount");
    assert!(on(&amounts, Role::Fee).is_empty(), "the fee is one, too");
    assert_eq!(amounts.sum(), order.total);
}

#[test]
fn a_header_whose_tax_is_far_from_its_rates_is_refused() {
    let company = us();
    let mut order = sale("262").order;
    order.total_tax += d("3.00");
    order.total += d("3.00");
    assert_eq!(refused(&order, &demo(&company), &company).code, "tax_differs");
}

#[test]
fn amounts_come_and_go_without_a_float() {
    let text = r#"{"a": 0.1, "b": "12.30", "c": 1e2, "d": 123456789012.345678}"#;
    let value: Value = serde_json::from_str(text).unwrap();
    let read = |key: &str| money::from_json(&value[key]).unwrap();
    assert_eq!((read("a"), read("b"), read("c")), (d("0.1"), d("12.30"), d("100")));
    assert_eq!(read("d"), d("123456789012.345678"));
    assert_eq!(money::to_json(d("12.3")).to_string(), "12.30");
    assert_eq!(money::exact_json(d("3.3330")).to_string(), "3.333");
}

#[test]
fn shares_add_up_to_the_whole() {
    let weights = [d("1"), d("1"), d("1")];
    assert_eq!(money::prorate(d("10.00"), &weights), [d("3.34"), d("3.33"), d("3.33")]);
    assert_eq!(money::prorate(d("-0.01"), &weights).iter().sum::<Decimal>(), d("-0.01"));
    assert_eq!(money::prorate(d("5.00"), &[Decimal::ZERO, Decimal::ZERO])[0], d("5.00"));
}
