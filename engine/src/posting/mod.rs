//! From sales to the books, without I/O: which orders become which documents, with which lines,
//! tax and dates, and what a later change means. Functions over data: the same input gives the same
//! documents, in a preview, in a run and after a crash.
//!
//! [`settings`] and [`company`] say how and where; [`decide`] which and as what; [`dates`] and
//! [`numbers`] what stands at the head, [`amounts`], [`lines`], [`tax`] and [`refunds`] what it comes to.
//! [`plan`] puts it together for one order: [`documents`] to write, which [`render`] makes into JSON,
//! and [`compare`] holds against what was written before. [`customers`] and [`items`] are what
//! documents refer to, [`checks`] what stands in the way of posting at all, [`summary`] the result.

pub mod adopt;
pub mod amounts;
pub mod checks;
pub mod company;
pub mod compare;
pub mod customers;
pub mod dates;
pub mod decide;
mod discounts;
pub mod documents;
pub mod facts;
pub mod input;
pub mod items;
pub mod lines;
pub mod money;
pub mod numbers;
pub mod plan;
pub mod posted;
pub mod reason;
pub mod refunds;
pub mod render;
pub mod settings;
pub mod summary;
pub mod tax;
pub mod text;

#[cfg(test)]
mod tests;
