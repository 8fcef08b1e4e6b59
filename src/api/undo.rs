//! What undoing a sync would change, planned in the session that asks: nothing is written, anywhere.

use super::preview::{MOST_RECORDS, MOST_TIME, shown, stream_of, tried};
use crate::error::to_json;
use crate::store::PgStore;
use crate::{host, worker};
use engine::Result;
use engine::model::Direction;
use engine::push::hub_undo::HubUndo;
use engine::push::{Preview, Push};
use engine::store::{Run, Step, Stream, SyncId};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

pub fn plan(
    tenant: &str,
    connection: &str,
    entity: &str,
    direction: &str,
    undoes: SyncId,
) -> Value {
    let direction = if direction == "push" { Direction::Push } else { Direction::Pull };
    match try_plan(tenant, connection, entity, direction, undoes) {
        Ok(preview) => shown(connection, direction, &preview),
        Err(error) => json!({ "errors": [to_json(&error)] }),
    }
}

fn try_plan(
    tenant: &str,
    connection: &str,
    entity: &str,
    direction: Direction,
    undoes: SyncId,
) -> Result<Preview> {
    let tried = tried(tenant, Some(connection), entity, "incremental", None, None)?;
    let stream = Stream { direction, ..stream_of(tenant, connection, tried.entity)? };
    let run = Run { undoes: Some(undoes), ..tried };
    let http = worker::http_context()?;
    let clock = Arc::clone(&http.config.clock);
    let cancel = CancellationToken::new();
    // An error raised here (Ctrl-C) drops the guard, and with it every request in hand.
    let _guard = cancel.clone().drop_guard();
    let step = Step { step: 1, stream, finished: false };
    host::block_on_with(move |bridge| async move {
        let store = Arc::new(PgStore::new(bridge, 0, Duration::from_secs(60)));
        if direction == Direction::Pull {
            return HubUndo { store, clock, cancel, run, step }.preview(MOST_RECORDS).await;
        }
        let http = http.with_cancel(cancel.clone());
        let target = engine::connector::open_session_target(&step.stream.connection, &http)?;
        let replan = Default::default();
        let push = Push { store, target, clock, cancel, step, run, replan };
        push.preview(MOST_RECORDS, MOST_TIME).await
    })?
}
