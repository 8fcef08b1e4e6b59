//! Accounts of the chart.

use super::Draft;
use crate::quickbooks::company::Company;
use crate::quickbooks::fault::{self, Checked, validation};
use crate::quickbooks::kind::Kind;
use crate::quickbooks::store::{DELETED, plain_name, reference, scope, text};
use serde_json::{Value, json};

/// Account types with their classification and the sub-type a bare one gets.
const TYPES: [(&str, &str, &str); 15] = [
    ("Bank", "Asset", "CashOnHand"),
    ("Accounts Receivable", "Asset", "AccountsReceivable"),
    ("Other Current Asset", "Asset", "OtherCurrentAssets"),
    ("Fixed Asset", "Asset", "OtherFixedAssets"),
    ("Other Asset", "Asset", "OtherLongTermAssets"),
    ("Accounts Payable", "Liability", "AccountsPayable"),
    ("Credit Card", "Liability", "CreditCard"),
    ("Other Current Liability", "Liability", "OtherCurrentLiabilities"),
    ("Long Term Liability", "Liability", "OtherLongTermLiabilities"),
    ("Equity", "Equity", "OpeningBalanceEquity"),
    ("Income", "Revenue", "SalesOfProductIncome"),
    ("Other Income", "Revenue", "OtherMiscellaneousIncome"),
    ("Cost of Goods Sold", "Expense", "SuppliesMaterialsCogs"),
    ("Expense", "Expense", "OtherMiscellaneousServiceCost"),
    ("Other Expense", "Expense", "OtherMiscellaneousExpense"),
];

/// Classification and default sub-type of an account type.
pub fn type_of(account_type: &str) -> Option<(&'static str, &'static str)> {
    TYPES.iter().find(|(name, ..)| *name == account_type).map(|(_, class, sub)| (*class, *sub))
}

/// Checks an account and fills in what the server computes.
pub(super) fn derive(company: &Company, draft: &mut Draft) -> Checked<()> {
    let name = plain_name(text(&draft.data, "Name").trim()).to_owned();
    if name.is_empty() {
        return Err(fault::missing("Name"));
    }
    if name.contains([':', '"', '\t', '\n', '\r']) {
        let detail = "Element contains invalid characters: Name";
        return Err(validation("2040", "Invalid String", detail, "Name"));
    }
    let account_type = match (text(&draft.data, "AccountType"), text(&draft.data, "AccountSubType"))
    {
        ("", "") => None,
        ("", sub) => TYPES.iter().find(|(.., s)| *s == sub).map(|(name, ..)| *name),
        (named, _) => TYPES.iter().find(|(name, ..)| *name == named).map(|(name, ..)| *name),
    };
    let Some(account_type) = account_type else {
        let detail = "Invalid or missing AccountType or AccountSubType";
        return Err(validation("6010", "Invalid AccountType", detail, "AccountType"));
    };
    let scope = scope(Kind::Account, &draft.data);
    if company.store.index.bearers(&scope, &name).any(|key| Some(key) != draft.key) {
        let detail = "The name supplied already exists. : Another account is already using this \
                      name. Please use a different name.";
        return Err(validation("6240", "Duplicate Name Exists Error", detail, ""));
    }
    let full = match reference(&draft.data, "ParentRef") {
        None => name.clone(),
        Some(id) => {
            let found = company.store.find(Kind::Account, id);
            let (_, parent) = found.ok_or_else(|| fault::bad_reference("ParentRef"))?;
            format!("{}:{name}", parent.text("FullyQualifiedName"))
        }
    };
    finish(company, draft, account_type, &name, &full);
    Ok(())
}

fn finish(company: &Company, draft: &mut Draft, account_type: &str, name: &str, full: &str) {
    let (class, sub) = type_of(account_type).unwrap_or(("Asset", ""));
    let active = draft.data.get("Active") != Some(&Value::Bool(false));
    let suffix = if active { "" } else { DELETED };
    let sub_account = draft.data.contains_key("ParentRef");
    let data = &mut draft.data;
    data.insert("Name".into(), json!(format!("{name}{suffix}")));
    data.insert("FullyQualifiedName".into(), json!(format!("{full}{suffix}")));
    data.insert("SubAccount".into(), json!(sub_account));
    data.insert("Active".into(), json!(active));
    data.insert("AccountType".into(), json!(account_type));
    data.insert("Classification".into(), json!(class));
    data.entry("AccountSubType").or_insert(json!(sub));
    data.entry("CurrentBalance").or_insert(json!(0));
    data.entry("CurrentBalanceWithSubAccounts").or_insert(json!(0));
    let code = reference(data, "CurrencyRef").unwrap_or(&company.home).to_owned();
    data.insert("CurrencyRef".into(), super::currency::reference_to(company, &code));
}
