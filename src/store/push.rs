//! The engine's push store over SPI. What it does to tables stands in `sql/56_push_queue.sql` and
//! `sql/57_push_changes.sql`; here is the way there and back.

mod done;
mod records;
mod rows;
mod vault;

pub use vault::Vault;

use super::spi::{self, Arg, required};
use super::steps::stream_args;
use super::{PgStore, undo};
use async_trait::async_trait;
use engine::model::{Entity, TenantId};
use engine::plan::{Change, GateSettings};
use engine::push::hub_undo::HubReverse;
use engine::push::store::{
    Bundle, Candidate, Dependency, HubPlace, KeptPlan, Link, OpenCall, PushStore, Root, Scope,
    Settled, Spent, Told,
};
use engine::push::target::Call;
use engine::push::undo::Done;
use engine::store::{Counts, Run, Step, Stream};
use engine::{Error, Result};
use jiff::Timestamp;
use rows::{count, json};
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;

/// `$1` run, `$2` step, `$3` tenant, `$4` connection.
fn step_args(run: &Run, step: &Step) -> Vec<Arg> {
    vec![
        run.sync_id.into(),
        step.step.into(),
        run.tenant.as_str().into(),
        step.stream.connection.name.as_str().into(),
    ]
}

fn account_of(stream: &Stream) -> Arg {
    stream.connection.account.as_str().into()
}

#[async_trait]
impl PushStore for PgStore {
    async fn fold(&self, tenant: &TenantId) -> Result<()> {
        loop {
            let args = [tenant.as_str().into()];
            let taken: Option<i64> =
                self.job(move || spi::one("select easysync_internal.push_fold($1)", &args)).await?;
            if taken.unwrap_or(0) == 0 {
                return Ok(());
            }
        }
    }

    async fn gate(&self, tenant: &TenantId) -> Result<GateSettings> {
        let args = [tenant.as_str().into()];
        let found: Vec<(i64, i64)> = self
            .job(move || {
                spi::rows(
                    "select easysync_internal.setting($1, 'confirm_threshold')::bigint,
                            extract(epoch from easysync_internal.setting($1, 'confirm_wait')::interval)::bigint",
                    &args,
                    |row| Ok((required(row, 1)?, required(row, 2)?)),
                )
            })
            .await?;
        let (threshold, wait) = found.first().copied().unwrap_or((10, 86_400));
        let threshold = u64::try_from(threshold).unwrap_or(0);
        Ok(GateSettings { threshold, wait: Duration::from_secs(u64::try_from(wait).unwrap_or(0)) })
    }

    async fn verify_since(&self, _stream: &Stream) -> Result<Option<Timestamp>> {
        let since = self.job(|| {
            spi::rows(
                "select extract(epoch from coalesce(i.verify_since, pg_catalog.clock_timestamp()))::bigint
                   from easysync_internal.fence_state() as f
                   left join easysync_internal.identity as i on true
                  where f.state = 'verify'",
                &[],
                |row| required::<i64>(row, 1),
            )
        });
        let since = since.await?.into_iter().next();
        Ok(since.map(|seconds| Timestamp::from_second(seconds).unwrap_or(Timestamp::MIN)))
    }

    async fn reads_used(&self, stream: &Stream) -> Result<u64> {
        let args = stream_args(stream)[..2].to_vec();
        let used = self.job(move || {
            spi::one::<i64>(
                "select reads_used from easysync_internal.connections
                  where tenant_id = $1 and name = $2
                    and reads_month = pg_catalog.date_trunc('month', pg_catalog.now() at time zone 'UTC')::date",
                &args,
            )
        });
        Ok(u64::try_from(used.await?.unwrap_or(0)).unwrap_or(0))
    }

    async fn last_sweep(&self, stream: &Stream) -> Result<Option<Timestamp>> {
        let args = stream_args(stream);
        let text = self.job(move || {
            spi::one::<String>(
                "select cursor ->> 'swept_at' from easysync_internal.sync_state
                  where tenant_id = $1 and connection = $2 and entity = $3",
                &args,
            )
        });
        Ok(text.await?.and_then(|text| text.parse().ok()))
    }

