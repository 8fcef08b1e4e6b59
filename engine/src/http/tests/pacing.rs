//! Waits, limits, circuits, cancellation.

use super::server::{Server, Step, answer, ok};
use super::*;
use crate::clock::SystemClock;
use std::time::Instant;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[tokio::test]
async fn retry_after_is_obeyed_in_seconds_and_as_a_date() {
    for value in ["7", "Fri, 20 Nov 2026 10:00:07 GMT"] {
        let head = format!("retry-after: {value}\r\n");
        let server = Server::start(vec![answer(429, &head, ""), ok()]).await;
        let clock = TestClock::new();
        let client = client(clock.clone());
        let response = client.send(&Request::get(server.url("/"))).await.unwrap();
        assert_eq!((response.attempts, clock.waits()), (2, vec![seconds(7)]), "{value}");
        assert_eq!((client.http.meter.calls(), client.http.meter.throttled()), (2, 1));
    }
}

#[tokio::test]
async fn too_long_a_retry_after_ends_the_call_and_holds_the_account() {
    for (status, code) in [(503, "http_503"), (429, "http_429")] {
        let server = Server::start(vec![answer(status, "retry-after: 600\r\n", ""), ok()]).await;
        let clock = TestClock::new();
        let client = client(clock.clone());
        let request = Request::get(server.url("/"));
        let error = client.send(&request).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.retry_after), (code, Some(seconds(600))));
        assert_eq!((error.http_status, error.retryable), (Some(status), true));
        let error = client.send(&request).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.retry_after), ("http_429", Some(seconds(600))));
        assert_eq!(server.seen().len(), 1, "the second one was never sent");
        clock.sleep(seconds(590)).await;
        client.send(&request).await.unwrap();
        assert_eq!(clock.waits(), [seconds(590), seconds(10)]);
    }
}

#[tokio::test]
async fn waits_between_attempts_are_jittered_within_their_ends_and_follow_the_seed() {
    let server = Server::start(vec![answer(503, "", "")]).await;
    let run = async |seed| {
        let clock = TestClock::new();
        let policy = AddressPolicy::parse("127.0.0.1").unwrap();
        let config = HttpConfig { policy, ca_pem: None, clock: clock.clone() };
        let http = HttpContext::seeded(config, seed).unwrap();
        let client = http.client("a", ClientConfig::default());
        client.send(&Request::get(server.url("/"))).await.unwrap_err();
        clock.waits()
    };
    let first = run(1).await;
    assert_eq!(first.len(), 4);
    for (n, wait) in first.iter().enumerate() {
        assert!(*wait <= seconds(1 << n), "{first:?}");
    }
    assert_eq!(first, run(1).await);
    assert_ne!(first, run(2).await);
}

#[tokio::test]
async fn calls_of_an_account_keep_to_its_rate_over_all_clients() {
    let server = Server::start(vec![ok()]).await;
    let clock = TestClock::new();
    let http = context(clock.clone());
    let config = || ClientConfig {
        limits: Limits { rates: vec![Rate { calls: 2, per: seconds(10) }], in_flight: 8 },
        ..ClientConfig::default()
    };
    for n in 0..6 {
        let run = http.with_cancel(CancellationToken::new());
        run.client("account", config()).send(&Request::get(server.url("/"))).await.unwrap();
        assert_eq!(clock.waited(), seconds(n / 2 * 10), "call {n}");
    }
    http.client("other", config()).send(&Request::get(server.url("/"))).await.unwrap();
    assert_eq!(clock.waited(), seconds(20), "another account waits for nobody");
}

#[tokio::test]
async fn a_platform_that_is_down_is_left_alone_and_tried_by_one_call() {
    let mut steps = vec![answer(502, "", ""); 8];
    steps.push(ok());
    let server = Server::start(steps).await;
    let clock = TestClock::new();
    let http = context(clock.clone());
    let client = http.client("account", ClientConfig::default());
    let request = Request::get(server.url("/")).retry(RetryPolicy::NONE);
    for _ in 0..8 {
        assert_eq!(client.send(&request).await.unwrap_err().code, "http_502");
    }
    let error = client.send(&request).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.retry_after), ("circuit_open", Some(seconds(30))));
    assert!(error.message.contains("the last time with http_502"), "{}", error.message);
    assert_eq!(server.seen().len(), 8);
    let circuit = http.circuit("account").unwrap();
    assert_eq!((circuit.state.as_str(), circuit.failures), ("open", 8));
    assert!(http.circuit("nobody").is_none());
    clock.sleep(seconds(30)).await;
    assert_eq!(http.circuit("account").unwrap().state, CircuitState::HalfOpen);
    client.send(&request).await.unwrap();
    assert_eq!(http.circuit("account").unwrap().state, CircuitState::Closed);
}

