//! What one record's JSON may be, and a JSON value of it: one pass over the text, without memory of
//! its own.

use serde_json::value::RawValue;
use std::fmt;

/// Bytes of a record's JSON as the platform sends it.
pub const RECORD_BYTES: usize = 2 << 20;

/// Values in it, at every depth.
pub const VALUES: usize = 200_000;

/// How deep JSON may be nested. Reading it costs time by the square of its depth, and most readers
/// stop at 128.
pub const JSON_DEPTH: usize = 48;

/// Digits of a number, before and behind the point, its exponent carried out. PHP's largest has 309.
pub const NUMBER_DIGITS: u64 = 400;

/// Bytes with every number written out, as `jsonb` does it: `1e131000` takes a dozen bytes there and
/// 131,001 characters in a dump, which fails.
pub const WRITTEN_BYTES: u64 = 8 << 20;

/// A limit that JSON is beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    Bytes,
    Values,
    Depth,
    Number,
    Written,
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Excess::Bytes => write!(f, "is JSON of more than {} MiB", RECORD_BYTES >> 20),
            Excess::Values => write!(f, "is JSON of more than {VALUES} values"),
            Excess::Depth => write!(f, "is JSON that is nested deeper than {JSON_DEPTH}"),
            Excess::Number => write!(f, "holds a number of more than {NUMBER_DIGITS} digits"),
            Excess::Written => write!(
                f,
                "is JSON of more than {} MiB once its numbers are written out",
                WRITTEN_BYTES >> 20
            ),
        }
    }
}

/// Is a record's JSON within the limits?
pub fn check_record(raw: &RawValue) -> Result<(), Excess> {
    check_json(raw.get())
}

/// The same of any valid JSON.
pub fn check_json(text: &str) -> Result<(), Excess> {
    let bytes = text.as_bytes();
    if bytes.len() > RECORD_BYTES {
        return Err(Excess::Bytes);
    }
    let (mut at, mut depth, mut values) = (0usize, 0usize, 0usize);
    let mut written = bytes.len() as u64;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at + 1);
                continue;
            }
            b'[' | b'{' => {
                depth += 1;
                values += 1;
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' => values += 1,
            b'-' | b'0'..=b'9' => {
                let end = number_end(bytes, at);
                let digits = digits(&text[at..end]);
                if digits > NUMBER_DIGITS {
                    return Err(Excess::Number);
                }
                written += digits;
                at = end;
                continue;
            }
            _ => {}
        }
        if depth > JSON_DEPTH {
            return Err(Excess::Depth);
        }
        if values > VALUES {
            return Err(Excess::Values);
        }
        at += 1;
    }
    if written > WRITTEN_BYTES { Err(Excess::Written) } else { Ok(()) }
}

/// Where a string ends whose first character is at `at`: behind its closing quote.
fn string_end(text: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

fn number_end(text: &[u8], at: usize) -> usize {
    text[at..]
        .iter()
        .position(|b| !matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
        .map_or(text.len(), |length| at + length)
}

/// Digits of a JSON number once it is written out.
fn digits(number: &str) -> u64 {
    let (mantissa, exponent) = match number.find(['e', 'E']) {
        Some(at) => (&number[..at], Some(&number[at + 1..])),
        None => (number, None),
    };
    let mantissa = mantissa.trim_start_matches('-');
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let written = (whole.len() + fraction.len()) as u64;
    match exponent {
        None => written,
        // Beyond 64 bits it is large whatever its sign.
        Some(exponent) => match exponent.trim_start_matches('+').parse::<i64>() {
            Ok(exponent) => written.saturating_add(exponent.unsigned_abs()),
            Err(_) => u64::MAX,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> String {
        format!("{}1{}", "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn an_ordinary_record_is_within_the_limits() {
        let record = r#"{"id":1,"a":[1.5,-2,1e10,"x\"[[[\\"],"b":{"c":null,"d":true}}"#;
        assert_eq!(check_json(record), Ok(()));
        assert_eq!(check_json(&nested(JSON_DEPTH)), Ok(()));
    }

    #[test]
    fn each_excess_is_named() {
        assert_eq!(check_json(&nested(JSON_DEPTH + 1)), Err(Excess::Depth));
        // Readers of JSON that recurse give up, or overflow, at 127.
        assert_eq!(check_json(&nested(10_000)), Err(Excess::Depth));
        assert_eq!(check_json(&format!("[{}0]", "0,".repeat(VALUES))), Err(Excess::Values));
        assert_eq!(check_json(&format!("\"{}\"", "x".repeat(RECORD_BYTES))), Err(Excess::Bytes));
        assert_eq!(check_json("[1e131000]"), Err(Excess::Number));
        assert_eq!(check_json("[1E-99999999999999999999]"), Err(Excess::Number));
        assert_eq!(check_json(&"9".repeat(401)), Err(Excess::Number));
        assert_eq!(check_json("[1.7976931348623157e308, -5e-324]"), Ok(()));
        // Each of these is allowed, and all of them together aren't.
        let many = format!("[{}]", vec!["1e300"; 40_000].join(","));
        assert_eq!(check_json(&many), Err(Excess::Written));
    }

    #[test]
    fn numbers_count_as_they_are_written_out() {
        for (number, wanted) in [
            ("0", 1),
            ("-12.50", 4),
            ("1e3", 4),
            ("1E+3", 4),
            ("1e-3", 4),
            ("1.5e300", 302),
            ("1e99999999999999999999", u64::MAX),
        ] {
            assert_eq!(digits(number), wanted, "{number}");
        }
    }

    #[test]
    fn what_stands_in_a_string_is_no_structure() {
        let text = "[".repeat(1000) + &"9".repeat(1000) + "\\\\\\\"" + &",".repeat(VALUES);
        assert_eq!(check_json(&format!("{{\"a\":\"{text}\"}}")), Ok(()));
        let text = format!("{{\"a\\\"{}\": \"1e131000\\\\\", \"b\": [1]}}", "[".repeat(100));
        assert_eq!(check_json(&text), Ok(()));
    }
}
