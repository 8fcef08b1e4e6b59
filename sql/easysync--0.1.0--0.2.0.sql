-- easysync 0.1.0 to 0.2.0: texts of errors and hints, and a warning where no connection works. No table
-- changes. tests/tests/upgrade.rs compares what this makes of an old installation with a fresh one.

drop function easysync_internal.warn_if_idle(text, bigint, text);

-- What, where; a detail with category and code; what to do, where something can be done. Texts hold no
-- secret and no personal data.
create or replace function easysync_internal.raise_error(sqlstate_code text, message text, detail text, hint text)
    returns void
    language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if hint is null then
        raise exception using errcode = sqlstate_code, message = message, detail = detail;
    end if;
    raise exception using errcode = sqlstate_code, message = message, detail = detail, hint = hint;
end
$$;

-- The zone whose name ends alike, or the form of a name.
create or replace function easysync_internal.timezone_hint(value text) returns text
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select coalesce(
        -- Not format(): without a zone this has to be null.
        (select 'Did you mean ' || string_agg(z.name, ', ' order by z.name) || '?'
         from (select name from pg_timezone_names
               where name like '%/%' and name !~ '^(posix|right)/'
                 and lower(split_part(reverse(name), '/', 1)) = lower(split_part(reverse(replace(value, ' ', '_')), '/', 1))
               limit 5) as z),
        'Names are like America/Edmonton; pg_timezone_names lists them.')
$$;

-- The session user's rights: CREATE in the database or in the schema, and ownership of hub tables
-- that are there already.
create or replace function easysync_internal.check_hub_rights(schema_name text) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    foreign_table text;
begin
    if not exists (select from pg_namespace where nspname = schema_name) then
        if not has_database_privilege(session_user, current_database(), 'create') then
            perform easysync_internal.raise_error('42501', format('permission denied to create schema %I', schema_name),
                'category: validation, code: insufficient_privilege',
                format('GRANT CREATE ON DATABASE %I TO %I, or let the owner create the schema.', current_database(), session_user));
        end if;
        execute format('create schema %I authorization %I', schema_name, session_user);
        return;
    end if;
    if not has_schema_privilege(session_user, schema_name, 'create') then
        perform easysync_internal.raise_error('42501', format('permission denied for schema %I', schema_name),
                'category: validation, code: insufficient_privilege',
            format('GRANT CREATE ON SCHEMA %I TO %I.', schema_name, session_user));
    end if;
    select c.relname into foreign_table
    from easysync_internal.hub_tables() as t
    join pg_class as c on c.relname = t.table_name
    join pg_namespace as n on n.oid = c.relnamespace and n.nspname = schema_name
    where not pg_has_role(session_user, c.relowner, 'usage')
    order by t.position limit 1;
    if found then
        perform easysync_internal.raise_error('42501', format('must be owner of table %I.%I', schema_name, foreign_table),
            'category: validation, code: insufficient_privilege',
            'Call easysync.create_hub as the owner of the hub tables.');
    end if;
end
$$;

create or replace function easysync.unfence(mode text) returns boolean
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    was record;
    here record;
    accounts text;
    others integer;
begin
    perform easysync_internal.check_word('unfence_mode', mode, 'Modes');
    if pg_is_in_recovery() then
        perform easysync_internal.raise_argument('a standby can not be unfenced', 'Promote it first.');
    end if;
    select * into was from easysync_internal.fence_state();
    if was.state <> 'fenced' then
        return false;
    end if;
    -- The fence is the database's, and so is lifting it; the names of others' accounts are theirs.
    select string_agg(format('%s (%s %s)', name, connector, coalesce(account, '?')), ', ' order by tenant_id, name)
               filter (where tenant_id = any (easysync.allowed_tenants())),
           count(*) filter (where tenant_id <> all (easysync.allowed_tenants()))
      into accounts, others from easysync_internal.connections;
    if mode = 'copy' then
        perform easysync_internal.forget_accounts();
    end if;
    perform easysync_internal.accept_identity(mode, verify => mode = 'takeover');
    select * into here from easysync_internal.whereabouts();
    raise notice 'accounts concerned: %', concat_ws(', ', coalesce(accounts, case others when 0 then 'none' end),
        case when others > 0 then format('%s of other tenants', others) end);
    raise notice 'identity accepted: system %, database %, instance %, timeline %, Postgres %',
        here.system_identifier, here.database_oid, here.instance, here.timeline, here.major;
    perform easysync_internal.audit(tenant, 'unfence', mode, to_jsonb(was.reason), to_jsonb(here));
    perform easysync_internal.ensure_log_partitions();
    perform easysync_internal.wake();
    return true;
