//! The shop's webhooks: made, repaired, and their health read back. WooCommerce switches one off
//! after failures and tells nobody (woocommerce.md, section 10.5).

use super::WooCommerce;
use super::client::Api;
use crate::connector::Registration;
use crate::error::Result;
use crate::limits::WalkGuard;
use serde::Deserialize;
use serde_json::json;

/// What we want to be told: every change, and the hard deletes that only actions tell of (10.10).
const TOPICS: [&str; 14] = [
    "order.created",
    "order.updated",
    "order.deleted",
    "order.restored",
    "product.created",
    "product.updated",
    "product.deleted",
    "product.restored",
    "customer.created",
    "customer.updated",
    "customer.deleted",
    "action.woocommerce_delete_order",
    "action.woocommerce_delete_product",
    "action.woocommerce_delete_product_variation",
];

const PATH: &str = "wc/v3/webhooks";

/// Pages of webhooks that are read: a hundred on each.
const MOST_PAGES: u64 = 20;

#[derive(Debug, Deserialize)]
struct Hook {
    id: u64,
    #[serde(default)]
    status: String,
    #[serde(default)]
    topic: String,
    #[serde(default)]
    delivery_url: String,
}

impl WooCommerce {
    /// Makes what is missing of the webhooks to `url` and repairs what doesn't deliver; other
    /// webhooks of the shop are left alone. The API never shows a secret: with `resecret` each one is
    /// given `secret`, without only those that are made.
    pub(super) async fn keep_webhooks(
        &self,
        url: &str,
        secret: &str,
        resecret: bool,
    ) -> Result<Vec<Registration>> {
        let api = &self.shop.api;
        let hooks: Vec<Hook> =
            hooks(api).await?.into_iter().filter(|hook| hook.delivery_url == url).collect();
        let mut done = vec![];
        for topic in TOPICS {
            let mut own = hooks.iter().filter(|hook| hook.topic == topic);
            let registration = match own.next() {
                Some(hook) => keep(api, hook, url, secret, resecret).await?,
                None => made(make(api, topic, url, secret).await?, "created", None),
            };
            done.push(registration);
            // Two of a kind would deliver everything twice.
            for twin in own {
                api.delete(&format!("{PATH}/{}", twin.id)).await?;
            }
        }
        Ok(done)
    }
}

async fn hooks(api: &Api) -> Result<Vec<Hook>> {
    let mut found: Vec<Hook> = vec![];
    let mut guard = WalkGuard::up_to(MOST_PAGES);
    for page in 1.. {
        let query = [("per_page", "100".to_owned()), ("page", page.to_string())];
        let answer = api.get(PATH, &query).await?;
        let (raws, _) = answer.list()?;
        let before = found.len();
        for raw in &raws {
            // One that can't be read is none of ours.
            let hook = serde_json::from_str::<Hook>(raw.get()).ok();
            found.extend(hook.filter(|hook| found.iter().all(|known| known.id != hook.id)));
        }
        guard.page(raws.len(), found.len() > before)?;
        if raws.len() < 100 {
            break;
        }
    }
    Ok(found)
}

async fn keep(
    api: &Api,
    hook: &Hook,
    url: &str,
    secret: &str,
    resecret: bool,
) -> Result<Registration> {
    if hook.status != "active" {
        // Switched on again it would keep its count of failures, and the next one would disable it
        // at once (10.5): a new one counts from the start.
        api.delete(&format!("{PATH}/{}", hook.id)).await?;
        let was = format!("it was {}", hook.status);
        return Ok(made(make(api, &hook.topic, url, secret).await?, "repaired", Some(was)));
    }
    if resecret {
        api.put(&format!("{PATH}/{}", hook.id), &json!({ "secret": secret })).await?;
    }
    let kept = Hook {
        id: hook.id,
        status: hook.status.clone(),
        topic: hook.topic.clone(),
        delivery_url: String::new(),
    };
    Ok(made(kept, "kept", None))
}

async fn make(api: &Api, topic: &str, url: &str, secret: &str) -> Result<Hook> {
    let body = json!({
        "name": format!("easysync: {topic}"),
        "topic": topic,
        "delivery_url": url,
        "secret": secret,
        "status": "active",
    });
    api.post(PATH, &body).await
}

fn made(hook: Hook, action: &'static str, message: Option<String>) -> Registration {
    Registration {
        topic: hook.topic,
        webhook_id: hook.id.to_string(),
        status: hook.status,
        action,
        message,
    }
}
