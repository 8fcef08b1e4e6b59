-- Deliveries as people and platforms see them: a view, so that it shows and takes those of the session's
-- own tenants only. It is inserted into like a table; what is left out has the table's defaults.
create view easysync.webhook_events with (security_barrier) as
select w.event_id, w.tenant_id, w.connection, w.headers, w.body, w.received_at, w.status, w.status_reason, w.topic,
       w.remote_ids, w.sync_id, w.processed_at
from easysync_internal.visible_webhook_events as w
where w.route = (select easysync_internal.visible_tenant());
comment on view easysync.webhook_events is 'Deliveries from platforms: insert (connection, headers, body), the worker does the rest';
comment on column easysync.webhook_events.event_id is 'key';
comment on column easysync.webhook_events.tenant_id is 'tenant';
comment on column easysync.webhook_events.connection is 'connection it was sent to';
comment on column easysync.webhook_events.headers is 'as received, names in any case';
comment on column easysync.webhook_events.body is 'raw, as received: the signature is over these bytes';
comment on column easysync.webhook_events.received_at is 'when';
comment on column easysync.webhook_events.status is 'received, accepted, rejected, ignored, processed';
comment on column easysync.webhook_events.status_reason is 'why';
comment on column easysync.webhook_events.topic is 'filled by the worker';
comment on column easysync.webhook_events.remote_ids is 'filled by the worker';
comment on column easysync.webhook_events.sync_id is 'run that fetched it';
comment on column easysync.webhook_events.processed_at is 'when';

grant insert (tenant_id, connection, headers, body) on easysync.webhook_events to easysync_webhook;
grant select on easysync.webhook_events to easysync_operator;
-- Which tenants it takes: checked against whoever delivers.
grant execute on function easysync_internal.visible_tenants(), easysync_internal.visible_tenant(),
    easysync_internal.visible_several() to easysync_webhook;

-- Platforms don't know of a sandbox: they deliver to the live tenant, whose events are kept while it is on.
-- Those of the sandbox' own accounts are told by their connection's name, else by who signed; the live one's
-- where both did (a staging shop is often a copy with the same secret): nothing of live may be lost.
create function easysync_internal.delivered_to(tenant text, connection_name text, headers jsonb, body text) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
    twin text := nullif(easysync_internal.in_force(tenant), tenant);
    names text[] := (select coalesce(array_agg(c.tenant_id), '{}') from easysync_internal.connections as c
                     where c.tenant_id in (tenant, twin) and c.name = connection_name);
begin
    if twin is null or twin <> all (names) then
        return tenant;
    elsif tenant <> all (names) then
        return twin;
    end if;
    return coalesce((select c.tenant_id from unnest(array[tenant, twin]) with ordinality as c (tenant_id, nr)
                     where easysync_internal.judge_webhook(c.tenant_id, connection_name, headers, body) ->> 'verdict' in ('accepted', 'ignored')
                     order by c.nr limit 1), tenant);
end
$$;

-- Before anything of a delivery is looked at.
create function easysync_internal.check_delivery_size(connection text, headers jsonb, body text) returns void
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select easysync_internal.check_size('connection', connection), easysync_internal.check_size('headers', headers),
           easysync_internal.check_size('body', body);
    select null::void
$$;

create function easysync_internal.take_delivery() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    perform easysync_internal.hide_parameters();
    perform easysync_internal.check_size('tenant_id', new.tenant_id);
    perform easysync_internal.check_delivery_size(new.connection, new.headers, new.body);
    new.tenant_id := coalesce(new.tenant_id, easysync_internal.selected_tenant());
    if new.tenant_id <> all (easysync_internal.selected_tenants() || easysync_internal.visible_tenants()) then
        perform easysync_internal.raise_error('42501', format('tenant "%s" is not one of yours', left(new.tenant_id, 63)),
            'category: authentication, code: tenant_not_allowed', 'Leave out tenant_id, or SET easysync.tenant_id to one of your own.');
    end if;
    if jsonb_typeof(new.headers) = 'object' and new.body is not null then
        new.tenant_id := easysync_internal.delivered_to(new.tenant_id, new.connection, new.headers, new.body);
    end if;
    insert into easysync_internal.webhook_events (tenant_id, connection, headers, body)
    values (new.tenant_id, new.connection, new.headers, new.body) returning event_id, received_at, status
    into new.event_id, new.received_at, new.status;
    return new;
exception when check_violation or not_null_violation then
    -- Postgres would quote the row, and with it what customers are called.
    raise exception using errcode = sqlstate, message = sqlerrm, hint = 'headers: a JSON object; body: the raw text, 2 MiB at most.';
end
$$;
create trigger take instead of insert on easysync.webhook_events
    for each row execute function easysync_internal.take_delivery();
