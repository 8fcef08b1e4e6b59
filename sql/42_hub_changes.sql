-- Change capture: statement triggers on the hub tables, one each for INSERT, UPDATE, DELETE (with
-- transition tables: right under ON CONFLICT, MERGE and COPY) and TRUNCATE. They append one row per
-- changed document to hub_changes and wait for nobody. They are the fast path, not the truth: replica
-- role, writes to partitions and logical apply bypass them, and a sweep finds what they missed.

-- Does any stream push at all. Where none does nothing is noted: nobody would read it. A stream that
-- is switched to push compares the whole hub first.
create function easysync_internal.hub_is_pushed() returns boolean
    language sql stable set search_path = pg_catalog, pg_temp
as $$ select exists (select from easysync_internal.streams where direction in ('push', 'two_way')) $$;

-- Arguments of the trigger: entity of the document, column with the document's id. PL/pgSQL keeps
-- plans of a trigger function apart by table, and makes them when a branch first runs: the branch
-- that a table lacks the column for never runs there.
create function easysync_internal.note_hub_change() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    noted_entity text := TG_ARGV[0];
    document_column text := TG_ARGV[1];
begin
    if easysync_internal.changes_suppressed() or not easysync_internal.hub_is_pushed() then
        return null;
    end if;
    if TG_OP = 'TRUNCATE' then
        insert into easysync_internal.hub_changes (tenant_id, hub_schema, entity, hub_id, operation, origin)
        values (null, TG_TABLE_SCHEMA, noted_entity, null, 'truncate', easysync_internal.change_origin());
    elsif document_column = 'id' and TG_OP = 'UPDATE' then
        -- A row whose key moved is two changes.
        insert into easysync_internal.hub_changes (tenant_id, hub_schema, entity, hub_id, operation, origin)
        select n.tenant_id, TG_TABLE_SCHEMA, noted_entity, n.id, 'update', easysync_internal.change_origin() from new_rows as n
        union all
        select o.tenant_id, TG_TABLE_SCHEMA, noted_entity, o.id, 'delete', easysync_internal.change_origin() from old_rows as o
        where not exists (select from new_rows as n where n.tenant_id = o.tenant_id and n.id = o.id);
    elsif document_column = 'id' and TG_OP = 'INSERT' then
        insert into easysync_internal.hub_changes (tenant_id, hub_schema, entity, hub_id, operation, origin)
        select n.tenant_id, TG_TABLE_SCHEMA, noted_entity, n.id, 'insert', easysync_internal.change_origin() from new_rows as n;
    elsif document_column = 'id' then
        insert into easysync_internal.hub_changes (tenant_id, hub_schema, entity, hub_id, operation, origin)
        select o.tenant_id, TG_TABLE_SCHEMA, noted_entity, o.id, 'delete', easysync_internal.change_origin() from old_rows as o;
    end if;
    return null;
end
$$;

-- Lines: whatever happens to them is an update of their document.
create function easysync_internal.note_line_change() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    noted_entity text := TG_ARGV[0];
begin
    if easysync_internal.changes_suppressed() or not easysync_internal.hub_is_pushed() then
        return null;
    end if;
    if TG_OP = 'INSERT' and noted_entity = 'orders' then
        insert into easysync_internal.hub_changes (tenant_id, hub_schema, entity, hub_id, operation, origin)
        select distinct n.tenant_id, TG_TABLE_SCHEMA, noted_entity, n.order_id, 'update', easysync_internal.change_origin()
        from new_rows as n;
    elsif TG_OP = 'UPDATE' and noted_entity = 'orders' then
        insert into easysync_internal.hub_changes (tenant_id, hub_schema, entity, hub_id, operation, origin)
        select l.tenant_id, TG_TABLE_SCHEMA, noted_entity, l.order_id, 'update', easysync_internal.change_origin()
        from (select tenant_id, order_id from new_rows union select tenant_id, order_id from old_rows) as l;
    elsif TG_OP = 'DELETE' and noted_entity = 'orders' then
        insert into easysync_internal.hub_changes (tenant_id, hub_schema, entity, hub_id, operation, origin)
        select distinct o.tenant_id, TG_TABLE_SCHEMA, noted_entity, o.order_id, 'update', easysync_internal.change_origin()
        from old_rows as o;
    elsif TG_OP = 'INSERT' then
        insert into easysync_internal.hub_changes (tenant_id, hub_schema, entity, hub_id, operation, origin)
        select distinct n.tenant_id, TG_TABLE_SCHEMA, noted_entity, n.refund_id, 'update', easysync_internal.change_origin()
        from new_rows as n;
    elsif TG_OP = 'UPDATE' then
        insert into easysync_internal.hub_changes (tenant_id, hub_schema, entity, hub_id, operation, origin)
        select l.tenant_id, TG_TABLE_SCHEMA, noted_entity, l.refund_id, 'update', easysync_internal.change_origin()
        from (select tenant_id, refund_id from new_rows union select tenant_id, refund_id from old_rows) as l;
    elsif TG_OP = 'DELETE' then
        insert into easysync_internal.hub_changes (tenant_id, hub_schema, entity, hub_id, operation, origin)
        select distinct o.tenant_id, TG_TABLE_SCHEMA, noted_entity, o.refund_id, 'update', easysync_internal.change_origin()
        from old_rows as o;
    else
        insert into easysync_internal.hub_changes (tenant_id, hub_schema, entity, hub_id, operation, origin)
        values (null, TG_TABLE_SCHEMA, noted_entity, null, 'truncate', easysync_internal.change_origin());
    end if;
    return null;
