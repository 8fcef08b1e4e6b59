//! Customers in the books: found by link or e-mail, never by name, and named so that no name is
//! taken twice (posting policy, Customers; quickbooks.md, 4.1 and 4.2).

use super::company::Company;
use super::input::{Address, Customer};
use super::reason::Reason;
use super::render;
use super::text;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// `DisplayName` holds no more; customers, vendors and employees share one name space.
pub const MAX_NAME: usize = 500;

/// A customer of the company that may be the one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub remote_id: String,
    pub email: Option<String>,
    /// None: the home currency.
    pub currency: Option<String>,
    pub active: bool,
}

/// The search that finds candidates, as data: entity, field and value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    pub entity: &'static str,
    pub field: &'static str,
    pub value: String,
}

/// What to ask for when the link doesn't know the customer; None: nothing identifies it.
pub fn search(customer: &Customer) -> Option<Search> {
    let value = text::email(customer.email.as_deref())?;
    Some(Search { entity: "Customer", field: "PrimaryEmailAddr", value })
}

/// The one among candidates: an e-mail equal without case, active, of that currency. Several need
/// attention; none: a new customer is made.
pub fn find(
    customer: &Customer,
    currency: &str,
    candidates: &[Candidate],
    company: &Company,
) -> Result<Option<String>, Reason> {
    let Some(email) = text::email(customer.email.as_deref()).map(|e| e.to_lowercase()) else {
        return Ok(None);
    };
    let fitting: Vec<&Candidate> = candidates
        .iter()
        .filter(|c| c.active && c.currency.as_deref().unwrap_or(&company.home_currency) == currency)
        .filter(|c| {
            // The field may hold several addresses.
            let addresses = c.email.as_deref().unwrap_or_default().to_lowercase();
            addresses.split(',').any(|address| address.trim() == email)
        })
        .collect();
    match fitting[..] {
        [] => Ok(None),
        [one] => Ok(Some(one.remote_id.clone())),
        _ => Err(Reason::new(
            "several_customers",
            format!(
                "customer {}: {} active customers in QuickBooks have this e-mail in {currency}",
                customer.id,
                fitting.len()
            ),
            "Merge them in QuickBooks, or make all but one inactive.",
        )),
    }
}

/// What makes a name unique: `WC 88` for an account of the shop, `guest 1a2b` for a guest.
/// `more` lengthens a guest's digits.
fn distinction(customer: &Customer, more: usize) -> String {
    match (&customer.source_id, customer.is_guest) {
        (Some(id), false) => format!("WC {id}"),
        (None, false) => format!("hub {}", customer.id),
        (_, true) => {
            let email = customer.email.as_deref().unwrap_or_default().trim().to_lowercase();
            let digest = Sha256::digest(email.as_bytes());
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("guest {}", &hex[..(4 + more).min(hex.len())])
        }
    }
}

/// The name of a new customer: its own, and when that is taken, also by inactive ones, vendors and
/// employees, with what distinguishes it. Foreign currencies stand in it, since a customer has one
/// currency for life. `taken` compares without case.
pub fn display_name(
    customer: &Customer,
    currency: &str,
    company: &Company,
    taken: &dyn Fn(&str) -> bool,
) -> String {
    let foreign = company.multicurrency && currency != company.home_currency;
    let code = if foreign { format!(" {currency}") } else { String::new() };
    let base = [&customer.display_name]
        .into_iter()
        .chain(&customer.company)
        .map(|name| text::name(name, MAX_NAME))
        .find(|name| !name.is_empty())
        .unwrap_or_else(|| "Customer".into());
    let plain = if foreign {
        text::name_with(&base, &format!(" ({currency})"), MAX_NAME)
    } else {
        base.clone()
    };
    if !taken(&plain) {
        return plain;
    }
    for more in [0, 4, 12, 60] {
        let suffix = format!(" ({}{code})", distinction(customer, more));
        let name = text::name_with(&base, &suffix, MAX_NAME);
        if !taken(&name) {
            return name;
        }
    }
    // Only a namesake made on purpose gets here; the hub's key is unique.
    text::name_with(&base, &format!(" (hub {}{code})", customer.id), MAX_NAME)
}

/// How to reach somebody: what customers and vendors have in common. `texts`: field, value, and how
/// many characters it holds. What is empty is left out.
pub fn contact(
    texts: &[(&str, &Option<String>, usize)],
    email: Option<&str>,
    phone: Option<&str>,
    addresses: &[(&str, &Option<Address>)],
) -> Map<String, Value> {
    let mut fields = Map::new();
    for (key, value, max) in texts {
        let value = value.as_deref().map(|v| text::name(v, *max)).unwrap_or_default();
        if !value.is_empty() {
            fields.insert((*key).into(), json!(value));
        }
    }
    if let Some(email) = text::email(email) {
        fields.insert("PrimaryEmailAddr".into(), json!({"Address": email}));
    }
    let phone = phone.map(|p| text::line(p, 30)).unwrap_or_default();
    if !phone.is_empty() {
        fields.insert("PrimaryPhone".into(), json!({"FreeFormNumber": phone}));
    }
    for (key, address) in addresses {
        if let Some(address) = address.as_ref().and_then(render::address) {
            fields.insert((*key).into(), address);
        }
    }
    fields
}

/// The body that creates a customer.
pub fn body(customer: &Customer, name: &str, currency: &str, company: &Company) -> Value {
    let mut body = Map::new();
    body.insert("DisplayName".into(), json!(name));
    body.extend(contact(
        &[
            ("GivenName", &customer.given_name, 100),
            ("FamilyName", &customer.family_name, 100),
            ("CompanyName", &customer.company, 100),
            ("Notes", &customer.notes, 2000),
        ],
        customer.email.as_deref(),
        customer.phone.as_deref(),
        &[("BillAddr", &customer.billing_address), ("ShipAddr", &customer.shipping_address)],
    ));
    if company.multicurrency {
        body.insert("CurrencyRef".into(), json!({"value": currency}));
    }
    Value::Object(body)
}

/// The body that updates a customer: what the hub knows better; name and currency stay.
pub fn update_body(
    customer: &Customer,
    remote_id: &str,
    sync_token: &str,
    company: &Company,
) -> Value {
    let fresh = body(customer, "", &company.home_currency, company);
    let mut update = Map::new();
    update.insert("Id".into(), json!(remote_id));
    update.insert("SyncToken".into(), json!(sync_token));
    update.insert("sparse".into(), json!(true));
    for (key, value) in fresh.as_object().into_iter().flatten() {
        if !matches!(key.as_str(), "DisplayName" | "CurrencyRef") {
            update.insert(key.clone(), value.clone());
        }
    }
    Value::Object(update)
}
