//! A stand-in for a shop that answers as a test tells it. (The whole shop, with its rules, is the
//! simulator's part.)

use crate::clock::Clock;
use crate::connector::woocommerce::WooCommerce;
use crate::connector::{Connector, Page, Pass};
use crate::http::{AddressPolicy, HttpConfig, HttpContext};
use crate::model::{Direction, Entity, Mode};
use crate::store::{Connection, DeletePolicy, Filters, Secret, Stream};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers};

/// What a test answers: path after `/wp-json/`, and the query's parameters.
pub type Answer = Box<dyn FnMut(&str, &BTreeMap<String, String>) -> ResponseTemplate + Send>;

pub struct FakeShop {
    pub server: MockServer,
    settings: Value,
}

struct Answers(Mutex<Answer>);

impl Respond for Answers {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let path = request.url.path().trim_start_matches("/wp-json/").to_owned();
        let query = request.url.query_pairs().into_owned().collect();
        (self.0.lock().unwrap())(&path, &query)
    }
}

/// When everything happens; the clock stands still and waits end at once.
pub const NOW: &str = "2026-11-20T12:00:00Z";

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOW.parse().unwrap()
    }
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        Box::pin(async {})
    }
}

impl FakeShop {
    pub async fn start(
        answer: impl FnMut(&str, &BTreeMap<String, String>) -> ResponseTemplate + Send + 'static,
    ) -> FakeShop {
        let server = MockServer::start().await;
        Mock::given(matchers::any())
            .respond_with(Answers(Mutex::new(Box::new(answer))))
            .mount(&server)
            .await;
        FakeShop { server, settings: json!({}) }
    }

    pub fn with(mut self, settings: Value) -> FakeShop {
        self.settings = settings;
        self
    }

    fn connection(&self) -> Arc<Connection> {
        let mut settings = self.settings.clone();
        settings["url"] = self.server.uri().into();
        settings["allow_http"] = true.into();
        let secret = json!({"consumer_key": "ck_1", "consumer_secret": "cs_secret"});
        Arc::new(Connection {
            tenant: "default".into(),
            name: "shop".into(),
            connector: "woocommerce".into(),
            account: "shop.test".into(),
            settings,
            credentials: Secret::new(secret.as_object().unwrap().clone()),
        })
    }

    pub fn open(&self) -> WooCommerce {
        let config = HttpConfig {
            policy: AddressPolicy::parse("127.0.0.1").unwrap(),
            ca_pem: None,
            clock: Arc::new(Still),
        };
        let http = HttpContext::seeded(config, 7).unwrap();
        WooCommerce::open(&self.connection(), &http).unwrap()
    }

    pub fn stream(&self, entity: Entity) -> Stream {
        Stream {
            connection: self.connection(),
            entity,
            direction: Direction::Pull,
            filters: Filters::default(),
            delete_policy: DeletePolicy::default(),
            rules: None,
        }
    }

    /// The first page of the first pass.
    pub async fn first_page(&self, entity: Entity, filters: Filters) -> crate::Result<Page> {
        let shop = self.open();
        let passes = shop.passes(entity, Mode::Full, None, &filters).await?;
        self.page(&shop, entity, &passes[0], 0).await
    }

    pub async fn page(
        &self,
        shop: &WooCommerce,
        entity: Entity,
        pass: &Pass,
        offset: u64,
    ) -> crate::Result<Page> {
        shop.page(&self.stream(entity), pass, offset, 100).await
    }

    /// Paths and queries asked for, without what OAuth adds.
    pub async fn asked(&self) -> Vec<String> {
        let requests = self.server.received_requests().await.unwrap();
        requests
            .iter()
            .map(|request| {
                let query: Vec<String> = request
                    .url
                    .query_pairs()
                    .filter(|(name, _)| !name.starts_with("oauth_"))
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                let path = request.url.path().trim_start_matches("/wp-json/");
                format!("{path}?{}", query.join("&"))
            })
            .collect()
    }
}

/// JSON, with the headers of a list.
pub fn list(items: &[Value]) -> ResponseTemplate {
    ok(&Value::Array(items.to_vec())).insert_header("x-wp-total", items.len().to_string().as_str())
}

pub fn ok(body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(200)
        .insert_header("date", "Fri, 20 Nov 2026 12:00:00 GMT")
        .set_body_raw(body.to_string(), "application/json")
}

/// A recorded refusal.
pub fn refusal(status: u16, file: &str) -> ResponseTemplate {
    let body = super::fixtures::response(file);
    ResponseTemplate::new(status).set_body_raw(body, "application/json")
}

/// An order as recorded, with another id, changed a moment or a month ago.
pub fn order(id: i64, modified: &str) -> Value {
    let mut order: Value =
        serde_json::from_str(&super::fixtures::response("order_with_variation")).unwrap();
    order["id"] = id.into();
    order["number"] = id.to_string().into();
    order["date_modified_gmt"] = modified.into();
    order
}

pub const LONG_AGO: &str = "2026-01-01T00:00:00";
pub const JUST_NOW: &str = "2026-11-20T11:59:58";

/// The records of a recorded file.
pub fn records(file: &str) -> Vec<Value> {
    serde_json::from_str(&super::fixtures::read(file)).unwrap()
}

/// A recorded refund, with another id and order.
pub fn refund(id: i64, parent: i64) -> Value {
    let refunds = records("shop/refunds.json");
    let mut refund = refunds[0].clone();
    refund["id"] = id.into();
    refund["parent_id"] = parent.into();
    refund
}
