//! One attempt on the wire.

use super::budget::Held;
use super::failure::{self, Failure};
use super::request::{Attempt, Request, Response};
use super::{HttpContext, Target};
use crate::error::Error;
use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{RequestBuilder, StatusCode, Url};
use std::time::{Duration, Instant};

/// Signs and sends the request and reads the whole answer, within `limit` and `max` bytes.
pub(super) async fn exchange(
    http: &HttpContext,
    request: &Request,
    target: &Target,
    limit: Duration,
    max: usize,
) -> Result<Response, Failure> {
    let mut url = request.url.clone();
    let mut headers = request.headers.clone();
    if let Some(signer) = &request.signer {
        let mut attempt = Attempt {
            method: &request.method,
            url: &mut url,
            headers: &mut headers,
            body: request.body.as_ref(),
            now: http.config.clock.now(),
            nonce: http.shared.nonce(),
        };
        signer.sign(&mut attempt).map_err(Failure::fatal)?;
        if place(&url) != place(&request.url) {
            return Err(Failure::fatal(Error::internal("a signature moved the call elsewhere")));
        }
    }
    let client = if target.listed { &http.shared.listed } else { &http.shared.public };
    let mut call = client.request(request.method.clone(), url).headers(headers);
    if let Some(body) = &request.body {
        call = call.body(body.clone());
    }
    http.meter.called();
    let started = Instant::now();
    // The machine's time, not the clock's: it is about a real wire.
    let answer = tokio::time::timeout(limit, receive(call, target, limit, max)).await;
    let (status, headers, body, held) =
        answer.unwrap_or_else(|_| Err(failure::timed_out(&target.host, limit)))?;
    if cut_json(status, &headers, &body) {
        return Err(failure::broken_off(&target.host));
    }
    let host = target.host.clone();
    Ok(Response { status, headers, body, held, elapsed: started.elapsed(), attempts: 1, host })
}

/// Room made for an answer before anything of it has come.
const FIRST_BYTES: usize = 1 << 20;

/// Bytes that are read of an answer that is no success.
const ERROR_BYTES: usize = 256 << 10;

/// What the address check was about.
fn place(url: &Url) -> (&str, Option<&str>, Option<u16>, &str) {
    (url.scheme(), url.host_str(), url.port(), url.username())
}

async fn receive(
    call: RequestBuilder,
    target: &Target,
    limit: Duration,
    max: usize,
) -> Result<(StatusCode, HeaderMap, Bytes, Held), Failure> {
    let failed = |error: reqwest::Error| failure::transport(&error, &target.host, limit);
    let mut response = call.send().await.map_err(failed)?;
    let status = response.status();
    let announced = response.content_length().unwrap_or(0);
    if status.is_success() && announced > max as u64 {
        return Err(failure::too_large(&target.host, max));
    }
    // What is announced may never come: room is made as it does.
    let mut body = BytesMut::with_capacity((announced as usize).min(FIRST_BYTES));
    let mut held = Held::default();
    // Counted as it comes in, unpacked: a small packed answer can be a large one.
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        // A refusal says by its status what it is; of its words the first are enough.
        if !status.is_success() && body.len() + chunk.len() > ERROR_BYTES {
            break;
        }
        if body.len() + chunk.len() > max {
            return Err(failure::too_large(&target.host, max));
        }
        if !held.grow(chunk.len()) {
            return Err(failure::crowded(&target.host));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((status, std::mem::take(response.headers_mut()), body.freeze(), held))
}

/// An answer that ends with the connection can break off unseen. JSON that begins with a bracket
/// and ends without one was cut; a cheap look that saves a run.
fn cut_json(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> bool {
    let json = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/json"));
    let body = body.trim_ascii();
    status.is_success()
        && json
        && matches!(body.first(), Some(b'{' | b'['))
        && !matches!(body.last(), Some(b'}' | b']'))
}
