//! What waits to be delivered to each app, and when it is tried again.

use super::payload;
use crate::quickbooks::company::Company;
use crate::quickbooks::oauth::{App, Grants};
use crate::quickbooks::rules::Mishap;
use crate::quickbooks::world::World;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, VecDeque};

/// Seconds from one attempt to the next; the last goes on for ever.
const LADDER: [i64; 9] = [10, 20, 30, 300, 1_200, 7_200, 14_400, 21_600, 21_600];

/// An app's address for webhooks, and what waits for it.
#[derive(Clone, Default)]
pub struct Subscription {
    pub url: String,
    /// By company: how many of its events were taken.
    heard: BTreeMap<String, usize>,
    queue: VecDeque<Delivery>,
    last: u64,
}

/// One delivery, the same at every attempt.
#[derive(Clone, Debug)]
pub struct Delivery {
    client_id: String,
    number: u64,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    attempts: usize,
    due: Timestamp,
}

impl Subscription {
    /// Hears everything that happens from now on.
    pub fn new(url: &str, companies: &BTreeMap<String, Company>) -> Self {
        let heard = companies.iter().map(|(realm, c)| (realm.clone(), c.events.len())).collect();
        Subscription { url: url.to_owned(), heard, ..Subscription::default() }
    }

    /// How many deliveries wait, the one that is tried again first.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// How often the first one was tried.
    pub fn attempts(&self) -> usize {
        self.queue.front().map_or(0, |delivery| delivery.attempts)
    }
}

/// The deliveries to be tried now: the first of each app, since later ones wait behind it.
pub fn due(world: &mut World, now: Timestamp) -> Vec<Delivery> {
    let World { apps, companies, grants, .. } = world;
    let mut due = vec![];
    for app in apps.iter_mut() {
        collect(app, companies, grants, now);
        let first = app.webhooks.as_ref().and_then(|s| s.queue.front());
        due.extend(first.filter(|delivery| delivery.due <= now).cloned());
    }
    due
}

/// Turns events that are old enough into deliveries.
fn collect(app: &mut App, companies: &BTreeMap<String, Company>, grants: &Grants, now: Timestamp) {
    let Some(mut subscription) = app.webhooks.take() else { return };
    let mut ripe: Vec<&Company> = vec![];
    for company in companies.values() {
        let heard = subscription.heard.entry(company.realm.clone()).or_default();
        if !grants.connected(&app.client_id, &company.realm) {
            *heard = company.events.len();
            continue;
        }
        let delay = SignedDuration::from_secs(company.rules.webhook_delay_seconds);
        let oldest = company.events.get(*heard).map(|event| event.at);
        if oldest.is_some_and(|at| now.duration_since(at) >= delay) {
            ripe.push(company);
        }
    }
    let mixed = ripe.iter().all(|company| company.rules.webhook_mixed_realms);
    let groups: Vec<Vec<&Company>> = match mixed {
        true => vec![ripe],
        false => ripe.into_iter().map(|company| vec![company]).collect(),
    };
    for group in groups.into_iter().filter(|group| !group.is_empty()) {
        pack(app, &mut subscription, &group, now);
    }
    app.webhooks = Some(subscription);
}

fn pack(app: &App, subscription: &mut Subscription, group: &[&Company], now: Timestamp) {
    let rules = &group[0].rules;
    let has = |mishap: Mishap| rules.webhook_mishaps.contains(&mishap);
    let mut told = vec![];
    for company in group {
        let heard = subscription.heard.entry(company.realm.clone()).or_default();
        told.extend(payload::told(company, &company.events[*heard..]));
        *heard = company.events.len();
    }
    if has(Mishap::Reorder) {
        told.reverse();
    }
    if told.is_empty() || has(Mishap::Drop) {
        return;
    }
    for _ in 0..if has(Mishap::Duplicate) { 2 } else { 1 } {
        subscription.last += 1;
        let number = subscription.last;
        let (headers, body) = payload::written(&told, &app.verifier_token, rules, now, number);
        subscription.queue.push_back(Delivery {
            client_id: app.client_id.clone(),
            number,
            url: subscription.url.clone(),
            headers,
            body,
            attempts: 0,
            due: now,
        });
    }
}

