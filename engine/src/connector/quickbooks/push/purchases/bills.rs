//! Bills: their lines name an account, or a product whose item is purchased. The tax of a purchase
//! is none of the shop's: a bill that bears some is left to a person.

use super::super::{Books, Ground, fields, items};
use super::{attention, failed, link_of, on, payload, sent};
use crate::error::{Error, Result};
use crate::model::Entity;
use crate::plan::{Action, Draft, Key};
use crate::posting::input::{self, Product};
use crate::posting::numbers::MAX_NUMBER;
use crate::posting::{compare, money, text};
use crate::push::store::{Bundle, Link};
use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Deserialize)]
struct Bill {
    id: i64,
    source_id: Option<String>,
    vendor_id: i64,
    number: Option<String>,
    currency: String,
    billed_on: Date,
    due_on: Option<Date>,
    total_tax: Value,
    total: Value,
    lines: Value,
    memo: Option<String>,
    deleted_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Line {
    account: Option<String>,
    product_id: Option<i64>,
    description: Option<String>,
    #[serde(default)]
    quantity: Value,
    #[serde(default)]
    unit_price: Value,
    #[serde(default)]
    total: Value,
}

impl Bill {
    fn record_id(&self) -> String {
        self.source_id.clone().unwrap_or_else(|| self.id.to_string())
    }

    /// The vendor's number; where there is none, one of ours, by which the bill is found again.
    fn doc_number(&self) -> String {
        let own = self.number.as_deref().map(|n| text::line(n, MAX_NUMBER)).unwrap_or_default();
        if own.is_empty() { format!("hub-{}", self.id) } else { own }
    }

    /// By this mark in the note a bill is known to be ours.
    fn mark(&self) -> String {
        format!("easysync bill {}", self.record_id())
    }

