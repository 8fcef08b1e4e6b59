-- What syncs planned, changed, sent and met: for operators, since values are personal data.

-- What pulls created is kept on links: the second part, asked of runs that stored something. Fields
-- are made for rows that are read, not for those that are only counted.
create view easysync.sync_changes with (security_barrier) as
select c.sync_id, c.change_id, c.connection, c.direction, c.entity, c.record_id, c.label, c.target, c.action, c.destructive,
       c.reason, case when c.by_link then easysync_internal.created_fields(c.tenant_id, c.entity, c.hub_id) else c.fields end as fields,
       c.depends_on, c.status, c.remote_id, c.finished_at, c.error_category, c.error_code, c.error_message, c.error_hint,
       c.tenant_id
from (
    select k.sync_id, k.change_id, k.connection, k.direction, k.entity, k.record_id, k.label, k.target, k.action,
           k.destructive, k.reason, k.fields, k.depends_on, k.status, k.remote_id, k.finished_at, k.error_category,
           k.error_code, k.error_message || coalesce(': ' || k.error_detail, '') as error_message, k.error_hint, k.tenant_id, k.hub_id, false as by_link
    from easysync_internal.visible_sync_changes as k
    where k.route = (select easysync_internal.visible_tenant())
    union all
    select r.sync_id,
           (coalesce((select max(k.change_id) from easysync_internal.sync_changes as k where k.sync_id = r.sync_id), 0)
            + n.place)::integer,
           n.connection, 'pull', n.entity, n.record_id, n.label, n.entity, 'create', false, null, null, '{}'::integer[],
           'done', n.record_id, r.finished_at, null, null, null, null, r.tenant_id, n.hub_id, true
    from easysync_internal.sync_runs as r
    cross join lateral easysync_internal.created_records(r.tenant_id, r.sync_id) as n
    where r.tenant_id = any ((select easysync_internal.visible_tenants())::text[])
      and exists (select from easysync_internal.sync_run_steps as s
                  where s.sync_id = r.sync_id and s.direction = 'pull' and s.created + s.updated > 0)) as c;
comment on view easysync.sync_changes is 'What a sync planned and did, change by change, with old and new values';
comment on column easysync.sync_changes.sync_id is 'run';
comment on column easysync.sync_changes.change_id is 'order in the plan';
comment on column easysync.sync_changes.connection is 'connection';
comment on column easysync.sync_changes.direction is 'pull, push';
comment on column easysync.sync_changes.entity is 'entity';
comment on column easysync.sync_changes.record_id is 'record';
comment on column easysync.sync_changes.label is 'what people call it';
comment on column easysync.sync_changes.target is 'table or document type';
comment on column easysync.sync_changes.action is 'create, update, void, inactivate, delete, skip';
comment on column easysync.sync_changes.destructive is 'counts as destructive';
comment on column easysync.sync_changes.reason is 'why';
comment on column easysync.sync_changes.fields is '{"path": {"old": ..., "new": ...}}';
comment on column easysync.sync_changes.depends_on is 'change_ids before it';
comment on column easysync.sync_changes.status is 'planned, sent, done, failed, unknown, skipped';
comment on column easysync.sync_changes.remote_id is 'id on the platform';
comment on column easysync.sync_changes.finished_at is 'outcome known';
comment on column easysync.sync_changes.error_category is 'authentication, rate_limit, validation, not_found, conflict, network, internal';
comment on column easysync.sync_changes.error_code is 'the platform''s code, or ours';
comment on column easysync.sync_changes.error_message is 'masked text';
comment on column easysync.sync_changes.error_hint is 'what to do';
comment on column easysync.sync_changes.tenant_id is 'tenant (last column of every view)';

-- Intents of some tenants. PL/pgSQL: the ledger may not be there, and filters come afterwards.
create function easysync_internal.read_requests(tenants text[])
    returns table (request_id text, sync_id bigint, connection text, change_ids integer[], document_number text, body_hash text,
                   status text, http_status integer, platform_trace text, attempts integer, intended_at timestamptz,
                   finished_at timestamptz, tenant_id text)
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp rows 10000
as $$
begin
    if to_regclass('easysync_ledger.sync_requests') is null then
        return;
    end if;
    -- Only what the session may see, whatever was asked for.
    return query execute
        'select r.request_id, r.sync_id, r.connection, r.change_ids, r.document_number, r.body_hash, r.status, r.http_status,
                r.platform_trace, r.attempts, r.intended_at, r.finished_at, r.tenant_id
         from easysync_ledger.sync_requests as r where r.tenant_id = any ($1) and r.tenant_id = any ($2)'
        using tenants, easysync.allowed_tenants();
end
$$;

create view easysync.sync_requests with (security_barrier) as
select r.request_id, r.sync_id, r.connection, r.change_ids, r.document_number, r.body_hash, r.status, r.http_status,
       r.platform_trace, r.attempts, r.intended_at, r.finished_at, r.tenant_id
from easysync_internal.read_requests((select easysync_internal.visible_tenants())) as r;
comment on view easysync.sync_requests is 'Write requests (intents) and their outcome; never headers or tokens';
comment on column easysync.sync_requests.request_id is 'id sent to the platform';
comment on column easysync.sync_requests.sync_id is 'run';
comment on column easysync.sync_requests.connection is 'connection';
comment on column easysync.sync_requests.change_ids is 'changes in it';
comment on column easysync.sync_requests.document_number is 'number sent';
comment on column easysync.sync_requests.body_hash is 'SHA-256 of the body';
comment on column easysync.sync_requests.status is 'intended, sent, done, failed, unknown';
comment on column easysync.sync_requests.http_status is 'answer';
comment on column easysync.sync_requests.platform_trace is 'the platform''s own trace id';
comment on column easysync.sync_requests.attempts is 'sends';
comment on column easysync.sync_requests.intended_at is 'committed before the send';
comment on column easysync.sync_requests.finished_at is 'outcome known';
comment on column easysync.sync_requests.tenant_id is 'tenant (last column of every view)';

create view easysync.sync_conflicts with (security_barrier) as
select k.conflict_id, k.sync_id, k.connection, k.entity, k.record_id, k.label, k.fields, k.conflict_strategy, k.status,
       k.resolution, k.detected_at, k.resolved_at, k.resolved_by, k.tenant_id
from easysync_internal.visible_sync_conflicts as k
where k.route = (select easysync_internal.visible_tenant());
comment on view easysync.sync_conflicts is 'Both sides changed, apart';
comment on column easysync.sync_conflicts.conflict_id is 'key';
comment on column easysync.sync_conflicts.sync_id is 'run that met it';
comment on column easysync.sync_conflicts.connection is 'connection';
comment on column easysync.sync_conflicts.entity is 'entity';
comment on column easysync.sync_conflicts.record_id is 'record';
comment on column easysync.sync_conflicts.label is 'what people call it';
comment on column easysync.sync_conflicts.fields is '{"path": {"agreed": ..., "local": ..., "platform": ...}}';
comment on column easysync.sync_conflicts.conflict_strategy is 'in force then';
comment on column easysync.sync_conflicts.status is 'open, resolved';
comment on column easysync.sync_conflicts.resolution is 'local, platform, merged, custom';
comment on column easysync.sync_conflicts.detected_at is 'met';
comment on column easysync.sync_conflicts.resolved_at is 'settled';
comment on column easysync.sync_conflicts.resolved_by is 'role, null: by strategy';
comment on column easysync.sync_conflicts.tenant_id is 'tenant (last column of every view)';
