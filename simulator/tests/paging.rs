//! Walking through lists: reference, section 3.

mod common;

use common::{Shop, shop};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

async fn walk(shop: &Shop, path: &str) -> (usize, BTreeSet<u64>) {
    let found = shop.all(path, 7).await;
    let ids = found.iter().map(|v| v["id"].as_u64().unwrap()).collect();
    (found.len(), ids)
}

#[tokio::test]
async fn ordered_by_modification_a_walk_loses_rows() {
    let shop = shop().await;
    shop.control(Method::POST, "/orders/touch", json!({"at": "2026-12-01T10:00:00"})).await;
    shop.control(Method::POST, "/products/touch", json!({"at": "2026-12-01T10:00:00"})).await;
    for path in ["/orders?orderby=modified&order=asc", "/products?orderby=modified&order=asc"] {
        let (rows, distinct) = walk(&shop, path).await;
        assert!(distinct.len() < rows, "{path}: {} of {rows}", distinct.len());
    }
}

#[tokio::test]
async fn ordered_by_id_or_orders_by_date_a_walk_is_complete() {
    let shop = shop().await;
    for (path, count) in [
        ("/orders?orderby=id&order=asc", 298),
        ("/orders?orderby=date", 298),
        ("/products?orderby=id&order=asc", 59),
    ] {
        let (rows, distinct) = walk(&shop, path).await;
        assert_eq!((rows, distinct.len()), (count, count), "{path}");
    }
    let ids = shop.get("/orders?orderby=id&order=asc&per_page=50").await.ids();
    assert!(ids.is_sorted());
}

#[tokio::test]
async fn the_lossy_order_is_the_same_every_time() {
    let shop = shop().await;
    shop.control(Method::POST, "/orders/touch", json!({"at": "2026-12-01T10:00:00"})).await;
    let path = "/orders?orderby=modified&page=3";
    assert_eq!(shop.get(path).await.ids(), shop.get(path).await.ids());
}

#[tokio::test]
async fn past_the_end_orders_count_nothing_and_the_others_tell_the_truth() {
    let shop = shop().await;
    let orders = shop.get("/orders?page=999&per_page=100").await;
    assert_eq!((orders.status, orders.text.as_str()), (200, "[]"));
    assert_eq!((orders.header("x-wp-total"), orders.header("x-wp-totalpages")), ("0", "0"));
    let link = format!(
        "<{}/wp-json/wc/v3/orders?page=0&per_page=100&status%5B0%5D=any>; rel=\"prev\"",
        shop.https()
    );
    assert_eq!(orders.header("link"), link);
    for (path, total) in [("/customers", "41"), ("/taxes", "7"), ("/products", "59")] {
        let answer = shop.get(&format!("{path}?page=999&per_page=100")).await;
        assert_eq!((answer.text.as_str(), answer.header("x-wp-total")), ("[]", total), "{path}");
    }
}

#[tokio::test]
async fn links_come_from_the_sites_address_and_gain_parameters() {
    let shop = shop().await;
    let answer = shop.get("/orders?per_page=100&page=2").await;
    let base = format!("{}/wp-json/wc/v3/orders?per_page=100", shop.https());
    let rest = "status%5B0%5D=any&dp=2&context=view";
    let expected =
        format!("<{base}&page=1&{rest}>; rel=\"prev\", <{base}&page=3&{rest}>; rel=\"next\"");
    assert_eq!(answer.header("link"), expected);
    let first =
        shop.get("/orders?per_page=25&modified_after=2026-06-01T00:00:00&dates_are_gmt=true").await;
    assert!(first.header("link").contains("modified_after=2026-06-01T00%3A00%3A00&dates_are_gmt=1&status%5B0%5D=any&dp=2&context=view&page=2>; rel=\"next\""));
}

#[tokio::test]
async fn offset_and_head_work() {
    let shop = shop().await;
    let all = shop.get("/orders?orderby=id&order=asc&per_page=10").await.ids();
    let offset = shop.get("/orders?orderby=id&order=asc&per_page=4&offset=3").await.ids();
    assert_eq!(offset, all[3..7]);
    let head = shop.call(Method::HEAD, "/orders?per_page=100", None).await;
    assert_eq!((head.status, head.header("x-wp-total"), head.text.as_str()), (200, "298", ""));
}

