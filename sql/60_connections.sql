-- Connections: connect, alter, test, enable, disable, disconnect.
--
-- The library does what needs the network or a secret (schema easysync_internal, language c):
--   open_account(tenant text, connection text, connector text, settings jsonb, credentials jsonb,
--                verify boolean) returns jsonb
--     Resolves {"file": "name"}, validates, seals; checks live when `verify`. credentials null: the
--     sealed ones of the connection, which open for the account that they were given for and no other. {"errors": [{"sqlstate","category","code","message","hint"}]} or
--     {"account_key","account_label","platform","key_id","sealed" (base64; null: unchanged),
--      "checks": [{"name","ok","message","hint","duration_ms","error": {...} or null}]}
-- The network part comes first, our writes after: a failed call leaves nothing behind, and no lock of
-- ours is held over a call.

-- The connection, or YS404 with the names there are.
create function easysync_internal.known_connection(tenant text, connection_name text)
    returns easysync_internal.connections
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    known easysync_internal.connections;
begin
    perform easysync_internal.check_size('connection', connection_name);
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

-- 22023 unless the value is a JSON object (or null, where that is allowed).
create function easysync_internal.check_object(argument text, value jsonb, nullable boolean) returns void
    language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
begin
    perform easysync_internal.check_size(argument, value);
    if value is null and nullable then
        return;
    end if;
    if value is null or jsonb_typeof(value) <> 'object' then
        perform easysync_internal.raise_argument(
            format('%s must be a JSON object, not %s', argument, coalesce(jsonb_typeof(value), 'NULL')),
            case argument when 'credentials' then 'Pass the keys of the platform, or {"file": "name"} below easysync.credential_dir.'
                          else 'E.g. {"url": "https://shop.example"}.' end);
    end if;
end
$$;

-- Asks the library and raises what it answers, failed checks too. The answer holds no error then.
create function easysync_internal.ask_account(tenant text, connection_name text, connector text, settings jsonb,
                                              credentials jsonb, verify boolean)
    returns jsonb
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    answer jsonb;
    failed jsonb;
    remark jsonb;
begin
    if verify then
        perform easysync_internal.check_fence();
    end if;
    answer := easysync_internal.open_account(tenant, connection_name, connector, settings, credentials, verify);
    perform easysync_internal.raise_answer(answer -> 'errors', connection_name);
    -- One check that failed often fails those after it: the first one is raised.
    select c.value into failed
    from jsonb_array_elements(coalesce(answer -> 'checks', '[]')) with ordinality as c
    where not (c.value ->> 'ok')::boolean order by c.ordinality limit 1;
    if failed is not null then
        perform easysync_internal.raise_answer(jsonb_build_array(coalesce(nullif(failed -> 'error', 'null'),
            jsonb_build_object('category', 'validation', 'code', failed ->> 'name',
                               'message', failed ->> 'message', 'hint', failed ->> 'hint'))), connection_name);
    end if;
    if (answer ->> 'pending')::boolean then
        raise notice '"%" is pending: open easysync.oauth_authorize_url', connection_name;
    elsif verify then
        raise notice 'connected to "%"%', coalesce(answer ->> 'account_label', answer ->> 'account_key'), coalesce(', ' || (answer ->> 'platform'), '');
        -- What is well but has a hint is for a person to do, now rather than record by record.
        for remark in select c.value from jsonb_array_elements(coalesce(answer -> 'checks', '[]')) with ordinality as c
                      where (c.value ->> 'ok')::boolean and c.value ->> 'hint' is not null order by c.ordinality loop
            raise notice '%', remark ->> 'message' using hint = remark ->> 'hint';
        end loop;
    end if;
    return answer;
end
$$;

