//! Steps of a run, cursors, and what a run shows of itself.

use super::runs::{error_args, filters_of};
use super::spi::{self, Arg, required};
use crate::error::{DbError, DbResult};
use crate::secrets::Sealed;
use engine::model::{Direction, Entity, Mode};
use engine::store::{
    Connection, Cursor, DeletePolicy, Outcome, Progress, Run, Secret, Step, Stream, SyncId,
};
use engine::{Error, Result};
use std::sync::Arc;

/// Streams that a run of an entity carries, of enabled connections: first what is pulled, then what
/// is pushed. A push has one step, which brings what its records need.
const STREAMS: &str = "select s.entity, s.connection, s.filters,
       coalesce(s.delete_policy, easysync_internal.setting(s.tenant_id, 'delete_policy')),
       c.connector, c.account, c.settings, c.key_id, c.sealed, w.direction
  from easysync_internal.streams s
 cross join (values ('pull'), ('push')) as w (direction)
  join easysync_internal.connections c on c.tenant_id = s.tenant_id and c.name = s.connection
 where s.tenant_id = $1 and c.status = 'connected' and ($3 is null or s.connection = $3)
   and s.direction in (w.direction, 'two_way')
   and case w.direction when 'pull' then s.entity = any ($2) else s.entity = $4 end
 order by w.direction, pg_catalog.array_position($2, s.entity), s.connection";

/// What a run that is undone wrote to, the same columns: the accounts first, then the hub. Its pulls
/// from one connection are one step, whatever they brought.
const UNDONE: &str =
    "select case w.direction when 'pull' then $2 else w.entity end, w.connection, '{}'::jsonb,
       'keep', c.connector, c.account, c.settings, c.key_id, c.sealed, w.direction
  from (select case s.direction when 'push' then s.entity end as entity, s.connection, s.direction
          from easysync_internal.sync_run_steps as s
         where s.sync_id = $3 and s.tenant_id = $1 group by 1, 2, 3) as w
  left join easysync_internal.connections as c
    on c.tenant_id = $1 and c.name = w.connection and c.status = 'connected'
 order by w.direction desc, w.connection, w.entity";

/// The steps of a run; those that an interrupted run had are found again by entity and connection.
/// The outer error is the database's, the inner one the run's.
pub fn plan(run: &Run) -> DbResult<Result<Vec<Step>>> {
    let streams = match streams(run, &entities(run))? {
        Ok(streams) => streams,
        Err(error) => return Ok(Err(error)),
    };
    let known = known_steps(run.sync_id)?;
    let mut steps = Vec::with_capacity(streams.len());
    let mut next = known.iter().map(|known| known.step).max().unwrap_or(0);
    for stream in streams {
        let name = stream.connection.name.as_str();
        let found = known.iter().find(|step| {
            step.entity == stream.entity.as_str()
                && step.connection == name
                && step.direction == stream.direction.as_str()
        });
        let (step, finished) = match found {
            Some(known) => (known.step, known.finished),
            None => {
                next += 1;
                add_step(run, next, &stream)?;
                (next, false)
            }
        };
        steps.push(Step { step, stream, finished });
    }
    if steps.is_empty() {
        return Ok(Err(nothing_to_do(run)));
    }
    Ok(Ok(steps))
}

fn entities(run: &Run) -> Vec<Entity> {
    match run.mode {
        // Named records come with nothing but their refunds: a refund has no list of its own ids.
        Mode::Ids if run.entity == Entity::Orders => vec![Entity::Orders, Entity::Refunds],
        Mode::Ids => vec![run.entity],
        _ => run.entity.brings().to_vec(),
    }
}

/// What a run that a session tries would pull, in its order.
pub fn pull_streams(run: &Run) -> DbResult<Result<Vec<Stream>>> {
    // What an earlier call of the session has found may be gone by now.
    super::lookup::forget();
    let all = streams(run, &entities(run))?;
    Ok(all.map(|all| all.into_iter().filter(|s| s.direction != Direction::Push).collect()))
}

/// An undo takes everything back that it can, or nothing.
fn not_connected(name: &str) -> Error {
    let message = format!("\"{name}\" is not connected, and the sync that is undone wrote to it");
    Error::new(engine::Category::Validation, "not_connected", message)
        .hint("See easysync.connections; easysync.enable, then easysync.undo again.")
}

