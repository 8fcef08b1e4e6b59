//! Lists that are too long, contradict themselves or never end.

use super::{Ends, at_once, products, shop};
use crate::Attack;
use crate::yard::product;
use anyhow::{Result, ensure};
use easysync_tests::hostile::{Asked, Reply, pack_many};
use easysync_tests::run::Run;
use serde_json::{Value, json};
use std::sync::LazyLock;

pub const ATTACKS: &[Attack] = &[
    Attack {
        name: "shop::ten_million_elements_in_one_packed_page",
        run: || products(|_| packed(10_000_000), Ends::Failed(&["too_large"])),
    },
    Attack {
        name: "shop::two_million_elements_in_one_packed_page",
        run: || products(|_| packed(2_000_000), Ends::Failed(&["too_many"])),
    },
    Attack {
        name: "shop::a_page_of_nothing_but_brackets",
        run: || products(|_| Reply::json("[".repeat(4 << 20)), Ends::Failed(BROKEN)),
    },
    Attack {
        name: "shop::a_page_nested_a_million_deep",
        run: || products(|_| nested(), Ends::Partly(1, "nested")),
    },
    Attack {
        name: "shop::the_same_page_for_every_offset",
        run: || products(|_| same(), Ends::Failed(&["no_progress"])),
    },
    Attack {
        name: "shop::nothing_for_every_offset_and_a_total_of_2_to_64",
        run: || products(nothing, Ends::Failed(&["no_progress", "restless_list"])),
    },
    Attack {
        name: "shop::pages_whose_length_changes_with_every_call",
        run: || products(changing, Ends::Failed(&["restless_list", "no_progress"])),
    },
    Attack {
        name: "shop::ids_that_go_backwards",
        run: || products(backwards, Ends::Failed(&["restless_list", "no_progress"])),
    },
    Attack {
        name: "shop::a_page_per_element_without_end",
        run: || products(large_elements, Ends::Failed(&["too_large"])),
    },
    Attack {
        name: "shop::the_same_variations_for_every_offset",
        run: || products(same_variations, Ends::Failed(&["no_progress"])),
    },
    Attack {
        name: "shop::variations_without_end",
        run: || products(endless_variations, Ends::Partly(1, "variations")),
    },
    Attack {
        name: "shop::ids_of_variations_by_the_million",
        run: || products(many_variation_ids, Ends::Partly(1, "")),
    },
    Attack {
        name: "shop::shops_whose_pages_are_as_large_as_they_may_be",
        run: || at_once(&[("products", largest), ("customers", largest)], all_kept),
    },
    Attack { name: "shop::a_total_that_is_no_number", run: || products(odd_total, Ends::Well) },
    Attack {
        name: "shop::an_object_in_place_of_the_list",
        run: || {
            products(
                |_| Reply::json(r#"{"0":{"id":1},"1":{"id":2}}"#),
                Ends::Failed(&["unexpected_json"]),
            )
        },
    },
    Attack {
        name: "shop::customers_without_end_of_whom_none_has_an_id",
        run: || shop("customers", |_| nameless(), Ends::Failed(&["no_progress"])),
    },
];

const BROKEN: &[&str] = &["bad_json", "unexpected_json", "reset"];

/// So many empty objects.
fn packed(count: usize) -> Reply {
    static PACKED: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
        [2_000_000, 10_000_000].map(|count| pack_many(b"[", b"{},", count - 1, b"{}]"))
    });
    Reply::json_with("content-encoding: gzip\r\n", PACKED[usize::from(count > 2_000_000)].clone())
}

fn nested() -> Reply {
    Reply::json(format!("[{}{}]", "[".repeat(1_000_000), "]".repeat(1_000_000)))
}

fn list(total: &str, items: &[Value]) -> Reply {
    Reply::json_with(&format!("x-wp-total: {total}\r\n"), Value::from(items).to_string())
}

fn same() -> Reply {
    list("18446744073709551615", &(1..=100).map(product).collect::<Vec<_>>())
}

fn nothing(asked: &Asked) -> Reply {
    match asked.number_of("offset") {
        0 => same(),
        _ => list("18446744073709551615", &[]),
    }
}

fn changing(asked: &Asked) -> Reply {
    let len = (asked.number as u64 * 37) % 101;
    let from = 1 + (asked.number as u64 * 7919) % 500;
    list("100000", &(from..from + len).map(product).collect::<Vec<_>>())
}

fn backwards(asked: &Asked) -> Reply {
    let from = 1_000_000_u64.saturating_sub(asked.number_of("offset"));
    list("1000000", &(0..100).map(|n| product(from.saturating_sub(n))).collect::<Vec<_>>())
}

/// Each element alone is more than an answer may be.
fn large_elements(asked: &Asked) -> Reply {
    let id = 1 + asked.number_of("offset");
    let text = " ".repeat(9 << 20);
    Reply::json_with("x-wp-total: 1000000\r\n", format!("[{{\"id\":{id},\"name\":\"{text}\"}}]"))
}

fn variable(variations: &Value) -> Value {
    let mut product = product(1);
    product["type"] = "variable".into();
    product["variations"] = variations.clone();
    product
}

fn variations(asked: &Asked, of: fn(&Asked) -> Vec<Value>) -> Reply {
    match asked.path.ends_with("/variations") {
        true => list("18446744073709551615", &of(asked)),
        false => list("1", &[variable(&json!([1001]))]),
    }
}

fn same_variations(asked: &Asked) -> Reply {
    variations(asked, |_| (1001..=1100).map(product).collect())
}

fn endless_variations(asked: &Asked) -> Reply {
    variations(asked, |asked| {
        let from = 1001 + asked.number_of("offset");
        (from..from + 100)
            .map(|id| {
                let mut variation = product(id);
                variation["description"] = "x".repeat(10_000).into();
                variation
            })
            .collect()
    })
}

/// More than one record may hold.
fn many_variation_ids(_: &Asked) -> Reply {
    list("2", &[variable(&(0..500_000).collect()), product(2)])
}

fn odd_total(asked: &Asked) -> Reply {
    let total = ["-1", "1e9", "0x10", "", " ", "NaN", "99999999999999999999999"];
    list(total[asked.number % total.len()], &[product(1), product(2)])
}

fn nameless() -> Reply {
    list("1000000", &vec![json!({"email": "a@shop.example"}); 100])
}

/// Pages of 7 MiB, of records that are as large and of as many values as one may be.
fn largest(asked: &Asked) -> Reply {
    static VALUES: LazyLock<String> =
        LazyLock::new(|| format!("[{}]", vec!["{\"key\":\"k\",\"value\":\"\"}"; 64_000].join(",")));
    let offset = asked.number_of("offset");
    let last = (offset + asked.number_of("per_page")).min(24).min(offset + 4);
    let records: Vec<String> = (offset..last)
        .map(|n| format!("{{\"meta_data\":{},{}", *VALUES, &product(n + 1).to_string()[1..]))
        .collect();
    Reply::json_with("x-wp-total: 24\r\n", format!("[{}]", records.join(",")))
}

fn all_kept(run: &Run) -> Result<()> {
    ensure!(run.status == "succeeded" && run.created == 24, "{run:?}");
    Ok(())
}
