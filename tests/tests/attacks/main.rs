//! Attacks, by whoever makes them. Each is a test that passes when the attack was held; at the end
//! the counts are printed, a line for each class: `attacks by <class>: tried N, held N`.

mod books;
mod database_creator;
mod gateway;
mod ground;
mod hub_owner;
mod records;
mod roles;
mod secrets;
mod shop;
mod tenants;
mod yard;

use anyhow::Result;
use libtest_mimic::{Arguments, Trial};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// One attack: its name, and a test that fails when it gets through.
#[derive(Clone, Copy)]
pub struct Attack {
    /// A statement in snake case: what holds.
    pub name: &'static str,
    /// Tries it on a bed of its own.
    pub run: fn() -> Result<()>,
}

#[derive(Default)]
struct Count {
    tried: usize,
    held: usize,
}

type Counts = Arc<Mutex<BTreeMap<&'static str, Count>>>;

/// The attack as a test, counted.
fn trial(class: &'static str, attack: Attack, counts: &Counts) -> Trial {
    let counts = Arc::clone(counts);
    Trial::test(attack.name, move || {
        let outcome = (attack.run)();
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(class).or_default();
        count.tried += 1;
        count.held += usize::from(outcome.is_ok());
        Ok(outcome.map_err(|error| format!("{error:#}"))?)
    })
}

fn main() {
    let arguments = Arguments::from_args();
    let counts = Counts::default();
    let trials = [
        (books::CLASS, books::attacks()),
        (database_creator::CLASS, database_creator::attacks()),
        (gateway::CLASS, gateway::attacks()),
        (hub_owner::CLASS, hub_owner::attacks()),
        (records::CLASS, records::attacks()),
        (secrets::CLASS, secrets::attacks()),
        (shop::CLASS, shop::attacks()),
        (tenants::CLASS, tenants::attacks()),
        (roles::viewer::CLASS, roles::viewer::attacks()),
        (roles::operator::CLASS, roles::operator::attacks()),
        (roles::admin::CLASS, roles::admin::attacks()),
        (roles::webhook::CLASS, roles::webhook::attacks()),
    ]
    .into_iter()
    .flat_map(|(class, attacks)| attacks.into_iter().map(move |attack| (class, attack)))
    .map(|(class, attack)| trial(class, attack, &counts))
    .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    for (class, count) in counts.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        println!("attacks by {class}: tried {}, held {}", count.tried, count.held);
    }
    if let Err(error) = yard::leave_yard() {
        eprintln!("stopping what attacks shared: {error:#}");
    }
    conclusion.exit();
}
