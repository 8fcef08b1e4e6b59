//! Document numbers, references and the mark by which a document is known as ours
//! (posting policy, Numbers; quickbooks.md, 4.2 and 4.4).

use super::input::{Order, Refund};
use super::reason::Reason;
use super::settings::Settings;

/// `DocNumber` holds no more.
pub const MAX_NUMBER: usize = 21;
/// `PaymentRefNum` holds no more.
pub const MAX_REFERENCE: usize = 21;
/// `PrivateNote` holds no more.
pub const MAX_NOTE: usize = 4000;

/// The number of an order's sale: prefix and order number, never its id.
pub fn of_order(settings: &Settings, number: &str) -> Result<String, Reason> {
    checked(format!("{}{}", settings.document_prefix, number.trim()))
}

/// The number of a refund's document. It bears the refund's id, since an ordinal would shift when
/// an earlier refund is deleted.
pub fn of_refund(settings: &Settings, order: &Order, refund: &Refund) -> Result<String, Reason> {
    checked(refund_number(settings, &order.number, &refund.key()))
}

/// The number of the CreditMemo that takes back a cancelled Invoice.
pub fn of_cancellation(settings: &Settings, order: &Order) -> Result<String, Reason> {
    checked(format!("{}{}-C", settings.document_prefix, order.number.trim()))
}

pub(super) fn refund_number(settings: &Settings, order: &str, refund: &str) -> String {
    format!("{}{}-R{refund}", settings.document_prefix, order.trim())
}

fn checked(number: String) -> Result<String, Reason> {
    let length = number.chars().count();
    if length <= MAX_NUMBER {
        return Ok(number);
    }
    Err(Reason::new(
        "number_too_long",
        format!(
            "document number \"{number}\" has {length} characters, QuickBooks takes {MAX_NUMBER}"
        ),
        "Shorten document_prefix with easysync.alter_connection.",
    ))
}

/// Numbers under which somebody may have entered the order before us: as it is, with a hash, with
/// the prefix.
pub fn adoptable(settings: &Settings, order: &Order) -> Vec<String> {
    let number = order.number.trim();
    let mut numbers = vec![number.to_owned(), format!("#{number}")];
    let own = format!("{}{number}", settings.document_prefix);
    if !numbers.contains(&own) {
        numbers.push(own);
    }
    numbers.retain(|number| number.chars().count() <= MAX_NUMBER);
    numbers
}

/// Breaks long runs of digits: QuickBooks refuses what looks like a card number (6530), and some
/// transaction ids do.
pub fn unlike_a_card(text: &str) -> String {
    const RUN: usize = 12;
    let mut out = String::with_capacity(text.len());
    let mut run = 0;
    for c in text.chars() {
        if c.is_ascii_digit() && run == RUN {
            out.push(' ');
            run = 0;
        }
        run = if c.is_ascii_digit() { run + 1 } else { 0 };
        out.push(c);
    }
    out
}

/// The last 21 characters of the transaction id: the end is what tells payments apart.
pub fn payment_reference(transaction_id: Option<&str>) -> Option<String> {
    let id = transaction_id.map(str::trim).filter(|id| !id.is_empty())?;
    let id = unlike_a_card(id);
    let skip = id.chars().count().saturating_sub(MAX_REFERENCE);
    Some(id.chars().skip(skip).collect())
}

/// First line of `PrivateNote`: whose document it is. `shop` is the shop's account.
pub fn order_mark(shop: &str, order: &Order) -> String {
    format!("easysync:{shop}:order:{}", order.key())
}

/// As [`order_mark`], for a refund's document.
pub fn refund_mark(shop: &str, refund: &Refund) -> String {
    format!("easysync:{shop}:refund:{}", refund.key())
}

/// Our mark in a note, whichever it is, and wherever a person or a void has left it.
pub fn mark_in(note: &str) -> Option<&str> {
    let words = note.lines().filter_map(|line| line.split_whitespace().next_back());
    words.into_iter().find(|word| word.starts_with("easysync:"))
}

/// `PrivateNote`: the mark, and what has no field of its own.
pub fn note(mark: &str, more: &[String]) -> String {
    let mut note = mark.to_owned();
    for line in more.iter().filter(|line| !line.is_empty()) {
        note.push('\n');
        note.push_str(line);
    }
    note.chars().take(MAX_NOTE).collect()
}

/// Whether a document's `PrivateNote` bears this mark. A person may have added to it, and a void
/// puts a word before it.
pub fn is_marked(note: &str, mark: &str) -> bool {
    note.lines().any(|line| line.trim() == mark || line.trim().ends_with(&format!(" {mark}")))
}
