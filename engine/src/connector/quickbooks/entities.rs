//! What QuickBooks' records become in the hub. Knows no HTTP: JSON in, [`Record`] out.

use super::kind::Kind;
use crate::error::{Category, Error};
use crate::limits;
use crate::mapping::{Context, FieldError, Program};
use crate::model::{Cell, Entity, Presence, Record, RecordFailure};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::sync::Arc;

/// The kind behind an entity of the hub. None: nothing of it is pulled.
pub fn kind_of(entity: Entity) -> Option<Kind> {
    Some(match entity {
        Entity::Customers => Kind::Customer,
        Entity::Products => Kind::Item,
        Entity::Invoices => Kind::Invoice,
        Entity::Payments => Kind::Payment,
        Entity::Vendors => Kind::Vendor,
        Entity::Bills => Kind::Bill,
        Entity::Orders | Entity::Refunds => return None,
    })
}

/// What a record doesn't say itself.
#[derive(Debug, Clone)]
pub struct Company<'a> {
    /// ISO 4217.
    pub home_currency: &'a str,
    /// A date begins here.
    pub zone: &'a TimeZone,
}

/// A category of items: a heading, nothing that is sold.
pub fn is_category(raw: &RawValue) -> bool {
    #[derive(serde::Deserialize)]
    struct Head {
        #[serde(rename = "Type")]
        kind: Option<String>,
    }
    let head: Option<Head> = serde_json::from_str(raw.get()).ok();
    head.and_then(|head| head.kind).is_some_and(|kind| kind.eq_ignore_ascii_case("category"))
}

/// Maps one record; else every field that can't be read, without its value.
pub fn record(
    entity: Entity,
    program: &Program,
    raw: &RawValue,
    company: &Company<'_>,
) -> Result<Record, Box<RecordFailure>> {
    let value = within_limits(entity, raw)?;
    let added = Added::of(entity, &value, company);
    let texts: Vec<(&str, &str)> =
        added.texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let records: Vec<(&str, &RawValue)> =
        added.records.iter().map(|(name, raw)| (*name, raw.as_ref())).collect();
    let mapped = program
        .run(raw, &Context { texts: &texts, records: &records })
        .map_err(|errors| failure(entity, &value, raw, &errors))?;
    let mut row = mapped.row;
    if let Some(i) = row.table.table().column("deleted_at") {
        row.cells[i] = Cell::Null;
    }
    let remote_id = match row.cell("source_id") {
        Cell::Text(id) => id.clone(),
        _ => String::new(),
    };
    Ok(Record {
        entity,
        remote_type: remote_type(entity),
        label: Record::label_of(entity, &row, &remote_id),
        remote_id,
        presence: Presence::Live,
        hash: Record::content_hash(entity, Presence::Live, &row, &[], &[]),
        row,
        lines: vec![],
        related: vec![],
        raw: Some(Arc::from(raw.get())),
        keep_existing: false,
    })
}

/// The record's JSON; or its failure, where it is beyond what is taken of one.
fn within_limits(entity: Entity, raw: &RawValue) -> Result<Value, Box<RecordFailure>> {
    let Err(excess) = limits::check_record(raw) else {
        return Ok(serde_json::from_str(raw.get()).unwrap_or_default());
    };
    let remote_id = super::query::id_of(raw).unwrap_or_default();
    let remote_id = limits::cut_text(&remote_id).to_owned();
    let error = Error::new(
        Category::Validation,
        "record_too_large",
        format!("{} {remote_id} is not taken: it {excess}", remote_type(entity)),
    )
    .hint("Look at it in QuickBooks: no record of its own is like that.");
    Err(Box::new(RecordFailure { entity, label: remote_id.clone(), remote_id, error, raw: None }))
}

/// `remote_type` of an entity's links: QuickBooks' own name.
pub fn remote_type(entity: Entity) -> &'static str {
    kind_of(entity).map_or("", Kind::as_str)
}

