//! The shop's records as its own API would give them.

use super::cell::{amount, plain};
use rust_decimal::Decimal;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Everything a shop holds, each record as the REST API renders it with enough decimals.
#[derive(Debug, Clone, Default)]
pub struct Shop {
    pub customers: Vec<Value>,
    /// Without variations and without the trash.
    pub products: Vec<Value>,
    pub variations: Vec<Value>,
    /// With checkout drafts, without the trash.
    pub orders: Vec<Value>,
    pub trashed_orders: Vec<Value>,
    /// With `parent_id`.
    pub refunds: Vec<Value>,
}

/// Orders of one currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    pub orders: u64,
    pub total: Decimal,
}

impl Shop {
    /// Orders that belong into the hub: no drafts of a checkout.
    pub fn live_orders(&self) -> Vec<&Value> {
        self.orders.iter().filter(|o| o["status"] != "checkout-draft").collect()
    }

    /// Orders and their sums by currency.
    pub fn sums(&self) -> BTreeMap<String, Sum> {
        let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
        for order in self.live_orders() {
            let sum = sums.entry(plain(&order["currency"]).unwrap_or_default()).or_default();
            sum.orders += 1;
            sum.total += amount(&order["total"]);
        }
        sums
    }

    /// Lines of all live orders.
    pub fn line_count(&self) -> usize {
        self.live_orders().iter().map(|o| list(o, "line_items").len()).sum()
    }

    /// People who ordered without an account, by e-mail in lower case.
    pub fn guest_emails(&self) -> BTreeSet<String> {
        self.live_orders()
            .iter()
            .filter(|o| o["customer_id"] == 0)
            .filter_map(|o| plain(&o["billing"]["email"]))
            .map(|email| email.to_lowercase())
            .collect()
    }

    pub fn refunds_of(&self, order_id: &str) -> Vec<&Value> {
        let same = |refund: &&Value| plain(&refund["parent_id"]).as_deref() == Some(order_id);
        self.refunds.iter().filter(same).collect()
    }

    pub fn product_ids(&self) -> Vec<String> {
        self.products.iter().chain(&self.variations).map(id_of).collect()
    }

    pub fn customer_ids(&self) -> Vec<String> {
        self.customers.iter().map(id_of).collect()
    }
}

/// The record's id as text.
pub fn id_of(record: &Value) -> String {
    record["id"].to_string()
}

/// A list inside a record; empty where there is none.
pub fn list(record: &Value, key: &str) -> Vec<Value> {
    record[key].as_array().cloned().unwrap_or_default()
}
