//! Holds hints together for a moment, so that a record is fetched once and not for each of the
//! deliveries that speak of it.
//!
//! A single change is fetched at once. What comes while a fetch is under way waits for its end; when
//! that is more than a change or two, it is a burst, and a burst is let run out before it is fetched.

use super::Hint;
use crate::model::{ConnectionName, Entity, TenantId};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;
use tokio::time::Instant;

/// A burst is over when nothing came for so long.
pub const QUIET: Duration = Duration::from_millis(250);

/// Nothing waits longer than this for a burst to be over.
const LONGEST: Duration = Duration::from_secs(5);

/// So many deliveries at once are no burst yet: creating an order makes two.
const FEW: usize = 2;

/// The most records held: then they are fetched, burst or not.
const MOST_RECORDS: usize = 10_000;

/// For how long a delivery that says the same as the one before it is nothing new.
const SAME: Duration = Duration::from_secs(10);

/// Whose records are fetched together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub tenant: TenantId,
    pub connection: ConnectionName,
    pub entity: Entity,
}

/// Records to fetch, and the deliveries that speak of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    pub key: Key,
    pub ids: Vec<String>,
    pub event_ids: Vec<i64>,
}

#[derive(Debug, Default)]
struct Pending {
    ids: BTreeSet<String>,
    event_ids: BTreeSet<i64>,
}

/// Hints of one tenant that wait to be fetched: another's burst holds up none of them.
#[derive(Debug, Default)]
pub struct Gathering {
    pending: BTreeMap<Key, Pending>,
    deliveries: usize,
    burst: bool,
    first: Option<Instant>,
    last: Option<Instant>,
    /// The last delivery of a record: what it said, and which it was.
    said: HashMap<(Key, String), (Instant, [u8; 32], i64)>,
    /// When `said` was last cleared of what is too old: each delivery would walk through all.
    cleared: Option<Instant>,
}

impl Gathering {
    /// Says whether the delivery that came last for this record said just the same a moment ago; the
    /// answer is that delivery. Delivery ids can't tell: different deliveries share them
    /// (woocommerce.md, section 10.3).
    pub fn same_as(
        &mut self,
        key: &Key,
        id: &str,
        body: &str,
        event: i64,
        now: Instant,
    ) -> Option<i64> {
        if self.cleared.is_none_or(|at| now.duration_since(at) >= SAME) {
            self.said.retain(|_, (at, _, _)| now.duration_since(*at) < SAME);
            self.cleared = Some(now);
        }
        let hash: [u8; 32] = Sha256::digest(body.as_bytes()).into();
        let place = (key.clone(), id.to_owned());
        if let Some((at, known, first)) = self.said.get(&place)
            && now.duration_since(*at) < SAME
            && *known == hash
            && *first != event
        {
            return Some(*first);
        }
        self.said.insert(place, (now, hash, event));
        None
    }

    /// Is there nothing to remember any more?
    pub fn is_over(&self, now: Instant) -> bool {
        self.pending.is_empty()
            && self.said.values().all(|(at, _, _)| now.duration_since(*at) >= SAME)
    }

    /// Does the record wait to be fetched?
    pub fn waits(&self, key: &Key, id: &str) -> bool {
        self.pending.get(key).is_some_and(|pending| pending.ids.contains(id))
    }

    /// A hint that is to be fetched.
    pub fn add(&mut self, key: Key, hint: &Hint, event: i64, now: Instant) {
        let pending = self.pending.entry(key).or_default();
        pending.ids.insert(hint.id.clone());
        self.deliveries += usize::from(pending.event_ids.insert(event));
        self.first.get_or_insert(now);
        self.last = Some(now);
    }

    /// When to look again. None: nothing waits. `busy`: a fetch is under way, whose end tells.
    pub fn due(&mut self, busy: bool, now: Instant) -> Option<Instant> {
        let (first, last) = (self.first?, self.last?);
        let longest = first + LONGEST;
        if self.records() >= MOST_RECORDS {
            return Some(now);
        }
        self.burst |= self.deliveries > FEW;
        if self.burst {
            return Some((last + QUIET).min(longest));
        }
        Some(if busy { longest } else { now })
    }

    fn records(&self) -> usize {
        self.pending.values().map(|pending| pending.ids.len()).sum()
    }

    /// Takes everything that waits.
    pub fn take(&mut self) -> Vec<Fetch> {
        (self.deliveries, self.burst, self.first, self.last) = (0, false, None, None);
        std::mem::take(&mut self.pending)
            .into_iter()
            .map(|(key, pending)| Fetch {
                key,
                ids: pending.ids.into_iter().collect(),
                event_ids: pending.event_ids.into_iter().collect(),
            })
            .collect()
    }
}
