//! A world without Postgres and without a network, for seeded simulations: a clock that passes by
//! being waited for, a shop that changes while it is read, a store in memory that keeps the rules
//! of the real one. The same seed gives the same trace. Behind the feature `testing`.
//!
//! Everything draws from one [`Dice`] and runs on one thread with tokio's paused time, so the order
//! of all draws is the order of the events.

mod clock;
mod compare;
mod connector;
mod dice;
mod push_store;
mod records;
mod shop;
mod store;
mod trace;

pub use clock::SimClock;
pub use compare::differences;
pub use connector::{Faults, Script, ShopConnector};
pub use dice::{Dice, Fuse};
pub use push_store::{KeptCall, MemHub, PushState, QueueEntry};
pub use shop::{Change, Shop};
pub use store::{MemStore, RunState, Snapshot, StoreFaults};
pub use trace::Trace;
