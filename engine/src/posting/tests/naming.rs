//! Numbers, references, notes, dates, texts; customers and items; adoption.

use super::books::Books;
use super::companies::{demo, demo_with, multicurrency, us};
use super::shop::sale;
use crate::posting::adopt::{self, Found};
use crate::posting::company::Item;
use crate::posting::customers::{self, Candidate};
use crate::posting::documents::{CustomerKey, Document, Ground, customer_of};
use crate::posting::input::{Customer, Product};
use crate::posting::plan::Operation;
use crate::posting::posted::DocumentKind;
use crate::posting::{dates, items, numbers, text};
use serde_json::{Value, json};

fn customer(id: i64, name: &str, email: Option<&str>) -> Customer {
    serde_json::from_value(json!({
        "id": id, "source_id": id.to_string(), "display_name": name, "email": email,
        "is_guest": false,
    }))
    .unwrap()
}

fn guest(id: i64, name: &str, email: &str) -> Customer {
    let mut guest = customer(id, name, Some(email));
    guest.is_guest = true;
    guest.source_id = Some(format!("guest:{email}"));
    guest
}

#[test]
fn a_name_that_is_taken_gets_what_tells_the_customer_apart() {
    let company = us();
    let name = |customer: &Customer, taken: &[&str]| {
        let taken: Vec<String> = taken.iter().map(|name| name.to_lowercase()).collect();
        let is_taken = |name: &str| taken.contains(&name.to_lowercase());
        customers::display_name(customer, "USD", &company, &is_taken)
    };
    let maya = customer(88, "Maya Okafor", None);
    assert_eq!(name(&maya, &[]), "Maya Okafor");
    assert_eq!(name(&maya, &["MAYA OKAFOR"]), "Maya Okafor (WC 88)");
    let guest = guest(9, "Maya Okafor", "maya@example.test");
    let first = name(&guest, &["maya okafor"]);
    let digits = first.strip_prefix("Maya Okafor (guest ").unwrap().strip_suffix(')').unwrap();
    assert_eq!(digits.len(), 4);
    let second = name(&guest, &["maya okafor", &first]);
    assert!(second != first && second.starts_with(&first[..first.len() - 1]), "{second}");
}

#[test]
fn a_customer_has_one_currency_and_the_name_says_which() {
    let company = multicurrency(us());
    let free = |_: &str| false;
    let maya = customer(88, "Maya Okafor", None);
    assert_eq!(customers::display_name(&maya, "USD", &company, &free), "Maya Okafor");
    assert_eq!(customers::display_name(&maya, "EUR", &company, &free), "Maya Okafor (EUR)");
    let taken = |name: &str| name == "Maya Okafor (EUR)";
    assert_eq!(customers::display_name(&maya, "EUR", &company, &taken), "Maya Okafor (WC 88 EUR)");
    let body = customers::body(&maya, "Maya Okafor (EUR)", "EUR", &company);
    assert_eq!(body["CurrencyRef"]["value"], "EUR");
}

#[test]
fn names_hold_no_colon_tab_or_double_blank_and_fit_their_field() {
    let company = us();
    let free = |_: &str| false;
    let odd = customer(1, "  Line:Sep\t\u{2028}Inc \u{0}  ", None);
    assert_eq!(customers::display_name(&odd, "USD", &company, &free), "Line Sep Inc");
    let long = customer(1, &"x".repeat(600), None);
    let name = customers::display_name(&long, "USD", &company, &|n: &str| {
        n.len() == 500 && !n.contains("WC")
    });
    assert_eq!(name.chars().count(), 500);
    assert!(name.ends_with(" (WC 1)"));
    let nobody = customer(1, "", None);
    assert_eq!(customers::display_name(&nobody, "USD", &company, &free), "Customer");
}

