//! Query parameters as PHP reads them, in the order they came: the `Link` header repeats them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What PHP's `urlencode` leaves alone, but for the space.
const URLENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// A parameter's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Param {
    Text(String),
    List(Vec<String>),
}

/// All parameters of a request.
#[derive(Debug, Clone, Default)]
pub struct Params(Vec<(String, Param)>);

/// PHP's `urldecode`.
pub fn urldecode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// PHP's `urlencode`.
pub fn urlencode(text: &str) -> String {
    utf8_percent_encode(text, URLENCODED).to_string().replace("%20", "+")
}

impl Params {
    /// Reads a query string. A name that comes twice keeps its last value; `a[]` and `a[0]` make
    /// lists.
    pub fn parse(query: &str) -> Self {
        let mut params = Params::default();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (urldecode(name), urldecode(value));
            match name.split_once('[') {
                Some((name, _)) if !name.is_empty() => params.push(name, value),
                _ => params.set(&name, Param::Text(value)),
            }
        }
        params
    }

    fn push(&mut self, name: &str, value: String) {
        match self.0.iter_mut().find(|(n, _)| n == name) {
            Some((_, Param::List(values))) => values.push(value),
            Some((_, other)) => *other = Param::List(vec![value]),
            None => self.0.push((name.to_owned(), Param::List(vec![value]))),
        }
    }

    /// Replaces a value in its place, or adds it at the end.
    pub fn set(&mut self, name: &str, value: Param) {
        match self.0.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// Replaces a single value in its place, or adds it at the end.
    pub fn set_text(&mut self, name: &str, value: impl Into<String>) {
        self.set(name, Param::Text(value.into()));
    }

    /// The value under a name.
    pub fn get(&self, name: &str) -> Option<&Param> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// A single value; the first of a list.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Param::Text(text) => Some(text),
            Param::List(values) => values.first().map(String::as_str),
        }
    }

    /// A list: given as one, or separated by commas or spaces.
    pub fn list(&self, name: &str) -> Option<Vec<String>> {
        match self.get(name)? {
            Param::List(values) => Some(values.clone()),
            Param::Text(text) => {
                let parts = text.split(|c: char| c == ',' || c.is_whitespace());
                Some(parts.filter(|part| !part.is_empty()).map(str::to_owned).collect())
            }
        }
    }

    /// WordPress' idea of a boolean.
    pub fn flag(&self, name: &str) -> bool {
        let no = ["", "0", "false", "FALSE", "False"];
        self.text(name).is_some_and(|text| !no.contains(&text))
    }

    /// A whole number; nothing when it isn't one.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.text(name).and_then(|text| text.trim().parse().ok())
    }

    /// Names and values in the order they came.
    pub fn iter(&self) -> impl Iterator<Item = &(String, Param)> {
        self.0.iter()
    }

    /// As `add_query_arg` writes them into a `Link`: names of lists get indexes.
    pub fn to_query(&self) -> String {
        let mut parts = vec![];
        for (name, value) in &self.0 {
            let name = urlencode(name);
            match value {
                Param::Text(text) => parts.push(format!("{name}={}", urlencode(text))),
                Param::List(values) => {
                    for (at, value) in values.iter().enumerate() {
                        parts.push(format!("{name}%5B{at}%5D={}", urlencode(value)));
                    }
                }
            }
        }
        parts.join("&")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_keep_their_order_and_become_lists() {
        let mut params = Params::parse("per_page=5&status[]=a&status[]=b&q=x+y%2Fz&per_page=7");
        params.set_text("page", "2");
        assert_eq!(
            params.to_query(),
            "per_page=7&status%5B0%5D=a&status%5B1%5D=b&q=x+y%2Fz&page=2"
        );
        assert_eq!(Params::parse("include=1,2 3").list("include").unwrap(), ["1", "2", "3"]);
    }
}
