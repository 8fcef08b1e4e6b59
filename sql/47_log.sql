-- Log partitions, one a day (UTC), made a week ahead and dropped by retention from the first day.
-- Partitions are members of the extension that are not marked for dumps: no dump carries log rows, and
-- none makes a partition again. A log write never fails a sync, so neither does anything here.

-- Makes the partitions of today and the next seven days that are missing; returns how many. Called by
-- connect, by unfence and daily by the worker; never by the install script (a restore must find the
-- table as the script makes it).
create function easysync_internal.ensure_log_partitions() returns integer
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    day date;
    today date := (clock_timestamp() at time zone 'UTC')::date;
    made integer := 0;
begin
    -- Somebody else is at it: his partitions will do.
    if not pg_try_advisory_xact_lock(hashtextextended('easysync log partitions', 0)) then
        return 0;
    end if;
    for day in select generate_series(today, today + 7, interval '1 day')::date loop
        if to_regclass('easysync_internal.' || easysync_internal.log_partition(day)) is null then
            begin
                perform easysync_internal.make_log_partition(day);
                made := made + 1;
            exception when others then
                -- Half a partition is none: the block rolled it back. Said, not raised.
                raise log 'easysync: no log partition for %: %', day, sqlerrm;
            end;
        end if;
    end loop;
    return made;
end
$$;

create function easysync_internal.log_partition(day date) returns text
    language sql immutable set search_path = pg_catalog, pg_temp
as $$ select 'sync_log_' || to_char(day, 'YYYYMMDD') $$;

-- Made apart and attached: that takes a lock that readers and writers of the log don't mind, which
-- CREATE TABLE ... PARTITION OF doesn't. In an extension script the table is a member already.
create function easysync_internal.make_log_partition(day date) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    partition_name text := format('easysync_internal.%I', easysync_internal.log_partition(day));
    extension_oid oid := (select oid from pg_extension where extname = 'easysync');
begin
    execute format('create table %s (like easysync_internal.sync_log including defaults including constraints including indexes)', partition_name);
    execute format('alter table easysync_internal.sync_log attach partition %s for values from (%L) to (%L)',
        partition_name, day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC');
    -- As its parent: owned by whoever owns that, open to the worker.
    execute format('alter table %s owner to %I', partition_name,
        (select pg_get_userbyid(relowner) from pg_class where oid = 'easysync_internal.sync_log'::regclass));
    execute format('grant select, insert on %s to easysync_worker', partition_name);
    if extension_oid is not null
       and not exists (select from pg_depend where classid = 'pg_class'::regclass and objid = partition_name::regclass
                       and refclassid = 'pg_extension'::regclass and refobjid = extension_oid and deptype = 'e') then
        execute format('alter extension easysync add table %s', partition_name);
    end if;
end
$$;

-- Drops the partitions that no tenant wants any more; returns how many. Waits for nobody: what is
-- being read is dropped next time.
create function easysync_internal.drop_old_log_partitions() returns integer
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set lock_timeout = '200ms'
as $$
declare
    keep_days integer := easysync_internal.longest_days('log_retention');
    old_partition record;
    dropped integer := 0;
begin
    for old_partition in
        select c.oid::regclass as relation, c.oid
        from pg_inherits as i join pg_class as c on c.oid = i.inhrelid
        where i.inhparent = 'easysync_internal.sync_log'::regclass and c.relname ~ '^sync_log_\d{8}$'
          and to_date(right(c.relname, 8), 'YYYYMMDD') < (clock_timestamp() at time zone 'UTC')::date - keep_days
        order by c.relname
    loop
        begin
            if exists (select from pg_depend where classid = 'pg_class'::regclass and objid = old_partition.oid
                       and refclassid = 'pg_extension'::regclass and deptype = 'e') then
                execute format('alter extension easysync drop table %s', old_partition.relation);
            end if;
            execute format('drop table %s', old_partition.relation);
            dropped := dropped + 1;
        exception when others then
            raise log 'easysync: log partition % not dropped: %', old_partition.relation, sqlerrm;
        end;
    end loop;
    return dropped;
end
$$;

-- The longest that any tenant keeps something: an interval setting in days, rounded up.
create function easysync_internal.longest_days(setting_name text) returns integer
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select ceil(max(extract(epoch from wanted.value::interval)) / 86400)::integer
    from (select d.default_value as value from easysync_internal.setting_definitions() as d where d.name = setting_name
          and (not exists (select from easysync_internal.settings as s where s.tenant_id = 'default' and s.name = setting_name)
               or exists (select from easysync_internal.connections as c
                          where not exists (select from easysync_internal.settings as s
                                            where s.tenant_id = c.tenant_id and s.name = setting_name)))
          union all
          select s.value from easysync_internal.settings as s where s.name = setting_name) as wanted
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
