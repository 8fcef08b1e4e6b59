//! How fast orders are read, mapped and hashed on one core:
//! `cargo run --release -p engine --example map_speed -- PAGE.json [ROUNDS]`.

use engine::connector::woocommerce::{defaults, entities};
use engine::mapping::split_page;
use engine::model::{Entity, Presence};
use std::time::Instant;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(path) = arguments.next() else {
        eprintln!("usage: map_speed PAGE.json [ROUNDS]");
        std::process::exit(2);
    };
    let rounds: usize = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(50);
    let body = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        eprintln!("{path}: {error}");
        std::process::exit(2);
    });
    let programs = defaults::programs(Entity::Orders, None).unwrap_or_else(|problems| {
        eprintln!("{problems:?}");
        std::process::exit(1);
    });
    let (mut orders, mut failed) = (0_usize, 0_usize);
    let began = Instant::now();
    for _ in 0..rounds {
        for raw in split_page(&body).unwrap_or_default() {
            match entities::order(&programs, raw, Presence::Live) {
                Ok(_) => orders += 1,
                Err(_) => failed += 1,
            }
        }
    }
    let took = began.elapsed();
    println!(
        "{orders} orders ({failed} failed) in {took:?}: {:.0} orders/s, {:.0} MB/s",
        (orders + failed) as f64 / took.as_secs_f64(),
        (body.len() * rounds) as f64 / 1e6 / took.as_secs_f64(),
    );
}
