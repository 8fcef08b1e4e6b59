//! How many calls of an app to a company are under way.

use crate::http::Request;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts visits by company and access token: the token stands for the app.
#[derive(Debug, Default)]
pub struct UnderWay(Mutex<HashMap<String, Arc<()>>>);

fn key(request: &Request) -> String {
    let realm = request.path.strip_prefix("/v3/company/").and_then(|p| p.split('/').next());
    format!("{} {}", realm.unwrap_or_default(), request.header("authorization").unwrap_or_default())
}

impl UnderWay {
    /// Counts until the answer is dropped.
    pub fn enter(&self, request: &Request) -> Arc<()> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Tokens come and go: forget those without a call.
        all.retain(|_, visits| Arc::strong_count(visits) > 1);
        all.entry(key(request)).or_default().clone()
    }

    /// Calls like this one, itself included if it entered.
    pub fn count(&self, request: &Request) -> usize {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&key(request)).map_or(0, |visits| Arc::strong_count(visits) - 1)
    }
}