#[test]
fn an_e_mail_finds_exactly_one_active_customer_of_the_currency() {
    let company = multicurrency(us());
    let maya = customer(88, "Maya", Some("Maya@Example.test"));
    let candidate = |id: &str, email: &str, currency: Option<&str>, active| Candidate {
        remote_id: id.into(),
        email: Some(email.into()),
        currency: currency.map(str::to_owned),
        active,
    };
    let all = [
        candidate("1", "MAYA@example.test", None, true),
        candidate("2", "maya@example.test", Some("EUR"), true),
        candidate("3", "maya@example.test", None, false),
        candidate("4", "maya@example.test.org", None, true),
    ];
    let find = |currency, all: &[Candidate]| customers::find(&maya, currency, all, &company);
    assert_eq!(find("USD", &all), Ok(Some("1".into())));
    assert_eq!(find("EUR", &all), Ok(Some("2".into())));
    assert_eq!(find("GBP", &all), Ok(None));
    let twice = [all[0].clone(), candidate("5", "maya@example.test", Some("USD"), true)];
    let reason = find("USD", &twice).unwrap_err();
    assert_eq!(reason.code, "several_customers");
    assert!(!reason.message.contains('@'), "no personal data: {}", reason.message);
    assert_eq!(customers::search(&maya).unwrap().value, "Maya@Example.test");
    assert_eq!(customers::search(&customer(1, "x", None)), None);
}

#[test]
fn guests_go_by_e_mail_or_are_shared_and_nobody_is_the_web_customer() {
    let company = us();
    let settings = demo(&company);
    let zone = settings.zone().unwrap();
    let ground = |settings| Ground { settings, company: &company, zone: &zone, shop: "shop" };
    let mut order = sale("262").order;
    let of = |order: &_, guest, settings| customer_of(order, guest, &ground(settings));
    assert_eq!(of(&order, true, &settings), Ok(CustomerKey::Customer(10)));
    let shared = demo_with(&company, json!({"guests": "shared"}));
    assert_eq!(of(&order, true, &shared), Ok(CustomerKey::Web));
    assert_eq!(of(&order, false, &shared), Ok(CustomerKey::Customer(10)));
    order.customer_id = None;
    assert_eq!(of(&order, false, &settings), Ok(CustomerKey::Web));
    let none = demo_with(&company, json!({"web_customer": null}));
    assert_eq!(of(&order, false, &none).unwrap_err().code, "no_web_customer");
}

fn product(id: i64, sku: &str) -> Product {
    serde_json::from_value(json!({
        "id": id, "source_id": id.to_string(), "kind": "simple", "sku": sku,
        "name": "Canvas: Tote", "price": "24.50", "currency": "USD", "track_stock": true,
    }))
    .unwrap()
}

fn item(id: &str, sku: &str, active: bool) -> Item {
    Item {
        id: id.into(),
        sku: Some(sku.into()),
        item_type: "NonInventory".into(),
        active,
        ..Item::default()
    }
}

#[test]
fn an_item_is_found_by_a_sku_that_is_unique_on_both_sides_else_made() {
    let company = us();
    let settings = demo(&company);
    let resolve = |product: &Product, same, items: &[Item]| {
        items::resolve(product, same, items, &settings, &company)
    };
    let tote = product(19, "TOTE");
    assert_eq!(resolve(&tote, 1, &[item("5", "TOTE", true)]), Ok(items::Found::Item("5".into())));
    let is_new = |found| matches!(found, Ok(items::Found::Create(_)));
    assert!(is_new(resolve(&tote, 2, &[item("5", "TOTE", true)])), "two products with the SKU");
    let two = [item("5", "TOTE", true), item("6", "TOTE", true)];
    assert!(is_new(resolve(&tote, 1, &two)), "two items with the SKU");
    assert!(is_new(resolve(&product(19, ""), 1, &[item("5", "", true)])), "no SKU");
    assert_eq!(resolve(&tote, 1, &[item("5", "TOTE", false)]).unwrap_err().code, "inactive_item");
    let Ok(items::Found::Create(body)) = resolve(&tote, 1, &[]) else { panic!("a new one") };
    assert_eq!(body["Name"], "Canvas Tote (WC 19)");
    assert_eq!(
        (&body["Type"], &body["IncomeAccountRef"]["value"]),
        (&json!("NonInventory"), &json!("79"))
    );
    assert_eq!(body["UnitPrice"].to_string(), "24.5");
    assert!(body["QtyOnHand"].is_null(), "never written");
}

