//! What the hub holds of a sale, as the posting rules read it. The fields are the hub's columns
//! (sql-surface.md, section 6): one row as JSON, its lines under `lines`, deserialises into these.

use super::money;
use crate::error::{Category, Error, Result};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Code of the error of a hub row that can't be read: one record's failure, never the run's.
pub const UNREADABLE_ROW: &str = "unreadable_row";

/// Segments of a field's path that a message names.
const PATH_SHOWN: usize = 3;

/// A hub row as the posting rules read it. The error says which row, and which field of it is odd,
/// without its value.
pub fn row<T: DeserializeOwned>(text: &str, table: &str) -> Result<T> {
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path: Vec<String> =
            error.path().iter().take(PATH_SHOWN).map(ToString::to_string).collect();
        let path = path.join(".").replace(".[", "[");
        let what = odd(&error.inner().to_string());
        let place = if path.is_empty() { String::new() } else { format!("{path} ") };
        unreadable_row(table, text, &format!("{place}{what}"))
    })
}

/// The failure of a record whose hub row can't be read.
pub fn unreadable_row(table: &str, text: &str, what: &str) -> Error {
    let message = format!("{table} {}: {what}", name_of(text));
    Error::new(Category::NeedsAttention, UNREADABLE_ROW, message).hint(
        "Correct the row in the hub, where it was made by hand, or its record in the shop; it is \
         tried again when it changes.",
    )
}

/// What a row is called by, so far as that can be read.
pub fn name_of(text: &str) -> String {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        id: Option<&'a RawValue>,
        #[serde(borrow)]
        number: Option<&'a RawValue>,
        #[serde(borrow)]
        sku: Option<&'a RawValue>,
    }
    let Ok(named) = serde_json::from_str::<Named<'_>>(text) else { return String::new() };
    let called = named.number.or(named.sku).filter(|raw| raw.get() != "null");
    let called = called.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    crate::mask::label(
        &called.unwrap_or_else(|| {
            format!("with the hub's id {}", named.id.map_or("null", RawValue::get))
        }),
    )
}

/// What serde says of a value, without the value.
fn odd(message: &str) -> String {
    let message = message.split(" at line ").next().unwrap_or_default();
    if message.starts_with("recursion limit") {
        return "is JSON that is nested too deep".into();
    }
    // `invalid type: string "...", expected a map`
    match (message.split_once(' '), message.rsplit_once(", expected ")) {
        (Some(("invalid" | "missing", _)), Some((_, expected))) => format!("is not {expected}"),
        (Some(("invalid" | "missing", _)), None) => "is missing, or of another kind".into(),
        _ if message == money::NO_AMOUNT => message.to_owned(),
        _ => "is not what the posting rules can read".into(),
    }
}

/// An order with its product lines. Amounts are in `currency`.
#[derive(Debug, Clone, Deserialize)]
pub struct Order {
    /// Hub key.
    pub id: i64,
    /// The order's id in the shop; None for an order born in the hub.
    #[serde(default)]
    pub source_id: Option<String>,
    /// What people call it; documents carry it, never the id (posting policy, Numbers).
    pub number: String,
    pub status: String,
    /// ISO 4217.
    pub currency: String,
    /// Hub key of the customer; None: nobody is known.
    #[serde(default)]
    pub customer_id: Option<i64>,
    #[serde(default)]
    pub email: Option<String>,
    #[serde(deserialize_with = "money::read")]
    pub discount_total: Decimal,
    #[serde(deserialize_with = "money::read")]
    pub total_tax: Decimal,
    /// What the customer owes, tax included; refunds not taken off.
    #[serde(deserialize_with = "money::read")]
    pub total: Decimal,
    #[serde(deserialize_with = "money::read")]
    pub refunded_total: Decimal,
    #[serde(default)]
    pub payment_method: Option<String>,
    #[serde(default)]
    pub transaction_id: Option<String>,
    #[serde(default)]
    pub paid_at: Option<Timestamp>,
    #[serde(default)]
    pub completed_at: Option<Timestamp>,
    #[serde(default)]
    pub customer_note: Option<String>,
    #[serde(default)]
    pub billing_address: Option<Address>,
    #[serde(default)]
    pub shipping_address: Option<Address>,
    #[serde(default)]
    pub shipping_lines: Vec<ExtraLine>,
    #[serde(default)]
    pub fee_lines: Vec<ExtraLine>,
    #[serde(default)]
    pub coupon_lines: Vec<CouponLine>,
    #[serde(default)]
    pub tax_lines: Vec<TaxLine>,
    #[serde(default)]
    pub attributes: Map<String, Value>,
    pub created_at: Timestamp,
    /// Gone at the source.
    #[serde(default)]
    pub deleted_at: Option<Timestamp>,
    #[serde(default)]
    pub lines: Vec<OrderLine>,
}

