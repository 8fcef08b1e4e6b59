-- Confirmation: a guard against accidents. A token lives five minutes, is spent once, and is bound to
-- the exact plan and to whoever asked for it. Only its hash is kept. It is given for a sync that waits,
-- or beforehand, for one that isn't queued yet.

-- `esc_` and 16 letters and digits, about 82 bits.
create function easysync_internal.new_token() returns text
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    select 'esc_' || string_agg(substr('abcdefghijklmnopqrstuvwxyz0123456789', 1 + get_byte(b.bytes, i) % 36, 1), '' order by i)
    from (select sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) as bytes) as b, generate_series(0, 15) as i
$$;

-- Whom a token is for: the session's user; under a gateway (PostgREST), where all share one, the person of
-- the token that it has verified.
create function easysync_internal.asker() returns text
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select session_user || coalesce(':' || encode(sha256(convert_to(
               coalesce(easysync_internal.claimed_text('sub'), easysync_internal.claimed_text('email')), 'UTF8')), 'hex'), '')
$$;

create function easysync_internal.raise_token() returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    perform easysync_internal.raise_error('YS410', 'this confirmation token is spent, expired or unknown',
        'category: conflict, code: confirmation_token', 'Ask for a new one with easysync.request_confirmation or easysync.check_confirmation.');
end
$$;

create function easysync_internal.raise_moved(what text, way_out text) returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    perform easysync_internal.raise_error('YS409', 'the plan has changed since the token was issued',
        'category: conflict, code: plan_moved; ' || what, 'Look again with ' || way_out || '.');
end
$$;

-- Would this sync need a confirmation? Plans its pushes as dry_run does; what pulls change here needs none.
create function easysync.check_confirmation(entity text, mode text default 'incremental', connection text default null, ids text[] default null,
                                            filters jsonb default null)
    returns setof easysync.confirmation
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    request record;
    asked jsonb;
    answers jsonb;
    waiting jsonb;
    summaries jsonb;
    plan record;
    token text;
    until timestamptz;
begin
    select * into request from easysync_internal.checked_request(tenant, check_confirmation.entity, check_confirmation.mode,
        check_confirmation.connection, check_confirmation.ids, check_confirmation.filters);
    perform easysync_internal.check_fence();
    perform easysync_internal.check_working(tenant, check_confirmation.entity, check_confirmation.connection);
    answers := easysync_internal.plan_pushes(tenant, check_confirmation.entity, request.checked_mode,
        easysync_internal.pushed_to(tenant, check_confirmation.entity, check_confirmation.connection), request.checked_ids, request.checked_filters);
    perform easysync_internal.raise_answer(answers -> '!', check_confirmation.connection);
    -- Each connection has a gate of its own; what passes through is no part of what is confirmed.
    select coalesce(jsonb_object_agg(a.key, a.value), '{}') into waiting from jsonb_each(answers) as a where (a.value ->> 'confirmations')::integer > 0;
    select coalesce(jsonb_agg(a.value -> 'summary' order by a.key), '[]') into summaries from jsonb_each(case waiting when '{}' then answers else waiting end) as a;
    select * into plan from easysync_internal.sum_of_plans(tenant, summaries);
    if waiting = '{}' then
        return next row(false, '{}', plan.changes, plan.destructive, plan.by_action, 0, 0, null, null, null,
                        easysync_internal.plan_periods(summaries), '{}')::easysync.confirmation;
        return;
    end if;
    token := easysync_internal.new_token();
    until := clock_timestamp() + interval '5 minutes';
    asked := jsonb_build_object('entity', check_confirmation.entity, 'mode', request.checked_mode, 'connection', check_confirmation.connection,
                                'ids', request.checked_ids, 'filters', request.checked_filters);
    -- A new token makes the one before it worthless.
    delete from easysync_internal.confirmations as c
    where c.sync_id is null and c.tenant_id = tenant and c.issued_to = easysync_internal.asker() and c.request = asked;
    insert into easysync_internal.confirmations (token_hash, tenant_id, plan_hash, issued_to, expires_at, request, plans, lines)
    values (sha256(convert_to(token, 'UTF8')), tenant, easysync_internal.answers_hash(waiting), easysync_internal.asker(), until, asked,
            (select jsonb_object_agg(a.key, a.value -> 'hash') from jsonb_each(waiting) as a), easysync_internal.answers_lines(waiting));
    perform easysync_internal.audit(tenant, 'check_confirmation', check_confirmation.entity, null, plan.by_action);
    if 'bulk' = any (plan.reasons) then
        perform easysync_internal.tell_groups(summaries);
    end if;
    return next row(true, plan.reasons, plan.changes, plan.destructive, plan.by_action, plan.needed, 0, null, token, until,
                    easysync_internal.plan_periods(summaries), easysync_internal.plan_notes(plan.needed, 0))::easysync.confirmation;
