//! Arguments of any size: refused by name and limit before anything looks at them.

use crate::Attack;
use anyhow::{Result, ensure};
use easysync_tests::bed::{Setup, with_bed};
use easysync_tests::refusal::refused;
use easysync_tests::surface::{Function, Naming, functions};
use std::time::{Duration, Instant};

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack { name: "every_argument_has_a_size_limit", run: every_argument_has_a_size_limit },
        Attack { name: "a_tenant_has_a_limited_number_of_schedules", run: schedules },
    ]
}

/// Values that are too large, by the argument's type.
fn too_large(kind: &str) -> &'static [&'static str] {
    match kind {
        "text" => &["repeat('x', 20000000)", "repeat(e'\\u20ac', 8001)"],
        "jsonb" => &[
            "jsonb_build_object('x', repeat('y', 20000000))",
            "(repeat('{\"x\":', 40) || '1' || repeat('}', 40))::jsonb",
            "(repeat('[', 5000) || repeat(']', 5000))::jsonb",
        ],
        "json" => &["json_build_object('x', repeat('y', 20000000))"],
        "text[]" => &["array_fill('7'::text, array[10001])", "array[repeat('7', 256)]"],
        "bigint[]" => &["array_fill(7::bigint, array[10001])"],
        _ => &[],
    }
}

/// A call that is right but for that argument.
fn call(function: &Function, place: usize, given: &str) -> String {
    let naming = Naming { text: "shop".into(), number: 1, tenant: "north".into() };
    let call = function.short_call(&naming, place, given);
    // Others that are looked at before.
    let words = match function.name.as_str() {
        "connect" => ("connector => 'shop'", "connector => 'woocommerce'"),
        "set_setting" => ("name => 'shop'", "name => 'timezone'"),
        "alter_schedule" => ("name => 'shop'", "name => 'orders_full_shop'"),
        _ => return call,
    };
    call.replace(words.0, words.1)
}

fn every_argument_has_a_size_limit() -> Result<()> {
    with_bed("attack-sizes", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.db.batch_execute("set statement_timeout = '20s'")?;
        let mut tried = 0;
        for function in functions(&mut bed.db)? {
            for (place, (argument, kind)) in function.arguments.iter().enumerate() {
                for given in too_large(kind) {
                    // Two MiB of a delivery are a body.
                    if argument == "body" && given.contains("20ac") {
                        continue;
                    }
                    let statement = call(&function, place, given);
                    let began = Instant::now();
                    let refusal = refused(&mut bed.db, &statement, &[])?;
                    ensure!(began.elapsed() < Duration::from_secs(5), "{statement} takes its time");
                    ensure!(
                        refusal.sqlstate == "22023"
                            && refusal.detail.contains("too_large")
                            && refusal.hint.starts_with("At most "),
                        "{statement}: {} {:.200} {:.200}",
                        refusal.sqlstate,
                        refusal.message,
                        refusal.hint
                    );
                    ensure!(refusal.text().len() < 500, "{statement} repeats it");
                    tried += 1;
                }
            }
        }
        ensure!(tried > 80, "only {tried} arguments");
        // The door that is a view.
        for row in [
            "(repeat('x', 300), '{}', '')",
            "('shop', jsonb_build_object('x', repeat('y', 70000)), '')",
            "('shop', (repeat('{\"x\":', 127) || '1' || repeat('}', 127))::jsonb, '')",
            "('shop', '{}', repeat('x', 2097153))",
        ] {
            let insert = format!(
                "insert into easysync.webhook_events (connection, headers, body) values {row}"
            );
            refused(&mut bed.db, &insert, &[])?.assert("22023", &["At most", "too_large"]);
        }
        Ok(())
    })
}

fn schedules() -> Result<()> {
    with_bed("attack-schedules-many", Setup::default(), |bed| {
        bed.connect_shop()?;
        let statement = "select easysync.schedule('orders', '0 0 1 1 *', name => 's' || n) from generate_series(1, 600) as n";
        bed.db.batch_execute("set client_min_messages = error")?;
        refused(&mut bed.db, statement, &[])?.assert("22023", &["At most 500 schedules"]);
        bed.db.batch_execute(&statement.replace("600", "498"))?;
        // What is there may be changed.
        bed.db.batch_execute("select easysync.schedule('orders', '0 0 2 1 *', name => 's1')")?;
        Ok(())
    })
}
