//! What faults do to an answer.

use super::FaultKind;
use crate::http::Response;
use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

/// Spoils `response` as the fault says. Latency and [`FaultKind::Answer`] act before the call and
/// do nothing here.
pub fn apply(fault: &FaultKind, response: &mut Response) {
    match fault {
        FaultKind::Latency(_) | FaultKind::Answer { .. } => {}
        FaultKind::AnswerAfterCommit { status, headers, body } => {
            response.status = *status;
            response.headers = headers.clone();
            response.body = vec![Bytes::from(body.clone())];
        }
        FaultKind::Reset | FaultKind::DropAfterCommit => response.sending.reset = true,
        FaultKind::Truncate(bytes) => response.sending.cut_after = Some(*bytes),
        FaultKind::Drip { bytes, pause } => response.sending.drip = Some((*bytes, *pause)),
        FaultKind::ReplaceBody(body) => response.body = vec![Bytes::from(body.clone())],
        FaultKind::Prefix(text) => response.body.insert(0, Bytes::from(text.clone())),
        FaultKind::Huge(bytes) => pad(response, *bytes),
        FaultKind::LoseHeaders(names) => {
            response.headers.retain(|(n, _)| !names.contains(&n.to_ascii_lowercase()));
        }
        FaultKind::SpoilRecord { id, text, set } => {
            let body = response.whole_body();
            let spoil = |record: &str| spoiled(record, *id, text.as_deref(), set);
            if let Some(new) = edit_records(&body, spoil) {
                response.body = vec![Bytes::from(new)];
            }
        }
    }
}

/// White space may stand before any JSON value, so a padded body stays valid, only far too large.
fn pad(response: &mut Response, bytes: usize) {
    let length: usize = response.body.iter().map(Bytes::len).sum();
    let mut missing = bytes.saturating_sub(length);
    let piece = Bytes::from(vec![b' '; missing.min(1 << 20)]);
    while missing > 0 {
        let size = missing.min(piece.len());
        response.body.insert(0, piece.slice(..size));
        missing -= size;
    }
}

/// Runs `edit` over the records of a list, or over a single record. Untouched records keep their
/// bytes. `None` when the body is no JSON or nothing changed.
fn edit_records(body: &[u8], edit: impl Fn(&str) -> Option<String>) -> Option<String> {
    if let Ok(records) = serde_json::from_slice::<Vec<&RawValue>>(body) {
        let mut changed = false;
        let mut texts = Vec::with_capacity(records.len());
        for record in records {
            match edit(record.get()) {
                Some(new) => {
                    changed = true;
                    texts.push(new);
                }
                None => texts.push(record.get().to_owned()),
            }
        }
        return changed.then(|| format!("[{}]", texts.join(",")));
    }
    edit(std::str::from_utf8(body).ok()?)
}

fn spoiled(
    record: &str,
    id: u64,
    text: Option<&str>,
    set: &serde_json::Map<String, Value>,
) -> Option<String> {
    let mut value: Value = serde_json::from_str(record).ok()?;
    if value["id"].as_u64() != Some(id) {
        return None;
    }
    if let Some(text) = text {
        return Some(text.to_owned());
    }
    for (pointer, new) in set {
        if let Some(place) = value.pointer_mut(pointer) {
            *place = new.clone();
        }
    }
    Some(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_spoiled_record_leaves_its_neighbours_bytes_alone() {
        let mut response =
            Response::new(200, "application/json", r#"[{"id":1,"a":"\/"},{"id":2}]"#);
        let set = json!({"/id": "two"}).as_object().cloned().unwrap();
        apply(&FaultKind::SpoilRecord { id: 2, text: None, set }, &mut response);
        assert_eq!(response.whole_body(), r#"[{"id":1,"a":"\/"},{"id":"two"}]"#);
    }

    #[test]
    fn a_record_can_be_replaced_by_text_that_is_no_json() {
        let mut response = Response::new(200, "application/json", r#"{"id":2,"x":1}"#);
        let text = Some("{\"id\":2,".to_owned());
        apply(&FaultKind::SpoilRecord { id: 2, text, set: Default::default() }, &mut response);
        assert_eq!(response.whole_body(), "{\"id\":2,");
    }

    #[test]
    fn a_huge_body_is_still_json() {
        let mut response = Response::new(200, "application/json", "[]");
        apply(&FaultKind::Huge(3_000_000), &mut response);
        let body = response.whole_body();
        assert_eq!(body.len(), 3_000_000);
        assert!(serde_json::from_slice::<Value>(&body).is_ok());
    }
}
