//! Credentials go to the account they were sealed for and nowhere else; no text shows them, or a person's data.

use super::Attack;

pub const CLASS: &str = "whoever wants a secret";

pub fn attacks() -> Vec<Attack> {
    vec![]
}
