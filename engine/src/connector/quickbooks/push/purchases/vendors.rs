//! Vendors: found by their link, then by our account number with them, never by name, or made.

use super::super::people::Resolved;
use super::super::{Books, Ground, fields};
use super::{attention, failed, link_of, on, payload, sent};
use crate::error::{Error, Result};
use crate::model::Entity;
use crate::plan::{Action, Draft, Key};
use crate::posting::customers::{self, MAX_NAME};
use crate::posting::input::{self, Address};
use crate::posting::{compare, text};
use crate::push::store::{Bundle, Link};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Deserialize)]
struct Vendor {
    id: i64,
    source_id: Option<String>,
    display_name: String,
    email: Option<String>,
    company: Option<String>,
    phone: Option<String>,
    address: Option<Address>,
    account_number: Option<String>,
    currency: Option<String>,
    active: bool,
    deleted_at: Option<Timestamp>,
}

impl Vendor {
    fn is_used(&self) -> bool {
        self.active && self.deleted_at.is_none()
    }

    fn currency<'a>(&'a self, ground: &'a Ground) -> &'a str {
        self.currency.as_deref().unwrap_or(&ground.company.home_currency)
    }

    fn key(&self) -> Key {
        Key::new(Entity::Vendors, self.id, "")
    }

    fn draft(&self) -> Draft {
        let draft = Draft::skip(self.key(), Entity::Vendors, self.id, "Vendor", String::new());
        let record_id = self.source_id.clone().unwrap_or_else(|| self.id.to_string());
        Draft { record_id, label: self.display_name.clone(), reason: None, ..draft }
    }

    /// What follows the hub; the name and the currency stay as they were made.
    fn wanted(&self) -> Map<String, Value> {
        let mut body = customers::contact(
            &[("CompanyName", &self.company, 100), ("AcctNum", &self.account_number, 100)],
            self.email.as_deref(),
            self.phone.as_deref(),
            &[("BillAddr", &self.address)],
        );
        body.insert("Active".into(), json!(true));
        body
    }
}

impl Books {
    /// A vendor, made, kept in step, or made inactive where it isn't used here any more.
    pub(in super::super) async fn draft_vendor(&self, bundle: &Bundle) -> Result<Vec<Draft>> {
        let Some(record) = &bundle.record else { return Ok(vec![]) };
        let vendor: Vendor = input::row(record, "vendors")?;
        let ground = &*self.ground()?;
        let Some(link) = link_of(Entity::Vendors, vendor.id, &bundle.links) else {
            if !vendor.is_used() {
                return Ok(vec![]);
            }
            return Ok(match self.make_vendor(&vendor, ground).await? {
                Ok((_, draft)) => draft.into_iter().collect(),
                Err(error) => failed(vendor.draft(), error),
            });
        };
        Ok(vendor_change(&vendor, link).into_iter().collect())
    }

    /// The vendor of a bill. The inner error is the vendor's, the outer one the plan's.
    pub(super) async fn vendor_for(
        &self,
        vendor_id: i64,
        bundle: &Bundle,
        ground: &Ground,
    ) -> Result<Result<Resolved, Error>> {
        if let Some(link) = link_of(Entity::Vendors, vendor_id, &bundle.links) {
            return Ok(Ok((link.remote_id.clone(), None)));
        }
        let Some(row) = bundle.customer.as_deref() else {
            return Err(Error::internal("the vendor of a bill was not loaded"));
        };
        self.make_vendor(&input::row(row, "vendors")?, ground).await
    }

    async fn make_vendor(
        &self,
        vendor: &Vendor,
        ground: &Ground,
    ) -> Result<Result<Resolved, Error>> {
        let currency = vendor.currency(ground);
        if !ground.company.takes(currency) {
            let message =
                format!("vendor {}: the company keeps no books in {currency}", vendor.display_name);
            let hint = "Switch multicurrency on in QuickBooks, or correct the vendor's currency.";
            return Ok(Err(attention("currency_off", message, hint)));
        }
        let mut directory = self.directory().await?;
        let key = vendor.key();
        if directory.is_planned(&key) {
            return Ok(Ok((key.placeholder(), None)));
        }
        if let Some(number) = vendor.account_number.as_deref().filter(|n| !n.trim().is_empty()) {
            match directory.vendors_numbered(number) {
                [] => {}
                [(id, version)] => {
                    let (id, version) = (id.clone(), version.clone());
                    directory.plan_named(&vendor.display_name, &key);
                    return Ok(Ok((id.clone(), Some(adoption(vendor, &id, &version)))));
                }
                several => {
                    let message = format!(
                        "vendor {}: {} active vendors in QuickBooks have the account number {number}",
                        vendor.display_name,
                        several.len()
                    );
                    let hint = "Merge them in QuickBooks, or make all but one inactive.";
                    return Ok(Err(attention("several_vendors", message, hint)));
                }
            }
        }
        let mut name = text::name(&vendor.display_name, MAX_NAME);
        if directory.is_taken(&name) {
            name = text::name_with(&name, &format!(" (vendor {})", vendor.id), MAX_NAME);
        }
        directory.plan_named(&name, &key);
        let wanted = vendor.wanted();
        let mut body = wanted.clone();
        body.remove("Active");
        body.insert("DisplayName".into(), json!(name));
        if ground.company.multicurrency {
            body.insert("CurrencyRef".into(), json!({"value": currency}));
        }
        let body = Value::Object(body);
        let draft = Draft {
            action: Action::Create,
            fields: fields::of_new(&body),
            payload: Some(payload(&key, body, Value::Object(wanted))),
            ..vendor.draft()
        };
        Ok(Ok((key.placeholder(), Some(draft))))
    }
}

/// Found by its account number: it is tied to the hub's by the first write to it.
fn adoption(vendor: &Vendor, id: &str, version: &str) -> Draft {
    let wanted = Value::Object(vendor.wanted());
    let mut payload = payload(&vendor.key(), wanted.clone(), wanted.clone());
    payload.remote_id = Some(id.to_owned());
    payload.version = Some(version.to_owned());
    Draft {
        action: Action::Update,
        fields: fields::of_new(&wanted),
        payload: Some(payload),
        reason: Some("found by its account number".into()),
        ..vendor.draft()
    }
}

fn vendor_change(vendor: &Vendor, link: &Link) -> Option<Draft> {
    let before = sent(link);
    if !vendor.is_used() {
        if before["Active"] == json!(false) {
            return None;
        }
        let off = json!({"Active": false});
        let fields = json!({"Active": {"old": true, "new": false}});
        return Some(Draft {
            action: Action::Inactivate,
            fields: fields.as_object().cloned().unwrap_or_default(),
            payload: Some(on(link, payload(&vendor.key(), json!({}), off))),
            ..vendor.draft()
        });
    }
    let wanted = Value::Object(vendor.wanted());
    let changes = compare::diff(&before, &wanted);
    if changes.is_empty() {
        return None;
    }
    Some(Draft {
        action: Action::Update,
        fields: fields::of(changes),
        payload: Some(on(link, payload(&vendor.key(), wanted.clone(), wanted))),
        ..vendor.draft()
    })
}
