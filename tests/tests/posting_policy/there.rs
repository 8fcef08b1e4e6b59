//! What a bookkeeper does in QuickBooks besides: merges, reconciles, enters by hand; and what a shop
//! forgets.

use crate::acts::*;
use crate::desk::{Act, Case, Group, case, nothing};
use crate::looks::*;
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::time::Duration;

const PAID: &[&str] = &["SalesReceipt 20.00"];
const INACTIVE: &[&str] = &["needs_attention: inactive_customer"];
const OPEN: &[&str] = &["Invoice 20.00 open 20.00"];
const CHANGED: &[&str] = &["SalesReceipt 18.00"];

pub fn groups() -> Vec<Group> {
    let us = |name, settings, cases| Group { name, preset: "us_single", settings, cases };
    vec![
        us("locked", json!({}), locked()),
        us("merged", json!({}), merged()),
        us("vanished", json!({}), vanished()),
        us("by_hand", json!({"adopt": true}), by_hand()),
        us("stock_in_books", json!({"inventory": "books"}), stock_in_books()),
        us("stock_in_shop", json!({}), stock_in_shop()),
    ]
}

fn of(name: &str, email: &str) -> Value {
    with(order("completed", true), json!({"billing": person(name, email, "WY", "US")}))
}

fn later(name: &str, email: &str) -> Value {
    with(of(name, email), json!({"status": "pending", "set_paid": false}))
}

fn completes() -> Act {
    edits(json!({"status": "completed"}))
}

fn locked() -> Vec<Case> {
    vec![
        case("reconciled, then changed", order("completed", true), PAID).then(
            both(in_books("reconcile", "SalesReceipt", json!({})), costs("18.00")),
            &["SalesReceipt 20.00", "needs_attention: 6480"],
        ),
        case("reconciled, then only noted", order("completed", true), PAID)
            .then(
                both(
                    in_books("reconcile", "SalesReceipt", json!({})),
                    edits(json!({"customer_note": "ring"})),
                ),
                PAID,
            )
            .then(shows("SalesReceipt", "/CustomerMemo/value", "none"), PAID)
            .then(costs("18.00"), &["SalesReceipt 20.00", "needs_attention: 6480"]),
        case("changed and set back", order("completed", true), PAID)
            .then(
                edits(json!({"status": "cancelled"})),
                &["SalesReceipt 20.00", "needs_attention: cancelled_with_document"],
            )
            .then(completes(), PAID),
    ]
}

/// Somebody merges the item of the document's first line into a new one with that SKU.
fn merges_item(kind: &'static str, name: &'static str, sku: &'static str) -> Act {
    Box::new(move |desk, order| {
        let document = desk.document(order, kind)?;
        let from = &document["Line"][0]["SalesItemLineDetail"]["ItemRef"]["value"];
        let no_sku = json!({"entity": "Item", "id": from, "set": {"Sku": "old"}});
        desk.books.act(desk.bed, "edit", &no_sku)?;
        let set = json!({"Name": name, "Sku": sku, "Type": "NonInventory",
                         "IncomeAccountRef": {"value": "79"}});
        let made = desk.books.act(desk.bed, "create", &json!({"entity": "Item", "set": set}))?;
        let both = json!({"entity": "Item", "id": from, "into": made["Id"]});
        desk.books.act(desk.bed, "merge", &both).map(drop)
    })
}

/// Somebody merges the customer of the order's document into a new one with that address.
fn merges(kind: &'static str, name: &'static str, email: &'static str) -> Act {
    Box::new(move |desk, order| {
        let set = json!({"DisplayName": name, "PrimaryEmailAddr": {"Address": email}});
        let made =
            desk.books.act(desk.bed, "create", &json!({"entity": "Customer", "set": set}))?;
        let document = desk.document(order, kind)?;
        let both = json!({"entity": "Customer", "id": document["CustomerRef"]["value"],
                          "into": made["Id"]});
        desk.books.act(desk.bed, "merge", &both).map(drop)
    })
}

fn billed(kind: &'static str, name: &'static str) -> Act {
    shows(kind, "/CustomerRef/name", name)
}

