//! Keys, tokens and passwords in a text.

use super::{MASK, pattern};
use regex::{Captures, Regex};
use std::borrow::Cow;
use std::sync::LazyLock;

/// Graphic characters in a row of the shortest secret that is known by its form alone.
pub(super) const SHORTEST: usize = 11;

/// Length from which a run of characters may be a token without any sign of its own.
const TOKEN: usize = 24;

/// `https://user:password@host`, to the end of what may be an address.
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| pattern(r#"://([^\x00-\x20"<>]+)"#));

/// `password: secret` as people write it. The value of a password is never prose; that of a token or a
/// key is, where it is a mere word ("token: expired").
static SPOKEN: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?i)(?-u:\b)(?:(pass(?:word|wd|phrase|code)?|pwd|passwort|kennwort|mot de passe|contraseña)|",
        r"((?:[a-z]+[_ -])?(?:secret|token|api[_ -]?key|access[_ -]?key|credentials?|pin)))",
        r#"([ \t]*(?::[ \t]+|[ \t]is[ \t]+|[ \t]=[ \t]+))([^\s"'<>,;]+)"#,
    ))
});

/// `consumer_secret=...`, `"access_token": "..."`, `token:...`: key, what stands between, value. A
/// colon with a space behind is prose ("token: expired") and no pair.
static PAIR: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?i)(?-u:\b)((?:(?:consumer|client|api|access|refresh|id|auth|oauth|webhook|signing|private|",
        r"session|service|service_role|anon)[_-]?(?:key|secret|token|signature|nonce)|oauth_[a-z_]+|",
        r"(?:[a-z]+_)?(?:password|passwd|secret|token|signature|credentials)|passphrase|pwd|apikey|",
        r"sig|code|state|authorization|order_key)",
        r#"(?:\\?["'][ \t]*:[ \t]*\\?["']|=|:))([^\x00-\x20&,;"'<>\\}\])]+)"#,
    ))
});

/// An authorization header's value.
static SCHEME: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)(?-u:\b)(bearer|basic)[ \t]+([a-z0-9+/=._~-]{8,})"));

/// Keys that begin like no word does: WooCommerce, Stripe and their like, Supabase, Slack,
/// confirmation tokens, JWTs.
static PREFIXED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?-u:\b)((?:ck|cs|esc|whsec|wc_order|sk_live|sk_test|rk_live|pk_live|sb_secret|sb_publishable|",
        r"sbp|xox[a-z])[_-])([A-Za-z0-9_-]{8,})|(?-u:\b)(eyJ)[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,2}",
    ))
});

/// Runs that may be base64 or hex.
static RUN: LazyLock<Regex> = LazyLock::new(|| pattern(r"[A-Za-z0-9+/=_-]{24,}"));

pub(super) fn mask(text: &str) -> Cow<'_, str> {
    let mut masked = Cow::Borrowed(text);
    if text.contains("://") {
        masked = super::then(masked, addresses);
    }
    masked = super::then(masked, |t| PAIR.replace_all(t, "$1***"));
    masked = super::then(masked, schemes);
    masked = super::then(masked, spoken);
    masked = super::then(masked, |t| PREFIXED.replace_all(t, "$1$3***"));
    super::then(masked, runs)
}

/// What stands before the last `@` of an address is a user and a password, which may hold any
/// character: unless a path begins before it (`https://shop.test/@jane`).
fn addresses(text: &str) -> Cow<'_, str> {
    ADDRESS.replace_all(text, |found: &Captures<'_>| {
        let whole = &found[1];
        let Some(at) = whole.rfind('@') else { return found[0].to_owned() };
        let before = &whole[..at];
        let authority = before.split(['/', '?', '#']).next().unwrap_or_default();
        let has_password = authority
            .split_once(':')
            .is_some_and(|(_, port)| port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()));
        if authority.len() == before.len() || has_password {
            format!("://{MASK}{}", &whole[at..])
        } else {
            found[0].to_owned()
        }
    })
}

fn spoken(text: &str) -> Cow<'_, str> {
    SPOKEN.replace_all(text, |found: &Captures<'_>| {
        let value = &found[4];
        let word = value.trim_end_matches(['.', '!', '?', ')']).chars().all(char::is_alphabetic);
        if found.get(1).is_none() && word {
            return found[0].to_owned();
        }
        let name = found.get(1).or_else(|| found.get(2)).map_or("", |name| name.as_str());
        format!("{name}{}{MASK}", &found[3])
    })
}

fn schemes(text: &str) -> Cow<'_, str> {
    SCHEME.replace_all(text, |found: &Captures<'_>| {
        // "Basic authentication" is prose.
        if Classes::of(&found[2]).words() {
            found[0].to_owned()
        } else {
            format!("{} {MASK}", &found[1])
        }
    })
}

fn runs(text: &str) -> Cow<'_, str> {
    RUN.replace_all(text, |found: &Captures<'_>| {
        let run = &found[0];
        if is_token(run) { MASK.to_owned() } else { parts(run) }
    })
}

/// A token may be one part of a path or of a name.
fn parts(run: &str) -> String {
    run.split_inclusive(['/', '=', '-', '_'])
        .map(|part| {
            let bare = part.trim_end_matches(['/', '=', '-', '_']);
            if bare.len() >= TOKEN && is_token(bare) {
                format!("{MASK}{}", &part[bare.len()..])
            } else {
                part.to_owned()
            }
        })
        .collect()
}

fn is_token(run: &str) -> bool {
    let classes = Classes::of(run);
    let hex = run.len() >= 32 && run.bytes().all(|b| b.is_ascii_hexdigit());
    (hex && classes.digit && (classes.lower || classes.upper)) || classes.random(run.len())
}

/// Which kinds of characters a run has, and how often they change: often in what is random, seldom
/// in words, slugs and paths.
#[derive(Default)]
struct Classes {
    lower: bool,
    upper: bool,
    digit: bool,
    changes: usize,
}

impl Classes {
    fn of(run: &str) -> Classes {
        let mut classes = Classes::default();
        let mut previous = None;
        for byte in run.bytes() {
            let class = match byte {
                b'a'..=b'z' => 0,
                b'A'..=b'Z' => 1,
                b'0'..=b'9' => 2,
                _ => {
                    previous = None;
                    continue;
                }
            };
            match class {
                0 => classes.lower = true,
                1 => classes.upper = true,
                _ => classes.digit = true,
            }
            classes.changes += usize::from(previous.is_some_and(|p| p != class));
            previous = Some(class);
        }
        classes
    }

    /// Random base64 changes its class at two of three characters, base36 at two of five; a product's
    /// slug at one of eight.
    fn random(&self, length: usize) -> bool {
        let kinds = [self.lower, self.upper, self.digit].iter().filter(|kind| **kind).count();
        match kinds {
            3 => length >= TOKEN && self.changes * 20 >= length * 7,
            2 => length >= 32 && self.digit && self.changes * 20 >= length * 6,
            _ => false,
        }
    }

    /// A word or a capitalised word.
    fn words(&self) -> bool {
        !self.digit && self.changes <= 1
    }
}
