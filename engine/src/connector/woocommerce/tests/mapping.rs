//! Single records, recorded with their oddities.

use super::fixtures::{decimal, programs, response, text};
use crate::connector::woocommerce::entities::{self, RefundOf};
use crate::mapping::{row_json, split_page};
use crate::model::{Cell, Entity, Presence, Record};
use proptest::prelude::*;
use serde_json::value::RawValue;

fn raw(json: String) -> Box<RawValue> {
    RawValue::from_string(json).unwrap()
}

fn order(name: &str) -> Record {
    let raw = raw(response(name));
    entities::order(&programs(Entity::Orders), &raw, Presence::Live).unwrap().order
}

/// A record as people read it, members in order.
fn shown(record: &Record) -> String {
    let rows: Vec<serde_json::Value> = std::iter::once(&record.row)
        .chain(&record.lines)
        .map(|row| serde_json::from_str(&row_json(row)).unwrap())
        .collect();
    serde_json::to_string_pretty(&rows).unwrap()
}

macro_rules! order_snapshots {
    ($($test:ident: $file:literal),* $(,)?) => {
        $(#[test]
        fn $test() {
            insta::assert_snapshot!($file, shown(&order($file)));
        })*
    };
}

order_snapshots! {
    an_order_of_sixty_lines_keeps_them_all: "order_60_lines",
    kuwaiti_dinars_keep_the_shops_decimals: "order_currency_KWD",
    yen_keep_the_shops_decimals: "order_currency_JPY",
    a_shop_that_shows_no_decimals_gives_what_it_shows: "order_dp0",
    four_decimals_lose_needless_zeros_only: "order_dp4",
    three_for_ten_keeps_every_digit_of_the_price: "order_3_for_10",
    fees_shipping_coupons_and_compound_tax_are_kept: "order_fee_ship_coupon_compoundtax",
    an_order_without_lines_is_an_order: "order_no_lines",
    an_order_with_tax_inside_prices_says_so: "order_prices_include_tax",
    a_coupon_may_make_an_order_free: "order_zero_total_coupon",
    a_deleted_product_leaves_a_line_without_product: "order_with_deleted_product",
    a_line_of_a_variation_names_the_variation: "order_with_variation",
    a_partly_refunded_order_shows_a_positive_sum: "order_refunded_partial_line",
    a_fully_refunded_order_keeps_its_total: "order_refunded_full",
    two_partial_refunds_add_up: "order_refunded_two_partials",
    tax_rounded_at_the_subtotal_is_taken_as_it_is: "order_tax_round_at_subtotal_502",
}

#[test]
fn a_nul_in_metadata_is_left_out_and_the_raw_json_keeps_it() {
    let record = order("order_meta_shapes_with_NUL_trashed");
    let attributes = text(&record.row, "attributes");
    assert!(!attributes.contains("\\u0000"), "{attributes}");
    assert!(attributes.contains("\"emoji 🎁\":\"😀x\""), "{attributes}");
    assert!(!attributes.contains("_priv"), "{attributes}");
    assert!(record.raw.as_ref().unwrap().contains("\\u0000"));
    insta::assert_snapshot!(shown(&record));
}

#[test]
fn a_trashed_order_carries_when_it_was_trashed() {
    let raw = raw(response("order_trashed_get_by_id"));
    let order = entities::order(&programs(Entity::Orders), &raw, Presence::Trashed).unwrap().order;
    assert_eq!(text(&order.row, "status"), "trash");
    assert_eq!(order.row.cell("deleted_at"), order.row.cell("modified_at"));
    let live = entities::order(&programs(Entity::Orders), &raw, Presence::Live).unwrap().order;
    assert_eq!(*live.row.cell("deleted_at"), Cell::Null, "a restored order loses it again");
    assert_ne!(order.hash, live.hash);
}

fn refund(json: String) -> Record {
    let of = RefundOf { order: Some(160), currency: Some("USD") };
    entities::refund(&programs(Entity::Refunds), &raw(json), of, Presence::Live).unwrap()
}

#[test]
fn a_refunded_line_points_at_the_line_that_was_sold() {
    let record = refund(response("refund_single"));
    assert_eq!(*record.lines[0].cell("order_line_id"), Cell::Ref("34".into()));
    assert_eq!(decimal(&record.row, "total_tax").to_string(), "8.19");
    insta::assert_snapshot!(shown(&record));
}

#[test]
fn an_amount_only_refund_has_no_lines_and_no_tax() {
    let page = response("order_refunds_list_full");
    let record = refund(split_page(&page).unwrap()[0].get().to_owned());
    assert!(record.lines.is_empty());
    assert_eq!(*record.row.cell("total_tax"), Cell::Null);
    insta::assert_snapshot!(shown(&record));
}

