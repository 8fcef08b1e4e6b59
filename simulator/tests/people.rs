//! Customers, coupons and taxes: who they are, and what writing them does.

mod common;

use common::{Shop, shop};
use reqwest::Method;
use serde_json::{Value, json};

async fn modified(shop: &Shop, path: &str) -> Value {
    shop.get(path).await.json()["date_modified_gmt"].clone()
}

#[tokio::test]
async fn the_list_shows_one_role_unless_told_otherwise() {
    let shop = shop().await;
    let roles = async |query: &str| -> Vec<String> {
        let found = shop.all(&format!("/customers{query}"), 100).await;
        let mut roles: Vec<String> =
            found.iter().map(|c| c["role"].as_str().unwrap().to_owned()).collect();
        roles.sort();
        roles.dedup();
        roles
    };
    assert_eq!(roles("").await, ["customer"]);
    assert_eq!(roles("?role=all").await, ["administrator", "customer", "shop_manager"]);
    assert_eq!(shop.get("/customers?role=king").await.status, 400);
}

#[tokio::test]
async fn an_email_belongs_to_one_customer() {
    let shop = shop().await;
    let made =
        shop.post("/customers", json!({"email": "New@Example.test", "first_name": "Zoë"})).await;
    assert_eq!(made.status, 201);
    assert_eq!(
        made.header("location"),
        format!("{}/wp-json/wc/v3/customers/{}", shop.https(), made.json()["id"])
    );
    let again = shop.post("/customers", json!({"email": "new@example.test"})).await;
    assert_eq!(again.code(), "registration-error-email-exists");
    assert_eq!(shop.post("/customers", json!({})).await.code(), "rest_missing_callback_param");
    assert_eq!(
        shop.post("/customers", json!({"email": "nope"})).await.code(),
        "rest_invalid_param"
    );
}

#[tokio::test]
async fn a_customers_date_moves_with_the_profile_and_not_with_an_order() {
    let shop = shop().await;
    let path = "/customers/7";
    let before = modified(&shop, path).await;
    shop.handle.clock.advance(jiff::SignedDuration::from_secs(60));
    shop.post("/orders", json!({"customer_id": 7, "status": "completed"})).await;
    assert_eq!(modified(&shop, path).await, before);
    shop.put(path, json!({"billing": {"city": "Elsewhere"}})).await;
    assert_ne!(modified(&shop, path).await, before);
    let after = shop.get(path).await.json();
    assert_eq!(
        (&after["billing"]["city"], &after["billing"]["country"]),
        (&json!("Elsewhere"), &json!("DE"))
    );
}

#[tokio::test]
async fn coupons_are_trashed_and_their_codes_come_free() {
    let shop = shop().await;
    let made = shop
        .post("/coupons", json!({"code": "  Spring ", "amount": "5", "discount_type": "percent"}))
        .await;
    let coupon = made.json();
    assert_eq!((&coupon["code"], &coupon["amount"]), (&json!("spring"), &json!("5.00")));
    let path = format!("/coupons/{}", coupon["id"]);
    assert_eq!(
        shop.post("/coupons", json!({"code": "SPRING"})).await.code(),
        "woocommerce_rest_coupon_code_already_exists"
    );
    assert_eq!(shop.delete(&path).await.status, 200);
    assert!(shop.get("/coupons?code=spring").await.ids().is_empty());
    assert_eq!(shop.delete(&path).await.status, 410);
    assert_eq!(shop.post("/coupons", json!({"code": "spring"})).await.status, 201);
}

#[tokio::test]
async fn taxes_are_written_and_deleted_for_good() {
    let shop = shop().await;
    let made =
        shop.post("/taxes", json!({"country": "FR", "rate": "20.0000", "name": "TVA"})).await;
    assert_eq!(made.status, 201);
    let path = format!("/taxes/{}", made.json()["id"]);
    assert_eq!(shop.put(&path, json!({"rate": "5.5000"})).await.json()["rate"], "5.5000");
    let order =
        json!({"shipping": {"country": "FR"}, "line_items": [{"product_id": 11, "quantity": 1}]});
    assert_eq!(shop.post("/orders", order).await.json()["total_tax"], "0.44");
    assert_eq!(shop.delete(&path).await.status, 501);
    assert_eq!(shop.delete(&format!("{path}?force=true")).await.status, 200);
    assert_eq!(shop.get(&path).await.status, 404);
}

#[tokio::test]
async fn methods_can_be_named_in_other_ways() {
    let shop = shop().await;
    let answer = shop.call(Method::POST, "/customers/7?_method=DELETE&force=true", None).await;
    assert_eq!(answer.status, 200);
    assert_eq!(shop.get("/customers/7").await.status, 404);
    assert_eq!(shop.call(Method::PATCH, "/orders", None).await.code(), "rest_no_route");
}
