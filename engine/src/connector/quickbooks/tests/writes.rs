//! Writes: their shapes, their ids, and what became of them.

use super::server::{Reply, Server, json, text};
use super::{TestClock, api, fields, fixture};
use crate::connector::quickbooks::batch::Batch;
use crate::connector::quickbooks::errors::Remedy;
use crate::connector::quickbooks::kind::Kind;
use crate::connector::quickbooks::request_id::{RequestId, Wish, body_hash};
use crate::connector::quickbooks::write::{Operation, Outcome, Sent, Write};
use proptest::prelude::*;
use serde_json::{Value, json as value};

const WISH: Wish<'_> = Wish {
    account: "9341450000000001",
    entity: "orders",
    record: "shop:175",
    operation: "create SalesReceipt",
    body_hash: "abc",
    revision: 0,
};

fn id() -> RequestId {
    RequestId::derive(&WISH)
}

fn receipt() -> Write {
    Write::create(Kind::SalesReceipt, fields(value!({"DocNumber": "WC-10453", "Id": "9"})))
}

async fn sent(write: Write, answer: impl Fn() -> Reply + Send + Sync + 'static) -> (Sent, Server) {
    let server = Server::start(move |_, _| answer()).await;
    let sent = api(&server, &TestClock::new()).write(&write, &id()).await;
    (sent, server)
}

#[tokio::test]
async fn a_write_goes_out_once_with_its_id_and_comes_back_as_the_record() {
    let (sent, server) = sent(receipt(), || json(200, fixture("salesreceipt.json"))).await;
    let Outcome::Done(ack) = &sent.outcome else { panic!("{sent:?}") };
    assert_eq!((ack.id.as_str(), ack.sync_token.as_deref()), ("245", Some("0")));
    assert_eq!(ack.document_number.as_deref(), Some("WC-10453"));
    assert_eq!(ack.total.unwrap().to_string(), "64.78");
    assert_eq!((sent.status, sent.trace.as_deref(), sent.calls), (Some(200), Some("1-tid-7"), 1));
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].param("requestid").as_deref(), Some(id().as_str()));
    assert_eq!(seen[0].param("minorversion").as_deref(), Some("75"));
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    assert_eq!(seen[0].json(), value!({"DocNumber": "WC-10453"}), "no Id on a create");
}

#[tokio::test]
async fn a_refusal_is_understood_and_nothing_is_sent_again() {
    let body = fixture("faults_validation.json")["6140_duplicate_doc_number"]["body"].clone();
    let (sent, server) = sent(receipt(), move || json(400, body.clone())).await;
    let Outcome::Refused(refusal) = &sent.outcome else { panic!("{sent:?}") };
    let remedy =
        Remedy::AdoptNumber { txn_type: Some("Invoice".into()), txn_id: Some("239".into()) };
    assert_eq!(refusal.remedy, remedy);
    assert_eq!((server.seen().len(), sent.status), (1, Some(400)));
}

