-- Views of syncs, failures and logs. Each is a security barrier and shows the tenants that the session
-- may see, asked once a query (48_visible.sql); the tables are granted to nobody. Functions that a
-- view calls are checked against the reader, so viewers are granted those few (90_grants.sql).
--
-- An error's message is in our own words; error_detail is what somebody else said, masked as well as it
-- can be, and shown to operators only: whoever wrote it may have written anybody's name.

-- Counts are the sums of a run's steps, as they stand.
create view easysync.sync_runs with (security_barrier) as
select r.sync_id,
       r.entity,
       r.mode,
       r.status,
       r.triggered_by,
       r.connection,
       s.records_done,
       s.records_total,
       s.created,
       s.updated,
       s.deleted,
       s.unchanged,
       s.failed,
       s.api_calls,
       r.queued_at,
       r.started_at,
       r.finished_at,
       coalesce(r.finished_at, now()) - r.started_at as duration,
       r.confirm_until,
       r.error_category,
       r.error_code,
       r.error_message || coalesce(': ' || case when (select easysync_internal.sees_originals()) then r.error_detail end, '') as error_message,
       r.error_hint,
       jsonb_strip_nulls(jsonb_build_object(
           'filters', r.filters, 'ids', to_jsonb(r.ids), 'idempotency_key', r.idempotency_key,
           'schedule', r.schedule, 'undoes', r.undoes, 'dry_run', case when r.dry_run then true end)) as request,
       r.requested_by,
       r.person,
       r.sandbox,
       r.tenant_id
from easysync_internal.visible_sync_runs as r
left join lateral (
    select coalesce(sum(x.records_done), 0)::bigint as records_done, sum(x.records_total)::bigint as records_total,
           coalesce(sum(x.created), 0)::bigint as created, coalesce(sum(x.updated), 0)::bigint as updated,
           coalesce(sum(x.deleted), 0)::bigint as deleted, coalesce(sum(x.unchanged), 0)::bigint as unchanged,
           coalesce(sum(x.failed), 0)::bigint as failed, coalesce(sum(x.api_calls), 0)::bigint as api_calls
    from easysync_internal.sync_run_steps as x
    where x.sync_id = r.sync_id) as s on true
where r.route = (select easysync_internal.visible_tenant());
comment on view easysync.sync_runs is 'One row a sync';
comment on column easysync.sync_runs.sync_id is 'key';
comment on column easysync.sync_runs.entity is 'entity';
comment on column easysync.sync_runs.mode is 'incremental, full, ids';
comment on column easysync.sync_runs.status is 'queued, running, awaiting_confirmation, succeeded, partial, failed, cancelled, expired';
comment on column easysync.sync_runs.triggered_by is 'manual, schedule, webhook, change, retry, undo';
comment on column easysync.sync_runs.connection is 'the one asked for; null: all';
comment on column easysync.sync_runs.records_done is 'looked at';
comment on column easysync.sync_runs.records_total is 'known so far';
comment on column easysync.sync_runs.created is 'records created';
comment on column easysync.sync_runs.updated is 'records updated';
comment on column easysync.sync_runs.deleted is 'deleted, voided or inactivated';
comment on column easysync.sync_runs.unchanged is 'already in step';
comment on column easysync.sync_runs.failed is 'records failed';
comment on column easysync.sync_runs.api_calls is 'calls made';
comment on column easysync.sync_runs.queued_at is 'when triggered';
comment on column easysync.sync_runs.started_at is 'start';
comment on column easysync.sync_runs.finished_at is 'end';
comment on column easysync.sync_runs.duration is 'finished (or now) less started';
comment on column easysync.sync_runs.confirm_until is 'expires then, unless confirmed';
comment on column easysync.sync_runs.error_category is 'authentication, rate_limit, validation, not_found, conflict, network, internal';
comment on column easysync.sync_runs.error_code is 'the platform''s code, or ours';
comment on column easysync.sync_runs.error_message is 'what went wrong; for operators also what the platform or this database said, masked';
comment on column easysync.sync_runs.error_hint is 'what to do';
comment on column easysync.sync_runs.request is 'filters, ids, idempotency_key, schedule, undoes';
comment on column easysync.sync_runs.requested_by is 'role that asked';
comment on column easysync.sync_runs.person is 'whom a gateway has verified: e-mail, else subject';
comment on column easysync.sync_runs.sandbox is 'ran in the sandbox';
comment on column easysync.sync_runs.tenant_id is 'tenant (last column of every view)';

create view easysync.sync_run_steps with (security_barrier) as
select s.sync_id, s.step, s.entity, s.connection, s.direction, s.status, s.records_total, s.records_done, s.created,
       s.updated, s.deleted, s.unchanged, s.failed, s.api_calls, s.started_at, s.finished_at, s.error_category,
       s.error_code,
       s.error_message || coalesce(': ' || case when (select easysync_internal.sees_originals()) then s.error_detail end, '') as error_message, s.error_hint, s.tenant_id
