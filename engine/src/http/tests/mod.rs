mod calls;
mod pacing;
mod server;
mod tls;

use super::*;
use jiff::Timestamp;
use std::pin::Pin;

/// Time that passes by being slept through, and notes each wait.
pub struct TestClock {
    now: Mutex<Timestamp>,
    pub waits: Mutex<Vec<Duration>>,
}

impl TestClock {
    fn new() -> Arc<Self> {
        let now = "2026-11-20T10:00:00Z".parse().unwrap();
        Arc::new(TestClock { now: Mutex::new(now), waits: Mutex::default() })
    }

    fn waits(&self) -> Vec<Duration> {
        lock(&self.waits).clone()
    }

    fn waited(&self) -> Duration {
        self.waits().iter().sum()
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *lock(&self.now)
    }

    fn sleep(&self, wait: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        lock(&self.waits).push(wait);
        let mut now = lock(&self.now);
        *now = limits::after(*now, wait);
        Box::pin(tokio::task::yield_now())
    }
}

/// A context that may call this machine.
fn context(clock: Arc<dyn Clock>) -> Arc<HttpContext> {
    let policy = AddressPolicy::parse("127.0.0.1, localhost").unwrap();
    HttpContext::seeded(HttpConfig { policy, ca_pem: None, clock }, 7).unwrap()
}

fn client(clock: Arc<dyn Clock>) -> Client {
    context(clock).client("account", ClientConfig::default())
}
