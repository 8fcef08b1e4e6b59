//! Reads: headers, envelopes, refusals, the budget.

use super::server::{Reply, Server, json, text};
use super::{REALM, TestClock, api, api_with_reads, fixture, http, policy};
use crate::clock::Clock;
use crate::connector::quickbooks::auth::{Realm, TokenSource};
use crate::connector::quickbooks::client::Api;
use crate::connector::quickbooks::limits::Reads;
use crate::connector::quickbooks::settings::Settings;
use crate::error::{Category, Result};
use async_trait::async_trait;
use jiff::SignedDuration;
use oauth2::AccessToken;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn body_of(name: &str) -> (u16, Value) {
    let file = fixture(name);
    (file["http"].as_u64().unwrap() as u16, file["body"].clone())
}

#[tokio::test]
async fn a_read_says_what_it_takes_and_which_version_it_was_written_for() {
    let server = Server::start(|_, _| json(200, fixture("invoice_us_ast.json"))).await;
    let clock = TestClock::new();
    let answer = api(&server, &clock).read("invoice/239", &[]).await.unwrap();
    let body = answer.body().unwrap();
    assert!(body.get("Invoice").unwrap().get().contains("\"TotalAmt\":64.78"));
    assert!(body.time().is_some());
    assert_eq!((answer.trace(), answer.calls()), (Some("1-tid-7"), 1));
    let seen = &server.seen()[0];
    assert_eq!(seen.path, format!("/v3/company/{REALM}/invoice/239"));
    assert_eq!(seen.query, "minorversion=75");
    assert_eq!(seen.header("accept"), Some("application/json"));
    assert_eq!(seen.header("authorization"), Some("Bearer at-1"));
    assert!(seen.header("user-agent").unwrap().starts_with("easysync/"));
}

#[tokio::test]
async fn a_fault_is_one_in_either_envelope_and_on_any_status() {
    let faults = fixture("faults_validation.json");
    let cases = [
        (200, faults["10000_system_fault_http200"]["body"].clone(), "10000"),
        (200, faults["5010_stale_object"]["body"].clone(), "5010"),
        (400, body_of("fault_6240_lowercase_envelope.json").1, "6240"),
        (403, body_of("fault_403_authorization_failed.json").1, "3100"),
    ];
    for (status, body, code) in cases {
        let server = Server::start(move |_, _| json(status, body.clone())).await;
        let error = api(&server, &TestClock::new()).read("invoice/1", &[]).await.err().unwrap();
        assert_eq!((error.code.as_str(), error.http_status), (code, Some(status)));
    }
}

#[tokio::test]
async fn what_is_no_json_is_worth_another_try() {
    let cases: [(u16, &str); 2] =
        [(200, "stream timeout"), (500, "<html><body>Oops</body></html>")];
    for (status, body) in cases {
        let server = Server::start(move |_, _| text(status, body)).await;
        let error = api(&server, &TestClock::new()).read("invoice/1", &[]).await.err().unwrap();
        assert_eq!((error.category, error.retryable), (Category::Network, true), "{body}");
    }
}

/// Each refresh gives the next token.
struct Counting(AtomicUsize);

#[async_trait]
impl TokenSource for Counting {
    async fn current(&self) -> Result<AccessToken> {
        Ok(AccessToken::new("at-1".into()))
    }
    async fn refreshed(&self, stale: &AccessToken) -> Result<AccessToken> {
        assert_eq!(stale.secret(), "at-1");
        let n = self.0.fetch_add(1, Ordering::SeqCst) + 2;
        Ok(AccessToken::new(format!("at-{n}")))
    }
}

fn counting(server: &Server, clock: &Arc<TestClock>) -> (Api, Arc<Counting>) {
    let settings = serde_json::json!({"environment": "sandbox", "api_url": server.url()});
    let settings = Settings::parse(&settings, &policy()).unwrap();
    let source = Arc::new(Counting(AtomicUsize::new(0)));
    let reads = Arc::new(Reads::new(500, 0, clock.now()));
    let realm = Realm::parse(REALM).unwrap();
    (Api::open(&settings, realm, &http(clock.clone()), source.clone(), reads), source)
}

