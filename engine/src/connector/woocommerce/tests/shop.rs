//! The whole recorded shop.

use super::fixtures::{decimal, programs, read, text};
use crate::connector::woocommerce::entities::{self, Head, RefundOf};
use crate::mapping::split_page;
use crate::model::{Cell, Entity, Presence, Record};
use rust_decimal::Decimal;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet, HashMap};

fn orders(page: &str) -> Vec<entities::MappedOrder> {
    let programs = programs(Entity::Orders);
    split_page(page)
        .unwrap()
        .into_iter()
        .filter(|raw| !Head::of(raw).is_draft())
        .map(|raw| {
            entities::order(&programs, raw, Presence::Live).unwrap_or_else(|f| panic!("{f:?}"))
        })
        .collect()
}

#[test]
fn every_order_of_the_shop_lands_to_the_cent() {
    let orders = orders(&read("shop/orders.json"));
    assert_eq!(orders.len(), 289);
    assert_eq!(orders.iter().map(|o| o.order.lines.len()).sum::<usize>(), 855);
    let mut sums: BTreeMap<String, Decimal> = BTreeMap::new();
    for order in &orders {
        *sums.entry(text(&order.order.row, "currency").to_owned()).or_default() +=
            decimal(&order.order.row, "total");
    }
    let sums: Vec<String> = sums.iter().map(|(c, sum)| format!("{c} {sum}")).collect();
    assert_eq!(sums, ["EUR 3120.35", "GBP 24284.74", "JPY 136.61", "KWD 625.65", "USD 231093.77"]);
}

#[test]
fn a_guest_is_known_by_the_e_mail_in_lower_case() {
    let orders = orders(&read("shop/orders.json"));
    let guests: BTreeSet<&str> =
        orders.iter().filter_map(|o| o.guest.as_ref()).map(|g| g.remote_id.as_str()).collect();
    assert_eq!(guests.len(), 58);
    assert!(guests.iter().all(|id| id.starts_with("guest:") && *id == id.to_lowercase()));
    for MappedOrderRef { order, guest } in orders.iter().map(MappedOrderRef::of) {
        if let Some(guest) = guest {
            assert_eq!(*order.row.cell("customer_id"), Cell::Ref(guest.remote_id.clone()));
            assert_eq!(text(&guest.row, "email"), text(&order.row, "email"));
            assert!(guest.keep_existing && guest.raw.is_none());
        }
    }
    let nobody = orders.iter().filter(|o| *o.order.row.cell("customer_id") == Cell::Null).count();
    assert_eq!(nobody, 36, "orders without account and e-mail have no customer");
}

struct MappedOrderRef<'a> {
    order: &'a Record,
    guest: Option<&'a Record>,
}

impl<'a> MappedOrderRef<'a> {
    fn of(mapped: &'a entities::MappedOrder) -> Self {
        MappedOrderRef { order: &mapped.order, guest: mapped.guest.as_ref() }
    }
}

#[test]
fn the_sums_of_an_order_hold_in_the_hub() {
    for mapped in orders(&read("shop/orders.json")) {
        let row = &mapped.order.row;
        let lines: Decimal = mapped.order.lines.iter().map(|l| decimal(l, "total")).sum();
        let off = lines
            + decimal(row, "shipping_total")
            + decimal(row, "fee_total")
            + decimal(row, "total_tax")
            - decimal(row, "total");
        // woocommerce.md, 7: tax rounded at the subtotal is off by a cent, and the header is right.
        assert!(off.abs() <= Decimal::new(1, 2), "order {}: {off}", mapped.order.remote_id);
    }
}

#[test]
fn products_and_their_variations_land() {
    let programs = programs(Entity::Products);
    let page = read("shop/products.json");
    let raws = split_page(&page).unwrap();
    let products: Vec<Record> = raws
        .iter()
        .map(|raw| entities::product(&programs, raw, "USD", Presence::Live).unwrap())
        .collect();
    assert_eq!(products.len(), 59);
    let text_of_variations = read("shop/variations.json");
    let by_parent: HashMap<String, Vec<&RawValue>> =
        serde_json::from_str(&text_of_variations).unwrap();
    let mut variations = 0;
    for (raw, product) in raws.iter().zip(&products) {
        let children = by_parent.get(&product.remote_id).cloned().unwrap_or_default();
        let ids: BTreeSet<String> = children
            .iter()
            .map(|child| {
                let v = entities::variation(&programs, child, raw, "USD", Presence::Live).unwrap();
                assert_eq!(text(&v.row, "parent_id"), product.remote_id);
                assert_eq!(text(&v.row, "kind"), "variation");
                let name = text(&v.row, "name");
                assert!(name.starts_with(text(&product.row, "name")), "{name}");
                v.remote_id
            })
            .collect();
        variations += ids.len();
        let related: BTreeSet<String> = product.related[0].remote_ids.iter().cloned().collect();
        assert_eq!(ids, related, "a variable product names exactly its variations");
    }
    assert_eq!(variations, 74);
}

#[test]
fn refunds_land_with_positive_amounts_and_the_currency_of_their_order() {
    let programs = programs(Entity::Refunds);
    let orders = orders(&read("shop/orders.json"));
    let currencies: HashMap<&str, &str> = orders
        .iter()
        .map(|o| (o.order.remote_id.as_str(), text(&o.order.row, "currency")))
        .collect();
    let page = read("shop/refunds.json");
    let mut sums: HashMap<String, Decimal> = HashMap::new();
    let raws = split_page(&page).unwrap();
    assert_eq!(raws.len(), 43);
    for raw in raws {
        let parent = Head::of(raw).parent_id().unwrap().to_string();
        let of = RefundOf { order: None, currency: currencies.get(parent.as_str()).copied() };
        let refund = entities::refund(&programs, raw, of, Presence::Live).unwrap();
        assert_eq!(text(&refund.row, "order_id"), parent);
        assert!(decimal(&refund.row, "amount") > Decimal::ZERO);
        assert_eq!(refund.lines.is_empty(), *refund.row.cell("total_tax") == Cell::Null);
        *sums.entry(parent).or_default() += decimal(&refund.row, "amount");
    }
    for order in &orders {
        let sum = sums.get(&order.order.remote_id).copied().unwrap_or_default();
        assert_eq!(sum, decimal(&order.order.row, "refunded_total"), "{}", order.order.remote_id);
    }
}

#[test]
fn customers_of_every_role_land() {
    let programs = programs(Entity::Customers);
    let page = read("shop/customers.json");
    let customers: Vec<Record> = split_page(&page)
        .unwrap()
        .into_iter()
        .map(|raw| entities::customer(&programs, raw).unwrap())
        .collect();
    assert_eq!(customers.len(), 43);
    assert!(customers.iter().all(|c| !text(&c.row, "display_name").is_empty()));
}
