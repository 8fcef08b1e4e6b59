//! One account, called: limits before each attempt, a verdict after it.

use super::account::AccountState;
use super::breaker::{BreakerPolicy, Circuit, Permit};
use super::failure::{self, Failure};
use super::limits::{Limits, after};
use super::meter::{WaitReason, Waiting};
use super::pace::Spacing;
use super::request::{Request, Response};
use super::retry::RetryPolicy;
use super::{HttpContext, Target, exchange};
use crate::error::{Error, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// How an account is called.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    pub limits: Limits,
    pub retry: RetryPolicy,
    pub breaker: BreakerPolicy,
    /// The setting of that name: this account may be called by plain http.
    pub allow_http: bool,
    /// Of one attempt.
    pub timeout: Duration,
    /// Bytes of an answer, unpacked.
    pub max_response: usize,
    /// How long the account is left alone after a 429 without `Retry-After`. None: only that call
    /// waits, as after any failure.
    pub throttle_pause: Option<Duration>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        ClientConfig {
            limits: Limits::default(),
            retry: RetryPolicy::default(),
            breaker: BreakerPolicy::default(),
            allow_http: false,
            timeout: Duration::from_secs(60),
            max_response: crate::limits::RESPONSE_BYTES,
            throttle_pause: None,
        }
    }
}

/// Calls one account. Cheap to clone; clients of the same account share its limits.
#[derive(Clone)]
pub struct Client {
    pub(super) http: Arc<HttpContext>,
    pub(super) name: Arc<str>,
    pub(super) account: Arc<AccountState>,
    pub(super) config: Arc<ClientConfig>,
}

/// After an attempt: the end of the call, or another try.
enum Verdict {
    Done(Result<Response>),
    /// What the call ends with if it isn't tried again, and how long the platform wants to be left
    /// alone.
    Again(Result<Response>, Option<Duration>),
}

impl Client {
    /// Sends a request, tries again what may be tried again, and returns the whole answer.
    ///
    /// Every status but these is an answer that the caller judges. Errors: `http_refused`,
    /// `private_address`, `userinfo_refused`, `redirect` (validation); `http_429` (rate_limit, with
    /// `retry_after` where known); `dns`, `tls`, `connection_refused`, `connection_failed`,
    /// `connect_timeout`, `unreachable`, `circuit_open` (network: it was never sent); `timeout`,
    /// `reset`, `too_large` and `crowded` (validation), `http_502` to `http_504` (network: it may have been carried out);
    /// `cancelled`.
    pub async fn send(&self, request: &Request) -> Result<Response> {
        let target = self.http.config.policy.check(&request.url, self.config.allow_http)?;
        // Cancelled at whatever is awaited: dropping the call gives back its place and permit.
        match self.http.cancel.run_until_cancelled(self.send_retrying(request, &target)).await {
            Some(answer) => answer,
            None => Err(Error::cancelled()),
        }
    }

    /// Takes a token of the account's rates and waits for it, without a call: for what has a limit of
    /// its own beside that of all calls (batches). Other processes count. Error: `cancelled`.
    pub async fn turn(&self) -> Result<()> {
        let pace = self.http.shared.pace.as_ref();
        let turns = self
            .config
            .limits
            .rates
            .iter()
            .map(|rate| pace.map_or(Duration::ZERO, |pace| pace.turn(&self.name, *rate)));
        let own = self.account.take_token(self.http.shared.steady.now());
        let wait = turns.fold(own, Duration::max);
        match self.http.cancel.run_until_cancelled(self.wait(wait, WaitReason::Paced)).await {
            Some(()) => Ok(()),
            None => Err(Error::cancelled()),
        }
    }

    /// State of the account's circuit.
    pub fn circuit(&self) -> Circuit {
        self.account.circuit(&self.http.shared.steady)
    }

    async fn send_retrying(&self, request: &Request, target: &Target) -> Result<Response> {
        let retry = request.retry.unwrap_or(self.config.retry);
        let mut last: Option<Result<Response>> = None;
        let mut attempt = 0;
        loop {
            let permit = match self.gate(target, &retry).await {
                Ok(permit) => permit,
                Err(refusal) => return refused(last, refusal),
            };
            attempt += 1;
            let verdict = self.attempt(request, target, permit, attempt).await;
            let (end, asked) = match verdict {
                Verdict::Done(end) => return end,
                Verdict::Again(end, _) if attempt >= retry.attempts => return end,
                Verdict::Again(end, Some(wait)) if wait > retry.max_retry_after => return end,
                Verdict::Again(end, asked) => (end, asked.unwrap_or_default()),
            };
            // Where the platform named a time, the account is held until then: the gate waits.
            if asked.is_zero() {
                let wait = retry.backoff(attempt, self.http.shared.random());
                self.wait(wait, WaitReason::Retry).await;
            }
            last = Some(end);
        }
    }

