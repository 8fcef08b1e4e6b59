//! Everything the shop knows, in memory.

use super::keys::Keys;
use super::record::{Record, number, set, text};
use super::times;
use super::webhooks::Webhook;
use crate::clock::SimClock;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// An order, and how much of it is visible yet.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// The finished order.
    pub record: Record,
    /// Half-written forms that readers see first, the oldest in front.
    pub stages: VecDeque<Record>,
}

/// How orders become visible.
#[derive(Debug, Clone, Default)]
pub struct HalfWritten {
    /// New orders show so many unfinished forms first; 0: none.
    pub stages: usize,
    /// Each read of an order moves it on by one form; else only the control API does.
    pub advance_on_read: bool,
}

/// The last number given out, by kind. Orders, refunds, products, variations and coupons share one
/// sequence.
#[derive(Debug, Clone, Default)]
pub struct Sequences {
    /// Orders, refunds, products, variations, coupons.
    pub post: u64,
    /// Lines.
    pub item: u64,
    /// Entries of `meta_data`.
    pub meta: u64,
    /// Customers.
    pub user: u64,
    /// Tax rates.
    pub tax: u64,
    /// Webhooks.
    pub hook: u64,
    /// Order notes.
    pub comment: u64,
    /// Categories.
    pub term: u64,
}

/// Something happened that webhooks may be for.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `order.updated`, `action.woocommerce_delete_order`.
    pub topic: String,
    /// Of what it happened to.
    pub id: u64,
}

/// The shop's state.
pub struct Shop {
    /// The site's time zone.
    pub zone: TimeZone,
    /// The shop's time.
    pub clock: SimClock,
    /// The site's address, as `Link` and `_links` have it: `https://127.0.0.1:PORT`.
    pub site_url: String,
    /// The address under which cron runs, which deliveries name as their source.
    pub cron_url: String,
    /// The settings group `general`.
    pub general: Vec<Record>,
    /// The settings group `tax`.
    pub tax_settings: Vec<Record>,
    /// By id, those in the trash, too.
    pub orders: BTreeMap<u64, Order>,
    /// By id, each with its order's as `parent_id`.
    pub refunds: BTreeMap<u64, Record>,
    /// By id, those in the trash, too; no variations.
    pub products: BTreeMap<u64, Record>,
    /// By id, each with its product's as `parent_id`.
    pub variations: BTreeMap<u64, Record>,
    /// By id, users of all roles.
    pub customers: BTreeMap<u64, Record>,
    /// By id, those in the trash, too.
    pub coupons: BTreeMap<u64, Record>,
    /// Tax rates by id.
    pub taxes: BTreeMap<u64, Record>,
    /// In the order shown.
    pub tax_classes: Vec<Record>,
    /// Product categories by id.
    pub categories: BTreeMap<u64, Record>,
    /// Product attributes by id.
    pub attributes: BTreeMap<u64, Record>,
    /// Order notes; `order_id` is the shop's own key and never shown.
    pub notes: BTreeMap<u64, Record>,
    /// By id.
    pub webhooks: BTreeMap<u64, Webhook>,
    /// Who may call.
    pub keys: Keys,
    /// The last numbers given out.
    pub last: Sequences,
    /// How new orders become visible.
    pub half_written: HalfWritten,
    /// Drained by the webhook dispatcher.
    pub events: Vec<Event>,
}

impl Shop {
    /// A shop without settings or records.
    pub fn empty(zone: TimeZone, clock: SimClock) -> Self {
        Shop {
            zone,
            clock,
            site_url: String::new(),
            cron_url: String::new(),
            general: vec![],
            tax_settings: vec![],
            orders: BTreeMap::new(),
            refunds: BTreeMap::new(),
            products: BTreeMap::new(),
            variations: BTreeMap::new(),
            customers: BTreeMap::new(),
            coupons: BTreeMap::new(),
            taxes: BTreeMap::new(),
            tax_classes: vec![],
            categories: BTreeMap::new(),
            attributes: BTreeMap::new(),
            notes: BTreeMap::new(),
            webhooks: BTreeMap::new(),
            keys: Keys::default(),
            last: Sequences::default(),
            half_written: HalfWritten::default(),
            events: vec![],
        }
    }

