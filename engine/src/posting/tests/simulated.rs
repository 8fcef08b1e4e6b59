//! The whole recorded shop written into simulated companies, which were built apart from these
//! rules and check every body as strictly as QuickBooks does.

use super::shop::{Sale, customers, products, sales};
use crate::clock::SystemClock;
use crate::connector::quickbooks::auth::{Realm, TokenSource};
use crate::connector::quickbooks::client::Api;
use crate::connector::quickbooks::limits::Reads;
use crate::connector::quickbooks::settings::Settings as Connection;
use crate::error::Result;
use crate::http::{AddressPolicy, HttpConfig, HttpContext};
use crate::posting::checks::{check_company, check_settings, check_shop};
use crate::posting::company::Company;
use crate::posting::documents::{CustomerKey, Document, Ground, Subject};
use crate::posting::facts::ShopFacts;
use crate::posting::items::{self, Found};
use crate::posting::money;
use crate::posting::plan::{self, Operation, OrderPlan, Subjects};
use crate::posting::posted::{Agreed, Posted, PostedDocument};
use crate::posting::render::{self, Refs};
use crate::posting::summary::Summary;
use crate::posting::{compare, customers as naming};
use async_trait::async_trait;
use jiff::Timestamp;
use oauth2::AccessToken;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use simulator::http::Request;
use simulator::platform::{ControlCall, Platform};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

struct Token(String);

#[async_trait]
impl TokenSource for Token {
    async fn current(&self) -> Result<AccessToken> {
        Ok(AccessToken::new(self.0.clone()))
    }
    async fn refreshed(&self, _: &AccessToken) -> Result<AccessToken> {
        self.current().await
    }
}

/// One simulated company, and what was written to it.
struct Run {
    handle: simulator::Handle,
    realm: String,
    token: String,
    connection: Connection,
    company: Company,
    zone: jiff::tz::TimeZone,
    customers: BTreeMap<(i64, String), String>,
    names: BTreeSet<String>,
    items: BTreeMap<i64, String>,
    posted: BTreeMap<i64, Posted>,
    writes: Cell<u64>,
}

struct Known<'r> {
    run: &'r Run,
    order: i64,
}

impl Refs for Known<'_> {
    fn item(&self, product: i64) -> Option<String> {
        self.run.items.get(&product).cloned()
    }
    fn customer(&self, customer: i64, currency: &str) -> Option<String> {
        self.run.customers.get(&(customer, currency.to_owned())).cloned()
    }
    fn document(&self, subject: Subject) -> Option<String> {
        let posted = self.run.posted.get(&self.order)?;
        let found = match subject {
            Subject::Sale => posted.sale.as_ref(),
            Subject::Refund(id) => posted.refunds.get(&id),
            _ => None,
        };
        found.map(|document| document.remote_id.clone())
    }
}

fn amount(value: &Value) -> Decimal {
    money::from_json(value).unwrap_or_default()
}

impl Run {
    async fn open(preset: &str) -> Run {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut options = simulator::Options { no_call_log: true, ..Default::default() };
        options.quickbooks.companies = vec![preset.to_owned()];
        options.quickbooks.rules.throttle = false;
        let handle = simulator::start(options).await.unwrap();
        let realm =
            handle.books.describe()["companies"][0]["realm_id"].as_str().unwrap().to_owned();
        let body = json!({"realm_id": realm});
        let call = ControlCall { method: "POST", path: vec!["tokens"], query: vec![], body };
        let tokens = handle.books.control(&call).unwrap();
        let token = tokens["access_token"].as_str().unwrap().to_owned();
        let policy = AddressPolicy::parse("127.0.0.1").unwrap();
        let path = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join(format!("../simulator/fixtures/quickbooks/presets/{preset}.settings.json"));
        let mut settings: Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        settings["api_url"] = json!(handle.quickbooks().addresses.https);
        let connection = Connection::parse(&settings, &policy).unwrap();
        let company = Run::company(&handle, &realm, &token, &connection, policy).await;
        let zone = connection.posting.zone().unwrap();
        Run {
            handle,
            realm,
            token,
            connection,
            company,
            zone,
            customers: BTreeMap::new(),
            names: BTreeSet::new(),
            items: BTreeMap::new(),
            posted: BTreeMap::new(),
            writes: Cell::new(0),
        }
    }