    async fn note_sweep(&self, stream: &Stream, at: Timestamp) -> Result<()> {
        let mut args = stream_args(stream);
        args.push(at.to_string().as_str().into());
        self.job(move || {
            spi::run(
                "insert into easysync_internal.sync_state as s (tenant_id, connection, entity, cursor)
                 values ($1, $2, $3, pg_catalog.jsonb_build_object('swept_at', $4))
                 on conflict (tenant_id, connection, entity) do update
                    set cursor = s.cursor || excluded.cursor, changed_at = pg_catalog.clock_timestamp()",
                &args,
            )
        })
        .await
        .map(|_| ())
    }

    async fn kept_plan(&self, run: &Run, step: &Step) -> Result<Option<KeptPlan>> {
        let args = step_args(run, step)[..2].to_vec();
        let found = self.job(move || {
            spi::rows(
                "select coalesce(plan_hash, confirmed_hash), coalesce(plan_summary, '{}')::text,
                        confirmed, confirmed_hash, plan_released
                   from easysync_internal.sync_run_steps
                  where sync_id = $1 and step = $2
                    and (plan_hash is not null or confirmed_hash is not null)",
                &args,
                rows::kept_plan,
            )
        });
        Ok(found.await?.into_iter().next())
    }

    async fn begin_plan(&self, run: &Run, step: &Step) -> Result<i32> {
        let args = step_args(run, step)[..2].to_vec();
        let last = self.job(move || {
            spi::run(
                "delete from easysync_internal.sync_changes
                  where sync_id = $1 and step = $2 and status <> 'done'",
                &args,
            )?;
            spi::run(
                "update easysync_internal.sync_run_steps set plan_hash = null, plan_released = false
                  where sync_id = $1 and step = $2",
                &args,
            )?;
            spi::one::<i32>(
                "select pg_catalog.max(change_id) from easysync_internal.sync_changes where sync_id = $1",
                &args[..1],
            )
        });
        Ok(last.await?.unwrap_or(0))
    }

    async fn candidates(
        &self,
        run: &Run,
        stream: &Stream,
        roots: &[Root],
        scope: &Scope,
        after: Option<Candidate>,
        limit: usize,
    ) -> Result<Vec<Candidate>> {
        self.next_records(run, stream, roots, scope, (after, limit)).await
    }

    async fn done_changes(
        &self,
        run: &Run,
        stream: &Stream,
        before: Option<i32>,
        limit: usize,
    ) -> Result<Vec<Done>> {
        let args = vec![
            run.tenant.as_str().into(),
            stream.connection.name.as_str().into(),
            account_of(stream),
            Arg::Int(run.undoes),
            Arg::Int4(before),
            Arg::Int4(i32::try_from(limit).ok()),
        ];
        self.job(move || spi::rows(done::DONE, &args, done::done)).await
    }

    async fn hub_reverses(
        &self,
        run: &Run,
        step: &Step,
        place: HubPlace,
        limit: usize,
    ) -> Result<Option<(Vec<HubReverse>, HubPlace)>> {
        let (run, step) = (run.clone(), step.clone());
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        self.job(move || undo::reverses(&run, &step, place, limit)).await
    }

    async fn undo_in_hub(&self, run: &Run, step: &Step, limit: usize) -> Result<usize> {
        let (run, step) = (run.clone(), step.clone());
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        self.job(move || undo::carry_out(&run, &step, limit)).await
    }

    async fn bundles(
        &self,
        stream: &Stream,
        roots: &[Root],
        candidates: &[Candidate],
    ) -> Result<Vec<Bundle>> {
        self.bundles_of(stream, roots, candidates).await
    }

