//! What a push makes of a set of orders, by currency: the table that `connect`, `dry_run` and the
//! demo show. `all = skipped + blocked + attention + posted` and `posted - refunds = net`, in count
//! and sum, always.

use super::decide::Decision;
use super::plan::OrderPlan;
use super::posted::DocumentKind;
use rust_decimal::Decimal;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::AddAssign;

/// How many, and how much in total.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    pub count: u64,
    pub sum: Decimal,
}

impl Tally {
    pub fn add(&mut self, amount: Decimal) {
        self.count += 1;
        self.sum += amount;
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.count += other.count;
        self.sum += other.sum;
    }
}

/// One currency.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Row {
    pub orders: Tally,
    /// By the reason's code.
    pub skipped: BTreeMap<&'static str, Tally>,
    pub blocked: BTreeMap<&'static str, Tally>,
    pub attention: BTreeMap<&'static str, Tally>,
    pub posted: BTreeMap<DocumentKind, Tally>,
    pub refunds: BTreeMap<DocumentKind, Tally>,
}

fn total<K>(tallies: &BTreeMap<K, Tally>) -> Tally {
    let mut sum = Tally::default();
    tallies.values().for_each(|tally| sum += *tally);
    sum
}

impl Row {
    pub fn skipped(&self) -> Tally {
        total(&self.skipped)
    }

    pub fn blocked(&self) -> Tally {
        total(&self.blocked)
    }

    pub fn attention(&self) -> Tally {
        total(&self.attention)
    }

    pub fn posted(&self) -> Tally {
        total(&self.posted)
    }

    pub fn refunds(&self) -> Tally {
        total(&self.refunds)
    }

    /// Sales less what was given back.
    pub fn net(&self) -> Decimal {
        self.posted().sum - self.refunds().sum
    }

    /// Sales documents and reversing documents; zero Payments that apply credits don't count.
    pub fn documents(&self) -> u64 {
        self.posted().count + self.refunds().count
    }

    /// Whether every order is accounted for, in count and sum.
    pub fn is_balanced(&self) -> bool {
        let mut parts = self.skipped();
        parts += self.blocked();
        parts += self.attention();
        parts += self.posted();
        parts == self.orders
    }
}

/// All currencies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub currencies: BTreeMap<String, Row>,
}

impl Summary {
    /// Counts an order with what was decided of it.
    pub fn order(&mut self, currency: &str, total: Decimal, decision: &Decision) {
        let row = self.currencies.entry(currency.to_owned()).or_default();
        row.orders.add(total);
        match decision {
            Decision::Skip(reason) => row.skipped.entry(reason.code).or_default().add(total),
            Decision::Blocked(reason) => row.blocked.entry(reason.code).or_default().add(total),
            Decision::Attention(reason) => row.attention.entry(reason.code).or_default().add(total),
            Decision::Post(kind) => row.posted.entry(*kind).or_default().add(total),
        }
    }

    /// Counts a planned order with its refunds.
    pub fn plan(&mut self, currency: &str, total: Decimal, plan: &OrderPlan) {
        self.order(currency, total, &plan.decision);
        plan.refunds.iter().for_each(|(kind, amount)| self.refund(currency, *amount, *kind));
    }

    /// Counts a refund's document of a posted order.
    pub fn refund(&mut self, currency: &str, amount: Decimal, kind: DocumentKind) {
        let row = self.currencies.entry(currency.to_owned()).or_default();
        row.refunds.entry(kind).or_default().add(amount);
    }

    pub fn documents(&self) -> u64 {
        self.currencies.values().map(Row::documents).sum()
    }

    pub fn is_balanced(&self) -> bool {
        self.currencies.values().all(Row::is_balanced)
    }
}
