//! Values of a shop's records that no hub can keep safely.

use super::{Attack, failure, order_ids};
use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use serde_json::{Value, json};

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack { name: "long_texts_in_indexed_columns_are_refused_by_name", run: long_keys },
        Attack { name: "numbers_that_are_none_or_too_large_are_refused_by_name", run: numbers },
        Attack { name: "json_that_a_dump_could_not_carry_is_refused_by_name", run: json_values },
        Attack { name: "broken_texts_times_and_ids_are_refused_by_name", run: broken },
        Attack { name: "what_is_large_and_can_be_kept_is_kept", run: kept },
    ]
}

/// Characters that no compression makes fewer.
fn random(length: usize) -> String {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(b'a' + (state % 26) as u8)
        })
        .collect()
}

/// A shop whose orders are known and not pulled yet.
fn shop(bed: &mut Bed, count: i64) -> Result<Vec<String>> {
    bed.connect_shop()?;
    bed.sync_well("orders", "full")?;
    order_ids(bed, count)
}

/// An order as the shop shows it, with one member written in JSON of the test's own.
fn order_with(bed: &Bed, id: &str, member: &str, text: &str) -> Result<String> {
    let mut order = bed.simulator.rest()?.get(&format!("orders/{id}?dp=6"))?;
    order[member] = json!("@@");
    Ok(order.to_string().replace("\"@@\"", text))
}

fn spoil(bed: &Bed, id: &str, text: &str) -> Result<()> {
    bed.simulator
        .fault("spoil_record", json!({"id": id.parse::<u64>()?, "text": text}), Value::Null)
        .map(drop)
}

/// Each of the records fails, its message names the field, and the others are as before.
fn ensure_refused(bed: &mut Bed, cases: &[(String, &str)]) -> Result<()> {
    let before = bed.count("commerce.orders where deleted_at is null")?;
    let run = bed.sync("orders", "full")?;
    for (id, word) in cases {
        let (_, message, hint) = failure(bed, "orders", id).with_context(|| format!("{run:?}"))?;
        ensure!(message.contains(word), "{id}: {message:?} does not name {word}");
        ensure!(message.len() < 1000 && !hint.is_empty(), "{id}: {message} {hint}");
    }
    ensure!(run.status == "partial", "{run:?}");
    let failed = bed.count("easysync.sync_failures")?;
    ensure!(failed == cases.len() as i64, "{failed} failures for {} odd records", cases.len());
    ensure!(bed.count("commerce.orders where deleted_at is null")? == before, "none is gone");
    Ok(())
}

fn long_keys() -> Result<()> {
    with_bed("records-long-keys", Setup::default(), |bed| {
        let ids = shop(bed, 4)?;
        let long = json!(random(8000)).to_string();
        for (id, member) in ids.iter().zip(["number", "status"]) {
            spoil(bed, id, &order_with(bed, id, member, &long)?)?;
        }
        let email = format!("{}@shop.example", random(8000));
        let mut order = bed.simulator.rest()?.get(&format!("orders/{}?dp=6", ids[2]))?;
        order["billing"]["email"] = json!(email);
        spoil(bed, &ids[2], &order.to_string())?;
        let sku =
            bed.text("select min(source_id::bigint) from commerce.products where kind = 'simple'")?;
        let sku = sku.context("a product")?;
        let mut product = bed.simulator.rest()?.get(&format!("products/{sku}"))?;
        product["sku"] = json!(random(8000));
        spoil(bed, &sku, &product.to_string())?;
        let run = bed.sync("orders", "full")?;
        for (id, word) in ids.iter().zip(["number", "status", "email"]) {
            let (_, message, _) = failure(bed, "orders", id).with_context(|| format!("{run:?}"))?;
            ensure!(message.contains(word) && message.contains("longer"), "{id}: {message}");
        }
        let (_, message, _) = failure(bed, "products", &sku)?;
        ensure!(message.contains("sku"), "{message}");
        ensure!(bed.count("easysync.sync_failures")? == 4, "no other");
        Ok(())
    })
}

