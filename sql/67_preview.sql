-- dry_run: what a sync would change. Planned in the session that asks; nothing is written anywhere.

-- Connections that an entity is pushed to.
create function easysync_internal.pushed_to(tenant text, entity_name text, connection_name text) returns text[]
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select coalesce(array_agg(s.connection order by s.connection), '{}')
    from easysync_internal.streams as s
    join easysync_internal.connections as c on c.tenant_id = s.tenant_id and c.name = s.connection
    where s.tenant_id = tenant and s.entity = entity_name and s.direction in ('push', 'two_way') and c.status = 'connected'
      and (connection_name is null or s.connection = connection_name)
$$;

-- Is there anything to look at? 22023 with the way out where no connection works.
create function easysync_internal.check_working(tenant text, entity_name text, connection_name text) returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    if not exists (select from easysync_internal.streams as s
                   join easysync_internal.connections as c on c.tenant_id = s.tenant_id and c.name = s.connection
                   where s.tenant_id = tenant and s.entity = entity_name and s.direction <> 'off' and c.status = 'connected'
                     and (connection_name is null or s.connection = connection_name)) then
        perform easysync_internal.raise_argument(
            case when connection_name is null then format('no connection that carries %s is connected', entity_name)
                 else format('"%s" is not connected', connection_name) end,
            'SELECT connection, status, status_reason FROM easysync.connections;');
    end if;
end
$$;

-- The changes of a plan as the library tells them, behind `places` others.
create function easysync_internal.planned_changes(answer jsonb, places integer) returns setof easysync.change
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select c.change_id + places, c.connection, c.direction, c.entity, c.record_id, c.label, c.target, c.action, c.destructive, c.reason,
           c.fields, array(select d::integer + places from jsonb_array_elements_text(c.depends_on) as d)
    from jsonb_to_recordset(answer -> 'changes') as c (change_id integer, connection text, direction text, entity text,
        record_id text, label text, target text, action text, destructive boolean, reason text, fields jsonb, depends_on jsonb)
$$;

-- Pulls first, as the sync would; the pushes are planned on the hub as it is now.
create function easysync.dry_run(entity text, mode text default 'incremental', connection text default null, ids text[] default null,
                                 filters jsonb default null)
    returns setof easysync.change
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    request record;
    target text;
    answer jsonb;
    places integer;
    remark text;
begin
    select * into request from easysync_internal.checked_request(tenant, dry_run.entity, dry_run.mode, dry_run.connection, dry_run.ids, dry_run.filters);
    perform easysync_internal.check_fence();
    perform easysync_internal.check_working(tenant, dry_run.entity, dry_run.connection);
    answer := easysync_internal.preview_pulls(tenant, dry_run.connection, dry_run.entity, request.checked_mode, request.checked_ids,
                                              request.checked_filters);
    perform easysync_internal.raise_answer(answer -> 'errors', dry_run.connection);
    return query select * from easysync_internal.planned_changes(answer, 0);
    places := coalesce((select max((c.value ->> 'change_id')::integer) from jsonb_array_elements(answer -> 'changes') as c), 0);
    foreach target in array easysync_internal.pushed_to(tenant, dry_run.entity, dry_run.connection) loop
        answer := easysync_internal.preview(tenant, target, dry_run.entity, request.checked_mode, request.checked_ids, request.checked_filters);
        perform easysync_internal.raise_answer(answer -> 'errors', target);
        -- What many orders ask for is said once.
        for remark in select jsonb_array_elements_text(coalesce(answer -> 'remarks', '[]')) loop
            raise notice '"%": %', target, remark;
        end loop;
        return query select * from easysync_internal.planned_changes(answer, places);
        places := places + coalesce((select max((c.value ->> 'change_id')::integer) from jsonb_array_elements(answer -> 'changes') as c), 0);
    end loop;
end
$$;
comment on function easysync.dry_run(text, text, text, text[], jsonb) is 'What trigger would change, one row a change; writes nothing anywhere';