create function easysync.connect(name text, connector text, settings jsonb default '{}', credentials jsonb default null,
                                 verify boolean default true)
    returns text
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    answer jsonb;
begin
    perform easysync_internal.hide_parameters();
    perform easysync_internal.check_size('name', connect.name);
    if connect.name is null or connect.name !~ '^[a-z][a-z0-9_]{0,62}$' then
        perform easysync_internal.raise_argument(format('invalid connection name %s', coalesce('"' || connect.name || '"', 'NULL')),
            'A name is a lower-case letter, then up to 62 of lower-case letters, digits and "_".');
    end if;
    perform easysync_internal.check_word('connector', connect.connector, 'Connectors');
    perform easysync_internal.check_object('settings', connect.settings, nullable => false);
    perform easysync_internal.check_object('credentials', connect.credentials, nullable => true);
    perform easysync_internal.check_name_is_free(tenant, connect.name);
    answer := easysync_internal.ask_account(tenant, connect.name, connect.connector, connect.settings, connect.credentials,
                                            coalesce(connect.verify, true));
    perform easysync_internal.check_account_is_free(tenant, connect.name, answer ->> 'account_key');
    perform easysync_internal.prepare_hub(tenant);
    perform easysync_internal.store_connection(tenant, connect.name, connect.connector, connect.settings, answer, coalesce(connect.verify, true));
    perform easysync_internal.audit(tenant, 'connect', connect.name, null,
        jsonb_build_object('connector', connect.connector, 'settings', connect.settings, 'account', answer ->> 'account_key',
                           'key_id', answer ->> 'key_id', 'hub', easysync_internal.hub_schema(tenant), 'verified', coalesce(connect.verify, true)));
    return connect.name;
end
$$;
comment on function easysync.connect(text, text, jsonb, jsonb, boolean) is 'Add a connection, check it live, enable it; creates the hub on first use';

create function easysync_internal.check_name_is_free(tenant text, connection_name text) returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    if exists (select from easysync_internal.connections as c where c.tenant_id = tenant and c.name = connection_name) then
        perform easysync_internal.raise_error('42710', format('connection "%s" already exists', connection_name),
            'category: conflict, code: connection_exists',
            'Use easysync.alter_connection or easysync.set_credentials.');
    end if;
end
$$;

-- Two connections to one account would share its links and fight over its rows; and a sandbox has no
-- account that is live.
create function easysync_internal.check_account_is_free(tenant text, connection_name text, account_key text) returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    other text;
begin
    select c.name into other from easysync_internal.connections as c
    where c.tenant_id = tenant and c.name <> connection_name and c.account = account_key;
    if found then
        perform easysync_internal.raise_error('YS409', format('the account of "%s" is already connected as "%s"', connection_name, other),
            'category: conflict, code: account_connected', format('Use "%s", or disconnect it first.', other));
    end if;
    other := easysync_internal.counterpart(tenant, account_key);
    if other is not null then
        perform easysync_internal.raise_error('YS409',
            case when easysync_internal.is_twin(tenant) then format('the account of "%s" is live, as "%s": the sandbox can not have it', connection_name, other)
                 else format('the account of "%s" is connected in the sandbox, as "%s"', connection_name, other) end,
            'category: conflict, code: account_is_live',
            case when easysync_internal.is_twin(tenant) then 'Connect an account that is for trials: a staging shop, a company on QuickBooks'' sandbox.'
                 else format('Disconnect "%s" in the sandbox first.', other) end);
    end if;
end
$$;

-- Connection by which the other one of a tenant and its sandbox has an account; null: it has not. A
-- shop is the same by http and https, and with and without www.
create function easysync_internal.counterpart(tenant text, account_key text) returns text
    language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
    select min(c.name)
    from easysync_internal.connections as c
    where c.tenant_id = coalesce(easysync_internal.live_of(counterpart.tenant), easysync_internal.twin_of(counterpart.tenant))
      and regexp_replace(c.account, '^(https?://)?(www\.)?', '') = regexp_replace(counterpart.account_key, '^(https?://)?(www\.)?', '')
$$;

-- The schema of a tenant that has no hub yet: commerce for the first one, `commerce_<tenant>` for others.
-- A name that Postgres, or another tenant, would take differently gets a digest of the tenant's name
-- behind two underscores, which no plain name has: `North` and `north`, and `sandbox`, whose hub would
-- bear the name of a sandbox' hub. So does one whose schema is somebody else's already.
create function easysync_internal.default_hub(tenant text) returns text
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    plain text := 'commerce_' || tenant;
    apart text := 'commerce_' || left(regexp_replace(lower(tenant), '[^a-z0-9]+', '_', 'g'), 24) || '__' || left(encode(sha256(convert_to(tenant, 'UTF8')), 'hex'), 16);