fn nothing_to_do(run: &Run) -> Error {
    let place = run.connection.as_ref().map_or("any connection".to_owned(), |c| format!("\"{c}\""));
    Error::new(
        engine::Category::Validation,
        "no_stream",
        format!("{} do not flow on {place}, or it is not connected", run.entity),
    )
    .hint("See easysync.streams and easysync.connections; easysync.enable or easysync.set_stream.")
}

fn streams(run: &Run, entities: &[Entity]) -> DbResult<Result<Vec<Stream>>> {
    let names = entities.iter().map(|e| Some(e.as_str().to_owned())).collect();
    let tenant: Arg = run.tenant.as_str().into();
    let (sql, args) = match run.undoes {
        Some(undone) => (UNDONE, vec![tenant, run.entity.as_str().into(), undone.into()]),
        None => (
            STREAMS,
            vec![
                tenant,
                Arg::Texts(names),
                run.connection.as_ref().map(|c| c.as_str()).into(),
                run.entity.as_str().into(),
            ],
        ),
    };
    let found = spi::rows(sql, &args, |row| {
        let entity: String = required(row, 1)?;
        let name: String = required(row, 2)?;
        if row.get::<String>(5)?.is_none() {
            return Ok(Err(not_connected(&name)));
        }
        let direction = direction(&required::<String>(row, 10)?);
        let sealed = Sealed { key_id: row.get(8)?, bytes: row.get(9)? };
        let opened = sealed.open_for(Connection {
            tenant: run.tenant.clone(),
            name: name.into(),
            connector: row.get::<String>(5).ok().flatten().unwrap_or_default(),
            account: row.get::<String>(6).ok().flatten().unwrap_or_default(),
            settings: row.get(7).ok().flatten().unwrap_or_default(),
            credentials: Secret::default(),
        });
        let stream = opened.map(|connection| Stream {
            connection: Arc::new(connection),
            entity: Entity::parse(&entity).unwrap_or(run.entity),
            direction,
            filters: Default::default(),
            delete_policy: delete_policy(row.get::<String>(4).ok().flatten().as_deref()),
            rules: None,
        });
        let filters = filters_of(row.get::<serde_json::Value>(3)?.unwrap_or_default())?;
        Ok(stream.map(|stream| Stream { filters, ..stream }))
    })?;
    Ok(found.into_iter().collect())
}

fn direction(word: &str) -> Direction {
    if word == "push" { Direction::Push } else { Direction::Pull }
}

fn delete_policy(word: Option<&str>) -> DeletePolicy {
    match word {
        Some("inactivate") => DeletePolicy::Inactivate,
        Some("delete") => DeletePolicy::Delete,
        _ => DeletePolicy::Keep,
    }
}

struct Known {
    step: i32,
    entity: String,
    connection: String,
    direction: String,
    finished: bool,
}

fn known_steps(sync_id: SyncId) -> DbResult<Vec<Known>> {
    spi::rows(
        "select step, entity, connection, direction,
                status not in ('queued', 'running', 'awaiting_confirmation')
           from easysync_internal.sync_run_steps where sync_id = $1",
        &[sync_id.into()],
        |row| {
            Ok(Known {
                step: required(row, 1)?,
                entity: required(row, 2)?,
                connection: required(row, 3)?,
                direction: required(row, 4)?,
                finished: required(row, 5)?,
            })
        },
    )
}

fn add_step(run: &Run, step: i32, stream: &Stream) -> DbResult<()> {
    spi::run(
        // A plan that was confirmed before the sync was queued: by its hash.
        "insert into easysync_internal.sync_run_steps
                (sync_id, step, tenant_id, entity, connection, direction, confirmed, confirmed_hash)
         select $1, $2, $3, $4, $5, $6, case when p.hash is null then 0 else 1 end, p.hash
           from (select (select r.confirmed_plans ->> $5 from easysync_internal.sync_runs as r
                          where r.sync_id = $1 and $6 = 'push') as hash) as p",
        &[
            run.sync_id.into(),
            step.into(),
            run.tenant.as_str().into(),
            stream.entity.as_str().into(),
            stream.connection.name.as_str().into(),
            stream.direction.as_str().into(),
        ],
    )?;
    Ok(())
}

