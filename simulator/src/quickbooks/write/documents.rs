//! What all transactions have in common: dates and the closed period, numbers, references, balances
//! that move when something is paid.

use super::Draft;
use super::lists::tracks_classes;
use crate::quickbooks::company::Company;
use crate::quickbooks::fault::{self, Checked, validation};
use crate::quickbooks::kind::Kind;
use crate::quickbooks::money;
use crate::quickbooks::rules::NumberScope;
use crate::quickbooks::store::{Key, NUMBERS, Record, reference, text};
use crate::quickbooks::webhooks::Event;
use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// Neither the old nor the new day may lie in the closed period.
pub(super) fn check_day(company: &Company, day: Date) -> Checked<()> {
    match company.closed_until() {
        Some(closed) if day <= closed => Err(fault::books_closed()),
        _ => Ok(()),
    }
}

/// Dates the draft and refuses closed periods and deposited documents.
pub(super) fn begin(company: &Company, draft: &mut Draft) -> Checked<()> {
    let day = draft.day(company);
    check_day(company, day)?;
    if let Some(old) = &draft.old {
        check_changeable(company, old)?;
    }
    draft.data.insert("TxnDate".into(), json!(day.to_string()));
    Ok(())
}

/// Whether a stored document may change at all: not in closed books, in a deposit, or reconciled.
pub(super) fn check_changeable(company: &Company, old: &Record) -> Checked<()> {
    if old.deposit.is_some() {
        return Err(fault::deposited());
    }
    if old.matched {
        return Err(fault::matched());
    }
    old.text("TxnDate").parse().map_or(Ok(()), |day| check_day(company, day))
}

fn numbers_itself(company: &Company, kind: Kind) -> bool {
    kind.is_sales() && !company.prefers("/SalesFormsPrefs/CustomTxnNumbers")
}

/// Numbers the document, or checks its number.
///
/// Errors: 6140 with the document that bears the number.
pub(super) fn number(company: &Company, draft: &mut Draft) -> Checked<()> {
    let number = text(&draft.data, "DocNumber").to_owned();
    if number.is_empty() {
        draft.data.remove("DocNumber");
        draft.keep("DocNumber");
        if draft.key.is_none() && numbers_itself(company, draft.kind) {
            draft.data.insert("DocNumber".into(), json!(next_number(company).to_string()));
        }
        return Ok(());
    }
    let unchanged = draft.old.as_ref().is_some_and(|old| old.text("DocNumber") == number);
    if unchanged || draft.with.allow_duplicate_number {
        return Ok(());
    }
    let vendor = reference(&draft.data, "VendorRef");
    let rival = company.store.index.bearers(NUMBERS, &number).find(|key| {
        let same_space = match draft.kind {
            Kind::Bill => {
                let other = company.store.get(*key).and_then(|r| reference(&r.data, "VendorRef"));
                key.0 == Kind::Bill && other == vendor
            }
            kind if kind.is_sales() && company.rules.number_scope == NumberScope::Sales => {
                key.0.is_sales()
            }
            kind => key.0 == kind,
        };
        same_space && Some(*key) != draft.key
    });
    match rival {
        None => Ok(()),
        Some((kind, id)) => Err(duplicate_number(&number, kind, id)),
    }
}

fn duplicate_number(number: &str, kind: Kind, id: u64) -> fault::Fault {
    let detail = format!(
        "Duplicate Document Number Error : You must specify a different number. This number has \
         already been used. DocNumber={number} is assigned to TxnType={} with TxnId={id}",
        kind.name()
    );
    validation("6140", "Duplicate Document Number Error", detail, "")
}

/// One more than the largest plain number of the sales documents.
fn next_number(company: &Company) -> u64 {
    let kinds = Kind::ALL.iter().filter(|k| k.is_sales());
    let numbers = kinds.flat_map(|kind| company.store.all(*kind));
    let largest = numbers.filter_map(|(_, r)| r.text("DocNumber").parse::<u64>().ok()).max();
    largest.unwrap_or(1000) + 1
}

