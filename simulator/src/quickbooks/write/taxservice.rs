//! `POST /taxservice/taxcode`: the only way to make tax codes and rates.

use super::With;
use crate::quickbooks::company::Company;
use crate::quickbooks::fault::{self, Checked, validation};
use crate::quickbooks::kind::Kind;
use crate::quickbooks::money;
use crate::quickbooks::store::Record;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// Makes a tax code with its rates; the answer is the body as sent, with the ids.
///
/// Errors: 2020, 2500 for an unknown agency, 2240 for a rate outside 0 to 100, 6240 for a name that
/// is taken.
pub fn create_tax_code(company: &mut Company, body: &Value, with: With) -> Checked<Value> {
    let name = body["TaxCode"].as_str().filter(|n| !n.is_empty());
    let name = name.ok_or_else(|| fault::missing("TaxCode"))?.to_owned();
    let details = body["TaxRateDetails"].as_array().cloned().unwrap_or_default();
    if details.is_empty() {
        return Err(fault::missing("TaxRateDetails"));
    }
    if company.store.all(Kind::TaxCode).any(|(_, c)| c.text("Name").eq_ignore_ascii_case(&name)) {
        let detail = "The name supplied already exists. : Another tax code has this name.";
        return Err(validation("6240", "Duplicate Name Exists Error", detail, ""));
    }
    for detail in &details {
        check_rate(company, detail)?;
    }
    let mut answer = body.clone();
    let mut lists = [vec![], vec![]];
    for (at, detail) in details.iter().enumerate() {
        let id = rate(company, detail, with);
        answer["TaxRateDetails"][at]["TaxRateId"] = json!(id);
        let purchase = detail["TaxApplicableOn"] == "Purchase";
        let order = lists[usize::from(purchase)].len();
        lists[usize::from(purchase)].push(json!({
            "TaxRateRef": { "value": id, "name": detail["TaxRateName"] },
            "TaxTypeApplicable": "TaxOnAmount", "TaxOrder": order,
        }));
    }
    let [sales, purchases] = lists;
    let code = object(json!({
        "Name": name, "Description": name, "Active": true, "Hidden": false, "Taxable": true,
        "TaxGroup": true, "SalesTaxRateList": { "TaxRateDetail": sales },
        "PurchaseTaxRateList": { "TaxRateDetail": purchases },
    }));
    let id = company.store.next_id(Kind::TaxCode);
    company.store.put((Kind::TaxCode, id), Record::new(code, with.now));
    answer["TaxCodeId"] = json!(id.to_string());
    Ok(answer)
}

fn check_rate(company: &Company, detail: &Value) -> Checked<()> {
    let existing = detail["TaxRateId"].as_str();
    if let Some(id) = existing {
        let found = company.store.find(Kind::TaxRate, id);
        return found.map(|_| ()).ok_or_else(|| fault::bad_reference("TaxRateId"));
    }
    let name = detail["TaxRateName"].as_str().ok_or_else(|| fault::missing("TaxRateName"))?;
    if name.chars().count() > 10 {
        return Err(fault::length("TaxRateName", 10, name.chars().count()));
    }
    let value = money::read(&detail["RateValue"]).ok_or_else(|| fault::missing("RateValue"))?;
    if !(Decimal::ZERO..=Decimal::ONE_HUNDRED).contains(&value) {
        let text = "Rate value must lie between 0 and 100";
        return Err(validation("2240", "Invalid Number Range", text, "RateValue"));
    }
    let agency = detail["TaxAgencyId"].as_str().map(str::to_owned);
    let agency = agency.or_else(|| detail["TaxAgencyId"].as_u64().map(|n| n.to_string()));
    let agency = agency.ok_or_else(|| fault::missing("TaxAgencyId"))?;
    let found = company.store.find(Kind::TaxAgency, &agency);
    found.map(|_| ()).ok_or_else(|| fault::bad_reference("TaxAgencyId"))
}

fn rate(company: &mut Company, detail: &Value, with: With) -> String {
    if let Some(id) = detail["TaxRateId"].as_str() {
        return id.to_owned();
    }
    let agency = detail["TaxAgencyId"]
        .as_str()
        .map_or_else(|| detail["TaxAgencyId"].to_string(), str::to_owned);
    let record = object(json!({
        "Name": detail["TaxRateName"], "Description": detail["TaxRateName"], "Active": true,
        "RateValue": detail["RateValue"], "AgencyRef": { "value": agency },
        "SpecialTaxType": "NONE", "DisplayType": "ReadOnly",
    }));
    let id = company.store.next_id(Kind::TaxRate);
    company.store.put((Kind::TaxRate, id), Record::new(record, with.now));
    id.to_string()
}
