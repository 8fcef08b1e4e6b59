//! Voiding: the record stays, its amounts go. With the odd answers that were observed.

use super::delete::identity;
use super::{Draft, With, commit, current, documents};
use crate::quickbooks::company::Company;
use crate::quickbooks::fault::{self, Checked};
use crate::quickbooks::kind::Kind;
use crate::quickbooks::money;
use crate::quickbooks::store::{Key, text};
use crate::quickbooks::webhooks::Event;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

/// How a void is answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Voided {
    /// The record of this id.
    Record(u64),
    /// A few fields only, as payments are answered.
    Sparse(Value),
    /// HTTP 200 with an empty envelope: nothing happened.
    Nothing,
}

/// Voids a transaction. `operation` tells `operation=void` from `operation=update&include=void`:
/// invoices take the first, receipts and payments the second.
///
/// Errors: 500 where a type has no void; for bills a SystemFault under HTTP 200.
pub fn void(
    company: &mut Company,
    kind: Kind,
    operation: &str,
    body: &Value,
    with: With,
) -> Checked<Voided> {
    let by_operation = operation == "void";
    match kind {
        Kind::Invoice => {}
        Kind::SalesReceipt | Kind::Payment | Kind::BillPayment if !by_operation => {}
        Kind::Bill if by_operation => return Err(fault::system(200)),
        Kind::JournalEntry => return Ok(Voided::Nothing),
        _ => return Err(fault::unsupported("void")),
    }
    let (id, token) = identity(body)?;
    let (key, record) = current(company, kind, &id, token.as_deref())?;
    documents::check_changeable(company, &record)?;
    free_payments(company, key, with);
    let Some(mut draft) = Draft::of(company, key, with) else {
        return Err(fault::not_found("The object doesn't exist."));
    };
    // The token that the client gave was right; releasing payments must not count against it.
    if let Some(old) = &mut draft.old {
        old.token = record.token;
    }
    empty(&mut draft.data);
    draft.effects.party = record.effects.party;
    commit(company, draft);
    if let Some(event) = company.events.iter_mut().rev().find(|event| event.key == key) {
        *event = Event::new(key, "void", with.now);
    }
    match kind {
        Kind::Payment | Kind::BillPayment => Ok(Voided::Sparse(sparse(company, key))),
        _ => Ok(Voided::Record(key.1)),
    }
}

/// Payments of a voided invoice stay, unapplied.
fn free_payments(company: &mut Company, target: Key, with: With) {
    for payer in company.store.appliers(target) {
        let Some(mut draft) = Draft::of(company, payer, with) else { continue };
        let Some(old) = draft.old.clone() else { continue };
        let id = target.1.to_string();
        if let Some(Value::Array(lines)) = draft.data.get_mut("Line") {
            lines.retain(|line| {
                let link = &line["LinkedTxn"][0];
                link["TxnId"] != json!(id) || link["TxnType"] != json!(target.0.name())
            });
        }
        let freed: Decimal =
            old.effects.applied.iter().filter(|(k, _)| *k == target).map(|a| a.1).sum();
        let unapplied = money::of(&draft.data, "UnappliedAmt") + freed;
        draft.data.insert("UnappliedAmt".into(), money::json(unapplied));
        draft.effects = old.effects;
        draft.effects.applied.retain(|(key, _)| *key != target);
        draft.effects.open = -unapplied;
        commit(company, draft);
    }
}

/// Amounts and quantities become zero; the note says why.
fn empty(data: &mut Map<String, Value>) {
    if let Some(Value::Array(lines)) = data.get_mut("Line") {
        lines.retain(|line| line["DetailType"] != "DiscountLineDetail");
        for line in lines {
            line["Amount"] = json!(0);
            let detail = &mut line["SalesItemLineDetail"];
            if detail.get("Qty").is_some() {
                detail["Qty"] = json!(0);
            }
            if detail.get("TaxInclusiveAmt").is_some() {
                detail["TaxInclusiveAmt"] = json!(0);
            }
            if let Some(line) = line.as_object_mut()
                && line.get("SalesItemLineDetail") == Some(&Value::Null)
            {
                line.remove("SalesItemLineDetail");
            }
        }
    }
    if data.contains_key("UnappliedAmt") {
        data.insert("Line".into(), json!([]));
    }
    for field in ["Balance", "UnappliedAmt", "HomeTotalAmt", "HomeBalance"] {
        if data.contains_key(field) {
            data.insert(field.into(), json!(0));
        }
    }
    if data.contains_key("TxnTaxDetail") {
        data.insert("TxnTaxDetail".into(), json!({ "TotalTax": 0 }));
    }
    data.insert("TotalAmt".into(), json!(0));
    let note = match text(data, "PrivateNote") {
        "" => "Voided".to_owned(),
        note => format!("Voided - {note}"),
    };
    data.insert("PrivateNote".into(), json!(note));
}

fn sparse(company: &Company, key: Key) -> Value {
    let full = company.render(key.0, key.1);
    let mut few = json!({ "sparse": true });
    for field in [
        "CustomerRef",
        "VendorRef",
        "DepositToAccountRef",
        "TotalAmt",
        "UnappliedAmt",
        "ProcessPayment",
        "domain",
        "Id",
        "SyncToken",
        "MetaData",
        "TxnDate",
        "PrivateNote",
    ] {
        if let Some(value) = full.get(field) {
            few[field] = value.clone();
        }
    }
    few
}
