//! Settings and credentials of a shop: what may stand there, and every problem of what does.

use crate::error::{Category, Error, Result};
use crate::http::{AddressPolicy, ClientConfig, Limits, Rate, Url};
use crate::store::Secret;
use jiff::SignedDuration;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Settings as JSON Schema, for forms and for the docs. Keys that it doesn't name are errors.
pub fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["url"],
        "additionalProperties": false,
        "properties": {
            "url": {"type": "string", "description": "Address of the shop, without /wp-json: https://shop.example or https://example.com/shop"},
            "webhooks": {"type": "boolean", "default": true, "description": "Act on deliveries of webhooks; false: they are kept in easysync.webhook_events and ignored"},
            "allow_http": {"type": "boolean", "default": false, "description": "Call the shop by plain http, signed by OAuth 1.0a: customers' data then crosses the network unencrypted"},
            "page_size": {"type": "integer", "minimum": 2, "maximum": 100, "default": 100, "description": "Records asked for at a time; fewer for a shop that runs out of memory"},
            "concurrency": {"type": "integer", "minimum": 1, "maximum": 16, "default": 4, "description": "Calls under way at once"},
            "requests_per_second": {"type": "integer", "minimum": 1, "maximum": 100, "description": "Calls a second, at the most; left out: no such limit"},
            "timeout_seconds": {"type": "integer", "minimum": 5, "maximum": 300, "default": 60, "description": "Longest wait for one answer"},
            "overlap_seconds": {"type": "integer", "minimum": 0, "maximum": 86400, "default": 300, "description": "How far an incremental sync looks back behind the start of the last one"},
            "id_walk_hours": {"type": "integer", "minimum": 1, "maximum": 720, "default": 24, "description": "How often incremental syncs look through all ids for records that were deleted without a trace"},
            "dp": {"type": "integer", "minimum": 2, "maximum": 6, "default": 6, "description": "Decimals that amounts are asked for with; 6 is all that WooCommerce keeps"}
        }
    })
}

/// A shop's settings, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Ends with a slash.
    pub url: Url,
    pub allow_http: bool,
    pub page_size: u64,
    pub concurrency: usize,
    pub requests_per_second: Option<usize>,
    pub timeout: Duration,
    pub overlap: SignedDuration,
    pub id_walk: SignedDuration,
    pub dp: u64,
}

impl Settings {
    /// Reads settings; every problem is told.
    pub fn parse(settings: &Value) -> Result<Settings, Vec<Error>> {
        let empty = Map::new();
        let mut problems = Vec::new();
        let object = match settings {
            Value::Object(object) => object,
            Value::Null => &empty,
            _ => {
                return Err(vec![problem("the settings are not a JSON object", keys())]);
            }
        };
        unknown_keys(object, &mut problems);
        let allow_http = match object.get("allow_http") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(allow)) => *allow,
            Some(_) => {
                problems.push(problem(
                    "\"allow_http\" is neither true nor false",
                    "Write true or false.",
                ));
                false
            }
        };
        if object.get("webhooks").is_some_and(|v| !v.is_null() && !v.is_boolean()) {
            problems
                .push(problem("\"webhooks\" is neither true nor false", "Write true or false."));
        }
        let url = url(object.get("url"), allow_http, &mut problems);
        let mut number = |key: &str| integer(object, key, &mut problems);
        let parsed = (
            number("page_size"),
            number("concurrency"),
            number("requests_per_second"),
            number("timeout_seconds"),
            number("overlap_seconds"),
            number("id_walk_hours"),
            number("dp"),
        );
        let (page_size, concurrency, rate, timeout, overlap, id_walk, dp) = parsed;
        match url {
            Some(url) if problems.is_empty() => Ok(Settings {
                url,
                allow_http,
                page_size: page_size.unwrap_or(100),
                concurrency: concurrency.unwrap_or(4) as usize,
                requests_per_second: rate.map(|rate| rate as usize),
                timeout: Duration::from_secs(timeout.unwrap_or(60)),
                overlap: SignedDuration::from_secs(overlap.unwrap_or(300) as i64),
                id_walk: SignedDuration::from_hours(id_walk.unwrap_or(24) as i64),
                dp: dp.unwrap_or(6),
            }),
            _ => Err(problems),
        }
    }

    /// Key of the account: host, port where it isn't the usual one, and path, without the scheme:
    /// a shop that moves from http to https is the same shop.
    pub fn account(&self) -> String {
        account(&self.url)
    }

    pub fn client_config(&self) -> ClientConfig {
        let rates = self
            .requests_per_second
            .map(|calls| Rate { calls, per: Duration::from_secs(1) })
            .into_iter()
            .collect();
        ClientConfig {
            limits: Limits { rates, in_flight: self.concurrency },
            allow_http: self.allow_http,
            timeout: self.timeout,
            ..ClientConfig::default()
        }
    }
}

/// Every problem of settings and credentials that shows without a call; else the account's key.
pub fn validate(
    settings: &Value,
    credentials: Option<&Secret>,
    policy: &AddressPolicy,
) -> Result<String, Vec<Error>> {
    let mut problems = credentials.map(credential_problems).unwrap_or_default();
    match Settings::parse(settings) {
        Ok(settings) => {
            if let Err(error) = policy.check(&settings.url, settings.allow_http) {
                problems.push(error);
            }
            if problems.is_empty() { Ok(settings.account()) } else { Err(problems) }
        }
        Err(mut found) => {
            found.append(&mut problems);
            Err(found)
        }
    }
}

/// Where the shop's keys are sent: its address with the scheme, since over http they can be watched.
pub fn recipient(settings: &Value) -> Result<String> {
    address(settings).map(|url| format!("woocommerce {url}"))
}

