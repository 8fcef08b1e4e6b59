//! Recorded responses, asked again: shapes, not counts; error bodies to the letter.

mod common;

use common::{Shop, recorded, shop};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// For each path into a value the kinds found there; lists add up.
type Shape = BTreeMap<String, BTreeSet<String>>;

fn collect(value: &Value, path: &str, shape: &mut Shape) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    };
    shape.entry(path.to_owned()).or_default().insert(kind.to_owned());
    match value {
        Value::Array(items) => items.iter().for_each(|v| collect(v, &format!("{path}[]"), shape)),
        Value::Object(map) if free_form(path) => assert!(!path.is_empty() || map.is_empty()),
        Value::Object(map) => {
            let keys: Vec<&str> = map.keys().map(String::as_str).collect();
            let entry = shape.entry(format!("{path}{{}}")).or_default();
            entry.insert(keys.join(","));
            map.iter().for_each(|(k, v)| collect(v, &format!("{path}.{k}"), shape));
        }
        _ => {}
    }
}

/// Where shops put what they like.
fn free_form(path: &str) -> bool {
    path.ends_with("meta_data[].value") || path.ends_with("options") || path.ends_with(".routes")
}

/// Compares wherever both have something: same keys in the same order, and kinds in common.
fn compare(name: &str, wanted: &Value, found: &Value) {
    let (mut want, mut have) = (Shape::new(), Shape::new());
    collect(wanted, "$", &mut want);
    collect(found, "$", &mut have);
    for (path, kinds) in &want {
        let Some(ours) = have.get(path) else { continue };
        if path.contains("meta_data[].") && path.contains("value") {
            continue;
        }
        // Null stands for "none" beside any other kind.
        let agree = ours.intersection(kinds).next().is_some()
            || (kinds.iter().chain(ours).any(|k| k == "null"));
        assert!(agree, "{name}: {path} was {kinds:?}, is {ours:?}");
    }
    assert!(want.keys().filter(|p| have.contains_key(*p)).count() > 0, "{name}: nothing in common");
}

/// Recorded file, path; all by GET with the read-write key.
const GETS: &[(&str, &str)] = &[
    ("attributes", "/products/attributes"),
    ("categories", "/products/categories?per_page=100"),
    ("coupons", "/coupons?per_page=100"),
    ("currency_setting", "/settings/general/woocommerce_currency"),
    ("customer_single", "/customers/7"),
    ("customers_page1", "/customers?per_page=100"),
    ("customers_role_all", "/customers?per_page=100&role=all"),
    ("data_current_currency", "/data/currencies/current"),
    ("order_3_for_10", "/orders/176"),
    ("order_60_lines", "/orders/173"),
    ("order_currency_KWD", "/orders/311"),
    ("order_dp0", "/orders/330?dp=0"),
    ("order_dp4", "/orders/330?dp=4"),
    ("order_fee_ship_coupon_compoundtax", "/orders/262"),
    ("order_meta_shapes_with_NUL_trashed", "/orders/497"),
    ("order_no_lines", "/orders/189"),
    ("order_with_deleted_product", "/orders/179"),
    ("order_with_variation", "/orders/469"),
    ("order_currency_JPY", "/orders/358"),
    ("order_prices_include_tax", "/orders/373"),
    ("order_refunded_full", "/orders/157"),
    ("order_refunded_partial_line", "/orders/160"),
    ("order_refunded_two_partials", "/orders/162"),
    ("order_refunds_list_full", "/orders/157/refunds"),
    ("order_refunds_list_partial_line", "/orders/160/refunds"),
    ("order_refunds_list_two_partials", "/orders/162/refunds"),
    ("order_single_with_headers", "/orders/173"),
    ("order_tax_round_at_subtotal_502", "/orders/502"),
    ("order_tax_round_at_subtotal_507", "/orders/507"),
    ("order_trashed_get_by_id", "/orders/256"),
    ("order_zero_total_coupon", "/orders/325"),
    ("orders_fields", "/orders?per_page=100&_fields=id,status,date_modified_gmt,total"),
    (
        "orders_modified_asc_p1",
        "/orders?per_page=25&orderby=modified&order=asc&modified_after=2026-06-01T00:00:00&dates_are_gmt=true",
    ),
    ("orders_page1_desc", "/orders?per_page=100&page=1"),
    ("orders_page2_desc", "/orders?per_page=100&page=2"),
    ("orders_page3_desc", "/orders?per_page=100&page=3"),
    ("orders_status_checkout_draft", "/orders?status=checkout-draft"),
    ("orders_status_multi", "/orders?status=failed,cancelled&per_page=4"),
    ("orders_status_trash", "/orders?status=trash"),
    ("payment_gateways", "/payment_gateways"),
    ("product_variable_single", "/products/59"),
    ("products_by_sku", "/products?sku=SKU-0001"),
    ("products_by_variation_sku", "/products?sku=VAR-0-R-S"),
    ("products_include", "/products?include=10,11,12,13,14"),
    ("products_page1", "/products?per_page=100&page=1"),
    ("products_status_any", "/products?status=any&per_page=3"),
    ("products_trash", "/products?status=trash"),
    ("refund_single", "/orders/160/refunds/403"),
    ("refunds_global", "/refunds?per_page=50"),
    ("reports_orders_totals", "/reports/orders/totals"),
    ("route_case", "/Orders?per_page=7"),
    ("settings_general", "/settings/general"),
    ("settings_groups", "/settings"),
    ("settings_tax", "/settings/tax"),
    ("shipping_zones", "/shipping/zones"),
    ("system_status_trim", "/system_status"),
    ("tax_classes", "/taxes/classes"),
    ("taxes", "/taxes?per_page=100"),
    ("variation_single", "/products/59/variations/60"),
    ("variation_via_products_endpoint", "/products/60"),
    ("variations_0", "/products/59/variations?per_page=100"),
    ("variations_1", "/products/72/variations?per_page=100"),
    ("variations_2", "/products/76/variations?per_page=100"),
    ("variations_3", "/products/89/variations?per_page=100"),
];

