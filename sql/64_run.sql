-- run: trigger, wait, show. A procedure that commits, hence neither SECURITY DEFINER nor SET (Postgres
-- forbids COMMIT in those): it does nothing by itself but ask functions that are both. Operators have
-- USAGE on easysync_internal for the two below and are granted nothing else there.

-- Would anybody take a sync at all: before one is queued that would be waited for in vain.
create function easysync_internal.check_worker() returns void
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
    worker jsonb := easysync_internal.worker_status();
begin
    perform easysync_internal.check_fence();
    if not coalesce((worker ->> 'preloaded')::boolean, false) then
        perform easysync_internal.raise_error('55000', 'no worker is running', 'category: internal, code: no_worker',
                                              easysync_internal.worker_cure(worker));
    end if;
end
$$;

-- One row a step that has begun, as run() shows it, for a sync that the session may see.
create function easysync_internal.run_lines(sync_id bigint)
    returns table (step integer, finished boolean, line text)
    language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
    select s.step, s.finished_at is not null,
           format('sync %s: %s%s %s%s%s%s', s.sync_id, s.entity,
               case when several.connections > 1 then format(' (%s)', s.connection) end,
               s.records_done, ' of ' || s.records_total,
               (select ', with ' || string_agg(format('%s %s', a.value, a.key), ' and ' order by a.key)
                from jsonb_each_text(s.along) as a where a.value <> '0'),
               case when s.phase = 'throttled' and s.finished_at is null
                    then format(', waits until %s', to_char(s.wait_until, 'HH24:MI:SS')) end)
    from easysync_internal.sync_run_steps as s
    cross join lateral (select count(distinct o.connection) as connections from easysync_internal.sync_run_steps as o
                        where o.sync_id = s.sync_id) as several
    where s.sync_id = run_lines.sync_id and s.started_at is not null and s.status <> 'skipped'
      and s.tenant_id = any (easysync_internal.visible_tenants())
    order by s.step
$$;

-- How a run ended, said as run() says it: an error, a warning, or nothing.
create function easysync_internal.raise_outcome(sync_id bigint) returns void
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
    run easysync.sync_runs := easysync.sync_status(sync_id);
    step record;
begin
    case run.status
        when 'succeeded' then
            return;
        when 'partial' then
            -- A step that failed as a whole has no failed records to look at.
            for step in select s.entity, s.connection, s.error_message, s.error_hint from easysync_internal.sync_run_steps as s
                        where s.sync_id = run.sync_id and s.status = 'failed' order by s.step loop
                raise warning 'sync %: % of "%" could not be synced: %', run.sync_id, step.entity, step.connection, step.error_message
                    using hint = coalesce(step.error_hint, format('SELECT * FROM easysync.sync_run_steps WHERE sync_id = %s;', run.sync_id));
            end loop;
            if run.failed > 0 then
                raise warning 'sync %: % of % records failed', run.sync_id, run.failed, run.records_done
                    using hint = format('SELECT * FROM easysync.sync_failures WHERE sync_id = %s;', run.sync_id);
            end if;
        when 'awaiting_confirmation' then
            perform easysync_internal.raise_error('YS428', format('sync %s awaits confirmation', run.sync_id),
                'category: conflict, code: awaiting_confirmation',
                format('SELECT * FROM easysync.request_confirmation(%s);', run.sync_id));
        when 'failed' then
            perform easysync_internal.raise_error(easysync_internal.category_sqlstate(run.error_category),
                coalesce(run.error_message, format('sync %s failed', run.sync_id)),
                format('sync %s, category: %s, code: %s', run.sync_id, run.error_category, run.error_code),
                coalesce(run.error_hint, 'See easysync.sync_run_steps and easysync.sync_logs.'));
        else
            perform easysync_internal.raise_error('57014', format('sync %s was %s', run.sync_id, run.status),
                'category: conflict, code: ' || run.status,
                format('SELECT * FROM easysync.sync_status(%s);', run.sync_id));
    end case;
end
$$;

-- Why the worker can't take syncs; null: it can, as far as it has told.
create function easysync_internal.worker_problem() returns text
    language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
    select case when s.worker ->> 'problem' like 'syncs: %' then s.worker ->> 'problem' end
    from (select easysync_internal.worker_status() as worker) as s
$$;