    /// Now, GMT.
    pub fn now(&self) -> String {
        times::gmt(self.clock.now())
    }

    /// Sets `key_gmt` and the local `key`.
    pub fn set_date(&self, record: &mut Record, key: &str, gmt: &str) {
        let local = times::local(gmt, &self.zone).unwrap_or_default();
        set(record, key, local);
        set(record, &format!("{key}_gmt"), gmt);
    }

    /// Notes a modification now.
    pub fn touch(&self, record: &mut Record) {
        let now = self.now();
        self.set_date(record, "date_modified", &now);
    }

    /// Notes a product's modification now, if it is there.
    pub fn touch_product(&mut self, id: u64) {
        if let Some(mut record) = self.products.remove(&id) {
            self.touch(&mut record);
            self.products.insert(id, record);
        }
    }

    /// Notes an order's modification now, if it is there.
    pub fn touch_order(&mut self, id: u64) {
        if let Some(mut order) = self.orders.remove(&id) {
            self.touch(&mut order.record);
            self.orders.insert(id, order);
        }
    }

    /// The value of a setting of the groups `general` and `tax`.
    pub fn setting(&self, id: &str) -> &str {
        let all = self.general.iter().chain(&self.tax_settings);
        all.filter(|s| text(s, "id") == id).map(|s| text(s, "value")).next().unwrap_or_default()
    }

    /// Changes a setting; false when there is none of this name.
    pub fn change_setting(&mut self, id: &str, value: &str) -> bool {
        let mut all = self.general.iter_mut().chain(&mut self.tax_settings);
        match all.find(|s| text(s, "id") == id) {
            Some(setting) => {
                set(setting, "value", value);
                true
            }
            None => false,
        }
    }

    /// The store's decimals now: the default of `dp`.
    pub fn decimals(&self) -> u32 {
        self.setting("woocommerce_price_num_decimals").parse().unwrap_or(2)
    }

    /// A new number for an order, refund, product, variation or coupon.
    pub fn next_post(&mut self) -> u64 {
        self.last.post += 1;
        self.last.post
    }

    /// A new number for a line.
    pub fn next_item(&mut self) -> u64 {
        self.last.item += 1;
        self.last.item
    }

    /// A new number for an entry of `meta_data`.
    pub fn next_meta(&mut self) -> u64 {
        self.last.meta += 1;
        self.last.meta
    }

    /// Something happened to a resource: `order`, `updated`.
    pub fn event(&mut self, topic: impl Into<String>, id: u64) {
        self.events.push(Event { topic: topic.into(), id });
    }

    /// A product or variation by its id.
    pub fn sellable(&self, id: u64) -> Option<&Record> {
        self.products.get(&id).or_else(|| self.variations.get(&id))
    }

    /// Ids of an order's refunds, oldest first.
    pub fn refunds_of(&self, order: u64) -> impl Iterator<Item = &Record> {
        self.refunds.values().filter(move |r| number(r, "parent_id") == order)
    }

    /// What of an order's total was given back.
    pub fn refunded(&self, order: u64) -> Decimal {
        self.refunds_of(order).map(|r| super::record::amount(r, "amount")).sum()
    }

    /// All SKUs in use, of products and variations, with their owners' ids.
    pub fn sku_owner(&self, sku: &str, except: u64) -> Option<u64> {
        let all = self.products.iter().chain(&self.variations);
        all.filter(|(id, _)| **id != except)
            .find(|(_, r)| !sku.is_empty() && text(r, "sku") == sku)
            .map(|(id, _)| *id)
    }

    /// Every id of the shared sequence that is in use.
    pub fn post_ids(&self) -> BTreeSet<u64> {
        let orders = self.orders.keys();
        let others = [&self.refunds, &self.products, &self.variations, &self.coupons];
        orders.chain(others.into_iter().flat_map(|m| m.keys())).copied().collect()
    }

    /// New meta entries in the form the API stores: values as PHP keeps them, ids assigned.
    pub fn meta_entry(&mut self, key: &str, value: Value) -> Value {
        let mut entry = Record::new();
        set(&mut entry, "id", self.next_meta());
        set(&mut entry, "key", key);
        set(&mut entry, "value", value);
        Value::Object(entry)
    }
}
