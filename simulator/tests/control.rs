//! The control API's way round the rules.

mod common;

use common::shop;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn records_are_edited_as_they_are() {
    let shop = shop().await;
    let patch = json!({"total": "1.234", "billing": {"city": "Elsewhere"}});
    shop.control(Method::PUT, "/orders/173?touch=false", patch).await;
    let order = shop.get("/orders/173?dp=3").await.json();
    assert_eq!(
        (&order["total"], &order["billing"]["city"]),
        (&json!("1.234"), &json!("Elsewhere"))
    );
    assert_ne!(order["billing"]["country"], "", "the rest of an object stays");
}

#[tokio::test]
async fn edits_move_the_date_unless_told_otherwise() {
    let shop = shop().await;
    let date = async || shop.get("/orders/173").await.json()["date_modified_gmt"].clone();
    let before = date().await;
    shop.control(Method::PUT, "/orders/173?touch=false", json!({"customer_note": "x"})).await;
    assert_eq!(date().await, before);
    shop.control(Method::PUT, "/orders/173", json!({"customer_note": "y"})).await;
    assert_ne!(date().await, before);
}

#[tokio::test]
async fn records_are_added_raw_or_by_the_rules() {
    let shop = shop().await;
    let raw = json!({"total": "12.34", "currency": "EUR", "customer_id": 9999});
    let id = shop.control(Method::POST, "/orders?raw=true", raw).await["id"].clone();
    let order = shop.get(&format!("/orders/{id}")).await.json();
    assert_eq!((&order["total"], &order["customer_id"]), (&json!("12.34"), &json!(9999)));
    let ruled = json!({"line_items": [{"product_id": 11, "quantity": 1}]});
    let id = shop.control(Method::POST, "/orders", ruled).await["id"].clone();
    assert_eq!(shop.get(&format!("/orders/{id}")).await.json()["total"], "8.84");
    let refund = json!({"parent_id": 173, "amount": "1.00"});
    let id = shop.control(Method::POST, "/refunds?raw=true", refund).await["id"].clone();
    let refund = shop.get(&format!("/orders/173/refunds/{id}")).await.json();
    assert_eq!((&refund["amount"], &refund["line_items"]), (&json!("1.00"), &json!([])));
    let made = shop.control(Method::POST, "/generate", json!({"orders": 3})).await;
    assert_eq!(made["ids"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn records_are_trashed_restored_and_deleted() {
    let shop = shop().await;
    shop.control(Method::DELETE, "/orders/173?trash=true", Value::Null).await;
    assert_eq!(shop.get("/orders/173").await.json()["status"], "trash");
    shop.control(Method::POST, "/orders/173/restore", Value::Null).await;
    assert_ne!(shop.get("/orders/173").await.json()["status"], "trash");
    shop.control(Method::DELETE, "/orders/173", Value::Null).await;
    assert_eq!(shop.get("/orders/173").await.status, 404);
    let gone = shop.client.delete(format!("{}/woocommerce/orders/173", shop.handle.control));
    assert_eq!(shop.send(gone).await.status, 404);
}

#[tokio::test]
async fn wrong_calls_say_what_is_wrong() {
    let shop = shop().await;
    let url = |path: &str| format!("{}{path}", shop.handle.control);
    for (path, body, word) in [
        ("/woocommerce/settings", json!({"timezone": "Mars/Base"}), "Mars/Base"),
        ("/woocommerce/keys", json!({"name": "x", "role": "king"}), "roles are"),
        ("/woocommerce/faults", json!({"fault": "latency"}), "ms"),
        ("/woocommerce/orders/touch", json!({"at": "noon"}), "at must be"),
        ("/clock", json!({"now": "noon"}), "now must be"),
    ] {
        let answer = shop.send(shop.client.post(url(path)).json(&body)).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.text.contains(word), "{path}: {}", answer.text);
    }
    assert_eq!(shop.send(shop.client.get(url("/nobody/state"))).await.status, 404);
}
