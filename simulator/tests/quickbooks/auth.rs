//! OAuth: codes, tokens, their ends, and whose company they open.

use crate::bed::{Answer, Bed, id};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use simulator::quickbooks::CLIENT_ID;

const REDIRECT: &str = "https://pos.example/callback";

fn token_call(bed: &Bed, headers: &[(&str, &str)], form: &str) -> Answer {
    let basic = STANDARD.encode(format!("{CLIENT_ID}:simulatedClientSecret0001"));
    let basic = format!("Basic {basic}");
    let mut all = vec![
        ("authorization", basic.as_str()),
        ("accept", "application/json"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    all.extend_from_slice(headers);
    bed.send("POST", "/oauth2/v1/tokens/bearer", &all, form)
}

fn refresh(bed: &Bed, token: &str) -> Answer {
    token_call(bed, &[], &format!("grant_type=refresh_token&refresh_token={token}"))
}

fn authorize_url(redirect: &str, state: &str) -> String {
    format!(
        "/connect/oauth2?client_id={CLIENT_ID}&response_type=code&\
         scope=com.intuit.quickbooks.accounting&redirect_uri={redirect}&state={state}"
    )
}

/// Connects through the page and exchanges the code.
fn connected(bed: &Bed) -> Value {
    let url = format!("{}&realmId={}", authorize_url(REDIRECT, "abc123"), bed.realm);
    let back = bed.send("GET", &url, &[], "");
    assert_eq!(back.status, 302);
    let callback = back.header("location").unwrap().to_owned();
    assert!(callback.ends_with(&format!("&state=abc123&realmId={}", bed.realm)), "{callback}");
    let code = callback.split("code=").nth(1).unwrap().split('&').next().unwrap();
    let form = format!("grant_type=authorization_code&code={code}&redirect_uri={REDIRECT}");
    let answer = token_call(bed, &[], &form);
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(token_call(bed, &[], &form).json()["error"], "invalid_grant", "a code is for once");
    answer.json()
}

#[test]
fn a_code_from_the_page_becomes_tokens_of_the_documented_form() {
    let bed = Bed::new("us_single");
    let ours = connected(&bed);
    let recorded = include_str!("../../fixtures/quickbooks/oauth_token_response.json");
    let recorded: Value = serde_json::from_str(recorded).unwrap();
    let keys = |v: &Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&ours), keys(&recorded));
    assert_eq!(ours["expires_in"], 3600);
    assert_eq!(ours["x_refresh_token_expires_in"], 8_726_400);
    assert!(ours["access_token"].as_str().unwrap().len() > 1000);
}

#[test]
fn the_page_offers_the_companies_and_a_way_out() {
    let bed = Bed::new("us_single");
    let page = bed.send("GET", &authorize_url(REDIRECT, "s1"), &[], "");
    assert!(page.text.contains(&bed.realm) && page.text.contains("Cancel"));
    let form = authorize_url(REDIRECT, "s1").split_once('?').unwrap().1.to_owned() + "&realmId=";
    let cancelled = bed.send("POST", "/connect/oauth2", &[], &form);
    let back = cancelled.header("location").unwrap();
    assert_eq!(back, format!("{REDIRECT}?error=access_denied&state=s1"));
}

#[test]
fn an_unregistered_redirect_or_a_missing_state_gets_no_page() {
    let bed = Bed::new("us_single");
    let status = |redirect, state| bed.send("GET", &authorize_url(redirect, state), &[], "").status;
    assert_eq!(status("https://evil.example/", "s"), 400);
    assert_eq!(status("https://pos.example/callback/", "s"), 400, "compared exactly");
    assert_eq!(status(REDIRECT, ""), 400);
    assert_eq!(status(REDIRECT, "s"), 200);
}

#[test]
fn the_token_endpoint_wants_basic_and_a_form() {
    let bed = Bed::new("us_single");
    let wrong = STANDARD.encode(format!("{CLIENT_ID}:guess"));
    let headers = [("authorization", format!("Basic {wrong}"))];
    let headers = [(headers[0].0, headers[0].1.as_str())];
    let answer = bed.send("POST", "/oauth2/v1/tokens/bearer", &headers, "");
    assert_eq!((answer.status, answer.json()["error"].clone()), (401, json!("invalid_client")));
    let strange = refresh(&bed, "no-token");
    assert_eq!(strange.json()["error_description"], "Token invalid");
}

#[test]
fn an_access_token_ends_after_an_hour_of_the_simulated_clock() {
    let bed = Bed::new("us_single");
    assert_eq!(bed.get("preferences").status, 200);
    bed.pass(3600);
    let late = bed.get("preferences");
    let recorded = include_str!("../../fixtures/quickbooks/fault_401_token_expired.json");
    let mut recorded: Value = serde_json::from_str(recorded).unwrap();
    recorded["body"]["time"] = late.json()["time"].clone();
    assert_eq!((late.status, late.json()), (401, recorded["body"].clone()));
    let strange = Bed { token: "short".into(), ..bed };
    assert!(strange.get("preferences").text.contains("Malformed bearer token"));
}

