//! Documents of ours that no link knows of: a failover may have lost the links of what was sent in
//! the moments before it.

use super::documents::Sale;
use super::state;
use crate::connector::quickbooks::client::Api;
use crate::connector::quickbooks::kind::Kind;
use crate::connector::quickbooks::lookup::NUMBERED;
use crate::connector::quickbooks::query::{CREATED, Select};
use crate::connector::quickbooks::write::Ack;
use crate::error::Result;
use crate::posting::documents::{Subject, mark};
use crate::posting::numbers;
use crate::posting::plan::{Operation, OrderPlan};
use crate::posting::posted::PostedDocument;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::HashMap;

/// How far before the failover is looked: as far as the cursors of pulls step back (design.md, 3).
const MARGIN: SignedDuration = SignedDuration::from_hours(24);

/// What the account was sent lately, by our mark.
#[derive(Default)]
pub(super) struct Strays(HashMap<String, Vec<Ack>>);

impl Strays {
    /// Reads all documents of ours that were made in the day before `lost_since`, or later: one
    /// metered read for each kind and thousand of them.
    pub async fn since(api: &Api, lost_since: Timestamp) -> Result<Strays> {
        let from = lost_since.checked_sub(MARGIN).unwrap_or(Timestamp::MIN);
        let mut strays: HashMap<String, Vec<Ack>> = HashMap::new();
        for kind in NUMBERED.into_iter().chain([Kind::Payment]) {
            let select = Select::from(kind).between(CREATED, Some(from), None);
            for ack in api.found(&select).await? {
                let note = ack.record["PrivateNote"].as_str().unwrap_or_default();
                if let Some(mark) = numbers::mark_in(note) {
                    strays.entry(mark.to_owned()).or_default().push(ack);
                }
            }
        }
        Ok(Strays(strays))
    }

    /// The documents of a sale that are there, that nothing here knows of, and that the plan
    /// doesn't make: what is to be created asks for itself.
    pub fn of(&self, sale: &Sale, shop: &str, plan: &OrderPlan) -> Vec<(Subject, PostedDocument)> {
        let refunds = sale
            .refunds
            .iter()
            .flat_map(|refund| [Subject::Refund(refund.id), Subject::CreditApplied(refund.id)]);
        let subjects =
            [Subject::Sale, Subject::Payment, Subject::Cancellation, Subject::CancellationApplied];
        let is_made = |subject| {
            let creates = |operation: &_| matches!(operation, Operation::Create { .. });
            plan.steps.iter().any(|step| step.subject == subject && creates(&step.operation))
        };
        let unknown = subjects.into_iter().chain(refunds).filter(|subject| {
            state::document(&sale.posted, *subject).is_none() && !is_made(*subject)
        });
        let found = unknown.filter_map(|subject| {
            let mark = mark(subject, &sale.order, &sale.refunds, shop)?;
            let ack = self.0.get(&mark)?.first()?;
            let kind = state::document_kind(ack.kind.as_str())?;
            // What was wanted of it went with the link.
            Some((subject, state::read(kind, &ack.record, Value::Null).ok()?))
        });
        found.collect()
    }
}
