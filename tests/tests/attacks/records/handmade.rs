//! Rows made by hand in the hub that are to be pushed.

use super::{Attack, failure};
use anyhow::{Context, Result, ensure};
use easysync_tests::bed::Bed;
use easysync_tests::books::with_books;
use std::time::Duration;

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack { name: "an_odd_row_of_the_hub_fails_by_name_and_the_push_goes_on", run: odd_rows },
        Attack { name: "a_record_whose_bundle_can_not_be_read_fails_alone", run: unreadable },
    ]
}

/// Orders made in the hub, each with a line; the last one is as it should be.
fn make(bed: &mut Bed) -> Result<()> {
    bed.db.batch_execute(
        "alter table commerce.order_lines alter column name drop not null;
         insert into commerce.orders (number, status, currency, total, subtotal, paid_at, created_at, attributes, shipping_lines)
         select v.number, 'completed', 'USD', v.total::numeric, 10, v.at::timestamptz, v.made::timestamptz, v.attributes::jsonb, v.shipping::jsonb
           from (values
             ('NAN', 'NaN', now()::text, now()::text, '{}', '[]'),
             ('INF', 'Infinity', now()::text, now()::text, '{}', '[]'),
             ('HUGE', '1e30000', now()::text, now()::text, '{}', '[]'),
             ('NEVER', '10', 'infinity', now()::text, '{}', '[]'),
             ('BEFORE', '10', now()::text, '-infinity', '{}', '[]'),
             ('ANCIENT', '10', now()::text, '4000-01-01 BC', '{}', '[]'),
             ('DEEP', '10', now()::text, now()::text, '{\"x\":' || repeat('[', 130) || repeat(']', 130) || '}', '[]'),
             ('ABYSS', '10', now()::text, now()::text, '{\"x\":' || repeat('[', 2000) || repeat(']', 2000) || '}', '[]'),
             ('LIST', '10', now()::text, now()::text, '[1, 2]', '[]'),
             ('NULLS', '10', now()::text, now()::text, '{}', '[null]'),
             ('WORDS', '10', now()::text, now()::text, '{}', '\"none\"'),
             ('NAMELESS', '10', now()::text, now()::text, '{}', '[]'),
             ('GOOD', '10', now()::text, now()::text, '{}', '[]'))
             as v (number, total, at, made, attributes, shipping);
         insert into commerce.order_lines (order_id, line_number, name, quantity, subtotal, total)
         select id, 1, case number when 'NAMELESS' then null else 'A thing' end, 1, 10, 10
           from commerce.orders where source_connection is null",
    )?;
    Ok(())
}

const ODD: [(&str, &str); 12] = [
    ("NAN", "total"),
    ("INF", "total"),
    ("HUGE", "total"),
    ("NEVER", "paid_at"),
    ("BEFORE", "created_at"),
    ("ANCIENT", "created_at"),
    ("DEEP", "attributes"),
    ("ABYSS", "attributes"),
    ("LIST", "attributes"),
    ("NULLS", "shipping_lines"),
    ("WORDS", "shipping_lines"),
    ("NAMELESS", "name"),
];

fn odd_rows() -> Result<()> {
    with_books("records-handmade", "us_single", |bed, books| {
        make(bed)?;
        let ids: Vec<String> = bed
            .db
            .query("select id::text from commerce.orders where source_connection is null", &[])?
            .iter()
            .map(|row| row.get(0))
            .collect();
        let id: i64 = bed
            .db
            .query_one(
                "select easysync.trigger('orders', connection => 'books', ids => $1)",
                &[&ids],
            )?
            .get(0);
        let run = books.wait_for(bed, id, Duration::from_secs(60))?;
        let told = bed.text("select string_agg(format('%s %s %s %s', entity, record_id, error_code, error_message), E'\n') from easysync.sync_failures")?;
        ensure!(run.status == "partial" && run.failed == ODD.len() as i64, "{run:?} {told:?}");
        for (number, word) in ODD {
            let id =
                bed.text(&format!("select id from commerce.orders where number = '{number}'"))?;
            let (_, message, hint) =
                failure(bed, "orders", &id.context("id")?).with_context(|| format!("{told:?}"))?;
            ensure!(message.contains(word) && message.contains(number), "{number}: {message}");
            ensure!(message.len() < 500 && hint.contains("Correct"), "{number}: {message} {hint}");
        }
        // Some of them have the id that an order of the shop has which was posted in the same run.
        let twins = "commerce.orders as o where exists (select from commerce.orders as h where h.source_id is null and h.id::text = o.source_id)";
        ensure!(bed.count(twins)? > 0, "no two records share an id");
        let good =
            "select count(*) from easysync.links as l join commerce.orders as o on o.id = l.hub_id
                     where o.number = 'GOOD' and l.remote_type in ('SalesReceipt', 'Invoice')";
        ensure!(bed.text(good)?.as_deref() == Some("1"), "the good one was posted");
        Ok(())
    })
}

fn unreadable() -> Result<()> {
    with_books("records-bundles", "us_single", |bed, books| {
        make(bed)?;
        // A column of the owner's own whose value fails to be shown, for one row.
        bed.db.batch_execute(
            "create type public.mood as (word text);
             create function public.show_mood(public.mood) returns json language plpgsql immutable as
                 $f$ begin if $1.word = 'bad' then raise exception 'no such mood' using errcode = '22000'; end if;
                     return to_json($1.word); end $f$;
             create cast (public.mood as json) with function public.show_mood(public.mood);
             alter table commerce.orders add column mood public.mood;
             update commerce.orders set mood = row('bad')::public.mood where number = 'NAN'",
        )?;
        let ids: Vec<String> = bed
            .db
            .query("select id::text from commerce.orders where number in ('NAN', 'GOOD')", &[])?
            .iter()
            .map(|row| row.get(0))
            .collect();
        let id: i64 = bed
            .db
            .query_one(
                "select easysync.trigger('orders', connection => 'books', ids => $1)",
                &[&ids],
            )?
            .get(0);
        let run = books.wait_for(bed, id, Duration::from_secs(60))?;
        ensure!(run.status == "partial" && run.failed == 1, "{run:?}");
        Ok(())
    })
}
