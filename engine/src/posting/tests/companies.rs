//! Companies and settings to post into.

use crate::posting::company::{
    Account, CodeRate, Company, Item, Named, NamedCustomer, TaxCode, TaxRate,
};
use crate::posting::settings::Settings;
use serde_json::{Value, json};

fn item(id: &str, name: &str, account: &str) -> Item {
    Item {
        id: id.into(),
        name: name.into(),
        full_name: name.into(),
        item_type: "Service".into(),
        income_account: Some(account.into()),
        active: true,
        ..Item::default()
    }
}

fn account(id: &str, name: &str, kind: &str) -> Account {
    Account {
        id: id.into(),
        name: name.into(),
        full_name: name.into(),
        account_type: kind.into(),
        currency: None,
        active: true,
    }
}

fn code(id: &str, name: &str, rates: &[&str]) -> TaxCode {
    TaxCode {
        id: id.into(),
        name: name.into(),
        taxable: true,
        sales_rates: rates
            .iter()
            .map(|rate| CodeRate { rate_id: (*rate).into(), applies: "TaxOnAmount".into() })
            .collect(),
        active: true,
    }
}

fn rate(id: &str, name: &str, percent: i64) -> TaxRate {
    TaxRate { id: id.into(), name: name.into(), percent: percent.into(), active: true }
}

/// US, automated sales tax on, one currency.
pub fn us() -> Company {
    Company {
        name: "Harbor Goods LLC".into(),
        automated_sales_tax: Some(true),
        accounts: vec![
            account("79", "Sales of Product Income", "Income"),
            account("90", "Clearing", "Bank"),
            account("91", "Stripe Clearing", "Other Current Asset"),
            account("95", "Foreign tax payable", "Other Current Liability"),
            account("96", "Gift cards outstanding", "Other Current Liability"),
        ],
        items: vec![
            item("20", "Coupons", "79"),
            item("21", "Shipping", "79"),
            item("22", "Fees", "79"),
            item("23", "Rounding", "79"),
            item("24", "Refunds", "79"),
            item("25", "Unmatched product", "79"),
            item("26", "Gift cards", "96"),
            item("30", "GB tax", "95"),
            item("31", "DE tax", "95"),
            item("32", "CA tax", "95"),
            item("33", "US tax", "95"),
        ],
        payment_methods: vec![Named { id: "5".into(), name: "Stripe".into(), active: true }],
        terms: vec![Named { id: "3".into(), name: "Net 30".into(), active: true }],
        customers: vec![web("900", None)],
        ..Company::default()
    }
}

fn web(id: &str, currency: Option<&str>) -> NamedCustomer {
    NamedCustomer {
        id: id.into(),
        display_name: currency.map_or("Web".into(), |currency| format!("Web ({currency})")),
        currency: currency.map(str::to_owned),
        active: true,
    }
}

pub fn multicurrency(mut company: Company) -> Company {
    company.multicurrency = true;
    company.currencies = ["USD", "GBP", "EUR", "JPY", "KWD"].map(str::to_owned).to_vec();
    let currencies = company.currencies.clone();
    company.customers = currencies
        .iter()
        .enumerate()
        .map(|(i, currency)| web(&(900 + i).to_string(), Some(currency)))
        .collect();
    company
}

/// UK, VAT, one currency.
pub fn uk() -> Company {
    Company {
        name: "Harbour Goods Ltd".into(),
        country: "GB".into(),
        home_currency: "GBP".into(),
        automated_sales_tax: None,
        tax_codes: vec![code("6", "20.0% S", &["11"]), code("10", "No VAT", &[])],
        tax_rates: vec![rate("11", "20.0% S (sales)", 20)],
        ..us()
    }
}

/// Germany, VAT.
pub fn eur() -> Company {
    Company {
        name: "Hafenwaren GmbH".into(),
        country: "DE".into(),
        home_currency: "EUR".into(),
        automated_sales_tax: None,
        tax_codes: vec![
            code("4", "19% USt", &["14"]),
            code("5", "7% USt", &["15"]),
            code("8", "0%", &[]),
        ],
        tax_rates: vec![rate("14", "19% USt", 19), rate("15", "7% USt", 7)],
        ..us()
    }
}

/// Settings as the demo has them: foreign tax on liability items.
pub fn demo_json(company: &Company) -> Value {
    let foreign = json!({
        "GB": {"item": "GB tax"}, "DE": {"item": "DE tax"},
        "CA": {"item": "CA tax"}, "US": {"item": "US tax"},
    });
    let mut tax = json!({"rates": foreign});
    match company.country.as_str() {
        "US" => tax["rates"]["US"] = json!("sales_tax"),
        "GB" => tax["zero_code"] = json!("No VAT"),
        _ => tax["zero_code"] = json!("0%"),
    }
    json!({
        "environment": "sandbox",
        "time_zone": "America/New_York",
        "start_date": "2025-01-01",
        "income_account": "Sales of Product Income",
        "deposit_accounts": {"default": "Clearing", "stripe": "Stripe Clearing"},
        "web_customer": "Web",
        "tax": tax,
    })
}

pub fn demo(company: &Company) -> Settings {
    parse(demo_json(company))
}

/// Settings that are right in form.
pub fn parse(json: Value) -> Settings {
    Settings::parse(&json).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// The demo's settings with some keys replaced at the top level.
pub fn demo_with(company: &Company, changes: Value) -> Settings {
    let mut json = demo_json(company);
    for (key, value) in changes.as_object().unwrap() {
        json[key] = value.clone();
    }
    parse(json)
}
