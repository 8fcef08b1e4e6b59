//! The matrix of settings over the surface: what a call answers with its defaults, it answers with
//! every other value of every setting that a user may set.

use anyhow::{Context, Result, bail, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::surface::{Naming, calls};
use postgres::{Client, NoTls};
use serde_json::json;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Settings that a user may set, with values that are not the defaults. Left out, each with its reason:
/// `statement_timeout` and its kin (ending a call is what they are for), `transaction_read_only` and
/// isolation (likewise), `log_*` and `session_replication_role` (of superusers), `role`,
/// `restrict_nonsystem_relation_kind` (refusing views is what it is for).
const SETTINGS: [(&str, &str); 44] = [
    ("standard_conforming_strings", "off"),
    ("backslash_quote", "off"),
    ("escape_string_warning", "off"),
    ("datestyle", "SQL, DMY"),
    ("datestyle", "German"),
    ("intervalstyle", "sql_standard"),
    ("intervalstyle", "iso_8601"),
    ("timezone", "Asia/Kolkata"),
    ("timezone", "America/St_Johns"),
    ("timezone_abbreviations", "India"),
    ("extra_float_digits", "-15"),
    ("bytea_output", "escape"),
    ("transform_null_equals", "on"),
    ("array_nulls", "off"),
    ("quote_all_identifiers", "on"),
    ("plpgsql.extra_errors", "all"),
    ("plpgsql.extra_warnings", "all"),
    ("plpgsql.check_asserts", "off"),
    ("plpgsql.print_strict_params", "on"),
    ("row_security", "off"),
    ("check_function_bodies", "off"),
    ("xmloption", "document"),
    ("xmlbinary", "hex"),
    ("lc_monetary", "POSIX"),
    ("lc_numeric", "POSIX"),
    ("lc_time", "POSIX"),
    ("client_encoding", "LATIN1"),
    ("client_encoding", "SQL_ASCII"),
    ("client_min_messages", "error"),
    ("search_path", ""),
    ("search_path", "evil, pg_catalog"),
    ("gin_fuzzy_search_limit", "1"),
    ("force_parallel_mode", "regress"),
    ("plan_cache_mode", "force_generic_plan"),
    ("plan_cache_mode", "force_custom_plan"),
    ("constraint_exclusion", "on"),
    ("synchronize_seqscans", "off"),
    ("enable_indexscan", "off"),
    ("enable_seqscan", "off"),
    ("enable_hashagg", "off"),
    ("work_mem", "64kB"),
    ("default_text_search_config", "pg_catalog.german"),
    ("default_transaction_deferrable", "on"),
    ("synchronous_commit", "off"),
];

/// Settings that a user may set and the matrix leaves out, by the start of their names, each for a reason.
const NOT_TRIED: [(&str, &str); 24] = [
    ("enable_", "another plan: two of the kind are tried"),
    ("geqo", "another plan"),
    ("jit", "another plan"),
    ("cpu_", "another plan"),
    ("seq_page_cost", "another plan"),
    ("random_page_cost", "another plan"),
    ("parallel_", "another plan"),
    ("min_parallel_", "another plan"),
    ("max_parallel_", "another plan"),
    ("from_collapse_limit", "another plan"),
    ("join_collapse_limit", "another plan"),
    ("cursor_tuple_fraction", "another plan"),
    ("recursive_worktable_factor", "another plan"),
    ("effective_", "another plan, or how much is read ahead"),
    ("maintenance_io_concurrency", "how much is read ahead"),
    ("default_statistics_target", "another plan"),
    ("debug_", "what is printed; force_parallel_mode is tried"),
    ("tcp_", "the connection"),
    ("client_connection_check_interval", "the connection"),
    ("commit_siblings", "when a commit is written"),
    ("vacuum_", "maintenance"),
    ("default_transaction_", "what the session may: tried with the worker in odd.rs"),
    ("transaction_", "what the session may"),
    ("application_name", "a name"),
];

/// The same, by their whole names.
const NOT_TRIED_EITHER: [(&str, &str); 29] = [
    ("statement_timeout", "ending a call is what it is for"),
    ("lock_timeout", "likewise"),
    ("idle_in_transaction_session_timeout", "likewise"),
    ("idle_session_timeout", "likewise"),
    ("role", "another role's rights"),
    ("session_authorization", "likewise"),
    ("seed", "random(): nothing of ours asks it"),
    ("password_encryption", "of CREATE ROLE"),
    ("lo_compat_privileges", "of large objects"),
    ("local_preload_libraries", "of the start of a session"),
    ("logical_decoding_work_mem", "of decoding"),
    ("wal_sender_timeout", "of replication"),
    ("wal_skip_threshold", "when a commit is written"),
    ("temp_buffers", "memory: tried with the worker in odd.rs"),
    ("maintenance_work_mem", "memory"),
    ("hash_mem_multiplier", "memory: work_mem is tried"),
    ("gin_pending_list_limit", "memory"),
    ("backend_flush_after", "when pages are written"),
    ("createrole_self_grant", "of CREATE ROLE"),
    ("default_table_access_method", "of new tables"),
    ("default_toast_compression", "of new tables"),
    ("default_tablespace", "of new tables: tried with the worker in odd.rs"),
    ("temp_tablespaces", "of temporary tables"),
    ("stats_fetch_consistency", "of statistics views"),
    ("log_parameter_max_length_on_error", "what is logged"),
    ("restrict_nonsystem_relation_kind", "refusing views is what it is for"),
    ("trace_notify", "what is logged"),
    ("trace_sort", "what is logged"),
    ("exit_on_error", "ending the session is what it is for: tried with the worker in odd.rs"),
];

#[test]
fn every_setting_of_a_user_is_in_the_matrix_or_left_out_for_a_reason() -> Result<()> {
    with_bed("settings-complete", Setup::default(), |bed| {
        let names = bed.db.query(
            "select name from pg_settings where context = 'user' and name not like 'easysync.%' order by 1",
            &[],
        )?;
        let is_known = |name: &str| {
            SETTINGS.iter().any(|(tried, _)| tried.eq_ignore_ascii_case(name))
                || NOT_TRIED.iter().any(|(start, _)| name.starts_with(start))
                || NOT_TRIED_EITHER.iter().any(|(left, _)| *left == name)
        };
        let unknown: Vec<String> = names
            .iter()
            .map(|row| row.get::<_, String>(0))
            .filter(|name| !is_known(name))
            .collect();
        println!("{} settings that a user may set, {} values tried", names.len(), SETTINGS.len());
        ensure!(unknown.is_empty(), "neither tried nor left out: {unknown:?}");
        Ok(())
    })
}

/// Functions with an answer of their own each time, or with work outside the transaction.
const LEFT_OUT: [&str; 3] = [
    // Writes a file.
    "rotate_encryption_key",
    // Ask the platform: how long each check took is in the answer.
    "test_connection",
    // Read the whole document below instead: heartbeats and pids are in it.
    "health",
];

/// Calls with arguments that lead further than the names of the walk.
const FURTHER: [&str; 12] = [
    "select easysync.trigger('orders')",
    "select easysync.trigger('orders', filters => '{\"created_since\": \"2025-02-01\", \"status\": \"completed\"}')",
    "select easysync.trigger('ordes')",
    "select easysync.schedule('orders', '0 9 * * mon,sat', name => 'weekdays')",
    "select easysync.schedule('orders', '*/10 * * * * s')",
    "select easysync.set_setting('log_retention', '90 days')",
    "select easysync.set_setting('log_retention', '1-2')",
    "select easysync.set_stream('shop', 'orders', filters => '{\"status\": [\"completed\"]}')",
    "select easysync.fence('because')",
    "select easysync.health() - 'worker'",
    "select easysync.allowed_tenants(), easysync.current_tenant()",
    "select easysync.disable('shop', 'a rest')",
];

/// What a statement answered: its rows, or its refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer(String);

impl Answer {
    /// Without ids, times and tokens, which differ from call to call.
    fn masked(&self) -> String {
        let mut shown = String::new();
        for word in self.0.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
            match word.starts_with("esc_") || word.chars().any(|c| c.is_ascii_digit()) {
                true => shown.push('#'),
                false => shown.push_str(word),
            }
        }
        shown
    }
}

