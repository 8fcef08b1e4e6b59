//! The snapshot of a company that posting works from: read at `connect`, daily, and after a refusal
//! that says it is old (quickbooks.md, sections 4.2, 4.4 and 4.6).

use super::client::Api;
use super::kind::Kind;
use super::query::Select;
use super::reply;
use crate::error::{Category, Error, Result};
use crate::limits;
use crate::posting::company::{
    Account, CodeRate, Company, Item, Named, NamedCustomer, TaxCode, TaxRate,
};
use crate::posting::settings::Settings;
use rust_decimal::Decimal;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeSet;

impl Api {
    /// Reads the company: about ten metered reads, and a few more for each thousand items.
    pub async fn company(&self, settings: &Settings) -> Result<Company> {
        let info = self.info().await?;
        let preferences = self.preferences().await?;
        let mut company = Company { name: text(&info, "/CompanyName"), ..Company::default() };
        company.country = country(&info);
        read_preferences(&mut company, &preferences);
        company.accounts = self.read_list(Kind::Account, account).await?;
        company.items = self.read_list(Kind::Item, item).await?;
        company.tax_codes = self.read_list(Kind::TaxCode, tax_code).await?;
        company.tax_rates = self.read_list(Kind::TaxRate, tax_rate).await?;
        company.terms = self.read_list(Kind::Term, named).await?;
        company.payment_methods = self.read_list(Kind::PaymentMethod, named).await?;
        if company.multicurrency {
            let codes = self.read_list(Kind::CompanyCurrency, |c| text(c, "/Code")).await?;
            company.currencies = codes.into_iter().filter(|code| !code.is_empty()).collect();
        }
        if let Some(wanted) = settings.web_customer.as_deref() {
            company.customers = self.web_customers(wanted, &company).await?;
        }
        Ok(company)
    }

    /// `CompanyInfo`: name, country, plan.
    pub async fn info(&self) -> Result<Value> {
        let path = format!("companyinfo/{}", self.realm());
        self.read_one(&path, Kind::CompanyInfo).await
    }

    /// `Preferences`: switches that decide what may be written.
    pub async fn preferences(&self) -> Result<Value> {
        self.read_one("preferences", Kind::Preferences).await
    }

    async fn read_one(&self, path: &str, kind: Kind) -> Result<Value> {
        let answer = self.read(path, &[]).await?;
        let body = answer.body()?;
        let raw = body.get(kind.as_str());
        raw.and_then(reply::value)
            .ok_or_else(|| super::reply::without(&format!("the {kind}"), answer.status()))
    }

    /// A whole list, inactive entries too: a check then says "inactive" and not "missing".
    async fn read_list<T>(&self, kind: Kind, read: impl Fn(&Value) -> T + Sync) -> Result<Vec<T>> {
        let select = Select::from(kind).with_inactive().order_by(super::query::CREATED);
        let keep =
            |raw: &RawValue| (reply::value(raw).map(|value| read(&value)), limits::kept(raw));
        let (found, _) = self.all_as(&select, keep).await?;
        found.into_iter().collect::<Option<_>>().ok_or_else(|| {
            Error::new(
                Category::Validation,
                "unexpected_json",
                format!("QuickBooks: a {kind} is no record, or one that is too large"),
            )
        })
    }

    /// The customers that `web_customer` may mean: by id, by name, and by name with a currency, as
    /// a customer has one currency for life.
    async fn web_customers(&self, wanted: &str, company: &Company) -> Result<Vec<NamedCustomer>> {
        let mut found = Vec::new();
        if wanted.bytes().all(|b| b.is_ascii_digit()) {
            found.extend(self.get(Kind::Customer, wanted).await?.map(|ack| ack.record));
        }
        let mut names: BTreeSet<String> = BTreeSet::from([wanted.to_owned()]);
        let currencies = company.currencies.iter().chain([&company.home_currency]);
        names.extend(currencies.map(|currency| format!("{wanted} ({currency})")));
        let select = Select::from(Kind::Customer)
            .any_of("DisplayName", names.iter().map(String::as_str))
            .with_inactive();
        for raw in self.all(&select).await?.rows {
            found.extend(reply::value(&raw));
        }
        let mut customers: Vec<NamedCustomer> = found.iter().map(customer).collect();
        customers.sort_by(|a, b| a.id.cmp(&b.id));
        customers.dedup_by(|a, b| a.id == b.id);
        Ok(customers)
    }
}

/// A text, or empty.
fn text(value: &Value, pointer: &str) -> String {
    option(value, pointer).unwrap_or_default()
}

