//! The QuickBooks stand-in's rules, one by one (A auth, T transport, R request ids, S store, V
//! validation, Q query, B batch, C change data capture, W webhooks, and what people do in the UI).

mod auth;
mod bed;
mod company;
mod payments;
mod reading;
mod records;
mod requestid;
mod sales;
mod tax;
mod transport;
mod webhooks;