    /// The snapshot, as the connector reads it.
    async fn company(
        handle: &simulator::Handle,
        realm: &str,
        token: &str,
        connection: &Connection,
        policy: AddressPolicy,
    ) -> Company {
        let ca_pem = Some(handle.ca_pem.clone().into_bytes());
        let clock = Arc::new(SystemClock);
        let http = HttpContext::new(HttpConfig { policy, ca_pem, clock }).unwrap();
        let reads = Arc::new(Reads::new(1000, 0, Timestamp::now()));
        let realm = Realm::parse(realm).unwrap();
        let api = Api::open(connection, realm, &http, Arc::new(Token(token.to_owned())), reads);
        api.company(&connection.posting).await.unwrap()
    }

    fn ground(&self) -> Ground<'_> {
        let settings = &self.connection.posting;
        Ground { settings, company: &self.company, zone: &self.zone, shop: "shop.example" }
    }

    /// A write as a proper client makes it; the entity that comes back.
    fn post(&self, entity: &str, body: &Value) -> Value {
        self.writes.set(self.writes.get() + 1);
        let request = Request {
            method: "POST".into(),
            path: format!("/v3/company/{}/{}", self.realm, entity.to_lowercase()),
            query: format!("minorversion=75&requestid=r{}", self.writes.get()),
            headers: [
                ("authorization", format!("Bearer {}", self.token)),
                ("accept", "application/json".into()),
                ("content-type", "application/json".into()),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec(),
            body: body.to_string().into_bytes().into(),
            secure: true,
        };
        let response = self.handle.books.answer(&request);
        let answer: Value = serde_json::from_slice(&response.whole_body()).unwrap();
        assert!(answer[entity].is_object(), "{entity} {body:#}: {answer:#}");
        answer[entity].clone()
    }

    /// What the documents depend on: customers and items.
    fn depend(&mut self, document: &Document) {
        if let CustomerKey::Customer(id) = document.customer {
            let key = (id, document.currency.clone());
            if !self.customers.contains_key(&key) {
                let customer = &customers()[&id];
                let taken = |name: &str| self.names.contains(&name.to_lowercase());
                let name =
                    naming::display_name(customer, &document.currency, &self.company, &taken);
                let body = naming::body(customer, &name, &document.currency, &self.company);
                self.names.insert(name.to_lowercase());
                let id = self.post("Customer", &body)["Id"].as_str().unwrap().to_owned();
                self.customers.insert(key, id);
            }
        }
        for id in document.products() {
            if self.items.contains_key(&id) {
                continue;
            }
            let product = &products()[&id];
            let settings = &self.connection.posting;
            let found = items::resolve(product, 1, &[], settings, &self.company).unwrap();
            let Found::Create(body) = found else { panic!("{found:?}") };
            let item = self.post("Item", &body)["Id"].as_str().unwrap().to_owned();
            self.items.insert(id, item);
        }
    }

    fn plan(&self, sale: &Sale) -> OrderPlan {
        let none = Posted::default();
        let posted = self.posted.get(&sale.order.id).unwrap_or(&none);
        let is_guest = sale.order.customer_id.is_some_and(|id| customers()[&id].is_guest);
        let of =
            Subjects { order: &sale.order, refunds: &sale.refunds, is_guest, posted, asked: &[] };
        plan::order(&of, &self.ground())
    }

    fn push(&mut self, sale: &Sale) -> OrderPlan {
        let plan = self.plan(sale);
        for step in &plan.steps {
            let Operation::Create { document, .. } = &step.operation else { panic!("{step:?}") };
            self.depend(document);
            let refs = Known { run: self, order: sale.order.id };
            let body = render::body(document, &refs, &self.ground()).unwrap();
            let answer = self.post(document.kind.as_str(), &body);
            compare::check_answer(document, &answer).unwrap();
            self.remember(sale.order.id, document, &answer);
        }
        plan
    }

    fn remember(&mut self, order: i64, document: &Document, answer: &Value) {
        let entry = PostedDocument {
            kind: document.kind,
            remote_id: answer["Id"].as_str().unwrap().into(),
            sync_token: answer["SyncToken"].as_str().unwrap().into(),
            txn_date: document.date,
            total: amount(&answer["TotalAmt"]),
            balance: Some(amount(&answer["Balance"])),
            linked: false,
            payments: vec![],
            locked: false,
            edited: false,
            voided: false,
            adopted: false,
            agreed: Agreed { sent: compare::wanted(document), answered: compare::owned(answer) },
        };
        let posted = self.posted.entry(order).or_default();
        match document.subject {
            Subject::Sale => posted.sale = Some(entry),
            Subject::Refund(id) => drop(posted.refunds.insert(id, entry)),
            Subject::CreditApplied(id) => drop(posted.credits_applied.insert(id, entry)),
            other => panic!("{other:?}"),
        }
    }

    /// The shop, pushed; then pushed again, which writes nothing.
    fn push_all(&mut self) -> Summary {
        let mut summary = Summary::default();
        for sale in sales() {
            let plan = self.push(&sale);
            assert_eq!(plan.failures, [], "order {}", sale.order.number);
            summary.plan(&sale.order.currency, sale.order.total, &plan);
        }
        assert!(summary.is_balanced());
        assert!(sales().iter().all(|sale| self.plan(sale).steps.is_empty()));
        summary
    }

    fn control(&self, path: &str) -> Value {
        let path = format!("companies/{}/{path}", self.realm);
        let path = path.split('/').collect();
        let call = ControlCall { method: "GET", path, query: vec![], body: Value::Null };
        self.handle.books.control(&call).unwrap()
    }
}

