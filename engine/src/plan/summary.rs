//! What a plan comes to.

use super::change::{Action, Change, Status};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Counts of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlanSummary {
    /// Records looked at.
    pub records: u64,
    /// Of those, with nothing to write, skip or tell.
    pub unchanged: u64,
    /// Writes by action.
    pub by_action: BTreeMap<Action, u64>,
    /// Writes that destroy something.
    pub destructive: u64,
    /// Writes over what the source of truth holds.
    pub overwrites: u64,
    /// Not meant to be sent, with a reason.
    pub skipped: u64,
    /// Blocked, or waiting for a person.
    pub failed: u64,
    /// Writes by month, kind and currency (`2025-01 SalesReceipt USD`), or by kind alone where a
    /// record has no date: what somebody confirms a first backfill by.
    pub groups: BTreeMap<String, Group>,
}

/// Writes of one month, kind and currency.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Group {
    pub count: u64,
    /// Sum of their totals, as a text with its decimals; none for records without amounts.
    #[serde(with = "rust_decimal::serde::str_option")]
    pub total: Option<Decimal>,
}

impl PlanSummary {
    pub fn add(&mut self, change: &Change) {
        match change.status {
            Status::Failed => self.failed += 1,
            Status::Skipped => self.skipped += 1,
            _ if !change.draft.is_write() => self.skipped += 1,
            _ => {
                let action = change.draft.action;
                *self.by_action.entry(action).or_default() += 1;
                if action.is_destructive() || change.draft.destructive {
                    self.destructive += 1;
                }
                if change.draft.destructive {
                    self.overwrites += 1;
                }
                self.add_to_group(change);
            }
        }
    }

    fn add_to_group(&mut self, change: &Change) {
        let target = &change.draft.target;
        let Some(booked) = &change.draft.booked else {
            self.groups.entry(target.clone()).or_default().count += 1;
            return;
        };
        let name = format!("{} {target} {}", booked.on.strftime("%Y-%m"), booked.currency);
        let group = self.groups.entry(name).or_default();
        group.count += 1;
        group.total = Some(group.total.unwrap_or_default() + booked.total);
    }

    /// Writes on the platform.
    pub fn writes(&self) -> u64 {
        self.by_action.values().sum()
    }

    pub fn count(&self, action: Action) -> u64 {
        self.by_action.get(&action).copied().unwrap_or(0)
    }
}
