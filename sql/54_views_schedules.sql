-- Schedules as people see them, and the alerts that they raise.

create view easysync.schedules with (security_barrier) as
select s.name as schedule,
       s.entity,
       s.mode,
       s.connection,
       s.cron,
       s.zone as timezone,
       s.filters,
       s.overlap,
       s.missed,
       s.active,
       case when s.active then
           (select n.run_at from easysync_internal.slots_after(s.cron, s.zone, greatest(s.decided_at, clock_timestamp()), null, 1) as n)
       end as next_run_at,
       s.last_run_at,
       s.last_sync_id,
       r.status as last_status,
       s.consecutive_failures,
       s.created_by,
       s.tenant_id
from easysync_internal.zoned_schedules as s
left join easysync_internal.sync_runs as r on r.sync_id = s.last_sync_id
where s.tenant_id = any ((select easysync_internal.visible_tenants())::text[]);
comment on view easysync.schedules is 'Cron schedules';
comment on column easysync.schedules.schedule is 'name';
comment on column easysync.schedules.entity is 'entity';
comment on column easysync.schedules.mode is 'incremental, full';
comment on column easysync.schedules.connection is 'null: all';
comment on column easysync.schedules.cron is 'expression';
comment on column easysync.schedules.timezone is 'zone';
comment on column easysync.schedules.filters is 'filters';
comment on column easysync.schedules.overlap is 'skip, queue';
comment on column easysync.schedules.missed is 'run_once, skip, run_all';
comment on column easysync.schedules.active is 'switched on';
comment on column easysync.schedules.next_run_at is 'next';
comment on column easysync.schedules.last_run_at is 'last';
comment on column easysync.schedules.last_sync_id is 'last run';
comment on column easysync.schedules.last_status is 'its status';
comment on column easysync.schedules.consecutive_failures is 'in a row';
comment on column easysync.schedules.created_by is 'role';
comment on column easysync.schedules.tenant_id is 'tenant (last column of every view)';

-- At most 10,000 slots of a schedule: one that fires every second fills its day by three hours.
create view easysync.upcoming_syncs with (security_barrier) as
select n.run_at,
       n.local_time,
       s.zone as timezone,
       s.name as schedule,
       s.entity,
       s.mode,
       s.connection,
       s.tenant_id
from easysync_internal.zoned_schedules as s
cross join lateral easysync_internal.slots_after(s.cron, s.zone, greatest(s.decided_at, clock_timestamp()),
                                                 clock_timestamp() + interval '1 day', 10000) as n
where s.active and s.tenant_id = any ((select easysync_internal.visible_tenants())::text[]);
comment on view easysync.upcoming_syncs is 'The next day of scheduled syncs';
comment on column easysync.upcoming_syncs.run_at is 'when';
comment on column easysync.upcoming_syncs.local_time is 'in the schedule''s zone';
comment on column easysync.upcoming_syncs.timezone is 'that zone';
comment on column easysync.upcoming_syncs.schedule is 'name';
comment on column easysync.upcoming_syncs.entity is 'entity';
comment on column easysync.upcoming_syncs.mode is 'mode';
comment on column easysync.upcoming_syncs.connection is 'null: all';
comment on column easysync.upcoming_syncs.tenant_id is 'tenant (last column of every view)';

create view easysync.notifications with (security_barrier) as
select n.notification_id, n.raised_at, n.event, n.severity, n.connection, n.sync_id, n.subject, n.message, n.channel,
       n.status, n.occurrences, n.sent_at, n.recovered_at, n.tenant_id
from easysync_internal.visible_notifications as n
where n.route = (select easysync_internal.visible_tenant());
comment on view easysync.notifications is 'Alerts sent and to be sent';
comment on column easysync.notifications.notification_id is 'key';
comment on column easysync.notifications.raised_at is 'when';
comment on column easysync.notifications.event is 'see vocabulary';
comment on column easysync.notifications.severity is 'info, warning, critical';
comment on column easysync.notifications.connection is 'connection';
comment on column easysync.notifications.sync_id is 'run';
comment on column easysync.notifications.subject is 'one line';
comment on column easysync.notifications.message is 'what happened, what it affects, what to do';
comment on column easysync.notifications.channel is 'channel';
comment on column easysync.notifications.status is 'pending, sent, failed, suppressed';
comment on column easysync.notifications.occurrences is 'grouped';
comment on column easysync.notifications.sent_at is 'sent';
comment on column easysync.notifications.recovered_at is 'over';
comment on column easysync.notifications.tenant_id is 'tenant (last column of every view)';

grant select on easysync.schedules, easysync.upcoming_syncs, easysync.notifications to easysync_viewer;