begin
    if not exists (select from easysync_ledger.tenants as t
                   where t.tenant_id not in (tenant, easysync_internal.twin_of(tenant))) then
        return 'commerce';
    end if;
    return case when tenant ~ '^[a-z0-9]+(_[a-z0-9]+)*$' and length(tenant) <= 40 and tenant !~ 'sandbox$'
                     and not easysync_internal.is_hub_of_another(tenant, plain)
                     and not exists (select from pg_namespace as n join pg_roles as r on r.oid = n.nspowner
                                     where n.nspname = plain and not easysync_internal.acts_as(session_user, r.rolname))
                then plain else apart end;
end
$$;

create function easysync_internal.is_hub_of_another(tenant text, schema_name text) returns boolean
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select exists (select from easysync_ledger.tenants as t
                   where t.hub_schema = schema_name and t.tenant_id <> tenant)
$$;

-- The tenant's hub: the one it has, else one of its own, made when it isn't there. Two tenants share one
-- where the owner of its tables has said so: create_hub, called for the second with the first one's schema.
create function easysync_internal.prepare_hub(tenant text) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    hub text;
    live text := coalesce(easysync_internal.live_of(tenant), tenant);
begin
    perform easysync_internal.create_ledger();
    hub := coalesce(easysync_internal.hub_schema(tenant), easysync_internal.hub_schema(live), easysync_internal.default_hub(live));
    if easysync_internal.is_twin(tenant) then
        hub := easysync_internal.sandbox_hub(hub);
    end if;
    -- Whoever shares a hub that another tenant has must own it: create_hub looks.
    if easysync_internal.hub_schema(tenant) is distinct from hub
       or exists (select from easysync_internal.hub_tables() as t where easysync_internal.relation_of(hub, t.table_name) is null)
       or not exists (select from easysync_ledger.hubs as h where h.schema_name = hub)
       -- Before a DROP EXTENSION took them away there were triggers.
       or exists (select from easysync_internal.hub_tables() as t
                  where not exists (select from pg_trigger as g where g.tgname = 'easysync_insert'
                                    and g.tgrelid = easysync_internal.relation_of(hub, t.table_name))) then
        perform easysync.create_hub(hub);
    end if;
end
$$;

create function easysync_internal.store_connection(tenant text, connection_name text, connector_name text, settings jsonb,
                                                   answer jsonb, verified boolean)
    returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    begin
        insert into easysync_internal.connections as c
            (tenant_id, name, connector, status, status_reason, account, settings, sandbox)
        values (tenant, connection_name, connector_name, 'disabled', 'stored without a check', answer ->> 'account_key', store_connection.settings,
                easysync_internal.is_twin(tenant));
    exception when unique_violation then
        -- Somebody connected under this name while we were asking the platform.
        perform easysync_internal.check_name_is_free(tenant, connection_name);
        raise;
    end;
    insert into easysync_internal.streams (tenant_id, connection, entity, direction, source_of_truth)
    select tenant, connection_name, e.entity, coalesce(s.default_direction, 'off'),
           case when s.default_direction = 'push' then 'local' else 'platform' end
    from unnest(easysync_internal.words_of('entity')) as e (entity)
    left join easysync_internal.connector_streams() as s on s.connector = connector_name and s.entity = e.entity;
    if (answer ->> 'pending')::boolean then
        perform easysync_internal.apply_answer(tenant, connection_name, answer, false, enable => false);
        update easysync_internal.connections as c
        set status = 'pending', status_reason = 'nobody has granted access yet', status_hint = 'Open easysync.oauth_authorize_url.'
        where c.tenant_id = tenant and c.name = connection_name;
    else
        perform easysync_internal.apply_answer(tenant, connection_name, answer, verified, enable => verified);
    end if;
    if not verified and not (answer ->> 'pending')::boolean then
        raise notice '"%" is stored, disabled: easysync.enable checks it', connection_name;
    end if;
    perform easysync_internal.add_default_schedules(tenant, connection_name);
    -- The launcher looks for databases with work; a worker that runs is woken by the row's trigger.
    perform easysync_internal.rescan();
end
$$;

