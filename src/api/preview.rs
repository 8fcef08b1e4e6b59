//! What a sync would change, planned in the session that asks: nothing is written, anywhere.

use super::accounts::{stored, walk};
use super::tokens::fresh;
use crate::error::to_json;
use crate::store::{LookStore, PgStore, read_one};
use crate::{host, worker};
use engine::http::HttpContext;
use engine::model::{Direction, Entity, Mode};
use engine::plan::Status;
use engine::pull::Pull;
use engine::push::store::PushStore;
use engine::push::{Preview, Push, Walk, too_large};
use engine::store::{Connection, DeletePolicy, Filters, Run, Step, Store, Stream};
use engine::{Error, Result};
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Records and seconds that a session may take; a larger preview is the worker's.
pub(super) const MOST_RECORDS: u64 = 500;
pub(super) const MOST_TIME: SignedDuration = SignedDuration::from_secs(60);

pub fn plan(
    tenant: &str,
    connection: &str,
    entity: &str,
    mode: &str,
    ids: Option<Vec<String>>,
    filters: Option<Value>,
) -> Value {
    match try_plan(tenant, connection, entity, mode, ids, filters) {
        Ok(answer) => answer,
        Err(error) => json!({ "errors": [to_json(&error)] }),
    }
}

/// A run that is only tried.
pub(super) fn tried(
    tenant: &str,
    connection: Option<&str>,
    entity: &str,
    mode: &str,
    ids: Option<Vec<String>>,
    filters: Option<Value>,
) -> Result<Run> {
    Ok(Run {
        sync_id: 0,
        tenant: tenant.into(),
        entity: Entity::parse(entity)?,
        mode: match mode {
            "full" => Mode::Full,
            "ids" => Mode::Ids,
            _ => Mode::Incremental,
        },
        connection: connection.map(Into::into),
        ids,
        filters: crate::store::filters_of(filters.unwrap_or_default()).map_err(Error::from)?,
        resumed: false,
        dry_run: true,
        undoes: None,
        agreed: false,
    })
}

/// What the pulls of a run would change: `changes`, or `errors`.
pub fn pulls(
    tenant: &str,
    connection: Option<&str>,
    entity: &str,
    mode: &str,
    ids: Option<Vec<String>>,
    filters: Option<Value>,
) -> Value {
    let run = tried(tenant, connection, entity, mode, ids, filters);
    match run.and_then(try_pulls) {
        Ok(changes) => json!({ "changes": changes }),
        Err(error) => json!({ "errors": [to_json(&error)] }),
    }
}

fn try_pulls(run: Run) -> Result<Vec<Value>> {
    let streams = crate::store::pull_streams(&run).map_err(Error::from)??;
    let streams = streams.into_iter().map(with_fresh_token).collect::<Result<Vec<_>>>()?;
    if streams.is_empty() {
        return Ok(vec![]);
    }
    let http = worker::http_context()?;
    let clock = Arc::clone(&http.config.clock);
    let cancel = CancellationToken::new();
    // An error raised here (Ctrl-C) drops the guard, and with it every request in hand.
    let _guard = cancel.clone().drop_guard();
    let planned = host::block_on_with(move |bridge| async move {
        let http = http.with_cancel(cancel.clone());
        let store = Arc::new(LookStore::telling(
            PgStore::new(bridge, 0, Duration::from_secs(60)),
            MOST_RECORDS,
        ));
        let walk = async {
            for (step, stream) in (1..).zip(streams) {
                let connector = engine::connector::build(&stream.connection, &http)?;
                let pull = Pull {
                    store: Arc::clone(&store) as Arc<dyn Store>,
                    connector,
                    clock: Arc::clone(&clock),
                    cancel: cancel.clone(),
                    run: run.clone(),
                    step: Step { step, stream, finished: false },
                };
                pull.carry_out().await?;
            }
            Ok(store.told())
        };
        let time = MOST_TIME.unsigned_abs();
        tokio::time::timeout(time, walk).await.unwrap_or_else(|_| Err(too_large(MOST_RECORDS)))
    })??;
    Ok(planned.iter().map(|(connection, change)| change.shown(connection.as_str())).collect())
}

fn with_fresh_token(stream: Stream) -> Result<Stream> {
    let known = stream.connection.as_ref();
    let credentials = fresh(known)?;
    let connection = Arc::new(Connection { credentials, ..known.clone() });
    Ok(Stream { connection, ..stream })
}

