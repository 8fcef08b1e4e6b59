//! Masking of personal data and secrets in what is logged or shown.
//!
//! [`text`] finds what has a form of its own: e-mail addresses, phone, card and account numbers, keys
//! and tokens, secrets in queries, and values beside the key that names them. Names and street addresses
//! have no form: [`json`] finds them by the key they stand under, [`foreign`] guesses them. Order
//! numbers, ids, amounts and dates stay readable, or a log is of no use.
//!
//! All of it is linear, and looks at no more of a text than [`clean()`] leaves.

mod clean;
mod decode;
mod iban;
mod json;
mod numbers;
mod people;
mod secrets;

pub use clean::{clean, label};
pub use json::json;

use regex::{Captures, Regex};
use std::borrow::Cow;
use std::sync::LazyLock;

/// Bytes of a text that are looked at.
const MOST: usize = 64 << 10;

/// What stands in place of a masked value.
pub const MASK: &str = "***";

/// Masks e-mail addresses, phone, card and account numbers, tokens and keys in a text, and puts it on
/// one line ([`clean()`]). What is masked can't be got back; a text without any of them comes back
/// unchanged.
pub fn text(text: &str) -> String {
    match clean(text) {
        Cow::Borrowed(text) => masked(text).into_owned(),
        Cow::Owned(cleaned) => masked(&cleaned).into_owned(),
    }
}

/// [`text`] of what a platform, a page or an application's trigger wrote: names and streets are masked,
/// too, as far as they can be guessed. For operators only: whoever wrote it may have written anything.
pub fn foreign(text: &str) -> String {
    people::guessed(&self::text(text)).into_owned()
}

/// [`text`] without a copy where nothing is masked.
///
/// Of a text of more than [`MOST`] bytes the rest is left out: a log is not the place for it, and
/// searching megabytes takes minutes.
pub fn masked(text: &str) -> Cow<'_, str> {
    if text.len() > MOST {
        let end = (0..=MOST).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        return Cow::Owned(format!("{}...", masked(&text[..end])));
    }
    let masked = as_written(text);
    // Also what is written in another way; the text stays as it is where nothing hides in it.
    let decoded = decode::decode(&masked);
    if decoded == masked {
        return masked;
    }
    match as_written(&decoded) {
        Cow::Owned(found) => Cow::Owned(found),
        Cow::Borrowed(_) => masked,
    }
}

fn as_written(text: &str) -> Cow<'_, str> {
    let signs = Signs::of(text);
    let mut masked = Cow::Borrowed(text);
    if signs.secret {
        masked = then(masked, secrets::mask);
    }
    if signs.pair {
        masked = then(masked, people::keyed);
    }
    if signs.at {
        masked = then(masked, emails);
    }
    if signs.spelled {
        masked = then(masked, spelled_emails);
    }
    if signs.digits >= numbers::FEWEST_DIGITS {
        masked = then(masked, iban::mask);
        masked = then(masked, numbers::mask);
    }
    masked
}

/// An e-mail address with its first letter and its top-level domain: `j***@***.test`. What is none
/// is masked as a whole.
pub fn email(address: &str) -> String {
    let address = address.trim();
    match address.rsplit_once('@').or_else(|| address.rsplit_once("%40")) {
        Some((local, domain)) if !local.is_empty() => masked_email(local, domain),
        _ if address.is_empty() => String::new(),
        _ => MASK.to_owned(),
    }
}

fn masked_email(local: &str, domain: &str) -> String {
    let first = local.chars().next().filter(|c| c.is_alphanumeric());
    let first = first.map(String::from).unwrap_or_default();
    // A single label before the top one may be the whole of a name: only the top one is shown.
    match domain.rsplit_once('.') {
        Some((_, top)) if !top.is_empty() => format!("{first}{MASK}@{MASK}.{top}"),
        _ => format!("{first}{MASK}@{MASK}"),
    }
}

/// One look at the bytes that says which searches are worth their time: most log rows hold nothing
/// to mask.
#[derive(Default)]
struct Signs {
    at: bool,
    secret: bool,
    /// A key with its value, or an element.
    pair: bool,
    /// The word "at", in any case.
    spelled: bool,
    digits: usize,
}

