//! Limits: a backfill draws no 429 and yet keeps the allowed rate busy.

use super::server::{Server, json};
use super::{TestClock, api, fields};
use crate::clock::Clock;
use crate::connector::quickbooks::batch::Batch;
use crate::connector::quickbooks::kind::Kind;
use crate::connector::quickbooks::limits::BATCHES_A_MINUTE;
use crate::connector::quickbooks::request_id::{RequestId, Wish};
use crate::connector::quickbooks::write::{Outcome, Write};
use jiff::Timestamp;
use serde_json::{Value, json as value};
use std::sync::{Arc, Mutex};

/// Answers every item of a batch with the record that it holds.
fn accept(body: &Value) -> Value {
    let items = body["BatchItemRequest"].as_array().unwrap();
    let answers: Vec<Value> = items
        .iter()
        .map(|item| {
            let number = item["SalesReceipt"]["DocNumber"].clone();
            let record = value!({"Id": "1", "SyncToken": "0", "DocNumber": number});
            value!({"bId": item["bId"], "SalesReceipt": record})
        })
        .collect();
    value!({"BatchItemResponse": answers})
}

fn batch_of(n: usize) -> Batch {
    let receipt = |i: usize| {
        let fields = fields(value!({"DocNumber": format!("WC-{n}-{i}")}));
        Write::create(Kind::SalesReceipt, fields)
    };
    Batch::new((0..30).map(receipt).collect()).unwrap()
}

fn id_of(n: usize) -> RequestId {
    let record = n.to_string();
    RequestId::derive(&Wish {
        account: "1",
        entity: "orders",
        record: &record,
        operation: "create SalesReceipt",
        body_hash: "",
        revision: 0,
    })
}

#[tokio::test]
async fn batches_stay_within_forty_a_minute_and_use_nearly_all_of_them() {
    let clock = TestClock::new();
    let arrivals: Arc<Mutex<Vec<Timestamp>>> = Arc::default();
    let (times, time) = (arrivals.clone(), clock.clone());
    let server = Server::start(move |seen, _| {
        times.lock().unwrap().push(time.now());
        json(200, accept(&seen.json()))
    })
    .await;
    let api = api(&server, &clock);
    let begun = clock.now();
    let count = 5 * BATCHES_A_MINUTE;
    for n in 0..count {
        let sent = api.send_batch(&batch_of(n), &id_of(n)).await;
        assert!(sent.outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done(_))));
    }
    let arrivals = arrivals.lock().unwrap().clone();
    for (i, end) in arrivals.iter().enumerate().skip(BATCHES_A_MINUTE) {
        let start = arrivals[i - BATCHES_A_MINUTE];
        assert!(end.duration_since(start).as_secs() >= 60, "{i}");
    }
    for (i, end) in arrivals.iter().enumerate().skip(10) {
        assert!(end.duration_since(arrivals[i - 10]).as_millis() >= 1000, "{i}");
    }
    // Four whole windows lie between the first and the last forty.
    let minutes = clock.now().duration_since(begun).as_millis() as f64 / 60_000.0;
    let used = (count - BATCHES_A_MINUTE) as f64 / (minutes * BATCHES_A_MINUTE as f64);
    assert!(used >= 0.95, "{used}");
}
