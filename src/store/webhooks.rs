//! Deliveries of webhooks: what is open, what became of it, and the fetches that follow.

use super::PgStore;
use super::spi::{self, Arg, required};
use crate::error::{DbError, DbResult};
use crate::host;
use crate::secrets::Sealed;
use async_trait::async_trait;
use engine::model::TenantId;
use engine::store::{Connection, Secret};
use engine::webhook::{Account, Delivery, Fetch, Headers, Open, Settled, WebhookStore};
use engine::{Error, Result};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;

/// Of each tenant that has any, its share of 500, in turns: whoever has a hundred thousand keeps nobody
/// waiting. Sixteen MiB of bodies at a time, or one. The partial index `webhook_events_open` holds just
/// these; the recursion takes a step in it for each tenant.
const OPEN: &str = "with recursive tenants as (
    (select w.tenant_id collate \"C\" as id from easysync_internal.webhook_events w
      where w.status in ('received', 'accepted') and w.sync_id is null
      order by w.tenant_id collate \"C\" limit 1)
    union all
    select (select w.tenant_id collate \"C\" from easysync_internal.webhook_events w
             where w.status in ('received', 'accepted') and w.sync_id is null
               and w.tenant_id collate \"C\" > t.id
             order by w.tenant_id collate \"C\" limit 1)
      from tenants t where t.id is not null),
served as (
    select t.id, coalesce(($2 ->> t.id)::bigint, 0) as after, ceil(500.0 / count(*) over ())::bigint as share
      from tenants t
     where t.id is not null and t.id <> all ((select easysync_internal.resting_tenants())::text[]))
select o.event_id, o.tenant_id, o.connection, o.headers, o.body, o.share
  from (select n.*, sum(octet_length(n.body)) over (order by n.place, n.event_id) - octet_length(n.body) as before
          from (select e.*, s.share, row_number() over (partition by s.id order by e.event_id) as place
                  from served s
                 cross join lateral (
                     select w.event_id, w.tenant_id, w.connection, w.headers, w.body
                       from easysync_internal.webhook_events w
                      where w.status in ('received', 'accepted') and w.sync_id is null
                        and w.tenant_id collate \"C\" = s.id and w.event_id > s.after
                        and (w.status = 'received' or $1 or w.next_attempt_at <= pg_catalog.clock_timestamp()
                             or w.kept and exists (select from easysync_internal.connections c
                                                    where c.tenant_id = w.tenant_id and c.name = w.connection
                                                      and c.status = 'connected'))
                      order by w.event_id limit s.share) as e) as n) as o
 where o.before < 16777216 order by o.place, o.event_id";

/// Of tenants that don't rest: is anything open; may it be acted on; whose fetches are under way; and the next retry, in milliseconds.
const STATE: &str = "with resting as (select easysync_internal.resting_tenants() as ids)
select exists (select from easysync_internal.webhook_events w
         where w.status in ('received', 'accepted') and w.sync_id is null
           and w.tenant_id <> all ((select ids from resting)::text[])),
       (select f.state from easysync_internal.fence_state() as f) in ('ok', 'verify'),
       array(select distinct r.tenant_id from easysync_internal.sync_runs r
              where r.status in ('queued', 'running') and r.triggered_by = 'webhook'
                and r.tenant_id <> all ((select ids from resting)::text[])),
       (select (extract(epoch from min(w.next_attempt_at) - pg_catalog.clock_timestamp())
                * 1000)::bigint
          from easysync_internal.webhook_events w
         where w.status in ('received', 'accepted') and w.sync_id is null
           and w.next_attempt_at is not null
           and w.tenant_id <> all ((select ids from resting)::text[]))";

/// The most bytes handed out at once, as [`OPEN`] has them.
const MOST_BYTES: usize = 16 << 20;

fn open(all: bool, after: &HashMap<TenantId, i64>) -> DbResult<Open> {
    let state = spi::rows(STATE, &[], |row| {
        let retry: Option<i64> = row.get(4)?;
        let fetching: Vec<Option<String>> = required(row, 3)?;
        let open = Open {
            fetching: fetching.into_iter().flatten().map(Into::into).collect(),
            next_retry: retry.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0))),
            ..Open::default()
        };
        Ok((open, required::<bool>(row, 1)? && row.get::<bool>(2)? == Some(true)))
    })?;
    let Some((mut open, to_do)) = state.into_iter().next() else { return Ok(Open::default()) };
    if !to_do {
        return Ok(Open { next_retry: None, ..open });
    }
    let places = after.iter().map(|(tenant, id)| (tenant.to_string(), json!(id))).collect();
    let args = [Arg::Bool(Some(all)), Arg::Json(Some(Value::Object(places)))];
    let mut taken: HashMap<TenantId, i64> = HashMap::new();
    let found = spi::rows(OPEN, &args, |row| {
        // One that can't be read is rejected by itself.
        let headers = row.get::<Value>(4).map(Option::unwrap_or_default);
        let share: i64 = required(row, 6)?;
        let delivery = Delivery {
            event_id: required(row, 1)?,
            tenant: required::<String>(row, 2)?.into(),
            connection: required(row, 3)?,
            headers: headers
                .map(|headers| Headers::parse(&headers))
                .map_err(|_| "its headers can't be read: JSON that is nested too deep".to_owned()),
            body: required(row, 5)?,
        };
        Ok((delivery, share))
    })?;
    let mut bytes = 0;
    for (delivery, share) in found {
        let count = taken.entry(delivery.tenant.clone()).or_default();
        *count += 1;
        bytes += delivery.body.len();
        open.more |= *count >= share || bytes >= MOST_BYTES;
        open.deliveries.push(delivery);
    }
    for delivery in &open.deliveries {
        if !open.accounts.contains_key(&delivery.tenant) {
            open.accounts.insert(delivery.tenant.clone(), accounts(&delivery.tenant)?);
        }
    }
    Ok(open)
}