/// The record that a reference names, which must be there and active.
pub(super) fn referred<'a>(
    company: &'a Company,
    kind: Kind,
    id: &str,
    element: &str,
) -> Checked<(Key, &'a Record)> {
    let found = company.store.find(kind, id);
    let (key, record) = found.ok_or_else(|| fault::bad_reference(element))?;
    if record.is_active() { Ok((key, record)) } else { Err(fault::inactive()) }
}

/// The customer or vendor of the document.
pub(super) fn party(company: &Company, draft: &mut Draft) -> Checked<(Key, Record)> {
    let (field, kind) = match draft.kind {
        Kind::Bill | Kind::BillPayment => ("VendorRef", Kind::Vendor),
        _ => ("CustomerRef", Kind::Customer),
    };
    // Sparse updates must bring it, too.
    let sent = reference(&draft.sent, field).map(str::to_owned);
    let stored = reference(&draft.data, field).map(str::to_owned);
    let strict = matches!(draft.kind, Kind::Bill | Kind::BillPayment);
    let id = sent.or(stored.filter(|_| !strict)).ok_or_else(|| fault::missing(field))?;
    let old = draft.old.as_ref().and_then(|old| reference(&old.data, field));
    let (key, record) = match old == Some(id.as_str()) {
        // A document keeps a customer that was made inactive since.
        true => company.store.find(kind, &id).ok_or_else(|| fault::bad_reference(field))?,
        false => referred(company, kind, &id, field)?,
    };
    let record = record.clone();
    company.store.name_reference(&mut draft.data, field, kind);
    Ok((key, record))
}

const REFERENCES: [(&str, Kind); 7] = [
    ("PaymentMethodRef", Kind::PaymentMethod),
    ("DepositToAccountRef", Kind::Account),
    ("ARAccountRef", Kind::Account),
    ("APAccountRef", Kind::Account),
    ("SalesTermRef", Kind::Term),
    ("DepartmentRef", Kind::Department),
    ("ClassRef", Kind::Class),
];

/// Checks and names the references of the header.
///
/// Errors: 2500, 610, and 5020 for features that are off.
pub(super) fn references(company: &Company, draft: &mut Draft) -> Checked<()> {
    if draft.data.contains_key("DepartmentRef")
        && !company.prefers("/AccountingInfoPrefs/TrackDepartments")
    {
        return Err(fault::no_feature("Location tracking"));
    }
    if draft.data.contains_key("ClassRef") && !tracks_classes(company) {
        return Err(fault::no_feature("Class tracking"));
    }
    for (field, kind) in REFERENCES {
        if let Some(id) = reference(&draft.data, field) {
            let old = draft.old.as_ref().and_then(|old| reference(&old.data, field));
            if old != Some(id) {
                referred(company, kind, id, field)?;
            }
        }
        company.store.name_reference(&mut draft.data, field, kind);
    }
    Ok(())
}

/// Custom fields must be switched on in the preferences; the answer carries their names.
///
/// Errors: 3000.
pub(super) fn custom_fields(company: &Company, draft: &mut Draft) -> Checked<()> {
    let Some(Value::Array(fields)) = draft.data.get_mut("CustomField") else { return Ok(()) };
    for field in fields.iter_mut() {
        let id = field["DefinitionId"].as_str().unwrap_or_default().to_owned();
        let name = custom_field_name(company, &id).ok_or_else(|| {
            let detail = format!("Invalid Custom Field : DefinitionId {id} is not in use");
            validation("3000", "Invalid Custom Field", detail, "CustomField")
        })?;
        field["Name"] = json!(name);
        field["Type"] = json!("StringType");
    }
    fields.retain(|field| field["StringValue"].as_str().is_some_and(|v| !v.is_empty()));
    Ok(())
}

