//! The WooCommerce connector against the simulated shop, which keeps state and obeys the rules
//! that were measured (and was written apart from the connector).

mod dry_run;
mod shop;

use engine::connector::Connector;
use engine::model::{Cell, Entity, Mode, Presence};
use engine::store::Filters;
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::json;
use shop::{Shop, decimal, text};
use std::collections::{BTreeMap, BTreeSet};

#[tokio::test]
async fn the_recorded_shop_lands_whole_by_https() {
    let shop = Shop::start().await;
    let connector = shop.connect("read_only", "https");
    let orders = shop.walk(&connector, Entity::Orders, Mode::Full, None).await;
    let live = orders.of("order", Presence::Live);
    assert_eq!(live.len(), 289);
    assert_eq!(live.iter().map(|o| o.lines.len()).sum::<usize>(), 855);
    let mut sums: BTreeMap<&str, Decimal> = BTreeMap::new();
    for order in &live {
        *sums.entry(text(&order.row, "currency")).or_default() += decimal(&order.row, "total");
    }
    let sums: Vec<String> = sums.iter().map(|(c, sum)| format!("{c} {sum}")).collect();
    assert_eq!(sums, ["EUR 3120.35", "GBP 24284.74", "JPY 136.61", "KWD 625.65", "USD 231093.77"]);
    assert_eq!(orders.of("order", Presence::Trashed).len(), 3);
    assert_eq!(orders.ids("guest").len(), 58);
    let customers = shop.walk(&connector, Entity::Customers, Mode::Full, None).await;
    assert_eq!(customers.ids("customer").len(), 43);
    let products = shop.walk(&connector, Entity::Products, Mode::Full, None).await;
    assert_eq!(products.of("product", Presence::Live).len(), 59);
    assert_eq!(products.ids("variation").len(), 74);
    let refunds = shop.walk(&connector, Entity::Refunds, Mode::Full, None).await;
    assert_eq!(refunds.ids("refund").len(), 43);
    for walk in [&orders, &customers, &products, &refunds] {
        assert!(walk.failures.is_empty() && walk.notes.is_empty(), "{walk:?}");
    }
}

#[tokio::test]
async fn plain_http_with_signatures_shows_the_same_shop() {
    let shop = Shop::start().await;
    let by_https = shop.connect("read_write", "https");
    let by_http = shop.connect("shop_manager", "http");
    for entity in [Entity::Orders, Entity::Products, Entity::Customers, Entity::Refunds] {
        let one = shop.walk(&by_https, entity, Mode::Full, None).await;
        let two = shop.walk(&by_http, entity, Mode::Full, None).await;
        assert_eq!(one.hashes(), two.hashes(), "{entity}");
        assert!(!one.hashes().is_empty());
    }
    let ids = ["175".to_owned(), "162".to_owned()];
    let found = by_http.by_ids(&shop.stream(Entity::Orders), &ids).await.unwrap();
    assert_eq!(found.records.iter().filter(|r| r.remote_type == "order").count(), 2);
}

#[tokio::test]
async fn no_change_is_missed_in_any_time_zone() {
    let shop = Shop::start().await;
    let connector = shop.connect("read_write", "https");
    for zone in ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York", "Pacific/Auckland"] {
        shop.control("PUT", "settings", json!({ "timezone": zone })).await;
        for kind in ["orders", "products"] {
            let at = json!({"at": "2026-11-01T10:00:00"});
            shop.control("POST", &format!("{kind}/touch"), at).await;
        }
        let moved = json!({"at": "2026-11-01T10:00:05", "ids": [175, 183, 13]});
        shop.control("POST", "orders/touch", moved.clone()).await;
        shop.control("POST", "products/touch", moved).await;
        let watermark: Timestamp = "2026-11-01T10:00:05Z".parse().unwrap();
        let after = Some(watermark);
        let orders = shop.walk(&connector, Entity::Orders, Mode::Incremental, after).await;
        assert_eq!(orders.ids("order"), ["175", "183"], "{zone}");
        let products = shop.walk(&connector, Entity::Products, Mode::Incremental, after).await;
        assert_eq!(products.ids("product"), ["13"], "{zone}");
    }
}

#[tokio::test]
async fn what_was_trashed_and_what_was_deleted_are_told_apart() {
    let shop = Shop::start().await;
    let connector = shop.connect("read_only", "https");
    let before = shop.now();
    shop.control("DELETE", "orders/175?trash=true", json!(null)).await;
    shop.control("DELETE", "orders/183", json!(null)).await;
    let changed = shop.walk(&connector, Entity::Orders, Mode::Incremental, Some(before)).await;
    let trashed = changed.of("order", Presence::Trashed);
    assert_eq!(trashed.len(), 1);
    assert_eq!(text(&trashed[0].row, "status"), "trash");
    assert_ne!(*trashed[0].row.cell("deleted_at"), Cell::Null);
    assert!(!changed.ids("order").contains(&"183".to_owned()), "it leaves no trace");
    let pass = connector.id_walk(Entity::Orders).unwrap();
    let ids: BTreeSet<i64> =
        shop.walk_pass(&connector, Entity::Orders, &pass).await.listed.into_iter().collect();
    assert!(!ids.contains(&183) && !ids.contains(&175) && ids.contains(&162));
    let asked = ["175".to_owned(), "183".to_owned(), "162".to_owned()];
    let found = connector.by_ids(&shop.stream(Entity::Orders), &asked).await.unwrap();
    assert_eq!(found.gone, ["183"]);
    let presence = |id: &str| found.records.iter().find(|r| r.remote_id == id).unwrap().presence;
    assert_eq!((presence("175"), presence("162")), (Presence::Trashed, Presence::Live));
}

