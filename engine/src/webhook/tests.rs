use super::*;
use crate::model::Entity;
use crate::store::Secret;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// The secret of the recorded deliveries.
const SECRET: &str = "whsec_\"q&'<ü> 1";

fn fixture(platform: &str, name: &str) -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../simulator/fixtures");
    std::fs::read_to_string(format!("{root}/{platform}/{name}")).unwrap()
}

fn secret(field: &str, value: &str) -> Secret {
    Secret::new(serde_json::Map::from_iter([(field.to_owned(), json!(value))]))
}

/// A recorded delivery: headers as a proxy would hand them on, and the raw body.
fn recorded(number: usize) -> (Value, String) {
    let text = fixture("woocommerce", &format!("webhooks/{number:04}.headers"));
    let headers = text.lines().skip(2).filter_map(|line| line.split_once(": "));
    let headers: serde_json::Map<String, Value> =
        headers.map(|(name, value)| (name.to_owned(), json!(value))).collect();
    (Value::Object(headers), fixture("woocommerce", &format!("webhooks/{number:04}.body")))
}

fn shop(headers: &Value, body: &str) -> Verdict {
    let credentials = secret("webhook_secret", SECRET);
    judge("woocommerce", &credentials, &Headers::parse(headers), body)
}

fn numbers() -> Vec<usize> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../simulator/fixtures/woocommerce/webhooks");
    let mut found: Vec<usize> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| {
            entry.unwrap().file_name().to_str()?.strip_suffix(".body")?.parse().ok()
        })
        .collect();
    found.sort_unstable();
    found
}

#[test]
fn recorded_deliveries_verify_but_for_pings_and_another_secret() {
    let (mut genuine, mut pings, mut rejected) = (0, 0, vec![]);
    for number in numbers() {
        let (headers, body) = recorded(number);
        match shop(&headers, &body) {
            Verdict::Accepted(..) | Verdict::Ignored(..) => genuine += 1,
            Verdict::Ping => pings += 1,
            Verdict::Rejected(reason) => {
                assert_eq!(reason, "the signature does not match");
                rejected.push(number);
            }
        }
    }
    assert_eq!((genuine, pings), (73, 17));
    assert_eq!(rejected, [274, 275, 276, 277, 280, 281]);
}

#[test]
fn a_body_of_an_error_and_a_topic_of_another_kind_are_no_hints() {
    let (headers, body) = recorded(27);
    let Verdict::Ignored(Some(topic), reason) = shop(&headers, &body) else { panic!("27") };
    assert!(topic.starts_with("order.") && reason.starts_with("an error object"), "{reason}");
    let body = r#"{"id":445}"#;
    let signed = |topic: &str| json!({"X-WC-Webhook-Topic": topic, "x-wc-webhook-signature": sign(SECRET, body.as_bytes())});
    let hint = |entity| Hint { account: None, entity, id: "445".into() };
    for (topic, entity) in [
        ("product.deleted", Entity::Products),
        ("order.created", Entity::Orders),
        ("customer.updated", Entity::Customers),
    ] {
        let accepted = Verdict::Accepted(topic.into(), vec![hint(entity)]);
        assert_eq!(shop(&signed(topic), body), accepted);
    }
    for topic in ["coupon.deleted", "action.woocommerce_order_note_added", "made.up", ""] {
        assert!(matches!(shop(&signed(topic), body), Verdict::Ignored(..)), "{topic}");
    }
}

#[test]
fn actions_and_variations_lead_to_the_record_that_is_read() {
    let hints = |topic: &str, body: &str| {
        let headers = json!({"x-wc-webhook-topic": topic,
            "x-wc-webhook-signature": sign(SECRET, body.as_bytes())});
        match shop(&headers, body) {
            Verdict::Accepted(_, hints) => hints,
            other => panic!("{other:?}"),
        }
    };
    let gone = hints(
        "action.woocommerce_delete_order",
        r#"{"action":"woocommerce_delete_order","arg":525}"#,
    );
    assert_eq!(gone, [Hint { account: None, entity: Entity::Orders, id: "525".into() }]);
    let body = r#"{"id":77,"type":"variation","parent_id":70}"#;
    let parent = hints("product.updated", body);
    assert_eq!(parent, [Hint { account: None, entity: Entity::Products, id: "70".into() }]);
}

