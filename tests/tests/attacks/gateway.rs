//! A REST gateway's session whose token says nothing, or something else than a tenant.

use super::Attack;

pub const CLASS: &str = "a gateway without claims";

pub fn attacks() -> Vec<Attack> {
    vec![]
}
