select expect.connect_shop();
create role case_boss login; create role case_hook login; create role case_viewer login; create role case_other login;
grant easysync_admin to case_boss, case_other; grant easysync_webhook to case_hook; grant easysync_viewer to case_viewer;
create function expect.digest() returns text language plpgsql as $$
declare
    digests text := ''; one record; digest text;
begin
    for one in select format('%I.%I', n.nspname, c.relname) as t from pg_class c join pg_namespace n on n.oid = c.relnamespace
               where n.nspname in ('easysync_internal', 'easysync_ledger', 'commerce') and c.relkind = 'r'
                 and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id') order by 1 loop
        execute format('select md5(coalesce(string_agg(x::text, chr(10) order by x::text), '''')) from %s as x where tenant_id = ''default''', one.t) into digest;
        digests := digests || one.t || ' ' || digest || chr(10);
    end loop;
    return digests;
end $$;
insert into commerce.orders (number, status, currency) values ('1', 'completed', 'EUR');
select easysync.set_setting('confirm_threshold', '25');

-- An operator may not, and looks are for everyone.
set session authorization case_viewer;
select expect.fails('select easysync.set_sandbox(true)', '42501', 'permission denied%');
select expect.same('live', easysync.in_sandbox(), false);
reset session authorization;

select expect.fails('select easysync.set_sandbox(null)', '22023', 'enabled can not be NULL');
begin isolation level repeatable read;
select expect.fails('select easysync.set_sandbox(true)', '25001', 'the sandbox can be switched in a transaction that reads%');
rollback;
-- Not while a sync runs; one that waits is no obstacle.
select easysync.trigger('orders') as live_run \gset
update easysync_internal.sync_runs set status = 'running' where sync_id = :live_run;
select expect.fails('select easysync.set_sandbox(true)', 'YS409', 'sync % is running', '%cancel(%');
update easysync_internal.sync_runs set status = 'queued' where sync_id = :live_run;
-- Nor while the worker takes one: it holds the lock until its transaction ends.
begin;
select expect.same('the worker may', easysync_internal.may_start('default'), true);
rollback;

-- Whoever may not create a schema gets a sandbox without a hub, and is told how it gets one.
begin;
set local session authorization case_boss;
select easysync.set_sandbox(true);
select expect.same('on', easysync.in_sandbox(), true);
select expect.fails($$select easysync.connect('stage', 'woocommerce', '{"url":"https://staging.example"}', '{"consumer_key":"k"}')$$,
    '42501', 'permission denied to create schema commerce_sandbox', 'GRANT CREATE ON DATABASE%');
reset session authorization;
select expect.same('no hub yet', easysync_internal.hub_schema('default:sandbox'), null);
rollback;

select easysync.set_sandbox(false);
select expect.same('switching to what is so is nothing', (select count(*) from easysync.audit_log where action = 'set_sandbox'), 0::bigint);
select easysync.set_sandbox(true);
select expect.digest() as live \gset
select expect.same('on', easysync.in_sandbox(), true);
select expect.same('the twin is in force', easysync.current_tenant(), 'default:sandbox');
select expect.same('both hubs may be read', easysync.allowed_tenants(), array['default', 'default:sandbox']);
select expect.same('the live one rests', easysync_internal.resting_tenants(), array['default']);
select expect.same('nothing of it starts', easysync_internal.may_start('default'), false);
select expect.same('the twin may', easysync_internal.may_start('default:sandbox'), true);
select expect.holds('health says so', (easysync.health() ->> 'sandbox')::boolean);
select expect.same('nothing of live is seen', (select count(*) from easysync.connections) + (select count(*) from easysync.sync_runs)
    + (select count(*) from easysync.schedules) + (select count(*) from easysync.streams), 0::bigint);
select expect.fails(format('select easysync.cancel(%s)', :live_run), 'YS404', 'unknown sync%');
select expect.same('settings of its own', (select value from easysync.settings where name = 'confirm_threshold'), '10');
set easysync.tenant_id = 'default';
select expect.same('asked for by either name', easysync.current_tenant(), 'default:sandbox');
set easysync.tenant_id = 'default:sandbox';
select expect.same('asked for by either name', easysync.current_tenant(), 'default:sandbox');
set easysync.tenant_id = '*';
select expect.same('all is the sandbox, too', (select count(*) from easysync.connections), 0::bigint);
reset easysync.tenant_id;

-- Its hub is made, its defaults are its own, and nobody else's.
select expect.same('hub', easysync_internal.hub_schema('default:sandbox'), 'commerce_sandbox');
insert into commerce_sandbox.customers (display_name) values ('Ada') returning tenant_id as hub_tenant \gset
select expect.same('rows are its own', :'hub_tenant'::text, 'default:sandbox');
select expect.same('create_hub speaks of its hub', easysync.create_hub(), 'commerce_sandbox');
select expect.same('a long name', length(easysync_internal.sandbox_hub(repeat('x', 60))), 28);

-- Not the live account, whichever way it is written.
select expect.fails($$select expect.connect_shop()$$, 'YS409', 'the account of "shop" is live, as "shop"%', '%staging%');
select expect.fails($$select expect.connect_shop('other', 'https://www.shop.example')$$, 'YS409', 'the account of "other" is live%');
select expect.connect_shop('shop', 'https://staging.example');
select expect.holds('marked', (select sandbox and tenant_id = 'default:sandbox' from easysync.connections));
select easysync.trigger('orders') as own_run \gset
select expect.holds('its runs, too', (select sandbox from easysync.sync_status(:own_run)));
select easysync.set_setting('timezone', 'Europe/Berlin');
select expect.same('live is as it was', expect.digest(), :'live'::text);