#[test]
fn with_inventory_in_the_books_a_counted_product_needs_its_item_there() {
    let company = us();
    let settings = demo_with(&company, json!({"inventory": "books"}));
    let found = items::resolve(&product(19, "TOTE"), 1, &[], &settings, &company);
    assert_eq!(found.unwrap_err().code, "no_inventory_item");
    let uncounted = [item("5", "TOTE", true)];
    let found = items::resolve(&product(19, "TOTE"), 1, &uncounted, &settings, &company);
    assert_eq!(found.unwrap_err().code, "no_inventory_item", "its item counts nothing");
    let counted = [Item { item_type: "Inventory".into(), ..item("5", "TOTE", true) }];
    let found = items::resolve(&product(19, "TOTE"), 1, &counted, &settings, &company);
    assert_eq!(found, Ok(items::Found::Item("5".into())));
}

#[test]
fn a_stock_is_never_counted_by_both() {
    let company = us();
    let settings = demo_with(&company, json!({}));
    let counted = [Item { item_type: "Inventory".into(), ..item("5", "TOTE", true) }];
    let found = items::resolve(&product(19, "TOTE"), 1, &counted, &settings, &company);
    assert_eq!(found.unwrap_err().code, "counted_twice");
}

#[test]
fn parents_are_no_items_unless_they_were_sold() {
    let mut parent = product(19, "TOTE");
    for kind in ["variable", "grouped", "external"] {
        parent.kind = kind.into();
        assert!(!items::is_item(&parent, false) && items::is_item(&parent, true));
    }
    parent.kind = "variation".into();
    assert!(items::is_item(&parent, false));
}

#[test]
fn a_document_bears_the_order_number_and_fails_over_21_characters() {
    let company = us();
    let settings = demo_with(&company, json!({"document_prefix": "HARBOUR-SHOP-"}));
    assert_eq!(numbers::of_order(&settings, "12345678").unwrap(), "HARBOUR-SHOP-12345678");
    let reason = numbers::of_order(&settings, "123456789").unwrap_err();
    assert_eq!(reason.code, "number_too_long");
    let mut order = sale("262").order;
    order.number = "A-7".into();
    assert_eq!(numbers::of_order(&settings, &order.number).unwrap(), "HARBOUR-SHOP-A-7");
}

#[test]
fn a_reference_is_the_end_of_the_transaction_id_and_the_note_holds_the_whole() {
    let id = "pi_3SYNTHETIC0123456789abcdef";
    assert_eq!(numbers::payment_reference(Some(id)).as_deref(), Some("HETIC0123456789abcdef"));
    assert_eq!(numbers::payment_reference(Some(" ")), None);
    let mut order = sale("262").order;
    order.transaction_id = Some(id.into());
    let (company, settings) = (us(), demo(&us()));
    let books = Books::new(&company, &settings);
    let plan = books.plan(&super::shop::Sale { order, refunds: vec![] });
    let Operation::Create { document, .. } = &plan.steps[0].operation else { panic!() };
    assert!(document.private_note.contains(&format!("Transaction: {id}")));
    let mark = document.private_note.lines().next().unwrap();
    assert_eq!(mark, "easysync:shop.example:order:262");
    assert!(numbers::is_marked(&format!("Voided - {mark}"), mark));
    assert!(numbers::is_marked(&format!("checked by Pat\n{mark}"), mark));
    assert!(!numbers::is_marked(&format!("{mark}1"), mark));
}

#[test]
fn what_looks_like_a_card_number_is_broken_up() {
    assert_eq!(numbers::unlike_a_card("4111111111111111"), "411111111111 1111");
    assert_eq!(numbers::unlike_a_card("order 123456789012"), "order 123456789012");
}

#[test]
fn documents_are_dated_by_the_company_s_day() {
    let company = us();
    let mut order = sale("262").order;
    order.created_at = "2026-01-01T02:30:00Z".parse().unwrap();
    order.paid_at = Some("2026-02-01T04:59:00Z".parse().unwrap());
    order.completed_at = Some("2026-03-01T05:00:00Z".parse().unwrap());
    let date = |settings: Value, kind| {
        let settings = demo_with(&company, settings);
        dates::of_sale(&order, kind, &settings, &settings.zone().unwrap()).to_string()
    };
    let receipt = DocumentKind::SalesReceipt;
    assert_eq!(date(json!({}), receipt), "2026-01-31");
    assert_eq!(date(json!({"txn_date": "created"}), receipt), "2025-12-31");
    assert_eq!(date(json!({"txn_date": "completed"}), receipt), "2026-03-01");
    assert_eq!(date(json!({}), DocumentKind::Invoice), "2025-12-31");
    assert_eq!(date(json!({"time_zone": "Asia/Tokyo"}), receipt), "2026-02-01");
}