#[tokio::test]
async fn recorded_reads_have_the_same_shape() {
    let shop = shop().await;
    let existing: BTreeSet<u64> = shop.handle.shop.state().post_ids();
    for (file, path) in GETS {
        let single =
            path.strip_prefix("/orders/").and_then(|id| id.split(['/', '?']).next()?.parse().ok());
        if let Some(id) = single
            && !existing.contains(&id)
        {
            panic!("{file}: order {id} isn't in the shop; name another of its kind");
        }
        let wanted: Value =
            serde_json::from_str(&recorded(&format!("responses/{file}.json"))).unwrap();
        let answer = shop.get(path).await;
        assert_eq!(answer.status, 200, "{file}: {}", answer.text);
        compare(file, &wanted, &answer.json());
    }
}

#[tokio::test]
async fn records_keep_the_recorded_order_of_keys() {
    let shop = shop().await;
    for (file, path) in [
        ("order_60_lines", "/orders/173"),
        ("product_variable_single", "/products/59"),
        ("variation_via_products_endpoint", "/products/60"),
        ("variation_single", "/products/59/variations/60"),
        ("customer_single", "/customers/7"),
        ("refund_single", "/orders/160/refunds/403"),
    ] {
        let wanted: Value =
            serde_json::from_str(&recorded(&format!("responses/{file}.json"))).unwrap();
        let found = shop.get(path).await.json();
        let keys = |v: &Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&found), keys(&wanted), "{file}");
    }
}

#[tokio::test]
async fn new_records_have_the_recorded_shape() {
    let shop = shop().await;
    let wanted: Value =
        serde_json::from_str(&recorded("responses/batch_orders_partial_errors.json")).unwrap();
    let body = json!({
        "create": [
            {"status": "processing", "billing": {"email": "b1@x.test"},
             "line_items": [{"product_id": 11, "quantity": 1}]},
            {"status": "nope"}],
        "update": [{"id": 154, "status": "processing"}, {"id": 99999999, "status": "completed"}],
        "delete": [99999998],
    });
    let answer = shop.post("/orders/batch", body).await;
    assert_eq!(answer.status, 200);
    let found = answer.json();
    compare("batch", &wanted, &found);
    let keys = |v: &Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&found["create"][0]), keys(&wanted["create"][0]));
    let amounts = ["total", "total_tax", "cart_tax"];
    for key in amounts {
        assert_eq!(found["create"][0][key], wanted["create"][0][key], "{key}");
    }
    assert_eq!(
        found["create"][0]["line_items"][0]["taxes"],
        wanted["create"][0]["line_items"][0]["taxes"]
    );
    assert_eq!(found["create"][1]["status"], "pending");
    assert_eq!(found["update"][1], wanted["update"][1]);
    assert_eq!(found["delete"][0], json!({"id": 99999998, "error": wanted["delete"][0]["error"]}));
}

