//! Stand-in platforms that keep state and obey the real ones' rules, for the demo and the tests.
//!
//! - a platform ([`platform::Platform`]) answers requests from memory: `woocommerce`, `quickbooks`
//! - `server` listens on free loopback ports, http and https, with the certificate authority that
//!   `tls` makes at start; `sending` and `wire` put answers on the wire or break them off
//! - `faults` decides which calls go wrong and how, `calls` counts them, `clock` is the time that
//!   the platforms live in
//! - `control` is the API through which tests and people steer all that; `state_file` tells where
//!   everything is
//!
//! Tests in Rust use [`start`]; everything else runs the binary. `README.md` has the control API.

// Blank records are long `json!` literals.
#![recursion_limit = "512"]

pub mod calls;
pub mod clock;
pub mod control;
pub mod error;
pub mod faults;
pub mod http;
pub mod platform;
pub mod quickbooks;
mod sending;
pub mod server;
pub mod state_file;
mod tls;
mod wire;
pub mod woocommerce;

use crate::calls::Calls;
use crate::clock::SimClock;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::faults::{FaultKind, FaultPlan, Match};
use crate::platform::{Addresses, Platform};
use crate::server::Served;
use jiff::Timestamp;
use rustls::ServerConfig;
use serde_json::Value;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What to simulate.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where the clock starts; by default the later of now and 2026-11-24.
    pub start: Option<Timestamp>,
    /// The shop.
    pub woocommerce: woocommerce::Options,
    /// The companies.
    pub quickbooks: quickbooks::Options,
    /// Count calls, but don't log them: for benchmarks.
    pub no_call_log: bool,
    /// Ports to listen on, in place of free ones: control API, then http and https of each
    /// platform in the order of the state file. Left out or 0: a free one.
    pub ports: Vec<u16>,
}

/// Running simulators. Dropping it stops them.
pub struct Handle {
    /// `http://127.0.0.1:PORT`, without a trailing slash.
    pub control: String,
    /// The certificate authority that https clients have to trust, PEM.
    pub ca_pem: String,
    /// The one clock of all platforms.
    pub clock: SimClock,
    /// In the order of the state file; the shop comes first.
    pub platforms: Vec<PlatformHandle>,
    /// The shop, for tests that look at or change it directly.
    pub shop: Arc<woocommerce::WooCommerce>,
    /// The companies, likewise.
    pub books: Arc<quickbooks::QuickBooks>,
    stop: CancellationToken,
}

/// One running platform.
#[derive(Clone)]
pub struct PlatformHandle {
    /// Where it listens.
    pub addresses: Addresses,
    served: Arc<Served>,
}

impl PlatformHandle {
    /// As in the control API and the state file.
    pub fn name(&self) -> &'static str {
        self.served.platform.name()
    }

    /// Its counters.
    pub fn calls(&self) -> &Calls {
        &self.served.calls
    }

    /// Its faults.
    pub fn faults(&self) -> &FaultPlan {
        &self.served.faults
    }

    /// Adds a fault as the control API would: `arguments` holds the fault's own and `"match"`.
    ///
    /// Errors: a text that says which name or argument is wrong.
    pub fn add_fault(&self, name: &str, arguments: Value) -> std::result::Result<u64, String> {
        let matching = Match::read(&arguments["match"])?;
        control::add_named_fault(&self.served, name, &arguments, matching)
            .map_err(|e| e.to_string())
    }

    /// Adds a fault that strikes every call.
    pub fn add_fault_for_all(&self, kind: FaultKind) -> u64 {
        self.served.faults.add("for all", kind, Match::default())
    }
}

impl Handle {
    /// The WooCommerce shop's addresses, faults and call counts.
    pub fn woocommerce(&self) -> &PlatformHandle {
        // `start` puts the shop first.
        &self.platforms[0]
    }

    /// QuickBooks's addresses, faults and call counts.
    pub fn quickbooks(&self) -> &PlatformHandle {
        // `start` puts the books second.
        &self.platforms[1]
    }

    /// Stops accepting and drops all connections.
    pub fn shutdown(&self) {
        self.stop.cancel();
    }

    /// Returns when somebody asked for the end, be it by [`Handle::shutdown`] or the control API.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Starts all platforms and the control API on the current tokio runtime.
///
/// Errors: no free port, or a shop folder that can't be read.
pub async fn start(options: Options) -> Result<Handle> {
    let clock = SimClock::starting_at(options.start);
    let stop = CancellationToken::new();
    let authority = tls::Authority::new()?;
    let shop = woocommerce::WooCommerce::open(&options.woocommerce, clock.clone(), stop.clone())?;
    let books = quickbooks::QuickBooks::open(&options.quickbooks, clock.clone(), stop.clone())
        .map_err(Error::Companies)?;
    let registered: Vec<Arc<dyn Platform>> = vec![shop.clone(), books.clone()];

    let mut ports = options.ports.iter().copied();
    let (control_listener, control) =
        listen("the control API", "http", ports.next().unwrap_or(0)).await?;
    let mut platforms = vec![];
    for platform in registered {
        let served = Arc::new(Served {
            platform,
            faults: Arc::default(),
            calls: Arc::new(Calls::new(!options.no_call_log)),
            clock: clock.clone(),
        });
        let chosen = [ports.next().unwrap_or(0), ports.next().unwrap_or(0)];
        platforms.push(start_platform(served, chosen, &authority.server, &stop).await?);
    }
    let all = platforms.iter().map(|p: &PlatformHandle| p.served.clone()).collect();
    let api = Arc::new(Control { platforms: all, clock: clock.clone(), stop: stop.clone() });
    tokio::spawn(control::serve(api, control_listener, stop.clone()));
    Ok(Handle { control, ca_pem: authority.ca_pem, clock, platforms, shop, books, stop })
}

async fn start_platform(
    served: Arc<Served>,
    ports: [u16; 2],
    tls: &Arc<ServerConfig>,
    stop: &CancellationToken,
) -> Result<PlatformHandle> {
    let name = served.platform.name();
    let (plain, http) = listen(name, "http", ports[0]).await?;
    let (secure, https) = listen(name, "https", ports[1]).await?;
    let addresses = Addresses { https, http };
    served.platform.listening(&addresses);
    tokio::spawn(server::serve(served.clone(), plain, None, stop.clone()));
    tokio::spawn(server::serve(served.clone(), secure, Some(tls.clone()), stop.clone()));
    Ok(PlatformHandle { addresses, served })
}

async fn listen(what: &str, scheme: &str, port: u16) -> Result<(TcpListener, String)> {
    let failed = |source| Error::Listen { what: what.to_owned(), source };
    let listener = TcpListener::bind(("127.0.0.1", port)).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, format!("{scheme}://{address}")))
}
