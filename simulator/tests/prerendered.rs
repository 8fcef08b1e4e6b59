//! Made-up shops: generated, and rendered beforehand for benchmarks.

mod common;

use common::{Shop, with};
use reqwest::Method;
use serde_json::{Value, json};
use simulator::{Options, woocommerce};
use std::collections::BTreeSet;
use woocommerce::Source;

async fn made(source: Source) -> Shop {
    let woocommerce = woocommerce::Options { source, ..Default::default() };
    with(Options { woocommerce, ..Options::default() }).await
}

#[tokio::test]
async fn a_generated_shop_is_the_same_for_the_same_seed() {
    let strip = |mut v: Value| {
        // Keys of orders and addresses of the server are new each time.
        for order in v.as_array_mut().unwrap() {
            for key in ["order_key", "payment_url", "_links"] {
                order.as_object_mut().unwrap().remove(key);
            }
        }
        v
    };
    let mut seen = vec![];
    for seed in [1, 1, 2] {
        let shop = made(Source::Generated { orders: 40, seed }).await;
        seen.push(strip(shop.get("/orders?per_page=100").await.json()));
        assert!(shop.get("/customers").await.ids().len() >= 4);
    }
    assert_eq!(seen[0], seen[1]);
    assert_ne!(seen[0], seen[2]);
}

#[tokio::test]
async fn generated_orders_have_three_lines_and_a_usual_size() {
    let shop = made(Source::Generated { orders: 100, seed: 3 }).await;
    let orders = shop.get("/orders?per_page=100").await;
    let list = orders.json();
    assert_eq!(list.as_array().unwrap().len(), 100);
    assert!(
        list.as_array().unwrap().iter().all(|o| o["line_items"].as_array().unwrap().len() == 3)
    );
    let mean = orders.text.len() / 100;
    assert!((3000..=4200).contains(&mean), "{mean} bytes an order");
}

#[tokio::test]
async fn pages_of_prerendered_orders_are_like_those_of_the_slow_way() {
    let shop = made(Source::Prerendered { orders: 1000, seed: 3 }).await;
    let found = shop.all("/orders?orderby=id&order=asc&dp=2", 100).await;
    let ids: BTreeSet<u64> = found.iter().map(|o| o["id"].as_u64().unwrap()).collect();
    assert_eq!((found.len(), ids.len()), (1000, 1000));
    let lines: BTreeSet<u64> = found
        .iter()
        .flat_map(|o| o["line_items"].as_array().unwrap())
        .map(|l| l["id"].as_u64().unwrap())
        .collect();
    assert_eq!(lines.len(), 3000, "every line has an id of its own");
    let recorded: Value =
        serde_json::from_str(&common::recorded("responses/order_60_lines.json")).unwrap();
    let keys = |v: &Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&found[7]), keys(&recorded));
    let text = found[7].to_string();
    assert!(
        !text.contains("800000000000") && !text.contains("1970-") && !text.contains("1971-"),
        "{text}"
    );
    assert_eq!(found[7]["number"], found[7]["id"].to_string());
    let one = shop.get(&format!("/orders/{}", found[7]["id"])).await;
    assert_eq!(one.json(), found[7]);
    let page = shop.get("/orders?per_page=100&page=3&orderby=id&order=asc").await;
    assert_eq!((page.header("x-wp-total"), page.header("x-wp-totalpages")), ("1000", "10"));
    assert!(page.header("link").contains("page=4"));
}

#[tokio::test]
async fn prerendered_orders_can_be_filtered_touched_and_walked_by_id() {
    let shop = made(Source::Prerendered { orders: 500, seed: 3 }).await;
    let since = shop.handle.clock.now().strftime("%Y-%m-%dT%H:%M:%S").to_string();
    shop.handle.clock.advance(jiff::SignedDuration::from_secs(60));
    let path = format!(
        "/orders?modified_after={since}&dates_are_gmt=true&orderby=id&order=asc&per_page=100"
    );
    assert!(shop.get(&path).await.ids().is_empty());
    shop.control(Method::POST, "/prerendered/touch", json!({"count": 5})).await;
    let touched = shop.get(&path).await;
    assert_eq!(touched.ids().len(), 5);
    assert!(touched.json()[0]["date_modified_gmt"].as_str().unwrap() > since.as_str());
    let walk = shop.all("/orders?_fields=id,date_modified_gmt&orderby=id&order=asc", 100).await;
    assert_eq!(walk.len(), 500);
    assert_eq!(walk[0].as_object().unwrap().len(), 2);
    let ids = touched.ids().iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    assert_eq!(shop.get(&format!("/orders?include={ids}")).await.ids().len(), 5);
}

#[tokio::test]
async fn prerendered_orders_want_a_key_and_cannot_be_written() {
    let shop = made(Source::Prerendered { orders: 10, seed: 3 }).await;
    let url = format!("{}/wp-json/wc/v3/orders", shop.https());
    assert_eq!(shop.send(shop.client.get(url)).await.status, 401);
    assert_eq!(shop.post("/orders", json!({})).await.status, 501);
    assert!(!shop.get("/products").await.ids().is_empty());
    assert_eq!(shop.get("/orders?customer=3").await.status, 501, "an unknown filter is no silence");
}

#[tokio::test]
async fn a_folder_of_recorded_files_makes_a_shop() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("orders.json"),
        "[{\"id\":5,\"status\":\"pending\",\"total\":\"1.00\"}]",
    )
    .unwrap();
    let shop = made(Source::Folder(folder.path().to_owned())).await;
    assert_eq!(shop.get("/orders").await.ids(), [5]);
    let missing =
        woocommerce::Options { source: Source::Folder("nowhere".into()), ..Default::default() };
    let error = simulator::start(Options { woocommerce: missing, ..Options::default() }).await;
    assert!(error.err().unwrap().to_string().contains("nowhere"));
}
