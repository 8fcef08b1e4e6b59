-- create_hub: makes the hub's tables, or what is missing of them. It never alters or drops what is
-- there. The hub is its owner's, and foreign ground to us: every command here that touches it is carried
-- out by the library as the owner (easysync_internal.as_owner), security-restricted, and only for an
-- owner whom the session's user may act as. A superuser acts as itself alone: it takes no tables that
-- another role has laid ready.

create function easysync.create_hub(schema text default 'commerce') returns text
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    twin boolean := easysync_internal.is_twin(tenant);
    hub text := schema;
    before text := easysync_internal.hub_schema(tenant);
    hub_owner name;
    made integer;
begin
    perform easysync_internal.check_size('schema', hub);
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
    perform easysync_internal.lock_exclusive('hub ' || hub);
    perform easysync_internal.check_hub_is_apart(hub, twin);
    hub_owner := easysync_internal.owner_of_hub(hub);
    made := easysync_internal.make_hub_tables(hub, hub_owner);
    perform easysync_internal.make_hub_triggers(hub, hub_owner);
    perform easysync_internal.note_hub(tenant, hub, hub_owner);
    if made > 0 then
        raise notice 'created the hub in schema % (% tables)', hub, made;
        if twin then
            perform easysync_internal.adapt_sandbox_hub(tenant, hub, hub_owner);
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

-- A relation by its name, whoever may use its schema; null: there is none.
create function easysync_internal.relation_of(schema_name text, relation_name text) returns regclass
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select c.oid::regclass from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
    where n.nspname = schema_name and c.relname = relation_name
$$;

-- Has a hub the function that its policies call?
create function easysync_internal.has_policies(schema_name text) returns boolean
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select exists (select from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace
                   where n.nspname = schema_name and p.proname = 'easysync_tenants' and p.pronargs = 0)
$$;

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
create function easysync_internal.adapt_sandbox_hub(twin text, schema_name text, hub_owner name) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    perform easysync_internal.as_owner(hub_owner, array(
        select format('alter table %I.%I alter column tenant_id set default %L', schema_name, t.table_name,
                      easysync_internal.twin_of('default'))
        from easysync_internal.hub_tables() as t));
    if easysync_internal.has_policies(coalesce(easysync_internal.hub_schema(easysync_internal.live_of(twin)), 'commerce')) then
        perform easysync.enable_row_security();
    end if;
end
$$;

-- The role that the hub in a schema belongs to, or will: the session's user where nothing is there
-- yet, else whose tables, or schema, it is. 42501 unless the session's user may act as that role, and
-- all of the hub is that role's: whoever owns the schema could put other tables in their place.
create function easysync_internal.owner_of_hub(schema_name text) returns name
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    schema_owner name;
    owners name[];
    hub_owner name;
begin
    select r.rolname into schema_owner
    from pg_namespace as n join pg_roles as r on r.oid = n.nspowner where n.nspname = schema_name;
    if not found then
        if not has_database_privilege(session_user, current_database(), 'create') then
            perform easysync_internal.raise_error('42501', format('permission denied to create schema %I', schema_name),
                'category: validation, code: insufficient_privilege',
                format('GRANT CREATE ON DATABASE %I TO %I, or let the owner create the schema.', current_database(), session_user));
        end if;
        return session_user;
    end if;
    select array_agg(distinct r.rolname) into owners
    from easysync_internal.hub_tables() as t
    join pg_class as c on c.relname = t.table_name
    join pg_namespace as n on n.oid = c.relnamespace and n.nspname = schema_name
    join pg_roles as r on r.oid = c.relowner;
    hub_owner := coalesce(owners[1], case when easysync_internal.acts_as(session_user, schema_owner) then session_user else schema_owner end);
    if cardinality(owners) > 1 then
        perform easysync_internal.raise_error('42501', format('the tables in schema %I belong to several roles', schema_name),
            format('category: validation, code: mixed_owners, roles: %s', array_to_string(owners, ', ')),
            'ALTER TABLE ... OWNER TO gives all of them to one.');
    elsif not easysync_internal.acts_as(session_user, hub_owner) then
        perform easysync_internal.raise_error('42501', format('the hub in schema %I belongs to role %I', schema_name, hub_owner),
            'category: validation, code: foreign_hub',
            format('Sign in as %I (it needs easysync_admin) and call easysync.create_hub(%L), or name another schema.', hub_owner, schema_name));
    elsif not easysync_internal.acts_as(hub_owner, schema_owner) then
        perform easysync_internal.raise_error('42501', format('schema %I belongs to role %I, its tables to %I', schema_name, schema_owner, hub_owner),
            'category: validation, code: foreign_schema',
            format('ALTER SCHEMA %I OWNER TO %I, or name another schema.', schema_name, hub_owner));
    end if;
    return hub_owner;
