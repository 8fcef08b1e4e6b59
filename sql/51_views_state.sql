-- Views of connections, streams, links, settings and words, with the small functions behind them.

create view easysync.connections with (security_barrier) as
select c.name as connection,
       c.connector,
       c.status,
       case when c.status <> 'connected' then c.status_reason end as status_reason,
       coalesce(c.account_label, c.account) as account,
       c.settings,
       c.webhooks_enabled,
       l.finished_at as last_sync_at,
       l.status as last_sync_status,
       c.token_expires_at,
       case when c.reads_budget is not null
            then case when c.reads_month = date_trunc('month', now() at time zone 'UTC')::date then c.reads_used else 0 end
       end as reads_used,
       c.reads_budget,
       c.sandbox,
       c.created_at,
       c.tenant_id
from easysync_internal.connections as c
-- Steps of the connection, newest first, by index sync_run_steps_last.
left join lateral (
    select r.finished_at, r.status
    from easysync_internal.sync_run_steps as s
    join easysync_internal.sync_runs as r on r.sync_id = s.sync_id
    where s.tenant_id = c.tenant_id and s.connection = c.name and r.finished_at is not null
    order by s.sync_id desc limit 1) as l on true
where c.tenant_id = any ((select easysync_internal.visible_tenants())::text[]);
comment on view easysync.connections is 'Accounts on platforms, their state and last sync; never a secret';
comment on column easysync.connections.connection is 'name';
comment on column easysync.connections.connector is 'woocommerce, quickbooks, supabase';
comment on column easysync.connections.status is 'pending, connected, reauthorize, error, disabled';
comment on column easysync.connections.status_reason is 'why, when not connected';
comment on column easysync.connections.account is 'what the platform calls the account';
comment on column easysync.connections.settings is 'not secret';
comment on column easysync.connections.webhooks_enabled is 'are deliveries acted on';
comment on column easysync.connections.last_sync_at is 'last run that finished';
comment on column easysync.connections.last_sync_status is 'its status';
comment on column easysync.connections.token_expires_at is 'when a person must grant access again';
comment on column easysync.connections.reads_used is 'metered reads this month';
comment on column easysync.connections.reads_budget is 'of how many; null: not metered';
comment on column easysync.connections.sandbox is 'belongs to the sandbox';
comment on column easysync.connections.created_at is 'when connected';
comment on column easysync.connections.tenant_id is 'tenant (last column of every view)';

-- The ledger may not be there when these are made: read late, and only for columns that are asked for.
-- Whoever may call it sees his own tenants only.
create function easysync_internal.count_links(tenant text, account_key text, entity_name text) returns bigint
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
    found_links bigint;
begin
    if to_regclass('easysync_ledger.links') is null or tenant <> all (easysync.allowed_tenants()) then
        return 0;
    end if;
    execute 'select count(*) from easysync_ledger.links where tenant_id = $1 and account = $2 and entity = $3 and deleted_at is null'
        into found_links using tenant, account_key, entity_name;
    return found_links;
end
$$;

create view easysync.streams with (security_barrier) as
select s.connection,
       s.entity,
       s.direction,
       s.source_of_truth,
       s.conflict_strategy,
       coalesce(s.delete_policy,
                (select y.value from easysync_internal.settings as y where y.tenant_id = s.tenant_id and y.name = 'delete_policy'),
                (select d.default_value from easysync_internal.setting_definitions() as d where d.name = 'delete_policy'))
           as delete_policy,
       s.push_when,
       s.filters,
       (t.cursor ->> 'watermark')::timestamptz as cursor_at,
       (select x.finished_at from easysync_internal.sync_run_steps as x
        where x.tenant_id = s.tenant_id and x.connection = s.connection and x.entity = s.entity and x.status = 'succeeded'
        order by x.sync_id desc limit 1) as last_success_at,
       easysync_internal.count_links(s.tenant_id, c.account, s.entity) as links,
       (select count(*) from easysync_internal.sync_queue as q
        where q.tenant_id = s.tenant_id and q.connection = s.connection and q.entity = s.entity) as queued,
       (select count(*) from easysync_internal.sync_failures as f
        where f.tenant_id = s.tenant_id and f.connection = s.connection and f.entity = s.entity
          and f.discarded_at is null) as failed,
       s.tenant_id
