//! `requestid`: what repeats, what is refused, and the mode that ignores it.

use crate::bed::{Bed, sale};
use serde_json::{Value, json};

fn body(bed: &Bed) -> (String, Value) {
    let customer = bed.customer("Maya");
    let receipt = sale(&customer, "", &[("8", "1", "5", "NON")]);
    (customer, receipt)
}

fn receipts(bed: &Bed) -> Value {
    let count = bed.query("select count(*) from SalesReceipt").json();
    count["QueryResponse"]["totalCount"].clone()
}

#[test]
fn the_same_request_gets_the_same_bytes_and_nothing_happens_twice() {
    let bed = Bed::new("us_single");
    let (_, receipt) = body(&bed);
    let first = bed.post("salesreceipt?requestid=abc", receipt.clone());
    bed.pass(120);
    let second = bed.post("salesreceipt?requestid=abc", receipt);
    assert_eq!((first.status, &first.text), (second.status, &second.text), "time included");
    assert_eq!(receipts(&bed), 1);
    let writes = bed.company("GET", "writes", Value::Null);
    let last = writes.as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["replayed"], &last["request_id"]), (&json!(true), &json!("abc")));
    assert_eq!(bed.company("GET", "calls", Value::Null)["replayed"], 1);
}

#[test]
fn another_body_under_the_same_id_gets_the_old_answer_or_600() {
    let bed = Bed::new("us_single");
    let (customer, receipt) = body(&bed);
    let first = bed.post("salesreceipt?requestid=abc", receipt);
    let other = sale(&customer, "", &[("8", "1", "6", "NON")]);
    assert_eq!(bed.post("salesreceipt?requestid=abc", other.clone()).text, first.text);
    bed.rules(json!({ "request_ids": "reject_changed" }));
    assert_eq!(bed.post("salesreceipt?requestid=abc", other).code(), "600");
    assert_eq!(receipts(&bed), 1);
}

#[test]
fn ids_are_of_the_company_not_of_the_app() {
    let bed = Bed::new("us_single");
    let (_, receipt) = body(&bed);
    bed.post("salesreceipt?requestid=abc", receipt.clone());
    let app = bed.control("POST", "apps", json!({}));
    let tokens = json!({ "realm_id": bed.realm, "client_id": app["client_id"] });
    let tokens = bed.control("POST", "tokens", tokens);
    let bed = Bed { token: tokens["access_token"].as_str().unwrap().into(), ..bed };
    bed.post("salesreceipt?requestid=abc", receipt);
    assert_eq!(receipts(&bed), 1);
}

#[test]
fn ids_that_are_too_long_are_refused() {
    let bed = Bed::new("us_single");
    let (_, receipt) = body(&bed);
    let call = |id: &str| bed.post(&format!("salesreceipt?requestid={id}"), receipt.clone()).code();
    assert_eq!(call(&"x".repeat(51)), "2130");
    assert_eq!(call(&"x".repeat(50)), "none");
    let batch = json!({ "BatchItemRequest": [] });
    let call = |id: &str| bed.post(&format!("batch?requestid={id}"), batch.clone()).code();
    assert_eq!(call(&"x".repeat(37)), "2130");
    assert_eq!(call(&"x".repeat(36)), "none");
}

#[test]
fn refusals_are_forgotten_unless_the_rule_keeps_them() {
    let bed = Bed::new("us_single");
    let (customer, _) = body(&bed);
    let wrong = sale(&customer, "", &[("4711", "1", "5", "NON")]);
    let right = sale(&customer, "", &[("8", "1", "5", "NON")]);
    assert_eq!(bed.post("salesreceipt?requestid=a", wrong.clone()).code(), "2500");
    assert_eq!(bed.post("salesreceipt?requestid=a", right.clone()).status, 200);
    bed.rules(json!({ "replay_failures": true }));
    assert_eq!(bed.post("salesreceipt?requestid=b", wrong).code(), "2500");
    assert_eq!(bed.post("salesreceipt?requestid=b", right).code(), "2500");
}

#[test]
fn ignored_ids_make_two_of_one() {
    let bed = Bed::new("us_single");
    bed.rules(json!({ "request_ids": "ignore" }));
    let (_, receipt) = body(&bed);
    bed.post("salesreceipt?requestid=abc", receipt.clone());
    bed.post("salesreceipt?requestid=abc", receipt);
    assert_eq!(receipts(&bed), 2);
}

#[test]
fn an_answer_is_kept_for_a_while_only() {
    let bed = Bed::new("us_single");
    bed.rules(json!({ "request_id_seconds": 600 }));
    let (_, receipt) = body(&bed);
    bed.post("salesreceipt?requestid=abc", receipt.clone());
    bed.pass(599);
    bed.post("salesreceipt?requestid=abc", receipt.clone());
    assert_eq!(receipts(&bed), 1);
    bed.pass(1);
    bed.post("salesreceipt?requestid=abc", receipt);
    assert_eq!(receipts(&bed), 2);
}

#[test]
fn writes_without_an_id_are_counted() {
    let bed = Bed::new("us_single");
    let (_, receipt) = body(&bed);
    bed.company("DELETE", "calls", Value::Null);
    bed.post("salesreceipt?requestid=abc", receipt.clone());
    bed.post("salesreceipt", receipt);
    let calls = bed.company("GET", "calls", Value::Null);
    assert_eq!((&calls["writes"], &calls["without_request_id"]), (&json!(2), &json!(1)));
}
