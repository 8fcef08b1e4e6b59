//! Lists page by their indexes however long they are, for the people who read them; and what makes
//! that possible shows nobody a row of another tenant.

use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::many::{self, PAGES, Scale};
use postgres::Client;
use serde_json::Value;
use std::time::{Duration, Instant};

/// A bed with a connected shop, whose tenants have a history each.
fn with_history(name: &str, test: impl FnOnce(&mut Bed) -> Result<()>) -> Result<()> {
    with_bed(name, Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.db.batch_execute(
            "create role reader login; grant easysync_viewer, easysync_operator, easysync_admin to reader;
             select easysync.add_tenant_member('reader', 'default');
             create role broad login; grant easysync_viewer, easysync_operator, easysync_admin to broad;
             select easysync.add_tenant_member('broad', 'default'), easysync.add_tenant_member('broad', 'north')",
        )?;
        let account: String =
            bed.db.query_one("select account from easysync_internal.connections", &[])?.get(0);
        many::fill(&mut bed.db, "default", &account, Scale::SMALL)?;
        many::fill(&mut bed.db, "north", &account, Scale { runs: 3_000, ..Scale::SMALL })?;
        test(bed)
    })
}

fn session_of(bed: &Bed, role: &str) -> Result<Client> {
    let mut client = bed.client()?;
    client.batch_execute(&format!("set session authorization {role}"))?;
    Ok(client)
}

/// The most rows that any node of a plan gave or left out, and the nodes that read whole tables.
fn worst(plan: &Value, found: &mut (f64, Vec<String>)) {
    let number = |key: &str| plan[key].as_f64().unwrap_or(0.0);
    let loops = number("Actual Loops").max(1.0);
    let rows = (number("Actual Rows") + number("Rows Removed by Filter")) * loops;
    found.0 = found.0.max(rows);
    if plan["Node Type"] == "Seq Scan" && rows > 1_000.0 {
        found.1.push(plan["Relation Name"].to_string());
    }
    for inner in plan["Plans"].as_array().into_iter().flatten() {
        worst(inner, found);
    }
}

/// Runs a query under EXPLAIN and tells what is wrong with its plan.
fn complaint(client: &mut Client, query: &str, bound: f64) -> Result<Option<String>> {
    let plan: Value = client
        .query_one(&format!("explain (analyze, timing off, format json) {query}"), &[])
        .with_context(|| query.to_owned())?
        .get(0);
    let mut found = (0.0, vec![]);
    worst(&plan[0]["Plan"], &mut found);
    let (rows, whole) = found;
    Ok((rows > bound || !whole.is_empty()).then(|| format!("{rows} rows, {whole:?}: {query}")))
}

#[test]
fn every_list_pages_by_an_index_under_every_filter() -> Result<()> {
    with_history("plans", |bed| {
        // However the server is set, and for prepared statements of any age.
        for setting in [
            "reset all",
            "set jit = on; set jit_above_cost = 0",
            "set random_page_cost = 1.1",
            "set enable_seqscan = off",
            "set enable_bitmapscan = off",
            "set work_mem = '64kB'",
        ] {
            for role in ["reader", "broad"] {
                let mut client = session_of(bed, role)?;
                client.batch_execute(setting)?;
                client.batch_execute("set easysync.tenant_id = 'default'")?;
                let mut complaints = vec![];
                for page in PAGES {
                    complaints.extend(complaint(&mut client, page, 6_000.0)?);
                }
                ensure!(complaints.is_empty(), "{role}, {setting}:\n{}", complaints.join("\n"));
            }
        }
        // Several tenants at once: by the key, leaving out what is of others.
        let mut client = session_of(bed, "broad")?;
        client.batch_execute("set easysync.tenant_id = '*'")?;
        for view in ["sync_runs order by sync_id", "sync_logs order by log_id"] {
            let query = format!("select * from easysync.{view} desc limit 50");
            let complaint = complaint(&mut client, &query, 6_000.0)?;
            ensure!(complaint.is_none(), "{complaint:?}");
        }
        Ok(())
    })
}