from easysync_internal.streams as s
join easysync_internal.connections as c on c.tenant_id = s.tenant_id and c.name = s.connection
left join easysync_internal.sync_state as t
    on t.tenant_id = s.tenant_id and t.connection = s.connection and t.entity = s.entity
where s.tenant_id = any ((select easysync_internal.visible_tenants())::text[]);
comment on view easysync.streams is 'How each entity flows on each connection';
comment on column easysync.streams.connection is 'connection';
comment on column easysync.streams.entity is 'entity';
comment on column easysync.streams.direction is 'off, pull, push, two_way';
comment on column easysync.streams.source_of_truth is 'local, platform';
comment on column easysync.streams.conflict_strategy is 'source_wins, target_wins, newest_wins, merge, manual';
comment on column easysync.streams.delete_policy is 'keep, inactivate, delete';
comment on column easysync.streams.push_when is 'changed, triggered';
comment on column easysync.streams.filters is 'standing filters';
comment on column easysync.streams.cursor_at is 'incremental watermark';
comment on column easysync.streams.last_success_at is 'last run without failure';
comment on column easysync.streams.links is 'records tied';
comment on column easysync.streams.queued is 'hub rows that wait';
comment on column easysync.streams.failed is 'of those, failed';
comment on column easysync.streams.tenant_id is 'tenant (last column of every view)';

-- Links of some tenants. PL/pgSQL, so that a filter on the view is applied afterwards: for a person's
-- look, not for a hot path.
create function easysync_internal.read_links(tenants text[])
    returns table (tenant_id text, account text, entity text, hub_id bigint, remote_id text, remote_type text,
                   remote_number text, remote_version text, agreed_at timestamptz, deleted_at timestamptz)
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp rows 10000
as $$
begin
    if to_regclass('easysync_ledger.links') is null then
        return;
    end if;
    -- Only what the session may see, whatever was asked for.
    return query execute
        'select l.tenant_id, l.account, l.entity, l.hub_id, l.remote_id, l.remote_type, l.remote_number, l.remote_version,
                l.agreed_at, l.deleted_at
         from easysync_ledger.links as l where l.tenant_id = any ($1) and l.tenant_id = any ($2)'
        using tenants, easysync.allowed_tenants();
end
$$;

-- The id that a record has where it was born: on the platform that it was pulled from, else the hub's.
-- A link that a push made has a state that both sides agreed on; a pull's has none, and its id is that.
create function easysync_internal.record_id_of(tenant text, account_key text, entity_name text, hub bigint, remote text) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
    pushed boolean;
    origin text;
begin
    -- Only what the session may see, whatever was asked for.
    if tenant <> all (easysync.allowed_tenants()) then
        return null;
    end if;
    select l.agreed is not null into pushed from easysync_ledger.links as l
    where l.tenant_id = tenant and l.account = account_key and l.entity = entity_name and l.remote_id = remote;
    if not coalesce(pushed, false) then
        return remote;
    end if;
    select l.remote_id into origin from easysync_ledger.links as l
    where l.hub_id = hub and l.tenant_id = tenant and l.entity = entity_name and l.agreed is null
    order by l.agreed_at, l.remote_id limit 1;
    return coalesce(origin, hub::text);
end
$$;

create view easysync.links with (security_barrier) as
select c.name as connection,
       l.entity,
       easysync_internal.masked_id(easysync_internal.record_id_of(l.tenant_id, l.account, l.entity, l.hub_id, l.remote_id)) as record_id,
       l.hub_id,
       easysync_internal.masked_id(l.remote_id) as remote_id,
       l.remote_type,
       l.remote_number,
       l.remote_version,
       l.agreed_at,
       l.deleted_at,
       l.tenant_id
