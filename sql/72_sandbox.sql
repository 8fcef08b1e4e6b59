-- The tenant's sandbox: switched on and off, asked for. What it is stands in 28_sandbox.sql.

create function easysync.set_sandbox(enabled boolean) returns void
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    live text := coalesce(easysync_internal.live_of(tenant), tenant);
    twin text := easysync_internal.twin_of(live);
    known easysync_internal.sandboxes;
begin
    if set_sandbox.enabled is null then
        perform easysync_internal.raise_argument('enabled can not be NULL', 'true: into the sandbox; false: back to the live accounts.');
    elsif current_setting('transaction_isolation') <> 'read committed' then
        -- An older snapshot doesn't show a sync that has started since.
        perform easysync_internal.raise_error('25001', 'the sandbox can be switched in a transaction that reads what is committed only',
            'category: validation, code: isolation_level', 'BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED;');
    end if;
    -- The worker starts nothing for either of the two from here to the end of this transaction.
    perform easysync_internal.lock_exclusive('sandbox ' || live);
    select * into known from easysync_internal.sandboxes as s where s.tenant_id = live;
    if coalesce(known.enabled, false) = set_sandbox.enabled then
        raise notice 'tenant "%" is % already', live, case when set_sandbox.enabled then 'in its sandbox' else 'live' end;
        return;
    end if;
    perform easysync_internal.check_nothing_runs(case when set_sandbox.enabled then live else twin end);
    if known.tenant_id is null then
        perform easysync_internal.check_twin_is_free(live);
    end if;
    insert into easysync_internal.sandboxes as s (tenant_id, enabled, switched_by) values (live, set_sandbox.enabled, session_user)
    on conflict (tenant_id) do update
        set enabled = excluded.enabled, switched_at = clock_timestamp(), switched_by = excluded.switched_by;
    -- It concerns both, and each sees its own log alone.
    perform easysync_internal.audit(t.id, 'set_sandbox', live, to_jsonb(not set_sandbox.enabled), to_jsonb(set_sandbox.enabled))
    from unnest(array[live, twin]) as t (id);
    if set_sandbox.enabled then
        perform easysync_internal.prepare_sandbox_hub(twin);
    end if;
    perform easysync_internal.wake();
end
$$;
comment on function easysync.set_sandbox(boolean) is 'Switch the tenant to its sandbox, or back';

create function easysync.in_sandbox() returns boolean
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
    return easysync_internal.is_twin(easysync.current_tenant());
end
$$;
comment on function easysync.in_sandbox() is 'Is the tenant in its sandbox';

-- What runs would go on for a tenant that rests.
create function easysync_internal.check_nothing_runs(tenant text) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    running bigint := (select min(r.sync_id) from easysync_internal.sync_runs as r where r.tenant_id = tenant and r.status = 'running');
begin
    if running is not null then
        perform easysync_internal.raise_error('YS409', format('sync %s is running', running),
            'category: conflict, code: sync_running', format('Wait for it, or stop it: SELECT easysync.cancel(%s);', running));
    end if;
end
$$;

-- The first time: the twin's name may belong to a live tenant of an older installation.
create function easysync_internal.check_twin_is_free(live text) returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    twin text := easysync_internal.twin_of(live);
begin
    if easysync_internal.tenant_exists(twin) then
        perform easysync_internal.raise_error('YS409', format('there is a tenant "%s", which is no sandbox', twin),
            'category: conflict, code: tenant_exists', format('Its name is needed for the sandbox of "%s": remove its members and connections.', live));
    end if;
end
$$;

-- The twin's hub, where that can be made now. Else it is made with its first connection, or by create_hub.
create function easysync_internal.prepare_sandbox_hub(twin text) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    said text;
    hint text;
begin
    perform easysync_internal.prepare_hub(twin);
exception when insufficient_privilege or sqlstate 'YS409' or sqlstate '42P07' then
    get stacked diagnostics said = message_text, hint = pg_exception_hint;
    raise notice 'the sandbox has no hub yet: %', said using hint = hint;
end
$$;

-- Every tenant of a copy goes into its sandbox: what its live rows tell of belongs to the original.
create function easysync_internal.sandbox_all() returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    live text;
begin
    for live in
        select 'default' union select c.tenant_id from easysync_internal.connections as c
        union select m.tenant_id from easysync_internal.tenant_members as m
        union select s.tenant_id from easysync_internal.sandboxes as s
        order by 1
    loop
        continue when easysync_internal.is_twin(live) or easysync_internal.in_force(live) <> live;
        if not exists (select from easysync_internal.sandboxes as s where s.tenant_id = live)
           and easysync_internal.tenant_exists(easysync_internal.twin_of(live)) then
            raise warning 'tenant "%" has no sandbox: there is a tenant "%"', live, easysync_internal.twin_of(live);
            continue;
        end if;
        insert into easysync_internal.sandboxes as s (tenant_id, enabled, switched_by) values (live, true, session_user)
        on conflict (tenant_id) do update set enabled = true, switched_at = clock_timestamp(), switched_by = excluded.switched_by;
        perform easysync_internal.audit(t.id, 'set_sandbox', live, 'false', 'true')
        from unnest(array[live, easysync_internal.twin_of(live)]) as t (id);
    end loop;
end
$$;

grant execute on function easysync.set_sandbox(boolean) to easysync_admin;
grant execute on function easysync.in_sandbox() to easysync_viewer;
