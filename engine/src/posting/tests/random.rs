//! Orders made at random: whatever they are, their documents add up or are refused.

use super::books::Books;
use super::companies::{demo_json, eur, multicurrency, parse, uk, us};
use super::shop::Sale;
use crate::posting::amounts::{of_sale, rounding_cap};
use crate::posting::company::Company;
use crate::posting::decide::Decision;
use crate::posting::lines::unit_price;
use crate::posting::money::{self, cents};
use crate::posting::settings::Settings;
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::{Value, json};

fn company(which: u8) -> (Company, Settings) {
    let company = match which % 4 {
        0 => us(),
        1 => multicurrency(uk()),
        2 => multicurrency(eur()),
        _ => Company { automated_sales_tax: None, allow_discount: true, ..us() },
    };
    let mut json = demo_json(&company);
    match company.country.as_str() {
        "GB" => json["tax"]["rates"]["GB"] = json!({"code": "20.0% S"}),
        "DE" => json["tax"]["rates"]["DE"] = json!({"code": "19% USt"}),
        _ => json["tax"]["sales_tax_item"] = json!("US tax"),
    }
    json["discounts"] = json!(["item_lines", "net", "discount_line"][usize::from(which) % 3]);
    let settings = parse(json);
    (company, settings)
}

/// Price in cents, quantity, discount in percent, whether taxed.
type Goods = (i64, i64, i64, bool);

#[derive(Debug, Clone)]
struct Made {
    goods: Vec<Goods>,
    shipping: i64,
    fee: i64,
    country: u8,
    /// Added to the header's total, in cents.
    off: i64,
    refunds: Vec<u64>,
    paid: bool,
}

fn made() -> impl Strategy<Value = Made> {
    let goods = prop::collection::vec((1i64..50_000, 1i64..40, 0i64..=100, any::<bool>()), 1..12);
    let refunds = prop::collection::vec(1u64..1000, 0..5);
    (goods, 0i64..3000, -300i64..1000, 0u8..4, -12i64..=12, refunds, any::<bool>()).prop_map(
        |(goods, shipping, fee, country, off, refunds, paid)| Made {
            goods,
            shipping,
            fee,
            country,
            off,
            refunds,
            paid,
        },
    )
}

/// As a shop makes it: each line's tax rounded by itself.
fn sale(made: &Made) -> Sale {
    let (code, percent) =
        [("US-NY-TAX-1", 8875), ("GB-VAT-1", 20_000), ("DE-MWST-1", 19_000), ("CA-GST-1", 5_000)]
            [usize::from(made.country)];
    let taxed = |net: Decimal, is: bool| {
        let tax = cents(net * Decimal::new(percent, 3) / Decimal::ONE_HUNDRED);
        if is { tax } else { Decimal::ZERO }
    };
    let taxes = |net: Decimal, before: Decimal, is: bool| -> Value {
        let one = json!({"id": "1", "total": taxed(net, is), "subtotal": taxed(before, is)});
        if is { json!([one]) } else { json!([]) }
    };
    let (mut net, mut tax, mut discount) = (Decimal::ZERO, Decimal::ZERO, Decimal::ZERO);
    let mut lines = vec![];
    for (i, (price, quantity, percent, is_taxed)) in made.goods.iter().enumerate() {
        let subtotal = Decimal::new(price * quantity, 2);
        let total = subtotal - cents(subtotal * Decimal::from(*percent) / Decimal::ONE_HUNDRED);
        let own = taxed(total, *is_taxed);
        net += total;
        tax += own;
        discount += subtotal - total;
        lines.push(json!({
            "id": i, "line_number": i, "product_id": i, "name": "Thing", "quantity": quantity,
            "subtotal": subtotal, "total": total, "total_tax": own,
            "taxes": taxes(total, subtotal, *is_taxed),
        }));
    }
    let extra = |amount: i64| {
        let amount = Decimal::new(amount, 2);
        json!([{"id": "9", "name": "Extra", "total": amount, "taxes": taxes(amount, amount, true)}])
    };
    for amount in [made.shipping, made.fee] {
        net += Decimal::new(amount, 2);
        tax += taxed(Decimal::new(amount, 2), true);
    }
    let total = (net + tax + Decimal::new(made.off, 2)).max(Decimal::ZERO);
    let order = json!({
        "id": 1, "source_id": "1", "number": "1", "status": "processing", "currency": "USD",
        "customer_id": 5, "discount_total": discount, "total_tax": tax, "total": total,
        "refunded_total": "0", "created_at": "2026-03-01T12:00:00Z",
        "paid_at": made.paid.then_some("2026-03-01T13:00:00Z"),
        "shipping_lines": extra(made.shipping), "fee_lines": extra(made.fee),
        "tax_lines": [{"rate_id": "1", "code": code, "tax_total": tax}],
        "lines": lines,
    });
    Sale { refunds: refunds(&made.refunds, total), order: serde_json::from_value(order).unwrap() }
}

