//! Looks after the platforms' webhooks once a day: a shop switches one off after failures and tells
//! nobody.

use crate::store::{PgStore, Watched};
use engine::connector;
use engine::http::HttpContext;
use engine::{Error, Result};
use std::sync::Arc;
use std::time::Duration;

/// How often somebody is looked for whose day has passed.
const ROUND: Duration = Duration::from_secs(3600);

/// Repairs webhooks, for ever. What fails is noted with the connection and tried again a day later.
pub async fn keep(store: Arc<PgStore>, http: Arc<HttpContext>) {
    loop {
        for watched in store.watched().await.unwrap_or_default() {
            let (problem, repaired) = match look(&watched, &http).await {
                Ok(repaired) => (None, repaired),
                Err(error) => (Some(error), None),
            };
            // A store that doesn't answer is asked again in the next round.
            let _ = store.note_webhooks(&watched, problem, repaired).await;
        }
        tokio::time::sleep(ROUND).await;
    }
}

/// What was repaired, in words.
async fn look(watched: &Watched, http: &Arc<HttpContext>) -> Result<Option<String>> {
    let Some(secret) = watched.connection.credentials.get("webhook_secret") else {
        return Err(Error::argument(
            "the connection has no webhook secret",
            "easysync.register_webhooks makes one.",
        ));
    };
    let opened = connector::build(&Arc::new(watched.connection.clone()), http)?;
    let found = opened.keep_webhooks(&watched.url, secret, false).await?;
    let repaired: Vec<String> = found
        .iter()
        .filter(|registration| registration.action != "kept")
        .map(|registration| format!("{} {}", registration.topic, registration.action))
        .collect();
    Ok((!repaired.is_empty()).then(|| repaired.join(", ")))
}
