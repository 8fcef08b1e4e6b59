select expect.connect_shop();
create role case_north login; create role case_default login; create role case_stranger login;
create role case_boss login; create role case_hook login; create role case_gateway login;
grant easysync_operator to case_north, case_default; grant easysync_admin to case_boss; grant easysync_webhook to case_hook;
grant easysync_viewer to case_gateway;
grant usage on schema expect to public; grant execute on all functions in schema expect to public;

-- Open until the first member.
set session authorization case_north;
select expect.same('default is open', easysync.allowed_tenants(), array['default']);
select expect.same('and current', easysync.current_tenant(), 'default');
select expect.same('its connection is seen', (select count(*) from easysync.connections), 1::bigint);
reset session authorization;
set session authorization case_stranger;
select expect.fails('select easysync.allowed_tenants()', '42501', 'permission denied%');
select expect.fails('select * from easysync.connections', '42501', 'permission denied%');
select expect.fails('select * from easysync_internal.connections', '42501', 'permission denied%');
reset session authorization;

-- An admin who closes it does not lock himself out.
set session authorization case_boss;
select easysync.add_tenant_member('case_north', 'north');
select expect.same('the boss stays', easysync.allowed_tenants(), array['default']);
select expect.fails($$select easysync.add_tenant_member('case_boss', 'north')$$, '42501', 'tenant "north" is not one of yours');
select easysync.add_tenant_member('case_default', 'default');
reset session authorization;

set session authorization case_north;
select expect.same('north alone', easysync.allowed_tenants(), array['north']);
select expect.same('needs no setting', easysync.current_tenant(), 'north');
select expect.same('nothing of default is seen', (select count(*) from easysync.connections), 0::bigint);
set easysync.tenant_id = 'default';
select expect.same('not by naming it either', (select count(*) from easysync.connections), 0::bigint);
select expect.fails($$select easysync.trigger('orders')$$, '42501', 'tenant "default" is not one of yours', 'Tenants: north.');
select expect.fails($$select easysync.sync_status(1)$$, 'YS404', 'unknown sync 1');
select expect.fails($$select easysync.disable('shop')$$, '42501', 'tenant "default"%');
select expect.same('health says nothing of it', easysync.health() -> 'connections', '[]'::jsonb);
set easysync.tenant_id = '*';
select expect.same('all is all of mine', (select count(*) from easysync.connections), 0::bigint);
select expect.fails($$select easysync_internal.count_links('default', 'https://shop.example', 'orders') / 0$$, '22012', '%');
select expect.same('helpers of views tell nothing either', easysync_internal.count_links('default', 'https://shop.example', 'orders'), 0::bigint);
select expect.same('nor this one', (select count(*) from easysync_internal.connection_problems('default', 'shop')), 0::bigint);
select expect.fails($$select * from easysync_internal.connections$$, '42501', 'permission denied%');
select expect.fails($$select easysync_internal.queue_sync('default', 'orders', 'full', null, null, null)$$, '42501', 'permission denied%');
-- A claim counts under a gateway role only; the list of those is the superuser's.
set request.jwt.claims = '{"tenant_id":"default"}';
select expect.same('a claim of anyone counts nothing', easysync.allowed_tenants(), array['north']);
reset request.jwt.claims; reset easysync.tenant_id;
reset session authorization;

set session authorization case_default;
select easysync.trigger('orders') as mine \gset
reset session authorization;
set session authorization case_north;
select expect.fails('select easysync.cancel(1)', 'YS404', 'unknown sync 1');
select expect.fails('select easysync.sync_status(1)', 'YS404', 'unknown sync 1');
select expect.same('no run of theirs', (select count(*) from easysync.sync_runs), 0::bigint);
reset session authorization;

-- Under a gateway the claim decides.
set easysync.gateway_roles = 'authenticator, case_gateway';
set session authorization case_gateway;
set request.jwt.claims = '{"tenant_id":"default"}';
select expect.same('the claim', easysync.current_tenant(), 'default');
select expect.same('and its rows', (select count(*) from easysync.sync_runs), 1::bigint);
-- A sandbox is reached by its tenant, and only while it is on.
set request.jwt.claims = '{"tenant_id":"default:sandbox"}';
select expect.same('a claim to what is no sandbox is a tenant', easysync.current_tenant(), 'default:sandbox');
reset session authorization;
select easysync.set_sandbox(true);
set session authorization case_gateway;
select expect.same('a claim to a sandbox gives nothing', easysync.allowed_tenants(), '{}'::text[]);
set request.jwt.claims = '{"tenant_id":"default"}';
select expect.same('its tenant''s claim does', easysync.current_tenant(), 'default:sandbox');
select expect.same('and shows its rows only', (select count(*) from easysync.sync_runs), 0::bigint);
reset session authorization;
select easysync.set_sandbox(false);
set session authorization case_gateway;
set request.jwt.claims = 'no json';
select expect.same('a broken claim gives nothing', easysync.allowed_tenants(), '{}'::text[]);
select expect.same('and no rows', (select count(*) from easysync.sync_runs), 0::bigint);
reset session authorization;

-- Who may what.
set session authorization case_hook;
select expect.fails('select * from easysync.sync_runs', '42501', 'permission denied%');
select expect.fails($$select easysync.trigger('orders')$$, '42501', 'permission denied%');
reset session authorization;
set session authorization case_default;
select expect.fails($$select easysync.set_credentials('shop', '{}')$$, '42501', 'permission denied for function set_credentials');
select expect.fails('select * from easysync.audit_log', '42501', 'permission denied%');
select expect.fails($$select easysync.unfence('takeover')$$, '42501', 'permission denied%');
select expect.same('an operator may fence', easysync.fence('prices'), true);
reset session authorization;
select expect.same('no view or function is open to the public', (select count(*) from pg_proc p cross join aclexplode(p.proacl) a
    where p.pronamespace in ('easysync'::regnamespace, 'easysync_internal'::regnamespace) and a.grantee = 0), 0::bigint);
select expect.same('every function has rights of its own', (select count(*) from pg_proc where pronamespace in ('easysync'::regnamespace, 'easysync_internal'::regnamespace) and proacl is null), 0::bigint);