from easysync_internal.visible_sync_run_steps as s
where s.route = (select easysync_internal.visible_tenant());
comment on view easysync.sync_run_steps is 'A sync by connection and direction: the fan-out';
comment on column easysync.sync_run_steps.sync_id is 'run';
comment on column easysync.sync_run_steps.step is 'order in the run';
comment on column easysync.sync_run_steps.entity is 'customers and products come before orders, refunds after';
comment on column easysync.sync_run_steps.connection is 'connection';
comment on column easysync.sync_run_steps.direction is 'pull, push';
comment on column easysync.sync_run_steps.status is 'as sync_runs, and skipped';
comment on column easysync.sync_run_steps.records_total is 'known so far';
comment on column easysync.sync_run_steps.records_done is 'looked at';
comment on column easysync.sync_run_steps.created is 'created';
comment on column easysync.sync_run_steps.updated is 'updated';
comment on column easysync.sync_run_steps.deleted is 'deleted, voided or inactivated';
comment on column easysync.sync_run_steps.unchanged is 'in step';
comment on column easysync.sync_run_steps.failed is 'failed';
comment on column easysync.sync_run_steps.api_calls is 'calls';
comment on column easysync.sync_run_steps.started_at is 'start';
comment on column easysync.sync_run_steps.finished_at is 'end';
comment on column easysync.sync_run_steps.error_category is 'authentication, rate_limit, validation, not_found, conflict, network, internal';
comment on column easysync.sync_run_steps.error_code is 'the platform''s code, or ours';
comment on column easysync.sync_run_steps.error_message is 'what went wrong; for operators also what the platform or this database said, masked';
comment on column easysync.sync_run_steps.error_hint is 'what to do';
comment on column easysync.sync_run_steps.tenant_id is 'tenant (last column of every view)';

-- The worker's process; null: none runs.
create function easysync_internal.worker_pid() returns integer
    language sql stable security definer set search_path = pg_catalog, pg_temp
as $$ select (easysync_internal.worker_status() ->> 'pid')::integer $$;

-- The rate is that of the last minute or so: since the step's sample, which the worker moves on; since
-- the start while the sample is too young to tell.
create view easysync.sync_progress with (security_barrier) as
select easysync_internal.worker_pid() as pid,
       s.sync_id,
       s.entity,
       s.connection,
       s.direction,
       s.phase,
       s.records_total,
       s.records_done,
       round(100.0 * least(s.records_done, s.records_total) / nullif(s.records_total, 0), 1) as percent,
       round(s.rate, 1) as records_per_second,
       s.started_at,
       clock_timestamp() + make_interval(secs => (greatest(s.records_total - s.records_done, 0) / nullif(s.rate, 0))::double precision)
           as estimated_end_at,
       case when s.wait_until > clock_timestamp() then s.wait_until end as wait_until,
       s.tenant_id
from (select x.sync_id, x.entity, x.connection, x.direction, x.phase, x.records_total, x.records_done, x.started_at, x.wait_until, x.tenant_id,
             (case when x.sampled_at < clock_timestamp() - interval '5 s'
                   then (x.records_done - x.sampled_done) / extract(epoch from clock_timestamp() - x.sampled_at)
                   else x.records_done / nullif(extract(epoch from clock_timestamp() - x.started_at), 0) end)::numeric as rate
      from easysync_internal.sync_run_steps as x
      join easysync_internal.sync_runs as r on r.sync_id = x.sync_id
      where x.status = 'running' and r.status = 'running') as s
where s.tenant_id = any ((select easysync_internal.visible_tenants())::text[]);
comment on view easysync.sync_progress is 'Live syncs, in the manner of pg_stat_progress_*';
comment on column easysync.sync_progress.pid is 'worker';
comment on column easysync.sync_progress.sync_id is 'run';
comment on column easysync.sync_progress.entity is 'entity';
comment on column easysync.sync_progress.connection is 'connection';
comment on column easysync.sync_progress.direction is 'pull, push';
comment on column easysync.sync_progress.phase is 'fetching, writing, planning, awaiting confirmation, sending, throttled';
comment on column easysync.sync_progress.records_total is 'estimate';
comment on column easysync.sync_progress.records_done is 'done';
comment on column easysync.sync_progress.percent is 'done of total';
comment on column easysync.sync_progress.records_per_second is 'of the last minute';
comment on column easysync.sync_progress.started_at is 'start of the step';
comment on column easysync.sync_progress.estimated_end_at is 'if the rate holds';
comment on column easysync.sync_progress.wait_until is 'rate limit or back-off';
comment on column easysync.sync_progress.tenant_id is 'tenant (last column of every view)';