-- Keeps what the library answered. `verified`: the platform was asked and took it.
create function easysync_internal.apply_answer(tenant text, connection_name text, answer jsonb, verified boolean, enable boolean)
    returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    update easysync_internal.connections as c
    set account = coalesce(answer ->> 'account_key', c.account),
        account_label = coalesce(answer ->> 'account_label', c.account_label),
        platform = coalesce(answer ->> 'platform', c.platform),
        reads_budget = (answer ->> 'reads_budget')::bigint,
        sealed = coalesce(decode(answer ->> 'sealed', 'base64'), c.sealed),
        key_id = case when answer ->> 'sealed' is not null then answer ->> 'key_id' else c.key_id end,
        sealed_at = case when answer ->> 'sealed' is not null then now() else c.sealed_at end,
        verified_at = case when verified then clock_timestamp() else c.verified_at end,
        webhooks_enabled = coalesce((c.settings ->> 'webhooks')::boolean, true),
        changed_at = now()
    where c.tenant_id = tenant and c.name = connection_name;
    if not verified or (answer ->> 'pending')::boolean then
        return;
    end if;
    -- What the worker stopped works again; what a person paused stays paused, unless he says so.
    update easysync_internal.connections as c
    set status = 'connected', status_reason = null, status_hint = null, circuit = 'closed', circuit_until = null
    where c.tenant_id = tenant and c.name = connection_name and (enable or c.status <> 'disabled');
    if not exists (select from easysync_internal.identity where system_identifier is not null) then
        perform easysync_internal.accept_identity('connect', verify => false);
        perform easysync_internal.audit(tenant, 'accept_identity', connection_name, null, to_jsonb(w)) from easysync_internal.whereabouts() as w;
    end if;
    perform easysync_internal.wake();
end
$$;

create function easysync.alter_connection(connection text, settings jsonb, verify boolean default true) returns void
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    known easysync_internal.connections := easysync_internal.known_connection(tenant, alter_connection.connection);
    merged jsonb;
    answer jsonb;
begin
    perform easysync_internal.check_object('settings', alter_connection.settings, nullable => false);
    merged := easysync_internal.merge_patch(known.settings, alter_connection.settings);
    -- Raises where the stored credentials would go to another account than they were given for.
    answer := easysync_internal.ask_account(tenant, known.name, known.connector, merged, null, coalesce(verify, true));
    if answer ->> 'account_key' is distinct from known.account then
        perform easysync_internal.check_account_is_free(tenant, known.name, answer ->> 'account_key');
        perform easysync_internal.check_account_may_change(tenant, known, answer ->> 'account_key');
    end if;
    update easysync_internal.connections as c set settings = merged where c.tenant_id = tenant and c.name = known.name;
    perform easysync_internal.apply_answer(tenant, known.name, answer, coalesce(verify, true), enable => false);
    perform easysync_internal.audit(tenant, 'alter_connection', known.name, known.settings, merged);
end
$$;
comment on function easysync.alter_connection(text, jsonb, boolean) is 'Merge settings into a connection at every depth (a null removes a key) and check it again';

-- RFC 7396: objects are merged at every depth, a null removes a key, anything else replaces what was there.
create function easysync_internal.merge_patch(target jsonb, patch jsonb) returns jsonb
    language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
declare
    merged jsonb := case when jsonb_typeof(target) = 'object' then target else '{}' end;
    field record;
begin
    if patch is null or jsonb_typeof(patch) <> 'object' then
        return patch;
    end if;
    for field in select e.key, e.value from jsonb_each(patch) as e loop
        if field.value = 'null' then
            merged := merged - field.key;
        else
            merged := jsonb_set(merged, array[field.key], easysync_internal.merge_patch(merged -> field.key, field.value));
        end if;
    end loop;
    return merged;
end
$$;

-- Another account under the same name: only while nothing is tied to the first one. Its cursors go.
create function easysync_internal.check_account_may_change(tenant text, known easysync_internal.connections, account_key text)
    returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    if exists (select from unnest(easysync_internal.words_of('entity')) as e (entity)
               where easysync_internal.count_links(tenant, known.account, e.entity) > 0) then
        perform easysync_internal.raise_error('YS409', format('"%s" would become another account', known.name),
            format('category: conflict, code: other_account; from %s to %s', known.account, account_key),
            'Connect the other account under a name of its own.');
    end if;
    delete from easysync_internal.sync_state as s where s.tenant_id = tenant and s.connection = known.name;
end
$$;

create function easysync.test_connection(connection text) returns setof easysync.connection_check
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    known easysync_internal.connections := easysync_internal.known_connection(tenant, test_connection.connection);
    fence record;
    answer jsonb;
