-- Doubles of the library's functions, so that the SQL can be tried on a server without the library.
-- They answer as the library would for a shop whose URL says what is wrong with it. Never shipped.
create function easysync_internal.raise_error(sqlstate_code text, message text, detail text, hint text) returns void language plpgsql as $$
begin
    if hint is null then
        raise exception using errcode = sqlstate_code, message = message, detail = detail;
    end if;
    raise exception using errcode = sqlstate_code, message = message, detail = detail, hint = hint;
end $$;
create function easysync_internal.is_gateway(role text) returns boolean language sql stable strict
    as $$ select coalesce(role = any (regexp_split_to_array(btrim(current_setting('easysync.gateway_roles', true)), '\s*,\s*')), false) $$;
create function easysync_internal.file_problems() returns jsonb language sql stable as $$ select '[]'::jsonb $$;
create function easysync_internal.wake() returns void language sql volatile as $$ select $$;
create function easysync_internal.masked(text text) returns text language sql immutable strict as $$ select text $$;
create function easysync_internal.masked_json(value jsonb) returns jsonb language sql immutable strict as $$ select value $$;
create function easysync_internal.wake_for("table" text) returns void language sql volatile as $$ select $$;
create function easysync_internal.rescan() returns void language sql volatile as $$ select $$;
create function easysync_internal.library_version() returns text language sql stable as $$ select '0.3.0-double' $$;
create function easysync_internal.node_instance() returns text language sql stable
    as $$ select coalesce(nullif(current_setting('easysync.instance', true), ''), 'double-node') $$;
create function easysync_internal.worker_status() returns jsonb language sql stable as $$
    select coalesce(nullif(current_setting('double.worker_status', true), '')::jsonb,
        '{"preloaded":true,"running":true,"pid":4711,"state":"idle","message":null,"schema_version":1}')
$$;
-- The door to the hub. Without the library nothing can switch to the owner: these run as the superuser
-- (after_install.sql), and hand over what they make, so that only the statements are tried.
create function easysync_internal.hub_query(hub text, tables text[], statement text, tenant text, ids bigint[], more jsonb)
    returns setof text[] language plpgsql volatile set search_path = pg_catalog, pg_temp
    as $$ begin return query execute statement using tenant, ids, more; end $$;
create function easysync_internal.as_owner(owner text, commands text[]) returns void language plpgsql volatile
    set search_path = pg_catalog, pg_temp as $$
declare
    command text;
begin
    if not easysync_internal.acts_as(session_user, owner) then
        raise exception using errcode = '42501', message = format('the session''s user may not act as role "%s"', owner);
    end if;
    foreach command in array commands loop
        execute command;
        if command ~ '^create (schema|table|function) ' then
            execute format('alter %s owner to %I', substring(command from '^create ((?:schema [^ ]+)|(?:table [^ ]+)|(?:function [^(]+\(\)))'), owner);
        end if;
    end loop;
end $$;
create function easysync_internal.acts_as(member text, role text) returns boolean language sql stable set search_path = pg_catalog, pg_temp as $$
    with recursive held (oid) as (
        select oid from pg_roles where rolname = member
        union select m.roleid from pg_auth_members as m join held as h on m.member = h.oid)
    select exists (select from held as h join pg_roles as r on r.oid = h.oid where r.rolname = role)
        or (role = 'pg_database_owner' and exists (select from pg_database as d join held as h on h.oid = d.datdba where d.datname = current_database()))
$$;
create function easysync_internal.tenant_in_hand() returns text language sql volatile as $$ select null::text $$;
create function easysync_internal.in_transaction_block() returns boolean language sql volatile
    as $$ select transaction_timestamp() <> statement_timestamp() $$;
create function easysync_internal.is_worker_session() returns boolean language sql stable as $$ select false $$;
create function easysync_internal.lock_exclusive(name text) returns void language sql volatile
    as $$ select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(name, 0)) $$;
create function easysync_internal.try_lock_shared(name text) returns boolean language sql volatile
    as $$ select pg_catalog.pg_try_advisory_xact_lock_shared(pg_catalog.hashtextextended(name, 0)) $$;
-- Change capture as the library does it, without its care for who reads the transition tables.
create function easysync_internal.note_hub_change() returns trigger language plpgsql security definer
    set search_path = pg_catalog, pg_temp as $$