fn loses_account() -> Act {
    Box::new(|desk, order| {
        let rest = desk.bed.simulator.rest()?;
        let id = rest.get(&format!("orders/{}", order.id))?["customer_id"].clone();
        rest.delete(&format!("customers/{id}?force=true"))?;
        let now = rest.get(&format!("orders/{}", order.id))?["customer_id"].clone();
        ensure!(now == 0, "the order still has customer {now}");
        Ok(())
    })
}

fn inactivates(kind: &'static str) -> Act {
    Box::new(move |desk, order| {
        let document = desk.document(order, kind)?;
        let which = json!({"entity": "Customer", "id": document["CustomerRef"]["value"]});
        desk.books.act(desk.bed, "inactivate", &which).map(drop)
    })
}

fn merged() -> Vec<Case> {
    let unpaid = |name: &str, email: &str| {
        with(of(name, email), json!({"status": "processing", "set_paid": false}))
    };
    let never_paid = || stored(json!({"date_paid_gmt": null, "date_paid": null}));
    let another = json!({"billing": {"first_name": "Otto", "email": "otto@lee.test"}});
    let settled = &["Invoice 20.00", "Payment 20.00"];
    let refunded = &["RefundReceipt 5.00", "SalesReceipt 20.00"];
    vec![
        case("merged, then the order changes", of("Mia", "mia@lee.test"), PAID)
            .then(both(merges("SalesReceipt", "Mia Main", "mia@lee.test"), costs("18.00")), CHANGED)
            .then(billed("SalesReceipt", "Mia Main"), CHANGED),
        case(
            "merged, then buys again",
            later("Mia", "mia@lee.test"),
            &["skipped: waits for payment"],
        )
        .then(nothing(), &["skipped: waits for payment"])
        .then(completes(), PAID)
        .then(billed("SalesReceipt", "Mia Main"), PAID),
        case("merged, then refunded", of("Moe", "moe@lee.test"), PAID)
            .then(
                both(merges("SalesReceipt", "Moe Main", "moe@lee.test"), refunds("5.00")),
                refunded,
            )
            .then(billed("RefundReceipt", "Moe Main"), refunded),
        case("merged, then pays", unpaid("Max", "max@lee.test"), OPEN)
            .after(never_paid())
            .then(both(merges("Invoice", "Max Main", "max@lee.test"), is_paid()), settled)
            .then(billed("Payment", "Max Main"), settled),
        case("somebody else's from now on, then paid", unpaid("Ottilie", "ottilie@lee.test"), OPEN)
            .after(never_paid())
            .then(both(edits(another), is_paid()), settled)
            .then(
                all(vec![billed("Payment", "Ottilie Lee"), billed("Invoice", "Ottilie Lee")]),
                settled,
            ),
        case("an account that is deleted in the shop", of("Acca", "acca@lee.test"), PAID)
            .after(has_account("acca@lee.test", "Acca", "Lee"))
            .then(both(loses_account(), costs("18.00")), CHANGED)
            .then(billed("SalesReceipt", "Acca Lee"), CHANGED)
            .then(refunds("5.00"), &["RefundReceipt 5.00", "SalesReceipt 18.00"])
            .then(
                billed("RefundReceipt", "Acca Lee"),
                &["RefundReceipt 5.00", "SalesReceipt 18.00"],
            ),
        case("its item is merged there", of("Ivo", "ivo@lee.test"), PAID)
            .then(merges_item("SalesReceipt", "Ring, gold", "SKU-0016"), PAID),
        case(
            "its item was merged there",
            later("Ivo", "ivo@lee.test"),
            &["skipped: waits for payment"],
        )
        .then(nothing(), &["skipped: waits for payment"])
        .then(completes(), PAID)
        .then(has_lines("SalesReceipt", &["Ring, gold 20.00 NON"]), PAID),
        case("made inactive, then changed", of("Ina", "ina@lee.test"), PAID)
            .then(both(inactivates("SalesReceipt"), costs("18.00")), CHANGED),
        case(
            "made inactive, then buys again",
            later("Ina", "ina@lee.test"),
            &["skipped: waits for payment"],
        )
        .then(nothing(), &["skipped: waits for payment"])
        .then(completes(), INACTIVE)
        .then(tells(&["customer", "is inactive in QuickBooks", "active again"]), INACTIVE),
    ]
}

