//! Settings and credentials of a company that the connector itself reads. They stand in one
//! document with what decides how orders are posted, whose form is [`posting::settings`]'s to say.

use super::auth::Endpoints;
use super::auth::app::check_override;
use super::auth::tokens::TOKEN_FIELDS;
use crate::error::{Category, Error, Result};
use crate::http::{AddressPolicy, Url};
use crate::posting;
use crate::posting::settings::Environment;
use crate::store::Secret;
use serde_json::Value;

/// Where live companies are (developer.intuit.com, "Base URLs").
const PRODUCTION: &str = "https://quickbooks.api.intuit.com";

/// The settings of a company, with its addresses.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub posting: posting::settings::Settings,
    /// Scheme and host of the API.
    pub api_url: Url,
    /// None: Intuit's.
    pub oauth_url: Option<Url>,
}

impl Settings {
    /// Reads the settings; every problem of their form is told. Another address than Intuit's is
    /// taken only where the server's owner listed its host.
    pub fn parse(settings: &Value, policy: &AddressPolicy) -> Result<Settings, Vec<Error>> {
        let empty = Value::Object(serde_json::Map::new());
        let settings = if settings.is_null() { &empty } else { settings };
        let posting = posting::settings::Settings::parse(settings).map_err(|problems| {
            problems.iter().map(posting::settings::Problem::to_error).collect::<Vec<_>>()
        })?;
        let mut problems = Vec::new();
        let api_url = other_host(posting.api_url.as_deref(), "api_url", policy, &mut problems);
        let oauth_url =
            other_host(posting.oauth_url.as_deref(), "oauth_url", policy, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let own = match posting.environment {
            Some(Environment::Production) => PRODUCTION,
            Some(Environment::Sandbox) => "https://sandbox-quickbooks.api.intuit.com",
            None => {
                let message = "the setting \"environment\" is missing";
                return Err(vec![
                    Error::new(Category::Validation, "invalid_settings", message).hint(
                        "Give {\"environment\": \"sandbox\"} or {\"environment\": \"production\"}.",
                    ),
                ]);
            }
        };
        let own = Url::parse(own).map_err(|_| vec![Error::internal("no address of QuickBooks")])?;
        Ok(Settings { posting, api_url: api_url.unwrap_or(own), oauth_url })
    }

    /// Is the company one on Intuit's sandbox, at whatever address?
    pub fn is_for_trials(&self) -> bool {
        self.posting.environment == Some(Environment::Sandbox)
            && self.api_url.host_str()
                != Url::parse(PRODUCTION).ok().as_ref().and_then(Url::host_str)
    }

    pub fn endpoints(&self) -> Endpoints {
        self.oauth_url.as_ref().map_or_else(Endpoints::intuit, Endpoints::at)
    }
}

/// Where the app's keys and the tokens are sent, and for which company: the environment, other
/// addresses than Intuit's, and the realm.
pub fn recipient(settings: &Value, realm: &str) -> Result<String> {
    let part = |key: &str| settings.get(key).and_then(Value::as_str).map(str::trim);
    let place = |key: &str| match part(key) {
        None => Ok("intuit".to_owned()),
        Some(text) => Url::parse(text).map(String::from).map_err(|_| {
            let message = format!("\"{key}\" is no address");
            Error::new(Category::Validation, "invalid_settings", message)
                .hint("Write it as https://host:port, or leave it out.")
        }),
    };
    let environment = part("environment").unwrap_or_default();
    let (api, oauth) = (place("api_url")?, place("oauth_url")?);
    Ok(format!("quickbooks {environment} {api} {oauth} {realm}"))
}

fn other_host(
    address: Option<&str>,
    key: &str,
    policy: &AddressPolicy,
    problems: &mut Vec<Error>,
) -> Option<Url> {
    let wrong = |message: String, hint: &str| {
        Error::new(Category::Validation, "invalid_settings", message).hint(hint)
    };
    let Ok(url) = Url::parse(address?.trim()) else {
        let message = format!("\"{key}\" is no address");
        problems.push(wrong(message, "Write it as https://host:port, or leave it out."));
        return None;
    };
    if url.query().is_some() || url.fragment().is_some() {
        let message = format!("\"{key}\" holds a query or fragment");
        problems.push(wrong(message, "Leave out what follows ? or #."));
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
    // The app's verifier token signs deliveries: webhook.rs.
    let unknown = |key: &&str| {
        !KEYS.contains(key) && !TOKEN_FIELDS.contains(key) && *key != "webhook_verifier_token"
    };
    for key in credentials.keys().filter(unknown) {
        problems.push(wrong(format!("unknown credential \"{}\"", crate::mask::text(key))));
    }
    problems
}
