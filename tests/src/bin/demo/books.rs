//! The books: the same shop in five companies, to the cent, and what changes there afterwards.

use crate::report::{Report, money};
use crate::shop;
use anyhow::{Context, Result, ensure};
use easysync_tests::bed::Bed;
use easysync_tests::books::{
    Books, COMPANIES, Company, Row, Table, Tallies, Tally, recorded, total,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Connects all companies and pushes the shop into each, twice.
pub fn open_all(bed: &mut Bed, report: &mut Report) -> Result<Vec<Books>> {
    let mut all = vec![];
    for company in &COMPANIES {
        all.push(open(bed, company, report).with_context(|| company.what)?);
    }
    Ok(all)
}

fn open(bed: &mut Bed, company: &Company, report: &mut Report) -> Result<Books> {
    println!("\n{}: connected, access granted", company.what);
    let books = Books::connect_as(bed, &format!("books_{}", company.preset), company.preset)?;
    let calls = books.calls(bed)?;
    let table = first_push(bed, &books)?;
    for (currency, row) in &table.0 {
        show(currency, row);
    }
    println!("  calls made: {}", books.calls(bed)? - calls);
    report.problems.extend(table.problems(bed, &books, &recorded(company.currencies))?);
    let mut check = |what: &str, found: String, expected: String| {
        report.figure(&format!("{}: {what}", company.preset), &found, &expected);
    };
    check("documents", table.documents().to_string(), company.documents.to_string());
    check("orders blocked", table.blocked().to_string(), company.blocked.to_string());
    if let Some(customers) = company.customers {
        check("customers", books.customers_billed(bed)?.to_string(), customers.to_string());
    }
    let calls = books.calls(bed)?;
    let again = books.push(bed, "full")?;
    check("written by the same push", again.written().to_string(), "0".into());
    check("calls it made", (books.calls(bed)? - calls).to_string(), "0".into());
    Ok(books)
}

/// Pushes; the plan waits for a person, who looks at it and lets it go.
fn first_push(bed: &mut Bed, books: &Books) -> Result<Table> {
    let push = "select easysync.trigger('orders', 'full', connection => $1)";
    let id: i64 = bed.db.query_one(push, &[&books.name])?.get(0);
    bed.wait_until(
        &format!("select status not in ('queued', 'running') from easysync.sync_status({id})"),
        std::time::Duration::from_secs(120),
    )?;
    let waits = bed.text(&format!(
        "select format('%s changes (%s)', s.plan_changes, s.why) from (
             select count(*) as plan_changes, string_agg(distinct c.target, ', ') as why
             from easysync.sync_changes as c
             where c.sync_id = {id} and c.status = 'planned' and c.action <> 'skip') as s"
    ))?;
    println!("  sync {id} awaits confirmation: {}", waits.unwrap_or_default());
    let run = books.wait(bed, id)?;
    ensure!(matches!(run.status.as_str(), "succeeded" | "partial"), "{run:?}");
    println!("  confirmed; sync {id} {}: {} created", run.status, run.created);
    Table::of(bed, id)
}

/// One currency, and the two equations.
fn show(currency: &str, row: &Row) {
    println!("  {currency}");
    line("orders", row.orders, 4);
    let parts = [
        ("skipped", &row.skipped),
        ("blocked", &row.blocked),
        ("need attention", &row.attention),
        ("posted", &row.posted),
    ];
    for (what, tallies) in parts {
        lines(what, tallies);
    }
    lines("refunds", &row.refunds);
    println!("    {:<72}{:>5}{:>14}", "net = posted - refunds", "", money(row.net()));
    let sums = parts.map(|(_, tallies)| total(tallies));
    let counts = sums.map(|tally| tally.count.to_string()).join(" + ");
    let amounts = sums.map(|tally| money(tally.sum)).join(" + ");
    println!("    {} = {counts}; {} = {amounts}", row.orders.count, money(row.orders.sum));
}

fn lines(what: &str, tallies: &Tallies) {
    line(what, total(tallies), 4);
    for (label, tally) in tallies {
        line(label, *tally, 6);
    }
}