/// Refunds in proportion to the given weights that come to the whole order, when there are several.
fn refunds(weights: &[u64], total: Decimal) -> Vec<crate::posting::input::Refund> {
    let weights: Vec<Decimal> = weights.iter().map(|w| Decimal::from(*w)).collect();
    let amount = if weights.len() > 1 { total } else { cents(total / Decimal::from(3)) };
    let shares = money::prorate(amount, &weights);
    let one = |(i, amount): (usize, Decimal)| {
        serde_json::from_value(json!({
            "id": i, "source_id": i.to_string(), "order_id": 1, "amount": amount,
            "created_at": format!("2026-03-0{}T12:00:00Z", i + 2),
        }))
        .unwrap()
    };
    shares.into_iter().enumerate().map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// The pretended books compute totals themselves, and refuse what QuickBooks refuses.
    #[test]
    fn an_order_posts_to_the_cent_or_is_refused(made in made(), which in 0u8..12) {
        let (company, settings) = company(which);
        let sale = sale(&made);
        let mut books = Books::new(&company, &settings);
        let plan = books.push(&sale);
        match &plan.decision {
            Decision::Post(_) => {
                prop_assert!(plan.failures.is_empty(), "{:?}", plan.failures);
                let refunded: Decimal = plan.refunds.iter().map(|(_, amount)| *amount).sum();
                prop_assert!(refunded <= sale.order.total);
                prop_assert_eq!(books.net("USD"), sale.order.total - refunded);
                prop_assert!(books.plan(&sale).steps.is_empty(), "the same push again");
            }
            Decision::Attention(reason) => {
                prop_assert_eq!(reason.code, "total_differs");
                prop_assert!(made.off != 0 || !company.is_us());
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn the_rounding_line_stays_under_its_cap(made in made(), which in 0u8..12) {
        let (company, settings) = company(which);
        let order = sale(&made).order;
        if let Ok(amounts) = of_sale(&order, &settings, &company) {
            let lines = order.lines.len() + 4;
            prop_assert!(amounts.rounding.abs() <= rounding_cap(lines));
            prop_assert_eq!(amounts.sum(), order.total);
        }
    }

    #[test]
    fn a_unit_price_always_gives_the_amount(amount in -10_000_000i64..10_000_000, quantity in 1i64..2000) {
        let (amount, quantity) = (Decimal::new(amount, 2), Decimal::from(quantity));
        if let Some(price) = unit_price(amount, quantity) {
            prop_assert_eq!(cents(price * quantity), amount);
            prop_assert!(price.scale() <= 5);
        } else {
            prop_assert!(quantity > Decimal::from(900), "{} / {}", amount, quantity);
        }
    }

    #[test]
    fn shares_are_cents_that_add_up(amount in -1_000_000i64..1_000_000, weights in prop::collection::vec(0i64..100_000, 1..8)) {
        let weights: Vec<Decimal> = weights.into_iter().map(|w| Decimal::new(w, 2)).collect();
        let amount = Decimal::new(amount, 2);
        let shares = money::prorate(amount, &weights);
        prop_assert_eq!(shares.iter().sum::<Decimal>(), amount);
        prop_assert!(shares.iter().all(|share| cents(*share) == *share));
    }
}
