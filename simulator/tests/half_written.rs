//! Orders that are seen while they are being written: reference, section 6.

mod common;

use common::{Shop, shop};
use reqwest::Method;
use serde_json::{Value, json};

async fn write_one(shop: &Shop) -> Value {
    let lines: Vec<Value> = (0..9).map(|n| json!({"product_id": 10 + n, "quantity": 1})).collect();
    shop.post("/orders", json!({"status": "processing", "line_items": lines})).await.json()
}

#[tokio::test]
async fn each_read_sees_a_little_more() {
    let shop = shop().await;
    shop.control(Method::PUT, "/half_written", json!({"stages": 3, "advance": "read"})).await;
    let written = write_one(&shop).await;
    assert_eq!(written["line_items"].as_array().unwrap().len(), 9, "the writer sees all of it");
    let path = format!("/orders/{}", written["id"]);
    let mut seen = vec![];
    for _ in 0..4 {
        let order = shop.get(&path).await.json();
        let lines = order["line_items"].as_array().unwrap().len();
        seen.push((order["status"].clone(), order["total"].clone(), lines));
    }
    assert_eq!((&seen[0].0, &seen[0].1), (&json!("pending"), &json!("0.00")));
    assert!(seen[0].2 < seen[1].2 && seen[1].2 < 9, "{seen:?}");
    assert_eq!((&seen[2].0, seen[2].2), (&json!("pending"), 9));
    assert_ne!(seen[2].1, written["total"], "the total still lacks its correction");
    assert_eq!(seen[3], (json!("processing"), written["total"].clone(), 9));
}

#[tokio::test]
async fn the_control_api_decides_when_it_is_told_to() {
    let shop = shop().await;
    shop.control(Method::PUT, "/half_written", json!({"stages": 1, "advance": "manual"})).await;
    let path = format!("/orders/{}", write_one(&shop).await["id"]);
    for _ in 0..3 {
        assert_eq!(shop.get(&path).await.json()["status"], "pending");
    }
    shop.control(Method::POST, "/half_written/advance", Value::Null).await;
    assert_eq!(shop.get(&path).await.json()["status"], "processing");
}

#[tokio::test]
async fn lists_show_the_unfinished_form_too() {
    let shop = shop().await;
    shop.control(Method::PUT, "/half_written", json!({"stages": 1})).await;
    let id = write_one(&shop).await["id"].clone();
    let in_list = async || {
        let list = shop.get("/orders?orderby=id").await.json();
        list.as_array().unwrap().iter().find(|o| o["id"] == id).unwrap()["status"].clone()
    };
    assert_eq!((in_list().await, in_list().await), (json!("pending"), json!("processing")));
}
