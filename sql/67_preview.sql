-- dry_run: what a sync would change. Planned in the session that asks; nothing is written anywhere.

-- Connections that an entity is pushed to; 22023 with the way out where there is none.
create function easysync_internal.pushed_to(tenant text, entity_name text, connection_name text) returns text[]
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    targets text[];
begin
    select array_agg(s.connection order by s.connection) into targets
    from easysync_internal.streams as s
    join easysync_internal.connections as c on c.tenant_id = s.tenant_id and c.name = s.connection
    where s.tenant_id = tenant and s.entity = entity_name and s.direction in ('push', 'two_way') and c.status = 'connected'
      and (connection_name is null or s.connection = connection_name);
    if targets is null then
        perform easysync_internal.raise_argument(
            case when connection_name is null then format('%s are not pushed anywhere', entity_name)
                 else format('%s are not pushed to "%s", or it is not connected', entity_name, connection_name) end,
            'A preview shows pushes. See easysync.streams and easysync.connections.');
    end if;
    return targets;
end
$$;

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
begin
    select * into request from easysync_internal.checked_request(tenant, dry_run.entity, dry_run.mode, dry_run.connection, dry_run.ids, dry_run.filters);
    perform easysync_internal.check_fence();
    foreach target in array easysync_internal.pushed_to(tenant, dry_run.entity, dry_run.connection) loop
        answer := easysync_internal.preview(tenant, target, dry_run.entity, request.checked_mode, request.checked_ids, request.checked_filters);
        perform easysync_internal.raise_answer(answer -> 'errors', target);
        return query
            select c.change_id, c.connection, c.direction, c.entity, c.record_id, c.label, c.target, c.action, c.destructive, c.reason,
                   c.fields, array(select jsonb_array_elements_text(c.depends_on)::integer)
            from jsonb_to_recordset(answer -> 'changes') as c (change_id integer, connection text, direction text, entity text,
                record_id text, label text, target text, action text, destructive boolean, reason text, fields jsonb, depends_on jsonb);
    end loop;
end
$$;
comment on function easysync.dry_run(text, text, text, text[], jsonb) is 'What trigger would change, one row a change; writes nothing anywhere';
