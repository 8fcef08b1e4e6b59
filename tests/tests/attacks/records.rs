//! One record that can't be kept is one failed record, by name; all others land.

use super::Attack;

pub const CLASS: &str = "odd records";

pub fn attacks() -> Vec<Attack> {
    vec![]
}
