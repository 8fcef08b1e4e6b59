//! Plans: the writes that would bring one account in step with the hub, in the order in which they
//! have to be made, with the old and the new value of every field. A preview, a confirmation and a
//! real run share them: what was previewed is what happens.

mod change;
mod gate;
mod hash;
mod numbering;
mod summary;

pub use change::{Action, Booked, Change, Draft, Key, Payload, Status};
pub use gate::{Gate, GateSettings};
pub use hash::PlanHash;
pub use numbering::Numbering;
pub use summary::{Group, PlanSummary};

#[cfg(test)]
mod tests;
