//! `test_connection`.

use super::server::{FakeShop, list, ok, refusal};
use crate::connector::{Check, Connector};
use crate::model::Entity;
use serde_json::json;
use wiremock::ResponseTemplate;

fn site(home: &str) -> ResponseTemplate {
    ok(&json!({"name": "Harbour Goods", "home": home, "namespaces": ["wp/v2", "wc/v3"]}))
}

fn status() -> ResponseTemplate {
    ok(&serde_json::from_str(&super::fixtures::response("system_status_trim")).unwrap())
}

fn failed(checks: &[Check]) -> Vec<&'static str> {
    checks.iter().filter(|check| !check.ok).map(|check| check.name).collect()
}

#[tokio::test]
async fn a_key_that_may_only_read_is_refused_with_the_cure() {
    let shop = FakeShop::start(|path, _| match path {
        "" => site("https://shop.test"),
        "wc/v3/system_status" => status(),
        "wc/v3/data/currencies/current" => ok(&json!({"code": "USD"})),
        "wc/v3/orders/batch" => refusal(401, "err_401_readonly_post"),
        _ => list(&[json!({"id": 1})]),
    })
    .await;
    let checks = shop.open().check().await;
    assert_eq!(failed(&checks), ["permissions"], "{checks:?}");
    let hint = checks.iter().find_map(|c| c.hint.clone().filter(|_| !c.ok)).unwrap_or_default();
    assert!(hint.contains("easysync.set_credentials"), "{hint}");
}

#[tokio::test]
async fn a_good_connection_passes_every_check_and_names_its_shop() {
    let shop = FakeShop::start(|path, _| match path {
        "" => site("https://shop.test"),
        "wc/v3/system_status" => status(),
        "wc/v3/data/currencies/current" => ok(&json!({"code": "USD"})),
        _ => list(&[json!({"id": 1})]),
    })
    .await;
    let opened = shop.open();
    let checks = opened.check().await;
    assert_eq!(failed(&checks), [] as [&str; 0], "{checks:?}");
    let names: Vec<&str> = checks.iter().map(|check| check.name).collect();
    assert_eq!(
        names,
        ["address", "reachable", "clock", "credentials", "permissions", "version", "currency"]
    );
    assert!(checks[0].message.contains("unencrypted"), "plain http is said to be so");
    assert!(checks[4].message.contains("and write"), "{}", checks[4].message);
    assert_eq!(checks[5].message, "WooCommerce 10.2.4");
    let account = opened.account().await.unwrap();
    assert_eq!(
        (account.label.as_str(), account.platform.as_str()),
        ("Harbour Goods", "WooCommerce 10.2.4")
    );
    let requests = shop.server.received_requests().await.unwrap();
    let index = requests.iter().find(|r| r.url.path() == "/wp-json/").unwrap();
    assert!(!index.url.query().unwrap().contains("oauth"), "WordPress refuses foreign keys there");
}

#[tokio::test]
async fn refused_credentials_end_the_checks_and_are_told_with_a_cure() {
    for file in ["err_401_unknown_key", "err_401_wrong_secret", "err_401_writeonly_get"] {
        let shop = FakeShop::start(move |path, _| match path {
            "" => site("https://shop.test"),
            _ => refusal(401, file),
        })
        .await;
        let opened = shop.open();
        let checks = opened.check().await;
        assert_eq!(failed(&checks), ["credentials"], "{file}");
        let last = checks.last().unwrap();
        assert!(last.message.contains("refused the credentials"), "{}", last.message);
        assert!(last.hint.is_some());
        assert_eq!(last.error.as_ref().unwrap().sqlstate(), "YS401");
        assert_eq!(opened.account().await.unwrap_err().sqlstate(), "YS401");
    }
}

#[tokio::test]
async fn a_customers_key_is_accepted_and_may_see_nothing() {
    let shop = FakeShop::start(|path, _| match path {
        "" => site("https://shop.test"),
        _ => refusal(403, "err_403_customer_role_key"),
    })
    .await;
    let checks = shop.open().check().await;
    assert_eq!(failed(&checks), ["permissions"]);
    let rights = checks.iter().find(|check| check.name == "permissions").unwrap();
    assert!(rights.hint.as_ref().unwrap().contains("shop manager"));
}

#[tokio::test]
async fn wordpress_without_woocommerce_is_told_as_that() {
    let shop = FakeShop::start(|_, _| ok(&json!({"name": "Blog", "namespaces": ["wp/v2"]}))).await;
    let checks = shop.open().check().await;
    assert_eq!(failed(&checks), ["reachable"]);
    assert!(checks[1].message.contains("without WooCommerce"));
}

#[tokio::test]
async fn plain_permalinks_are_told_as_a_missing_api() {
    let shop =
        FakeShop::start(|_, _| ResponseTemplate::new(404).set_body_raw("<html>404", "text/html"))
            .await;
    let checks = shop.open().check().await;
    assert_eq!(failed(&checks), ["reachable"]);
    assert!(checks[1].hint.as_ref().unwrap().contains("Permalinks"));
}

#[tokio::test]
async fn clocks_that_differ_too_much_for_a_signature_are_told() {
    let shop = FakeShop::start(|_, _| {
        site("http://shop.test").insert_header("date", "Fri, 20 Nov 2026 12:30:00 GMT")
    })
    .await;
    let checks = shop.open().check().await;
    assert_eq!(failed(&checks), ["clock"]);
    assert!(checks.last().unwrap().message.contains("30 minutes"));
}

#[tokio::test]
async fn a_version_before_the_api_is_too_old() {
    let shop = FakeShop::start(|path, _| match path {
        "" => site("https://shop.test"),
        "wc/v3/system_status" => ok(&json!({"environment": {"version": "3.4.8"}})),
        "wc/v3/data/currencies/current" => ok(&json!({"code": "USD"})),
        _ => list(&[]),
    })
    .await;
    let checks = shop.open().check().await;
    assert_eq!(failed(&checks), ["version"]);
}

#[tokio::test]
async fn a_shop_before_the_list_of_refunds_passes() {
    let shop = FakeShop::start(|path, _| match path {
        "" => site("https://shop.test"),
        "wc/v3/refunds" => refusal(404, "err_404_route"),
        "wc/v3/system_status" => refusal(403, "err_403_customer_role_key"),
        "wc/v3/data/currencies/current" => ok(&json!({"code": "USD"})),
        _ => list(&[]),
    })
    .await;
    let checks = shop.open().check().await;
    assert_eq!(failed(&checks), [] as [&str; 0], "{checks:?}");
    let stream = shop.stream(Entity::Refunds);
    let found = shop.open().by_ids(&stream, &["1".to_owned()]).await.unwrap();
    assert_eq!(found.gone.len() + found.records.len(), 0);
    assert_eq!(found.notes.len(), 1);
}
