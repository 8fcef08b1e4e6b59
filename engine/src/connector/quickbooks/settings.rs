//! Settings and credentials of a company that the connector itself reads. What decides how orders
//! are posted stands in the same document and is the posting policy's to read.

use super::auth::Endpoints;
use super::auth::app::check_override;
use super::auth::tokens::TOKEN_FIELDS;
use super::limits::FREE_READS;
use crate::error::{Category, Error, Result};
use crate::http::{AddressPolicy, Url};
use crate::store::Secret;
use serde_json::{Map, Value, json};

/// Which of Intuit's two worlds the company lives in: other hosts and other app keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    Sandbox,
    Production,
}

impl Environment {
    fn base(self) -> &'static str {
        match self {
            Environment::Sandbox => "https://sandbox-quickbooks.api.intuit.com",
            Environment::Production => "https://quickbooks.api.intuit.com",
        }
    }

    /// The word of the settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Environment::Sandbox => "sandbox",
            Environment::Production => "production",
        }
    }
}

/// The connector's own settings, as the properties of a JSON Schema: the posting policy adds its
/// own to them.
pub fn properties() -> Value {
    json!({
        "environment": {"type": "string", "enum": ["sandbox", "production"], "description": "Which of Intuit's worlds the app keys and the company belong to"},
        "read_budget": {"type": "integer", "minimum": 0, "maximum": 1_000_000_000, "default": FREE_READS, "description": "Metered reads a month of the app's tier at Intuit; writes are free"},
        "api_url": {"type": "string", "description": "Another host for the API, for simulators: only hosts of easysync.allowed_private_hosts"},
        "oauth_url": {"type": "string", "description": "Another host for OAuth, for simulators: only hosts of easysync.allowed_private_hosts"}
    })
}

/// Names of the connector's own settings.
pub const KEYS: [&str; 4] = ["environment", "read_budget", "api_url", "oauth_url"];

/// The connector's own settings, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub environment: Environment,
    /// Scheme and host of the API, without a slash at the end.
    pub api_url: Url,
    /// None: Intuit's.
    pub oauth_url: Option<Url>,
    pub read_budget: u64,
}

impl Settings {
    /// Reads the connector's own settings and passes over all others; every problem is told.
    pub fn parse(settings: &Value, policy: &AddressPolicy) -> Result<Settings, Vec<Error>> {
        let empty = Map::new();
        let mut problems = Vec::new();
        let object = match settings {
            Value::Object(object) => object,
            Value::Null => &empty,
            _ => return Err(vec![problem("the settings are not a JSON object", NEEDED)]),
        };
        let environment = environment(object.get("environment"), &mut problems);
        let read_budget = match object.get("read_budget").filter(|value| !value.is_null()) {
            None => FREE_READS,
            Some(value) => value.as_u64().filter(|n| *n <= 1_000_000_000).unwrap_or_else(|| {
                problems.push(problem(
                    "\"read_budget\" is no whole number from 0 to 1000000000",
                    "Give the metered reads a month of the app's tier, or leave it out.",
                ));
                FREE_READS
            }),
        };
        let api_url = other_host(object, "api_url", policy, &mut problems);
        let oauth_url = other_host(object, "oauth_url", policy, &mut problems);
        match environment {
            Some(environment) if problems.is_empty() => {
                let own = Url::parse(environment.base());
                let own = own.map_err(|_| vec![Error::internal("QuickBooks' address is none")])?;
                let api_url = api_url.unwrap_or(own);
                Ok(Settings { environment, api_url, oauth_url, read_budget })
            }
            _ => Err(problems),
        }
    }

    pub fn endpoints(&self) -> Endpoints {
        self.oauth_url.as_ref().map_or_else(Endpoints::intuit, Endpoints::at)
    }
}

const NEEDED: &str = "Give {\"environment\": \"sandbox\"} or {\"environment\": \"production\"}.";

fn environment(value: Option<&Value>, problems: &mut Vec<Error>) -> Option<Environment> {
    match value.and_then(Value::as_str) {
        Some("sandbox") => Some(Environment::Sandbox),
        Some("production") => Some(Environment::Production),
        other => {
            let message = match other {
                None => "the setting \"environment\" is missing",
                Some(_) => "\"environment\" is neither sandbox nor production",
            };
            problems.push(problem(message, NEEDED));
            None
        }
    }
}

fn other_host(
    object: &Map<String, Value>,
    key: &str,
    policy: &AddressPolicy,
    problems: &mut Vec<Error>,
) -> Option<Url> {
    let value = object.get(key).filter(|value| !value.is_null())?;
    let Some(url) = value.as_str().and_then(|text| Url::parse(text.trim()).ok()) else {
        let message = format!("\"{key}\" is no address");
        problems.push(problem(message, "Write it as https://host:port, or leave it out."));
        return None;
    };
    if url.query().is_some() || url.fragment().is_some() {
        let message = format!("\"{key}\" holds a query or fragment");
        problems.push(problem(message, "Leave out what follows ? or #."));
        return None;
    }
    match check_override(&url, policy, key) {
        Ok(()) => Some(url),
        Err(error) => {
            problems.push(error);
            None
        }
    }
}

fn problem(message: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::new(Category::Validation, "invalid_settings", message).hint(hint)
}

/// Every problem of the credentials. The app's keys are typed by people, the tokens come by OAuth.
pub fn credential_problems(credentials: &Secret) -> Vec<Error> {
    const KEYS: [&str; 2] = ["client_id", "client_secret"];
    let wrong = |message: String| {
        Error::new(Category::Validation, "invalid_credentials", message).hint(
            "Give {\"client_id\": \"...\", \"client_secret\": \"...\"}, from developer.intuit.com > \
             your app > Keys and credentials. Tokens come by easysync.oauth_authorize_url.",
        )
    };
    let mut problems = Vec::new();
    for key in KEYS {
        match credentials.get(key) {
            None => problems.push(wrong(format!("\"{key}\" is missing in the credentials"))),
            Some(value) if !value.bytes().all(|b| b.is_ascii_graphic()) => problems.push(wrong(
                format!("\"{key}\" holds characters that no key has (blanks copied along?)"),
            )),
            Some(_) => {}
        }
    }
    let known = |key: &&str| !KEYS.contains(key) && !TOKEN_FIELDS.contains(key);
    for key in credentials.keys().filter(known) {
        problems.push(wrong(format!("unknown credential \"{}\"", crate::mask::text(key))));
    }
    problems
}