-- Is the database served? A worker may have left its process to another database for a while.
create function easysync_internal.worker_serves() returns boolean
    language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select coalesce((easysync_internal.worker_status() ->> 'running')::boolean, false) $$;

-- What ended a wait: whoever cancelled it, or statement_timeout, which counts from the statement's start. (The error's
-- text tells them apart in the server's language only.)
create function easysync_internal.ended_by() returns text
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    select case when s.setting::bigint > 0 and clock_timestamp() >= statement_timestamp() + s.setting::bigint * interval '1 ms' then 'statement_timeout' else 'person' end
    from pg_settings as s where s.name = 'statement_timeout'
$$;

create procedure easysync.run(entity text, mode text default 'incremental', connection text default null, ids text[] default null,
                              filters jsonb default null, timeout interval default null)
    language plpgsql
as $$
declare
    begun timestamptz := pg_catalog.clock_timestamp();
    spoken_at timestamptz := begun;
    idle_since timestamptz;
    new_id bigint;
    current_status text := 'queued';
    part record;
    -- By step: what was shown last.
    shown text[] := '{}';
    interrupted boolean := false;
    -- Why the worker can't take syncs.
    problem text;
begin
    -- Where that can't be seen (BEGIN and CALL sent as one message, a function) the COMMIT below refuses,
    -- before anything is queued.
    if easysync_internal.in_transaction_block() then
        raise exception using errcode = '25001', message = 'easysync.run can not run inside a transaction block',
            hint = 'It commits. Use SELECT easysync.trigger(...), and easysync.sync_status after the COMMIT.';
    end if;
    commit;
    perform easysync_internal.check_worker();
    new_id := easysync.trigger(entity, mode, connection, ids, filters);
    commit;
    loop
        -- A subtransaction catches Ctrl-C; it may not contain the COMMIT.
        begin
            perform pg_catalog.pg_sleep(case when pg_catalog.clock_timestamp() < begun + interval '2 s' then 0.02 else 0.2 end);
            current_status := (easysync.sync_status(new_id)).status;
            for part in select * from easysync_internal.run_lines(new_id) loop
                continue when shown[part.step] is not distinct from part.line
                    or not part.finished and pg_catalog.clock_timestamp() < spoken_at + interval '5 s';
                raise notice '%', part.line;
                shown[part.step] := part.line;
                spoken_at := pg_catalog.clock_timestamp();
            end loop;
            problem := easysync_internal.worker_problem();
            if current_status = 'queued' and (not easysync_internal.worker_serves() or problem is not null) then
                idle_since := coalesce(idle_since, pg_catalog.clock_timestamp());
            else
                idle_since := null;
            end if;
        exception when query_canceled then
            interrupted := true;
        end;
        if interrupted then
            perform easysync.cancel(new_id, 'interrupted');
            commit;
            if easysync_internal.ended_by() = 'statement_timeout' then
                raise exception using errcode = '57014', message = pg_catalog.format('sync %s is being cancelled: statement_timeout (%s) ended the wait for it',
                        new_id, pg_catalog.current_setting('statement_timeout')),
                    hint = 'SET statement_timeout = 0 before CALL easysync.run, or do not wait: SELECT easysync.trigger(...).';
            end if;
            raise exception using errcode = '57014', message = pg_catalog.format('sync %s is being cancelled: you interrupted it', new_id);
        end if;
        commit;
        exit when current_status not in ('queued', 'running');
        if pg_catalog.clock_timestamp() > begun + timeout then
            raise exception using errcode = 'YS504', message = pg_catalog.format('sync %s still runs after %s', new_id, timeout),
                detail = 'category: network, code: timeout',
                hint = pg_catalog.format('It goes on. SELECT * FROM easysync.sync_status(%s);', new_id);
        elsif pg_catalog.clock_timestamp() > idle_since + (case when problem is null then interval '15 s' else interval '5 s' end) then
            raise exception using errcode = '55000', message = pg_catalog.format('no worker takes sync %s', new_id) || coalesce(': ' || problem, ''),
                detail = 'category: internal, code: no_worker', hint = 'SELECT easysync.health();';
        end if;
    end loop;
    perform easysync_internal.raise_outcome(new_id);
end
$$;
comment on procedure easysync.run(text, text, text, text[], jsonb, interval) is 'Trigger a sync, wait for it and show its progress';
