//! Which calls a fault hits.

use super::FaultKind;
use regex::Regex;
use serde_json::{Value, json};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The calls a fault is for. Everything left out matches everything.
#[derive(Debug, Clone, Default)]
pub struct Match {
    /// Upper case.
    pub method: Option<String>,
    /// Against path and query as sent, `/wp-json/wc/v3/orders?page=2`.
    pub path: Option<Regex>,
    /// Only the n-th matching call, from 1.
    pub nth: Option<u64>,
    /// Every n-th matching call.
    pub every: Option<u64>,
    /// Each matching call with this chance, from 0 to 1, drawn from `seed`.
    pub probability: Option<f64>,
    /// Of the chance; the same seed strikes the same calls.
    pub seed: u64,
    /// No more than so many times.
    pub count: Option<u64>,
}

impl Match {
    /// Reads `{"method", "path", "nth", "every", "probability", "seed", "count"}`.
    ///
    /// Errors: a text for the caller that names the argument.
    pub fn read(value: &Value) -> Result<Self, String> {
        let number = |key: &str| match &value[key] {
            Value::Null => Ok(None),
            other => other.as_u64().map(Some).ok_or(format!("match.{key} must be a number")),
        };
        let path = match value["path"].as_str() {
            None => None,
            Some(text) => Some(Regex::new(text).map_err(|e| format!("match.path: {e}"))?),
        };
        let probability = match &value["probability"] {
            Value::Null => None,
            other => {
                let chance = other.as_f64().filter(|p| (0.0..=1.0).contains(p));
                Some(chance.ok_or("match.probability must lie between 0 and 1")?)
            }
        };
        let every = number("every")?;
        if every == Some(0) {
            return Err("match.every must be at least 1".into());
        }
        Ok(Match {
            method: value["method"].as_str().map(str::to_ascii_uppercase),
            path,
            nth: number("nth")?,
            every,
            probability,
            seed: number("seed")?.unwrap_or_default(),
            count: number("count")?,
        })
    }

    fn concerns(&self, method: &str, target: &str) -> bool {
        self.method.as_deref().is_none_or(|m| m == method)
            && self.path.as_ref().is_none_or(|p| p.is_match(target))
    }

    fn strikes(&self, seen: u64, hits: u64) -> bool {
        self.count.is_none_or(|limit| hits < limit)
            && self.nth.is_none_or(|n| n == seen)
            && self.every.is_none_or(|n| seen.is_multiple_of(n))
            && self.probability.is_none_or(|p| draw(self.seed, seen) < p)
    }
}

/// A number in [0, 1) that depends on nothing but its arguments (SplitMix64's finalizer), so that a
/// seeded run is the same every time.
fn draw(seed: u64, n: u64) -> f64 {
    let mut z = seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    (z >> 11) as f64 / (1u64 << 53) as f64
}

#[derive(Debug, Clone)]
struct Planned {
    id: u64,
    name: String,
    kind: FaultKind,
    matching: Match,
    seen: u64,
    hits: u64,
}

#[derive(Debug, Default)]
struct Inner {
    last_id: u64,
    faults: Vec<Planned>,
}

/// The faults of one platform.
#[derive(Debug, Default)]
pub struct FaultPlan(Mutex<Inner>);

impl FaultPlan {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a fault; the answer is its id. `name` is only for the listing.
    pub fn add(&self, name: &str, kind: FaultKind, matching: Match) -> u64 {
        let mut inner = self.inner();
        inner.last_id += 1;
        let id = inner.last_id;
        inner.faults.push(Planned { id, name: name.into(), kind, matching, seen: 0, hits: 0 });
        id
    }

    /// Takes a fault away; false when there is none of this id.
    pub fn remove(&self, id: u64) -> bool {
        let mut inner = self.inner();
        let before = inner.faults.len();
        inner.faults.retain(|f| f.id != id);
        inner.faults.len() < before
    }

    /// Takes all faults away.
    pub fn clear(&self) {
        self.inner().faults.clear();
    }

    /// How often a fault has struck.
    pub fn hits(&self, id: u64) -> u64 {
        self.inner().faults.iter().find(|f| f.id == id).map(|f| f.hits).unwrap_or_default()
    }

    /// The faults that strike this call, in the order they were added.
    pub fn strike(&self, method: &str, target: impl FnOnce() -> String) -> Vec<FaultKind> {
        let mut inner = self.inner();
        if inner.faults.is_empty() {
            return vec![];
        }
        let target = target();
        let mut struck = vec![];
        for fault in &mut inner.faults {
            if !fault.matching.concerns(method, &target) {
                continue;
            }
            fault.seen += 1;
            if fault.matching.strikes(fault.seen, fault.hits) {
                fault.hits += 1;
                struck.push(fault.kind.clone());
            }
        }
        struck
    }

    /// All faults with how many calls they matched and how often they struck.
    pub fn to_json(&self) -> Value {
        let one =
            |f: &Planned| json!({"id": f.id, "fault": f.name, "seen": f.seen, "hits": f.hits});
        self.inner().faults.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(matching: Value) -> FaultPlan {
        let plan = FaultPlan::default();
        plan.add("reset", FaultKind::Reset, Match::read(&matching).unwrap());
        plan
    }

    fn struck(plan: &FaultPlan, calls: usize) -> Vec<usize> {
        let call = |_: &usize| !plan.strike("GET", || "/orders?page=1".into()).is_empty();
        (1..=calls).filter(call).collect()
    }

    #[test]
    fn a_fault_strikes_the_nth_call_only() {
        assert_eq!(struck(&plan(json!({"nth": 3})), 6), [3]);
    }

    #[test]
    fn a_fault_strikes_every_nth_call_until_its_count() {
        assert_eq!(struck(&plan(json!({"every": 2, "count": 2})), 10), [2, 4]);
    }

    #[test]
    fn a_fault_leaves_other_methods_and_paths_alone() {
        assert!(struck(&plan(json!({"method": "post"})), 3).is_empty());
        assert!(struck(&plan(json!({"path": "customers"})), 3).is_empty());
        assert_eq!(struck(&plan(json!({"path": "orders\\?page=1$"})), 2), [1, 2]);
    }

    #[test]
    fn chance_is_the_same_for_the_same_seed() {
        let one = struck(&plan(json!({"probability": 0.3, "seed": 7})), 1000);
        assert_eq!(one, struck(&plan(json!({"probability": 0.3, "seed": 7})), 1000));
        assert!((200..400).contains(&one.len()), "{} of 1000", one.len());
    }
}
