//! What a person does in QuickBooks itself, behind the API's back.

use super::{bad, nothing};
use crate::platform::{ControlError, ControlReply};
use crate::quickbooks::company::Company;
use crate::quickbooks::fault::Fault;
use crate::quickbooks::kind::Kind;
use crate::quickbooks::money;
use crate::quickbooks::oauth::Grants;
use crate::quickbooks::store::{Key, reference};
use crate::quickbooks::webhooks::Event;
use crate::quickbooks::write::{self, With};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The actions by name, for the error text.
const NAMES: &str = "create, edit, inactivate, reactivate, merge, delete, void, pay, apply, deposit, \
                     reconcile, close_books, preference, custom_numbers, subscription, disconnect, \
                     expire_access";

fn refused(fault: Fault) -> ControlError {
    bad(format!("{}: {}", fault.code, fault.detail.unwrap_or(fault.message)))
}

/// Carries out an action; the answer is the record, where there is one.
///
/// Errors: an unknown action, a missing argument, or what QuickBooks itself refuses.
pub fn act(
    company: &mut Company,
    grants: &mut Grants,
    name: &str,
    body: &Value,
    now: Timestamp,
) -> ControlReply {
    match name {
        "close_books" => {
            let until = body["until"].clone();
            company.set_preference("/AccountingInfoPrefs/BookCloseDate", until, now);
            Ok(company.render(Kind::Preferences, 1))
        }
        "preference" => {
            let name = body["name"].as_str().ok_or_else(|| bad("name is required"))?;
            company.set_preference(name, body["value"].clone(), now);
            Ok(company.render(Kind::Preferences, 1))
        }
        "custom_numbers" => {
            let on = json!(body["on"] == json!(true));
            company.set_preference("/SalesFormsPrefs/CustomTxnNumbers", on, now);
            Ok(company.render(Kind::Preferences, 1))
        }
        "subscription" => {
            company.lapsed = body["active"] == json!(false);
            Ok(json!({ "active": !company.lapsed }))
        }
        "disconnect" => Ok(json!({ "grants": grants.disconnect(&company.realm) })),
        "expire_access" => {
            grants.expire_access(&company.realm, now);
            Ok(json!({}))
        }
        _ => on_record(company, name, body, now),
    }
}

fn on_record(company: &mut Company, name: &str, body: &Value, now: Timestamp) -> ControlReply {
    let with = With { now, allow_duplicate_number: false };
    match name {
        "create" => {
            let kind = kind(body)?;
            let id = write::save(company, kind, &body["set"], with).map_err(refused)?;
            Ok(company.render(kind, id))
        }
        "edit" => edit(company, body, body["set"].clone(), with),
        "inactivate" => edit(company, body, json!({ "Active": false }), with),
        "reactivate" => edit(company, body, json!({ "Active": true }), with),
        "merge" => merge(company, body, now),
        "delete" | "void" => {
            let (key, token) = found(company, body)?;
            let which = json!({ "Id": key.1.to_string(), "SyncToken": token });
            match name {
                "delete" => write::delete(company, key.0, &which, with).map_err(refused),
                _ => {
                    let way = if key.0 == Kind::Invoice { "void" } else { "update" };
                    write::void(company, key.0, way, &which, with).map_err(refused)?;
                    Ok(company.render(key.0, key.1))
                }
            }
        }
        "pay" => pay(company, body, with),
        "apply" => apply(company, body, with),
        "deposit" => deposit(company, body, with),
        "reconcile" => reconcile(company, body),
        _ => Err(nothing(&format!("no action {name}; there are {NAMES}"))),
    }
}

fn kind(body: &Value) -> Result<Kind, ControlError> {
    let name = body["entity"].as_str().ok_or_else(|| bad("entity is required"))?;
    Kind::named(name).ok_or_else(|| bad(format!("no entity {name}")))
}

