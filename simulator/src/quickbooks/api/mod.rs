//! The Accounting API: `/v3/company/{realm}/...`. Who may call, how often, and what comes back.

mod batch;
mod cdc;
mod entity;
mod journal;
mod replay;
mod throttle;
mod xml;

pub use journal::Journal;
pub use replay::Replays;
pub use throttle::{Arrival, Throttles};

use super::company::Company;
use super::fault::{self, Checked, Fault};
use super::oauth::{Access, Grants, Refused};
use super::params::Params;
use super::rules::AcceptRule;
use super::world::World;
use crate::http::{Request, Response};
use jiff::Timestamp;
use serde_json::Value;

/// What a call is, as far as limits and meters are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Read,
    Write,
    Batch,
}

/// One call to the API, on its way.
struct Call<'a> {
    request: &'a Request,
    params: Params,
    /// The path's parts after the realm.
    rest: Vec<&'a str>,
    class: Class,
    at_once: usize,
    now: Timestamp,
}

/// Answers a call; `parts` is the path after `/v3/company`, `at_once` how many calls of this app to
/// this company are under way.
pub fn answer(
    world: &mut World,
    request: &Request,
    parts: &[&str],
    at_once: usize,
    now: Timestamp,
) -> Response {
    let Some((realm, rest)) = parts.split_first() else { return Response::empty(404) };
    let params = Params::read(&request.query);
    let class = class(request, rest);
    let call = Call { request, params, rest: rest.to_vec(), class, at_once, now };
    let World { grants, companies, .. } = world;
    let Some(company) = companies.get_mut(*realm) else {
        let zone = jiff::tz::TimeZone::UTC;
        let time = super::times::envelope(now, &zone);
        return fault::not_authorised().response(&time, now.as_millisecond());
    };
    let outcome = admitted(company, grants, &call).and_then(|_| carry_out(company, &call));
    let response = outcome.unwrap_or_else(|fault| refusal(company, fault, now));
    match company.rules.accept {
        _ if accepts_json(request) => response,
        AcceptRule::Refuse => Response::new(406, "text/plain", "send Accept: application/json\n"),
        AcceptRule::Xml => xml::instead_of(response),
    }
}

fn accepts_json(request: &Request) -> bool {
    request.header("accept").is_some_and(|accept| accept.contains("application/json"))
}

fn refusal(company: &Company, fault: Fault, now: Timestamp) -> Response {
    let fault = if company.rules.french { fault.in_french() } else { fault };
    fault.response(&company.envelope_time(now), now.as_millisecond())
}

fn class(request: &Request, rest: &[&str]) -> Class {
    match (request.method.as_str(), rest) {
        (_, ["batch"]) => Class::Batch,
        ("GET", _) | (_, ["query"]) => Class::Read,
        _ => Class::Write,
    }
}

/// Token, throttles and meter.
fn admitted(company: &mut Company, grants: &Grants, call: &Call<'_>) -> Checked<Access> {
    let now = call.now;
    let bearer = call.request.header("authorization").and_then(|h| h.strip_prefix("Bearer "));
    let malformed = || fault::authentication("Malformed bearer token: too short or too long");
    let token = bearer.map(str::trim).filter(|t| t.len() > 100).ok_or_else(malformed)?;
    let access = grants.open(token, now).map_err(|why| match why {
        Refused::Unknown => malformed(),
        Refused::Expired => fault::authentication(&format!("Token expired: {}...", &token[..16])),
        Refused::Revoked => fault::authentication(&format!("Token revoked: {}...", &token[..16])),
    })?;
    if access.realm != company.realm {
        return Err(fault::not_authorised());
    }
    let arrival = Arrival { batch: call.class == Class::Batch, at_once: call.at_once };
    let Company { throttles, rules, .. } = company;
    if let Err(limit) = throttles.admit(&access.client_id, arrival, rules, now) {
        company.journal.counts_mut().throttled += 1;
        return Err(fault::throttled(limit));
    }
    let used_up = company.journal.reads_this_month(now) >= company.rules.reads_per_month;
    if call.class == Class::Read && used_up {
        company.journal.counts_mut().throttled += 1;
        return Err(fault::throttled("The monthly limit of CorePlus API calls was reached."));
    }
    Ok(access)
}

fn carry_out(company: &mut Company, call: &Call<'_>) -> Checked<Response> {
    match call.class {
        Class::Read => {
            company.journal.counts_mut().reads += 1;
            let body = entity::read(company, call)?;
            company.journal.meter(call.now);
            Ok(json_response(company, body, call.now))
        }
        Class::Write | Class::Batch => write_once(company, call),
    }
}

/// A write under its `requestid`: the answer of the first time, if there was one.
fn write_once(company: &mut Company, call: &Call<'_>) -> Checked<Response> {
    let batch = call.class == Class::Batch;
    let id = call.params.get("requestid").map(str::to_owned);
    let hash = replay::hash(&call.request.path, &call.request.body);
    let counts = company.journal.counts_mut();
    match batch {
        true => counts.batches += 1,
        false => counts.writes += 1,
    }
    if let Some(id) = &id {
        replay::check_length(id, batch)?;
        if let Some(before) = company.replays.find(id, hash, &company.rules, call.now)? {
            company.journal.counts_mut().replayed += 1;
            entity::note_replay(company, call, id);
            return Ok(before);
        }
    } else {
        company.journal.counts_mut().without_request_id += 1;
    }
    let outcome = match batch {
        true => batch::run(company, call),
        false => entity::write(company, call),
    };
    let response = match outcome {
        Ok(body) => json_response(company, body, call.now),
        Err(fault) if company.rules.replay_failures => refusal(company, fault, call.now),
        Err(fault) => return Err(fault),
    };
    if let Some(id) = &id {
        company.replays.keep(id, hash, &response, call.now);
    }
    Ok(response)
}

/// The envelope around `body`.
fn json_response(company: &Company, mut body: Value, now: Timestamp) -> Response {
    body["time"] = company.envelope_time(now).into();
    Response::new(200, "application/json;charset=UTF-8", body.to_string())
}
