//! Who is in the company's books: read once for a plan with new customers, one read for each
//! thousand, instead of one or more for each customer.

use crate::connector::quickbooks::client::Api;
use crate::connector::quickbooks::kind::Kind;
use crate::connector::quickbooks::lookup::NAMED;
use crate::connector::quickbooks::query::Select;
use crate::error::Result;
use crate::limits;
use crate::plan::Key;
use crate::posting::customers::Candidate;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{HashMap, HashSet};

/// What QuickBooks puts behind the name of who is made inactive.
const DELETED: &str = " (deleted)";

/// Names and addresses, without case.
#[derive(Default)]
pub struct Directory {
    by_email: HashMap<String, Vec<Candidate>>,
    names: HashSet<String>,
    /// Customers that this plan makes, by address and currency: a second record of the same person
    /// is the same customer.
    planned: HashMap<(String, String), Key>,
    /// Active vendors, id and version, by the account number that we have with them.
    vendors: HashMap<String, Vec<(String, String)>>,
    /// Vendors that this plan makes.
    planned_vendors: HashSet<Key>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Person {
    id: String,
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    primary_email_addr: Option<Address>,
    #[serde(default)]
    currency_ref: Option<Reference>,
    #[serde(default)]
    acct_num: Option<String>,
    #[serde(default)]
    sync_token: String,
    #[serde(default = "yes")]
    active: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Address {
    #[serde(default)]
    address: String,
}

#[derive(Deserialize)]
struct Reference {
    #[serde(default)]
    value: String,
}

fn yes() -> bool {
    true
}

impl Directory {
    /// Reads customers, vendors and employees, inactive ones too: they share one space of names.
    pub async fn read(api: &Api) -> Result<Directory> {
        let mut directory = Directory::default();
        for kind in NAMED {
            let keep = |raw: &RawValue| {
                (serde_json::from_str::<Person>(raw.get()).ok(), limits::kept(raw))
            };
            let (people, _) = api.all_as(&Select::from(kind).with_inactive(), keep).await?;
            people.into_iter().flatten().for_each(|person| directory.add(kind, person));
        }
        Ok(directory)
    }

    fn add(&mut self, kind: Kind, person: Person) {
        let name = person.display_name.trim().to_lowercase();
        // The name that was taken stays so, whatever was put behind it (quickbooks.md, 4.1).
        let taken = name.strip_suffix(DELETED).filter(|_| !person.active);
        self.names.extend(taken.map(str::to_owned));
        self.names.insert(name);
        if let (Kind::Vendor, true, Some(number)) = (kind, person.active, &person.acct_num) {
            self.vendors
                .entry(number.trim().to_owned())
                .or_default()
                .push((person.id.clone(), person.sync_token.clone()));
        }
        let email = person.primary_email_addr.map(|email| email.address).unwrap_or_default();
        if kind != Kind::Customer || email.trim().is_empty() {
            return;
        }
        let candidate = Candidate {
            remote_id: person.id,
            email: Some(email.clone()),
            currency: person.currency_ref.map(|currency| currency.value),
            active: person.active,
        };
        for one in email.to_lowercase().split(',') {
            self.by_email.entry(one.trim().to_owned()).or_default().push(candidate.clone());
        }
    }

    /// Customers with that address.
    pub fn candidates(&self, email: &str) -> &[Candidate] {
        self.by_email.get(&email.trim().to_lowercase()).map_or(&[], Vec::as_slice)
    }

    pub fn is_taken(&self, name: &str) -> bool {
        self.names.contains(&name.trim().to_lowercase())
    }

    /// The customer that this plan makes for the address.
    pub fn planned(&self, email: &str, currency: &str) -> Option<&Key> {
        self.planned.get(&(email.trim().to_lowercase(), currency.to_owned()))
    }

    /// Active vendors with whom we have that account number.
    pub fn vendors_numbered(&self, number: &str) -> &[(String, String)] {
        self.vendors.get(number.trim()).map_or(&[], Vec::as_slice)
    }

    pub fn is_planned(&self, vendor: &Key) -> bool {
        self.planned_vendors.contains(vendor)
    }

    /// Notes a vendor that is planned.
    pub fn plan_named(&mut self, name: &str, vendor: &Key) {
        self.names.insert(name.trim().to_lowercase());
        self.planned_vendors.insert(vendor.clone());
    }

    /// Notes a customer that is planned.
    pub fn plan(&mut self, name: &str, email: Option<&str>, currency: &str, key: &Key) {
        self.names.insert(name.trim().to_lowercase());
        if let Some(email) = email.filter(|email| !email.trim().is_empty()) {
            let place = (email.trim().to_lowercase(), currency.to_owned());
            self.planned.insert(place, key.clone());
        }
    }
}
