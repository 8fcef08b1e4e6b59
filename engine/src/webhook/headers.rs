//! Headers of a delivery, however they were written down: names in any case.

use serde_json::Value;
use std::collections::BTreeMap;

/// Headers by their lower-case names.
#[derive(Debug, Clone, Default)]
pub struct Headers(BTreeMap<String, Option<String>>);

impl Headers {
    /// From a JSON object of texts, or of lists with one text. What isn't a text is left out; two
    /// values for one name are none, since nobody can say which was meant.
    pub fn parse(json: &Value) -> Headers {
        let mut found: BTreeMap<String, Option<String>> = BTreeMap::new();
        for (name, value) in json.as_object().into_iter().flatten() {
            let value = match value {
                Value::Array(list) if list.len() == 1 => list[0].as_str(),
                other => other.as_str(),
            };
            let Some(value) = value.map(|text| text.trim().to_owned()) else { continue };
            found
                .entry(name.to_ascii_lowercase())
                .and_modify(|known| {
                    if known.as_ref() != Some(&value) {
                        *known = None;
                    }
                })
                .or_insert(Some(value));
        }
        Headers(found)
    }

    /// A header by its lower-case name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_deref().filter(|value| !value.is_empty())
    }

    /// Is there any header whose lower-case name begins so?
    pub fn any(&self, prefix: &str) -> bool {
        self.0.keys().any(|name| name.starts_with(prefix))
    }
}
