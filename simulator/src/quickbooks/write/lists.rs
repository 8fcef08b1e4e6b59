//! The small lists: payment methods, terms, departments, classes, currencies, tax agencies; and the
//! company's own record and preferences.

use super::Draft;
use crate::quickbooks::company::Company;
use crate::quickbooks::fault::{self, Checked, validation};
use crate::quickbooks::kind::Kind;
use crate::quickbooks::store::{DELETED, plain_name, reference, scope, text};
use serde_json::{Map, Value, json};

/// Checks a list's record and fills in what the server computes.
pub(super) fn derive(company: &Company, draft: &mut Draft) -> Checked<()> {
    match draft.kind {
        Kind::Department if !company.prefers("/AccountingInfoPrefs/TrackDepartments") => {
            return Err(fault::no_feature("Location tracking"));
        }
        Kind::Class if !tracks_classes(company) => return Err(fault::no_feature("Class tracking")),
        Kind::TaxCode | Kind::TaxRate => return Err(fault::unsupported("update")),
        Kind::CompanyCurrency if !company.multicurrency() => {
            return Err(fault::no_feature("Multicurrency"));
        }
        Kind::CompanyCurrency => return currency(draft),
        Kind::TaxAgency => return agency(company, draft),
        Kind::CompanyInfo | Kind::Preferences => {
            merge_deeply(draft);
            return Ok(());
        }
        _ => {}
    }
    named(company, draft)
}

/// Whether classes exist in this company.
pub(super) fn tracks_classes(company: &Company) -> bool {
    company.prefers("/AccountingInfoPrefs/ClassTrackingPerTxn")
        || company.prefers("/AccountingInfoPrefs/ClassTrackingPerTxnLine")
}

fn named(company: &Company, draft: &mut Draft) -> Checked<()> {
    let name = plain_name(text(&draft.data, "Name").trim()).to_owned();
    if name.is_empty() {
        return Err(fault::missing("Name"));
    }
    let levels = matches!(draft.kind, Kind::Department | Kind::Class);
    if levels && name.contains([':', '\t', '\n', '\r']) {
        let detail = "Element contains invalid characters: Name";
        return Err(validation("2040", "Invalid String", detail, "Name"));
    }
    let scope = scope(draft.kind, &draft.data);
    if company.store.index.bearers(&scope, &name).any(|key| Some(key) != draft.key) {
        let detail = "The name supplied already exists. : Please use a different name.";
        return Err(validation("6240", "Duplicate Name Exists Error", detail, ""));
    }
    let parent = reference(&draft.data, "ParentRef").map(str::to_owned);
    let full = match &parent {
        None => name.clone(),
        Some(id) => {
            let found = company.store.find(draft.kind, id);
            let (_, parent) = found.ok_or_else(|| fault::bad_reference("ParentRef"))?;
            format!("{}:{name}", parent.text("FullyQualifiedName"))
        }
    };
    let active = draft.data.get("Active") != Some(&Value::Bool(false));
    let suffix = if active { "" } else { DELETED };
    draft.data.insert("Name".into(), json!(format!("{name}{suffix}")));
    draft.data.insert("Active".into(), json!(active));
    if levels {
        let sub = if draft.kind == Kind::Class { "SubClass" } else { "SubDepartment" };
        draft.data.insert(sub.into(), json!(parent.is_some()));
        draft.data.insert("FullyQualifiedName".into(), json!(format!("{full}{suffix}")));
    }
    if draft.kind == Kind::PaymentMethod {
        draft.data.entry("Type").or_insert(json!("NON_CREDIT_CARD"));
    }
    if draft.kind == Kind::Term {
        draft.data.entry("Type").or_insert(json!("STANDARD"));
        draft.data.entry("DueDays").or_insert(json!(0));
    }
    Ok(())
}

fn currency(draft: &mut Draft) -> Checked<()> {
    if text(&draft.data, "Code").len() != 3 {
        return Err(fault::missing("Code"));
    }
    draft.data.entry("Active").or_insert(json!(true));
    Ok(())
}

fn agency(company: &Company, draft: &Draft) -> Checked<()> {
    let name = text(&draft.data, "DisplayName");
    if name.is_empty() {
        return Err(fault::missing("DisplayName"));
    }
    let taken = company.store.all(Kind::TaxAgency).any(|(id, agency)| {
        agency.text("DisplayName").eq_ignore_ascii_case(name)
            && draft.key != Some((Kind::TaxAgency, id))
    });
    if taken { Err(fault::duplicate_name()) } else { Ok(()) }
}

/// The company's settings are never cleared by leaving them out.
fn merge_deeply(draft: &mut Draft) {
    let mut all = draft.old.as_ref().map(|old| old.data.clone()).unwrap_or_default();
    merge(&mut all, &draft.sent);
    draft.data = all;
}

fn merge(into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
            _ => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}
