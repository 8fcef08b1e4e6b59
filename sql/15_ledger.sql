-- The ledger: what is tied to what on which remote account (links), and which writes were meant
-- (sync_requests). NOT members of the extension and without a foreign key to one: it outlives DROP
-- EXTENSION, so that a re-install that connects to the same account creates nothing twice. It is
-- keyed by the remote account, not by the connection's name, for the same reason.
--
-- The worker's role owns it (it analyzes links after a first load); a dump carries it like any
-- ordinary schema. Statements here are dynamic or in bodies that are parsed late: the install script
-- must not make any of it.

-- Version of the ledger's and the hub's tables that these scripts make and understand.
create function easysync_internal.schema_version() returns integer
    language sql immutable set search_path = pg_catalog, pg_temp
as $$ select 1 $$;

-- Makes what is missing of the ledger. Called by connect and create_hub; idempotent.
create function easysync_internal.create_ledger() returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp
as $function$
begin
    -- Two first connects at once: the second finds everything made.
    perform easysync_internal.lock_exclusive('ledger');
    if to_regclass('easysync_ledger.links_created_by') is not null
       and to_regclass('easysync_ledger.sync_requests') is not null
       and exists (select from pg_attribute where attrelid = to_regclass('easysync_ledger.hubs') and attname = 'hub_owner') then
        perform easysync_internal.go_on_counting();
        return;
    end if;
    if to_regnamespace('easysync_ledger') is null then
        if not has_database_privilege(current_user, current_database(), 'create') then
            perform easysync_internal.raise_error('42501', format('%I may not create schemas in this database', current_user),
                'category: validation, code: insufficient_privilege',
                format('GRANT CREATE ON DATABASE %I TO %I: a copy made by CREATE DATABASE ... TEMPLATE lacks what CREATE EXTENSION granted.',
                       current_database(), current_user));
        end if;
        create schema easysync_ledger;
        comment on schema easysync_ledger is
            'easysync: links and write requests; keep it when the extension goes, or records are created twice';
        grant usage on schema easysync_ledger to easysync_worker;
    elsif not pg_has_role(current_user, (select nspowner from pg_namespace where nspname = 'easysync_ledger'), 'usage') then
        perform easysync_internal.raise_error('42501', 'schema easysync_ledger belongs to another role',
            'category: validation, code: foreign_ledger',
            'ALTER SCHEMA easysync_ledger OWNER TO easysync_owner, if you trust what is in it.');
    end if;
    perform easysync_internal.create_links();
    perform easysync_internal.create_requests();
    -- Which hub schemas there are, at which version, whose they are, and which tenant uses which.
    create table if not exists easysync_ledger.hubs (
        schema_name text primary key,
        schema_version integer not null,
        created_at timestamptz not null default now(),
        created_by name not null,
        -- The role that the hub's tables belonged to when create_hub took them: rows of anybody else's
        -- are neither read nor written.
        hub_owner name not null
    );
    create table if not exists easysync_ledger.tenants (
        tenant_id text primary key,
        hub_schema text not null
    );
    grant select, insert, update, delete on all tables in schema easysync_ledger to easysync_worker;
    perform easysync_internal.go_on_counting();
end
$function$;
revoke all on function easysync_internal.create_ledger() from public;

-- A ledger that outlived the extension names syncs of then: no new one may have their numbers.
create function easysync_internal.go_on_counting() returns void
    language plpgsql set search_path = pg_catalog, pg_temp
as $function$
declare
    last_id bigint;
begin
    if exists (select from easysync_internal.sync_runs) then
        return;
    end if;
    execute 'select greatest((select max(created_by) from easysync_ledger.links), (select max(sync_id) from easysync_ledger.sync_requests))'
        into last_id;
    if last_id >= (select s.last_value from easysync_internal.sync_runs_sync_id_seq as s) then
        perform setval('easysync_internal.sync_runs_sync_id_seq', last_id);
    end if;
end
$function$;
revoke all on function easysync_internal.go_on_counting() from public;

-- The id map: one hub row, one remote record of one account.
create function easysync_internal.create_links() returns void
    language plpgsql set search_path = pg_catalog, pg_temp
