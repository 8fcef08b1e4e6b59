-- Syncs: trigger, cancel, sync_status. A run is one row; the worker takes it from there.

-- What a sync shall do, checked. Raises what is wrong with the arguments, naming what is right.
create function easysync_internal.checked_request(tenant text, entity text, mode text, connection text, ids text[], filters jsonb,
                                                  out checked_mode text, out checked_ids text[], out checked_filters jsonb)
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    carriers text[];
begin
    perform easysync_internal.check_size('ids', ids);
    perform easysync_internal.check_word('entity', entity, 'Entities');
    checked_mode := coalesce(mode, 'incremental');
    perform easysync_internal.check_word('mode', checked_mode, 'Modes');
    if connection is not null then
        perform easysync_internal.known_connection(tenant, connection);
    end if;
    select array_agg(s.connection order by s.connection) into carriers from easysync_internal.streams as s
    where s.tenant_id = tenant and s.entity = checked_request.entity and s.direction <> 'off'
      and (checked_request.connection is null or s.connection = checked_request.connection);
    if carriers is null then
        perform easysync_internal.raise_no_carrier(tenant, entity, connection);
    end if;
    checked_filters := nullif(easysync_internal.checked_filters(tenant, entity, filters), '{}');
    if ids is not null then
        if checked_mode = 'full' then
            perform easysync_internal.raise_argument('mode "full" can not be had with ids', 'Leave out the mode, or the ids.');
        elsif cardinality(carriers) > 1 then
            perform easysync_internal.raise_argument(format('several connections carry %s: whose ids are these', entity),
                format('Say which: connection => ''%s''. Connections: %s.', carriers[1], array_to_string(carriers, ', ')));
        end if;
        checked_ids := easysync_internal.checked_ids(tenant, carriers[1], entity, ids);
        checked_mode := 'ids';
    end if;
end
$$;

create function easysync_internal.raise_no_carrier(tenant text, entity_name text, connection_name text) returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    flowing text;
begin
    select string_agg(format('%s (%s)', s.connection, s.entities), '; ' order by s.connection) into flowing
    from (select x.connection, string_agg(x.entity, ', ' order by x.entity) as entities
          from easysync_internal.streams as x
          where x.tenant_id = tenant and x.direction <> 'off' group by x.connection) as s;
    perform easysync_internal.raise_argument(
        case when connection_name is null then format('no connection carries %s', entity_name)
             else format('"%s" does not carry %s', connection_name, entity_name) end,
        case when flowing is null then 'Connect one with easysync.connect.'
             else format('What flows: %s. easysync.set_stream changes it.', flowing) end);
end
$$;

-- Ids as the platform of the connection has them, each once, in the order given.
create function easysync_internal.checked_ids(tenant text, connection_name text, entity_name text, ids text[]) returns text[]
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    odd text;
    connector_name text := (easysync_internal.known_connection(tenant, connection_name)).connector;
begin
    if cardinality(ids) = 0 or array_ndims(ids) > 1 then
        perform easysync_internal.raise_argument('ids must be a list with one id at least', 'E.g. ids => ''{175,176}''.');
    end if;
    -- The first one that can't be.
    select coalesce(i.id, 'NULL') into odd from unnest(ids) with ordinality as i (id, nr)
    where i.id is null or i.id = '' or length(i.id) > 200 or i.id ~ '[[:cntrl:]]'
       or (connector_name = 'woocommerce' and i.id !~ '^[1-9][0-9]{0,17}$')
    order by i.nr limit 1;
    if found then
        perform easysync_internal.raise_argument(format('"%s" is not an id of %s', left(easysync_internal.masked_id(odd), 60), connector_name),
            format('The id of the record on the platform, as source_id of %s in the hub.', entity_name));
    end if;
    return array(select i.id from unnest(ids) with ordinality as i (id, nr) group by i.id order by min(i.nr));
end
$$;

-- Queues a run; never waits for another session, but for one with the same idempotency key.
create function easysync_internal.queue_sync(tenant text, entity text, mode text, connection text, ids text[], filters jsonb,
                                             idempotency_key text default null, triggered_by text default 'manual',
                                             failure_ids bigint[] default null, looks_only boolean default false)
    returns bigint
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    new_id bigint;
    earlier easysync_internal.sync_runs;
begin
    loop
        insert into easysync_internal.sync_runs as r
            (tenant_id, entity, mode, connection, ids, filters, idempotency_key, triggered_by, failure_ids, dry_run, requested_by, person, sandbox)
        values (tenant, entity, mode, connection, ids, filters, idempotency_key, triggered_by, failure_ids, looks_only, session_user,
                easysync_internal.person(), easysync_internal.is_twin(tenant))
        on conflict do nothing
        returning r.sync_id into new_id;
        if new_id is not null then
            return new_id;
        end if;
        select * into earlier from easysync_internal.sync_runs as r
        where r.tenant_id = tenant and r.idempotency_key = queue_sync.idempotency_key;
        -- Gone again (retention): the key is free.
        exit when found;
    end loop;
    if (earlier.entity, earlier.mode, earlier.connection, earlier.ids, earlier.filters, earlier.dry_run)
       is distinct from (entity, mode, connection, ids, filters, looks_only) then
        perform easysync_internal.raise_error('YS409', format('idempotency key "%s" was used with other arguments', idempotency_key),
            format('category: conflict, code: idempotency_key; sync %s', earlier.sync_id),
            format('SELECT * FROM easysync.sync_status(%s);', earlier.sync_id));
    end if;
    return earlier.sync_id;
end
$$;