end
$$;

-- Makes the triggers that are missing. `depends on extension`: a plain DROP EXTENSION drops them, and
-- leaves the tables as their owner made them.
create function easysync_internal.make_hub_triggers(schema_name text) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    hub_table record;
    event record;
    relation regclass;
begin
    for hub_table in select * from easysync_internal.hub_tables() order by position loop
        relation := to_regclass(format('%I.%I', schema_name, hub_table.table_name));
        for event in values ('insert', 'referencing new table as new_rows'), ('delete', 'referencing old table as old_rows'),
                            ('update', 'referencing old table as old_rows new table as new_rows'), ('truncate', '') loop
            continue when exists (select from pg_trigger where tgrelid = relation and tgname = 'easysync_' || event.column1);
            execute format('create trigger %I after %s on %s %s for each statement execute function easysync_internal.%I(%L, %L)',
                'easysync_' || event.column1, event.column1, relation, event.column2,
                case hub_table.document_column when 'id' then 'note_hub_change' else 'note_line_change' end,
                hub_table.entity, hub_table.document_column);
            if exists (select from pg_extension where extname = 'easysync') then
                execute format('alter trigger %I on %s depends on extension easysync', 'easysync_' || event.column1, relation);
            end if;
        end loop;
    end loop;
end
$$;

-- Policies by tenant on the hub tables. They call a function that lies beside the tables, not in the
-- extension: a plain DROP EXTENSION works, and then nobody but the owner sees a row.
create function easysync.enable_row_security() returns void
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    hub text := easysync_internal.hub_schema(tenant);
    hub_table record;
    relation regclass;
begin
    if hub is null then
        perform easysync_internal.raise_argument(format('tenant "%s" has no hub yet', tenant), 'Make it with easysync.create_hub.');
    end if;
    perform easysync_internal.check_hub_rights(hub);
    if to_regprocedure(format('%I.easysync_tenants()', hub)) is null then
        execute format('create function %I.easysync_tenants() returns text[] language plpgsql stable '
                       'set search_path = pg_catalog, pg_temp as $f$ begin return easysync.allowed_tenants(); end $f$', hub);
        execute format('comment on function %I.easysync_tenants() is %L', hub, 'Tenants whose rows the session may see (policies of easysync.enable_row_security)');
        execute format('alter function %I.easysync_tenants() owner to %I', hub, session_user);
    end if;
    for hub_table in select * from easysync_internal.hub_tables() order by position loop
        relation := to_regclass(format('%I.%I', hub, hub_table.table_name));
        continue when relation is null;
        execute format('alter table %s enable row level security', relation);
        if not exists (select from pg_policy where polrelid = relation and polname = 'easysync_tenant') then
            execute format('create policy easysync_tenant on %s using (tenant_id = any ((select %I.easysync_tenants())::text[])) '
                           'with check (tenant_id = any ((select %I.easysync_tenants())::text[]))', relation, hub, hub);
            -- The worker serves every tenant.
            execute format('create policy easysync_worker on %s to easysync_worker using (true) with check (true)', relation);
        end if;
    end loop;
    perform easysync_internal.audit(tenant, 'enable_row_security', hub, null, 'true');
end
$$;
comment on function easysync.enable_row_security() is 'Keep tenants apart by policies, for shared installations';
