-- What is wrong with the installation as a whole, each with its cure: part of health().

create function easysync_internal.installation_problems()
    returns table (severity text, reason text, cure text)
    language sql volatile set search_path = pg_catalog, pg_temp rows 3
as $$
    select p.severity, p.reason, p.cure from easysync_internal.key_file_problems() as p
    union all
    select f.severity, f.reason, f.cure
    from jsonb_to_recordset(easysync_internal.file_problems()) as f (severity text, reason text, cure text)
    union all
    select p.severity, p.reason, p.cure from easysync_internal.run_problems() as p
$$;

-- The key file: where it lies, whether it can be read, and whether it opens what is sealed.
create function easysync_internal.key_file_problems()
    returns table (severity text, reason text, cure text)
    language sql volatile set search_path = pg_catalog, pg_temp rows 1
as $$
    with file as (
        select k ->> 'problem' as problem, k ->> 'cure' as cure, (k ->> 'exists')::boolean as found, (k ->> 'usable')::boolean as usable,
               (k ->> 'inside_data_directory')::boolean as inside, k -> 'key_ids' as key_ids
        from easysync_internal.key_file_status() as k
    ),
    sealed as (
        select c.tenant_id, c.name, c.key_id from easysync_internal.connections as c where c.sealed is not null
    )
    select 'degraded', 'the key file lies in the data directory: base backups copy it beside what it seals',
           'Set easysync.key_file to a place outside, and move the file there.'
    from file as f where f.found and f.inside
    union all
    select 'down', 'the key file is missing: credentials can not be opened',
           'Put the key file back, or give the credentials again with easysync.set_credentials.'
    from file as f where not f.found and exists (select from sealed)
    union all
    select case when exists (select from sealed) then 'down' else 'degraded' end, f.problem,
           coalesce(f.cure, 'Give every connection its credentials again with easysync.set_credentials.')
    from file as f where f.problem is not null
    union all
    -- Another key file than the one that sealed them.
    select 'down', format('the credentials of "%s" are sealed with key %s, which is not in the key file', s.name, s.key_id),
           format('Put the right key file in place, or give the credentials again: easysync.set_credentials(%L, ...).', s.name)
    from file as f, sealed as s
    where f.usable and not f.key_ids ? s.key_id and s.tenant_id = any (easysync_internal.visible_tenants())
$$;

-- Syncs that no step of a connection tells of: those that wait for a person, and those that failed before
-- their first step.
create function easysync_internal.run_problems()
    returns table (severity text, reason text, cure text)
    language sql stable set search_path = pg_catalog, pg_temp rows 1
as $$
    select 'degraded', format('sync %s of %s waits for a confirmation%s', r.sync_id, r.entity,
               to_char(r.confirm_until at time zone 'UTC', '", until "YYYY-MM-DD HH24:MI" UTC"')),
           format('SELECT * FROM easysync.request_confirmation(%s);', r.sync_id)
    from (select * from easysync_internal.sync_runs as o
          where o.status = 'awaiting_confirmation' and o.tenant_id = any ((select easysync_internal.visible_tenants())::text[])
          order by o.sync_id limit 20) as r
    union all
    -- The last syncs are enough: what fails like that fails each time.
    select 'degraded', format('sync %s of %s failed before its first step: %s', last.sync_id, last.entity, coalesce(last.error_message, 'unknown error')),
           coalesce(last.error_hint, format('SELECT * FROM easysync.sync_status(%s);', last.sync_id))
    from unnest(easysync_internal.visible_tenants()) as v (tenant)
    cross join lateral (
        select distinct on (l.entity) l.*
        from (select * from easysync_internal.sync_runs as o where o.tenant_id = v.tenant order by o.sync_id desc limit 50) as l
        where l.finished_at is not null
        order by l.entity, l.sync_id desc) as last
    where last.status = 'failed' and not exists (select from easysync_internal.sync_run_steps as s where s.sync_id = last.sync_id)
$$;
