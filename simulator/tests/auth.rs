//! Who gets in, and how the rest is turned away: reference, section 1.

mod common;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::{Answer, Shop, shop, with};
use hmac::{Hmac, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::json;
use sha2::Sha256;
use simulator::Options;

const RAW: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RAW).to_string()
}

/// Signs by RFC 5849, written apart from the simulator's own reading of it.
fn signed(
    method: &str,
    url: &str,
    query: &[(&str, &str)],
    key: &(String, String),
    at: i64,
    nonce: &str,
) -> String {
    let time = at.to_string();
    let mut all: Vec<(String, String)> =
        query.iter().map(|(n, v)| (encoded(n), encoded(v))).collect();
    for (name, value) in [
        ("oauth_consumer_key", key.0.as_str()),
        ("oauth_timestamp", &time),
        ("oauth_nonce", nonce),
        ("oauth_signature_method", "HMAC-SHA256"),
    ] {
        all.push((name.to_owned(), encoded(value)));
    }
    all.sort();
    let join = |all: &[(String, String)]| {
        all.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join("&")
    };
    let base = format!("{method}&{}&{}", encoded(url), encoded(&join(&all)));
    let mut mac = Hmac::<Sha256>::new_from_slice(format!("{}&", key.1).as_bytes()).unwrap();
    mac.update(base.as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    all.push(("oauth_signature".into(), encoded(&signature)));
    format!("{url}?{}", join(&all))
}

fn now(shop: &Shop) -> i64 {
    shop.handle.clock.now().as_second()
}

async fn get(shop: &Shop, url: &str) -> Answer {
    shop.send(shop.client.get(url)).await
}

#[tokio::test]
async fn basic_and_query_credentials_work_over_https_only() {
    let shop = shop().await;
    let (key, secret) = shop.key("read_write");
    for (base, status) in [(shop.https(), 200), (shop.http(), 401)] {
        let url = format!("{base}/wp-json/wc/v3/orders");
        let basic = shop.client.get(&url).basic_auth(&key, Some(&secret));
        assert_eq!(shop.send(basic).await.status, status, "basic at {base}");
        let query = format!("{url}?consumer_key={key}&consumer_secret={secret}");
        assert_eq!(get(&shop, &query).await.status, status, "query at {base}");
    }
    let url = format!("{}/wp-json/wc/v3/orders", shop.http());
    let proxied =
        shop.client.get(url).basic_auth(&key, Some(&secret)).header("x-forwarded-proto", "https");
    let refused = shop.send(proxied).await;
    assert_eq!((refused.status, refused.code().as_str()), (401, "woocommerce_rest_cannot_view"));
}

#[tokio::test]
async fn oauth_signatures_work_over_http_and_https() {
    let shop = shop().await;
    let key = shop.key("read_write");
    for base in [shop.http(), shop.https()] {
        let url = format!("{base}/wp-json/wc/v3/orders");
        let query = [("per_page", "3"), ("search", "a b+c/ü")];
        let target = signed("GET", &url, &query, &key, now(&shop), &format!("n-{base}"));
        assert_eq!(get(&shop, &target).await.status, 200, "{base}");
    }
}

#[tokio::test]
async fn a_signed_post_creates_an_order() {
    let shop = shop().await;
    let url = format!("{}/wp-json/wc/v3/orders", shop.http());
    let target = signed("POST", &url, &[], &shop.key("read_write"), now(&shop), "p");
    let answer = shop.send(shop.client.post(target).json(&json!({"status": "pending"}))).await;
    assert_eq!(answer.status, 201);
}

#[tokio::test]
async fn a_nonce_is_good_for_one_call() {
    let shop = shop().await;
    let url = format!("{}/wp-json/wc/v3/orders", shop.http());
    let target = signed("GET", &url, &[], &shop.key("read_write"), now(&shop), "once");
    assert_eq!(get(&shop, &target).await.status, 200);
    let again = get(&shop, &target).await;
    assert_eq!(again.status, 401);
    assert!(again.text.contains("Invalid nonce"), "{}", again.text);
}

#[tokio::test]
async fn timestamps_may_be_a_quarter_of_an_hour_off() {
    let start = "2027-01-01T00:00:00Z".parse().unwrap();
    let shop = with(Options { start: Some(start), ..Options::default() }).await;
    let url = format!("{}/wp-json/wc/v3/orders", shop.http());
    for (minutes, status) in [(-14, 200), (14, 200), (-16, 401), (16, 401)] {
        let at = now(&shop) + minutes * 60;
        let target = signed("GET", &url, &[], &shop.key("read_write"), at, &format!("t{minutes}"));
        let answer = get(&shop, &target).await;
        assert_eq!(answer.status, status, "{minutes} minutes: {}", answer.text);
    }
}

#[tokio::test]
async fn lists_in_brackets_break_signatures_but_commas_do_not() {
    let shop = shop().await;
    let url = format!("{}/wp-json/wc/v3/orders", shop.http());
    let key = shop.key("read_write");
    let brackets = [("include[]", "153"), ("include[]", "154")];
    let refused = get(&shop, &signed("GET", &url, &brackets, &key, now(&shop), "b")).await;
    assert_eq!(refused.status, 401);
    assert!(refused.text.contains("Invalid signature"));
    let commas = [("include", "153,154")];
    let answer = get(&shop, &signed("GET", &url, &commas, &key, now(&shop) + 1, "c")).await;
    assert_eq!(answer.ids().len(), 2);
}

#[tokio::test]
async fn a_wrong_secret_spoils_the_signature() {
    let shop = shop().await;
    let url = format!("{}/wp-json/wc/v3/orders", shop.http());
    let key = (shop.key("read_write").0, "cs_wrong".to_owned());
    let refused = get(&shop, &signed("GET", &url, &[], &key, now(&shop), "w")).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (401, "woocommerce_rest_authentication_error")
    );
}

