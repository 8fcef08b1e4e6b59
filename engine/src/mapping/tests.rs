//! The mapping engine on its own.

use super::pipeline;
use super::value::{self, Val};
use super::{CATALOGUE, Context, Origin, Problem, Program, Rule, Shape, compile, merge, parse};
use super::{mapped_json, split_page};
use crate::model::{Cell, TableId};
use proptest::prelude::*;
use serde_json::json;
use serde_json::value::RawValue;

const SHAPE: Shape = Shape {
    table: TableId::Orders,
    lines: Some(TableId::OrderLines),
    fixed: &["source_id"],
    context: &["currency", "parent", "line_number"],
};

/// Rules that fill every column that can't be null.
fn minimal() -> Vec<Rule> {
    parse(&json!([
        {"target": "source_id", "source": "id", "transform": "text"},
        {"target": "number", "source": "id"},
        {"target": "status", "default": "new"},
        {"target": "currency", "default": "USD"},
        {"target": "subtotal", "default": 0}, {"target": "discount_total", "default": 0},
        {"target": "shipping_total", "default": 0}, {"target": "fee_total", "default": 0},
        {"target": "total_tax", "default": 0}, {"target": "total", "source": "total"},
        {"target": "refunded_total", "default": 0},
        {"target": "prices_include_tax", "default": false},
        {"target": "shipping_lines", "default": []}, {"target": "fee_lines", "default": []},
        {"target": "coupon_lines", "default": []}, {"target": "tax_lines", "default": []},
        {"target": "created_at", "default": "2026-01-01T00:00:00Z"},
        {"target": "modified_at", "default": "2026-01-01T00:00:00Z"},
        {"target": "lines[].line_number", "source": "$line_number"},
        {"target": "lines[].name", "source": "items[].name", "default": ""},
        {"target": "lines[].quantity", "default": 1},
        {"target": "lines[].subtotal", "default": 0}, {"target": "lines[].total", "default": 0},
        {"target": "lines[].total_tax", "default": 0}, {"target": "lines[].taxes", "default": []}
    ]))
    .unwrap()
}

fn with(changes: serde_json::Value) -> Result<Program, Vec<Problem>> {
    let mut rules = minimal();
    rules.iter_mut().for_each(|rule| rule.origin = Origin::Default);
    compile(&SHAPE, &merge(&rules, &parse(&changes)?))
}

fn raw(value: &serde_json::Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).unwrap()
}

fn cell(changes: serde_json::Value, record: &serde_json::Value, column: &str) -> Cell {
    let program = with(changes).unwrap();
    let mut record = record.clone();
    record["total"] = json!("1");
    record["id"] = json!(7);
    program.run(&raw(&record), &Context::default()).unwrap().row.cell(column).clone()
}

fn codes(changes: serde_json::Value) -> Vec<&'static str> {
    with(changes).err().unwrap_or_default().iter().map(|problem| problem.code).collect()
}

#[test]
fn every_transform_does_what_its_example_says() {
    for info in CATALOGUE {
        let (input, transform) = info.example.split_once(" | ").unwrap();
        let raw = RawValue::from_string(input.to_owned()).unwrap();
        let mut val = value::read(&raw).unwrap();
        // A path with [] gives lists; an example writes one as an array.
        if let (Val::Json(text), true) = (&val, input.starts_with('[') && !input.starts_with("[{"))
        {
            let items =
                value::elements(text).into_iter().map(|e| value::read(e).unwrap()).collect();
            val = Val::List(items);
        }
        for step in pipeline::parse(transform).unwrap_or_else(|e| panic!("{}: {e}", info.name)) {
            val = step.apply(val).unwrap_or_else(|e| panic!("{}: {e}", info.name));
        }
        let mut out = String::new();
        super::json::write(&val, &mut out).unwrap();
        assert_eq!(out, info.result, "{}", info.name);
        assert!(transform.starts_with(info.name), "{}", info.name);
    }
    assert!(CATALOGUE.is_sorted_by_key(|info| info.name));
}

#[test]
fn a_change_takes_the_place_of_the_default_with_its_target() {
    let record = json!({"note": " Ring twice ", "state": "wc-done"});
    let changes = json!([
        {"target": "customer_note", "source": "note", "transform": "trim|upper"},
        {"target": "status", "source": "state", "transform": "map({\"wc-done\":\"completed\"})"}
    ]);
    assert_eq!(cell(changes.clone(), &record, "customer_note"), Cell::Text("RING TWICE".into()));
    assert_eq!(cell(changes.clone(), &record, "status"), Cell::Text("completed".into()));
    let rules = merge(&minimal(), &parse(&changes).unwrap());
    let origin = |target: &str| rules.iter().find(|r| r.target == target).unwrap().origin;
    assert_eq!(origin("status"), Origin::Changed);
    assert_eq!(origin("customer_note"), Origin::Added);
    assert_eq!(origin("total"), Origin::Default);
}