end
$$;

-- Makes missing tables, columns, references and indexes; returns how many tables it made.
create function easysync_internal.make_hub_tables(schema_name text, hub_owner name) returns integer
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    hub_table record;
    part record;
    made integer := 0;
begin
    if to_regnamespace(quote_ident(schema_name)) is null then
        perform easysync_internal.as_owner(hub_owner, array[format('create schema %I', schema_name)]);
    end if;
    for hub_table in select * from easysync_internal.hub_tables() order by position loop
        if easysync_internal.relation_of(schema_name, hub_table.table_name) is null then
            perform easysync_internal.make_hub_table(schema_name, hub_table.table_name, hub_table.comment, hub_owner);
            made := made + 1;
        else
            perform easysync_internal.check_hub_table(schema_name, hub_table.table_name);
            perform easysync_internal.add_hub_columns(schema_name, hub_table.table_name, hub_owner);
        end if;
    end loop;
    for part in select * from easysync_internal.hub_references() loop
        perform easysync_internal.add_hub_reference(schema_name, part.table_name, part.column_name, part.target, part.cascades, hub_owner);
    end loop;
    for part in select * from easysync_internal.hub_indexes() loop
        perform easysync_internal.add_hub_index(schema_name, part.table_name, part.column_name, hub_owner);
    end loop;
    return made;
end
$$;

create function easysync_internal.make_hub_table(schema_name text, table_name text, table_comment text, hub_owner name) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    relation text := format('%I.%I', schema_name, make_hub_table.table_name);
    columns text;
    has_source boolean;
begin
    select string_agg(rtrim(format('%I %s %s', column_name, type_name, rest)), ', ' order by position),
           bool_or(column_name = 'source_connection')
      into columns, has_source
      from easysync_internal.hub_columns() where table_name = make_hub_table.table_name;
    perform easysync_internal.as_owner(hub_owner,
        array[format('create table %s (%s, primary key (tenant_id, id)%s)', relation, columns,
                     case when has_source then ', unique (tenant_id, source_connection, source_id)' else '' end),
              format('comment on table %s is %L', relation, table_comment)]
        || array(select format('comment on column %s.%I is %L', relation, h.column_name, h.comment)
                 from easysync_internal.hub_columns() as h
                 where h.table_name = make_hub_table.table_name and h.comment is not null order by h.position));
end
$$;

-- 42P07 unless a table that is there can serve: an ordinary table with our key and our types. More
-- columns, constraints, indexes and triggers are its owner's own affair.
create function easysync_internal.check_hub_table(schema_name text, table_name text) returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    relation regclass := easysync_internal.relation_of(schema_name, check_hub_table.table_name);
    problems text[];
begin
    if (select relkind not in ('r', 'p') from pg_class where oid = relation) then
        problems := array['it is not a table'];
    elsif (select relpersistence = 't' from pg_class where oid = relation) then
        problems := array['it is temporary'];
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
create function easysync_internal.add_hub_columns(schema_name text, table_name text, hub_owner name) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    relation regclass := easysync_internal.relation_of(schema_name, add_hub_columns.table_name);
    part record;