-- What a live platform delivers is kept with live; who signed decides where both have the name. (The
-- double knows no secrets, only who is meant.)
select easysync.connect('trial', 'woocommerce', '{"url":"https://trial.example"}', '{"consumer_key":"k"}');
set session authorization case_hook;
insert into easysync.webhook_events (connection, headers, body) values ('shop', '{"signature":"other"}', '{"id":1}');
insert into easysync.webhook_events (connection, headers, body) values ('shop', '{"signature":"good"}', '{"id":2}');
insert into easysync.webhook_events (connection, headers, body) values ('shop', '{"signature":"good default:sandbox"}', '{"id":2}');
insert into easysync.webhook_events (connection, headers, body) values ('trial', '{"signature":"other"}', '{"id":2}');
insert into easysync.webhook_events (connection, headers, body) values ('nowhere', '{}', '{"id":3}');
select expect.fails($$insert into easysync.webhook_events (tenant_id, connection, headers, body) values ('north', 'shop', '{}', '')$$, '42501', 'tenant "north" is not one of yours');
reset session authorization;
select expect.same('kept apart', (select array_agg(tenant_id order by event_id) from easysync_internal.webhook_events), array['default', 'default', 'default:sandbox', 'default:sandbox', 'default']);
select expect.same('the view shows its own', (select count(*) from easysync.webhook_events), 2::bigint);
select expect.holds('by function, too', easysync.receive_webhook('shop', '{"signature":"good default:sandbox"}', '{"id":4}') > 0);
select expect.same('to the sandbox', (select count(*) from easysync.webhook_events), 3::bigint);

-- An application goes on writing live rows; what it says is noted, and no row of the other hub is meant.
update easysync_internal.streams set direction = 'push' where tenant_id = 'default' and entity = 'orders';
update commerce.orders set status = 'refunded';
insert into commerce_sandbox.orders (tenant_id, number, status, currency) values ('default', '7', 'completed', 'EUR');
select expect.same('both are noted', (select count(*) from easysync_internal.hub_changes where tenant_id = 'default'), 2::bigint);
select easysync_internal.push_fold('default');
select expect.same('the hub''s own is queued', (select count(*) from easysync_internal.sync_queue where tenant_id = 'default'), 1::bigint);
select expect.same('and none is left', (select count(*) from easysync_internal.hub_changes where tenant_id = 'default'), 0::bigint);

-- Back: not while the sandbox' own sync runs; its connections rest, and live has no account of its.
update easysync_internal.sync_runs set status = 'running' where sync_id = :own_run;
select expect.fails('select easysync.set_sandbox(false)', 'YS409', 'sync % is running');
update easysync_internal.sync_runs set status = 'queued' where sync_id = :own_run;
select easysync.set_sandbox(false);
select expect.same('live again', easysync.current_tenant(), 'default');
select expect.same('its connection is back', (select count(*) from easysync.connections where not sandbox), 1::bigint);
select expect.same('the sandbox rests', easysync_internal.resting_tenants(), array['default:sandbox']);
select expect.fails($$select expect.connect_shop('stage', 'https://staging.example')$$, 'YS409', 'the account of "stage" is connected in the sandbox, as "shop"');
set easysync.tenant_id = 'default:sandbox';
select expect.fails('select easysync.current_tenant()', '42501', 'tenant "default:sandbox" is not one of yours');
reset easysync.tenant_id;
select expect.same('audited on both sides', (select count(*) from easysync_internal.audit_log where action = 'set_sandbox'), 4::bigint);
select expect.fails($$select easysync.create_hub('commerce_sandbox')$$, 'YS409', 'schema "commerce_sandbox" holds the hub of a sandbox');

-- Members of a tenant are those of its sandbox; nobody else's.
select easysync.add_tenant_member('case_other', 'north');
select easysync.add_tenant_member('case_boss', 'default');
select expect.fails($$select easysync.add_tenant_member('case_other', 'default:sandbox')$$, '22023', '"default:sandbox" is the name of a sandbox');
select expect.fails($$select easysync.add_tenant_member('case_other', 'new:sandbox')$$, '22023', '"new:sandbox" is the name of a sandbox');
grant create on database test to case_other;
set session authorization case_other;
select easysync.set_sandbox(true);
select expect.same('a sandbox of its own', easysync.current_tenant(), 'north:sandbox');
select expect.fails($$set easysync.tenant_id = 'default'; select easysync.trigger('orders')$$, '42501', 'tenant "default" is not one of yours', 'Tenants: north.');
reset easysync.tenant_id;
reset session authorization;
select expect.same('with a hub of its own', easysync_internal.hub_schema('north:sandbox'), 'commerce_north_sandbox');
set session authorization case_boss;
select expect.same('others stay live', easysync.in_sandbox(), false);
reset session authorization;

-- A tenant of an older installation that has the name already.
insert into easysync_internal.tenant_members (tenant_id, role_name, added_by) values ('old', 'case_boss', 'postgres'), ('old:sandbox', 'case_boss', 'postgres');
set easysync.tenant_id = 'old';
select expect.fails('select easysync.set_sandbox(true)', 'YS409', 'there is a tenant "old:sandbox", which is no sandbox');
set easysync.tenant_id = 'old:sandbox';
select expect.same('and stays one', easysync.current_tenant(), 'old:sandbox');
reset easysync.tenant_id;

-- A re-install finds hub and links of the sandbox again.
drop extension easysync;
create extension easysync;
select easysync.set_sandbox(true);
select expect.same('the same hub', easysync_internal.hub_schema('default:sandbox'), 'commerce_sandbox');
select expect.same('with its rows', (select count(*) from commerce_sandbox.customers), 1::bigint);
