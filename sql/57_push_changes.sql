-- What a push keeps while it plans and sends. Called by the worker alone; each is one transaction.

-- Changes of a plan, as the engine numbered them.
create function easysync_internal.push_save(run_id bigint, step_number integer, tenant text, connection_name text, direction_name text,
                                            changes jsonb) returns void
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    insert into easysync_internal.sync_changes
        (sync_id, change_id, step, tenant_id, connection, direction, entity, hub_id, root_entity, root_id, wave, payload, record_id,
         label, target, action, destructive, reason, fields, depends_on, status, error_category, error_code, error_message, error_hint,
         error_detail)
    select run_id, c.change_id, step_number, tenant, connection_name, direction_name, c.entity, c.hub_id, c.root_entity, c.root_id, c.wave,
           c.payload, c.record_id, c.label, c.target, c.action, c.destructive, c.reason, coalesce(c.fields, '{}'),
           array(select jsonb_array_elements_text(c.depends_on)::integer), c.status,
           c.error ->> 'category', c.error ->> 'code', c.error ->> 'message', c.error ->> 'hint', c.error ->> 'detail'
    from jsonb_to_recordset(changes) as c (change_id integer, entity text, hub_id bigint, root_entity text, root_id bigint, wave smallint,
        payload text, record_id text, label text, target text, action text, destructive boolean, reason text, fields jsonb,
        depends_on jsonb, status text, error jsonb)
$$;

-- A failed record of a push. `waits_for`: failure that it waits for. An undo has none: what it could
-- not take back stands in its changes, and trying the record again would write it once more.
create function easysync_internal.push_failed(run_id bigint, tenant text, connection_name text, entity_name text, hub bigint, id text, label_text text,
                                              target text, error jsonb, waits_for bigint default null)
    returns bigint
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    insert into easysync_internal.sync_failures as f
        (tenant_id, connection, entity, direction, hub_id, record_id, remote_type, label, error_category, error_code, error_message,
         error_hint, error_detail, retryable, sync_id, blocked_by, next_attempt_at)
    select tenant, connection_name, entity_name, 'push', coalesce(hub, 0), id, target, easysync_internal.masked_id(label_text), error ->> 'category', error ->> 'code',
           error ->> 'message', error ->> 'hint', error ->> 'detail', coalesce((error ->> 'retryable')::boolean, false), run_id, waits_for,
           case when (error ->> 'retryable')::boolean then clock_timestamp() + interval '1 minute' end
    where not exists (select from easysync_internal.sync_runs as r where r.sync_id = run_id and r.undoes is not null)
    on conflict (tenant_id, connection, entity, direction, record_id, hub_id) do update
        set remote_type = excluded.remote_type, label = excluded.label, error_category = excluded.error_category,
            error_code = excluded.error_code, error_message = excluded.error_message, error_hint = excluded.error_hint,
            error_detail = excluded.error_detail, retryable = excluded.retryable, sync_id = excluded.sync_id, blocked_by = excluded.blocked_by,
            attempts = f.attempts + 1, last_attempt_at = clock_timestamp(), discarded_at = case when f.error_code = excluded.error_code then f.discarded_at end,
            next_attempt_at = case when excluded.retryable
                then clock_timestamp() + least(interval '1 minute' * 5 ^ least(f.attempts, 4), interval '6 hours') end
    returning f.failure_id
$$;

-- Records that are as they should be: nothing is told of them any more. Amounts that came out otherwise there stay told.
create function easysync_internal.push_in_step(tenant text, connection_name text, entity_names text[], hub_ids bigint[]) returns void
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    delete from easysync_internal.sync_failures as f using unnest(entity_names, hub_ids) as r (entity, id)
    where f.tenant_id = tenant and f.connection = connection_name and f.direction = 'push' and f.entity = r.entity
      and f.hub_id = r.id and f.discarded_at is null and f.error_code not in ('total_differs', 'answer_differs')
$$;

-- What becomes of a plan that needs a confirmation: it waits for one, or goes ahead, with how many.
-- None: a person gave it before, by the schedule that asks.
create function easysync_internal.audit_plan(run_id bigint, tenant text, connection_name text, hash text, summary jsonb, released boolean, given integer)
    returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    run easysync_internal.sync_runs;
begin
    if released and given = 0 and (summary ->> 'destructive')::bigint = 0
       and (select coalesce(sum(a.value::bigint), 0) from jsonb_each_text(summary -> 'by_action') as a)
           <= easysync_internal.setting(tenant, 'confirm_threshold')::bigint then
        return;
    end if;
    select * into run from easysync_internal.sync_runs as r where r.sync_id = run_id;
    perform easysync_internal.audit(tenant, case when released then 'go_ahead' else 'await_confirmation' end,
        format('%s of "%s"', run.entity, connection_name), null,
        jsonb_build_object('plan', hash, 'by_action', summary -> 'by_action', 'confirmations', given,
                           'requested_by', run.requested_by, 'schedule', run.schedule), run_id);