declare
    origin text := nullif(current_setting('double.origin', true), '');
    tables text[] := case tg_op when 'INSERT' then array['new_rows'] when 'DELETE' then array['old_rows'] else array['new_rows', 'old_rows'] end;
    source text := '';
begin
    if coalesce(nullif(current_setting('double.suppressed', true), '')::boolean, false) or not easysync_internal.hub_is_pushed() then
        return null;
    elsif tg_op = 'TRUNCATE' then
        insert into easysync_internal.hub_changes (tenant_id, hub_schema, entity, hub_id, operation, origin)
        values (null, tg_table_schema, tg_argv[0], null, 'truncate', origin);
    elsif tg_argv[1] = 'id' and tg_op = 'UPDATE' then
        insert into easysync_internal.hub_changes (tenant_id, hub_schema, entity, hub_id, operation, origin)
        select n.tenant_id, tg_table_schema, tg_argv[0], n.id, 'update', origin from new_rows as n
        union all
        select x.tenant_id, tg_table_schema, tg_argv[0], x.id, 'delete', origin
        from (select o.tenant_id, o.id from old_rows as o except select n.tenant_id, n.id from new_rows as n) as x;
    else
        select string_agg(format('select tenant_id, %I as id from %I', tg_argv[1], t), ' union ') into source from unnest(tables) as t;
        execute format('insert into easysync_internal.hub_changes (tenant_id, hub_schema, entity, hub_id, operation, origin)
                        select distinct k.tenant_id, $1, $2, k.id, $3, $4 from (%s) as k', source)
        using tg_table_schema::text, tg_argv[0], case when tg_argv[1] = 'id' then lower(tg_op) else 'update' end, origin;
    end if;
    return null;
end $$;
-- A shop whose URL says what is wrong with it.
create function easysync_internal.open_account(tenant text, connection text, connector text, settings jsonb, credentials jsonb,
                                               verify boolean) returns jsonb language plpgsql as $$
declare
    url text := settings ->> 'url';
    secret text := credentials ->> 'consumer_secret';
begin
    if url is null or url !~ '^https://' then
        return jsonb_build_object('errors', jsonb_build_array(jsonb_build_object('sqlstate', '22023', 'category', 'validation',
            'code', 'url', 'message', 'settings.url must be an https address', 'hint', 'E.g. https://shop.example')));
    elsif url like '%two-problems%' then
        return '{"errors":[{"sqlstate":"22023","category":"validation","code":"a","message":"first","hint":"cure one."},
                           {"sqlstate":"22023","category":"validation","code":"b","message":"second","hint":"cure two."}]}';
    elsif verify and url like '%unreachable%' then
        return jsonb_build_object('errors', jsonb_build_array(jsonb_build_object('sqlstate', 'YS503', 'category', 'network',
            'code', 'connect', 'message', format('"%s" can not be reached: connection refused', connection),
            'hint', 'See easysync.connection_health.')));
    end if;
    return jsonb_build_object('account_key', url, 'account_label', case when verify then 'Harbour Goods' end,
        'platform', case when verify then 'WooCommerce 10.2.4' end, 'key_id', 'k1',
        'sealed', case when credentials is not null then encode('sealed'::bytea, 'base64') end,
        'checks', case when verify then jsonb_build_array(
            jsonb_build_object('name', 'reach', 'ok', true, 'message', 'answered', 'hint', null, 'duration_ms', 12, 'error', null),
            jsonb_build_object('name', 'credentials', 'ok', coalesce(secret <> 'wrong', true), 'message', 'refused', 'hint', null, 'duration_ms', 3,
                'error', case when secret = 'wrong' then jsonb_build_object('sqlstate', 'YS401', 'category', 'authentication',
                    'code', 'woocommerce_rest_cannot_view', 'message', format('woocommerce refused the credentials of "%s"', connection),
                    'hint', 'Make a key with read/write permission and call easysync.set_credentials.') end)) else '[]' end);
