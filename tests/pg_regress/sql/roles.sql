-- What each role may, and that nobody else may anything.
\set SHOW_CONTEXT never
set client_min_messages = warning;
create role regress_nobody;
create role regress_viewer in role easysync_viewer;
create role regress_operator in role easysync_operator;
create role regress_admin in role easysync_admin;
create role regress_webhook in role easysync_webhook;

set role regress_nobody;
select easysync.health();
select * from easysync.connections;
select * from easysync_internal.connections;
reset role;

set role regress_viewer;
select easysync.health() is not null as health;
select count(*) from easysync.connections;
select easysync.trigger('orders');
select easysync.set_setting('log_level', 'debug');
select * from easysync_internal.settings;
reset role;

set role regress_operator;
select easysync.set_setting('log_level', 'debug');
select easysync.fence(reason => 'a test');
select easysync.unfence('takeover');
reset role;

set role regress_admin;
select easysync.unfence('takeover');
select easysync.set_setting('log_level', 'debug');
select count(*) from easysync_internal.connections;
reset role;

set role regress_webhook;
select * from easysync.connections;
select easysync.trigger('orders');
reset role;

-- Nothing in the surface is open to PUBLIC.
select p.proname from pg_proc as p
where p.pronamespace in ('easysync'::regnamespace, 'easysync_internal'::regnamespace)
  and has_function_privilege('regress_nobody', p.oid, 'execute');
select c.relname from pg_class as c
where c.relnamespace in ('easysync'::regnamespace, 'easysync_internal'::regnamespace)
  and c.relkind in ('r', 'v', 'p', 'S') and has_table_privilege('regress_nobody', c.oid, 'select, insert, update, delete');

drop role regress_nobody, regress_viewer, regress_operator, regress_admin, regress_webhook;
