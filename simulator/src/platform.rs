//! What a simulated platform is to the server: something that answers requests.

use crate::faults::FaultKind;
use crate::http::{Request, Response};
use serde_json::Value;
use std::any::Any;
use std::sync::Arc;

/// Where a platform listens.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// `https://127.0.0.1:PORT`, without a trailing slash.
    pub https: String,
    /// `http://127.0.0.1:PORT`, without a trailing slash.
    pub http: String,
}

/// A call to the control API under `/{platform}/`.
#[derive(Debug, Clone)]
pub struct ControlCall<'a> {
    /// Upper case.
    pub method: &'a str,
    /// The path's parts after the platform's name.
    pub path: Vec<&'a str>,
    /// The query's names and values, decoded.
    pub query: Vec<(String, String)>,
    /// The JSON body, `null` when there is none.
    pub body: Value,
}

/// A reply of the control API, or what was wrong with the call.
pub type ControlReply = Result<Value, ControlError>;

/// Why a control call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ControlError {
    /// 404: nothing of that name.
    #[error("{0}")]
    NotFound(String),
    /// 400: an argument is missing or wrong.
    #[error("{0}")]
    BadRequest(String),
}

/// One simulated platform. Handlers are synchronous: they work in memory and never wait; what takes
/// time (faults, webhook deliveries) is done around them by the server or by tasks of their own.
pub trait Platform: Send + Sync + 'static {
    /// Lower case, also its prefix in the control API and its key in the state file.
    fn name(&self) -> &'static str;

    /// Told once, before the first request.
    fn listening(&self, addresses: &Addresses);

    /// The route a request counts under, for example `GET /wp-json/wc/v3/orders/{id}`.
    fn route(&self, request: &Request) -> String;

    /// Called when a request arrives, before faults delay it; what comes back is dropped when its
    /// answer is ready, so that a platform can tell how many calls are under way.
    fn visit(&self, _request: &Request) -> Option<Arc<dyn Any + Send + Sync>> {
        None
    }

    /// Handles one request.
    fn answer(&self, request: &Request) -> Response;

    /// A fault that the platform knows by name (its own error pages), as what the server can do.
    fn named_fault(&self, name: &str, arguments: &Value) -> Option<FaultKind>;

    /// Whatever of the control API isn't common to all platforms.
    fn control(&self, call: &ControlCall<'_>) -> ControlReply;

    /// Keys and the like for the state file, beside the addresses.
    fn describe(&self) -> Value;
}
