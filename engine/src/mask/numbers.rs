//! Phone and card numbers among order numbers, ids, amounts and dates.
//!
//! A bare row of digits is an id and stays, unless it is a valid card number or stands beside a word
//! for a phone. A phone number is known by its plus sign, its brackets, its leading zero, or its
//! groups.

use super::{MASK, pattern};
use regex::{Captures, Regex};
use std::borrow::Cow;
use std::sync::LazyLock;

/// Digits of the shortest number that is masked.
pub(super) const FEWEST_DIGITS: usize = 7;

/// Digits of a phone number, at most (E.164).
const MOST_DIGITS: usize = 15;

/// Digits with what may stand between them in a phone or card number.
static CANDIDATE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"[+(]{0,2}[0-9](?:[ \x{a0}./()-]{0,3}[0-9])+"));

/// A phone's word, at the end of what stands before a candidate.
static WORD: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?i)(?:phone|mobile|telefon|tel|fax|cell|whatsapp)(?:[ _-]?(?:number|no|nr))?["'.:= #]{0,4}$"#,
    )
});

pub(super) fn mask(text: &str) -> Cow<'_, str> {
    CANDIDATE.replace_all(text, |found: &Captures<'_>| {
        let whole = &found[0];
        let digits = whole.bytes().filter(u8::is_ascii_digit).count();
        if digits < FEWEST_DIGITS {
            return whole.to_owned();
        }
        let start = found.get(0).map_or(0, |m| m.start());
        let before = &text[..start];
        // Behind a letter or a dash it is a part of a name: SKU-0001-2222-33.
        if before.ends_with(|c: char| c.is_alphanumeric() || "_-#".contains(c)) {
            return whole.to_owned();
        }
        if digits <= MOST_DIGITS && WORD.is_match(tail(before)) {
            return MASK.to_owned();
        }
        let groups = Group::split(whole);
        match card(whole, &groups) {
            Some(masked) => masked,
            None => phones(whole, &groups),
        }
    })
}

/// The end of a text that is long enough for a phone's word.
fn tail(text: &str) -> &str {
    let mut from = text.len().saturating_sub(24);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

/// Digits in a row, with what stands before them.
struct Group<'a> {
    gap: &'a str,
    digits: &'a str,
    /// Where the gap and the digits begin, and the digits end.
    gap_at: usize,
    end: usize,
}

