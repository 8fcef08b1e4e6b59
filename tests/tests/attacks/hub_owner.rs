//! Whoever owns the hub's relations may put a view, a rule, a policy, a cast or a trigger in their place at any time.

use super::Attack;

pub const CLASS: &str = "the hub's owner";

pub fn attacks() -> Vec<Attack> {
    vec![]
}
