select expect.connect_shop();
select expect.same('one plain table, not dumped', (select c.relkind::text || ' ' || (c.oid <> all (e.extconfig)) || ' ' || (d.objid is not null)
    from pg_class as c join pg_extension as e on e.extname = 'easysync'
    left join pg_depend as d on d.classid = 'pg_class'::regclass and d.objid = c.oid and d.refobjid = e.oid and d.deptype = 'e'
    where c.oid = 'easysync_internal.sync_log'::regclass), 'r true true');

-- Log rows: each tenant by its own setting, in lots, however the session writes dates.
set datestyle = 'SQL, DMY';
set timezone = 'Pacific/Auckland';
insert into easysync_internal.sync_log (tenant_id, logged_at, level, operation, message)
select t, now() - n * interval '1 day', 'info', 'fetch', n::text from unnest(array['default', 'gone', 'north']) as t, generate_series(0, 99) as n;
insert into easysync_internal.settings (tenant_id, name, value, changed_by) values ('north', 'log_retention', '10 d', 'x');
select expect.same('a lot', easysync_internal.drop_old_logs(7), 7);
select expect.same('the rest', easysync_internal.drop_old_logs(), 70 + 70 + 90 - 7);
select expect.same('nothing more', easysync_internal.drop_old_logs(), 0);
select expect.same('what is left', (select string_agg(tenant_id || ' ' || n, ', ' order by tenant_id)
    from (select tenant_id, count(*) as n from easysync_internal.sync_log group by 1) as s), 'default 30, gone 30, north 10');
delete from easysync_internal.sync_log;
reset datestyle;
reset timezone;

set role easysync_worker;
insert into easysync_internal.sync_log (tenant_id, level, operation, message) values ('default', 'error', 'fetch', 'x');
select expect.same('the worker may', easysync_internal.drop_old_logs(), 0);
reset role;
select expect.same('the view', (select message from easysync.sync_logs), 'x');
-- Past syncs.
insert into easysync_internal.sync_runs (tenant_id, entity, mode, requested_by, status, finished_at) values ('default', 'orders', 'full', 'x', 'succeeded', now() - interval '401 days'), ('default', 'orders', 'full', 'x', 'succeeded', now());
select expect.same('old runs go', easysync_internal.drop_old_runs(), 1);
