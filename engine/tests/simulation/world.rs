//! A shop, a store and the worker's engine between them, under one seed.

use engine::clock::Clock;
use engine::http::{AddressPolicy, HttpConfig, HttpContext};
use engine::model::{Direction, Entity, Mode};
use engine::runner::Runner;
use engine::store::{Connection, DeletePolicy, Filters, Outcome, Secret, Stream, SyncId};
use engine::testing::{
    Change, Dice, Faults, MemStore, RunState, Shop, ShopConnector, SimClock, StoreFaults, Trace,
};
use jiff::{SignedDuration, Timestamp};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

/// Its clients are never used, and dear to make.
static HTTP: LazyLock<Arc<HttpContext>> = LazyLock::new(|| {
    let policy = AddressPolicy::default();
    let clock = Arc::new(engine::clock::SystemClock);
    HttpContext::new(HttpConfig { policy, ca_pem: None, clock }).unwrap()
});

/// Longer than any sync of these small shops takes, in simulated time.
const ENDLESS: Duration = Duration::from_secs(3 * 86_400);

pub struct World {
    pub dice: Dice,
    pub clock: SimClock,
    pub trace: Trace,
    pub store: Arc<MemStore>,
    pub shop: ShopConnector,
    /// Elements of a page, and pages asked for at once.
    pub pages: Arc<Mutex<(u64, usize)>>,
    pub syncs: u64,
    runner: Runner,
}

/// How bad it gets.
#[derive(Clone)]
pub struct Storm {
    pub changes: Vec<Change>,
    /// Syncs, at the most.
    pub syncs: u64,
    /// Percent of syncs during which the worker dies.
    pub deaths: u64,
    pub errors: u64,
    pub refusals: bool,
    /// Changes before each sync, at the most.
    pub edits: u64,
}

impl World {
    pub fn new(seed: u64) -> World {
        let dice = Dice::new(seed);
        let start: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        let clock = SimClock::new(start);
        let shared: Arc<dyn Clock> = Arc::new(clock);
        let trace = Trace::new(shared.clone());
        let orders = dice.below(0..60);
        let shop = ShopConnector {
            shop: Arc::new(Mutex::new(Shop::open(&dice, start, orders))),
            faults: Arc::new(Mutex::new(Faults::none())),
            clock: shared.clone(),
            dice: dice.clone(),
            trace: trace.clone(),
            page_size: dice.below(2..15),
            concurrency: dice.below(1..5) as usize,
            script: Arc::default(),
        };
        let delete_policy = dice.pick(&[DeletePolicy::Keep, DeletePolicy::Delete]).unwrap();
        let store =
            MemStore::new(streams(delete_policy), shared.clone(), dice.clone(), trace.clone());
        let pages = Arc::new(Mutex::new((shop.page_size, shop.concurrency)));
        let (connector, sizes) = (shop.clone(), pages.clone());
        let runner = Runner {
            store: store.clone(),
            http: HTTP.clone(),
            clock: shared,
            open: Arc::new(move |_, _, _| {
                let (page_size, concurrency) = *sizes.lock().unwrap();
                Ok(Arc::new(ShopConnector { page_size, concurrency, ..connector.clone() }))
            }),
            pusher: None,
        };
        World { dice, clock, trace, store, shop, pages, syncs: 0, runner }
    }

    pub fn set_faults(&self, faults: Faults) {
        *self.shop.faults.lock().unwrap() = faults;
    }

    /// Nothing goes wrong any more, nothing changes, and what couldn't be read can.
    pub async fn calm(&mut self) {
        let skew = self.shop.faults.lock().unwrap().skew;
        self.set_faults(Faults { skew, ..Faults::none() });
        self.store.set_faults(StoreFaults::default());
        self.change(Change::Mend);
        self.clock.advance(Duration::from_secs(self.dice.below(0..4000))).await;
    }

    pub fn change(&self, change: Change) {
        let now = self.clock.now() + self.shop.faults.lock().unwrap().skew;
        self.shop.shop.lock().unwrap().change(change, &self.dice, now);
    }

    /// One sync from its trigger to its end, the worker alive.
    pub async fn sync(&mut self, mode: Mode) -> RunState {
        let sync_id = self.store.trigger(Entity::Orders, mode, None);
        self.drive(sync_id, 0).await
    }