end
$$;
comment on function easysync.check_confirmation(text, text, text, text[], jsonb) is 'Would this sync need a confirmation, why, and a token to give it';

-- Connections whose plans of a run wait.
create function easysync_internal.waiting_connections(run_id bigint) returns text[]
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select coalesce(array_agg(s.connection order by s.connection), '{}') from easysync_internal.sync_run_steps as s
    where s.sync_id = run_id and s.plan_hash is not null and not s.plan_released
$$;

-- Plans the pushes of a run that waits in this session. What takes a sync back, and what is more than a session
-- takes, is planned by the worker alone.
create function easysync_internal.plan_again(run easysync_internal.sync_runs) returns jsonb
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    select case when run.undoes is not null
                  or exists (select from easysync_internal.sync_run_steps as s
                             where s.sync_id = run.sync_id and s.plan_hash is not null and not s.plan_released
                               and (s.plan_summary ->> 'records')::bigint > 500) then '{"!": []}'::jsonb
                else easysync_internal.plan_pushes(run.tenant_id, run.entity, run.mode, easysync_internal.waiting_connections(run.sync_id),
                                                   run.ids, run.filters) end
$$;

-- Takes what was planned now in the place of the plan that waits.
create function easysync_internal.replace_plan(run easysync_internal.sync_runs, answers jsonb) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    known record;
    places integer;
begin
    for known in select s.step, s.connection, answers -> s.connection as answer from easysync_internal.sync_run_steps as s
                 where s.sync_id = run.sync_id and s.connection = any (easysync_internal.waiting_connections(run.sync_id)) and s.direction = 'push'
                 order by s.step loop
        delete from easysync_internal.sync_changes as c where c.sync_id = run.sync_id and c.step = known.step and c.status <> 'done';
        places := coalesce((select max(c.change_id) from easysync_internal.sync_changes as c where c.sync_id = run.sync_id), 0);
        insert into easysync_internal.sync_changes
            (sync_id, change_id, step, tenant_id, connection, direction, entity, record_id, label, target, action, destructive, reason,
             fields, depends_on, status)
        select run.sync_id, c.change_id, known.step, run.tenant_id, c.connection, 'push', c.entity, c.record_id, c.label, c.target, c.action,
               c.destructive, c.reason, coalesce(c.fields, '{}'), c.depends_on, case c.action when 'skip' then 'skipped' else 'planned' end
        from easysync_internal.planned_changes(known.answer, places) as c;
        update easysync_internal.sync_run_steps as s
        set plan_hash = known.answer ->> 'hash', plan_summary = known.answer -> 'summary'
        where s.sync_id = run.sync_id and s.step = known.step;
    end loop;
end
$$;

create function easysync.request_confirmation(sync_id bigint) returns setof easysync.confirmation
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    tenant text := easysync.current_tenant();
    run easysync_internal.sync_runs;
    answers jsonb;
    plan record;
    token text := easysync_internal.new_token();
    until timestamptz;