begin
    for part in select h.* from easysync_internal.hub_columns() as h
                where h.table_name = add_hub_columns.table_name
                  and not exists (select from pg_attribute as a where a.attrelid = relation and a.attname = h.column_name
                                  and not a.attisdropped)
                order by h.position loop
        begin
            perform easysync_internal.as_owner(hub_owner,
                array[format('alter table %s add column %I %s %s', relation, part.column_name, part.type_name, part.rest),
                      format('comment on column %s.%I is %L', relation, part.column_name, part.comment)]);
        exception when not_null_violation then
            perform easysync_internal.raise_error('42P07',
                format('table %s has another shape than the hub''s', relation),
                format('column %I is missing and can not be added to rows that are there: it has no default', part.column_name),
                'Add and fill the column, or create the hub in another schema.');
        end;
    end loop;
end
$$;

create function easysync_internal.add_hub_reference(schema_name text, table_name text, column_name text, target text, cascades boolean,
                                                    hub_owner name)
    returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    relation regclass := easysync_internal.relation_of(schema_name, table_name);
    target_relation regclass := easysync_internal.relation_of(schema_name, target);
    -- The key's columns as the catalogue keeps them.
    key smallint[] := array(select attnum from pg_attribute where attrelid = relation and attname in ('tenant_id', column_name)
                            order by attname = column_name);
begin
    if exists (select from pg_constraint
               where conrelid = relation and confrelid = target_relation and contype = 'f' and conkey = key) then
        return;
    end if;
    perform easysync_internal.as_owner(hub_owner, array[
        format('alter table %s add foreign key (tenant_id, %I) references %s (tenant_id, id)%s',
               relation, column_name, target_relation, case when cascades then ' on delete cascade' else '' end)]);
end
$$;

create function easysync_internal.add_hub_index(schema_name text, table_name text, column_name text, hub_owner name) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    relation regclass := easysync_internal.relation_of(schema_name, table_name);
begin
    -- Any index that begins with these two columns serves.
    if exists (select from pg_index as i
               join pg_attribute as t on t.attrelid = relation and t.attnum = i.indkey[0] and t.attname = 'tenant_id'
               join pg_attribute as c on c.attrelid = relation and c.attnum = i.indkey[1] and c.attname = column_name
               where i.indrelid = relation and i.indpred is null) then
        return;
    end if;
    perform easysync_internal.as_owner(hub_owner, array[format('create index on %s (tenant_id, %I)', relation, column_name)]);
end
$$;

-- Keeps which hub schemas there are and which tenant uses which: the tenant's first one is its hub.
create function easysync_internal.note_hub(tenant text, schema_name text, hub_owner name) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    chosen text;
begin
    perform easysync_internal.check_hub_is_apart(schema_name, easysync_internal.is_twin(tenant));
    insert into easysync_ledger.hubs as h (schema_name, schema_version, created_by, hub_owner)
    values (schema_name, easysync_internal.schema_version(), session_user, hub_owner)
    on conflict on constraint hubs_pkey do update set schema_version = excluded.schema_version, hub_owner = excluded.hub_owner
    where (h.schema_version, h.hub_owner) is distinct from (excluded.schema_version, excluded.hub_owner);
    insert into easysync_ledger.tenants as t (tenant_id, hub_schema) values (tenant, schema_name)
    on conflict on constraint tenants_pkey do nothing;
    select t.hub_schema into chosen from easysync_ledger.tenants as t where t.tenant_id = tenant;
    if chosen = schema_name then
        return;
    end if;
    -- A hub that nothing uses yet, or whose tables are gone, gives way.
    if easysync_internal.relation_of(chosen, 'orders') is null
       or not exists (select from easysync_internal.connections as c where c.tenant_id = tenant) then
        update easysync_ledger.tenants as t set hub_schema = schema_name where t.tenant_id = tenant;
    else
        raise notice 'the hub of tenant "%" stays in schema %', tenant, chosen;
    end if;
end
$$;
