//! Pulls: what records become, which lists are walked, and what no walk may miss.

use super::server::{Reply, Seen, Server, json};
use super::{TestClock, fixture, http, tokens};
use crate::clock::Clock;
use crate::connector::quickbooks::check::QuickBooks;
use crate::connector::quickbooks::entities::{Company, record};
use crate::connector::quickbooks::{defaults, preview};
use crate::connector::{Connector, Page, Pass};
use crate::mapping::{Mapped, mapped_json};
use crate::model::{Direction, Entity, Mode};
use crate::store::{Connection, DeletePolicy, Filters, Secret, Stream};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json as value};
use std::sync::{Arc, Mutex};

const PULLED: [Entity; 6] = [
    Entity::Customers,
    Entity::Products,
    Entity::Invoices,
    Entity::Payments,
    Entity::Vendors,
    Entity::Bills,
];

fn mapped(entity: Entity, file: &str, zone: &str) -> String {
    let body = fixture(file);
    let raw = body.as_object().unwrap().values().next().unwrap().to_string();
    let raw: &RawValue = serde_json::from_str(&raw).unwrap();
    let program = defaults::program(entity, None).unwrap();
    let zone = TimeZone::get(zone).unwrap();
    let company = Company { home_currency: "USD", zone: &zone };
    let record = record(entity, &program, raw, &company).unwrap();
    let json = mapped_json(&Mapped { row: record.row, lines: record.lines });
    let json: Value = serde_json::from_str(&json).unwrap();
    format!("{} {} {}\n{json:#}", record.remote_type, record.remote_id, record.label)
}

