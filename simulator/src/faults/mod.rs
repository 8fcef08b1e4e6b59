//! Faults: what goes wrong, and for which calls.

mod apply;
mod kind;
mod select;

pub use apply::apply;
pub use kind::FaultKind;
pub use select::{FaultPlan, Match};
