//! What the shop holds that settings have to answer for: statuses, payment methods, tax rates,
//! currencies and numbers, with how many orders and how much money. Gathered once, by a walk over
//! the hub, at `connect` and `test_connection`.

use super::decide::{self, Status};
use super::documents::Ground;
use super::input::{Order, Refund, TaxLine};
use super::money;
use super::numbers;
use super::posted::DocumentKind;
use super::summary::Tally;
use super::{dates, tax};
use std::collections::BTreeMap;

/// Tallies by currency.
pub type Sums = BTreeMap<String, Tally>;

/// "3 orders: USD 12.00, EUR 4.50"
pub fn shown(sums: &Sums) -> String {
    let count: u64 = sums.values().map(|tally| tally.count).sum();
    let amounts: Vec<String> =
        sums.iter().map(|(currency, tally)| money::shown(tally.sum, currency)).collect();
    let word = if count == 1 { "order" } else { "orders" };
    format!("{count} {word}: {}", amounts.join(", "))
}

/// The facts. Only orders that a status would let through count, but for `statuses`.
#[derive(Debug, Clone, Default)]
pub struct ShopFacts {
    /// Statuses that nothing maps.
    pub unknown_statuses: BTreeMap<String, Sums>,
    /// Orders dated before `start_date`.
    pub before_start: Sums,
    /// By payment method; the empty word: none named.
    pub methods: BTreeMap<String, Sums>,
    pub currencies: Sums,
    /// Rates that nothing maps, by id; sums are of tax.
    pub unmapped_rates: BTreeMap<String, (TaxLine, Sums)>,
    /// Rates that are mapped to what can't be, with the reason; sums are of tax.
    pub wrong_rates: BTreeMap<String, (String, Sums)>,
    /// The longest order number, and the longest number of a refund's document.
    pub longest_number: String,
    pub longest_refund_number: String,
    /// Orders of nobody.
    pub of_nobody: Sums,
}

fn add(sums: &mut Sums, currency: &str, amount: rust_decimal::Decimal) {
    sums.entry(currency.to_owned()).or_default().add(amount);
}

impl ShopFacts {
    /// Adds an order and its refunds.
    pub fn add(&mut self, order: &Order, refunds: &[Refund], ground: &Ground<'_>) {
        let (settings, currency) = (ground.settings, order.currency.as_str());
        match decide::status(order, settings) {
            Err(_) => {
                let sums = self.unknown_statuses.entry(order.status.clone()).or_default();
                return add(sums, currency, order.total);
            }
            Ok(Status::Paid) => {}
            Ok(Status::Refunded) if order.paid_at.is_some() => {}
            Ok(_) => return,
        }
        if order.has_no_lines() && order.total.is_zero() {
            return;
        }
        let kind = if order.paid_at.is_some() {
            DocumentKind::SalesReceipt
        } else {
            DocumentKind::Invoice
        };
        let date = dates::of_sale(order, kind, settings, ground.zone);
        if settings.start_date.is_some_and(|start| date < start) {
            return add(&mut self.before_start, currency, order.total);
        }
        add(&mut self.currencies, currency, order.total);
        if !ground.company.takes(currency) {
            return;
        }
        let method = order.method().unwrap_or_default().to_owned();
        add(self.methods.entry(method).or_default(), currency, order.total);
        if order.customer_id.is_none() {
            add(&mut self.of_nobody, currency, order.total);
        }
        self.numbers(order, refunds, ground);
        self.rates(order, ground);
    }

    fn numbers(&mut self, order: &Order, refunds: &[Refund], ground: &Ground<'_>) {
        let longer = |new: &str, old: &str| new.chars().count() > old.chars().count();
        if longer(&order.number, &self.longest_number) {
            self.longest_number.clone_from(&order.number);
        }
        for refund in refunds {
            let number = numbers::refund_number(ground.settings, &order.number, &refund.key());
            if longer(&number, &self.longest_refund_number) {
                self.longest_refund_number = number;
            }
        }
    }

    fn rates(&mut self, order: &Order, ground: &Ground<'_>) {
        for line in order.tax_lines.iter().filter(|line| !line.total().is_zero()) {
            let id = line.rate_id.clone();
            match tax::target(line, ground.settings, ground.company) {
                Ok(Some(_)) => {}
                Ok(None) => {
                    let known = self.unmapped_rates.entry(id);
                    let known = known.or_insert_with(|| (line.clone(), Sums::new()));
                    add(&mut known.1, &order.currency, line.total());
                }
                Err(reason) => {
                    let known = self.wrong_rates.entry(id);
                    let known = known.or_insert_with(|| (reason.message, Sums::new()));
                    add(&mut known.1, &order.currency, line.total());
                }
            }
        }
    }
}
