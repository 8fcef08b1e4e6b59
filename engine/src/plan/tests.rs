//! Places, hashes and the gate.

use super::*;
use crate::model::Entity;
use crate::store::{Connection, Secret};
use serde_json::{Value, json};
use std::time::Duration;

fn draft(key: Key, action: Action, needs: &[&Key]) -> Draft {
    let body = json!({"Key": key.0});
    Draft {
        payload: Some(Payload::new(key.clone(), body, Value::Null)),
        action,
        needs: needs.iter().map(|key| (*key).clone()).collect(),
        ..Draft::skip(key, Entity::Orders, 1, "SalesReceipt", "because".into())
    }
}

fn connection(name: &str) -> Connection {
    Connection {
        tenant: "default".into(),
        name: name.into(),
        connector: "quickbooks".into(),
        account: "realm".into(),
        settings: Value::Null,
        credentials: Secret::default(),
    }
}

fn settings(threshold: u64) -> GateSettings {
    GateSettings { threshold, wait: Duration::from_secs(60) }
}

fn summary_of(drafts: Vec<Draft>) -> PlanSummary {
    let mut summary = PlanSummary::default();
    let changes = Numbering::default().number((Entity::Orders, 1), drafts);
    changes.iter().for_each(|change| summary.add(change));
    summary
}

#[test]
fn a_customer_of_two_orders_is_planned_once_and_both_depend_on_it() {
    let customer = Key::new(Entity::Customers, 17, "");
    let (one, two) = (Key::new(Entity::Orders, 1, ""), Key::new(Entity::Orders, 2, ""));
    let mut numbering = Numbering::default();
    let of = |key: &Key| {
        vec![
            draft(customer.clone(), Action::Create, &[]),
            draft(key.clone(), Action::Create, &[&customer]),
        ]
    };
    let first = numbering.number((Entity::Orders, 1), of(&one));
    let second = numbering.number((Entity::Orders, 2), of(&two));
    assert_eq!(first.iter().map(|c| (c.change_id, c.wave)).collect::<Vec<_>>(), [(1, 0), (2, 1)]);
    assert_eq!(second.len(), 1);
    assert_eq!((second[0].change_id, second[0].wave, &second[0].depends_on), (3, 1, &vec![1]));
    let refs = &second[0].draft.payload.as_ref().unwrap().refs;
    assert_eq!(refs.get(&customer), Some(&1));
}