fn found(company: &Company, body: &Value) -> Result<(Key, String), ControlError> {
    let id = body["id"].as_str().ok_or_else(|| bad("id is required, as a text"))?;
    let (key, record) =
        company.store.find(kind(body)?, id).ok_or_else(|| nothing("no such record"))?;
    Ok((key, record.token.to_string()))
}

/// Changes fields of a record as the form in the browser would: with the token of the moment.
fn edit(company: &mut Company, body: &Value, set: Value, with: With) -> ControlReply {
    let (key, token) = found(company, body)?;
    let mut changed = set;
    changed["Id"] = json!(key.1.to_string());
    changed["SyncToken"] = json!(token);
    changed["sparse"] = json!(true);
    if let Some(record) = company.store.get(key)
        && matches!(key.0, Kind::Bill | Kind::BillPayment)
        && let Some(vendor) = reference(&record.data, "VendorRef")
        && changed["VendorRef"].is_null()
    {
        changed["VendorRef"] = json!({ "value": vendor });
    }
    let id = write::save(company, key.0, &changed, with).map_err(refused)?;
    Ok(company.render(key.0, id))
}

/// Merges `id` into `into`: the one goes, and everything that named it names the other.
fn merge(company: &mut Company, body: &Value, now: Timestamp) -> ControlReply {
    let (from, _) = found(company, body)?;
    let into = body["into"].as_str().and_then(|id| company.store.find(from.0, id));
    let into = into.map(|(key, _)| key).ok_or_else(|| bad("into must name a record"))?;
    let field = format!("{}Ref", from.0.name());
    for kind in Kind::ALL.iter().copied().filter(|kind| kind.is_transaction()) {
        let theirs: Vec<u64> = company
            .store
            .all(kind)
            .filter(|(_, record)| names(&record.data, &field, from.1))
            .map(|(id, _)| id)
            .collect();
        for id in theirs {
            hand_over(company, (kind, id), &field, from, into);
        }
    }
    let balance = company.store.get(from).map(|r| money::of(&r.data, "Balance"));
    company.store.remove(from, now);
    if let Some(record) = company.store.get_mut(into) {
        if let Some(balance) = balance.filter(|_| from.0.is_name()) {
            let sum = money::json(money::of(&record.data, "Balance") + balance);
            record.data.insert("Balance".into(), sum);
        }
        record.token += 1;
        record.updated = now;
    }
    let mut event = Event::new(into, "merged", now);
    event.merged_away = Some(from.1);
    company.events.push(event);
    Ok(company.render(into.0, into.1))
}

fn names(data: &serde_json::Map<String, Value>, field: &str, id: u64) -> bool {
    let id = id.to_string();
    let on_line = |line: &Value| {
        let mut details = line.as_object().into_iter().flatten();
        details.any(|(_, detail)| detail[field]["value"] == json!(id))
    };
    reference(data, field) == Some(id.as_str())
        || data.get("Line").and_then(Value::as_array).is_some_and(|l| l.iter().any(on_line))
}

fn hand_over(company: &mut Company, key: Key, field: &str, from: Key, into: Key) {
    let named = company.store.named_reference(into.0, &into.1.to_string());
    let Some(record) = company.store.get_mut(key) else { return };
    let old = json!(from.1.to_string());
    if record.data.get(field).is_some_and(|r| r["value"] == old) {
        record.data.insert(field.to_owned(), named.clone());
    }
    let lines = record.data.get_mut("Line").and_then(Value::as_array_mut);
    for line in lines.into_iter().flatten().filter_map(Value::as_object_mut) {
        for (_, detail) in line.iter_mut() {
            if detail[field]["value"] == old {
                detail[field] = named.clone();
            }
        }
    }
    if record.effects.party == Some(from) {
        record.effects.party = Some(into);
    }
    for (item, _) in &mut record.effects.quantities {
        if from == (Kind::Item, *item) {
            *item = into.1;
        }
    }
}