/// Ends a delivery that was heard; another one is tried again later.
pub fn settle(world: &mut World, delivery: &Delivery, heard: bool, now: Timestamp) {
    let app = world.apps.iter_mut().find(|app| app.client_id == delivery.client_id);
    let Some(subscription) = app.and_then(|app| app.webhooks.as_mut()) else { return };
    let Some(first) = subscription.queue.front_mut().filter(|d| d.number == delivery.number) else {
        return;
    };
    if heard {
        subscription.queue.pop_front();
        return;
    }
    let wait = LADDER[first.attempts.min(LADDER.len() - 1)];
    first.attempts += 1;
    first.due = now.checked_add(SignedDuration::from_secs(wait)).unwrap_or(now);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quickbooks::kind::Kind;
    use crate::quickbooks::rules::Rules;
    use crate::quickbooks::webhooks::Event;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_795_478_400 + seconds).unwrap()
    }

    /// A company with an app that hears of it.
    fn world() -> (World, String) {
        let mut world = World::new(1);
        let realm = world.add_company("us_single", None, Rules::default(), at(0)).unwrap();
        let app = world.apps[0].client_id.clone();
        world.grants.grant(&app, &realm, &Rules::default(), at(0));
        let subscription = Subscription::new("http://127.0.0.1:1/", &world.companies);
        world.apps[0].webhooks = Some(subscription);
        (world, realm)
    }

    fn happen(world: &mut World, realm: &str, id: u64, seconds: i64) {
        let event = Event::new((Kind::Invoice, id), "created", at(seconds));
        world.companies.get_mut(realm).unwrap().events.push(event);
    }

    #[test]
    fn a_failed_delivery_climbs_the_ladder_and_holds_up_the_rest() {
        let (mut world, realm) = world();
        happen(&mut world, &realm, 1, 0);
        assert!(due(&mut world, at(1)).is_empty(), "aggregated for two seconds");
        let mut now = 2;
        let first = due(&mut world, at(now)).remove(0);
        for (attempt, wait) in
            [10, 20, 30, 300, 1_200, 7_200, 14_400, 21_600, 21_600, 21_600].into_iter().enumerate()
        {
            let again = due(&mut world, at(now)).remove(0);
            assert_eq!((again.attempts, &again.body), (attempt, &first.body), "the same bytes");
            settle(&mut world, &again, false, at(now));
            happen(&mut world, &realm, 2, now);
            assert!(due(&mut world, at(now + wait - 1)).is_empty(), "attempt {attempt}");
            now += wait;
        }
        let last = due(&mut world, at(now)).remove(0);
        settle(&mut world, &last, true, at(now));
        let next = due(&mut world, at(now)).remove(0);
        assert!(next.body.contains("\"intuitentityid\":\"2\""), "then come the later ones");
    }

    #[test]
    fn events_before_the_subscription_or_without_a_grant_are_not_told() {
        let (mut world, realm) = world();
        let other = world.add_company("uk", None, Rules::default(), at(0)).unwrap();
        happen(&mut world, &other, 7, 0);
        assert!(due(&mut world, at(60)).is_empty());
        world.grants.grant(&world.apps[0].client_id.clone(), &other, &Rules::default(), at(60));
        assert!(due(&mut world, at(120)).is_empty(), "only what happens after connecting");
        happen(&mut world, &other, 8, 130);
        happen(&mut world, &realm, 9, 130);
        let both = due(&mut world, at(140));
        assert_eq!(both.len(), 1, "several companies in one delivery");
        assert!(both[0].body.contains(&other) && both[0].body.contains(&realm));
    }
}
