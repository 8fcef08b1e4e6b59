//! Thousands of syncs in a simulated world: a shop that changes while it is read, calls and
//! transactions that fail, workers that die. In the end the hub equals the shop.
//!
//! A failure prints its seed. `EASYSYNC_SIM_SEED=n` replays one seed with its trace,
//! `EASYSYNC_SIM_RUNS=n` runs that many.

mod world;

use engine::clock::Clock;
use engine::model::{Entity, Mode};
use engine::store::Outcome;
use engine::testing::{Change, Faults};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use world::{Storm, World};

/// Seeds of each test, unless the environment says otherwise.
const RUNS: u64 = 100;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Plays a scenario under one seed; returns its trace and how many syncs it took.
fn play(seed: u64, scenario: impl AsyncFnOnce(&mut World)) -> (Vec<String>, u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut world = World::new(seed);
        let trace = world.trace.clone();
        let guard = TraceOnPanic(trace.clone());
        scenario(&mut world).await;
        std::mem::forget(guard);
        (trace.lines(), world.syncs)
    })
}

/// Shows what led to a failure.
struct TraceOnPanic(engine::testing::Trace);

impl Drop for TraceOnPanic {
    fn drop(&mut self) {
        let lines = self.0.lines();
        let from =
            if number("EASYSYNC_SIM_SEED").is_some() { 0 } else { lines.len().saturating_sub(40) };
        lines[from..].iter().for_each(|line| eprintln!("{line}"));
    }
}

