//! Queries, change data capture and batches.

use crate::bed::{Bed, id, sale};
use serde_json::{Value, json};

fn only(id: &str) -> Vec<String> {
    vec![id.to_owned()]
}

fn rows(answer: &Value, entity: &str) -> Vec<String> {
    let rows = answer["QueryResponse"][entity].as_array().cloned().unwrap_or_default();
    rows.iter().map(id).collect()
}

#[test]
fn every_documented_query_is_taken_or_refused_as_documented() {
    let bed = Bed::new("us_single");
    let examples = include_str!("../../fixtures/quickbooks/query_examples.json");
    let examples: Value = serde_json::from_str(examples).unwrap();
    for query in examples["ok"].as_array().unwrap() {
        let answer = bed.query(query.as_str().unwrap());
        assert_eq!(answer.status, 200, "{query}: {}", answer.text);
        assert!(answer.json()["QueryResponse"].is_object());
    }
    for code in ["4000", "4001"] {
        for query in examples["rejected"][code].as_array().unwrap() {
            assert_eq!(bed.query(query.as_str().unwrap()).code(), code, "{query}");
        }
    }
}

#[test]
fn conditions_compare_without_case_and_by_the_fields_type() {
    let bed = Bed::new("us_single");
    let maya = bed.make(
        "Customer",
        json!({ "DisplayName": "Maya's Shop", "GivenName": "Maya",
        "PrimaryEmailAddr": { "Address": "Maya@Example.test" } }),
    );
    let maya = id(&maya);
    let small = id(&bed.invoice(&maya, "WC-1", "9"));
    let large = id(&bed.invoice(&maya, "WC-2", "1000.50"));
    let find = |entity: &str, condition: &str| {
        rows(&bed.query(&format!("select * from {entity} where {condition}")).json(), entity)
    };
    assert_eq!(find("Customer", "DisplayName = 'maya\\'s shop'"), only(&maya));
    assert_eq!(find("Customer", "PrimaryEmailAddr = 'maya@example.TEST'"), only(&maya));
    assert_eq!(find("Customer", "GivenName like 'ma%a'"), only(&maya));
    assert_eq!(find("Invoice", "TotalAmt > '10'"), only(&large));
    assert_eq!(find("Invoice", "TotalAmt <= '9.00' and Balance = '9'"), only(&small));
    assert_eq!(
        find("Invoice", &format!("CustomerRef = '{maya}' and DocNumber = 'wc-2'")),
        only(&large)
    );
    assert_eq!(find("Invoice", &format!("Id in ('{small}', '4711')")), only(&small));
    assert_eq!(find("Invoice", "TxnDate >= '2026-11-21'"), [""; 0]);
    assert_eq!(find("Invoice", "TxnDate <= CURRENT_DATE").len(), 2);
    assert_eq!(find("Invoice", "MetaData.CreateTime >= '2026-11-24T05:00:00-05:00'").len(), 2);
    assert_eq!(find("Invoice", "MetaData.CreateTime > '2026-11-24T10:00:00Z'"), [""; 0]);
    assert_eq!(find("Customer", "CompanyName = ' ' and GivenName = 'Maya'"), only(&maya));
    assert_eq!(bed.query("select * from Invoice where Id > '1'").code(), "4001");
    assert_eq!(bed.query("select * from Invoice where Line.Amount = '1'").code(), "4001");
    assert_eq!(bed.query("select * from Gizmo").code(), "4001");
    assert_eq!(bed.query("select * from Invoice where TotalAmt > 10").code(), "4000");
}

#[test]
fn a_doubled_quote_and_other_dialects_are_parse_errors() {
    let bed = Bed::new("us_single");
    for query in [
        "select * from Customer where DisplayName = 'Adam''s'",
        "select * from Customer where DisplayName = 'open",
        "select * from Customer group by DisplayName",
        "select * from Customer where (DisplayName = 'x')",
        "select * from Customer;",
        "update Customer set x = 'y'",
        "",
    ] {
        assert_eq!(bed.query(query).code(), "4000", "{query}");
    }
    let refused = bed.query("select * from Customer where DisplayName = 'Adam''s'");
    assert!(refused.detail().contains("<STRING> \"'s'\" at line 1, column 50"), "{}", refused.text);
}

#[test]
fn lists_hide_what_is_inactive_unless_asked() {
    let bed = Bed::new("us_single");
    let customer = bed.customer("Maya");
    bed.act("inactivate", json!({ "entity": "Customer", "id": customer }));
    let count = |condition: &str| {
        let answer = bed.query(&format!("select count(*) from Customer {condition}")).json();
        answer["QueryResponse"]["totalCount"].as_u64().unwrap()
    };
    assert_eq!(count(""), 1, "the web customer");
    assert_eq!(count("where Active in (true, false)"), 2);
    assert_eq!(count("where Active = false"), 1);
}

