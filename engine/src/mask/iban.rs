//! Numbers of bank accounts (ISO 13616), by their check digits.

use super::{MASK, pattern};
use regex::{Captures, Regex};
use std::borrow::Cow;
use std::sync::LazyLock;

static CANDIDATE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)(?-u:\b)[A-Z]{2}[0-9]{2}(?:[ \x{a0}-]?[A-Z0-9]{4}){2,7}(?:[ \x{a0}-]?[A-Z0-9]{1,4})?(?-u:\b)",
    )
});

/// Country and the last four digits stay, as on a statement.
pub(super) fn mask(text: &str) -> Cow<'_, str> {
    CANDIDATE.replace_all(text, |found: &Captures<'_>| {
        let number: String = found[0].chars().filter(char::is_ascii_alphanumeric).collect();
        // Words may follow in groups of four letters: the longest start that checks out.
        let fits = (15..=number.len().min(34)).rev().find(|len| is_valid(&number[..*len]));
        match fits {
            Some(len) => {
                let (account, rest) = number.split_at(len);
                let gap = if rest.is_empty() { "" } else { " " };
                format!("{}{MASK}{}{gap}{rest}", &account[..2], &account[len - 4..])
            }
            None => found[0].to_owned(),
        }
    })
}

/// The remainder by 97 is one once the first four characters stand at the end.
fn is_valid(number: &str) -> bool {
    let (head, tail) = number.split_at(4);
    let remainder = tail.chars().chain(head.chars()).try_fold(0u32, |sum, c| {
        let value = c.to_digit(36)?;
        Some((sum * if value < 10 { 10 } else { 100 } + value) % 97)
    });
    remainder == Some(1)
}