#[test]
fn what_is_changed_on_the_way_is_rejected() {
    let (headers, body) = recorded(16);
    assert!(matches!(shop(&headers, &body), Verdict::Accepted(..)));
    let rejected = |headers: &Value, body: &str| {
        assert!(matches!(shop(headers, body), Verdict::Rejected(_)), "{headers} {body}");
    };
    // One bit of the body, wherever it is; and of the signature.
    for at in (0..body.len()).step_by(97) {
        let mut bytes = body.clone().into_bytes();
        bytes[at] ^= 1;
        if let Ok(text) = String::from_utf8(bytes) {
            rejected(&headers, &text);
        }
    }
    let name = "X-WC-Webhook-Signature";
    let signature = headers[name].as_str().unwrap().to_owned();
    for at in 0..signature.len() {
        let mut bytes = signature.clone().into_bytes();
        bytes[at] ^= 1;
        let mut headers = headers.clone();
        headers[name] = json!(String::from_utf8(bytes).unwrap());
        rejected(&headers, &body);
    }
    // The same JSON, written anew; no signature; two of them.
    let value: Value = serde_json::from_str(&body).unwrap();
    rejected(&headers, &value.to_string());
    let mut without = headers.clone();
    without.as_object_mut().unwrap().remove(name);
    rejected(&without, &body);
    let mut twice = headers.clone();
    twice["x-wc-webhook-signature"] = json!("AAAA");
    rejected(&twice, &body);
    // A connection without a secret takes nothing, not even what is signed with nothing.
    let none = Secret::default();
    let empty =
        json!({"x-wc-webhook-signature": sign("", b"{}"), "x-wc-webhook-topic": "order.updated"});
    assert!(matches!(
        judge("woocommerce", &none, &Headers::parse(&empty), "{}"),
        Verdict::Rejected(_)
    ));
}

#[test]
fn signature_vectors_of_quickbooks_pass_and_lead_to_their_companies() {
    let vectors: Vec<Value> =
        serde_json::from_str(&fixture("quickbooks", "webhook_signature_vectors.json")).unwrap();
    assert_eq!(vectors.len(), 3);
    for vector in &vectors {
        let text = |key: &str| vector[key].as_str().unwrap();
        let credentials = secret("webhook_verifier_token", text("verifier_token"));
        let headers = Headers::parse(&json!({"intuit-signature": text("intuit_signature")}));
        let body = text("raw_body");
        let verdict = judge("quickbooks", &credentials, &headers, body);
        let Verdict::Accepted(_, hints) = verdict else { panic!("{verdict:?}") };
        let hint = |realm: &str, entity, id: &str| Hint {
            account: Some(realm.into()),
            entity,
            id: id.into(),
        };
        let (one, two) = ("9341450000000001", "9341450000000002");
        let wanted = match text("name") {
            "legacy" => vec![
                hint(one, Entity::Invoices, "239"),
                hint(one, Entity::Customers, "157"),
                hint(one, Entity::Customers, "158"),
            ],
            "cloudevents_single" => vec![hint(one, Entity::Invoices, "239")],
            _ => vec![
                hint(one, Entity::Invoices, "239"),
                hint(one, Entity::Payments, "241"),
                hint(one, Entity::Customers, "158"),
                hint(one, Entity::Invoices, "233"),
                hint(two, Entity::Invoices, "12"),
            ],
        };
        assert_eq!(hints, wanted, "{}", text("name"));
        let other = secret("webhook_verifier_token", "another");
        assert!(matches!(judge("quickbooks", &other, &headers, body), Verdict::Rejected(_)));
        let changed = body.replacen("239", "238", 1);
        assert!(matches!(
            judge("quickbooks", &credentials, &headers, &changed),
            Verdict::Rejected(_)
        ));
    }
}

fn key() -> Key {
    Key {
        tenant: "default".to_owned().into(),
        connection: "shop".to_owned().into(),
        entity: Entity::Orders,
    }
}

fn order(id: usize) -> Hint {
    Hint { account: None, entity: Entity::Orders, id: id.to_string() }
}

#[test]
fn a_single_change_is_fetched_at_once_and_waits_only_for_a_fetch_under_way() {
    let (mut gathering, now) = (Gathering::default(), Instant::now());
    assert_eq!(gathering.due(false, now), None);
    gathering.add(key(), &order(1), 1, now);
    assert_eq!(gathering.due(false, now), Some(now));
    assert!(gathering.due(true, now).unwrap() > now + QUIET);
    let fetches = gathering.take();
    assert_eq!(fetches, [Fetch { key: key(), ids: vec!["1".into()], event_ids: vec![1] }]);
    assert_eq!(gathering.due(false, now), None);
}

