-- Change capture: statement triggers on the hub tables, one each for INSERT, UPDATE, DELETE (with
-- transition tables: right under ON CONFLICT, MERGE and COPY) and TRUNCATE. They append one row per
-- changed document to hub_changes and wait for nobody. They are the fast path, not the truth: replica
-- role, writes to partitions and logical apply bypass them, and a sweep finds what they missed.

-- Does any stream push at all. Where none does nothing is noted: nobody would read it. A stream that
-- is switched to push compares the whole hub first.
create function easysync_internal.hub_is_pushed() returns boolean
    language sql stable set search_path = pg_catalog, pg_temp
as $$ select exists (select from easysync_internal.streams where direction in ('push', 'two_way')) $$;

-- The trigger function is the library's (easysync_internal.note_hub_change): it reads the transition
-- tables with the rights of whoever writes, since a column's cast could be anybody's function, and notes
-- plain keys as easysync_owner. Arguments: entity of the document, column with the document's id.

-- Makes the triggers that are missing. `depends on extension`: a plain DROP EXTENSION drops them, and
-- leaves the tables as their owner made them.
--
-- easysync_owner makes them, with a right that the owner of the hub lends it for the purpose: nobody
-- else needs to execute the trigger function.
create function easysync_internal.make_hub_triggers(schema_name text, hub_owner name) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    missing record;
    lent boolean := false;
begin
    for missing in
        select format('%I.%I', make_hub_triggers.schema_name, t.table_name) as relation, t.entity, t.document_column, e.*
        from easysync_internal.hub_tables() as t
        cross join (values ('insert', 'referencing new table as new_rows'), ('delete', 'referencing old table as old_rows'),
                           ('update', 'referencing old table as old_rows new table as new_rows'), ('truncate', '')) as e (event, transitions)
        where not exists (select from pg_trigger as g where g.tgrelid = easysync_internal.relation_of(make_hub_triggers.schema_name, t.table_name)
                          and g.tgname = 'easysync_' || e.event)
        order by t.position, e.event
    loop
        if not lent then
            perform easysync_internal.as_owner(hub_owner, array[format('grant usage on schema %I to easysync_owner', make_hub_triggers.schema_name)]);
            lent := true;
        end if;
        perform easysync_internal.as_owner(hub_owner, array[format('grant trigger on %s to easysync_owner', missing.relation)]);
        execute format('create trigger %I after %s on %s %s for each statement execute function easysync_internal.note_hub_change(%L, %L)',
            'easysync_' || missing.event, missing.event, missing.relation, missing.transitions, missing.entity, missing.document_column);
        perform easysync_internal.as_owner(hub_owner, array[format('revoke trigger on %s from easysync_owner', missing.relation)]
            || case when exists (select from pg_extension where extname = 'easysync')
                    then array[format('alter trigger %I on %s depends on extension easysync', 'easysync_' || missing.event, missing.relation)]
                    else '{}' end);
    end loop;
    if lent then
        perform easysync_internal.as_owner(hub_owner, array[format('revoke usage on schema %I from easysync_owner', make_hub_triggers.schema_name)]);
    end if;
end
$$;

-- Policies by tenant on the hub tables, for their owner too. They call a function that lies beside the
-- tables, not in the extension: a plain DROP EXTENSION works, and then nobody sees a row.
create function easysync.enable_row_security() returns void
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    hub text := easysync_internal.hub_schema(tenant);
    hub_owner name;
    commands text[] := '{}';
begin
    if hub is null then
        perform easysync_internal.raise_argument(format('tenant "%s" has no hub yet', tenant), 'Make it with easysync.create_hub.');
    end if;
    hub_owner := easysync_internal.owner_of_hub(hub);
    if not easysync_internal.has_policies(hub) then
        commands := array[
            format('create function %I.easysync_tenants() returns text[] language plpgsql stable '
                   'set search_path = pg_catalog, pg_temp as $f$ begin return easysync.allowed_tenants(); end $f$', hub),
            format('comment on function %I.easysync_tenants() is %L', hub, 'Tenants whose rows the session may see (policies of easysync.enable_row_security)')];
    end if;
    perform easysync_internal.as_owner(hub_owner, commands || array(
        select unnest(array[format('alter table %s enable row level security, force row level security', r.relation)]
                      || case when exists (select from pg_policy as p where p.polrelid = r.relation and p.polname = 'easysync_tenant') then '{}'
                         else array[format('create policy easysync_tenant on %s using (tenant_id = any ((select %I.easysync_tenants())::text[])) '
                                           'with check (tenant_id = any ((select %I.easysync_tenants())::text[]))', r.relation, hub, hub)] end)
        from (select easysync_internal.relation_of(hub, t.table_name) as relation, t.position from easysync_internal.hub_tables() as t) as r
        where r.relation is not null order by r.position));
    perform easysync_internal.audit(tenant, 'enable_row_security', hub, null, 'true');
end
$$;
comment on function easysync.enable_row_security() is 'Keep tenants apart by policies, for shared installations';
