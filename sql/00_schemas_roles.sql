-- easysync: schemas and roles. First file of the install script; the functions of the library
-- (schema easysync_internal, language c) come right after it, then 10_tables.sql and the rest in
-- the order of their numbers. 99_ownership.sql hands everything to easysync_owner.

-- Nothing here finds a function, an operator or a type of somebody else's: CREATE EXTENSION runs the
-- script as a superuser.
set local search_path = pg_catalog, pg_temp;

-- Roles, their memberships and grants on parameters belong to the cluster: installations in several
-- databases at once take turns ("tuple concurrently updated" else). This lock is in nobody's way but
-- another installation's, and VACUUM's.
lock table pg_catalog.pg_authid in share update exclusive mode;

-- Texts of platforms are UTF-8 and are kept as they are. In a database of another encoding some could not
-- be kept at all, and SQL_ASCII would take any bytes for any text.
do $$
declare
    encoding text := (select pg_encoding_to_char(encoding) from pg_database where datname = current_database());
begin
    if encoding <> 'UTF8' then
        raise exception using errcode = '0A000',
            message = format('easysync needs a database with encoding UTF8, and "%s" has %s', current_database(), encoding),
            detail = 'Names and texts of shops and books have characters that this encoding can not keep.',
            hint = 'Make a database with CREATE DATABASE ... ENCODING ''UTF8'' TEMPLATE template0, load your tables into it with '
                   'pg_dump and pg_restore, which convert them, and create the extension there.';
    end if;
end
$$;

-- What people call and read, what lies behind it (nobody is granted anything there but the worker),
-- and the id map and write requests, which outlive the extension. A schema that another role has laid
-- ready could hold anything.
do $$
declare
    taken record;
begin
    for taken in
        select n.nspname, r.rolname, r.rolsuper
        from pg_namespace as n join pg_roles as r on r.oid = n.nspowner
        where n.nspname in ('easysync', 'easysync_internal', 'easysync_ledger')
    loop
        -- A ledger that outlived the extension, or that a dump brought along.
        continue when taken.nspname = 'easysync_ledger' and (taken.rolsuper or taken.rolname = 'easysync_owner');
        raise exception using errcode = '42501',
            message = format('schema %I exists and belongs to role %I', taken.nspname, taken.rolname),
            detail = 'category: validation, code: foreign_schema',
            hint = format('See what is in it, then DROP SCHEMA %I or rename it, and create the extension again.', taken.nspname);
    end loop;
end
$$;
create schema easysync;
create schema if not exists easysync_internal;
comment on schema easysync is 'Keeps a shop, the books and a warehouse in step: what people call and read';
comment on schema easysync_internal is 'Tables and helpers behind schema easysync; nobody reads them directly';
revoke all on schema easysync, easysync_internal from public;

-- Roles belong to the cluster: another database may have made them, and DROP EXTENSION leaves them
-- (they may own or be granted things elsewhere).
do $$
declare
    role_name text;
    member_name text;
begin
    foreach role_name in array array['easysync_owner', 'easysync_worker', 'easysync_viewer', 'easysync_operator',
                                     'easysync_admin', 'easysync_webhook', 'easysync_dba'] loop
        if not exists (select from pg_catalog.pg_roles where rolname = role_name) then
            begin
                execute format('create role %I nologin', role_name);
            exception when duplicate_object or unique_violation then
                null;
            end;
        end if;
    end loop;
    -- easysync_owner owns everything of ours, easysync_worker reads every credential: nobody is either.
    select r.rolname into role_name from pg_catalog.pg_roles as r
    where r.rolname in ('easysync_owner', 'easysync_worker')
      and (r.rolsuper or r.rolcanlogin or r.rolcreaterole or r.rolcreatedb or r.rolreplication or r.rolbypassrls)
    order by 1 limit 1;
    if found then
        raise exception using errcode = '42501', message = format('role %I has rights of its own', role_name),
            detail = 'category: validation, code: foreign_role',
            hint = format('ALTER ROLE %I NOSUPERUSER NOLOGIN NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS, and create the extension again.', role_name);
    end if;
    select r.rolname, m.rolname into role_name, member_name
    from pg_catalog.pg_auth_members as a
    join pg_catalog.pg_roles as r on r.oid = a.roleid
    join pg_catalog.pg_roles as m on m.oid = a.member
    where r.rolname in ('easysync_owner', 'easysync_worker') and not m.rolsuper
    order by 1, 2 limit 1;
    if found then
        raise exception using errcode = '42501', message = format('role %I is a member of %I', member_name, role_name),
            detail = 'category: validation, code: foreign_member',
            hint = format('REVOKE %I FROM %I, and create the extension again.', role_name, member_name);
    end if;
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
    -- The ledger comes with the first connect, or with a dump: the script must not make it, since a
    -- restore of one does.
    execute format('grant create on database %I to easysync_owner', current_database());
    if exists (select from pg_catalog.pg_namespace where nspname = 'easysync_ledger') then
        alter schema easysync_ledger owner to easysync_owner;
    end if;
end
$$;

grant usage on schema easysync to easysync_viewer, easysync_webhook, easysync_dba;
-- The worker's identity for our own tables (it writes hub tables as their owner).
grant usage on schema easysync, easysync_internal to easysync_worker;