#[test]
fn a_function_in_a_filter_is_shown_no_row_of_another_tenant() -> Result<()> {
    with_history("leaks", |bed| {
        bed.db.batch_execute(
            "create table public.seen (value text); grant insert, select on public.seen to public;
             create function public.tells(value text) returns boolean language plpgsql cost 0.0000001 as
             $$ begin insert into public.seen values (value); return true; end $$;
             create operator public.=== (leftarg = text, rightarg = text, function = texteq, restrict = eqsel);
             create function public.divides(value text) returns boolean language sql immutable cost 0.0000001 as
             $$ select 1 / (value <> 'north')::int = 1 $$",
        )?;
        let mut reader = session_of(bed, "reader")?;
        let views: Vec<(String, String)> = bed
            .db
            .query(
                "select c.relname::text, a.attname::text from pg_class c
                 join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
                 where c.relnamespace = 'easysync'::regnamespace and c.relkind = 'v'
                   and c.relname not in ('sync_changes')
                   and has_table_privilege('reader', c.oid, 'select')",
                &[],
            )?
            .iter()
            .map(|row| (row.get(0), row.get(1)))
            .collect();
        ensure!(views.len() > 15, "only {} views", views.len());
        let mut tried = 0;
        for (view, column) in &views {
            for shape in [
                "select count(*) from easysync.{v} where public.tells({c})",
                "select count(*) from easysync.{v} as v where public.tells(v::text)",
                "select * from easysync.{v} where public.tells({c}) order by 1 desc limit 500",
                "select count(*) from (select * from easysync.{v} offset 0) s where public.tells({c})",
                "with w as (select * from easysync.{v}) select count(*) from w where public.tells({c})",
                "select count(*) from easysync.{v} where public.divides({c})",
                "select count(*) from easysync.{v} where {c} operator(public.===) 'north'",
                "select max({c}) from easysync.{v} where 1 / ({c} <> 'north')::int > 0",
                "select count(*) filter (where public.tells({c})) from easysync.{v}",
            ] {
                let query = shape.replace("{v}", view).replace("{c}", column);
                // Joined with itself, a list of thousands takes minutes, and shows nothing new.
                reader.batch_execute("set statement_timeout = '5 s'")?;
                match reader.query(&query, &[]) {
                    Ok(_) => {}
                    Err(error) if error.code().is_some_and(|c| c.code() == "57014") => {}
                    Err(error) => return Err(error).with_context(|| query),
                }
                tried += 1;
            }
        }
        let leaked = bed.count("public.seen where value like '%north%'")?;
        ensure!(leaked == 0, "{leaked} rows of another tenant were shown");
        ensure!(bed.count("public.seen")? > 100_000, "the functions were hardly called");
        println!("{tried} tried");

        // A cached plan follows the session to another tenant.
        let mut both = session_of(bed, "broad")?;
        both.batch_execute(
            "set plan_cache_mode = force_generic_plan;
             prepare page as select string_agg(distinct tenant_id, ',' order by tenant_id) from
                 (select tenant_id from easysync.sync_runs order by sync_id limit 40000) s",
        )?;
        for (tenant, expected) in
            [("default", "default"), ("north", "north"), ("*", "default,north"), ("other", "")]
        {
            both.batch_execute(&format!("set easysync.tenant_id = '{tenant}'"))?;
            let messages = both.simple_query("execute page")?;
            let seen = messages.iter().find_map(|message| match message {
                postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("").to_owned()),
                _ => None,
            });
            ensure!(seen.as_deref() == Some(expected), "{tenant}: {seen:?}");
        }
        Ok(())
    })
}

#[test]
fn health_and_housekeeping_cost_what_they_tell_and_delete() -> Result<()> {
    with_history("housekeeping", |bed| {
        let mut reader = session_of(bed, "reader")?;
        reader.query("select easysync.health()", &[])?;
        let began = Instant::now();
        reader.query("select easysync.health()", &[])?;
        ensure!(began.elapsed() < Duration::from_millis(250), "health took {:?}", began.elapsed());

        // What is over goes in lots, while syncs go on; the rest of the history is not read.
        bed.db.batch_execute(
            "update easysync_internal.sync_runs set finished_at = now() - interval '500 days' where sync_id % 10 = 0;
             update easysync_internal.sync_log set logged_at = now() - interval '40 days' where log_id % 4 = 0;
             update easysync_internal.notifications set recovered_at = now() - interval '500 days' where notification_id % 2 = 0",
        )?;
        bed.db.batch_execute("vacuum analyze")?;
        let over = "easysync_internal.sync_runs where finished_at < now() - interval '450 days'";
        ensure!(bed.count(over)? > 3_000, "nothing is over");
        bed.cluster.restart()?;
        bed.reconnect_patiently()?;
        bed.sync_well("customers", "incremental")?;
        bed.wait_until(
            &format!("select not exists (select from {over})"),
            Duration::from_secs(60),
        )?;
        bed.wait_until(
            "select not exists (select from easysync_internal.sync_log where logged_at < now() - interval '35 days')
                and not exists (select from easysync_internal.notifications where recovered_at < now() - interval '450 days')
                and not exists (select from easysync_internal.sync_run_steps s
                                where not exists (select from easysync_internal.sync_runs r where r.sync_id = s.sync_id))",
            Duration::from_secs(60),
        )?;
        Ok(())
    })
}