end
$$;

-- The plan is complete. Released: what can't be sent becomes failed records now, and what landed or
-- is skipped has none any more.
create function easysync_internal.push_close(run_id bigint, step_number integer, tenant text, connection_name text, hash text,
                                             summary jsonb, released boolean, given integer, given_hash text, until timestamptz, looks_only boolean)
    returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    update easysync_internal.sync_run_steps as s
    set plan_hash = hash, plan_summary = summary, plan_released = released, confirmed = given, confirmed_hash = given_hash,
        records_total = (summary ->> 'records')::bigint, phase = case when released then 'sending' else 'awaiting confirmation' end
    where s.sync_id = run_id and s.step = step_number;
    update easysync_internal.sync_runs as r set confirm_until = until where r.sync_id = run_id and until is not null;
    if not looks_only then
        perform easysync_internal.audit_plan(run_id, tenant, connection_name, hash, summary, released, given);
    end if;
    if released and not looks_only then
        perform easysync_internal.push_failed(run_id, tenant, connection_name, c.entity, c.hub_id, c.record_id, c.label, c.target,
            jsonb_build_object('category', c.error_category, 'code', c.error_code, 'message', c.error_message, 'hint', c.error_hint,
                               'detail', c.error_detail, 'retryable', false))
        from easysync_internal.sync_changes as c
        where c.sync_id = run_id and c.step = step_number and c.status = 'failed';
        delete from easysync_internal.sync_failures as f using easysync_internal.sync_changes as c
        where f.tenant_id = tenant and f.connection = connection_name and f.direction = 'push' and f.entity = c.entity
          and f.record_id = c.record_id and f.hub_id = coalesce(c.hub_id, 0) and c.sync_id = run_id and c.step = step_number and c.status = 'skipped';
    end if;
end
$$;

-- Changes that wait for another one which failed: by its name.
create function easysync_internal.push_block(run_id bigint, tenant text, connection_name text, blocked jsonb) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    one record;
    obstacle bigint;
    error jsonb;
begin
    for one in select * from jsonb_to_recordset(blocked) as b (change_id integer, entity text, hub_id bigint, record_id text, label text, target text,
                                                               by_entity text, by_hub_id bigint, by_label text, by_target text) loop
        select f.failure_id into obstacle from easysync_internal.sync_failures as f
        where f.tenant_id = tenant and f.connection = connection_name and f.direction = 'push' and f.entity = one.by_entity
          and f.hub_id = one.by_hub_id;
        error := jsonb_build_object('category', 'conflict', 'code', 'waits_for_dependency', 'retryable', true,
            'message', format('%s %s waits for %s %s', one.target, one.label, one.by_target, easysync_internal.masked_id(one.by_label)),
            'hint', 'It goes on once that is sent; see blocked_by in easysync.sync_failures.');
        perform easysync_internal.push_failed(run_id, tenant, connection_name, one.entity, one.hub_id, one.record_id, one.label, one.target, error, obstacle);
        update easysync_internal.sync_changes as c
        set status = 'failed', finished_at = clock_timestamp(), error_category = error ->> 'category', error_code = error ->> 'code',
            error_message = error ->> 'message', error_hint = error ->> 'hint', error_detail = null
        where c.sync_id = run_id and c.change_id = one.change_id;
    end loop;
end
$$;

