//! The other ways to write a character, so that what is written otherwise is found, too: `\u0040`,
//! `%40`, `&#64;`, `＠`.

use super::pattern;
use regex::{Captures, Regex};
use std::borrow::Cow;
use std::sync::LazyLock;

/// Layers that are taken off: a JSON text in a query in a page.
const LAYERS: usize = 4;

static ESCAPE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?i)\\+u(?:\{0*([0-9a-f]{2})\}|00([0-9a-f]{2}))|\\+x([0-9a-f]{2})|%([2-7][0-9a-f])",
        r"|&#x0*([0-9a-f]{2});|&#0*([0-9]{2,3});|&(commat|period|amp|quot|plus|lowbar|colon|sol);",
    ))
});

/// The text with its escapes and wide forms resolved. Borrowed where it has none.
pub(super) fn decode(text: &str) -> Cow<'_, str> {
    let mut decoded = Cow::Borrowed(text);
    for _ in 0..LAYERS {
        let next = layer(&decoded);
        if next == decoded {
            break;
        }
        decoded = Cow::Owned(next);
    }
    decoded
}

fn layer(text: &str) -> String {
    let narrow: String = text.chars().map(narrow).collect();
    ESCAPE
        .replace_all(&narrow, |found: &Captures<'_>| {
            let hex = (1..=5).find_map(|group| found.get(group));
            let hex = hex.and_then(|digits| u32::from_str_radix(digits.as_str(), 16).ok());
            let decimal = || found.get(6).and_then(|digits| digits.as_str().parse::<u32>().ok());
            let named = || named(found.get(7)?.as_str());
            let character = hex.or_else(decimal).and_then(char::from_u32).or_else(named);
            // A blank or a control character stays written as it is: it is no part of what is looked for.
            match character.filter(char::is_ascii_graphic) {
                Some(character) => character.to_string(),
                None => found[0].to_owned(),
            }
        })
        .into_owned()
}

fn named(name: &str) -> Option<char> {
    Some(match name.to_ascii_lowercase().as_str() {
        "commat" => '@',
        "period" => '.',
        "amp" => '&',
        "quot" => '"',
        "plus" => '+',
        "lowbar" => '_',
        "colon" => ':',
        "sol" => '/',
        _ => return None,
    })
}

/// Full-width, small and other forms of ASCII characters.
fn narrow(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '\u{fe6b}' => '@',
        '\u{fe52}' | '\u{3002}' | '\u{ff61}' | '\u{2024}' => '.',
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        // Digits of other scripts that people type: Arabic, Persian, Devanagari; mathematical ones.
        '\u{660}'..='\u{669}' => digit(c, 0x660),
        '\u{6f0}'..='\u{6f9}' => digit(c, 0x6f0),
        '\u{966}'..='\u{96f}' => digit(c, 0x966),
        '\u{1d7ce}'..='\u{1d7ff}' => digit(c, 0x1d7ce),
        _ => c,
    }
}

fn digit(c: char, zero: u32) -> char {
    char::from_digit((u32::from(c) - zero) % 10, 10).unwrap_or(c)
}