-- Says why a sync that is queued will not start: nobody is there to take it, or nobody may.
create function easysync_internal.warn_if_idle(tenant text, queued_id bigint, entity_name text, connection_name text) returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    fence record;
    worker jsonb := easysync_internal.worker_status();
    known easysync_internal.connections;
begin
    select * into fence from easysync_internal.fence_state();
    if fence.state = 'fenced' then
        raise warning 'sync % waits: this database is fenced: %', queued_id, fence.reason
            using hint = 'easysync.unfence says what this database is.';
    elsif not coalesce((worker ->> 'running')::boolean, false) then
        raise warning 'sync % waits: no worker is running', queued_id
            using hint = easysync_internal.worker_cure(worker);
    end if;
    select * into known from easysync_internal.connections as c where c.tenant_id = tenant and c.name = connection_name;
    if known.status <> 'connected' then
        raise warning '"%" is %', known.name, known.status || coalesce(': ' || known.status_reason, '')
            using hint = coalesce(known.status_hint, format('SELECT easysync.enable(%L);', known.name));
    elsif connection_name is null
          and not exists (select from easysync_internal.streams as s
                          join easysync_internal.connections as c on c.tenant_id = s.tenant_id and c.name = s.connection
                          where s.tenant_id = tenant and s.entity = entity_name and s.direction <> 'off' and c.status = 'connected') then
        raise warning 'no connection that carries % works', entity_name
            using hint = 'SELECT connection, reasons, cures FROM easysync.connection_health;';
    end if;
end
$$;

create function easysync_internal.worker_cure(worker jsonb) returns text
    language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select case
        when not coalesce((worker ->> 'preloaded')::boolean, false)
            then 'Add easysync to shared_preload_libraries and restart Postgres.'
        when worker ->> 'state' = 'version_mismatch'
            then 'Library and scripts are of different versions: ALTER EXTENSION easysync UPDATE; or install the library that fits.'
        when worker ->> 'state' = 'starting' then 'It is starting.'
        else 'It is started by itself; the server''s log says why if it is not.' end
$$;

create function easysync.trigger(entity text, mode text default 'incremental', connection text default null, ids text[] default null,
                                 filters jsonb default null, idempotency_key text default null, dry_run boolean default false)
    returns bigint
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    request record;
    new_id bigint;
begin
    perform easysync_internal.check_size('idempotency_key', idempotency_key);
    if idempotency_key = '' then
        perform easysync_internal.raise_argument('invalid idempotency key', '1 to 255 characters, or none.');
    end if;
    select * into request from easysync_internal.checked_request(tenant, entity, mode, connection, ids, filters);
    if dry_run then
        perform easysync_internal.check_working(tenant, entity, connection);
    end if;
    new_id := easysync_internal.queue_sync(tenant, entity, request.checked_mode, connection, request.checked_ids,
                                           request.checked_filters, idempotency_key, looks_only => coalesce(trigger.dry_run, false));
    perform easysync_internal.warn_if_idle(tenant, new_id, entity, connection);
    return new_id;
end
$$;
comment on function easysync.trigger(text, text, text, text[], jsonb, text, boolean) is 'Queue a sync in this transaction; returns its sync_id';

create function easysync_internal.raise_unknown_sync(sync_id bigint) returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    perform easysync_internal.raise_error('YS404', format('unknown sync %s', coalesce(sync_id::text, 'NULL')),
        'category: not_found, code: unknown_sync', 'SELECT sync_id, entity, status FROM easysync.sync_runs ORDER BY sync_id DESC LIMIT 10;');
end
$$;

create function easysync.cancel(sync_id bigint, reason text default null) returns boolean
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    run easysync_internal.sync_runs;
begin
    perform easysync_internal.check_size('reason', cancel.reason);
    select * into run from easysync_internal.sync_runs as r
    where r.sync_id = cancel.sync_id and r.tenant_id = tenant for update;
    if not found then
        perform easysync_internal.raise_unknown_sync(cancel.sync_id);
    elsif run.status not in ('queued', 'running', 'awaiting_confirmation') then
        raise warning 'sync % had already ended: %', run.sync_id, run.status;
        return false;
    end if;
    -- A running one is the worker's: it ends it after the record in hand.
    update easysync_internal.sync_runs as r
    set cancel_requested_at = coalesce(r.cancel_requested_at, clock_timestamp()),
        cancel_requested_by = coalesce(r.cancel_requested_by, session_user),
        cancel_reason = coalesce(r.cancel_reason, easysync_internal.masked(cancel.reason)),
        status = case r.status when 'running' then r.status else 'cancelled' end,
        finished_at = case r.status when 'running' then r.finished_at else clock_timestamp() end
    where r.sync_id = run.sync_id;
    update easysync_internal.sync_run_steps as s set status = 'cancelled', finished_at = clock_timestamp()
    where s.sync_id = run.sync_id and run.status <> 'running' and s.finished_at is null;
    perform easysync_internal.audit(tenant, 'cancel', run.entity, to_jsonb(run.status),
        jsonb_build_object('status', 'cancelled', 'reason', easysync_internal.masked(cancel.reason)), run.sync_id);
    return true;
end
$$;
comment on function easysync.cancel(bigint, text) is 'Stop a queued, waiting or running sync after the record in hand';

create function easysync.sync_status(sync_id bigint) returns easysync.sync_runs
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
    run easysync.sync_runs;
begin
    select * into run from easysync.sync_runs as r where r.sync_id = sync_status.sync_id;
    if not found then
        perform easysync_internal.raise_unknown_sync(sync_status.sync_id);
    end if;
    return run;
end
$$;
comment on function easysync.sync_status(bigint) is 'One sync, as in sync_runs';