#[test]
fn pages_are_cut_from_what_is_there_at_that_moment() {
    let bed = Bed::new("us_single");
    let customer = bed.customer("Maya");
    let made: Vec<String> =
        (0..5).map(|n| id(&bed.invoice(&customer, &format!("N{n}"), "1"))).collect();
    let page = |start: usize| {
        let text =
            format!("select * from Invoice orderby DocNumber startposition {start} maxresults 2");
        bed.query(&text).json()
    };
    let first = page(1);
    assert_eq!(rows(&first, "Invoice"), made[..2]);
    assert_eq!(first["QueryResponse"]["maxResults"], 2);
    bed.act("delete", json!({ "entity": "Invoice", "id": made[0] }));
    assert_eq!(rows(&page(3), "Invoice"), made[3..], "the third was skipped");
    assert_eq!(page(9)["QueryResponse"], json!({}));
    assert_eq!(bed.query("select * from Invoice maxresults 1001").code(), "4001");
    assert_eq!(rows(&bed.query("select * from Invoice").json(), "Invoice").first(), made.last());
    let sorted = bed.query("select * from Invoice order by DocNumber desc maxresults 1").json();
    assert_eq!(rows(&sorted, "Invoice"), made[4..]);
}

#[test]
fn a_query_may_be_posted() {
    let bed = Bed::new("us_single");
    let answer = bed.api("POST", "query", "select * from CompanyInfo");
    assert_eq!(answer.json()["QueryResponse"]["CompanyInfo"][0]["Country"], "US");
    let calls = bed.company("GET", "calls", Value::Null);
    assert_eq!((&calls["reads"], &calls["writes"]), (&json!(1), &json!(0)));
}

fn changes(bed: &Bed, entities: &str, since: &str) -> Value {
    let answer = bed.get(&format!("cdc?entities={entities}&changedSince={since}"));
    answer.json()["CDCResponse"][0]["QueryResponse"].clone()
}

#[test]
fn changes_come_by_entity_with_deleted_ones_last() {
    let bed = Bed::new("us_single");
    let customer = bed.customer("Maya");
    let [one, two] = ["1", "2"].map(|n| id(&bed.invoice(&customer, n, "10")));
    bed.pass(3000);
    let since = "2026-11-24T10:30:00Z";
    assert_eq!(changes(&bed, "Invoice,Customer", since), json!([{}, {}]));
    bed.act("pay", json!({ "id": two }));
    bed.act("delete", json!({ "entity": "Invoice", "id": one }));
    let groups = changes(&bed, "Customer,Invoice,Payment", since);
    assert_eq!(groups[0], json!({}), "a customer's balance is no change");
    let invoices = groups[1]["Invoice"].as_array().unwrap();
    assert_eq!((&invoices[0]["Id"], &invoices[0]["Balance"]), (&json!(two), &json!(0)));
    let gone = json!({ "domain": "QBO", "status": "Deleted", "Id": one,
        "MetaData": { "LastUpdatedTime": "2026-11-24T05:50:00-05:00" } });
    assert_eq!(invoices[1], gone);
    assert_eq!(groups[1]["totalCount"], 2);
    assert_eq!(groups[2]["Payment"].as_array().unwrap().len(), 1);
}

#[test]
fn change_data_has_limits_that_it_doesnt_tell() {
    let bed = Bed::new("big");
    let refused = bed.get("cdc?entities=TaxCode&changedSince=2026-11-24T09:00:00Z");
    assert_eq!(refused.status, 400);
    let old = "cdc?entities=Customer&changedSince=2026-10-01T00:00:00Z";
    assert_eq!(bed.get(old).code(), "4001");
    bed.rules(json!({ "old_cdc": "truncate" }));
    assert_eq!(bed.get(old).status, 200);
    for batch in 0..34 {
        let items: Vec<Value> = (0..30)
            .map(|n| {
                let id = (batch * 30 + n + 200).to_string();
                json!({ "bId": n.to_string(), "operation": "update",
                    "Customer": { "Id": id, "SyncToken": "0", "sparse": true, "Notes": "x" } })
            })
            .collect();
        bed.post("batch", json!({ "BatchItemRequest": items }));
    }
    let groups = changes(&bed, "Customer", "2026-11-24T10:00:00Z");
    assert_eq!(groups[0]["Customer"].as_array().unwrap().len(), 1000, "of 1020");
}

fn answer_of<'a>(answer: &'a Value, bid: &str) -> &'a Value {
    let all = answer["BatchItemResponse"].as_array().unwrap();
    all.iter().find(|item| item["bId"] == bid).unwrap()
}