#[tokio::test]
async fn an_expired_token_is_renewed_once_and_given_a_moment_to_spread() {
    for (refused, waits) in [(1, 0), (2, 1)] {
        let server = Server::start(move |_, n| match n < refused {
            true => json(401, body_of("fault_401_token_expired.json").1),
            false => json(200, fixture("invoice_us_ast.json")),
        })
        .await;
        let clock = TestClock::new();
        let (api, source) = counting(&server, &clock);
        api.read("invoice/239", &[]).await.unwrap();
        assert_eq!(source.0.load(Ordering::SeqCst), 1);
        let long: Vec<_> =
            clock.waits().into_iter().filter(|w| *w >= Duration::from_secs(1)).collect();
        assert_eq!(long.len(), waits);
        let last = server.seen().last().unwrap().header("authorization").map(str::to_owned);
        assert_eq!(last.as_deref(), Some("Bearer at-2"));
        assert_eq!(api.reads().0, 1, "only the answer counts");
    }
}

#[tokio::test]
async fn a_token_that_stays_refused_stops_the_connection() {
    let server = Server::start(|_, _| json(401, body_of("fault_401_malformed_token.json").1)).await;
    let clock = TestClock::new();
    let (api, source) = counting(&server, &clock);
    let error = api.read("invoice/239", &[]).await.err().unwrap();
    assert_eq!((error.category, error.code.as_str()), (Category::Authentication, "3200"));
    assert_eq!((server.seen().len(), source.0.load(Ordering::SeqCst)), (3, 1));
    assert!(!error.message.contains("eyJ"));
}

#[tokio::test]
async fn a_throttled_company_is_left_alone_for_a_minute() {
    let server = Server::start(|_, n| match n {
        0 => json(429, body_of("fault_429_throttle.json").1),
        _ => json(200, fixture("invoice_us_ast.json")),
    })
    .await;
    let clock = TestClock::new();
    let begun = clock.now();
    api(&server, &clock).read("invoice/239", &[]).await.unwrap();
    assert_eq!(clock.now().duration_since(begun).as_secs(), 60);
    let server = Server::start(|_, n| match n {
        0 => Reply::Answer(429, "retry-after: 7\r\n", "".into()),
        _ => json(200, fixture("invoice_us_ast.json")),
    })
    .await;
    let begun = clock.now();
    api(&server, &clock).read("invoice/239", &[]).await.unwrap();
    assert_eq!(clock.now().duration_since(begun).as_secs(), 7);
}

#[tokio::test]
async fn a_spent_budget_ends_reads_with_the_date_on_which_they_go_on() {
    let server = Server::start(|_, _| json(200, fixture("invoice_us_ast.json"))).await;
    let clock = TestClock::new();
    let api = api_with_reads(&server, &clock, 2);
    for _ in 0..2 {
        api.read("invoice/239", &[]).await.unwrap();
    }
    let error = api.read("invoice/239", &[]).await.err().unwrap();
    assert_eq!((error.category, error.sqlstate()), (Category::RateLimit, "YS429"));
    assert!(error.message.contains("before 2026-12-01: 2 of 2"), "{error}");
    assert_eq!(server.seen().len(), 2);
    clock.advance(SignedDuration::from_hours(24 * 11));
    api.read("invoice/239", &[]).await.unwrap();
    assert_eq!(api.reads(), (1, 2));
}

#[test]
fn reads_refused_for_a_quarter_of_an_hour_are_the_months_block() {
    let clock = TestClock::new();
    let reads = Reads::new(500_000, 499_000, clock.now());
    for _ in 0..2 {
        reads.refused(clock.now());
        clock.advance(SignedDuration::from_mins(10));
        reads.check(clock.now()).unwrap();
    }
    reads.refused(clock.now());
    assert!(reads.check(clock.now()).unwrap_err().message.contains("before 2026-12-01"));
    clock.advance(SignedDuration::from_hours(24 * 11));
    reads.check(clock.now()).unwrap();
    reads.spent(clock.now());
    assert_eq!((reads.take_unreported(), reads.take_unreported()), (1, 0));
}

#[test]
fn other_hosts_are_taken_only_where_the_servers_owner_listed_them() {
    let parse = |value: Value| Settings::parse(&value, &policy());
    let host = |url: &str| serde_json::json!({"environment": "sandbox", "api_url": url});
    assert!(parse(host("http://127.0.0.1:9")).is_ok());
    for url in ["https://evil.test", "http://10.0.0.1", "https://127.0.0.2", "nothing"] {
        let problems = parse(host(url)).unwrap_err();
        assert_eq!(problems.len(), 1, "{url}");
    }
    let own = parse(serde_json::json!({"environment": "production"})).unwrap();
    assert_eq!(own.api_url.as_str(), "https://quickbooks.api.intuit.com/");
    assert_eq!(own.endpoints().token, "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer");
    let problems = parse(serde_json::json!({"environment": "x", "read_budget": -1})).unwrap_err();
    assert_eq!(problems.len(), 2);
    assert!(parse(Value::Null).is_err(), "the environment has no default");
}
