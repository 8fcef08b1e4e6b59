-- Health of connections, as rows. health() adds the worker, the fence and the queue (66_health.sql).

-- Everything that is wrong with a connection of a tenant that the session may see, each with its cure.
create function easysync_internal.connection_problems(tenant text, connection_name text)
    returns table (severity text, reason text, cure text)
    language sql stable security definer set search_path = pg_catalog, pg_temp rows 2
as $$
    with known as (
        select * from easysync_internal.connections as c
        where c.tenant_id = tenant and c.name = connection_name and c.tenant_id = any (easysync.allowed_tenants())
    )
    select case when c.status in ('error', 'reauthorize') then 'down' else 'degraded' end,
           coalesce(c.status_reason, replace(c.status, '_', ' ')),
           coalesce(c.status_hint, case c.status
               when 'disabled' then format('SELECT easysync.enable(%L);', c.name)
               when 'pending' then 'Grant access; see easysync.test_connection.'
               else format('SELECT * FROM easysync.test_connection(%L);', c.name) end)
    from known as c
    where c.status <> 'connected'
    union all
    select 'down', format('too many errors in a row: no call before %s',
                          to_char(c.circuit_until at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')),
           'It tries again by itself; easysync.sync_logs has the errors.'
    from known as c
    where c.circuit = 'open' and c.circuit_until > now()
    union all
    select 'degraded', format('the last sync of %s failed: %s', s.entity, coalesce(s.error_message, 'unknown error')),
           coalesce(s.error_hint, 'See easysync.sync_run_steps.')
    from known as c
    join easysync_internal.streams as t on t.tenant_id = c.tenant_id and t.connection = c.name
    cross join (values ('pull'), ('push')) as d (direction)
    -- By index sync_run_steps_ended: one probe, however long the history is.
    cross join lateral (select x.entity, x.status, x.error_message, x.error_hint
                        from easysync_internal.sync_run_steps as x
                        where x.tenant_id = c.tenant_id and x.connection = c.name and x.entity = t.entity
                          and x.direction = d.direction and x.finished_at is not null
                        order by x.sync_id desc limit 1) as s
    where s.status = 'failed'
    union all
    select 'degraded', format('%s failed records wait for a person', count(*)),
           format('SELECT * FROM easysync.sync_failures WHERE connection = %L;', connection_name)
    from known as c
    join easysync_internal.sync_failures as f on f.tenant_id = c.tenant_id and f.connection = c.name
    where f.discarded_at is null and f.next_attempt_at is null
    having count(*) > 0
    union all
    select 'degraded', format('access ends on %s', to_char(c.token_expires_at, 'YYYY-MM-DD')),
           format('SELECT easysync.oauth_authorize_url(%L, redirect_uri => ...);', c.name)
    from known as c
    where c.token_expires_at < now() + interval '14 days'
    union all
    select 'degraded', format('webhooks can not be kept: %s', c.webhooks_problem),
           -- The receiver's address may hold a key of its own: operators see it, viewers an example.
           format('SELECT * FROM easysync.register_webhooks(%L, %L);', c.name,
                  case when easysync_internal.sees_originals() then c.webhook_url else 'https://...' end)
    from known as c
    where c.webhooks_enabled and c.webhooks_problem is not null
    union all
    select 'degraded', format('schedule "%s" has failed %s times in a row', s.name, s.consecutive_failures),
           format('SELECT * FROM easysync.sync_run_steps WHERE sync_id = %s;', s.last_sync_id)
    from known as c
    join easysync_internal.schedules as s on s.tenant_id = c.tenant_id and (s.connection is null or s.connection = c.name)
    where s.active and s.consecutive_failures >= easysync_internal.setting(s.tenant_id, 'notify_after_failures')::integer
$$;

-- Webhooks are `off` where nobody has registered them, or the connection doesn't act on them.
create view easysync.connection_health with (security_barrier) as
select c.name as connection,
       c.connector,
       coalesce(p.health, 'ok') as health,
       coalesce(p.reasons, '{}') as reasons,
       coalesce(p.cures, '{}') as cures,
       c.status,
       -- By index sync_run_steps_succeeded, a probe for each stream.
       (select max(x.finished_at)
        from easysync_internal.streams as t
        cross join lateral (select y.finished_at from easysync_internal.sync_run_steps as y
                            where y.tenant_id = t.tenant_id and y.connection = t.connection and y.entity = t.entity
                              and y.status = 'succeeded'
                            order by y.sync_id desc limit 1) as x
        where t.tenant_id = c.tenant_id and t.connection = c.name) as last_success_at,
       (select count(*) from easysync_internal.sync_log as l
        where l.tenant_id = c.tenant_id and l.connection = c.name and l.level = 'error'
          and l.logged_at > now() - interval '24 hours') as errors_24h,
       c.circuit,
       case when c.circuit <> 'closed' then c.circuit_until end as circuit_until,
       c.token_expires_at,
       case when not c.webhooks_enabled or c.webhook_url is null then 'off'
            when c.webhooks_problem is not null then 'degraded' else 'ok' end as webhooks,
       easysync_internal.schedule_lag(c.tenant_id, c.name) as schedule_lag,
       c.tenant_id
from easysync_internal.connections as c
left join lateral (
    select case when bool_or(q.severity = 'down') then 'down' else 'degraded' end as health,
           array_agg(q.reason) as reasons, array_agg(q.cure) as cures
    from easysync_internal.connection_problems(c.tenant_id, c.name) as q
    having count(*) > 0) as p on true
where c.tenant_id = any ((select easysync_internal.visible_tenants())::text[]);
comment on view easysync.connection_health is 'health() as rows';
comment on column easysync.connection_health.connection is 'connection';
comment on column easysync.connection_health.connector is 'connector';
comment on column easysync.connection_health.health is 'ok, degraded, down';
comment on column easysync.connection_health.reasons is 'why';
comment on column easysync.connection_health.cures is 'what to do';
comment on column easysync.connection_health.status is 'as connections';
comment on column easysync.connection_health.last_success_at is 'last good run';
comment on column easysync.connection_health.errors_24h is 'errors';
comment on column easysync.connection_health.circuit is 'closed, half_open, open';
comment on column easysync.connection_health.circuit_until is 'next try';
comment on column easysync.connection_health.token_expires_at is 'grant ends';
comment on column easysync.connection_health.webhooks is 'ok, degraded, off';
comment on column easysync.connection_health.schedule_lag is 'behind schedule';
comment on column easysync.connection_health.tenant_id is 'tenant (last column of every view)';
