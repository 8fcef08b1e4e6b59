//! Delivers: one action per webhook and object while it is pending, no retries.

use super::payload;
use crate::woocommerce::record::{number, set, text};
use crate::woocommerce::state::{Event, Shop};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The seventh failure in a row disables a webhook.
const TOLERATED: u32 = 6;

/// An order of WooCommerce's own: not that of the events (reference, 10.4).
type Place = u64;

#[derive(Debug, Clone)]
struct Action {
    webhook: u64,
    topic: String,
    id: u64,
    due: Instant,
}

#[derive(Debug, Default)]
struct Queue {
    pending: BTreeMap<(Place, u64, u64), Action>,
    pings: Vec<(u64, String)>,
    under_way: usize,
}

/// Holds what is still to be delivered.
pub struct Dispatcher {
    queue: Mutex<Queue>,
    wake: Notify,
    idle: Notify,
    delay: Duration,
    to_loopback: bool,
}

impl Dispatcher {
    /// Delivers so long after an event; to loopback hosts only if told so.
    pub fn new(delay: Duration, to_loopback: bool) -> Self {
        Dispatcher {
            queue: Mutex::default(),
            wake: Notify::new(),
            idle: Notify::new(),
            delay,
            to_loopback,
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Turns the shop's events into actions. A webhook that isn't active now misses them.
    pub fn take_events(&self, shop: &mut Shop) {
        let events = std::mem::take(&mut shop.events);
        if shop.webhooks.is_empty() {
            return;
        }
        let mut queue = self.queue();
        for Event { topic, id } in events {
            for webhook in payload::listeners(shop, &topic) {
                let place = (webhook ^ id).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
                let due = Instant::now() + self.delay;
                let action = Action { webhook, topic: topic.clone(), id, due };
                queue.pending.entry((place, webhook, id)).or_insert(action);
            }
        }
        drop(queue);
        self.wake.notify_one();
    }

    /// Tells a new webhook's address that it is one. Nobody hears whether that worked.
    pub fn ping(&self, webhook: u64, url: &str) {
        self.queue().pings.push((webhook, url.to_owned()));
        self.wake.notify_one();
    }

    /// Makes everything due at once.
    pub fn hurry(&self) {
        let now = Instant::now();
        self.queue().pending.values_mut().for_each(|action| action.due = now);
        self.wake.notify_one();
    }

    /// How many deliveries are waiting or under way.
    pub fn waiting(&self) -> usize {
        let queue = self.queue();
        queue.pending.len() + queue.pings.len() + queue.under_way
    }

    /// Returns when nothing is waiting or under way any more.
    pub async fn idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.waiting() == 0 {
                return;
            }
            let _ = tokio::time::timeout(Duration::from_millis(100), idle).await;
        }
    }

    fn due(&self) -> (Vec<Action>, Vec<(u64, String)>, Option<Instant>) {
        let mut queue = self.queue();
        let now = Instant::now();
        let keys: Vec<_> =
            queue.pending.iter().filter(|(_, a)| a.due <= now).map(|(key, _)| *key).collect();
        let actions: Vec<Action> =
            keys.iter().filter_map(|key| queue.pending.remove(key)).collect();
        let pings = std::mem::take(&mut queue.pings);
        queue.under_way += actions.len() + pings.len();
        let next = queue.pending.values().map(|a| a.due).min();
        (actions, pings, next)
    }

    fn done(&self, count: usize) {
        self.queue().under_way -= count;
        self.idle.notify_waiters();
    }

    /// WordPress refuses loopback hosts; the simulator calls nothing but those, and only if told
    /// so: it must not reach out of the machine.
    fn may_call(&self, url: &str) -> bool {
        let host = reqwest::Url::parse(url).ok().and_then(|u| u.host_str().map(str::to_owned));
        let loopback = host.is_some_and(|h| {
            h == "localhost"
                || h.trim_matches(['[', ']'])
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|a| a.is_loopback())
        });
        self.to_loopback && loopback
    }
}