fn custom_field_name(company: &Company, id: &str) -> Option<String> {
    let groups = company.preference("/SalesFormsPrefs/CustomField").as_array()?;
    let entry = |name: String| {
        let mut all = groups.iter().filter_map(|g| g["CustomField"].as_array()).flatten();
        all.find(|f| f["Name"] == json!(name)).cloned()
    };
    let used = entry(format!("SalesFormsPrefs.UseSalesCustom{id}"))?;
    (used["BooleanValue"] == json!(true)).then_some(())?;
    let named = entry(format!("SalesFormsPrefs.SalesCustomName{id}"));
    let name = named.and_then(|f| f["StringValue"].as_str().map(str::to_owned));
    Some(name.unwrap_or_else(|| format!("Custom {id}")))
}

/// Texts that look like a card number are refused (6530).
pub(super) fn no_card_numbers(draft: &Draft) -> Checked<()> {
    for field in ["PrivateNote", "PaymentRefNum"] {
        let mut run = 0;
        for c in text(&draft.data, field).chars() {
            run = if c.is_ascii_digit() { run + 1 } else { 0 };
            if run == 16 {
                let detail = "Raw credit card number found in the request";
                return Err(validation("6530", "Credit Card Number Found", detail, field));
            }
        }
    }
    Ok(())
}

/// Brings balance, links and token of documents up to date after somebody paid, used up or released
/// them: nobody edited them, and yet their token moves.
pub(super) fn rebalance(company: &mut Company, mut targets: Vec<Key>, now: Timestamp) {
    targets.sort_unstable();
    targets.dedup();
    for target in targets {
        let applied = company.store.applied_to(target);
        let links: Vec<Value> = company
            .store
            .appliers(target)
            .into_iter()
            .map(|(kind, id)| json!({ "TxnId": id.to_string(), "TxnType": link_type(kind) }))
            .collect();
        let Some(record) = company.store.get_mut(target) else { continue };
        let deposit = money::of(&record.data, "Deposit");
        let open = money::of(&record.data, "TotalAmt") - deposit - applied;
        let rate = record.data.get("ExchangeRate").and_then(money::read);
        set_balance(record, target.0, open, rate);
        record.data.insert("LinkedTxn".into(), Value::Array(links));
        record.token += 1;
        record.updated = now;
        let signed = if target.0 == Kind::CreditMemo { -open } else { open };
        let before = std::mem::replace(&mut record.effects.open, signed);
        let party = record.effects.party;
        move_party(company, party, signed - before);
        company.events.push(Event::new(target, "updated", now));
    }
}

fn link_type(kind: Kind) -> &'static str {
    match kind {
        Kind::BillPayment => "BillPaymentCheck",
        other => other.name(),
    }
}

fn set_balance(record: &mut Record, kind: Kind, open: Decimal, rate: Option<Decimal>) {
    record.data.insert("Balance".into(), money::json(open));
    if kind == Kind::CreditMemo {
        record.data.insert("RemainingCredit".into(), money::json(open));
    }
    if let Some(rate) = rate {
        record.data.insert("HomeBalance".into(), money::json(money::cents(open * rate)));
    }
}

fn move_party(company: &mut Company, party: Option<Key>, by: Decimal) {
    let Some(record) = party.and_then(|key| company.store.get_mut(key)) else { return };
    for field in ["Balance", "BalanceWithJobs"] {
        if record.data.contains_key(field) {
            let sum = money::of(&record.data, field) + by;
            record.data.insert(field.into(), money::json(sum));
        }
    }
}

/// The id of the first account of a type; charts have exactly one receivable and payable each.
pub(super) fn account_of_type(company: &Company, account_type: &str, sub: &str) -> Option<u64> {
    company
        .store
        .all(Kind::Account)
        .find(|(_, account)| {
            account.text("AccountType") == account_type
                && (sub.is_empty() || account.text("AccountSubType") == sub)
        })
        .map(|(id, _)| id)
}
