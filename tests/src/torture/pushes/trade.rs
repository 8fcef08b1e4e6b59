//! What goes on in the shop meanwhile: orders come, are paid, cancelled, changed and refunded.
//! Orders of the recorded shop are left alone.

use crate::rest::Rest;
use anyhow::{Context, Result};
use fastrand::Rng;
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// Payment method of orders that wait for their payment: the books get an Invoice of them.
pub const METHOD: &str = "torture";

/// How an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Unpaid,
    Paid,
    Cancelled,
}

/// An order of ours.
#[derive(Debug, Clone)]
pub struct Order {
    pub id: i64,
    pub number: String,
    pub state: State,
    pub total: Decimal,
    /// Id and amount.
    pub refunds: Vec<(i64, Decimal)>,
}

impl Order {
    fn left(&self) -> Decimal {
        self.total - self.refunds.iter().map(|(_, amount)| amount).sum::<Decimal>()
    }
}

/// The shop as its staff sees it.
#[derive(Debug)]
pub struct Trade {
    pub orders: Vec<Order>,
    /// The newest order of the recorded shop.
    pub last_recorded: i64,
    products: Vec<Value>,
    customers: Vec<Value>,
}

fn decimal(value: &Value) -> Result<Decimal> {
    value.as_str().and_then(|text| text.parse().ok()).with_context(|| format!("{value}: no amount"))
}

impl Trade {
    pub fn of(rest: &Rest) -> Result<Self> {
        let newest = |orders: Vec<Value>| orders.iter().filter_map(|o| o["id"].as_i64()).max();
        let mut products = rest.list("products?type=simple&status=publish")?;
        products.retain(|p| p["price"].as_str().is_some_and(|price| !price.is_empty()));
        Ok(Self {
            orders: vec![],
            last_recorded: newest(rest.list("orders?status=any")?).context("no orders")?,
            products,
            customers: rest.list("customers?role=customer")?,
        })
    }

    /// A few things happen, through the shop's own REST API.
    pub fn goes_on(&mut self, rest: &Rest, random: &mut Rng) -> Result<()> {
        self.new_order(rest, random)?;
        for _ in 0..random.usize(1..=5) {
            match random.u8(0..10) {
                0..=3 => self.new_order(rest, random)?,
                4 | 5 => self.pay(rest, random)?,
                6 => self.cancel(rest, random)?,
                7 => self.note(rest, random)?,
                _ => self.refund(rest, random)?,
            }
        }
        Ok(())
    }

    /// One of ours that is as wished.
    fn any(&mut self, random: &mut Rng, wished: impl Fn(&Order) -> bool) -> Option<&mut Order> {
        let mut found: Vec<&mut Order> = self.orders.iter_mut().filter(|o| wished(o)).collect();
        (!found.is_empty()).then(|| found.swap_remove(random.usize(..found.len())))
    }

    fn new_order(&mut self, rest: &Rest, random: &mut Rng) -> Result<()> {
        let paid = random.u8(0..3) > 0;
        let lines: Vec<Value> = (0..random.usize(1..=3))
            .map(|_| {
                let product = &self.products[random.usize(..self.products.len())];
                json!({"product_id": product["id"], "quantity": random.u8(1..5)})
            })
            .collect();
        let mut order = json!({
            "status": if paid { "processing" } else { "on-hold" },
            "set_paid": paid,
            "payment_method": if paid { "stripe" } else { METHOD },
            "payment_method_title": "Torture",
            "line_items": lines,
        });
        match random.u8(0..3) {
            0 if !self.customers.is_empty() => {
                let customer = &self.customers[random.usize(..self.customers.len())];
                order["customer_id"] = customer["id"].clone();
                order["billing"] = json!({"email": customer["email"], "first_name": "A",
                                          "last_name": "Customer"});
            }
            1 => {
                let email = format!("guest{}@torture.test", random.u8(0..20));
                order["billing"] =
                    json!({"first_name": "T", "last_name": "Orture", "email": email});
            }
            _ => {
                let email = format!("new{}@torture.test", random.u32(..));
                order["billing"] = json!({"first_name": "N", "last_name": "Ew", "email": email});
            }
        }
        let made = rest.post("orders", &order)?;
        let state = if made["date_paid"].is_null() { State::Unpaid } else { State::Paid };
        self.orders.push(Order {
            id: made["id"].as_i64().context("id")?,
            number: made["number"].as_str().context("number")?.to_owned(),
            state,
            total: decimal(&made["total"])?,
            refunds: vec![],
        });
        Ok(())
    }

    fn pay(&mut self, rest: &Rest, random: &mut Rng) -> Result<()> {
        let Some(order) = self.any(random, |o| o.state == State::Unpaid) else { return Ok(()) };
        let change = json!({"status": "processing", "set_paid": true});
        rest.put(&format!("orders/{}", order.id), &change)?;
        order.state = State::Paid;
        Ok(())
    }

    fn cancel(&mut self, rest: &Rest, random: &mut Rng) -> Result<()> {
        let Some(order) = self.any(random, |o| o.state == State::Unpaid) else { return Ok(()) };
        rest.put(&format!("orders/{}", order.id), &json!({"status": "cancelled"}))?;
        order.state = State::Cancelled;
        Ok(())
    }

    fn note(&mut self, rest: &Rest, random: &mut Rng) -> Result<()> {
        let note = format!("note {}", random.u32(..));
        let Some(order) = self.any(random, |_| true) else { return Ok(()) };
        rest.put(&format!("orders/{}", order.id), &json!({"customer_note": note})).map(drop)
    }

    /// A part of what is left, or all of it.
    fn refund(&mut self, rest: &Rest, random: &mut Rng) -> Result<()> {
        let share = random.i64(1..=3);
        let cent = Decimal::new(1, 2);
        let wished = |o: &Order| o.state == State::Paid && o.left() > cent;
        let Some(order) = self.any(random, wished) else { return Ok(()) };
        let amount = (order.left() / Decimal::from(share)).round_dp(2).max(cent);
        let body = json!({"amount": amount.to_string(), "reason": "torture", "api_refund": false});
        let made = rest.post(&format!("orders/{}/refunds", order.id), &body)?;
        order.refunds.push((made["id"].as_i64().context("id")?, decimal(&made["amount"])?));
        Ok(())
    }
}
