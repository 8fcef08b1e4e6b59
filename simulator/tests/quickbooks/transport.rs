//! Calls: headers, limits, meters, and what the network and gateway do to answers.

use crate::bed::{Bed, client, sale};
use serde_json::{Value, json};
use simulator::faults::{FaultKind, Match, apply};
use simulator::http::Request;
use simulator::platform::Platform;

#[test]
fn every_answer_carries_a_transaction_id_of_its_own() {
    let bed = Bed::new("us_single");
    let one = bed.get("preferences").header("intuit_tid").unwrap().to_owned();
    let refused = bed.get("customer/4711");
    assert_eq!((refused.status, refused.code()), (400, "610".into()), "a missing id is no 404");
    assert_ne!(refused.header("intuit_tid").unwrap(), one);
}

#[test]
fn a_forgotten_accept_header_gets_xml_or_a_refusal() {
    let bed = Bed::new("us_single");
    let bearer = format!("Bearer {}", bed.token);
    let path = format!("/v3/company/{}/customer/1", bed.realm);
    let call = || bed.send("GET", &path, &[("authorization", bearer.as_str())], "");
    let xml = call();
    assert_eq!(xml.header("content-type"), Some("application/xml;charset=UTF-8"));
    assert!(xml.text.contains("<IntuitResponse><Customer><DisplayName>Web customer</DisplayName>"));
    bed.rules(json!({ "accept": "refuse" }));
    assert_eq!(call().status, 406);
}

#[test]
fn an_unknown_key_is_refused_by_name() {
    let bed = Bed::new("us_single");
    let mut body = sale("1", "1", &[("8", "1", "5", "NON")]);
    body["line_items"] = json!([]);
    let refused = bed.post("invoice", body);
    let recorded = include_str!("../../fixtures/quickbooks/faults_validation.json");
    let recorded: Value = serde_json::from_str(recorded).unwrap();
    assert_eq!(refused.json()["Fault"], recorded["2010_unknown_property"]["body"]["Fault"]);
}

#[test]
fn refusals_read_as_documented() {
    let bed = Bed::new("us_single");
    let recorded = include_str!("../../fixtures/quickbooks/faults_validation.json");
    let recorded: Value = serde_json::from_str(recorded).unwrap();
    let customer = bed.customer("Maya");
    bed.invoice(&customer, "WC-10452", "5");
    let mut long = sale(&customer, &"x".repeat(27), &[("8", "1", "5", "NON")]);
    let too_long = bed.post("invoice", long.clone()).json();
    long.as_object_mut().unwrap().remove("CustomerRef");
    long["DocNumber"] = json!("1");
    let cases = [
        ("2050_string_too_long", too_long),
        ("2020_required_param_missing", bed.post("invoice", long).json()),
        (
            "2170_invalid_enumeration",
            bed.post("item", json!({ "Name": "x", "Type": "Widget" })).json(),
        ),
        (
            "5010_stale_object",
            bed.post("customer", json!({ "Id": customer, "SyncToken": "7", "sparse": true }))
                .json(),
        ),
        ("6240_duplicate_name", bed.post("customer", json!({ "DisplayName": "Maya" })).json()),
        (
            "2500_invalid_reference",
            bed.post("invoice", sale(&customer, "2", &[("4711", "1", "5", "NON")])).json(),
        ),
        ("4001_query_bad_startposition", bed.query("select * from Invoice startposition 0").json()),
        (
            "4001_query_not_queryable",
            bed.query("select * from Invoice where PrivateNote = 'x'").json(),
        ),
        (
            "4001_query_unknown_property",
            bed.query("select * from Invoice where NoSuchField = 'x'").json(),
        ),
    ];
    for (name, ours) in cases {
        let mut wanted = recorded[name]["body"]["Fault"].clone();
        if name.starts_with("2170") {
            wanted["Error"][0]["element"] = json!("Type");
        }
        assert_eq!(ours["Fault"], wanted, "{name}");
    }
}

