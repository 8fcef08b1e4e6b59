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
-- From then on members are the affair of the installation's own role.
select expect.fails($$select easysync.add_tenant_member('case_boss', 'north')$$, '42501', 'permission denied: add_tenant_member concerns every tenant%', '%GRANT easysync_dba TO case_boss;');
select expect.fails($$select easysync.remove_tenant_member('case_north', 'north')$$, '42501', 'permission denied: remove_tenant_member%');
select expect.fails($$select easysync.rotate_encryption_key()$$, '42501', 'permission denied: rotate_encryption_key%');
select expect.fails($$select easysync.unfence('copy')$$, '42501', 'permission denied: unfence%');
select expect.fails('select * from easysync.tenant_members', '42501', 'permission denied%');
reset session authorization;
create role case_dba login; grant easysync_dba to case_dba;
set session authorization case_dba;
select easysync.add_tenant_member('case_default', 'default');
select expect.same('the list is the dba''s', (select count(*) from easysync.tenant_members), 3::bigint);
select expect.fails('select * from easysync.connections', '42501', 'permission denied%');
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
select expect.same('nor before', easysync.allowed_tenants(), '{}'::text[]);
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
-- What names no tenant gives none, whatever it is, and whoever the gateway's role is a member of.
reset session authorization;
select easysync.add_tenant_member('case_gateway', 'default');
set session authorization case_gateway;
create function pg_temp.nothing(claims text) returns boolean language plpgsql as $f$
begin
    perform set_config('request.jwt.claims', claims, false);
    perform expect.same(claims, easysync.allowed_tenants(), '{}'::text[]);
    perform expect.same(claims, (select count(*) from easysync.sync_runs) + (select count(*) from easysync.connections), 0::bigint);
    perform expect.fails('select easysync.current_tenant()', '42501', 'the token names no tenant', 'It needs a claim "tenant_id"%');
    perform expect.same(claims, easysync.health() -> 'worker', 'null'::jsonb);
    return true;
end $f$;
select pg_temp.nothing(c) from unnest(array['', 'null', '{}', '[]', '"default"', '7', 'no json', '{"tenant_id":null}', '{"tenant_id":""}',
    '{"tenant_id":[]}', '{"tenant_id":["default"]}', '{"tenant_id":{}}', '{"tenant_id":{"x":"default"}}', '{"tenant_id":0}', '{"tenant_id":true}',
    '{"tenant_id":"*"}', '{"tenant_id":" default"}', '{"tenant_id":"default\u0000"}', '{"tenant_id":"default\n"}', '{"tenant_id":"default:sandbox"}',
    '{"tenant_id":"de fault"}', '{"tenant_id":"de''fault"}', '{"Tenant_Id":"default"}', '{"app_metadata":{"tenant_id":"default"}}',
    '{"tenant_id":"default"', repeat('[', 100000)]) as c;
set easysync.tenant_id = 'default';
select pg_temp.nothing('{}');
set easysync.tenant_id = '*';
select pg_temp.nothing('{}');
reset easysync.tenant_id;
reset request.jwt.claims;
select expect.same('unset', easysync.allowed_tenants(), '{}'::text[]);
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
select expect.fails($$select easysync.fence('prices')$$, '42501', 'permission denied: fence concerns every tenant%');
reset session authorization;
set session authorization case_dba;
select expect.same('who belongs to no tenant may fence', easysync.fence('prices'), true);
reset session authorization;
select expect.same('in the log of "default"', (select tenant_id from easysync_internal.audit_log where action = 'fence'), 'default');
select expect.same('no view or function is open to the public', (select count(*) from pg_proc p cross join aclexplode(p.proacl) a
    where p.pronamespace in ('easysync'::regnamespace, 'easysync_internal'::regnamespace) and a.grantee = 0), 0::bigint);
select expect.same('every function has rights of its own', (select count(*) from pg_proc where pronamespace in ('easysync'::regnamespace, 'easysync_internal'::regnamespace) and proacl is null), 0::bigint);