/// Ids are texts; some fixtures show numbers.
fn option(value: &Value, pointer: &str) -> Option<String> {
    match value.pointer(pointer)? {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn switch(value: &Value, pointer: &str) -> Option<bool> {
    match value.pointer(pointer)? {
        Value::Bool(on) => Some(*on),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn is_on(value: &Value, pointer: &str) -> bool {
    switch(value, pointer).unwrap_or(false)
}

/// Active where it isn't said: some kinds have no such field.
fn is_active(value: &Value) -> bool {
    switch(value, "/Active").unwrap_or(true)
}

/// ISO 3166 alpha-2, as the posting rules compare it.
fn country(info: &Value) -> String {
    let country = option(info, "/Country").or_else(|| option(info, "/CompanyAddr/Country"));
    match country.unwrap_or_default().to_uppercase().as_str() {
        "" | "USA" | "UNITED STATES" => "US".into(),
        "GBR" | "UK" | "UNITED KINGDOM" => "GB".into(),
        "CAN" | "CANADA" => "CA".into(),
        "AUS" | "AUSTRALIA" => "AU".into(),
        other => other.into(),
    }
}

fn read_preferences(company: &mut Company, preferences: &Value) {
    let on = |pointer: &str| is_on(preferences, pointer);
    if let Some(currency) = option(preferences, "/CurrencyPrefs/HomeCurrency/value") {
        company.home_currency = currency;
    }
    company.multicurrency = on("/CurrencyPrefs/MultiCurrencyEnabled");
    company.uses_sales_tax = on("/TaxPrefs/UsingSalesTax");
    company.automated_sales_tax = switch(preferences, "/TaxPrefs/PartnerTaxEnabled");
    company.custom_numbers = on("/SalesFormsPrefs/CustomTxnNumbers");
    company.allow_discount = on("/SalesFormsPrefs/AllowDiscount");
    company.allow_shipping = on("/SalesFormsPrefs/AllowShipping");
    company.auto_apply_credit = on("/SalesFormsPrefs/AutoApplyCredit");
    company.auto_apply_payments = on("/SalesFormsPrefs/AutoApplyPayments");
    company.tracks_inventory = on("/ProductAndServicesPrefs/QuantityOnHand");
    company.custom_fields = custom_fields(preferences);
    let closed = option(preferences, "/AccountingInfoPrefs/BookCloseDate");
    // "NotSet" has been seen where the books were never closed.
    company.book_close_date = closed.and_then(|date| date.parse().ok());
}

/// `SalesFormsPrefs.UseSalesCustom1` to 3, two lists deep.
fn custom_fields(preferences: &Value) -> Vec<String> {
    let lists = preferences.pointer("/SalesFormsPrefs/CustomField").and_then(Value::as_array);
    let fields = lists
        .into_iter()
        .flatten()
        .filter_map(|list| list.get("CustomField").and_then(Value::as_array))
        .flatten();
    let mut on: Vec<String> = fields
        .filter(|field| is_on(field, "/BooleanValue"))
        .filter_map(|field| {
            let name = field.get("Name")?.as_str()?;
            Some(name.strip_prefix("SalesFormsPrefs.UseSalesCustom")?.to_owned())
        })
        .collect();
    on.sort();
    on
}

fn account(value: &Value) -> Account {
    Account {
        id: text(value, "/Id"),
        name: text(value, "/Name"),
        full_name: text(value, "/FullyQualifiedName"),
        account_type: text(value, "/AccountType"),
        currency: option(value, "/CurrencyRef/value"),
        active: is_active(value),
    }
}

fn item(value: &Value) -> Item {
    Item {
        id: text(value, "/Id"),
        name: text(value, "/Name"),
        full_name: text(value, "/FullyQualifiedName"),
        sku: option(value, "/Sku"),
        item_type: text(value, "/Type"),
        income_account: option(value, "/IncomeAccountRef/value"),
        active: is_active(value),
    }
}

fn tax_code(value: &Value) -> TaxCode {
    let details = value.pointer("/SalesTaxRateList/TaxRateDetail").and_then(Value::as_array);
    let mut rates: Vec<(i64, CodeRate)> = details
        .into_iter()
        .flatten()
        .map(|detail| {
            let order = detail.get("TaxOrder").and_then(Value::as_i64).unwrap_or(0);
            let rate = CodeRate {
                rate_id: text(detail, "/TaxRateRef/value"),
                applies: text(detail, "/TaxTypeApplicable"),
            };
            (order, rate)
        })
        .collect();
    rates.sort_by_key(|(order, _)| *order);
    TaxCode {
        id: text(value, "/Id"),
        name: text(value, "/Name"),
        taxable: is_on(value, "/Taxable"),
        sales_rates: rates.into_iter().map(|(_, rate)| rate).collect(),
        active: is_active(value) && !is_on(value, "/Hidden"),
    }
}

fn tax_rate(value: &Value) -> TaxRate {
    TaxRate {
        id: text(value, "/Id"),
        name: text(value, "/Name"),
        percent: super::ack::amount(value, "RateValue").unwrap_or(Decimal::ZERO),
        active: is_active(value),
    }
}

fn named(value: &Value) -> Named {
    Named { id: text(value, "/Id"), name: text(value, "/Name"), active: is_active(value) }
}

fn customer(value: &Value) -> NamedCustomer {
    NamedCustomer {
        id: text(value, "/Id"),
        display_name: text(value, "/DisplayName"),
        currency: option(value, "/CurrencyRef/value"),
        active: is_active(value),
    }
}