/// Delivers until `stop`.
pub async fn run(dispatcher: Arc<Dispatcher>, shop: Arc<Mutex<Shop>>, stop: CancellationToken) {
    // Several TLS providers may be compiled in; the client has to be told which.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(60))
        .http1_title_case_headers()
        .no_proxy()
        .build();
    let Ok(client) = client else { return };
    loop {
        let (actions, pings, next) = dispatcher.due();
        for (webhook, url) in pings {
            if dispatcher.may_call(&url) {
                let _ = ping(&client, webhook, &url).await;
            }
            dispatcher.done(1);
        }
        for action in actions {
            deliver(&dispatcher, &shop, &client, &action).await;
            dispatcher.done(1);
        }
        let sleep = async {
            match next {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = dispatcher.wake.notified() => {}
            () = sleep => {}
        }
    }
}

const AGENT: &str = "WooCommerce/10.2.4 Hookshot (WordPress/6.8.7)";

/// Form-encoded, without signature or `X-WC` headers: reference, 10.1.
async fn ping(client: &reqwest::Client, webhook: u64, url: &str) -> reqwest::Result<()> {
    let request = client
        .post(url)
        .header("User-Agent", AGENT)
        .header("Connection", "close")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(format!("webhook_id={webhook}"));
    request.send().await.map(drop)
}

struct Prepared {
    url: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

fn locked(shop: &Mutex<Shop>) -> MutexGuard<'_, Shop> {
    shop.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Builds the delivery from the newest state; nothing for a webhook that is gone or not active.
fn prepare(shop: &mut Shop, action: &Action) -> Option<Prepared> {
    let hook = shop.webhooks.get(&action.webhook)?.clone();
    if text(&hook.record, "status") != "active" {
        return None;
    }
    let body = payload::body(shop, &action.topic, action.id);
    let second = shop.clock.now().as_second();
    let headers = vec![
        ("User-Agent", AGENT.to_owned()),
        ("Accept-Encoding", "deflate, gzip, br, zstd".to_owned()),
        ("Content-Type", "application/json".to_owned()),
        ("X-WC-Webhook-Source", format!("{}/", shop.cron_url)),
        ("X-WC-Webhook-Topic", action.topic.clone()),
        ("X-WC-Webhook-Resource", text(&hook.record, "resource").to_owned()),
        ("X-WC-Webhook-Event", text(&hook.record, "event").to_owned()),
        ("X-WC-Webhook-Signature", payload::signature(&hook.secret, &body)),
        ("X-WC-Webhook-ID", action.webhook.to_string()),
        ("X-WC-Webhook-Delivery-ID", payload::delivery_id(action.webhook, second)),
        ("Connection", "close".to_owned()),
    ];
    Some(Prepared { url: text(&hook.record, "delivery_url").to_owned(), headers, body })
}

async fn deliver(
    dispatcher: &Dispatcher,
    shop: &Mutex<Shop>,
    client: &reqwest::Client,
    action: &Action,
) {
    let Some(prepared) = prepare(&mut locked(shop), action) else { return };
    let sent = match dispatcher.may_call(&prepared.url) {
        false => false,
        true => {
            let mut request = client.post(&prepared.url).body(prepared.body);
            for (name, value) in prepared.headers {
                request = request.header(name, value);
            }
            // A redirect counts as success and isn't followed.
            let outcome = request.send().await;
            outcome.is_ok_and(|answer| (200..303).contains(&answer.status().as_u16()))
        }
    };
    settle(&mut locked(shop), action.webhook, sent);
}

fn settle(shop: &mut Shop, webhook: u64, sent: bool) {
    let Some(mut hook) = shop.webhooks.remove(&webhook) else { return };
    match sent {
        true => hook.failures = 0,
        false if hook.failures >= TOLERATED => set(&mut hook.record, "status", "disabled"),
        false => hook.failures += 1,
    }
    shop.touch(&mut hook.record);
    shop.webhooks.insert(webhook, hook);
}

impl Dispatcher {
    /// For the control API.
    pub fn to_json(&self, shop: &Shop) -> Value {
        let failures: BTreeMap<u64, u32> =
            shop.webhooks.values().map(|w| (number(&w.record, "id"), w.failures)).collect();
        json!({"waiting": self.waiting(), "failures": failures})
    }
}