#[tokio::test]
async fn rest_route_is_never_authenticated_but_index_php_is() {
    let shop = shop().await;
    let (key, secret) = shop.key("read_write");
    for (path, status) in
        [("/?rest_route=/wc/v3/orders", 401), ("/index.php/wp-json/wc/v3/orders", 200)]
    {
        let request = shop.client.get(format!("{}{path}", shop.https()));
        let answer = shop.send(request.basic_auth(&key, Some(&secret))).await;
        assert_eq!(answer.status, status, "{path}");
    }
}

#[tokio::test]
async fn keys_of_managers_read_everything_and_of_customers_nothing() {
    let shop = shop().await;
    for (name, status) in [("shop_manager", 200), ("customer_role", 403)] {
        let (key, secret) = shop.key(name);
        for path in ["orders", "settings", "system_status"] {
            let url = format!("{}/wp-json/wc/v3/{path}", shop.https());
            let answer = shop.send(shop.client.get(url).basic_auth(&key, Some(&secret))).await;
            assert_eq!(answer.status, status, "{name} {path}");
        }
    }
}

#[tokio::test]
async fn the_indexes_are_public() {
    let shop = shop().await;
    for path in ["/wp-json/", "/wp-json/wc/v3"] {
        let answer = get(&shop, &format!("{}{path}", shop.https())).await;
        assert_eq!(answer.status, 200);
        assert!(answer.json()["routes"]["/wc/v3/orders"].is_object(), "{path}");
    }
}

#[tokio::test]
async fn keys_can_be_added_and_taken_away() {
    let shop = shop().await;
    let body = json!({"name": "mine", "permissions": "read", "consumer_key": "ck_1", "consumer_secret": "cs_1"});
    shop.control(Method::POST, "/keys", body).await;
    let url = format!("{}/wp-json/wc/v3/orders", shop.https());
    let call = || shop.client.get(&url).basic_auth("ck_1", Some("cs_1"));
    assert_eq!(shop.send(call()).await.status, 200);
    shop.control(Method::DELETE, "/keys/mine", json!(null)).await;
    assert_eq!(shop.send(call()).await.status, 401);
}
