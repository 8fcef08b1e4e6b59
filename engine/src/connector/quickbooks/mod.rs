//! QuickBooks Online, Accounting API v3 (shared reference `quickbooks.md`).
//!
//! [`auth`] gets and renews access, [`client`] calls within [`limits`], [`reply`] and [`errors`]
//! understand what comes back; [`write`] and [`batch`] are what goes out, under a [`request_id`].

pub mod ack;
pub mod auth;
pub mod batch;
pub mod check;
pub mod client;
pub mod company;
pub mod errors;
pub mod kind;
pub mod limits;
pub mod lookup;
pub mod push;
pub mod query;
pub mod reply;
pub mod request_id;
pub mod settings;
pub mod write;

#[cfg(test)]
mod tests;
