//! The authorize page: a person picks the company and connects, or cancels.

use super::grant::App;
use crate::http::{Request, Response};
use crate::quickbooks::params::{Params, encode};
use crate::quickbooks::world::World;
use jiff::Timestamp;

const SCOPE: &str = "com.intuit.quickbooks.accounting";

fn refuse(why: &str) -> Response {
    let text = format!("Sorry, but this app can't connect to QuickBooks: {why}\n");
    Response::new(400, "text/plain; charset=utf-8", text)
}

/// The app of an authorize request that may be shown to a person.
fn checked<'a>(world: &'a World, query: &Params) -> Result<&'a App, Response> {
    let get = |name: &str| query.get(name).unwrap_or_default();
    let app = world.apps.iter().find(|app| app.client_id == get("client_id"));
    let app = app.ok_or_else(|| refuse("the client_id is unknown"))?;
    if !app.redirect_uris.iter().any(|uri| uri == get("redirect_uri")) {
        return Err(refuse("the redirect_uri query parameter value is invalid"));
    }
    if get("response_type") != "code" {
        return Err(refuse("response_type must be code"));
    }
    if !get("scope").split(' ').any(|scope| scope == SCOPE) {
        return Err(refuse("the scope must contain com.intuit.quickbooks.accounting"));
    }
    if get("state").is_empty() {
        return Err(refuse("the state is required"));
    }
    Ok(app)
}

/// `GET /connect/oauth2`: the page, or, with the simulator's own parameter `realmId`, the redirect
/// as if that company had been picked.
pub fn authorize(world: &mut World, request: &Request, now: Timestamp) -> Response {
    let query = Params::read(&request.query);
    if let Err(refusal) = checked(world, &query) {
        return refusal;
    }
    match query.get("realmId") {
        Some(realm) => connect(world, &query, realm, now),
        None => Response::new(200, "text/html; charset=utf-8", page(world, &query)),
    }
}

/// `POST /connect/oauth2`: what the person decided on the page; `realmId` empty: cancelled.
pub fn decide(world: &mut World, request: &Request, now: Timestamp) -> Response {
    let form = Params::read(&String::from_utf8_lossy(&request.body));
    if let Err(refusal) = checked(world, &form) {
        return refusal;
    }
    match form.get("realmId").unwrap_or_default() {
        "" => back(&form, &format!("error=access_denied&state={}", encode(state(&form)))),
        realm => connect(world, &form, realm, now),
    }
}

fn state(query: &Params) -> &str {
    query.get("state").unwrap_or_default()
}

fn connect(world: &mut World, query: &Params, realm: &str, now: Timestamp) -> Response {
    if !world.companies.contains_key(realm) {
        return refuse("there is no such company");
    }
    let get = |name: &str| query.get(name).unwrap_or_default();
    let code = world.grants.issue_code(get("client_id"), realm, get("redirect_uri"), now);
    let parameters = format!("code={code}&state={}&realmId={realm}", encode(state(query)));
    back(query, &parameters)
}

fn back(query: &Params, parameters: &str) -> Response {
    let uri = query.get("redirect_uri").unwrap_or_default();
    let joint = if uri.contains('?') { '&' } else { '?' };
    Response::empty(302).header("Location", format!("{uri}{joint}{parameters}"))
}

fn page(world: &World, query: &Params) -> String {
    let fields: String = ["client_id", "redirect_uri", "response_type", "scope", "state"]
        .iter()
        .map(|name| {
            let value = escaped(query.get(name).unwrap_or_default());
            format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">")
        })
        .collect();
    let companies: String = world
        .companies
        .values()
        .map(|company| {
            format!(
                "<p><button name=\"realmId\" value=\"{0}\">Connect {1} ({0})</button></p>",
                escaped(&company.realm),
                escaped(&company.preset)
            )
        })
        .collect();
    format!(
        "<!doctype html><title>Connect to QuickBooks (simulator)</title>\
         <h1>Which company may the app use?</h1><form method=\"post\">{fields}{companies}\
         <p><button name=\"realmId\" value=\"\">Cancel</button></p></form>"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