#[test]
fn any_minor_version_up_to_75_or_none_is_75() {
    let bed = Bed::new("us_single");
    let plain = bed.get("customer/1").json()["Customer"].clone();
    for version in ["1", "74", "75"] {
        let same = bed.get(&format!("customer/1?minorversion={version}")).json();
        assert_eq!(same["Customer"], plain);
    }
}

#[test]
fn ten_calls_a_second_pass_and_then_nothing_does_for_a_minute() {
    let bed = Bed::throttled("us_single");
    for _ in 0..10 {
        assert_eq!(bed.get("preferences").status, 200);
    }
    let refused = bed.get("preferences");
    let recorded = include_str!("../../fixtures/quickbooks/fault_429_throttle.json");
    let recorded: Value = serde_json::from_str(recorded).unwrap();
    let keys = |v: &Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!((refused.status, refused.code()), (429, "3001".into()));
    assert_eq!(keys(&refused.json()), keys(&recorded["body"]));
    assert!(refused.text.contains("errorCode=003001; statusCode=429"));
    bed.pass(59);
    assert_eq!(bed.get("preferences").status, 429);
    bed.pass(1);
    assert_eq!(bed.get("preferences").status, 200);
    let calls = bed.company("GET", "calls", Value::Null);
    assert_eq!((&calls["reads"], &calls["throttled"]), (&json!(11), &json!(2)));
}

#[test]
fn forty_batches_a_minute_are_the_most() {
    let bed = Bed::throttled("us_single");
    let batch = json!({ "BatchItemRequest": [{ "bId": "1", "Query": "select * from Term" }] });
    for _ in 0..40 {
        assert_eq!(bed.post("batch", batch.clone()).status, 200);
        bed.pass(1);
    }
    assert_eq!(bed.post("batch", batch.clone()).code(), "3001");
    assert_eq!(bed.get("preferences").status, 200, "other calls go on");
    bed.pass(60);
    assert_eq!(bed.post("batch", batch).status, 200);
}

#[test]
fn reads_are_metered_and_blocked_for_the_rest_of_the_month() {
    let bed = Bed::new("us_single");
    bed.rules(json!({ "reads_per_month": 3 }));
    for _ in 0..2 {
        assert_eq!(bed.get("preferences").status, 200);
    }
    assert_eq!(bed.get("customer/4711").status, 400, "a refusal isn't metered");
    assert_eq!(bed.query("select * from Term").status, 200);
    assert_eq!(bed.get("preferences").status, 429);
    bed.pass(120);
    assert_eq!(bed.get("preferences").status, 429, "a minute doesn't clear it");
    bed.customer("writes go on");
    bed.pass(7 * 86_400);
    let bed = Bed { token: bed.fresh_token(), ..bed };
    assert_eq!(bed.get("preferences").status, 200, "another month");
}

#[test]
fn the_server_can_let_its_calls_take_time() {
    let bed = Bed::throttled("us_single");
    bed.rules(json!({ "call_takes_ms": 120 }));
    let before = bed.clock.now();
    for _ in 0..100 {
        assert_eq!(bed.get("preferences").status, 200);
    }
    assert_eq!(bed.clock.now().duration_since(before).as_millis(), 12_000);
}

#[test]
fn named_faults_are_the_documented_bodies() {
    let bed = Bed::new("us_single");
    let fault = |name: &str| bed.books.named_fault(name, &Value::Null).unwrap();
    let FaultKind::Answer { status, body, .. } = fault("system_fault_200") else { panic!() };
    let recorded = include_str!("../../fixtures/quickbooks/faults_validation.json");
    let recorded: Value = serde_json::from_str(recorded).unwrap();
    let ours: Value = serde_json::from_str(&body).unwrap();
    let wanted = &recorded["10000_system_fault_http200"]["body"]["Fault"];
    assert_eq!((status, &ours["Fault"]), (200, wanted));
    for (name, wanted) in
        [("http_500", 500), ("http_502", 502), ("http_503", 503), ("http_504", 504)]
    {
        let FaultKind::Answer { status, .. } = fault(name) else { panic!("{name}") };
        assert_eq!(status, wanted);
    }
    assert!(bed.books.named_fault("earthquake", &Value::Null).is_none());
}

