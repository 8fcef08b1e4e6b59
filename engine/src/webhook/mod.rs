//! Deliveries: what a platform tells us has happened. A delivery is a hint, never data: it says which
//! record to fetch, and the pull decides what that means. Duplicates, replays, a wrong order and
//! unknown types do no harm.
//!
//! [`judge`] verifies one and reads its hints; [`Gathering`] holds hints of the same record together
//! for a moment; [`Intake`] takes stored deliveries through both and queues the fetches.

mod gather;
mod headers;
mod intake;
mod judge;
mod signature;
mod store;
#[cfg(test)]
mod tests;

pub use gather::{Fetch, Gathering, Key, QUIET};
pub use headers::Headers;
pub use intake::Intake;
pub(crate) use judge::check_signature;
pub use judge::{Hint, Verdict, judge};
pub use signature::{sign, verifies};
pub use store::{Account, Delivery, Open, Settled, WebhookStore};

/// Bytes of a body that are taken. An order of sixty lines has 25 kB.
pub const MOST_BYTES: usize = 2 << 20;
