-- Confirmation of plans that wait: a guard against accidents. A token lives five minutes, is spent once,
-- and is bound to the exact plan and to whoever asked for it. Only its hash is kept.

-- `esc_` and 16 letters and digits, about 82 bits.
create function easysync_internal.new_token() returns text
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    select 'esc_' || string_agg(substr('abcdefghijklmnopqrstuvwxyz0123456789', 1 + get_byte(b.bytes, i) % 36, 1), '' order by i)
    from (select sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) as bytes) as b, generate_series(0, 15) as i
$$;

-- The plan of a run as a whole: the hashes of its steps' plans.
create function easysync_internal.run_plan_hash(run_id bigint) returns text
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select string_agg(s.plan_hash, '+' order by s.step) from easysync_internal.sync_run_steps as s
    where s.sync_id = run_id and s.plan_hash is not null and not s.plan_released
$$;

-- What waits: reasons, counts and confirmations, over all steps of a run.
create function easysync_internal.waiting_plan(tenant text, run_id bigint)
    returns table (reasons text[], changes integer, destructive integer, by_action jsonb, needed integer, given integer)
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    with plans as (
        select s.plan_summary as summary, case when s.confirmed_hash = s.plan_hash then s.confirmed else 0 end as given
        from easysync_internal.sync_run_steps as s
        where s.sync_id = run_id and s.plan_hash is not null and not s.plan_released),
    actions as (
        select a.key, sum(a.value::bigint) as n from plans as p, jsonb_each_text(p.summary -> 'by_action') as a group by a.key),
    totals as (
        select coalesce((select sum(n) from actions), 0) as writes,
               coalesce((select sum((p.summary ->> 'destructive')::bigint) from plans as p), 0) as destructive,
               coalesce((select sum((p.summary ->> 'overwrites')::bigint) from plans as p), 0) as overwrites,
               coalesce((select max((p.summary ->> 'writes')::bigint) from plans as p), 0) as largest)
    select array_remove(array[case when t.writes > easysync_internal.setting(tenant, 'confirm_threshold')::bigint then 'bulk' end,
                              case when exists (select from actions where key = 'delete' and n > 0) then 'delete' end,
                              case when exists (select from actions where key = 'void' and n > 0) then 'void' end,
                              case when t.overwrites > 0 then 'overwrites the source of truth' end], null),
           t.writes::integer, t.destructive::integer, coalesce((select jsonb_object_agg(a.key, a.n) from actions as a), '{}'),
           case when t.destructive > 0 and t.writes > easysync_internal.setting(tenant, 'confirm_threshold')::bigint then 2 else 1 end,
           coalesce((select min(p.given) from plans as p), 0)
    from totals as t
$$;

create function easysync.request_confirmation(sync_id bigint) returns setof easysync.confirmation
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    tenant text := easysync.current_tenant();
    run easysync_internal.sync_runs;
    plan record;
    token text := easysync_internal.new_token();
    until timestamptz := clock_timestamp() + interval '5 minutes';
begin
    select * into run from easysync_internal.sync_runs as r
    where r.sync_id = request_confirmation.sync_id and r.tenant_id = tenant for update;
    if not found then
        perform easysync_internal.raise_unknown_sync(request_confirmation.sync_id);
    elsif run.status <> 'awaiting_confirmation' or run.confirm_until < clock_timestamp() then
        perform easysync_internal.raise_error('YS409', format('sync %s does not await confirmation: it is %s', run.sync_id,
                case when run.status = 'awaiting_confirmation' then 'expired' else run.status end),
            'category: conflict, code: not_awaiting', format('SELECT * FROM easysync.sync_status(%s);', run.sync_id));
    end if;
    select * into plan from easysync_internal.waiting_plan(tenant, run.sync_id);
    -- A new token makes the one before it worthless.
    delete from easysync_internal.confirmations as c where c.sync_id = run.sync_id;
    insert into easysync_internal.confirmations (token_hash, tenant_id, sync_id, plan_hash, issued_to, expires_at)
    values (sha256(convert_to(token, 'UTF8')), tenant, run.sync_id, easysync_internal.run_plan_hash(run.sync_id), session_user, until);
    perform easysync_internal.audit(tenant, 'request_confirmation', run.entity, null, plan.by_action, run.sync_id);
    return next row(true, plan.reasons, plan.changes, plan.destructive, plan.by_action, plan.needed, plan.given, run.sync_id,
                    token, until)::easysync.confirmation;