#[tokio::test]
async fn refusals_of_the_platform_open_no_circuit() {
    let server = Server::start(vec![answer(401, "", "{}")]).await;
    let client = client(TestClock::new());
    for _ in 0..20 {
        client.send(&Request::get(server.url("/"))).await.unwrap();
    }
    assert_eq!(client.circuit().state, CircuitState::Closed);
}

/// Cancels after the call has come to its wait, and says how long the end took.
async fn cancelled_after(step: Step, config: ClientConfig, calls: usize) -> Duration {
    let server = Server::start(vec![step]).await;
    let http = context(Arc::new(SystemClock));
    let cancel = CancellationToken::new();
    let client = http.with_cancel(cancel.clone()).client("account", config);
    let request = Request::get(server.url("/"));
    for _ in 1..calls {
        client.send(&request).await.unwrap();
    }
    let task = tokio::spawn(async move { client.send(&request).await });
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(!task.is_finished());
    let told = Instant::now();
    cancel.cancel();
    assert!(task.await.unwrap().unwrap_err().is_cancelled());
    told.elapsed()
}

#[tokio::test]
async fn a_call_ends_when_it_is_cancelled_whatever_it_waits_for() {
    let slow = RetryPolicy { base: seconds(3600), cap: seconds(3600), ..RetryPolicy::default() };
    let rate = Limits { rates: vec![Rate { calls: 1, per: seconds(3600) }], in_flight: 1 };
    let default = ClientConfig::default;
    let waits = [
        ("an answer", Step::Hang, default(), 1),
        ("Retry-After", answer(429, "retry-after: 50\r\n", ""), default(), 1),
        ("a retry", Step::Reset, ClientConfig { retry: slow, ..default() }, 1),
        ("a token", ok(), ClientConfig { limits: rate, ..default() }, 2),
    ];
    for (what, step, config, calls) in waits {
        // Generous: this asks whether it ends at all; a benchmark asks how fast.
        assert!(cancelled_after(step, config, calls).await < seconds(5), "{what}");
    }
}

#[tokio::test]
async fn a_cancelled_call_gives_its_place_back() {
    let server = Server::start(vec![Step::Hang, ok()]).await;
    let http = context(Arc::new(SystemClock));
    let limits = Limits { rates: vec![], in_flight: 1 };
    let config = || ClientConfig { limits: limits.clone(), ..ClientConfig::default() };
    let cancel = CancellationToken::new();
    let first = http.with_cancel(cancel.clone()).client("account", config());
    let hanging = Request::get(server.url("/"));
    let task = tokio::spawn(async move { first.send(&hanging).await });
    while server.seen().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cancel.cancel();
    task.await.unwrap().unwrap_err();
    http.client("account", config()).send(&Request::get(server.url("/"))).await.unwrap();
}

#[tokio::test]
async fn what_is_waited_for_shows_while_it_lasts() {
    let server = Server::start(vec![answer(429, "retry-after: 50\r\n", "")]).await;
    let http = context(Arc::new(SystemClock));
    let cancel = CancellationToken::new();
    let run = http.with_cancel(cancel.clone());
    let mut waiting = run.meter.waiting();
    assert_eq!(*waiting.borrow(), None);
    let client = run.client("account", ClientConfig::default());
    let request = Request::get(server.url("/"));
    let before = Timestamp::now();
    let task = tokio::spawn(async move { client.send(&request).await });
    waiting.changed().await.unwrap();
    let shown = waiting.borrow_and_update().unwrap();
    assert_eq!(shown.reason, WaitReason::Throttled);
    let wait = Duration::try_from(shown.until.duration_since(before)).unwrap();
    assert!(wait >= seconds(49) && wait < seconds(60), "{wait:?}");
    cancel.cancel();
    task.await.unwrap().unwrap_err();
    assert_eq!(*waiting.borrow(), None);
}
