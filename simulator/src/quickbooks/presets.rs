//! The companies there are to choose from, made of `fixtures/quickbooks/presets/*.json`.

use super::company::Company;
use super::kind::Kind;
use super::rules::Rules;
use super::store::{Record, Store, plain_name, reference, text};
use super::write::type_of;
use super::{money, times};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A preset: its file, whether multicurrency is on, and what makes it special.
struct Preset {
    name: &'static str,
    file: &'static str,
    multicurrency: bool,
    special: Special,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Special {
    Nothing,
    /// The Essentials plan: no inventory, classes or locations.
    Essentials,
    /// So many customers from the start.
    Customers(u64),
}

const COMMON: &str = include_str!("../../fixtures/quickbooks/presets/common.json");
const US: &str = include_str!("../../fixtures/quickbooks/presets/us.json");
const UK: &str = include_str!("../../fixtures/quickbooks/presets/uk.json");
const EU: &str = include_str!("../../fixtures/quickbooks/presets/eu.json");

const PRESETS: [Preset; 7] = [
    Preset { name: "us", file: US, multicurrency: true, special: Special::Nothing },
    Preset { name: "us_single", file: US, multicurrency: false, special: Special::Nothing },
    Preset { name: "us_essentials", file: US, multicurrency: false, special: Special::Essentials },
    Preset { name: "uk", file: UK, multicurrency: true, special: Special::Nothing },
    Preset { name: "uk_single", file: UK, multicurrency: false, special: Special::Nothing },
    Preset { name: "eu", file: EU, multicurrency: true, special: Special::Nothing },
    Preset { name: "big", file: US, multicurrency: false, special: Special::Customers(20_000) },
];

/// The presets' names.
pub fn names() -> Vec<&'static str> {
    PRESETS.iter().map(|preset| preset.name).collect()
}

/// A company as its owner left it: chart of accounts, items, tax codes, preferences, no documents.
///
/// Errors: a text that lists the presets.
pub fn company(
    preset: &str,
    realm: &str,
    multicurrency: Option<bool>,
    rules: Rules,
    now: Timestamp,
) -> Result<Company, String> {
    let found = PRESETS.iter().find(|p| p.name == preset);
    let found =
        found.ok_or_else(|| format!("no preset {preset}; there are {}", names().join(", ")))?;
    let multicurrency = multicurrency.unwrap_or(found.multicurrency);
    let common: Value = read(COMMON)?;
    let own: Value = read(found.file)?;
    let home = own["home"].as_str().ok_or("preset without home")?.to_owned();
    let zone = own["time_zone"].as_str().ok_or("preset without time_zone")?;
    let zone = TimeZone::get(zone).map_err(|e| format!("preset: {e}"))?;
    let exchange: BTreeMap<_, _> = own["exchange"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(code, rate)| Some((code.clone(), money::read(rate)?)))
        .collect();
    // Made long before: nothing of it shows up in change data capture.
    let made = now.checked_sub(SignedDuration::from_hours(24 * 400)).unwrap_or(now);
    let mut company = Company {
        realm: realm.to_owned(),
        preset: preset.to_owned(),
        us: own["company"]["Country"] == "US",
        home,
        zone,
        exchange,
        rules,
        store: Store::default(),
        lapsed: false,
        throttles: Default::default(),
        replays: Default::default(),
        journal: Default::default(),
        events: vec![],
    };
    preferences(&mut company, &common, &own, multicurrency, made);
    for source in [&common, &own] {
        records(&mut company, &source["records"], made);
    }
    put(&mut company, Kind::CompanyInfo, &own["company"], "1", made);
    name_references(&mut company);
    specialise(&mut company, found.special, made);
    Ok(company)
}

fn read(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|e| format!("preset: {e}"))
}

fn preferences(
    company: &mut Company,
    common: &Value,
    own: &Value,
    multicurrency: bool,
    made: Timestamp,
) {
    let mut all = common["preferences"].as_object().cloned().unwrap_or_default();
    all.extend(own["preferences"].as_object().cloned().unwrap_or_default());
    all.insert(
        "CurrencyPrefs".into(),
        json!({ "MultiCurrencyEnabled": multicurrency, "HomeCurrency": { "value": company.home } }),
    );
    put(company, Kind::Preferences, &Value::Object(all), "1", made);
}

