//! The control API under `/quickbooks`: companies, tokens, journals, and what a person does in
//! QuickBooks itself.

mod actions;
mod faults;
mod totals;

pub use faults::named_fault;

use super::company::Company;
use super::kind::Kind;
use super::oauth::App;
use super::presets;
use super::rules::Rules;
use super::webhooks::{Event, Subscription, is_loopback};
use super::world::{CLIENT_ID, World};
use crate::platform::{ControlCall, ControlError, ControlReply};
use jiff::Timestamp;
use serde_json::{Value, json};

fn bad(why: impl Into<String>) -> ControlError {
    ControlError::BadRequest(why.into())
}

fn nothing(what: &str) -> ControlError {
    ControlError::NotFound(what.to_owned())
}

/// A company as the state file and the control API list it.
pub fn described(world: &World, company: &Company) -> Value {
    let app = world.apps.iter().find(|app| app.client_id == CLIENT_ID);
    json!({
        "preset": company.preset, "realm_id": company.realm, "home_currency": company.home,
        "multicurrency": company.multicurrency(),
        "client_id": app.map(|app| &app.client_id),
        "client_secret": app.map(|app| &app.client_secret),
        "redirect_uri": app.and_then(|app| app.redirect_uris.first()),
        "verifier_token": app.map(|app| &app.verifier_token),
    })
}

/// Answers a control call.
pub fn answer(world: &mut World, call: &ControlCall<'_>, now: Timestamp) -> ControlReply {
    match (call.method, call.path.as_slice()) {
        ("GET", ["presets"]) => Ok(json!(presets::names())),
        ("GET", ["companies"]) => {
            Ok(world.companies.values().map(|company| described(world, company)).collect())
        }
        ("POST", ["companies"]) => add_company(world, &call.body, now),
        ("POST", ["apps"]) => add_app(world, &call.body),
        ("PUT" | "POST", ["webhooks"]) => subscribe(world, &call.body),
        ("GET", ["webhooks"]) => Ok(world.apps.iter().filter_map(subscription).collect()),
        ("POST", ["authorize"]) => authorize(world, &call.body, now),
        ("POST", ["tokens"]) => tokens(world, &call.body, now),
        ("PUT" | "POST", ["rules"]) => {
            let realms: Vec<String> = world.companies.keys().cloned().collect();
            for realm in realms {
                set_rules(find(world, &realm)?, &call.body)?;
            }
            Ok(json!({ "companies": world.companies.len() }))
        }
        ("POST", ["companies", realm, "actions", name]) => {
            let World { companies, grants, .. } = world;
            let company = companies.get_mut(*realm).ok_or_else(|| nothing(NO_COMPANY))?;
            actions::act(company, grants, name, &call.body, now)
        }
        (method, ["companies", realm, rest @ ..]) => {
            let known = find(world, realm)?;
            of_company(known, method, rest, call, now)
        }
        _ => Err(nothing("try /quickbooks/companies; the README lists the rest")),
    }
}

fn find<'a>(world: &'a mut World, realm: &str) -> Result<&'a mut Company, ControlError> {
    world.companies.get_mut(realm).ok_or_else(|| nothing(NO_COMPANY))
}

const NO_COMPANY: &str = "no company of this realm";

fn of_company(
    company: &mut Company,
    method: &str,
    rest: &[&str],
    call: &ControlCall<'_>,
    now: Timestamp,
) -> ControlReply {
    match (method, rest) {
        ("GET", ["rules"]) => serde_json::to_value(&company.rules).map_err(|e| bad(e.to_string())),
        ("PUT" | "POST", ["rules"]) => set_rules(company, &call.body),
        ("GET", ["documents"]) => Ok(totals::by_type(company)),
        ("GET", ["suspicious"]) => Ok(totals::suspicious(company)),
        ("GET", ["documents", "list"]) => Ok(totals::list(company)),
        ("GET", ["calls"]) => Ok(company.journal.to_json(now)),
        ("DELETE", ["calls"]) => {
            company.journal.reset();
            Ok(company.journal.to_json(now))
        }
        ("GET", ["events"]) => Ok(company.events.iter().map(Event::to_json).collect()),
        ("GET", ["accounts"]) => Ok(totals::accounts(company)),
        ("GET", ["writes"]) => Ok(json!(company.journal.notes())),
        ("GET", ["records", name]) => {
            let kind = Kind::named(name).ok_or_else(|| nothing("no such entity"))?;
            let all = company.store.all(kind);
            Ok(all.map(|(id, record)| record.render(id, &company.zone)).collect())
        }
        ("GET", ["records", name, id]) => {
            let kind = Kind::named(name).ok_or_else(|| nothing("no such entity"))?;
            let found = company.store.find(kind, id).ok_or_else(|| nothing("no such record"))?;
            Ok(found.1.render(found.0.1, &company.zone))
        }
        _ => Err(nothing("the README lists what a company answers")),
    }
}

