//! The ways in which pushes break.

use super::Torture;
use super::failover;
use crate::cluster::Stop;
use crate::torture::breaking;
use anyhow::Result;
use fastrand::Rng;
use serde_json::{Value, json};
use std::time::Duration;

/// One way in which things break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    WorkerKilled,
    WorkerTerminated,
    WorkerCancelled,
    ServerStoppedAtOnce,
    ServerStoppedFast,
    SyncCancelled,
    ConnectionsReset,
    DroppedAfterCommit,
    AnswersTruncated,
    AnswersLost,
    BooksDown,
    TokensExpired,
    TokenAnswersLost,
    Throttled,
    RequestIdsIgnored,
    PrimaryLost,
}

const ALL: [Blow; 16] = [
    Blow::WorkerKilled,
    Blow::WorkerTerminated,
    Blow::WorkerCancelled,
    Blow::ServerStoppedAtOnce,
    Blow::ServerStoppedFast,
    Blow::SyncCancelled,
    Blow::ConnectionsReset,
    Blow::DroppedAfterCommit,
    Blow::AnswersTruncated,
    Blow::AnswersLost,
    Blow::BooksDown,
    Blow::TokensExpired,
    Blow::TokenAnswersLost,
    Blow::Throttled,
    Blow::RequestIdsIgnored,
    Blow::PrimaryLost,
];

/// Calls of the accounting API; the token endpoint is another.
const API: &str = "^/v3/company/";

impl Blow {
    pub fn draw(random: &mut Rng) -> Self {
        ALL[random.usize(..ALL.len())]
    }

    pub fn name(self) -> &'static str {
        match self {
            Blow::WorkerKilled => "kill -9 of the worker",
            Blow::WorkerTerminated => "pg_terminate_backend on the worker",
            Blow::WorkerCancelled => "pg_cancel_backend on the worker",
            Blow::ServerStoppedAtOnce => "immediate stop of the server",
            Blow::ServerStoppedFast => "fast stop of the server",
            Blow::SyncCancelled => "the sync is cancelled",
            Blow::ConnectionsReset => "connections reset before anything was done",
            Blow::DroppedAfterCommit => "connections dropped after QuickBooks committed",
            Blow::AnswersTruncated => "answers cut off",
            Blow::AnswersLost => "a gateway's page in place of answers",
            Blow::BooksDown => "QuickBooks answers 5xx",
            Blow::TokensExpired => "the access token expires",
            Blow::TokenAnswersLost => "the answer of a token refresh is lost",
            Blow::Throttled => "a storm of 429",
            Blow::RequestIdsIgnored => "request ids ignored, answers lost",
            Blow::PrimaryLost => "the primary is killed, its standby promoted",
        }
    }

    /// What has to be so before the push begins: how long calls take, and what the company makes of
    /// request ids that it has seen.
    pub(super) fn prepare(self, torture: &mut Torture) -> Result<()> {
        let words = ["replay", "replay", "reject_changed", "ignore"];
        let word = match self {
            Blow::RequestIdsIgnored => "ignore",
            _ => words[torture.random.usize(..words.len())],
        };
        let rotates = match self {
            Blow::TokensExpired => true,
            Blow::PrimaryLost => torture.random.u8(0..3) == 0,
            // The answer that is lost would have the new token, and the old one is dead: that is a
            // grant lost by the wire, which nobody can help.
            _ => false,
        };
        let kept = if rotates { 0 } else { 86_400 };
        torture.rules(&json!({"request_ids": word, "refresh_value_seconds": kept}))?;
        // Before the write is done, or after it: what falls on the push falls on either.
        if torture.random.bool() {
            let wait = json!({"ms": torture.random.u64(1..60)});
            torture.fault("latency", &wait, &json!({"path": API}))?;
        } else {
            let pause = json!({"bytes": 4000, "pause_ms": torture.random.u64(1..60)});
            torture.fault("slow_drip", &pause, &json!({"path": API}))?;
        }
        if self == Blow::PrimaryLost {
            failover::prepare(torture)?;
            if rotates {
                expire_access(torture)?;
            }
        }
        Ok(())
    }

    pub(super) fn strike(self, torture: &mut Torture) -> Result<()> {
        match self {
            Blow::WorkerKilled => kill_worker(torture),
            Blow::WorkerTerminated => {
                breaking::signal_worker(&mut torture.bed, "pg_terminate_backend")
            }
            Blow::WorkerCancelled => breaking::signal_worker(&mut torture.bed, "pg_cancel_backend"),
            Blow::ServerStoppedAtOnce => stop_and_start(torture, Stop::Immediate),
            Blow::ServerStoppedFast => stop_and_start(torture, Stop::Fast),
            Blow::SyncCancelled => breaking::cancel_syncs(&mut torture.bed),
            Blow::ConnectionsReset => some_calls(torture, "reset", &json!({}), API),
            Blow::DroppedAfterCommit | Blow::RequestIdsIgnored => {
                some_calls(torture, "drop_after_commit", &json!({}), API)
            }
            Blow::AnswersTruncated => some_calls(torture, "truncate", &json!({"bytes": 300}), API),
            Blow::AnswersLost => {
                let pages = ["stream_timeout", "gateway_timeout_after", "stream_timeout_before"];
                let page = pages[torture.random.usize(..pages.len())];
                some_calls(torture, page, &json!({}), API)
            }
            Blow::BooksDown => {
                let pages = ["http_500", "http_503", "system_fault_200"];
                let page = pages[torture.random.usize(..pages.len())];
                some_calls(torture, page, &json!({}), API)
            }
            Blow::TokensExpired => expire_access(torture),
            Blow::TokenAnswersLost => {
                let matching = json!({"path": "tokens/bearer", "count": 1});
                torture.fault("drop_after_commit", &json!({}), &matching)?;
                expire_access(torture)
            }
            Blow::Throttled => {
                let fault = json!({"fault": {"error": [{"message": "message=ThrottleExceeded; \
                    errorCode=003001; statusCode=429", "detail": "The request limit was reached.",
                    "code": "3001"}], "type": "SERVICE"}});
                let answer = json!({"status": 429, "headers": {"Retry-After": "1"}, "body": fault});
                some_calls(torture, "answer", &answer, API)
            }
            Blow::PrimaryLost => failover::fail_over(torture),
        }
    }
}

fn kill_worker(torture: &mut Torture) -> Result<()> {
    let killed = breaking::kill_worker(&mut torture.bed)?;
    torture.crashes_wanted += usize::from(killed);
    Ok(())
}

fn stop_and_start(torture: &mut Torture, mode: Stop) -> Result<()> {
    let took = breaking::stop_and_start(&mut torture.bed, mode)?;
    if mode == Stop::Fast {
        torture.report.slowest_stop = torture.report.slowest_stop.max(took);
    }
    Ok(())
}

/// The next few calls go wrong, or some of many: fewer than what opens the account's circuit.
fn some_calls(torture: &mut Torture, fault: &str, arguments: &Value, path: &str) -> Result<()> {
    let matching = match torture.random.bool() {
        true => json!({"path": path, "count": torture.random.u64(1..=4)}),
        false => {
            json!({"path": path, "probability": 0.4, "seed": torture.random.u32(..), "count": 6})
        }
    };
    torture.fault(fault, arguments, &matching)?;
    std::thread::sleep(Duration::from_millis(torture.random.u64(20..400)));
    Ok(())
}

fn expire_access(torture: &mut Torture) -> Result<()> {
    torture.books.act(&torture.bed, "expire_access", &json!({})).map(drop)
}
