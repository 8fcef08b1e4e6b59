//! Which orders are posted, and as what (posting policy, "Which, and as what"). Status rules come
//! first, then `start_date`, then the currency, then closed books: only an order that would be
//! posted is blocked.

use super::company::Company;
use super::dates::{self, Opened};
use super::input::Order;
use super::money;
use super::posted::{DocumentKind, Posted};
use super::reason::Reason;
use super::settings::{SalesDocument, Settings, Unpaid};
use jiff::tz::TimeZone;
use rust_decimal::Decimal;

/// What becomes of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Not meant to be posted; in the plan with its reason, and no failure.
    Skip(Reason),
    /// Waits for a change of settings; not retried.
    Blocked(Reason),
    /// Waits for a person; a failed record without a document.
    Attention(Reason),
    /// Has, or gets, a document of this kind.
    Post(DocumentKind),
}

/// A status that every WooCommerce has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Draft,
    Failed,
    Pending,
    OnHold,
    Paid,
    Refunded,
    /// Cancelled, trashed or deleted.
    Gone,
}

impl Status {
    fn standard(word: &str) -> Option<Status> {
        Some(match word {
            "checkout-draft" | "auto-draft" | "draft" => Status::Draft,
            "failed" => Status::Failed,
            "pending" => Status::Pending,
            "on-hold" => Status::OnHold,
            "processing" | "completed" => Status::Paid,
            "refunded" => Status::Refunded,
            "cancelled" | "trash" => Status::Gone,
            _ => return None,
        })
    }
}

/// The order's status in standard words; Err: a plugin's own that nothing maps.
pub fn status(order: &Order, settings: &Settings) -> Result<Status, Reason> {
    if order.deleted_at.is_some() {
        return Ok(Status::Gone);
    }
    let word = order.status.trim();
    let word = word.strip_prefix("wc-").unwrap_or(word);
    let mapped = || {
        let statuses = &settings.post.statuses;
        let to = statuses.get(word).or_else(|| statuses.get(order.status.trim()))?;
        Status::standard(to)
    };
    Status::standard(word).or_else(mapped).ok_or_else(|| {
        Reason::new(
            "unknown_status",
            format!("order {} has the status \"{word}\", which nothing maps", order.number),
            format!("Set post.statuses.{word} to one of the standard statuses."),
        )
    })
}

/// Decides. `posted` is what the order has in the books already: its kind never changes.
pub fn decide(
    order: &Order,
    posted: &Posted,
    settings: &Settings,
    company: &Company,
    zone: &TimeZone,
) -> Decision {
    let decision = by_status(order, posted, settings);
    let Decision::Post(kind) = decision else { return decision };
    if posted.sale.is_some() {
        return Decision::Post(kind);
    }
    if order.has_no_lines() && order.total.is_zero() {
        return Decision::Skip(Reason::new(
            "empty",
            format!("order {} has no lines and comes to 0.00", order.number),
            "Nothing to do.",
        ));
    }
    let date = dates::of_sale(order, kind, settings, zone);
    if settings.start_date.is_some_and(|start| date < start) {
        return Decision::Skip(Reason::new(
            "before_start_date",
            format!("order {} is dated {date}, before start_date", order.number),
            "Move start_date back, after the books' closing date, to post it.",
        ));
    }
    if !company.takes(&order.currency) {
        return Decision::Blocked(Reason::new(
            "currency",
            format!(
                "order {} is in {}, and the company keeps its books in {} only",
                order.number, order.currency, company.home_currency
            ),
            "Turn on multicurrency in QuickBooks, then use easysync.retry: the company is looked at again \
             after five minutes.",
        ));
    }
    match dates::open(date, company, settings) {
        Opened::On(_) => Decision::Post(kind),
        Opened::Closed { until } => Decision::Blocked(Reason::new(
            "closed_period",
            format!("order {} is dated {date}, and the books are closed to {until}", order.number),
            "Set closed_period to first_open_day, or open the books and use easysync.retry: the \
             company is looked at again after five minutes.",
        )),
    }
}

