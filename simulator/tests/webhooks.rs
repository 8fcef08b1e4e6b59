//! Deliveries: reference, section 10.

mod common;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::{Shop, with};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use simulator::{Options, woocommerce};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const SECRET: &str = "whsec_\"q&'<ü> 1";

/// One delivery as it came in.
#[derive(Clone, Debug)]
struct Delivery {
    headers: Vec<(String, String)>,
    body: String,
}

impl Delivery {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, v)| v.as_str()).unwrap_or_default()
    }

    fn topic(&self) -> &str {
        self.header("x-wc-webhook-topic")
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Takes deliveries on a loopback port and answers with a status that may be changed.
#[derive(Clone)]
struct Receiver {
    url: String,
    got: Arc<Mutex<Vec<Delivery>>>,
    status: Arc<Mutex<u16>>,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let receiver = Receiver { url, got: Arc::default(), status: Arc::new(Mutex::new(200)) };
        let own = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                own.take(stream).await;
            }
        });
        receiver
    }

    async fn take(&self, mut stream: tokio::net::TcpStream) {
        let mut data = vec![];
        let (head, length) = loop {
            let mut piece = [0; 4096];
            let n = stream.read(&mut piece).await.unwrap();
            if n == 0 {
                return;
            }
            data.extend_from_slice(&piece[..n]);
            let text = String::from_utf8_lossy(&data).into_owned();
            if let Some(end) = text.find("\r\n\r\n") {
                let lines = text[..end].lines().skip(1);
                let headers: Vec<(String, String)> = lines
                    .filter_map(|l| l.split_once(": "))
                    .map(|(n, v)| (n.to_owned(), v.to_owned()))
                    .collect();
                let length = headers.iter().find(|(n, _)| n.eq_ignore_ascii_case("content-length"));
                break (
                    headers.clone(),
                    end + 4 + length.map_or(0, |(_, v)| v.parse::<usize>().unwrap()),
                );
            }
        };
        while data.len() < length {
            let mut piece = [0; 4096];
            let n = stream.read(&mut piece).await.unwrap();
            data.extend_from_slice(&piece[..n]);
        }
        let start = data.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        let body = String::from_utf8(data[start..].to_vec()).unwrap();
        self.got.lock().unwrap().push(Delivery { headers: head, body });
        let status = *self.status.lock().unwrap();
        let answer = format!(
            "HTTP/1.1 {status} X\r\nLocation: /else\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let _ = stream.write_all(answer.as_bytes()).await;
    }

    fn taken(&self) -> Vec<Delivery> {
        std::mem::take(&mut self.got.lock().unwrap())
    }

    fn answer(&self, status: u16) {
        *self.status.lock().unwrap() = status;
    }
}

/// A shop with webhooks for these topics.
async fn listening(topics: &[&str]) -> (Shop, Receiver) {
    // Long enough that nothing is delivered before a test says so.
    let delivery_delay = std::time::Duration::from_secs(3600);
    let woocommerce =
        woocommerce::Options { deliver_to_loopback: true, delivery_delay, ..Default::default() };
    let shop = with(Options { woocommerce, ..Options::default() }).await;
    let receiver = Receiver::start().await;
    for topic in topics {
        let body =
            json!({"topic": topic, "delivery_url": receiver.url, "secret": SECRET, "name": topic});
        let answer = shop.post("/webhooks", body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        assert!(!answer.text.contains("whsec"), "the secret is never shown");
    }
    shop.handle.shop.deliver_now().await;
    assert_eq!(receiver.taken().len(), topics.len(), "one ping each");
    (shop, receiver)
}

async fn deliveries(shop: &Shop, receiver: &Receiver) -> Vec<Delivery> {
    shop.handle.shop.deliver_now().await;
    receiver.taken()
}

fn topics(deliveries: &[Delivery]) -> Vec<String> {
    let mut topics: Vec<String> = deliveries.iter().map(|d| d.topic().to_owned()).collect();
    topics.sort();
    topics
}

const ORDERS: [&str; 4] = ["order.created", "order.updated", "order.deleted", "order.restored"];

#[tokio::test]
async fn the_ping_is_a_form_without_a_signature() {
    let (shop, receiver) = listening(&[]).await;
    shop.post("/webhooks", json!({"topic": "order.created", "delivery_url": receiver.url})).await;
    let ping = deliveries(&shop, &receiver).await.remove(0);
    assert_eq!(
        (ping.body.as_str(), ping.header("content-type")),
        ("webhook_id=1", "application/x-www-form-urlencoded")
    );
    assert!(!ping.headers.iter().any(|(n, _)| n.to_lowercase().starts_with("x-wc")));
}

#[tokio::test]
async fn deliveries_are_signed_and_carry_the_recorded_headers() {
    let (shop, receiver) = listening(&["order.created"]).await;
    shop.post("/orders", json!({"status": "processing", "billing": {"first_name": "😀"}})).await;
    let delivery = deliveries(&shop, &receiver).await.remove(0);
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(delivery.body.as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    assert_eq!(delivery.header("x-wc-webhook-signature"), signature);
    let text = common::recorded("webhooks/0016.headers");
    for line in text.lines().skip(2).filter_map(|l| l.split_once(": ")) {
        assert!(!delivery.header(line.0).is_empty(), "{} is missing", line.0);
    }
    assert_eq!(delivery.header("x-wc-webhook-source"), format!("{}/", shop.http()));
    assert_eq!(delivery.header("x-wc-webhook-delivery-id").len(), 32);
    let recorded: Value = serde_json::from_str(&common::recorded("webhooks/0016.body")).unwrap();
    let keys = |v: &Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&delivery.json()), keys(&recorded));
}

