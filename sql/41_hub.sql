-- create_hub: makes the hub's tables, or what is missing of them. It never alters or drops what is
-- there, and it acts with the session user's rights, not with ours: whoever may not create in the
-- schema gets 42501, and a table that belongs to somebody else is left alone.

create function easysync.create_hub(schema text default 'commerce') returns text
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    twin boolean := easysync_internal.is_twin(tenant);
    hub text := schema;
    before text := easysync_internal.hub_schema(tenant);
    made integer;
begin
    if hub is null or hub = '' or hub ~ '^pg_' or length(hub) > 63
       or hub in ('information_schema', 'easysync', 'easysync_internal', 'easysync_ledger') then
        perform easysync_internal.raise_argument(format('a hub can not be in schema %s', coalesce('"' || hub || '"', 'NULL')),
            'Name a schema of your own, e.g. commerce.');
    end if;
    if twin then
        hub := easysync_internal.sandbox_hub(hub);
    end if;
    perform easysync_internal.create_ledger();
    -- Two sessions at once: the second finds everything made.
    perform pg_advisory_xact_lock(hashtextextended('easysync hub ' || hub, 0));
    perform easysync_internal.check_hub_rights(hub);
    made := easysync_internal.make_hub_tables(hub);
    perform easysync_internal.make_hub_triggers(hub);
    perform easysync_internal.note_hub(tenant, hub);
    if made > 0 then
        raise notice 'created the hub in schema % (% tables)', hub, made;
        if twin then
            perform easysync_internal.adapt_sandbox_hub(tenant, hub);
        end if;
    end if;
    if made > 0 or easysync_internal.hub_schema(tenant) is distinct from before then
        perform easysync_internal.audit(tenant, 'create_hub', hub, jsonb_build_object('hub', before),
                                        jsonb_build_object('hub', easysync_internal.hub_schema(tenant), 'tables', made));
    end if;
    return hub;
end
$$;
comment on function easysync.create_hub(text) is 'Create the hub tables (they are yours, not the extension''s)';

-- Schema of a sandbox's hub, for that of the tenant's: `commerce_sandbox`. A name that would be too long
-- for Postgres is told by its hash.
create function easysync_internal.sandbox_hub(schema_name text) returns text
    language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select case when schema_name ~ '_sandbox$' then schema_name
                when octet_length(schema_name) <= 55 then schema_name || '_sandbox'
                else 'hub_' || left(md5(schema_name), 16) || '_sandbox' end
$$;

-- YS409 where tables of the schema are live and the hub would be a sandbox's, or the other way round.
-- By the names of tenants: links between tenants and hubs outlive DROP EXTENSION.
create function easysync_internal.check_hub_is_apart(schema_name text, twin boolean) returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    if exists (select from easysync_ledger.tenants as t
               where t.hub_schema = schema_name and (t.tenant_id like '%:sandbox' and schema_name like '%\_sandbox') <> twin) then
        perform easysync_internal.raise_error('YS409',
            format('schema "%s" holds the hub of a %s', schema_name, case when twin then 'live tenant' else 'sandbox' end),
            'category: conflict, code: hub_in_use', 'Name another schema: SELECT easysync.create_hub(''...'').');
    end if;
end
$$;

-- What an application writes there is the sandbox's, too; and policies are as on the live hub.
create function easysync_internal.adapt_sandbox_hub(twin text, schema_name text) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    hub_table record;
begin
    for hub_table in select t.table_name from easysync_internal.hub_tables() as t loop
        execute format('alter table %I.%I alter column tenant_id set default %L', schema_name, hub_table.table_name,
                       easysync_internal.twin_of('default'));
    end loop;
    if to_regprocedure(quote_ident(coalesce(easysync_internal.hub_schema(easysync_internal.live_of(twin)), 'commerce')) || '.easysync_tenants()') is not null then
        perform easysync.enable_row_security();
    end if;
end
$$;