/// Receives a payment for an invoice: all that is open, or `amount`.
fn pay(company: &mut Company, body: &Value, with: With) -> ControlReply {
    let id = body["id"].as_str().ok_or_else(|| bad("id of the invoice is required"))?;
    let (_, invoice) =
        company.store.find(Kind::Invoice, id).ok_or_else(|| nothing("no invoice"))?;
    let amount = money::read(&body["amount"]).unwrap_or(money::of(&invoice.data, "Balance"));
    let payment = json!({
        "CustomerRef": { "value": reference(&invoice.data, "CustomerRef") },
        "CurrencyRef": { "value": reference(&invoice.data, "CurrencyRef") },
        "TotalAmt": money::json(amount),
        "Line": [{ "Amount": money::json(amount),
            "LinkedTxn": [{ "TxnId": id, "TxnType": "Invoice" }] }],
    });
    let id = write::save(company, Kind::Payment, &payment, with).map_err(refused)?;
    Ok(company.render(Kind::Payment, id))
}

/// Applies a credit memo to an invoice.
fn apply(company: &mut Company, body: &Value, with: With) -> ControlReply {
    let text = |key: &str| body[key].as_str().ok_or_else(|| bad(format!("{key} is required")));
    let (invoice, credit) = (text("id")?, text("credit_memo")?);
    let (_, owed) =
        company.store.find(Kind::Invoice, invoice).ok_or_else(|| nothing("no invoice"))?;
    let (_, memo) =
        company.store.find(Kind::CreditMemo, credit).ok_or_else(|| nothing("no credit memo"))?;
    let open = money::of(&owed.data, "Balance").min(money::of(&memo.data, "Balance"));
    let line = |id: &str, kind: &str| json!({ "Amount": money::json(open), "LinkedTxn": [{ "TxnId": id, "TxnType": kind }] });
    let payment = json!({
        "CustomerRef": { "value": reference(&owed.data, "CustomerRef") },
        "CurrencyRef": { "value": reference(&owed.data, "CurrencyRef") },
        "TotalAmt": 0, "Line": [line(invoice, "Invoice"), line(credit, "CreditMemo")],
    });
    let id = write::save(company, Kind::Payment, &payment, with).map_err(refused)?;
    Ok(company.render(Kind::Payment, id))
}

/// Matches a transaction with the bank's statement (`"undo": true`: no longer); nothing of it moves.
fn reconcile(company: &mut Company, body: &Value) -> ControlReply {
    let (key, _) = found(company, body)?;
    let money = matches!(
        key.0,
        Kind::SalesReceipt
            | Kind::RefundReceipt
            | Kind::Payment
            | Kind::BillPayment
            | Kind::Deposit
    );
    if !money {
        return Err(bad(format!("a {} moves no money at the bank", key.0.name())));
    }
    if let Some(record) = company.store.get_mut(key) {
        record.matched = body["undo"] != json!(true);
    }
    Ok(company.render(key.0, key.1))
}

/// Takes payments and receipts to the bank: `transactions` as `[{"entity", "id"}]`.
fn deposit(company: &mut Company, body: &Value, with: With) -> ControlReply {
    let mut lines = vec![];
    for one in body["transactions"].as_array().into_iter().flatten() {
        let (key, _) = found(company, one)?;
        let total = company.store.get(key).and_then(|r| r.data.get("TotalAmt")).cloned();
        lines.push(json!({
            "Amount": total,
            "LinkedTxn": [{ "TxnId": key.1.to_string(), "TxnType": key.0.name(), "TxnLineId": "0" }],
        }));
    }
    let account = body["account"].as_str().unwrap_or("35");
    let slip = json!({ "DepositToAccountRef": { "value": account }, "Line": lines });
    let id = write::save(company, Kind::Deposit, &slip, with).map_err(refused)?;
    Ok(company.render(Kind::Deposit, id))
}
