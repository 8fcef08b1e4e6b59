//! The whole recorded shop, as the hub holds it: WooCommerce's JSON through the default mapping.

use crate::connector::woocommerce::{defaults, entities};
use crate::mapping::{row_json, split_page};
use crate::model::{Entity, Presence, Record};
use crate::posting::input::{Customer, Order, Product, Refund};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

/// An order with its refunds.
#[derive(Clone)]
pub struct Sale {
    pub order: Order,
    pub refunds: Vec<Refund>,
}

/// Guests get hub ids of their own, away from those of customers.
const GUESTS: i64 = 100_000;

fn read(path: &str) -> String {
    let file =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/woocommerce").join(path);
    std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// Hub ids as the store would give them: here the shop's own ids, and numbers for guests.
struct Ids {
    guests: BTreeMap<String, i64>,
}

impl Ids {
    fn of(&mut self, remote: &str) -> i64 {
        let next = GUESTS + self.guests.len() as i64;
        remote.parse().unwrap_or_else(|_| *self.guests.entry(remote.to_owned()).or_insert(next))
    }

    /// A row as JSON, with hub ids where the mapping left remote ones.
    fn row(&mut self, row: &crate::model::Row) -> Map<String, Value> {
        let mut map: Map<String, Value> = serde_json::from_str(&row_json(row)).unwrap();
        let id = map.get("source_id").and_then(Value::as_str).map(|id| self.of(id));
        map.insert("id".into(), json!(id.unwrap_or_default()));
        for key in ["customer_id", "product_id", "order_id", "order_line_id", "parent_id"] {
            if let Some(Value::String(remote)) = map.get(key).cloned() {
                map.insert(key.into(), json!(self.of(&remote)));
            }
        }
        map
    }

    fn document(&mut self, record: &Record) -> Value {
        let mut map = self.row(&record.row);
        let lines = record.lines.iter().map(|line| Value::Object(self.row(line))).collect();
        map.insert("lines".into(), Value::Array(lines));
        Value::Object(map)
    }
}

/// The hub's rows of the shop.
struct Hub {
    sales: Vec<Sale>,
    customers: BTreeMap<i64, Customer>,
    products: BTreeMap<i64, Product>,
}

fn hub() -> &'static Hub {
    static HUB: OnceLock<Hub> = OnceLock::new();
    HUB.get_or_init(|| {
        let mut ids = Ids { guests: BTreeMap::new() };
        let products = load_products(&mut ids);
        let mut customers = load_customers(&mut ids);
        let sales = load_sales(&mut ids, &products, &mut customers);
        Hub { sales, customers, products }
    })
}

/// All orders but drafts, in the shop's order, with their refunds in order of time.
pub fn sales() -> Vec<Sale> {
    hub().sales.clone()
}

/// Customers with an account, and guests.
pub fn customers() -> &'static BTreeMap<i64, Customer> {
    &hub().customers
}

/// Products and variations that are there.
pub fn products() -> &'static BTreeMap<i64, Product> {
    &hub().products
}

fn load_products(ids: &mut Ids) -> BTreeMap<i64, Product> {
    let programs = defaults::programs(Entity::Products, None).unwrap();
    let (page, variations) = (read("shop/products.json"), read("shop/variations.json"));
    let by_parent: BTreeMap<String, Vec<&RawValue>> = serde_json::from_str(&variations).unwrap();
    let mut products = BTreeMap::new();
    let mut add = |record: &Record| {
        let product: Product = serde_json::from_value(ids.document(record)).unwrap();
        products.insert(product.id, product);
    };
    for raw in split_page(&page).unwrap() {
        let parent = entities::product(&programs, raw, "USD", Presence::Live).unwrap();
        add(&parent);
        for child in by_parent.get(&parent.remote_id).into_iter().flatten() {
            add(&entities::variation(&programs, child, raw, "USD", Presence::Live).unwrap());
        }
    }
    products
}

fn load_customers(ids: &mut Ids) -> BTreeMap<i64, Customer> {
    let programs = defaults::programs(Entity::Customers, None).unwrap();
    let page = read("shop/customers.json");
    let customers = split_page(&page).unwrap().into_iter().map(|raw| {
        let record = entities::customer(&programs, raw).unwrap();
        let customer: Customer = serde_json::from_value(ids.document(&record)).unwrap();
        (customer.id, customer)
    });
    customers.collect()
}

fn load_sales(
    ids: &mut Ids,
    products: &BTreeMap<i64, Product>,
    customers: &mut BTreeMap<i64, Customer>,
) -> Vec<Sale> {
    let (orders, refunds) = (read("shop/orders.json"), read("shop/refunds.json"));
    let programs = defaults::programs(Entity::Orders, None).unwrap();
    let mut sales: Vec<Sale> = split_page(&orders)
        .unwrap()
        .into_iter()
        .filter(|raw| !entities::Head::of(raw).is_draft())
        .map(|raw| {
            let mapped = entities::order(&programs, raw, Presence::Live).unwrap();
            if let Some(guest) = &mapped.guest {
                let guest: Customer = serde_json::from_value(ids.document(guest)).unwrap();
                customers.entry(guest.id).or_insert(guest);
            }
            let mut order: Order = serde_json::from_value(ids.document(&mapped.order)).unwrap();
            // The hub has no row of a product that was deleted before it was read.
            let known = |id: &i64| products.contains_key(id);
            order.lines.iter_mut().for_each(|line| line.product_id = line.product_id.filter(known));
            Sale { order, refunds: vec![] }
        })
        .collect();
    let programs = defaults::programs(Entity::Refunds, None).unwrap();
    for raw in split_page(&refunds).unwrap() {
        let parent = entities::Head::of(raw).parent_id().unwrap();
        let sale = sales.iter_mut().find(|sale| sale.order.id == parent).unwrap();
        let of = entities::RefundOf { order: None, currency: Some(&sale.order.currency) };
        let record = entities::refund(&programs, raw, of, Presence::Live).unwrap();
        sale.refunds.push(serde_json::from_value(ids.document(&record)).unwrap());
    }
    sales.iter_mut().for_each(|sale| sale.refunds.sort_by_key(|r| (r.created_at, r.id)));
    sales
}

/// One order of the shop, by number.
pub fn sale(number: &str) -> Sale {
    sales().into_iter().find(|sale| sale.order.number == number).unwrap()
}