#[test]
fn refreshing_rotates_after_a_day_and_the_old_value_is_dead() {
    let bed = Bed::new("us_single");
    let first = connected(&bed)["refresh_token"].as_str().unwrap().to_owned();
    bed.pass(3_600);
    assert_eq!(refresh(&bed, &first).json()["refresh_token"], json!(first));
    bed.pass(86_400);
    let second = refresh(&bed, &first).json()["refresh_token"].as_str().unwrap().to_owned();
    assert_ne!(second, first);
    let dead = refresh(&bed, &first);
    assert_eq!(dead.json()["error_description"], "Incorrect or invalid refresh token");
    bed.pass(102 * 86_400);
    assert_eq!(refresh(&bed, &second).status, 400, "idle for too long");
}

#[test]
fn the_hard_end_is_told_to_those_who_ask() {
    let bed = Bed::new("us_single");
    let token = connected(&bed)["refresh_token"].as_str().unwrap().to_owned();
    bed.pass(86_400);
    let form = format!("grant_type=refresh_token&refresh_token={token}");
    let asked = [("x-include-refresh-token-hard-expires-in", "true")];
    let answer = token_call(&bed, &asked, &form).json();
    assert_eq!(answer["x_refresh_token_hard_expires_in"], 157_766_400 - 86_400);
}

#[test]
fn revoking_ends_access_and_refresh() {
    let bed = Bed::new("us_single");
    let tokens = connected(&bed);
    let basic = STANDARD.encode(format!("{CLIENT_ID}:simulatedClientSecret0001"));
    let basic = format!("Basic {basic}");
    let body = json!({ "token": tokens["refresh_token"] }).to_string();
    let headers = [("authorization", basic.as_str()), ("content-type", "application/json")];
    let revoked = bed.send("POST", "/v2/oauth2/tokens/revoke", &headers, &body);
    assert_eq!((revoked.status, revoked.text.as_str()), (200, ""));
    assert_eq!(refresh(&bed, tokens["refresh_token"].as_str().unwrap()).status, 400);
    let bed = Bed { token: tokens["access_token"].as_str().unwrap().into(), ..bed };
    assert_eq!(bed.get("preferences").code(), "3200");
}

#[test]
fn a_token_opens_its_own_company_only() {
    let bed = Bed::new("us_single");
    let other = bed.control("POST", "companies", json!({ "preset": "uk" }));
    let own = bed.realm.clone();
    let bed = Bed { realm: other["realm_id"].as_str().unwrap().into(), ..bed };
    let refused = bed.get("preferences");
    let recorded = include_str!("../../fixtures/quickbooks/fault_403_authorization_failed.json");
    let mut recorded: Value = serde_json::from_str(recorded).unwrap();
    recorded["body"]["time"] = refused.json()["time"].clone();
    assert_eq!((refused.status, refused.json()), (403, recorded["body"].clone()));
    let bed = Bed { realm: own, ..bed };
    assert_eq!(bed.get(&format!("companyinfo/{}", bed.realm)).status, 200);
}

#[test]
fn a_person_can_disconnect_the_app() {
    let bed = Bed::new("us_single");
    let tokens = connected(&bed);
    bed.act("disconnect", json!({}));
    assert_eq!(bed.get("preferences").status, 401);
    assert_eq!(refresh(&bed, tokens["refresh_token"].as_str().unwrap()).status, 400);
}

#[test]
fn access_can_be_ended_early_while_the_refresh_token_goes_on() {
    let bed = Bed::new("us_single");
    let tokens = connected(&bed);
    let customer = id(&bed.make("Customer", json!({ "DisplayName": "Maya" })));
    bed.act("expire_access", json!({}));
    assert_eq!(bed.get(&format!("customer/{customer}")).code(), "3200");
    let again = refresh(&bed, tokens["refresh_token"].as_str().unwrap()).json();
    let bed = Bed { token: again["access_token"].as_str().unwrap().into(), ..bed };
    assert_eq!(bed.get(&format!("customer/{customer}")).status, 200);
}

#[test]
fn discovery_names_every_endpoint() {
    let bed = Bed::new("us_single");
    let ours = bed.send("GET", "/.well-known/openid_sandbox_configuration", &[], "").json();
    let recorded = include_str!("../../fixtures/quickbooks/oauth_discovery_sandbox.json");
    let recorded: Value = serde_json::from_str(recorded).unwrap();
    for key in recorded.as_object().unwrap().keys() {
        assert!(ours.get(key).is_some(), "{key} is missing");
    }
}

#[test]
fn a_lost_refresh_answer_costs_the_connection_unless_the_old_value_has_a_grace() {
    let bed = Bed::new("us_single");
    let first = connected(&bed)["refresh_token"].as_str().unwrap().to_owned();
    assert_eq!(refresh(&bed, &first).json()["refresh_token"], json!(first));
    bed.pass(86_400);
    // Answered, but nobody hears it.
    let _lost = refresh(&bed, &first);
    assert_eq!(refresh(&bed, &first).json()["error"], "invalid_grant");
    bed.rules(json!({ "old_refresh_grace_seconds": 86_400 }));
    assert_eq!(refresh(&bed, &first).status, 200);
}

#[test]
fn refresh_tokens_can_be_made_to_rotate_every_time() {
    let bed = Bed::new("us_single");
    bed.rules(json!({ "refresh_value_seconds": 0, "access_token_seconds": 60 }));
    let first = connected(&bed)["refresh_token"].as_str().unwrap().to_owned();
    let second = refresh(&bed, &first).json();
    assert_ne!(second["refresh_token"], json!(first));
    assert_eq!(second["expires_in"], 60);
}
