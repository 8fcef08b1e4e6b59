//! Numbers and times of any size, for everything that a role of ours may call: answered or refused
//! soon, by an error with words of its own, and never by the end of a process.

use crate::Attack;
use anyhow::{Result, bail, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::surface::{Naming, functions};
use std::time::{Duration, Instant};

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack { name: "numbers_and_times_of_any_size_are_answered_soon", run: surface },
        Attack { name: "helpers_take_arguments_of_any_size", run: helpers },
    ]
}

const SOON: Duration = Duration::from_secs(5);

/// The ends of a type, and beyond what people mean by it.
fn extremes(kind: &str) -> &'static [&'static str] {
    match kind {
        "integer" => &["2147483647", "(-2147483648)::integer", "0"],
        "bigint" => &["9223372036854775807", "(-9223372036854775808)::bigint", "0::bigint"],
        "numeric" => &["'NaN'::numeric", "1e131000::numeric", "-1e131000::numeric"],
        "timestamp with time zone" => &[
            "'infinity'::timestamptz",
            "'-infinity'::timestamptz",
            "'294276-12-31 23:59:59+00'::timestamptz",
            "'4713-01-01 00:00:00+00 BC'::timestamptz",
        ],
        "interval" => &["interval '178000000 years'", "interval '-178000000 years'"],
        _ => &[],
    }
}

/// Texts as long as one message to the server may be, more or less.
fn long(kind: &str) -> &'static [&'static str] {
    match kind {
        "text" => &["repeat('x', 20000000)", "repeat('1 ', 10000000)"],
        "jsonb" => &["jsonb_build_object('x', repeat('y', 20000000))"],
        "text[]" => &["array_fill('7'::text, array[1000000])"],
        "bigint[]" => &["array_fill(7::bigint, array[1000000])"],
        _ => extremes(kind),
    }
}

/// Runs it; a refusal is as good as an answer. Its rows stay there: they may be many.
fn try_it(bed: &mut Bed, statement: &str) -> Result<()> {
    let began = Instant::now();
    if let Err(error) = bed.db.batch_execute(statement) {
        let Some(db) = error.as_db_error() else { bail!("{statement:.200}: {error}") };
        let code = db.code().code();
        ensure!(
            !code.starts_with("XX") && !["57014", "53200"].contains(&code),
            "{statement:.200}: {code} {:.300}",
            db.message()
        );
        ensure!(db.message().len() < 5000, "{statement:.200} repeats it");
    }
    ensure!(began.elapsed() < SOON, "{statement:.200} took {:?}", began.elapsed());
    Ok(())
}

fn surface() -> Result<()> {
    with_bed("attack-extremes", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.sync_well("products", "full")?;
        let naming = Naming { text: "shop".into(), number: 1, tenant: "default".into() };
        bed.db.batch_execute("set statement_timeout = '20s'; set client_min_messages = error")?;
        let (mut tried, mut wrong) = (0, Vec::new());
        for function in functions(&mut bed.db)? {
            for (place, (_, kind)) in function.arguments.iter().enumerate() {
                for given in extremes(kind) {
                    tried += 1;
                    let statement = function.short_call(&naming, place, given);
                    wrong.extend(try_it(bed, &statement).err().map(|error| format!("{error:#}")));
                }
            }
        }
        println!("{tried} calls");
        ensure!(tried > 20 && wrong.is_empty(), "of {tried} calls: {wrong:#?}");
        Ok(())
    })
}

/// Functions of the inner schema that a role of ours may call, for the views' sake.
const HELPERS: &str = "select p.proname::text,
           (select coalesce(array_agg(format_type(a.type, null) order by a.place), '{}')
              from unnest(p.proargtypes::oid[]) with ordinality as a (type, place))
      from pg_proc as p
     where p.pronamespace = 'easysync_internal'::regnamespace and p.prokind = 'f'
       and p.prorettype <> 'trigger'::regtype
       and exists (select from pg_roles as r where r.rolname like 'easysync%'
                    and r.rolname not in ('easysync_owner', 'easysync_worker')
                    and has_function_privilege(r.oid, p.oid, 'execute'))
     order by 1";

/// A value of the type that is nothing special.
fn ordinary(kind: &str) -> String {
    match kind {
        "text" => "'0 * * * *'".into(),
        "jsonb" => "'{}'::jsonb".into(),
        "integer" | "bigint" | "numeric" => format!("1::{kind}"),
        "timestamp with time zone" => "now()".into(),
        "boolean" => "true".into(),
        other => format!("null::{other}"),
    }
}

fn helpers() -> Result<()> {
    with_bed("attack-helpers", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.db.batch_execute("set statement_timeout = '20s'; set client_min_messages = error")?;
        let rows = bed.db.query(HELPERS, &[])?;
        let (mut tried, mut wrong) = (0, Vec::new());
        for row in rows {
            let (name, kinds): (String, Vec<String>) = (row.get(0), row.get(1));
            for place in 0..kinds.len() {
                for given in long(&kinds[place]) {
                    let mut values: Vec<String> = kinds.iter().map(|kind| ordinary(kind)).collect();
                    // A zone, where the expression is to be read.
                    if name == "slots_after" && place != 1 {
                        values[1] = "'UTC'".into();
                    }
                    values[place] = (*given).into();
                    tried += 1;
                    let call = format!(
                        "select count(*) from easysync_internal.{name}({})",
                        values.join(", ")
                    );
                    wrong.extend(try_it(bed, &call).err().map(|error| format!("{error:#}")));
                }
            }
        }
        // A day that never comes, and as many slots as there is no memory for.
        for (cron, until) in
            [("0 0 30 2 *", "null"), ("* * * * *", "'infinity'"), ("* * * * *", "null")]
        {
            let call = format!(
                "select count(*) from easysync_internal.slots_after('{cron}', 'UTC', now(), {until}, 2147483647)"
            );
            wrong.extend(try_it(bed, &call).err().map(|error| format!("{error:#}")));
        }
        println!("{tried} calls");
        ensure!(tried > 10 && wrong.is_empty(), "of {tried} calls: {wrong:#?}");
        Ok(())
    })
}
