-- What a session sees of the tables that grow, in a form that pages by their indexes.
--
-- Each of them has a view here, visible_<table>, of two branches: its rows by their tenant, and its
-- rows again for sessions that see several tenants at once. The view on top asks for
-- `route = (select easysync_internal.visible_tenant())`. For one tenant that is an equality, which lets
-- an index of (tenant_id, ..., key) return rows in the key's order; the second branch is left out by a
-- one-time filter. For several tenants, the first branch finds nothing, and the second reads the
-- table by its key and leaves out what isn't theirs. The views on top stay security barriers:
-- src/planner.rs turns that into conditions of the tables, so that ORDER BY and LIMIT reach the indexes.

-- The tenant whose rows the session sees; '*': several; null: none.
create function easysync_internal.visible_tenant() returns text
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
    visible text[] := easysync_internal.visible_tenants();
begin
    return case when cardinality(visible) > 1 then '*' else visible[1] end;
end
$$;

-- The tenants whose rows the session sees, where there are several; else null.
create function easysync_internal.visible_several() returns text[]
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
    visible text[] := easysync_internal.visible_tenants();
begin
    return case when cardinality(visible) > 1 then visible end;
end
$$;

do $$
declare
    grows text;
begin
    foreach grows in array array['sync_runs', 'sync_run_steps', 'sync_log', 'sync_failures', 'sync_queue', 'sync_changes',
                                 'sync_conflicts', 'notifications', 'webhook_events', 'audit_log'] loop
        execute format(
            'create view easysync_internal.visible_%1$s as
             select t.*, t.tenant_id as route from easysync_internal.%1$I as t
             union all
             select t.*, ''*'' from easysync_internal.%1$I as t
             where t.tenant_id = any ((select easysync_internal.visible_several())::text[])', grows);
    end loop;
end
$$;
