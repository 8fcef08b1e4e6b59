//! Answers that no QuickBooks would give.

use super::Attack;

pub const CLASS: &str = "a compromised QuickBooks";

pub fn attacks() -> Vec<Attack> {
    vec![]
}
