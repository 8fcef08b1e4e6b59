//! Reads a shop from a folder of recorded responses, or from the one that is part of the program.

use super::record::{Record, number, objects, set};
use super::state::{Order, Shop};
use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

macro_rules! recorded {
    ($($name:literal),*) => {
        &[$(($name, include_str!(concat!("../../fixtures/woocommerce/shop/", $name)))),*]
    };
}

/// The recorded shop, file by file.
const RECORDED: &[(&str, &str)] = recorded!(
    "coupons.json",
    "customers.json",
    "orders.json",
    "orders_trash.json",
    "products.json",
    "products_trash.json",
    "refunds.json",
    "settings_general.json",
    "settings_tax.json",
    "tax_classes.json",
    "taxes.json",
    "variations.json"
);

/// Recorded beside the shop: what the dump leaves out.
const CATEGORIES: &str = include_str!("../../fixtures/woocommerce/responses/categories.json");
const ATTRIBUTES: &str = include_str!("../../fixtures/woocommerce/responses/attributes.json");

/// Fills `shop` with the recorded shop.
pub fn recorded(shop: &mut Shop) -> Result<()> {
    fill(shop, &|name| {
        let file = RECORDED.iter().find(|(n, _)| *n == name);
        Ok(file.map(|(_, text)| (*text).to_owned()))
    })
}

/// Fills `shop` from a folder. `orders.json` is needed; the other files may be missing.
pub fn folder(shop: &mut Shop, folder: &Path) -> Result<()> {
    fill(shop, &|name| {
        let path = folder.join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && name != "orders.json" => Ok(None),
            Err(source) => Err(Error::Read { path, source }),
        }
    })
}

/// Settings, taxes and the like of the recorded shop, without its records: a base for generated
/// shops.
pub fn base(shop: &mut Shop) -> Result<()> {
    const KEPT: [&str; 4] =
        ["settings_general.json", "settings_tax.json", "tax_classes.json", "taxes.json"];
    fill(shop, &|name| {
        let file = RECORDED.iter().find(|(n, _)| *n == name && KEPT.contains(n));
        Ok(file.map(|(_, text)| (*text).to_owned()))
    })
}

type Files<'a> = &'a dyn Fn(&str) -> Result<Option<String>>;

fn read(files: Files<'_>, name: &str, fallback: &str) -> Result<Value> {
    let text = files(name)?;
    let text = text.as_deref().unwrap_or(fallback);
    serde_json::from_str(text)
        .map_err(|e| Error::Shop { file: name.to_owned(), why: format!("no JSON: {e}") })
}

fn records(files: Files<'_>, name: &str, fallback: &str) -> Result<Vec<Record>> {
    let Value::Array(items) = read(files, name, fallback)? else {
        return Err(Error::Shop { file: name.into(), why: "it must hold a list".into() });
    };
    items.into_iter().map(|item| record(item, name)).collect()
}

fn record(item: Value, name: &str) -> Result<Record> {
    let Value::Object(mut record) = item else {
        return Err(Error::Shop { file: name.into(), why: "it must hold objects".into() });
    };
    record.shift_remove("_links");
    Ok(record)
}

fn by_id(records: Vec<Record>) -> BTreeMap<u64, Record> {
    records.into_iter().map(|r| (number(&r, "id"), r)).collect()
}

fn fill(shop: &mut Shop, files: Files<'_>) -> Result<()> {
    shop.general = records(files, "settings_general.json", "[]")?;
    shop.tax_settings = records(files, "settings_tax.json", "[]")?;
    shop.tax_classes = records(files, "tax_classes.json", "[]")?;
    shop.taxes = by_id(records(files, "taxes.json", "[]")?);
    shop.categories = by_id(records(files, "categories.json", CATEGORIES)?);
    shop.attributes = by_id(records(files, "attributes.json", ATTRIBUTES)?);
    shop.coupons = by_id(records(files, "coupons.json", "[]")?);
    shop.customers = by_id(records(files, "customers.json", "[]")?);
    shop.refunds = by_id(records(files, "refunds.json", "[]")?);
    let mut products = records(files, "products.json", "[]")?;
    products.extend(records(files, "products_trash.json", "[]")?);
    shop.products = by_id(products);
    let mut orders = records(files, "orders.json", "[]")?;
    orders.extend(records(files, "orders_trash.json", "[]")?);
    shop.orders = by_id(orders)
        .into_iter()
        .map(|(id, record)| (id, Order { record, ..Order::default() }))
        .collect();
    load_variations(shop, read(files, "variations.json", "{}")?)?;
    sequences(shop);
    Ok(())
}

fn load_variations(shop: &mut Shop, file: Value) -> Result<()> {
    let name = "variations.json";
    let Value::Object(parents) = file else {
        return Err(Error::Shop { file: name.into(), why: "it must map parents to lists".into() });
    };
    for (parent, children) in parents {
        let parent: u64 = parent.parse().map_err(|_| Error::Shop {
            file: name.into(),
            why: format!("{parent:?} is no product id"),
        })?;
        let Value::Array(children) = children else { continue };
        for child in children {
            let mut child = record(child, name)?;
            set(&mut child, "parent_id", parent);
            shop.variations.insert(number(&child, "id"), child);
        }
    }
    Ok(())
}

/// New ids start after everything that was loaded.
fn sequences(shop: &mut Shop) {
    let top = |map: &BTreeMap<u64, Record>| map.keys().next_back().copied().unwrap_or_default();
    shop.last.user = top(&shop.customers);
    shop.last.tax = top(&shop.taxes);
    shop.last.term = top(&shop.categories);
    shop.last.post = shop.post_ids().last().copied().unwrap_or_default();
    let records = shop.orders.values().map(|o| &o.record).chain(shop.refunds.values());
    let (mut item, mut meta) = (0, 0);
    for record in records {
        for key in ["line_items", "shipping_lines", "fee_lines", "tax_lines", "coupon_lines"] {
            for line in objects(record, key) {
                item = item.max(number(line, "id"));
                meta = meta.max(highest_meta(line));
            }
        }
        meta = meta.max(highest_meta(record));
    }
    for record in shop.products.values().chain(shop.customers.values()) {
        meta = meta.max(highest_meta(record));
    }
    (shop.last.item, shop.last.meta) = (item, meta);
}

fn highest_meta(record: &Map<String, Value>) -> u64 {
    objects(record, "meta_data").map(|m| number(m, "id")).max().unwrap_or_default()
}
