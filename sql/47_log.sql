-- Retention: what is over is deleted by the worker, in lots that are a transaction each. What a lot costs
-- follows what it deletes, not what is kept: an index finds the rows of each tenant by their time.

-- How far back each tenant that has rows in a table keeps them, by one of its settings. The tenants are
-- found by one probe of an index of (tenant_id, ...) for each, whatever else of theirs is left.
create function easysync_internal.kept_since(rows_of regclass, setting_name text) returns table (tenant_id text, oldest timestamptz)
    language plpgsql stable set search_path = pg_catalog, pg_temp rows 10
as $$
begin
    return query execute format($sql$
        with recursive found (tenant_id) as (
            (select t.tenant_id from %1$s as t order by t.tenant_id limit 1)
            union all
            select (select t.tenant_id from %1$s as t where t.tenant_id > f.tenant_id order by t.tenant_id limit 1)
            from found as f where f.tenant_id is not null
        )
        select f.tenant_id, now() - easysync_internal.setting(f.tenant_id, $1)::interval
        from found as f where f.tenant_id is not null $sql$, rows_of)
        using setting_name;
end
$$;

-- Each of these deletes one lot and returns how many rows that were; 0: nothing is over any more.

create function easysync_internal.drop_old_logs(lot integer default 5000) returns integer
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    dropped integer;
begin
    delete from easysync_internal.sync_log as l
    where l.log_id = any (array(
        select o.log_id
        from easysync_internal.kept_since('easysync_internal.sync_log', 'log_retention') as k
        cross join lateral (select x.log_id from easysync_internal.sync_log as x
                            where x.tenant_id = k.tenant_id and x.logged_at < k.oldest
                            order by x.logged_at limit lot) as o
        limit lot));
    get diagnostics dropped = row_count;
    return dropped;
end
$$;

-- Past syncs, with their steps and changes. The changes of a sync may be many: they go first, in lots
-- of their own.
create function easysync_internal.drop_old_runs(lot integer default 1000) returns integer
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    gone bigint[] := array(
        select o.sync_id
        from easysync_internal.kept_since('easysync_internal.sync_runs', 'run_retention') as k
        cross join lateral (select x.sync_id from easysync_internal.sync_runs as x
                            where x.tenant_id = k.tenant_id and x.finished_at < k.oldest
                            order by x.finished_at limit lot) as o
        limit lot);
    dropped integer;
begin
    delete from easysync_internal.sync_changes as c
    using (select x.sync_id, x.change_id from easysync_internal.sync_changes as x
           where x.sync_id = any (gone) limit lot * 5) as o
    where c.sync_id = o.sync_id and c.change_id = o.change_id;
    get diagnostics dropped = row_count;
    if dropped = lot * 5 then
        return dropped;
    end if;
    delete from easysync_internal.sync_run_steps as s where s.sync_id = any (gone);
    delete from easysync_internal.sync_runs as r where r.sync_id = any (gone);
    get diagnostics dropped = row_count;
    return dropped;
end
$$;

-- Alerts that are over, and conflicts that are settled: they go with the syncs of their time.
create function easysync_internal.drop_old_notices(lot integer default 5000) returns integer
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    alerts integer;
    conflicts integer;
begin
    delete from easysync_internal.notifications as n
    where n.notification_id = any (array(
        select o.notification_id
        from easysync_internal.kept_since('easysync_internal.notifications', 'run_retention') as k
        cross join lateral (select x.notification_id from easysync_internal.notifications as x
                            where x.tenant_id = k.tenant_id and x.recovered_at < k.oldest
                            order by x.recovered_at limit lot) as o
        limit lot));
    get diagnostics alerts = row_count;
    delete from easysync_internal.sync_conflicts as c
    where c.conflict_id = any (array(
        select o.conflict_id
        from easysync_internal.kept_since('easysync_internal.sync_conflicts', 'run_retention') as k
        cross join lateral (select x.conflict_id from easysync_internal.sync_conflicts as x
                            where x.tenant_id = k.tenant_id and x.resolved_at < k.oldest
                            order by x.resolved_at limit lot) as o
        limit lot));
    get diagnostics conflicts = row_count;
    return alerts + conflicts;
end
$$;

-- Changes of the hub are folded into the queues when a push begins. Where none does for long (a
-- connection that is disabled), this does it: the queue has one entry for a record, however often it
-- changed. A TRUNCATE is noted without a tenant, for nobody's queue.
create function easysync_internal.fold_noted_changes() returns bigint
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    folded bigint;
begin
    delete from easysync_internal.hub_changes as h
    where h.change_id = any (array(select x.change_id from easysync_internal.hub_changes as x
                                   where x.tenant_id is null and x.changed_at < now() - interval '1 day' limit 5000));
    get diagnostics folded = row_count;
    return folded + coalesce((
        select sum(easysync_internal.push_fold(t.tenant_id))::bigint
        from (select distinct x.tenant_id from easysync_internal.hub_changes as x where x.tenant_id is not null) as t), 0);
end
$$;