#[tokio::test]
async fn product_batches_answer_as_recorded() {
    let shop = shop().await;
    let wanted: Value =
        serde_json::from_str(&recorded("responses/batch_products_mixed.json")).unwrap();
    let body = json!({
        "create": [{"name": "Dup", "sku": "SKU-0001"}, {"name": "B ok", "sku": "BATCH-X", "regular_price": "1"}],
        "update": [{"id": 11, "regular_price": "9.99"}],
        "delete": [99999998],
    });
    let found = shop.post("/products/batch", body).await.json();
    compare("batch_products_mixed", &wanted, &found);
    assert_eq!(found["create"][0], wanted["create"][0]);
    assert_eq!(found["delete"], wanted["delete"]);
    let keys = |v: &Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&found["create"][1]), keys(&wanted["create"][1]));
}

/// The call behind each recorded error.
async fn error(shop: &Shop, name: &str) -> (u16, String) {
    let call = async |method: Method, path: &str, body: Value| {
        let body = (!body.is_null()).then_some(body);
        let answer = shop.call(method, path, body).await;
        (answer.status, answer.text)
    };
    let get = async |path: &str| call(Method::GET, path, Value::Null).await;
    let post = async |path: &str, body: Value| call(Method::POST, path, body).await;
    let delete = async |path: &str| call(Method::DELETE, path, Value::Null).await;
    match name {
        "err_400_bad_date" => get("/orders?modified_after=yesterday").await,
        "err_400_bad_status" => get("/orders?status=bogus").await,
        "err_400_orderby" => get("/orders?orderby=total").await,
        "err_400_page_0" => get("/orders?page=0").await,
        "err_400_per_page_0" => get("/orders?per_page=0").await,
        "err_400_per_page_101" => get("/orders?per_page=101").await,
        "err_404_coupon" => get("/coupons/999999").await,
        "err_404_customer" => get("/customers/99999999").await,
        "err_404_order" => get("/orders/99999999").await,
        "err_404_product" => get("/products/99999999").await,
        "err_404_refund" => get("/orders/157/refunds/99999999").await,
        "err_404_refund_parent" => get("/orders/99999999/refunds").await,
        "err_404_route" => get("/nonexistent").await,
        "err_404_tax" => get("/taxes/99999").await,
        "err_404_variation" => get("/products/59/variations/99999999").await,
        "err_404_variations_parent" => get("/products/99999999/variations").await,
        "err_404_webhook" => get("/webhooks/99999").await,
        "err_410_already_trashed" => delete("/orders/256").await,
        "err_customer_delete_noforce" => delete("/customers/42").await,
        "err_tax_delete_noforce" => delete("/taxes/1").await,
        "err_400_dup_customer_email" => {
            post("/customers", json!({"email": "cust1@example.test"})).await
        }
        "err_400_dup_sku" => post("/products", json!({"name": "x", "sku": "SKU-0001"})).await,
        "err_400_invalid_email" => post("/orders", json!({"billing": {"email": "nope"}})).await,
        "err_400_refund_too_big" => {
            post("/orders/372/refunds", json!({"amount": "999999", "api_refund": false})).await
        }
        "err_refund_gateway" => post("/orders/372/refunds", json!({"amount": "1"})).await,
        "err_coupon_dup" => post("/coupons", json!({"code": "ten%off"})).await,
        "err_order_create_unknown_customer" => post("/orders", json!({"customer_id": 9999})).await,
        "err_settings_bad" => {
            call(Method::PUT, "/settings/general/nope", json!({"value": "x"})).await
        }
        "err_400_bad_json" => {
            let url = format!("{}/wp-json/wc/v3/orders", shop.https());
            let (key, secret) = shop.key("read_write");
            let request = shop.client.post(url).basic_auth(key, Some(secret));
            let request = request.header("content-type", "application/json").body("{\"status\":");
            let answer = shop.send(request).await;
            (answer.status, answer.text)
        }
        other => by_key(shop, other).await,
    }
}

