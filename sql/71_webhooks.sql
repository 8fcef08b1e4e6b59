-- Webhooks: receive_webhook, postgrest_webhook, register_webhooks; and what the worker does with
-- deliveries.
--
-- Of the library: judge_webhook(tenant, connection, headers, body) {"verdict": ping, rejected, ignored or
-- accepted, "reason"}; webhooks_at(tenant, connection, url) {"registrations": [...], "sealed",
-- "key_id"} or {"errors": [...]}.

create type easysync.webhook_registration as (
    topic text,
    webhook_id text,
    status text,
    action text,
    message text
);
comment on type easysync.webhook_registration is 'One webhook on the platform';

create function easysync_internal.raise_bad_signature() returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    -- PostgREST answers 401 for it. It doesn't say what is wrong: whoever knows the secret knows.
    perform easysync_internal.raise_error('PT401', 'webhook signature does not match',
        'category: authentication, code: webhook_signature', 'The secret is set by easysync.register_webhooks.');
end
$$;

create function easysync.receive_webhook(connection text, headers jsonb, body text) returns bigint
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync_internal.selected_tenant();
    known easysync_internal.connections;
    verdict text;
    new_id bigint;
begin
    perform easysync_internal.hide_parameters();
    perform easysync_internal.check_delivery_size(receive_webhook.connection, receive_webhook.headers, receive_webhook.body);
    if receive_webhook.headers is null or jsonb_typeof(receive_webhook.headers) <> 'object' then
        perform easysync_internal.raise_argument('headers must be a JSON object', 'E.g. {"x-wc-webhook-signature": "...", "x-wc-webhook-topic": "order.updated"}.');
    end if;
    tenant := easysync_internal.delivered_to(tenant, receive_webhook.connection, receive_webhook.headers, coalesce(receive_webhook.body, ''));
    known := easysync_internal.known_connection(tenant, receive_webhook.connection);
    verdict := easysync_internal.judge_webhook(tenant, known.name, receive_webhook.headers, coalesce(receive_webhook.body, '')) ->> 'verdict';
    if verdict = 'ping' then
        return 0;
    elsif verdict = 'rejected' then
        perform easysync_internal.raise_bad_signature();
    end if;
    insert into easysync_internal.webhook_events (tenant_id, connection, headers, body)
    values (tenant, known.name, receive_webhook.headers, receive_webhook.body) returning event_id into new_id;
    return new_id;
end
$$;
comment on function easysync.receive_webhook(text, jsonb, text) is 'Verify and store one delivery; returns its event_id';

-- The connection, of any tenant, is the one whose secret signed: nothing else is asked of the caller, and
-- nothing is told. The type json keeps the text as it came, byte for byte.
create function easysync.postgrest_webhook(json) returns void
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    given_headers jsonb := coalesce(nullif(current_setting('request.headers', true), ''), '{}')::jsonb;
    known easysync_internal.connections;
begin
    perform easysync_internal.hide_parameters();
    perform easysync_internal.check_delivery_size(null, given_headers, $1::text);
    for known in select * from easysync_internal.connections as c
                 where c.connector = 'woocommerce' and c.sealed is not null order by c.tenant_id, c.name loop
        if easysync_internal.judge_webhook(known.tenant_id, known.name, given_headers, $1::text) ->> 'verdict' in ('accepted', 'ignored') then
            insert into easysync_internal.webhook_events (tenant_id, connection, headers, body)
            values (known.tenant_id, known.name, given_headers, $1::text);
            return;
        end if;
    end loop;
    perform easysync_internal.raise_bad_signature();
end
$$;
comment on function easysync.postgrest_webhook(json) is 'The same for PostgREST: POST the raw delivery to /rpc/postgrest_webhook';

create function easysync.register_webhooks(connection text, url text) returns setof easysync.webhook_registration
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    known easysync_internal.connections := easysync_internal.known_connection(tenant, register_webhooks.connection);
    answer jsonb;
