//! A WooCommerce 10.2 shop behind its REST API v3. Rules come from measurements of a real shop:
//! where a comment says "reference", it means `fixtures/woocommerce/measured.md`, by section.
//!
//! A request goes `dispatch` (route, authentication by `auth` and `oauth`, body) -> its resource's
//! handler -> `reply` (headers, `Link`, `_fields`, PHP's JSON). State is in `state`, filled by
//! `load` or `generate`; lists share `list`; what happened reaches webhooks as events.

mod auth;
mod batch;
mod catalog;
mod control;
mod coupons;
mod customers;
mod dispatch;
mod errors;
mod faults;
mod generate;
pub mod keys;
mod list;
mod load;
mod meta;
mod oauth;
mod orders;
mod params;
mod php;
mod prerendered;
mod products;
pub mod record;
mod refunds;
mod reply;
mod routes;
mod settings;
pub mod state;
mod times;
mod view;
pub mod webhooks;

use crate::clock::SimClock;
use crate::error::{Error, Result};
use crate::faults::FaultKind;
use crate::http::{Request, Response};
use crate::platform::{Addresses, ControlCall, ControlReply, Platform};
use jiff::tz::TimeZone;
use keys::Keys;
use params::Params;
use prerendered::Prerendered;
use routes::Route;
use serde_json::{Value, json};
use state::Shop;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use webhooks::Dispatcher;

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
    /// Made up from a seed and rendered beforehand; its orders are read-only.
    Prerendered { orders: u64, seed: u64 },
}

/// How the shop is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where its records come from.
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
pub struct WooCommerce {
    shop: Arc<Mutex<Shop>>,
    dispatcher: Arc<Dispatcher>,
    prerendered: Option<Prerendered>,
}

impl WooCommerce {
    /// Loads the shop and starts its webhook deliveries.
    ///
    /// Errors: an unknown time zone, or a folder that is no shop.
    pub fn open(options: &Options, clock: SimClock, stop: CancellationToken) -> Result<Arc<Self>> {
        let zone = TimeZone::get(&options.timezone)
            .map_err(|_| Error::Timezone(options.timezone.clone()))?;
        let mut shop = Shop::empty(zone, clock);
        shop.keys = Keys::usual();
        let mut prerendered = None;
        match &options.source {
            Source::Recorded => load::recorded(&mut shop)?,
            Source::Folder(folder) => load::folder(&mut shop, folder)?,
            Source::Generated { orders, seed } => {
                load::base(&mut shop)?;
                generate::fill(&mut shop, *orders, *seed);
            }
            Source::Prerendered { orders, seed } => {
                load::base(&mut shop)?;
                prerendered = Some(Prerendered::make(&mut shop, *orders, *seed));
            }
        }
        let dispatcher =
            Arc::new(Dispatcher::new(options.delivery_delay, options.deliver_to_loopback));
        let shop = Arc::new(Mutex::new(shop));
        tokio::spawn(webhooks::run(dispatcher.clone(), shop.clone(), stop));
        Ok(Arc::new(WooCommerce { shop, dispatcher, prerendered }))
    }

    /// The state, to look at or change directly. Don't hold it across an await.
    pub fn state(&self) -> MutexGuard<'_, Shop> {
        self.shop.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A key pair by its name: `read_write`, `read_only`, `write_only`, `shop_manager`,
    /// `customer_role`, or one that was added.
    pub fn key(&self, name: &str) -> Option<(String, String)> {
        let shop = self.state();
        shop.keys.named(name).map(|k| (k.consumer_key.clone(), k.consumer_secret.clone()))
    }

    /// Delivers what webhooks are waiting for, and returns when it is delivered.
    pub async fn deliver_now(&self) {
        self.dispatcher.take_events(&mut self.state());
        self.dispatcher.hurry();
        self.dispatcher.idle().await;
    }
}

impl Platform for WooCommerce {
    fn name(&self) -> &'static str {
        "woocommerce"
    }

    fn listening(&self, addresses: &Addresses) {
        let mut shop = self.state();
        shop.site_url = addresses.https.clone();
        shop.cron_url = addresses.http.clone();
    }

    fn route(&self, request: &Request) -> String {
        let params = Params::parse(&request.query);
        let path = dispatch::rest_path(request, &params);
        match path.as_deref().and_then(Route::parse) {
            Some(route) => format!("{} {}", request.method, route.template()),
            None => format!("{} other", request.method),
        }
    }

    fn answer(&self, request: &Request) -> Response {
        let mut shop = self.state();
        if let Some(fast) = &self.prerendered
            && let Some(response) = fast.answer(&mut shop, request)
        {
            return response;
        }
        let response = dispatch::answer(&mut shop, &self.dispatcher, request);
        self.dispatcher.take_events(&mut shop);
        response
    }

    fn named_fault(&self, name: &str, arguments: &Value) -> Option<FaultKind> {
        faults::named(name, arguments)
    }

    fn control(&self, call: &ControlCall<'_>) -> ControlReply {
        control::answer(self, call)
    }

    fn describe(&self) -> Value {
        json!({"keys": self.state().keys.to_json()})
    }
}