impl Signs {
    fn of(text: &str) -> Signs {
        let mut signs = Signs::default();
        let mut run = 0;
        let mut previous = 0;
        for byte in text.bytes() {
            match byte {
                b'@' => signs.at = true,
                // "%40" is an @ in a URL.
                b'4' if previous == b'%' => signs.at = true,
                _ => {}
            }
            signs.digits += usize::from(byte.is_ascii_digit());
            run = if byte.is_ascii_graphic() { run + 1 } else { 0 };
            // Any secret has this length or stands beside its key.
            signs.secret |= run >= secrets::SHORTEST || matches!(byte, b'=' | b':');
            // Or is told in words: "the password is ...".
            signs.secret |=
                byte.eq_ignore_ascii_case(&b's') && previous.eq_ignore_ascii_case(&b'i');
            signs.pair |= matches!(byte, b'=' | b':' | b'>');
            signs.spelled |=
                byte.eq_ignore_ascii_case(&b't') && previous.eq_ignore_ascii_case(&b'a');
            previous = byte;
        }
        signs
    }
}

fn then(text: Cow<'_, str>, mask: fn(&str) -> Cow<'_, str>) -> Cow<'_, str> {
    match mask(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(masked) => Cow::Owned(masked),
    }
}

/// The first group is the local part, the second the domain. Letters of every language count.
static EMAIL: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r#"("[^"\n]{1,64}"|[^\x00-\x20"'<>(),;:@=&?/\[\]\\{}|][^\x00-\x20"<>(),;:=&?/\[\]\\{}|]*)"#,
        r#"(?:@|%40)"#,
        r#"([^\x00-\x20"'<>(),;:@=&?/\[\]\\{}|%]+)"#,
    ))
});

fn emails(text: &str) -> Cow<'_, str> {
    EMAIL.replace_all(text, |found: &Captures<'_>| {
        let whole = found[2].trim_end_matches(['.', '!', '-', '*']);
        let tail = &found[2][whole.len()..];
        // A number of a version has no label of letters: `pgrx@0.18.0` is none.
        let letters = |label: &str| label.len() > 1 && label.chars().all(char::is_alphabetic);
        let is_name = whole.contains('.') && whole.split('.').any(letters) || whole == "localhost";
        if is_name {
            format!("{}{tail}", masked_email(found[1].trim_start_matches('"'), whole))
        } else {
            found[0].to_owned()
        }
    })
}

/// `jane at mail dot test`, `jane [at] mail.test`, `jane(at)mail(dot)test`. A bare "at" is a word: it
/// needs a "dot" behind it.
static SPELLED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?i)([\p{L}\d][\p{L}\d._+-]*)(?:",
        r"[ \t]*[\[({<][ \t]*at[ \t]*[\])}>][ \t]*([\p{L}\d][\p{L}\d-]*(?:[ \t]*(?:\.|[\[({<][ \t]*dot[ \t]*[\])}>]|[ \t]dot[ \t])[ \t]*[\p{L}\d-]+)+)",
        r"|[ \t]+at[ \t]+([\p{L}\d][\p{L}\d-]*(?:\.[\p{L}\d-]+)*(?:[ \t]*(?:[\[({<][ \t]*dot[ \t]*[\])}>]|[ \t]dot[ \t])[ \t]*[\p{L}\d-]+)+))",
    ))
});

fn spelled_emails(text: &str) -> Cow<'_, str> {
    SPELLED.replace_all(text, |found: &Captures<'_>| {
        let domain = found.get(2).or_else(|| found.get(3)).map_or("", |domain| domain.as_str());
        let top = domain.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        masked_email(&found[1], &format!("{MASK}.{top}"))
    })
}

/// A pattern of this module. All of them are literals that a test compiles.
fn pattern(pattern: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "literals, each compiled by the tests")]
    Regex::new(pattern).expect("a pattern of the mask module")
}

#[cfg(test)]
mod tests;