pub fn begin(sync_id: SyncId, step: i32) -> DbResult<()> {
    spi::run(
        "update easysync_internal.sync_run_steps
            set status = 'running',
                phase = case direction when 'push' then 'planning' else 'fetching' end,
                started_at = coalesce(started_at, pg_catalog.clock_timestamp())
          where sync_id = $1 and step = $2",
        &[sync_id.into(), step.into()],
    )?;
    Ok(())
}

/// A step that ended well has looked at all there was: the total is what it looked at.
pub fn end(run: &Run, step: &Step, outcome: Outcome, error: Option<&Error>) -> DbResult<()> {
    if outcome == Outcome::AwaitsConfirmation {
        spi::run(
            "update easysync_internal.sync_run_steps
                set status = 'awaiting_confirmation', phase = 'awaiting confirmation',
                    wait_until = null
              where sync_id = $1 and step = $2",
            &[run.sync_id.into(), step.step.into()],
        )?;
        return Ok(());
    }
    let mut args = error_args(run.sync_id, outcome, error).to_vec();
    args.push(step.step.into());
    spi::run(
        "update easysync_internal.sync_run_steps
            set status = $2, phase = null, wait_until = null,
                finished_at = pg_catalog.clock_timestamp(),
                records_total = case when $2 in ('succeeded', 'partial') then records_done
                                     else records_total end,
                error_category = $3, error_code = $4, error_message = $5, error_hint = $6,
                error_detail = $7
          where sync_id = $1 and step = $8",
        &args,
    )?;
    let walked = matches!(outcome, Outcome::Succeeded | Outcome::Partial);
    if walked && run.mode != Mode::Ids && run.filters.is_empty() && !run.dry_run {
        // A push has one step, which brings what its records need.
        let carried = match step.stream.direction {
            Direction::Push => step.stream.entity.brings(),
            _ => std::slice::from_ref(&step.stream.entity),
        };
        for entity in carried {
            let mut args = stream_args(&step.stream);
            args[2] = entity.as_str().into();
            spi::run("select easysync_internal.note_verified($1, $2, $3)", &args)?;
        }
    }
    Ok(())
}

pub fn progress(progress: &Progress) -> DbResult<()> {
    let until = progress.wait_until.map(|time| time.to_string());
    spi::run(
        "update easysync_internal.sync_run_steps
            set phase = $3, wait_until = $4::timestamptz
          where sync_id = $1 and step = $2 and status = 'running'",
        &[
            progress.sync_id.into(),
            progress.step.into(),
            progress.phase.into(),
            until.as_deref().into(),
        ],
    )?;
    Ok(())
}

pub fn cursor(stream: &Stream) -> DbResult<Cursor> {
    let json: Option<serde_json::Value> = spi::one(
        "select cursor from easysync_internal.sync_state
          where tenant_id = $1 and connection = $2 and entity = $3",
        &stream_args(stream),
    )?;
    match json {
        None => Ok(Cursor::default()),
        Some(json) => serde_json::from_value(json)
            .map_err(|e| DbError::new("22023", format!("unreadable cursor: {e}"))),
    }
}

/// `$1` tenant, `$2` connection, `$3` entity.
pub fn stream_args(stream: &Stream) -> Vec<Arg> {
    vec![
        stream.connection.tenant.as_str().into(),
        stream.connection.name.as_str().into(),
        stream.entity.as_str().into(),
    ]
}

/// Failed records of a stream that are due again; not those that a person gave up, nor one that had
/// no id to ask for.
pub fn failures_due(stream: &Stream) -> DbResult<Vec<String>> {
    spi::rows(
        "select record_id from easysync_internal.sync_failures
          where tenant_id = $1 and connection = $2 and entity = $3 and direction = 'pull'
            and discarded_at is null and next_attempt_at <= pg_catalog.clock_timestamp()
            and record_id <> ''
          order by next_attempt_at limit 500",
        &stream_args(stream),
        |row| required(row, 1),
    )
}
