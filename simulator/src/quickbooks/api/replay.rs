//! `requestid`: the first answer again in place of acting again.

use crate::http::Response;
use crate::quickbooks::fault::{Checked, validation};
use crate::quickbooks::rules::{RequestIds, Rules};
use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// The longest id, and the longest on a batch.
const LONGEST: usize = 50;
const LONGEST_BATCH: usize = 36;

#[derive(Debug, Clone)]
struct Answered {
    at: Timestamp,
    body_hash: [u8; 32],
    status: u16,
    content_type: String,
    body: Bytes,
}

/// Answers by request id; one space for all apps of a company.
#[derive(Debug, Clone, Default)]
pub struct Replays(HashMap<String, Answered>);

/// The hash that tells one body from another.
pub fn hash(target: &str, body: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(target.as_bytes());
    hasher.update(body);
    hasher.finalize().into()
}

/// Refuses ids that are too long.
///
/// Errors: 2130.
pub fn check_length(id: &str, batch: bool) -> Checked<()> {
    let longest = if batch { LONGEST_BATCH } else { LONGEST };
    if id.is_empty() || id.chars().count() > longest {
        let detail = format!("Request Id must have 1 to {longest} characters");
        return Err(validation("2130", "Invalid Request Id Format", detail, "requestid"));
    }
    Ok(())
}

impl Replays {
    /// The answer that this id got before, byte for byte.
    ///
    /// Errors: 600 where a different body is refused.
    pub fn find(
        &self,
        id: &str,
        body_hash: [u8; 32],
        rules: &Rules,
        now: Timestamp,
    ) -> Checked<Option<Response>> {
        let Some(answered) = self.0.get(id) else { return Ok(None) };
        let age = now.duration_since(answered.at).as_secs();
        if rules.request_ids == RequestIds::Ignore || age >= rules.request_id_seconds {
            return Ok(None);
        }
        if rules.request_ids == RequestIds::RejectChanged && answered.body_hash != body_hash {
            let detail = format!("Duplicate Request ID : {id} was used for another request");
            return Err(validation("600", "Duplicate Request ID", detail, "requestid"));
        }
        let body = answered.body.clone();
        Ok(Some(Response::new(answered.status, &answered.content_type, body)))
    }

    /// Keeps an answer.
    pub fn keep(&mut self, id: &str, body_hash: [u8; 32], response: &Response, now: Timestamp) {
        let content_type = response
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            .map(|(_, value)| value.clone())
            .unwrap_or_default();
        let answered = Answered {
            at: now,
            body_hash,
            status: response.status,
            content_type,
            body: response.whole_body(),
        };
        self.0.insert(id.to_owned(), answered);
    }
}