#[tokio::test]
async fn include_is_capped_by_the_page_and_skips_what_is_not_there() {
    let shop = shop().await;
    assert_eq!(shop.get("/orders?include=153,154,99999999").await.ids().len(), 2);
    assert!(shop.get("/orders?include=256").await.ids().is_empty(), "256 is in the trash");
    assert_eq!(shop.get("/orders?include=256&status=trash").await.ids(), [256]);
    let ids: Vec<String> =
        shop.get("/orders?per_page=30").await.ids().iter().map(u64::to_string).collect();
    let found = shop.get(&format!("/orders?include={}", ids.join(","))).await;
    assert_eq!((found.ids().len(), found.header("x-wp-total")), (10, "30"));
}

#[tokio::test]
async fn hundreds_of_ids_overflow_the_proxys_headers() {
    let shop = shop().await;
    let ids = |n: u64| (153..153 + n).map(|id| id.to_string()).collect::<Vec<_>>().join(",");
    assert_eq!(shop.get(&format!("/orders?include={}&per_page=100", ids(100))).await.status, 200);
    let overflow = shop.get(&format!("/orders?include={}&per_page=100", ids(600))).await;
    assert_eq!(overflow.status, 502);
    assert!(overflow.text.starts_with("<html>"));
}

#[tokio::test]
async fn chosen_fields_drop_what_is_nested_in_lists() {
    let shop = shop().await;
    let order = shop.get("/orders/173?_fields=id,billing.email,line_items.id").await.json();
    assert_eq!(order["billing"].as_object().unwrap().len(), 1);
    assert_eq!(order.as_object().unwrap().len(), 2);
    assert_eq!(
        shop.get("/products/10?_fields=id,dimensions.length").await.json(),
        json!({"id": 10})
    );
}

#[tokio::test]
async fn statuses_filter_as_measured() {
    let shop = shop().await;
    let statuses = async |query: &str| -> BTreeSet<String> {
        let text = |v: &Value| v["status"].as_str().unwrap().to_owned();
        shop.all(&format!("/orders{query}"), 100).await.iter().map(text).collect()
    };
    let any = statuses("").await;
    assert!(any.contains("checkout-draft") && !any.contains("trash"));
    assert_eq!(statuses("?status=any,trash").await, any);
    assert_eq!(statuses("?status=trash").await, BTreeSet::from(["trash".into()]));
    let two = statuses("?status=failed,cancelled").await;
    assert_eq!(two, BTreeSet::from(["failed".into(), "cancelled".into()]));
}

#[tokio::test]
async fn searches_and_single_filters_find_what_they_should() {
    let shop = shop().await;
    assert_eq!(shop.get("/orders?search=txn_000110").await.ids(), [262]);
    let found = shop.get("/orders?search=cust6@example.test&per_page=100").await.json();
    assert!(found.as_array().unwrap().iter().any(|o| o["id"] == 262));
    let of = shop.get("/orders?customer=10&per_page=100").await.json();
    assert!(of.as_array().unwrap().iter().all(|o| o["customer_id"] == 10));
    assert_eq!(shop.get("/products?sku=VAR-0-R-S").await.json()[0]["type"], "variation");
    assert_eq!(shop.get("/customers?email=cust1@example.test").await.ids().len(), 1);
    let of_160 = shop.get("/refunds?parent=160").await.json();
    assert!(
        of_160.as_array().unwrap().iter().all(|r| r["parent_id"] == 160) && !of_160[0].is_null()
    );
    assert!(shop.get("/products?parent=59").await.ids().is_empty(), "variations aren't listed");
    assert_eq!(shop.get("/customers?role=all").await.header("x-wp-total"), "43");
    assert_eq!(shop.get("/coupons?code=ten%25off").await.ids(), [145]);
}

#[tokio::test]
async fn absurd_numbers_are_answered() {
    let shop = shop().await;
    for (query, status) in [
        ("page=9223372036854775807&per_page=100", 200),
        ("page=99999999999999999999", 400),
        ("offset=9223372036854775807", 200),
        ("include=99999999999999999999,-1,x", 200),
        ("modified_after=9999-12-31T23:59:59", 200),
        ("dp=99", 200),
    ] {
        assert_eq!(shop.get(&format!("/orders?{query}")).await.status, status, "{query}");
    }
    let line = json!({"product_id": 10, "quantity": 1_000_000_000_000u64, "total": "9e30"});
    assert_eq!(shop.post("/orders", json!({"line_items": [line]})).await.status, 201);
}