fn accounts(tenant: &TenantId) -> DbResult<Vec<Account>> {
    spi::rows(
        "select name, connector, coalesce(account, ''), status = 'connected', webhooks_enabled,
                key_id, sealed, settings
           from easysync_internal.connections where tenant_id = $1 order by name",
        &[tenant.as_str().into()],
        |row| {
            let bare = Connection {
                tenant: tenant.clone(),
                name: required::<String>(row, 1)?.into(),
                connector: required(row, 2)?,
                account: required(row, 3)?,
                settings: row.get(8).ok().flatten().unwrap_or_default(),
                credentials: Secret::default(),
            };
            let sealed = Sealed { key_id: row.get(6)?, bytes: row.get(7)? };
            Ok(Account {
                connection: bare.name.clone(),
                connector: bare.connector.clone(),
                key: bare.account.clone(),
                connected: required(row, 4)?,
                enabled: required(row, 5)?,
                credentials: sealed.open_for(bare).ok().map(|opened| opened.credentials),
            })
        },
    )
}

/// Notes what became of deliveries and queues fetches; where that fails for one of them, it ends by
/// itself.
fn settle(settled: &[Settled], fetches: &[Fetch]) -> DbResult<()> {
    let together = host::in_subtransaction(|| write(settled, fetches));
    match together {
        Err(error)
            if !error.is_transient() && !error.is_about_server() && !error.is_about_schema() => {}
        done => return done,
    }
    for one in settled {
        if let Err(error) = host::in_subtransaction(|| write(std::slice::from_ref(one), &[])) {
            reject(&[one.event_id], &error)?;
        }
    }
    for one in fetches {
        if let Err(error) = host::in_subtransaction(|| write(&[], std::slice::from_ref(one))) {
            reject(&one.event_ids, &error)?;
        }
    }
    Ok(())
}

fn reject(event_ids: &[i64], error: &DbError) -> DbResult<()> {
    let reason = format!("it could not be taken: {}", engine::mask::text(&error.message));
    spi::run(
        "update easysync_internal.webhook_events
            set status = 'rejected', status_reason = $2, processed_at = pg_catalog.clock_timestamp()
          where event_id = any ($1)",
        &[Arg::Ints(event_ids.iter().copied().map(Some).collect()), reason.as_str().into()],
    )
    .map(drop)
}

