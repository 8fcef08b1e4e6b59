//! Members of one tenant try to reach another's records, rights and time.

mod extremes;
mod hubs;
mod internals;
mod members;
mod sessions;
mod sizes;
mod sleepers;
mod turns;

use super::Attack;

pub const CLASS: &str = "a member of another tenant";

pub fn attacks() -> Vec<Attack> {
    [
        extremes::attacks(),
        hubs::attacks(),
        internals::attacks(),
        members::attacks(),
        sessions::attacks(),
        sizes::attacks(),
        sleepers::attacks(),
        turns::attacks(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
