-- Schedules: schedule, alter_schedule, unschedule, preview_schedule; and what the worker does when a
-- slot has come (fire_schedule) and when a run that a schedule made has ended (note_run_end).
--
-- Of the library: check_cron(text) null or {"errors": [...]}; reckon_slots(cron, zone, after, until,
-- most) {"slots": [{"run_at","local_time","note"}]} or {"errors": [...]}, times in microseconds.

create type easysync.schedule_slot as (
    run_at timestamptz,
    local_time timestamp,
    note text
);
comment on type easysync.schedule_slot is 'One time of a schedule';

-- 22023 unless both can be read. The zone null: the tenant's, which was checked when it was set.
create function easysync_internal.check_cron_and_zone(cron text, zone text) returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    perform easysync_internal.check_size('cron', cron), easysync_internal.check_size('timezone', zone);
    if cron is null then
        perform easysync_internal.raise_argument('a schedule needs a cron expression', 'E.g. ''0 * * * *'': every hour, on the hour.');
    end if;
    perform easysync_internal.raise_answer(easysync_internal.check_cron(cron) -> 'errors', null);
    if zone is not null and not exists (select from pg_timezone_names as z where z.name = zone) then
        perform easysync_internal.raise_argument(format('unknown time zone "%s"', zone), easysync_internal.timezone_hint(zone));
    end if;
end
$$;

create function easysync.preview_schedule(cron text, timezone text default null, runs integer default 3)
    returns setof easysync.schedule_slot
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
begin
    perform easysync_internal.check_cron_and_zone(preview_schedule.cron, preview_schedule.timezone);
    if coalesce(runs, 0) not between 1 and 1000 then
        perform easysync_internal.raise_argument(format('runs can not be %s', coalesce(runs::text, 'NULL')), 'From 1 to 1000.');
    end if;
    return query
        select s.run_at, s.local_time, s.note
        from easysync_internal.slots_after(preview_schedule.cron,
                 coalesce(preview_schedule.timezone, easysync_internal.setting(tenant, 'timezone')), clock_timestamp(), null, runs) as s;
end
$$;
comment on function easysync.preview_schedule(text, text, integer) is 'The next times of a cron expression, with what a clock change does to them';

-- The schedule, or YS404 with the names there are. Locks it: the worker may be about to fire it.
create function easysync_internal.known_schedule(tenant text, schedule_name text) returns easysync_internal.schedules
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    known easysync_internal.schedules;
begin
    perform easysync_internal.check_size('name', schedule_name);
    select * into known from easysync_internal.schedules as s where s.tenant_id = tenant and s.name = schedule_name for update;
    if not found then
        perform easysync_internal.raise_error('YS404', format('unknown schedule %s', coalesce('"' || schedule_name || '"', 'NULL')),
            'category: not_found, code: unknown_schedule',
            coalesce((select 'Schedules: ' || string_agg(s.name, ', ' order by s.name) || '.'
                      from easysync_internal.schedules as s where s.tenant_id = tenant),
                     'There is none yet: easysync.schedule makes one.'));
    end if;
    return known;
end
$$;

-- "next: 11:00, 12:00, 13:00 (America/Edmonton)": with the day, where it isn't today.
create function easysync_internal.notice_next_times(tenant text, schedule_name text) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    known record;
    times text;
begin
    select * into known from easysync_internal.zoned_schedules as s where s.tenant_id = tenant and s.name = schedule_name;
    select string_agg(
               to_char(n.local_time, case when n.local_time::date <> (clock_timestamp() at time zone known.zone)::date then 'YYYY-MM-DD ' else '' end
                   || case when extract(second from n.local_time) <> 0 or known.cron ~ '^\S+( \S+){5}$' then 'HH24:MI:SS' else 'HH24:MI' end),
               ', ' order by n.run_at) into times
    from easysync_internal.slots_after(known.cron, known.zone, clock_timestamp(), null, 3) as n;
    raise notice 'next: % (%)', times, known.zone;
end
$$;

create function easysync.schedule(entity text, cron text, timezone text default null, mode text default 'incremental',
                                  connection text default null, filters jsonb default null, overlap text default 'skip',
                                  missed text default 'run_once', name text default null)
    returns text
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    tenant text := easysync.current_tenant();
    request record;
    new_name text;