#[tokio::test]
async fn creating_fires_created_and_updated_and_five_puts_fire_once() {
    let (shop, receiver) = listening(&ORDERS).await;
    let id = shop.post("/orders", json!({})).await.json()["id"].clone();
    assert_eq!(topics(&deliveries(&shop, &receiver).await), ["order.created", "order.updated"]);
    for n in 0..5 {
        shop.put(&format!("/orders/{id}"), json!({"customer_note": n.to_string()})).await;
    }
    let got = deliveries(&shop, &receiver).await;
    assert_eq!(topics(&got), ["order.updated"]);
    assert_eq!(got[0].json()["customer_note"], "4", "the newest state");
}

#[tokio::test]
async fn an_order_gone_before_its_delivery_comes_as_an_error_object() {
    let (shop, receiver) = listening(&ORDERS).await;
    let id = shop.post("/orders", json!({})).await.json()["id"].clone();
    shop.delete(&format!("/orders/{id}?force=true")).await;
    let got = deliveries(&shop, &receiver).await;
    assert_eq!(topics(&got), ["order.created", "order.updated"], "the delete itself is silent");
    assert_eq!(got[0].body, common::recorded("webhooks/0027.body"));
}

#[tokio::test]
async fn some_changes_fire_nothing() {
    let (shop, receiver) = listening(&ORDERS).await;
    shop.post("/orders/262/notes", json!({"note": "n"})).await;
    assert!(deliveries(&shop, &receiver).await.is_empty(), "a note");
    let refund =
        shop.post("/orders/262/refunds", json!({"amount": "1", "api_refund": false})).await.json();
    assert_eq!(topics(&deliveries(&shop, &receiver).await), ["order.updated"], "a refund");
    shop.delete(&format!("/orders/262/refunds/{}?force=true", refund["id"])).await;
    assert!(deliveries(&shop, &receiver).await.is_empty(), "a deleted refund");
    shop.delete("/orders/262").await;
    let got = deliveries(&shop, &receiver).await;
    assert_eq!(
        (topics(&got), got[0].body.as_str()),
        (vec!["order.deleted".to_owned()], "{\"id\":262}")
    );
    shop.put("/orders/262", json!({"status": "completed"})).await;
    assert!(deliveries(&shop, &receiver).await.is_empty(), "restored by its status");
}

#[tokio::test]
async fn trashing_a_product_fires_for_coupons_too_and_the_other_way_round() {
    let (shop, receiver) =
        listening(&["product.deleted", "coupon.deleted", "product.updated"]).await;
    shop.delete("/products/10").await;
    let got = deliveries(&shop, &receiver).await;
    assert_eq!(topics(&got), ["coupon.deleted", "product.deleted"]);
    assert!(got.iter().all(|d| d.body == "{\"id\":10}"));
    shop.delete("/coupons/145").await;
    let got = deliveries(&shop, &receiver).await;
    assert_eq!(topics(&got), ["coupon.deleted", "product.deleted"]);
    shop.delete("/products/11?force=true").await;
    assert!(deliveries(&shop, &receiver).await.is_empty());
}

