-- What pulls created: a first load of 100,000 orders keeps no change for each, but its sync on each
-- link (links.created_by). The view sync_changes shows those records from there, and their fields
-- from the hub as it is now.

-- Records that a sync created and whose links are still kept. PL/pgSQL: the ledger may not be there,
-- and hubs have schemas of their own. Uses the index links_created_by.
create function easysync_internal.created_records(tenant text, run_id bigint)
    returns table (place bigint, connection text, entity text, hub_id bigint, record_id text, label text)
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp rows 100
as $$
#variable_conflict use_column
declare
    hub text := easysync_internal.hub_schema(tenant);
begin
    -- Only what the session may see, whatever was asked for.
    if hub is null or to_regclass('easysync_ledger.links') is null or tenant <> all (easysync.allowed_tenants()) then
        return;
    end if;
    return query
        with made as materialized (
            select l.entity, l.hub_id, l.remote_id, l.account from easysync_ledger.links as l
            where l.created_by = run_id and l.tenant_id = created_records.tenant),
        parts as (
            select t.entity, t.position, array_agg(m.hub_id) filter (where m.hub_id is not null) as ids,
                   case t.entity when 'customers' then 'email' when 'vendors' then 'display_name' when 'payments' then 'reference'
                                 when 'products' then 'sku' else 'number' end as called
            from made as m join easysync_internal.hub_tables() as t on t.table_name = m.entity
            group by t.entity, t.position),
        named as (
            select p.entity, h.line[1]::bigint as hub_id, h.line[2] as source_connection,
                   case when p.entity in ('customers', 'vendors', 'payments') then easysync_internal.masked(h.line[3]) else h.line[3] end as called
            from parts as p
            cross join lateral easysync_internal.hub_query(hub, array[p.entity], format(
                'select array[h.id::text, h.source_connection, h.%I::text] from %I.%I as h where h.tenant_id = $1 and h.id = any ($2)',
                p.called, hub, p.entity), created_records.tenant, p.ids, null) as h (line))
        select row_number() over (order by p.position, m.hub_id),
               coalesce(n.source_connection, (select min(c.name) from easysync_internal.connections as c
                                              where c.tenant_id = created_records.tenant and c.account = m.account), ''),
               m.entity::text, m.hub_id, m.remote_id::text, coalesce(n.called, m.remote_id)
        from made as m
        join parts as p on p.entity = m.entity
        left join named as n on n.entity = m.entity and n.hub_id = m.hub_id;
end
$$;

-- How a value of a hub's column is shown in changes: amounts as texts, times in UTC.
create function easysync_internal.shown_value(type_name text, expression text) returns text
    language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select case type_name
        when 'numeric' then format('to_jsonb((%s)::text)', expression)
        when 'timestamptz' then format('to_jsonb((to_jsonb((%s) at time zone ''UTC'') #>> ''{}'') || ''Z'')', expression)
        else format('to_jsonb(%s)', expression) end
$$;

-- What a record of the hub holds, with its lines: every value but nulls and empty JSON. Null: it is
-- not in the hub. For the worker, which asks for any tenant.
create function easysync_internal.hub_fields(tenant text, entity_name text, id bigint) returns jsonb
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
    schema_name text := easysync_internal.hub_schema(tenant);
    part record;
    fields jsonb;
    of_part jsonb;