#[test]
fn refunded_shipping_and_fees_are_lines_of_their_own_kind() {
    let json = r#"{"id":9,"amount":"7.00","date_created_gmt":"2026-11-20T08:00:00",
        "line_items":[],"shipping_lines":[{"id":3,"total":"-5.00","total_tax":"-1.00",
        "meta_data":[{"key":"_refunded_item_id","value":"31"}]}],
        "fee_lines":[{"id":4,"total":"-1.00","total_tax":""}]}"#;
    let record = refund(json.into());
    let kinds: Vec<&str> = record.lines.iter().map(|line| text(line, "kind")).collect();
    assert_eq!(kinds, ["shipping", "fee"]);
    assert_eq!(decimal(&record.lines[0], "total").to_string(), "5.00");
    assert_eq!(*record.lines[0].cell("order_line_id"), Cell::Null);
    assert!(text(&record.lines[0], "attributes").contains("\"refunded_item_id\":\"31\""));
}

#[test]
fn a_refund_without_a_known_currency_fails_with_a_cure() {
    let raw = raw(response("refund_single"));
    let of = RefundOf { order: Some(160), currency: None };
    let failure =
        entities::refund(&programs(Entity::Refunds), &raw, of, Presence::Live).unwrap_err();
    assert_eq!(failure.error.message, "refund 403: currency is missing");
    assert_eq!(failure.remote_id, "403");
}

#[test]
fn a_variation_takes_stock_and_tax_from_its_parent() {
    let programs = programs(Entity::Products);
    let parent = raw(
        r#"{"id":72,"name":"Hoodie","tax_class":"reduced-rate","tax_status":"taxable"}"#.into(),
    );
    let mut json: serde_json::Value = serde_json::from_str(&response("variation_single")).unwrap();
    json["manage_stock"] = "parent".into();
    json["tax_class"] = "parent".into();
    json["stock_quantity"] = 12.into();
    let child = raw(json.to_string());
    let record = entities::variation(&programs, &child, &parent, "USD", Presence::Live).unwrap();
    assert_eq!(*record.row.cell("track_stock"), Cell::Bool(true));
    assert_eq!(decimal(&record.row, "stock_quantity").to_string(), "12");
    assert_eq!(text(&record.row, "tax_class"), "reduced-rate");
    assert!(text(&record.row, "attributes").contains("\"stock_of_parent\":true"));
    assert_eq!(text(&record.row, "name"), "Hoodie - Red, S");
    insta::assert_snapshot!(shown(&record));
}

#[test]
fn an_empty_sku_and_an_empty_price_are_absent() {
    let raw = raw(r#"{"id":5,"name":"X","type":"simple","status":"publish","sku":"","price":"",
        "regular_price":"","manage_stock":false,"stock_quantity":null,"tax_status":"none",
        "date_created_gmt":"2026-11-20T08:00:00","date_modified_gmt":null}"#
        .into());
    let record =
        entities::product(&programs(Entity::Products), &raw, "USD", Presence::Live).unwrap();
    for column in ["sku", "price", "regular_price", "stock_quantity"] {
        assert_eq!(*record.row.cell(column), Cell::Null, "{column}");
    }
    assert_eq!(*record.row.cell("taxable"), Cell::Bool(false));
    assert_eq!(*record.row.cell("cost"), Cell::Unset, "cost comes from elsewhere");
    assert_eq!(record.row.cell("modified_at"), record.row.cell("created_at"));
}

#[test]
fn fields_that_are_not_mapped_do_not_count_as_a_change() {
    let json = response("order_with_variation");
    let mut other: serde_json::Value = serde_json::from_str(&json).unwrap();
    other["payment_url"] = "https://elsewhere.example".into();
    other["_links"] = serde_json::json!({});
    let programs = programs(Entity::Orders);
    let hash =
        |json: String| entities::order(&programs, &raw(json), Presence::Live).unwrap().order.hash;
    assert_eq!(hash(json.clone()), hash(other.to_string()));
    other["total"] = "1.00".into();
    assert_ne!(hash(json), hash(other.to_string()));
}

#[test]
fn an_order_that_does_not_name_its_refunds_says_nothing_of_them() {
    let mut json: serde_json::Value =
        serde_json::from_str(&response("order_refunded_two_partials")).unwrap();
    let related = |json: &serde_json::Value| {
        let raw = raw(json.to_string());
        let order = entities::order(&programs(Entity::Orders), &raw, Presence::Live).unwrap();
        order.order.related.iter().map(|r| r.remote_ids.len()).collect::<Vec<_>>()
    };
    assert_eq!(related(&json), [2]);
    json["refunds"] = serde_json::json!([]);
    assert_eq!(related(&json), [0], "none are left");
    json.as_object_mut().unwrap().remove("refunds");
    assert_eq!(related(&json), [] as [usize; 0]);
}

