//! Masking by key, for what has no form of its own.

use super::{MASK, clean, email, masked};
use serde_json::{Map, Value};

/// A copy with personal data and secrets masked: by the key they stand under (also in pairs like
/// `{"key": "_billing_phone", "value": ...}`), and in all other texts by their form. Empty values
/// and nulls stay, so that what is missing shows as such; so do countries and states of addresses.
pub fn json(value: &Value) -> Value {
    masked_under(value, Kind::Plain)
}

/// How a value is masked, by its key.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Plain,
    Email,
    /// The whole value.
    Hidden,
    /// What is inside an address: all but its country and state.
    Address,
}

fn masked_under(value: &Value, kind: Kind) -> Value {
    match value {
        Value::Object(fields) => Value::Object(object(fields, kind)),
        Value::Array(items) => items.iter().map(|item| masked_under(item, kind)).collect(),
        Value::String(text) if text.is_empty() => value.clone(),
        Value::String(text) => Value::String(match kind {
            Kind::Plain if text.len() > super::clean::LONGEST => masked(&clean(text)).into_owned(),
            Kind::Plain => masked(text).into_owned(),
            Kind::Email => email(text),
            Kind::Hidden | Kind::Address => MASK.to_owned(),
        }),
        Value::Number(_) if kind != Kind::Plain => Value::String(MASK.to_owned()),
        other => other.clone(),
    }
}

fn object(fields: &Map<String, Value>, kind: Kind) -> Map<String, Value> {
    // `meta_data` and custom fields: the key is a value.
    let named = ["key", "Name", "name"]
        .iter()
        .find_map(|key| fields.get(*key)?.as_str())
        .map_or(Kind::Plain, Kind::of);
    let under = |key: &str, value: &Value| {
        let own = Kind::of(key);
        let is_value = matches!(key, "value" | "display_value" | "StringValue");
        let kind = match kind {
            Kind::Plain if own == Kind::Plain && is_value => named,
            Kind::Plain => own,
            Kind::Address if plain_in_address(key) => Kind::Plain,
            Kind::Address if own == Kind::Email => own,
            outer => outer,
        };
        (key.to_owned(), masked_under(value, kind))
    };
    fields.iter().map(|(key, value)| under(key, value)).collect()
}

impl Kind {
    /// By a key in any spelling: `first_name`, `firstName`, `_billing_first_name`.
    pub(super) fn of(key: &str) -> Kind {
        let mut name = String::with_capacity(key.len());
        name.extend(
            key.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_lowercase() as char),
        );
        let bare = ["billing", "shipping", "customer"]
            .iter()
            .find_map(|side| name.strip_prefix(side))
            .filter(|bare| !bare.is_empty())
            .unwrap_or(&name);
        if bare.ends_with("email") || bare.ends_with("emailaddr") || bare == "mail" {
            Kind::Email
        } else if ADDRESSES.contains(&name.as_str()) || bare == "address" {
            Kind::Address
        } else if name == "synctoken" {
            // QuickBooks' word for a record's version.
            Kind::Plain
        } else if HIDDEN.contains(&bare) || SECRET_ENDS.iter().any(|end| bare.ends_with(end)) {
            Kind::Hidden
        } else {
            Kind::Plain
        }
    }
}

fn plain_in_address(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    matches!(key.as_str(), "country" | "state" | "countrysubdivisioncode" | "id")
}

/// Objects that are addresses: WooCommerce's, the hub's, QuickBooks'.
const ADDRESSES: [&str; 8] = [
    "billing",
    "shipping",
    "billaddr",
    "shipaddr",
    "shipfromaddr",
    "primaryaddr",
    "otheraddr",
    "addresses",
];

const SECRET_ENDS: [&str; 6] =
    ["secret", "password", "token", "apikey", "signature", "authorization"];

const HIDDEN: [&str; 46] = [
    "address1",
    "address2",
    "addressline1",
    "addressline2",
    "avatarurl",
    "birthday",
    "cardnumber",
    "cell",
    "city",
    "company",
    "companyname",
    "consumerkey",
    "credentials",
    "dateofbirth",
    "displayname",
    "familyname",
    "fax",
    "firstname",
    "freeformnumber",
    "fullname",
    "fullyqualifiedname",
    "givenname",
    "iban",
    "ipaddress",
    "lastname",
    "line1",
    "line2",
    "line3",
    "line4",
    "middlename",
    "mobile",
    "nickname",
    "note",
    "orderkey",
    "phone",
    "phonenumber",
    "postalcode",
    "postcode",
    "printoncheckname",
    "street",
    "surname",
    "taxidentifier",
    "useragent",
    "username",
    "vatnumber",
    "zip",
];
