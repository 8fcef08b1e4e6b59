//! The default mappings of QuickBooks' records into the hub, and the programs that they become.

use crate::error::{Category, Error};
use crate::mapping::{self, Problem, Program, Rule, Shape};
use crate::model::{Entity, TableId};
use serde_json::Value;
use std::sync::Arc;

/// Targets that are what a record is known by, or that follow from the list it was found in.
const FIXED: &[&str] = &["source_id", "deleted_at"];

/// Everything of one entity's mapping: its rules as a file, its table, what the connector adds.
fn of(entity: Entity) -> Option<(&'static str, Shape)> {
    let shape = |table, context| Shape { table, lines: None, fixed: FIXED, context };
    Some(match entity {
        Entity::Customers => {
            (include_str!("defaults/customers.json"), shape(TableId::Customers, &["currency"]))
        }
        Entity::Products => {
            (include_str!("defaults/products.json"), shape(TableId::Products, &["currency"]))
        }
        Entity::Invoices => (
            include_str!("defaults/invoices.json"),
            shape(TableId::Invoices, &["currency", "status", "lines"]),
        ),
        Entity::Payments => (
            include_str!("defaults/payments.json"),
            shape(TableId::Payments, &["currency", "status", "paid_at", "invoice", "invoices"]),
        ),
        Entity::Vendors => {
            (include_str!("defaults/vendors.json"), shape(TableId::Vendors, &["currency"]))
        }
        Entity::Bills => (
            include_str!("defaults/bills.json"),
            shape(TableId::Bills, &["currency", "status", "lines"]),
        ),
        Entity::Orders | Entity::Refunds => return None,
    })
}

/// The rules in force under an account's changes; else every problem.
pub fn in_force(entity: Entity, changes: Option<&Value>) -> Result<Vec<Rule>, Vec<Problem>> {
    let (text, _) = of(entity).ok_or_else(|| vec![no_entity(entity)])?;
    let defaults: Value = serde_json::from_str(text).map_err(|error| {
        vec![Problem::error("not_a_list", format!("no JSON: {error}"), "Give a JSON array.")]
    })?;
    let defaults = mapping::parse(&defaults)?;
    match changes {
        None => Ok(defaults),
        Some(changes) => Ok(mapping::merge(&defaults, &mapping::parse(changes)?)),
    }
}

/// Compiles the program of an entity under an account's changes; else every problem.
pub fn program(entity: Entity, changes: Option<&Value>) -> Result<Arc<Program>, Vec<Problem>> {
    let (_, shape) = of(entity).ok_or_else(|| vec![no_entity(entity)])?;
    Ok(Arc::new(mapping::compile(&shape, &in_force(entity, changes)?)?))
}

/// One error out of the problems of a set of rules.
pub fn rules_error(problems: &[Problem]) -> Error {
    let list: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
    Error::new(
        Category::Validation,
        "invalid_mapping",
        format!("the mapping has {} problems: {}", problems.len(), list.join("; ")),
    )
    .hint("SELECT * FROM easysync.validate_mapping(...); easysync.reset_mapping goes back.")
}

fn no_entity(entity: Entity) -> Problem {
    Problem::error(
        "unknown_entity",
        format!("{entity} are not pulled from quickbooks"),
        "Entities: customers, products, invoices, payments, vendors, bills.",
    )
}