#[test]
fn one_garbage_order_among_a_hundred_fails_alone() {
    let order = response("order_with_variation");
    let mut page = String::from("[");
    for i in 0..100 {
        let total = if i == 50 { "\"NaN\"" } else { "\"10.00\"" };
        let mut json: serde_json::Value = serde_json::from_str(&order).unwrap();
        json["id"] = (1000 + i).into();
        json["total"] = serde_json::from_str(total).unwrap();
        page.push_str(&json.to_string());
        page.push(if i == 99 { ']' } else { ',' });
    }
    let programs = programs(Entity::Orders);
    let (mut landed, mut failures) = (0, vec![]);
    for raw in split_page(&page).unwrap() {
        match entities::order(&programs, raw, Presence::Live) {
            Ok(_) => landed += 1,
            Err(failure) => failures.push((raw.get().to_owned(), failure)),
        }
    }
    assert_eq!((landed, failures.len()), (99, 1));
    let (raw, failure) = &failures[0];
    assert_eq!(failure.remote_id, "1050");
    assert_eq!(failure.error.message, "order 1050: total is not a number");
    assert_eq!(failure.raw.as_deref(), Some(raw.as_str()));
    assert!(!failure.error.message.contains("NaN"), "no value of a record in a message");
}

#[test]
fn what_is_no_order_at_all_fails_without_an_id() {
    for garbage in ["null", "3", "\"x\"", "[]", "{}"] {
        let raw = raw(garbage.to_owned());
        let programs = programs(Entity::Orders);
        let failure = entities::order(&programs, &raw, Presence::Live).err().unwrap();
        assert_eq!(failure.remote_id, "", "{garbage}");
        assert!(failure.error.message.starts_with("order without an id: "), "{garbage}");
    }
}

#[test]
fn the_defaults_of_every_entity_compile_and_are_told_with_their_origin() {
    use crate::connector::mapping_rules;
    use crate::mapping::Origin;
    use crate::model::Direction::{Pull, Push};
    for entity in [Entity::Customers, Entity::Products, Entity::Orders, Entity::Refunds] {
        let rules = mapping_rules("woocommerce", entity, Pull, None).unwrap();
        assert!(rules.iter().all(|rule| rule.origin == Origin::Default));
    }
    assert!(mapping_rules("woocommerce", Entity::Orders, Push, None).is_err());
    assert!(mapping_rules("woocommerce", Entity::Bills, Pull, None).is_err());
}

#[test]
fn a_change_of_product_rules_counts_for_variations_too() {
    let changes = serde_json::json!([
        {"target": "attributes.hs_code", "source": "meta_data[key=_hs_code].value"},
        {"target": "attributes.weight", "source": null}
    ]);
    let programs =
        crate::connector::woocommerce::defaults::programs(Entity::Products, Some(&changes))
            .unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&response("variation_single")).unwrap();
    json["weight"] = "1.5".into();
    json["meta_data"] = serde_json::json!([{"id": 1, "key": "_hs_code", "value": "6109"}]);
    let (child, parent) = (raw(json.to_string()), raw(r#"{"id":59,"name":"Hoodie"}"#.into()));
    let record = entities::variation(&programs, &child, &parent, "USD", Presence::Live).unwrap();
    let attributes = text(&record.row, "attributes");
    assert!(attributes.contains("\"hs_code\":\"6109\"") && !attributes.contains("weight"));
}

#[test]
fn a_preview_shows_what_rules_make_of_a_record() {
    let changes = serde_json::json!([{"target": "customer_note", "source": "billing.city"}]);
    let shown = crate::connector::preview_mapping(
        "woocommerce",
        Entity::Orders,
        Some(&changes),
        &response("order_with_variation"),
        None,
    )
    .unwrap();
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let order: serde_json::Value = serde_json::from_str(&response("order_with_variation")).unwrap();
    assert_eq!(shown["customer_note"], order["billing"]["city"]);
    let lines = order["line_items"].as_array().unwrap().len();
    assert_eq!(shown["lines"].as_array().unwrap().len(), lines);
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "\\PC{0,8}".prop_map(Into::into),
        Just("12.50".into()),
        Just("\u{0}".into()),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map("(id|key|value|total|email|_x)", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn an_order_with_anything_in_any_field_maps_or_fails(
        field in any::<prop::sample::Index>(),
        line_field in any::<prop::sample::Index>(),
        value in any_json(),
    ) {
        let mut json: serde_json::Value = serde_json::from_str(&response("order_with_variation")).unwrap();
        let line = json["line_items"][0].as_object_mut().unwrap();
        let key = line.keys().nth(line_field.index(line.len())).unwrap().clone();
        line.insert(key, value.clone());
        let programs = programs(Entity::Orders);
        let _ = entities::order(&programs, &raw(json.to_string()), Presence::Live);
        let order = json.as_object_mut().unwrap();
        let key = order.keys().nth(field.index(order.len())).unwrap().clone();
        order.insert(key, value);
        if let Err(failure) = entities::order(&programs, &raw(json.to_string()), Presence::Live) {
            prop_assert!(!failure.error.message.is_empty());
        }
    }
}
