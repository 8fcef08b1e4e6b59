//! Credentials go to the account they were sealed for and nowhere else; no text shows them, or a person's data.

mod accounts;
mod files;
mod log;
mod texts;

use super::Attack;

pub const CLASS: &str = "whoever wants a secret";

pub fn attacks() -> Vec<Attack> {
    [accounts::attacks(), files::attacks(), log::attacks(), texts::attacks()].concat()
}
