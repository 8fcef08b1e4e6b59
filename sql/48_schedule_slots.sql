-- Slots of schedules, reckoned by the library (engine/src/schedule): the same code that fires them.

-- Slots after a moment, up to another (null: without end), `most` of them at most. None where the
-- expression or the zone can't be read.
create function easysync_internal.slots_after(cron text, zone text, after timestamptz, until timestamptz, most integer)
    returns table (run_at timestamptz, local_time timestamp, note text)
    language sql stable security definer set search_path = pg_catalog, pg_temp rows 3
as $$
    select s.run_at, s.local_time, s.note
    from jsonb_to_recordset(easysync_internal.reckon_slots(
             slots_after.cron, slots_after.zone, (extract(epoch from slots_after.after) * 1000000)::bigint,
             (extract(epoch from slots_after.until) * 1000000)::bigint, slots_after.most) -> 'slots')
         as s (run_at timestamptz, local_time timestamp, note text)
$$;

-- Schedules with their zones: their own, or the tenant's as it is now.
create view easysync_internal.zoned_schedules as
select s.*, coalesce(s.timezone, t.value, d.default_value) as zone
from easysync_internal.schedules as s
join easysync_internal.setting_definitions() as d on d.name = 'timezone'
left join easysync_internal.settings as t on t.tenant_id = s.tenant_id and t.name = d.name;
grant select on easysync_internal.zoned_schedules to easysync_worker;

-- How far a schedule of the connection is behind: a slot that passed a minute ago and nobody took.
create function easysync_internal.schedule_lag(tenant text, connection_name text) returns interval
    language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
    select max(clock_timestamp() - n.run_at)
    from easysync_internal.zoned_schedules as s
    cross join lateral easysync_internal.slots_after(s.cron, s.zone, s.decided_at, clock_timestamp() - interval '1 minute', 1) as n
    where s.tenant_id = tenant and s.active and (s.connection is null or s.connection = connection_name)
      and tenant = any (easysync.allowed_tenants())
$$;

-- What views call: checked against the reader. They tell of nothing but what is passed to them, and of
-- the reader's own tenants.
grant execute on function easysync_internal.slots_after(text, text, timestamptz, timestamptz, integer),
    easysync_internal.schedule_lag(text, text) to easysync_viewer;