async fn by_key(shop: &Shop, name: &str) -> (u16, String) {
    let url = format!("{}/wp-json/wc/v3/orders", shop.https());
    let secret = |name: &str| shop.key(name);
    let (method, pair) = match name {
        "err_401_no_auth" => (Method::GET, None),
        "err_401_unknown_key" => (Method::GET, Some(("ck_unknown".into(), "cs_x".into()))),
        "err_401_wrong_secret" => (Method::GET, Some((secret("read_write").0, "cs_wrong".into()))),
        "err_401_readonly_post" => (Method::POST, Some(secret("read_only"))),
        "err_401_writeonly_get" => (Method::GET, Some(secret("write_only"))),
        "err_403_customer_role_key" => (Method::GET, Some(secret("customer_role"))),
        other => panic!("nothing is known about {other}"),
    };
    let mut request = shop.client.request(method, url);
    if let Some((key, secret)) = pair {
        request = request.basic_auth(key, Some(secret));
    }
    let answer = shop.send(request).await;
    (answer.status, answer.text)
}

#[tokio::test]
async fn every_recorded_error_comes_to_the_letter() {
    let shop = shop().await;
    let folder = format!("{}/fixtures/woocommerce/responses", env!("CARGO_MANIFEST_DIR"));
    let mut checked = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let Some(name) = file.strip_suffix(".json").filter(|n| n.starts_with("err_")) else {
            continue;
        };
        // 201: the recording shows that an unknown product is accepted; tested elsewhere.
        if name == "err_400_order_invalid_product" {
            continue;
        }
        let (_, text) = error(&shop, name).await;
        assert_eq!(text, recorded(&format!("responses/{file}")).trim_end(), "{name}");
        checked += 1;
    }
    assert!(checked >= 35, "{checked}");
}

#[tokio::test]
async fn an_unknown_product_makes_an_empty_line_as_recorded() {
    let shop = shop().await;
    let answer = shop
        .post("/orders", json!({"line_items": [{"product_id": 99999999, "quantity": 1}]}))
        .await;
    assert_eq!(answer.status, 201);
    let wanted: Value =
        serde_json::from_str(&recorded("responses/err_400_order_invalid_product.json")).unwrap();
    let found = answer.json();
    compare("unknown product", &wanted, &found);
    let same = |key: &str| assert_eq!(found[key], wanted[key], "{key}");
    ["status", "total", "is_editable", "needs_payment", "needs_processing"]
        .into_iter()
        .for_each(same);
    let mut line = found["line_items"][0].clone();
    line["id"] = wanted["line_items"][0]["id"].clone();
    assert_eq!(line.to_string(), wanted["line_items"][0].to_string());
}

/// Name of the section, status and headers (names in lower case) of each recorded exchange.
fn recorded_headers() -> Vec<(String, String, u16, BTreeSet<String>)> {
    let text = recorded("headers.md");
    let mut found = vec![];
    for section in text.split("\n### ").skip(1) {
        let name = section.lines().next().unwrap().to_owned();
        let request = section.lines().find(|l| l.starts_with('`')).unwrap().to_owned();
        let block = section.split("```").nth(1).unwrap().trim();
        let status = block.split(' ').nth(1).unwrap().parse().unwrap();
        let names = block.lines().skip(1).map(|l| l.split(':').next().unwrap().to_lowercase());
        found.push((name, request, status, names.collect()));
    }
    found
}

#[tokio::test]
async fn answers_carry_the_recorded_headers() {
    let shop = shop().await;
    let mut checked = 0;
    for (name, request, status, wanted) in recorded_headers() {
        let target = request.split(' ').nth(1).unwrap().trim_end_matches('`');
        let Some(path) = target.strip_prefix("/wp-json/wc/v3") else { continue };
        let simple = request.starts_with("`GET") && request.contains("(key: rw)");
        if !simple || path.is_empty() {
            continue;
        }
        let answer = shop.get(path).await;
        assert_eq!(answer.status, status, "{name}");
        let have: BTreeSet<String> = answer.headers.keys().map(|n| n.as_str().to_owned()).collect();
        // Paging headers depend on how many records there are; these had the same number of pages.
        assert_eq!(have, wanted, "{name}");
        checked += 1;
    }
    assert!(checked > 30, "{checked}");
}

#[tokio::test]
async fn error_statuses_are_the_recorded_ones() {
    let shop = shop().await;
    let mut checked = 0;
    for (name, _, status, _) in recorded_headers() {
        if name.starts_with("err_") && name != "err_400_order_invalid_product" {
            assert_eq!(error(&shop, &name).await.0, status, "{name}");
            checked += 1;
        }
    }
    assert!(checked >= 35, "{checked}");
}
