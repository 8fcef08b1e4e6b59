//! Items: names by parent, account types, tracked quantities.

use super::Draft;
use crate::quickbooks::company::Company;
use crate::quickbooks::fault::{self, Checked, validation};
use crate::quickbooks::kind::Kind;
use crate::quickbooks::store::{DELETED, plain_name, reference, scope, text};
use serde_json::{Value, json};

/// Checks an item and fills in what the server computes.
pub(super) fn derive(company: &Company, draft: &mut Draft) -> Checked<()> {
    let name = plain_name(text(&draft.data, "Name").trim()).to_owned();
    if name.is_empty() {
        return Err(fault::missing("Name"));
    }
    if name.contains([':', '\t', '\n', '\r']) {
        let detail = "Element contains invalid characters: Name";
        return Err(validation("2040", "Invalid String", detail, "Name"));
    }
    draft.data.entry("Type").or_insert_with(|| json!("Service"));
    keep_type(draft)?;
    let full = full_name(company, draft, &name)?;
    check_free(company, draft, &name)?;
    accounts(company, draft)?;
    match text(&draft.data, "Type") {
        "Inventory" => inventory(company, draft)?,
        "Group" => return Err(fault::unsupported("create of a bundle")),
        _ => {
            draft.data.insert("TrackQtyOnHand".into(), json!(false));
        }
    }
    let active = draft.data.get("Active") != Some(&Value::Bool(false));
    let suffix = if active { "" } else { DELETED };
    draft.data.insert("Active".into(), json!(active));
    draft.data.insert("Name".into(), json!(format!("{name}{suffix}")));
    draft.data.insert("FullyQualifiedName".into(), json!(format!("{full}{suffix}")));
    if text(&draft.data, "Type") != "Category" {
        draft.data.entry("Taxable").or_insert(json!(false));
        draft.data.entry("UnitPrice").or_insert(json!(0));
        draft.data.entry("PurchaseCost").or_insert(json!(0));
    }
    Ok(())
}

/// A type is for good, but for services becoming goods and the reverse; tracking never ends.
fn keep_type(draft: &mut Draft) -> Checked<()> {
    let Some(old) = &draft.old else { return Ok(()) };
    let (was, is) = (old.text("Type"), text(&draft.data, "Type"));
    let tracked = was == "Inventory" && draft.data.get("TrackQtyOnHand") == Some(&json!(false));
    if tracked || (was != is && [was, is].iter().any(|t| matches!(*t, "Inventory" | "Category"))) {
        return Err(fault::business("You can't change the type of this item."));
    }
    Ok(())
}

fn full_name(company: &Company, draft: &mut Draft, name: &str) -> Checked<String> {
    let Some(id) = reference(&draft.data, "ParentRef").map(str::to_owned) else {
        draft.data.insert("SubItem".into(), json!(false));
        return Ok(name.to_owned());
    };
    if draft.data.get("SubItem") != Some(&json!(true)) {
        draft.data.remove("ParentRef");
        draft.data.insert("SubItem".into(), json!(false));
        return Ok(name.to_owned());
    }
    let found = company.store.find(Kind::Item, &id);
    let (key, parent) = found.ok_or_else(|| fault::bad_reference("ParentRef"))?;
    if Some(key) == draft.key || parent.text("Type") != "Category" {
        let detail = "Parent Reference Invalid : the parent must be a category";
        return Err(validation("700", "Parent Reference Invalid", detail, "ParentRef"));
    }
    let full = format!("{}:{name}", parent.text("FullyQualifiedName"));
    let level = full.matches(':').count();
    if level > 4 {
        return Err(validation("6180", "Sub Level Limit", "Sub Level Limit : 5", "ParentRef"));
    }
    draft.data.insert("Level".into(), json!(level));
    company.store.name_reference(&mut draft.data, "ParentRef", Kind::Item);
    Ok(full)
}

fn check_free(company: &Company, draft: &Draft, name: &str) -> Checked<()> {
    let scope = scope(Kind::Item, &draft.data);
    let taken = company.store.index.bearers(&scope, name).any(|key| Some(key) != draft.key);
    match taken {
        false => Ok(()),
        true => {
            let detail = "The name supplied already exists. : Another product or service is \
                          already using this name.";
            Err(validation("6240", "Duplicate Name Exists Error", detail, ""))
        }
    }
}

const INCOME: &[&str] = &["Income", "Other Income"];
/// Items may book their sales on liabilities, too: gift cards and tax collected for others do.
const SALES: &[&str] =
    &["Income", "Other Income", "Other Current Liability", "Expense", "Other Expense"];
const EXPENSE: &[&str] = &["Cost of Goods Sold", "Expense", "Other Expense"];
const ASSET: &[&str] = &["Other Current Asset"];

fn accounts(company: &Company, draft: &mut Draft) -> Checked<()> {
    let item_type = text(&draft.data, "Type").to_owned();
    let tracked = item_type == "Inventory";
    let cogs: &[&str] = if tracked { &["Cost of Goods Sold"] } else { EXPENSE };
    let income = if tracked { INCOME } else { SALES };
    let wanted = [
        ("IncomeAccountRef", income, tracked || item_type == "Service"),
        ("ExpenseAccountRef", cogs, tracked),
        ("AssetAccountRef", ASSET, tracked),
    ];
    for (field, types, required) in wanted {
        let Some(id) = reference(&draft.data, field) else {
            // Goods that are only bought have no income account, but something they must have.
            let bare = item_type == "NonInventory"
                && reference(&draft.data, "ExpenseAccountRef").is_none()
                && field == "IncomeAccountRef";
            if required || bare {
                return Err(fault::missing(field));
            }
            continue;
        };
        let found = company.store.find(Kind::Account, id);
        let (_, account) = found.ok_or_else(|| fault::bad_reference(field))?;
        if !account.is_active() {
            return Err(fault::inactive());
        }
        let right_subtype =
            field != "AssetAccountRef" || account.text("AccountSubType") == "Inventory";
        if !types.contains(&account.text("AccountType")) || !right_subtype {
            let detail = format!(
                "Invalid account type: the account referenced by {field} is not valid here"
            );
            return Err(validation("6430", "Invalid account type used", detail, field));
        }
        company.store.name_reference(&mut draft.data, field, Kind::Account);
    }
    Ok(())
}

fn inventory(company: &Company, draft: &mut Draft) -> Checked<()> {
    if !company.prefers("/ProductAndServicesPrefs/QuantityOnHand") {
        return Err(fault::no_feature("Inventory"));
    }
    for field in ["TrackQtyOnHand", "QtyOnHand", "InvStartDate"] {
        if !draft.data.contains_key(field) {
            return Err(fault::missing(field));
        }
    }
    if draft.data["TrackQtyOnHand"] != json!(true) {
        return Err(fault::business("An inventory item must track its quantity on hand."));
    }
    // A start date that is sent with an update dates the adjustment; reads go on showing the first.
    draft.keep("InvStartDate");
    Ok(())
}
