//! A WooCommerce 10.2 shop behind its REST API v3.

use crate::clock::SimClock;
use crate::error::Result;
use crate::faults::FaultKind;
use crate::http::{Request, Response};
use crate::platform::{Addresses, ControlCall, ControlError, ControlReply, Platform};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Where the shop's records come from.
#[derive(Debug, Clone, Default)]
pub enum Source {
    /// The shop recorded in `fixtures/woocommerce/shop`, which is part of the program.
    #[default]
    Recorded,
    /// A folder of the same form.
    Folder(PathBuf),
    /// Made up from a seed.
    Generated { orders: u64, seed: u64 },
    /// Made up from a seed and rendered beforehand; read-only.
    Prerendered { orders: u64, seed: u64 },
}

/// How the shop is set up.
#[derive(Debug, Clone)]
pub struct Options {
    pub source: Source,
    /// IANA name. The recorded shop's own is America/New_York.
    pub timezone: String,
    /// Deliver webhooks to loopback hosts and any port.
    pub deliver_to_loopback: bool,
    /// From an event to its delivery; events in between are one delivery.
    pub delivery_delay: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            source: Source::default(),
            timezone: "America/New_York".into(),
            deliver_to_loopback: false,
            delivery_delay: Duration::from_millis(50),
        }
    }
}

/// The shop.
pub struct WooCommerce {}

impl WooCommerce {
    pub fn open(
        _options: &Options,
        _clock: SimClock,
        _stop: CancellationToken,
    ) -> Result<Arc<Self>> {
        Ok(Arc::new(WooCommerce {}))
    }
}

impl Platform for WooCommerce {
    fn name(&self) -> &'static str {
        "woocommerce"
    }

    fn listening(&self, _addresses: &Addresses) {}

    fn route(&self, request: &Request) -> String {
        format!("{} {}", request.method, request.path)
    }

    fn answer(&self, _request: &Request) -> Response {
        Response::json(404, &json!({"code": "rest_no_route"}))
    }

    fn named_fault(&self, _name: &str, _arguments: &Value) -> Option<FaultKind> {
        None
    }

    fn control(&self, call: &ControlCall<'_>) -> ControlReply {
        Err(ControlError::NotFound(format!("nothing at {}", call.path.join("/"))))
    }

    fn describe(&self) -> Value {
        json!({})
    }
}