-- The session user's rights: CREATE in the database or in the schema, and ownership of hub tables
-- that are there already.
create function easysync_internal.check_hub_rights(schema_name text) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    foreign_table text;
begin
    if not exists (select from pg_namespace where nspname = schema_name) then
        if not has_database_privilege(session_user, current_database(), 'create') then
            perform easysync_internal.raise_error('42501', format('permission denied to create schema %I', schema_name),
                'category: validation, code: insufficient_privilege',
                format('GRANT CREATE ON DATABASE %I TO %I, or let the owner create the schema.', current_database(), session_user));
        end if;
        execute format('create schema %I authorization %I', schema_name, session_user);
        return;
    end if;
    if not has_schema_privilege(session_user, schema_name, 'create') then
        perform easysync_internal.raise_error('42501', format('permission denied for schema %I', schema_name),
                'category: validation, code: insufficient_privilege',
            format('GRANT CREATE ON SCHEMA %I TO %I.', schema_name, session_user));
    end if;
    select c.relname into foreign_table
    from easysync_internal.hub_tables() as t
    join pg_class as c on c.relname = t.table_name
    join pg_namespace as n on n.oid = c.relnamespace and n.nspname = schema_name
    where not pg_has_role(session_user, c.relowner, 'usage')
    order by t.position limit 1;
    if found then
        perform easysync_internal.raise_error('42501', format('must be owner of table %I.%I', schema_name, foreign_table),
            'category: validation, code: insufficient_privilege',
            'Call easysync.create_hub as the owner of the hub tables.');
    end if;
end
$$;

-- Makes missing tables, columns, references and indexes; returns how many tables it made.
create function easysync_internal.make_hub_tables(schema_name text) returns integer
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    hub_table record;
    part record;
    made integer := 0;
begin
    for hub_table in select * from easysync_internal.hub_tables() order by position loop
        if to_regclass(format('%I.%I', schema_name, hub_table.table_name)) is null then
            perform easysync_internal.make_hub_table(schema_name, hub_table.table_name, hub_table.comment);
            made := made + 1;
        else
            perform easysync_internal.check_hub_table(schema_name, hub_table.table_name);
            perform easysync_internal.add_hub_columns(schema_name, hub_table.table_name);
        end if;
    end loop;
    for part in select * from easysync_internal.hub_references() loop
        perform easysync_internal.add_hub_reference(schema_name, part.table_name, part.column_name, part.target, part.cascades);
    end loop;
    for part in select * from easysync_internal.hub_indexes() loop
        perform easysync_internal.add_hub_index(schema_name, part.table_name, part.column_name);
    end loop;
    return made;
end
$$;

create function easysync_internal.make_hub_table(schema_name text, table_name text, table_comment text) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    relation text := format('%I.%I', schema_name, make_hub_table.table_name);
    columns text;
    has_source boolean;
    part record;
begin
    select string_agg(rtrim(format('%I %s %s', column_name, type_name, rest)), ', ' order by position),
           bool_or(column_name = 'source_connection')
      into columns, has_source
      from easysync_internal.hub_columns() where table_name = make_hub_table.table_name;
    execute format('create table %s (%s, primary key (tenant_id, id)%s)', relation, columns,
        case when has_source then ', unique (tenant_id, source_connection, source_id)' else '' end);
    execute format('comment on table %s is %L', relation, table_comment);
    for part in select column_name, comment from easysync_internal.hub_columns()
                where table_name = make_hub_table.table_name and comment is not null loop
        execute format('comment on column %s.%I is %L', relation, part.column_name, part.comment);
    end loop;
    execute format('alter table %s owner to %I', relation, session_user);
    execute format('grant select, insert, update, delete on %s to easysync_worker', relation);
    execute format('grant usage on schema %I to easysync_worker', schema_name);
end
$$;

-- 42P07 unless a table that is there can serve: an ordinary table with our key and our types. More
-- columns, constraints, indexes and triggers are its owner's own affair.
create function easysync_internal.check_hub_table(schema_name text, table_name text) returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    relation regclass := to_regclass(format('%I.%I', schema_name, check_hub_table.table_name));
    problems text[];
begin
    if (select relkind not in ('r', 'p') from pg_class where oid = relation) then
        problems := array['it is not a table'];
    else
        select array_agg(format('column %I is %s, not %s', h.column_name, format_type(a.atttypid, a.atttypmod), h.type_name) order by h.position)
          into problems
          from easysync_internal.hub_columns() as h
          join pg_attribute as a on a.attrelid = relation and a.attname = h.column_name and not a.attisdropped
         where h.table_name = check_hub_table.table_name and a.atttypid <> h.type_name::regtype;
        if not exists (select from pg_index as i
                       where i.indrelid = relation and i.indisunique and i.indpred is null and i.indexprs is null
                         and i.indnkeyatts = 2
                         and (select array_agg(a.attname::text order by a.attname) from pg_attribute as a
                              where a.attrelid = relation and a.attnum = any (i.indkey)) = array['id', 'tenant_id']) then
            problems := problems || 'it has no primary key (tenant_id, id)'::text;
        end if;
    end if;
    if problems is not null then
        perform easysync_internal.raise_error('42P07',
            format('table %I.%I has another shape than the hub''s', schema_name, check_hub_table.table_name),
            array_to_string(problems, E'\n'),
            'Create the hub in another schema: SELECT easysync.create_hub(''...'').');
    end if;
