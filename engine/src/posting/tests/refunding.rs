//! What each refund's document takes back.

use super::companies::{demo, demo_with, us};
use super::shop::{Sale, sale};
use crate::posting::amounts::{Amounts, of_sale};
use crate::posting::documents::Ground;
use crate::posting::input::Refund;
use crate::posting::lines::{ItemKey, Role};
use crate::posting::reason::Reason;
use crate::posting::settings::Settings;
use crate::posting::tax::{Code, DocumentTax};
use crate::posting::{dates, documents, numbers, refunds};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::json;

fn d(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn refund(id: i64, amount: &str) -> Refund {
    serde_json::from_value(json!({
        "id": id, "source_id": id.to_string(), "order_id": 262, "amount": amount,
        "created_at": "2026-09-01T12:00:00Z",
    }))
    .unwrap()
}

fn of(sale: &Sale, refunds: &[Refund], settings: &Settings) -> Vec<Result<Amounts, Reason>> {
    let company = us();
    let whole = of_sale(&sale.order, settings, &company).unwrap();
    refunds::of_order(&sale.order, &whole, refunds, settings, &company)
        .unwrap()
        .into_iter()
        .map(|(_, amounts)| amounts)
        .collect()
}

#[test]
fn a_refund_of_lines_takes_its_lines_as_they_are() {
    let sale = sale("160");
    let lined = sale.refunds.iter().find(|r| r.id == 403).unwrap().clone();
    let amounts = of(&sale, &[lined], &demo(&us())).remove(0).unwrap();
    let lines: Vec<(&ItemKey, Decimal, Option<Decimal>)> =
        amounts.lines.iter().map(|l| (&l.item, l.amount, l.quantity)).collect();
    assert_eq!(
        lines,
        [
            (&ItemKey::Product(105), d("40.95"), Some(Decimal::ONE)),
            (&ItemKey::Named("GB tax".into()), d("8.19"), None),
        ]
    );
    assert_eq!(amounts.total, d("49.14"));
}

#[test]
fn a_refund_of_an_amount_goes_on_the_refund_item_by_code_and_never_on_a_product() {
    let amounts = of(&sale("262"), &[refund(1, "100.00")], &demo(&us())).remove(0).unwrap();
    let lines: Vec<(&ItemKey, &Code, Decimal)> =
        amounts.lines.iter().map(|l| (&l.item, &l.code, l.amount)).collect();
    let item = ItemKey::Role(Role::Refund);
    // Net 994.69 TAX and 36.00 NON of 1135.04, tax 104.35.
    assert_eq!(lines, [(&item, &Code::Taxable, d("87.64")), (&item, &Code::Exempt, d("3.17"))]);
    assert_eq!(amounts.tax, DocumentTax::Total(d("9.19")));
    assert!(amounts.lines.iter().all(|l| l.quantity.is_none()));
}

#[test]
fn refund_tax_none_gives_back_no_tax_until_the_order_is_complete() {
    let settings = demo_with(&us(), json!({"refund_tax": "none"}));
    let sale = sale("262");
    let both = of(&sale, &[refund(1, "100.00"), refund(2, "1035.04")], &settings);
    let first = both[0].as_ref().unwrap();
    assert_eq!(first.tax, DocumentTax::Total(Decimal::ZERO));
    assert_eq!((first.lines.len(), &first.lines[0].code), (1, &Code::Exempt));
    assert_eq!(both[1].as_ref().unwrap().tax, DocumentTax::Total(d("104.35")), "what is left");
}

#[test]
fn the_refund_that_completes_an_order_takes_what_is_left_code_by_code() {
    let sale = sale("262");
    let parts = [refund(1, "0.07"), refund(2, "333.33"), refund(3, "801.64")];
    let all: Vec<Amounts> =
        of(&sale, &parts, &demo(&us())).into_iter().map(Result::unwrap).collect();
    let sum = |code: Code| -> Decimal {
        all.iter().flat_map(|a| &a.lines).filter(|l| l.code == code).map(|l| l.amount).sum()
    };
    assert_eq!((sum(Code::Taxable), sum(Code::Exempt)), (d("994.69"), d("36.00")));
    assert_eq!(all.iter().map(|a| a.tax.total()).sum::<Decimal>(), d("104.35"));
    assert_eq!(all.iter().map(|a| a.total).sum::<Decimal>(), d("1135.04"));
}

#[test]
fn a_refund_beyond_what_is_left_is_refused() {
    let sale = sale("262");
    let all = of(&sale, &[refund(1, "1000.00"), refund(2, "135.05")], &demo(&us()));
    assert!(all[0].is_ok());
    let reason = all[1].as_ref().unwrap_err();
    assert_eq!(reason.code, "refund_exceeds_order");
    assert!(reason.message.contains("USD 135.04 is left"), "{}", reason.message);
}

#[test]
fn a_deleted_refund_and_one_of_nothing_have_no_document() {
    let mut gone = refund(1, "10.00");
    gone.deleted_at = Some(gone.created_at);
    let all = of(&sale("262"), &[gone, refund(2, "0.00"), refund(3, "5.00")], &demo(&us()));
    assert_eq!(all.len(), 1);
}

#[test]
fn a_refund_whose_lines_are_far_from_its_amount_is_refused() {
    let sale = sale("160");
    let mut lined = sale.refunds.iter().find(|r| r.id == 403).unwrap().clone();
    lined.amount -= d("1.00");
    let all = of(&sale, &[lined], &demo(&us()));
    assert_eq!(all[0].as_ref().unwrap_err().code, "total_differs");
}

#[test]
fn a_refund_is_numbered_by_its_id_and_dated_the_later_of_its_day_and_the_sale_s() {
    let (company, settings) = (us(), demo(&us()));
    let zone = settings.zone().unwrap();
    let refund = refund(77, "1.00");
    let number = numbers::of_refund(&settings, &sale("262").order, &refund).unwrap();
    assert_eq!(number, "WC-262-R77");
    let sold = dates::day("2026-08-12T22:04:52Z".parse::<Timestamp>().unwrap(), &zone);
    assert_eq!(dates::of_refund(&refund, sold, &zone).to_string(), "2026-09-01");
    let later = "2026-12-24".parse().unwrap();
    assert_eq!(dates::of_refund(&refund, later, &zone), later);
    drop(company);
}

#[test]
fn a_refund_receipt_takes_the_money_from_the_sale_s_deposit_account() {
    let (company, settings) = (us(), demo(&us()));
    let zone = settings.zone().unwrap();
    let ground = Ground { settings: &settings, company: &company, zone: &zone, shop: "shop" };
    let mut sale = sale("262");
    sale.order.payment_method = Some("stripe".into());
    let refund = refund(77, "1.00");
    let amounts = of(&sale, std::slice::from_ref(&refund), &settings).remove(0).unwrap();
    let make = |kind| {
        let day = "2026-09-01".parse().unwrap();
        let customer = documents::CustomerKey::Web;
        documents::refund(&sale.order, &refund, kind, day, customer, amounts.clone(), &ground)
            .unwrap()
    };
    use crate::posting::posted::DocumentKind::{CreditMemo, RefundReceipt};
    assert_eq!(make(RefundReceipt).deposit_to.as_deref(), Some("Stripe Clearing"));
    assert_eq!(make(CreditMemo).deposit_to, None, "no money moves");
}
