//! A value on its way from the platform's JSON to a cell. Numbers stay text until they are needed:
//! money never passes through a float.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

use super::path::Step;

/// Why a value can't be what its column wants; without the value, which may be personal data.
pub type Reason = Cow<'static, str>;

#[derive(Debug, Clone, PartialEq)]
pub enum Val<'a> {
    /// Absent, `null`.
    Null,
    Bool(bool),
    /// A JSON number as it was written.
    Number(Cow<'a, str>),
    Text(Cow<'a, str>),
    Decimal(Decimal),
    Int(i64),
    Time(Timestamp),
    /// An object or array as it was written.
    Json(&'a str),
    /// JSON that a transform made: canonical already.
    Made(String),
    List(Vec<Val<'a>>),
}

impl Val<'_> {
    /// Absent for a platform that says "" for "none".
    pub fn is_absent(&self) -> bool {
        match self {
            Val::Null => true,
            Val::Text(text) => text.is_empty(),
            _ => false,
        }
    }

    /// What it is, for a message.
    pub fn describe(&self) -> &'static str {
        match self {
            Val::Null => "null",
            Val::Bool(_) => "a boolean",
            Val::Number(_) | Val::Decimal(_) | Val::Int(_) => "a number",
            Val::Text(_) => "a text",
            Val::Time(_) => "a time",
            Val::Json(raw) if raw.starts_with('[') => "an array",
            Val::Json(_) | Val::Made(_) => "an object",
            Val::List(_) => "a list",
        }
    }
}

/// The value of a piece of JSON.
pub fn read(raw: &RawValue) -> Result<Val<'_>, Reason> {
    let text = raw.get();
    Ok(match text.as_bytes().first() {
        Some(b'n') | None => Val::Null,
        Some(b't') => Val::Bool(true),
        Some(b'f') => Val::Bool(false),
        Some(b'"') => Val::Text(string(text)?),
        Some(b'{' | b'[') => Val::Json(text),
        Some(_) => Val::Number(Cow::Borrowed(text)),
    })
}

/// A JSON string, decoded, without NUL: Postgres can't store one.
pub fn string(raw: &str) -> Result<Cow<'_, str>, Reason> {
    let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    if !inner.contains('\\') {
        return Ok(Cow::Borrowed(inner));
    }
    let decoded: String = serde_json::from_str(raw)
        .map_err(|_| Cow::Borrowed("is text that is broken (half a surrogate pair)"))?;
    Ok(Cow::Owned(if decoded.contains('\0') { decoded.replace('\0', "") } else { decoded }))
}

/// Members of an object in their order; a repeated one counts as often as it stands there.
pub fn members(raw: &str) -> Vec<(Cow<'_, str>, &RawValue)> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(Cow<'de, str>, &'de RawValue)>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut out = Vec::with_capacity(map.size_hint().unwrap_or(8));
            while let Some(Name(name)) = map.next_key()? {
                out.push((name, map.next_value()?));
            }
            Ok(out)
        }
    }
    serde_json::Deserializer::from_str(raw).deserialize_map(Members).unwrap_or_default()
}

/// The last member of that name.
pub fn member<'a>(raw: &'a str, name: &str) -> Option<&'a RawValue> {
    struct Member<'n>(&'n str);
    impl<'de> Visitor<'de> for Member<'_> {
        type Value = Option<&'de RawValue>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = None;
            while let Some(Name(name)) = map.next_key()? {
                if name == self.0 {
                    found = Some(map.next_value()?);
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(found)
        }
    }
    if !raw.starts_with('{') {
        return None;
    }
    serde_json::Deserializer::from_str(raw).deserialize_map(Member(name)).ok().flatten()
}

/// Elements of an array; of an object its values, since PHP makes one out of a list with gaps.
pub fn elements(raw: &str) -> Vec<&RawValue> {
    struct Elements;
    impl<'de> Visitor<'de> for Elements {
        type Value = Vec<&'de RawValue>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut out = Vec::new();
            while let Some(raw) = seq.next_element()? {
                out.push(raw);
            }
            Ok(out)
        }
    }
    match raw.as_bytes().first() {
        Some(b'[') => {
            serde_json::Deserializer::from_str(raw).deserialize_seq(Elements).unwrap_or_default()
        }
        Some(b'{') => members(raw).into_iter().map(|(_, value)| value).collect(),
        _ => vec![],
    }
}

/// Name of a member, borrowed where it holds no escape.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

/// What the steps lead to. Nothing on the way is an error: an absent member is absent.
pub fn walk<'a>(raw: &'a RawValue, steps: &[Step], out: &mut Vec<&'a RawValue>) {
    let Some((step, rest)) = steps.split_first() else {
        out.push(raw);
        return;
    };
    let text = raw.get();
    match step {
        Step::Key(key) => {
            if let Some(value) = member(text, key) {
                walk(value, rest, out);
            }
        }
        Step::All => elements(text).into_iter().for_each(|element| walk(element, rest, out)),
        Step::Index(index) => {
            if let Some(element) = elements(text).get(*index) {
                walk(element, rest, out);
            }
        }
        Step::Where(key, wanted) => {
            let found = elements(text).into_iter().find(|element| {
                member(element.get(), key).is_some_and(|value| is_text(value, wanted))
            });
            if let Some(element) = found {
                walk(element, rest, out);
            }
        }
    }
}

fn is_text(raw: &RawValue, wanted: &str) -> bool {
    match read(raw) {
        Ok(Val::Text(text) | Val::Number(text)) => text == wanted,
        Ok(Val::Bool(value)) => wanted == if value { "true" } else { "false" },
        _ => false,
    }
}

/// A decimal number from its text. Digits past the 28th are rounded; anything else that isn't a
/// number, or is too large, is an error and never 0.
pub fn decimal(text: &str) -> Result<Decimal, Reason> {
    const NOT_A_NUMBER: Reason = Cow::Borrowed("is not a number");
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) {
        return Err(NOT_A_NUMBER);
    }
    let parsed =
        if text.contains(['e', 'E']) { Decimal::from_scientific(text) } else { text.parse() };
    parsed
        .map(without_negative_zero)
        .map_err(|_| "is a number out of range, or not a number".into())
}

/// PHP writes -0.00 where a sum comes out at nothing; there is no such amount.
pub fn without_negative_zero(mut value: Decimal) -> Decimal {
    if value.is_zero() {
        value.set_sign_positive(true);
    }
    value
}