    async fn save_changes(&self, run: &Run, step: &Step, changes: Vec<Change>) -> Result<()> {
        let mut args = step_args(run, step);
        args.push(step.stream.direction.as_str().into());
        args.push(json(Value::Array(changes.iter().map(rows::change_json).collect())));
        self.job(move || {
            spi::run("select easysync_internal.push_save($1, $2, $3, $4, $5, $6)", &args)
        })
        .await
        .map(|_| ())
    }

    async fn in_step(&self, run: &Run, records: Vec<Told>, step: &Step) -> Result<()> {
        let (entities, ids) = records
            .into_iter()
            .map(|told| (Some(told.entity.as_str().to_owned()), Some(told.hub_id)))
            .unzip();
        let mut args = step_args(run, step)[2..].to_vec();
        args.extend([Arg::Texts(entities), Arg::Ints(ids)]);
        self.job(move || spi::run("select easysync_internal.push_in_step($1, $2, $3, $4)", &args))
            .await
            .map(|_| ())
    }

    async fn close_plan(
        &self,
        run: &Run,
        step: &Step,
        plan: &KeptPlan,
        until: Option<Timestamp>,
    ) -> Result<()> {
        let mut args = step_args(run, step);
        args.extend([
            plan.hash.as_str().into(),
            json(serde_json::to_value(&plan.summary).unwrap_or_default()),
            Arg::Bool(Some(plan.released)),
            Arg::Int4(i32::try_from(plan.confirmed).ok()),
            plan.confirmed_hash.as_deref().into(),
            until.map(|until| until.to_string()).as_deref().into(),
            Arg::Bool(Some(run.dry_run)),
        ]);
        self.job(move || {
            spi::run(
                "select easysync_internal.push_close($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::timestamptz, $11)",
                &args,
            )
        })
        .await
        .map(|_| ())
    }

    async fn unsent(&self, run: &Run, step: &Step, limit: usize) -> Result<Vec<Change>> {
        let mut args = step_args(run, step)[..2].to_vec();
        args.push(i64::try_from(limit).unwrap_or(120).into());
        self.job(move || spi::rows(rows::UNSENT, &args, rows::change)).await
    }

    async fn dependencies(&self, run: &Run, ids: Vec<i32>) -> Result<HashMap<i32, Dependency>> {
        let ids = ids.into_iter().map(|id| Some(i64::from(id))).collect();
        let args = [run.sync_id.into(), Arg::Ints(ids)];
        let found = self.job(move || spi::rows(rows::DEPENDENCIES, &args, rows::dependency));
        Ok(found.await?.into_iter().collect())
    }

    async fn block(
        &self,
        run: &Run,
        step: &Step,
        blocked: Vec<(Change, Dependency)>,
    ) -> Result<()> {
        let mut args = step_args(run, step);
        args.remove(1);
        let list = blocked.iter().map(|(change, by)| rows::blocked_json(change, by)).collect();
        args.push(json(Value::Array(list)));
        self.job(move || spi::run("select easysync_internal.push_block($1, $2, $3, $4)", &args))
            .await
            .map(|_| ())
    }

    async fn was_refused(&self, stream: &Stream, request_id: &str) -> Result<bool> {
        let args =
            [stream.connection.tenant.as_str().into(), account_of(stream), request_id.into()];
        let found = self.job(move || spi::one::<bool>(rows::WAS_REFUSED, &args));
        Ok(found.await?.unwrap_or(false))
    }

    async fn intend(&self, run: &Run, step: &Step, call: &Call) -> Result<()> {
        let items = serde_json::to_string(&call.items)
            .map_err(|_| Error::internal("an intent could not be written down"))?;
        let numbers: Vec<&str> = call.items.iter().filter_map(|i| i.number.as_deref()).collect();
        let numbers = (!numbers.is_empty()).then(|| numbers.join(", "));
        let ids = call.items.iter().map(|item| Some(i64::from(item.change_id))).collect();
        let args = vec![
            run.sync_id.into(),
            run.tenant.as_str().into(),
            account_of(&step.stream),
            step.stream.connection.name.as_str().into(),
            call.request_id.as_str().into(),
            call.body_hash.as_str().into(),
            items.as_str().into(),
            Arg::Ints(ids),
            numbers.as_deref().into(),
        ];
        self.job(move || {
            spi::run(
                "select easysync_internal.push_intend($1, $2, $3, $4, $5, $6, $7, $8::integer[], $9)",
                &args,
            )
        })
        .await
        .map(|_| ())
    }