begin
    select * into run from easysync_internal.sync_runs as r
    where r.sync_id = request_confirmation.sync_id and r.tenant_id = tenant;
    if not found then
        perform easysync_internal.raise_unknown_sync(request_confirmation.sync_id);
    end if;
    perform easysync_internal.check_waits(run);
    -- Planned anew, without a lock meanwhile. Where a session can't (the plan is too large, no answer comes)
    -- the plan that waits is shown: the worker plans anew in any case before it sends.
    answers := easysync_internal.plan_again(run);
    select * into run from easysync_internal.sync_runs as r where r.sync_id = run.sync_id for update;
    perform easysync_internal.check_waits(run);
    if not answers ? '!' and easysync_internal.answers_hash(answers) is distinct from easysync_internal.run_plan_hash(run.sync_id) then
        perform easysync_internal.replace_plan(run, answers);
        if not exists (select from jsonb_each(answers) as a where (a.value ->> 'confirmations')::integer > 0) then
            -- Nothing of what it waited for is left.
            perform easysync_internal.let_go(run);
            select * into plan from easysync_internal.waiting_plan(tenant, run.sync_id);
            return next row(false, '{}', plan.changes, plan.destructive, plan.by_action, 0, 0, run.sync_id, null, null,
                            easysync_internal.plan_periods(plan.summaries), '{}')::easysync.confirmation;
            return;
        end if;
    end if;
    select * into plan from easysync_internal.waiting_plan(tenant, run.sync_id);
    until := clock_timestamp() + interval '5 minutes';
    -- A new token makes the one before it worthless.
    delete from easysync_internal.confirmations as c where c.sync_id = run.sync_id;
    insert into easysync_internal.confirmations (token_hash, tenant_id, sync_id, plan_hash, issued_to, expires_at)
    values (sha256(convert_to(token, 'UTF8')), tenant, run.sync_id, easysync_internal.run_plan_hash(run.sync_id), easysync_internal.asker(), until);
    perform easysync_internal.audit(tenant, 'request_confirmation', run.entity, null, plan.by_action, run.sync_id);
    if 'bulk' = any (plan.reasons) then
        perform easysync_internal.tell_groups(plan.summaries);
    end if;
    return next row(true, plan.reasons, plan.changes, plan.destructive, plan.by_action, plan.needed, plan.given, run.sync_id,
                    token, until, easysync_internal.plan_periods(plan.summaries),
                    easysync_internal.plan_notes(plan.needed, plan.given))::easysync.confirmation;
end
$$;
comment on function easysync.request_confirmation(bigint) is 'Summary of a sync that awaits confirmation, and a fresh token for it';

create function easysync_internal.check_waits(run easysync_internal.sync_runs) returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    if run.status <> 'awaiting_confirmation' or run.confirm_until < clock_timestamp() then
        perform easysync_internal.raise_error('YS409', format('sync %s does not await confirmation: it is %s', run.sync_id,
                case when run.status = 'awaiting_confirmation' then 'expired' else run.status end),
            'category: conflict, code: not_awaiting', format('SELECT * FROM easysync.sync_status(%s);', run.sync_id));
    end if;
end
$$;

-- A sync that waited goes on.
create function easysync_internal.let_go(run easysync_internal.sync_runs) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    update easysync_internal.sync_runs as r set status = 'queued', worker_epoch = null where r.sync_id = run.sync_id;
    perform easysync_internal.end_notification(run.tenant_id, 'confirmation_waits', coalesce(run.schedule, run.entity));
    perform easysync_internal.wake();
end
$$;

-- Plans again first, in this session, and without a lock meanwhile. Where a session can't (the plan is too
-- large, no answer comes, the token has ended) nothing is lost: the worker plans once more before it sends,
-- and goes ahead only if the plan is still the confirmed one.
create function easysync.confirm(token text) returns bigint
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    tenant text := easysync.current_tenant();
    hash bytea := sha256(convert_to(confirm.token, 'UTF8'));
    known easysync_internal.confirmations;
    moved text;
begin
    perform easysync_internal.hide_parameters();
    perform easysync_internal.check_size('token', confirm.token);
    select * into known from easysync_internal.confirmations as c where c.token_hash = hash;
    if not found or not easysync_internal.is_good(known, tenant) then
        perform easysync_internal.raise_token();
    end if;
    moved := easysync_internal.moved_since(known);
    if moved is not null then
        perform easysync_internal.raise_moved(moved, case when known.sync_id is null then 'easysync.check_confirmation'
                                                          else format('easysync.request_confirmation(%s)', known.sync_id) end);
    end if;
    -- Two sessions at once: the second waits here, and finds it spent.
    select * into known from easysync_internal.confirmations as c where c.token_hash = hash for update;
    if not found or not easysync_internal.is_good(known, tenant) then
        perform easysync_internal.raise_token();
    end if;
    update easysync_internal.confirmations as c set spent_at = clock_timestamp() where c.token_hash = hash;
    if known.sync_id is null then
        return easysync_internal.queue_confirmed(known);
    end if;
    return easysync_internal.confirm_waiting(known);