fn write(settled: &[Settled], fetches: &[Fetch]) -> DbResult<()> {
    if !settled.is_empty() {
        let rows: Vec<Value> = settled.iter().map(row).collect();
        spi::run(
            "select easysync_internal.settle_webhooks($1)",
            &[Arg::Json(Some(Value::Array(rows)))],
        )?;
    }
    for Fetch { key, ids, event_ids } in fetches {
        spi::run(
            "select easysync_internal.fetch_hints($1, $2, $3, $4, $5)",
            &[
                key.tenant.as_str().into(),
                key.connection.as_str().into(),
                key.entity.as_str().into(),
                Arg::Texts(ids.iter().cloned().map(Some).collect()),
                Arg::Ints(event_ids.iter().copied().map(Some).collect()),
            ],
        )?;
    }
    Ok(())
}

fn row(settled: &Settled) -> Value {
    let ids: Vec<&str> = settled.hints.iter().map(|hint| hint.id.as_str()).collect();
    json!({
        "event_id": settled.event_id,
        "status": settled.status,
        "reason": settled.reason.as_deref().map(engine::mask::text),
        "topic": settled.topic,
        "remote_ids": if ids.is_empty() { Value::Null } else { json!(ids) },
        "kept": settled.kept,
        "same_as": settled.same_as,
    })
}

#[async_trait]
impl WebhookStore for PgStore {
    async fn open_deliveries(&self, all: bool, after: HashMap<TenantId, i64>) -> Result<Open> {
        let open = self.job(move || open(all, &after)).await;
        self.note_problem("deliveries", open.as_ref().err()).await;
        open
    }

    async fn settle(&self, settled: Vec<Settled>, fetches: Vec<Fetch>) -> Result<()> {
        self.job(move || settle(&settled, &fetches)).await
    }

    async fn deliveries_changed(&self) {
        self.bridge.woken.for_deliveries.notified().await;
    }
}

/// A connection whose webhooks are to be looked at.
pub struct Watched {
    pub connection: Connection,
    pub url: String,
}

/// Connections with registered webhooks that nobody has looked at for a day.
const WATCHED: &str =
    "select c.tenant_id, c.name, c.connector, c.account, c.settings, c.webhook_url,
       c.key_id, c.sealed
  from easysync_internal.connections c
 where c.webhook_url is not null and c.webhooks_enabled and c.status = 'connected'
   and c.webhooks_checked_at < pg_catalog.clock_timestamp() - interval '1 day'
   and c.tenant_id <> all ((select easysync_internal.resting_tenants())::text[])
   and (select f.state from easysync_internal.fence_state() as f) in ('ok', 'verify')
 order by c.tenant_id, c.name";

impl PgStore {
    /// The connections whose webhooks are due for a look.
    pub async fn watched(&self) -> Result<Vec<Watched>> {
        self.job(|| {
            spi::rows(WATCHED, &[], |row| {
                let sealed = Sealed { key_id: row.get(7)?, bytes: row.get(8)? };
                let bare = Connection {
                    tenant: required::<String>(row, 1)?.into(),
                    name: required::<String>(row, 2)?.into(),
                    connector: required(row, 3)?,
                    account: required(row, 4)?,
                    settings: row.get(5).ok().flatten().unwrap_or_default(),
                    credentials: Secret::default(),
                };
                let connection = sealed.open_for(bare.clone()).unwrap_or(bare);
                Ok(Watched { connection, url: required(row, 6)? })
            })
        })
        .await
    }

    /// Notes what a look at a connection's webhooks found.
    pub async fn note_webhooks(
        &self,
        watched: &Watched,
        problem: Option<Error>,
        repaired: Option<String>,
    ) -> Result<()> {
        let (tenant, name) = (watched.connection.tenant.clone(), watched.connection.name.clone());
        let problem = problem.map(|error| engine::mask::text(&error.message));
        self.job(move || {
            spi::run(
                "select easysync_internal.note_webhooks($1, $2, $3, $4)",
                &[
                    tenant.as_str().into(),
                    name.as_str().into(),
                    problem.as_deref().into(),
                    repaired.as_deref().into(),
                ],
            )
            .map(drop)
        })
        .await
    }
}
