//! Members of one tenant try to reach another's records, rights and time.

use super::Attack;

pub const CLASS: &str = "a tenant's admin, operator or viewer";

pub fn attacks() -> Vec<Attack> {
    vec![]
}
