//! Makes up a shop from a seed: the same seed, the same shop.

use super::record::{Record, number, set};
use super::state::Shop;
use super::{customers, orders, products, times};
use jiff::{SignedDuration, Timestamp};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// Made-up orders end here and reach back from it: 2026-11-23T00:00:00Z.
const LATEST: i64 = 1_795_392_000;

const FIRST: [&str; 12] = [
    "José",
    "Zoë",
    "Anna-Maria",
    "محمد",
    "Björk",
    "小龍",
    "Łukasz",
    "Bob",
    "Alice",
    "François",
    "Iñigo",
    "Ngọc",
];
const LAST: [&str; 10] =
    ["García", "O'Neil", "Müller", "Smith, Jr.", "Ångström", "李", "Łoś", "Doe", "Jones", "Nguyễn"];
/// City, state, postcode, country.
const PLACES: [(&str, &str, &str, &str); 6] = [
    ("New York", "NY", "10001", "US"),
    ("Los Angeles", "CA", "90001", "US"),
    ("Montréal", "QC", "H2X 1Y4", "CA"),
    ("Berlin", "", "10115", "DE"),
    ("London", "", "SW1A 1AA", "GB"),
    ("東京", "JP13", "100-0001", "JP"),
];
const GOODS: [&str; 10] = [
    "Mug “Morning” ☕",
    "Plain Tee",
    "Über-Jacke",
    "Poster A2",
    "Sock (pair)",
    "Hat",
    "Ring",
    "O'Reilly's Guide",
    "Sticker 🦄",
    "Gift Card",
];
const STATUSES: [&str; 8] = [
    "completed",
    "completed",
    "completed",
    "processing",
    "processing",
    "on-hold",
    "pending",
    "cancelled",
];

/// The randomness of one shop.
pub struct Maker {
    random: ChaCha8Rng,
    customers: Vec<u64>,
    products: Vec<u64>,
    /// Of all orders ever made: numbers their e-mail addresses.
    made: u64,
}

impl Maker {
    /// Makes products and customers, and is ready for orders.
    pub fn new(shop: &mut Shop, orders: u64, seed: u64) -> Self {
        let mut maker = Maker {
            random: ChaCha8Rng::seed_from_u64(seed),
            customers: vec![],
            products: vec![],
            made: 0,
        };
        for n in 0..(orders / 20).clamp(10, 500) {
            let body = maker.product(n);
            maker.products.extend(products::create(shop, &body));
        }
        for n in 0..(orders / 10).clamp(5, 5000) {
            let address = maker.address(&format!("cust{n}@example.test"));
            let body = json!({"email": address["email"], "username": format!("cust{n}"),
                "first_name": address["first_name"], "last_name": address["last_name"],
                "billing": address});
            let body = object(body);
            maker.customers.extend(customers::create(shop, &body));
        }
        maker
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        // The slices here are never empty, so that the fallback is never taken.
        from.choose(&mut self.random).unwrap_or(&from[0])
    }

    fn product(&mut self, n: u64) -> Record {
        let cents: u32 = self.random.random_range(199..=19999);
        let name = format!("{} #{n}", self.pick(&GOODS));
        object(json!({
            "name": name, "sku": format!("SKU-{n:04}"), "status": "publish",
            "regular_price": format!("{}.{:02}", cents / 100, cents % 100),
        }))
    }

    fn address(&mut self, email: &str) -> Value {
        let (city, state, postcode, country) = *self.pick(&PLACES);
        let n: u32 = self.random.random_range(1..=9999);
        json!({
            "first_name": self.pick(&FIRST), "last_name": self.pick(&LAST),
            "company": format!("ACME & Co. {n} GmbH “x”"), "address_1": format!("{n} Main St"),
            "address_2": "Apt #4 / 2º", "city": city, "state": state, "postcode": postcode,
            "country": country, "email": email, "phone": format!("+1 (212) 555-{n:04}"),
        })
    }