impl<'a> Group<'a> {
    fn split(candidate: &'a str) -> Vec<Group<'a>> {
        let mut groups = vec![];
        let mut at = 0;
        while at < candidate.len() {
            let rest = &candidate[at..];
            let from = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
            let digits = &rest[from..];
            let len = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
            let end = at + from + len;
            groups.push(Group { gap: &rest[..from], digits: &digits[..len], gap_at: at, end });
            at = end;
        }
        groups
    }

    fn number(&self) -> usize {
        self.digits.parse().unwrap_or(usize::MAX)
    }
}

/// 13 to 19 digits, bare or in groups of four by one space or dash, of a network's range and with
/// the right check digit. The last four stay, as on a receipt.
fn card(whole: &str, groups: &[Group<'_>]) -> Option<String> {
    let digits: Vec<u8> = whole.bytes().filter(u8::is_ascii_digit).map(|d| d - b'0').collect();
    let grouped = groups.len() == 1
        || (groups.iter().all(|g| matches!(g.digits.len(), 3..=7))
            && groups[1..].iter().all(|g| g.gap == " " || g.gap == "-"));
    let range = matches!(digits[..], [3..=6, ..] | [2, 2..=7, ..]);
    let valid = (13..=19).contains(&digits.len()) && grouped && range && luhn(&digits);
    (valid && groups[0].gap.is_empty()).then(|| {
        let last: String = digits[digits.len() - 4..].iter().map(|d| (d + b'0') as char).collect();
        format!("{MASK}{last}")
    })
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, d)| match (i % 2, u32::from(*d)) {
            (0, d) => d,
            (_, d) if d < 5 => 2 * d,
            (_, d) => 2 * d - 9,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Replaces the phone numbers among the groups.
fn phones(whole: &str, groups: &[Group<'_>]) -> String {
    let mut masked = String::with_capacity(whole.len());
    let mut i = 0;
    while i < groups.len() {
        let rest = &groups[i..];
        let opens = rest[0].gap.trim_start_matches([' ', '\u{a0}', '/', '.']);
        let apart = i == 0 || rest[0].gap.contains([' ', '\u{a0}']);
        let taken = if let Some(date) = date(rest) {
            copy(&mut masked, whole, &rest[..date]);
            i += date;
            continue;
        } else if apart {
            phone(rest, opens)
        } else {
            None
        };
        match taken {
            Some(count) => {
                let before = rest[0].gap.len() - opens.len();
                masked.push_str(&rest[0].gap[..before]);
                masked.push_str(MASK);
                i += count;
            }
            None => {
                copy(&mut masked, whole, &rest[..1]);
                i += 1;
            }
        }
    }
    masked
}

fn copy(masked: &mut String, whole: &str, groups: &[Group<'_>]) {
    if let (Some(first), Some(last)) = (groups.first(), groups.last()) {
        masked.push_str(&whole[first.gap_at..last.end]);
    }
}

/// How many groups at the start are a date: `2026-11-20`, `20.11.2026`, `11/20/2026`.
fn date(groups: &[Group<'_>]) -> Option<usize> {
    let [a, b, c, ..] = groups else { return None };
    let gap = matches!(b.gap, "-" | "/" | ".") && b.gap == c.gap;
    let day = |group: &Group<'_>| group.digits.len() <= 2 && (1..=31).contains(&group.number());
    let year =
        |group: &Group<'_>| group.digits.len() == 4 && (1900..2200).contains(&group.number());
    let date = gap && day(b) && (year(a) && day(c) || day(a) && year(c));
    date.then_some(3)
}

/// How many groups at the start are a phone number. `opens` is what stands right before its digits.
fn phone(groups: &[Group<'_>], opens: &str) -> Option<usize> {
    let mut total = 0;
    let fitting = groups.iter().take_while(|group| {
        total += group.digits.len();
        total <= MOST_DIGITS
    });
    let groups = &groups[..fitting.count()];
    let gaps = |allowed: &str| {
        let fits = |g: &&Group<'_>| !g.gap.is_empty() && g.gap.chars().all(|c| allowed.contains(c));
        1 + groups.get(1..).unwrap_or_default().iter().take_while(fits).count()
    };
    let sum = |count: usize| groups[..count].iter().map(|g| g.digits.len()).sum::<usize>();
    let first = groups.first()?;
    if opens.contains('+') || first.digits.starts_with("00") && first.digits.len() > 3 {
        let count = gaps(" \u{a0}.-/()");
        return (sum(count) >= FEWEST_DIGITS).then_some(count);
    }
    if opens.contains('(') && groups.get(1).is_some_and(|g| g.gap.contains(')')) {
        let count = gaps(" \u{a0}.-()");
        return (first.digits.len() <= 5 && sum(count) >= FEWEST_DIGITS).then_some(count);
    }
    let lens = |count: usize| groups.get(..count).map(|g| g.iter().map(|g| g.digits.len()));
    let like = |shape: &[usize]| lens(shape.len()).is_some_and(|l| l.eq(shape.iter().copied()));
    for shape in [&[3, 3, 4][..], &[1, 3, 3, 4]] {
        if like(shape) && [" ", "-", "."].iter().any(|one| gaps(one) >= shape.len()) {
            return Some(shape.len());
        }
    }
    if first.digits.starts_with('0') && first.digits.len() >= 2 {
        let count = gaps(" \u{a0}-/");
        return (count >= 2 && sum(count) >= 9).then_some(count);
    }
    let count = gaps("-");
    let groups_of_a_phone = groups[..count].iter().all(|g| matches!(g.digits.len(), 2..=4));
    (count >= 3 && groups_of_a_phone && (9..=13).contains(&sum(count))).then_some(count)
}