#[test]
fn paths_reach_into_lists_and_metadata() {
    let record = json!({
        "meta_data": [{"key": "po", "value": "PO-7"}, {"key": "x.y", "value": 3}],
        "a": {"b": [{"c": 1}, {"c": 2}]}, "odd key": {"in.ner": "v"}
    });
    for (source, transform, expected) in [
        ("meta_data[key=po].value", "text", "PO-7"),
        ("meta_data[key=x.y].value", "text", "3"),
        ("a.b[1].c", "text", "2"),
        ("a.b[].c", "sum|text", "3.00"),
        ("a.b[].c", "concat(+)", "1+2"),
        ("[\"odd key\"][\"in.ner\"]", "text", "v"),
        ("nope.deeper ?? a.b[9].c ?? meta_data[key=po].value", "text", "PO-7"),
        ("{a.b[0].c}-{nope}-{a.b[1].c}", "text", "1-2"),
        ("No. {a.b[0].c} ({nope})", "text", "No. 1"),
    ] {
        let changes =
            json!([{"target": "customer_note", "source": source, "transform": transform}]);
        let got = cell(changes, &record, "customer_note");
        assert_eq!(got, Cell::Text(expected.into()), "{source}");
    }
}

#[test]
fn members_of_attributes_are_written_in_order_of_their_names() {
    let changes = json!([
        {"target": "attributes.z", "source": "z"},
        {"target": "attributes.b", "source": "b", "transform": "money"},
        {"target": "attributes.gone", "source": "gone"},
        {"target": "billing_address.city", "source": "nope"}
    ]);
    let record = json!({"b": 1, "z": [2, {"y": 1, "x": "\u{0}q"}]});
    let json = r#"{"b":"1.00","z":[2,{"x":"q","y":1}]}"#;
    assert_eq!(cell(changes.clone(), &record, "attributes"), Cell::Json(json.into()));
    assert_eq!(cell(changes, &record, "billing_address"), Cell::Null);
}

#[test]
fn a_number_is_read_from_its_digits_and_garbage_is_an_error() {
    let program = with(json!([])).unwrap();
    let total = |total: serde_json::Value| {
        let mapped = program.run(&raw(&json!({"id": 1, "total": total})), &Context::default());
        mapped.map(|m| match m.row.cell("total") {
            Cell::Decimal(value) => value.to_string(),
            other => format!("{other:?}"),
        })
    };
    assert_eq!(total(json!("12.50")).unwrap(), "12.50");
    assert_eq!(total(json!(" -0.30 ")).unwrap(), "-0.30");
    assert_eq!(total(json!("-0.00")).unwrap(), "0.00");
    let precise: serde_json::Value = serde_json::from_str("3.3333333333333335").unwrap();
    assert_eq!(total(precise).unwrap(), "3.3333333333333335");
    assert_eq!(total(json!("1.5E3")).unwrap(), "1500");
    for garbage in ["", "NaN", "INF", "1,234.50", "1_000", "12.5.1", "abc", "e", "1e400", "--1"] {
        let errors = total(json!(garbage)).unwrap_err();
        assert_eq!(errors.len(), 1, "{garbage}");
        assert_eq!(errors[0].target, "total", "{garbage}");
    }
    assert!(total(json!({})).is_err() && total(json!([1])).is_err() && total(json!(null)).is_err());
    assert!(total(json!(true)).is_err());
}

#[test]
fn an_error_names_its_line_and_not_its_value() {
    let program = with(json!([{"target": "lines[].total", "source": "items[].total"}])).unwrap();
    let record = json!({"id": 1, "total": "1", "items": [{"total": "1"}, {"total": "secret"}]});
    let errors = program.run(&raw(&record), &Context::default()).unwrap_err();
    assert_eq!(errors[0].to_string(), "lines[2].total is not a number");
}

#[test]
fn every_problem_of_a_set_of_rules_is_told() {
    assert_eq!(codes(json!({"target": "x"})), ["not_a_list"]);
    assert_eq!(codes(json!([3, {"source": "a"}])), ["bad_rule", "bad_rule"]);
    assert_eq!(codes(json!([{"target": "total", "sauce": "a"}])), ["unknown_key"]);
    let twice = json!([{"target": "email", "source": "a"}, {"target": "email", "source": "b"}]);
    assert_eq!(codes(twice), ["duplicate_target"]);
    let many = with(json!([
        {"target": "nope", "source": "a"},
        {"target": "lines[].nope", "source": "items[].a"},
        {"target": "shipping_lines.x", "source": "a"},
        {"target": "source_id", "source": "other"},
        {"target": "email", "source": "a..b"},
        {"target": "customer_note", "source": "$nope"},
        {"target": "payment_method", "source": "a", "transform": "shout"},
        {"target": "paid_at", "source": "a", "transform": "decimal"},
        {"target": "transaction_id", "source": "a[].b"},
        {"target": "total", "source": null},
        {"target": "fee_total", "default": "much"},
        {"target": "lines[].sku", "source": "id"}
    ]))
    .unwrap_err();
    let told: Vec<(&str, &str)> =
        many.iter().map(|p| (p.target_path.as_deref().unwrap_or(""), p.code)).collect();
    assert_eq!(
        told,
        [
            ("source_id", "fixed_target"),
            ("fee_total", "bad_default"),
            ("nope", "unknown_target"),
            ("lines[].nope", "unknown_target"),
            ("shipping_lines.x", "unknown_target"),
            ("email", "bad_path"),
            ("customer_note", "unknown_context"),
            ("payment_method", "bad_transform"),
            ("paid_at", "type_mismatch"),
            ("transaction_id", "type_mismatch"),
            ("total", "missing_target"),
            ("lines[].sku", "bad_path"),
        ]
    );
    assert!(many.iter().all(|p| !p.message.is_empty() && !p.hint.is_empty()));
    assert_eq!(
        codes(json!([{"target": "attributes", "source": "a", "transform": "json"},
                     {"target": "attributes.b", "source": "b"}])),
        ["target_clash"]
    );
}

