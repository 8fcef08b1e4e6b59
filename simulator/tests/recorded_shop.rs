//! The recorded shop comes out of the simulator as it went in.

mod common;

use common::{Shop, recorded, shop};
use serde_json::Value;

/// A recorded file with the simulator's address in place of the recorded one.
fn expected(shop: &Shop, file: &str) -> Value {
    let text = recorded(&format!("shop/{file}")).replace("https://127.0.0.1:8443", shop.https());
    serde_json::from_str(&text).unwrap()
}

async fn same(path: &str, file: &str) {
    let shop = shop().await;
    let mut found = shop.all(path, 100).await;
    let mut wanted = expected(&shop, file).as_array().unwrap().clone();
    found.sort_by_key(|v| v["id"].as_u64());
    wanted.sort_by_key(|v| v["id"].as_u64());
    for (found, wanted) in found.iter().zip(&wanted) {
        assert_eq!(found.to_string(), wanted.to_string(), "{file} {}", wanted["id"]);
    }
    assert_eq!(found.len(), wanted.len(), "{file}");
}

#[tokio::test]
async fn orders_come_out_as_they_went_in() {
    same("/orders?dp=2&orderby=id&order=asc", "orders.json").await;
}

#[tokio::test]
async fn trashed_orders_come_out_as_they_went_in() {
    same("/orders?dp=2&status=trash", "orders_trash.json").await;
}

#[tokio::test]
async fn products_come_out_as_they_went_in() {
    same("/products?orderby=id", "products.json").await;
    same("/products?orderby=id&status=trash", "products_trash.json").await;
}

#[tokio::test]
async fn variations_come_out_as_they_went_in() {
    let shop = shop().await;
    for (parent, wanted) in expected(&shop, "variations.json").as_object().unwrap() {
        let found =
            shop.all(&format!("/products/{parent}/variations?orderby=id&order=asc"), 100).await;
        let mut wanted = wanted.as_array().unwrap().clone();
        wanted.sort_by_key(|v| v["id"].as_u64());
        assert_eq!(Value::from(found).to_string(), Value::from(wanted).to_string());
    }
}

#[tokio::test]
async fn people_refunds_coupons_and_taxes_come_out_as_they_went_in() {
    same("/customers?role=all", "customers.json").await;
    same("/refunds?dp=2", "refunds.json").await;
    same("/coupons", "coupons.json").await;
    same("/taxes", "taxes.json").await;
}

#[tokio::test]
async fn settings_come_out_as_they_went_in() {
    let shop = shop().await;
    for (path, file) in [
        ("/settings/general", "settings_general.json"),
        ("/settings/tax", "settings_tax.json"),
        ("/taxes/classes", "tax_classes.json"),
    ] {
        let found = shop.get(path).await.json();
        assert_eq!(found.to_string(), expected(&shop, file).to_string(), "{file}");
    }
}

#[tokio::test]
async fn the_shop_holds_what_the_demo_promises() {
    let shop = shop().await;
    let state = shop.control(reqwest::Method::GET, "/state", Value::Null).await;
    assert_eq!(state["orders"]["live"], 289);
    assert_eq!(state["orders"]["lines"], 855);
    let sums = &state["orders"]["sums"];
    assert_eq!((&sums["USD"], &sums["GBP"]), (&"231093.77".into(), &"24284.74".into()));
    assert_eq!((&sums["EUR"], &sums["JPY"]), (&"3120.35".into(), &"136.61".into()));
    assert_eq!(sums["KWD"], "625.65");
    let counts = ["customers", "products", "variations", "refunds"].map(|k| state[k].as_u64());
    assert_eq!(counts, [Some(43), Some(59), Some(74), Some(43)]);
    assert_eq!(shop.get("/customers").await.header("x-wp-total"), "41");
}