fn records(company: &mut Company, records: &Value, made: Timestamp) {
    for (name, list) in records.as_object().into_iter().flatten() {
        let Some(kind) = Kind::named(name) else { continue };
        for record in list.as_array().into_iter().flatten() {
            let currency = record["CurrencyRef"]["value"].as_str();
            let foreign = currency.is_some_and(|code| code != company.home);
            let own = currency.is_some_and(|code| code == company.home);
            if own || ((foreign || kind == Kind::CompanyCurrency) && !company.multicurrency()) {
                continue;
            }
            let id = record["Id"].as_str().unwrap_or_default().to_owned();
            put(company, kind, record, &id, made);
        }
    }
}

fn put(company: &mut Company, kind: Kind, record: &Value, id: &str, made: Timestamp) {
    let Some(mut data) = record.as_object().cloned() else { return };
    data.remove("Id");
    complete(company, kind, &mut data);
    if let Ok(id) = id.parse() {
        company.store.put((kind, id), Record::new(data, made));
    }
}

/// Fills in what the file leaves out.
fn complete(company: &Company, kind: Kind, data: &mut Map<String, Value>) {
    if kind.has_active() {
        data.entry("Active").or_insert(json!(true));
    }
    let name = if kind.is_name() { "DisplayName" } else { "Name" };
    let name = plain_name(text(data, name)).to_owned();
    if matches!(kind, Kind::Account | Kind::Item | Kind::Customer) {
        data.entry("FullyQualifiedName").or_insert(json!(name));
    }
    let home = super::write::currency_reference(company, &company.home);
    match kind {
        Kind::Account => {
            let (class, _) = type_of(text(data, "AccountType")).unwrap_or(("Asset", ""));
            data.insert("Classification".into(), json!(class));
            data.entry("SubAccount").or_insert(json!(false));
            data.entry("CurrentBalance").or_insert(json!(0));
            data.entry("CurrentBalanceWithSubAccounts").or_insert(json!(0));
            data.entry("CurrencyRef").or_insert(home);
        }
        Kind::Item => {
            data.entry("SubItem").or_insert(json!(false));
            data.entry("TrackQtyOnHand").or_insert(json!(false));
        }
        Kind::Customer | Kind::Vendor => {
            data.entry("Balance").or_insert(json!(0));
            data.entry("CurrencyRef").or_insert(home);
            data.entry("PrintOnCheckName").or_insert(json!(name));
            if kind == Kind::Customer {
                data.entry("BalanceWithJobs").or_insert(json!(0));
                data.entry("Taxable").or_insert(json!(true));
                data.entry("Job").or_insert(json!(false));
            }
        }
        _ => {}
    }
}

/// Gives references to accounts and rates their names.
fn name_references(company: &mut Company) {
    let items: Vec<u64> = company.store.all(Kind::Item).map(|(id, _)| id).collect();
    for id in items {
        let Some(mut record) = company.store.get((Kind::Item, id)).cloned() else { continue };
        company.store.name_reference(&mut record.data, "IncomeAccountRef", Kind::Account);
        company.store.put((Kind::Item, id), record);
    }
    let codes: Vec<u64> = company.store.all(Kind::TaxCode).map(|(id, _)| id).collect();
    for id in codes {
        let Some(mut record) = company.store.get((Kind::TaxCode, id)).cloned() else { continue };
        for list in ["SalesTaxRateList", "PurchaseTaxRateList"] {
            let details = record.data.get_mut(list).and_then(|l| l["TaxRateDetail"].as_array_mut());
            for detail in details.into_iter().flatten().filter_map(Value::as_object_mut) {
                let rate = reference(detail, "TaxRateRef").map(str::to_owned);
                let rate = rate.and_then(|id| company.store.find(Kind::TaxRate, &id));
                if let Some((key, rate)) = rate {
                    let named = json!({ "value": key.1.to_string(), "name": rate.text("Name") });
                    detail.insert("TaxRateRef".into(), named);
                }
            }
        }
        company.store.put((Kind::TaxCode, id), record);
    }
}

fn specialise(company: &mut Company, special: Special, made: Timestamp) {
    match special {
        Special::Nothing => {}
        Special::Essentials => {
            for pointer in [
                "/AccountingInfoPrefs/TrackDepartments",
                "/AccountingInfoPrefs/ClassTrackingPerTxnLine",
                "/ProductAndServicesPrefs/QuantityOnHand",
            ] {
                company.set_preference(pointer, json!(false), made);
            }
        }
        Special::Customers(count) => {
            for number in 1..=count {
                let customer = json!({
                    "DisplayName": format!("Customer {number:05}"),
                    "PrimaryEmailAddr": { "Address": format!("customer{number}@big.example") },
                    "Notes": times::stamp(made, &company.zone),
                });
                let id = company.store.next_id(Kind::Customer).to_string();
                put(company, Kind::Customer, &customer, &id, made);
            }
        }
    }
}
