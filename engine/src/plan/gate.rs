//! Which plans wait for a person (design.md, section 7).

use super::change::Action;
use super::summary::PlanSummary;
use std::time::Duration;

/// The tenant's settings of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateSettings {
    /// `confirm_threshold`: more writes than this are asked for first.
    pub threshold: u64,
    /// `confirm_wait`: a run that nobody confirms expires after it.
    pub wait: Duration,
}

/// Whether a plan may go ahead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// `bulk`, `delete`, `void`, `overwrites the source of truth`; empty: it may go ahead.
    pub reasons: Vec<&'static str>,
    /// Confirmations that it needs: a destructive bulk plan needs two.
    pub confirmations: u32,
}

impl Gate {
    pub fn of(summary: &PlanSummary, settings: &GateSettings) -> Gate {
        let bulk = summary.writes() > settings.threshold;
        let conditions = [
            (bulk, "bulk"),
            (summary.count(Action::Delete) > 0, "delete"),
            (summary.count(Action::Void) > 0, "void"),
            (summary.overwrites > 0, "overwrites the source of truth"),
        ];
        let reasons: Vec<_> =
            conditions.into_iter().filter(|(holds, _)| *holds).map(|(_, word)| word).collect();
        let confirmations = match (reasons.is_empty(), bulk && summary.destructive > 0) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => 2,
        };
        Gate { reasons, confirmations }
    }

    /// For a run whose size somebody has agreed to beforehand (a schedule, when it was made): only
    /// what destroys something waits.
    pub fn agreed(self) -> Gate {
        match self.reasons[..] {
            ["bulk"] => Gate { reasons: vec![], confirmations: 0 },
            _ => self,
        }
    }

    pub fn is_open(&self) -> bool {
        self.confirmations == 0
    }
}