/// A person asks for the refunds that failed, and confirms what that deletes.
fn confirms_deletion() -> Act {
    Box::new(|desk, order| {
        let before = desk.documents(order)?.len();
        let retry = "select sync_id from easysync.retry('refunds', connection => $1)";
        let syncs = desk.bed.db.query(retry, &[&desk.books.name])?;
        ensure!(syncs.len() == 1, "{} syncs", syncs.len());
        let id: i64 = syncs[0].get(0);
        let waits = format!(
            "select status = 'awaiting_confirmation' from easysync.sync_runs where sync_id = {id}"
        );
        desk.bed.wait_until(&waits, Duration::from_secs(30))?;
        ensure!(desk.documents(order)?.len() == before, "deleted before it was confirmed");
        let run = desk.books.wait(desk.bed, id)?;
        ensure!(run.status == "succeeded", "{run:?}");
        Ok(())
    })
}

fn vanished() -> Vec<Case> {
    let left = &["RefundReceipt 5.00", "SalesReceipt 20.00", "needs_attention: refund_vanished"];
    let credit = &["CreditMemo 5.00", "Invoice 20.00 open 15.00", "Payment 0.00"];
    let left_open = &[
        "CreditMemo 5.00",
        "Invoice 20.00 open 15.00",
        "Payment 0.00",
        "needs_attention: refund_vanished",
    ];
    vec![
        case("a refund, deleted in the shop", order("completed", true), PAID)
            .then(refunds("5.00"), &["RefundReceipt 5.00", "SalesReceipt 20.00"])
            .then(unrefunds(), left)
            // Nobody has confirmed: it stays, push after push. Then the next case asks for all.
            .then(nothing(), left)
            .then(nothing(), PAID),
        case("of an open invoice", order("processing", false), OPEN)
            .after(stored(json!({"date_paid_gmt": null, "date_paid": null})))
            .then(refunds("5.00"), credit)
            .then(unrefunds(), left_open)
            .then(nothing(), left_open)
            .then(confirms_deletion(), OPEN)
            .then(is_paid(), &["Invoice 20.00", "Payment 20.00"]),
    ]
}

/// A document as people enter it: of customer 1, for the item "Services".
fn entered(number: &str, total: i64) -> Value {
    json!({"DocNumber": number, "TxnDate": "2026-11-23", "CustomerRef": {"value": "1"},
           "Line": [{"Amount": total, "DetailType": "SalesItemLineDetail",
                     "SalesItemLineDetail": {"ItemRef": {"value": "1"}, "TaxCodeRef": {"value": "NON"}}}]})
}

fn enters_first(kind: &'static str, number: &'static str, total: i64) -> Act {
    both(on_the_day(), enters(kind, entered(number, total)))
}

/// The order has a document of that number, and none of ours.
fn is_linked_to(number: &'static str) -> Act {
    Box::new(move |desk, order| {
        let number = number.replace("{id}", &order.id);
        let link = desk.bed.text(&format!(
            "select string_agg(remote_number, ', ') from easysync.links
              where connection = '{}' and entity = 'orders' and remote_type <> 'Payment'
                and hub_id = (select id from commerce.orders where source_id = '{}')",
            desk.books.name, order.id
        ))?;
        ensure!(link.as_deref() == Some(&*number), "order {}: {link:?}", order.id);
        let all = desk.books.get(desk.bed, "documents/list")?;
        let all = all.as_array().context("documents")?;
        let same = all.iter().filter(|d| d["doc_number"] == json!(number)).count();
        ensure!(same == 1, "{same} documents of number {number}");
        Ok(())
    })
}

fn by_hand() -> Vec<Case> {
    vec![
        case("its number alone", order("completed", true), &[])
            .after(enters_first("SalesReceipt", "{id}", 20))
            .then(is_linked_to("{id}"), &[]),
        case("its number with a hash", order("completed", true), &[])
            .after(enters_first("SalesReceipt", "#{id}", 20))
            .then(is_linked_to("#{id}"), &[]),
        case(
            "its number with another total",
            order("completed", true),
            &["needs_attention: number_taken"],
        )
        .after(enters_first("SalesReceipt", "#{id}", 25)),
        case("its number, long ago", order("completed", true), PAID).after(both(
            stored(json!({"date_paid_gmt": "2026-11-30T18:00:00"})),
            enters("SalesReceipt", entered("{id}", 20)),
        )),
        case("an invoice with a hash", order("completed", true), &["Payment 20.00"])
            .after(enters_first("Invoice", "#{id}", 20))
            .then(is_linked_to("#{id}"), &["Payment 20.00"]),
        case("not written to until confirmed", order("completed", true), &["SalesReceipt 20.00"])
            .after(enters_first("SalesReceipt", "WC-{id}", 20))
            .then(written_once_confirmed(), &["SalesReceipt 18.00"])
            // Ours from now on.
            .then(costs("17.00"), &["SalesReceipt 17.00"]),
    ]
}

