//! The token and revoke endpoints.

use super::basic;
use super::grant::Issued;
use crate::http::{Request, Response};
use crate::quickbooks::params::Params;
use crate::quickbooks::world::World;
use jiff::Timestamp;
use serde_json::{Value, json};

fn invalid_grant(description: &str) -> Response {
    let body = json!({ "error_description": description, "error": "invalid_grant" });
    Response::json(400, &body)
}

fn invalid_client() -> Response {
    Response::json(401, &json!({ "error": "invalid_client" }))
}

fn invalid_request(description: &str) -> Response {
    let body = json!({ "error": "invalid_request", "error_description": description });
    Response::json(400, &body)
}

/// `POST /oauth2/v1/tokens/bearer`: exchange of a code, or refresh.
pub fn token(world: &mut World, request: &Request, now: Timestamp) -> Response {
    let Some(app) = basic(&world.apps, request) else { return invalid_client() };
    let client_id = app.client_id.clone();
    let is_form = request
        .header("content-type")
        .is_some_and(|t| t.starts_with("application/x-www-form-urlencoded"));
    if !is_form {
        return invalid_request("the body must be application/x-www-form-urlencoded");
    }
    let form = Params::read(&String::from_utf8_lossy(&request.body));
    let hard = request
        .header("x-include-refresh-token-hard-expires-in")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"));
    match form.get("grant_type") {
        Some("authorization_code") => exchange(world, &client_id, &form, hard, now),
        Some("refresh_token") => refresh(world, &client_id, &form, hard, now),
        _ => Response::json(400, &json!({ "error": "unsupported_grant_type" })),
    }
}

fn exchange(
    world: &mut World,
    client_id: &str,
    form: &Params,
    hard: bool,
    now: Timestamp,
) -> Response {
    let (Some(code), Some(redirect_uri)) = (form.get("code"), form.get("redirect_uri")) else {
        return invalid_request("code and redirect_uri are required");
    };
    let Some(code) = world.grants.take_code(code, client_id, redirect_uri, now) else {
        return invalid_grant("Invalid authorization code");
    };
    let Some(company) = world.companies.get_mut(&code.realm) else {
        return invalid_grant("Invalid authorization code");
    };
    company.journal.count_oauth();
    let issued = world.grants.grant(client_id, &code.realm, &company.rules, now);
    answer(issued, hard)
}

fn refresh(
    world: &mut World,
    client_id: &str,
    form: &Params,
    hard: bool,
    now: Timestamp,
) -> Response {
    let token = form.get("refresh_token").unwrap_or_default();
    if !token.starts_with("RT1-") {
        return invalid_grant("Token invalid");
    }
    let incorrect = "Incorrect or invalid refresh token";
    let realm = world.grants.realm_of(token).map(str::to_owned);
    let Some(company) = realm.and_then(|realm| world.companies.get_mut(&realm)) else {
        return invalid_grant(incorrect);
    };
    company.journal.count_oauth();
    match world.grants.refresh(token, client_id, &company.rules, now) {
        Some(issued) => answer(issued, hard),
        None => invalid_grant(incorrect),
    }
}

fn answer(issued: Issued, hard: bool) -> Response {
    let mut body = json!({
        "token_type": "bearer",
        "expires_in": issued.expires_in,
        "x_refresh_token_expires_in": issued.refresh_expires_in,
        "access_token": issued.access_token,
        "refresh_token": issued.refresh_token,
    });
    if hard {
        body["x_refresh_token_hard_expires_in"] = json!(issued.hard_expires_in);
    }
    Response::new(200, "application/json;charset=UTF-8", body.to_string())
        .header("Cache-Control", "no-cache, no-store")
        .header("Pragma", "no-cache")
}

/// `POST /v2/oauth2/tokens/revoke`.
pub fn revoke(world: &mut World, request: &Request) -> Response {
    let Some(app) = basic(&world.apps, request) else { return invalid_client() };
    let client_id = app.client_id.clone();
    // JSON as documented, or a form as OAuth's own standard has it and some clients send.
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let form = Params::read(&String::from_utf8_lossy(&request.body));
    let Some(token) = body["token"].as_str().or_else(|| form.get("token")) else {
        return invalid_request("token is required");
    };
    match world.grants.revoke(token, &client_id) {
        true => Response::empty(200),
        false => invalid_grant("Token invalid"),
    }
}
