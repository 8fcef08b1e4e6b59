//! Servers and databases with odd settings, as people have them: what an administrator sets for a
//! database, for the role that workers sign in as, or for the server, stops no sync.

use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use serde_json::json;

macro_rules! of_database {
    ($name:literal, $value:literal) => {
        (
            concat!("alter database shop set ", $name, " = '", $value, "'"),
            concat!("alter database shop reset ", $name),
        )
    };
}

/// For the role that a worker signs in as, before it gives up that role's rights.
macro_rules! of_role {
    ($name:literal, $value:literal) => {
        (
            concat!("alter role postgres in database shop set ", $name, " = '", $value, "'"),
            concat!("alter role postgres in database shop reset ", $name),
        )
    };
}

/// What an administrator does, and what takes it back.
const KINDS: [(&str, &str); 24] = [
    of_database!("default_transaction_isolation", "serializable"),
    of_database!("default_transaction_isolation", "repeatable read"),
    of_database!("default_transaction_read_only", "on"),
    of_database!("search_path", "evil"),
    of_database!("session_replication_role", "replica"),
    of_database!("idle_in_transaction_session_timeout", "10ms"),
    of_database!("statement_timeout", "1ms"),
    of_database!("lock_timeout", "1ms"),
    of_database!("role", "nobody"),
    of_database!("jit_above_cost", "0"),
    of_database!("temp_buffers", "800kB"),
    of_database!("default_tablespace", "elsewhere"),
    of_database!("default_toast_compression", "pglz"),
    of_database!("exit_on_error", "on"),
    of_database!("track_activities", "off"),
    of_database!("log_statement", "all"),
    of_role!("search_path", "evil"),
    of_role!("row_security", "off"),
    of_role!("default_transaction_read_only", "on"),
    of_role!("role", "nobody"),
    of_role!("statement_timeout", "1ms"),
    (
        "create table public.ddl_log (tag text);
         create function public.note_ddl() returns event_trigger language plpgsql
             as $$ begin insert into ddl_log values (tg_tag); end $$;
         create event trigger note_ddl on ddl_command_end execute function public.note_ddl()",
        "drop event trigger note_ddl",
    ),
    (
        "alter role easysync_worker set search_path = evil; alter role easysync_worker connection limit 0",
        "alter role easysync_worker reset all; alter role easysync_worker connection limit -1",
    ),
    ("alter database shop connection limit 0", "alter database shop connection limit -1"),
];

/// Changes an order in the shop, syncs, and looks whether the change has come.
fn sync_under(bed: &mut Bed, note: &str) -> Result<()> {
    let order = bed.simulator.shop()?.live_orders()[7]["id"].to_string();
    bed.simulator.update_order(&order, &json!({"customer_note": note}))?;
    // A session that began after the setting; what would refuse this session's own writes is put right.
    bed.reconnect()?;
    bed.db.batch_execute(
        "set role none; set statement_timeout = 0; set lock_timeout = 0;
         set default_transaction_read_only = off",
    )?;
    bed.sync_well("orders", "incremental")?;
    let there = bed.count(&format!(
        "commerce.orders where source_id = '{order}' and customer_note = '{note}'"
    ))?;
    ensure!(there == 1, "the change has not come");
    Ok(())
}

#[test]
fn a_sync_works_under_what_an_administrator_sets() -> Result<()> {
    with_bed("odd-settings", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.sync_well("orders", "full")?;
        let mut admin = bed.cluster.client("postgres")?;
        for statement in [
            "create role nobody",
            "set allow_in_place_tablespaces = on",
            "create tablespace elsewhere location ''",
        ] {
            admin.batch_execute(statement)?;
        }
        bed.db.batch_execute(
            "create schema evil; grant usage on schema evil to public;
             create function evil.now() returns timestamptz language sql as $$ select '2001-01-01'::timestamptz $$;
             create function evil.count(anyelement) returns bigint language sql as $$ select 0::bigint $$",
        )?;
        let mut refused = vec![];
        for (number, (set, reset)) in KINDS.iter().enumerate() {
            println!("{set}");
            bed.db.batch_execute(set).with_context(|| (*set).to_owned())?;
            // A worker that began after it.
            bed.cluster.restart()?;
            if let Err(error) = sync_under(bed, &format!("under setting {number}")) {
                refused.push(format!("{set}: {error:#}"));
            }
            bed.reconnect()?;
            bed.db.batch_execute(
                "set role none; set statement_timeout = 0; set default_transaction_read_only = off",
            )?;
            bed.db.batch_execute(reset).with_context(|| (*reset).to_owned())?;
            bed.reconnect()?;
        }
        println!("{} kinds of odd settings: {} stopped a sync", KINDS.len(), refused.len());
        ensure!(refused.is_empty(), "{}", refused.join("\n"));
        Ok(())
    })
}

/// `exit_on_error` makes every error the end of its process: the worker has errors of its own, caught
/// and told, which must not be its end.
#[test]
fn one_bad_record_is_not_the_end_of_the_worker_where_errors_end_sessions() -> Result<()> {
    with_bed("exit-on-error", Setup::default(), |bed| {
        bed.connect_shop()?;
        let id = bed.simulator.shop()?.live_orders()[7]["id"].to_string();
        bed.sync_well("customers", "full")?;
        bed.db.batch_execute(&format!(
            "alter table commerce.orders add constraint not_this_one check (source_id <> '{id}');
             alter database shop set exit_on_error = on"
        ))?;
        bed.cluster.restart()?;
        bed.reconnect()?;
        let worker = bed.worker_pid()?;
        let run = bed.sync("orders", "full")?;
        ensure!(run.status == "partial" && run.created > 0, "{run:?}");
        ensure!(bed.worker_pid()? == worker, "the worker ended");
        Ok(())
    })
}
