select expect.connect_shop(url => 'https://s.example');
insert into easysync_internal.connections (tenant_id, name, connector, status, account, settings)
values ('default', 'books', 'quickbooks', 'connected', '9341', '{}');
insert into easysync_internal.streams (tenant_id, connection, entity, direction)
values ('default', 'books', 'orders', 'push'), ('default', 'books', 'customers', 'push'), ('default', 'books', 'products', 'push');

insert into commerce.customers (tenant_id, source_connection, source_id, display_name, email, is_guest, active, attributes, created_at, modified_at)
values ('default', 'shop', '88', 'Maya', 'maya@example.test', false, true, '{}', now(), now());
insert into commerce.products (tenant_id, source_connection, source_id, kind, name, sku, status, taxable, track_stock, active, attributes, created_at, modified_at)
values ('default', 'shop', '5', 'simple', 'Tote', 'TOTE', 'publish', true, false, true, '{}', now(), now());
insert into commerce.orders (tenant_id, source_connection, source_id, number, status, currency, customer_id, subtotal, discount_total,
    shipping_total, fee_total, total_tax, total, refunded_total, prices_include_tax, shipping_lines, fee_lines, coupon_lines, tax_lines,
    attributes, created_at, modified_at)
select 'default', 'shop', '175', '175', 'completed', 'USD', c.id, 10, 0, 0, 0, 0, 10, 2, false, '[]', '[]', '[]', '[]', '{}', now(), now()
from commerce.customers as c;
insert into commerce.order_lines (tenant_id, order_id, line_number, product_id, name, quantity, subtotal, total, total_tax, taxes, attributes, source_id)
select 'default', o.id, 1, p.id, 'Tote', 1, 10, 10, 0, '[]', '{}', '1' from commerce.orders as o, commerce.products as p;
insert into commerce.refunds (tenant_id, source_connection, source_id, order_id, currency, amount, attributes, created_at, modified_at)
select 'default', 'shop', '9', o.id, 'USD', 2, '{}', now(), now() from commerce.orders as o;

-- Noted, folded once, each record once; a refund is its order.
select expect.same('easysync_internal.push_fold(defa', (select easysync_internal.push_fold('default') > 0)::text, 'true');
select expect.same('easysync_internal.push_fold(defa', (select easysync_internal.push_fold('default'))::text, '0');
select expect.same('string_agg(entity ||   || recor', (select string_agg(entity || ' ' || record_id || ' ' || status, ', ' order by entity) from easysync_internal.sync_queue)::text, 'customers 88 waiting, orders 175 waiting, products 5 waiting');

-- A run claims what waits, and sees it; another run doesn't.
select expect.same('easysync_internal.push_claim(1, ', (select easysync_internal.push_claim(1, 'default', 'books', '{customers,products,orders}', null, false))::text, '3');
select expect.same('easysync_internal.push_claim(2, ', (select easysync_internal.push_claim(2, 'default', 'books', '{customers,products,orders}', null, false))::text, '0');
select expect.same('count(*) from easysync_internal.p', (select count(*) from easysync_internal.push_candidates(1, 'default', 'books', '9341', '{customers,products,orders}',
    '{t,t,f}', 'queue', null, null, false, 0, 0, 100))::text, '1');
select expect.same('count(*) from easysync_internal.p', (select count(*) from easysync_internal.push_candidates(1, 'default', 'books', '9341', '{customers,products,orders}',
    '{t,t,f}', 'walk', null, '{"status":["completed"]}', false, 0, 0, 100))::text, '1');
select expect.same('count(*) from easysync_internal.p', (select count(*) from easysync_internal.push_candidates(1, 'default', 'books', '9341', '{orders}', '{f}', 'ids', '{175}', null, true, 0, 0, 100))::text, '1');
select expect.same('count(*) from easysync_internal.p', (select count(*) from easysync_internal.push_candidates(1, 'default', 'books', '9341', '{orders}', '{f}', 'walk', null, '{"status":["pending"]}', true, 0, 0, 100))::text, '0');

