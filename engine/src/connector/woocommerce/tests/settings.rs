//! Settings and credentials.

use crate::connector::woocommerce::{schema, validate};
use crate::http::AddressPolicy;
use crate::store::Secret;
use serde_json::{Value, json};

fn judged(settings: &Value, credentials: Option<Value>) -> Result<String, Vec<String>> {
    let credentials = credentials.map(|c| Secret::new(c.as_object().unwrap().clone()));
    validate(settings, credentials.as_ref(), &AddressPolicy::default()).map_err(|problems| {
        problems
            .iter()
            .map(|problem| {
                assert!(problem.hint.as_ref().is_some_and(|hint| !hint.is_empty()), "{problem:?}");
                problem.message.clone()
            })
            .collect()
    })
}

fn keys() -> Value {
    json!({"consumer_key": "ck_0123456789abcdef", "consumer_secret": "cs_0123456789abcdef"})
}

#[test]
fn the_account_is_the_address_without_its_scheme() {
    for (url, account) in [
        ("https://Shop.Example/", "shop.example"),
        ("https://shop.example:443", "shop.example"),
        ("http://shop.example", "shop.example"),
        ("https://shop.example:8443/Sub/Dir/", "shop.example:8443/Sub/Dir"),
        (" https://shop.example ", "shop.example"),
    ] {
        let settings = json!({"url": url, "allow_http": true});
        assert_eq!(judged(&settings, Some(keys())), Ok(account.to_owned()), "{url}");
    }
}

#[test]
fn every_problem_is_told_at_once() {
    let settings = json!({
        "url": "http://me:pw@shop.example/wp-json/wc/v3?x=1", "page_size": 500, "dp": "6",
        "concurrency": 0, "colour": "red", "allow_http": "yes"
    });
    let credentials = json!({"consumer_key": "cs_1", "token": "x"});
    assert_eq!(
        judged(&settings, Some(credentials)).unwrap_err(),
        [
            "unknown setting \"colour\"",
            "\"allow_http\" is neither true nor false",
            "\"url\" is plain http",
            "\"url\" holds a user name or password",
            "\"url\" holds a query or fragment",
            "\"url\" goes too deep",
            "\"page_size\" is no whole number from 2 to 100",
            "\"concurrency\" is no whole number from 1 to 16",
            "\"dp\" is no whole number from 2 to 6",
            "\"consumer_key\" does not begin with ck_",
            "\"consumer_secret\" is missing in the credentials",
            "unknown credential \"token\"",
        ]
    );
}

#[test]
fn an_unknown_setting_is_answered_with_the_known_ones() {
    let settings = json!({"url": "https://shop.example", "per_page": 10});
    let problems = validate(&settings, None, &AddressPolicy::default()).unwrap_err();
    let hint = problems[0].hint.as_ref().unwrap();
    for key in schema()["properties"].as_object().unwrap().keys() {
        assert!(hint.contains(key), "{hint}");
    }
}

#[test]
fn a_private_address_is_refused_unless_it_is_listed() {
    let settings = json!({"url": "https://127.0.0.1:8443"});
    assert!(judged(&settings, None).is_err());
    let listed = AddressPolicy::parse("127.0.0.1:8443").unwrap();
    assert_eq!(validate(&settings, None, &listed), Ok("127.0.0.1:8443".into()));
}

#[test]
fn a_missing_or_foreign_address_is_told() {
    for (url, message) in [
        (json!(null), "the setting \"url\" is missing"),
        (json!(3), "the setting \"url\" is missing"),
        (json!("shop.example"), "\"url\" is no address"),
        (json!("ftp://shop.example"), "\"url\" begins with neither https nor http"),
        (json!("https://shop.example/wp-admin/"), "\"url\" goes too deep"),
    ] {
        assert_eq!(judged(&json!({"url": url}), None).unwrap_err(), [message]);
    }
}

#[test]
fn no_secret_is_shown_in_a_problem() {
    let credentials = json!({"consumer_key": "ck_ab cd", "consumer_secret": "topsecret"});
    let problems = judged(&json!({"url": "https://shop.example"}), Some(credentials)).unwrap_err();
    assert_eq!(problems.len(), 2);
    assert!(problems.iter().all(|p| !p.contains("ab cd") && !p.contains("topsecret")));
}

#[test]
fn webhooks_may_be_switched_off() {
    let settings = |webhooks: Value| json!({"url": "https://shop.example", "webhooks": webhooks});
    for webhooks in [json!(true), json!(false), Value::Null] {
        assert!(judged(&settings(webhooks), None).is_ok());
    }
    let problems = judged(&settings(json!("no")), None).unwrap_err();
    assert_eq!(problems, ["\"webhooks\" is neither true nor false"]);
}

#[test]
fn the_docs_tell_every_setting_and_every_transform() {
    let page =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/connectors/woocommerce.md");
    let page = std::fs::read_to_string(page).unwrap();
    for key in schema()["properties"].as_object().unwrap().keys() {
        assert!(page.contains(&format!("\n| `{key}` | ")), "{key}");
    }
    let cell = |text: &str| match text {
        "" => String::new(),
        text => format!("`{}`", text.replace('|', "\\|")),
    };
    for info in crate::mapping::CATALOGUE {
        let line = format!(
            "| `{}` | {} | {} | {} | {} |",
            info.name,
            cell(info.arguments),
            info.description,
            cell(info.example),
            cell(info.result)
        );
        assert!(page.contains(&line), "{line}");
    }
}