begin
    perform easysync_internal.check_size('url', register_webhooks.url);
    perform easysync_internal.check_fence();
    answer := easysync_internal.webhooks_at(tenant, known.name, coalesce(register_webhooks.url, ''));
    perform easysync_internal.raise_answer(answer -> 'errors', known.name);
    update easysync_internal.connections as c
    set sealed = decode(answer ->> 'sealed', 'base64'), key_id = answer ->> 'key_id', sealed_at = now(),
        webhook_url = register_webhooks.url, webhooks_checked_at = clock_timestamp(), webhooks_problem = null
    where c.tenant_id = tenant and c.name = known.name;
    perform easysync_internal.end_notification(tenant, 'webhooks_down', known.name);
    perform easysync_internal.audit(tenant, 'register_webhooks', known.name, to_jsonb(easysync_internal.masked(known.webhook_url)),
                                    to_jsonb(easysync_internal.masked(register_webhooks.url)));
    perform easysync_internal.wake();
    return query
        select r.topic, r.webhook_id, r.status, r.action, r.message
        from jsonb_to_recordset(answer -> 'registrations') as r (topic text, webhook_id text, status text, action text, message text);
end
$$;
comment on function easysync.register_webhooks(text, text) is 'Create or repair the shop''s webhooks, and read back their health';

-- For the worker: notes what became of deliveries. `settled`: [{"event_id","status","reason","topic",
-- "remote_ids","kept","same_as"}]. One that says the same as another has that one's fetch, and its end.
create function easysync_internal.settle_webhooks(settled jsonb) returns void
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    update easysync_internal.webhook_events as w
    set status = coalesce(t.status, s.status), topic = s.topic, remote_ids = s.remote_ids, kept = s.kept,
        status_reason = coalesce(t.status_reason, s.reason), sync_id = t.sync_id, next_attempt_at = t.next_attempt_at,
        processed_at = case when coalesce(t.status, s.status) <> 'accepted' then clock_timestamp() end
    from jsonb_to_recordset(settled)
             as s (event_id bigint, status text, reason text, topic text, remote_ids text[], kept boolean, same_as bigint)
    left join easysync_internal.webhook_events as t on t.event_id = s.same_as
    where w.event_id = s.event_id and w.status in ('received', 'accepted')
$$;

-- For the worker: queues the fetch of records that deliveries speak of. One that waits already takes
-- them along. Where the entity isn't pulled there is nothing to fetch.
create function easysync_internal.fetch_hints(tenant text, connection_name text, entity_name text, ids text[], event_ids bigint[]) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    run_id bigint;
begin
    if not exists (select from easysync_internal.streams as s
                   where s.tenant_id = tenant and s.connection = connection_name and s.entity = entity_name
                     and s.direction in ('pull', 'two_way')) then
        update easysync_internal.webhook_events as w
        set status = 'ignored', status_reason = format('%s are not pulled from "%s"', entity_name, connection_name), processed_at = clock_timestamp()
        where w.event_id = any (event_ids) and w.status = 'accepted';
        return;
    end if;
    select r.sync_id into run_id from easysync_internal.sync_runs as r
    where r.status = 'queued' and r.triggered_by = 'webhook' and r.tenant_id = tenant and r.connection = connection_name
      and r.entity = entity_name and cardinality(r.ids) + cardinality(fetch_hints.ids) <= 10000
    order by r.sync_id limit 1 for update;
    if found then
        update easysync_internal.sync_runs as r
        set ids = array(select i.id from unnest(r.ids || fetch_hints.ids) as i (id) group by i.id order by i.id)
        where r.sync_id = run_id;
    else
        run_id := easysync_internal.queue_sync(tenant, entity_name, 'ids', connection_name, ids, null, triggered_by => 'webhook');
    end if;
    update easysync_internal.webhook_events as w set sync_id = run_id, status_reason = null
    where w.event_id = any (event_ids) and w.status = 'accepted';
end
$$;

