//! What has to be known of a QuickBooks company before anything is posted: a snapshot of
//! CompanyInfo, Preferences and the short lists, read at `connect` and now and then later. Posting
//! itself costs no read (quickbooks.md, section 11).

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// A company as the posting rules see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Company {
    pub name: String,
    /// ISO 3166 alpha-2: `CompanyInfo.Country`.
    pub country: String,
    /// ISO 4217: `Preferences.CurrencyPrefs.HomeCurrency`.
    pub home_currency: String,
    pub multicurrency: bool,
    /// `TaxPrefs.UsingSalesTax`.
    pub uses_sales_tax: bool,
    /// `TaxPrefs.PartnerTaxEnabled`: true: automated sales tax is on; false: there, but not set up;
    /// None: not in this company (quickbooks.md, 4.4).
    pub automated_sales_tax: Option<bool>,
    /// `SalesFormsPrefs.CustomTxnNumbers`: documents keep the numbers that we send.
    pub custom_numbers: bool,
    pub allow_discount: bool,
    pub allow_shipping: bool,
    pub auto_apply_credit: bool,
    pub auto_apply_payments: bool,
    /// Inventory is tracked: `ProductAndServicesPrefs.QuantityOnHand`.
    pub tracks_inventory: bool,
    /// Which of the custom fields "1" to "3" of sales forms are switched on.
    pub custom_fields: Vec<String>,
    /// Nothing may be dated on this day or before.
    pub book_close_date: Option<Date>,
    pub accounts: Vec<Account>,
    pub items: Vec<Item>,
    pub tax_codes: Vec<TaxCode>,
    pub tax_rates: Vec<TaxRate>,
    pub terms: Vec<Named>,
    pub payment_methods: Vec<Named>,
    /// Currencies that are set up; the home currency need not be named.
    pub currencies: Vec<String>,
    /// Customers that settings name (`web_customer`), as far as they were looked up.
    pub customers: Vec<NamedCustomer>,
}

impl Default for Company {
    fn default() -> Self {
        Company {
            name: String::new(),
            country: "US".into(),
            home_currency: "USD".into(),
            multicurrency: false,
            uses_sales_tax: true,
            automated_sales_tax: None,
            custom_numbers: true,
            allow_discount: false,
            allow_shipping: false,
            auto_apply_credit: false,
            auto_apply_payments: false,
            tracks_inventory: false,
            custom_fields: vec![],
            book_close_date: None,
            accounts: vec![],
            items: vec![],
            tax_codes: vec![],
            tax_rates: vec![],
            terms: vec![],
            payment_methods: vec![],
            currencies: vec![],
            customers: vec![],
        }
    }
}

/// How tax gets onto a document of this company (quickbooks.md, 4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaxModel {
    /// US, automated sales tax: lines are TAX or NON, and `TotalTax` is the shop's.
    UsTotal,
    /// US without it: what was collected goes on an item, lines are NON. Manual sales tax takes no
    /// amount from outside.
    UsItem,
    /// Elsewhere, sales tax switched off: on an item, no codes.
    Off,
    /// Elsewhere: a code per line, a tax line per rate.
    Codes,
}

impl Company {
    pub fn tax_model(&self) -> TaxModel {
        let automated = self.uses_sales_tax && self.automated_sales_tax == Some(true);
        match (self.is_us(), automated, self.uses_sales_tax) {
            (true, true, _) => TaxModel::UsTotal,
            (true, false, _) => TaxModel::UsItem,
            (false, _, false) => TaxModel::Off,
            (false, _, true) => TaxModel::Codes,
        }
    }

    pub fn is_us(&self) -> bool {
        self.country == "US"
    }

    /// Whether a document in `currency` can be written at all.
    pub fn takes(&self, currency: &str) -> bool {
        currency == self.home_currency || self.multicurrency
    }

    pub fn account(&self, name_or_id: &str) -> Option<&Account> {
        find(&self.accounts, name_or_id)
    }

    pub fn item(&self, name_or_id: &str) -> Option<&Item> {
        find(&self.items, name_or_id)
    }

    pub fn tax_code(&self, name_or_id: &str) -> Option<&TaxCode> {
        find(&self.tax_codes, name_or_id)
    }

    pub fn tax_rate(&self, id: &str) -> Option<&TaxRate> {
        self.tax_rates.iter().find(|rate| rate.id == id)
    }

    pub fn term(&self, name_or_id: &str) -> Option<&Named> {
        find(&self.terms, name_or_id)
    }

