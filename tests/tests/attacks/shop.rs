//! Answers that no WooCommerce would give: too many, too deep, without end.

use super::Attack;

pub const CLASS: &str = "a compromised shop";

pub fn attacks() -> Vec<Attack> {
    vec![]
}