#[test]
fn a_batch_answers_each_item_for_itself() {
    let bed = Bed::new("us_single");
    let customer = bed.customer("Maya");
    let receipt = bed.make("SalesReceipt", sale(&customer, "1", &[("8", "1", "5", "NON")]));
    let invoice = bed.invoice(&customer, "2", "5");
    let other = id(&bed.invoice(&customer, "3", "7"));
    let paid = bed.act("pay", json!({ "id": other }));
    let batch = json!({ "BatchItemRequest": [
        { "bId": "b1", "operation": "create", "Customer": { "DisplayName": "Maya" } },
        { "bId": "b2", "operation": "update", "SalesReceipt":
            { "Id": receipt["Id"], "SyncToken": "0", "sparse": true, "PrivateNote": "edited" } },
        { "bId": "b3", "operation": "delete", "Invoice": { "Id": invoice["Id"], "SyncToken": "0" } },
        { "bId": "b4", "operation": "update", "optionsData": "void", "Payment":
            { "Id": paid["Id"], "SyncToken": "0", "sparse": true } },
        { "bId": "b5", "Query": "select * from SalesReceipt where TotalAmt > '300.00'" },
    ] });
    let answer = bed.post("batch?requestid=r1", batch).json();
    assert_eq!(answer_of(&answer, "b1")["Fault"]["Error"][0]["code"], "6240");
    assert_eq!(answer_of(&answer, "b2")["SalesReceipt"]["PrivateNote"], "edited");
    assert_eq!(answer_of(&answer, "b3")["Invoice"]["status"], "Deleted");
    assert_eq!(answer_of(&answer, "b4")["Payment"]["TotalAmt"], json!(0));
    assert_eq!(answer_of(&answer, "b5")["QueryResponse"], json!({}));
    assert_eq!(bed.record("Invoice", &other)["Balance"], json!(7));
    let calls = bed.company("GET", "calls", Value::Null);
    assert_eq!((&calls["batches"], &calls["batch_items"]), (&json!(1), &json!(5)));
}

#[test]
fn batches_have_limits_and_their_items_are_blind() {
    let bed = Bed::new("us_single");
    let item = |n: usize| json!({ "bId": n.to_string(), "Query": "select * from Term" });
    let batch = |items: Vec<Value>| json!({ "BatchItemRequest": items });
    assert_eq!(bed.post("batch", batch((0..31).map(item).collect())).code(), "1040");
    assert_eq!(bed.post("batch", batch(vec![item(1), item(1)])).code(), "2010");
    let long = json!({ "bId": "12345678901", "Query": "select * from Term" });
    assert_eq!(bed.post("batch?requestid=r", batch(vec![long.clone()])).code(), "2010");
    assert_eq!(bed.post("batch", batch(vec![long])).status, 200);
    // Whatever the order they are carried out in, the receipt can't use the new customer.
    let next: u64 = bed.customer("Last one").parse::<u64>().unwrap() + 1;
    let pair = vec![
        json!({ "bId": "1", "operation": "create", "Customer": { "DisplayName": "New" } }),
        json!({ "bId": "2", "operation": "create",
            "SalesReceipt": sale(&next.to_string(), "1", &[("8", "1", "5", "NON")]) }),
    ];
    let answer = bed.post("batch", batch(pair)).json();
    assert_eq!(answer_of(&answer, "1")["Customer"]["Id"], json!(next.to_string()));
    assert_eq!(answer_of(&answer, "2")["Fault"]["Error"][0]["code"], "2500");
}

#[test]
fn a_batch_isnt_carried_out_in_the_order_it_was_sent() {
    let bed = Bed::new("us_single");
    let items: Vec<Value> = (0..30)
        .map(|n| {
            json!({ "bId": n.to_string(), "operation": "create",
            "Customer": { "DisplayName": format!("C{n}") } })
        })
        .collect();
    let answer = bed.post("batch", json!({ "BatchItemRequest": items })).json();
    let order: Vec<&str> = answer["BatchItemResponse"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["bId"].as_str().unwrap())
        .collect();
    let sent: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    assert_ne!(order, sent);
    let again = bed.post(
        "batch?requestid=x",
        json!({ "BatchItemRequest": [
        { "bId": "1", "operation": "create", "Customer": { "DisplayName": "Once" } }] }),
    );
    let repeated = bed.post(
        "batch?requestid=x",
        json!({ "BatchItemRequest": [
        { "bId": "1", "operation": "create", "Customer": { "DisplayName": "Once" } }] }),
    );
    assert_eq!(again.text, repeated.text);
}
