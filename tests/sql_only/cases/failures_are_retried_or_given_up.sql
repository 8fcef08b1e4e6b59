select expect.connect_shop();
insert into easysync_internal.sync_failures (tenant_id, connection, entity, direction, record_id, label, error_category, error_message)
values ('default', 'shop', 'orders', 'pull', '1', '1', 'network', 'm'), ('default', 'shop', 'orders', 'pull', '2', '2', 'validation', 'm'),
       ('default', 'shop', 'customers', 'pull', '3', 'j***@x', 'network', 'm'), ('north', 'shop', 'orders', 'pull', '9', '9', 'network', 'm');
select expect.same('all, customers first', (select array_agg(format('%s %s', entity, failures)) from easysync.retry()), array['customers 1', 'orders 2']);
select expect.same('runs of their ids', (select array_agg(ids order by sync_id) from easysync_internal.sync_runs where entity = 'orders'), array[array['1', '2']]);
select expect.same('by category', (select array_agg(format('%s %s', entity, failures)) from easysync.retry(category => 'validation')), array['orders 1']);
select expect.same('by id', (select count(*) from easysync.retry('orders', ids => '{5}')), 0::bigint);
select failure_id as one from easysync.sync_failures where record_id = '1' \gset
select easysync.retry_failure(:one) as again \gset
select expect.same('retry_failure', (select array[triggered_by, mode] from easysync.sync_runs where sync_id = :again), array['retry', 'ids']);
select expect.same('discard', easysync.discard_failure(:one, 'test order'), true);
select expect.same('once', easysync.discard_failure(:one), false);
select expect.same('no longer shown', (select count(*) from easysync.sync_failures), 2::bigint);
select expect.same('audited with the reason', (select new_value from easysync.audit_log where action = 'discard_failure'), '"test order"'::jsonb);
select expect.fails(format('select easysync.retry_failure(%s)', :one), 'YS404', 'unknown failure%');
select failure_id as theirs from easysync_internal.sync_failures where tenant_id = 'north' \gset
select expect.same('another tenant''s', easysync.discard_failure(:theirs), false);