begin
    select * into fence from easysync_internal.fence_state();
    if fence.state = 'fenced' then
        return next row('fence', false, format('this database is fenced: %s', fence.reason),
                        'easysync.unfence says what it is.', 0)::easysync.connection_check;
        return;
    end if;
    answer := easysync_internal.open_account(tenant, known.name, known.connector, known.settings, null, true);
    return query
        select 'settings', false, e.value ->> 'message', e.value ->> 'hint', 0
        from jsonb_array_elements(coalesce(answer -> 'errors', '[]')) as e
        union all
        select c.value ->> 'name', (c.value ->> 'ok')::boolean, c.value ->> 'message',
               coalesce(c.value ->> 'hint', c.value #>> '{error,hint}'), (c.value ->> 'duration_ms')::numeric::integer
        from jsonb_array_elements(coalesce(answer -> 'checks', '[]')) as c;
end
$$;
comment on function easysync.test_connection(text) is 'Check a connection now, one row a check; changes nothing';

create function easysync.enable(connection text) returns void
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    known easysync_internal.connections := easysync_internal.known_connection(tenant, enable.connection);
    answer jsonb := easysync_internal.ask_account(tenant, known.name, known.connector, known.settings, null, true);
begin
    perform easysync_internal.apply_answer(tenant, known.name, answer, true, enable => true);
    perform easysync_internal.audit(tenant, 'enable', known.name, to_jsonb(known.status), to_jsonb('connected'::text));
end
$$;
comment on function easysync.enable(text) is 'Let a connection be read and written again, after a live check';

create function easysync.disable(connection text, reason text default null) returns void
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    known easysync_internal.connections := easysync_internal.known_connection(tenant, disable.connection);
begin
    perform easysync_internal.check_size('reason', disable.reason);
    update easysync_internal.connections as c
    set status = 'disabled', status_reason = coalesce(easysync_internal.masked(disable.reason), format('disabled by %s', session_user)),
        status_hint = null, changed_at = now()
    where c.tenant_id = tenant and c.name = known.name;
    perform easysync_internal.audit(tenant, 'disable', known.name, to_jsonb(known.status),
        jsonb_build_object('status', 'disabled', 'reason', easysync_internal.masked(disable.reason)));
    -- A run in hand stops after the record it is writing.
    perform easysync_internal.wake();
end
$$;
comment on function easysync.disable(text, text) is 'Pause a connection: nothing is read or written, its queue keeps filling';

create function easysync.disconnect(connection text, forget_links boolean default false) returns boolean
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    known easysync_internal.connections;
begin
    perform easysync_internal.check_size('connection', disconnect.connection);
    delete from easysync_internal.connections as c where c.tenant_id = tenant and c.name = disconnect.connection
    returning * into known;
    if not found then
        return false;
    end if;
    delete from easysync_internal.streams as s where s.tenant_id = tenant and s.connection = known.name;
    delete from easysync_internal.sync_state as s where s.tenant_id = tenant and s.connection = known.name;
    delete from easysync_internal.sync_queue as q where q.tenant_id = tenant and q.connection = known.name;
    delete from easysync_internal.sync_failures as f where f.tenant_id = tenant and f.connection = known.name;
    delete from easysync_internal.schedules as s where s.tenant_id = tenant and s.connection = known.name;
    update easysync_internal.sync_runs as r
    set cancel_requested_at = clock_timestamp(), cancel_requested_by = session_user, cancel_reason = 'disconnected',
        status = case when r.status = 'running' then r.status else 'cancelled' end,
        finished_at = case when r.status = 'running' then r.finished_at else clock_timestamp() end
    where r.tenant_id = tenant and r.connection = known.name and r.status in ('queued', 'running', 'awaiting_confirmation');
    if forget_links then
        delete from easysync_ledger.links as l where l.tenant_id = tenant and l.account = known.account;
    end if;
    perform easysync_internal.audit(tenant, 'disconnect', known.name,
        jsonb_build_object('connector', known.connector, 'account', known.account, 'settings', known.settings),
        jsonb_build_object('forget_links', coalesce(forget_links, false)));
    return true;
end
$$;
comment on function easysync.disconnect(text, boolean) is 'Remove a connection and its credentials; hub rows, logs and (unless told) links stay';
