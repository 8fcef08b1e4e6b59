//! Harness of the end-to-end tests, the demo, the development server and the benchmarks: private
//! Postgres clusters with the extension, simulated platforms, and comparisons of hub and shop
//! that share no code with the engine.
//!
//! `scripts/setup.sh` and `scripts/install_private.sh` prepare what it needs (`make test` runs
//! them); after that `cargo test -p easysync-tests` works by itself.

pub mod bed;
pub mod books;
pub mod changes;
pub mod cluster;
pub mod compare;
pub mod environment;
pub mod hooks;
pub mod hostile;
pub mod many;
pub mod process;
pub mod receiver;
pub mod refusal;
pub mod rest;
pub mod rows;
pub mod run;
pub mod shop_day;
pub mod simulator;
pub mod surface;
pub mod tenants;
pub mod torture;
