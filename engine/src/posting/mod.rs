//! From sales to the books, without I/O: which orders become which documents, with which lines,
//! tax and dates, and what a later change means. Functions over data: the same input gives the same
//! documents, in a preview, in a run and after a crash.
//!
//! [`settings`] and [`company`] say how and where; [`decide`] which and as what; [`dates`] and
//! [`numbers`] what stands at the head.

pub mod amounts;
pub mod company;
pub mod dates;
pub mod decide;
mod discounts;
pub mod input;
pub mod lines;
pub mod money;
pub mod numbers;
pub mod posted;
pub mod reason;
pub mod refunds;
pub mod settings;
pub mod summary;
pub mod tax;

#[cfg(test)]
mod tests;
