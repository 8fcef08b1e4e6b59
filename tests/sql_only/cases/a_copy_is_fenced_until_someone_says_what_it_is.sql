select expect.same('nothing to do yet', (select state from easysync_internal.fence_state()), 'new');
select expect.same('no identity before the first connect', (select count(*) from easysync_internal.identity), 0::bigint);
-- Stored without a check: not production yet.
select easysync.connect('shop', 'woocommerce', '{"url":"https://shop.example"}', '{"consumer_key":"k"}', verify => false);
select expect.same('still new', (select state from easysync_internal.fence_state()), 'new');
select expect.same('disabled', (select status from easysync.connections), 'disabled');
select easysync.enable('shop');
select expect.same('accepted', (select state from easysync_internal.fence_state()), 'ok');
select expect.same('connected', (select status from easysync.connections), 'connected');
select expect.same('unfence: it was not', easysync.unfence('takeover'), false);

-- By a person.
select expect.same('fence', easysync.fence('look'), true);
select expect.same('again', easysync.fence(), false);
select expect.holds('says who and why', (select state = 'fenced' and reason like 'fenced by postgres at %: look' from easysync_internal.fence_state()));
select expect.fails($$select easysync.enable('shop')$$, 'YS409', 'this database is fenced%', '%takeover%copy%');
select expect.holds('health says so', (easysync.health() ->> 'status') = 'down' and (easysync.health() ->> 'fenced')::boolean);
set client_min_messages = error;
select expect.holds('trigger queues', easysync.trigger('orders') > 0);
reset client_min_messages;

-- Every part of the identity counts.
select easysync.unfence('takeover');
select expect.same('verify after a takeover', (select state from easysync_internal.fence_state()), 'verify');
select easysync_internal.note_verified('default', 'shop', entity) from easysync.streams where direction <> 'off';
select expect.same('walked once: ok', (select state from easysync_internal.fence_state()), 'ok');
begin; update easysync_internal.identity set system_identifier = 1; select expect.same('cluster', (select state from easysync_internal.fence_state()), 'fenced'); rollback;
begin; update easysync_internal.identity set database_oid = 1; select expect.same('database', (select state from easysync_internal.fence_state()), 'fenced'); rollback;
begin; update easysync_internal.identity set major = 9; select expect.same('major', (select state from easysync_internal.fence_state()), 'fenced'); rollback;
begin; delete from easysync_internal.identity; select expect.same('none', (select state from easysync_internal.fence_state()), 'fenced'); rollback;
begin; set local easysync.instance = 'another'; select expect.same('instance', (select state from easysync_internal.fence_state()), 'fenced'); rollback;
begin;
update easysync_internal.identity set timeline = 7;
select expect.same('a promotion verifies', (select state from easysync_internal.fence_state()), 'verify');
insert into easysync_internal.sync_state values ('default', 'shop', 'orders', '{"watermark":"2026-01-02T03:04:05Z","walk":null}');
select expect.same('noted', (select state from easysync_internal.note_promotion()), 'verify');
select expect.same('timeline', (select timeline from easysync_internal.identity), (select timeline from easysync_internal.whereabouts()));
select expect.same('cursor', (select cursor from easysync_internal.sync_state), '{"watermark":"2026-01-01T03:04:05Z","walk":null}'::jsonb);
rollback;

-- A copy forgets.
update easysync_internal.identity set system_identifier = 1;
insert into easysync_internal.sync_queue (tenant_id, connection, entity, hub_id, record_id) values ('default', 'shop', 'orders', 1, '1');
insert into easysync_ledger.sync_requests (tenant_id, account, request_id, connection, body_hash) values ('default', 'a', 'r', 'shop', 'x');
select easysync.unfence('copy');
select expect.holds('no credentials', (select sealed is null and status = 'disabled' and not sandbox from easysync_internal.connections));
select expect.same('no queue', (select count(*) from easysync_internal.sync_queue), 0::bigint);
select expect.same('no intents', (select count(*) from easysync_ledger.sync_requests), 0::bigint);
select expect.same('no run waits', (select count(*) from easysync_internal.sync_runs where status = 'queued'), 0::bigint);
select expect.same('open', (select state from easysync_internal.fence_state()), 'ok');
select expect.same('audited', (select array_agg(object order by audit_id) from easysync_internal.audit_log where action = 'unfence' and tenant_id = 'default'), array['takeover', 'copy']);
select expect.same('in its sandbox', easysync.current_tenant(), 'default:sandbox');
select expect.holds('and says so', easysync.in_sandbox() and (easysync.health() ->> 'sandbox')::boolean);
select expect.same('whose log begins with it', (select array_agg(action order by audit_id) from easysync.audit_log), array['set_sandbox', 'unfence']);
-- What the live tenant had is not the sandbox's, not even its account.
select expect.same('nothing connected', (select count(*) from easysync.connections), 0::bigint);
select expect.fails($$select expect.connect_shop()$$, 'YS409', 'the account of "shop" is live, as "shop"%', '%staging shop%');
select easysync.connect('shop', 'woocommerce', '{"url":"https://staging.shop.example"}', '{"consumer_key":"k"}');
select expect.same('a hub of its own', easysync_internal.hub_schema('default:sandbox'), 'commerce_sandbox');