#[test]
fn a_transform_is_held_to_its_arguments() {
    for bad in [
        "shout",
        "trim(1)",
        "substring",
        "substring(a)",
        "substring(1,2,3)",
        "map",
        "map(x)",
        "map({\"a\":[]})",
        "round(99)",
        "multiply(x)",
        "local_time(Mars/Base)",
        "pick(a:shout)",
        "pick()",
        "trim|",
        "lower(",
        "replace(a)",
        "prefix",
    ] {
        assert!(pipeline::parse(bad).is_err(), "{bad}");
    }
    for good in ["trim | lower", "concat", "concat(\"|\")|upper", "map({\"a|b\":\"c)\"})|text"] {
        assert!(pipeline::parse(good).is_ok(), "{good}");
    }
}

#[test]
fn a_rule_switched_off_leaves_its_column_to_others_and_a_default_fills_it() {
    let off = json!([{"target": "customer_note", "source": null}]);
    assert_eq!(cell(off, &json!({"note": "x"}), "customer_note"), Cell::Unset);
    let absent = json!([{"target": "customer_note", "source": "nope"}]);
    assert_eq!(cell(absent, &json!({"note": "x"}), "customer_note"), Cell::Null);
    let constant = json!([{"target": "customer_note", "default": "from the shop"}]);
    assert_eq!(cell(constant, &json!({}), "customer_note"), Cell::Text("from the shop".into()));
}

#[test]
fn times_are_utc_and_never_is_no_time() {
    let changes = json!([{"target": "paid_at", "source": "at", "transform": "utc"}]);
    let at = |text: &str| cell(changes.clone(), &json!({"at": text}), "paid_at");
    let noon = Cell::Time("2026-11-01T12:00:00Z".parse().unwrap());
    assert_eq!(at("2026-11-01T12:00:00"), noon);
    assert_eq!(at("2026-11-01T13:00:00+01:00"), noon);
    assert_eq!(at("2026-11-01 12:00:00"), noon);
    assert_eq!(at("0000-00-00T00:00:00"), Cell::Null);
    assert_eq!(at(""), Cell::Null);
}

#[test]
fn half_a_surrogate_pair_fails_its_record_only() {
    let page = r#"[{"id":1,"total":"1"},{"id":2,"total":"1","n":"\ud83d"}]"#;
    let program = with(json!([{"target": "customer_note", "source": "n"}])).unwrap();
    let results: Vec<bool> = split_page(page)
        .unwrap()
        .into_iter()
        .map(|raw| program.run(raw, &Context::default()).is_ok())
        .collect();
    assert_eq!(results, [true, false]);
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(|f| json!(f)),
        "\\PC*".prop_map(Into::into),
        Just(json!("\u{0}")),
        Just(json!("2026-11-01T10:00:00")),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::btree_map("[a-z_]{0,5}", inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_transform_takes_any_value(value in any_json(), n in 0..CATALOGUE.len()) {
        let (_, text) = CATALOGUE[n].example.split_once(" | ").unwrap();
        let raw = raw(&value);
        let val = value::read(&raw).unwrap();
        for step in pipeline::parse(text).unwrap() {
            let _ = step.apply(val.clone());
        }
    }

    #[test]
    fn any_text_may_be_a_rule(target in "\\PC*", source in "\\PC*", transform in "\\PC*") {
        let _ = codes(json!([{"target": target, "source": source, "transform": transform}]));
        let _ = codes(json!([{"target": "email", "source": source, "transform": transform}]));
    }

    #[test]
    fn what_is_written_as_json_is_json_without_nul(value in any_json()) {
        let raw = raw(&value);
        let mut out = String::new();
        super::json::clean(raw.get(), &mut out).unwrap();
        let again: serde_json::Value = serde_json::from_str(&out).unwrap();
        prop_assert!(!out.contains("\\u0000"));
        let mut twice = String::new();
        super::json::clean(&again.to_string(), &mut twice).unwrap();
        prop_assert_eq!(out, twice);
    }

    #[test]
    fn any_record_maps_or_fails(record in any_json()) {
        let program = with(json!([{"target": "attributes.all", "source": "a", "transform": "json"}])).unwrap();
        if let Ok(mapped) = program.run(&raw(&record), &Context::default()) {
            let _: serde_json::Value = serde_json::from_str(&mapped_json(&mapped)).unwrap();
        }
    }
}
