//! The strict body model: which fields an entity has, of which type and length, and which may stand
//! in a query.
//!
//! `schema.json` says it in a line a field: `s21` text of at most 21 characters, `e100` an e-mail
//! address, `n` number, `b` boolean, `d` date, `r` reference, `@X` an object of type X, `[@X]` a
//! list, `enum:A|B`, `a` anything; a leading `-` is read-only (taken and dropped), a `?` after the
//! type filterable. Lengths from Intuit's field documentation.

mod check;

use super::kind::Kind;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::LazyLock;

pub use check::check;

/// A field's type.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldType {
    /// Text of at most so many characters.
    Text(usize),
    Email(usize),
    Number,
    Bool,
    Date,
    Object(String),
    List(String),
    Enum(Vec<String>),
    Any,
}

/// One field of a type or entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub kind: FieldType,
    /// Taken from a client and dropped.
    pub read_only: bool,
    /// May stand in a `WHERE`.
    pub filterable: bool,
}

type Fields = BTreeMap<String, Field>;

/// All types and entities.
pub struct Schema {
    types: BTreeMap<String, Fields>,
    entities: BTreeMap<String, Fields>,
}

/// The schema of Intuit's entities as far as the simulator keeps them.
pub static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    // The text is part of the program and every test reads it.
    Schema::read(include_str!("schema.json")).unwrap_or_else(|e| panic!("schema.json: {e}"))
});

impl Schema {
    fn read(text: &str) -> Result<Self, String> {
        let all: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let table = |key: &str| all[key].as_object().cloned().unwrap_or_default();
        let mut types = BTreeMap::new();
        for (name, fields) in table("types") {
            types.insert(name, read_fields(fields.as_object())?);
        }
        let common = read_fields(all["common"].as_object())?;
        let mut entities = BTreeMap::new();
        for (name, entity) in table("entities") {
            let mut fields = common.clone();
            let base = entity["base"].as_str().unwrap_or_default();
            fields.extend(read_fields(all[base].as_object())?);
            fields.extend(read_fields(entity["fields"].as_object())?);
            entities.insert(name, fields);
        }
        Ok(Schema { types, entities })
    }

    /// The fields of an entity.
    pub fn entity(&self, kind: Kind) -> &Fields {
        static NONE: Fields = Fields::new();
        self.entities.get(kind.name()).unwrap_or(&NONE)
    }

    fn type_named(&self, name: &str) -> Option<&Fields> {
        self.types.get(name)
    }
}

fn read_fields(fields: Option<&Map<String, Value>>) -> Result<Fields, String> {
    let mut read = Fields::new();
    for (name, spec) in fields.into_iter().flatten() {
        let spec = spec.as_str().ok_or(format!("{name}: no text"))?;
        read.insert(name.clone(), read_field(spec).ok_or(format!("{name}: {spec}?"))?);
    }
    Ok(read)
}

fn read_field(spec: &str) -> Option<Field> {
    let (read_only, spec) = match spec.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, spec),
    };
    let filterable = spec.ends_with('?') || spec.starts_with("enum?:");
    let spec = spec.trim_end_matches('?');
    let length = |text: &str| match text {
        "" => Some(usize::MAX),
        digits => digits.parse().ok(),
    };
    let kind = if let Some(names) = spec.strip_prefix("enum:").or(spec.strip_prefix("enum?:")) {
        FieldType::Enum(names.split('|').map(str::to_owned).collect())
    } else if let Some(name) = spec.strip_prefix("[@") {
        FieldType::List(name.strip_suffix(']')?.to_owned())
    } else if let Some(name) = spec.strip_prefix('@') {
        FieldType::Object(name.to_owned())
    } else {
        match (spec.get(..1)?, spec.get(1..)?) {
            ("s", digits) => FieldType::Text(length(digits)?),
            ("e", digits) => FieldType::Email(length(digits)?),
            ("n", "") => FieldType::Number,
            ("b", "") => FieldType::Bool,
            ("d", "") => FieldType::Date,
            ("r", "") => FieldType::Object("Ref".into()),
            ("a", "") => FieldType::Any,
            _ => return None,
        }
    };
    Some(Field { kind, read_only, filterable })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_the_schema_names_is_in_it() {
        let named = SCHEMA.types.values().chain(SCHEMA.entities.values()).flatten();
        for (field, spec) in named {
            if let FieldType::Object(name) | FieldType::List(name) = &spec.kind {
                assert!(SCHEMA.type_named(name).is_some(), "{field} is of unknown type {name}");
            }
        }
        for kind in Kind::ALL {
            assert!(!SCHEMA.entity(*kind).is_empty(), "{} has no fields", kind.name());
        }
    }
}
