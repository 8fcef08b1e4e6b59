//! One simulated Intuit without a network: requests go straight to the platform.

use bytes::Bytes;
use jiff::SignedDuration;
use serde_json::{Value, json};
use simulator::clock::SimClock;
use simulator::http::{Request, Response};
use simulator::platform::{ControlCall, ControlError, Platform};
use simulator::quickbooks::{Options, QuickBooks};
use std::sync::Arc;

/// Where the tests' clock starts: a Tuesday, early morning in New York.
pub const START: &str = "2026-11-24T10:00:00Z";

pub struct Bed {
    pub books: Arc<QuickBooks>,
    pub clock: SimClock,
    pub realm: String,
    pub token: String,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub text: String,
}

impl Answer {
    pub fn of(response: Response) -> Self {
        Answer {
            status: response.status,
            headers: response.headers.clone(),
            text: String::from_utf8_lossy(&response.whole_body()).into_owned(),
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The entity inside the envelope.
    #[track_caller]
    pub fn entity(&self, name: &str) -> Value {
        let body = self.json();
        assert!(self.status == 200 && body[name].is_object(), "{} {}", self.status, self.text);
        body[name].clone()
    }

    /// The refusal's code.
    pub fn code(&self) -> String {
        let body = self.json();
        let upper = body["Fault"]["Error"][0]["code"].as_str();
        upper.or(body["fault"]["error"][0]["code"].as_str()).unwrap_or("none").to_owned()
    }

    pub fn detail(&self) -> String {
        self.json()["Fault"]["Error"][0]["Detail"].as_str().unwrap_or_default().to_owned()
    }
}

impl Bed {
    /// One company of this preset, without throttles: most tests call faster than Intuit allows.
    pub fn new(preset: &str) -> Self {
        let bed = Bed::throttled(preset);
        bed.rules(json!({ "throttle": false }));
        bed
    }

    /// One company with all rules in force.
    pub fn throttled(preset: &str) -> Self {
        let clock = SimClock::starting_at(Some(START.parse().unwrap()));
        clock.freeze(true);
        clock.set(START.parse().unwrap());
        let options = Options { companies: vec![preset.to_owned()], ..Options::default() };
        let stop = Default::default();
        let books = QuickBooks::open(&options, clock.clone(), stop).unwrap();
        let realm = books.describe()["companies"][0]["realm_id"].as_str().unwrap().to_owned();
        let mut bed = Bed { books, clock, realm, token: String::new() };
        bed.token = bed.fresh_token();
        bed
    }

    pub fn fresh_token(&self) -> String {
        let tokens = self.control("POST", "tokens", json!({ "realm_id": self.realm }));
        tokens["access_token"].as_str().unwrap().to_owned()
    }

    pub fn pass(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    pub fn try_control(
        &self,
        method: &str,
        path: &str,
        body: Value,
    ) -> Result<Value, ControlError> {
        let path = path.split('/').collect();
        self.books.control(&ControlCall { method, path, query: vec![], body })
    }

    #[track_caller]
    pub fn control(&self, method: &str, path: &str, body: Value) -> Value {
        self.try_control(method, path, body).unwrap()
    }

    /// A control call about the company.
    #[track_caller]
    pub fn company(&self, method: &str, path: &str, body: Value) -> Value {
        self.control(method, &format!("companies/{}/{path}", self.realm), body)
    }

    #[track_caller]
    pub fn act(&self, name: &str, body: Value) -> Value {
        self.company("POST", &format!("actions/{name}"), body)
    }

    pub fn rules(&self, changes: Value) {
        self.company("PUT", "rules", changes);
    }

    pub fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            body: Bytes::from(body.to_owned()),
            secure: true,
        };
        Answer::of(self.books.answer(&request))
    }

    /// A call to the company's API as a proper client makes it.
    pub fn api(&self, method: &str, rest: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let headers = [
            ("authorization", bearer.as_str()),
            ("accept", "application/json"),
            ("content-type", "application/json"),
        ];
        self.send(method, &format!("/v3/company/{}/{rest}", self.realm), &headers, body)
    }

    pub fn post(&self, rest: &str, body: Value) -> Answer {
        self.api("POST", rest, &body.to_string())
    }

    pub fn get(&self, rest: &str) -> Answer {
        self.api("GET", rest, "")
    }

    pub fn query(&self, text: &str) -> Answer {
        let encoded: String = text.bytes().map(|b| format!("%{b:02X}")).collect();
        self.get(&format!("query?query={encoded}&minorversion=75"))
    }

    /// Makes a record and gives it back.
    #[track_caller]
    pub fn make(&self, entity: &str, body: Value) -> Value {
        self.post(&entity.to_lowercase(), body).entity(entity)
    }

    #[track_caller]
    pub fn customer(&self, name: &str) -> String {
        id(&self.make("Customer", json!({ "DisplayName": name })))
    }

    #[track_caller]
    pub fn item(&self, name: &str) -> String {
        let item = json!({ "Name": name, "Type": "NonInventory",
            "IncomeAccountRef": { "value": "79" } });
        id(&self.make("Item", item))
    }

    /// An invoice over `amount` on the item "Unmatched product", without tax.
    #[track_caller]
    pub fn invoice(&self, customer: &str, number: &str, amount: &str) -> Value {
        self.make("Invoice", sale(customer, number, &[("8", "1", amount, "NON")]))
    }

    pub fn record(&self, entity: &str, id: &str) -> Value {
        self.company("GET", &format!("records/{entity}/{id}"), Value::Null)
    }
}

pub fn id(record: &Value) -> String {
    record["Id"].as_str().unwrap().to_owned()
}

pub fn number(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A line: item, quantity, price, tax code.
pub type Line<'a> = (&'a str, &'a str, &'a str, &'a str);

/// The body of a sales form with lines of exact amounts (quantity 1 in most tests).
pub fn sale(customer: &str, doc_number: &str, lines: &[Line<'_>]) -> Value {
    let lines: Vec<Value> = lines
        .iter()
        .map(|(item, quantity, price, code)| {
            json!({ "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {
                "ItemRef": { "value": item }, "Qty": number(quantity), "UnitPrice": number(price),
                "TaxCodeRef": { "value": code } } })
        })
        .collect();
    json!({ "DocNumber": doc_number, "TxnDate": "2026-11-20",
        "CustomerRef": { "value": customer }, "Line": lines })
}

/// A client for tests over a real connection.
pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}
