//! The settings of a QuickBooks connection, typed. One JSON document, whose keys are listed in
//! [`keys`]; a null, or a key left out, is the default.

pub mod keys;
pub mod schema;
pub mod shape;

use crate::posting::money;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
pub use shape::Problem;
use std::collections::BTreeMap;

macro_rules! word {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant),+
        }
    };
}

word!(Environment { Production = "production", Sandbox = "sandbox" });
word!(
    /// What becomes of an unpaid order.
    Unpaid { Skip = "skip", Invoice = "invoice" }
);
word!(SalesDocument { Auto = "auto", Invoice = "invoice" });
word!(TxnDate { Paid = "paid", Created = "created", Completed = "completed" });
word!(ClosedPeriod { Hold = "hold", FirstOpenDay = "first_open_day" });
word!(CancelUnpaid {
    /// Void in the US, CreditMemo elsewhere.
    Auto = "auto",
    Void = "void",
    CreditMemo = "credit_memo",
    Attention = "attention",
});
word!(Discounts { ItemLines = "item_lines", Net = "net", DiscountLine = "discount_line" });
word!(RefundTax { Prorata = "prorata", None = "none" });
word!(Guests { ByEmail = "by_email", Shared = "shared" });
word!(ExchangeRate { QuickBooks = "quickbooks", Fixed = "fixed" });
word!(Inventory { Shop = "shop", Books = "books" });
word!(Unmapped { Fail = "fail", SalesTax = "sales_tax" });

/// All settings. Names of items, accounts, codes and terms are names or ids in QuickBooks.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Required to connect.
    pub environment: Option<Environment>,
    pub api_url: Option<String>,
    pub oauth_url: Option<String>,
    pub read_budget: u64,
    /// Name in the IANA database. Required to post.
    pub time_zone: Option<String>,
    /// Required to post.
    pub start_date: Option<Date>,
    pub document_prefix: String,
    pub adopt: bool,
    pub post: Post,
    pub sales_document: SalesDocument,
    pub txn_date: TxnDate,
    pub closed_period: ClosedPeriod,
    pub cancel_unpaid: CancelUnpaid,
    pub discounts: Discounts,
    pub tax: Tax,
    pub refund_tax: RefundTax,
    pub coupon_item: String,
    pub shipping_item: String,
    pub fee_item: String,
    pub rounding_item: String,
    pub refund_item: String,
    pub unmatched_item: String,
    pub gift_cards: GiftCards,
    pub gift_card_item: String,
    pub gift_card_account: Option<String>,
    /// Required to post.
    pub income_account: Option<String>,
    /// Required to post, with a `default`.
    pub deposit_accounts: BTreeMap<String, ByCurrency>,
    pub payment_methods: BTreeMap<String, String>,
    pub web_customer: Option<String>,
    pub guests: Guests,
    pub exchange_rate: ExchangeRate,
    /// Home units for one foreign unit.
    #[serde(deserialize_with = "rates")]
    pub exchange_rates: BTreeMap<String, Decimal>,
    pub inventory: Inventory,
    pub terms: Option<String>,
    /// By `DefinitionId`, "1" to "3".
    pub custom_fields: BTreeMap<String, String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            environment: None,
            api_url: None,
            oauth_url: None,
            read_budget: 500_000,
            time_zone: None,
            start_date: None,
            document_prefix: "WC-".into(),
            adopt: false,
            post: Post::default(),
            sales_document: SalesDocument::Auto,
            txn_date: TxnDate::Paid,
            closed_period: ClosedPeriod::Hold,
            cancel_unpaid: CancelUnpaid::Auto,
            discounts: Discounts::ItemLines,
            tax: Tax::default(),
            refund_tax: RefundTax::Prorata,
            coupon_item: "Coupons".into(),
            shipping_item: "Shipping".into(),
            fee_item: "Fees".into(),
            rounding_item: "Rounding".into(),
            refund_item: "Refunds".into(),
            unmatched_item: "Unmatched product".into(),
            gift_cards: GiftCards::default(),
            gift_card_item: "Gift cards".into(),
            gift_card_account: None,
            income_account: None,
            deposit_accounts: BTreeMap::new(),
            payment_methods: BTreeMap::new(),
            web_customer: None,
            guests: Guests::ByEmail,
            exchange_rate: ExchangeRate::QuickBooks,
            exchange_rates: BTreeMap::new(),
            inventory: Inventory::Shop,
            terms: None,
            custom_fields: BTreeMap::new(),
        }
    }
}

/// `post`: which orders are posted beyond the paid ones.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct Post {
    pub pending_unpaid: Unpaid,
    pub on_hold_unpaid: OnHold,
    /// Custom status to standard status.
    pub statuses: BTreeMap<String, String>,
}

impl Default for Post {
    fn default() -> Self {
        Post {
            pending_unpaid: Unpaid::Skip,
            on_hold_unpaid: OnHold(BTreeMap::from([("default".into(), Unpaid::Skip)])),
            statuses: BTreeMap::new(),
        }
    }
}