#[test]
fn a_stream_timeout_hides_that_the_write_happened() {
    let bed = Bed::new("us_single");
    let request = Request {
        method: "POST".into(),
        path: format!("/v3/company/{}/customer", bed.realm),
        query: "requestid=r1".into(),
        headers: vec![
            ("authorization".into(), format!("Bearer {}", bed.token)),
            ("accept".into(), "application/json".into()),
        ],
        body: json!({ "DisplayName": "Maya" }).to_string().into(),
        secure: true,
    };
    let mut answer = bed.books.answer(&request);
    apply(&bed.books.named_fault("stream_timeout", &Value::Null).unwrap(), &mut answer);
    assert_eq!((answer.status, answer.whole_body().as_ref()), (200, &b"stream timeout"[..]));
    let count = bed.query("select count(*) from Customer where DisplayName = 'Maya'").json();
    assert_eq!(count["QueryResponse"]["totalCount"], 1);
    assert!(Match::read(&json!({ "path": "tokens/bearer" })).is_ok());
}

#[test]
fn paths_that_dont_exist_are_404_and_unknown_entities_2000() {
    let bed = Bed::new("us_single");
    assert_eq!(bed.post("gizmo", json!({})).code(), "2000");
    assert_eq!(bed.api("PUT", "customer", "{}").status, 404);
    assert_eq!(bed.send("GET", "/v2/nothing", &[], "").status, 404);
}

#[test]
fn a_body_that_isnt_utf8_or_json_is_refused() {
    let bed = Bed::new("us_single");
    assert_eq!(bed.api("POST", "customer", "{\"DisplayName\":").code(), "2010");
    assert_eq!(bed.api("POST", "customer", "[]").code(), "2120");
}

#[tokio::test]
async fn eleven_calls_at_once_are_one_too_many() {
    let handle = simulator::start(simulator::Options::default()).await.unwrap();
    let client = client();
    let control = format!("{}/quickbooks", handle.control);
    let companies: Value =
        client.get(format!("{control}/companies")).send().await.unwrap().json().await.unwrap();
    let realm = companies[0]["realm_id"].as_str().unwrap();
    let body = json!({ "realm_id": realm });
    let tokens = client.post(format!("{control}/tokens")).json(&body).send().await.unwrap();
    let tokens: Value = tokens.json().await.unwrap();
    // Only the calls at once are to be met, not those of a second.
    let rules = json!({ "calls_per_second": 100 });
    client.put(format!("{control}/rules")).json(&rules).send().await.unwrap();
    handle.quickbooks().add_fault("latency", json!({ "ms": 300 })).unwrap();
    let url = format!("{}/v3/company/{realm}/preferences", handle.quickbooks().addresses.http);
    let calls: Vec<_> = (0..11)
        .map(|_| {
            let call = client.get(&url).bearer_auth(tokens["access_token"].as_str().unwrap());
            tokio::spawn(call.header("accept", "application/json").send())
        })
        .collect();
    let mut statuses = vec![];
    for call in calls {
        statuses.push(call.await.unwrap().unwrap().status().as_u16());
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
}

#[test]
fn a_backfill_at_the_allowed_pace_draws_no_429() {
    let bed = Bed::throttled("us_single");
    let batches = 45;
    for batch in 0..batches {
        // 40 batches a minute are one every 1.5 seconds.
        bed.clock.advance(jiff::SignedDuration::from_millis(1_500));
        let items: Vec<Value> = (0..30)
            .map(|n| {
                let number = format!("WC-{}", batch * 30 + n);
                json!({ "bId": n.to_string(), "operation": "create",
                    "SalesReceipt": sale("1", &number, &[("8", "2", "5", "TAX")]) })
            })
            .collect();
        let body = json!({ "BatchItemRequest": items });
        assert_eq!(bed.post(&format!("batch?requestid=b{batch}"), body).status, 200);
    }
    let totals = bed.company("GET", "documents", Value::Null);
    assert_eq!(totals["SalesReceipt"]["USD"]["count"], batches * 30);
}