/// A statement that takes longer is tried once, under all of [`TOGETHER`] at a time.
const SLOW: Duration = Duration::from_millis(60);

/// One value of every setting that what a body says may depend on.
const TOGETHER: [(&str, &str); 13] = [
    ("standard_conforming_strings", "off"),
    ("datestyle", "SQL, DMY"),
    ("intervalstyle", "sql_standard"),
    ("timezone", "Asia/Kolkata"),
    ("extra_float_digits", "-15"),
    ("bytea_output", "escape"),
    ("transform_null_equals", "on"),
    ("array_nulls", "off"),
    ("quote_all_identifiers", "on"),
    ("plpgsql.extra_errors", "all"),
    ("row_security", "off"),
    ("client_encoding", "LATIN1"),
    ("search_path", "evil, pg_catalog"),
];

/// Runs a statement under settings and rolls it back. Its rows are turned into text after the setting
/// is gone: how a client wants to see a time is the client's business.
fn answer(client: &mut Client, statement: &str, settings: &[(&str, &str)]) -> Result<Answer> {
    let mut transaction = client.transaction()?;
    for (name, value) in settings {
        transaction.batch_execute(&format!("set local {name} = '{value}'"))?;
    }
    let kept = format!("create temp table kept_answer on commit drop as {statement}");
    let answered = match transaction.batch_execute(&kept) {
        Ok(()) => {
            for (name, _) in settings {
                transaction.batch_execute(&format!("reset {name}"))?;
            }
            let rows = "select coalesce(jsonb_agg(to_jsonb(a) order by to_jsonb(a)), '[]')::text
                        from pg_temp.kept_answer as a";
            Answer(transaction.query_one(rows, &[])?.get(0))
        }
        Err(error) => {
            let error = error.as_db_error().with_context(|| statement.to_owned())?;
            Answer(format!(
                "{} {} {:?} {:?}",
                error.code().code(),
                error.message(),
                error.detail(),
                error.hint()
            ))
        }
    };
    transaction.rollback()?;
    Ok(answered)
}