    fn draft(&self) -> Draft {
        let key = Key::new(Entity::Bills, self.id, "");
        let draft = Draft::skip(key, Entity::Bills, self.id, "Bill", String::new());
        Draft { record_id: self.record_id(), label: self.doc_number(), reason: None, ..draft }
    }
}

impl Books {
    /// A bill, with its vendor and the items of its lines where they aren't there yet.
    pub(in super::super) async fn draft_bill(&self, bundle: &Bundle) -> Result<Vec<Draft>> {
        let Some(record) = &bundle.record else { return Ok(vec![]) };
        let bill: Bill = input::row(record, "bills")?;
        let ground = &*self.ground()?;
        let link = link_of(Entity::Bills, bill.id, &bundle.links);
        if bill.deleted_at.is_some() {
            return Ok(link.map(|link| deletion(&bill, link)).into_iter().collect());
        }
        let mut drafts = vec![];
        let (vendor, made) = match self.vendor_for(bill.vendor_id, bundle, ground).await? {
            Ok(vendor) => vendor,
            Err(error) => return Ok(failed(bill.draft(), error)),
        };
        drafts.extend(made);
        let rendered = match render_bill(&bill, &vendor, bundle, ground, &mut drafts) {
            Ok(rendered) => rendered,
            Err(error) => return Ok(failed(bill.draft(), error)),
        };
        drafts.extend(bill_change(&bill, link, rendered));
        Ok(drafts)
    }
}

fn deletion(bill: &Bill, link: &Link) -> Draft {
    let draft = bill.draft();
    let gone = payload(&draft.key, json!({}), Value::Null);
    Draft { action: Action::Delete, payload: Some(on(link, gone)), ..draft }
}

fn bill_change(bill: &Bill, link: Option<&Link>, body: Value) -> Option<Draft> {
    let draft = bill.draft();
    let before = link.map(sent).unwrap_or_default();
    let changes = compare::diff(&before, &body);
    if changes.is_empty() {
        return None;
    }
    let mut payload = payload(&draft.key, body.clone(), body);
    payload.number = Some(bill.doc_number());
    payload.total = money::from_json(&bill.total);
    let needs = placeholders(&payload.body);
    Some(Draft {
        action: if link.is_some() { Action::Update } else { Action::Create },
        fields: fields::of(changes),
        needs,
        payload: Some(match link {
            Some(link) => on(link, payload),
            None => payload,
        }),
        ..draft
    })
}

/// What a body refers to that isn't there yet.
fn placeholders(body: &Value) -> Vec<Key> {
    match body {
        Value::String(text) => Key::of_placeholder(text).into_iter().collect(),
        Value::Array(list) => list.iter().flat_map(placeholders).collect(),
        Value::Object(members) => members.values().flat_map(placeholders).collect(),
        _ => vec![],
    }
}

/// The bill as QuickBooks takes it; items that have to be made are added to `drafts`.
fn render_bill(
    bill: &Bill,
    vendor: &str,
    bundle: &Bundle,
    ground: &Ground,
    drafts: &mut Vec<Draft>,
) -> Result<Value, Error> {
    let label = bill.doc_number();
    if !ground.company.takes(&bill.currency) {
        let message = format!("bill {label}: the company keeps no books in {}", bill.currency);
        let hint = "Switch multicurrency on in QuickBooks, or correct the bill's currency.";
        return Err(attention("currency_off", message, hint));
    }
    let total = money::from_json(&bill.total).unwrap_or_default();
    if money::from_json(&bill.total_tax).is_some_and(|tax| !tax.is_zero()) {
        let message = format!("bill {label} bears tax, which isn't posted for purchases");
        let hint = "Put the tax on a line with its account, and set total_tax to 0.";
        return Err(attention("bill_tax", message, hint));
    }
    let lines: Vec<Line> = serde_json::from_value(bill.lines.clone()).map_err(|error| {
        let message = format!("bill {label}: its lines can't be read: {error}");
        attention("bill_lines", message, "A line has account or product_id, and total.")
    })?;
    let mut sum = Decimal::ZERO;
    let mut rendered = vec![];
    for (at, line) in lines.iter().enumerate() {
        let amount = money::from_json(&line.total).ok_or_else(|| {
            let message = format!("bill {label}, line {}: it has no total", at + 1);
            attention("bill_lines", message, "Give the line its total.")
        })?;
        sum += amount;
        rendered.push(render_line(&label, at + 1, line, amount, bundle, ground, drafts)?);
    }
    if rendered.is_empty() || sum != total {
        let message = format!("bill {label}: its lines come to {sum}, its total is {total}");
        return Err(attention("bill_total", message, "Correct the lines or the total."));
    }
    let mut body = Map::new();
    body.insert("VendorRef".into(), json!({"value": vendor}));
    body.insert("DocNumber".into(), json!(label));
    body.insert("TxnDate".into(), json!(bill.billed_on.to_string()));
    if let Some(due) = bill.due_on {
        body.insert("DueDate".into(), json!(due.to_string()));
    }
    if ground.company.multicurrency {
        body.insert("CurrencyRef".into(), json!({"value": bill.currency}));
    }
    let memo = bill.memo.as_deref().map(|m| text::block(m, 3900)).unwrap_or_default();
    let note = [bill.mark(), memo].join("\n");
    body.insert("PrivateNote".into(), json!(note.trim_end()));
    body.insert("Line".into(), Value::Array(rendered));
    Ok(Value::Object(body))
}

fn render_line(
    label: &str,
    at: usize,
    line: &Line,
    amount: Decimal,
    bundle: &Bundle,
    ground: &Ground,
    drafts: &mut Vec<Draft>,
) -> Result<Value, Error> {
    let mut out = Map::new();
    out.insert("Amount".into(), money::to_json(amount));
    let description = line.description.as_deref().map(|d| text::block(d, 4000));
    if let Some(description) = description.filter(|d| !d.is_empty()) {
        out.insert("Description".into(), json!(description));
    }
    let (kind, detail) = match (line.product_id, &line.account) {
        (Some(product), _) => {
            let item = item_for(product, label, at, bundle, ground, drafts)?;
            let mut detail = json!({"ItemRef": {"value": item}});
            let quantity = money::from_json(&line.quantity).unwrap_or(Decimal::ONE);
            let price = money::from_json(&line.unit_price);
            let price = price.or_else(|| amount.checked_div(quantity));
            if let Some(price) = price.filter(|price| money::cents(*price * quantity) == amount) {
                detail["Qty"] = money::exact_json(quantity);
                detail["UnitPrice"] = money::exact_json(price);
            }
            ("ItemBasedExpenseLineDetail", detail)
        }
        (None, Some(name)) => {
            let account = ground.company.account(name).ok_or_else(|| {
                let message =
                    format!("bill {label}, line {at}: no account \"{name}\" in QuickBooks");
                attention("no_account", message, "Name an account of the company, or its id.")
            })?;
            ("AccountBasedExpenseLineDetail", json!({"AccountRef": {"value": account.id}}))
        }
        (None, None) => {
            let message = format!("bill {label}, line {at}: neither account nor product_id");
            return Err(attention("bill_lines", message, "Say what the line was spent on."));
        }
    };
    out.insert("DetailType".into(), json!(kind));
    out.insert(kind.into(), detail);
    Ok(Value::Object(out))
}

fn item_for(
    product_id: i64,
    label: &str,
    at: usize,
    bundle: &Bundle,
    ground: &Ground,
    drafts: &mut Vec<Draft>,
) -> Result<String, Error> {
    if let Some(link) = link_of(Entity::Products, product_id, &bundle.links) {
        return Ok(link.remote_id.clone());
    }
    let products =
        bundle.products.iter().filter_map(|row| input::row::<Product>(row, "products").ok());
    let Some(product) = products.into_iter().find(|product| product.id == product_id) else {
        let message = format!("bill {label}, line {at}: there is no product {product_id}");
        return Err(attention("no_product", message, "Correct the line's product_id."));
    };
    let (id, draft) = items::resolve(&product, 1, ground)?;
    drafts.extend(draft.filter(|draft| drafts.iter().all(|d| d.key != draft.key)));
    Ok(id)
}

/// What is ours of a bill as QuickBooks gives it, in the form in which it is sent.
pub(in super::super) fn owned(record: &Value) -> Value {
    let mut state = Map::new();
    for key in ["DocNumber", "TxnDate", "DueDate", "PrivateNote"] {
        if let Some(text) = record[key].as_str() {
            state.insert(key.into(), json!(text));
        }
    }
    if let Some(vendor) = record.pointer("/VendorRef/value") {
        state.insert("VendorRef".into(), vendor.clone());
    }
    let line = |line: &Value| {
        let kind = line["DetailType"].as_str().unwrap_or_default();
        let detail = &line[kind];
        json!({
            "Amount": money::from_json(&line["Amount"]).map(|amount| amount.normalize().to_string()),
            "Description": line["Description"],
            "Account": detail["AccountRef"]["value"],
            "Item": detail["ItemRef"]["value"],
        })
    };
    let lines: Vec<Value> = record["Line"].as_array().into_iter().flatten().map(line).collect();
    state.insert("Line".into(), Value::Array(lines));
    Value::Object(state)
}
