//! Counts calls by route and keeps a log of the latest, so that tests can say what was asked.

use crate::http::Request;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The log keeps this many calls.
const LOG_LENGTH: usize = 10_000;

#[derive(Debug, Default)]
struct Inner {
    by_route: BTreeMap<String, u64>,
    by_status: BTreeMap<u16, u64>,
    log: VecDeque<Logged>,
    logging: bool,
}

/// One call as it was answered. Headers and bodies are not kept: they hold credentials.
#[derive(Debug, Clone)]
pub struct Logged {
    /// Upper case.
    pub method: String,
    /// As sent, without the query.
    pub path: String,
    /// As sent, but for credentials, which are left out.
    pub query: String,
    /// Of the answer; 0: the connection was broken before one.
    pub status: u16,
}

/// Counters of one platform.
#[derive(Debug)]
pub struct Calls(Mutex<Inner>);

impl Calls {
    /// `logging`: keep the log, not only the counts.
    pub fn new(logging: bool) -> Self {
        Calls(Mutex::new(Inner { logging, ..Inner::default() }))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a call under `route`. `status` 0: the connection was broken before an answer.
    pub fn note(&self, route: &str, request: &Request, status: u16) {
        let mut inner = self.inner();
        match inner.by_route.get_mut(route) {
            Some(count) => *count += 1,
            None => {
                inner.by_route.insert(route.to_owned(), 1);
            }
        }
        *inner.by_status.entry(status).or_default() += 1;
        if !inner.logging {
            return;
        }
        if inner.log.len() == LOG_LENGTH {
            inner.log.pop_front();
        }
        inner.log.push_back(Logged {
            method: request.method.clone(),
            path: request.path.clone(),
            query: without_credentials(&request.query),
            status,
        });
    }

    /// Calls so far, of all routes.
    pub fn total(&self) -> u64 {
        self.inner().by_route.values().sum()
    }

    /// Calls so far of one route.
    pub fn of(&self, route: &str) -> u64 {
        self.inner().by_route.get(route).copied().unwrap_or_default()
    }

    /// The latest calls, oldest first.
    pub fn log(&self) -> Vec<Logged> {
        self.inner().log.iter().cloned().collect()
    }

    /// Forgets counts and log.
    pub fn reset(&self) {
        let mut inner = self.inner();
        let logging = inner.logging;
        *inner = Inner { logging, ..Inner::default() };
    }

    /// `{"total": n, "by_route": {...}, "by_status": {...}}`.
    pub fn to_json(&self) -> Value {
        let inner = self.inner();
        let routes: Map<String, Value> =
            inner.by_route.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
        let statuses: Map<String, Value> =
            inner.by_status.iter().map(|(k, v)| (k.to_string(), json!(v))).collect();
        json!({
            "total": inner.by_route.values().sum::<u64>(),
            "by_route": routes,
            "by_status": statuses,
        })
    }

    /// The log as a list of objects.
    pub fn log_json(&self) -> Value {
        self.log()
            .into_iter()
            .map(|c| {
                json!({"method": c.method, "path": c.path, "query": c.query, "status": c.status})
            })
            .collect()
    }
}

fn without_credentials(query: &str) -> String {
    let secret = |part: &&str| {
        !(part.starts_with("consumer_") || part.starts_with("oauth_") || part.starts_with("code="))
    };
    query.split('&').filter(secret).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_never_holds_credentials() {
        let query = "page=2&consumer_key=ck_1&consumer_secret=cs_1&oauth_signature=x";
        assert_eq!(without_credentials(query), "page=2");
    }
}
