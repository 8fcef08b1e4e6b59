//! The sync engine of easysync. It decides what to fetch, what a record means and what has to be
//! written; it knows no Postgres. Clock, HTTP and [`store::Store`] come in from outside, so that a
//! whole sync runs the same in the worker, in a session and in a seeded simulation.
//!
//! The tree follows the data: [`connector`] fetches, [`mapping`] maps, [`pull`] paces and pages,
//! [`posting`] decides what the books get, [`store`] writes, [`runner`] takes runs from the queue and
//! carries them out, [`schedule`] queues them when their time has come, [`webhook`] when a
//! platform says that something has happened.

pub mod clock;
pub mod connector;
pub mod error;
pub mod http;
pub mod limits;
pub mod mapping;
pub mod mask;
pub mod model;
pub mod plan;
pub mod posting;
pub mod pull;
pub mod push;
pub mod runner;
pub mod schedule;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod webhook;

pub use error::{Category, Error, Result};
