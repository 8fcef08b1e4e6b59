-- Functions, operators and tables named as those that our own functions and views use. SCHEMA is the
-- session's own schema.
create schema SCHEMA;
create function SCHEMA.always(text, text) returns boolean language sql as $$ select true $$;
create operator SCHEMA.= (leftarg = text, rightarg = text, function = SCHEMA.always);
create operator SCHEMA.<> (leftarg = text, rightarg = text, function = SCHEMA.always);
create function SCHEMA.any_of(text, text[]) returns boolean language sql as $$ select true $$;
create function SCHEMA.allowed_tenants() returns text[] language sql as $$ select '{default}'::text[] $$;
create function SCHEMA.visible_tenants() returns text[] language sql as $$ select '{default}'::text[] $$;
create function SCHEMA.own_tenants() returns text[] language sql as $$ select '{default}'::text[] $$;
create function SCHEMA.unnest(text[]) returns setof text language sql as $$ select 'default' $$;
create function SCHEMA.array_agg(text) returns text[] language sql as $$ select '{default}'::text[] $$;
create function SCHEMA.pg_has_role(name, name, text) returns boolean language sql as $$ select true $$;
create function SCHEMA.pg_has_role(name, oid, text) returns boolean language sql as $$ select true $$;
create function SCHEMA.pg_has_role(text, text, text) returns boolean language sql as $$ select true $$;
create function SCHEMA.current_setting(text) returns text language sql as $$ select 'default' $$;
create function SCHEMA.current_setting(text, boolean) returns text language sql as $$ select 'default' $$;
create function SCHEMA.now() returns timestamptz language sql as $$ select timestamptz 'epoch' $$;
create table SCHEMA.tenant_members (tenant_id text, role_name name, added_at timestamptz, added_by name);
insert into SCHEMA.tenant_members values ('default', session_user, pg_catalog.now(), session_user);
create temporary table tenant_members (tenant_id text, role_name name);
insert into pg_temp.tenant_members values ('default', session_user);
create temporary table pg_roles (oid oid, rolname name, rolsuper boolean);
insert into pg_temp.pg_roles values (10, session_user, true);
set search_path = SCHEMA, pg_temp, pg_catalog
