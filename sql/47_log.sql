-- Retention: log rows and past syncs whose time is over are deleted in lots, called by the worker.

-- What each tenant that has log rows keeps of them. The tenants are found by one probe of the index for
-- each, whether or not anything else of theirs is left.
create function easysync_internal.log_retention() returns table (tenant_id text, oldest timestamptz)
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    with recursive found (tenant_id) as (
        (select l.tenant_id from easysync_internal.sync_log as l order by l.tenant_id limit 1)
        union all
        select (select l.tenant_id from easysync_internal.sync_log as l
                where l.tenant_id > f.tenant_id order by l.tenant_id limit 1)
        from found as f where f.tenant_id is not null
    )
    select f.tenant_id, now() - easysync_internal.setting(f.tenant_id, 'log_retention')::interval
    from found as f where f.tenant_id is not null
$$;

-- Deletes up to `lot` log rows whose tenant keeps them no longer; returns how many.
create function easysync_internal.drop_old_logs(lot integer default 10000) returns integer
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    dropped integer;
begin
    delete from easysync_internal.sync_log as l
    where l.log_id = any (array(
        select o.log_id
        from easysync_internal.log_retention() as k
        cross join lateral (select x.log_id from easysync_internal.sync_log as x
                            where x.tenant_id = k.tenant_id and x.logged_at < k.oldest
                            order by x.logged_at limit lot) as o
        limit lot));
    get diagnostics dropped = row_count;
    return dropped;
end
$$;

-- Past syncs whose time is over, with their steps and changes; returns how many. In small lots: called
-- daily by the worker.
create function easysync_internal.drop_old_runs(lot integer default 1000) returns integer
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    gone bigint[];
begin
    with old_runs as (
        delete from easysync_internal.sync_runs as r
        where r.sync_id in (
            select o.sync_id from easysync_internal.sync_runs as o
            where o.finished_at < now() - easysync_internal.setting(o.tenant_id, 'run_retention')::interval
            order by o.sync_id limit lot)
        returning r.sync_id)
    select array_agg(sync_id) into gone from old_runs;
    if gone is null then
        return 0;
    end if;
    delete from easysync_internal.sync_run_steps where sync_id = any (gone);
    delete from easysync_internal.sync_changes where sync_id = any (gone);
    return cardinality(gone);
end
$$;