-- A record comes with all that belongs to it.
select expect.same('format(%s %s %s %s %s, record_i', (select format('%s %s %s %s %s', record_id, source_account, record::jsonb #>> '{lines,0,name}', cardinality(refunds), products[1]::jsonb ->> 'same_sku')
    from easysync_internal.push_bundles('default', '9341', 'orders', array(select id from commerce.orders)))::text, '175 https://s.example Tote 1 1');
select expect.same('customer::jsonb ->> email from', (select customer::jsonb ->> 'email' from easysync_internal.push_bundles('default', '9341', 'orders', array(select id from commerce.orders)))::text, 'maya@example.test');
select expect.same('record::jsonb ->> sku from easy', (select record::jsonb ->> 'sku' from easysync_internal.push_bundles('default', '9341', 'products', array(select id from commerce.products)))::text, 'TOTE');
select expect.same('record::jsonb ->> email from ea', (select record::jsonb ->> 'email' from easysync_internal.push_bundles('default', '9341', 'customers', array(select id from commerce.customers)))::text, 'maya@example.test');

-- A plan of two changes, sent and settled: links, queue and failures follow.
insert into easysync_internal.sync_runs (sync_id, tenant_id, entity, mode, connection, requested_by, status)
values (1, 'default', 'orders', 'incremental', 'books', session_user, 'running');
insert into easysync_internal.sync_run_steps (sync_id, step, tenant_id, entity, connection, direction)
values (1, 1, 'default', 'orders', 'books', 'push');
select easysync_internal.push_save(1, 1, 'default', 'books', 'push', jsonb_build_array(
    jsonb_build_object('change_id', 1, 'entity', 'customers', 'hub_id', c.id, 'root_entity', 'orders', 'root_id', o.id, 'wave', 0, 'payload', '{}',
        'record_id', '88', 'label', 'm***', 'target', 'Customer', 'action', 'create', 'destructive', false, 'fields', '{}'::jsonb, 'depends_on', '[]'::jsonb, 'status', 'planned'),
    jsonb_build_object('change_id', 2, 'entity', 'orders', 'hub_id', o.id, 'root_entity', 'orders', 'root_id', o.id, 'wave', 1, 'payload', '{}',
        'record_id', '175', 'label', 'Order 175', 'target', 'SalesReceipt', 'action', 'create', 'destructive', false, 'fields', '{}'::jsonb, 'depends_on', '[1]'::jsonb, 'status', 'planned')))
from commerce.customers as c, commerce.orders as o;
select easysync_internal.push_close(1, 1, 'default', 'books', 'hash', '{"records":1,"by_action":{"create":2},"destructive":0,"overwrites":0}', true, 0, null, null, false);
select easysync_internal.push_intend(1, 'default', '9341', 'books', 'r1', 'h', '[]', '{1}', null);
select expect.same('status || attempts from easysync.', (select status || attempts from easysync.sync_requests)::text, 'intended1');
select easysync_internal.push_settle(1, 1, 'default', '9341', 'books', 'r1', 200, 'trace', jsonb_build_array(jsonb_build_object('change_id', 1,
    'entity', 'customers', 'hub_id', c.id, 'record_id', '88', 'label', 'm***', 'target', 'Customer', 'action', 'create', 'status', 'done',
    'remote_id', '61', 'version', '0', 'revision', 1, 'agreed', '{}', 'raw', '{}')), 1, 2) from commerce.customers as c;
select expect.same('status || coalesce(platform_trace', (select status || coalesce(platform_trace, '') from easysync.sync_requests)::text, 'donetrace');
select expect.same('remote_id || remote_type || revis', (select remote_id || remote_type || revision from easysync_ledger.links where entity = 'customers' and account = '9341')::text, '61Customer1');
-- Done stays done, whatever is unknown of another call of it.
select easysync_internal.push_settle(1, 1, 'default', '9341', 'books', 'r1', 200, 'trace', '[{"change_id":1,"entity":"customers","action":"create","status":"planned"}]', 0, 0);
select expect.same('status of a change that was done ', (select status from easysync.sync_changes where change_id = 1)::text, 'done');
select expect.same('reads_used from easysync_internal', (select reads_used from easysync_internal.connections where name = 'books')::text, '2');
select easysync_internal.push_block(1, 'default', 'books', '[{"change_id":2,"entity":"orders","record_id":"175","label":"Order 175","target":"SalesReceipt",
    "by_entity":"customers","by_record_id":"88","by_label":"m***","by_target":"Customer"}]');
select expect.same('error_message from easysync.sync_', (select error_message from easysync.sync_failures)::text, 'SalesReceipt Order 175 waits for Customer m***');
-- Changed while it was sent: it waits again; what landed is gone from the queue.
select easysync_internal.push_claim(1, 'default', 'books', '{customers,products,orders}', null, false);
update easysync_internal.sync_queue set generation = generation + 1 where entity = 'products';
select easysync_internal.push_finish(1, 1, 'default', 'books');
select expect.same('string_agg(entity ||   || statu', (select string_agg(entity || ' ' || status, ', ' order by entity) from easysync_internal.sync_queue)::text, 'orders failed, products waiting');
select expect.same('created ||   || failed from eas', (select created || ' ' || failed from easysync_internal.push_counts(1, 1, false))::text, '1 1');
