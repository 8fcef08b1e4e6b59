//! A running simulator, a connector on it, and a plain walk over its lists.

use engine::clock::Clock;
use engine::connector::woocommerce::WooCommerce;
use engine::connector::{Connector, Pass};
use engine::http::{AddressPolicy, HttpConfig, HttpContext};
use engine::model::{
    Cell, ContentHash, Direction, Entity, Mode, Presence, Record, RecordFailure, Row,
};
use engine::store::{Connection, DeletePolicy, Filters, Secret, Stream};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use simulator::{Handle, Options};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub struct Shop {
    handle: Handle,
}

/// The simulator's time; waits end at once.
struct ShopClock(simulator::clock::SimClock);

impl Clock for ShopClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        Box::pin(async {})
    }
}

/// What a walk has read.
#[derive(Debug, Default)]
pub struct Walk {
    pub records: Vec<Record>,
    pub failures: Vec<RecordFailure>,
    pub notes: Vec<String>,
    pub listed: Vec<i64>,
}

impl Walk {
    /// Remote ids of a kind, each once, in order.
    pub fn ids(&self, remote_type: &str) -> Vec<String> {
        let mut ids: Vec<String> = self
            .records
            .iter()
            .filter(|r| r.remote_type == remote_type)
            .map(|r| r.remote_id.clone())
            .collect();
        ids.sort();
        ids.dedup();
        ids
    }

    pub fn of(&self, remote_type: &str, presence: Presence) -> Vec<&Record> {
        self.records
            .iter()
            .filter(|r| r.remote_type == remote_type && r.presence == presence)
            .collect()
    }

    /// Without guests, who stay as they were first seen.
    pub fn hashes(&self) -> BTreeMap<String, ContentHashText> {
        self.records
            .iter()
            .filter(|r| !r.keep_existing)
            .map(|r| (format!("{} {}", r.remote_type, r.remote_id), ContentHashText(r.hash)))
            .collect()
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct ContentHashText(ContentHash);

impl Shop {
    /// The recorded shop.
    pub async fn start() -> Shop {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Shop { handle: simulator::start(Options::default()).await.unwrap() }
    }

    pub fn now(&self) -> Timestamp {
        self.handle.clock.now()
    }

    pub fn connect(&self, key: &str, scheme: &str) -> WooCommerce {
        let (key, secret) = self.handle.shop.key(key).unwrap();
        self.connect_with(&key, &secret, scheme)
    }

    pub fn connect_with(&self, key: &str, secret: &str, scheme: &str) -> WooCommerce {
        WooCommerce::open(&self.connection(key, secret, scheme), &self.http()).unwrap()
    }

    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(ShopClock(self.handle.clock.clone()))
    }

    pub fn http(&self) -> Arc<HttpContext> {
        let config = HttpConfig {
            policy: AddressPolicy::parse("127.0.0.1").unwrap(),
            ca_pem: Some(self.handle.ca_pem.clone().into_bytes()),
            clock: self.clock(),
        };
        HttpContext::new(config).unwrap()
    }

    /// Streams of all entities, with a key of the shop.
    pub fn streams(&self) -> Vec<Stream> {
        let (key, secret) = self.handle.shop.key("read_only").unwrap();
        let connection = self.connection(&key, &secret, "https");
        let stream = |entity| Stream { connection: connection.clone(), ..self.stream(entity) };
        [Entity::Customers, Entity::Products, Entity::Orders, Entity::Refunds].map(stream).to_vec()
    }

    fn connection(&self, key: &str, secret: &str, scheme: &str) -> Arc<Connection> {
        let addresses = &self.handle.woocommerce().addresses;
        let url = if scheme == "https" { &addresses.https } else { &addresses.http };
        let secret = json!({"consumer_key": key, "consumer_secret": secret});
        Arc::new(Connection {
            tenant: "default".into(),
            name: "shop".into(),
            connector: "woocommerce".into(),
            account: "shop".into(),
            settings: json!({"url": url, "allow_http": true}),
            credentials: Secret::new(secret.as_object().unwrap().clone()),
        })
    }

    pub fn stream(&self, entity: Entity) -> Stream {
        Stream {
            connection: self.connection("ck_1", "cs_1", "https"),
            entity,
            direction: Direction::Pull,
            filters: Filters::default(),
            delete_policy: DeletePolicy::default(),
            rules: None,
        }
    }

    /// All passes of an entity, page after page.
    pub async fn walk(
        &self,
        connector: &WooCommerce,
        entity: Entity,
        mode: Mode,
        watermark: Option<Timestamp>,
    ) -> Walk {
        let passes = connector.passes(entity, mode, watermark, &Filters::default()).await.unwrap();
        let mut walk = Walk::default();
        for pass in passes {
            let found = self.walk_pass(connector, entity, &pass).await;
            walk.records.extend(found.records);
            walk.failures.extend(found.failures);
            walk.notes.extend(found.notes);
            walk.listed.extend(found.listed);
        }
        walk
    }

    pub async fn walk_pass(&self, connector: &WooCommerce, entity: Entity, pass: &Pass) -> Walk {
        let stream = self.stream(entity);
        let limit = connector.page_size();
        let mut walk = Walk::default();
        loop {
            let offset = walk.listed.len() as u64;
            let page = connector.page(&stream, pass, offset, limit).await.unwrap();
            assert_eq!(page.ids.len(), page.len);
            assert!(page.ids.is_sorted());
            walk.records.extend(page.records);
            walk.failures.extend(page.failures);
            walk.notes.extend(page.notes);
            walk.listed.extend(page.ids);
            if (page.len as u64) < limit {
                return walk;
            }
        }
    }

    /// A call of the control API, below `/woocommerce/`.
    pub async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let url = format!("{}/woocommerce/{path}", self.handle.control);
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let answer = reqwest::Client::builder()
            .no_proxy()
            .build()
            .unwrap()
            .request(method, url)
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    pub fn fault(&self, name: &str, arguments: Value) {
        self.handle.woocommerce().add_fault(name, arguments).unwrap();
    }

    pub fn clear_faults(&self) {
        self.handle.woocommerce().faults().clear();
    }
}

pub fn decimal(row: &Row, column: &str) -> Decimal {
    match row.cell(column) {
        Cell::Decimal(value) => *value,
        other => panic!("{column} is {other:?}"),
    }
}

pub fn text<'r>(row: &'r Row, column: &str) -> &'r str {
    match row.cell(column) {
        Cell::Text(text) => text,
        other => panic!("{column} is {other:?}"),
    }
}
