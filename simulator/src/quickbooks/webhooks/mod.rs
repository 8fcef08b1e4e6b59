//! Webhooks: what happened in the companies, told to the address of each app.
//!
//! CloudEvents arrays (or the older form), signed over the raw bytes; tried again at 10, 20 and 30
//! seconds, 5 and 20 minutes, 2, 4 and 6 hours and then every 6 hours of the simulated clock, while
//! everything later waits behind. From Intuit's page on webhooks and its samples.

mod event;
mod outbox;
mod payload;

pub use event::Event;
pub use outbox::Subscription;
pub use payload::is_loopback;

use super::world::World;
use crate::clock::SimClock;
use outbox::Delivery;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A receiver must answer within this time.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often the outboxes are looked at, in real time: the simulated clock may jump.
const PULSE: Duration = Duration::from_millis(25);

/// Delivers for all apps until `stop`.
pub async fn deliver(world: Arc<Mutex<World>>, clock: SimClock, stop: CancellationToken) {
    // Several TLS providers may be compiled in; the client has to be told which.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .no_proxy()
        .build();
    let Ok(client) = client else { return };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PULSE) => {}
        }
        let due = {
            let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
            outbox::due(&mut world, clock.now())
        };
        for delivery in due {
            let heard = send(&client, &delivery).await;
            let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
            outbox::settle(&mut world, &delivery, heard, clock.now());
        }
    }
}

/// True when the receiver answered 200 in time.
async fn send(client: &reqwest::Client, delivery: &Delivery) -> bool {
    let mut request = client.post(&delivery.url).body(delivery.body.clone());
    for (name, value) in &delivery.headers {
        request = request.header(name, value);
    }
    request.send().await.is_ok_and(|answer| answer.status().as_u16() == 200)
}