fn by_status(order: &Order, posted: &Posted, settings: &Settings) -> Decision {
    let status = match status(order, settings) {
        Ok(status) => status,
        Err(reason) => return Decision::Attention(reason),
    };
    let paid = order.paid_at.is_some();
    match (&posted.sale, status) {
        (None, Status::Draft) => skip(order, "draft", "is a draft"),
        (Some(sale), status) => with_document(order, sale.kind, status, paid),
        (None, Status::Failed) if paid => paid_but(order, "failed"),
        (None, Status::Failed) => skip(order, "failed", "has failed"),
        (None, Status::Pending) if paid => paid_but(order, "pending"),
        (None, Status::Pending) => unpaid(order, settings.post.pending_unpaid, "pending"),
        (None, Status::OnHold) if paid => paid_but(order, "on hold"),
        (None, Status::OnHold) => {
            unpaid(order, settings.post.on_hold_unpaid.of(order.method()), "on_hold")
        }
        (None, Status::Paid) => Decision::Post(first_kind(order, settings)),
        (None, Status::Refunded) if !paid => skip(
            order,
            "refunded_unpaid",
            "was refunded without ever being paid: nothing was earned",
        ),
        (None, Status::Refunded) if order.refunded_total != order.total => {
            Decision::Attention(refunds_differ(order))
        }
        (None, Status::Refunded) => Decision::Post(first_kind(order, settings)),
        (None, Status::Gone) if paid => paid_but(order, "cancelled or gone"),
        (None, Status::Gone) => skip(order, "cancelled", "is cancelled or gone"),
    }
}

/// The kind at the first write. An order of 0.00 needs no payment.
fn first_kind(order: &Order, settings: &Settings) -> DocumentKind {
    match settings.sales_document {
        SalesDocument::Invoice => DocumentKind::Invoice,
        SalesDocument::Auto if order.paid_at.is_some() || order.total == Decimal::ZERO => {
            DocumentKind::SalesReceipt
        }
        SalesDocument::Auto => DocumentKind::Invoice,
    }
}

/// An order that has its document. Its kind stays; money is taken back by a refund only.
fn with_document(order: &Order, kind: DocumentKind, status: Status, paid: bool) -> Decision {
    match status {
        Status::Gone if paid || kind == DocumentKind::SalesReceipt => {
            Decision::Attention(Reason::new(
                "cancelled_with_document",
                format!("order {} is cancelled or gone, and its {kind} stays", order.number),
                "Cancelling refunds nothing: refund it in the shop, or settle it in QuickBooks.",
            ))
        }
        Status::Draft | Status::Failed | Status::Pending | Status::OnHold
            if paid || kind == DocumentKind::SalesReceipt =>
        {
            Decision::Attention(Reason::new(
                "reopened_with_document",
                format!(
                    "order {} went back to \"{}\" after its {kind}",
                    order.number, order.status
                ),
                "Set its status right in the shop, or settle it in QuickBooks.",
            ))
        }
        Status::Refunded if order.refunded_total != order.total => {
            Decision::Attention(refunds_differ(order))
        }
        // An unpaid Invoice of an order that is gone is taken back: plan.rs.
        _ => Decision::Post(kind),
    }
}

fn refunds_differ(order: &Order) -> Reason {
    Reason::new(
        "refunds_differ",
        format!(
            "order {} is refunded, but its refunds come to {} of {}",
            order.number,
            money::shown(order.refunded_total, &order.currency),
            money::shown(order.total, &order.currency)
        ),
        "Enter the missing refund in the shop, or set the order back to completed.",
    )
}

fn unpaid(order: &Order, setting: Unpaid, word: &'static str) -> Decision {
    match setting {
        Unpaid::Invoice => Decision::Post(DocumentKind::Invoice),
        Unpaid::Skip => skip(order, word, "waits for payment"),
    }
}

fn skip(order: &Order, code: &'static str, why: &str) -> Decision {
    Decision::Skip(Reason::new(code, format!("order {} {why}", order.number), "Nothing to do."))
}

fn paid_but(order: &Order, status: &str) -> Decision {
    Decision::Attention(Reason::new(
        "paid_but_not_sold",
        format!("order {} is {status}, yet the shop says that it was paid", order.number),
        "Look whether money came in: complete or refund the order in the shop, or clear its date \
         of payment.",
    ))
}