fn numbers() -> Result<()> {
    with_bed("records-numbers", Setup::default(), |bed| {
        let values = [
            "\"NaN\"",
            "\"Infinity\"",
            "\"1e30000\"",
            "1e30000",
            "\"-1e400\"",
            "{}",
            "[1]",
            "true",
            "\"1,5\"",
            "99999999999999999999999999999999999999",
        ];
        let digits = "9".repeat(200_000);
        let odd_json = ["1e30000", digits.as_str()];
        let ids = shop(bed, values.len() as i64 + 1)?;
        let mut cases = vec![];
        for (id, value) in ids.iter().zip(values.iter().copied().chain([digits.as_str()])) {
            spoil(bed, id, &order_with(bed, id, "total", value)?)?;
            // A number that no JSON may hold is found before the fields are.
            cases.push((id.clone(), if odd_json.contains(&value) { "digits" } else { "total" }));
        }
        ensure_refused(bed, &cases)
    })
}

fn json_values() -> Result<()> {
    with_bed("records-json", Setup::default(), |bed| {
        let meta = |value: &str| format!("[{{\"id\":1,\"key\":\"odd\",\"value\":{value}}}]");
        let large = format!("[{}]", vec!["1e131000"; 20_000].join(","));
        let deep = format!("{}{}", "[".repeat(130), "]".repeat(130));
        let digits = format!("1{}", "0".repeat(200_000));
        let small = "1e-16000".to_owned();
        let negative = "-1E+99999999999999999999".to_owned();
        let long = json!(random(3 << 20)).to_string();
        let values = [large, deep, digits, small, negative, long];
        let ids = shop(bed, values.len() as i64)?;
        let mut cases = vec![];
        for (id, value) in ids.iter().zip(&values) {
            spoil(bed, id, &order_with(bed, id, "meta_data", &meta(value))?)?;
            cases.push((id.clone(), "is not taken"));
        }
        ensure_refused(bed, &cases)?;
        let size =
            bed.text("select sum(length(attributes::text)) < 10000000 from commerce.orders")?;
        ensure!(size.as_deref() == Some("true"), "a dump carries it");
        Ok(())
    })
}

fn broken() -> Result<()> {
    with_bed("records-broken", Setup::default(), |bed| {
        let values = [
            ("customer_note", "\"half a pair: \\ud83d\"", "customer_note"),
            ("date_created_gmt", "\"-0044-03-15T00:00:00\"", "created_at"),
            ("date_created_gmt", "\"99999-01-01T00:00:00\"", "created_at"),
            ("date_created_gmt", "\"infinity\"", "created_at"),
            ("date_modified_gmt", "9223372036854775807", "modified_at"),
        ];
        let ids = shop(bed, values.len() as i64 + 1)?;
        let mut cases = vec![];
        for (id, (member, value, word)) in ids.iter().zip(values) {
            spoil(bed, id, &order_with(bed, id, member, value)?)?;
            cases.push((id.clone(), word));
        }
        // NUL characters alone are taken out, and the record lands.
        let with_nul = &ids[values.len()];
        spoil(bed, with_nul, &order_with(bed, with_nul, "customer_note", "\"no\\u0000thing\"")?)?;
        ensure_refused(bed, &cases)?;
        let noted =
            format!("commerce.orders where source_id = '{with_nul}' and customer_note = 'nothing'");
        ensure!(bed.count(&noted)? == 1, "without its NUL");
        // What is no id is no record: nothing is stored under it.
        for id in ["-5", "0", "1e3", "18446744073709551616", "\"abc\"", "null", "7.5"] {
            bed.simulator.clear_faults()?;
            spoil(bed, with_nul, &order_with(bed, with_nul, "id", id)?)?;
            let run = bed.sync("orders", "full")?;
            ensure!(run.failed >= 1, "{id}: {run:?}");
            let stored = bed.count(
                "commerce.orders where source_id !~ '^[1-9][0-9]*$' or source_id = '18446744073709551616'")?;
            ensure!(stored == 0, "{id} was stored");
        }
        Ok(())
    })
}

/// Long notes, large numbers of PHP, deep but honest JSON.
fn kept() -> Result<()> {
    with_bed("records-kept", Setup::default(), |bed| {
        let ids = shop(bed, 4)?;
        let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
        let meta = |value: &str| format!("[{{\"id\":1,\"key\":\"odd\",\"value\":{value}}}]");
        let note = json!(random(200_000)).to_string();
        for (id, member, value) in [
            (&ids[0], "meta_data", meta("1.7976931348623157e308")),
            (&ids[1], "meta_data", meta(&deep)),
            (&ids[2], "customer_note", note),
            (&ids[3], "number", json!(random(900)).to_string()),
        ] {
            spoil(bed, id, &order_with(bed, id, member, &value)?)?;
        }
        bed.sync_well("orders", "full")?;
        Ok(())
    })
}