from easysync_internal.read_links((select easysync_internal.visible_tenants())) as l
left join easysync_internal.connections as c on c.tenant_id = l.tenant_id and c.account = l.account;
comment on view easysync.links is 'The id map: one hub row, one remote record';
comment on column easysync.links.connection is 'connection';
comment on column easysync.links.entity is 'entity';
comment on column easysync.links.record_id is 'platform id of origin, or hub id';
comment on column easysync.links.hub_id is 'id in the hub table';
comment on column easysync.links.remote_id is 'id on this connection';
comment on column easysync.links.remote_type is 'e.g. SalesReceipt';
comment on column easysync.links.remote_number is 'number people see there';
comment on column easysync.links.remote_version is 'e.g. SyncToken';
comment on column easysync.links.agreed_at is 'both sides were equal';
comment on column easysync.links.deleted_at is 'gone there';
comment on column easysync.links.tenant_id is 'tenant (last column of every view)';

create view easysync.audit_log with (security_barrier) as
select a.audit_id, a.audited_at, a.session_user_name, a.current_user_name, a.person, a.action, a.object, a.old_value, a.new_value,
       a.sync_id, a.client_addr, a.tenant_id
from easysync_internal.visible_audit_log as a
where a.route = (select easysync_internal.visible_tenant());
comment on view easysync.audit_log is 'Who did what, append-only';
comment on column easysync.audit_log.audit_id is 'key';
comment on column easysync.audit_log.audited_at is 'when';
comment on column easysync.audit_log.session_user_name is 'login role';
comment on column easysync.audit_log.current_user_name is 'role in force';
comment on column easysync.audit_log.person is 'whom a gateway has verified: e-mail, else subject';
comment on column easysync.audit_log.action is 'function called';
comment on column easysync.audit_log.object is 'on what';
comment on column easysync.audit_log.old_value is 'from';
comment on column easysync.audit_log.new_value is 'to';
comment on column easysync.audit_log.sync_id is 'run';
comment on column easysync.audit_log.client_addr is 'from where';
comment on column easysync.audit_log.tenant_id is 'tenant (last column of every view)';

create view easysync.settings with (security_barrier) as
select d.name,
       coalesce(s.value, d.default_value) as value,
       d.default_value,
       d.unit,
       d.description,
       s.changed_at,
       s.changed_by,
       t.tenant_id
from unnest((select easysync_internal.visible_tenants())) as t (tenant_id)
cross join easysync_internal.setting_definitions() as d
left join easysync_internal.settings as s on s.tenant_id = t.tenant_id and s.name = d.name;
comment on view easysync.settings is 'Settings of this tenant, in the manner of pg_settings';
comment on column easysync.settings.name is 'setting';
comment on column easysync.settings.value is 'in force';
comment on column easysync.settings.default_value is 'default';
comment on column easysync.settings.unit is 'unit';
comment on column easysync.settings.description is 'what it does';
comment on column easysync.settings.changed_at is 'null: default';
comment on column easysync.settings.changed_by is 'role';
comment on column easysync.settings.tenant_id is 'tenant (last column of every view)';

create view easysync.vocabulary as
select w.term, w.value, w.applies_to, w.description
from easysync_internal.words() as w
union all
select 'setting', d.name, null, d.description
from easysync_internal.setting_definitions() as d;
comment on view easysync.vocabulary is 'Every word an argument accepts, for forms and for humans';
comment on column easysync.vocabulary.term is 'connector, entity, mode, direction, filter, event, ...';
comment on column easysync.vocabulary.value is 'the word';
comment on column easysync.vocabulary.applies_to is 'entity or connector, null: all';
comment on column easysync.vocabulary.description is 'meaning';
