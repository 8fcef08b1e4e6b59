//! Statements, pages, questions by natural key, and the snapshot of a company.

use super::server::{Seen, Server, json};
use super::{TestClock, api, fixture};
use crate::connector::quickbooks::kind::Kind;
use crate::connector::quickbooks::lookup::{NAMED, NUMBERED};
use crate::connector::quickbooks::query::{CREATED, Select, UPDATED, quoted};
use crate::posting::settings::Settings;
use proptest::prelude::*;
use serde_json::{Value, json as value};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[test]
fn statements_are_those_that_quickbooks_takes() {
    let time = |text: &str| Some(text.parse().unwrap());
    let statements = [
        Select::from(Kind::Invoice).page(0, 1000),
        Select::from(Kind::Customer).with_inactive().order_by(CREATED).page(1000, 5000),
        Select::from(Kind::Customer).equals("DisplayName", r"Adam's Candy \ Shop").page(0, 10),
        Select::from(Kind::Invoice).any_of("Id", ["239", "245"]).page(0, 0),
        Select::from(Kind::Bill)
            .between(UPDATED, time("2026-11-03T09:00:00.7+01:00"), time("2026-11-03T10:00:00Z"))
            .order_by(UPDATED)
            .page(0, 100),
        Select::from(Kind::Item).equals("Sku", "TOTE-NAT").with_inactive().count(),
    ];
    insta::assert_snapshot!(statements.join("\n"));
}

/// Reads a quoted value back, as QuickBooks' parser does.
fn unquoted(text: &str) -> Option<String> {
    let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(chars.next()?),
            '\'' => return None,
            c => out.push(c),
        }
    }
    Some(out)
}

proptest! {
    #[test]
    fn a_value_comes_out_of_its_quotes_as_it_went_in(text in "[\\PC'\\\\]{0,60}") {
        prop_assert_eq!(unquoted(&quoted(&text)), Some(text));
    }

    #[test]
    fn no_value_ends_its_quotes_early(text in "\\PC*") {
        let attack = format!("{text}' OR DisplayName = '");
        prop_assert!(unquoted(&quoted(&attack)).is_some());
    }
}

fn query(seen: &Seen) -> String {
    seen.param("query").unwrap()
}

#[tokio::test]
async fn a_statement_travels_without_a_plus_sign() {
    let server = Server::start(|_, _| json(200, fixture("query_empty.json"))).await;
    let found = api(&server, &TestClock::new()).items_by_sku("A+B 'c' 100%").await.unwrap();
    assert!(found.is_empty());
    let seen = &server.seen()[0];
    assert!(!seen.query.contains('+') && seen.query.contains("%20"), "{}", seen.query);
    assert!(query(seen).contains(r"Sku = 'A+B \'c\' 100%'"), "{}", query(seen));
}

/// A list of that many customers, of which the first one goes away at the `gone`-th call.
async fn list_of(count: u64, gone: u64) -> (Server, Arc<AtomicU64>) {
    let calls = Arc::new(AtomicU64::new(0));
    let seen_calls = calls.clone();
    let server = Server::start(move |seen, _| {
        let call = seen_calls.fetch_add(1, Ordering::SeqCst) + 1;
        let first = u64::from(call >= gone);
        let statement = query(seen);
        if statement.contains("COUNT") {
            return json(200, value!({"QueryResponse": {"totalCount": count - first}}));
        }
        let word = |after: &str| {
            let rest = statement.split(after).nth(1).unwrap();
            rest.split_whitespace().next().unwrap().parse::<u64>().unwrap()
        };
        let start = word("STARTPOSITION ") - 1 + first;
        let end = (start + word("MAXRESULTS ")).min(count);
        let row = |id: u64| value!({"Id": (id + 1).to_string(), "SyncToken": "0"});
        let rows: Vec<Value> = (start..end).map(row).collect();
        json(200, value!({"QueryResponse": {"Customer": rows, "startPosition": start + 1}}))
    })
    .await;
    (server, calls)
}