fn line(what: &str, tally: Tally, indent: usize) {
    let width = 76 - indent;
    println!("{:indent$}{what:<width$}{:>5}{:>14}", "", tally.count, money(tally.sum));
}

/// Number, version, total and number of lines of every document of a company.
fn documents(bed: &Bed, books: &Books) -> Result<BTreeMap<String, Value>> {
    let list = books.get(bed, "documents/list")?;
    let list = list.as_array().context("documents")?;
    let key =
        |d: &Value| format!("{} {} {}", text(d, "type"), text(d, "id"), text(d, "doc_number"));
    Ok(list.iter().map(|document| (key(document), document.clone())).collect())
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

/// The changed orders reach their documents: one update each, every line kept.
pub fn follow(
    bed: &mut Bed,
    companies: &[Books],
    changed: &[String],
    report: &mut Report,
) -> Result<()> {
    println!(
        "\nThe changed orders are pushed: select easysync.trigger('orders', connection => ...)"
    );
    for books in companies {
        let before = documents(bed, books)?;
        let run = books.push(bed, "incremental")?;
        let after = documents(bed, books)?;
        let differs = |(key, document): &(&String, &Value)| before.get(*key) != Some(document);
        let touched: Vec<(&String, &Value)> = after.iter().filter(differs).collect();
        let names: Vec<String> = touched.iter().map(|(key, _)| (*key).clone()).collect();
        println!("  {}: {} updated: {}", books.name, run.updated, names.join(", "));
        // A status moves no field of a document: at most the note and the address do.
        let expected = posted_of(bed, books, changed)?;
        if names.len() as i64 != run.updated || run.created + run.deleted > 0 {
            report.problems.push(format!("{}: {run:?} wrote {names:?}", books.name));
        }
        for (key, document) in &touched {
            let old = before.get(*key).cloned().unwrap_or_default();
            let number = text(document, "doc_number");
            let same = ["total", "lines", "id"].iter().all(|name| old[*name] == document[*name]);
            // A refund's document bears its order's address, too.
            let ours = |sale: &String| number == *sale || number.starts_with(&format!("{sale}-R"));
            if !same || !expected.iter().any(ours) {
                report.problems.push(format!("{}: {old} became {document}", books.name));
            }
        }
        let sales = touched.iter().filter(|(_, d)| expected.contains(&text(d, "doc_number")));
        let sales = sales.count();
        // One of the three moved by its status alone.
        if sales != expected.len().saturating_sub(1) {
            report.problems.push(format!("{}: {sales} sales of {expected:?}", books.name));
        }
    }
    Ok(())
}

/// Numbers of the documents of these orders that the company has.
fn posted_of(bed: &mut Bed, books: &Books, orders: &[String]) -> Result<Vec<String>> {
    let rows = bed.db.query(
        "select distinct c.fields #>> '{DocNumber,new}' from easysync.sync_changes as c
          where c.connection = $1 and c.record_id = any ($2) and c.status = 'done'
            and c.action = 'create' and c.target in ('SalesReceipt', 'Invoice')",
        &[&books.name, &orders],
    )?;
    Ok(rows.iter().filter_map(|row| row.get(0)).collect())
}

/// A new modified-date alone writes nothing, and asks nothing.
pub fn ignore_touches(
    bed: &mut Bed,
    companies: &[Books],
    orders: &[String],
    report: &mut Report,
) -> Result<()> {
    let ids: Vec<i64> = orders.iter().filter_map(|id| id.parse().ok()).collect();
    bed.simulator.post("/woocommerce/orders/touch", &json!({"ids": ids}))?;
    let run = shop::pull(bed)?;
    println!("\nThe same orders get a new modified-date: {} updated in the hub", run.updated);
    for books in companies {
        let calls = books.calls(bed)?;
        let run = books.push(bed, "incremental")?;
        let made = books.calls(bed)? - calls;
        println!("  {}: {} written, {made} calls", books.name, run.written());
        if run.written() != 0 || made != 0 {
            report.problems.push(format!("{}: {made} calls for nothing: {run:?}", books.name));
        }
    }
    Ok(())
}