    pub fn payment_method(&self, name_or_id: &str) -> Option<&Named> {
        find(&self.payment_methods, name_or_id)
    }

    /// The customer that a setting names, in a currency. An id has one currency for life.
    pub fn customer(&self, name_or_id: &str, currency: &str) -> Option<&NamedCustomer> {
        let fits = |c: &NamedCustomer| c.active && c.currency.as_deref() == Some(currency);
        let home =
            |c: &NamedCustomer| c.active && c.currency.is_none() && currency == self.home_currency;
        let in_currency = format!("{name_or_id} ({currency})");
        let named = |name: &str| {
            let same = move |c: &&NamedCustomer| same_name(&c.display_name, name) || c.id == name;
            self.customers.iter().filter(same).find(|c| fits(c) || home(c))
        };
        named(name_or_id).or_else(|| named(&in_currency))
    }
}

/// An entry of one of the company's short lists.
trait Listed {
    fn id(&self) -> &str;
    fn is_called(&self, name: &str) -> bool;
    fn is_active(&self) -> bool;
}

/// An exact id first, then a name without case; inactive entries only when nothing else fits, so
/// that a check can say "inactive" and not "missing".
fn find<'c, T: Listed>(list: &'c [T], name_or_id: &str) -> Option<&'c T> {
    list.iter().find(|entry| entry.id() == name_or_id).or_else(|| {
        let called = || list.iter().filter(|entry| entry.is_called(name_or_id));
        called().find(|entry| entry.is_active()).or_else(|| called().next())
    })
}

fn same_name(a: &str, b: &str) -> bool {
    !b.trim().is_empty() && a.trim().to_lowercase() == b.trim().to_lowercase()
}

/// An account of the chart of accounts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Account {
    pub id: String,
    pub name: String,
    /// With its parents: `Bank:Clearing`.
    pub full_name: String,
    /// `Bank`, `Other Current Asset`, `Income`, `Other Current Liability`, ...
    pub account_type: String,
    /// None: the home currency.
    pub currency: Option<String>,
    pub active: bool,
}

/// A product or service of the company.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Item {
    pub id: String,
    pub name: String,
    /// With its categories: `Stationery:Sticker pack`.
    pub full_name: String,
    pub sku: Option<String>,
    /// `Inventory`, `NonInventory`, `Service`, `Category`, `Group`.
    pub item_type: String,
    /// Id of the account that sales of it go to.
    pub income_account: Option<String>,
    pub active: bool,
}

/// A tax code, with the rates that it puts on sales.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaxCode {
    pub id: String,
    pub name: String,
    pub taxable: bool,
    /// `SalesTaxRateList.TaxRateDetail[].TaxRateRef`, in `TaxOrder`.
    pub sales_rates: Vec<CodeRate>,
    pub active: bool,
}

/// One rate of a code.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CodeRate {
    pub rate_id: String,
    /// `TaxTypeApplicable`: `TaxOnAmount`, `TaxOnAmountPlusTax`, `TaxOnTax`.
    pub applies: String,
}

/// A rate, in percent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaxRate {
    pub id: String,
    pub name: String,
    pub percent: Decimal,
    pub active: bool,
}

/// An entry that is no more than a name: a term, a payment method.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Named {
    pub id: String,
    pub name: String,
    pub active: bool,
}

/// A customer that a setting names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NamedCustomer {
    pub id: String,
    pub display_name: String,
    /// None: the home currency.
    pub currency: Option<String>,
    pub active: bool,
}

impl Listed for Account {
    fn id(&self) -> &str {
        &self.id
    }
    fn is_called(&self, name: &str) -> bool {
        same_name(&self.name, name) || same_name(&self.full_name, name)
    }
    fn is_active(&self) -> bool {
        self.active
    }
}

impl Listed for Item {
    fn id(&self) -> &str {
        &self.id
    }
    fn is_called(&self, name: &str) -> bool {
        same_name(&self.name, name) || same_name(&self.full_name, name)
    }
    fn is_active(&self) -> bool {
        self.active
    }
}

impl Listed for TaxCode {
    fn id(&self) -> &str {
        &self.id
    }
    fn is_called(&self, name: &str) -> bool {
        same_name(&self.name, name)
    }
    fn is_active(&self) -> bool {
        self.active
    }
}

impl Listed for Named {
    fn id(&self) -> &str {
        &self.id
    }
    fn is_called(&self, name: &str) -> bool {
        same_name(&self.name, name)
    }
    fn is_active(&self) -> bool {
        self.active
    }
}
