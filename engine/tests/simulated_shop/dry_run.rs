//! Dry runs under mappings that are drawn by chance: no trace, and what they say is what is done.

use super::shop::Shop;
use engine::connector::Connector;
use engine::connector::woocommerce::WooCommerce;
use engine::model::{Entity, Mode};
use engine::runner::Runner;
use engine::store::{Outcome, SyncId};
use engine::testing::{Dice, MemStore, Trace};
use serde_json::{Value, json};
use std::sync::Arc;

/// Rules that an account may lay over the defaults. Any choice among them is a mapping.
fn rules(entity: Entity) -> Vec<Value> {
    let rule = |target: &str, source: &str| json!({"target": target, "source": source});
    let shaped = |target: &str, source: &str, transform: &str| json!({"target": target, "source": source, "transform": transform});
    match entity {
        Entity::Customers => vec![
            shaped("company", "billing.city", "upper"),
            json!({"target": "notes", "default": "from the shop"}),
            rule("attributes.role", "role"),
            shaped("phone", "billing.phone", "digits"),
        ],
        Entity::Products => vec![
            rule("description", "short_description"),
            rule("attributes.permalink", "permalink"),
            shaped("sku", "sku", "prefix(\"S-\")"),
            shaped("cost", "regular_price", "multiply(0.5) | round(2)"),
        ],
        Entity::Orders => vec![
            rule("payment_method", "payment_method_title"),
            shaped("customer_note", "customer_note", "upper"),
            shaped("number", "number", "prefix(\"W-\")"),
            rule("attributes.made_by", "created_via"),
            shaped("lines[].name", "line_items[].name", "lower"),
        ],
        _ => vec![shaped("reason", "reason", "upper"), rule("attributes.by", "refunded_by")],
    }
}

/// A mapping, drawn: some of the rules, or none.
fn drawn(dice: &Dice, entity: Entity) -> Option<Value> {
    let chosen: Vec<Value> = rules(entity).into_iter().filter(|_| dice.chance(40)).collect();
    (!chosen.is_empty()).then_some(Value::Array(chosen))
}

async fn drive(store: &Arc<MemStore>, runner: &Runner, sync_id: SyncId) {
    let waits = store.clone();
    let ended = async move {
        waits.until(|state| state.runs[&sync_id].outcome.is_some()).await;
    };
    tokio::select! {
        () = ended => {}
        _ = runner.clone().run() => unreachable!("the worker's loop has no end"),
    }
    store.restart();
    let run = store.run(sync_id).unwrap();
    let looked = store.looked(sync_id).unwrap_or(store.clone());
    let failed = looked.look(|state| {
        let all = state.failures.iter();
        all.map(|(key, failed)| format!("{key:?}: {:?}", failed.failure.error)).collect::<Vec<_>>()
    });
    // A rule may ask for what a record doesn't have: that one fails, and the dry run knows.
    let ended = matches!(run.outcome, Some(Outcome::Succeeded | Outcome::Partial));
    assert!(ended, "{failed:?} {:?}", run.steps);
}

#[tokio::test]
async fn under_any_mapping_a_dry_run_leaves_no_trace_and_says_what_is_done() {
    let mut said_in_all = 0;
    for seed in 0..8 {
        let dice = Dice::new(seed);
        let shop = Shop::start().await;
        let clock = shop.clock();
        let trace = Trace::new(clock.clone());
        let store = MemStore::new(shop.streams(), clock.clone(), dice.clone(), trace);
        let runner = Runner {
            store: store.clone(),
            http: shop.http(),
            clock,
            open: Arc::new(|connection, http, _| {
                let opened = WooCommerce::open(connection, http)?;
                Ok(Arc::new(opened) as Arc<dyn Connector>)
            }),
            pusher: None,
        };
        store.set_rules(|entity| drawn(&dice, entity));
        let is_loaded = dice.chance(70);
        if is_loaded {
            let first = store.trigger(Entity::Orders, Mode::Full, None);
            drive(&store, &runner, first).await;
        }
        // The shop and the mapping both move.
        for order in [160, 168, 175] {
            let change = json!({"customer_note": format!("seed {seed}"), "status": "on-hold"});
            shop.control("PUT", &format!("orders/{order}"), change).await;
        }
        store.set_rules(|entity| drawn(&dice, entity));
        let (mode, ids) = match dice.below(0..3) {
            // A refund is stored with its order.
            0 if is_loaded => (Mode::Ids, Some(vec!["160".to_owned(), "175".to_owned()])),
            _ => (Mode::Full, None),
        };

        let before = store.snapshot();
        let tried = store.try_out(Entity::Orders, mode, ids.clone());
        drive(&store, &runner, tried).await;
        assert_eq!(store.snapshot(), before, "seed {seed}: a dry run wrote");
        let said = before.until(&store.looked(tried).unwrap().snapshot());
        let sync_id = store.trigger(Entity::Orders, mode, ids);
        drive(&store, &runner, sync_id).await;
        assert_eq!(said, before.until(&store.snapshot()), "seed {seed}");
        assert!(!said.is_empty(), "seed {seed}: nothing was changed");
        said_in_all += said.len();
    }
    assert!(said_in_all > 500, "{said_in_all} changes in all");
}