impl Order {
    /// Neither products nor shipping nor fees.
    pub fn has_no_lines(&self) -> bool {
        self.lines.is_empty() && self.shipping_lines.is_empty() && self.fee_lines.is_empty()
    }

    /// The payment method, where one is named.
    pub fn method(&self) -> Option<&str> {
        self.payment_method.as_deref().map(str::trim).filter(|method| !method.is_empty())
    }

    /// How this order is known where it was born.
    pub fn key(&self) -> String {
        self.source_id.clone().unwrap_or_else(|| format!("hub-{}", self.id))
    }
}

/// A product line. `subtotal` is before, `total` after discount, both without tax.
#[derive(Debug, Clone, Deserialize)]
pub struct OrderLine {
    pub id: i64,
    pub line_number: i32,
    /// Hub key of the product, the variation where there is one; None: deleted.
    #[serde(default)]
    pub product_id: Option<i64>,
    #[serde(default)]
    pub sku: Option<String>,
    pub name: String,
    #[serde(deserialize_with = "money::read")]
    pub quantity: Decimal,
    #[serde(deserialize_with = "money::read")]
    pub subtotal: Decimal,
    #[serde(deserialize_with = "money::read")]
    pub total: Decimal,
    #[serde(deserialize_with = "money::read")]
    pub total_tax: Decimal,
    #[serde(default)]
    pub taxes: Vec<LineTax>,
    #[serde(default)]
    pub source_id: Option<String>,
}

/// A shipping or fee line, as the hub keeps WooCommerce's.
#[derive(Debug, Clone, Deserialize)]
pub struct ExtraLine {
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(deserialize_with = "money::read")]
    pub total: Decimal,
    #[serde(default, deserialize_with = "money::read_option")]
    pub total_tax: Option<Decimal>,
    #[serde(default)]
    pub taxes: Vec<LineTax>,
}

/// The tax of one rate on one line. No total: the rate doesn't bear on the line.
#[derive(Debug, Clone, Deserialize)]
pub struct LineTax {
    /// The rate's id in the shop.
    pub id: String,
    #[serde(default, deserialize_with = "money::read_option")]
    pub total: Option<Decimal>,
    /// Before discount.
    #[serde(default, deserialize_with = "money::read_option")]
    pub subtotal: Option<Decimal>,
}

/// A coupon that was used.
#[derive(Debug, Clone, Deserialize)]
pub struct CouponLine {
    #[serde(default)]
    pub code: String,
    /// Positive, without tax.
    #[serde(default, deserialize_with = "money::read_option")]
    pub discount: Option<Decimal>,
}

/// What one rate came to on the whole order.
#[derive(Debug, Clone, Deserialize)]
pub struct TaxLine {
    pub rate_id: String,
    /// `US-NY-NY SALES TAX-1`: country, state, name, priority.
    #[serde(default)]
    pub code: String,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "money::read_option")]
    pub percent: Option<Decimal>,
    #[serde(default, deserialize_with = "money::read_option")]
    pub tax_total: Option<Decimal>,
    #[serde(default, deserialize_with = "money::read_option")]
    pub shipping_tax_total: Option<Decimal>,
}

impl TaxLine {
    /// On goods, fees and shipping.
    pub fn total(&self) -> Decimal {
        self.tax_total.unwrap_or_default() + self.shipping_tax_total.unwrap_or_default()
    }

    /// ISO 3166 alpha-2 country of the rate; None where the code doesn't begin with one
    /// (a rate for everywhere).
    pub fn country(&self) -> Option<&str> {
        let country = self.code.split('-').next()?;
        let is_country = country.len() == 2 && country.bytes().all(|b| b.is_ascii_uppercase());
        is_country.then_some(country)
    }
}

