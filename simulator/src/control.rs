//! The control API: plain http with JSON on a loopback port of its own.

use crate::clock::SimClock;
use crate::faults::{FaultKind, Match};
use crate::http::{Request, Response};
use crate::platform::{ControlCall, ControlError, ControlReply};
use crate::sending;
use crate::server::{Served, read};
use crate::wire::Cutter;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What the control API reaches.
pub struct Control {
    /// In the order of the state file.
    pub platforms: Vec<Arc<Served>>,
    /// The one clock of all platforms.
    pub clock: SimClock,
    /// Cancelled by `POST /shutdown`.
    pub stop: CancellationToken,
}

/// Accepts control calls until `stop`.
pub async fn serve(control: Arc<Control>, listener: TcpListener, stop: CancellationToken) {
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => continue,
            },
        };
        let (control, stop) = (control.clone(), stop.clone());
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let service = service_fn(move |incoming| {
                let control = control.clone();
                async move {
                    let response = match read(incoming, false).await {
                        Ok(request) => control.answer(&request),
                        Err(refusal) => refusal,
                    };
                    let answer = sending::outgoing(response, Timestamp::now(), &Cutter::default());
                    Ok::<_, Infallible>(answer)
                }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                () = stop.cancelled() => {}
                _ = connection => {}
            }
        });
    }
}

impl Control {
    fn answer(&self, request: &Request) -> Response {
        match self.dispatch(request) {
            Ok(value) => Response::json(200, &value),
            Err(ControlError::NotFound(why)) => Response::json(404, &json!({ "error": why })),
            Err(ControlError::BadRequest(why)) => Response::json(400, &json!({ "error": why })),
        }
    }

    fn dispatch(&self, request: &Request) -> ControlReply {
        let body = match request.body.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&request.body)
                .map_err(|e| ControlError::BadRequest(format!("the body is no JSON: {e}")))?,
        };
        let path: Vec<&str> = request.path.split('/').filter(|part| !part.is_empty()).collect();
        match (request.method.as_str(), path.as_slice()) {
            ("GET", []) => Ok(self.index()),
            ("GET", ["clock"]) => Ok(self.clock.to_json()),
            ("POST" | "PUT", ["clock"]) => self.set_clock(&body),
            ("POST", ["shutdown"]) => {
                self.stop.cancel();
                Ok(json!({ "stopping": true }))
            }
            (method, [name, rest @ ..]) => {
                let served = self.platforms.iter().find(|s| s.platform.name() == *name);
                let Some(served) = served else { return Err(self.no_such(&request.path)) };
                let call = ControlCall {
                    method,
                    path: rest.to_vec(),
                    query: decoded(&request.query),
                    body,
                };
                platform_call(served, &call)
            }
            _ => Err(self.no_such(&request.path)),
        }
    }

    fn names(&self) -> Vec<&'static str> {
        self.platforms.iter().map(|s| s.platform.name()).collect()
    }

    fn index(&self) -> Value {
        json!({
            "platforms": self.names(),
            "clock": self.clock.to_json(),
            "faults": FaultKind::NAMES,
            "help": "simulator/README.md",
        })
    }

    fn no_such(&self, path: &str) -> ControlError {
        let names = self.names().join(", ");
        ControlError::NotFound(format!("nothing at {path}; try /clock, /shutdown or: {names}"))
    }

    fn set_clock(&self, body: &Value) -> ControlReply {
        if let Some(text) = body["now"].as_str() {
            let now = text.parse().map_err(|e| {
                ControlError::BadRequest(format!("now must be a time such as {EXAMPLE}: {e}"))
            })?;
            self.clock.set(now);
        }
        if let Some(seconds) = body["advance_seconds"].as_i64() {
            self.clock.advance(SignedDuration::from_secs(seconds));
        }
        if let Some(millis) = body["advance_ms"].as_i64() {
            self.clock.advance(SignedDuration::from_millis(millis));
        }
        if let Some(frozen) = body["frozen"].as_bool() {
            self.clock.freeze(frozen);
        }
        Ok(self.clock.to_json())
    }
}

const EXAMPLE: &str = "2026-11-24T12:00:00Z";

/// Query parameters, decoded.
fn decoded(query: &str) -> Vec<(String, String)> {
    let text = |part: &str| {
        let part = part.replace('+', " ");
        percent_decode_str(&part).decode_utf8_lossy().into_owned()
    };
    let pair = |part: &str| match part.split_once('=') {
        Some((name, value)) => (text(name), text(value)),
        None => (text(part), String::new()),
    };
    query.split('&').filter(|part| !part.is_empty()).map(pair).collect()
}

fn platform_call(served: &Served, call: &ControlCall<'_>) -> ControlReply {
    match (call.method, call.path.as_slice()) {
        ("GET", ["calls"]) => Ok(served.calls.to_json()),
        ("GET", ["calls", "log"]) => Ok(served.calls.log_json()),
        ("DELETE", ["calls"]) => {
            served.calls.reset();
            Ok(served.calls.to_json())
        }
        ("GET", ["faults"]) => Ok(served.faults.to_json()),
        ("POST", ["faults"]) => add_fault(served, &call.body),
        ("DELETE", ["faults"]) => {
            served.faults.clear();
            Ok(served.faults.to_json())
        }
        ("DELETE", ["faults", id]) => {
            let id = id.parse().map_err(|_| bad("a fault's id is a number"))?;
            match served.faults.remove(id) {
                true => Ok(served.faults.to_json()),
                false => Err(ControlError::NotFound(format!("no fault {id}"))),
            }
        }
        _ => served.platform.control(call),
    }
}

fn bad(why: impl Into<String>) -> ControlError {
    ControlError::BadRequest(why.into())
}

fn add_fault(served: &Served, body: &Value) -> ControlReply {
    let name = body["fault"].as_str().ok_or_else(|| bad("name the fault in \"fault\""))?;
    let matching = Match::read(&body["match"]).map_err(bad)?;
    let id = add_named_fault(served, name, body, matching)?;
    Ok(json!({ "id": id }))
}

/// Adds a fault by its name: one of the common ones or one of the platform's own.
///
/// Errors: an unknown name, or an argument that is missing or wrong.
pub fn add_named_fault(
    served: &Served,
    name: &str,
    arguments: &Value,
    matching: Match,
) -> Result<u64, ControlError> {
    let kind = match FaultKind::read(name, arguments) {
        Some(kind) => kind.map_err(bad)?,
        None => served.platform.named_fault(name, arguments).ok_or_else(|| {
            let known = FaultKind::NAMES.join(", ");
            bad(format!("unknown fault {name:?}; common ones: {known}; the README has more"))
        })?,
    };
    Ok(served.faults.add(name, kind, matching))
}