/// The order changes: its push waits, and the document is as it was until somebody confirms.
fn written_once_confirmed() -> Act {
    Box::new(|desk, order| {
        costs("18.00")(desk, order)?;
        desk.pull(std::slice::from_ref(order))?;
        let ids = [order.id.as_str()];
        let push = "select easysync.trigger('orders', connection => $1, ids => $2)";
        let id: i64 = desk.bed.db.query_one(push, &[&desk.books.name, &&ids[..]])?.get(0);
        let waits = format!(
            "select status = 'awaiting_confirmation' from easysync.sync_runs where sync_id = {id}"
        );
        desk.bed.wait_until(&waits, Duration::from_secs(30))?;
        let receipt = desk.document(order, "SalesReceipt")?;
        ensure!(money(&receipt["TotalAmt"]) == "20.00", "written before: {receipt}");
        let run = desk.books.wait(desk.bed, id)?;
        ensure!(run.status == "succeeded" && run.updated == 1, "{run:?}");
        Ok(())
    })
}

/// A company's item that counts, with the SKU of a product.
fn stocks(name: &'static str, sku: &'static str) -> Act {
    Box::new(move |desk, _| {
        let set = json!({
            "Name": name, "Sku": sku, "Type": "Inventory", "TrackQtyOnHand": true, "QtyOnHand": 20,
            "InvStartDate": "2026-01-01", "IncomeAccountRef": {"value": "79"},
            "ExpenseAccountRef": {"value": "80"}, "AssetAccountRef": {"value": "81"},
        });
        desk.books.act(desk.bed, "create", &json!({"entity": "Item", "set": set})).map(drop)
    })
}

fn on_hand(name: &'static str, quantity: &'static str) -> Act {
    Box::new(move |desk, _| {
        let items = desk.books.records(desk.bed, "Item")?;
        let item = items.iter().find(|item| item["Name"] == name);
        let item = item.with_context(|| format!("no item {name}"))?;
        let found = item.get("QtyOnHand").map_or("none".into(), Value::to_string);
        ensure!(found == quantity, "{found} of {name} on hand");
        Ok(())
    })
}

fn two_of(product: i64) -> Value {
    with(
        order("completed", true),
        json!({"line_items": [
            {"product_id": product, "quantity": 2, "subtotal": "20.00", "total": "20.00"},
        ]}),
    )
}

fn stock_in_books() -> Vec<Case> {
    const GIVEN: &[&str] = &["RefundReceipt 10.00", "SalesReceipt 20.00"];
    const BOTH: &[&str] = &["RefundReceipt 10.00", "RefundReceipt 3.00", "SalesReceipt 20.00"];
    vec![
        case("documents move it", two_of(11), PAID)
            .after(stocks("Tee", "SKU-0000"))
            .then(on_hand("Tee", "18"), PAID)
            .then(refunds_a_piece("10.00"), GIVEN)
            .then(on_hand("Tee", "19"), GIVEN)
            // An amount brings no goods back.
            .then(refunds("3.00"), BOTH)
            .then(on_hand("Tee", "19"), BOTH),
        case(
            "counted in the shop, unknown there",
            two_of(16),
            &["needs_attention: no_inventory_item"],
        ),
        case("counted nowhere", two_of(25), PAID).then(on_hand("Ring (WC 25)", "none"), PAID),
    ]
}

fn stock_in_shop() -> Vec<Case> {
    vec![
        case("counted in the shop: its item counts nothing", two_of(16), PAID)
            .then(on_hand("قهوة عربية (WC 16)", "none"), PAID),
        case("never both", two_of(11), &["needs_attention: counted_twice"])
            .after(stocks("Tee", "SKU-0000")),
    ]
}
