//! The border between the engine's threads and Postgres: threads queue jobs, the thread that
//! Postgres knows carries them out, each in a transaction of its own. Side threads never call
//! Postgres (pgrx panics where one does).

mod bridge;
pub mod fair;
mod foreign;
mod job;
mod runtime;
mod session;
mod wall_clock;

pub use bridge::{Bridge, wait};
pub use foreign::{Access, as_owner, command_as, settle, tenant_in_hand, with_plain_settings};
pub use job::{as_role, in_subtransaction, in_transaction, limit_time};
pub use runtime::build_runtime;
pub use session::{block_on, block_on_with};
pub use wall_clock::WallClock;