begin
    perform easysync_internal.check_size('name', schedule.name);
    select * into request from easysync_internal.checked_request(tenant, schedule.entity, schedule.mode, schedule.connection, null, schedule.filters);
    perform easysync_internal.check_cron_and_zone(schedule.cron, schedule.timezone);
    perform easysync_internal.check_word('overlap', schedule.overlap, 'Words');
    perform easysync_internal.check_word('missed', schedule.missed, 'Words');
    new_name := coalesce(schedule.name, concat_ws('_', schedule.entity, request.checked_mode, schedule.connection));
    if new_name !~ '^[a-z][a-z0-9_]{0,99}$' then
        perform easysync_internal.raise_argument(format('invalid schedule name "%s"', left(new_name, 60)),
            'A name is a lower-case letter, then up to 99 of lower-case letters, digits and "_".');
    end if;
    perform easysync_internal.store_schedule(tenant, new_name, schedule.entity, request.checked_mode, schedule.connection,
        regexp_replace(btrim(schedule.cron), '\s+', ' ', 'g'), schedule.timezone, request.checked_filters, schedule.overlap, schedule.missed);
    perform easysync_internal.notice_next_times(tenant, new_name);
    return new_name;
end
$$;
comment on function easysync.schedule(text, text, text, text, text, jsonb, text, text, text) is 'Sync on a cron schedule; returns the schedule''s name and notices the next three times';

-- The same name again replaces it, and switches it on. Where its times stay as they are, so does what
-- has been decided about them: a migration that is repeated neither loses a slot nor runs one twice.
create function easysync_internal.store_schedule(tenant text, schedule_name text, entity text, mode text, connection text, cron text,
                                                 timezone text, filters jsonb, overlap text, missed text)
    returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    before easysync_internal.schedules;
    others bigint;
begin
    select * into before from easysync_internal.schedules as s where s.tenant_id = tenant and s.name = schedule_name for update;
    -- The worker looks at every schedule of every tenant.
    select count(*) into others from easysync_internal.schedules as s where s.tenant_id = tenant and s.name <> schedule_name;
    if others >= (easysync_internal.limit_of('schedules', 'rows')).most then
        perform easysync_internal.raise_size('schedules', 'rows', others + 1);
    end if;
    insert into easysync_internal.schedules as s
        (tenant_id, name, entity, mode, connection, cron, timezone, filters, overlap, missed, created_by)
    values (tenant, schedule_name, entity, mode, connection, cron, timezone, filters, overlap, missed, session_user)
    on conflict on constraint schedules_pkey do update
        set entity = excluded.entity, mode = excluded.mode, connection = excluded.connection, cron = excluded.cron,
            timezone = excluded.timezone, filters = excluded.filters, overlap = excluded.overlap, missed = excluded.missed,
            active = true, created_by = excluded.created_by,
            decided_at = case when s.active and s.cron = excluded.cron and s.timezone is not distinct from excluded.timezone
                              then s.decided_at else clock_timestamp() end;
    perform easysync_internal.audit(tenant, 'schedule', schedule_name, to_jsonb(before),
        jsonb_build_object('entity', entity, 'mode', mode, 'connection', connection, 'cron', cron, 'timezone', timezone,
                           'filters', filters, 'overlap', overlap, 'missed', missed));
end
$$;

create function easysync.alter_schedule(name text, cron text default null, timezone text default null, mode text default null,
                                        filters jsonb default null, overlap text default null, missed text default null,
                                        active boolean default null)
    returns void
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    known easysync_internal.schedules := easysync_internal.known_schedule(tenant, alter_schedule.name);
    request record;
    altered easysync_internal.schedules := known;
begin
    select * into request from easysync_internal.checked_request(tenant, known.entity, coalesce(alter_schedule.mode, known.mode),
        known.connection, null, coalesce(alter_schedule.filters, known.filters));
    altered.mode := request.checked_mode;
    altered.filters := request.checked_filters;
    altered.cron := coalesce(regexp_replace(btrim(alter_schedule.cron), '\s+', ' ', 'g'), known.cron);
    altered.timezone := coalesce(alter_schedule.timezone, known.timezone);
    altered.overlap := coalesce(alter_schedule.overlap, known.overlap);
    altered.missed := coalesce(alter_schedule.missed, known.missed);
    altered.active := coalesce(alter_schedule.active, known.active);
    perform easysync_internal.check_cron_and_zone(altered.cron, altered.timezone);
    perform easysync_internal.check_word('overlap', altered.overlap, 'Words');
    perform easysync_internal.check_word('missed', altered.missed, 'Words');
    -- Times that were not its own then aren't missed.
    if (altered.cron, altered.timezone, altered.active) is distinct from (known.cron, known.timezone, known.active) then
        altered.decided_at := clock_timestamp();
    end if;
    update easysync_internal.schedules as s
    set mode = altered.mode, filters = altered.filters, cron = altered.cron, timezone = altered.timezone,
        overlap = altered.overlap, missed = altered.missed, active = altered.active, decided_at = altered.decided_at
    where s.tenant_id = tenant and s.name = known.name;
    perform easysync_internal.audit(tenant, 'alter_schedule', known.name, to_jsonb(known), to_jsonb(altered));
    if altered.active then
        perform easysync_internal.notice_next_times(tenant, known.name);
    end if;
