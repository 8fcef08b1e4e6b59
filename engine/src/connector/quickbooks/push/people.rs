//! Customers: found by link or address, never by name, or made.

use super::directory::Directory;
use super::{Books, Ground, fields};
use crate::error::{Error, Result};
use crate::mask;
use crate::model::Entity;
use crate::plan::{Action, Draft, Key, Payload};
use crate::posting::compare;
use crate::posting::customers;
use crate::posting::input::{self, Customer};
use crate::push::store::{Bundle, Link};
use serde_json::{Value, json};
use tokio::sync::{MappedMutexGuard, MutexGuard};

/// An id or a placeholder, and the change that makes it where one is needed.
pub(super) type Resolved = (String, Option<Draft>);

/// Fields that a customer keeps as it was made: it has one currency for life, and its name may have
/// been made unique.
const FOR_LIFE: [&str; 2] = ["DisplayName", "CurrencyRef"];

impl Books {
    /// The customer of a document. The inner error is the customer's, the outer one the plan's.
    pub(super) async fn customer_for(
        &self,
        customer: &Customer,
        currency: &str,
        bundle: &Bundle,
        ground: &Ground,
    ) -> Result<Result<Resolved, Error>> {
        let of = |link: &&Link| link.hub_id == customer.id && currency_of(link, ground) == currency;
        if let Some(link) = customer_links(&bundle.links).find(of) {
            return Ok(Ok((link.remote_id.clone(), None)));
        }
        let mut directory = self.directory().await?;
        Ok(resolve(customer, currency, &mut directory, ground))
    }

    /// Who is in the books; read when it is first asked for.
    pub(super) async fn directory(&self) -> Result<MappedMutexGuard<'_, Directory>> {
        let mut directory = self.directory.lock().await;
        if directory.is_none() {
            *directory = Some(Directory::read(&self.api).await?);
        }
        MutexGuard::try_map(directory, Option::as_mut)
            .map_err(|_| Error::internal("a directory was read and is not there"))
    }

    /// A customer that is asked for by itself, or has moved since it was last sent.
    pub(super) async fn draft_customer(&self, bundle: &Bundle) -> Result<Vec<Draft>> {
        let Some(record) = &bundle.record else { return Ok(vec![]) };
        let ground = &*self.ground()?;
        let customer: Customer = input::row(record, "customers")?;
        let own = customer_links(&bundle.links).filter(|link| link.hub_id == customer.id);
        let links: Vec<&Link> = own.collect();
        if links.is_empty() {
            let home = &ground.company.home_currency;
            return Ok(match self.customer_for(&customer, home, bundle, ground).await? {
                Ok((_, draft)) => draft.into_iter().collect(),
                Err(error) => vec![failed(&customer, error)],
            });
        }
        Ok(links.into_iter().filter_map(|link| update(&customer, link, ground)).collect())
    }
}

fn customer_links(links: &[Link]) -> impl Iterator<Item = &Link> {
    links.iter().filter(|link| link.entity == Entity::Customers && !link.deleted)
}

fn agreed(link: &Link) -> Value {
    let read = link.agreed.as_deref().and_then(|text| serde_json::from_str(text).ok());
    read.unwrap_or_default()
}

fn currency_of(link: &Link, ground: &Ground) -> String {
    let agreed = agreed(link);
    agreed["currency"].as_str().unwrap_or(&ground.company.home_currency).to_owned()
}

fn key(customer: &Customer, currency: &str, ground: &Ground) -> Key {
    let part = if currency == ground.company.home_currency { "" } else { currency };
    Key::new(Entity::Customers, customer.id, part)
}

fn resolve(
    customer: &Customer,
    currency: &str,
    directory: &mut Directory,
    ground: &Ground,
) -> Result<Resolved, Error> {
    let key = key(customer, currency, ground);
    if let Some(search) = customers::search(customer) {
        if let Some(planned) = directory.planned(&search.value, currency) {
            return Ok((planned.placeholder(), None));
        }
        let candidates = directory.candidates(&search.value);
        let found = customers::find(customer, currency, candidates, &ground.company);
        if let Some(id) = found.map_err(|reason| reason.needs_attention())? {
            return Ok((id, None));
        }
    }
    let company = &ground.company;
    let name =
        customers::display_name(customer, currency, company, &|name| directory.is_taken(name));
    let body = customers::body(customer, &name, currency, company);
    directory.plan(&name, customer.email.as_deref(), currency, &key);
    let draft = Draft {
        action: Action::Create,
        fields: fields::of_new(&body),
        payload: Some(payload(&key, body, currency)),
        ..empty(customer, key.clone())
    };
    Ok((key.placeholder(), Some(draft)))
}

fn payload(key: &Key, body: Value, currency: &str) -> Payload {
    let mut wanted = body.clone();
    if let Some(members) = wanted.as_object_mut() {
        FOR_LIFE.iter().for_each(|name| drop(members.remove(*name)));
    }
    Payload::new(key.clone(), body, json!({"currency": currency, "wanted": wanted}))
}

/// What the hub knows better, since it was last sent.
fn update(customer: &Customer, link: &Link, ground: &Ground) -> Option<Draft> {
    let currency = currency_of(link, ground);
    let mut body = customers::body(customer, "", &currency, &ground.company);
    let members = body.as_object_mut()?;
    FOR_LIFE.iter().for_each(|name| drop(members.remove(*name)));
    let changes = compare::diff(&agreed(link)["sent"], &body);
    if changes.is_empty() {
        return None;
    }
    let key = key(customer, &currency, ground);
    let mut payload = payload(&key, body, &currency);
    payload.remote_id = Some(link.remote_id.clone());
    payload.version.clone_from(&link.version);
    payload.revision = link.revision;
    Some(Draft {
        action: Action::Update,
        fields: fields::of(changes),
        payload: Some(payload),
        ..empty(customer, key)
    })
}

fn failed(customer: &Customer, error: Error) -> Draft {
    let key = Key::new(Entity::Customers, customer.id, "");
    Draft { reason: Some(error.message.clone()), error: Some(error), ..empty(customer, key) }
}

fn empty(customer: &Customer, key: Key) -> Draft {
    let draft = Draft::skip(key, Entity::Customers, customer.id, "Customer", String::new());
    let id = customer.source_id.clone().unwrap_or_else(|| customer.id.to_string());
    let label = customer.email.as_deref().map_or_else(|| format!("customer {id}"), mask::text);
    Draft { record_id: id, label, reason: None, ..draft }
}
