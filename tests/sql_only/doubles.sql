-- Doubles of the library's functions, so that the SQL can be tried on a server without the library.
-- They answer as the library would for a shop whose URL says what is wrong with it. Never shipped.
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
create function easysync_internal.changes_suppressed() returns boolean language sql stable
    as $$ select coalesce(nullif(current_setting('double.suppressed', true), '')::boolean, false) $$;
create function easysync_internal.change_origin() returns text language sql stable
    as $$ select nullif(current_setting('double.origin', true), '') $$;
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
    as $$ select jsonb_build_object('exists', true, 'inside_data_directory', coalesce(nullif(current_setting('double.key_inside', true), '')::boolean, false)) $$;
create function easysync_internal.preview(tenant text, connection text, entity text, mode text, ids text[], filters jsonb) returns jsonb
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
create function easysync_internal.webhooks_at(tenant text, connection text, connector text, settings jsonb, url text) returns jsonb language sql volatile as $$
    select case when url like 'https://%' then jsonb_build_object('key_id', 'k1', 'sealed', encode('sealed'::bytea, 'base64'), 'registrations',
        '[{"topic":"order.updated","webhook_id":"1","status":"active","action":"created","message":null}]'::jsonb)
    else '{"errors":[{"sqlstate":"22023","category":"validation","code":"invalid_argument","message":"webhooks can''t deliver there: it is no address","hint":"Give an address."}]}' end
$$;
