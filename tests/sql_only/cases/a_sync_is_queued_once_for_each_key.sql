select expect.connect_shop();
select expect.same('same key, same sync', easysync.trigger('orders', ids => '{2,1,2}', idempotency_key => 'k'), easysync.trigger('orders', ids => '{2,1}', idempotency_key => 'k'));
select expect.same('ids once each, in order', (select ids from easysync_internal.sync_runs), array['2', '1']);
select expect.fails($$select easysync.trigger('orders', ids => '{2}', idempotency_key => 'k')$$, 'YS409', 'idempotency key "k" was used with other arguments');
select expect.fails($$select easysync.trigger('products', idempotency_key => 'k')$$, 'YS409', 'idempotency key%');
select expect.holds('without a key each call is a sync', easysync.trigger('orders') <> easysync.trigger('orders'));
select easysync.trigger('orders', filters => '{"status":"completed","created_since":"2025-01-01T00:00:00+02"}') as filtered \gset
select expect.same('filters as the engine reads them', (select r.request -> 'filters' from easysync.sync_runs as r where r.sync_id = :filtered),
    '{"status": ["completed"], "created_since": "2024-12-31T22:00:00.000000Z"}'::jsonb);
-- A plugin's own status is known once the hub holds it.
insert into commerce.orders (number, status, currency) values ('1', 'wc-packed', 'USD');
select expect.holds('a seen status passes', easysync.trigger('orders', filters => '{"status":["wc-packed","completed"]}') > 0);

-- A sync rolls back with its caller.
begin;
select easysync.trigger('orders', idempotency_key => 'undone');
rollback;
select expect.same('rolled back', (select count(*) from easysync_internal.sync_runs where idempotency_key = 'undone'), 0::bigint);

-- Cancel.
select easysync.trigger('refunds') as refunds \gset
select expect.same('a queued one ends at once', easysync.cancel(:refunds, 'no'), true);
select expect.same('its status', (select status from easysync.sync_runs where entity = 'refunds'), 'cancelled');
set client_min_messages = error;
select expect.same('it had ended', easysync.cancel(sync_id), false) from easysync.sync_runs where entity = 'refunds';
reset client_min_messages;
update easysync_internal.sync_runs set status = 'running' where idempotency_key = 'k';
select expect.same('a running one is asked', easysync.cancel(sync_id), true) from easysync_internal.sync_runs where idempotency_key = 'k';
select expect.same('and goes on to its next record', (select array[status, (cancel_requested_at is not null)::text] from easysync_internal.sync_runs where idempotency_key = 'k'), array['running', 'true']);
select expect.holds('each is audited', (select count(*) = 2 from easysync.audit_log where action = 'cancel'));