/// Every view, every function with its arguments, and the calls that lead further.
fn statements(bed: &mut Bed) -> Result<Vec<String>> {
    let row = "select p.proname::text from pg_proc p
               where p.pronamespace = 'easysync'::regnamespace and p.prorettype = 'void'::regtype";
    let without_rows: HashSet<String> =
        bed.db.query(row, &[])?.iter().map(|row| row.get(0)).collect();
    let naming = Naming { text: "shop".into(), number: 1, tenant: "default".into() };
    let mut found = vec![];
    for (function, call) in calls(&mut bed.db, &naming)? {
        if LEFT_OUT.contains(&function.as_str()) {
            continue;
        }
        let call = match without_rows.contains(&function) {
            true => call.replacen("select *", "select 1 as done", 1),
            false => call,
        };
        found.push(call);
    }
    let views = "select format('select * from easysync.%I', relname) from pg_class
                 where relnamespace = 'easysync'::regnamespace and relkind = 'v'";
    found.extend(bed.db.query(views, &[])?.iter().map(|row| row.get::<_, String>(0)));
    for further in FURTHER {
        let call = further.strip_prefix("select easysync.").unwrap_or_default();
        let function = call.split('(').next().unwrap_or_default();
        found.push(match without_rows.contains(function) {
            true => format!("select 1 as done from easysync.{call}"),
            false => further.to_owned(),
        });
    }
    Ok(found)
}

/// Two tenants with something of everything, a role that works for one of them, and a schema with
/// operators and functions that take the place of Postgres' own for whoever looks there first.
fn prepare(bed: &mut Bed) -> Result<Client> {
    bed.connect_shop()?;
    bed.sync_well("orders", "full")?;
    bed.db.execute(
        "select easysync.connect('lighthouse', 'woocommerce', settings => $1, credentials => $2, verify => false)",
        &[
            &json!({"url": "https://lighthouse.example"}),
            &json!({"consumer_key": "ck_0123456789", "consumer_secret": "cs_0123456789"}),
        ],
    )?;
    bed.db.batch_execute(
        "select easysync.schedule('orders', '0 3 * * *', name => 'nightly');
         select easysync.add_tenant_member('postgres', 'default');
         create role north login password 'north';
         grant easysync_admin to north;
         select easysync.add_tenant_member('north', 'north');
         create schema evil;
         grant usage on schema evil to public;
         create function evil.now() returns timestamptz language sql as $$ select '2001-01-01'::timestamptz $$;
         create function evil.differ(text, text) returns boolean language sql as $$ select false $$;
         create operator evil.= (leftarg = text, rightarg = text, function = evil.differ);
         create function evil.format(text, text) returns text language sql as $$ select 'evil'::text $$;
         create function evil.count(anyelement) returns bigint language sql as $$ select 0::bigint $$;",
    )?;
    let mut config = bed.cluster.config(&bed.database);
    config.user("north").password("north");
    Ok(config.connect(NoTls)?)
}

#[test]
fn no_setting_of_a_session_changes_an_answer() -> Result<()> {
    with_bed("settings-matrix", Setup::default(), |bed| {
        let mut north = prepare(bed)?;
        let statements = statements(bed)?;
        ensure!(statements.len() > 60, "only {} statements", statements.len());
        let mut own = bed.client()?;
        let (mut cases, mut together, mut unsteady, mut odd) = (0, 0, vec![], vec![]);
        for (who, client) in [("postgres", &mut own), ("north", &mut north)] {
            for statement in &statements {
                let began = Instant::now();
                let first = answer(client, statement, &[])?;
                let slow = began.elapsed() > SLOW;
                let second = answer(client, statement, &[])?;
                let steady = first == second;
                if !steady && first.masked() != second.masked() {
                    unsteady.push(statement.clone());
                    continue;
                }
                let tried: Vec<&[(&str, &str)]> = match slow {
                    true => vec![&TOGETHER],
                    false => SETTINGS.iter().map(std::slice::from_ref).collect(),
                };
                together += usize::from(slow);
                for settings in tried {
                    let answered = answer(client, statement, settings)?;
                    cases += 1;
                    let same = match steady {
                        true => answered == first,
                        false => answered.masked() == first.masked(),
                    };
                    if !same {
                        odd.push(format!(
                            "{who}, {settings:?}: {statement}\n  {}\n  {}",
                            first.0, answered.0
                        ));
                    }
                }
            }
        }
        println!(
            "settings matrix: {} settings x {} statements x 2 roles: {cases} cases, {together} slow statements with all settings at once, {} left out as unsteady",
            SETTINGS.len(),
            statements.len(),
            unsteady.len()
        );
        ensure!(unsteady.len() <= 4, "too many can't be compared: {unsteady:#?}");
        if !odd.is_empty() {
            bail!("{} answers changed:\n{}", odd.len(), odd[..odd.len().min(30)].join("\n"));
        }
        Ok(())
    })
}
