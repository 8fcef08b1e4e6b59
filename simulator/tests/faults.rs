//! Faults the control API can inject: reference, section 9, and the network's own.

mod common;

use common::{Shop, recorded, shop};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

async fn add(shop: &Shop, fault: Value) {
    shop.control(Method::POST, "/faults", fault).await;
}

#[tokio::test]
async fn error_pages_are_the_recorded_ones() {
    for (name, status, file) in [
        ("fatal_error", 500, "fault_fatal.txt"),
        ("database_error", 500, "fault_db.txt"),
        ("maintenance", 503, "fault_maintenance.txt"),
    ] {
        let shop = shop().await;
        add(&shop, json!({"fault": name, "match": {"count": 1}})).await;
        let answer = shop.get("/orders").await;
        assert_eq!((answer.status, answer.text), (status, recorded(&format!("responses/{file}"))));
        assert_eq!(shop.get("/orders").await.status, 200, "once only");
    }
}

#[tokio::test]
async fn maintenance_says_when_to_come_back() {
    let shop = shop().await;
    add(&shop, json!({"fault": "maintenance"})).await;
    assert_eq!(shop.get("/orders").await.header("retry-after"), "600");
}

#[tokio::test]
async fn a_notice_stands_before_valid_json() {
    let shop = shop().await;
    add(&shop, json!({"fault": "notice"})).await;
    let answer = shop.get("/orders?per_page=1").await;
    let start = recorded("responses/fault_notice.txt").split('[').next().unwrap().to_owned();
    assert_eq!(answer.status, 200);
    let json = answer.text.strip_prefix(&start).unwrap();
    assert!(serde_json::from_str::<Value>(json).unwrap().is_array());
}

#[tokio::test]
async fn limits_come_with_and_without_a_time() {
    let shop = shop().await;
    add(&shop, json!({"fault": "too_many_requests", "retry_after": 3, "match": {"nth": 1}})).await;
    add(&shop, json!({"fault": "too_many_requests", "match": {"nth": 2}})).await;
    let first = shop.get("/orders").await;
    assert_eq!((first.status, first.header("retry-after")), (429, "3"));
    let second = shop.get("/orders").await;
    assert_eq!((second.status, second.header("retry-after")), (429, ""));
    assert_eq!(second.json()["data"]["status"], 429);
}

#[tokio::test]
async fn one_order_of_a_page_can_be_garbage() {
    let shop = shop().await;
    add(&shop, json!({"fault": "garbage_order", "id": 173, "match": {"path": "/orders"}})).await;
    let page = shop.get("/orders?include=172,173,174&orderby=id&order=asc").await.json();
    assert_eq!(page[1]["total"], "a lot");
    assert!(page[0]["line_items"].is_array() && page[2]["line_items"].is_array());
}

#[tokio::test]
async fn totals_and_links_can_get_lost() {
    let shop = shop().await;
    add(&shop, json!({"fault": "lost_totals"})).await;
    let answer = shop.get("/orders").await;
    let lost = ["x-wp-total", "x-wp-totalpages", "link"].map(|n| answer.header(n).to_owned());
    assert_eq!((answer.ids().len(), lost), (10, [const { String::new() }; 3]));
}

#[tokio::test]
async fn a_dropped_answer_still_creates_the_order() {
    let shop = shop().await;
    add(&shop, json!({"fault": "drop_after_commit", "match": {"method": "POST", "count": 1}}))
        .await;
    let before = shop.get("/orders").await.header("x-wp-total").parse::<u64>().unwrap();
    let url = format!("{}/wp-json/wc/v3/orders", shop.https());
    let (key, secret) = shop.key("read_write");
    let post =
        shop.client.post(url).basic_auth(key, Some(secret)).json(&json!({"status": "pending"}));
    assert!(post.send().await.is_err(), "nobody was told");
    assert_eq!(shop.get("/orders").await.header("x-wp-total"), (before + 1).to_string());
}

#[tokio::test]
async fn a_reset_before_the_call_changes_nothing() {
    let shop = shop().await;
    add(&shop, json!({"fault": "reset", "match": {"method": "POST", "count": 1}})).await;
    let url = format!("{}/wp-json/wc/v3/orders", shop.https());
    let (key, secret) = shop.key("read_write");
    let post =
        shop.client.post(url).basic_auth(key, Some(secret)).json(&json!({"status": "pending"}));
    assert!(post.send().await.is_err());
    assert_eq!(shop.get("/orders").await.header("x-wp-total"), "298");
}

#[tokio::test]
async fn bodies_can_be_cut_slow_huge_or_of_the_wrong_shape() {
    let shop = shop().await;
    for (fault, path) in [
        (json!({"fault": "truncate", "bytes": 1000}), "cut"),
        (json!({"fault": "slow_drip", "bytes": 4000, "pause_ms": 20}), "slow"),
        (json!({"fault": "huge_body", "bytes": 5_000_000}), "huge"),
        (json!({"fault": "wrong_shape"}), "shape"),
        (json!({"fault": "latency", "ms": 60}), "late"),
    ] {
        let mut fault = fault;
        fault["match"] = json!({"path": format!("search={path}")});
        add(&shop, fault).await;
    }
    let url = format!("{}/wp-json/wc/v3/products?per_page=20&search=", shop.https());
    let (key, secret) = shop.key("read_write");
    let get =
        |word: &str| shop.client.get(format!("{url}{word}")).basic_auth(&key, Some(&secret)).send();
    assert!(get("huge").await.unwrap().bytes().await.unwrap().len() == 5_000_000);
    let shape: Value = get("shape").await.unwrap().json().await.unwrap();
    assert!(shape.is_object());
    let started = Instant::now();
    get("late").await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(60));
    let orders = format!("{}/wp-json/wc/v3/orders?per_page=3&_x=", shop.https());
    let get = |word: &str| {
        shop.client.get(format!("{orders}search={word}")).basic_auth(&key, Some(&secret)).send()
    };
    assert!(get("cut").await.unwrap().bytes().await.is_err());
    let started = Instant::now();
    let slow: Value = get("slow").await.unwrap().json().await.unwrap();
    assert!(slow.is_array() && started.elapsed() >= Duration::from_millis(40));
}

#[tokio::test]
async fn calls_are_counted_by_route_and_logged_without_secrets() {
    let shop = shop().await;
    let (key, secret) = shop.key("read_write");
    let url = format!(
        "{}/wp-json/wc/v3/Orders/173?consumer_key={key}&consumer_secret={secret}&dp=2",
        shop.https()
    );
    shop.send(shop.client.get(url)).await;
    shop.get("/orders?page=2").await;
    let calls = shop.control(Method::GET, "/calls", Value::Null).await;
    let expected = json!({"GET /wp-json/wc/v3/orders": 1, "GET /wp-json/wc/v3/orders/{id}": 1});
    assert_eq!(calls["by_route"], expected);
    let log = shop.control(Method::GET, "/calls/log", Value::Null).await;
    assert_eq!((&log[0]["query"], &log[1]["query"]), (&json!("dp=2"), &json!("page=2")));
    shop.control(Method::DELETE, "/calls", Value::Null).await;
    assert_eq!(shop.handle.woocommerce().calls().total(), 0);
}