begin
    if schema_name is null then
        return null;
    end if;
    for part in
        select t.table_name, t.document_column, t.table_name <> t.entity as is_line,
               string_agg(format('(%L, %s)', c.column_name,
                                 easysync_internal.shown_value(c.type_name, 'h.' || quote_ident(c.column_name))), ', ') as columns
        from easysync_internal.hub_tables() as t
        join easysync_internal.hub_columns() as c on c.table_name = t.table_name
        where t.entity = entity_name and c.column_name not in ('tenant_id', 'id')
          and (c.column_name <> t.document_column or t.table_name = t.entity)
        group by t.table_name, t.document_column, t.entity, t.position order by t.position
    loop
        select h.line[1]::jsonb into of_part
        from easysync_internal.hub_query(schema_name, array[part.table_name], format(
            'select array[jsonb_object_agg(%s v.path, jsonb_build_object(''old'', null, ''new'', v.new))::text]
             from %I.%I as h cross join lateral (values %s) as v (path, new)
             where h.tenant_id = $1 and h.%I = any ($2) and v.new is not null and v.new not in (''{}'', ''[]'')',
            case when part.is_line then '''lines['' || coalesce(h.source_id, h.id::text) || ''].'' ||' else '' end,
            schema_name, part.table_name, part.columns, part.document_column), tenant, array[hub_fields.id], null) as h (line);
        fields := coalesce(fields || coalesce(of_part, '{}'), of_part);
        exit when fields is null;
    end loop;
    return fields;
end
$$;

-- The same of a created record, for those who may see it.
create function easysync_internal.created_fields(tenant text, entity_name text, id bigint) returns jsonb
    language sql stable security definer set search_path = pg_catalog, pg_temp
as $$ select easysync_internal.hub_fields(tenant, entity_name, id) where tenant = any (easysync.allowed_tenants()) $$;

-- Would a foreign key keep one of these rows of a hub table from being deleted? `removed`: rows of
-- hub tables, by table, that go before. Keys that cascade are followed.
create function easysync_internal.is_referred_to(schema_name text, table_name text, tenant text, ids bigint[], removed jsonb)
    returns boolean
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    reference record;
    found_one boolean;
    children bigint[];
begin
    for reference in
        select n.nspname as child_schema, c.relname as child, k.confdeltype as on_delete,
               exists (select from pg_attribute as i where i.attrelid = k.conrelid and i.attname = 'id' and i.atttypid = 'bigint'::regtype) as has_id,
               (select string_agg(format('r.%I = t.%I', child_column.attname, own.attname), ' and ')
                from unnest(k.conkey, k.confkey) as pair (child_key, own_key)
                join pg_attribute as child_column on child_column.attrelid = k.conrelid and child_column.attnum = pair.child_key
                join pg_attribute as own on own.attrelid = k.confrelid and own.attnum = pair.own_key) as matches
        from pg_constraint as k
        join pg_class as c on c.oid = k.conrelid
        join pg_namespace as n on n.oid = c.relnamespace
        where k.contype = 'f' and k.confrelid = easysync_internal.relation_of(is_referred_to.schema_name, is_referred_to.table_name)
          and k.confdeltype in ('a', 'r', 'c') and k.conparentid = 0
    loop
        begin
            select h.line::bigint[] into children
            from easysync_internal.hub_query(schema_name, array[is_referred_to.table_name], format(
                'select coalesce(array_agg(%s), ''{}'')::text[] from %I.%I as r join %I.%I as t on %s
                 where t.tenant_id = $1 and t.id = any ($2) %s',
                case when reference.has_id then 'r.id' else '0' end, reference.child_schema, reference.child,
                schema_name, table_name, reference.matches,
                case when reference.has_id and reference.child_schema = schema_name
                     then 'and r.id <> all (array(select jsonb_array_elements_text($3)::bigint))' || case when reference.child = table_name then ' and r.id <> all ($2)' else '' end
                     else '' end),
                tenant, ids, coalesce(removed -> reference.child, '[]')) as h (line);
        exception when insufficient_privilege then
            -- The application's own table, which the hub's owner may not read: the key is enforced all the same.
            return true;
        end;
        if cardinality(children) = 0 then
            continue;
        end if;
        found_one := reference.on_delete <> 'c'
            or (reference.has_id and easysync_internal.is_referred_to(reference.child_schema, reference.child, tenant, children, removed));
        if found_one then
            return true;
        end if;
    end loop;
    return false;
end
$$;