fn try_plan(
    tenant: &str,
    connection: &str,
    entity: &str,
    mode: &str,
    ids: Option<Vec<String>>,
    filters: Option<Value>,
) -> Result<Value> {
    let run = tried(tenant, Some(connection), entity, mode, ids, filters)?;
    let stream = stream_of(tenant, connection, run.entity)?;
    let http = worker::http_context()?;
    let clock = Arc::clone(&http.config.clock);
    let cancel = CancellationToken::new();
    // An error raised here (Ctrl-C) drops the guard, and with it every request in hand.
    let _guard = cancel.clone().drop_guard();
    let (preview, remarks) = host::block_on_with(move |bridge| async move {
        let http = http.with_cancel(cancel.clone());
        let target = engine::connector::open_session_target(&stream.connection, &http)?;
        let known = Arc::clone(&stream.connection);
        let store = Arc::new(PgStore::new(bridge, 0, Duration::from_secs(60)));
        let push = Push {
            store: Arc::clone(&store) as Arc<dyn PushStore>,
            target,
            clock: Arc::clone(&clock),
            cancel,
            step: Step { step: 1, stream, finished: false },
            run,
            replan: Default::default(),
        };
        let preview = push.preview(MOST_RECORDS, MOST_TIME).await?;
        let remarks = match asks_for_rates(&preview) {
            true => unmapped_rates(walk(store, clock, Arc::clone(&known)), &known, &http).await,
            false => vec![],
        };
        Ok::<_, Error>((preview, remarks))
    })??;
    let mut answer = shown(connection, Direction::Push, &preview);
    answer["remarks"] = json!(remarks);
    Ok(answer)
}

fn asks_for_rates(preview: &Preview) -> bool {
    let errors = preview.changes.iter().filter_map(|change| change.draft.error.as_ref());
    errors.into_iter().any(|error| error.code == "unmapped_tax")
}

/// Tax rates of the shop that nothing maps, all of them with counts and sums, not order by order.
async fn unmapped_rates(
    hub: Walk,
    connection: &Arc<Connection>,
    http: &Arc<HttpContext>,
) -> Vec<String> {
    let Ok(connector) = engine::connector::build(connection, http) else { return vec![] };
    let checks = connector.check_hub(&hub).await.into_iter();
    checks.map(|check| check.message).filter(|message| message.contains("tax.rates.")).collect()
}

pub(super) fn stream_of(tenant: &str, name: &str, entity: Entity) -> Result<Stream> {
    let connected = read_one::<bool>(
        "select status = 'connected' from easysync_internal.connections
          where tenant_id = $1 and name = $2 union all select false limit 1",
        &[tenant.into(), name.into()],
    );
    if connected.map_err(Error::from)? != Some(true) {
        return Err(Error::argument(
            format!("\"{name}\" is not connected"),
            "SELECT connection, status, status_reason FROM easysync.connections;",
        ));
    }
    let known = stored(tenant, name)?;
    let credentials = fresh(&known)?;
    Ok(Stream {
        connection: Arc::new(Connection { credentials, ..known }),
        entity,
        direction: Direction::Push,
        filters: Filters::default(),
        delete_policy: DeletePolicy::Keep,
        rules: None,
    })
}

pub(super) fn shown(connection: &str, direction: Direction, preview: &Preview) -> Value {
    let changes = preview.changes.iter().map(|change| {
        let draft = &change.draft;
        let reason = match (&draft.reason, change.status) {
            (Some(reason), _) => Some(reason.clone()),
            (None, Status::Failed) => draft.error.as_ref().map(|error| error.message.clone()),
            (None, _) => None,
        };
        let action = if draft.is_write() { draft.action.as_str() } else { "skip" };
        json!({
            "change_id": change.change_id,
            "connection": connection,
            "direction": direction.as_str(),
            "entity": draft.entity.as_str(),
            "record_id": draft.record_id,
            "label": engine::mask::label(&draft.label),
            "target": draft.target,
            "action": action,
            "destructive": draft.destructive || draft.action.is_destructive(),
            "reason": reason,
            "fields": draft.fields,
            "depends_on": change.depends_on,
        })
    });
    let changes: Vec<Value> = changes.collect();
    json!({
        "changes": changes,
        "hash": preview.hash,
        "summary": preview.summary,
        "confirmations": preview.gate.confirmations,
        "reasons": preview.gate.reasons,
    })
}
