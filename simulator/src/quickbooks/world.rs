//! All companies, apps and grants of one simulated Intuit.

use super::company::Company;
use super::oauth::{App, Grants};
use super::presets;
use super::rules::Rules;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The app that companies are connected to unless a test registers another.
pub const CLIENT_ID: &str = "ABsimulatedClient0001";
const CLIENT_SECRET: &str = "simulatedClientSecret0001";
const VERIFIER: &str = "verifier-token-synthetic-0001";

/// Addresses that people may be sent back to.
const REDIRECTS: [&str; 4] = [
    "https://pos.example/callback",
    "https://app.example.test/callback",
    "https://developer.intuit.com/v2/OAuth2Playground/RedirectUrl",
    "http://localhost:8000/callback",
];

/// Everything behind the server's one lock.
pub struct World {
    pub apps: Vec<App>,
    pub companies: BTreeMap<String, Company>,
    pub grants: Grants,
    last_realm: u64,
    last_call: u64,
}

impl World {
    /// One app, no company.
    pub fn new(seed: u64) -> Self {
        World {
            apps: vec![app(CLIENT_ID, CLIENT_SECRET)],
            companies: BTreeMap::new(),
            grants: Grants::new(seed),
            last_realm: 9_341_450_000_000_000,
            last_call: 0,
        }
    }

    /// Adds a company of a preset; the answer is its realm.
    ///
    /// Errors: a text that lists the presets there are.
    pub fn add_company(
        &mut self,
        preset: &str,
        multicurrency: Option<bool>,
        rules: Rules,
        now: Timestamp,
    ) -> Result<String, String> {
        self.last_realm += 1;
        let realm = self.last_realm.to_string();
        let company = presets::company(preset, &realm, multicurrency, rules, now)?;
        self.companies.insert(realm.clone(), company);
        Ok(realm)
    }

    /// Registers another app.
    pub fn add_app(&mut self) -> &mut App {
        let number = self.apps.len() + 1;
        self.apps.push(app(
            &format!("ABsimulatedClient{number:04}"),
            &format!("simulatedClientSecret{number:04}"),
        ));
        let last = self.apps.len() - 1;
        &mut self.apps[last]
    }

    /// A transaction id for an answer's `intuit_tid`.
    pub fn next_tid(&mut self, now: Timestamp) -> String {
        self.last_call += 1;
        format!("1-{:x}-{:024x}", now.as_second(), self.last_call)
    }
}

fn app(client_id: &str, client_secret: &str) -> App {
    App {
        client_id: client_id.to_owned(),
        client_secret: client_secret.to_owned(),
        redirect_uris: REDIRECTS.map(str::to_owned).to_vec(),
        verifier_token: VERIFIER.to_owned(),
        webhooks: None,
    }
}
