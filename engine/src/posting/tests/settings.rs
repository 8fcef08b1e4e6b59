//! Settings: form, defaults, schema.

use super::companies::{demo_json, parse, us};
use crate::posting::settings::keys::{KEYS, Key, Kind};
use crate::posting::settings::{Settings, schema};
use serde_json::{Value, json};

/// Every default of the table, as one document.
fn defaults(keys: &[Key]) -> Value {
    keys.iter()
        .map(|key| {
            let default = match key.kind {
                Kind::Object(nested) => defaults(nested),
                _ => serde_json::from_str(key.default).unwrap(),
            };
            (key.name.to_owned(), default)
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn the_table_of_keys_says_the_defaults_that_are_in_force() {
    assert_eq!(parse(defaults(KEYS)), Settings::default());
    assert_eq!(parse(json!({})), Settings::default());
}

#[test]
fn every_problem_is_told_at_once_with_its_path() {
    let problems = Settings::parse(&json!({
        "time_zone": "Mars/Olympus",
        "start_date": "2025-13-01",
        "post": {"pending_unpaid": "maybe", "statuses": {"shipped": "sent"}},
        "tax": {"rates": {"GB": {"code": "6", "item": "VAT"}, "DE": "somewhere"}},
        "exchange_rates": {"EUR": "0"},
        "deposit_accounts": "Clearing",
        "adopt": "yes",
        "startdate": "2025-01-01",
    }))
    .unwrap_err();
    let mut paths: Vec<&str> = problems.iter().map(|p| p.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(
        paths,
        [
            "adopt",
            "deposit_accounts",
            "exchange_rates.EUR",
            "post.pending_unpaid",
            "post.statuses.shipped",
            "start_date",
            "startdate",
            "tax.rates.DE",
            "tax.rates.GB",
            "time_zone",
        ]
    );
    assert!(problems.iter().all(|p| p.to_error().sqlstate() == "YS422" && !p.hint.is_empty()));
}

#[test]
fn a_null_is_the_default() {
    assert_eq!(parse(json!({"adopt": null, "tax": {"zero_code": null}})), Settings::default());
}

#[test]
fn a_long_value_pasted_by_mistake_is_not_repeated() {
    let secret = "x".repeat(200);
    let problems = Settings::parse(&json!({"environment": secret})).unwrap_err();
    assert!(!problems[0].to_string().contains("xxx"), "{}", problems[0]);
}

#[test]
fn money_of_a_method_goes_to_its_account_then_to_the_default() {
    let settings = parse(json!({"deposit_accounts": {
        "stripe": {"EUR": "Stripe EUR", "default": "Stripe"},
        "paypal": {"EUR": "PayPal EUR"},
        "default": {"JPY": "Yen", "default": "Clearing"},
    }}));
    assert_eq!(settings.deposit_account(Some("stripe"), "EUR"), Some("Stripe EUR"));
    assert_eq!(settings.deposit_account(Some("stripe"), "USD"), Some("Stripe"));
    assert_eq!(settings.deposit_account(Some("paypal"), "USD"), Some("Clearing"));
    assert_eq!(settings.deposit_account(None, "JPY"), Some("Yen"));
    assert_eq!(settings.deposit_account(Some("cod"), "USD"), Some("Clearing"));
}

/// The published file, and what it has to hold. `EASYSYNC_WRITE_DOCS=1 cargo test` writes it anew.
fn published(file: &str, from: &str, to: &str, expected: &str) {
    let path = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let start = text.find(from).unwrap() + from.len();
    let end = start + text[start..].find(to).unwrap();
    if std::env::var_os("EASYSYNC_WRITE_DOCS").is_some() {
        let new = format!("{}{expected}{}", &text[..start], &text[end..]);
        std::fs::write(&path, new).unwrap();
    } else {
        assert!(text[start..end] == *expected, "docs/{file}: run it with EASYSYNC_WRITE_DOCS=1");
    }
}

#[test]
fn the_published_schema_and_table_are_those_of_the_code() {
    let schema = serde_json::to_string_pretty(&schema::json_schema()).unwrap();
    published("connectors/quickbooks.schema.json", "", "\n\n", &schema);
    published("connectors/quickbooks.md", "<!-- keys -->\n", "<!-- /keys -->", &schema::markdown());
}

#[test]
fn the_demo_settings_are_right_in_form() {
    assert!(Settings::parse(&demo_json(&us())).is_ok());
}
