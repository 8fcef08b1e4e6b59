//! The HTTP layer that every connector uses: time-outs, a cap on the answer's size, retries with
//! full jitter, `Retry-After`, a token bucket, a circuit breaker, cancellation, refusal of private
//! addresses, and JSON that is checked before it is believed.

use crate::clock::Clock;
use crate::error::Result;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Hosts that may be private, loopback or plain http: `easysync.allowed_private_hosts`.
#[derive(Debug, Clone, Default)]
pub struct AddressPolicy {
    allowed: Vec<String>,
}

impl AddressPolicy {
    /// Reads `host[:port]` entries, separated by commas or spaces.
    pub fn parse(list: &str) -> Result<Self> {
        Ok(AddressPolicy {
            allowed: list
                .split([',', ' '])
                .filter(|entry| !entry.is_empty())
                .map(str::to_ascii_lowercase)
                .collect(),
        })
    }

    pub fn allows(&self, host: &str, port: u16) -> bool {
        let with_port = format!("{host}:{port}");
        self.allowed.iter().any(|entry| entry == host || *entry == with_port)
    }
}

/// What the layer needs from outside.
#[derive(Clone)]
pub struct HttpConfig {
    pub policy: AddressPolicy,
    /// More certificate authorities, PEM: `easysync.ca_file`.
    pub ca_pem: Option<Vec<u8>>,
    pub clock: Arc<dyn Clock>,
}

/// Clients, token buckets and circuit breakers by account; shared by all runs of a worker.
pub struct HttpContext {
    pub config: HttpConfig,
    pub cancel: CancellationToken,
}

impl HttpContext {
    pub fn new(config: HttpConfig) -> Result<Arc<Self>> {
        Ok(Arc::new(HttpContext { config, cancel: CancellationToken::new() }))
    }

    /// The same context (buckets and breakers shared) whose calls end when `cancel` does.
    pub fn with_cancel(self: &Arc<Self>, cancel: CancellationToken) -> Arc<Self> {
        Arc::new(HttpContext { config: self.config.clone(), cancel })
    }
}