/// By payment method, `default` for the rest.
#[derive(Debug, Clone, PartialEq)]
pub struct OnHold(pub BTreeMap<String, Unpaid>);

impl OnHold {
    pub fn of(&self, method: Option<&str>) -> Unpaid {
        let by_method = method.and_then(|method| self.0.get(method));
        by_method.or_else(|| self.0.get("default")).copied().unwrap_or(Unpaid::Skip)
    }
}

impl<'de> Deserialize<'de> for OnHold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let map = if value.is_string() { serde_json::json!({"default": value}) } else { value };
        serde_json::from_value(map).map(OnHold).map_err(serde::de::Error::custom)
    }
}

/// One name, or names by currency with `default` for the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByCurrency(pub BTreeMap<String, String>);

impl ByCurrency {
    pub fn of(&self, currency: &str) -> Option<&str> {
        self.0.get(currency).or_else(|| self.0.get("default")).map(String::as_str)
    }
}

impl<'de> Deserialize<'de> for ByCurrency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let map = if value.is_string() { serde_json::json!({"default": value}) } else { value };
        serde_json::from_value(map).map(ByCurrency).map_err(serde::de::Error::custom)
    }
}

/// `tax`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct Tax {
    pub rates: BTreeMap<String, TaxTarget>,
    pub zero_code: Option<String>,
    pub own: Option<Vec<String>>,
    pub sales_tax_item: Option<String>,
    pub unmapped: Unmapped,
}

impl Default for Tax {
    fn default() -> Self {
        Tax {
            rates: BTreeMap::new(),
            zero_code: None,
            own: None,
            sales_tax_item: None,
            unmapped: Unmapped::Fail,
        }
    }
}

/// Where the tax of a rate goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaxTarget {
    /// A tax code, by name or id.
    Code(String),
    /// An item on a liability account.
    Item(String),
    /// The company's own sales tax.
    SalesTax,
}

impl<'de> Deserialize<'de> for TaxTarget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        match (&value, text("code"), text("item")) {
            (Value::String(_), ..) => Ok(TaxTarget::SalesTax),
            (_, Some(code), None) => Ok(TaxTarget::Code(code)),
            (_, None, Some(item)) => Ok(TaxTarget::Item(item)),
            _ => Err(serde::de::Error::custom("give either a code or an item")),
        }
    }
}

/// `gift_cards`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct GiftCards {
    pub products: Vec<String>,
    pub coupons: Vec<String>,
    pub fees: Vec<String>,
}

impl GiftCards {
    pub fn are_used(&self) -> bool {
        !(self.products.is_empty() && self.coupons.is_empty() && self.fees.is_empty())
    }
}

fn rates<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<String, Decimal>, D::Error> {
    let map = BTreeMap::<String, Value>::deserialize(d)?;
    map.into_iter()
        .map(|(currency, value)| Some((currency, money::from_json(&value)?)))
        .collect::<Option<_>>()
        .ok_or_else(|| serde::de::Error::custom("exchange_rates: not a decimal"))
}

impl Settings {
    /// Reads a settings document. Err: everything that is wrong with its form, at once. What is
    /// missing before anything can be posted is for [`crate::posting::checks`] to say.
    pub fn parse(settings: &Value) -> Result<Settings, Vec<Problem>> {
        let mut problems = shape::check(settings);
        problems.extend(both_targets(settings));
        if !problems.is_empty() {
            return Err(problems);
        }
        serde_json::from_value(without_nulls(settings))
            .map_err(|error| vec![Problem::new("settings", error.to_string(), "Correct it.")])
    }

    /// The company's time zone, where one is set.
    pub fn zone(&self) -> Option<TimeZone> {
        TimeZone::get(self.time_zone.as_deref()?).ok()
    }

    /// The account that money of a payment method goes to: the method's for the currency, its
    /// default, the default's for the currency, the default.
    pub fn deposit_account(&self, method: Option<&str>, currency: &str) -> Option<&str> {
        let of = |key: &str| self.deposit_accounts.get(key).and_then(|by| by.of(currency));
        method.and_then(of).or_else(|| of("default"))
    }
}

/// A rate that goes to a code and an item, or to neither.
fn both_targets(settings: &Value) -> Vec<Problem> {
    let rates = settings.pointer("/tax/rates").and_then(Value::as_object);
    let given = |target: &Value, key| target.get(key).is_some_and(|v| !v.is_null());
    rates
        .into_iter()
        .flatten()
        .filter(|(_, target)| target.is_object() && given(target, "code") == given(target, "item"))
        .map(|(rate, _)| {
            let path = format!("tax.rates.{rate}");
            Problem::new(
                &path,
                "needs either a code or an item",
                "For example: {\"item\": \"VAT\"}",
            )
        })
        .collect()
}

/// A null stands for the default, at any depth.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), without_nulls(value)))
            .collect(),
        other => other.clone(),
    }
}