/// The same shop, and now by https.
pub fn is_safer_way(before: &Value, after: &Value) -> bool {
    match (address(before), address(after)) {
        (Ok(before), Ok(after)) => after.scheme() == "https" && account(&before) == account(&after),
        _ => false,
    }
}

/// The setting `url` alone, however the others are.
fn address(settings: &Value) -> Result<Url> {
    let empty = Map::new();
    let mut problems = Vec::new();
    let found = url(settings.as_object().unwrap_or(&empty).get("url"), true, &mut problems);
    let missing = || problem("the setting \"url\" is missing", EXAMPLE);
    found.ok_or_else(|| problems.into_iter().next().unwrap_or_else(missing))
}

/// Host, port where it isn't the usual one, and path, without the scheme.
fn account(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = match (url.scheme(), url.port()) {
        (_, None) | ("http", Some(443)) | ("https", Some(80)) => String::new(),
        (_, Some(port)) => format!(":{port}"),
    };
    format!("{host}{port}{}", url.path().trim_end_matches('/'))
}

fn problem(message: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::new(Category::Validation, "invalid_settings", message).hint(hint)
}

fn keys() -> String {
    let schema = schema();
    let names: Vec<&str> = schema["properties"]
        .as_object()
        .map(|properties| properties.keys().map(String::as_str).collect())
        .unwrap_or_default();
    format!("Settings: {}.", names.join(", "))
}

fn unknown_keys(object: &Map<String, Value>, problems: &mut Vec<Error>) {
    let schema = schema();
    for key in object.keys() {
        if schema["properties"].get(key).is_none() {
            problems.push(problem(format!("unknown setting \"{key}\""), keys()));
        }
    }
}

/// A whole number within the schema's bounds; None: left out, or a problem.
fn integer(object: &Map<String, Value>, key: &str, problems: &mut Vec<Error>) -> Option<u64> {
    let value = object.get(key).filter(|value| !value.is_null())?;
    let schema = schema();
    let bound = |name: &str| schema["properties"][key][name].as_u64().unwrap_or(0);
    let (low, high) = (bound("minimum"), bound("maximum"));
    match value.as_u64() {
        Some(number) if (low..=high).contains(&number) => Some(number),
        _ => {
            problems.push(problem(
                format!("\"{key}\" is no whole number from {low} to {high}"),
                schema["properties"][key]["description"].as_str().unwrap_or_default(),
            ));
            None
        }
    }
}

const EXAMPLE: &str = "Write it as https://shop.example, or https://example.com/shop.";

fn url(value: Option<&Value>, allow_http: bool, problems: &mut Vec<Error>) -> Option<Url> {
    let Some(text) = value.and_then(Value::as_str).map(str::trim) else {
        problems.push(problem("the setting \"url\" is missing", EXAMPLE));
        return None;
    };
    let Ok(mut url) = Url::parse(text) else {
        problems.push(problem("\"url\" is no address", EXAMPLE));
        return None;
    };
    let before = problems.len();
    let mut tell = |message: &str, hint: &str| problems.push(problem(message, hint));
    match url.scheme() {
        "https" => {}
        "http" if allow_http => {}
        "http" => tell(
            "\"url\" is plain http",
            "Use https. Where the shop has none, set \"allow_http\": true: calls are then signed, but customers' data crosses the network unencrypted.",
        ),
        _ => tell("\"url\" begins with neither https nor http", EXAMPLE),
    }
    if url.host_str().is_none_or(str::is_empty) {
        tell("\"url\" names no host", EXAMPLE);
    }
    if !url.username().is_empty() || url.password().is_some() {
        tell(
            "\"url\" holds a user name or password",
            "Take them out: keys belong into the credentials.",
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        tell("\"url\" holds a query or fragment", "Leave out what follows ? or #.");
    }
    let path = url.path().to_ascii_lowercase();
    if ["/wp-json", "/wp-admin", "/wp-login.php"].iter().any(|part| path.contains(part)) {
        tell(
            "\"url\" goes too deep",
            "Give the address of the shop itself: what stands before /wp-json or /wp-admin.",
        );
    }
    if problems.len() > before {
        return None;
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Some(url)
}

pub fn no_credentials() -> Error {
    Error::new(Category::Validation, "invalid_credentials", "the credentials are incomplete").hint(
        "Give {\"consumer_key\": \"ck_...\", \"consumer_secret\": \"cs_...\"}, from WooCommerce > \
         Settings > Advanced > REST API.",
    )
}

fn credential_problems(credentials: &Secret) -> Vec<Error> {
    const FIELDS: [(&str, &str); 2] = [("consumer_key", "ck_"), ("consumer_secret", "cs_")];
    let wrong = |message: String| {
        let mut error = no_credentials();
        error.message = message;
        error
    };
    let mut problems = Vec::new();
    for (field, prefix) in FIELDS {
        match credentials.get(field) {
            None => problems.push(wrong(format!("\"{field}\" is missing in the credentials"))),
            Some(value) if !value.starts_with(prefix) => {
                problems.push(wrong(format!("\"{field}\" does not begin with {prefix}")));
            }
            Some(value) if !value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => {
                problems.push(wrong(format!(
                    "\"{field}\" holds characters that no key has (blanks copied along?)"
                )));
            }
            Some(_) => {}
        }
    }
    let known =
        |key: &&str| FIELDS.iter().any(|(field, _)| field == key) || *key == "webhook_secret";
    for key in credentials.keys().filter(|key| !known(key)) {
        problems.push(wrong(format!("unknown credential \"{}\"", crate::mask::text(key))));
    }
    problems
}
