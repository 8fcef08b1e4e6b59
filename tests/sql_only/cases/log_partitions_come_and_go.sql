select expect.connect_shop();
select expect.same('a week ahead', (select count(*) from pg_inherits where inhparent = 'easysync_internal.sync_log'::regclass), 8::bigint);
select expect.same('idempotent', easysync_internal.ensure_log_partitions(), 0);
select expect.same('members, not dumped', (select count(*) from pg_depend d join pg_extension e on d.refobjid = e.oid and d.deptype = 'e'
    where d.objid::regclass::text like 'easysync_internal.sync_log_2%' and d.objid <> all (e.extconfig) and d.classid = 'pg_class'::regclass), 8::bigint);
select easysync_internal.make_log_partition(current_date - 31), easysync_internal.make_log_partition(current_date - 29);
select expect.same('what is too old goes', easysync_internal.drop_old_log_partitions(), 1);
select easysync.set_setting('log_retention', '10 d');
select expect.same('the setting counts', easysync_internal.drop_old_log_partitions(), 1);
set role easysync_worker;
insert into easysync_internal.sync_log (tenant_id, level, operation, message) values ('default', 'error', 'fetch', 'x');
select easysync_internal.ensure_log_partitions();
reset role;
select expect.same('the view', (select message from easysync.sync_logs), 'x');
-- Past syncs.
insert into easysync_internal.sync_runs (tenant_id, entity, mode, requested_by, status, finished_at) values ('default', 'orders', 'full', 'x', 'succeeded', now() - interval '401 days'), ('default', 'orders', 'full', 'x', 'succeeded', now());
select expect.same('old runs go', easysync_internal.drop_old_runs(), 1);