#[tokio::test]
async fn a_variation_that_was_deleted_is_missing_from_its_parents_set() {
    let shop = Shop::start().await;
    let connector = shop.connect("read_only", "https");
    let before = shop.now();
    shop.control("DELETE", "variations/60", json!(null)).await;
    shop.control("POST", "products/touch", json!({"ids": [59]})).await;
    let changed = shop.walk(&connector, Entity::Products, Mode::Incremental, Some(before)).await;
    let parent = changed.records.iter().find(|r| r.remote_id == "59").unwrap();
    assert!(!parent.related[0].remote_ids.contains(&"60".to_owned()));
    assert_eq!(parent.related[0].remote_ids.len(), 12);
    let ids = ["60".to_owned(), "61".to_owned()];
    let found = connector.by_ids(&shop.stream(Entity::Products), &ids).await.unwrap();
    assert_eq!(found.gone, ["60"]);
    assert_eq!(found.records[0].remote_type, "variation");
}

#[tokio::test]
async fn an_order_seen_while_it_is_written_lands_whole() {
    let shop = Shop::start().await;
    let connector = shop.connect("read_only", "https");
    shop.control("PUT", "half_written", json!({"stages": 3, "advance": "read"})).await;
    let before = shop.now();
    let lines: Vec<_> = (0..6).map(|_| json!({"product_id": 13, "quantity": 2})).collect();
    let made =
        shop.control("POST", "orders", json!({"status": "processing", "line_items": lines})).await;
    let id = made["id"].as_i64().unwrap().to_string();
    let changed = shop.walk(&connector, Entity::Orders, Mode::Incremental, Some(before)).await;
    let order = changed.records.iter().find(|r| r.remote_id == id).unwrap();
    let sum: Decimal = order.lines.iter().map(|line| decimal(line, "total")).sum();
    assert_eq!(order.lines.len(), 6);
    assert_eq!(sum + decimal(&order.row, "total_tax"), decimal(&order.row, "total"));
    assert_eq!(text(&order.row, "status"), "processing");
    assert_eq!(changed.notes, ["1 orders were seen half-written and read again"]);
}

#[tokio::test]
async fn a_shop_set_to_no_decimals_loses_no_cents() {
    let shop = Shop::start().await;
    let connector = shop.connect("read_only", "https");
    let hashes = shop.walk(&connector, Entity::Orders, Mode::Full, None).await.hashes();
    shop.control("PUT", "settings", json!({"decimals": 0})).await;
    let again = shop.walk(&connector, Entity::Orders, Mode::Full, None).await;
    assert_eq!(again.hashes(), hashes, "nothing counts as changed either");
}

#[tokio::test]
async fn faults_are_passed_over_or_told() {
    let shop = Shop::start().await;
    let connector = shop.connect("read_only", "https");
    shop.fault("garbage_order", json!({"id": 175}));
    let walk = shop.walk(&connector, Entity::Orders, Mode::Full, None).await;
    assert_eq!(walk.of("order", Presence::Live).len(), 288);
    let failed: Vec<&str> = walk.failures.iter().map(|f| f.remote_id.as_str()).collect();
    assert_eq!(failed, ["175"]);
    shop.clear_faults();
    shop.fault("lost_totals", json!({}));
    shop.fault("notice", json!({}));
    let walk = shop.walk(&connector, Entity::Orders, Mode::Full, None).await;
    assert_eq!(walk.of("order", Presence::Live).len(), 289);
    assert!(walk.notes.iter().all(|note| note.contains("PHP notice")) && !walk.notes.is_empty());
    shop.clear_faults();
    shop.fault("maintenance", json!({}));
    let passes =
        connector.passes(Entity::Orders, Mode::Full, None, &Filters::default()).await.unwrap();
    let stream = shop.stream(Entity::Orders);
    let error = connector.page(&stream, &passes[0], 0, 100).await.unwrap_err();
    assert_eq!((error.sqlstate(), error.retryable), ("YS503", true));
    assert_eq!(error.retry_after, Some(std::time::Duration::from_secs(600)));
}

#[tokio::test]
async fn each_kind_of_key_is_judged_as_it_deserves() {
    let shop = Shop::start().await;
    for scheme in ["https", "http"] {
        for (key, failing) in [
            ("read_write", None),
            ("read_only", Some("permissions")),
            ("shop_manager", None),
            ("write_only", Some("credentials")),
            ("customer_role", Some("permissions")),
        ] {
            let checks = shop.connect(key, scheme).check().await;
            let failed = checks.iter().find(|check| !check.ok);
            assert_eq!(failed.map(|check| check.name), failing, "{scheme} {key}: {checks:?}");
            assert!(failed.is_none_or(|check| check.hint.is_some()));
        }
        let wrong = shop.connect_with("ck_0000", "cs_0000", scheme);
        let checks = wrong.check().await;
        assert_eq!(checks.last().unwrap().name, "credentials");
        assert!(!checks.last().unwrap().ok);
        assert_eq!(wrong.account().await.unwrap_err().sqlstate(), "YS401");
    }
    let account = shop.connect("read_only", "https").account().await.unwrap();
    assert_eq!(account.platform, "WooCommerce 10.2.4");
    assert!(!account.label.is_empty());
}