#[tokio::test]
async fn a_list_is_read_to_its_end_and_again_when_a_record_slipped_through() {
    for (count, gone, expected, calls) in [
        (0, 99, 0, 1),
        (999, 99, 999, 1),
        (1000, 99, 1000, 4),
        (2300, 99, 2300, 5),
        (2300, 3, 2299, 8),
    ] {
        let (server, made) = list_of(count, gone).await;
        let select = Select::from(Kind::Customer);
        let listed = api(&server, &TestClock::new()).all(&select).await.unwrap();
        assert_eq!((listed.rows.len(), made.load(Ordering::SeqCst)), (expected, calls), "{count}");
    }
}

#[tokio::test]
async fn questions_by_natural_key_ask_what_they_should() {
    let server = Server::start(|seen, _| match query(seen) {
        q if q.contains("FROM Customer") => json(200, fixture("query_page.json")),
        _ => json(200, fixture("query_empty.json")),
    })
    .await;
    let api = api(&server, &TestClock::new());
    let found = api.customers_by_email(" Maya@Example.test ", false).await.unwrap();
    assert_eq!(found[0].id, "158");
    assert!(api.customers_by_email("other@example.test", true).await.unwrap().is_empty());
    assert!(api.customers_by_email(" ", true).await.unwrap().is_empty());
    let holders = api.holders_of_name("Maya Okafor (WC 88)", &NAMED).await.unwrap();
    assert_eq!((holders.len(), holders[0].kind), (1, Kind::Customer));
    api.documents_by_number(&["WC-1"], &NUMBERED).await.unwrap();
    api.documents_by_number(&["1", "#1", "WC-1"], &[Kind::Invoice]).await.unwrap();
    api.bills_by_number("56", "TM-3391").await.unwrap();
    let asked: Vec<String> = server.seen().iter().map(query).collect();
    insta::assert_snapshot!(asked.join("\n"));
}

#[tokio::test]
async fn a_record_that_is_gone_is_none_and_an_id_that_is_none_is_not_asked_for() {
    let body = fixture("faults_validation.json")["0610_object_not_found_inactive"]["body"].clone();
    let server = Server::start(move |_, n| match n {
        0 => json(200, fixture("invoice_us_ast.json")),
        _ => json(400, body.clone()),
    })
    .await;
    let api = api(&server, &TestClock::new());
    assert_eq!(api.get(Kind::Invoice, "239").await.unwrap().unwrap().id, "239");
    assert_eq!(api.get(Kind::Invoice, "240").await.unwrap(), None);
    for id in ["", "../1", "1?x=2", "SHIPPING_ITEM_ID"] {
        assert_eq!(api.get(Kind::Invoice, id).await.unwrap(), None);
    }
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn the_snapshot_holds_what_posting_works_from() {
    let server = Server::start(|seen, _| {
        if seen.path.ends_with("/preferences") {
            return json(200, fixture("preferences.json"));
        }
        if seen.path.contains("/companyinfo/") {
            return json(200, fixture("companyinfo.json"));
        }
        let statement = query(seen);
        let file = match statement.split_whitespace().nth(3).unwrap() {
            "Account" => "accounts_query.json",
            "Item" => "items_other_types.json",
            "TaxCode" => "taxcodes_global_query.json",
            "TaxRate" => "taxrates_query.json",
            "PaymentMethod" => "paymentmethods_query.json",
            "Customer" => "query_page.json",
            _ => "query_empty.json",
        };
        json(200, fixture(file))
    })
    .await;
    let settings =
        Settings { web_customer: Some("Maya Okafor (WC 88)".into()), ..Settings::default() };
    let api = api(&server, &TestClock::new());
    let company = api.company(&settings).await.unwrap();
    insta::assert_json_snapshot!(company);
    assert_eq!(api.reads().0, 9, "each of them is metered");
}
