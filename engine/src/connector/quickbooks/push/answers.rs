//! QuickBooks' answers as the push reads them.

use super::state;
use crate::connector::quickbooks::ack::amount;
use crate::connector::quickbooks::errors::Remedy;
use crate::connector::quickbooks::write::{self, Outcome};
use crate::error::{Category, Error};
use crate::plan::Action;
use crate::posting::money;
use crate::push::store::Link;
use crate::push::target::{Ack, Answer, Cure, Item};
use serde_json::Value;
use std::time::Duration;

/// What an outcome means for an item.
pub fn answer(item: &Item, outcome: Outcome) -> Answer {
    match outcome {
        Outcome::Done(ack) => Answer::Done(acknowledged(item, *ack)),
        Outcome::Refused(refusal) => {
            let error = with_totals(item, refusal.error);
            // 610 speaks of whatever isn't there: of a document that is changed, first of itself.
            let cure = match error.code.as_str() {
                "610" if item.action != Action::Create => Cure::Refetch,
                // Deposited or reconciled: a change of money alone needs a person (posting policy).
                "6540" | "6480" | "6450" if item.memo["money"] == false => Cure::Leave,
                _ => cure(&refusal.remedy),
            };
            Answer::Refused { cure, error }
        }
        Outcome::Unknown(error) => Answer::Unknown(error),
        Outcome::NotSent(error) => Answer::NotSent(error),
    }
}

/// A refused change of money says both totals.
fn with_totals(item: &Item, mut error: Error) -> Error {
    if let (Some(was), Some(now)) = (money::from_json(&item.memo["was"]), item.total)
        && was != now
    {
        let message = &error.message;
        error.message = format!("{message}; it stays at {was}, the order now comes to {now}");
    }
    error
}

fn cure(remedy: &Remedy) -> Cure {
    match remedy {
        Remedy::Retry { after } => Cure::Retry { after: *after },
        Remedy::RefreshToken => Cure::Retry { after: Duration::ZERO },
        Remedy::Refetch => Cure::Refetch,
        Remedy::AdoptNumber { .. } | Remedy::AdoptName | Remedy::LookUp => Cure::LookUp,
        Remedy::Reresolve { element } if is_looked_for(element.as_deref()) => Cure::Reresolve,
        Remedy::StopConnection => Cure::Stop,
        _ => Cure::None,
    }
}

/// Is it the customer or an item that isn't there, or may it be?
fn is_looked_for(element: Option<&str>) -> bool {
    element.is_none_or(|element| ["CustomerRef", "ItemRef"].iter().any(|e| element.contains(e)))
}

/// The document as its link knows it, with the order's wish of now.
pub fn left(item: &Item, link: &Link) -> Option<Ack> {
    let mut kept = state::kept(link)?;
    kept.document.agreed.sent = item.memo["wanted"].clone();
    Some(Ack {
        remote_id: link.remote_id.clone(),
        version: link.version.clone(),
        number: link.remote_number.clone(),
        total: Some(kept.document.total),
        record: Value::Null,
        agreed: serde_json::to_value(kept).ok()?,
        problem: None,
        stays: None,
        // It holds nothing of the change.
        found: true,
    })
}

/// The record of an item, as an answer shows it.
pub fn acknowledged(item: &Item, ack: write::Ack) -> Ack {
    Ack {
        agreed: state::agreed(item, &ack.record),
        problem: tax_differs(item, &ack.record),
        remote_id: ack.id,
        version: ack.sync_token,
        number: ack.document_number,
        total: ack.total,
        record: ack.record,
        stays: None,
        found: false,
    }
}

/// Rule 8 of the posting policy on the answer: its tax is the document's, to the cent. (Its total
/// is compared for every platform.)
fn tax_differs(item: &Item, record: &Value) -> Option<Error> {
    if item.action == Action::Void {
        return None;
    }
    let meant = money::from_json(&item.memo["wanted"]["TotalTax"])?;
    let detail = record.get("TxnTaxDetail").cloned().unwrap_or_default();
    let is = amount(&detail, "TotalTax").unwrap_or_default();
    (is != meant).then(|| {
        let message = format!(
            "{} {}: QuickBooks has {is} of tax, the order {meant}: {} off",
            item.target,
            item.number.as_deref().unwrap_or_default(),
            is - meant
        );
        Error::new(Category::NeedsAttention, "answer_differs", message).hint(
            "Look at the document in QuickBooks and at the tax settings of company and connection.",
        )
    })
}

/// Is the company not as it was read: did QuickBooks not find, or not take, something that the write
/// refers to, or have the books been closed?
pub fn shows_that_it_moved(answer: &Answer) -> bool {
    match answer {
        Answer::Refused { error, .. } => {
            matches!(error.code.as_str(), "2500" | "610" | "6250" | "6160" | "6430" | "6210")
        }
        _ => false,
    }
}