create view easysync.sync_logs with (security_barrier) as
select l.log_id, l.logged_at, l.level, l.sync_id, l.connection, l.entity,
       easysync_internal.masked_id(l.record_id) as record_id, l.operation, l.result, l.message, l.duration_ms,
       l.error_category, l.error_code,
       l.error_message || coalesce(': ' || case when (select easysync_internal.sees_originals()) then l.error_detail end, '') as error_message, l.error_hint, l.sandbox, l.tenant_id
from easysync_internal.visible_sync_log as l
where l.route = (select easysync_internal.visible_tenant());
comment on view easysync.sync_logs is 'Log rows, masked';
comment on column easysync.sync_logs.log_id is 'key';
comment on column easysync.sync_logs.logged_at is 'time';
comment on column easysync.sync_logs.level is 'debug, info, warn, error';
comment on column easysync.sync_logs.sync_id is 'run';
comment on column easysync.sync_logs.connection is 'connection';
comment on column easysync.sync_logs.entity is 'entity';
comment on column easysync.sync_logs.record_id is 'record';
comment on column easysync.sync_logs.operation is 'fetch, map, store, plan, send, webhook, schedule, ...';
comment on column easysync.sync_logs.result is 'ok, skipped, failed, retried';
comment on column easysync.sync_logs.message is 'masked text';
comment on column easysync.sync_logs.duration_ms is 'time taken';
comment on column easysync.sync_logs.error_category is 'authentication, rate_limit, validation, not_found, conflict, network, internal';
comment on column easysync.sync_logs.error_code is 'the platform''s code, or ours';
comment on column easysync.sync_logs.error_message is 'what went wrong; for operators also what the platform or this database said, masked';
comment on column easysync.sync_logs.error_hint is 'what to do';
comment on column easysync.sync_logs.sandbox is 'in the sandbox';
comment on column easysync.sync_logs.tenant_id is 'tenant (last column of every view)';

-- What a person discarded is kept (until it changes), but not shown.
create view easysync.sync_failures with (security_barrier) as
select f.failure_id, f.connection, f.entity, f.direction, easysync_internal.masked_id(f.record_id) as record_id, f.label,
       f.error_category, f.error_code,
       f.error_message || coalesce(': ' || case when (select easysync_internal.sees_originals()) then f.error_detail end, '') as error_message, f.error_hint, f.retryable, f.attempts, f.first_failed_at,
       f.last_attempt_at, f.next_attempt_at, f.blocked_by, f.sync_id, f.tenant_id
from easysync_internal.visible_sync_failures as f
where f.discarded_at is null
  and f.route = (select easysync_internal.visible_tenant());
comment on view easysync.sync_failures is 'Records that failed, and what waits for them';
comment on column easysync.sync_failures.failure_id is 'key';
comment on column easysync.sync_failures.connection is 'connection';
comment on column easysync.sync_failures.entity is 'entity';
comment on column easysync.sync_failures.direction is 'pull, push';
comment on column easysync.sync_failures.record_id is 'record';
comment on column easysync.sync_failures.label is 'order number, SKU or masked e-mail';
comment on column easysync.sync_failures.error_category is 'authentication, rate_limit, validation, not_found, conflict, network, internal';
comment on column easysync.sync_failures.error_code is 'the platform''s code, or ours';
comment on column easysync.sync_failures.error_message is 'what went wrong; for operators also what the platform or this database said, masked';
comment on column easysync.sync_failures.error_hint is 'what to do';
comment on column easysync.sync_failures.retryable is 'does a retry make sense unaided';
comment on column easysync.sync_failures.attempts is 'so far';
comment on column easysync.sync_failures.first_failed_at is 'first time';
comment on column easysync.sync_failures.last_attempt_at is 'last time';
comment on column easysync.sync_failures.next_attempt_at is 'null: waits for a person';
comment on column easysync.sync_failures.blocked_by is 'failure_id it waits for';
comment on column easysync.sync_failures.sync_id is 'last run that met it';
comment on column easysync.sync_failures.tenant_id is 'tenant (last column of every view)';

create view easysync.sync_queue with (security_barrier) as
select q.queue_id, q.connection, q.entity, easysync_internal.masked_id(q.record_id) as record_id, q.status, q.queued_at,
       q.attempts, q.next_attempt_at, q.tenant_id
from easysync_internal.visible_sync_queue as q
where q.route = (select easysync_internal.visible_tenant());
comment on view easysync.sync_queue is 'Hub rows that a connection has yet to receive';
comment on column easysync.sync_queue.queue_id is 'key';
comment on column easysync.sync_queue.connection is 'target';
comment on column easysync.sync_queue.entity is 'entity';
comment on column easysync.sync_queue.record_id is 'record';
comment on column easysync.sync_queue.status is 'waiting, claimed, blocked, failed';
comment on column easysync.sync_queue.queued_at is 'first change not yet sent';
comment on column easysync.sync_queue.attempts is 'so far';
comment on column easysync.sync_queue.next_attempt_at is 'not before';
comment on column easysync.sync_queue.tenant_id is 'tenant (last column of every view)';
