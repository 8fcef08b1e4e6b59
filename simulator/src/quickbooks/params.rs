//! Query strings and forms.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encoded for a query.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, &UNRESERVED).to_string()
}

/// Names and values, decoded; `+` is a space.
#[derive(Debug, Clone, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Reads `a=1&b=2`.
    pub fn read(text: &str) -> Self {
        let decoded = |part: &str| {
            percent_decode_str(&part.replace('+', " ")).decode_utf8_lossy().into_owned()
        };
        let pair = |part: &str| match part.split_once('=') {
            Some((name, value)) => (decoded(name), decoded(value)),
            None => (decoded(part), String::new()),
        };
        Params(text.split('&').filter(|part| !part.is_empty()).map(pair).collect())
    }

    /// The first value of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Whether a comma-separated parameter names `word`.
    pub fn lists(&self, name: &str, word: &str) -> bool {
        self.get(name).is_some_and(|all| all.split(',').any(|w| w.trim() == word))
    }
}