end
$$;

-- Columns that a table from an older version, or from its owner, lacks.
create function easysync_internal.add_hub_columns(schema_name text, table_name text) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    relation regclass := to_regclass(format('%I.%I', schema_name, add_hub_columns.table_name));
    part record;
begin
    for part in select h.* from easysync_internal.hub_columns() as h
                where h.table_name = add_hub_columns.table_name
                  and not exists (select from pg_attribute as a where a.attrelid = relation and a.attname = h.column_name
                                  and not a.attisdropped)
                order by h.position loop
        begin
            execute format('alter table %s add column %I %s %s', relation, part.column_name, part.type_name, part.rest);
        exception when not_null_violation then
            perform easysync_internal.raise_error('42P07',
                format('table %s has another shape than the hub''s', relation),
                format('column %I is missing and can not be added to rows that are there: it has no default', part.column_name),
                'Add and fill the column, or create the hub in another schema.');
        end;
        execute format('comment on column %s.%I is %L', relation, part.column_name, part.comment);
    end loop;
    execute format('grant select, insert, update, delete on %s to easysync_worker', relation);
    execute format('grant usage on schema %I to easysync_worker', schema_name);
end
$$;

create function easysync_internal.add_hub_reference(schema_name text, table_name text, column_name text, target text, cascades boolean)
    returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    relation regclass := to_regclass(format('%I.%I', schema_name, table_name));
    target_relation regclass := to_regclass(format('%I.%I', schema_name, target));
    -- The key's columns as the catalogue keeps them.
    key smallint[] := array(select attnum from pg_attribute where attrelid = relation and attname in ('tenant_id', column_name)
                            order by attname = column_name);
begin
    if exists (select from pg_constraint
               where conrelid = relation and confrelid = target_relation and contype = 'f' and conkey = key) then
        return;
    end if;
    execute format('alter table %s add foreign key (tenant_id, %I) references %s (tenant_id, id)%s',
        relation, column_name, target_relation, case when cascades then ' on delete cascade' else '' end);
end
$$;

create function easysync_internal.add_hub_index(schema_name text, table_name text, column_name text) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    relation regclass := to_regclass(format('%I.%I', schema_name, table_name));
begin
    -- Any index that begins with these two columns serves.
    if exists (select from pg_index as i
               join pg_attribute as t on t.attrelid = relation and t.attnum = i.indkey[0] and t.attname = 'tenant_id'
               join pg_attribute as c on c.attrelid = relation and c.attnum = i.indkey[1] and c.attname = column_name
               where i.indrelid = relation and i.indpred is null) then
        return;
    end if;
    execute format('create index on %s (tenant_id, %I)', relation, column_name);
end
$$;

-- Keeps which hub schemas there are and which tenant uses which: the tenant's first one is its hub.
create function easysync_internal.note_hub(tenant text, schema_name text) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    chosen text;
begin
    perform easysync_internal.check_hub_is_apart(schema_name, easysync_internal.is_twin(tenant));
    insert into easysync_ledger.hubs as h (schema_name, schema_version, created_by)
    values (schema_name, easysync_internal.schema_version(), session_user)
    on conflict on constraint hubs_pkey do update set schema_version = excluded.schema_version
    where h.schema_version <> excluded.schema_version;
    insert into easysync_ledger.tenants as t (tenant_id, hub_schema) values (tenant, schema_name)
    on conflict on constraint tenants_pkey do nothing;
    select t.hub_schema into chosen from easysync_ledger.tenants as t where t.tenant_id = tenant;
    if chosen = schema_name then
        return;
    end if;
    -- A hub that nothing uses yet, or whose tables are gone, gives way.
    if to_regclass(format('%I.orders', chosen)) is null
       or not exists (select from easysync_internal.connections as c where c.tenant_id = tenant) then
        update easysync_ledger.tenants as t set hub_schema = schema_name where t.tenant_id = tenant;
    else
        raise notice 'the hub of tenant "%" stays in schema %', tenant, chosen;
    end if;
end
$$;