#[test]
fn a_burst_is_fetched_once_when_it_is_over() {
    let (mut gathering, start) = (Gathering::default(), Instant::now());
    let (mut now, mut fetched) = (start, 0);
    for event in 0..1000 {
        now = start + Duration::from_millis(event as u64);
        gathering.add(key(), &order(event % 100), event as i64, now);
        if event > 2 && gathering.due(event % 2 == 0, now).unwrap() <= now {
            fetched += gathering.take()[0].ids.len();
        }
    }
    assert_eq!(fetched, 0, "not before it is over");
    assert_eq!(gathering.due(false, now), Some(now + QUIET));
    let fetches = gathering.take();
    assert_eq!((fetches.len(), fetches[0].ids.len(), fetches[0].event_ids.len()), (1, 100, 1000));
}

#[test]
fn a_stream_of_changes_that_never_ends_is_fetched_all_the_same() {
    let (mut gathering, start) = (Gathering::default(), Instant::now());
    for event in 0..100 {
        gathering.add(
            key(),
            &order(event),
            event as i64,
            start + Duration::from_millis(event as u64 * 100),
        );
    }
    assert!(gathering.due(true, start).unwrap() <= start + Duration::from_secs(5));
}

#[test]
fn the_same_again_within_a_moment_is_nothing_new() {
    let (mut gathering, now) = (Gathering::default(), Instant::now());
    assert_eq!(gathering.same_as(&key(), "1", "a", 10, now), None);
    assert_eq!(gathering.same_as(&key(), "1", "a", 11, now), Some(10));
    // Its own fetch failed and is tried again.
    assert_eq!(gathering.same_as(&key(), "1", "a", 10, now), None);
    // Something else came in between: the first state may be back.
    assert_eq!(gathering.same_as(&key(), "1", "b", 12, now), None);
    assert_eq!(gathering.same_as(&key(), "1", "a", 13, now), None);
    assert_eq!(gathering.same_as(&key(), "2", "a", 14, now), None);
    let later = now + Duration::from_secs(11);
    assert_eq!(gathering.same_as(&key(), "1", "a", 15, later), None);
}

/// Bodies from noise to nearly right ones.
fn bodies() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "\\{\"(id|arg|parent_id|type|code)\":[-0-9\"a-z.e\\[\\]{}]{0,30}\\}",
        "\\[\\{\"type\":\"[a-z.]{0,20}\",\"intuitentityid\":\"[0-9]{0,40}\"\\}\\]",
        "\\{\"eventNotifications\":[\\[\\]{}:,\"a-z0-9]{0,60}\\}",
        (0..200_000usize).prop_map(|depth| "[".repeat(depth)),
        "webhook_id=[0-9]{0,30}",
    ]
}

fn any_headers() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        Just("X-WC-Webhook-Signature".to_owned()),
        Just("x-wc-webhook-topic".to_owned()),
        Just("Intuit-Signature".to_owned()),
        any::<String>(),
    ];
    let value = prop_oneof![
        any::<String>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(json!(["a", "b"])),
        Just(json!({"a": 1})),
        Just(Value::Null),
    ];
    proptest::collection::vec((name, value), 0..6)
        .prop_map(|pairs| Value::Object(pairs.into_iter().collect()))
}

proptest! {
    #[test]
    fn nothing_that_comes_breaks_the_judge(body in bodies(), headers in any_headers(), signed: bool) {
        for (connector, field, header) in [
            ("woocommerce", "webhook_secret", "x-wc-webhook-signature"),
            ("quickbooks", "webhook_verifier_token", "intuit-signature"),
        ] {
            let credentials = secret(field, SECRET);
            let mut headers = headers.clone();
            if signed {
                let map = headers.as_object_mut().unwrap();
                map.retain(|name, _| !name.eq_ignore_ascii_case(header));
                map.insert(header.into(), json!(sign(SECRET, body.as_bytes())));
            }
            let verdict = judge(connector, &credentials, &Headers::parse(&headers), &body);
            match verdict {
                Verdict::Accepted(topic, hints) => {
                    prop_assert!(signed && topic.len() <= 800);
                    prop_assert!(hints.iter().all(|h| (1..=30).contains(&h.id.len())));
                }
                Verdict::Ignored(..) => prop_assert!(signed),
                Verdict::Rejected(_) | Verdict::Ping => {}
            }
        }
    }
}