-- For the worker, when a fetch has ended: its deliveries end with it. Those whose records the shop
-- doesn't have, and never had for us, are ignored. A fetch that failed is tried again, up to six times
-- within an hour; after that the next run brings what it was about.
create function easysync_internal.end_webhooks(run easysync_internal.sync_runs) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    account_key text := (select c.account from easysync_internal.connections as c where c.tenant_id = run.tenant_id and c.name = run.connection);
begin
    if run.status in ('succeeded', 'partial') then
        update easysync_internal.webhook_events as w
        set status = case when f.known then 'processed' else 'ignored' end, processed_at = clock_timestamp(), next_attempt_at = null,
            status_reason = case when f.failed then 'see easysync.sync_failures' when not f.known then 'no such record there, or only a draft' end
        from (select e.event_id,
                     exists (select from easysync_internal.sync_failures as x
                             where x.tenant_id = run.tenant_id and x.connection = run.connection and x.direction = 'pull'
                               and x.entity = run.entity and x.record_id = any (e.remote_ids)) as failed,
                     exists (select from easysync_ledger.links as l
                             where l.tenant_id = run.tenant_id and l.account = account_key and l.entity = run.entity
                               and l.remote_id = any (e.remote_ids)) as known
              from easysync_internal.webhook_events as e where e.sync_id = run.sync_id and e.status = 'accepted') as f
        where w.event_id = f.event_id;
    else
        update easysync_internal.webhook_events as w
        set attempts = w.attempts + 1, status_reason = coalesce(run.error_message, 'the fetch was ' || run.status),
            status = case when w.attempts < 5 and run.status = 'failed' then 'accepted' else 'ignored' end,
            sync_id = case when w.attempts < 5 and run.status = 'failed' then null else w.sync_id end,
            next_attempt_at = case when w.attempts < 5 and run.status = 'failed' then clock_timestamp() + interval '1 minute' * 2 ^ w.attempts end,
            processed_at = case when w.attempts < 5 and run.status = 'failed' then null else clock_timestamp() end
        where w.sync_id = run.sync_id and w.status = 'accepted';
    end if;
    -- What was gathered meanwhile goes now.
    perform easysync_internal.wake_for('webhook_events');
end
$$;

-- For the worker, daily: bodies whose time is over are emptied, and with them the headers, which hold
-- signatures; rows go with the log. Returns how many were touched, a lot at a time.
create function easysync_internal.drop_old_webhooks(lot integer default 1000) returns integer
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    touched integer;
    gone integer;
begin
    update easysync_internal.webhook_events as w set body = '', headers = '{}'
    where w.event_id = any (array(
        select o.event_id
        from easysync_internal.kept_since('easysync_internal.webhook_events', 'webhook_body_retention') as k
        cross join lateral (select x.event_id from easysync_internal.webhook_events as x
                            where x.tenant_id = k.tenant_id and x.processed_at < k.oldest
                              and x.body <> '' and x.status in ('rejected', 'ignored', 'processed')
                            order by x.processed_at limit lot) as o
        limit lot));
    get diagnostics touched = row_count;
    delete from easysync_internal.webhook_events as w
    where w.event_id = any (array(
        select o.event_id
        from easysync_internal.kept_since('easysync_internal.webhook_events', 'log_retention') as k
        cross join lateral (select x.event_id from easysync_internal.webhook_events as x
                            where x.tenant_id = k.tenant_id and x.processed_at < k.oldest
                              and x.status in ('rejected', 'ignored', 'processed')
                            order by x.processed_at limit lot) as o
        limit lot));
    get diagnostics gone = row_count;
    return touched + gone;
end
$$;

-- For the worker, after its daily look at a connection's webhooks. `problem` null: all of them deliver.
create function easysync_internal.note_webhooks(tenant text, connection_name text, problem text, repaired text) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    update easysync_internal.connections as c set webhooks_checked_at = clock_timestamp(), webhooks_problem = problem
    where c.tenant_id = tenant and c.name = connection_name;
    if problem is not null then
        perform easysync_internal.raise_notification(tenant, 'webhooks_down', 'warning', connection_name, connection_name, null,
            format('webhooks of "%s" can not be kept', connection_name),
            format('%s. Changes are found by the next sync only. SELECT * FROM easysync.register_webhooks(%L, ...);', problem, connection_name));
    else
        perform easysync_internal.end_notification(tenant, 'webhooks_down', connection_name);
    end if;
    if repaired is not null then
        perform easysync_internal.audit(tenant, 'repair_webhooks', connection_name, null, to_jsonb(repaired));
        perform easysync_internal.log_row(tenant, 'warn', 'webhook', 'ok', format('webhooks were repaired: %s', repaired), null, connection_name, null);
    end if;
end
$$;

grant execute on function easysync.receive_webhook(text, jsonb, text), easysync.postgrest_webhook(json) to easysync_webhook;
grant execute on function easysync.register_webhooks(text, text) to easysync_admin;