fn set_rules(company: &mut Company, changes: &Value) -> ControlReply {
    company.rules = company.rules.changed(changes).map_err(bad)?;
    serde_json::to_value(&company.rules).map_err(|e| bad(e.to_string()))
}

fn add_company(world: &mut World, body: &Value, now: Timestamp) -> ControlReply {
    let preset = body["preset"].as_str().ok_or_else(|| bad("name the preset in \"preset\""))?;
    let rules = match &body["rules"] {
        Value::Null => Rules::default(),
        changes => Rules::default().changed(changes).map_err(bad)?,
    };
    let multicurrency = body["multicurrency"].as_bool();
    let realm = world.add_company(preset, multicurrency, rules, now).map_err(bad)?;
    let company = find(world, &realm)?.clone();
    Ok(described(world, &company))
}

fn add_app(world: &mut World, body: &Value) -> ControlReply {
    let app: &mut App = world.add_app();
    if let Some(uris) = body["redirect_uris"].as_array() {
        app.redirect_uris = uris.iter().filter_map(|u| u.as_str().map(str::to_owned)).collect();
    }
    Ok(json!({
        "client_id": app.client_id, "client_secret": app.client_secret,
        "redirect_uris": app.redirect_uris, "verifier_token": app.verifier_token,
    }))
}

/// Gives an app an address for its webhooks: `{"url", "client_id"?}`; without `url`, none.
fn subscribe(world: &mut World, body: &Value) -> ControlReply {
    let id = client_id(body).to_owned();
    let World { apps, companies, .. } = world;
    let app = apps.iter_mut().find(|app| app.client_id == id);
    let app = app.ok_or_else(|| nothing("no such client_id"))?;
    app.webhooks = match body["url"].as_str() {
        Some(url) if !is_loopback(url) => return Err(bad("the url must be on this machine")),
        Some(url) => Some(Subscription::new(url, companies)),
        None => None,
    };
    Ok(subscription(app).unwrap_or_else(|| json!({})))
}

fn subscription(app: &App) -> Option<Value> {
    let webhooks = app.webhooks.as_ref()?;
    Some(json!({
        "client_id": app.client_id, "url": webhooks.url, "verifier_token": app.verifier_token,
        "waiting": webhooks.waiting(), "attempts": webhooks.attempts(),
    }))
}

fn client_id(body: &Value) -> &str {
    body["client_id"].as_str().unwrap_or(CLIENT_ID)
}

/// The code that the authorize page would send back, without a browser.
fn authorize(world: &mut World, body: &Value, now: Timestamp) -> ControlReply {
    let realm = body["realm_id"].as_str().ok_or_else(|| bad("realm_id is required"))?.to_owned();
    find(world, &realm)?;
    let client_id = client_id(body);
    let app = world.apps.iter().find(|app| app.client_id == client_id);
    let app = app.ok_or_else(|| nothing("no such client_id"))?;
    let first = app.redirect_uris.first().cloned().unwrap_or_default();
    let redirect_uri = body["redirect_uri"].as_str().map_or(first, str::to_owned);
    if !app.redirect_uris.contains(&redirect_uri) {
        return Err(bad("the redirect_uri isn't registered for the app"));
    }
    let state = body["state"].as_str().unwrap_or_default();
    let code = world.grants.issue_code(client_id, &realm, &redirect_uri, now);
    let state = super::params::encode(state);
    let url = format!("{redirect_uri}?code={code}&state={state}&realmId={realm}");
    Ok(json!({ "code": code, "realm_id": realm, "callback_url": url }))
}

/// Tokens as the token endpoint would issue them, without the exchange.
fn tokens(world: &mut World, body: &Value, now: Timestamp) -> ControlReply {
    let realm = body["realm_id"].as_str().ok_or_else(|| bad("realm_id is required"))?.to_owned();
    let rules = find(world, &realm)?.rules.clone();
    let issued = world.grants.grant(client_id(body), &realm, &rules, now);
    Ok(json!({
        "access_token": issued.access_token, "refresh_token": issued.refresh_token,
        "expires_in": issued.expires_in, "realm_id": realm,
    }))
}
