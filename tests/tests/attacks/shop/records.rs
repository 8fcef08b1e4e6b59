//! Records whose values are odd: each that can't be kept fails by itself, and the next one lands.

use super::{Ends, products, shop};
use crate::Attack;
use crate::yard::product;
use easysync_tests::hostile::Reply;
use serde_json::Value;

pub const ATTACKS: &[Attack] = &[
    Attack {
        name: "shop::ids_that_are_negative_huge_or_none",
        run: || products(|_| ids(), Ends::Partly(7, "no id of WooCommerce")),
    },
    Attack {
        name: "shop::the_same_id_a_hundred_times",
        run: || products(|_| duplicates(), Ends::Well),
    },
    Attack {
        name: "shop::a_record_nested_ten_thousand_deep",
        run: || products(|_| spoilt("\"meta_data\"", &deep()), Ends::Partly(1, "nested")),
    },
    Attack {
        name: "shop::numbers_with_a_million_digits",
        run: || {
            products(
                |_| spoilt("\"menu_order\"", &"9".repeat(1_000_000)),
                Ends::Partly(1, "digits"),
            )
        },
    },
    Attack {
        name: "shop::numbers_with_an_exponent_beyond_all",
        run: || {
            products(
                |_| spoilt("\"menu_order\"", "1e99999999999999999999"),
                Ends::Partly(1, "digits"),
            )
        },
    },
    Attack {
        name: "shop::a_record_with_a_hundred_thousand_members",
        run: || products(|_| members(), Ends::Partly(1, "")),
    },
    Attack {
        name: "shop::control_characters_in_names",
        run: || products(|_| controls(), Ends::Well),
    },
    Attack {
        name: "shop::times_beyond_the_calendar",
        run: || {
            products(
                |_| spoilt("\"date_modified_gmt\"", "\"9999-12-31T23:59:59\""),
                Ends::Partly(1, "modified_at"),
            )
        },
    },
    Attack {
        name: "shop::a_name_of_two_megabytes_of_combining_marks",
        run: || {
            products(
                |_| spoilt("\"slug\"", &format!("\"{}\"", "\u{301}".repeat(1 << 20))),
                Ends::Partly(1, "MiB"),
            )
        },
    },
    Attack {
        name: "shop::an_order_of_twenty_thousand_lines",
        run: || shop("orders", |_| lines(), Ends::Partly(1, "")),
    },
    Attack {
        name: "shop::values_of_every_wrong_kind",
        run: || products(|_| wrong_kinds(), Ends::Partly(1, "")),
    },
];

fn list(records: &[String]) -> Reply {
    Reply::json_with(
        &format!("x-wp-total: {}\r\n", records.len()),
        format!("[{}]", records.join(",")),
    )
}

/// A good record, and one with that member in front of its own.
fn spoilt(name: &str, value: &str) -> Reply {
    let mut spoilt = product(2);
    if let Some(members) = spoilt.as_object_mut() {
        members.retain(|key, _| format!("\"{key}\"") != name);
    }
    let spoilt = format!("{{{name}:{value},{}", &spoilt.to_string()[1..]);
    list(&[product(1).to_string(), spoilt])
}

fn ids() -> Reply {
    let odd = ["-1", "0", "9223372036854775808", "1e400", "1.5", "\"x\"", "[1]", "null"];
    let records = odd
        .iter()
        .map(|id| product(1).to_string().replacen("\"id\":1", &format!("\"id\":{id}"), 1));
    list(&records.chain([product(7).to_string()]).collect::<Vec<_>>())
}

fn duplicates() -> Reply {
    list(&vec![product(1).to_string(); 100])
}

fn deep() -> String {
    format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))
}

fn members() -> Reply {
    let members: Vec<String> = (0..100_000).map(|n| format!("\"id{n}\":1,\"id\":{n}")).collect();
    list(&[product(1).to_string(), format!("{{{}}}", members.join(","))])
}

fn controls() -> Reply {
    let mut odd = product(1);
    let controls: String = (0..0x20).chain(0x7f..0xa0).filter_map(char::from_u32).collect();
    odd["name"] = format!("{controls}\u{202e}evil\u{2066}\u{feff}\u{0}").into();
    odd["sku"] = format!("a{controls}b").into();
    list(&[odd.to_string(), product(2).to_string()])
}

fn lines() -> Reply {
    let line = r#"{"id":1,"name":"x","product_id":1,"quantity":1,"total":"1","subtotal":"1"}"#;
    let order = |id: u64, lines: usize| {
        format!(
            r#"{{"id":{id},"status":"completed","currency":"EUR","total":"1.00","number":"{id}",
                "date_created_gmt":"2026-01-01T00:00:00","date_modified_gmt":"2026-01-01T00:00:00",
                "billing":{{}},"shipping":{{}},"meta_data":[],"tax_lines":[],"shipping_lines":[],"fee_lines":[],
                "coupon_lines":[],"refunds":[],"line_items":[{}]}}"#,
            vec![line; lines].join(",")
        )
    };
    list(&[order(1, 20_000), order(2, 1)])
}

/// Each member of a product is each of some values that it can't be.
fn wrong_kinds() -> Reply {
    let mut records = Vec::new();
    let values = ["[[]]", "{\"a\":{}}", "true", "-1e300", "\"\\ud800\"", "[null]"];
    let good = product(1);
    let names: Vec<&String> =
        good.as_object().into_iter().flatten().map(|(name, _)| name).collect();
    for (n, name) in names.iter().filter(|name| **name != "id").enumerate() {
        for (m, value) in values.iter().enumerate() {
            let mut record = product(10 + (n * values.len() + m) as u64);
            record[name.as_str()] = Value::Null;
            let text = record.to_string();
            records.push(text.replacen(
                &format!("\"{name}\":null"),
                &format!("\"{name}\":{value}"),
                1,
            ));
        }
    }
    list(&records)
}
