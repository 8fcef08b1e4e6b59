//! What has no form of its own in a text: values beside the key that names them, and, in texts of
//! others, names and streets beside the words that people put there.

use super::json::Kind;
use super::{MASK, pattern};
use regex::{Captures, Regex};
use std::borrow::Cow;
use std::sync::LazyLock;

/// `"first_name": "Jane"` in JSON that stands in a text, escaped as often as it may be; `[first_name] =>
/// Jane` as PHP prints it; `first_name='Jane'`.
static QUOTED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r#"([A-Za-z_][A-Za-z0-9_-]{2,40})((?:\\*["'\]]{1,2})?[ \t]*(?:=>|[:=])[ \t]*)"#,
        // Doubled quotes: a row's text, as Postgres prints it.
        r#"(\\*""[^"\\]+\\*""|\\*"(?:[^"\\]|\\+[^"\\])*\\*"|\\*'(?:[^'\\]|\\+[^'\\])*\\*')"#,
    ))
});

/// The same without quotes: the value ends where the next one may begin.
static BARE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r#"([A-Za-z_][A-Za-z0-9_-]{2,40})(\\*["'\]]?[ \t]*(?:=>|[:=])[ \t]*)"#,
        r#"([^\s"'\\,;&<>{}\[\]()|=][^"'\\,;&<>{}\[\]()|=\n]{0,120})"#,
    ))
});

/// `<first_name>Jane</first_name>`
static ELEMENT: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"<([A-Za-z_][A-Za-z0-9_-]{2,40})>([^<>]{1,200})</"));

/// Keys whose bare value is somebody's own; others (`note: ...`) begin sentences, too.
const BARE_KEYS: [&str; 23] = [
    "address1",
    "address2",
    "addressline1",
    "addressline2",
    "birthday",
    "city",
    "companyname",
    "dateofbirth",
    "displayname",
    "familyname",
    "firstname",
    "fullname",
    "givenname",
    "lastname",
    "line1",
    "line2",
    "middlename",
    "nickname",
    "postalcode",
    "postcode",
    "street",
    "surname",
    "username",
];

fn hides(key: &str) -> bool {
    Kind::of(key) != Kind::Plain
}

/// Values beside their keys.
pub(super) fn keyed(text: &str) -> Cow<'_, str> {
    let masked = QUOTED.replace_all(text, |found: &Captures<'_>| {
        let value = &found[3];
        let quote = value.len() - value.trim_start_matches(['\\', '"', '\'']).len();
        let (open, rest) = value.split_at(quote);
        let inner = rest.trim_end_matches(['\\', '"', '\'']);
        let shown = match Kind::of(&found[1]) {
            Kind::Plain => return found[0].to_owned(),
            _ if inner.is_empty() || inner == MASK => return found[0].to_owned(),
            Kind::Email => super::email(inner),
            Kind::Hidden | Kind::Address => MASK.to_owned(),
        };
        format!("{}{}{open}{shown}{}", &found[1], &found[2], &rest[inner.len()..])
    });
    let masked = super::then(masked, |text| {
        BARE.replace_all(text, |found: &Captures<'_>| {
            if BARE_KEYS.contains(&bare(&found[1]).as_str()) {
                format!("{}{}{MASK}", &found[1], &found[2])
            } else {
                found[0].to_owned()
            }
        })
    });
    super::then(masked, |text| {
        ELEMENT.replace_all(text, |found: &Captures<'_>| match hides(&found[1]) {
            true => format!("<{}>{MASK}</", &found[1]),
            false => found[0].to_owned(),
        })
    })
}

fn bare(key: &str) -> String {
    let name: String =
        key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let side = ["billing", "shipping", "customer"];
    side.iter().find_map(|side| name.strip_prefix(side)).unwrap_or(&name).to_owned()
}

/// A name behind a word for a person.
static NAME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?u)((?-u:\b)(?i:customer|client|buyer|user|vendor|employee|contact|recipient|person|dear|hello|hi|",
        r"for|by|name|named|mr|mrs|ms|mx|dr|herrn?|frau|kunde|kundin|monsieur|madame|señor|señora|client[e]?|signor|signora)",
        r#"[.:,]?[ \t]+["'“«„]?)(\p{Lu}[\p{L}\p{M}'’.-]+(?:[ \t]+(?:(?:van|von|de|der|den|di|da|la|le|bin|al)[ \t]+)*\p{Lu}[\p{L}\p{M}'’.-]*){1,3})"#,
    ))
});

/// A single name behind a title or a greeting.
static TITLED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"((?-u:\b)(?:Mr|Mrs|Ms|Mx|Dr|Herrn?|Frau|Monsieur|Madame|Señora?|Signora?|Dear|Hello|Hi)\.?,?[ \t]+)(\p{Lu}[\p{L}\p{M}'’-]+)",
    )
});

/// A house number with a street, as English, German, French and Spanish write it.
static STREET: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?-u:\b)\d{1,6}[A-Za-z]?,?[ \t]+(?:[\p{Lu}\d][\p{L}\d'’.-]*[ \t]+){1,4}",
        r"(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Boulevard|Blvd|Drive|Dr|Way|Court|Ct|Place|Pl|Square|Sq|Terrace|Crescent|Close|Highway|Hwy|Parkway|Trail)(?-u:\b)\.?",
        r"|\p{Lu}[\p{L}-]*(?:straße|strasse|str\.|weg|gasse|platz|allee|ufer|damm)[ \t]+\d{1,5}[ \t]?[a-z]?(?-u:\b)",
        r"|(?:[\p{Lu}][\p{L}-]+[ \t]+){1,3}(?:Straße|Strasse|Str\.|Weg|Gasse|Platz|Allee|Ufer|Damm)[ \t]+\d{1,5}[ \t]?[a-z]?(?-u:\b)",
        r"|(?-u:\b)\d{1,5}(?:[ \t]?(?:bis|ter))?,?[ \t]+(?:rue|avenue|boulevard|place|chemin|allée|quai|impasse)[ \t]+[^,;.()\n]{3,40}",
        r"|(?:[Cc]alle|[Aa]venida|[Pp]laza|[Vv]ia|[Vv]iale)[ \t]+\p{Lu}[\p{L} '’-]{2,40},?[ \t]+\d{1,5}(?-u:\b)",
    ))
});

/// Names and streets in a text that somebody else wrote. It takes too much rather than too little.
pub(super) fn guessed(text: &str) -> Cow<'_, str> {
    let masked = STREET.replace_all(text, MASK);
    let masked = super::then(masked, |text| NAME.replace_all(text, format!("${{1}}{MASK}")));
    super::then(masked, |text| TITLED.replace_all(text, format!("${{1}}{MASK}")))
}