/// Money given back on an order.
#[derive(Debug, Clone, Deserialize)]
pub struct Refund {
    pub id: i64,
    #[serde(default)]
    pub source_id: Option<String>,
    pub order_id: i64,
    /// Positive, tax included.
    #[serde(deserialize_with = "money::read")]
    pub amount: Decimal,
    #[serde(default)]
    pub reason: Option<String>,
    pub created_at: Timestamp,
    /// Vanished from the order's refunds.
    #[serde(default)]
    pub deleted_at: Option<Timestamp>,
    #[serde(default)]
    pub attributes: Map<String, Value>,
    #[serde(default)]
    pub lines: Vec<RefundLine>,
}

impl Refund {
    /// How this refund is known where it was born.
    pub fn key(&self) -> String {
        self.source_id.clone().unwrap_or_else(|| format!("hub{}", self.id))
    }

    /// What the refund says of its tax by rate id, positive; empty where it says nothing.
    pub fn tax_by_rate(&self) -> Vec<(String, Decimal)> {
        let lines = self.attributes.get("tax_lines").and_then(Value::as_array);
        lines
            .into_iter()
            .flatten()
            .filter_map(|line| {
                let id = line.get("rate_id")?.as_str()?.to_owned();
                let part = |key| line.get(key).and_then(money::from_json).unwrap_or_default();
                Some((id, -(part("tax_total") + part("shipping_tax_total"))))
            })
            .collect()
    }
}

/// One line of a refund, amounts positive.
#[derive(Debug, Clone, Deserialize)]
pub struct RefundLine {
    /// Hub key of the order's line; None: shipping or fee.
    #[serde(default)]
    pub order_line_id: Option<i64>,
    /// `product`, `shipping` or `fee`.
    pub kind: String,
    #[serde(default)]
    pub product_id: Option<i64>,
    #[serde(deserialize_with = "money::read")]
    pub quantity: Decimal,
    #[serde(deserialize_with = "money::read")]
    pub total: Decimal,
    #[serde(deserialize_with = "money::read")]
    pub total_tax: Decimal,
    #[serde(default)]
    pub attributes: Map<String, Value>,
    #[serde(default)]
    pub source_id: Option<String>,
}

/// A postal address in the hub's keys.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Address {
    pub name: Option<String>,
    pub company: Option<String>,
    pub line1: Option<String>,
    pub line2: Option<String>,
    pub city: Option<String>,
    pub region: Option<String>,
    pub postal_code: Option<String>,
    pub country: Option<String>,
}

/// Where somebody lives is nobody's business in a log.
impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Address(..)")
    }
}

/// A person or company who buys.
#[derive(Clone, Deserialize)]
pub struct Customer {
    pub id: i64,
    #[serde(default)]
    pub source_id: Option<String>,
    #[serde(default)]
    pub email: Option<String>,
    pub display_name: String,
    #[serde(default)]
    pub given_name: Option<String>,
    #[serde(default)]
    pub family_name: Option<String>,
    #[serde(default)]
    pub company: Option<String>,
    #[serde(default)]
    pub phone: Option<String>,
    #[serde(default)]
    pub billing_address: Option<Address>,
    #[serde(default)]
    pub shipping_address: Option<Address>,
    #[serde(default)]
    pub is_guest: bool,
    #[serde(default)]
    pub notes: Option<String>,
    #[serde(default)]
    pub deleted_at: Option<Timestamp>,
}

impl std::fmt::Debug for Customer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Customer").field("id", &self.id).field("is_guest", &self.is_guest).finish()
    }
}

/// What is sold.
#[derive(Debug, Clone, Deserialize)]
pub struct Product {
    pub id: i64,
    #[serde(default)]
    pub source_id: Option<String>,
    /// simple, variable, variation, grouped, external, service.
    pub kind: String,
    #[serde(default)]
    pub sku: Option<String>,
    pub name: String,
    #[serde(default)]
    pub description: Option<String>,
    #[serde(default, deserialize_with = "money::read_option")]
    pub price: Option<Decimal>,
    #[serde(default)]
    pub currency: Option<String>,
    #[serde(default)]
    pub track_stock: bool,
}