end
$$;
comment on function easysync.alter_schedule(text, text, text, text, jsonb, text, text, boolean) is 'Change a schedule; what is left NULL stays as it is';

create function easysync.unschedule(name text) returns boolean
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    known easysync_internal.schedules;
begin
    perform easysync_internal.check_size('name', unschedule.name);
    delete from easysync_internal.schedules as s where s.tenant_id = tenant and s.name = unschedule.name returning * into known;
    if not found then
        return false;
    end if;
    perform easysync_internal.end_notification(tenant, 'schedule_failing', known.name);
    perform easysync_internal.audit(tenant, 'unschedule', known.name, to_jsonb(known), null);
    return true;
end
$$;
comment on function easysync.unschedule(text) is 'Remove a schedule';

-- What a new connection could do by itself, switched off: alter_schedule(..., active => true) is all
-- it takes. An orders run brings customers, products and refunds along.
create function easysync_internal.add_default_schedules(tenant text, connection_name text) returns void
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    insert into easysync_internal.schedules (tenant_id, name, entity, mode, connection, cron, overlap, missed, active, created_by)
    select tenant, format('orders_%s_%s', d.mode, connection_name), 'orders', d.mode, connection_name, d.cron, 'skip', 'run_once', false, session_user
    from (values ('incremental', '0 * * * *'), ('full', '30 3 * * *')) as d (mode, cron)
    where exists (select from easysync_internal.streams as s
                  where s.tenant_id = tenant and s.connection = connection_name and s.entity = 'orders' and s.direction <> 'off')
    on conflict do nothing
$$;

-- A log row of the worker's own. A value that the log's constraints refuse fails nothing else.
create function easysync_internal.log_row(tenant text, level text, operation text, result text, message text, sync_id bigint,
                                          connection text, entity text)
    returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
begin
    insert into easysync_internal.sync_log (tenant_id, level, operation, result, message, sync_id, connection, entity, sandbox)
    select tenant, level, operation, result, message, sync_id, connection, entity, easysync_internal.is_twin(tenant)
    where array_position(array['debug', 'info', 'warn', 'error'], level)
          >= array_position(array['debug', 'info', 'warn', 'error'], easysync_internal.setting(tenant, 'log_level'));
exception when check_violation then
    raise log 'easysync: a log row was not written: %', message;
end
$$;

-- For the worker: slots of a schedule have come. Queues a run for each, unless an earlier one still
-- runs and the schedule skips then, and notes up to when slots are done with: both or neither.
-- Somebody who changed the schedule meanwhile has the last word, and so has who switched the sandbox.
-- Returns how many were queued.
create function easysync_internal.fire_schedule(tenant text, schedule_name text, was_decided bigint, decided bigint, slots bigint[],
                                                missed_slots integer)
    returns integer
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    known easysync_internal.schedules;
    obstacle text;
    new_id bigint;
    slot bigint;
begin
    select * into known from easysync_internal.schedules as s
    where s.tenant_id = tenant and s.name = schedule_name and s.active
      and (extract(epoch from s.decided_at) * 1000000)::bigint = was_decided
    for update;
    if not found or not easysync_internal.may_start(tenant) then
        return 0;
    end if;
    obstacle := case when cardinality(slots) > 0 then easysync_internal.schedule_obstacle(known)
                     when missed_slots = 0 then 'the clock was set back: its slots follow it' end;
    if obstacle is null then
        foreach slot in array slots loop
            new_id := easysync_internal.queue_sync(tenant, known.entity, known.mode, known.connection, null, known.filters,
                                                   triggered_by => 'schedule');
            update easysync_internal.sync_runs as r set schedule = known.name, requested_by = known.created_by where r.sync_id = new_id;
        end loop;
    end if;
    update easysync_internal.schedules as s
    set decided_at = timestamptz 'epoch' + decided * interval '1 microsecond',
        last_run_at = case when new_id is null then s.last_run_at else clock_timestamp() end,
        last_sync_id = coalesce(new_id, s.last_sync_id)
    where s.tenant_id = tenant and s.name = known.name;
    perform easysync_internal.log_row(tenant, case when new_id is null or missed_slots > 0 then 'warn' else 'info' end, 'schedule',
        case when new_id is null then 'skipped' else 'ok' end,
        concat_ws('; ', format('schedule "%s"', known.name), case when missed_slots > 0 then format('%s slots were missed', missed_slots) end,
            obstacle, case when new_id is not null then format('%s queued', cardinality(slots)) end),
        new_id, known.connection, known.entity);
    return case when new_id is null then 0 else cardinality(slots) end;