#[test]
fn only_plausible_e_mail_addresses_are_sent() {
    for good in ["a@b.co", "first.last+tag@sub.example.test"] {
        assert_eq!(text::email(Some(good)).as_deref(), Some(good));
    }
    for bad in ["", "a", "a@", "@b.co", "a@b", "a b@c.de", "a@b@c.de", "a..b@c.de", "a@b.co,c@d.ef"]
    {
        assert_eq!(text::email(Some(bad)), None, "{bad}");
    }
}

fn document() -> Document {
    let (company, settings) = (us(), demo(&us()));
    let plan = Books::new(&company, &settings).plan(&sale("262"));
    let Operation::Create { document, .. } = &plan.steps[0].operation else { panic!() };
    (**document).clone()
}

#[test]
fn a_document_entered_before_us_is_adopted_when_currency_total_and_days_agree() {
    let document = document();
    let entry = |id: &str, date: &str, total: &str, currency: Option<&str>| {
        json!({"Id": id, "DocNumber": "#262", "TxnDate": date, "TotalAmt": total,
               "CurrencyRef": currency.map(|c| json!({"value": c}))})
    };
    let near = entry("7", "2026-08-15", "1135.04", None);
    let judged = |found: &[Value]| adopt::before_first(&document, found, "USD");
    assert_eq!(judged(std::slice::from_ref(&near)), Found::Adopt("7".into()));
    assert_eq!(judged(&[entry("7", "2026-08-16", "1135.04", None)]), Found::Nothing, "4 days");
    assert_eq!(judged(&[entry("7", "2026-08-12", "1135.04", Some("EUR"))]), Found::Nothing);
    assert_eq!(judged(&[]), Found::Nothing);
    let Found::Attention(reason) = judged(&[entry("7", "2026-08-12", "99.00", None)]) else {
        panic!("another total needs attention")
    };
    assert!(reason.message.contains("USD 99.00") && reason.message.contains("USD 1135.04"));
    assert_eq!(judged(&[entry("6", "2026-08-12", "99.00", None), near]), Found::Adopt("7".into()));
}

#[test]
fn the_numbers_looked_for_are_plain_with_a_hash_and_with_the_prefix() {
    let company = us();
    let settings = demo_with(&company, json!({"adopt": true}));
    let plan = Books::new(&company, &settings).plan(&sale("262"));
    let Operation::Create { ask_first, .. } = &plan.steps[0].operation else { panic!() };
    assert_eq!(ask_first, &["262", "#262", "WC-262"]);
}

#[test]
fn a_duplicate_number_is_adopted_when_it_bears_our_mark_or_all_agrees() {
    let document = document();
    let judged = |entity: Value| adopt::duplicate_number(&document, &entity, Some("10"), "USD");
    let marked = json!({"Id": "7", "TotalAmt": "1.00",
        "PrivateNote": "easysync:shop.example:order:262\nTransaction: x"});
    assert_eq!(judged(marked), Found::Adopt("7".into()));
    let same = json!({"Id": "7", "TotalAmt": "1135.04", "CustomerRef": {"value": "10"}});
    assert_eq!(judged(same), Found::Adopt("7".into()));
    let other = json!({"Id": "7", "TotalAmt": "1135.04", "CustomerRef": {"value": "11"}});
    assert!(matches!(judged(other), Found::Attention(_)), "another customer");
    let other = json!({"Id": "7", "TotalAmt": "1135.03", "CustomerRef": {"value": "10"}});
    assert!(matches!(judged(other), Found::Attention(_)), "another total");
    let other = json!({"Id": "7", "TotalAmt": "1135.04", "CustomerRef": {"value": "10"},
        "CurrencyRef": {"value": "EUR"}});
    assert!(matches!(judged(other), Found::Attention(_)), "another currency");
}
