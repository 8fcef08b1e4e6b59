//! Text of others on its way to a terminal, a log line or a page: nothing in it steers what shows it.

use std::borrow::Cow;

/// Characters of a name, at most: a shop's title, an order's number.
const LONGEST_LABEL: usize = 120;

/// Bytes that are looked through and kept of any text. What is longer is no message.
pub(super) const LONGEST: usize = 64 * 1024;

/// On one line, without control characters (escape sequences of terminals among them), without the
/// marks that turn or hide text (bidirectional overrides and isolates, zero-width characters, tags),
/// and no longer than any message is.
pub fn clean(text: &str) -> Cow<'_, str> {
    let short = cut(text, LONGEST);
    if short.len() == text.len() && !text.chars().any(|c| is_break(c) || is_steering(c)) {
        return Cow::Borrowed(text);
    }
    let kept = short.chars().filter(|c| is_break(*c) || !is_steering(*c));
    let mut cleaned: String = kept.map(|c| if is_break(c) { ' ' } else { c }).collect();
    if short.len() < text.len() {
        cleaned.push_str("...");
    }
    Cow::Owned(cleaned)
}

/// A name that a platform gave to something: [`clean`], without blanks at its ends, and short.
pub fn label(text: &str) -> String {
    let cleaned = clean(text);
    let cleaned = cleaned.trim();
    match cleaned.char_indices().nth(LONGEST_LABEL) {
        Some((at, _)) => format!("{}...", &cleaned[..at]),
        None => cleaned.to_owned(),
    }
}

/// At most so many bytes, whole characters.
fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Becomes a blank: words stay apart.
fn is_break(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Goes. The joiners U+200C and U+200D stay: Persian and emoji need them.
fn is_steering(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}