#[tokio::test]
async fn variations_come_under_product_topics() {
    let (shop, receiver) = listening(&["product.updated", "customer.updated"]).await;
    shop.put("/products/59/variations/60", json!({"regular_price": "30"})).await;
    let got = deliveries(&shop, &receiver).await;
    assert_eq!(got.len(), 1, "the parent sends none");
    assert_eq!(
        (&got[0].json()["type"], &got[0].json()["parent_id"]),
        (&json!("variation"), &json!(59))
    );
    shop.post("/orders", json!({"customer_id": 7})).await;
    assert_eq!(topics(&deliveries(&shop, &receiver).await), ["customer.updated"]);
}

#[tokio::test]
async fn custom_topics_tell_of_hard_deletes() {
    let all = [
        "action.woocommerce_delete_order",
        "action.woocommerce_order_refunded",
        "action.woocommerce_delete_product_variation",
        "action.woocommerce_refund_deleted",
    ];
    let (shop, receiver) = listening(&all).await;
    let refund =
        shop.post("/orders/262/refunds", json!({"amount": "1", "api_refund": false})).await.json();
    shop.delete(&format!("/orders/262/refunds/{}?force=true", refund["id"])).await;
    shop.delete("/orders/262?force=true").await;
    shop.delete("/products/59/variations/60").await;
    let mut bodies: Vec<String> =
        deliveries(&shop, &receiver).await.iter().map(|d| d.body.clone()).collect();
    bodies.sort();
    assert_eq!(
        bodies,
        [
            "{\"action\":\"woocommerce_delete_order\",\"arg\":262}",
            "{\"action\":\"woocommerce_delete_product_variation\",\"arg\":60}",
            "{\"action\":\"woocommerce_order_refunded\",\"arg\":262}",
        ]
    );
}

#[tokio::test]
async fn delivery_ids_repeat_within_a_second() {
    let (shop, receiver) = listening(&["product.updated"]).await;
    shop.handle.clock.freeze(true);
    shop.put("/products/10", json!({})).await;
    shop.put("/products/11", json!({})).await;
    let got = deliveries(&shop, &receiver).await;
    let id = |n: usize| got[n].header("x-wc-webhook-delivery-id").to_owned();
    assert_eq!((got.len(), id(0)), (2, id(1)));
    assert_ne!(got[0].body, got[1].body);
}

#[tokio::test]
async fn the_seventh_failure_in_a_row_disables_and_nothing_is_sent_again() {
    let (shop, receiver) = listening(&["order.updated"]).await;
    let fail = async |status: u16| {
        receiver.answer(status);
        shop.put("/orders/173", json!({})).await;
        deliveries(&shop, &receiver).await.len()
    };
    let status = async || shop.get("/webhooks/1").await.json()["status"].clone();
    for n in 1..=6 {
        assert_eq!(fail(500).await, 1, "no retries");
        assert_eq!(status().await, "active", "after {n}");
    }
    fail(404).await;
    assert_eq!(status().await, "disabled");
    assert_eq!(fail(200).await, 0, "later events are dropped");
    shop.put("/webhooks/1", json!({"status": "active"})).await;
    fail(500).await;
    assert_eq!(status().await, "disabled", "making it active doesn't reset the count");
    shop.put("/webhooks/1", json!({"status": "active"})).await;
    assert_eq!(fail(302).await, 1, "a redirect counts as success and isn't followed");
    fail(500).await;
    assert_eq!(status().await, "active", "success resets the count");
}

#[tokio::test]
async fn a_paused_webhooks_events_are_dropped() {
    let (shop, receiver) = listening(&["order.updated"]).await;
    shop.put("/webhooks/1", json!({"status": "paused"})).await;
    shop.put("/orders/173", json!({})).await;
    shop.put("/webhooks/1", json!({"status": "active"})).await;
    assert!(deliveries(&shop, &receiver).await.is_empty());
}

#[tokio::test]
async fn by_default_loopback_is_refused_in_silence() {
    let shop = common::shop().await;
    let receiver = Receiver::start().await;
    let body = json!({"topic": "order.updated", "delivery_url": receiver.url});
    let answer = shop.post("/webhooks", body).await;
    assert_eq!((answer.status, &answer.json()["status"]), (201, &json!("active")));
    shop.put("/orders/173", json!({})).await;
    assert!(deliveries(&shop, &receiver).await.is_empty());
}
