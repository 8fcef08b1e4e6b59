//! QuickBooks Online: several companies behind one API and one OAuth server.
//!
//! - `oauth`: authorize page, tokens, revocation; `api`: the Accounting API's calls, limits,
//!   `requestid`, batches, change data capture
//! - `schema` holds bodies against the strict model, `write` checks and carries out writes,
//!   `store` keeps the records, `query` reads them
//! - `presets` are the companies there are, `rules` the switches, `control` the API for tests:
//!   what a person does in QuickBooks, totals, journals
//!
//! The rules are those of Intuit's documentation, and where that is silent those that were observed.

mod api;
mod company;
mod control;
mod fault;
mod kind;
mod money;
mod oauth;
mod params;
mod presets;
mod query;
mod rules;
mod schema;
mod store;
mod times;
mod under_way;
mod webhooks;
mod world;
mod write;

pub use rules::{AcceptRule, Mishap, NumberScope, OldCdc, RequestIds, Rules, WebhookFormat};
pub use world::CLIENT_ID;

use crate::clock::SimClock;
use crate::faults::FaultKind;
use crate::http::{Request, Response};
use crate::platform::{Addresses, ControlCall, ControlReply, Platform};
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio_util::sync::CancellationToken;
use under_way::UnderWay;
use world::World;

/// Which companies there are from the start; more come through the control API.
#[derive(Debug, Clone)]
pub struct Options {
    /// Presets, one company each.
    pub companies: Vec<String>,
    /// Seed of tokens and codes.
    pub seed: u64,
    /// The rules of the companies from the start.
    pub rules: Rules,
}

impl Default for Options {
    fn default() -> Self {
        let presets = ["us", "us_single", "uk", "uk_single", "eu"];
        Options { companies: presets.map(str::to_owned).to_vec(), seed: 1, rules: Rules::default() }
    }
}

/// The simulated Intuit.
pub struct QuickBooks {
    world: Arc<Mutex<World>>,
    clock: SimClock,
    base: OnceLock<Addresses>,
    under_way: UnderWay,
    stop: CancellationToken,
}

impl QuickBooks {
    /// Sets up the companies.
    ///
    /// Errors: a text that names an unknown preset.
    pub fn open(
        options: &Options,
        clock: SimClock,
        stop: CancellationToken,
    ) -> Result<Arc<Self>, String> {
        let mut world = World::new(options.seed);
        for preset in &options.companies {
            world.add_company(preset, None, options.rules.clone(), clock.now())?;
        }
        Ok(Arc::new(QuickBooks {
            world: Arc::new(Mutex::new(world)),
            clock,
            base: OnceLock::new(),
            under_way: UnderWay::default(),
            stop,
        }))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn base(&self, secure: bool) -> String {
        let pick = |a: &Addresses| if secure { a.https.clone() } else { a.http.clone() };
        self.base.get().map(pick).unwrap_or_default()
    }

    fn dispatch(&self, world: &mut World, request: &Request) -> Response {
        let now = self.clock.now();
        let parts: Vec<&str> = request.path.split('/').filter(|p| !p.is_empty()).collect();
        match (request.method.as_str(), parts.as_slice()) {
            (_, ["v3", "company", rest @ ..]) => {
                api::answer(world, request, rest, self.under_way.count(request), now)
            }
            ("GET", ["connect", "oauth2"]) => oauth::authorize(world, request, now),
            ("POST", ["connect", "oauth2"]) => oauth::decide(world, request, now),
            ("POST", ["oauth2", "v1", "tokens", "bearer"]) => oauth::token(world, request, now),
            ("POST", ["v2", "oauth2", "tokens", "revoke"]) => oauth::revoke(world, request),
            ("GET", [".well-known", "openid_configuration" | "openid_sandbox_configuration"]) => {
                Response::json(200, &oauth::discovery(&self.base(request.secure)))
            }
            _ => Response::new(404, "text/plain", "no such address\n"),
        }
    }

    /// Calls take time on the simulated clock where the company's rules say so.
    fn let_time_pass(&self, world: &World, request: &Request) {
        let realm = request.path.strip_prefix("/v3/company/").and_then(|p| p.split('/').next());
        let company = realm.and_then(|realm| world.companies.get(realm));
        let millis = company.map_or(0, |company| company.rules.call_takes_ms);
        if millis > 0 {
            self.clock.advance(SignedDuration::from_millis(millis));
        }
    }
}

impl Platform for QuickBooks {
    fn name(&self) -> &'static str {
        "quickbooks"
    }

    fn listening(&self, addresses: &Addresses) {
        let _ = self.base.set(addresses.clone());
        let delivery = webhooks::deliver(self.world.clone(), self.clock.clone(), self.stop.clone());
        tokio::spawn(delivery);
    }

    fn route(&self, request: &Request) -> String {
        let parts: Vec<&str> = request.path.split('/').filter(|p| !p.is_empty()).collect();
        let path = match parts.as_slice() {
            ["v3", "company", _, "companyinfo", _] => "companyinfo/{realm}".to_owned(),
            ["v3", "company", _, name, _, rest @ ..] if *name != "taxservice" => {
                format!("{name}/{{id}}{}", rest.iter().map(|p| format!("/{p}")).collect::<String>())
            }
            ["v3", "company", _, rest @ ..] => rest.join("/"),
            other => other.join("/"),
        };
        format!("{} {path}", request.method)
    }

    fn visit(&self, request: &Request) -> Option<Arc<dyn Any + Send + Sync>> {
        Some(self.under_way.enter(request))
    }

    fn answer(&self, request: &Request) -> Response {
        let mut world = self.world();
        self.let_time_pass(&world, request);
        let response = self.dispatch(&mut world, request);
        let tid = world.next_tid(self.clock.now());
        response.header("intuit_tid", tid)
    }

    fn named_fault(&self, name: &str, _arguments: &Value) -> Option<FaultKind> {
        control::named_fault(name, self.clock.now())
    }

    fn control(&self, call: &ControlCall<'_>) -> ControlReply {
        control::answer(&mut self.world(), call, self.clock.now())
    }

    fn describe(&self) -> Value {
        let world = self.world();
        let base = self.base(true);
        let companies: Vec<Value> =
            world.companies.values().map(|company| control::described(&world, company)).collect();
        json!({ "api": base, "oauth": base, "companies": companies })
    }
}