/// Plays a scenario under many seeds, each of its own; names the one that fails.
fn play_many(first: u64, scenario: impl AsyncFn(&mut World)) {
    let seeds = match number("EASYSYNC_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => first..first + number("EASYSYNC_SIM_RUNS").unwrap_or(RUNS),
    };
    let mut syncs = 0;
    for seed in seeds.clone() {
        let played = catch_unwind(AssertUnwindSafe(|| play(seed, &scenario)));
        match played {
            Ok((_, count)) => syncs += count,
            Err(panic) => {
                eprintln!("replay with EASYSYNC_SIM_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{syncs} syncs under seeds {seeds:?}");
}

fn every_change() -> Vec<Change> {
    [&Change::SEEN[..], &Change::SILENT[..]].concat()
}

#[test]
fn after_any_storm_a_full_run_makes_the_hub_equal_to_the_shop() {
    let storm = Storm {
        changes: every_change(),
        syncs: 12,
        deaths: 40,
        errors: 12,
        refusals: true,
        edits: 5,
    };
    play_many(1, async |world| {
        world.storm(&storm).await;
        world.calm().await;
        world.sync_well(Mode::Full).await;
        assert_eq!(world.differences(false), [""; 0]);
    });
}

#[test]
fn after_any_storm_an_incremental_run_catches_up_with_all_that_leaves_a_trace() {
    let storm = Storm {
        changes: Change::SEEN.to_vec(),
        syncs: 12,
        deaths: 40,
        errors: 12,
        refusals: false,
        edits: 5,
    };
    play_many(1_000_000, async |world| {
        world.storm(&storm).await;
        world.calm().await;
        // Hard deletes show in the look at all ids, which is due once a day (of the shop's clock).
        world.clock.advance(Duration::from_secs(86_400 + 3_600)).await;
        world.sync_well(Mode::Incremental).await;
        assert_eq!(world.differences(true), [""; 0]);
    });
}

#[test]
fn rows_that_leave_a_list_while_it_is_walked_hide_no_others() {
    // Nothing here heals what one walk has missed: no full run, no change of all orders at once.
    let changes =
        vec![Change::EditOrder, Change::EditOrder, Change::TrashOrder, Change::DeleteOrder];
    let storm = Storm { changes, syncs: 2, deaths: 20, errors: 0, refusals: false, edits: 60 };
    play_many(8_000_000, async |world| {
        (0..60).for_each(|_| world.change(Change::NewOrder));
        world.sync_well(Mode::Full).await;
        world.clock.advance(Duration::from_secs(3_600)).await;
        world.storm(&storm).await;
        world.calm().await;
        world.clock.advance(Duration::from_secs(86_400 + 3_600)).await;
        world.sync_well(Mode::Incremental).await;
        assert_eq!(world.differences(true), [""; 0]);
    });
}

#[test]
fn a_walk_that_has_to_begin_again_still_asks_from_its_first_beginning_next_time() {
    play_many(9_000_000, async |world| {
        (0..30).for_each(|_| world.change(Change::NewOrder));
        *world.pages.lock().unwrap() = (4, 1);
        world.sync_well(Mode::Full).await;
        world.clock.advance(Duration::from_secs(3_600)).await;
        world.change(Change::BulkEdit);
        world.clock.advance(Duration::from_secs(1_200)).await;
        // Read already, then changed; then rows leave, so that the walk has to begin again.
        world.set_faults(Faults { latency: Duration::from_secs(800), ..Faults::none() });
        let clock = world.clock;
        let edit = move |shop: &mut engine::testing::Shop| {
            let first = shop.orders.values_mut().next().unwrap();
            first.item.revision += 1;
            first.item.modified = clock.now();
        };
        let leave = |shop: &mut engine::testing::Shop| {
            let second: Vec<i64> = shop.orders.keys().copied().skip(1).take(4).collect();
            second.iter().for_each(|id| drop(shop.orders.remove(id)));
        };
        *world.shop.script.lock().unwrap() = vec![
            ("page orders live 3+4".to_owned(), Box::new(edit)),
            ("page orders live 9+4".to_owned(), Box::new(leave)),
        ];
        world.sync_well(Mode::Incremental).await;
        assert!(world.shop.script.lock().unwrap().is_empty(), "all of it happened");
        world.calm().await;
        world.clock.advance(Duration::from_secs(86_400 + 3_600)).await;
        world.sync_well(Mode::Incremental).await;
        assert_eq!(world.differences(true), [""; 0]);
    });
}

#[test]
fn a_run_over_an_unchanged_shop_writes_nothing() {
    let storm = Storm {
        changes: every_change(),
        syncs: 4,
        deaths: 20,
        errors: 8,
        refusals: false,
        edits: 5,
    };
    play_many(2_000_000, async |world| {
        world.storm(&storm).await;
        world.calm().await;
        world.sync_well(Mode::Full).await;
        let written = world.store.look(|state| state.written);
        for mode in [Mode::Full, Mode::Incremental] {
            world.sync_well(mode).await;
            assert_eq!(world.store.look(|state| state.written), written, "{mode:?}");
        }
    });
}

#[test]
fn workers_that_die_repeat_nothing_and_lose_nothing() {
    play_many(3_000_000, async |world| {
        let sync_id = world.store.trigger(engine::model::Entity::Orders, Mode::Full, None);
        let run = world.drive(sync_id, 80).await;
        assert_eq!(world.differences(false), [""; 0]);
        let rows = world.store.look(|state| state.rows.len() as u64);
        assert_eq!(world.store.look(|state| state.written), rows, "each row is written once");
        let shop = world.shop.shop.lock().unwrap().clone();
        for step in run.steps.values() {
            let listed = match step.entity {
                engine::model::Entity::Customers => shop.customers.len(),
                engine::model::Entity::Products => shop.products.len(),
                engine::model::Entity::Orders => shop.orders.len(),
                _ => shop.refunds.len(),
            };
            assert_eq!(step.records_done, listed as u64, "{} looked at", step.entity);
        }
    });
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let storm = Storm {
        changes: every_change(),
        syncs: 8,
        deaths: 40,
        errors: 12,
        refusals: true,
        edits: 5,
    };
    let trace = |seed| play(seed, async |world: &mut World| world.storm(&storm).await).0;
    for seed in 4_000_000..4_000_010 {
        let first = trace(seed);
        assert!(first.len() > 10);
        assert_eq!(first, trace(seed), "seed {seed}");
        assert_ne!(first, trace(seed + 1000));
    }
}

#[test]
fn a_plugin_that_hides_rows_behind_the_paging_keeps_no_walk_from_its_end() {
    play_many(5_000_000, async |world| {
        {
            let mut shop = world.shop.shop.lock().unwrap();
            let ids: Vec<i64> = shop.orders.keys().copied().collect();
            shop.hidden = ids.into_iter().filter(|_| world.dice.chance(30)).collect();
        }
        world.set_faults(Faults::none());
        let run = tokio::time::timeout(Duration::from_secs(3600), world.sync(Mode::Full)).await;
        run.expect("a walk that ends");
    });
}

#[test]
fn a_refund_whose_order_can_not_be_read_comes_once_the_order_can() {
    let played = play(6_000_000, async |world| {
        world.change(Change::NewProduct);
        world.change(Change::NewOrder);
        world.change(Change::NewRefund);
        world.shop.shop.lock().unwrap().orders.values_mut().for_each(|o| o.item.broken = true);
        let run = world.sync(Mode::Full).await;
        assert_eq!(run.outcome, Some(engine::store::Outcome::Partial));
        world.calm().await;
        world.clock.advance(Duration::from_secs(120)).await;
        world.sync_well(Mode::Incremental).await;
        assert_eq!(world.differences(true), [""; 0]);
        assert_eq!(world.store.look(|state| state.failures.len()), 0);
    });
    assert!(played.0.iter().any(|line| line.contains("by id refunds")));
}

#[test]
fn a_shop_whose_clock_is_set_back_is_read_whole_and_loses_no_change() {
    play_many(7_000_000, async |world| {
        let skew = jiff::SignedDuration::from_hours(1);
        world.set_faults(Faults { skew, ..Faults::none() });
        world.sync_well(Mode::Full).await;
        world.set_faults(Faults::none());
        world.clock.advance(Duration::from_secs(60)).await;
        for change in [Change::EditOrder, Change::NewOrder, Change::EditProduct] {
            world.change(change);
        }
        world.clock.advance(Duration::from_secs(900)).await;
        world.sync_well(Mode::Incremental).await;
        world.sync_well(Mode::Incremental).await;
        assert_eq!(world.differences(true), [""; 0]);
    });
}

#[test]
fn a_dry_run_leaves_all_as_it_was_and_says_what_the_run_then_does() {
    let storm = Storm {
        changes: every_change(),
        syncs: 4,
        deaths: 20,
        errors: 8,
        refusals: true,
        edits: 5,
    };
    let told = AtomicUsize::new(0);
    play_many(70_000, async |world| {
        world.storm(&storm).await;
        world.calm().await;
        if world.dice.chance(70) {
            world.sync_well(Mode::Full).await;
        }
        (0..world.dice.below(0..12)).for_each(|_| world.shop.live());
        world.disturb();
        world.change(Change::Mend);
        let (mode, ids) = match world.dice.below(0..4) {
            0 => (Mode::Ids, Some(world.some_ids())),
            1 => (Mode::Incremental, None),
            _ => (Mode::Full, None),
        };

        let before = world.store.snapshot();
        let tried = world.store.try_out(Entity::Orders, mode, ids.clone());
        let run = world.drive(tried, 0).await;
        assert_eq!(run.outcome, Some(Outcome::Succeeded), "{run:#?}");
        assert_eq!(world.store.snapshot(), before, "{mode:?}: a dry run wrote");
        let said = before.until(&world.store.looked(tried).unwrap().snapshot());

        let sync_id = world.store.trigger(Entity::Orders, mode, ids);
        let run = world.drive(sync_id, 0).await;
        assert_eq!(run.outcome, Some(Outcome::Succeeded), "{run:#?}");
        assert_eq!(said, before.until(&world.store.snapshot()), "{mode:?}");
        told.fetch_add(said.len(), Ordering::Relaxed);
    });
    assert!(told.into_inner() > 0, "nothing was ever changed");
}