    /// Syncs while the shop lives on, calls fail, the store fails and the worker dies.
    pub async fn storm(&mut self, storm: &Storm) {
        let skew = SignedDuration::from_secs(self.dice.below(0..7200) as i64 - 3600);
        for _ in 0..self.dice.below(1..storm.syncs + 1) {
            let errors =
                if self.dice.chance(60) { self.dice.below(0..storm.errors + 1) } else { 0 };
            let honest = self.dice.chance(70);
            self.set_faults(Faults {
                errors,
                lost_answers: errors / 2,
                lost_totals: if honest { 0 } else { 50 },
                lost_dates: if skew.abs() < SignedDuration::from_secs(60) { 20 } else { 0 },
                duplicates: if honest { 0 } else { 10 },
                busy: self.dice.below(0..80),
                changes: storm.changes.clone(),
                latency: Duration::from_millis(self.dice.pick(&[5, 500, 5_000, 90_000]).unwrap()),
                skew,
                late: Duration::from_secs(self.dice.below(0..240)),
            });
            let ids = self.some_ids();
            let refused =
                if storm.refusals { ids.iter().take(2).cloned().collect() } else { vec![] };
            let faults = StoreFaults { errors: errors / 4, lost_answers: errors / 4, refused };
            self.store.set_faults(faults);
            (0..self.dice.below(0..storm.edits + 1)).for_each(|_| self.shop.live());
            // What is older than the overlap is seen by one walk only.
            let age = self.dice.pick(&[0, 2_000]).unwrap();
            self.clock.advance(Duration::from_secs(self.dice.below(0..age + 1))).await;
            let (mode, ids) = match self.dice.below(0..20) {
                0 => (Mode::Ids, Some(ids)),
                1..4 => (Mode::Full, None),
                _ => (Mode::Incremental, None),
            };
            let sync_id = self.store.trigger(Entity::Orders, mode, ids);
            let cancel = self.dice.chance(8);
            if cancel {
                self.store.cancel(sync_id);
            }
            self.drive(sync_id, storm.deaths).await;
            let pause = self.dice.pick(&[0, 30, 3_600, 100_000]).unwrap();
            self.clock.advance(Duration::from_secs(self.dice.below(0..pause + 1))).await;
        }
    }

    /// Applications delete rows, links are lost, hashes are of another time.
    pub fn disturb(&self) {
        let count = self.dice.below(0..4);
        self.store.edit(|state| {
            for _ in 0..count {
                let rows: Vec<i64> = state.rows.keys().copied().collect();
                let links: Vec<_> = state.links.keys().cloned().collect();
                match self.dice.below(0..2) {
                    0 => drop(self.dice.pick(&rows).and_then(|id| state.rows.remove(&id))),
                    _ => {
                        let index = self.dice.below(0..links.len() as u64) as usize;
                        let link = links.get(index).and_then(|key| state.links.get_mut(key));
                        if let Some(link) = link {
                            link.hash = vec![7; 16];
                        }
                    }
                }
            }
        });
    }

    pub fn some_ids(&self) -> Vec<String> {
        let known: Vec<i64> = self.shop.shop.lock().unwrap().orders.keys().copied().collect();
        (0..3).filter_map(|_| self.dice.pick(&known)).map(|id| id.to_string()).collect()
    }

    /// Lets workers live until the run has ended; `deaths` percent of them die on the way.
    pub async fn drive(&mut self, sync_id: SyncId, deaths: u64) -> RunState {
        self.syncs += 1;
        loop {
            let dies = self.dice.chance(deaths);
            let life = dies.then(|| self.dice.below(1..120));
            self.trace.fuse.light(life);
            let store = self.store.clone();
            let ended = async move {
                store.until(|state| state.runs[&sync_id].outcome.is_some()).await;
            };
            let alive = tokio::select! {
                biased;
                () = self.trace.fuse.burnt() => false,
                () = ended => true,
                () = tokio::time::sleep(ENDLESS) => panic!("sync {sync_id} has no end"),
                _ = self.runner.clone().run() => unreachable!("the worker's loop has no end"),
            };
            self.trace.fuse.light(None);
            self.trace.note(if alive { "run ended" } else { "worker died" });
            // The dead worker's tasks end before the next one begins, as those of a process do.
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            self.store.restart();
            if alive {
                return self.store.run(sync_id).unwrap();
            }
        }
    }

    /// A run at rest ends well, or the seed is told.
    pub async fn sync_well(&mut self, mode: Mode) -> RunState {
        let run = self.sync(mode).await;
        assert_eq!(run.outcome, Some(Outcome::Succeeded), "{mode:?} run at rest: {run:#?}");
        run
    }

    pub fn differences(&self, pending: bool) -> Vec<String> {
        let shop = self.shop.shop.lock().unwrap().clone();
        engine::testing::differences(&self.store, &shop, pending)
    }
}

fn streams(delete_policy: DeletePolicy) -> Vec<Stream> {
    let connection = Arc::new(Connection {
        tenant: "default".into(),
        name: "shop".into(),
        connector: "simulated".into(),
        account: "shop.test".into(),
        settings: serde_json::Value::Null,
        credentials: Secret::default(),
    });
    let stream = |entity| Stream {
        connection: connection.clone(),
        entity,
        direction: Direction::Pull,
        filters: Filters::default(),
        delete_policy,
        rules: None,
    };
    [Entity::Customers, Entity::Products, Entity::Orders, Entity::Refunds].map(stream).to_vec()
}