end
$$;
comment on function easysync.confirm(text) is 'Spend a token: the sync goes ahead if its plan is still the same; returns its sync_id';

create function easysync_internal.is_good(known easysync_internal.confirmations, tenant text) returns boolean
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    select known.tenant_id = tenant and known.issued_to = easysync_internal.asker() and known.spent_at is null and known.expires_at >= clock_timestamp()
$$;

-- What has moved since a token was issued; null: nothing that a session can see.
create function easysync_internal.moved_since(known easysync_internal.confirmations) returns text
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    run easysync_internal.sync_runs;
    answers jsonb;
begin
    if known.sync_id is null then
        answers := easysync_internal.plan_pushes(known.tenant_id, known.request ->> 'entity', known.request ->> 'mode',
            easysync_internal.pushed_to(known.tenant_id, known.request ->> 'entity', known.request ->> 'connection'),
            easysync_internal.request_ids(known.request), nullif(known.request -> 'filters', 'null'));
        if answers ? '!' then
            return null;
        end if;
        select coalesce(jsonb_object_agg(a.key, a.value), '{}') into answers from jsonb_each(answers) as a where (a.value ->> 'confirmations')::integer > 0;
        return case when easysync_internal.answers_hash(answers) is distinct from known.plan_hash
                    then easysync_internal.what_moved(known.lines, easysync_internal.answers_lines(answers)) end;
    end if;
    select * into run from easysync_internal.sync_runs as r where r.sync_id = known.sync_id;
    if not found or run.status <> 'awaiting_confirmation' or run.confirm_until < clock_timestamp() then
        return format('sync %s is %s', known.sync_id, case when run.status = 'awaiting_confirmation' then 'expired' else coalesce(run.status, 'gone') end);
    elsif easysync_internal.run_plan_hash(run.sync_id) is distinct from known.plan_hash then
        return format('sync %s was planned anew', known.sync_id);
    end if;
    answers := easysync_internal.plan_again(run);
    return case when not answers ? '!' and easysync_internal.answers_hash(answers) is distinct from known.plan_hash
                then easysync_internal.what_moved(easysync_internal.waiting_lines(run.sync_id), easysync_internal.answers_lines(answers)) end;
end
$$;

create function easysync_internal.request_ids(request jsonb) returns text[]
    language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select case jsonb_typeof(request -> 'ids') when 'array' then array(select jsonb_array_elements_text(request -> 'ids')) end
$$;

-- Queues the sync that was confirmed beforehand: its plans, by their hashes, have one confirmation.
create function easysync_internal.queue_confirmed(known easysync_internal.confirmations) returns bigint
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    new_id bigint;
begin
    new_id := easysync_internal.queue_sync(known.tenant_id, known.request ->> 'entity', known.request ->> 'mode', known.request ->> 'connection',
                                           easysync_internal.request_ids(known.request), nullif(known.request -> 'filters', 'null'));
    update easysync_internal.sync_runs as r set confirmed_plans = known.plans where r.sync_id = new_id;
    perform easysync_internal.audit(known.tenant_id, 'confirm', known.request ->> 'entity', null,
        jsonb_build_object('plan', known.plan_hash, 'given', 1), new_id);
    perform easysync_internal.warn_if_idle(known.tenant_id, new_id, known.request ->> 'entity', known.request ->> 'connection');
    return new_id;
end
$$;

-- Gives a sync that waits a confirmation; it goes on when it has all that it needs.
create function easysync_internal.confirm_waiting(known easysync_internal.confirmations) returns bigint
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    run easysync_internal.sync_runs;
    plan record;
