//! The server around every platform: TLS, faults, counters, clock, control API, state file.

use serde_json::{Value, json};
use simulator::{Handle, Options, start, state_file};

async fn running() -> (Handle, reqwest::Client) {
    let handle = start(Options::default()).await.unwrap();
    let ca = reqwest::Certificate::from_pem(handle.ca_pem.as_bytes()).unwrap();
    let provider = rustls::crypto::ring::default_provider();
    let _ = provider.install_default();
    let client = reqwest::Client::builder().add_root_certificate(ca).build().unwrap();
    (handle, client)
}

fn shop(handle: &Handle) -> String {
    format!("{}/wp-json/wc/v3/nonexistent", handle.woocommerce().addresses.https)
}

#[tokio::test]
async fn https_is_served_under_the_simulators_own_ca() {
    let (handle, client) = running().await;
    assert_eq!(client.get(shop(&handle)).send().await.unwrap().status(), 404);
    let stranger = reqwest::Client::new().get(shop(&handle)).send().await;
    assert!(stranger.is_err(), "a client without the CA must not get through");
}

#[tokio::test]
async fn the_date_header_follows_the_simulated_clock() {
    let (handle, client) = running().await;
    handle.clock.set("2027-02-03T04:05:06Z".parse().unwrap());
    handle.clock.freeze(true);
    let answer = client.get(shop(&handle)).send().await.unwrap();
    assert!(answer.headers()["date"].to_str().unwrap().starts_with("Wed, 03 Feb 2027 04:05:0"));
}

#[tokio::test]
async fn the_control_api_adds_faults_and_counts_calls() {
    let (handle, client) = running().await;
    let control = format!("{}/woocommerce", handle.control);
    let fault = json!({"fault": "answer", "status": 429, "headers": {"Retry-After": "7"},
        "match": {"nth": 2}});
    let added = client.post(format!("{control}/faults")).json(&fault).send().await.unwrap();
    assert_eq!(added.json::<Value>().await.unwrap()["id"], 1);
    assert_eq!(client.get(shop(&handle)).send().await.unwrap().status(), 404);
    let second = client.get(shop(&handle)).send().await.unwrap();
    assert_eq!(
        (second.status().as_u16(), &second.headers()["retry-after"]),
        (429, &"7".parse().unwrap())
    );
    let calls: Value =
        client.get(format!("{control}/calls")).send().await.unwrap().json().await.unwrap();
    assert_eq!((&calls["total"], &calls["by_status"]), (&json!(2), &json!({"404": 1, "429": 1})));
    let wrong = json!({"fault": "earthquake"});
    let refused = client.post(format!("{control}/faults")).json(&wrong).send().await.unwrap();
    assert_eq!(refused.status(), 400);
}

#[tokio::test]
async fn broken_connections_look_broken_to_the_client() {
    let (handle, client) = running().await;
    for (name, arguments) in [("reset", json!({})), ("drop_after_commit", json!({}))] {
        let id = handle.woocommerce().add_fault(name, arguments).unwrap();
        assert!(client.get(shop(&handle)).send().await.is_err(), "{name}");
        assert!(handle.woocommerce().faults().remove(id));
    }
    handle.woocommerce().add_fault("truncate", json!({"bytes": 5})).unwrap();
    let answer = client.get(shop(&handle)).send().await.unwrap();
    assert!(answer.bytes().await.is_err(), "a truncated body must not look complete");
}

#[tokio::test]
async fn the_state_file_says_where_everything_is() {
    let (handle, _) = running().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dev/simulators.json");
    state_file::write(&handle, &path).unwrap();
    let state: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(state["woocommerce"]["https"], json!(handle.woocommerce().addresses.https));
    assert_eq!(state["control"], json!(handle.control));
    let ca = std::fs::read_to_string(state["ca_file"].as_str().unwrap()).unwrap();
    assert_eq!(ca, handle.ca_pem);
    assert_eq!(std::fs::read_dir(folder.path().join("dev")).unwrap().count(), 2, "no drafts left");
}

#[tokio::test]
async fn shutdown_through_the_control_api_ends_it() {
    let (handle, client) = running().await;
    client.post(format!("{}/shutdown", handle.control)).send().await.unwrap();
    handle.stopped().await;
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert!(client.get(shop(&handle)).send().await.is_err());
}
