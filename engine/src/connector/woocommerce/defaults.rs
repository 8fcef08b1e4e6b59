//! The default mappings of WooCommerce, and the programs that they become.

use crate::error::Error;
use crate::mapping::{self, Problem, Program, Rule, Shape};
use crate::model::{Entity, TableId};
use serde_json::Value;
use std::sync::Arc;

const CUSTOMERS: &str = include_str!("defaults/customers.json");
const GUESTS: &str = include_str!("defaults/guests.json");
const PRODUCTS: &str = include_str!("defaults/products.json");
const VARIATIONS: &str = include_str!("defaults/variations.json");
const ORDERS: &str = include_str!("defaults/orders.json");
const REFUNDS: &str = include_str!("defaults/refunds.json");

/// Targets that are what a record is known by, or that follow from the list it was found in.
const FIXED: &[&str] = &["source_id", "deleted_at", "lines[].source_id", "lines[].line_number"];

const CUSTOMER_SHAPE: Shape =
    Shape { table: TableId::Customers, lines: None, fixed: FIXED, context: &[] };
const GUEST_SHAPE: Shape =
    Shape { table: TableId::Customers, lines: None, fixed: FIXED, context: &["guest"] };
const PRODUCT_SHAPE: Shape =
    Shape { table: TableId::Products, lines: None, fixed: FIXED, context: &["currency", "parent"] };
const ORDER_SHAPE: Shape = Shape {
    table: TableId::Orders,
    lines: Some(TableId::OrderLines),
    fixed: FIXED,
    context: &["guest", "line_number", "list"],
};
const REFUND_SHAPE: Shape = Shape {
    table: TableId::Refunds,
    lines: Some(TableId::RefundLines),
    fixed: FIXED,
    context: &["currency", "order", "refunded_tax", "line_number", "list"],
};

/// The programs of one entity.
#[derive(Debug)]
pub struct Programs {
    pub main: Program,
    /// Guests of orders, variations of products.
    pub along: Option<Program>,
}

/// The default rules of an entity as people see them. None: WooCommerce has no such entity.
pub fn rules(entity: Entity) -> Option<Vec<Rule>> {
    let text = match entity {
        Entity::Customers => CUSTOMERS,
        Entity::Products => PRODUCTS,
        Entity::Orders => ORDERS,
        Entity::Refunds => REFUNDS,
        _ => return None,
    };
    // They are part of the program and the tests compile them.
    Some(read(text).unwrap_or_default())
}

/// The rules in force under an account's changes; else every problem.
pub fn in_force(entity: Entity, changes: Option<&Value>) -> Result<Vec<Rule>, Vec<Problem>> {
    let defaults = rules(entity).ok_or_else(|| vec![no_entity(entity)])?;
    match changes {
        None => Ok(defaults),
        Some(changes) => Ok(mapping::merge(&defaults, &mapping::parse(changes)?)),
    }
}

/// Compiles the programs of an entity under an account's changes; else every problem.
pub fn programs(entity: Entity, changes: Option<&Value>) -> Result<Arc<Programs>, Vec<Problem>> {
    let in_force = in_force(entity, changes)?;
    let (shape, along) = match entity {
        Entity::Customers => (CUSTOMER_SHAPE, None),
        Entity::Products => {
            // A change counts for products and variations alike.
            let base = mapping::merge(&read(PRODUCTS)?, &read(VARIATIONS)?);
            let base: Vec<Rule> = base
                .into_iter()
                .map(|rule| Rule { origin: mapping::Origin::Default, ..rule })
                .collect();
            let changes = changes.map(mapping::parse).transpose()?.unwrap_or_default();
            (PRODUCT_SHAPE, Some((PRODUCT_SHAPE, mapping::merge(&base, &changes))))
        }
        Entity::Orders => (ORDER_SHAPE, Some((GUEST_SHAPE, read(GUESTS)?))),
        Entity::Refunds => (REFUND_SHAPE, None),
        other => return Err(vec![no_entity(other)]),
    };
    let main = mapping::compile(&shape, &in_force)?;
    let along = along.map(|(shape, rules)| mapping::compile(&shape, &rules)).transpose()?;
    Ok(Arc::new(Programs { main, along }))
}

/// One error out of the problems of a set of rules.
pub fn rules_error(problems: &[Problem]) -> Error {
    let list: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
    Error::new(
        crate::error::Category::Validation,
        "invalid_mapping",
        format!("the mapping has {} problems: {}", problems.len(), list.join("; ")),
    )
    .hint("SELECT * FROM easysync.validate_mapping(...); easysync.reset_mapping goes back.")
}

fn read(text: &str) -> Result<Vec<Rule>, Vec<Problem>> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        vec![Problem::error("not_a_list", format!("no JSON: {error}"), "Give a JSON array.")]
    })?;
    mapping::parse(&value)
}

fn no_entity(entity: Entity) -> Problem {
    Problem::error(
        "unknown_entity",
        format!("woocommerce has no {entity}"),
        "Entities: customers, products, orders, refunds.",
    )
}
