-- health(): everything a monitor asks, as one document. It never raises: what can't be found out is a
-- reason to be down.
--
-- Of the library: worker_status() {"preloaded","running","pid","state",...}.

-- Where nothing else can be said, or may be.
create function easysync_internal.health_unknown(reason text, cure text) returns jsonb
    language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select jsonb_build_object('status', 'down', 'reasons', jsonb_build_array(jsonb_build_object('reason', reason, 'cure', cure)),
        'version', null, 'worker', null, 'fenced', null, 'sandbox', null, 'queue', null, 'connections', '[]'::jsonb)
$$;

create function easysync.health() returns jsonb
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
    document jsonb;
begin
    if cardinality(easysync_internal.own_tenants()) = 0 then
        return easysync_internal.health_unknown('this session may see no tenant', 'A member of easysync_dba grants one with easysync.add_tenant_member; a gateway''s token needs a claim "tenant_id".');
    end if;
    document := easysync_internal.health_document();
    return document;
exception when others then
    return easysync_internal.health_unknown(format('health can not be told: %s', sqlerrm), 'Look into the server''s log.');
end
$$;
comment on function easysync.health() is 'Everything a monitor asks, as one document';

create function easysync_internal.health_document() returns jsonb
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    worker jsonb := easysync_internal.worker_status();
    fence record;
    connections jsonb;
    reasons jsonb;
    status text;
begin
    select * into fence from easysync_internal.fence_state();
    select coalesce(jsonb_agg(to_jsonb(h) order by h.tenant_id, h.connection), '[]') into connections
    from easysync.connection_health as h;
    -- A standby is silent by design: its worker and its fence are no fault of it, but its files must be as good.
    if pg_is_in_recovery() then
        reasons := (select coalesce(jsonb_agg(to_jsonb(i)), '[]') from easysync_internal.key_file_problems() as i);
        status := case when exists (select from jsonb_array_elements(reasons) as r where r ->> 'severity' = 'down') then 'down' else 'standby' end;
    else
        reasons := easysync_internal.health_reasons(worker, fence.state, fence.reason, connections);
        status := case when exists (select from jsonb_array_elements(reasons) as r where r ->> 'severity' = 'down') then 'down'
                       when reasons <> '[]' then 'degraded' else 'ok' end;
    end if;
    return jsonb_build_object(
        'status', status,
        'reasons', (select coalesce(jsonb_agg(r.value - 'severity' order by r.value ->> 'severity' = 'down' desc, r.ordinality), '[]')
                    from jsonb_array_elements(reasons) with ordinality as r),
        'version', easysync_internal.library_version(),
        'worker', worker,
        'fenced', fence.state = 'fenced',
        'sandbox', exists (select from unnest(easysync_internal.visible_tenants()) as v (tenant) where easysync_internal.is_twin(v.tenant)),
        'queue', easysync_internal.health_queue(),
        'connections', connections);
end
$$;

-- One connection that is down degrades the whole; all of them down is down.
create function easysync_internal.health_reasons(worker jsonb, fence_word text, fence_reason text, connections jsonb) returns jsonb
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    select coalesce(jsonb_agg(jsonb_build_object('severity', p.severity, 'reason', p.reason, 'cure', p.cure)), '[]')
    from (
        select 'down' as severity, 'no worker is running' || coalesce(format(' (%s)', worker ->> 'state'), '') as reason, easysync_internal.worker_cure(worker) as cure
        where not coalesce((worker ->> 'running')::boolean, false)
        union all
        -- A database waits for a moment whenever others are served; longer means that they are too many or too busy.
        select 'degraded', format('no process for the worker since %s UTC: all are in use (max_worker_processes = %s, %s databases with easysync)',
                   to_char((worker ->> 'waiting_since')::timestamptz at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
                   worker #>> '{server,max_worker_processes}', worker #>> '{server,databases}'),
               'Raise max_worker_processes by one for each database with easysync, and restart Postgres; until then databases take turns.'
        where (worker ->> 'waiting_since')::timestamptz < clock_timestamp() - interval '30 seconds'
        union all
        -- A database beyond the last slot: the server keeps no more.
        select 'down', format('easysync serves at most %s databases of a server', worker #>> '{server,most_databases}'),
               'Drop the extension in a database that does not need it.'
        where not coalesce((worker ->> 'running')::boolean, false)
          and (worker #>> '{server,databases}')::integer >= (worker #>> '{server,most_databases}')::integer
        union all
        select 'down', format('the worker can not take %s', worker ->> 'problem'), coalesce(worker ->> 'cure', 'See the server''s log.')
        where worker ->> 'problem' is not null
        union all
        select 'down', format('fenced: %s', fence_reason), 'easysync.unfence says what this database is.' where fence_word = 'fenced'
        union all
        select 'degraded', format('verify mode: %s', fence_reason), 'It ends by itself when each stream was walked once.' where fence_word = 'verify'
        union all
        select i.severity, i.reason, i.cure from easysync_internal.installation_problems() as i
        union all
        select 'degraded', format('the server logs parameters, and with them what clients pass to connect and set_credentials (%s)', l.settings),
               'Set it otherwise in postgresql.conf; else SET LOCAL log_parameter_max_length = 0 before each such call, or give credentials by file.'
        from easysync_internal.parameters_logged_by() as l (settings) where l.settings is not null
        union all
        select 'degraded', r.error_message, r.error_hint
        from easysync_internal.sync_runs as r
        where r.status = 'failed' and r.error_code = 'set_aside' and r.finished_at > clock_timestamp() - interval '7 days'
          and r.tenant_id = any (easysync_internal.visible_tenants())
          and not exists (select from easysync_internal.sync_runs as later
                          where later.tenant_id = r.tenant_id and later.entity = r.entity and later.sync_id > r.sync_id
                            and later.status in ('succeeded', 'partial'))
        union all
        select case when c ->> 'health' = 'down' and not exists (select from jsonb_array_elements(connections) as o where o ->> 'health' <> 'down')
                    then 'down' else 'degraded' end,
               format('%s: %s', c ->> 'connection', r.value), c -> 'cures' ->> (r.ordinality - 1)::integer
        from jsonb_array_elements(connections) as c
        cross join jsonb_array_elements_text(c -> 'reasons') with ordinality as r
    ) as p
$$;

create function easysync_internal.health_queue() returns jsonb
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    -- The tenants as an array, found once: a function in the conditions would be called for every row.
    select jsonb_build_object(
        'records', (select count(*) from easysync_internal.sync_queue as q where q.tenant_id = any (v.tenants)),
        'oldest_at', (select min(q.queued_at) from easysync_internal.sync_queue as q where q.tenant_id = any (v.tenants)),
        'syncs', (select count(*) from easysync_internal.sync_runs as r
                  where r.status = 'queued' and r.tenant_id = any (v.tenants)),
        'running', (select count(*) from easysync_internal.sync_runs as r
                    where r.status = 'running' and r.tenant_id = any (v.tenants)),
        'failures', (select count(*) from easysync_internal.sync_failures as f
                     where f.discarded_at is null and f.tenant_id = any (v.tenants)))
    from (select easysync_internal.visible_tenants() as tenants offset 0) as v
$$;
