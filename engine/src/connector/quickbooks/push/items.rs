//! Items: found by link, by SKU or by the name that only we give, or made.

use super::documents::Sale;
use super::people::Resolved;
use super::{Books, Ground, fields, link_of};
use crate::error::{Error, Result};
use crate::model::Entity;
use crate::plan::{Action, Draft, Key, Payload};
use crate::posting::compare;
use crate::posting::input::{self, Product};
use crate::posting::items::{self, Found};
use crate::push::store::{Bundle, Link};
use serde_json::{Value, json};

/// Fields of an item that a changed product changes.
const FOLLOWED: [&str; 3] = ["Name", "Sku", "UnitPrice"];

impl Books {
    /// The item of a product of an order.
    pub(super) fn item_for(
        &self,
        id: i64,
        sale: &Sale,
        bundle: &Bundle,
        ground: &Ground,
    ) -> Result<Resolved> {
        if let Some(link) = link_of(Entity::Products, id, &bundle.links) {
            return Ok((link.remote_id.clone(), None));
        }
        let found = sale.products.iter().find(|(product, _)| product.id == id);
        let (product, same_sku) = found
            .ok_or_else(|| Error::internal(format!("product {id} of an order was not loaded")))?;
        resolve(product, *same_sku, ground)
    }

    /// A product that is asked for by itself, or has moved since it was last sent.
    pub(super) fn draft_product(&self, bundle: &Bundle) -> Result<Vec<Draft>> {
        let Some(record) = &bundle.record else { return Ok(vec![]) };
        let ground = &*self.ground()?;
        let product: Product = input::row(record, "products")?;
        if let Some(link) = link_of(Entity::Products, product.id, &bundle.links) {
            return Ok(update(&product, link, ground).into_iter().collect());
        }
        if !items::is_item(&product, false) {
            let reason = format!("a {} product is sold by its parts", product.kind);
            return Ok(vec![Draft { reason: Some(reason), ..empty(&product) }]);
        }
        let same_sku = serde_json::from_str::<Value>(record)
            .ok()
            .and_then(|row| usize::try_from(row["same_sku"].as_u64()?).ok());
        Ok(match resolve(&product, same_sku.unwrap_or(1), ground) {
            Ok((_, draft)) => draft.into_iter().collect(),
            Err(error) => {
                let reason = Some(error.message.clone());
                vec![Draft { reason, error: Some(error), ..empty(&product) }]
            }
        })
    }
}

pub(super) fn resolve(product: &Product, same_sku: usize, ground: &Ground) -> Result<Resolved> {
    let company = &ground.company;
    let found = items::resolve(product, same_sku, &company.items, &ground.settings, company);
    let body = match found.map_err(|reason| reason.needs_attention())? {
        Found::Item(id) => return Ok((id, None)),
        Found::Create(body) => body,
    };
    // The name bears the product's id: an item of that name is ours, its link was lost.
    let name = body["Name"].as_str().unwrap_or_default();
    let ours = company.items.iter().find(|item| item.active && item.name == name);
    if let Some(item) = ours {
        return Ok((item.id.clone(), None));
    }
    let key = Key::new(Entity::Products, product.id, "");
    let draft = Draft {
        action: Action::Create,
        fields: fields::of_new(&body),
        payload: Some(payload(&key, body)),
        ..empty(product)
    };
    Ok((key.placeholder(), Some(draft)))
}

/// The fields that follow the product.
fn followed(body: &Value) -> Value {
    let members = body.as_object().into_iter().flatten();
    let kept = members.filter(|(name, _)| FOLLOWED.contains(&name.as_str()));
    Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn payload(key: &Key, body: Value) -> Payload {
    let memo = json!({"wanted": followed(&body)});
    Payload::new(key.clone(), body, memo)
}

fn update(product: &Product, link: &Link, ground: &Ground) -> Option<Draft> {
    let agreed: Value = serde_json::from_str(link.agreed.as_deref()?).ok()?;
    let found = items::resolve(product, 0, &[], &ground.settings, &ground.company).ok()?;
    let Found::Create(body) = found else { return None };
    let body = followed(&body);
    let changes = compare::diff(&agreed["sent"], &body);
    if changes.is_empty() {
        return None;
    }
    let key = Key::new(Entity::Products, product.id, "");
    let mut payload = payload(&key, body);
    payload.remote_id = Some(link.remote_id.clone());
    payload.version.clone_from(&link.version);
    payload.revision = link.revision;
    Some(Draft {
        action: Action::Update,
        fields: fields::of(changes),
        payload: Some(payload),
        ..empty(product)
    })
}

fn empty(product: &Product) -> Draft {
    let key = Key::new(Entity::Products, product.id, "");
    let draft = Draft::skip(key, Entity::Products, product.id, "Item", String::new());
    let sku = product.sku.clone().filter(|sku| !sku.trim().is_empty());
    Draft {
        record_id: product.source_id.clone().unwrap_or_else(|| product.id.to_string()),
        label: sku.unwrap_or_else(|| product.name.clone()),
        reason: None,
        ..draft
    }
}
