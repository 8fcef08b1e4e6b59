//! How lists are asked for.

use crate::connector::Pass;
use crate::connector::woocommerce::lists::{self, passes, query};
use crate::model::{Entity, Mode};
use crate::store::Filters;
use std::collections::BTreeMap;

const ENTITIES: [Entity; 4] =
    [Entity::Customers, Entity::Products, Entity::Orders, Entity::Refunds];

fn asked(entity: Entity, pass: &Pass) -> BTreeMap<&'static str, String> {
    query(entity, pass, 0, 100, 6).into_iter().collect()
}

fn incremental(entity: Entity, filters: &Filters) -> Vec<Pass> {
    let watermark = "2026-11-01T10:00:00.5Z".parse().unwrap();
    passes(entity, Mode::Incremental, Some(watermark), filters, false)
}

#[test]
fn lists_are_always_in_order_of_ids() {
    for entity in ENTITIES {
        for pass in incremental(entity, &Filters::default()) {
            let query = asked(entity, &pass);
            assert_eq!((query["orderby"].as_str(), query["order"].as_str()), ("id", "asc"));
        }
    }
}

#[test]
fn times_are_sent_as_naive_utc_and_said_to_be_so() {
    for entity in [Entity::Products, Entity::Orders, Entity::Refunds] {
        let query = asked(entity, &incremental(entity, &Filters::default())[0]);
        // Strict there, counting here, and the shop cuts its times: 10:00:00 for a change at
        // 10:00:00.7.
        assert_eq!(query["modified_after"], "2026-11-01T09:59:59");
        assert_eq!(query["dates_are_gmt"], "true");
    }
}

#[test]
fn customers_are_walked_whole_in_every_role() {
    let passes = incremental(Entity::Customers, &Filters::default());
    let query = asked(Entity::Customers, &passes[0]);
    assert!(passes[0].complete && passes.len() == 1);
    assert_eq!(query["role"], "all");
    assert!(!query.contains_key("modified_after"), "it would be ignored without a word");
}

#[test]
fn amounts_are_always_asked_for_with_decimals() {
    for entity in [Entity::Orders, Entity::Refunds] {
        assert_eq!(asked(entity, &incremental(entity, &Filters::default())[0])["dp"], "6");
    }
}

#[test]
fn pages_stay_within_what_the_api_takes() {
    let pass = &incremental(Entity::Orders, &Filters::default())[0];
    let limits: Vec<String> = [0, 1, 100, 500]
        .map(|limit| {
            let query: BTreeMap<_, _> =
                query(Entity::Orders, pass, 0, limit, 6).into_iter().collect();
            query["per_page"].clone()
        })
        .to_vec();
    assert_eq!(limits, ["1", "1", "100", "100"]);
}

#[test]
fn the_trash_is_a_list_of_its_own() {
    for entity in [Entity::Orders, Entity::Products] {
        let passes = incremental(entity, &Filters::default());
        let statuses: Vec<String> =
            passes.iter().map(|pass| asked(entity, pass)["status"].clone()).collect();
        assert_eq!(statuses, ["any", "trash"]);
        assert!(passes.iter().all(|pass| asked(entity, pass).contains_key("modified_after")));
    }
    assert_eq!(incremental(Entity::Refunds, &Filters::default()).len(), 1);
}

#[test]
fn only_a_whole_walk_without_filters_shows_what_is_gone() {
    let full = |filters: &Filters| passes(Entity::Orders, Mode::Full, None, filters, false);
    assert!(full(&Filters::default())[0].complete);
    let filters = Filters { currency: Some("USD".into()), ..Filters::default() };
    assert!(!full(&filters)[0].complete);
    assert!(!incremental(Entity::Orders, &Filters::default())[0].complete);
    assert!(!passes(Entity::Refunds, Mode::Full, None, &Filters::default(), true)[0].complete);
    // A filter that says nothing about customers narrows nothing there.
    assert!(passes(Entity::Customers, Mode::Full, None, &filters, false)[0].complete);
}

#[test]
fn bounds_count_their_beginning_and_not_their_end() {
    let filters = Filters {
        created_since: Some("2026-11-01T00:00:00Z".parse().unwrap()),
        created_until: Some("2026-12-01T00:00:00Z".parse().unwrap()),
        modified_until: Some("2026-12-01T00:00:00Z".parse().unwrap()),
        ..Filters::default()
    };
    let query =
        asked(Entity::Orders, &passes(Entity::Orders, Mode::Full, None, &filters, false)[0]);
    assert_eq!(query["after"], "2026-10-31T23:59:59");
    assert_eq!(query["before"], "2026-12-01T00:00:00");
    assert!(!query.contains_key("modified_before"), "rows would leave the list mid-walk");
}

#[test]
fn filters_go_to_the_api_where_it_honours_them() {
    let filters = Filters {
        status: Some(vec!["completed".into(), "trash".into()]),
        customer: Some("12".into()),
        sku: Some("A".into()),
        kind: Some("variation".into()),
        ..Filters::default()
    };
    let orders = passes(Entity::Orders, Mode::Full, None, &filters, false);
    let query = asked(Entity::Orders, &orders[0]);
    assert_eq!((query["status"].as_str(), query["customer"].as_str()), ("completed", "12"));
    assert_eq!(orders.len(), 2, "the trash was asked for");
    assert!(!query.contains_key("sku"), "orders have none");
    let products = passes(Entity::Products, Mode::Full, None, &filters, false);
    let query = asked(Entity::Products, &products[0]);
    assert_eq!((query["sku"].as_str(), query["type"].as_str()), ("A", "variable"));
    assert!(!query.contains_key("customer"));
    let guest = Filters { customer: Some("guest:a@x.test".into()), ..Filters::default() };
    let pass = &passes(Entity::Orders, Mode::Full, None, &guest, false)[0];
    assert!(!asked(Entity::Orders, pass).contains_key("customer"));
    assert_eq!(lists::path(Entity::Refunds), "wc/v3/refunds");
}