/// Pushes the shop into a preset: documents, customers with the web customer, net in dollars.
async fn pushed(preset: &str) -> (u64, usize, Decimal) {
    let mut run = Run::open(preset).await;
    let settings = &run.connection.posting;
    assert_eq!(check_settings(settings), [], "{preset}");
    let wrong = |findings: Vec<crate::posting::checks::Finding>| {
        findings.into_iter().filter(|f| !f.is_warning).collect::<Vec<_>>()
    };
    assert_eq!(wrong(check_company(settings, &run.company)), [], "{preset}");
    let mut facts = ShopFacts::default();
    sales().iter().for_each(|sale| facts.add(&sale.order, &sale.refunds, &run.ground()));
    assert_eq!(wrong(check_shop(settings, &run.company, &facts)), [], "{preset}");
    let summary = run.push_all();
    let documents = run.control("documents");
    for (currency, row) in &summary.currencies {
        let total = |kind: &str| amount(&documents[kind][currency]["total"]);
        let net =
            total("SalesReceipt") + total("Invoice") - total("CreditMemo") - total("RefundReceipt");
        assert_eq!(net, row.net(), "{preset} {currency}: {documents:#}");
    }
    let web = facts.of_nobody.len();
    let usd = summary.currencies["USD"].net();
    (summary.documents(), run.customers.len() + web, usd)
}

#[tokio::test]
async fn a_simulated_us_company_takes_the_usd_row() {
    let usd: Decimal = "144723.05".parse().unwrap();
    assert_eq!(pushed("us_single").await, (232, 80, usd));
}

#[tokio::test]
async fn simulated_companies_with_multicurrency_take_all_rows() {
    let usd: Decimal = "144723.05".parse().unwrap();
    for preset in ["us", "uk", "eu"] {
        assert_eq!(pushed(preset).await, (242, 88, usd), "{preset}");
    }
}

#[tokio::test]
async fn a_simulated_uk_company_without_multicurrency_takes_three_documents() {
    assert_eq!(pushed("uk_single").await.0, 3);
}