end $$;
create function easysync_internal.rotate_key(step text) returns jsonb language plpgsql as $$
begin
    if step <> 'prepare' then
        update easysync_internal.connections set key_id = 'k2', sealed_at = now() where sealed is not null;
        return jsonb_build_object('key_id', 'k2', 'resealed', (select count(*) from easysync_internal.connections where key_id = 'k2'));
    end if;
    return '{"key_id":"k2","resealed":0}';
end $$;
create function easysync_internal.key_file_status() returns jsonb language sql stable
    as $$ select jsonb_build_object('exists', true, 'usable', true, 'key_ids', '["k1", "k2"]'::jsonb, 'inside_data_directory', coalesce(nullif(current_setting('double.key_inside', true), '')::boolean, false)) $$;
create function easysync_internal.preview(tenant text, connection text, entity text, mode text, ids text[], filters jsonb) returns jsonb
    language sql volatile as $$ select '{"changes": [], "hash": "", "summary": {}, "confirmations": 0, "reasons": []}'::jsonb $$;
create function easysync_internal.preview_pulls(tenant text, connection text, entity text, mode text, ids text[], filters jsonb) returns jsonb
    language sql volatile as $$ select '{"changes": [], "hash": "", "summary": {}, "confirmations": 0, "reasons": []}'::jsonb $$;
create function easysync_internal.preview_undo(tenant text, connection text, entity text, direction text, undoes bigint) returns jsonb
    language sql volatile as $$ select '{"changes": [], "hash": "", "summary": {}, "confirmations": 0, "reasons": []}'::jsonb $$;
create function easysync_internal.authorize_url(tenant text, connection text, redirect_uri text) returns jsonb
    language sql volatile as $$ select jsonb_build_object('url', 'https://appcenter.example/connect?state=double') $$;
create function easysync_internal.callback_state(callback_url text) returns jsonb
    language sql volatile as $$ select jsonb_build_object('tenant', 'default', 'connection', 'books', 'nonce', callback_url) $$;
create function easysync_internal.exchange_code(callback_url text) returns jsonb
    language sql volatile as $$ select jsonb_build_object('realm', '9341450000000001', 'key_id', 'k1', 'sealed', encode('sealed'::bytea, 'base64'),
        'expires_at', '2031-01-01T00:00:00Z') $$;
-- Every expression of five or six fields; slots every hour, on the hour.
create function easysync_internal.check_cron(cron text) returns jsonb language sql immutable as $$
    select case when array_length(regexp_split_to_array(btrim(cron), '\s+'), 1) not in (5, 6) then
        '{"errors":[{"sqlstate":"22023","category":"validation","code":"invalid_argument","message":"invalid cron expression","hint":"Five fields."}]}'::jsonb end
$$;
create function easysync_internal.reckon_slots(cron text, zone text, after bigint, until bigint, most integer) returns jsonb
    language sql stable as $$
    select jsonb_build_object('slots', coalesce(jsonb_agg(jsonb_build_object('run_at', s.t, 'local_time', s.t at time zone zone, 'note', null) order by s.t), '[]'))
    from (select g.t from generate_series(date_trunc('hour', timestamptz 'epoch' + after * interval '1 microsecond') + interval '1 hour',
                                          timestamptz 'epoch' + after * interval '1 microsecond' + interval '10 days', interval '1 hour') as g (t)
          where until is null or g.t <= timestamptz 'epoch' + until * interval '1 microsecond' limit most) as s
$$;
-- Genuine is what is signed with "good", or with "good" and the tenant's name.
create function easysync_internal.judge_webhook(tenant text, connection text, headers jsonb, body text) returns jsonb language sql stable as $$
    select jsonb_build_object('verdict', case when headers ->> 'signature' in ('good', 'good ' || tenant) then 'accepted' when body like 'webhook_id=%' then 'ping' else 'rejected' end)
$$;
create function easysync_internal.webhooks_at(tenant text, connection text, url text) returns jsonb language sql volatile as $$
    select case when url like 'https://%' then jsonb_build_object('key_id', 'k1', 'sealed', encode('sealed'::bytea, 'base64'), 'registrations',
        '[{"topic":"order.updated","webhook_id":"1","status":"active","action":"created","message":null}]'::jsonb)
    else '{"errors":[{"sqlstate":"22023","category":"validation","code":"invalid_argument","message":"webhooks can''t deliver there: it is no address","hint":"Give an address."}]}' end
$$;
