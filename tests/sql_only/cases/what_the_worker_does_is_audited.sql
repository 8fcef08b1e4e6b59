select expect.connect_shop();
-- What the engine does through the worker, called as the worker calls it.
select easysync_internal.note_webhooks('default', 'shop', null, 'order.updated repaired');
select expect.same('repaired webhooks', (select new_value from easysync.audit_log where action = 'repair_webhooks'), '"order.updated repaired"'::jsonb);
select easysync_internal.note_webhooks('default', 'shop', null, null);
select expect.same('and only those', (select count(*) from easysync.audit_log where action = 'repair_webhooks'), 1::bigint);

select easysync_internal.suspend_connection('default', 'shop', 'reauthorize', 'refused', 'cure');
select expect.same('a suspension, from what to what', (select format('%s %s %s', object, old_value, new_value) from easysync.audit_log where action = 'suspend'),
    'shop "connected" {"reason": "refused", "status": "reauthorize"}');
select easysync_internal.suspend_connection('default', 'shop', 'error', 'refused', 'cure');
select expect.same('one that is stopped already is left alone', (select count(*) from easysync.audit_log where action = 'suspend'), 1::bigint);

select expect.same('tokens', easysync_internal.store_tokens('default', 'shop', 'k9', '\x00', '2031-01-01'), true);
select expect.same('of nobody', easysync_internal.store_tokens('default', 'nobody', 'k9', '\x00', '2031-01-01'), false);
select expect.same('are audited by their key', (select new_value ->> 'key_id' from easysync.audit_log where action = 'renew_tokens'), 'k9');

-- A plan that is never confirmed.
insert into easysync_internal.sync_runs (sync_id, tenant_id, entity, mode, requested_by, status, confirm_until)
values (77, 'default', 'orders', 'full', 'case', 'awaiting_confirmation', now() - interval '1 minute');
select expect.same('expires', easysync_internal.expire_confirmations(), 1);
select expect.same('visibly', (select sync_id from easysync.audit_log where action = 'expire'), 77::bigint);

-- Destructive writes: once, before they are sent, with what people typed and what is personal left out.
insert into easysync_internal.sync_runs (sync_id, tenant_id, entity, mode, requested_by, status) values (78, 'default', 'orders', 'full', 'case', 'running');
insert into easysync_internal.sync_changes (sync_id, change_id, tenant_id, connection, direction, entity, record_id, label, target, action, destructive, step, hub_id, fields)
values (78, 1, 'default', 'shop', 'push', 'orders', '5', 'Order 5', 'Invoice', 'void', true, 1, 5, '{"TotalAmt":{"old":"20.00","new":"0.00"}}'),
       (78, 2, 'default', 'shop', 'push', 'orders', '6', 'Order 6', 'Invoice', 'update', false, 1, 6, '{}'),
       (78, 3, 'default', 'shop', 'push', 'orders', '7', 'Order 7', 'Invoice', 'update', true, 1, 7, '{}');
insert into easysync_ledger.links (tenant_id, account, entity, remote_id, remote_type, hub_id, hash) values ('default', 'a', 'orders', '145', 'Invoice', 5, '\x00');
select easysync_internal.push_intend(78, 'default', 'a', 'shop', 'req1', 'h', '[]', '{1,2,3}', null);
select easysync_internal.push_intend(78, 'default', 'a', 'shop', 'req1', 'h', '[]', '{1,2,3}', null);
select expect.same('what destroys, once each', (select array_agg(action || ': ' || object order by audit_id) from easysync.audit_log where sync_id = 78),
    array['void: shop Invoice 145 (Order 5)', 'update: shop Invoice (Order 7)']);
select expect.same('from what to what, for whom', (select format('%s -> %s by %s', old_value ->> 'TotalAmt', new_value ->> 'TotalAmt', new_value ->> 'requested_by')
    from easysync.audit_log where action = 'void'), '20.00 -> 0.00 by case');

-- What this database is.
select expect.same('accepted by the first connect', (select object from easysync.audit_log where action = 'accept_identity'), 'shop');
select easysync.fence('look'); select easysync.unfence('takeover');
update easysync_internal.connections set status = 'connected';
select easysync_internal.note_verified('default', 'shop', entity) from easysync.streams where direction <> 'off';
select expect.same('through with verify mode', (select count(*) from easysync.audit_log where action = 'verified'), 1::bigint);
