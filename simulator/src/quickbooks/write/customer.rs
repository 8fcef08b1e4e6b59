//! Customers, vendors and employees: names that nobody else may bear, one currency for life.

use super::{Draft, currency};
use crate::quickbooks::company::Company;
use crate::quickbooks::fault::{self, Checked, validation};
use crate::quickbooks::kind::Kind;
use crate::quickbooks::store::{DELETED, plain_name, reference, text};
use serde_json::{Value, json};

const NAME_PARTS: [&str; 5] = ["Title", "GivenName", "MiddleName", "FamilyName", "Suffix"];

/// Checks the names and fills in what follows from them.
pub(super) fn derive(company: &Company, draft: &mut Draft) -> Checked<()> {
    let name = name(draft)?;
    check_free(company, draft, &name)?;
    let full = full_name(company, draft, &name)?;
    activate(draft, &name, &full);
    let print = ["PrintOnCheckName", "CompanyName"].iter().find_map(|key| {
        let text = text(&draft.data, key);
        (!text.is_empty()).then(|| text.to_owned())
    });
    let print = print.unwrap_or_else(|| name.chars().take(110).collect());
    draft.data.insert("PrintOnCheckName".into(), json!(print));
    if draft.kind == Kind::Employee {
        // Nobody buys from or sells to them: no balance, no currency.
        draft.data.entry("BillableTime").or_insert(json!(false));
        return Ok(());
    }
    currency::of_party(company, draft)?;
    references(company, draft)?;
    let opening = draft.data.get("Balance").cloned().unwrap_or_else(|| json!(0));
    draft.data.insert("Balance".into(), opening.clone());
    draft.keep("Balance");
    defaults(company, draft, opening);
    Ok(())
}

/// The display name, trimmed, or one made of the parts.
fn name(draft: &Draft) -> Checked<String> {
    let data = &draft.data;
    let mut name = text(data, "DisplayName").trim().to_owned();
    if name.is_empty() {
        let old = draft.old.as_ref().map(|old| old.text("DisplayName").to_owned());
        let parts: Vec<&str> =
            NAME_PARTS.iter().map(|k| text(data, k).trim()).filter(|p| !p.is_empty()).collect();
        name = old.filter(|_| parts.is_empty()).unwrap_or_else(|| parts.join(" "));
    }
    if name.is_empty() {
        let detail = "At least one of the name fields must be supplied : Title, GivenName, \
                      MiddleName, FamilyName, DisplayName, Suffix";
        return Err(validation("6080", "No Name Provided", detail, ""));
    }
    if name.contains([':', '\t', '\n', '\r']) {
        let detail = "Element contains invalid characters: DisplayName";
        return Err(validation("2040", "Invalid String", detail, "DisplayName"));
    }
    Ok(plain_name(&name).to_owned())
}

/// Names are unique over customers, vendors and employees, whatever their case, inactive ones included.
fn check_free(company: &Company, draft: &Draft, name: &str) -> Checked<()> {
    let taken = company.store.index.bearers("name", name).any(|key| Some(key) != draft.key);
    if taken { Err(fault::duplicate_name()) } else { Ok(()) }
}

fn full_name(company: &Company, draft: &Draft, name: &str) -> Checked<String> {
    let Some(parent) = reference(&draft.data, "ParentRef") else { return Ok(name.to_owned()) };
    let found = company.store.find(draft.kind, parent);
    let (key, parent) = found.ok_or_else(|| fault::bad_reference("ParentRef"))?;
    if Some(key) == draft.key {
        return Err(validation("900", "Parent cannot be child", "Parent cannot be child", ""));
    }
    let full = format!("{}:{name}", parent.text("FullyQualifiedName"));
    if full.matches(':').count() > 4 {
        return Err(validation("6180", "Sub Level Limit", "Sub Level Limit : 5", "ParentRef"));
    }
    Ok(full)
}

/// Inactive records carry a suffix, and get their name back when they return.
fn activate(draft: &mut Draft, name: &str, full: &str) {
    let active = draft.data.get("Active") != Some(&Value::Bool(false));
    let suffix = if active { "" } else { DELETED };
    draft.data.insert("Active".into(), json!(active));
    draft.data.insert("DisplayName".into(), json!(format!("{name}{suffix}")));
    draft.data.insert("FullyQualifiedName".into(), json!(format!("{full}{suffix}")));
}

fn references(company: &Company, draft: &mut Draft) -> Checked<()> {
    let pairs = [
        ("SalesTermRef", Kind::Term),
        ("TermRef", Kind::Term),
        ("PaymentMethodRef", Kind::PaymentMethod),
        ("APAccountRef", Kind::Account),
        ("ARAccountRef", Kind::Account),
    ];
    for (field, kind) in pairs {
        if let Some(id) = reference(&draft.data, field) {
            let (_, record) =
                company.store.find(kind, id).ok_or_else(|| fault::bad_reference(field))?;
            if !record.is_active() {
                return Err(fault::inactive());
            }
        }
        company.store.name_reference(&mut draft.data, field, kind);
    }
    Ok(())
}

fn defaults(company: &Company, draft: &mut Draft, opening: Value) {
    let data = &mut draft.data;
    let mut absent = |key: &str, value: Value| {
        data.entry(key.to_owned()).or_insert(value);
    };
    if draft.kind == Kind::Vendor {
        absent("Vendor1099", json!(false));
        mask_tax_identifier(draft);
        return;
    }
    absent("Job", json!(false));
    absent("BillWithParent", json!(false));
    absent("Taxable", json!(true));
    absent("PreferredDeliveryMethod", json!("None"));
    absent("IsProject", json!(false));
    absent("ClientEntityId", json!("0"));
    absent("BalanceWithJobs", opening);
    if company.us && company.prefers("/TaxPrefs/PartnerTaxEnabled") {
        // Automated sales tax sets the code itself, whatever was sent.
        let code = company.preference("/TaxPrefs/TaxGroupCodeRef").clone();
        if !code.is_null() {
            draft.data.insert("DefaultTaxCodeRef".into(), code);
        }
    }
}

/// Tax identifiers can be written, but not read back.
fn mask_tax_identifier(draft: &mut Draft) {
    let number = text(&draft.data, "TaxIdentifier").to_owned();
    if number.chars().count() > 4 {
        let tail: String = number.chars().skip(number.chars().count() - 4).collect();
        draft.data.insert("TaxIdentifier".into(), json!(format!("XXXXXXX{tail}")));
    }
}