as $function$
begin
    -- Keys are compared byte by byte (collate "C"): the page's hash lookup is the hot path.
    create table if not exists easysync_ledger.links (
        hub_id bigint,                  -- id in the hub table of the entity; null: known there, not stored here
        remote_num bigint,              -- remote_id where it is a whole number: range scans find hard deletes
        agreed_at timestamptz not null default now(),  -- both sides were equal
        deleted_at timestamptz,         -- gone there
        revision integer not null default 0,           -- acknowledged writes to it
        -- A reference of the record could not be resolved when it was stored (a line's product was
        -- not here yet): it counts as changed until it is.
        refs_pending boolean not null default false,
        created_by bigint,              -- sync that made the hub's row; null: it was there, or is from before 0.3.0
        tenant_id text collate "C" not null,
        account text collate "C" not null,             -- connections.account
        entity text collate "C" not null,
        remote_id text collate "C" not null,
        remote_type text collate "C" not null,         -- order, variation, guest, SalesReceipt, ...
        hash bytea not null,            -- of the canonical form, made by the engine
        remote_number text,             -- number people see there
        remote_version text,            -- e.g. SyncToken
        raw text,                       -- the platform's JSON, byte for byte
        agreed text,                    -- what both sides agreed on at the last write (pushes)
        primary key (tenant_id, account, entity, remote_id)
    );
    -- What older versions made without.
    if not exists (select from pg_attribute where attrelid = 'easysync_ledger.links'::regclass and attname = 'created_by') then
        alter table easysync_ledger.links add column if not exists agreed text, add column created_by bigint;
    end if;
    -- What a sync created. Links of one sync lie together: a summary of blocks costs a first load nothing.
    create index if not exists links_created_by on easysync_ledger.links using brin (created_by)
        with (pages_per_range = 64);
    -- present_ids: where tenant_id = . and account = . and remote_type = . and remote_num between . and .
    create index if not exists links_present on easysync_ledger.links (tenant_id, account, remote_type, remote_num)
        where deleted_at is null and remote_num is not null;
    -- From a hub row to its remote records (push, view links). The id comes first, so that nothing
    -- takes it for a way to all links of a tenant while the table has no statistics.
    create index if not exists links_of_row on easysync_ledger.links (hub_id, tenant_id, entity);
    if to_regclass('easysync_ledger.links_hub') is not null then
        drop index easysync_ledger.links_hub;  -- what 0.1.0 had instead
    end if;
    -- Records that wait for a reference: few or none.
    create index if not exists links_pending on easysync_ledger.links (tenant_id, account, entity)
        where refs_pending;
    begin
        alter table easysync_ledger.links alter column raw set compression lz4;
    exception when feature_not_supported then
        null;  -- a server built without lz4 keeps pglz
    end;
end
$function$;
revoke all on function easysync_internal.create_links() from public;

-- For the worker, which fills the table and doesn't own it.
create function easysync_internal.analyze_links() returns void
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$ begin analyze (skip_locked) easysync_ledger.links; end $$;

-- Write requests (intents): committed before the request is sent, with the answer after. Bodies,
-- never headers or tokens.
create function easysync_internal.create_requests() returns void
    language plpgsql set search_path = pg_catalog, pg_temp
as $function$
begin
    create table if not exists easysync_ledger.sync_requests (
        tenant_id text collate "C" not null,
        account text collate "C" not null,
        request_id text collate "C" not null,          -- derived: account, entity, record, operation, body, revision
        connection text not null,
        sync_id bigint,
        change_ids integer[] not null default '{}',
        entity text,
        record_id text,
        operation text,
        revision integer,
        document_number text,
        body text,
        body_hash text not null,                       -- SHA-256 of the body, hex
        status text not null default 'intended'
            check (status in ('intended', 'sent', 'done', 'failed', 'unknown')),
        http_status integer,
        platform_trace text,
        attempts integer not null default 0,
        intended_at timestamptz not null default now(),
        finished_at timestamptz,
        primary key (tenant_id, account, request_id)
    );
    create index if not exists sync_requests_open on easysync_ledger.sync_requests (tenant_id, account, intended_at)
        where status in ('intended', 'sent', 'unknown');
end
$function$;
revoke all on function easysync_internal.create_requests() from public;

-- Schema of a tenant's hub; null before the first connect or create_hub. STABLE and dynamic: the
-- ledger may not be there.
create function easysync_internal.hub_schema(tenant text) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $function$
declare
    found_schema text;
begin
    if to_regclass('easysync_ledger.tenants') is null then
        return null;
    end if;
    execute 'select hub_schema from easysync_ledger.tenants where tenant_id = $1' into found_schema using tenant;
    return found_schema;
end
$function$;
revoke all on function easysync_internal.hub_schema(text) from public;