end
$$;

-- Why a schedule's slot runs nothing; null: it does.
create function easysync_internal.schedule_obstacle(known easysync_internal.schedules) returns text
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select case
        when known.overlap = 'skip' and running.sync_id is not null then format('sync %s still runs', running.sync_id)
        when not exists (select from easysync_internal.streams as s
                         join easysync_internal.connections as c on c.tenant_id = s.tenant_id and c.name = s.connection
                         where s.tenant_id = known.tenant_id and s.entity = known.entity and s.direction <> 'off'
                           and (known.connection is null or s.connection = known.connection) and c.status <> 'disabled')
            then 'no connection that carries it is enabled' end
    from (select min(r.sync_id) as sync_id from easysync_internal.sync_runs as r
          where r.tenant_id = known.tenant_id and r.schedule = known.name and r.status in ('queued', 'running')) as running
$$;

-- Raises an alert, or counts it where the same one isn't over.
create function easysync_internal.raise_notification(tenant text, event text, severity text, object text, connection text,
                                                     sync_id bigint, subject text, message text)
    returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
begin
    update easysync_internal.notifications as n
    set occurrences = n.occurrences + 1, sync_id = raise_notification.sync_id, message = raise_notification.message
    where n.tenant_id = tenant and n.event = raise_notification.event and n.object = raise_notification.object and n.recovered_at is null;
    if not found then
        insert into easysync_internal.notifications (tenant_id, event, severity, object, connection, sync_id, subject, message)
        values (tenant, event, severity, object, connection, sync_id, subject, message);
    end if;
end
$$;

create function easysync_internal.end_notification(tenant text, event text, object text) returns void
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    update easysync_internal.notifications as n set recovered_at = clock_timestamp()
    where n.tenant_id = tenant and n.event = end_notification.event and n.object = end_notification.object and n.recovered_at is null
$$;

-- For the worker, when a run has ended: ends the deliveries that made it, and counts the failures of its
-- schedule. The one that reaches the
-- tenant's notify_after_failures raises an alert, and so does each one after it; a success ends it.
create function easysync_internal.note_run_end(ended_id bigint) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    run easysync_internal.sync_runs;
    failures integer;
begin
    select * into run from easysync_internal.sync_runs as r where r.sync_id = ended_id;
    if run.triggered_by = 'webhook' then
        perform easysync_internal.end_webhooks(run);
    end if;
    if run.schedule is null or run.status not in ('succeeded', 'partial', 'failed') then
        return;
    end if;
    update easysync_internal.schedules as s
    set consecutive_failures = case when run.status = 'failed' then s.consecutive_failures + 1 else 0 end
    where s.tenant_id = run.tenant_id and s.name = run.schedule and (run.status = 'failed' or s.consecutive_failures > 0)
    returning s.consecutive_failures into failures;
    if failures >= easysync_internal.setting(run.tenant_id, 'notify_after_failures')::integer then
        perform easysync_internal.raise_notification(run.tenant_id, 'schedule_failing', 'critical', run.schedule, run.connection, run.sync_id,
            format('schedule "%s" has failed %s times in a row', run.schedule, failures),
            format('%s: %s. Nothing of it is synced until it succeeds. %s', run.schedule, coalesce(run.error_message, 'unknown error'),
                   coalesce(run.error_hint, format('SELECT * FROM easysync.sync_run_steps WHERE sync_id = %s;', run.sync_id))));
    elsif failures = 0 then
        perform easysync_internal.end_notification(run.tenant_id, 'schedule_failing', run.schedule);
    end if;
end
$$;

grant execute on function easysync.schedule(text, text, text, text, text, jsonb, text, text, text),
    easysync.alter_schedule(text, text, text, text, jsonb, text, text, boolean), easysync.unschedule(text) to easysync_operator;
grant execute on function easysync.preview_schedule(text, text, integer) to easysync_viewer;
