//! Takes stored deliveries: verifies them, gathers their hints, queues the fetches.

use super::{
    Account, Delivery, Fetch, Gathering, Hint, Key, Open, Settled, Verdict, WebhookStore, judge,
};
use crate::error::Result;
use crate::model::TenantId;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The longest sleep: a delivery that was committed by somebody else's `COMMIT PREPARED` wakes
/// nobody.
const LONGEST: Duration = Duration::from_secs(3600);

/// After the store refused to answer.
const STORE_PAUSE: Duration = Duration::from_secs(2);

/// What waits to be fetched, by tenant.
type Gatherings = HashMap<TenantId, Gathering>;

/// The worker's letter box.
pub struct Intake {
    pub store: Arc<dyn WebhookStore>,
}

impl Intake {
    /// Takes deliveries, for ever.
    pub async fn run(self) {
        let mut gatherings = Gatherings::default();
        // What an earlier worker had accepted and not fetched is taken up first.
        let mut all = true;
        loop {
            let Ok(until) = self.look(&mut gatherings, all).await else {
                tokio::time::sleep(STORE_PAUSE).await;
                // What was held in memory is still to be found in the table.
                (gatherings, all) = (Gatherings::default(), true);
                continue;
            };
            all = false;
            tokio::select! {
                biased;
                () = self.store.deliveries_changed() => {}
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }

    /// Takes what is there; when to look again.
    async fn look(&self, gatherings: &mut Gatherings, all: bool) -> Result<Instant> {
        let mut after = HashMap::new();
        loop {
            let open = self.store.open_deliveries(all, after.clone()).await?;
            let settled = judge_all(&open, gatherings);
            let now = Instant::now();
            let (fetches, due) = take_due(gatherings, &open, now);
            if !settled.is_empty() || !fetches.is_empty() {
                self.store.settle(settled, fetches).await?;
            }
            if !open.more {
                gatherings.retain(|_, gathering| !gathering.is_over(now));
                let retry = open.next_retry.map(|wait| now + wait);
                return Ok([due, retry].into_iter().flatten().min().unwrap_or(now + LONGEST));
            }
            after.extend(open.deliveries.into_iter().map(|d| (d.tenant, d.event_id)));
        }
    }
}

/// The fetches that are due, and when the next one of the others is.
fn take_due(
    gatherings: &mut Gatherings,
    open: &Open,
    now: Instant,
) -> (Vec<Fetch>, Option<Instant>) {
    let (mut fetches, mut next) = (vec![], None);
    for (tenant, gathering) in gatherings {
        match gathering.due(open.fetching.contains(tenant), now) {
            Some(at) if at <= now => fetches.extend(gathering.take()),
            at => next = [next, at].into_iter().flatten().min(),
        }
    }
    (fetches, next)
}

fn judge_all(open: &Open, gatherings: &mut Gatherings) -> Vec<Settled> {
    let accounts = |delivery: &Delivery| {
        open.accounts.get(&delivery.tenant).map(Vec::as_slice).unwrap_or_default()
    };
    open.deliveries
        .iter()
        .filter_map(|delivery| {
            let gathering = gatherings.entry(delivery.tenant.clone()).or_default();
            settle(delivery, accounts(delivery), gathering)
        })
        .collect()
}

/// None: it has to wait.
fn settle(delivery: &Delivery, accounts: &[Account], gathering: &mut Gathering) -> Option<Settled> {
    let end = |status, topic: Option<String>, reason: String| Settled {
        event_id: delivery.event_id,
        status,
        reason: Some(reason),
        topic,
        hints: vec![],
        kept: false,
        same_as: None,
    };
    let Some(account) = accounts.iter().find(|a| a.connection.as_str() == delivery.connection)
    else {
        return Some(end("rejected", None, "unknown connection".into()));
    };
    let headers = match &delivery.headers {
        Ok(headers) => headers,
        Err(reason) => return Some(end("rejected", None, reason.clone())),
    };
    let secret = account.credentials.as_ref()?;
    Some(match judge(&account.connector, secret, headers, &delivery.body) {
        Verdict::Ping => end("ignored", None, "ping".into()),
        Verdict::Rejected(reason) => end("rejected", None, reason),
        Verdict::Ignored(topic, reason) => end("ignored", topic, reason),
        Verdict::Accepted(topic, hints) => {
            accept(delivery, account, accounts, gathering, topic, hints)
        }
    })
}

/// A genuine delivery: its hints go where they belong.
fn accept(
    delivery: &Delivery,
    account: &Account,
    accounts: &[Account],
    gathering: &mut Gathering,
    topic: String,
    hints: Vec<Hint>,
) -> Settled {
    let mut settled = Settled {
        event_id: delivery.event_id,
        status: "accepted",
        reason: None,
        topic: Some(topic),
        hints: hints.clone(),
        kept: false,
        same_as: None,
    };
    // A delivery may speak of several companies; those that nobody connected are nobody's business.
    let places: Vec<(&Account, &Hint)> = hints
        .iter()
        .filter_map(|hint| {
            let place = match &hint.account {
                None => Some(account),
                Some(key) => {
                    accounts.iter().find(|a| a.key == *key && a.connector == account.connector)
                }
            };
            Some((place?, hint))
        })
        .collect();
    let ended = |settled: Settled, reason: &str| Settled {
        status: "ignored",
        reason: Some(reason.into()),
        ..settled
    };
    if places.is_empty() {
        return ended(settled, "no connection to the account that it speaks of");
    }
    let acted_on: Vec<_> = places.into_iter().filter(|(place, _)| place.enabled).collect();
    if acted_on.is_empty() {
        return ended(settled, "webhooks are switched off");
    }
    if let Some((place, _)) = acted_on.iter().find(|(place, _)| !place.connected) {
        settled.reason = Some(format!("kept: \"{}\" is not connected now", place.connection));
        settled.kept = true;
        return settled;
    }
    let now = Instant::now();
    let (mut twin, mut fresh) = (None, false);
    for (place, hint) in acted_on {
        let key = Key {
            tenant: delivery.tenant.clone(),
            connection: place.connection.clone(),
            entity: hint.entity,
        };
        let (id, event) = (&hint.id, delivery.event_id);
        let same = gathering.same_as(&key, id, &delivery.body, event, now);
        // What waits still is fetched once anyway, and ends with this delivery, too.
        match same.filter(|_| !gathering.waits(&key, id)) {
            Some(event) => twin = Some(event),
            None => {
                gathering.add(key, hint, event, now);
                fresh = true;
            }
        }
    }
    settled.same_as = twin.filter(|_| !fresh);
    settled
}