    async fn settle(&self, run: &Run, step: &Step, settled: &Settled, spent: Spent) -> Result<()> {
        let items = settled.items.iter().map(|(item, outcome)| rows::settled_json(item, outcome));
        let args = vec![
            run.sync_id.into(),
            step.step.into(),
            run.tenant.as_str().into(),
            account_of(&step.stream),
            step.stream.connection.name.as_str().into(),
            settled.request_id.as_str().into(),
            Arg::Int4(settled.http_status.map(i32::from)),
            settled.trace.as_deref().into(),
            json(Value::Array(items.collect())),
            count(spent.calls),
            count(spent.reads),
        ];
        self.job(move || {
            spi::run(
                "select easysync_internal.push_settle($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                &args,
            )
        })
        .await
        .map(|_| ())
    }

    async fn open_calls(&self, stream: &Stream) -> Result<Vec<OpenCall>> {
        let args = [stream.connection.tenant.as_str().into(), account_of(stream)];
        self.job(move || spi::rows(rows::OPEN_CALLS, &args, rows::open_call)).await
    }

    async fn link(&self, stream: &Stream, entity: Entity, remote_id: &str) -> Result<Option<Link>> {
        let args = [
            stream.connection.tenant.as_str().into(),
            account_of(stream),
            entity.as_str().into(),
            remote_id.into(),
        ];
        let found: Option<String> = self.job(move || spi::one(rows::LINK, &args)).await?;
        let read = found.and_then(|text| serde_json::from_str(&text).ok());
        Ok(read.as_ref().and_then(rows::link))
    }

    async fn unlink(&self, stream: &Stream, entity: Entity, remote_id: &str) -> Result<bool> {
        let args = [
            stream.connection.tenant.as_str().into(),
            account_of(stream),
            entity.as_str().into(),
            remote_id.into(),
        ];
        let gone = self.job(move || {
            spi::one::<bool>("select easysync_internal.push_unlink($1, $2, $3, $4)", &args)
        });
        Ok(gone.await?.unwrap_or(false))
    }

    async fn spent(&self, run: &Run, step: &Step, spent: Spent) -> Result<()> {
        if run.dry_run && self.in_session() {
            return Ok(());
        }
        let mut args = step_args(run, step);
        args.extend([count(spent.calls), count(spent.reads)]);
        self.job(move || {
            spi::run("select easysync_internal.push_spent($1, $2, $3, $4, $5, $6)", &args)
        })
        .await
        .map(|_| ())
    }

    async fn finish(&self, run: &Run, step: &Step) -> Result<Counts> {
        let args = step_args(run, step);
        let looks_only = run.dry_run;
        let found: Vec<Counts> = self
            .job(move || {
                if !looks_only {
                    spi::run("select easysync_internal.push_finish($1, $2, $3, $4)", &args)?;
                }
                let args = [args[0].clone(), args[1].clone(), Arg::Bool(Some(looks_only))];
                spi::rows(
                    "select * from easysync_internal.push_counts($1, $2, $3)",
                    &args,
                    rows::counts,
                )
            })
            .await?;
        Ok(found.into_iter().next().unwrap_or_default())
    }

    async fn release(&self, run: &Run, step: &Step) -> Result<()> {
        let mut args = step_args(run, step);
        args.remove(1);
        self.job(move || spi::run("select easysync_internal.push_release($1, $2, $3)", &args))
            .await
            .map(|_| ())
    }
}