    /// Waits until a call may be made: a place among those under way, the time that the platform
    /// asked for, a token, a closed circuit. An error: no call is made.
    async fn gate(&self, target: &Target, retry: &RetryPolicy) -> Result<Leave> {
        let steady = &self.http.shared.steady;
        let account = &self.account;
        // The semaphore is never closed, so there is a place in the end.
        let place = account.places().acquire_owned().await;
        let place = place.map_err(|_| Error::internal("no place to call"))?;
        if let Err(wait) = account.breaker.check(steady.now()) {
            return Err(self.circuit_open(target, wait));
        }
        loop {
            let held = account.held(steady.now());
            if held.is_zero() {
                break;
            }
            if held > retry.max_retry_after {
                return Err(failure::throttled(&target.host, Some(held)));
            }
            self.wait(held, WaitReason::Throttled).await;
        }
        let wait = account.take_token(steady.now()).max(self.place_among_all());
        self.wait(wait, WaitReason::Paced).await;
        match account.breaker.admit(steady.now()) {
            Ok(permit) => Ok(Leave { permit, _place: place }),
            Err(wait) => Err(self.circuit_open(target, wait)),
        }
    }

    /// How long it is until this call's place among those of all processes.
    fn place_among_all(&self) -> Duration {
        let pace = self.http.shared.pace.as_ref();
        let spacing = Spacing::of(&self.config.limits.rates);
        pace.zip(spacing).map_or(Duration::ZERO, |(pace, spacing)| pace.take(&self.name, spacing))
    }

    async fn attempt(
        &self,
        request: &Request,
        target: &Target,
        leave: Leave,
        attempt: u32,
    ) -> Verdict {
        let limit = request.timeout.unwrap_or(self.config.timeout);
        let max = request.max_response.unwrap_or(self.config.max_response);
        let outcome = exchange::exchange(&self.http, request, target, limit, max).await;
        let now = self.http.shared.steady.now();
        let Leave { permit, _place } = leave;
        match outcome {
            Ok(mut response) => {
                response.attempts = attempt;
                self.judge(request, response, permit)
            }
            Err(Failure { error, sent, again }) => {
                // A refusal on our side says nothing about the platform.
                if again {
                    permit.failed(now, &error.code);
                }
                if again && (!sent || request.idempotent) {
                    Verdict::Again(Err(*error), None)
                } else {
                    Verdict::Done(Err(*error))
                }
            }
        }
    }

    /// What an answer means for the call, the circuit and the account.
    fn judge(&self, request: &Request, response: Response, permit: Permit) -> Verdict {
        let now = self.http.shared.steady.now();
        let status = response.status;
        let mut asked = failure::retry_after(&response.headers, self.http.config.clock.now());
        if status.as_u16() == 429 {
            asked = asked.or(self.config.throttle_pause);
        }
        match status.as_u16() {
            429 => {
                permit.answered();
                self.http.meter.refused();
                self.hold(asked);
                // Nothing was done, so even what isn't idempotent may be sent again.
                Verdict::Again(Err(failure::throttled(&response.host, asked)), asked)
            }
            502..=504 => {
                let error = failure::unavailable(&response.host, status, asked);
                permit.failed(now, &error.code);
                self.hold(asked);
                if request.idempotent {
                    Verdict::Again(Err(error), asked)
                } else {
                    Verdict::Done(Err(error))
                }
            }
            500 if request.retry_500 => {
                permit.failed(now, "http_500");
                Verdict::Again(Ok(response), None)
            }
            300..=399 => {
                permit.answered();
                let to = &response.headers;
                let error = failure::redirected(&request.url, &response.host, status, to);
                Verdict::Done(Err(error))
            }
            _ => {
                permit.answered();
                Verdict::Done(Ok(response))
            }
        }
    }

    fn hold(&self, asked: Option<Duration>) {
        if let Some(wait) = asked {
            self.account.hold(after(self.http.shared.steady.now(), wait));
        }
    }

    fn circuit_open(&self, target: &Target, wait: Duration) -> Error {
        failure::circuit_open(&target.host, wait, self.circuit().last_code.as_deref())
    }

    async fn wait(&self, wait: Duration, reason: WaitReason) {
        if !wait.is_zero() {
            let clock = &self.http.config.clock;
            let _shown = self.http.meter.wait(Waiting { until: after(clock.now(), wait), reason });
            clock.sleep(wait).await;
        }
    }
}

/// Leave to make one attempt: a place among the calls under way, and the circuit's permit.
struct Leave {
    permit: Permit,
    _place: OwnedSemaphorePermit,
}

/// The gate is shut. What the last attempt ended with says more than that, but not how long it
/// lasts.
fn refused(last: Option<Result<Response>>, refusal: Error) -> Result<Response> {
    match last {
        None => Err(refusal),
        Some(Err(mut error)) => {
            error.retry_after = error.retry_after.or(refusal.retry_after);
            Err(error)
        }
        Some(answer) => answer,
    }
}