-- Destructive writes, once each: which document, from what to what, and for whom. Those that are about to be
-- sent; with `in_status` done those of the hub (an undo's), in the transaction that makes them.
create function easysync_internal.audit_destructive(run_id bigint, tenant text, account_key text, request text, change_list integer[],
                                                    in_status text default 'planned')
    returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    perform easysync_internal.audit(tenant, c.action,
               concat_ws(' ', case c.direction when 'pull' then 'hub' else c.connection end, c.target, coalesce(c.remote_id, l.remote_id), format('(%s)', easysync_internal.masked(c.label))),
               f.before,
               f.after || jsonb_build_object('request_id', request, 'reason', c.reason,
                                             'requested_by', (select r.requested_by from easysync_internal.sync_runs as r where r.sync_id = run_id)),
               run_id)
    from easysync_internal.sync_changes as c
    left join lateral (
        select min(x.remote_id) as remote_id from easysync_ledger.links as x
        where x.hub_id = c.hub_id and x.tenant_id = c.tenant_id and x.entity = c.entity and x.account = account_key and x.remote_type = c.target) as l on true
    cross join lateral (
        select easysync_internal.masked_json(coalesce(jsonb_object_agg(e.key, e.value -> 'old'), '{}')) as before,
               easysync_internal.masked_json(coalesce(jsonb_object_agg(e.key, e.value -> 'new'), '{}')) as after
        from jsonb_each(c.fields) as e) as f
    where c.sync_id = run_id and c.change_id = any (change_list) and c.status = in_status
      and (c.destructive or c.action in ('void', 'inactivate', 'delete'))
    order by c.change_id;
end
$$;

-- An intent, before its call. The same call again keeps its row.
create function easysync_internal.push_intend(run_id bigint, tenant text, account_key text, connection_name text, request text,
                                              hash text, items text, change_list integer[], numbers text)
    returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    insert into easysync_ledger.sync_requests as r
        (tenant_id, account, request_id, connection, sync_id, change_ids, document_number, body, body_hash, status, attempts)
    values (tenant, account_key, request, connection_name, run_id, change_list, numbers, items, hash, 'intended', 1)
    on conflict (tenant_id, account, request_id) do update
        set status = 'intended', attempts = r.attempts + 1, sync_id = excluded.sync_id, change_ids = excluded.change_ids,
            body = excluded.body, intended_at = clock_timestamp(), finished_at = null;
    perform easysync_internal.audit_destructive(run_id, tenant, account_key, request, change_list);
    update easysync_internal.sync_changes as c set status = 'sent'
    where c.sync_id = run_id and c.change_id = any (change_list) and c.status in ('planned', 'unknown');
    -- The intent must survive whatever happens after the call, however the server is set.
    if current_setting('synchronous_commit') in ('off', 'local') then
        set local synchronous_commit = 'on';
    end if;
end
$$;

-- What became of a call: links, changes, failed records and the request, together.
create function easysync_internal.push_settle(run_id bigint, step_number integer, tenant text, account_key text, connection_name text,
                                              request text, http integer, trace text, items jsonb, calls bigint, reads bigint)
    returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    one record;
    own_run bigint;
begin
    select r.sync_id into own_run from easysync_ledger.sync_requests as r
    where r.tenant_id = tenant and r.account = account_key and r.request_id = request;
    own_run := coalesce(own_run, run_id);
    for one in select * from jsonb_to_recordset(items) as i (change_id integer, entity text, hub_id bigint, record_id text, label text,
            target text, action text, status text, remote_id text, number text, version text, revision integer, agreed text, raw text,
            found boolean, error jsonb, conflict jsonb) loop
        if one.remote_id is not null then
            -- Once: a write that went out again on a newer version must not take its own outcome for what was before.
            update easysync_internal.sync_changes as c
            set before_agreed = coalesce(c.before_agreed, l.agreed), before_raw = coalesce(c.before_raw, l.raw)
            from easysync_ledger.links as l
            where c.sync_id = own_run and c.change_id = one.change_id and one.action not in ('create', 'skip')
              and l.tenant_id = tenant and l.account = account_key and l.entity = one.entity and l.remote_id = one.remote_id;
            perform easysync_internal.push_link(tenant, account_key, one.entity, one.hub_id, one.target, one.remote_id, one.number,
                                                one.version, one.revision, one.agreed, one.raw, one.action = 'delete');
        end if;
        update easysync_internal.sync_changes as c
        set status = one.status, remote_id = coalesce(one.remote_id, c.remote_id), found = coalesce(one.found, c.found), payload = case one.status when 'done' then null else c.payload end,
            finished_at = case when one.status in ('done', 'failed') then clock_timestamp() end,
            error_category = one.error ->> 'category', error_code = one.error ->> 'code',
            error_message = one.error ->> 'message', error_hint = one.error ->> 'hint', error_detail = one.error ->> 'detail'
        where c.sync_id = own_run and c.change_id = one.change_id
          -- Done by the same write on a newer version, before this call was settled.
          and not (c.status = 'done' and one.status in ('planned', 'unknown'));
        if one.error is null and one.status = 'done' then
            delete from easysync_internal.sync_failures as f
            where f.tenant_id = tenant and f.connection = connection_name and f.direction = 'push' and f.entity = one.entity
              and f.record_id = one.record_id and f.hub_id = coalesce(one.hub_id, 0);
        elsif one.error is not null then
            perform easysync_internal.push_failed(own_run, tenant, connection_name, one.entity, one.hub_id, one.record_id, one.label, one.target, one.error);
        end if;
        if one.conflict is not null then
            insert into easysync_internal.sync_conflicts (tenant_id, sync_id, connection, entity, record_id, hub_id, label, fields, conflict_strategy)
            select tenant, own_run, connection_name, one.entity, one.record_id, one.hub_id, easysync_internal.masked_id(one.label), one.conflict, 'manual'
            where not exists (select from easysync_internal.sync_conflicts as k where k.tenant_id = tenant and k.connection = connection_name
                              and k.entity = one.entity and k.hub_id = one.hub_id and k.status = 'open');
        end if;
    end loop;
    update easysync_ledger.sync_requests as r
    set status = case when exists (select from jsonb_array_elements(items) as i where i.value ->> 'status' = 'unknown') then 'unknown'
                      when not exists (select from jsonb_array_elements(items) as i where i.value ->> 'status' = 'done') then 'failed'
                      else 'done' end,
        http_status = http, platform_trace = trace, finished_at = clock_timestamp(),
        body = case when exists (select from jsonb_array_elements(items) as i where i.value ->> 'status' = 'unknown') then r.body end
    where r.tenant_id = tenant and r.account = account_key and r.request_id = request;
    perform easysync_internal.push_spent(run_id, step_number, tenant, connection_name, calls, reads);
    if current_setting('synchronous_commit') in ('off', 'local') then
        set local synchronous_commit = 'on';
    end if;
end
$$;

create function easysync_internal.push_link(tenant text, account_key text, entity_name text, hub bigint, kind text, remote text, number text,
                                            version text, acknowledged integer, agreed_state text, raw_json text, gone boolean)
    returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    insert into easysync_ledger.links as l
        (tenant_id, account, entity, remote_id, remote_type, remote_num, hub_id, hash, remote_number, remote_version, revision, agreed, raw, deleted_at)
    values (tenant, account_key, entity_name, remote, kind, case when remote ~ '^[0-9]{1,18}$' then remote::bigint end, hub,
            substring(sha256(convert_to(coalesce(agreed_state, ''), 'UTF8')) for 16), number, version, acknowledged, agreed_state, raw_json,
            case when gone then now() end)
    on conflict (tenant_id, account, entity, remote_id) do update
        set remote_type = excluded.remote_type, hub_id = excluded.hub_id, hash = excluded.hash,
            remote_number = coalesce(excluded.remote_number, l.remote_number), remote_version = excluded.remote_version,
            revision = excluded.revision, agreed = excluded.agreed, raw = excluded.raw, agreed_at = now(), deleted_at = excluded.deleted_at;
end
$$;

-- The record is gone there (merged, say): its link counts no more.
create function easysync_internal.push_unlink(tenant text, account_key text, entity_name text, remote text) returns boolean
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    with gone as (
        update easysync_ledger.links as l set deleted_at = now()
        where l.tenant_id = tenant and l.account = account_key and l.entity = entity_name and l.remote_id = remote and l.deleted_at is null
        returning 1)
    select exists (select from gone)
$$;

create function easysync_internal.push_spent(run_id bigint, step_number integer, tenant text, connection_name text, calls bigint, reads bigint)
    returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    if calls > 0 then
        update easysync_internal.sync_run_steps as s set api_calls = s.api_calls + calls
        where s.sync_id = run_id and s.step = step_number;
    end if;
    if reads > 0 then
        update easysync_internal.connections as c
        set reads_used = case when c.reads_month = date_trunc('month', now() at time zone 'UTC')::date then c.reads_used else 0 end + reads,
            reads_month = date_trunc('month', now() at time zone 'UTC')::date
        where c.tenant_id = tenant and c.name = connection_name;
    end if;
end
$$;

-- Counts of a step, from its changes.
create function easysync_internal.push_counts(run_id bigint, step_number integer, looks_only boolean)
    returns table (created bigint, updated bigint, deleted bigint, unchanged bigint, failed bigint)
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    with counted as (
        select count(*) filter (where c.status = 'done' and c.action = 'create') as created,
               count(*) filter (where c.status = 'done' and c.action = 'update') as updated,
               count(*) filter (where c.status = 'done' and c.action in ('void', 'delete', 'inactivate')) as deleted,
               count(*) filter (where c.status in ('failed', 'unknown')) as failed
        from easysync_internal.sync_changes as c where c.sync_id = run_id and c.step = step_number)
    update easysync_internal.sync_run_steps as s
    set created = n.created, updated = n.updated, deleted = n.deleted, failed = case when looks_only then 0 else n.failed end,
        unchanged = coalesce((s.plan_summary ->> 'unchanged')::bigint, 0), records_done = coalesce((s.plan_summary ->> 'records')::bigint, 0)
    from counted as n
    where s.sync_id = run_id and s.step = step_number
    returning s.created, s.updated, s.deleted, s.unchanged, s.failed
$$;
