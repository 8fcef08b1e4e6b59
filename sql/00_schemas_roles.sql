-- easysync: schemas and roles. First file of the install script; the functions of the library
-- (schema easysync_internal, language c) come right after it, then 10_tables.sql and the rest in
-- the order of their numbers.

-- What people call and read. What lies behind it: nobody is granted anything there but the worker.
create schema easysync;
create schema if not exists easysync_internal;
comment on schema easysync is 'Keeps a shop, the books and a warehouse in step: what people call and read';
comment on schema easysync_internal is 'Tables and helpers behind schema easysync; nobody reads them directly';
revoke all on schema easysync, easysync_internal from public;

-- Roles belong to the cluster: another database may have made them, and DROP EXTENSION leaves them
-- (they may own or be granted things elsewhere). Two databases that install at once meet at the
-- unique index of pg_authid: the loser finds the role made.
do $$
declare
    role_name text;
begin
    foreach role_name in array array['easysync_viewer', 'easysync_operator', 'easysync_admin',
                                     'easysync_webhook', 'easysync_worker'] loop
        if not exists (select from pg_catalog.pg_roles where rolname = role_name) then
            begin
                execute format('create role %I nologin', role_name);
            exception when duplicate_object or unique_violation then
                null;
            end;
        end if;
    end loop;
    -- viewer < operator < admin; whoever may trigger may also deliver an event.
    if not pg_has_role('easysync_operator', 'easysync_viewer', 'member') then
        grant easysync_viewer to easysync_operator;
    end if;
    if not pg_has_role('easysync_admin', 'easysync_operator', 'member') then
        grant easysync_operator to easysync_admin;
    end if;
    if not pg_has_role('easysync_operator', 'easysync_webhook', 'member') then
        grant easysync_webhook to easysync_operator;
    end if;
end
$$;

grant usage on schema easysync to easysync_viewer, easysync_webhook;
-- The worker's identity for our own tables (it writes hub tables as their owner).
grant usage on schema easysync, easysync_internal to easysync_worker;
