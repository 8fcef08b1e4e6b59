//! What the demo prints, and what it found wrong.

use rust_decimal::Decimal;

/// What was found wrong on the way.
#[derive(Default)]
pub struct Report {
    pub problems: Vec<String>,
}

impl Report {
    /// Prints a figure of the hub beside what it has to be.
    pub fn figure(&mut self, what: &str, hub: &str, expected: &str) {
        let mark = if hub == expected { "ok" } else { "WRONG" };
        println!("  {what:<40}{hub:>14}{expected:>14}  {mark}");
        if hub != expected {
            self.problems.push(format!("{what}: {hub} in the hub, {expected} expected"));
        }
    }
}

/// Two decimals at least, as people write money.
pub fn money(amount: Decimal) -> String {
    let mut amount = amount.normalize();
    if amount.scale() < 2 {
        amount.rescale(2);
    }
    amount.to_string()
}