    /// One order of three lines. Times are GMT; it is modified a little after it was made.
    pub fn order(&mut self, shop: &mut Shop, created: Timestamp) -> Option<u64> {
        self.made += 1;
        let guest = self.random.random_bool(0.3);
        let customer = if guest { 0 } else { *self.pick(&self.customers.clone()) };
        let address = self.address(&format!("guest{}@guest.test", self.made));
        let mut lines = vec![];
        for _ in 0..3 {
            let product = *self.pick(&self.products.clone());
            lines.push(json!({"product_id": product, "quantity": self.random.random_range(1..=5)}));
        }
        let status = *self.pick(&STATUSES);
        let mut shipping = address.clone();
        if let Value::Object(shipping) = &mut shipping {
            shipping.shift_remove("email");
        }
        let body = object(json!({
            "status": status, "customer_id": customer, "billing": address, "shipping": shipping,
            "payment_method": "bacs", "payment_method_title": "Direct bank transfer",
            "transaction_id": format!("txn_{:06}", self.made), "line_items": lines,
            "shipping_lines": [{"method_id": "flat_rate", "method_title": "Flat rate – “Std”",
                "total": "5.00"}],
            "customer_note": "Please leave at door",
            "meta_data": [{"key": "erp_ref", "value": format!("R-{}", self.made)}],
        }));
        let id = orders::create(shop, &body, true).ok()?;
        let later = SignedDuration::from_secs(self.random.random_range(60..=7200));
        backdate(shop, id, created, created.checked_add(later).unwrap_or(created));
        Some(id)
    }
}

fn object(value: Value) -> Record {
    match value {
        Value::Object(record) => record,
        _ => Record::new(),
    }
}

fn backdate(shop: &mut Shop, id: u64, created: Timestamp, modified: Timestamp) {
    let Some(mut order) = shop.orders.remove(&id) else { return };
    let (created, modified) = (times::gmt(created), times::gmt(modified));
    for key in ["date_created", "date_paid", "date_completed"] {
        if order.record.get(&format!("{key}_gmt")).is_some_and(Value::is_string) {
            shop.set_date(&mut order.record, key, &created);
        }
    }
    shop.set_date(&mut order.record, "date_modified", &modified);
    shop.orders.insert(id, order);
}

/// When the n-th of so many orders was made: evenly over at most 400 days.
pub fn moment(n: u64, of: u64) -> Timestamp {
    let span = (400 * 86_400).min(of as i64 * 600);
    let back = span - (span as i128 * n as i128 / of.max(1) as i128) as i64;
    Timestamp::from_second(LATEST - back - 7200).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Fills an empty shop.
pub fn fill(shop: &mut Shop, orders: u64, seed: u64) {
    let mut maker = Maker::new(shop, orders, seed);
    for n in 0..orders {
        maker.order(shop, moment(n, orders));
    }
    // Nobody listened while the shop was made.
    shop.events.clear();
    settle_dates(shop);
}

/// Whatever else was made is as old as the oldest order.
fn settle_dates(shop: &mut Shop) {
    let old = times::gmt(moment(0, 1_000_000));
    let zone = shop.zone.clone();
    let all = shop.products.values_mut().chain(shop.customers.values_mut());
    for record in all {
        for key in ["date_created", "date_modified"] {
            set(record, key, times::local(&old, &zone).unwrap_or_default());
            set(record, &format!("{key}_gmt"), old.clone());
        }
    }
}

/// Adds orders made now to a shop that has products and customers.
pub fn more(shop: &mut Shop, orders: u64, seed: u64) -> Vec<u64> {
    let now = shop.clock.now();
    let sellable = |p: &&Record| super::record::text(p, "type") == "simple";
    let mut maker = Maker {
        random: ChaCha8Rng::seed_from_u64(seed),
        customers: shop.customers.keys().copied().collect(),
        products: shop.products.values().filter(sellable).map(|p| number(p, "id")).collect(),
        made: shop.orders.len() as u64,
    };
    if maker.customers.is_empty() || maker.products.is_empty() {
        return vec![];
    }
    let ids: Vec<u64> = (0..orders).filter_map(|_| maker.order(shop, now)).collect();
    for id in &ids {
        shop.touch_order(*id);
    }
    ids
}
