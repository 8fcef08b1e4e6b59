//! Filters by date: reference, section 2.

mod common;

use common::{Shop, shop};
use reqwest::Method;
use serde_json::{Value, json};

/// Of 60 orders modified at exactly this second (GMT).
const T: &str = "2026-12-01T10:00:00";

/// A shop where 60 orders were changed at once, and 5 a minute later.
async fn bulk(zone: &str) -> (Shop, Vec<u64>) {
    let shop = shop().await;
    shop.control(Method::PUT, "/settings", json!({"timezone": zone})).await;
    let mut ids: Vec<u64> = shop.get("/orders?per_page=100&orderby=id").await.ids();
    ids.truncate(65);
    let (many, few) = ids.split_at(60);
    shop.control(Method::POST, "/orders/touch", json!({"ids": many, "at": T})).await;
    shop.control(Method::POST, "/orders/touch", json!({"ids": few, "at": "2026-12-01T10:01:00"}))
        .await;
    (shop, ids)
}

async fn total(shop: &Shop, query: &str) -> u64 {
    shop.get(&format!("/orders?{query}")).await.header("x-wp-total").parse().unwrap()
}

#[tokio::test]
async fn both_bounds_are_strict() {
    let (shop, _) = bulk("America/New_York").await;
    assert_eq!(total(&shop, &format!("modified_after={T}&dates_are_gmt=true")).await, 5);
    assert_eq!(total(&shop, "modified_after=2026-12-01T09:59:59&dates_are_gmt=true").await, 65);
    let all = total(&shop, "").await;
    assert_eq!(total(&shop, &format!("modified_before={T}&dates_are_gmt=true")).await, all - 65);
}

#[tokio::test]
async fn naive_utc_is_right_in_every_zone_and_z_is_not() {
    for (zone, with_z) in
        [("UTC", 65), ("America/New_York", 65), ("Europe/Berlin", 0), ("Asia/Kolkata", 0)]
    {
        let (shop, _) = bulk(zone).await;
        let naive = "modified_after=2026-12-01T09:59:59&dates_are_gmt=true";
        assert_eq!(total(&shop, naive).await, 65, "{zone}");
        // Everything else in the shop is older than the shift.
        let zulu = "modified_after=2026-12-01T09:59:59Z&dates_are_gmt=true";
        assert_eq!(total(&shop, zulu).await, with_z, "{zone}");
    }
}

#[tokio::test]
async fn without_the_flag_a_naive_value_is_local_time() {
    let (shop, _) = bulk("Europe/Berlin").await;
    assert_eq!(total(&shop, "modified_after=2026-12-01T10:59:59").await, 65);
    assert_eq!(total(&shop, "modified_after=2026-12-01T11:00:00").await, 5);
    assert_eq!(total(&shop, "modified_after=2026-12-01T09:59:59Z").await, 65);
}

#[tokio::test]
async fn products_are_shifted_by_z_too() {
    let shop = shop().await;
    shop.control(Method::PUT, "/settings", json!({"timezone": "Europe/Berlin"})).await;
    shop.control(Method::POST, "/products/touch", json!({"ids": [10, 11], "at": T})).await;
    let count = async |query: &str| shop.get(&format!("/products?{query}")).await.ids().len();
    assert_eq!(count("modified_after=2026-12-01T09:59:59&dates_are_gmt=true").await, 2);
    assert_eq!(count("modified_after=2026-12-01T09:59:59Z&dates_are_gmt=true").await, 0);
}

#[tokio::test]
async fn a_changed_site_zone_moves_orders_local_times_but_not_products() {
    let shop = shop().await;
    let before = shop.get("/products/10").await.json()["date_modified"].clone();
    shop.control(Method::PUT, "/settings", json!({"timezone": "Asia/Kolkata"})).await;
    assert_eq!(shop.get("/products/10").await.json()["date_modified"], before);
    let order = shop.get("/orders/173").await.json();
    let gmt: jiff::civil::DateTime = order["date_created_gmt"].as_str().unwrap().parse().unwrap();
    let local: jiff::civil::DateTime = order["date_created"].as_str().unwrap().parse().unwrap();
    assert_eq!((local - gmt).total(jiff::Unit::Minute).unwrap(), 330.0);
}

#[tokio::test]
async fn dates_without_a_time_are_refused() {
    let shop = shop().await;
    for bad in ["2026-11-01", "1795162625"] {
        let refused = shop.get(&format!("/orders?modified_after={bad}")).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "rest_invalid_param"), "{bad}");
    }
}

#[tokio::test]
async fn some_lists_filter_by_date_and_the_others_ignore_it() {
    let shop = shop().await;
    let future = "modified_after=2031-01-01T00:00:00&dates_are_gmt=true";
    for path in [
        "/orders",
        "/products",
        "/products/59/variations",
        "/coupons",
        "/refunds",
        "/orders/160/refunds",
    ] {
        assert!(shop.get(&format!("{path}?{future}")).await.ids().is_empty(), "{path}");
    }
    for path in ["/customers", "/taxes", "/products/categories", "/orders/173/notes", "/webhooks"] {
        let plain = shop.get(path).await;
        let filtered = shop.get(&format!("{path}?{future}")).await;
        assert_eq!((filtered.status, &filtered.text), (200, &plain.text), "{path}");
    }
    let refused = shop.get("/customers?orderby=modified").await;
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn variations_have_no_list_of_their_own() {
    let shop = shop().await;
    for (path, status) in [
        ("/products/variations", 404),
        ("/variations", 404),
        ("/products?type=variation", 400),
        ("/products/60", 200),
    ] {
        assert_eq!(shop.get(path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn a_refund_is_found_by_when_it_was_made() {
    let shop = shop().await;
    let answer = shop
        .get("/refunds?modified_after=2026-11-22T00:00:00&dates_are_gmt=true&per_page=100")
        .await;
    let late = |v: &Value| v["date_created_gmt"].as_str().unwrap() > "2026-11-22T00:00:00";
    let found = answer.json();
    assert!(!found.as_array().unwrap().is_empty() && found.as_array().unwrap().iter().all(late));
}
