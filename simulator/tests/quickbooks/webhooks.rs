//! Webhooks over a real connection: form, signature, retries.

use crate::bed::client;
use serde_json::{Value, json};
use simulator::{Handle, Options, start};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Deliveries as they arrived: header lines in lower case, and the raw body.
type Received = Arc<Mutex<Vec<(String, String)>>>;

/// A receiver that answers with the statuses given, the last one for ever.
async fn receiver(statuses: &'static [u16]) -> (String, Received) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let received: Received = Arc::default();
    let seen = received.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = vec![];
            let (head, body) = loop {
                let mut piece = [0; 4096];
                let read = stream.read(&mut piece).await.unwrap();
                bytes.extend_from_slice(&piece[..read]);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let head = head.to_lowercase();
                let length = head.split("content-length: ").nth(1).unwrap();
                let length: usize = length.lines().next().unwrap().trim().parse().unwrap();
                if body.len() >= length {
                    break (head, body.to_owned());
                }
            };
            let count = {
                let mut seen = seen.lock().unwrap();
                seen.push((head, body));
                seen.len()
            };
            let status = statuses[(count - 1).min(statuses.len() - 1)];
            let answer =
                format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, received)
}

struct Running {
    handle: Handle,
    client: reqwest::Client,
    realm: String,
}

impl Running {
    async fn new(url: &str) -> Self {
        let handle = start(Options::default()).await.unwrap();
        handle.clock.freeze(true);
        let running = Running { handle, client: client(), realm: String::new() };
        let companies = running.control("GET", "companies", Value::Null).await;
        let realm = companies[1]["realm_id"].as_str().unwrap().to_owned();
        running.control("POST", "tokens", json!({ "realm_id": realm })).await;
        running.control("PUT", "webhooks", json!({ "url": url })).await;
        Running { realm, ..running }
    }

    async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let url = format!("{}/quickbooks/{path}", self.handle.control);
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let answer = self.client.request(method, url).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.unwrap()
    }

    async fn act(&self, name: &str, body: Value) -> Value {
        self.control("POST", &format!("companies/{}/actions/{name}", self.realm), body).await
    }

    async fn vendor(&self, name: &str) -> Value {
        let set = json!({ "DisplayName": name });
        self.act("create", json!({ "entity": "Vendor", "set": set })).await
    }

    fn pass(&self, seconds: i64) {
        self.handle.clock.advance(jiff::SignedDuration::from_secs(seconds));
    }
}

/// Waits until so many deliveries arrived.
async fn arrived(received: &Received, count: usize) -> Vec<(String, String)> {
    for _ in 0..200 {
        let seen = received.lock().unwrap().clone();
        if seen.len() >= count {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{} of {count} deliveries arrived", received.lock().unwrap().len());
}

/// Nothing more comes while this passes: several pulses of the dispatcher.
async fn quiet() {
    tokio::time::sleep(Duration::from_millis(150)).await;
}

#[tokio::test]
async fn a_change_is_told_as_a_signed_array_of_cloud_events() {
    let (url, received) = receiver(&[200]).await;
    let running = Running::new(&url).await;
    let vendor = running.vendor("Paper Mill").await;
    running
        .act(
            "edit",
            json!({ "entity": "Vendor", "id": vendor["Id"],
        "set": { "Notes": "x" } }),
        )
        .await;
    quiet().await;
    assert!(received.lock().unwrap().is_empty(), "events of two seconds are one delivery");
    running.pass(2);
    let (head, body) = arrived(&received, 1).await.remove(0);
    let events: Value = serde_json::from_str(&body).unwrap();
    let recorded = include_str!("../../fixtures/quickbooks/webhook_cloudevents.json");
    let recorded: Value = serde_json::from_str(recorded).unwrap();
    let keys = |v: &Value| v[0].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&events), keys(&recorded));
    assert_eq!(events[0]["type"], "qbo.vendor.created.v1");
    assert_eq!(events[1]["type"], "qbo.vendor.updated.v1");
    assert_eq!(events[0]["intuitentityid"], vendor["Id"]);
    assert_eq!(events[0]["intuitaccountid"], json!(running.realm));
    let headers = include_str!("../../fixtures/quickbooks/webhook_http_headers.json");
    let headers: Value = serde_json::from_str(headers).unwrap();
    let cloud = headers.as_object().unwrap().values().next().unwrap();
    for name in cloud.as_object().unwrap().keys().filter(|name| *name != "accept-encoding") {
        assert!(head.contains(&format!("\r\n{name}: ")), "{name} is missing: {head}");
    }
    assert!(head.contains("content-type: application/cloudevents-batch+json; charset=utf-8"));
}

#[tokio::test]
async fn a_refused_delivery_comes_again_and_later_ones_wait_behind_it() {
    let (url, received) = receiver(&[500, 500, 200]).await;
    let running = Running::new(&url).await;
    running.vendor("One").await;
    running.pass(2);
    arrived(&received, 1).await;
    running.vendor("Two").await;
    running.pass(9);
    quiet().await;
    assert_eq!(received.lock().unwrap().len(), 1);
    running.pass(1);
    arrived(&received, 2).await;
    running.pass(20);
    let seen = arrived(&received, 4).await;
    assert_eq!(seen[0].1, seen[1].1, "the same bytes");
    assert_eq!(seen[1].1, seen[2].1);
    assert_ne!(seen[2].1, seen[3].1);
    quiet().await;
    let waiting = running.control("GET", "webhooks", Value::Null).await;
    assert_eq!(waiting[0]["waiting"], 0);
}

#[tokio::test]
async fn deliveries_go_wrong_as_told() {
    let (url, received) = receiver(&[200]).await;
    let running = Running::new(&url).await;
    let rules = |rules: Value| running.control("PUT", "rules", rules);
    rules(json!({ "webhook_mishaps": ["duplicate", "wrong_content_type"] })).await;
    running.vendor("One").await;
    running.pass(2);
    let seen = arrived(&received, 2).await;
    assert_eq!(seen[0].1, seen[1].1, "twice, with the same event id");
    assert!(seen[0].0.contains("content-type: text/plain"));
    rules(json!({ "webhook_mishaps": ["drop"] })).await;
    running.vendor("Two").await;
    running.pass(2);
    quiet().await;
    rules(json!({ "webhook_mishaps": ["reorder"], "webhooks": "legacy" })).await;
    let [three, four] = [running.vendor("Three").await, running.vendor("Four").await];
    running.pass(2);
    let seen = arrived(&received, 3).await;
    let legacy: Value = serde_json::from_str(&seen[2].1).unwrap();
    let notification = &legacy["eventNotifications"][0];
    assert_eq!(notification["realmId"], json!(running.realm));
    let entities = notification["dataChangeEvent"]["entities"].as_array().unwrap();
    let ids: Vec<&Value> = entities.iter().map(|entity| &entity["id"]).collect();
    assert_eq!(ids, [&four["Id"], &three["Id"]], "reversed, and the dropped one is lost");
    assert_eq!(entities[0]["operation"], "Create");
}
