-- Syncs are queued in the caller's transaction.
\set SHOW_CONTEXT never
set client_min_messages = error;
select easysync.connect('shop', 'woocommerce', settings => '{"url":"https://shop.example"}',
    credentials => '{"consumer_key":"ck_1","consumer_secret":"cs_1"}', verify => false);

-- Unknown words.
select easysync.trigger('order');
select easysync.trigger('orders', mode => 'fast');
select easysync.trigger('orders', connection => 'shp');
select easysync.trigger('orders', mode => 'full', ids => '{1}');
select easysync.trigger('orders', filters => '{"colour":"red"}');
select easysync.trigger('orders', filters => '{"status":"paid"}');
select easysync.sync_status(4711);
select easysync.cancel(4711);

-- A rollback takes the sync with it.
begin;
select easysync.trigger('orders') is not null as queued;
rollback;
select count(*) from easysync.sync_runs;

-- The same key is the same sync, with the same arguments only.
begin;
select easysync.trigger('orders', idempotency_key => 'k1') = easysync.trigger('orders', idempotency_key => 'k1') as same;
savepoint s;
select easysync.trigger('customers', idempotency_key => 'k1');
rollback to s;
select entity, mode, status, triggered_by, connection, request from easysync.sync_runs;
rollback;

-- run can't be called inside a transaction: it commits.
begin;
call easysync.run('orders');
rollback;

select term, count(*) > 1 as several from easysync.vocabulary where term in ('entity', 'mode', 'connector') group by term order by term;