/// What rules may name with a `$`.
#[derive(Default)]
struct Added {
    texts: Vec<(&'static str, String)>,
    records: Vec<(&'static str, Box<RawValue>)>,
}

impl Added {
    fn of(entity: Entity, value: &Value, company: &Company<'_>) -> Added {
        let mut added = Added::default();
        added.texts.push(("currency", company.home_currency.to_owned()));
        match entity {
            Entity::Invoices => {
                added.texts.push(("status", document_status(value).into()));
                added.list("lines", sales_lines(value));
            }
            Entity::Bills => {
                added.texts.push(("status", document_status(value).into()));
                added.list("lines", expense_lines(value));
            }
            Entity::Payments => {
                let status = if is_voided(value) { "voided" } else { "completed" };
                added.texts.push(("status", status.into()));
                added.texts.extend(begin(value, company.zone).map(|time| ("paid_at", time)));
                let invoices = invoices_of(value);
                added.texts.extend(invoices.first().map(|id| ("invoice", id.clone())));
                added.list("invoices", invoices.into_iter().map(Value::String).collect());
            }
            _ => {}
        }
        added
    }

    fn list(&mut self, name: &'static str, list: Vec<Value>) {
        // A list of JSON values always serialises.
        if let Ok(raw) = serde_json::value::to_raw_value(&Value::Array(list)) {
            self.records.push((name, raw));
        }
    }
}

/// There is no flag: a voided transaction has a note that begins so, and no amount (quickbooks.md,
/// section 4.3).
fn is_voided(value: &Value) -> bool {
    let note = value["PrivateNote"].as_str().unwrap_or_default().trim_start();
    note.get(..6).is_some_and(|begin| begin.eq_ignore_ascii_case("voided"))
        && amount(value, "TotalAmt").is_none_or(|total| total.is_zero())
}

/// `overdue` is left to whoever reads the row: it follows from `due_on` and the day.
fn document_status(value: &Value) -> &'static str {
    let total = amount(value, "TotalAmt").unwrap_or_default();
    let balance = amount(value, "Balance").unwrap_or_default();
    match () {
        () if is_voided(value) => "voided",
        () if balance.is_zero() => "paid",
        () if balance < total => "partial",
        () => "open",
    }
}

fn amount(value: &Value, name: &str) -> Option<Decimal> {
    super::ack::amount(value, name)
}

/// The begin of the transaction's day in the company's zone.
fn begin(value: &Value, zone: &TimeZone) -> Option<String> {
    let date: Date = value["TxnDate"].as_str()?.get(..10)?.parse().ok()?;
    Some(date.to_zoned(zone.clone()).ok()?.timestamp().to_string())
}

fn invoices_of(payment: &Value) -> Vec<String> {
    let lines = payment["Line"].as_array().into_iter().flatten();
    let links = lines.filter_map(|line| line["LinkedTxn"].as_array()).flatten();
    let invoices = links.filter(|link| link["TxnType"].as_str() == Some("Invoice"));
    invoices.filter_map(|link| link["TxnId"].as_str().map(str::to_owned)).collect()
}

/// Lines that a person entered or sees, without the subtotal that QuickBooks adds.
fn sales_lines(value: &Value) -> Vec<Value> {
    lines(value, |line, out| {
        let kind = line["DetailType"].as_str().unwrap_or_default();
        let detail = &line["SalesItemLineDetail"];
        match kind {
            "SubTotalLineDetail" | "SUB_TOTAL_LINE_DETAIL" => return false,
            // Positive there, and taken off: the lines of the hub add up.
            "DiscountLineDetail" | "DISCOUNT_LINE_DETAIL" => {
                put(out, "name", &"Discount".into());
                let taken = amount(line, "Amount").map(|taken| (-taken).to_string());
                put(out, "total", &taken.into());
            }
            _ => put(out, "name", &detail["ItemRef"]["name"]),
        }
        put(out, "item_id", &detail["ItemRef"]["value"]);
        put(out, "quantity", &detail["Qty"]);
        put(out, "unit_price", &detail["UnitPrice"]);
        put(out, "tax_code", &detail["TaxCodeRef"]["value"]);
        true
    })
}

fn expense_lines(value: &Value) -> Vec<Value> {
    lines(value, |line, out| {
        let item = &line["ItemBasedExpenseLineDetail"];
        let account = &line["AccountBasedExpenseLineDetail"];
        put(out, "account", &account["AccountRef"]["name"]);
        put(out, "account_id", &account["AccountRef"]["value"]);
        put(out, "name", &item["ItemRef"]["name"]);
        put(out, "item_id", &item["ItemRef"]["value"]);
        put(out, "quantity", &item["Qty"]);
        put(out, "unit_price", &item["UnitPrice"]);
        let detail = if item.is_null() { account } else { item };
        put(out, "tax_code", &detail["TaxCodeRef"]["value"]);
        true
    })
}

/// One object a line; `fill` says whether the line counts.
fn lines(value: &Value, fill: impl Fn(&Value, &mut Map<String, Value>) -> bool) -> Vec<Value> {
    let mut all = Vec::new();
    for line in value["Line"].as_array().into_iter().flatten() {
        let mut out = Map::new();
        if fill(line, &mut out) {
            put(&mut out, "description", &line["Description"]);
            if !out.contains_key("total") {
                put(&mut out, "total", &line["Amount"]);
            }
            all.push(Value::Object(out));
        }
    }
    all
}

/// Amounts as texts, as everywhere in the hub's JSON.
fn put(out: &mut Map<String, Value>, key: &str, value: &Value) {
    match value {
        Value::String(text) if !text.is_empty() => {
            drop(out.insert(key.into(), text.clone().into()))
        }
        Value::Number(number) => drop(out.insert(key.into(), number.to_string().into())),
        _ => {}
    }
}

fn failure(
    entity: Entity,
    value: &Value,
    raw: &RawValue,
    errors: &[FieldError],
) -> Box<RecordFailure> {
    let fields: Vec<String> = errors.iter().map(FieldError::to_string).collect();
    let remote_id = match &value["Id"] {
        Value::String(id) => id.clone(),
        Value::Number(id) => id.to_string(),
        _ => String::new(),
    };
    let error = Error::new(
        Category::Validation,
        "unreadable_record",
        format!("{} {remote_id}: {}", remote_type(entity), fields.join("; ")),
    )
    .hint("Correct the record in QuickBooks, or the rule: easysync.validate_mapping.");
    Box::new(RecordFailure {
        entity,
        label: remote_id.clone(),
        remote_id,
        error,
        raw: Some(Arc::from(raw.get())),
    })
}