end
$$;
comment on function easysync.request_confirmation(bigint) is 'Summary of a sync that awaits confirmation, and a fresh token for it';

-- The worker plans again before it sends, and goes ahead only if the plan is still the confirmed one;
-- else the sync goes on awaiting confirmation.
create function easysync.confirm(token text) returns bigint
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    tenant text := easysync.current_tenant();
    known easysync_internal.confirmations;
    run easysync_internal.sync_runs;
    plan record;
begin
    -- Two sessions at once: the second waits here, and finds it spent.
    select * into known from easysync_internal.confirmations as c
    where c.token_hash = sha256(convert_to(confirm.token, 'UTF8')) for update;
    if not found or known.tenant_id <> tenant or known.issued_to <> session_user or known.spent_at is not null
       or known.expires_at < clock_timestamp() then
        perform easysync_internal.raise_error('YS410', 'this confirmation token is spent, expired or unknown',
            'category: conflict, code: confirmation_token', 'Ask for a new one with easysync.request_confirmation.');
    end if;
    select * into run from easysync_internal.sync_runs as r where r.sync_id = known.sync_id for update;
    if not found or run.status <> 'awaiting_confirmation' or run.confirm_until < clock_timestamp()
       or easysync_internal.run_plan_hash(known.sync_id) is distinct from known.plan_hash then
        perform easysync_internal.raise_error('YS409', 'the plan has changed since the token was issued',
            format('category: conflict, code: plan_moved; sync %s is %s', known.sync_id, coalesce(run.status, 'gone')),
            format('Look again with easysync.request_confirmation(%s).', known.sync_id));
    end if;
    update easysync_internal.confirmations as c set spent_at = clock_timestamp() where c.token_hash = known.token_hash;
    update easysync_internal.sync_run_steps as s
    set confirmed = case when s.confirmed_hash = s.plan_hash then s.confirmed else 0 end + 1, confirmed_hash = s.plan_hash
    where s.sync_id = run.sync_id and s.plan_hash is not null and not s.plan_released;
    select * into plan from easysync_internal.waiting_plan(tenant, run.sync_id);
    perform easysync_internal.audit(tenant, 'confirm', run.entity, null,
        jsonb_build_object('by_action', plan.by_action, 'plan', known.plan_hash, 'given', plan.given), run.sync_id);
    if plan.given < plan.needed then
        raise notice 'sync % awaits a second confirmation: SELECT * FROM easysync.request_confirmation(%);', run.sync_id, run.sync_id;
        return run.sync_id;
    end if;
    update easysync_internal.sync_runs as r set status = 'queued', worker_epoch = null where r.sync_id = run.sync_id;
    perform easysync_internal.wake();
    return run.sync_id;
end
$$;
comment on function easysync.confirm(text) is 'Spend a token: the sync goes ahead if its plan is still the same; returns its sync_id';

-- Runs that nobody confirmed in time; tokens whose time is over. Called by the worker's housekeeping.
create function easysync_internal.expire_confirmations() returns integer
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    gone bigint[];
begin
    delete from easysync_internal.confirmations as c where c.expires_at < clock_timestamp() - interval '1 day';
    with expired as (
        update easysync_internal.sync_runs as r set status = 'expired', finished_at = clock_timestamp()
        where r.status = 'awaiting_confirmation' and r.confirm_until < clock_timestamp()
          and r.tenant_id <> all (easysync_internal.resting_tenants()) returning r.sync_id)
    select array_agg(sync_id) into gone from expired;
    update easysync_internal.sync_run_steps as s set status = 'expired', phase = null, finished_at = clock_timestamp()
    where s.sync_id = any (gone) and s.status = 'awaiting_confirmation';
    perform easysync_internal.audit(r.tenant_id, 'expire', r.entity, '"awaiting_confirmation"', '"expired"', r.sync_id)
    from easysync_internal.sync_runs as r where r.sync_id = any (gone);
    return coalesce(cardinality(gone), 0);
end
$$;