end
$$;

-- A copy: credentials are erased, queue, intents and what was still to run dropped, the connections
-- marked as sandbox. Hub rows, links and logs stay.
create or replace function easysync_internal.forget_accounts() returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    update easysync_internal.connections
    set sealed = null, key_id = null, sealed_at = null, token_expires_at = null, sandbox = true, status = 'disabled',
        status_reason = 'a copy of another database: its credentials were erased',
        status_hint = 'Give it credentials of its own with easysync.set_credentials, then easysync.enable.', changed_at = now();
    delete from easysync_internal.sync_queue;
    delete from easysync_internal.hub_changes;
    update easysync_internal.sync_runs
    set status = 'cancelled', finished_at = clock_timestamp(), cancel_reason = 'unfenced as a copy'
    where status in ('queued', 'running', 'awaiting_confirmation');
    update easysync_internal.sync_run_steps set status = 'cancelled', finished_at = clock_timestamp()
    where status in ('queued', 'running', 'awaiting_confirmation');
    if to_regclass('easysync_ledger.sync_requests') is not null then
        delete from easysync_ledger.sync_requests where status <> 'done';
    end if;
end
$$;

-- The connection, or YS404 with the names there are.
create or replace function easysync_internal.known_connection(tenant text, connection_name text)
    returns easysync_internal.connections
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    known easysync_internal.connections;
begin
    select * into known from easysync_internal.connections as c where c.tenant_id = tenant and c.name = connection_name;
    if not found then
        perform easysync_internal.raise_error('YS404', format('unknown connection %s', coalesce('"' || connection_name || '"', 'NULL')),
            'category: not_found, code: unknown_connection',
            coalesce((select 'Connections: ' || string_agg(c.name, ', ' order by c.name) || '.'
                      from easysync_internal.connections as c where c.tenant_id = tenant),
                     'There is none yet: easysync.connect makes one.'));
    end if;
    return known;
end
$$;

-- Says why a sync that is queued will not start: nobody is there to take it, or nobody may.
create or replace function easysync_internal.warn_if_idle(tenant text, queued_id bigint, entity_name text, connection_name text) returns void
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

create or replace function easysync_internal.worker_cure(worker jsonb) returns text
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

create or replace function easysync.trigger(entity text, mode text default 'incremental', connection text default null, ids text[] default null,
                                 filters jsonb default null, idempotency_key text default null, dry_run boolean default false)
    returns bigint
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    request record;
    new_id bigint;
begin
    if dry_run then
        perform easysync_internal.raise_error('0A000', 'dry runs are not part of this version',
            'category: validation, code: not_supported', 'Leave out dry_run.');
    end if;
    if idempotency_key = '' or length(idempotency_key) > 255 then
        perform easysync_internal.raise_argument('invalid idempotency key', '1 to 255 characters, or none.');
    end if;
    select * into request from easysync_internal.checked_request(tenant, entity, mode, connection, ids, filters);
    new_id := easysync_internal.queue_sync(tenant, entity, request.checked_mode, connection, request.checked_ids,
                                           request.checked_filters, idempotency_key);
    perform easysync_internal.warn_if_idle(tenant, new_id, entity, connection);
    return new_id;
end
$$;

create or replace function easysync_internal.queue_retry(tenant text, connection_name text, entity_name text, failure_ids bigint[], record_ids text[])
    returns bigint
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    new_id bigint := easysync_internal.queue_sync(tenant, entity_name, 'ids', connection_name, record_ids, null,
                                                  triggered_by => 'retry', failure_ids => failure_ids);
begin
    perform easysync_internal.warn_if_idle(tenant, new_id, entity_name, connection_name);
    return new_id;
end
$$;

revoke all on function easysync_internal.warn_if_idle(text, bigint, text, text) from public;
grant execute on function easysync_internal.warn_if_idle(text, bigint, text, text) to easysync_worker;

-- The worker, which paused for this, looks again.
select easysync_internal.wake();