#[test]
fn a_payment_comes_in_the_wave_after_its_invoice() {
    let keys: Vec<Key> = ["customer", "invoice", "payment"]
        .iter()
        .map(|part| Key::new(Entity::Orders, 1, part))
        .collect();
    let drafts = vec![
        draft(keys[0].clone(), Action::Create, &[]),
        draft(keys[1].clone(), Action::Create, &[&keys[0]]),
        draft(keys[2].clone(), Action::Create, &[&keys[0], &keys[1]]),
    ];
    let changes = Numbering::default().number((Entity::Orders, 1), drafts);
    assert_eq!(changes.iter().map(|c| c.wave).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(changes[2].depends_on, [1, 2]);
}

#[test]
fn the_hash_counts_writes_and_their_order_and_nothing_else() {
    let hash = |drafts: Vec<Draft>, connection: &Connection| {
        let mut hash = PlanHash::new(connection);
        let changes = Numbering::default().number((Entity::Orders, 1), drafts);
        changes.iter().for_each(|change| hash.add(change));
        hash.finish()
    };
    let books = connection("books");
    let key = |n: i64| Key::new(Entity::Orders, n, "");
    let (a, b) = (draft(key(1), Action::Create, &[]), draft(key(2), Action::Update, &[]));
    let plan = hash(vec![a.clone(), b.clone()], &books);
    assert_eq!(plan, hash(vec![a.clone(), b.clone()], &books));
    assert_ne!(plan, hash(vec![b.clone(), a.clone()], &books));
    assert_ne!(plan, hash(vec![a.clone(), b.clone()], &connection("other")));
    let skipped = Draft::skip(key(3), Entity::Orders, 3, "SalesReceipt", "draft".into());
    assert_eq!(plan, hash(vec![a.clone(), skipped, b.clone()], &books));
    let mut newer = b.clone();
    newer.payload.as_mut().unwrap().version = Some("7".into());
    assert_eq!(plan, hash(vec![a.clone(), newer], &books));
    let mut other = b;
    other.payload.as_mut().unwrap().body = json!({"Key": "another"});
    assert_ne!(plan, hash(vec![a, other], &books));
}

#[test]
fn ten_writes_pass_eleven_wait_and_a_void_always_waits() {
    let many = |n: i64, action| -> Vec<Draft> {
        (1..=n).map(|i| draft(Key::new(Entity::Orders, i, ""), action, &[])).collect()
    };
    assert!(Gate::of(&summary_of(many(10, Action::Create)), &settings(10)).is_open());
    let bulk = Gate::of(&summary_of(many(11, Action::Create)), &settings(10));
    assert_eq!((bulk.reasons, bulk.confirmations), (vec!["bulk"], 1));
    let void = Gate::of(&summary_of(many(1, Action::Void)), &settings(10));
    assert_eq!((void.reasons, void.confirmations), (vec!["void"], 1));
    let both = Gate::of(&summary_of(many(11, Action::Delete)), &settings(10));
    assert_eq!((both.reasons, both.confirmations), (vec!["bulk", "delete"], 2));
}

#[test]
fn what_is_skipped_or_failed_is_no_write() {
    let key = Key::new(Entity::Orders, 1, "");
    let mut failed = draft(key, Action::Create, &[]);
    failed.error = Some(crate::Error::internal("blocked"));
    let skipped =
        Draft::skip(Key::new(Entity::Orders, 2, ""), Entity::Orders, 2, "Invoice", "draft".into());
    let summary = summary_of(vec![failed, skipped]);
    assert_eq!((summary.writes(), summary.skipped, summary.failed), (0, 1, 1));
}

#[test]
fn a_payload_survives_its_storage_to_the_digit() {
    let mut payload = draft(Key::new(Entity::Orders, 1, ""), Action::Create, &[]).payload.unwrap();
    payload.body = serde_json::from_str(r#"{"Amount":10.10,"Line":[{"Qty":3}]}"#).unwrap();
    payload.total = Some("10.10".parse().unwrap());
    let stored = serde_json::to_string(&payload).unwrap();
    let read: Payload = serde_json::from_str(&stored).unwrap();
    assert_eq!(read, payload);
    assert_eq!(read.body.to_string(), r#"{"Amount":10.10,"Line":[{"Qty":3}]}"#);
    assert!(!format!("{payload:?}").contains("10.10"));
}

#[test]
fn a_large_plan_is_summed_up_by_month_kind_and_currency() {
    let booked = |number: i64, on: &str, currency: &str, total: &str| {
        let draft = draft(Key::new(Entity::Orders, number, ""), Action::Create, &[]);
        let booked = Booked {
            on: on.parse().unwrap(),
            currency: currency.into(),
            total: total.parse().unwrap(),
        };
        Draft { booked: Some(booked), ..draft }
    };
    let summary = summary_of(vec![
        booked(1, "2025-01-31", "USD", "10.10"),
        booked(2, "2025-01-01", "USD", "0.90"),
        booked(3, "2025-02-01", "USD", "5.00"),
        booked(4, "2025-01-15", "EUR", "7.00"),
        draft(Key::new(Entity::Customers, 5, ""), Action::Create, &[]),
    ]);
    let groups = serde_json::to_value(&summary.groups).unwrap();
    assert_eq!(
        groups,
        json!({
            "2025-01 SalesReceipt EUR": {"count": 1, "total": "7.00"},
            "2025-01 SalesReceipt USD": {"count": 2, "total": "11.00"},
            "2025-02 SalesReceipt USD": {"count": 1, "total": "5.00"},
            "SalesReceipt": {"count": 1, "total": null},
        })
    );
    let read: PlanSummary =
        serde_json::from_value(serde_json::to_value(&summary).unwrap()).unwrap();
    assert_eq!(read, summary);
}

#[test]
fn what_was_agreed_to_beforehand_is_size_and_never_destruction() {
    let key = |number| Key::new(Entity::Orders, number, "");
    let creates = || (1..5).map(|n| draft(key(n), Action::Create, &[])).collect::<Vec<_>>();
    let large = Gate::of(&summary_of(creates()), &settings(2));
    assert_eq!((large.confirmations, large.agreed().is_open()), (1, true));
    let mut drafts = creates();
    drafts.push(draft(key(9), Action::Void, &[]));
    let destroys = Gate::of(&summary_of(drafts), &settings(2));
    assert_eq!((destroys.confirmations, destroys.agreed().confirmations), (2, 2));
    let small = Gate::of(&summary_of(vec![draft(key(9), Action::Delete, &[])]), &settings(2));
    assert_eq!(small.agreed().confirmations, 1);
}
