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

-- The first branch names the bounds of its tenant's keys, too: two probes of an index, and no scan in the
-- key's order begins among the rows of others, however the planner weighs the indexes. The probes compare
-- pairs, which only an index of (tenant_id, key) can order; the lower bound is a pair, too, since
-- the planner takes two plain bounds for a narrow range and then thinks nothing of reading all of it.
do $$
declare
    grows record;
begin
    for grows in
        select * from (values
            ('sync_runs', 'sync_id'), ('sync_run_steps', 'sync_id'), ('sync_log', 'log_id'), ('sync_failures', 'failure_id'),
            ('sync_queue', 'queue_id'), ('sync_changes', null), ('sync_conflicts', 'conflict_id'),
            ('notifications', 'notification_id'), ('webhook_events', 'event_id'), ('audit_log', 'audit_id')) as g (table_name, key)
    loop
        execute format(
            'create view easysync_internal.visible_%1$s as
             select t.*, t.tenant_id as route from easysync_internal.%1$I as t %2$s
             union all
             select t.*, ''*'' from easysync_internal.%1$I as t
             where t.tenant_id = any ((select easysync_internal.visible_several())::text[])', grows.table_name,
            case when grows.key is not null then format($sql$
                where t.%1$I <= (select case when b.tenant_id = (select easysync_internal.visible_tenant()) then b.%1$I end
                                 from easysync_internal.%2$I as b
                                 where (b.tenant_id, b.%1$I) <= ((select easysync_internal.visible_tenant()), 9223372036854775807)
                                 order by b.tenant_id desc, b.%1$I desc limit 1)
                  and (t.%1$I, t.%1$I) >= (select case when b.tenant_id = (select easysync_internal.visible_tenant()) then b.%1$I end, -9223372036854775808
                                           from easysync_internal.%2$I as b
                                           where (b.tenant_id, b.%1$I) >= ((select easysync_internal.visible_tenant()), -9223372036854775808)
                                           order by b.tenant_id, b.%1$I limit 1) $sql$,
                grows.key, grows.table_name) end);
    end loop;
end
$$;
