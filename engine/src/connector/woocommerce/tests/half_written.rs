//! Orders that are seen while they are being written.

use super::fixtures::text;
use super::server::{FakeShop, JUST_NOW, LONG_AGO, list, order};
use crate::model::{Cell, Entity};
use crate::store::Filters;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Lines without a header that equals them, as seen while an order of 60 lines was posted.
fn half_written(id: i64, lines: &str) -> Value {
    let mut half = order(id, JUST_NOW);
    half["status"] = "pending".into();
    half["total"] = "0.00".into();
    half["total_tax"] = "0.00".into();
    half["line_items"][0]["total"] = lines.into();
    half
}

#[tokio::test]
async fn a_half_written_order_is_read_again() {
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reads);
    let shop = FakeShop::start(move |_, query| {
        if !query.contains_key("include") {
            return list(&[half_written(7, "40.00")]);
        }
        match counted.fetch_add(1, Ordering::SeqCst) {
            0 => list(&[half_written(7, "80.00")]),
            _ => list(&[order(7, JUST_NOW)]),
        }
    })
    .await;
    let page = shop.first_page(Entity::Orders, Filters::default()).await.unwrap();
    assert_eq!(reads.load(Ordering::SeqCst), 2);
    let whole: Value = order(7, JUST_NOW);
    let got = page.records.iter().find(|r| r.remote_type == "order").unwrap();
    assert_eq!(text(&got.row, "status"), whole["status"].as_str().unwrap());
    assert_ne!(got.row.cell("total"), &Cell::Decimal("0.00".parse().unwrap()));
    assert_eq!(page.calls, 3);
    assert_eq!(page.notes, ["1 orders were seen half-written and read again"]);
}

#[tokio::test]
async fn an_order_that_never_adds_up_is_taken_when_two_reads_agree() {
    let shop = FakeShop::start(|_, _| list(&[half_written(7, "40.00")])).await;
    let page = shop.first_page(Entity::Orders, Filters::default()).await.unwrap();
    assert_eq!(page.calls, 2);
    assert!(page.failures.is_empty());
    assert_eq!(page.records.iter().filter(|r| r.remote_type == "order").count(), 1);
}

#[tokio::test]
async fn an_order_that_keeps_moving_fails_for_now_and_the_others_land() {
    let reads = Arc::new(AtomicUsize::new(1));
    let shop = FakeShop::start(move |_, _| {
        let n = reads.fetch_add(1, Ordering::SeqCst);
        list(&[order(6, LONG_AGO), half_written(7, &format!("{n}0.00"))])
    })
    .await;
    let page = shop.first_page(Entity::Orders, Filters::default()).await.unwrap();
    let orders: Vec<&str> = page
        .records
        .iter()
        .filter(|r| r.remote_type == "order")
        .map(|r| r.remote_id.as_str())
        .collect();
    assert_eq!(orders, ["6"]);
    assert_eq!(page.failures.len(), 1);
    assert_eq!(page.failures[0].remote_id, "7");
    assert_eq!(page.failures[0].error.code, "order_in_motion");
    assert!(page.failures[0].error.retryable);
}

#[tokio::test]
async fn an_old_order_that_does_not_add_up_is_taken_as_it_is() {
    let shop = FakeShop::start(|_, _| {
        let mut old = half_written(7, "40.00");
        old["date_modified_gmt"] = LONG_AGO.into();
        list(&[old])
    })
    .await;
    let page = shop.first_page(Entity::Orders, Filters::default()).await.unwrap();
    assert_eq!(page.calls, 1, "tax rounded at the subtotal is off for good");
    assert_eq!(page.records.iter().filter(|r| r.remote_type == "order").count(), 1);
}
