//! It may lay out schemas, functions and operators before CREATE EXTENSION or connect finds them.

use super::Attack;

pub const CLASS: &str = "a role with CREATE on the database";

pub fn attacks() -> Vec<Attack> {
    vec![]
}