#[test]
fn records_of_the_books_become_rows_of_the_hub() {
    let zone = "America/New_York";
    let files = [
        (Entity::Customers, "customer.json"),
        (Entity::Customers, "customer_inactivated.json"),
        (Entity::Products, "item_inventory.json"),
        (Entity::Invoices, "invoice_us_ast.json"),
        (Entity::Invoices, "invoice_paid_after_payment.json"),
        (Entity::Invoices, "invoice_voided.json"),
        (Entity::Invoices, "invoice_global_vat.json"),
        (Entity::Payments, "payment.json"),
        (Entity::Payments, "payment_voided.json"),
        (Entity::Vendors, "vendor.json"),
        (Entity::Bills, "bill.json"),
    ];
    let all: Vec<String> = files
        .iter()
        .map(|(entity, file)| format!("== {file}\n{}", mapped(*entity, file, zone)))
        .collect();
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn every_pulled_entity_has_rules_that_compile_and_can_be_changed() {
    for entity in PULLED {
        assert!(defaults::in_force(entity, None).unwrap().len() > 5, "{entity}");
        let rules = value!([{"target": "attributes.mine", "source": "SyncToken"}]);
        defaults::program(entity, Some(&rules)).unwrap();
        let wrong = value!([{"target": "nonsense", "source": "Id"}]);
        assert!(!defaults::program(entity, Some(&wrong)).unwrap_err().is_empty());
    }
    for entity in [Entity::Orders, Entity::Refunds] {
        assert_eq!(defaults::program(entity, None).unwrap_err()[0].code, "unknown_entity");
    }
    let sample = fixture("vendor.json")["Vendor"].to_string();
    assert!(preview(Entity::Vendors, None, &sample, None).unwrap().contains("Tote Mill"));
    preview(Entity::Vendors, None, "nothing", None).unwrap_err();
}

#[test]
fn a_record_that_lacks_what_it_needs_fails_alone_and_says_which_field() {
    let raw: &RawValue = serde_json::from_str(r#"{"Id":"7","TotalAmt":"x"}"#).unwrap();
    let program = defaults::program(Entity::Invoices, None).unwrap();
    let company = Company { home_currency: "USD", zone: &TimeZone::UTC };
    let failure = record(Entity::Invoices, &program, raw, &company).unwrap_err();
    assert_eq!(failure.remote_id, "7");
    let text = failure.error.message;
    assert!(text.contains("total") && text.contains("issued_on"), "{text}");
}

/// A company that keeps invoices in order of their creation.
#[derive(Default)]
struct Kept {
    invoices: Vec<Value>,
    gone: Vec<String>,
    /// At the n-th query these leave the list.
    leaves: Option<(usize, Vec<usize>)>,
    queries: usize,
}

fn invoice(id: usize) -> Value {
    value!({
        "Id": id.to_string(), "SyncToken": "0", "DocNumber": format!("WC-{id}"), "TxnDate": "2026-11-03",
        "TotalAmt": 10, "Balance": 0,
        "MetaData": {"CreateTime": "2026-11-03T09:00:00Z", "LastUpdatedTime": "2026-11-03T09:00:00Z"},
    })
}

fn answer(kept: &Mutex<Kept>, seen: &Seen) -> Reply {
    if seen.path.ends_with("/preferences") {
        return json(200, fixture("preferences.json"));
    }
    let mut kept = kept.lock().unwrap();
    if seen.path.ends_with("/cdc") {
        let mut list: Vec<Value> = kept.invoices.clone();
        list.extend(kept.gone.iter().map(|id| value!({"Id": id, "status": "Deleted"})));
        list.truncate(1000);
        let groups = value!([{"Invoice": list}, {}]);
        return json(
            200,
            value!({"CDCResponse": [{"QueryResponse": groups}], "time": "2026-11-20T09:59:58Z"}),
        );
    }
    kept.queries += 1;
    if let Some((_, places)) = kept.leaves.clone().filter(|(at, _)| *at == kept.queries) {
        let mut place = 0;
        kept.invoices.retain(|_| {
            place += 1;
            !places.contains(&(place - 1))
        });
    }
    let query = seen.param("query").unwrap();
    if query.contains("COUNT") {
        return json(200, value!({"QueryResponse": {"totalCount": kept.invoices.len()}}));
    }
    if let Some(ids) = query.split("Id IN (").nth(1) {
        let wanted: Vec<&str> = ids.split(')').next().unwrap().split(',').collect();
        let has = |i: &&Value| wanted.iter().any(|w| w.trim_matches('\'') == i["Id"]);
        let rows: Vec<&Value> = kept.invoices.iter().filter(has).collect();
        return json(200, value!({"QueryResponse": {"Invoice": rows}}));
    }
    let number = |after: &str| {
        let rest = query.split(after).nth(1).unwrap();
        rest.split_whitespace().next().unwrap().parse::<usize>().unwrap()
    };
    let (start, rows) = (number("STARTPOSITION ") - 1, number("MAXRESULTS "));
    let rows: Vec<&Value> = kept.invoices.iter().skip(start).take(rows).collect();
    json(200, value!({"QueryResponse": {"Invoice": rows}, "time": "2026-11-20T09:59:59Z"}))
}

async fn company(kept: Kept) -> (Server, QuickBooks, Stream, Arc<Mutex<Kept>>) {
    let kept = Arc::new(Mutex::new(kept));
    let state = kept.clone();
    let server = Server::start(move |seen, _| answer(&state, seen)).await;
    let clock = TestClock::new();
    let mut credentials = Map::new();
    tokens("at-1", "rt-1", clock.now()).put(&mut credentials);
    let connection = Arc::new(Connection {
        tenant: "acme".into(),
        name: "books".into(),
        connector: "quickbooks".into(),
        account: super::REALM.into(),
        settings: value!({"environment": "sandbox", "api_url": server.url(), "time_zone": "UTC"}),
        credentials: Secret::new(credentials),
    });
    let books = QuickBooks::open(&connection, &http(clock)).unwrap();
    let stream = Stream {
        connection,
        entity: Entity::Invoices,
        direction: Direction::Pull,
        filters: Filters::default(),
        delete_policy: DeletePolicy::Keep,
        rules: None,
    };
    (server, books, stream, kept)
}

async fn passes(books: &QuickBooks, mode: Mode, since: Option<&str>) -> Vec<Pass> {
    let since: Option<Timestamp> = since.map(|text| text.parse().unwrap());
    books.passes(Entity::Invoices, mode, since, &Filters::default()).await.unwrap()
}

async fn page(books: &QuickBooks, stream: &Stream, pass: &Pass, offset: u64) -> Page {
    books.page(stream, pass, offset, books.page_size()).await.unwrap()
}

fn ids(page: &Page) -> Vec<String> {
    page.records.iter().map(|record| record.remote_id.clone()).collect()
}

#[tokio::test]
async fn an_incremental_pull_asks_for_changes_and_brings_what_is_gone() {
    let kept =
        Kept { invoices: vec![invoice(9), invoice(3)], gone: vec!["5".into()], ..Kept::default() };
    let (server, books, stream, _) = company(kept).await;
    let passes = passes(&books, Mode::Incremental, Some("2026-11-20T09:00:00Z")).await;
    assert_eq!(passes.iter().map(|p| p.name).collect::<Vec<_>>(), ["changes"]);
    let page = page(&books, &stream, &passes[0], 0).await;
    assert_eq!((ids(&page), page.gone.clone()), (vec!["9".into(), "3".into()], vec!["5".into()]));
    assert_eq!((page.total, page.calls), (Some(2), 2), "the changes, and the company's currency");
    assert_eq!(page.served_at, Some("2026-11-20T09:59:58Z".parse().unwrap()));
    assert_eq!(server.seen()[0].param("entities").as_deref(), Some("Invoice"));
    assert_eq!(server.seen()[0].param("changedSince").as_deref(), Some("2026-11-20T09:00:00Z"));
}

#[tokio::test]
async fn more_changes_than_an_answer_holds_are_read_by_a_query_and_by_ids() {
    let kept = Kept { invoices: (1..=1500).map(invoice).collect(), ..Kept::default() };
    let (_server, books, stream, _) = company(kept).await;
    let passes = passes(&books, Mode::Incremental, Some("2026-11-20T09:00:00Z")).await;
    let names: Vec<_> = passes.iter().map(|p| (p.name, p.complete, p.ids_only)).collect();
    assert_eq!(names, [("changes", false, false), ("updated", false, false), ("ids", true, true)]);
    let first = page(&books, &stream, &passes[1], 0).await;
    let second = page(&books, &stream, &passes[1], 999).await;
    assert_eq!((first.records.len(), second.records.len(), first.total), (1000, 501, Some(1500)));
    let bare = page(&books, &stream, &passes[2], 0).await;
    assert_eq!((bare.ids.len(), bare.total, bare.records.len()), (1000, Some(1500), 0));
}

#[tokio::test]
async fn what_lies_beyond_the_reach_of_changes_is_read_whole() {
    let (_server, books, _, _) = company(Kept::default()).await;
    for (mode, since) in [
        (Mode::Full, Some("2026-11-20T09:00:00Z")),
        (Mode::Incremental, Some("2026-10-01T00:00:00Z")),
        (Mode::Incremental, None),
    ] {
        let names: Vec<_> = passes(&books, mode, since).await.iter().map(|p| p.name).collect();
        assert_eq!(names, ["live", "ids"], "{mode:?} {since:?}");
    }
}

#[tokio::test]
async fn a_row_that_leaves_the_list_makes_the_walk_step_back_and_miss_nothing() {
    // The list is counted by the second query; before the third one two rows leave it.
    let kept = Kept {
        invoices: (1..=1800).map(invoice).collect(),
        leaves: Some((3, vec![4, 7])),
        ..Kept::default()
    };
    let (_server, books, stream, _) = company(kept).await;
    let pass = &passes(&books, Mode::Full, None).await[0];
    let first = page(&books, &stream, pass, 0).await;
    assert_eq!((first.len, first.total), (1000, Some(1800)));
    let moved = page(&books, &stream, pass, 999).await;
    assert!(moved.ids[0] > 1000 && moved.records.is_empty(), "behind all that was seen");
    let back = page(&books, &stream, pass, 989).await;
    assert_eq!((back.ids[0], ids(&back)[0].as_str()), (990, "992"));
    let seen: std::collections::BTreeSet<String> =
        ids(&first).into_iter().chain(ids(&back)).collect();
    assert_eq!(seen.len(), 1800, "no invoice slipped through");
    let bare = page(&books, &stream, &passes(&books, Mode::Full, None).await[1], 0).await;
    assert_eq!(bare.calls, 0, "the walk has seen all ids");
}

#[tokio::test]
async fn records_by_id_come_or_are_gone() {
    let kept = Kept { invoices: (1..=5).map(invoice).collect(), ..Kept::default() };
    let (server, books, stream, _) = company(kept).await;
    let asked: Vec<String> = ["2", "77", "x' OR", "4"].map(str::to_owned).to_vec();
    let found = books.by_ids(&stream, &asked).await.unwrap();
    let ids: Vec<_> = found.records.iter().map(|r| r.remote_id.as_str()).collect();
    assert_eq!((ids, found.gone), (vec!["2", "4"], vec!["77".to_owned(), "x' OR".to_owned()]));
    assert!(server.seen().iter().all(|seen| !seen.query.contains("OR")));
}

#[tokio::test]
async fn filters_that_the_books_do_not_know_are_refused_before_any_call() {
    let (server, books, _, _) = company(Kept::default()).await;
    let filters = Filters { status: Some(vec!["open".into()]), ..Filters::default() };
    let refused = books.passes(Entity::Invoices, Mode::Full, None, &filters).await.unwrap_err();
    assert_eq!(refused.sqlstate(), "22023");
    let refused = books.passes(Entity::Orders, Mode::Full, None, &Filters::default()).await;
    assert_eq!(refused.unwrap_err().code, "not_pulled");
    assert!(server.seen().is_empty());
    let created = Filters {
        created_since: Some("2026-11-01T00:00:00Z".parse().unwrap()),
        ..Filters::default()
    };
    let passes = books.passes(Entity::Invoices, Mode::Full, None, &created).await.unwrap();
    assert_eq!(passes.iter().map(|p| p.name).collect::<Vec<_>>(), ["live"]);
}

#[tokio::test]
async fn a_check_tells_the_company_its_plan_and_the_reads_left() {
    let server = Server::start(|_, _| json(200, fixture("companyinfo.json"))).await;
    let api = super::api(&server, &TestClock::new());
    let checks = api.probe().await;
    let told: Vec<_> =
        checks.iter().map(|c| format!("{} {} {}", c.name, c.ok, c.message)).collect();
    insta::assert_snapshot!(told.join("\n"));
    let account = api.account().await.unwrap();
    assert_eq!((account.key.as_str(), account.label.as_str()), (super::REALM, "Harbor Goods LLC"));
    let gone = fixture("fault_403_authorization_failed.json")["body"].clone();
    let server = Server::start(move |_, _| json(403, gone.clone())).await;
    let checks = super::api(&server, &TestClock::new()).probe().await;
    assert_eq!((checks.len(), checks[0].name, checks[0].ok), (1, "credentials", false));
}

#[test]
fn an_open_connection_without_a_grant_asks_for_one() {
    let clock = TestClock::new();
    let connection = Arc::new(Connection {
        tenant: "acme".into(),
        name: "books".into(),
        connector: "quickbooks".into(),
        account: String::new(),
        settings: value!({"environment": "sandbox"}),
        credentials: Secret::default(),
    });
    let refused = QuickBooks::open(&connection, &http(clock.clone())).err().unwrap();
    assert_eq!(refused.code, "reauthorize");
    clock.advance(SignedDuration::from_secs(1));
    let policy = super::policy();
    let validate = |settings: Value, credentials: &Secret| {
        super::super::check::validate(&settings, Some(credentials), &policy)
    };
    let mut fields = Map::from_iter([
        ("client_id".to_owned(), Value::from("ABc")),
        ("client_secret".to_owned(), Value::from("s3")),
    ]);
    let sandbox = || value!({"environment": "sandbox"});
    assert_eq!(validate(sandbox(), &Secret::new(fields.clone())).unwrap(), "");
    tokens("a", "r", clock.now()).put(&mut fields);
    assert_eq!(validate(sandbox(), &Secret::new(fields.clone())).unwrap(), super::REALM);
    fields.insert("password".into(), "x".into());
    fields.insert("client_id".into(), "with blank".into());
    let problems =
        validate(value!({"environment": "sandbox", "nonsense": 1}), &Secret::new(fields));
    assert_eq!(problems.unwrap_err().len(), 3);
}
