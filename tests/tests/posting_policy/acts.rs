//! Orders as a shop takes them, and what people do with them there and in QuickBooks.

use crate::desk::{Act, Desk, Order};
use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Somebody in Wyoming, where the shop collects no tax; two rings, 20.00 together.
pub fn order(status: &str, paid: bool) -> Value {
    json!({
        "status": status, "set_paid": paid, "payment_method": "stripe",
        "billing": person("Ann", "ann@lee.test", "WY", "US"),
        "line_items": [{"product_id": 25, "quantity": 2, "subtotal": "20.00", "total": "20.00"}],
    })
}

pub fn person(name: &str, email: &str, state: &str, country: &str) -> Value {
    json!({"first_name": name, "last_name": "Lee", "email": email, "address_1": "1 Main Street",
           "city": "Somewhere", "postcode": "82001", "state": state, "country": country})
}

/// The order with other members.
pub fn with(mut order: Value, changes: Value) -> Value {
    for (key, value) in changes.as_object().into_iter().flatten() {
        order[key] = value.clone();
    }
    order
}

/// The shop's staff changes the order, by the shop's rules.
pub fn edits(changes: Value) -> Act {
    Box::new(move |desk, order| {
        desk.bed.simulator.rest()?.put(&format!("orders/{}", order.id), &changes).map(drop)
    })
}

/// The record is changed as it is stored, whatever the shop's rules say.
pub fn stored(changes: Value) -> Act {
    Box::new(move |desk, order| {
        desk.bed.simulator.put(&format!("/woocommerce/orders/{}", order.id), &changes).map(drop)
    })
}

/// The order's line comes to another amount.
pub fn costs(total: &'static str) -> Act {
    Box::new(move |desk, order| {
        let rest = desk.bed.simulator.rest()?;
        let shown = rest.get(&format!("orders/{}", order.id))?;
        let line = json!({"id": shown["line_items"][0]["id"], "subtotal": total, "total": total});
        rest.put(&format!("orders/{}", order.id), &json!({"line_items": [line]})).map(drop)
    })
}

/// The shop says that it was paid, without a status that says so.
pub fn is_paid() -> Act {
    stored(json!({"date_paid_gmt": "2026-11-24T00:30:00"}))
}

/// A refund of an amount.
pub fn refunds(amount: &'static str) -> Act {
    Box::new(move |desk, order| {
        refund(desk, order, json!({"amount": amount, "reason": "changed their mind"})).map(drop)
    })
}

/// A refund of one piece of the first line.
pub fn refunds_a_piece(amount: &'static str) -> Act {
    Box::new(move |desk, order| {
        let shown = desk.bed.simulator.rest()?.get(&format!("orders/{}", order.id))?;
        let line = &shown["line_items"][0]["id"];
        let lines = json!([{"id": line, "quantity": 1, "refund_total": amount}]);
        refund(desk, order, json!({"amount": amount, "line_items": lines})).map(drop)
    })
}

fn refund(desk: &mut Desk<'_>, order: &Order, mut body: Value) -> Result<Value> {
    body["api_refund"] = json!(false);
    desk.bed.simulator.rest()?.post(&format!("orders/{}/refunds", order.id), &body)
}

/// The order's last refund is deleted in the shop.
pub fn unrefunds() -> Act {
    Box::new(|desk, order| {
        let rest = desk.bed.simulator.rest()?;
        let refunds = rest.get(&format!("orders/{}/refunds", order.id))?;
        let id = refunds[0]["id"].as_i64().context("a refund")?;
        rest.delete(&format!("orders/{}/refunds/{id}?force=true", order.id)).map(drop)
    })
}

/// Into the shop's trash.
pub fn trashes() -> Act {
    Box::new(|desk, order| {
        desk.bed.simulator.rest()?.delete(&format!("orders/{}", order.id)).map(drop)
    })
}

/// Deleted in the shop, for good.
pub fn deletes() -> Act {
    Box::new(|desk, order| {
        desk.bed.simulator.rest()?.delete(&format!("orders/{}?force=true", order.id)).map(drop)
    })
}

/// The order is of a customer with an account in the shop.
pub fn has_account(email: &'static str, given: &'static str, family: &'static str) -> Act {
    Box::new(move |desk, order| {
        let rest = desk.bed.simulator.rest()?;
        let person = json!({"email": email, "first_name": given, "last_name": family});
        let own = json!({"customer_id": rest.post("customers", &person)?["id"]});
        rest.put(&format!("orders/{}", order.id), &own).map(drop)
    })
}

/// Somebody does something to the order's document in QuickBooks.
pub fn in_books(action: &'static str, kind: &'static str, with: Value) -> Act {
    Box::new(move |desk, order| {
        let document = desk.document(order, kind)?;
        let mut body = with.clone();
        body["entity"] = json!(kind);
        body["id"] = document["Id"].clone();
        desk.books.act(desk.bed, action, &body).map(drop)
    })
}

/// Somebody enters a document there by hand.
pub fn enters(kind: &'static str, set: Value) -> Act {
    Box::new(move |desk, order| {
        let text = set.to_string().replace("{id}", &order.id);
        let set: Value = serde_json::from_str(&text)?;
        desk.books.act(desk.bed, "create", &json!({"entity": kind, "set": set})).map(drop)
    })
}

/// The day is the sale's, or one near it.
pub fn on_the_day() -> Act {
    stored(json!({"date_paid_gmt": "2026-11-24T18:00:00"}))
}

/// The server starts again, and knows nothing of the company but what it reads then.
pub fn restarts() -> Act {
    Box::new(|desk, _| {
        desk.bed.cluster.restart()?;
        desk.bed.reconnect_patiently()
    })
}

/// Both, one after the other.
pub fn both(first: Act, second: Act) -> Act {
    Box::new(move |desk, order| {
        first(desk, order)?;
        second(desk, order)
    })
}