begin
    select * into run from easysync_internal.sync_runs as r where r.sync_id = known.sync_id for update;
    if run.status <> 'awaiting_confirmation' or easysync_internal.run_plan_hash(run.sync_id) is distinct from known.plan_hash then
        perform easysync_internal.raise_moved(format('sync %s is %s', known.sync_id, run.status),
                                              format('easysync.request_confirmation(%s)', known.sync_id));
    end if;
    update easysync_internal.sync_run_steps as s
    set confirmed = case when s.confirmed_hash = s.plan_hash then s.confirmed else 0 end + 1, confirmed_hash = s.plan_hash
    where s.sync_id = run.sync_id and s.plan_hash is not null and not s.plan_released;
    select * into plan from easysync_internal.waiting_plan(run.tenant_id, run.sync_id);
    perform easysync_internal.audit(run.tenant_id, 'confirm', run.entity, null,
        jsonb_build_object('by_action', plan.by_action, 'plan', known.plan_hash, 'given', plan.given), run.sync_id);
    if plan.given < plan.needed then
        raise notice 'sync % awaits a second confirmation: SELECT * FROM easysync.request_confirmation(%);', run.sync_id, run.sync_id;
    else
        perform easysync_internal.let_go(run);
    end if;
    return run.sync_id;
end
$$;

-- For the worker, when a run begins to wait. Nobody sees it who didn't start it himself: then people are told.
create function easysync_internal.note_waiting(run_id bigint) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    run easysync_internal.sync_runs;
    plan record;
begin
    select * into run from easysync_internal.sync_runs as r where r.sync_id = run_id;
    if run.triggered_by not in ('schedule', 'webhook', 'change') then
        return;
    end if;
    select * into plan from easysync_internal.waiting_plan(run.tenant_id, run_id);
    perform easysync_internal.raise_notification(run.tenant_id, 'confirmation_waits', 'warning', coalesce(run.schedule, run.entity), run.connection,
        run.sync_id, format('sync %s waits for a confirmation: %s', run.sync_id, array_to_string(plan.reasons, ', ')),
        format('%s: %s writes, %s of them destructive. Nothing is sent until somebody confirms it, until %s. SELECT * FROM easysync.request_confirmation(%s);',
               coalesce('schedule ' || run.schedule, run.entity || ', by ' || run.triggered_by), plan.changes, plan.destructive,
               to_char(run.confirm_until at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'), run.sync_id));
end
$$;

-- Runs that nobody confirmed in time; tokens whose time is over. Called by the worker's housekeeping.
create function easysync_internal.expire_confirmations() returns integer
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    run easysync_internal.sync_runs;
    expired integer := 0;
begin
    delete from easysync_internal.confirmations as c where c.expires_at < clock_timestamp() - interval '1 day';
    for run in
        update easysync_internal.sync_runs as r
        set status = 'expired', finished_at = clock_timestamp(), error_category = 'conflict', error_code = 'not_confirmed',
            error_message = 'nobody confirmed it in time', error_hint = 'Nothing was sent. Trigger it again, or raise the setting confirm_wait.'
        where r.status = 'awaiting_confirmation' and r.confirm_until < clock_timestamp()
          and r.tenant_id <> all (easysync_internal.resting_tenants()) returning r.*
    loop
        update easysync_internal.sync_run_steps as s set status = 'expired', phase = null, finished_at = clock_timestamp()
        where s.sync_id = run.sync_id and s.status = 'awaiting_confirmation';
        perform easysync_internal.audit(run.tenant_id, 'expire', run.entity, '"awaiting_confirmation"', '"expired"', run.sync_id);
        perform easysync_internal.log_row(run.tenant_id, 'warn', 'run', 'skipped', 'nobody confirmed it in time: nothing was sent', run.sync_id,
                                          run.connection, run.entity);
        perform easysync_internal.end_notification(run.tenant_id, 'confirmation_waits', coalesce(run.schedule, run.entity));
        perform easysync_internal.raise_notification(run.tenant_id, 'confirmation_expired', 'warning', coalesce(run.schedule, run.entity),
            run.connection, run.sync_id, format('sync %s has expired: nobody confirmed it', run.sync_id),
            'Nothing of it was sent. What it would have written waits for the next sync of ' || run.entity || '.');
        expired := expired + 1;
    end loop;
    return expired;
end
$$;