#[tokio::test]
async fn an_outcome_that_nobody_knows_is_told_as_unknown_and_not_repeated() {
    type Case = (&'static str, fn() -> Reply);
    let unknown: [Case; 6] = [
        ("a torn connection", || Reply::Reset),
        ("a gateway's page", || Reply::Answer(504, "", "<html></html>".into())),
        ("a gateway's text on 200", || text(200, "stream timeout")),
        ("an empty envelope", || json(200, value!({"BatchItemResponse": [], "time": "x"}))),
        ("an empty object", || json(200, value!({}))),
        ("a system fault on 200", || {
            let faults = fixture("faults_validation.json");
            json(200, faults["10000_system_fault_http200"]["body"].clone())
        }),
    ];
    for (what, answer) in unknown {
        let (sent, server) = sent(receipt(), answer).await;
        assert!(matches!(sent.outcome, Outcome::Unknown(_)), "{what}: {sent:?}");
        assert_eq!(server.seen().len(), 1, "{what}");
    }
}

/// An id that no index takes, or that of another record, would lead the next write astray.
#[tokio::test]
async fn an_answer_about_another_record_or_without_a_plain_id_is_unknown() {
    let update = || Write::update(Kind::Invoice, "11", "3", fields(value!({})), false);
    let long = "7".repeat(5000);
    for (id, version) in [
        ("12", "4"),
        (long.as_str(), "4"),
        ("1\u{0}1", "4"),
        ("11\n", "4"),
        ("11", long.as_str()),
        ("11", "4\u{1b}[31m"),
    ] {
        let body = value!({"Invoice": {"Id": id, "SyncToken": version}});
        let (sent, server) = sent(update(), move || json(200, body.clone())).await;
        assert!(matches!(sent.outcome, Outcome::Unknown(_)), "{id:.20} {version:.20}: {sent:?}");
        assert_eq!(server.seen().len(), 1, "{id:.20} {version:.20}");
    }
    let right = value!({"Invoice": {"Id": "11", "SyncToken": "4", "DocNumber": long}});
    let (sent, _) = sent(update(), move || json(200, right.clone())).await;
    let Outcome::Done(ack) = sent.outcome else { panic!("{sent:?}") };
    assert_eq!((ack.id.as_str(), ack.document_number), ("11", None));
}

#[tokio::test]
async fn a_write_that_never_got_there_is_told_as_not_sent() {
    let server = Server::start(|_, _| Reply::Reset).await;
    let clock = TestClock::new();
    let api = api(&server, &clock);
    drop(server);
    let sent = api.write(&receipt(), &id()).await;
    assert!(matches!(sent.outcome, Outcome::NotSent(_)), "{sent:?}");
    let body = fixture("fault_429_throttle.json")["body"].clone();
    let server = Server::start(move |_, _| json(429, body.clone())).await;
    let sent = super::api(&server, &clock).write(&receipt(), &id()).await;
    let Outcome::NotSent(error) = &sent.outcome else { panic!("{sent:?}") };
    assert_eq!((error.code.as_str(), error.retry_after.is_some()), ("http_429", true));
}

#[tokio::test]
async fn each_void_has_the_shape_that_works() {
    let cases = [
        (
            Kind::Invoice,
            "invoice_voided.json",
            "operation=void",
            value!({"Id": "8", "SyncToken": "1"}),
        ),
        (
            Kind::Payment,
            "payment_voided.json",
            "operation=update&include=void",
            value!({"Id": "8", "SyncToken": "1", "sparse": true}),
        ),
    ];
    for (kind, file, query, body) in cases {
        let write = Write::void(kind, "8", "1").unwrap();
        // Recorded of another one.
        let mut recorded = fixture(file);
        recorded[kind.as_str()]["Id"] = "8".into();
        let (sent, server) = sent(write, move || json(200, recorded.clone())).await;
        assert!(matches!(sent.outcome, Outcome::Done(_)));
        assert!(server.seen()[0].query.starts_with(query), "{}", server.seen()[0].query);
        assert_eq!(server.seen()[0].json(), body);
    }
    for kind in
        [Kind::CreditMemo, Kind::RefundReceipt, Kind::Bill, Kind::JournalEntry, Kind::Customer]
    {
        Write::void(kind, "8", "1").unwrap_err();
    }
}

#[tokio::test]
async fn a_delete_is_acknowledged_without_a_version() {
    let write = Write::delete(Kind::Invoice, "239", "1").unwrap();
    let (sent, server) = sent(write, || json(200, fixture("invoice_deleted.json"))).await;
    let Outcome::Done(ack) = sent.outcome else { panic!() };
    assert_eq!((ack.id.as_str(), ack.sync_token), ("239", None));
    assert!(server.seen()[0].query.starts_with("operation=delete&requestid="));
    Write::delete(Kind::Customer, "1", "0").unwrap_err();
}

#[test]
fn records_of_lists_are_made_inactive_and_active_again_under_their_name() {
    let off = Write::inactivate(Kind::Customer, "158", "0").unwrap();
    assert_eq!(off.operation(), Operation::Inactivate);
    let body = value!({"Id": "158", "SyncToken": "0", "sparse": true, "Active": false});
    assert_eq!(*off.body(), body);
    let on = Write::reactivate(Kind::Item, "19", "2", "Canvas Tote").unwrap();
    assert_eq!((&on.body()["Active"], &on.body()["Name"]), (&value!(true), &value!("Canvas Tote")));
    Write::inactivate(Kind::Invoice, "1", "0").unwrap_err();
}

#[test]
fn an_update_names_its_target_and_says_whether_it_is_sparse() {
    let new = || fields(value!({"PrivateNote": "n", "MetaData": {}, "Id": "wrong"}));
    let sparse = Write::update(Kind::Invoice, "11", "3", new(), false);
    assert_eq!(
        *sparse.body(),
        value!({"Id": "11", "SyncToken": "3", "sparse": true, "PrivateNote": "n"})
    );
    let full = Write::update(Kind::Invoice, "11", "3", new(), true);
    assert_eq!(*full.body(), value!({"Id": "11", "SyncToken": "3", "PrivateNote": "n"}));
}

#[tokio::test]
async fn a_batch_is_matched_by_its_ids_and_a_missing_answer_is_unknown() {
    let answers = fixture("batch_response.json");
    let answers = answers["BatchItemResponse"].as_array().unwrap().clone();
    // In another order, with one answer lost and one that nobody asked for.
    let list = vec![answers[3].clone(), answers[4].clone(), answers[1].clone(), answers[0].clone()];
    let server = Server::start(move |_, _| json(200, value!({"BatchItemResponse": list}))).await;
    let batch = Batch::new(vec![
        Write::create(Kind::Customer, fields(value!({"DisplayName": "Maya Okafor (WC 88)"}))),
        Write::update(
            Kind::SalesReceipt,
            "245",
            "0",
            fields(value!({"PrivateNote": "edited"})),
            false,
        ),
        Write::delete(Kind::Invoice, "129", "0").unwrap(),
        Write::void(Kind::Payment, "241", "0").unwrap(),
    ])
    .unwrap();
    let sent = api(&server, &TestClock::new()).send_batch(&batch, &id()).await;
    let shown: Vec<_> = sent
        .outcomes
        .iter()
        .map(|o| match o {
            Outcome::Done(ack) => format!("done {} {}", ack.kind, ack.id),
            Outcome::Refused(refusal) => format!("refused {:?}", refusal.remedy),
            Outcome::Unknown(error) => format!("unknown {}", error.code),
            Outcome::NotSent(error) => format!("not sent {}", error.code),
        })
        .collect();
    assert_eq!(
        shown,
        ["refused AdoptName", "done SalesReceipt 245", "unknown empty_answer", "done Payment 241"]
    );
    let asked = server.seen()[0].json();
    let mut expected = fixture("batch_request.json");
    expected["BatchItemRequest"].as_array_mut().unwrap().pop();
    assert_eq!(asked, expected);
    assert_eq!(server.seen()[0].param("requestid").as_deref(), Some(id().as_str()));
}

#[tokio::test]
async fn a_batch_that_fails_as_a_whole_has_one_outcome_for_all() {
    let batch = Batch::new(vec![receipt(), Write::create(Kind::Item, fields(value!({})))]).unwrap();
    let server = Server::start(|_, _| Reply::Reset).await;
    let sent = api(&server, &TestClock::new()).send_batch(&batch, &id()).await;
    assert!(sent.outcomes.iter().all(|o| matches!(o, Outcome::Unknown(_))));
    assert_eq!((sent.outcomes.len(), server.seen().len()), (2, 1));
    let long = RequestId::stored(&"a".repeat(40)).unwrap();
    let sent = api(&server, &TestClock::new()).send_batch(&batch, &long).await;
    assert!(matches!(sent.outcomes[0], Outcome::NotSent(_)));
}

#[test]
fn a_batch_takes_thirty_writes_of_thirty_records() {
    assert!(Batch::new(vec![receipt(); 30]).is_ok());
    assert!(Batch::new(vec![receipt(); 31]).is_err());
    assert!(Batch::new(vec![]).is_err());
    assert!(Batch::new(vec![receipt().allow_duplicate_number()]).is_err());
    let update = |id| Write::update(Kind::Invoice, id, "0", fields(value!({})), false);
    assert!(Batch::new(vec![update("1"), update("2")]).is_ok());
    assert!(Batch::new(vec![update("1"), update("1")]).is_err());
}

#[test]
fn a_request_id_is_that_of_its_wish() {
    insta::assert_snapshot!(id(), @"fc5e9e80-cecd-8ae2-b822-ee6415f0f971");
    let batch = Batch::request_id("9341450000000001", &[id(), id()]);
    insta::assert_snapshot!(batch, @"a35ced40-9072-8887-a0e7-da1b9773f04f");
    assert!(batch.fits_batch());
    assert_ne!(Batch::request_id("9341450000000002", &[id(), id()]), batch);
    for wrong in ["", "with blank", &"a".repeat(51), "ü"] {
        RequestId::stored(wrong).unwrap_err();
    }
    assert_eq!(RequestId::stored(id().as_str()).unwrap(), id());
}

#[test]
fn a_body_is_the_same_in_any_order_of_its_members_and_no_other() {
    let hash = |text: &str| body_hash(&serde_json::from_str::<Value>(text).unwrap());
    let one = hash(r#"{"a":1,"b":[{"c":"x","d":2.50}]}"#);
    assert_eq!(one, hash(r#"{"b":[{"d":2.50,"c":"x"}],"a":1}"#));
    assert_eq!(one.len(), 64);
    for other in [
        r#"{"a":1,"b":[{"c":"x","d":2.51}]}"#,
        r#"{"a":"1","b":[{"c":"x","d":2.50}]}"#,
        r#"{"a":1,"b":[{"c":"x"},{"d":2.50}]}"#,
    ] {
        assert_ne!(one, hash(other));
    }
}

proptest! {
    #[test]
    fn other_wishes_have_other_ids_and_all_ids_are_taken(
        a in "\\PC{0,40}", b in "\\PC{0,40}", c in "\\PC{0,40}", d in "\\PC{0,40}", n in 0u64..3,
    ) {
        let wish = Wish { record: &a, body_hash: &b, revision: n, ..WISH };
        let one = RequestId::derive(&wish);
        prop_assert_eq!(&one, &RequestId::derive(&wish));
        prop_assert_eq!(one.as_str().len(), 36);
        prop_assert!(RequestId::stored(one.as_str()).is_ok());
        let other = Wish { record: &c, body_hash: &d, revision: n, ..WISH };
        prop_assert_eq!(one == RequestId::derive(&other), (a.as_str(), b.as_str()) == (c.as_str(), d.as_str()));
        let shifted = Wish { record: &format!("{a}{b}"), body_hash: "", revision: n, ..WISH };
        prop_assert_eq!(one == RequestId::derive(&shifted), b.is_empty());
        let later = Wish { revision: n + 1, ..wish };
        prop_assert_ne!(one, RequestId::derive(&later));
    }
}
