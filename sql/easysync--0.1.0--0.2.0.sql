-- easysync 0.1.0 to 0.2.0: texts of errors and hints, and a warning where no connection works. New: pushes to
-- QuickBooks, schedules, webhooks. tests/tests/upgrade.rs compares what this makes of an old installation with a fresh one.

drop function easysync_internal.warn_if_idle(text, bigint, text);

-- What, where; a detail with category and code; what to do, where something can be done. Texts hold no
-- secret and no personal data.
create or replace function easysync_internal.raise_error(sqlstate_code text, message text, detail text, hint text)
    returns void
    language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if hint is null then
        raise exception using errcode = sqlstate_code, message = message, detail = detail;
    end if;
    raise exception using errcode = sqlstate_code, message = message, detail = detail, hint = hint;
end
$$;

-- The zone whose name ends alike, or the form of a name.
create or replace function easysync_internal.timezone_hint(value text) returns text
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select coalesce(
        -- Not format(): without a zone this has to be null.
        (select 'Did you mean ' || string_agg(z.name, ', ' order by z.name) || '?'
         from (select name from pg_timezone_names
               where name like '%/%' and name !~ '^(posix|right)/'
                 and lower(split_part(reverse(name), '/', 1)) = lower(split_part(reverse(replace(value, ' ', '_')), '/', 1))
               limit 5) as z),
        'Names are like America/Edmonton; pg_timezone_names lists them.')
$$;

-- The session user's rights: CREATE in the database or in the schema, and ownership of hub tables
-- that are there already.
create or replace function easysync_internal.check_hub_rights(schema_name text) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    foreign_table text;
begin
    if not exists (select from pg_namespace where nspname = schema_name) then
        if not has_database_privilege(session_user, current_database(), 'create') then
            perform easysync_internal.raise_error('42501', format('permission denied to create schema %I', schema_name),
                'category: validation, code: insufficient_privilege',
                format('GRANT CREATE ON DATABASE %I TO %I, or let the owner create the schema.', current_database(), session_user));
        end if;
        execute format('create schema %I authorization %I', schema_name, session_user);
        return;
    end if;
    if not has_schema_privilege(session_user, schema_name, 'create') then
        perform easysync_internal.raise_error('42501', format('permission denied for schema %I', schema_name),
                'category: validation, code: insufficient_privilege',
            format('GRANT CREATE ON SCHEMA %I TO %I.', schema_name, session_user));
    end if;
    select c.relname into foreign_table
    from easysync_internal.hub_tables() as t
    join pg_class as c on c.relname = t.table_name
    join pg_namespace as n on n.oid = c.relnamespace and n.nspname = schema_name
    where not pg_has_role(session_user, c.relowner, 'usage')
    order by t.position limit 1;
    if found then
        perform easysync_internal.raise_error('42501', format('must be owner of table %I.%I', schema_name, foreign_table),
            'category: validation, code: insufficient_privilege',
            'Call easysync.create_hub as the owner of the hub tables.');
    end if;
end
$$;

create or replace function easysync.unfence(mode text) returns boolean
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    live text := easysync_internal.selected_tenant();
    was record;
    here record;
    accounts text;
    others integer;
begin
    perform easysync_internal.check_word('unfence_mode', mode, 'Modes');
    if pg_is_in_recovery() then
        perform easysync_internal.raise_argument('a standby can not be unfenced', 'Promote it first.');
    end if;
    select * into was from easysync_internal.fence_state();
    if was.state <> 'fenced' then
        return false;
    end if;
    -- The fence is the database's, and so is lifting it; the names of others' accounts are theirs.
    select string_agg(format('%s (%s %s)', name, connector, coalesce(account, '?')), ', ' order by tenant_id, name)
               filter (where tenant_id = any (easysync.allowed_tenants())),
           count(*) filter (where tenant_id <> all (easysync.allowed_tenants()))
      into accounts, others from easysync_internal.connections;
    if mode = 'copy' then
        perform easysync_internal.forget_accounts();
        perform easysync_internal.sandbox_all();
    end if;
    perform easysync_internal.accept_identity(mode, verify => mode = 'takeover');
    select * into here from easysync_internal.whereabouts();
    raise notice 'accounts concerned: %', concat_ws(', ', coalesce(accounts, case others when 0 then 'none' end),
        case when others > 0 then format('%s of other tenants', others) end);
    raise notice 'identity accepted: system %, database %, instance %, timeline %, Postgres %',
        here.system_identifier, here.database_oid, here.instance, here.timeline, here.major;
    -- A copy goes on in its sandbox, whose log begins with what made it one.
    perform easysync_internal.audit(t.id, 'unfence', mode, to_jsonb(was.reason), to_jsonb(here))
    from (select live as id union select easysync_internal.in_force(live)) as t;
    perform easysync_internal.ensure_log_partitions();
    perform easysync_internal.wake();
    return true;
end
$$;

-- A copy: credentials are erased, queue, intents and what was still to run dropped. Hub rows, links and
-- logs stay.
create or replace function easysync_internal.forget_accounts() returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    perform easysync_internal.audit(c.tenant_id, 'erase_credentials', c.name,
                                    jsonb_build_object('status', c.status, 'account', c.account, 'key_id', c.key_id), '{"status": "disabled"}')
    from easysync_internal.connections as c;
    update easysync_internal.connections
    set sealed = null, key_id = null, sealed_at = null, token_expires_at = null, status = 'disabled',
        status_reason = 'a copy of another database: its credentials were erased',
        status_hint = 'Give it credentials of its own with easysync.set_credentials, then easysync.enable.', changed_at = now();
    delete from easysync_internal.sync_queue;
    delete from easysync_internal.hub_changes;
    update easysync_internal.sync_runs
    set status = 'cancelled', finished_at = clock_timestamp(), cancel_reason = 'unfenced as a copy'
    where status in ('queued', 'running', 'awaiting_confirmation');
    update easysync_internal.sync_run_steps set status = 'cancelled', finished_at = clock_timestamp()
    where status in ('queued', 'running', 'awaiting_confirmation');
    if to_regclass('easysync_ledger.sync_requests') is not null then
        delete from easysync_ledger.sync_requests where status <> 'done';
    end if;
end
$$;

-- The connection, or YS404 with the names there are.
create or replace function easysync_internal.known_connection(tenant text, connection_name text)
    returns easysync_internal.connections
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    known easysync_internal.connections;
begin
    select * into known from easysync_internal.connections as c where c.tenant_id = tenant and c.name = connection_name;
    if not found then
        perform easysync_internal.raise_error('YS404', format('unknown connection %s', coalesce('"' || connection_name || '"', 'NULL')),
            'category: not_found, code: unknown_connection',
            coalesce((select 'Connections: ' || string_agg(c.name, ', ' order by c.name) || '.'
                      from easysync_internal.connections as c where c.tenant_id = tenant),
                     'There is none yet: easysync.connect makes one.'));
    end if;
    return known;
end
$$;

-- Says why a sync that is queued will not start: nobody is there to take it, or nobody may.
create or replace function easysync_internal.warn_if_idle(tenant text, queued_id bigint, entity_name text, connection_name text) returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    fence record;
    worker jsonb := easysync_internal.worker_status();
    known easysync_internal.connections;
begin
    select * into fence from easysync_internal.fence_state();
    if fence.state = 'fenced' then
        raise warning 'sync % waits: this database is fenced: %', queued_id, fence.reason
            using hint = 'easysync.unfence says what this database is.';
    elsif not coalesce((worker ->> 'running')::boolean, false) then
        raise warning 'sync % waits: no worker is running', queued_id
            using hint = easysync_internal.worker_cure(worker);
    end if;
    select * into known from easysync_internal.connections as c where c.tenant_id = tenant and c.name = connection_name;
    if known.status <> 'connected' then
        raise warning '"%" is %', known.name, known.status || coalesce(': ' || known.status_reason, '')
            using hint = coalesce(known.status_hint, format('SELECT easysync.enable(%L);', known.name));
    elsif connection_name is null
          and not exists (select from easysync_internal.streams as s
                          join easysync_internal.connections as c on c.tenant_id = s.tenant_id and c.name = s.connection
                          where s.tenant_id = tenant and s.entity = entity_name and s.direction <> 'off' and c.status = 'connected') then
        raise warning 'no connection that carries % works', entity_name
            using hint = 'SELECT connection, reasons, cures FROM easysync.connection_health;';
    end if;
end
$$;

create or replace function easysync_internal.worker_cure(worker jsonb) returns text
    language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select case
        when not coalesce((worker ->> 'preloaded')::boolean, false)
            then 'Add easysync to shared_preload_libraries and restart Postgres.'
        when worker ->> 'state' = 'version_mismatch'
            then 'Library and scripts are of different versions: ALTER EXTENSION easysync UPDATE; or install the library that fits.'
        when worker ->> 'state' = 'starting' then 'It is starting.'
        else 'It is started by itself; the server''s log says why if it is not.' end
$$;

create or replace function easysync.trigger(entity text, mode text default 'incremental', connection text default null, ids text[] default null,
                                 filters jsonb default null, idempotency_key text default null, dry_run boolean default false)
    returns bigint
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    request record;
    new_id bigint;
begin
    if dry_run then
        perform easysync_internal.raise_error('0A000', 'dry runs are not part of this version',
            'category: validation, code: not_supported', 'Leave out dry_run.');
    end if;
    if idempotency_key = '' or length(idempotency_key) > 255 then
        perform easysync_internal.raise_argument('invalid idempotency key', '1 to 255 characters, or none.');
    end if;
    select * into request from easysync_internal.checked_request(tenant, entity, mode, connection, ids, filters);
    new_id := easysync_internal.queue_sync(tenant, entity, request.checked_mode, connection, request.checked_ids,
                                           request.checked_filters, idempotency_key);
    perform easysync_internal.warn_if_idle(tenant, new_id, entity, connection);
    return new_id;
end
$$;

create or replace function easysync_internal.queue_retry(tenant text, connection_name text, entity_name text, failure_ids bigint[], record_ids text[])
    returns bigint
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    new_id bigint := easysync_internal.queue_sync(tenant, entity_name, 'ids', connection_name, record_ids, null,
                                                  triggered_by => 'retry', failure_ids => failure_ids);
begin
    perform easysync_internal.warn_if_idle(tenant, new_id, entity_name, connection_name);
    return new_id;
end
$$;

revoke all on function easysync_internal.warn_if_idle(text, bigint, text, text) from public;
grant execute on function easysync_internal.warn_if_idle(text, bigint, text, text) to easysync_worker;

-- Pushes: the queue's claims, plans with their changes and intents, confirmations, previews and grants.
alter table easysync_internal.sync_run_steps
    add column plan_hash text, add column plan_summary jsonb, add column plan_released boolean not null default false,
    add column confirmed integer not null default 0, add column confirmed_hash text;
alter table easysync_internal.sync_queue add column sync_id bigint, add column claimed_generation bigint;
alter table easysync_internal.sync_changes
    add column step integer not null, add column hub_id bigint, add column root_entity text, add column root_id bigint,
    add column wave smallint not null default 0, add column payload text, add column found boolean not null default false,
    add column before_agreed text, add column before_raw text;
create index sync_changes_of_row on easysync_internal.sync_changes (entity, hub_id, sync_id);
create index sync_changes_unsent on easysync_internal.sync_changes (sync_id, step, wave, change_id)
    where status = 'planned';
create table easysync_internal.confirmations (
    token_hash bytea primary key,
    tenant_id text not null,
    sync_id bigint,
    plan_hash text not null,
    issued_to text not null,        -- session user; behind a gateway, and a digest of the person
    issued_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    spent_at timestamptz,
    request jsonb,
    plans jsonb,
    lines jsonb
);
alter table easysync_internal.sync_runs add column confirmed_plans jsonb;
create table easysync_internal.oauth_states (
    nonce text primary key,
    spent_at timestamptz not null
);
create index confirmations_sync on easysync_internal.confirmations (sync_id);
select pg_catalog.pg_extension_config_dump('easysync_internal.confirmations', '');
select pg_catalog.pg_extension_config_dump('easysync_internal.oauth_states', '');
do $$
begin
    if to_regclass('easysync_ledger.links') is not null then
        alter table easysync_ledger.links add column if not exists agreed text, add column if not exists created_by bigint;
        create index if not exists links_created_by on easysync_ledger.links using brin (created_by)
            with (pages_per_range = 64);
    end if;
end
$$;
create type easysync.change as (
    change_id integer,
    connection text,
    direction text,
    entity text,
    record_id text,
    label text,
    target text,
    action text,
    destructive boolean,
    reason text,
    fields jsonb,
    depends_on integer[]
);
comment on type easysync.change is 'One planned or previewed write';
create type easysync.confirmation as (
    required boolean,
    reasons text[],
    changes integer,
    destructive integer,
    by_action jsonb,
    confirmations_required integer,
    confirmations_given integer,
    sync_id bigint,
    token text,
    expires_at timestamptz
);
comment on type easysync.confirmation is 'What a sync would do, and the token to let it';

create function easysync_internal.preview(tenant text, connection text, entity text, mode text, ids text[], filters jsonb) returns jsonb
    language c volatile parallel unsafe as 'MODULE_PATHNAME', 'preview_wrapper';
create function easysync_internal.authorize_url(tenant text, connection text, redirect_uri text) returns jsonb
    language c strict volatile parallel unsafe as 'MODULE_PATHNAME', 'authorize_url_wrapper';
create function easysync_internal.callback_state(callback_url text) returns jsonb
    language c strict volatile parallel unsafe as 'MODULE_PATHNAME', 'callback_state_wrapper';
create function easysync_internal.exchange_code(callback_url text) returns jsonb
    language c strict volatile parallel unsafe as 'MODULE_PATHNAME', 'exchange_code_wrapper';

drop function easysync_internal.queue_sync(text, text, text, text, text[], jsonb, text, text, bigint[]);
create or replace function easysync_internal.create_links() returns void
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
        created_by bigint,              -- sync that made the hub's row; null: it was there, or is from before 0.2.0
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

create or replace function easysync_internal.words()
    returns table (term text, value text, applies_to text, description text, "position" integer)
    language sql immutable set search_path = pg_catalog, pg_temp
as $function$
    select w.term, w.value, w.applies_to, w.description, w.ordinality::integer
    from rows from (jsonb_to_recordset($json$[
{"term": "connector", "value": "woocommerce", "description": "a WooCommerce shop, by its REST API v3"},
    {"term": "connector", "value": "quickbooks", "description": "the books of a company in QuickBooks Online"},

{"term": "entity", "value": "customers", "description": "people and companies who buy"},
{"term": "entity", "value": "products", "description": "what is sold, with its variations"},
{"term": "entity", "value": "orders", "description": "orders; a run brings customers and products before, refunds after"},
{"term": "entity", "value": "refunds", "description": "money given back"},
{"term": "entity", "value": "invoices", "description": "invoices, from here or the books"},
{"term": "entity", "value": "payments", "description": "money received"},
{"term": "entity", "value": "vendors", "description": "who sells to us"},
{"term": "entity", "value": "bills", "description": "what we owe"},

{"term": "mode", "value": "incremental", "description": "what changed since the last run; the first one is full"},
{"term": "mode", "value": "full", "description": "all records, all compared; what is gone is found"},

{"term": "direction", "value": "off", "description": "nothing flows"},
{"term": "direction", "value": "pull", "description": "from the platform into the hub"},
{"term": "direction", "value": "push", "description": "from the hub to the platform"},
{"term": "direction", "value": "two_way", "description": "both"},

{"term": "source_of_truth", "value": "local", "description": "the hub is right"},
{"term": "source_of_truth", "value": "platform", "description": "the platform is right"},

{"term": "conflict_strategy", "value": "source_wins", "description": "the side that source_of_truth names wins"},
{"term": "conflict_strategy", "value": "target_wins", "description": "the other side wins"},
{"term": "conflict_strategy", "value": "newest_wins", "description": "the later change wins"},
{"term": "conflict_strategy", "value": "merge", "description": "field by field; what clashes falls to the source of truth"},
{"term": "conflict_strategy", "value": "manual", "description": "a person decides"},

{"term": "delete_policy", "value": "keep", "description": "what is gone on one side stays on the other, marked"},
{"term": "delete_policy", "value": "inactivate", "description": "what is gone on one side is switched off on the other"},
{"term": "delete_policy", "value": "delete", "description": "what is gone on one side is deleted on the other"},

{"term": "push_when", "value": "triggered", "description": "only trigger and schedules send"},
{"term": "push_when", "value": "changed", "description": "a change in the hub starts a sync"},

{"term": "filter", "value": "status", "applies_to": "products", "description": "text or array of texts"},
{"term": "filter", "value": "status", "applies_to": "orders", "description": "text or array of texts"},
{"term": "filter", "value": "status", "applies_to": "invoices", "description": "text or array of texts"},
{"term": "filter", "value": "status", "applies_to": "payments", "description": "text or array of texts"},
{"term": "filter", "value": "status", "applies_to": "bills", "description": "text or array of texts"},
{"term": "filter", "value": "created_since", "description": "time; this moment counts"},
{"term": "filter", "value": "created_until", "description": "time; this moment doesn't count"},
{"term": "filter", "value": "modified_since", "description": "time; this moment counts"},
{"term": "filter", "value": "modified_until", "description": "time; this moment doesn't count"},
{"term": "filter", "value": "currency", "applies_to": "orders", "description": "ISO 4217 code"},
{"term": "filter", "value": "currency", "applies_to": "refunds", "description": "ISO 4217 code"},
{"term": "filter", "value": "currency", "applies_to": "invoices", "description": "ISO 4217 code"},
{"term": "filter", "value": "currency", "applies_to": "payments", "description": "ISO 4217 code"},
{"term": "filter", "value": "currency", "applies_to": "bills", "description": "ISO 4217 code"},
{"term": "filter", "value": "customer", "applies_to": "orders", "description": "id of the customer where it was born"},
{"term": "filter", "value": "customer", "applies_to": "invoices", "description": "id of the customer where it was born"},
{"term": "filter", "value": "customer", "applies_to": "payments", "description": "id of the customer where it was born"},
{"term": "filter", "value": "sku", "applies_to": "products", "description": "stock keeping unit"},
{"term": "filter", "value": "type", "applies_to": "products", "description": "kind of product: simple, variable, grouped, external"},

{"term": "order_status", "value": "pending", "applies_to": "orders", "description": "not paid yet"},
{"term": "order_status", "value": "processing", "applies_to": "orders", "description": "paid, to be delivered"},
{"term": "order_status", "value": "on-hold", "applies_to": "orders", "description": "payment to be confirmed"},
{"term": "order_status", "value": "completed", "applies_to": "orders", "description": "paid and delivered"},
{"term": "order_status", "value": "cancelled", "applies_to": "orders", "description": "cancelled"},
{"term": "order_status", "value": "refunded", "applies_to": "orders", "description": "all money given back"},
{"term": "order_status", "value": "failed", "applies_to": "orders", "description": "payment failed"},
{"term": "order_status", "value": "trash", "applies_to": "orders", "description": "in the shop's trash"},
{"term": "product_status", "value": "publish", "applies_to": "products", "description": "on sale"},
{"term": "product_status", "value": "draft", "applies_to": "products", "description": "not on sale yet"},
{"term": "product_status", "value": "pending", "applies_to": "products", "description": "awaits review"},
{"term": "product_status", "value": "private", "applies_to": "products", "description": "for the shop's staff"},
{"term": "product_status", "value": "trash", "applies_to": "products", "description": "in the shop's trash"},
{"term": "product_type", "value": "simple", "applies_to": "products", "description": "one item"},
{"term": "product_type", "value": "variable", "applies_to": "products", "description": "has variations"},
{"term": "product_type", "value": "grouped", "applies_to": "products", "description": "a group of products"},
{"term": "product_type", "value": "external", "applies_to": "products", "description": "sold elsewhere"},

{"term": "connection_status", "value": "pending", "description": "waits for a person to grant access"},
{"term": "connection_status", "value": "connected", "description": "works"},
{"term": "connection_status", "value": "reauthorize", "description": "the grant is gone: a person must give it again"},
{"term": "connection_status", "value": "error", "description": "stopped; see status_reason"},
{"term": "connection_status", "value": "disabled", "description": "paused by a person"},

{"term": "sync_status", "value": "queued", "description": "waits for the worker"},
{"term": "sync_status", "value": "running", "description": "in the worker's hands"},
{"term": "sync_status", "value": "awaiting_confirmation", "description": "waits for a person to confirm its plan"},
{"term": "sync_status", "value": "succeeded", "description": "all of it done"},
{"term": "sync_status", "value": "partial", "description": "done but for some records: see sync_failures"},
{"term": "sync_status", "value": "failed", "description": "ended by an error"},
{"term": "sync_status", "value": "cancelled", "description": "ended by a person"},
{"term": "sync_status", "value": "expired", "description": "not confirmed in time"},

{"term": "triggered_by", "value": "manual", "description": "trigger or run"},
{"term": "triggered_by", "value": "schedule", "description": "a schedule"},
{"term": "triggered_by", "value": "webhook", "description": "a delivery from the platform"},
{"term": "triggered_by", "value": "change", "description": "a change in the hub"},
{"term": "triggered_by", "value": "retry", "description": "retry, or its time had come"},
{"term": "triggered_by", "value": "undo", "description": "undo"},

{"term": "error_category", "value": "authentication", "description": "the platform refused the credentials"},
{"term": "error_category", "value": "rate_limit", "description": "the platform's limit is reached; goes on by itself"},
{"term": "error_category", "value": "validation", "description": "the record or the settings can't be"},
{"term": "error_category", "value": "not_found", "description": "no such record there"},
{"term": "error_category", "value": "conflict", "description": "somebody else was faster"},
{"term": "error_category", "value": "network", "description": "the platform can't be reached; tried again by itself"},
{"term": "error_category", "value": "needs_attention", "description": "a person must look at the record"},
{"term": "error_category", "value": "blocked", "description": "waits for a change of settings"},
{"term": "error_category", "value": "internal", "description": "our own mistake: please report it"},

{"term": "log_level", "value": "debug", "description": "everything"},
{"term": "log_level", "value": "info", "description": "every operation"},
{"term": "log_level", "value": "warn", "description": "what was odd"},
{"term": "log_level", "value": "error", "description": "what failed"},

{"term": "unfence_mode", "value": "takeover", "description": "this database is production now"},
{"term": "unfence_mode", "value": "copy", "description": "this database is a copy: its credentials are erased"},

{"term": "key_step", "value": "prepare", "description": "write the new key into the key file"},
{"term": "key_step", "value": "activate", "description": "seal with the new key"},
{"term": "key_step", "value": "both", "description": "both in one go"}
]$json$::jsonb) as (term text, value text, applies_to text, description text)) with ordinality as w
$function$;

create or replace function easysync_internal.connector_streams()
    returns table (connector text, entity text, default_direction text, directions text[])
    language sql immutable set search_path = pg_catalog, pg_temp
as $$
    values ('woocommerce', 'customers', 'pull', array['off', 'pull']),
           ('woocommerce', 'products', 'pull', array['off', 'pull']),
           ('woocommerce', 'orders', 'pull', array['off', 'pull']),
           ('woocommerce', 'refunds', 'pull', array['off', 'pull']),
           ('quickbooks', 'customers', 'push', array['off', 'push']),
           ('quickbooks', 'products', 'push', array['off', 'push']),
           ('quickbooks', 'orders', 'push', array['off', 'push']),
           ('quickbooks', 'refunds', 'push', array['off', 'push']),
           ('quickbooks', 'invoices', 'off', array['off', 'pull']),
           ('quickbooks', 'payments', 'off', array['off', 'pull']),
           ('quickbooks', 'vendors', 'off', array['off', 'pull', 'push']),
           ('quickbooks', 'bills', 'off', array['off', 'pull', 'push'])
$$;

create or replace function easysync_internal.ask_account(tenant text, connection_name text, connector text, settings jsonb,
                                              credentials jsonb, verify boolean)
    returns jsonb
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    answer jsonb;
    failed jsonb;
    remark jsonb;
begin
    if verify then
        perform easysync_internal.check_fence();
    end if;
    answer := easysync_internal.open_account(tenant, connection_name, connector, settings, credentials, verify);
    perform easysync_internal.raise_answer(answer -> 'errors', connection_name);
    -- One check that failed often fails those after it: the first one is raised.
    select c.value into failed
    from jsonb_array_elements(coalesce(answer -> 'checks', '[]')) with ordinality as c
    where not (c.value ->> 'ok')::boolean order by c.ordinality limit 1;
    if failed is not null then
        perform easysync_internal.raise_answer(jsonb_build_array(coalesce(nullif(failed -> 'error', 'null'),
            jsonb_build_object('category', 'validation', 'code', failed ->> 'name',
                               'message', failed ->> 'message', 'hint', failed ->> 'hint'))), connection_name);
    end if;
    if (answer ->> 'pending')::boolean then
        raise notice '"%" is pending: open easysync.oauth_authorize_url', connection_name;
    elsif verify then
        raise notice 'connected to "%"%', coalesce(answer ->> 'account_label', answer ->> 'account_key'), coalesce(', ' || (answer ->> 'platform'), '');
        -- What is well but has a hint is for a person to do, now rather than record by record.
        for remark in select c.value from jsonb_array_elements(coalesce(answer -> 'checks', '[]')) with ordinality as c
                      where (c.value ->> 'ok')::boolean and c.value ->> 'hint' is not null order by c.ordinality loop
            raise notice '%', remark ->> 'message' using hint = remark ->> 'hint';
        end loop;
    end if;
    return answer;
end
$$;

create or replace function easysync_internal.store_connection(tenant text, connection_name text, connector_name text, settings jsonb,
                                                   answer jsonb, verified boolean)
    returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    begin
        insert into easysync_internal.connections as c
            (tenant_id, name, connector, status, status_reason, account, settings)
        values (tenant, connection_name, connector_name, 'disabled', 'stored without a check', answer ->> 'account_key', store_connection.settings);
    exception when unique_violation then
        -- Somebody connected under this name while we were asking the platform.
        perform easysync_internal.check_name_is_free(tenant, connection_name);
        raise;
    end;
    insert into easysync_internal.streams (tenant_id, connection, entity, direction, source_of_truth)
    select tenant, connection_name, e.entity, coalesce(s.default_direction, 'off'),
           case when s.default_direction = 'push' then 'local' else 'platform' end
    from unnest(easysync_internal.words_of('entity')) as e (entity)
    left join easysync_internal.connector_streams() as s on s.connector = connector_name and s.entity = e.entity;
    if (answer ->> 'pending')::boolean then
        perform easysync_internal.apply_answer(tenant, connection_name, answer, false, enable => false);
        update easysync_internal.connections as c
        set status = 'pending', status_reason = 'nobody has granted access yet', status_hint = 'Open easysync.oauth_authorize_url.'
        where c.tenant_id = tenant and c.name = connection_name;
    else
        perform easysync_internal.apply_answer(tenant, connection_name, answer, verified, enable => verified);
    end if;
    if not verified and not (answer ->> 'pending')::boolean then
        raise notice '"%" is stored, disabled: easysync.enable checks it', connection_name;
    end if;
    perform easysync_internal.ensure_log_partitions();
    -- The launcher looks for databases with work; a worker that runs is woken by the row's trigger.
    perform easysync_internal.rescan();
end
$$;

-- Keeps what the library answered. `verified`: the platform was asked and took it.
create or replace function easysync_internal.apply_answer(tenant text, connection_name text, answer jsonb, verified boolean, enable boolean)
    returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    update easysync_internal.connections as c
    set account = coalesce(answer ->> 'account_key', c.account),
        account_label = coalesce(answer ->> 'account_label', c.account_label),
        platform = coalesce(answer ->> 'platform', c.platform),
        reads_budget = (answer ->> 'reads_budget')::bigint,
        sealed = coalesce(decode(answer ->> 'sealed', 'base64'), c.sealed),
        key_id = case when answer ->> 'sealed' is not null then answer ->> 'key_id' else c.key_id end,
        sealed_at = case when answer ->> 'sealed' is not null then now() else c.sealed_at end,
        verified_at = case when verified then clock_timestamp() else c.verified_at end,
        webhooks_enabled = coalesce((c.settings ->> 'webhooks')::boolean, true),
        changed_at = now()
    where c.tenant_id = tenant and c.name = connection_name;
    if not verified or (answer ->> 'pending')::boolean then
        return;
    end if;
    -- What the worker stopped works again; what a person paused stays paused, unless he says so.
    update easysync_internal.connections as c
    set status = 'connected', status_reason = null, status_hint = null, circuit = 'closed', circuit_until = null
    where c.tenant_id = tenant and c.name = connection_name and (enable or c.status <> 'disabled');
    if not exists (select from easysync_internal.identity where system_identifier is not null) then
        perform easysync_internal.accept_identity('connect', verify => false);
        perform easysync_internal.audit(tenant, 'accept_identity', connection_name, null, to_jsonb(w)) from easysync_internal.whereabouts() as w;
    end if;
    perform easysync_internal.wake();
end
$$;

-- Queues a run; never waits for another session, but for one with the same idempotency key.
create or replace function easysync_internal.queue_sync(tenant text, entity text, mode text, connection text, ids text[], filters jsonb,
                                             idempotency_key text default null, triggered_by text default 'manual',
                                             failure_ids bigint[] default null, looks_only boolean default false)
    returns bigint
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    new_id bigint;
    earlier easysync_internal.sync_runs;
begin
    loop
        insert into easysync_internal.sync_runs as r
            (tenant_id, entity, mode, connection, ids, filters, idempotency_key, triggered_by, failure_ids, dry_run, requested_by, sandbox)
        values (tenant, entity, mode, connection, ids, filters, idempotency_key, triggered_by, failure_ids, looks_only, session_user,
                easysync_internal.is_twin(tenant))
        on conflict do nothing
        returning r.sync_id into new_id;
        if new_id is not null then
            return new_id;
        end if;
        select * into earlier from easysync_internal.sync_runs as r
        where r.tenant_id = tenant and r.idempotency_key = queue_sync.idempotency_key;
        -- Gone again (retention): the key is free.
        exit when found;
    end loop;
    if (earlier.entity, earlier.mode, earlier.connection, earlier.ids, earlier.filters, earlier.dry_run)
       is distinct from (entity, mode, connection, ids, filters, looks_only) then
        perform easysync_internal.raise_error('YS409', format('idempotency key "%s" was used with other arguments', idempotency_key),
            format('category: conflict, code: idempotency_key; sync %s', earlier.sync_id),
            format('SELECT * FROM easysync.sync_status(%s);', earlier.sync_id));
    end if;
    return earlier.sync_id;
end
$$;

create or replace function easysync.trigger(entity text, mode text default 'incremental', connection text default null, ids text[] default null,
                                 filters jsonb default null, idempotency_key text default null, dry_run boolean default false)
    returns bigint
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    request record;
    new_id bigint;
begin
    if idempotency_key = '' or length(idempotency_key) > 255 then
        perform easysync_internal.raise_argument('invalid idempotency key', '1 to 255 characters, or none.');
    end if;
    select * into request from easysync_internal.checked_request(tenant, entity, mode, connection, ids, filters);
    if dry_run then
        perform easysync_internal.check_working(tenant, entity, connection);
    end if;
    new_id := easysync_internal.queue_sync(tenant, entity, request.checked_mode, connection, request.checked_ids,
                                           request.checked_filters, idempotency_key, looks_only => coalesce(trigger.dry_run, false));
    perform easysync_internal.warn_if_idle(tenant, new_id, entity, connection);
    return new_id;
end
$$;

-- What syncs planned, changed, sent and met: for operators, since values are personal data.

create function easysync_internal.masked(text text) returns text
    language c immutable strict parallel safe as 'MODULE_PATHNAME', 'masked_wrapper';
create function easysync_internal.masked_json(value jsonb) returns jsonb
    language c immutable strict parallel safe as 'MODULE_PATHNAME', 'masked_json_wrapper';
-- What pulls created: a first load of 100,000 orders keeps no change for each, but its sync on each
-- link (links.created_by). The view sync_changes shows those records from there, and their fields
-- from the hub as it is now.

-- Records that a sync created and whose links are still kept. PL/pgSQL: the ledger may not be there,
-- and hubs have schemas of their own. Uses the index links_created_by.
create function easysync_internal.created_records(tenant text, run_id bigint)
    returns table (place bigint, connection text, entity text, hub_id bigint, record_id text, label text)
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp rows 100
as $$
declare
    schema_name text := easysync_internal.hub_schema(tenant);
    parts text;
begin
    -- Only what the session may see, whatever was asked for.
    if schema_name is null or to_regclass('easysync_ledger.links') is null or tenant <> all (easysync.allowed_tenants()) then
        return;
    end if;
    select string_agg(format('select m.*, h.source_connection, %s as called from made as m left join %I.%I as h on h.tenant_id = $1 and h.id = m.hub_id where m.entity = %L',
                             case t.entity when 'customers' then 'easysync_internal.masked(h.email)'
                                           when 'vendors' then 'easysync_internal.masked(h.display_name)'
                                           when 'payments' then 'easysync_internal.masked(h.reference)'
                                           when 'products' then 'h.sku' else 'h.number' end,
                             schema_name, t.table_name, t.entity), ' union all ')
    into parts
    from easysync_internal.hub_tables() as t where t.table_name = t.entity;
    return query execute format(
        'with made as materialized (
             select l.entity, l.hub_id, l.remote_id, l.account from easysync_ledger.links as l
             where l.created_by = $2 and l.tenant_id = $1)
         select row_number() over (order by t.position, x.hub_id),
                coalesce(x.source_connection, (select min(c.name) from easysync_internal.connections as c
                                               where c.tenant_id = $1 and c.account = x.account), ''''),
                x.entity::text, x.hub_id, x.remote_id::text, coalesce(x.called, x.remote_id)
         from (%s) as x join easysync_internal.hub_tables() as t on t.table_name = x.entity', parts)
        using tenant, run_id;
end
$$;

-- How a value of a hub's column is shown in changes: amounts as texts, times in UTC.
create function easysync_internal.shown_value(type_name text, expression text) returns text
    language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select case type_name
        when 'numeric' then format('to_jsonb((%s)::text)', expression)
        when 'timestamptz' then format('to_jsonb((to_jsonb((%s) at time zone ''UTC'') #>> ''{}'') || ''Z'')', expression)
        else format('to_jsonb(%s)', expression) end
$$;

-- What a record of the hub holds, with its lines: every value but nulls and empty JSON. Null: it is
-- not in the hub. For the worker, which asks for any tenant.
create function easysync_internal.hub_fields(tenant text, entity_name text, id bigint) returns jsonb
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
    schema_name text := easysync_internal.hub_schema(tenant);
    part record;
    fields jsonb;
    of_part jsonb;
begin
    if schema_name is null then
        return null;
    end if;
    for part in
        select t.table_name, t.document_column, t.table_name <> t.entity as is_line,
               string_agg(format('(%L, %s)', c.column_name,
                                 easysync_internal.shown_value(c.type_name, 'h.' || quote_ident(c.column_name))), ', ') as columns
        from easysync_internal.hub_tables() as t
        join easysync_internal.hub_columns() as c on c.table_name = t.table_name
        where t.entity = entity_name and c.column_name not in ('tenant_id', 'id')
          and (c.column_name <> t.document_column or t.table_name = t.entity)
        group by t.table_name, t.document_column, t.entity, t.position order by t.position
    loop
        execute format(
            'select jsonb_object_agg(%s v.path, jsonb_build_object(''old'', null, ''new'', v.new))
             from %I.%I as h cross join lateral (values %s) as v (path, new)
             where h.tenant_id = $1 and h.%I = $2 and v.new is not null and v.new not in (''{}'', ''[]'')',
            case when part.is_line then '''lines['' || coalesce(h.source_id, h.id::text) || ''].'' ||' else '' end,
            schema_name, part.table_name, part.columns, part.document_column)
        into of_part using tenant, id;
        fields := coalesce(fields || coalesce(of_part, '{}'), of_part);
        exit when fields is null;
    end loop;
    return fields;
end
$$;

-- The same of a created record, for those who may see it.
create function easysync_internal.created_fields(tenant text, entity_name text, id bigint) returns jsonb
    language sql stable security definer set search_path = pg_catalog, pg_temp
as $$ select easysync_internal.hub_fields(tenant, entity_name, id) where tenant = any (easysync.allowed_tenants()) $$;

-- Would a foreign key keep one of these rows of a hub table from being deleted? `removed`: rows of
-- hub tables, by table, that go before. Keys that cascade are followed.
create function easysync_internal.is_referred_to(schema_name text, table_name text, tenant text, ids bigint[], removed jsonb)
    returns boolean
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    reference record;
    found_one boolean;
    children bigint[];
begin
    for reference in
        select n.nspname as child_schema, c.relname as child, k.confdeltype as on_delete,
               exists (select from pg_attribute as i where i.attrelid = k.conrelid and i.attname = 'id' and i.atttypid = 'bigint'::regtype) as has_id,
               (select string_agg(format('r.%I = t.%I', child_column.attname, own.attname), ' and ')
                from unnest(k.conkey, k.confkey) as pair (child_key, own_key)
                join pg_attribute as child_column on child_column.attrelid = k.conrelid and child_column.attnum = pair.child_key
                join pg_attribute as own on own.attrelid = k.confrelid and own.attnum = pair.own_key) as matches
        from pg_constraint as k
        join pg_class as c on c.oid = k.conrelid
        join pg_namespace as n on n.oid = c.relnamespace
        where k.contype = 'f' and k.confrelid = format('%I.%I', is_referred_to.schema_name, is_referred_to.table_name)::regclass
          and k.confdeltype in ('a', 'r', 'c') and k.conparentid = 0
    loop
        execute format('select coalesce(array_agg(%s), ''{}'') from %I.%I as r join %I.%I as t on %s
                        where t.tenant_id = $1 and t.id = any ($2) %s',
                       case when reference.has_id then 'r.id' else '0' end, reference.child_schema, reference.child,
                       schema_name, table_name, reference.matches,
                       case when reference.has_id and reference.child_schema = schema_name
                            then 'and r.id <> all ($3)' || case when reference.child = table_name then ' and r.id <> all ($2)' else '' end
                            else '' end)
        into children
        using tenant, ids, array(select jsonb_array_elements_text(removed -> reference.child)::bigint);
        if cardinality(children) = 0 then
            continue;
        end if;
        found_one := reference.on_delete <> 'c'
            or (reference.has_id and easysync_internal.is_referred_to(reference.child_schema, reference.child, tenant, children, removed));
        if found_one then
            return true;
        end if;
    end loop;
    return false;
end
$$;

-- What pulls created is kept on links: the second part, asked of runs that stored something. Fields
-- are made for rows that are read, not for those that are only counted.
create view easysync.sync_changes with (security_barrier) as
select c.sync_id, c.change_id, c.connection, c.direction, c.entity, c.record_id, c.label, c.target, c.action, c.destructive,
       c.reason, case when c.by_link then easysync_internal.created_fields(c.tenant_id, c.entity, c.hub_id) else c.fields end as fields,
       c.depends_on, c.status, c.remote_id, c.finished_at, c.error_category, c.error_code, c.error_message, c.error_hint,
       c.tenant_id
from (
    select k.sync_id, k.change_id, k.connection, k.direction, k.entity, k.record_id, k.label, k.target, k.action,
           k.destructive, k.reason, k.fields, k.depends_on, k.status, k.remote_id, k.finished_at, k.error_category,
           k.error_code, k.error_message, k.error_hint, k.tenant_id, k.hub_id, false as by_link
    from easysync_internal.sync_changes as k
    where k.tenant_id = any ((select easysync_internal.visible_tenants())::text[])
    union all
    select r.sync_id,
           (coalesce((select max(k.change_id) from easysync_internal.sync_changes as k where k.sync_id = r.sync_id), 0)
            + n.place)::integer,
           n.connection, 'pull', n.entity, n.record_id, n.label, n.entity, 'create', false, null, null, '{}'::integer[],
           'done', n.record_id, r.finished_at, null, null, null, null, r.tenant_id, n.hub_id, true
    from easysync_internal.sync_runs as r
    cross join lateral easysync_internal.created_records(r.tenant_id, r.sync_id) as n
    where r.tenant_id = any ((select easysync_internal.visible_tenants())::text[])
      and exists (select from easysync_internal.sync_run_steps as s
                  where s.sync_id = r.sync_id and s.direction = 'pull' and s.created + s.updated > 0)) as c;
comment on view easysync.sync_changes is 'What a sync planned and did, change by change, with old and new values';
comment on column easysync.sync_changes.sync_id is 'run';
comment on column easysync.sync_changes.change_id is 'order in the plan';
comment on column easysync.sync_changes.connection is 'connection';
comment on column easysync.sync_changes.direction is 'pull, push';
comment on column easysync.sync_changes.entity is 'entity';
comment on column easysync.sync_changes.record_id is 'record';
comment on column easysync.sync_changes.label is 'what people call it';
comment on column easysync.sync_changes.target is 'table or document type';
comment on column easysync.sync_changes.action is 'create, update, void, inactivate, delete, skip';
comment on column easysync.sync_changes.destructive is 'counts as destructive';
comment on column easysync.sync_changes.reason is 'why';
comment on column easysync.sync_changes.fields is '{"path": {"old": ..., "new": ...}}';
comment on column easysync.sync_changes.depends_on is 'change_ids before it';
comment on column easysync.sync_changes.status is 'planned, sent, done, failed, unknown, skipped';
comment on column easysync.sync_changes.remote_id is 'id on the platform';
comment on column easysync.sync_changes.finished_at is 'outcome known';
comment on column easysync.sync_changes.error_category is 'authentication, rate_limit, validation, not_found, conflict, network, internal';
comment on column easysync.sync_changes.error_code is 'the platform''s code, or ours';
comment on column easysync.sync_changes.error_message is 'masked text';
comment on column easysync.sync_changes.error_hint is 'what to do';
comment on column easysync.sync_changes.tenant_id is 'tenant (last column of every view)';

-- Intents of some tenants. PL/pgSQL: the ledger may not be there, and filters come afterwards.
create function easysync_internal.read_requests(tenants text[])
    returns table (request_id text, sync_id bigint, connection text, change_ids integer[], document_number text, body_hash text,
                   status text, http_status integer, platform_trace text, attempts integer, intended_at timestamptz,
                   finished_at timestamptz, tenant_id text)
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp rows 10000
as $$
begin
    if to_regclass('easysync_ledger.sync_requests') is null then
        return;
    end if;
    -- Only what the session may see, whatever was asked for.
    return query execute
        'select r.request_id, r.sync_id, r.connection, r.change_ids, r.document_number, r.body_hash, r.status, r.http_status,
                r.platform_trace, r.attempts, r.intended_at, r.finished_at, r.tenant_id
         from easysync_ledger.sync_requests as r where r.tenant_id = any ($1) and r.tenant_id = any ($2)'
        using tenants, easysync.allowed_tenants();
end
$$;

create view easysync.sync_requests with (security_barrier) as
select r.request_id, r.sync_id, r.connection, r.change_ids, r.document_number, r.body_hash, r.status, r.http_status,
       r.platform_trace, r.attempts, r.intended_at, r.finished_at, r.tenant_id
from easysync_internal.read_requests((select easysync_internal.visible_tenants())) as r;
comment on view easysync.sync_requests is 'Write requests (intents) and their outcome; never headers or tokens';
comment on column easysync.sync_requests.request_id is 'id sent to the platform';
comment on column easysync.sync_requests.sync_id is 'run';
comment on column easysync.sync_requests.connection is 'connection';
comment on column easysync.sync_requests.change_ids is 'changes in it';
comment on column easysync.sync_requests.document_number is 'number sent';
comment on column easysync.sync_requests.body_hash is 'SHA-256 of the body';
comment on column easysync.sync_requests.status is 'intended, sent, done, failed, unknown';
comment on column easysync.sync_requests.http_status is 'answer';
comment on column easysync.sync_requests.platform_trace is 'the platform''s own trace id';
comment on column easysync.sync_requests.attempts is 'sends';
comment on column easysync.sync_requests.intended_at is 'committed before the send';
comment on column easysync.sync_requests.finished_at is 'outcome known';
comment on column easysync.sync_requests.tenant_id is 'tenant (last column of every view)';

create view easysync.sync_conflicts with (security_barrier) as
select k.conflict_id, k.sync_id, k.connection, k.entity, k.record_id, k.label, k.fields, k.conflict_strategy, k.status,
       k.resolution, k.detected_at, k.resolved_at, k.resolved_by, k.tenant_id
from easysync_internal.sync_conflicts as k
where k.tenant_id = any ((select easysync_internal.visible_tenants())::text[]);
comment on view easysync.sync_conflicts is 'Both sides changed, apart';
comment on column easysync.sync_conflicts.conflict_id is 'key';
comment on column easysync.sync_conflicts.sync_id is 'run that met it';
comment on column easysync.sync_conflicts.connection is 'connection';
comment on column easysync.sync_conflicts.entity is 'entity';
comment on column easysync.sync_conflicts.record_id is 'record';
comment on column easysync.sync_conflicts.label is 'what people call it';
comment on column easysync.sync_conflicts.fields is '{"path": {"agreed": ..., "local": ..., "platform": ...}}';
comment on column easysync.sync_conflicts.conflict_strategy is 'in force then';
comment on column easysync.sync_conflicts.status is 'open, resolved';
comment on column easysync.sync_conflicts.resolution is 'local, platform, merged, custom';
comment on column easysync.sync_conflicts.detected_at is 'met';
comment on column easysync.sync_conflicts.resolved_at is 'settled';
comment on column easysync.sync_conflicts.resolved_by is 'role, null: by strategy';
comment on column easysync.sync_conflicts.tenant_id is 'tenant (last column of every view)';

-- The queue of a push: hub changes are folded into it, a run claims entries and gives them back.
-- Called by the worker alone. An orders run holds its customers, products and refunds: what happens
-- to a refund is queued as its order.

-- Folds noted changes of a tenant's hub into the queues of the connections that are pushed to; never
-- into that of the connection that a change came from. Returns how many notes were taken. What was written
-- in the tenant's name into another schema (a sandbox's hub, an old one) is nobody's.
create function easysync_internal.push_fold(tenant text) returns bigint
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    hub text := easysync_internal.hub_schema(tenant);
    taken bigint[];
begin
    if hub is null then
        return 0;
    end if;
    select array_agg(c.change_id) into taken
    from (select x.change_id from easysync_internal.hub_changes as x
          where x.tenant_id = tenant order by x.change_id limit 20000) as c;
    if taken is null then
        return 0;
    end if;
    execute format($sql$
        with noted as (
            select c.entity, c.hub_id, c.origin, c.changed_at, c.operation
            from easysync_internal.hub_changes as c where c.change_id = any ($2) and c.hub_schema = %1$L and c.entity <> 'refunds'
            union all
            select 'orders', r.order_id, c.origin, c.changed_at, 'update'
            from easysync_internal.hub_changes as c join %1$I.refunds as r on r.tenant_id = c.tenant_id and r.id = c.hub_id
            where c.change_id = any ($2) and c.hub_schema = %1$L and c.entity = 'refunds'),
        wanted as (
            select s.connection, n.entity, n.hub_id, min(n.changed_at) as queued_at,
                   case when bool_or(n.operation = 'delete') then 'delete' else 'update' end as operation
            from noted as n
            join easysync_internal.streams as s on s.tenant_id = $1 and s.entity = n.entity and s.direction in ('push', 'two_way')
            where n.hub_id is not null and n.origin is distinct from s.connection
            group by s.connection, n.entity, n.hub_id)
        insert into easysync_internal.sync_queue as q (tenant_id, connection, entity, hub_id, record_id, operation, queued_at)
        select $1, w.connection, w.entity, w.hub_id,
               coalesce(case w.entity
                   when 'customers' then (select h.source_id from %1$I.customers as h where h.tenant_id = $1 and h.id = w.hub_id)
                   when 'products' then (select h.source_id from %1$I.products as h where h.tenant_id = $1 and h.id = w.hub_id)
                   when 'orders' then (select h.source_id from %1$I.orders as h where h.tenant_id = $1 and h.id = w.hub_id) end,
                   w.hub_id::text),
               w.operation, w.queued_at
        from wanted as w
        order by w.connection, w.entity, w.hub_id
        on conflict (tenant_id, connection, entity, hub_id) do update
            set generation = q.generation + 1, operation = excluded.operation, attempts = 0, next_attempt_at = null,
                status = case q.status when 'claimed' then 'claimed' else 'waiting' end
    $sql$, hub) using tenant, taken;
    delete from easysync_internal.hub_changes as c where c.change_id = any (taken);
    return cardinality(taken);
end
$$;

-- Takes the entries that a run looks at: those that wait or are due, with `everything` all of them,
-- with ids those. A lease, committed, never a lock that is held over a call.
create function easysync_internal.push_claim(run_id bigint, tenant text, connection_name text, entities text[], ids text[], everything boolean)
    returns bigint
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    with due as (
        select q.tenant_id, q.connection, q.entity, q.hub_id from easysync_internal.sync_queue as q
        where q.tenant_id = tenant and q.connection = connection_name and q.entity = any (entities)
          and (ids is null or q.record_id = any (ids))
          and (everything or ids is not null or q.status = 'waiting' or q.next_attempt_at <= clock_timestamp()
               or (q.status = 'claimed' and (q.sync_id = run_id or q.lease_until < clock_timestamp())))
        order by q.entity, q.hub_id for update),
    taken as (
        update easysync_internal.sync_queue as q
        set status = 'claimed', sync_id = run_id, claimed_generation = q.generation,
            lease_until = clock_timestamp() + interval '1 hour'
        from due as d
        where q.tenant_id = d.tenant_id and q.connection = d.connection and q.entity = d.entity and q.hub_id = d.hub_id
        returning 1)
    select count(*) from taken
$$;

-- The next records that a plan looks at, after a place. `scope`: queue, walk, ids.
create function easysync_internal.push_candidates(run_id bigint, tenant text, connection_name text, account_key text,
                                                  root_entities text[], linked_only boolean[], scope text, ids text[],
                                                  filters jsonb, looks_only boolean, after_root integer, after_id bigint, most integer)
    returns table (root integer, hub_id bigint)
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    hub text := easysync_internal.hub_schema(tenant);
    source text;
    narrowed text;
    left_over integer := most;
    found_now integer;
begin
    for i in after_root .. cardinality(root_entities) - 1 loop
        exit when left_over <= 0;
        narrowed := case when root_entities[i + 1] = 'orders' then
            ' and ($4 -> ''status'' is null or h.status = any (select jsonb_array_elements_text(case jsonb_typeof($4 -> ''status'') when ''array'' then $4 -> ''status'' else jsonb_build_array($4 -> ''status'') end)))'
            ' and ($4 ->> ''created_since'' is null or h.created_at >= ($4 ->> ''created_since'')::timestamptz)'
            ' and ($4 ->> ''created_until'' is null or h.created_at < ($4 ->> ''created_until'')::timestamptz)'
            ' and ($4 ->> ''modified_since'' is null or h.modified_at >= ($4 ->> ''modified_since'')::timestamptz)'
            ' and ($4 ->> ''modified_until'' is null or h.modified_at < ($4 ->> ''modified_until'')::timestamptz)'
            ' and ($4 ->> ''currency'' is null or h.currency = $4 ->> ''currency'')'
            else ' and ($4 is null or true)' end;
        source := case
            when scope = 'refunds' then format(' and exists (select from %I.refunds as r where r.tenant_id = $1 and r.order_id = h.id'
                ' and (r.source_id = any ($5) or (r.source_id is null and r.id::text = any ($5))))', hub)
            when scope = 'ids' then ' and (h.source_id = any ($5) or (h.source_id is null and h.id::text = any ($5)))'
            when scope = 'queue' and looks_only then
                ' and ($5 is null or true) and (exists (select from easysync_internal.sync_queue as q where q.tenant_id = $1 and q.connection = $6'
                ' and q.entity = $3 and q.hub_id = h.id and (q.status in (''waiting'', ''claimed'') or q.next_attempt_at <= clock_timestamp()))'
                ' or exists (select from easysync_internal.hub_changes as c where c.tenant_id = $1 and c.entity = $3 and c.hub_id = h.id'
                ' and c.origin is distinct from $6)'
                || case root_entities[i + 1] when 'orders' then format(
                ' or exists (select from easysync_internal.hub_changes as c join %I.refunds as r on r.tenant_id = c.tenant_id and r.id = c.hub_id'
                ' where c.tenant_id = $1 and c.entity = ''refunds'' and r.order_id = h.id and c.origin is distinct from $6)', hub) else '' end || ')'
            when scope = 'queue' then
                ' and ($5 is null or true) and exists (select from easysync_internal.sync_queue as q where q.tenant_id = $1 and q.connection = $6'
                ' and q.entity = $3 and q.hub_id = h.id and q.sync_id = $8 and q.status = ''claimed'')'
            else ' and ($5 is null or true)' end;
        return query execute format(
            'select %s::integer, h.id from %I.%I as h where h.tenant_id = $1 and h.id > $2 and ($3 is not null) and ($6 is not null) and ($8 is not null)'
            || narrowed || source
            || case when linked_only[i + 1] then ' and exists (select from easysync_ledger.links as l where l.tenant_id = $1 and l.entity = $3 and l.hub_id = h.id and l.account = $7 and l.deleted_at is null)'
               else ' and ($7 is not null)' end
            || ' order by h.id limit %s', i, hub, root_entities[i + 1], left_over)
        using tenant, case when i = after_root then after_id else 0 end, root_entities[i + 1], filters, ids, connection_name, account_key, run_id;
        get diagnostics found_now = row_count;
        left_over := left_over - found_now;
    end loop;
end
$$;

-- Records with all that belongs to them, as the engine reads them: rows as JSON, lines under `lines`.
create function easysync_internal.push_bundles(tenant text, account_key text, entity text, ids bigint[])
    returns table (hub_id bigint, record_id text, source_account text, record text, refunds text[], customer text,
                   products text[], links jsonb)
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    hub text := easysync_internal.hub_schema(tenant);
    product_row text := format('(to_jsonb(p) || jsonb_build_object(''same_sku'', (select count(*) from %1$I.products as o '
        'where o.tenant_id = $1 and o.sku = p.sku and o.deleted_at is null)))::text', hub);
    bought text := 'select (x.value ->> ''product_id'')::bigint from jsonb_array_elements(case jsonb_typeof(h.lines) when ''array'' then h.lines else ''[]'' end) as x '
        'where x.value ->> ''product_id'' ~ ''^[0-9]{1,18}$''';
    links_of text := 'coalesce((select jsonb_agg(jsonb_build_object(''entity'', l.entity, ''hub_id'', l.hub_id, ''remote_type'', l.remote_type, '
        '''remote_id'', l.remote_id, ''remote_number'', l.remote_number, ''version'', l.remote_version, ''revision'', l.revision, '
        '''agreed'', l.agreed, ''deleted'', l.deleted_at is not null)) from easysync_ledger.links as l where l.tenant_id = $1 and l.account = $2 and (%s)), ''[]'')';
begin
    if entity <> 'orders' then
        return query execute format(
            'select h.id, coalesce(h.source_id, h.id::text), coalesce((select c.account from easysync_internal.connections as c '
            'where c.tenant_id = $1 and c.name = h.source_connection), ''''), %s, array[]::text[], %s, %s, %s '
            'from unnest($3::bigint[]) with ordinality as u (id, nr) join %I.%I as h on h.tenant_id = $1 and h.id = u.id %s order by u.nr',
            case entity when 'products' then 'p.row_text' else 'to_jsonb(h)::text' end,
            -- A bill comes with its vendor and the products of its lines.
            case entity when 'bills' then format('(select to_jsonb(v)::text from %I.vendors as v where v.tenant_id = $1 and v.id = h.vendor_id)', hub)
            else 'null::text' end,
            case entity when 'bills' then format('array(select %s from %I.products as p where p.tenant_id = $1 and p.id in (%s) order by p.id)',
                                                 product_row, hub, bought)
            else 'array[]::text[]' end,
            format(links_of, format('l.entity = %L and l.hub_id = h.id', entity)
                || case entity when 'bills' then format(' or l.entity = ''vendors'' and l.hub_id = h.vendor_id or l.entity = ''products'' and l.hub_id in (%s)', bought)
                   else '' end), hub, entity,
            case entity when 'products' then format('cross join lateral (select %s as row_text from %I.products as p where p.tenant_id = $1 and p.id = h.id) as p', product_row, hub) else '' end)
        using tenant, account_key, ids;
        return;
    end if;
    return query execute format(
        'select h.id, coalesce(h.source_id, h.id::text), coalesce((select c.account from easysync_internal.connections as c
                where c.tenant_id = $1 and c.name = h.source_connection), ''''),
               (to_jsonb(h) || jsonb_build_object(''lines'', coalesce((select jsonb_agg(to_jsonb(l) order by l.line_number, l.id)
                from %1$I.order_lines as l where l.tenant_id = $1 and l.order_id = h.id), ''[]'')))::text,
               array(select (to_jsonb(r) || jsonb_build_object(''lines'', coalesce((select jsonb_agg(to_jsonb(l) order by l.id)
                from %1$I.refund_lines as l where l.tenant_id = $1 and l.refund_id = r.id), ''[]'')))::text
                from %1$I.refunds as r where r.tenant_id = $1 and r.order_id = h.id order by r.created_at, r.id),
               (select to_jsonb(c)::text from %1$I.customers as c where c.tenant_id = $1 and c.id = h.customer_id),
               array(select ' || product_row || ' from %1$I.products as p where p.tenant_id = $1
                and p.id in (select l.product_id from %1$I.order_lines as l where l.tenant_id = $1 and l.order_id = h.id) order by p.id),
               ' || format(links_of, 'l.entity = ''orders'' and l.hub_id = h.id
                or l.entity = ''customers'' and l.hub_id = h.customer_id
                or l.entity = ''refunds'' and l.hub_id in (select r.id from %1$I.refunds as r where r.tenant_id = $1 and r.order_id = h.id)
                or l.entity = ''products'' and l.hub_id in (select x.product_id from %1$I.order_lines as x where x.tenant_id = $1 and x.order_id = h.id)') || '
        from unnest($3::bigint[]) with ordinality as u (id, nr) join %1$I.orders as h on h.tenant_id = $1 and h.id = u.id order by u.nr', hub)
    using tenant, account_key, ids;
end
$$;

-- Gives a run's entries back. In step: gone, but where the record changed meanwhile. Else they wait
-- for their next attempt, for a change, or for a person. Returns nothing: counts are the step's.
create function easysync_internal.push_finish(run_id bigint, step_number integer, tenant text, connection_name text) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    with judged as (
        select q.entity, q.hub_id,
               coalesce(bool_and(c.status in ('done', 'skipped')), true) as in_step,
               bool_or(c.error_category = 'blocked') as blocked,
               bool_or(c.error_category in ('network', 'rate_limit', 'conflict') or c.status in ('unknown', 'planned')) as again
        from easysync_internal.sync_queue as q
        left join easysync_internal.sync_changes as c
            on c.sync_id = run_id and c.step = step_number and c.root_entity = q.entity and c.root_id = q.hub_id
        where q.tenant_id = tenant and q.connection = connection_name and q.sync_id = run_id and q.status = 'claimed'
        group by q.entity, q.hub_id),
    gone as (
        delete from easysync_internal.sync_queue as q using judged as j
        where q.tenant_id = tenant and q.connection = connection_name and q.entity = j.entity and q.hub_id = j.hub_id
          and j.in_step and q.generation = q.claimed_generation
        returning q.entity, q.hub_id)
    update easysync_internal.sync_queue as q
    set status = case when j.in_step or q.generation <> q.claimed_generation then 'waiting'
                      when j.blocked then 'blocked' else 'failed' end,
        attempts = case when j.in_step then 0 else q.attempts + 1 end,
        next_attempt_at = case when not j.in_step and q.generation = q.claimed_generation and j.again
            then clock_timestamp() + least(interval '1 minute' * 5 ^ least(q.attempts, 4), interval '6 hours') end,
        sync_id = null, claimed_generation = null, lease_until = null
    from judged as j
    where q.tenant_id = tenant and q.connection = connection_name and q.entity = j.entity and q.hub_id = j.hub_id
      and not (j.in_step and q.generation = q.claimed_generation);
end
$$;

-- The plan waits or could not go on: entries are as if nobody had looked.
create function easysync_internal.push_release(run_id bigint, tenant text, connection_name text) returns void
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    update easysync_internal.sync_queue as q
    set status = 'waiting', sync_id = null, claimed_generation = null, lease_until = null
    where q.tenant_id = tenant and q.connection = connection_name and q.sync_id = run_id and q.status = 'claimed'
$$;

-- What a push keeps while it plans and sends. Called by the worker alone; each is one transaction.

-- Changes of a plan, as the engine numbered them.
create function easysync_internal.push_save(run_id bigint, step_number integer, tenant text, connection_name text, direction_name text,
                                            changes jsonb) returns void
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    insert into easysync_internal.sync_changes
        (sync_id, change_id, step, tenant_id, connection, direction, entity, hub_id, root_entity, root_id, wave, payload, record_id,
         label, target, action, destructive, reason, fields, depends_on, status, error_category, error_code, error_message, error_hint)
    select run_id, c.change_id, step_number, tenant, connection_name, direction_name, c.entity, c.hub_id, c.root_entity, c.root_id, c.wave,
           c.payload, c.record_id, c.label, c.target, c.action, c.destructive, c.reason, coalesce(c.fields, '{}'),
           array(select jsonb_array_elements_text(c.depends_on)::integer), c.status,
           c.error ->> 'category', c.error ->> 'code', c.error ->> 'message', c.error ->> 'hint'
    from jsonb_to_recordset(changes) as c (change_id integer, entity text, hub_id bigint, root_entity text, root_id bigint, wave smallint,
        payload text, record_id text, label text, target text, action text, destructive boolean, reason text, fields jsonb,
        depends_on jsonb, status text, error jsonb)
$$;

-- A failed record of a push. `waits_for`: failure that it waits for. An undo has none: what it could
-- not take back stands in its changes, and trying the record again would write it once more.
create function easysync_internal.push_failed(run_id bigint, tenant text, connection_name text, entity_name text, id text, label_text text,
                                              target text, error jsonb, waits_for bigint default null)
    returns bigint
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    insert into easysync_internal.sync_failures as f
        (tenant_id, connection, entity, direction, record_id, remote_type, label, error_category, error_code, error_message,
         error_hint, retryable, sync_id, blocked_by, next_attempt_at)
    select tenant, connection_name, entity_name, 'push', id, target, easysync_internal.masked_id(label_text), error ->> 'category', error ->> 'code',
           error ->> 'message', error ->> 'hint', coalesce((error ->> 'retryable')::boolean, false), run_id, waits_for,
           case when (error ->> 'retryable')::boolean then clock_timestamp() + interval '1 minute' end
    where not exists (select from easysync_internal.sync_runs as r where r.sync_id = run_id and r.undoes is not null)
    on conflict (tenant_id, connection, entity, direction, record_id) do update
        set remote_type = excluded.remote_type, label = excluded.label, error_category = excluded.error_category,
            error_code = excluded.error_code, error_message = excluded.error_message, error_hint = excluded.error_hint,
            retryable = excluded.retryable, sync_id = excluded.sync_id, blocked_by = excluded.blocked_by,
            attempts = f.attempts + 1, last_attempt_at = clock_timestamp(), discarded_at = case when f.error_code = excluded.error_code then f.discarded_at end,
            next_attempt_at = case when excluded.retryable
                then clock_timestamp() + least(interval '1 minute' * 5 ^ least(f.attempts, 4), interval '6 hours') end
    returning f.failure_id
$$;

create function easysync_internal.push_in_step(tenant text, connection_name text, entity_names text[], record_ids text[]) returns void
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    delete from easysync_internal.sync_failures as f using unnest(entity_names, record_ids) as r (entity, id)
    where f.tenant_id = tenant and f.connection = connection_name and f.direction = 'push' and f.entity = r.entity
      and f.record_id = r.id and f.discarded_at is null and f.error_code not in ('total_differs', 'answer_differs')
$$;

-- The plan is complete. Released: what can't be sent becomes failed records now, and what landed or
-- is skipped has none any more.
create function easysync_internal.push_close(run_id bigint, step_number integer, tenant text, connection_name text, hash text,
                                             summary jsonb, released boolean, given integer, given_hash text, until timestamptz, looks_only boolean)
    returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    update easysync_internal.sync_run_steps as s
    set plan_hash = hash, plan_summary = summary, plan_released = released, confirmed = given, confirmed_hash = given_hash,
        records_total = (summary ->> 'records')::bigint, phase = case when released then 'sending' else 'awaiting confirmation' end
    where s.sync_id = run_id and s.step = step_number;
    update easysync_internal.sync_runs as r set confirm_until = until where r.sync_id = run_id and until is not null;
    if not looks_only then
        perform easysync_internal.audit_plan(run_id, tenant, connection_name, hash, summary, released, given);
    end if;
    if released and not looks_only then
        perform easysync_internal.push_failed(run_id, tenant, connection_name, c.entity, c.record_id, c.label, c.target,
            jsonb_build_object('category', c.error_category, 'code', c.error_code, 'message', c.error_message, 'hint', c.error_hint, 'retryable', false))
        from easysync_internal.sync_changes as c
        where c.sync_id = run_id and c.step = step_number and c.status = 'failed';
        delete from easysync_internal.sync_failures as f using easysync_internal.sync_changes as c
        where f.tenant_id = tenant and f.connection = connection_name and f.direction = 'push' and f.entity = c.entity
          and f.record_id = c.record_id and c.sync_id = run_id and c.step = step_number and c.status = 'skipped';
    end if;
end
$$;

-- Changes that wait for another one which failed: by its name.
create function easysync_internal.push_block(run_id bigint, tenant text, connection_name text, blocked jsonb) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    one record;
    obstacle bigint;
    error jsonb;
begin
    for one in select * from jsonb_to_recordset(blocked) as b (change_id integer, entity text, record_id text, label text, target text,
                                                               by_entity text, by_record_id text, by_label text, by_target text) loop
        select f.failure_id into obstacle from easysync_internal.sync_failures as f
        where f.tenant_id = tenant and f.connection = connection_name and f.direction = 'push' and f.entity = one.by_entity
          and f.record_id = one.by_record_id;
        error := jsonb_build_object('category', 'conflict', 'code', 'waits_for_dependency', 'retryable', true,
            'message', format('%s %s waits for %s %s', one.target, one.label, one.by_target, easysync_internal.masked_id(one.by_label)),
            'hint', 'It goes on once that is sent; see blocked_by in easysync.sync_failures.');
        perform easysync_internal.push_failed(run_id, tenant, connection_name, one.entity, one.record_id, one.label, one.target, error, obstacle);
        update easysync_internal.sync_changes as c
        set status = 'failed', finished_at = clock_timestamp(), error_category = error ->> 'category', error_code = error ->> 'code',
            error_message = error ->> 'message', error_hint = error ->> 'hint'
        where c.sync_id = run_id and c.change_id = one.change_id;
    end loop;
end
$$;

-- An intent, before its call. The same call again keeps its row.
create function easysync_internal.push_intend(run_id bigint, tenant text, account_key text, connection_name text, request text,
                                              hash text, items text, change_list integer[], numbers text)
    returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    insert into easysync_ledger.sync_requests as r
        (tenant_id, account, request_id, connection, sync_id, change_ids, document_number, body, body_hash, status, attempts)
    values (tenant, account_key, request, connection_name, run_id, change_list, numbers, items, hash, 'intended', 1)
    on conflict (tenant_id, account, request_id) do update
        set status = 'intended', attempts = r.attempts + 1, sync_id = excluded.sync_id, change_ids = excluded.change_ids,
            body = excluded.body, intended_at = clock_timestamp(), finished_at = null;
    perform easysync_internal.audit_destructive(run_id, tenant, account_key, request, change_list);
    update easysync_internal.sync_changes as c set status = 'sent'
    where c.sync_id = run_id and c.change_id = any (change_list) and c.status in ('planned', 'unknown');
    -- The intent must survive whatever happens after the call, however the server is set.
    if current_setting('synchronous_commit') in ('off', 'local') then
        set local synchronous_commit = 'on';
    end if;
end
$$;

-- What became of a call: links, changes, failed records and the request, together.
create function easysync_internal.push_settle(run_id bigint, step_number integer, tenant text, account_key text, connection_name text,
                                              request text, http integer, trace text, items jsonb, calls bigint, reads bigint)
    returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    one record;
    own_run bigint;
begin
    select r.sync_id into own_run from easysync_ledger.sync_requests as r
    where r.tenant_id = tenant and r.account = account_key and r.request_id = request;
    own_run := coalesce(own_run, run_id);
    for one in select * from jsonb_to_recordset(items) as i (change_id integer, entity text, hub_id bigint, record_id text, label text,
            target text, action text, status text, remote_id text, number text, version text, revision integer, agreed text, raw text,
            found boolean, error jsonb, conflict jsonb) loop
        if one.remote_id is not null then
            -- Once: a write that went out again on a newer version must not take its own outcome for what was before.
            update easysync_internal.sync_changes as c
            set before_agreed = coalesce(c.before_agreed, l.agreed), before_raw = coalesce(c.before_raw, l.raw)
            from easysync_ledger.links as l
            where c.sync_id = own_run and c.change_id = one.change_id and one.action not in ('create', 'skip')
              and l.tenant_id = tenant and l.account = account_key and l.entity = one.entity and l.remote_id = one.remote_id;
            perform easysync_internal.push_link(tenant, account_key, one.entity, one.hub_id, one.target, one.remote_id, one.number,
                                                one.version, one.revision, one.agreed, one.raw, one.action = 'delete');
        end if;
        update easysync_internal.sync_changes as c
        set status = one.status, remote_id = coalesce(one.remote_id, c.remote_id), found = coalesce(one.found, c.found), payload = case one.status when 'done' then null else c.payload end,
            finished_at = case when one.status in ('done', 'failed') then clock_timestamp() end,
            error_category = one.error ->> 'category', error_code = one.error ->> 'code',
            error_message = one.error ->> 'message', error_hint = one.error ->> 'hint'
        where c.sync_id = own_run and c.change_id = one.change_id
          -- Done by the same write on a newer version, before this call was settled.
          and not (c.status = 'done' and one.status in ('planned', 'unknown'));
        if one.error is null and one.status = 'done' then
            delete from easysync_internal.sync_failures as f
            where f.tenant_id = tenant and f.connection = connection_name and f.direction = 'push' and f.entity = one.entity
              and f.record_id = one.record_id;
        elsif one.error is not null then
            perform easysync_internal.push_failed(own_run, tenant, connection_name, one.entity, one.record_id, one.label, one.target, one.error);
        end if;
        if one.conflict is not null then
            insert into easysync_internal.sync_conflicts (tenant_id, sync_id, connection, entity, record_id, hub_id, label, fields, conflict_strategy)
            select tenant, own_run, connection_name, one.entity, one.record_id, one.hub_id, easysync_internal.masked_id(one.label), one.conflict, 'manual'
            where not exists (select from easysync_internal.sync_conflicts as k where k.tenant_id = tenant and k.connection = connection_name
                              and k.entity = one.entity and k.record_id = one.record_id and k.status = 'open');
        end if;
    end loop;
    update easysync_ledger.sync_requests as r
    set status = case when exists (select from jsonb_array_elements(items) as i where i.value ->> 'status' = 'unknown') then 'unknown'
                      when not exists (select from jsonb_array_elements(items) as i where i.value ->> 'status' = 'done') then 'failed'
                      else 'done' end,
        http_status = http, platform_trace = trace, finished_at = clock_timestamp(),
        body = case when exists (select from jsonb_array_elements(items) as i where i.value ->> 'status' = 'unknown') then r.body end
    where r.tenant_id = tenant and r.account = account_key and r.request_id = request;
    perform easysync_internal.push_spent(run_id, step_number, tenant, connection_name, calls, reads);
    if current_setting('synchronous_commit') in ('off', 'local') then
        set local synchronous_commit = 'on';
    end if;
end
$$;

create function easysync_internal.push_link(tenant text, account_key text, entity_name text, hub bigint, kind text, remote text, number text,
                                            version text, acknowledged integer, agreed_state text, raw_json text, gone boolean)
    returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    insert into easysync_ledger.links as l
        (tenant_id, account, entity, remote_id, remote_type, remote_num, hub_id, hash, remote_number, remote_version, revision, agreed, raw, deleted_at)
    values (tenant, account_key, entity_name, remote, kind, case when remote ~ '^[0-9]{1,18}$' then remote::bigint end, hub,
            substring(sha256(convert_to(coalesce(agreed_state, ''), 'UTF8')) for 16), number, version, acknowledged, agreed_state, raw_json,
            case when gone then now() end)
    on conflict (tenant_id, account, entity, remote_id) do update
        set remote_type = excluded.remote_type, hub_id = excluded.hub_id, hash = excluded.hash,
            remote_number = coalesce(excluded.remote_number, l.remote_number), remote_version = excluded.remote_version,
            revision = excluded.revision, agreed = excluded.agreed, raw = excluded.raw, agreed_at = now(), deleted_at = excluded.deleted_at;
end
$$;

create function easysync_internal.push_unlink(tenant text, account_key text, entity_name text, remote text) returns boolean
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    with gone as (
        update easysync_ledger.links as l set deleted_at = now()
        where l.tenant_id = tenant and l.account = account_key and l.entity = entity_name and l.remote_id = remote and l.deleted_at is null
        returning 1)
    select exists (select from gone)
$$;

create function easysync_internal.push_spent(run_id bigint, step_number integer, tenant text, connection_name text, calls bigint, reads bigint)
    returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    if calls > 0 then
        update easysync_internal.sync_run_steps as s set api_calls = s.api_calls + calls
        where s.sync_id = run_id and s.step = step_number;
    end if;
    if reads > 0 then
        update easysync_internal.connections as c
        set reads_used = case when c.reads_month = date_trunc('month', now() at time zone 'UTC')::date then c.reads_used else 0 end + reads,
            reads_month = date_trunc('month', now() at time zone 'UTC')::date
        where c.tenant_id = tenant and c.name = connection_name;
    end if;
end
$$;

-- Counts of a step, from its changes.
create function easysync_internal.push_counts(run_id bigint, step_number integer, looks_only boolean)
    returns table (created bigint, updated bigint, deleted bigint, unchanged bigint, failed bigint)
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    with counted as (
        select count(*) filter (where c.status = 'done' and c.action = 'create') as created,
               count(*) filter (where c.status = 'done' and c.action = 'update') as updated,
               count(*) filter (where c.status = 'done' and c.action in ('void', 'delete', 'inactivate')) as deleted,
               count(*) filter (where c.status in ('failed', 'unknown')) as failed
        from easysync_internal.sync_changes as c where c.sync_id = run_id and c.step = step_number)
    update easysync_internal.sync_run_steps as s
    set created = n.created, updated = n.updated, deleted = n.deleted, failed = case when looks_only then 0 else n.failed end,
        unchanged = coalesce((s.plan_summary ->> 'unchanged')::bigint, 0), records_done = coalesce((s.plan_summary ->> 'records')::bigint, 0)
    from counted as n
    where s.sync_id = run_id and s.step = step_number
    returning s.created, s.updated, s.deleted, s.unchanged, s.failed
$$;

-- dry_run: what a sync would change. Planned in the session that asks; nothing is written anywhere.

create function easysync_internal.preview_pulls(tenant text, connection text, entity text, mode text, ids text[], filters jsonb) returns jsonb
    language c volatile parallel unsafe as 'MODULE_PATHNAME', 'preview_pulls_wrapper';
-- Connections that an entity is pushed to.
create function easysync_internal.pushed_to(tenant text, entity_name text, connection_name text) returns text[]
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select coalesce(array_agg(s.connection order by s.connection), '{}')
    from easysync_internal.streams as s
    join easysync_internal.connections as c on c.tenant_id = s.tenant_id and c.name = s.connection
    where s.tenant_id = tenant and s.entity = entity_name and s.direction in ('push', 'two_way') and c.status = 'connected'
      and (connection_name is null or s.connection = connection_name)
$$;

-- Is there anything to look at? 22023 with the way out where no connection works.
create function easysync_internal.check_working(tenant text, entity_name text, connection_name text) returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    if not exists (select from easysync_internal.streams as s
                   join easysync_internal.connections as c on c.tenant_id = s.tenant_id and c.name = s.connection
                   where s.tenant_id = tenant and s.entity = entity_name and s.direction <> 'off' and c.status = 'connected'
                     and (connection_name is null or s.connection = connection_name)) then
        perform easysync_internal.raise_argument(
            case when connection_name is null then format('no connection that carries %s is connected', entity_name)
                 else format('"%s" is not connected', connection_name) end,
            'SELECT connection, status, status_reason FROM easysync.connections;');
    end if;
end
$$;

-- The changes of a plan as the library tells them, behind `places` others.
create function easysync_internal.planned_changes(answer jsonb, places integer) returns setof easysync.change
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select c.change_id + places, c.connection, c.direction, c.entity, c.record_id, c.label, c.target, c.action, c.destructive, c.reason,
           c.fields, array(select d::integer + places from jsonb_array_elements_text(c.depends_on) as d)
    from jsonb_to_recordset(answer -> 'changes') as c (change_id integer, connection text, direction text, entity text,
        record_id text, label text, target text, action text, destructive boolean, reason text, fields jsonb, depends_on jsonb)
$$;

-- Pulls first, as the sync would; the pushes are planned on the hub as it is now.
create function easysync.dry_run(entity text, mode text default 'incremental', connection text default null, ids text[] default null,
                                 filters jsonb default null)
    returns setof easysync.change
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    request record;
    target text;
    answer jsonb;
    places integer;
    remark text;
begin
    select * into request from easysync_internal.checked_request(tenant, dry_run.entity, dry_run.mode, dry_run.connection, dry_run.ids, dry_run.filters);
    perform easysync_internal.check_fence();
    perform easysync_internal.check_working(tenant, dry_run.entity, dry_run.connection);
    answer := easysync_internal.preview_pulls(tenant, dry_run.connection, dry_run.entity, request.checked_mode, request.checked_ids,
                                              request.checked_filters);
    perform easysync_internal.raise_answer(answer -> 'errors', dry_run.connection);
    return query select * from easysync_internal.planned_changes(answer, 0);
    places := coalesce((select max((c.value ->> 'change_id')::integer) from jsonb_array_elements(answer -> 'changes') as c), 0);
    foreach target in array easysync_internal.pushed_to(tenant, dry_run.entity, dry_run.connection) loop
        answer := easysync_internal.preview(tenant, target, dry_run.entity, request.checked_mode, request.checked_ids, request.checked_filters);
        perform easysync_internal.raise_answer(answer -> 'errors', target);
        -- What many orders ask for is said once.
        for remark in select jsonb_array_elements_text(coalesce(answer -> 'remarks', '[]')) loop
            raise notice '"%": %', target, remark;
        end loop;
        return query select * from easysync_internal.planned_changes(answer, places);
        places := places + coalesce((select max((c.value ->> 'change_id')::integer) from jsonb_array_elements(answer -> 'changes') as c), 0);
    end loop;
end
$$;
comment on function easysync.dry_run(text, text, text, text[], jsonb) is 'What trigger would change, one row a change; writes nothing anywhere';

-- Confirmation: a guard against accidents. A token lives five minutes, is spent once, and is bound to
-- the exact plan and to whoever asked for it. Only its hash is kept. It is given for a sync that waits,
-- or beforehand, for one that isn't queued yet.

-- `esc_` and 16 letters and digits, about 82 bits.
create function easysync_internal.new_token() returns text
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    select 'esc_' || string_agg(substr('abcdefghijklmnopqrstuvwxyz0123456789', 1 + get_byte(b.bytes, i) % 36, 1), '' order by i)
    from (select sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) as bytes) as b, generate_series(0, 15) as i
$$;

-- Whom a token is for: the session's user; under a gateway (PostgREST), where all share one, the person of
-- the token that it has verified.
create function easysync_internal.asker() returns text
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    person text;
begin
    -- Loads the library: until then the setting would be a placeholder that anyone can fill.
    perform easysync_internal.library_version();
    if session_user = any (regexp_split_to_array(btrim(coalesce(current_setting('easysync.gateway_roles', true), '')), '\s*,\s*')) then
        person := nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub';
    end if;
    return session_user || coalesce(':' || encode(sha256(convert_to(person, 'UTF8')), 'hex'), '');
exception when invalid_text_representation then
    -- Claims that are no JSON claim nothing.
    return session_user;
end
$$;

-- The plan of a run as a whole: the hashes of its steps' plans.
create function easysync_internal.run_plan_hash(run_id bigint) returns text
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select string_agg(s.plan_hash, '+' order by s.connection, s.step) from easysync_internal.sync_run_steps as s
    where s.sync_id = run_id and s.plan_hash is not null and not s.plan_released
$$;

-- What plans come to together. `summaries`: an array, as the library makes them.
create function easysync_internal.sum_of_plans(tenant text, summaries jsonb)
    returns table (reasons text[], changes integer, destructive integer, by_action jsonb, needed integer)
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    with plans as (select p.value as summary from jsonb_array_elements(summaries) as p),
    actions as (
        select a.key, sum(a.value::bigint) as n from plans as p, jsonb_each_text(p.summary -> 'by_action') as a group by a.key),
    totals as (
        select coalesce((select sum(n) from actions), 0) as writes,
               coalesce((select sum((p.summary ->> 'destructive')::bigint) from plans as p), 0) as destructive,
               coalesce((select sum((p.summary ->> 'overwrites')::bigint) from plans as p), 0) as overwrites)
    select array_remove(array[case when t.writes > easysync_internal.setting(tenant, 'confirm_threshold')::bigint then 'bulk' end,
                              case when exists (select from actions where key = 'delete' and n > 0) then 'delete' end,
                              case when exists (select from actions where key = 'void' and n > 0) then 'void' end,
                              case when t.overwrites > 0 then 'overwrites the source of truth' end], null),
           t.writes::integer, t.destructive::integer, coalesce((select jsonb_object_agg(a.key, a.n) from actions as a), '{}'),
           case when t.destructive > 0 and t.writes > easysync_internal.setting(tenant, 'confirm_threshold')::bigint then 2 else 1 end
    from totals as t
$$;

-- What waits: reasons, counts and confirmations, over all steps of a run.
create function easysync_internal.waiting_plan(tenant text, run_id bigint)
    returns table (reasons text[], changes integer, destructive integer, by_action jsonb, needed integer, given integer, summaries jsonb)
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    with plans as (
        select coalesce(jsonb_agg(s.plan_summary order by s.step), '[]') as summaries,
               coalesce(min(case when s.confirmed_hash = s.plan_hash then s.confirmed else 0 end), 0) as given
        from easysync_internal.sync_run_steps as s
        where s.sync_id = run_id and s.plan_hash is not null and not s.plan_released)
    select t.reasons, t.changes, t.destructive, t.by_action, t.needed, p.given, p.summaries
    from plans as p, easysync_internal.sum_of_plans(tenant, p.summaries) as t
$$;

-- Plans the pushes of a sync in this session: the library's answers by connection; errors, where there are
-- any, under a key that no connection has.
create function easysync_internal.plan_pushes(tenant text, entity_name text, mode text, connections text[], ids text[], filters jsonb)
    returns jsonb
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    target text;
    answer jsonb;
    answers jsonb := '{}';
begin
    -- A copy of production asks nobody anything.
    if (select f.state from easysync_internal.fence_state() as f) = 'fenced' then
        return jsonb_build_object('!', jsonb_build_array(jsonb_build_object('sqlstate', 'YS409', 'category', 'conflict', 'code', 'fenced',
            'message', 'this database is fenced', 'hint', 'easysync.unfence says what this database is.')));
    end if;
    foreach target in array connections loop
        answer := easysync_internal.preview(tenant, target, entity_name, mode, ids, filters);
        if answer ? 'errors' then
            return jsonb_build_object('!', answer -> 'errors');
        end if;
        answers := answers || jsonb_build_object(target, answer);
    end loop;
    return answers;
end
$$;

-- The hash of what was planned now, as run_plan_hash has it of what was planned before.
create function easysync_internal.answers_hash(answers jsonb) returns text
    language sql immutable set search_path = pg_catalog, pg_temp
as $$ select string_agg(a.value ->> 'hash', '+' order by a.key) from jsonb_each(answers) as a $$;

-- Writes of a plan by what people call them, each with a digest of its values: to say what has moved.
create function easysync_internal.plan_lines(changes jsonb) returns jsonb
    language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select coalesce(jsonb_object_agg(l.line, l.digest), '{}')
    from (select concat_ws(' ', c.action, c.target, c.label) as line, md5(string_agg(c.fields::text, ',' order by c.fields::text)) as digest
          from jsonb_to_recordset(changes) as c (action text, target text, label text, fields jsonb)
          where c.action <> 'skip' group by 1) as l
$$;

create function easysync_internal.answers_lines(answers jsonb) returns jsonb
    language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select easysync_internal.plan_lines(coalesce(jsonb_agg(c.value), '[]'))
    from jsonb_each(answers) as a, jsonb_array_elements(a.value -> 'changes') as c
$$;

create function easysync_internal.waiting_lines(run_id bigint) returns jsonb
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select easysync_internal.plan_lines(coalesce(jsonb_agg(jsonb_build_object('action', c.action, 'target', c.target, 'label', c.label,
                                                                              'fields', c.fields)), '[]'))
    from easysync_internal.sync_changes as c
    join easysync_internal.sync_run_steps as s on s.sync_id = c.sync_id and s.step = c.step
    where c.sync_id = run_id and c.status = 'planned' and s.plan_hash is not null and not s.plan_released
$$;

-- What has moved from one plan to another, the first few of each kind.
create function easysync_internal.what_moved(before jsonb, after jsonb) returns text
    language sql immutable set search_path = pg_catalog, pg_temp
as $$
    with moved as (
        select coalesce(b.key, a.key) as line,
               case when b.key is null then 'new' when a.key is null then 'gone' else 'with other values' end as how
        from jsonb_each_text(before) as b full join jsonb_each_text(after) as a on a.key = b.key
        where b.value is distinct from a.value),
    told as (
        select m.how, count(*) as n, string_agg(m.line, ', ' order by m.line) filter (where m.place <= 5) as first_ones
        from (select m.*, row_number() over (partition by m.how order by m.line) as place from moved as m) as m group by m.how)
    select coalesce(string_agg(t.how || ': ' || t.first_ones || case when t.n > 5 then format(' and %s more', t.n - 5) else '' end, '; ' order by t.how),
                    'other values')
    from told as t
$$;

-- A large plan, in lines that somebody can compare with his books: month, kind, currency.
create function easysync_internal.tell_groups(summaries jsonb) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    line record;
begin
    for line in
        select g.key, sum((g.value ->> 'count')::bigint) as n, sum((g.value ->> 'total')::numeric) as total,
               count(*) over () as lines, row_number() over (order by g.key) as place
        from jsonb_array_elements(summaries) as p, jsonb_each(coalesce(p.value -> 'groups', '{}')) as g
        group by g.key order by g.key limit 100
    loop
        raise notice '%: %', line.key, concat_ws(', ', line.n, line.total);
        if line.place = 100 and line.lines > 100 then
            raise notice '... and % more: see easysync.sync_changes', line.lines - 100;
        end if;
    end loop;
end
$$;

create function easysync_internal.raise_token() returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    perform easysync_internal.raise_error('YS410', 'this confirmation token is spent, expired or unknown',
        'category: conflict, code: confirmation_token', 'Ask for a new one with easysync.request_confirmation or easysync.check_confirmation.');
end
$$;

create function easysync_internal.raise_moved(what text, way_out text) returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    perform easysync_internal.raise_error('YS409', 'the plan has changed since the token was issued',
        'category: conflict, code: plan_moved; ' || what, 'Look again with ' || way_out || '.');
end
$$;

-- Would this sync need a confirmation? Plans its pushes as dry_run does; what pulls change here needs none.
create function easysync.check_confirmation(entity text, mode text default 'incremental', connection text default null, ids text[] default null,
                                            filters jsonb default null)
    returns setof easysync.confirmation
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    request record;
    asked jsonb;
    answers jsonb;
    waiting jsonb;
    summaries jsonb;
    plan record;
    token text;
    until timestamptz;
begin
    select * into request from easysync_internal.checked_request(tenant, check_confirmation.entity, check_confirmation.mode,
        check_confirmation.connection, check_confirmation.ids, check_confirmation.filters);
    perform easysync_internal.check_fence();
    perform easysync_internal.check_working(tenant, check_confirmation.entity, check_confirmation.connection);
    answers := easysync_internal.plan_pushes(tenant, check_confirmation.entity, request.checked_mode,
        easysync_internal.pushed_to(tenant, check_confirmation.entity, check_confirmation.connection), request.checked_ids, request.checked_filters);
    perform easysync_internal.raise_answer(answers -> '!', check_confirmation.connection);
    -- Each connection has a gate of its own; what passes through is no part of what is confirmed.
    select coalesce(jsonb_object_agg(a.key, a.value), '{}') into waiting from jsonb_each(answers) as a where (a.value ->> 'confirmations')::integer > 0;
    select coalesce(jsonb_agg(a.value -> 'summary' order by a.key), '[]') into summaries from jsonb_each(case waiting when '{}' then answers else waiting end) as a;
    select * into plan from easysync_internal.sum_of_plans(tenant, summaries);
    if waiting = '{}' then
        return next row(false, '{}', plan.changes, plan.destructive, plan.by_action, 0, 0, null, null, null)::easysync.confirmation;
        return;
    end if;
    token := easysync_internal.new_token();
    until := clock_timestamp() + interval '5 minutes';
    asked := jsonb_build_object('entity', check_confirmation.entity, 'mode', request.checked_mode, 'connection', check_confirmation.connection,
                                'ids', request.checked_ids, 'filters', request.checked_filters);
    -- A new token makes the one before it worthless.
    delete from easysync_internal.confirmations as c
    where c.sync_id is null and c.tenant_id = tenant and c.issued_to = easysync_internal.asker() and c.request = asked;
    insert into easysync_internal.confirmations (token_hash, tenant_id, plan_hash, issued_to, expires_at, request, plans, lines)
    values (sha256(convert_to(token, 'UTF8')), tenant, easysync_internal.answers_hash(waiting), easysync_internal.asker(), until, asked,
            (select jsonb_object_agg(a.key, a.value -> 'hash') from jsonb_each(waiting) as a), easysync_internal.answers_lines(waiting));
    perform easysync_internal.audit(tenant, 'check_confirmation', check_confirmation.entity, null, plan.by_action);
    if 'bulk' = any (plan.reasons) then
        perform easysync_internal.tell_groups(summaries);
    end if;
    return next row(true, plan.reasons, plan.changes, plan.destructive, plan.by_action, plan.needed, 0, null, token, until)::easysync.confirmation;
end
$$;
comment on function easysync.check_confirmation(text, text, text, text[], jsonb) is 'Would this sync need a confirmation, why, and a token to give it';

-- Connections whose plans of a run wait.
create function easysync_internal.waiting_connections(run_id bigint) returns text[]
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select coalesce(array_agg(s.connection order by s.connection), '{}') from easysync_internal.sync_run_steps as s
    where s.sync_id = run_id and s.plan_hash is not null and not s.plan_released
$$;

-- Plans the pushes of a run that waits in this session. What takes a sync back, and what is more than a session
-- takes, is planned by the worker alone.
create function easysync_internal.plan_again(run easysync_internal.sync_runs) returns jsonb
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    select case when run.undoes is not null
                  or exists (select from easysync_internal.sync_run_steps as s
                             where s.sync_id = run.sync_id and s.plan_hash is not null and not s.plan_released
                               and (s.plan_summary ->> 'records')::bigint > 500) then '{"!": []}'::jsonb
                else easysync_internal.plan_pushes(run.tenant_id, run.entity, run.mode, easysync_internal.waiting_connections(run.sync_id),
                                                   run.ids, run.filters) end
$$;

-- Takes what was planned now in the place of the plan that waits.
create function easysync_internal.replace_plan(run easysync_internal.sync_runs, answers jsonb) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    known record;
    places integer;
begin
    for known in select s.step, s.connection, answers -> s.connection as answer from easysync_internal.sync_run_steps as s
                 where s.sync_id = run.sync_id and s.connection = any (easysync_internal.waiting_connections(run.sync_id)) and s.direction = 'push'
                 order by s.step loop
        delete from easysync_internal.sync_changes as c where c.sync_id = run.sync_id and c.step = known.step and c.status <> 'done';
        places := coalesce((select max(c.change_id) from easysync_internal.sync_changes as c where c.sync_id = run.sync_id), 0);
        insert into easysync_internal.sync_changes
            (sync_id, change_id, step, tenant_id, connection, direction, entity, record_id, label, target, action, destructive, reason,
             fields, depends_on, status)
        select run.sync_id, c.change_id, known.step, run.tenant_id, c.connection, 'push', c.entity, c.record_id, c.label, c.target, c.action,
               c.destructive, c.reason, coalesce(c.fields, '{}'), c.depends_on, case c.action when 'skip' then 'skipped' else 'planned' end
        from easysync_internal.planned_changes(known.answer, places) as c;
        update easysync_internal.sync_run_steps as s
        set plan_hash = known.answer ->> 'hash', plan_summary = known.answer -> 'summary'
        where s.sync_id = run.sync_id and s.step = known.step;
    end loop;
end
$$;

create function easysync.request_confirmation(sync_id bigint) returns setof easysync.confirmation
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    tenant text := easysync.current_tenant();
    run easysync_internal.sync_runs;
    answers jsonb;
    plan record;
    token text := easysync_internal.new_token();
    until timestamptz;
begin
    select * into run from easysync_internal.sync_runs as r
    where r.sync_id = request_confirmation.sync_id and r.tenant_id = tenant;
    if not found then
        perform easysync_internal.raise_unknown_sync(request_confirmation.sync_id);
    end if;
    perform easysync_internal.check_waits(run);
    -- Planned anew, without a lock meanwhile. Where a session can't (the plan is too large, no answer comes)
    -- the plan that waits is shown: the worker plans anew in any case before it sends.
    answers := easysync_internal.plan_again(run);
    select * into run from easysync_internal.sync_runs as r where r.sync_id = run.sync_id for update;
    perform easysync_internal.check_waits(run);
    if not answers ? '!' and easysync_internal.answers_hash(answers) is distinct from easysync_internal.run_plan_hash(run.sync_id) then
        perform easysync_internal.replace_plan(run, answers);
        if not exists (select from jsonb_each(answers) as a where (a.value ->> 'confirmations')::integer > 0) then
            -- Nothing of what it waited for is left.
            perform easysync_internal.let_go(run);
            select * into plan from easysync_internal.waiting_plan(tenant, run.sync_id);
            return next row(false, '{}', plan.changes, plan.destructive, plan.by_action, 0, 0, run.sync_id, null, null)::easysync.confirmation;
            return;
        end if;
    end if;
    select * into plan from easysync_internal.waiting_plan(tenant, run.sync_id);
    until := clock_timestamp() + interval '5 minutes';
    -- A new token makes the one before it worthless.
    delete from easysync_internal.confirmations as c where c.sync_id = run.sync_id;
    insert into easysync_internal.confirmations (token_hash, tenant_id, sync_id, plan_hash, issued_to, expires_at)
    values (sha256(convert_to(token, 'UTF8')), tenant, run.sync_id, easysync_internal.run_plan_hash(run.sync_id), easysync_internal.asker(), until);
    perform easysync_internal.audit(tenant, 'request_confirmation', run.entity, null, plan.by_action, run.sync_id);
    if 'bulk' = any (plan.reasons) then
        perform easysync_internal.tell_groups(plan.summaries);
    end if;
    return next row(true, plan.reasons, plan.changes, plan.destructive, plan.by_action, plan.needed, plan.given, run.sync_id,
                    token, until)::easysync.confirmation;
end
$$;
comment on function easysync.request_confirmation(bigint) is 'Summary of a sync that awaits confirmation, and a fresh token for it';

create function easysync_internal.check_waits(run easysync_internal.sync_runs) returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    if run.status <> 'awaiting_confirmation' or run.confirm_until < clock_timestamp() then
        perform easysync_internal.raise_error('YS409', format('sync %s does not await confirmation: it is %s', run.sync_id,
                case when run.status = 'awaiting_confirmation' then 'expired' else run.status end),
            'category: conflict, code: not_awaiting', format('SELECT * FROM easysync.sync_status(%s);', run.sync_id));
    end if;
end
$$;

-- A sync that waited goes on.
create function easysync_internal.let_go(run easysync_internal.sync_runs) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    update easysync_internal.sync_runs as r set status = 'queued', worker_epoch = null where r.sync_id = run.sync_id;
    perform easysync_internal.end_notification(run.tenant_id, 'confirmation_waits', coalesce(run.schedule, run.entity));
    perform easysync_internal.wake();
end
$$;

-- Plans again first, in this session, and without a lock meanwhile. Where a session can't (the plan is too
-- large, no answer comes, the token has ended) nothing is lost: the worker plans once more before it sends,
-- and goes ahead only if the plan is still the confirmed one.
create function easysync.confirm(token text) returns bigint
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    tenant text := easysync.current_tenant();
    hash bytea := sha256(convert_to(confirm.token, 'UTF8'));
    known easysync_internal.confirmations;
    moved text;
begin
    select * into known from easysync_internal.confirmations as c where c.token_hash = hash;
    if not found or not easysync_internal.is_good(known, tenant) then
        perform easysync_internal.raise_token();
    end if;
    moved := easysync_internal.moved_since(known);
    if moved is not null then
        perform easysync_internal.raise_moved(moved, case when known.sync_id is null then 'easysync.check_confirmation'
                                                          else format('easysync.request_confirmation(%s)', known.sync_id) end);
    end if;
    -- Two sessions at once: the second waits here, and finds it spent.
    select * into known from easysync_internal.confirmations as c where c.token_hash = hash for update;
    if not found or not easysync_internal.is_good(known, tenant) then
        perform easysync_internal.raise_token();
    end if;
    update easysync_internal.confirmations as c set spent_at = clock_timestamp() where c.token_hash = hash;
    if known.sync_id is null then
        return easysync_internal.queue_confirmed(known);
    end if;
    return easysync_internal.confirm_waiting(known);
end
$$;
comment on function easysync.confirm(text) is 'Spend a token: the sync goes ahead if its plan is still the same; returns its sync_id';

create function easysync_internal.is_good(known easysync_internal.confirmations, tenant text) returns boolean
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    select known.tenant_id = tenant and known.issued_to = easysync_internal.asker() and known.spent_at is null and known.expires_at >= clock_timestamp()
$$;

-- What has moved since a token was issued; null: nothing that a session can see.
create function easysync_internal.moved_since(known easysync_internal.confirmations) returns text
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    run easysync_internal.sync_runs;
    answers jsonb;
begin
    if known.sync_id is null then
        answers := easysync_internal.plan_pushes(known.tenant_id, known.request ->> 'entity', known.request ->> 'mode',
            easysync_internal.pushed_to(known.tenant_id, known.request ->> 'entity', known.request ->> 'connection'),
            easysync_internal.request_ids(known.request), nullif(known.request -> 'filters', 'null'));
        if answers ? '!' then
            return null;
        end if;
        select coalesce(jsonb_object_agg(a.key, a.value), '{}') into answers from jsonb_each(answers) as a where (a.value ->> 'confirmations')::integer > 0;
        return case when easysync_internal.answers_hash(answers) is distinct from known.plan_hash
                    then easysync_internal.what_moved(known.lines, easysync_internal.answers_lines(answers)) end;
    end if;
    select * into run from easysync_internal.sync_runs as r where r.sync_id = known.sync_id;
    if not found or run.status <> 'awaiting_confirmation' or run.confirm_until < clock_timestamp() then
        return format('sync %s is %s', known.sync_id, case when run.status = 'awaiting_confirmation' then 'expired' else coalesce(run.status, 'gone') end);
    elsif easysync_internal.run_plan_hash(run.sync_id) is distinct from known.plan_hash then
        return format('sync %s was planned anew', known.sync_id);
    end if;
    answers := easysync_internal.plan_again(run);
    return case when not answers ? '!' and easysync_internal.answers_hash(answers) is distinct from known.plan_hash
                then easysync_internal.what_moved(easysync_internal.waiting_lines(run.sync_id), easysync_internal.answers_lines(answers)) end;
end
$$;

create function easysync_internal.request_ids(request jsonb) returns text[]
    language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select case jsonb_typeof(request -> 'ids') when 'array' then array(select jsonb_array_elements_text(request -> 'ids')) end
$$;

-- Queues the sync that was confirmed beforehand: its plans, by their hashes, have one confirmation.
create function easysync_internal.queue_confirmed(known easysync_internal.confirmations) returns bigint
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    new_id bigint;
begin
    new_id := easysync_internal.queue_sync(known.tenant_id, known.request ->> 'entity', known.request ->> 'mode', known.request ->> 'connection',
                                           easysync_internal.request_ids(known.request), nullif(known.request -> 'filters', 'null'));
    update easysync_internal.sync_runs as r set confirmed_plans = known.plans where r.sync_id = new_id;
    perform easysync_internal.audit(known.tenant_id, 'confirm', known.request ->> 'entity', null,
        jsonb_build_object('plan', known.plan_hash, 'given', 1), new_id);
    perform easysync_internal.warn_if_idle(known.tenant_id, new_id, known.request ->> 'entity', known.request ->> 'connection');
    return new_id;
end
$$;

-- Gives a sync that waits a confirmation; it goes on when it has all that it needs.
create function easysync_internal.confirm_waiting(known easysync_internal.confirmations) returns bigint
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    run easysync_internal.sync_runs;
    plan record;
begin
    select * into run from easysync_internal.sync_runs as r where r.sync_id = known.sync_id for update;
    if run.status <> 'awaiting_confirmation' or easysync_internal.run_plan_hash(run.sync_id) is distinct from known.plan_hash then
        perform easysync_internal.raise_moved(format('sync %s is %s', known.sync_id, run.status),
                                              format('easysync.request_confirmation(%s)', known.sync_id));
    end if;
    update easysync_internal.sync_run_steps as s
    set confirmed = case when s.confirmed_hash = s.plan_hash then s.confirmed else 0 end + 1, confirmed_hash = s.plan_hash
    where s.sync_id = run.sync_id and s.plan_hash is not null and not s.plan_released;
    select * into plan from easysync_internal.waiting_plan(run.tenant_id, run.sync_id);
    perform easysync_internal.audit(run.tenant_id, 'confirm', run.entity, null,
        jsonb_build_object('by_action', plan.by_action, 'plan', known.plan_hash, 'given', plan.given), run.sync_id);
    if plan.given < plan.needed then
        raise notice 'sync % awaits a second confirmation: SELECT * FROM easysync.request_confirmation(%);', run.sync_id, run.sync_id;
    else
        perform easysync_internal.let_go(run);
    end if;
    return run.sync_id;
end
$$;

-- For the worker, when a run begins to wait. Nobody sees it who didn't start it himself: then people are told.
create function easysync_internal.note_waiting(run_id bigint) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    run easysync_internal.sync_runs;
    plan record;
begin
    select * into run from easysync_internal.sync_runs as r where r.sync_id = run_id;
    if run.triggered_by not in ('schedule', 'webhook', 'change') then
        return;
    end if;
    select * into plan from easysync_internal.waiting_plan(run.tenant_id, run_id);
    perform easysync_internal.raise_notification(run.tenant_id, 'confirmation_waits', 'warning', coalesce(run.schedule, run.entity), run.connection,
        run.sync_id, format('sync %s waits for a confirmation: %s', run.sync_id, array_to_string(plan.reasons, ', ')),
        format('%s: %s writes, %s of them destructive. Nothing is sent until somebody confirms it, until %s. SELECT * FROM easysync.request_confirmation(%s);',
               coalesce('schedule ' || run.schedule, run.entity || ', by ' || run.triggered_by), plan.changes, plan.destructive,
               to_char(run.confirm_until at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'), run.sync_id));
end
$$;

-- Runs that nobody confirmed in time; tokens whose time is over. Called by the worker's housekeeping.
create function easysync_internal.expire_confirmations() returns integer
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    run easysync_internal.sync_runs;
    expired integer := 0;
begin
    delete from easysync_internal.confirmations as c where c.expires_at < clock_timestamp() - interval '1 day';
    for run in
        update easysync_internal.sync_runs as r
        set status = 'expired', finished_at = clock_timestamp(), error_category = 'conflict', error_code = 'not_confirmed',
            error_message = 'nobody confirmed it in time', error_hint = 'Nothing was sent. Trigger it again, or raise the setting confirm_wait.'
        where r.status = 'awaiting_confirmation' and r.confirm_until < clock_timestamp()
          and r.tenant_id <> all (easysync_internal.resting_tenants()) returning r.*
    loop
        update easysync_internal.sync_run_steps as s set status = 'expired', phase = null, finished_at = clock_timestamp()
        where s.sync_id = run.sync_id and s.status = 'awaiting_confirmation';
        perform easysync_internal.audit(run.tenant_id, 'expire', run.entity, '"awaiting_confirmation"', '"expired"', run.sync_id);
        perform easysync_internal.log_row(run.tenant_id, 'warn', 'run', 'skipped', 'nobody confirmed it in time: nothing was sent', run.sync_id,
                                          run.connection, run.entity);
        perform easysync_internal.end_notification(run.tenant_id, 'confirmation_waits', coalesce(run.schedule, run.entity));
        perform easysync_internal.raise_notification(run.tenant_id, 'confirmation_expired', 'warning', coalesce(run.schedule, run.entity),
            run.connection, run.sync_id, format('sync %s has expired: nobody confirmed it', run.sync_id),
            'Nothing of it was sent. What it would have written waits for the next sync of ' || run.entity || '.');
        expired := expired + 1;
    end loop;
    return expired;
end
$$;

-- Granting access: the page to open, and the address that one lands on.
--
-- The library signs and reads states, and exchanges codes; that a state is spent only once is seen here.

create function easysync.oauth_authorize_url(connection text, redirect_uri text) returns text
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    known easysync_internal.connections := easysync_internal.known_connection(tenant, oauth_authorize_url.connection);
    answer jsonb;
begin
    if known.connector <> 'quickbooks' then
        perform easysync_internal.raise_argument(format('"%s" needs no OAuth: %s has keys of its own', known.name, known.connector),
            'Give them with easysync.set_credentials.');
    end if;
    if redirect_uri is null or redirect_uri !~ '^https?://[^[:space:]]+$' then
        perform easysync_internal.raise_argument('redirect_uri is no address', 'The same address as in the app''s settings at developer.intuit.com.');
    end if;
    answer := easysync_internal.authorize_url(tenant, known.name, redirect_uri);
    perform easysync_internal.raise_answer(answer -> 'errors', known.name);
    perform easysync_internal.audit(tenant, 'oauth_authorize_url', known.name, null, null);
    return answer ->> 'url';
end
$$;
comment on function easysync.oauth_authorize_url(text, text) is 'The page on which an owner of the account grants access';

create function easysync.oauth_complete(callback_url text) returns text
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    state jsonb;
    answer jsonb;
    known easysync_internal.connections;
begin
    perform easysync_internal.check_fence();
    state := easysync_internal.callback_state(oauth_complete.callback_url);
    perform easysync_internal.raise_answer(state -> 'errors', '');
    if state ->> 'tenant' <> tenant then
        perform easysync_internal.raise_error('YS401', 'this answer belongs to another tenant', 'category: authentication, code: oauth_state',
            'Begin again: easysync.oauth_authorize_url.');
    end if;
    known := easysync_internal.known_connection(tenant, state ->> 'connection');
    -- Before anybody is asked: a new grant to a live company could end the one that is in use.
    perform easysync_internal.check_account_is_free(tenant, known.name, state ->> 'realm');
    begin
        insert into easysync_internal.oauth_states (nonce, spent_at) values (state ->> 'nonce', clock_timestamp());
    exception when unique_violation then
        perform easysync_internal.raise_error('YS401', 'this answer was used before', 'category: authentication, code: oauth_state',
            'Begin again: easysync.oauth_authorize_url.');
    end;
    delete from easysync_internal.oauth_states as o where o.spent_at < clock_timestamp() - interval '1 hour';
    answer := easysync_internal.exchange_code(oauth_complete.callback_url);
    perform easysync_internal.raise_answer(answer -> 'errors', known.name);
    if known.account is not null and known.account <> answer ->> 'realm' then
        perform easysync_internal.raise_error('YS409', format('"%s" belongs to another company than before', known.name),
            'category: conflict, code: other_account', 'Connect the other company under a name of its own.');
    end if;
    perform easysync_internal.check_account_is_free(tenant, known.name, answer ->> 'realm');
    update easysync_internal.connections as c
    set account = answer ->> 'realm', sealed = decode(answer ->> 'sealed', 'base64'), key_id = answer ->> 'key_id', sealed_at = now(),
        token_expires_at = (answer ->> 'expires_at')::timestamptz, changed_at = now()
    where c.tenant_id = tenant and c.name = known.name;
    answer := easysync_internal.ask_account(tenant, known.name, known.connector, known.settings, null, true);
    perform easysync_internal.apply_answer(tenant, known.name, answer, true, enable => known.status <> 'disabled');
    perform easysync_internal.audit(tenant, 'oauth_complete', known.name,
        jsonb_build_object('account', known.account, 'key_id', known.key_id, 'token_expires_at', known.token_expires_at),
        (select jsonb_build_object('account', c.account, 'key_id', c.key_id, 'token_expires_at', c.token_expires_at)
         from easysync_internal.connections as c where c.tenant_id = tenant and c.name = known.name));
    return known.name;
end
$$;
comment on function easysync.oauth_complete(text) is 'Finish OAuth with the whole address that the browser was sent back to';

-- Who may do what. Nothing for PUBLIC; tables are granted to the worker alone.

revoke all on all routines in schema easysync, easysync_internal from public;
revoke all on all tables in schema easysync, easysync_internal from public;

-- Named columns: a star goes stale when its table gets one more.
create or replace view easysync.sync_progress with (security_barrier) as
select easysync_internal.worker_pid() as pid,
       s.sync_id,
       s.entity,
       s.connection,
       s.direction,
       s.phase,
       s.records_total,
       s.records_done,
       round(100.0 * least(s.records_done, s.records_total) / nullif(s.records_total, 0), 1) as percent,
       round(s.rate, 1) as records_per_second,
       s.started_at,
       clock_timestamp() + make_interval(secs => (greatest(s.records_total - s.records_done, 0) / nullif(s.rate, 0))::double precision)
           as estimated_end_at,
       case when s.wait_until > clock_timestamp() then s.wait_until end as wait_until,
       s.tenant_id
from (select x.sync_id, x.entity, x.connection, x.direction, x.phase, x.records_total, x.records_done, x.started_at, x.wait_until, x.tenant_id,
             (case when x.sampled_at < clock_timestamp() - interval '5 s'
                   then (x.records_done - x.sampled_done) / extract(epoch from clock_timestamp() - x.sampled_at)
                   else x.records_done / nullif(extract(epoch from clock_timestamp() - x.started_at), 0) end)::numeric as rate
      from easysync_internal.sync_run_steps as x
      join easysync_internal.sync_runs as r on r.sync_id = x.sync_id
      where x.status = 'running' and r.status = 'running') as s
where s.tenant_id = any ((select easysync_internal.visible_tenants())::text[]);

-- Views.
grant select on easysync.connections, easysync.streams, easysync.sync_runs, easysync.sync_run_steps, easysync.sync_progress,
    easysync.sync_logs, easysync.sync_failures, easysync.sync_queue, easysync.links, easysync.connection_health,
    easysync.settings, easysync.vocabulary to easysync_viewer;
grant select on easysync.sync_changes, easysync.sync_requests, easysync.sync_conflicts to easysync_operator;
grant select on easysync.audit_log to easysync_admin;

-- Functions that these views call: their execution is checked against the reader. Whatever a reader
-- passes to them, they tell of his own tenants only.
grant execute on function easysync_internal.visible_tenants(), easysync_internal.masked_id(text),
    easysync_internal.worker_pid(), easysync_internal.count_links(text, text, text),
    easysync_internal.read_links(text[]), easysync_internal.setting_definitions(), easysync_internal.words(),
    easysync_internal.connection_problems(text, text) to easysync_viewer;

-- easysync_viewer: look.
grant execute on function easysync.sync_status(bigint), easysync.health(), easysync.current_tenant(),
    easysync.allowed_tenants() to easysync_viewer;

-- easysync_operator: run the daily business.
grant execute on function easysync.test_connection(text), easysync.enable(text), easysync.disable(text, text),
    easysync.trigger(text, text, text, text[], jsonb, text, boolean), easysync.cancel(bigint, text),
    easysync.retry(text, text, text, text[]), easysync.retry_failure(bigint), easysync.discard_failure(bigint, text),
    easysync.fence(text), easysync.dry_run(text, text, text, text[], jsonb), easysync.request_confirmation(bigint),
    easysync.check_confirmation(text, text, text, text[], jsonb),
    easysync.confirm(text) to easysync_operator;
grant execute on function easysync_internal.read_requests(text[]), easysync_internal.created_records(text, bigint),
    easysync_internal.created_fields(text, text, bigint) to easysync_operator;
grant execute on procedure easysync.run(text, text, text, text[], jsonb, interval) to easysync_operator;
-- What run() calls as the operator himself.
grant usage on schema easysync_internal to easysync_operator;
grant execute on function easysync_internal.check_worker(), easysync_internal.run_lines(bigint),
    easysync_internal.raise_outcome(bigint) to easysync_operator;

-- easysync_admin: credentials, streams, settings, tenants.
grant execute on function easysync.connect(text, text, jsonb, jsonb, boolean), easysync.alter_connection(text, jsonb, boolean),
    easysync.set_credentials(text, jsonb, boolean), easysync.disconnect(text, boolean), easysync.rotate_encryption_key(text),
    easysync.set_stream(text, text, text, text, text, jsonb, text, text), easysync.create_hub(text), easysync.unfence(text),
    easysync.set_setting(text, text), easysync.reset_setting(text), easysync.add_tenant_member(name, text),
    easysync.remove_tenant_member(name, text), easysync.enable_row_security(),
    easysync.oauth_authorize_url(text, text), easysync.oauth_complete(text) to easysync_admin;

-- easysync_worker: our tables, and the helpers. Never an update or delete of the audit log.
grant select, insert, update, delete on easysync_internal.connections, easysync_internal.streams, easysync_internal.sync_state,
    easysync_internal.sync_runs, easysync_internal.sync_run_steps, easysync_internal.hub_changes, easysync_internal.sync_queue,
    easysync_internal.sync_changes, easysync_internal.sync_failures, easysync_internal.sync_conflicts,
    easysync_internal.confirmations to easysync_worker;
grant select, insert on easysync_internal.sync_log, easysync_internal.audit_log to easysync_worker;
grant select on easysync_internal.identity, easysync_internal.settings, easysync_internal.tenant_members to easysync_worker;
grant execute on all functions in schema easysync_internal to easysync_worker;

-- Last: the launcher looks for this database when CREATE EXTENSION commits.
select easysync_internal.rescan();

-- Time and events: schedules and what belongs to them. The library's functions first.

create function easysync_internal.wake_for("table" text) returns void
    language c strict as 'MODULE_PATHNAME', 'wake_for_wrapper';
create function easysync_internal.check_cron(cron text) returns jsonb
    language c immutable strict parallel safe as 'MODULE_PATHNAME', 'check_cron_wrapper';
create function easysync_internal.reckon_slots(cron text, zone text, after bigint, until bigint, most integer) returns jsonb
    language c stable parallel safe as 'MODULE_PATHNAME', 'reckon_slots_wrapper';
create function easysync_internal.judge_webhook(tenant text, connection text, headers jsonb, body text) returns jsonb
    language c stable strict as 'MODULE_PATHNAME', 'judge_webhook_wrapper';
create function easysync_internal.webhooks_at(tenant text, connection text, connector text, settings jsonb, url text) returns jsonb
    language c strict as 'MODULE_PATHNAME', 'webhooks_at_wrapper';

alter table easysync_internal.connections add column webhook_url text, add column webhooks_checked_at timestamptz,
    add column webhooks_problem text;

-- Time and events: schedules, deliveries of webhooks, and the notifications that they raise. The rules
-- of 10_tables.sql hold here, too.

-- Cron schedules. The worker reads the active ones, sleeps until the next slot, and queues a run.
create table easysync_internal.schedules (
    tenant_id text not null,
    name text not null,
    entity text not null,
    mode text not null check (mode in ('incremental', 'full')),
    connection text,                -- null: every enabled stream of the entity
    cron text not null,
    timezone text,                  -- null: the tenant's setting, whatever it says then
    filters jsonb,
    overlap text not null check (overlap in ('skip', 'queue')),
    missed text not null check (missed in ('run_once', 'skip', 'run_all')),
    active boolean not null default true,
    -- Slots up to here are done with: run, skipped, or before the schedule was there.
    decided_at timestamptz not null default clock_timestamp(),
    last_run_at timestamptz,
    last_sync_id bigint,
    consecutive_failures integer not null default 0,
    -- Its runs are his: creating a schedule confirms its non-destructive plans.
    created_by name not null,
    created_at timestamptz not null default now(),
    primary key (tenant_id, name)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);

-- Alerts. One that is not over yet is counted (`occurrences`), not repeated. No channel delivers them
-- yet: they are read in the view.
create table easysync_internal.notifications (
    notification_id bigint generated by default as identity primary key,
    tenant_id text not null,
    raised_at timestamptz not null default clock_timestamp(),
    event text not null,
    severity text not null check (severity in ('info', 'warning', 'critical')),
    object text not null,           -- what it is about: the schedule's or the connection's name
    connection text,
    sync_id bigint,
    subject text not null,
    message text not null,
    channel text,
    status text not null default 'pending' check (status in ('pending', 'sent', 'failed', 'suppressed')),
    occurrences integer not null default 1,
    sent_at timestamptz,
    recovered_at timestamptz
);
create index notifications_open on easysync_internal.notifications (tenant_id, event, object) where recovered_at is null;

-- Deliveries, as received. Whoever may deliver inserts through the view easysync.webhook_events; what
-- is too large to be one is refused at the door.
create table easysync_internal.webhook_events (
    event_id bigint generated by default as identity primary key,
    tenant_id text not null default 'default' check (length(tenant_id) <= 71),
    connection text not null check (length(connection) <= 63),
    headers jsonb not null
        constraint headers_are_a_small_object check (jsonb_typeof(headers) = 'object' and octet_length(headers::text) <= 65536),
    -- Two MiB: engine/src/webhook. Emptied after the tenant's webhook_body_retention.
    body text not null constraint body_is_at_most_two_mib check (octet_length(body) <= 2097152),
    received_at timestamptz not null default now(),
    -- received: nobody has looked yet; accepted: genuine, to be fetched or being fetched; rejected: not
    -- genuine; ignored: nothing to fetch; processed: fetched.
    status text not null default 'received'
        check (status in ('received', 'accepted', 'rejected', 'ignored', 'processed')),
    status_reason text,
    topic text,
    remote_ids text[],
    sync_id bigint,
    processed_at timestamptz,
    -- Accepted, and left until its connection may be read again.
    kept boolean not null default false,
    -- Fetches that failed, and when the next one is due.
    attempts integer not null default 0,
    next_attempt_at timestamptz
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
-- What the worker looks for: the few that nobody has taken up.
create index webhook_events_open on easysync_internal.webhook_events (event_id)
    where status in ('received', 'accepted') and sync_id is null;
create index webhook_events_sync on easysync_internal.webhook_events (sync_id) where status = 'accepted';

create trigger wake after insert on easysync_internal.webhook_events
    for each statement execute function easysync_internal.wake_worker();

-- What others change about schedules wakes the worker; what it notes itself (decided_at, last_...)
-- does not.
create trigger wake after insert or delete or update of cron, timezone, active, missed on easysync_internal.schedules
    for each statement execute function easysync_internal.wake_worker();
-- The zone of schedules and missed_limit are settings.
create trigger wake after insert or delete or update on easysync_internal.settings
    for each statement execute function easysync_internal.wake_worker();

grant select, insert, update, delete on easysync_internal.schedules, easysync_internal.notifications,
    easysync_internal.webhook_events to easysync_worker;

do $$
declare
    marked text;
begin
    foreach marked in array array['schedules', 'notifications', 'notifications_notification_id_seq',
                                  'webhook_events', 'webhook_events_event_id_seq'] loop
        perform pg_catalog.pg_extension_config_dump(('easysync_internal.' || marked)::pg_catalog.regclass, '');
    end loop;
end
$$;

-- A row here is work: the worker is woken when the transaction commits.
-- Whoever may insert may wake: a role that only delivers has no right to anything else of ours.
create or replace function easysync_internal.wake_worker() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    perform easysync_internal.wake_for(tg_table_name);
    return null;
end
$$;

-- `position` orders the words of a term as messages list them.
create or replace function easysync_internal.words()
    returns table (term text, value text, applies_to text, description text, "position" integer)
    language sql immutable set search_path = pg_catalog, pg_temp
as $function$
    select w.term, w.value, w.applies_to, w.description, w.ordinality::integer
    from rows from (jsonb_to_recordset($json$[
{"term": "connector", "value": "woocommerce", "description": "a WooCommerce shop, by its REST API v3"},
    {"term": "connector", "value": "quickbooks", "description": "the books of a company in QuickBooks Online"},

{"term": "entity", "value": "customers", "description": "people and companies who buy"},
{"term": "entity", "value": "products", "description": "what is sold, with its variations"},
{"term": "entity", "value": "orders", "description": "orders; a run brings customers and products before, refunds after"},
{"term": "entity", "value": "refunds", "description": "money given back"},
{"term": "entity", "value": "invoices", "description": "invoices, from here or the books"},
{"term": "entity", "value": "payments", "description": "money received"},
{"term": "entity", "value": "vendors", "description": "who sells to us"},
{"term": "entity", "value": "bills", "description": "what we owe"},

{"term": "mode", "value": "incremental", "description": "what changed since the last run; the first one is full"},
{"term": "mode", "value": "full", "description": "all records, all compared; what is gone is found"},

{"term": "direction", "value": "off", "description": "nothing flows"},
{"term": "direction", "value": "pull", "description": "from the platform into the hub"},
{"term": "direction", "value": "push", "description": "from the hub to the platform"},
{"term": "direction", "value": "two_way", "description": "both"},

{"term": "source_of_truth", "value": "local", "description": "the hub is right"},
{"term": "source_of_truth", "value": "platform", "description": "the platform is right"},

{"term": "conflict_strategy", "value": "source_wins", "description": "the side that source_of_truth names wins"},
{"term": "conflict_strategy", "value": "target_wins", "description": "the other side wins"},
{"term": "conflict_strategy", "value": "newest_wins", "description": "the later change wins"},
{"term": "conflict_strategy", "value": "merge", "description": "field by field; what clashes falls to the source of truth"},
{"term": "conflict_strategy", "value": "manual", "description": "a person decides"},

{"term": "delete_policy", "value": "keep", "description": "what is gone on one side stays on the other, marked"},
{"term": "delete_policy", "value": "inactivate", "description": "what is gone on one side is switched off on the other"},
{"term": "delete_policy", "value": "delete", "description": "what is gone on one side is deleted on the other"},

{"term": "push_when", "value": "triggered", "description": "only trigger and schedules send"},
{"term": "push_when", "value": "changed", "description": "a change in the hub starts a sync"},

{"term": "filter", "value": "status", "applies_to": "products", "description": "text or array of texts"},
{"term": "filter", "value": "status", "applies_to": "orders", "description": "text or array of texts"},
{"term": "filter", "value": "status", "applies_to": "invoices", "description": "text or array of texts"},
{"term": "filter", "value": "status", "applies_to": "payments", "description": "text or array of texts"},
{"term": "filter", "value": "status", "applies_to": "bills", "description": "text or array of texts"},
{"term": "filter", "value": "created_since", "description": "time; this moment counts"},
{"term": "filter", "value": "created_until", "description": "time; this moment doesn't count"},
{"term": "filter", "value": "modified_since", "description": "time; this moment counts"},
{"term": "filter", "value": "modified_until", "description": "time; this moment doesn't count"},
{"term": "filter", "value": "currency", "applies_to": "orders", "description": "ISO 4217 code"},
{"term": "filter", "value": "currency", "applies_to": "refunds", "description": "ISO 4217 code"},
{"term": "filter", "value": "currency", "applies_to": "invoices", "description": "ISO 4217 code"},
{"term": "filter", "value": "currency", "applies_to": "payments", "description": "ISO 4217 code"},
{"term": "filter", "value": "currency", "applies_to": "bills", "description": "ISO 4217 code"},
{"term": "filter", "value": "customer", "applies_to": "orders", "description": "id of the customer where it was born"},
{"term": "filter", "value": "customer", "applies_to": "invoices", "description": "id of the customer where it was born"},
{"term": "filter", "value": "customer", "applies_to": "payments", "description": "id of the customer where it was born"},
{"term": "filter", "value": "sku", "applies_to": "products", "description": "stock keeping unit"},
{"term": "filter", "value": "type", "applies_to": "products", "description": "kind of product: simple, variable, grouped, external"},

{"term": "order_status", "value": "pending", "applies_to": "orders", "description": "not paid yet"},
{"term": "order_status", "value": "processing", "applies_to": "orders", "description": "paid, to be delivered"},
{"term": "order_status", "value": "on-hold", "applies_to": "orders", "description": "payment to be confirmed"},
{"term": "order_status", "value": "completed", "applies_to": "orders", "description": "paid and delivered"},
{"term": "order_status", "value": "cancelled", "applies_to": "orders", "description": "cancelled"},
{"term": "order_status", "value": "refunded", "applies_to": "orders", "description": "all money given back"},
{"term": "order_status", "value": "failed", "applies_to": "orders", "description": "payment failed"},
{"term": "order_status", "value": "trash", "applies_to": "orders", "description": "in the shop's trash"},
{"term": "product_status", "value": "publish", "applies_to": "products", "description": "on sale"},
{"term": "product_status", "value": "draft", "applies_to": "products", "description": "not on sale yet"},
{"term": "product_status", "value": "pending", "applies_to": "products", "description": "awaits review"},
{"term": "product_status", "value": "private", "applies_to": "products", "description": "for the shop's staff"},
{"term": "product_status", "value": "trash", "applies_to": "products", "description": "in the shop's trash"},
{"term": "product_type", "value": "simple", "applies_to": "products", "description": "one item"},
{"term": "product_type", "value": "variable", "applies_to": "products", "description": "has variations"},
{"term": "product_type", "value": "grouped", "applies_to": "products", "description": "a group of products"},
{"term": "product_type", "value": "external", "applies_to": "products", "description": "sold elsewhere"},

{"term": "connection_status", "value": "pending", "description": "waits for a person to grant access"},
{"term": "connection_status", "value": "connected", "description": "works"},
{"term": "connection_status", "value": "reauthorize", "description": "the grant is gone: a person must give it again"},
{"term": "connection_status", "value": "error", "description": "stopped; see status_reason"},
{"term": "connection_status", "value": "disabled", "description": "paused by a person"},

{"term": "sync_status", "value": "queued", "description": "waits for the worker"},
{"term": "sync_status", "value": "running", "description": "in the worker's hands"},
{"term": "sync_status", "value": "awaiting_confirmation", "description": "waits for a person to confirm its plan"},
{"term": "sync_status", "value": "succeeded", "description": "all of it done"},
{"term": "sync_status", "value": "partial", "description": "done but for some records: see sync_failures"},
{"term": "sync_status", "value": "failed", "description": "ended by an error"},
{"term": "sync_status", "value": "cancelled", "description": "ended by a person"},
{"term": "sync_status", "value": "expired", "description": "not confirmed in time"},

{"term": "triggered_by", "value": "manual", "description": "trigger or run"},
{"term": "triggered_by", "value": "schedule", "description": "a schedule"},
{"term": "triggered_by", "value": "webhook", "description": "a delivery from the platform"},
{"term": "triggered_by", "value": "change", "description": "a change in the hub"},
{"term": "triggered_by", "value": "retry", "description": "retry, or its time had come"},
{"term": "triggered_by", "value": "undo", "description": "undo"},

{"term": "overlap", "value": "skip", "description": "a slot that comes while the run before it is not over is left out"},
{"term": "overlap", "value": "queue", "description": "it waits for the run before it"},
{"term": "missed", "value": "run_once", "description": "slots that passed without a worker are made up for by one run"},
{"term": "missed", "value": "skip", "description": "they are left out"},
{"term": "missed", "value": "run_all", "description": "a run for each, up to the setting missed_limit"},
{"term": "event", "value": "webhooks_down", "description": "the shop's webhooks don't deliver and can't be repaired"},
{"term": "webhook_status", "value": "received", "description": "nobody has looked at it yet"},
{"term": "webhook_status", "value": "accepted", "description": "genuine; its record is to be fetched"},
{"term": "webhook_status", "value": "rejected", "description": "not genuine"},
{"term": "webhook_status", "value": "ignored", "description": "nothing to fetch; status_reason says why"},
{"term": "webhook_status", "value": "processed", "description": "its record was fetched"},
{"term": "event", "value": "confirmation_waits", "description": "a sync that nobody started by hand waits for a confirmation"},
{"term": "event", "value": "confirmation_expired", "description": "nobody confirmed a sync in time: nothing was sent"},
{"term": "event", "value": "schedule_failing", "description": "a schedule has failed as often in a row as the setting notify_after_failures says"},

{"term": "error_category", "value": "authentication", "description": "the platform refused the credentials"},
{"term": "error_category", "value": "rate_limit", "description": "the platform's limit is reached; goes on by itself"},
{"term": "error_category", "value": "validation", "description": "the record or the settings can't be"},
{"term": "error_category", "value": "not_found", "description": "no such record there"},
{"term": "error_category", "value": "conflict", "description": "somebody else was faster"},
{"term": "error_category", "value": "network", "description": "the platform can't be reached; tried again by itself"},
{"term": "error_category", "value": "needs_attention", "description": "a person must look at the record"},
{"term": "error_category", "value": "blocked", "description": "waits for a change of settings"},
{"term": "error_category", "value": "internal", "description": "our own mistake: please report it"},

{"term": "log_level", "value": "debug", "description": "everything"},
{"term": "log_level", "value": "info", "description": "every operation"},
{"term": "log_level", "value": "warn", "description": "what was odd"},
{"term": "log_level", "value": "error", "description": "what failed"},

{"term": "unfence_mode", "value": "takeover", "description": "this database is production now"},
{"term": "unfence_mode", "value": "copy", "description": "this database is a copy: its credentials are erased"},

{"term": "key_step", "value": "prepare", "description": "write the new key into the key file"},
{"term": "key_step", "value": "activate", "description": "seal with the new key"},
{"term": "key_step", "value": "both", "description": "both in one go"}
]$json$::jsonb) as (term text, value text, applies_to text, description text)) with ordinality as w
$function$;

create or replace function easysync_internal.setting_definitions()
    returns table (name text, kind text, default_value text, unit text, minimum text, maximum text, description text)
    language sql immutable set search_path = pg_catalog, pg_temp
as $$
    values
        ('confirm_threshold', 'integer', '10', 'records', '0', '1000000', 'a plan that would write more than this many records waits for a confirmation'),
        ('confirm_wait', 'interval', '24 h', 'interval', '1 min', '30 d', 'how long a sync waits for its confirmation before it expires'),
        ('timezone', 'timezone', 'America/Edmonton', null, null, null, 'time zone of schedules'),
        ('missed_limit', 'integer', '24', 'runs', '1', '1000', 'how many missed runs a schedule with run_all catches up with'),
        ('log_level', 'log_level', 'info', null, null, null, 'least severe log rows that are kept: debug, info, warn, error'),
        ('log_retention', 'interval', '30 d', 'interval', '1 d', '3650 d', 'how long log rows are kept'),
        ('run_retention', 'interval', '400 d', 'interval', '1 d', '3650 d', 'how long past syncs are kept, and their idempotency keys with them'),
        ('webhook_body_retention', 'interval', '7 d', 'interval', '1 h', '3650 d', 'how long the body of a delivery is kept'),
        ('notify_after_failures', 'integer', '3', 'failures', '1', '1000', 'failures in a row before an alert is raised'),
        ('delete_policy', 'delete_policy', 'keep', null, null, null, 'what happens to records that are gone on the other side: keep, inactivate, delete')
$$;

create or replace function easysync_internal.store_connection(tenant text, connection_name text, connector_name text, settings jsonb,
                                                   answer jsonb, verified boolean)
    returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    begin
        insert into easysync_internal.connections as c
            (tenant_id, name, connector, status, status_reason, account, settings, sandbox)
        values (tenant, connection_name, connector_name, 'disabled', 'stored without a check', answer ->> 'account_key', store_connection.settings,
                easysync_internal.is_twin(tenant));
    exception when unique_violation then
        -- Somebody connected under this name while we were asking the platform.
        perform easysync_internal.check_name_is_free(tenant, connection_name);
        raise;
    end;
    insert into easysync_internal.streams (tenant_id, connection, entity, direction, source_of_truth)
    select tenant, connection_name, e.entity, coalesce(s.default_direction, 'off'),
           case when s.default_direction = 'push' then 'local' else 'platform' end
    from unnest(easysync_internal.words_of('entity')) as e (entity)
    left join easysync_internal.connector_streams() as s on s.connector = connector_name and s.entity = e.entity;
    if (answer ->> 'pending')::boolean then
        perform easysync_internal.apply_answer(tenant, connection_name, answer, false, enable => false);
        update easysync_internal.connections as c
        set status = 'pending', status_reason = 'nobody has granted access yet', status_hint = 'Open easysync.oauth_authorize_url.'
        where c.tenant_id = tenant and c.name = connection_name;
    else
        perform easysync_internal.apply_answer(tenant, connection_name, answer, verified, enable => verified);
    end if;
    if not verified and not (answer ->> 'pending')::boolean then
        raise notice '"%" is stored, disabled: easysync.enable checks it', connection_name;
    end if;
    perform easysync_internal.add_default_schedules(tenant, connection_name);
    perform easysync_internal.ensure_log_partitions();
    -- The launcher looks for databases with work; a worker that runs is woken by the row's trigger.
    perform easysync_internal.rescan();
end
$$;

create or replace function easysync.disconnect(connection text, forget_links boolean default false) returns boolean
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    known easysync_internal.connections;
begin
    delete from easysync_internal.connections as c where c.tenant_id = tenant and c.name = disconnect.connection
    returning * into known;
    if not found then
        return false;
    end if;
    delete from easysync_internal.streams as s where s.tenant_id = tenant and s.connection = known.name;
    delete from easysync_internal.sync_state as s where s.tenant_id = tenant and s.connection = known.name;
    delete from easysync_internal.sync_queue as q where q.tenant_id = tenant and q.connection = known.name;
    delete from easysync_internal.sync_failures as f where f.tenant_id = tenant and f.connection = known.name;
    delete from easysync_internal.schedules as s where s.tenant_id = tenant and s.connection = known.name;
    update easysync_internal.sync_runs as r
    set cancel_requested_at = clock_timestamp(), cancel_requested_by = session_user, cancel_reason = 'disconnected',
        status = case when r.status = 'running' then r.status else 'cancelled' end,
        finished_at = case when r.status = 'running' then r.finished_at else clock_timestamp() end
    where r.tenant_id = tenant and r.connection = known.name and r.status in ('queued', 'running', 'awaiting_confirmation');
    if forget_links then
        delete from easysync_ledger.links as l where l.tenant_id = tenant and l.account = known.account;
    end if;
    perform easysync_internal.audit(tenant, 'disconnect', known.name,
        jsonb_build_object('connector', known.connector, 'account', known.account, 'settings', known.settings),
        jsonb_build_object('forget_links', coalesce(forget_links, false)));
    return true;
end
$$;

-- Everything that is wrong with a connection of a tenant that the session may see, each with its cure.
create or replace function easysync_internal.connection_problems(tenant text, connection_name text)
    returns table (severity text, reason text, cure text)
    language sql stable security definer set search_path = pg_catalog, pg_temp rows 2
as $$
    with known as (
        select * from easysync_internal.connections as c
        where c.tenant_id = tenant and c.name = connection_name and c.tenant_id = any (easysync.allowed_tenants())
    )
    select case when c.status in ('error', 'reauthorize') then 'down' else 'degraded' end,
           coalesce(c.status_reason, replace(c.status, '_', ' ')),
           coalesce(c.status_hint, case c.status
               when 'disabled' then format('SELECT easysync.enable(%L);', c.name)
               when 'pending' then 'Grant access; see easysync.test_connection.'
               else format('SELECT * FROM easysync.test_connection(%L);', c.name) end)
    from known as c
    where c.status <> 'connected'
    union all
    select 'down', format('too many errors in a row: no call before %s',
                          to_char(c.circuit_until at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')),
           'It tries again by itself; easysync.sync_logs has the errors.'
    from known as c
    where c.circuit = 'open' and c.circuit_until > now()
    union all
    select 'degraded', format('the last sync of %s failed: %s', s.entity, coalesce(s.error_message, 'unknown error')),
           coalesce(s.error_hint, 'See easysync.sync_run_steps.')
    from (select distinct on (x.entity, x.direction) x.* from known as c
          join easysync_internal.sync_run_steps as x on x.tenant_id = c.tenant_id and x.connection = c.name
          where x.finished_at is not null
          order by x.entity, x.direction, x.sync_id desc) as s
    where s.status = 'failed'
    union all
    select 'degraded', format('%s failed records wait for a person', count(*)),
           format('SELECT * FROM easysync.sync_failures WHERE connection = %L;', connection_name)
    from known as c
    join easysync_internal.sync_failures as f on f.tenant_id = c.tenant_id and f.connection = c.name
    where f.discarded_at is null and f.next_attempt_at is null
    having count(*) > 0
    union all
    select 'degraded', format('access ends on %s', to_char(c.token_expires_at, 'YYYY-MM-DD')),
           format('SELECT easysync.oauth_authorize_url(%L, redirect_uri => ...);', c.name)
    from known as c
    where c.token_expires_at < now() + interval '14 days'
    union all
    select 'degraded', format('webhooks can not be kept: %s', c.webhooks_problem),
           format('SELECT * FROM easysync.register_webhooks(%L, %L);', c.name, c.webhook_url)
    from known as c
    where c.webhooks_enabled and c.webhooks_problem is not null
    union all
    select 'degraded', format('schedule "%s" has failed %s times in a row', s.name, s.consecutive_failures),
           format('SELECT * FROM easysync.sync_run_steps WHERE sync_id = %s;', s.last_sync_id)
    from known as c
    join easysync_internal.schedules as s on s.tenant_id = c.tenant_id and (s.connection is null or s.connection = c.name)
    where s.active and s.consecutive_failures >= easysync_internal.setting(s.tenant_id, 'notify_after_failures')::integer
$$;

-- Slots of schedules, reckoned by the library (engine/src/schedule): the same code that fires them.

-- Slots after a moment, up to another (null: without end), `most` of them at most. None where the
-- expression or the zone can't be read.
create function easysync_internal.slots_after(cron text, zone text, after timestamptz, until timestamptz, most integer)
    returns table (run_at timestamptz, local_time timestamp, note text)
    language sql stable security definer set search_path = pg_catalog, pg_temp rows 3
as $$
    select s.run_at, s.local_time, s.note
    from jsonb_to_recordset(easysync_internal.reckon_slots(
             slots_after.cron, slots_after.zone, (extract(epoch from slots_after.after) * 1000000)::bigint,
             (extract(epoch from slots_after.until) * 1000000)::bigint, slots_after.most) -> 'slots')
         as s (run_at timestamptz, local_time timestamp, note text)
$$;

-- Schedules with their zones: their own, or the tenant's as it is now.
create view easysync_internal.zoned_schedules as
select s.*, coalesce(s.timezone, t.value, d.default_value) as zone
from easysync_internal.schedules as s
join easysync_internal.setting_definitions() as d on d.name = 'timezone'
left join easysync_internal.settings as t on t.tenant_id = s.tenant_id and t.name = d.name;
grant select on easysync_internal.zoned_schedules to easysync_worker;

-- How far a schedule of the connection is behind: a slot that passed a minute ago and nobody took.
create function easysync_internal.schedule_lag(tenant text, connection_name text) returns interval
    language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
    select max(clock_timestamp() - n.run_at)
    from easysync_internal.zoned_schedules as s
    cross join lateral easysync_internal.slots_after(s.cron, s.zone, s.decided_at, clock_timestamp() - interval '1 minute', 1) as n
    where s.tenant_id = tenant and s.active and (s.connection is null or s.connection = connection_name)
      and tenant = any (easysync.allowed_tenants())
$$;

-- What views call: checked against the reader. They tell of nothing but what is passed to them, and of
-- the reader's own tenants.
grant execute on function easysync_internal.slots_after(text, text, timestamptz, timestamptz, integer),
    easysync_internal.schedule_lag(text, text) to easysync_viewer;

-- Webhooks are `off` where nobody has registered them, or the connection doesn't act on them.
create or replace view easysync.connection_health with (security_barrier) as
select c.name as connection,
       c.connector,
       coalesce(p.health, 'ok') as health,
       coalesce(p.reasons, '{}') as reasons,
       coalesce(p.cures, '{}') as cures,
       c.status,
       (select max(x.finished_at) from easysync_internal.sync_run_steps as x
        where x.tenant_id = c.tenant_id and x.connection = c.name and x.status = 'succeeded') as last_success_at,
       (select count(*) from easysync_internal.sync_log as l
        where l.tenant_id = c.tenant_id and l.connection = c.name and l.level = 'error'
          and l.logged_at > now() - interval '24 hours') as errors_24h,
       c.circuit,
       case when c.circuit <> 'closed' then c.circuit_until end as circuit_until,
       c.token_expires_at,
       case when not c.webhooks_enabled or c.webhook_url is null then 'off'
            when c.webhooks_problem is not null then 'degraded' else 'ok' end as webhooks,
       easysync_internal.schedule_lag(c.tenant_id, c.name) as schedule_lag,
       c.tenant_id
from easysync_internal.connections as c
left join lateral (
    select case when bool_or(q.severity = 'down') then 'down' else 'degraded' end as health,
           array_agg(q.reason) as reasons, array_agg(q.cure) as cures
    from easysync_internal.connection_problems(c.tenant_id, c.name) as q
    having count(*) > 0) as p on true
where c.tenant_id = any ((select easysync_internal.visible_tenants())::text[]);

-- Schedules as people see them, and the alerts that they raise.

create view easysync.schedules with (security_barrier) as
select s.name as schedule,
       s.entity,
       s.mode,
       s.connection,
       s.cron,
       s.zone as timezone,
       s.filters,
       s.overlap,
       s.missed,
       s.active,
       case when s.active then
           (select n.run_at from easysync_internal.slots_after(s.cron, s.zone, greatest(s.decided_at, clock_timestamp()), null, 1) as n)
       end as next_run_at,
       s.last_run_at,
       s.last_sync_id,
       r.status as last_status,
       s.consecutive_failures,
       s.created_by,
       s.tenant_id
from easysync_internal.zoned_schedules as s
left join easysync_internal.sync_runs as r on r.sync_id = s.last_sync_id
where s.tenant_id = any ((select easysync_internal.visible_tenants())::text[]);
comment on view easysync.schedules is 'Cron schedules';
comment on column easysync.schedules.schedule is 'name';
comment on column easysync.schedules.entity is 'entity';
comment on column easysync.schedules.mode is 'incremental, full';
comment on column easysync.schedules.connection is 'null: all';
comment on column easysync.schedules.cron is 'expression';
comment on column easysync.schedules.timezone is 'zone';
comment on column easysync.schedules.filters is 'filters';
comment on column easysync.schedules.overlap is 'skip, queue';
comment on column easysync.schedules.missed is 'run_once, skip, run_all';
comment on column easysync.schedules.active is 'switched on';
comment on column easysync.schedules.next_run_at is 'next';
comment on column easysync.schedules.last_run_at is 'last';
comment on column easysync.schedules.last_sync_id is 'last run';
comment on column easysync.schedules.last_status is 'its status';
comment on column easysync.schedules.consecutive_failures is 'in a row';
comment on column easysync.schedules.created_by is 'role';
comment on column easysync.schedules.tenant_id is 'tenant (last column of every view)';

-- At most 10,000 slots of a schedule: one that fires every second fills its day by three hours.
create view easysync.upcoming_syncs with (security_barrier) as
select n.run_at,
       n.local_time,
       s.zone as timezone,
       s.name as schedule,
       s.entity,
       s.mode,
       s.connection,
       s.tenant_id
from easysync_internal.zoned_schedules as s
cross join lateral easysync_internal.slots_after(s.cron, s.zone, greatest(s.decided_at, clock_timestamp()),
                                                 clock_timestamp() + interval '1 day', 10000) as n
where s.active and s.tenant_id = any ((select easysync_internal.visible_tenants())::text[]);
comment on view easysync.upcoming_syncs is 'The next day of scheduled syncs';
comment on column easysync.upcoming_syncs.run_at is 'when';
comment on column easysync.upcoming_syncs.local_time is 'in the schedule''s zone';
comment on column easysync.upcoming_syncs.timezone is 'that zone';
comment on column easysync.upcoming_syncs.schedule is 'name';
comment on column easysync.upcoming_syncs.entity is 'entity';
comment on column easysync.upcoming_syncs.mode is 'mode';
comment on column easysync.upcoming_syncs.connection is 'null: all';
comment on column easysync.upcoming_syncs.tenant_id is 'tenant (last column of every view)';

create view easysync.notifications with (security_barrier) as
select n.notification_id, n.raised_at, n.event, n.severity, n.connection, n.sync_id, n.subject, n.message, n.channel,
       n.status, n.occurrences, n.sent_at, n.recovered_at, n.tenant_id
from easysync_internal.notifications as n
where n.tenant_id = any ((select easysync_internal.visible_tenants())::text[]);
comment on view easysync.notifications is 'Alerts sent and to be sent';
comment on column easysync.notifications.notification_id is 'key';
comment on column easysync.notifications.raised_at is 'when';
comment on column easysync.notifications.event is 'see vocabulary';
comment on column easysync.notifications.severity is 'info, warning, critical';
comment on column easysync.notifications.connection is 'connection';
comment on column easysync.notifications.sync_id is 'run';
comment on column easysync.notifications.subject is 'one line';
comment on column easysync.notifications.message is 'what happened, what it affects, what to do';
comment on column easysync.notifications.channel is 'channel';
comment on column easysync.notifications.status is 'pending, sent, failed, suppressed';
comment on column easysync.notifications.occurrences is 'grouped';
comment on column easysync.notifications.sent_at is 'sent';
comment on column easysync.notifications.recovered_at is 'over';
comment on column easysync.notifications.tenant_id is 'tenant (last column of every view)';

grant select on easysync.schedules, easysync.upcoming_syncs, easysync.notifications to easysync_viewer;

-- Deliveries as people and platforms see them: a view, so that it shows and takes those of the session's
-- own tenants only. It is inserted into like a table; what is left out has the table's defaults.
create view easysync.webhook_events with (security_barrier) as
select w.event_id, w.tenant_id, w.connection, w.headers, w.body, w.received_at, w.status, w.status_reason, w.topic,
       w.remote_ids, w.sync_id, w.processed_at
from easysync_internal.webhook_events as w
where w.tenant_id = any ((select easysync_internal.visible_tenants())::text[]);
comment on view easysync.webhook_events is 'Deliveries from platforms: insert (connection, headers, body), the worker does the rest';
comment on column easysync.webhook_events.event_id is 'key';
comment on column easysync.webhook_events.tenant_id is 'tenant';
comment on column easysync.webhook_events.connection is 'connection it was sent to';
comment on column easysync.webhook_events.headers is 'as received, names in any case';
comment on column easysync.webhook_events.body is 'raw, as received: the signature is over these bytes';
comment on column easysync.webhook_events.received_at is 'when';
comment on column easysync.webhook_events.status is 'received, accepted, rejected, ignored, processed';
comment on column easysync.webhook_events.status_reason is 'why';
comment on column easysync.webhook_events.topic is 'filled by the worker';
comment on column easysync.webhook_events.remote_ids is 'filled by the worker';
comment on column easysync.webhook_events.sync_id is 'run that fetched it';
comment on column easysync.webhook_events.processed_at is 'when';

grant insert (tenant_id, connection, headers, body) on easysync.webhook_events to easysync_webhook;
grant select on easysync.webhook_events to easysync_operator;
-- Which tenants it takes: checked against whoever delivers.
grant execute on function easysync_internal.visible_tenants() to easysync_webhook;

-- Schedules: schedule, alter_schedule, unschedule, preview_schedule; and what the worker does when a
-- slot has come (fire_schedule) and when a run that a schedule made has ended (note_run_end).
--
-- Of the library: check_cron(text) null or {"errors": [...]}; reckon_slots(cron, zone, after, until,
-- most) {"slots": [{"run_at","local_time","note"}]} or {"errors": [...]}, times in microseconds.

create type easysync.schedule_slot as (
    run_at timestamptz,
    local_time timestamp,
    note text
);
comment on type easysync.schedule_slot is 'One time of a schedule';

-- 22023 unless both can be read. The zone null: the tenant's, which was checked when it was set.
create function easysync_internal.check_cron_and_zone(cron text, zone text) returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    if cron is null then
        perform easysync_internal.raise_argument('a schedule needs a cron expression', 'E.g. ''0 * * * *'': every hour, on the hour.');
    end if;
    perform easysync_internal.raise_answer(easysync_internal.check_cron(cron) -> 'errors', null);
    if zone is not null and not exists (select from pg_timezone_names as z where z.name = zone) then
        perform easysync_internal.raise_argument(format('unknown time zone "%s"', zone), easysync_internal.timezone_hint(zone));
    end if;
end
$$;

create function easysync.preview_schedule(cron text, timezone text default null, runs integer default 3)
    returns setof easysync.schedule_slot
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
begin
    perform easysync_internal.check_cron_and_zone(preview_schedule.cron, preview_schedule.timezone);
    if coalesce(runs, 0) not between 1 and 1000 then
        perform easysync_internal.raise_argument(format('runs can not be %s', coalesce(runs::text, 'NULL')), 'From 1 to 1000.');
    end if;
    return query
        select s.run_at, s.local_time, s.note
        from easysync_internal.slots_after(preview_schedule.cron,
                 coalesce(preview_schedule.timezone, easysync_internal.setting(tenant, 'timezone')), clock_timestamp(), null, runs) as s;
end
$$;
comment on function easysync.preview_schedule(text, text, integer) is 'The next times of a cron expression, with what a clock change does to them';

-- The schedule, or YS404 with the names there are. Locks it: the worker may be about to fire it.
create function easysync_internal.known_schedule(tenant text, schedule_name text) returns easysync_internal.schedules
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    known easysync_internal.schedules;
begin
    select * into known from easysync_internal.schedules as s where s.tenant_id = tenant and s.name = schedule_name for update;
    if not found then
        perform easysync_internal.raise_error('YS404', format('unknown schedule %s', coalesce('"' || schedule_name || '"', 'NULL')),
            'category: not_found, code: unknown_schedule',
            coalesce((select 'Schedules: ' || string_agg(s.name, ', ' order by s.name) || '.'
                      from easysync_internal.schedules as s where s.tenant_id = tenant),
                     'There is none yet: easysync.schedule makes one.'));
    end if;
    return known;
end
$$;

-- "next: 11:00, 12:00, 13:00 (America/Edmonton)": with the day, where it isn't today.
create function easysync_internal.notice_next_times(tenant text, schedule_name text) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    known record;
    times text;
begin
    select * into known from easysync_internal.zoned_schedules as s where s.tenant_id = tenant and s.name = schedule_name;
    select string_agg(
               to_char(n.local_time, case when n.local_time::date <> (clock_timestamp() at time zone known.zone)::date then 'YYYY-MM-DD ' else '' end
                   || case when extract(second from n.local_time) <> 0 or known.cron ~ '^\S+( \S+){5}$' then 'HH24:MI:SS' else 'HH24:MI' end),
               ', ' order by n.run_at) into times
    from easysync_internal.slots_after(known.cron, known.zone, clock_timestamp(), null, 3) as n;
    raise notice 'next: % (%)', times, known.zone;
end
$$;

create function easysync.schedule(entity text, cron text, timezone text default null, mode text default 'incremental',
                                  connection text default null, filters jsonb default null, overlap text default 'skip',
                                  missed text default 'run_once', name text default null)
    returns text
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    tenant text := easysync.current_tenant();
    request record;
    new_name text;
begin
    select * into request from easysync_internal.checked_request(tenant, schedule.entity, schedule.mode, schedule.connection, null, schedule.filters);
    perform easysync_internal.check_cron_and_zone(schedule.cron, schedule.timezone);
    perform easysync_internal.check_word('overlap', schedule.overlap, 'Words');
    perform easysync_internal.check_word('missed', schedule.missed, 'Words');
    new_name := coalesce(schedule.name, concat_ws('_', schedule.entity, request.checked_mode, schedule.connection));
    if new_name !~ '^[a-z][a-z0-9_]{0,99}$' then
        perform easysync_internal.raise_argument(format('invalid schedule name "%s"', left(new_name, 60)),
            'A name is a lower-case letter, then up to 99 of lower-case letters, digits and "_".');
    end if;
    perform easysync_internal.store_schedule(tenant, new_name, schedule.entity, request.checked_mode, schedule.connection,
        regexp_replace(btrim(schedule.cron), '\s+', ' ', 'g'), schedule.timezone, request.checked_filters, schedule.overlap, schedule.missed);
    perform easysync_internal.notice_next_times(tenant, new_name);
    return new_name;
end
$$;
comment on function easysync.schedule(text, text, text, text, text, jsonb, text, text, text) is 'Sync on a cron schedule; returns the schedule''s name and notices the next three times';

-- The same name again replaces it, and switches it on. Where its times stay as they are, so does what
-- has been decided about them: a migration that is repeated neither loses a slot nor runs one twice.
create function easysync_internal.store_schedule(tenant text, schedule_name text, entity text, mode text, connection text, cron text,
                                                 timezone text, filters jsonb, overlap text, missed text)
    returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    before easysync_internal.schedules;
begin
    select * into before from easysync_internal.schedules as s where s.tenant_id = tenant and s.name = schedule_name for update;
    insert into easysync_internal.schedules as s
        (tenant_id, name, entity, mode, connection, cron, timezone, filters, overlap, missed, created_by)
    values (tenant, schedule_name, entity, mode, connection, cron, timezone, filters, overlap, missed, session_user)
    on conflict on constraint schedules_pkey do update
        set entity = excluded.entity, mode = excluded.mode, connection = excluded.connection, cron = excluded.cron,
            timezone = excluded.timezone, filters = excluded.filters, overlap = excluded.overlap, missed = excluded.missed,
            active = true, created_by = excluded.created_by,
            decided_at = case when s.active and s.cron = excluded.cron and s.timezone is not distinct from excluded.timezone
                              then s.decided_at else clock_timestamp() end;
    perform easysync_internal.audit(tenant, 'schedule', schedule_name, to_jsonb(before),
        jsonb_build_object('entity', entity, 'mode', mode, 'connection', connection, 'cron', cron, 'timezone', timezone,
                           'filters', filters, 'overlap', overlap, 'missed', missed));
end
$$;

create function easysync.alter_schedule(name text, cron text default null, timezone text default null, mode text default null,
                                        filters jsonb default null, overlap text default null, missed text default null,
                                        active boolean default null)
    returns void
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    known easysync_internal.schedules := easysync_internal.known_schedule(tenant, alter_schedule.name);
    request record;
    altered easysync_internal.schedules := known;
begin
    select * into request from easysync_internal.checked_request(tenant, known.entity, coalesce(alter_schedule.mode, known.mode),
        known.connection, null, coalesce(alter_schedule.filters, known.filters));
    altered.mode := request.checked_mode;
    altered.filters := request.checked_filters;
    altered.cron := coalesce(regexp_replace(btrim(alter_schedule.cron), '\s+', ' ', 'g'), known.cron);
    altered.timezone := coalesce(alter_schedule.timezone, known.timezone);
    altered.overlap := coalesce(alter_schedule.overlap, known.overlap);
    altered.missed := coalesce(alter_schedule.missed, known.missed);
    altered.active := coalesce(alter_schedule.active, known.active);
    perform easysync_internal.check_cron_and_zone(altered.cron, altered.timezone);
    perform easysync_internal.check_word('overlap', altered.overlap, 'Words');
    perform easysync_internal.check_word('missed', altered.missed, 'Words');
    -- Times that were not its own then aren't missed.
    if (altered.cron, altered.timezone, altered.active) is distinct from (known.cron, known.timezone, known.active) then
        altered.decided_at := clock_timestamp();
    end if;
    update easysync_internal.schedules as s
    set mode = altered.mode, filters = altered.filters, cron = altered.cron, timezone = altered.timezone,
        overlap = altered.overlap, missed = altered.missed, active = altered.active, decided_at = altered.decided_at
    where s.tenant_id = tenant and s.name = known.name;
    perform easysync_internal.audit(tenant, 'alter_schedule', known.name, to_jsonb(known), to_jsonb(altered));
    if altered.active then
        perform easysync_internal.notice_next_times(tenant, known.name);
    end if;
end
$$;
comment on function easysync.alter_schedule(text, text, text, text, jsonb, text, text, boolean) is 'Change a schedule; what is left NULL stays as it is';

create function easysync.unschedule(name text) returns boolean
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    known easysync_internal.schedules;
begin
    delete from easysync_internal.schedules as s where s.tenant_id = tenant and s.name = unschedule.name returning * into known;
    if not found then
        return false;
    end if;
    perform easysync_internal.end_notification(tenant, 'schedule_failing', known.name);
    perform easysync_internal.audit(tenant, 'unschedule', known.name, to_jsonb(known), null);
    return true;
end
$$;
comment on function easysync.unschedule(text) is 'Remove a schedule';

-- What a new connection could do by itself, switched off: alter_schedule(..., active => true) is all
-- it takes. An orders run brings customers, products and refunds along.
create function easysync_internal.add_default_schedules(tenant text, connection_name text) returns void
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    insert into easysync_internal.schedules (tenant_id, name, entity, mode, connection, cron, overlap, missed, active, created_by)
    select tenant, format('orders_%s_%s', d.mode, connection_name), 'orders', d.mode, connection_name, d.cron, 'skip', 'run_once', false, session_user
    from (values ('incremental', '0 * * * *'), ('full', '30 3 * * *')) as d (mode, cron)
    where exists (select from easysync_internal.streams as s
                  where s.tenant_id = tenant and s.connection = connection_name and s.entity = 'orders' and s.direction <> 'off')
    on conflict do nothing
$$;

-- A log row of the worker's own. A log that can't be written (its day has no partition yet) fails
-- nothing.
create function easysync_internal.log_row(tenant text, level text, operation text, result text, message text, sync_id bigint,
                                          connection text, entity text)
    returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
begin
    insert into easysync_internal.sync_log (tenant_id, level, operation, result, message, sync_id, connection, entity, sandbox)
    select tenant, level, operation, result, message, sync_id, connection, entity, easysync_internal.is_twin(tenant)
    where array_position(array['debug', 'info', 'warn', 'error'], level)
          >= array_position(array['debug', 'info', 'warn', 'error'], easysync_internal.setting(tenant, 'log_level'));
exception when check_violation then
    raise log 'easysync: a log row was not written: %', message;
end
$$;

-- For the worker: slots of a schedule have come. Queues a run for each, unless an earlier one still
-- runs and the schedule skips then, and notes up to when slots are done with: both or neither.
-- Somebody who changed the schedule meanwhile has the last word, and so has who switched the sandbox.
-- Returns how many were queued.
create function easysync_internal.fire_schedule(tenant text, schedule_name text, was_decided bigint, decided bigint, slots bigint[],
                                                missed_slots integer)
    returns integer
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    known easysync_internal.schedules;
    obstacle text;
    new_id bigint;
    slot bigint;
begin
    select * into known from easysync_internal.schedules as s
    where s.tenant_id = tenant and s.name = schedule_name and s.active
      and (extract(epoch from s.decided_at) * 1000000)::bigint = was_decided
    for update;
    if not found or not easysync_internal.may_start(tenant) then
        return 0;
    end if;
    obstacle := case when cardinality(slots) > 0 then easysync_internal.schedule_obstacle(known)
                     when missed_slots = 0 then 'the clock was set back: its slots follow it' end;
    if obstacle is null then
        foreach slot in array slots loop
            new_id := easysync_internal.queue_sync(tenant, known.entity, known.mode, known.connection, null, known.filters,
                                                   triggered_by => 'schedule');
            update easysync_internal.sync_runs as r set schedule = known.name, requested_by = known.created_by where r.sync_id = new_id;
        end loop;
    end if;
    update easysync_internal.schedules as s
    set decided_at = timestamptz 'epoch' + decided * interval '1 microsecond',
        last_run_at = case when new_id is null then s.last_run_at else clock_timestamp() end,
        last_sync_id = coalesce(new_id, s.last_sync_id)
    where s.tenant_id = tenant and s.name = known.name;
    perform easysync_internal.log_row(tenant, case when new_id is null or missed_slots > 0 then 'warn' else 'info' end, 'schedule',
        case when new_id is null then 'skipped' else 'ok' end,
        concat_ws('; ', format('schedule "%s"', known.name), case when missed_slots > 0 then format('%s slots were missed', missed_slots) end,
            obstacle, case when new_id is not null then format('%s queued', cardinality(slots)) end),
        new_id, known.connection, known.entity);
    return case when new_id is null then 0 else cardinality(slots) end;
end
$$;

-- Why a schedule's slot runs nothing; null: it does.
create function easysync_internal.schedule_obstacle(known easysync_internal.schedules) returns text
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select case
        when known.overlap = 'skip' and running.sync_id is not null then format('sync %s still runs', running.sync_id)
        when not exists (select from easysync_internal.streams as s
                         join easysync_internal.connections as c on c.tenant_id = s.tenant_id and c.name = s.connection
                         where s.tenant_id = known.tenant_id and s.entity = known.entity and s.direction <> 'off'
                           and (known.connection is null or s.connection = known.connection) and c.status <> 'disabled')
            then 'no connection that carries it is enabled' end
    from (select min(r.sync_id) as sync_id from easysync_internal.sync_runs as r
          where r.tenant_id = known.tenant_id and r.schedule = known.name and r.status in ('queued', 'running')) as running
$$;

-- Raises an alert, or counts it where the same one isn't over.
create function easysync_internal.raise_notification(tenant text, event text, severity text, object text, connection text,
                                                     sync_id bigint, subject text, message text)
    returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
begin
    update easysync_internal.notifications as n
    set occurrences = n.occurrences + 1, sync_id = raise_notification.sync_id, message = raise_notification.message
    where n.tenant_id = tenant and n.event = raise_notification.event and n.object = raise_notification.object and n.recovered_at is null;
    if not found then
        insert into easysync_internal.notifications (tenant_id, event, severity, object, connection, sync_id, subject, message)
        values (tenant, event, severity, object, connection, sync_id, subject, message);
    end if;
end
$$;

create function easysync_internal.end_notification(tenant text, event text, object text) returns void
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    update easysync_internal.notifications as n set recovered_at = clock_timestamp()
    where n.tenant_id = tenant and n.event = end_notification.event and n.object = end_notification.object and n.recovered_at is null
$$;

-- For the worker, when a run has ended: ends the deliveries that made it, and counts the failures of its
-- schedule. The one that reaches the
-- tenant's notify_after_failures raises an alert, and so does each one after it; a success ends it.
create function easysync_internal.note_run_end(ended_id bigint) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    run easysync_internal.sync_runs;
    failures integer;
begin
    select * into run from easysync_internal.sync_runs as r where r.sync_id = ended_id;
    if run.triggered_by = 'webhook' then
        perform easysync_internal.end_webhooks(run);
    end if;
    if run.schedule is null or run.status not in ('succeeded', 'partial', 'failed') then
        return;
    end if;
    update easysync_internal.schedules as s
    set consecutive_failures = case when run.status = 'failed' then s.consecutive_failures + 1 else 0 end
    where s.tenant_id = run.tenant_id and s.name = run.schedule and (run.status = 'failed' or s.consecutive_failures > 0)
    returning s.consecutive_failures into failures;
    if failures >= easysync_internal.setting(run.tenant_id, 'notify_after_failures')::integer then
        perform easysync_internal.raise_notification(run.tenant_id, 'schedule_failing', 'critical', run.schedule, run.connection, run.sync_id,
            format('schedule "%s" has failed %s times in a row', run.schedule, failures),
            format('%s: %s. Nothing of it is synced until it succeeds. %s', run.schedule, coalesce(run.error_message, 'unknown error'),
                   coalesce(run.error_hint, format('SELECT * FROM easysync.sync_run_steps WHERE sync_id = %s;', run.sync_id))));
    elsif failures = 0 then
        perform easysync_internal.end_notification(run.tenant_id, 'schedule_failing', run.schedule);
    end if;
end
$$;

grant execute on function easysync.schedule(text, text, text, text, text, jsonb, text, text, text),
    easysync.alter_schedule(text, text, text, text, jsonb, text, text, boolean), easysync.unschedule(text) to easysync_operator;
grant execute on function easysync.preview_schedule(text, text, integer) to easysync_viewer;

-- Webhooks: receive_webhook, postgrest_webhook, register_webhooks; and what the worker does with
-- deliveries.
--
-- Of the library: judge_webhook(tenant, connection, headers, body) {"verdict": ping, rejected, ignored or
-- accepted, "reason"}; webhooks_at(tenant, connection, connector, settings, url) {"registrations": [...],
-- "sealed", "key_id"} or {"errors": [...]}.

create type easysync.webhook_registration as (
    topic text,
    webhook_id text,
    status text,
    action text,
    message text
);
comment on type easysync.webhook_registration is 'One webhook on the platform';

create function easysync_internal.raise_bad_signature() returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    -- PostgREST answers 401 for it. It doesn't say what is wrong: whoever knows the secret knows.
    perform easysync_internal.raise_error('PT401', 'webhook signature does not match',
        'category: authentication, code: webhook_signature', 'The secret is set by easysync.register_webhooks.');
end
$$;

create function easysync.receive_webhook(connection text, headers jsonb, body text) returns bigint
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync_internal.selected_tenant();
    known easysync_internal.connections;
    verdict text;
    new_id bigint;
begin
    if receive_webhook.headers is null or jsonb_typeof(receive_webhook.headers) <> 'object' then
        perform easysync_internal.raise_argument('headers must be a JSON object', 'E.g. {"x-wc-webhook-signature": "...", "x-wc-webhook-topic": "order.updated"}.');
    end if;
    tenant := easysync_internal.delivered_to(tenant, receive_webhook.connection, receive_webhook.headers, coalesce(receive_webhook.body, ''));
    known := easysync_internal.known_connection(tenant, receive_webhook.connection);
    verdict := easysync_internal.judge_webhook(tenant, known.name, receive_webhook.headers, coalesce(receive_webhook.body, '')) ->> 'verdict';
    if verdict = 'ping' then
        return 0;
    elsif verdict = 'rejected' then
        perform easysync_internal.raise_bad_signature();
    end if;
    insert into easysync_internal.webhook_events (tenant_id, connection, headers, body)
    values (tenant, known.name, receive_webhook.headers, receive_webhook.body) returning event_id into new_id;
    return new_id;
end
$$;
comment on function easysync.receive_webhook(text, jsonb, text) is 'Verify and store one delivery; returns its event_id';

-- The connection, of any tenant, is the one whose secret signed: nothing else is asked of the caller, and
-- nothing is told. The type json keeps the text as it came, byte for byte.
create function easysync.postgrest_webhook(json) returns void
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    given_headers jsonb := coalesce(nullif(current_setting('request.headers', true), ''), '{}')::jsonb;
    known easysync_internal.connections;
begin
    for known in select * from easysync_internal.connections as c
                 where c.connector = 'woocommerce' and c.sealed is not null order by c.tenant_id, c.name loop
        if easysync_internal.judge_webhook(known.tenant_id, known.name, given_headers, $1::text) ->> 'verdict' in ('accepted', 'ignored') then
            insert into easysync_internal.webhook_events (tenant_id, connection, headers, body)
            values (known.tenant_id, known.name, given_headers, $1::text);
            return;
        end if;
    end loop;
    perform easysync_internal.raise_bad_signature();
end
$$;
comment on function easysync.postgrest_webhook(json) is 'The same for PostgREST: POST the raw delivery to /rpc/postgrest_webhook';

create function easysync.register_webhooks(connection text, url text) returns setof easysync.webhook_registration
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    known easysync_internal.connections := easysync_internal.known_connection(tenant, register_webhooks.connection);
    answer jsonb;
begin
    perform easysync_internal.check_fence();
    answer := easysync_internal.webhooks_at(tenant, known.name, known.connector, known.settings, coalesce(register_webhooks.url, ''));
    perform easysync_internal.raise_answer(answer -> 'errors', known.name);
    update easysync_internal.connections as c
    set sealed = decode(answer ->> 'sealed', 'base64'), key_id = answer ->> 'key_id', sealed_at = now(),
        webhook_url = register_webhooks.url, webhooks_checked_at = clock_timestamp(), webhooks_problem = null
    where c.tenant_id = tenant and c.name = known.name;
    perform easysync_internal.end_notification(tenant, 'webhooks_down', known.name);
    perform easysync_internal.audit(tenant, 'register_webhooks', known.name, to_jsonb(easysync_internal.masked(known.webhook_url)),
                                    to_jsonb(easysync_internal.masked(register_webhooks.url)));
    perform easysync_internal.wake();
    return query
        select r.topic, r.webhook_id, r.status, r.action, r.message
        from jsonb_to_recordset(answer -> 'registrations') as r (topic text, webhook_id text, status text, action text, message text);
end
$$;
comment on function easysync.register_webhooks(text, text) is 'Create or repair the shop''s webhooks, and read back their health';

-- For the worker: notes what became of deliveries. `settled`: [{"event_id","status","reason","topic",
-- "remote_ids","kept","same_as"}]. One that says the same as another has that one's fetch, and its end.
create function easysync_internal.settle_webhooks(settled jsonb) returns void
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    update easysync_internal.webhook_events as w
    set status = coalesce(t.status, s.status), topic = s.topic, remote_ids = s.remote_ids, kept = s.kept,
        status_reason = coalesce(t.status_reason, s.reason), sync_id = t.sync_id, next_attempt_at = t.next_attempt_at,
        processed_at = case when coalesce(t.status, s.status) <> 'accepted' then clock_timestamp() end
    from jsonb_to_recordset(settled)
             as s (event_id bigint, status text, reason text, topic text, remote_ids text[], kept boolean, same_as bigint)
    left join easysync_internal.webhook_events as t on t.event_id = s.same_as
    where w.event_id = s.event_id and w.status in ('received', 'accepted')
$$;

-- For the worker: queues the fetch of records that deliveries speak of. One that waits already takes
-- them along. Where the entity isn't pulled there is nothing to fetch.
create function easysync_internal.fetch_hints(tenant text, connection_name text, entity_name text, ids text[], event_ids bigint[]) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    run_id bigint;
begin
    if not exists (select from easysync_internal.streams as s
                   where s.tenant_id = tenant and s.connection = connection_name and s.entity = entity_name
                     and s.direction in ('pull', 'two_way')) then
        update easysync_internal.webhook_events as w
        set status = 'ignored', status_reason = format('%s are not pulled from "%s"', entity_name, connection_name), processed_at = clock_timestamp()
        where w.event_id = any (event_ids) and w.status = 'accepted';
        return;
    end if;
    select r.sync_id into run_id from easysync_internal.sync_runs as r
    where r.status = 'queued' and r.triggered_by = 'webhook' and r.tenant_id = tenant and r.connection = connection_name
      and r.entity = entity_name and cardinality(r.ids) + cardinality(fetch_hints.ids) <= 10000
    order by r.sync_id limit 1 for update;
    if found then
        update easysync_internal.sync_runs as r
        set ids = array(select i.id from unnest(r.ids || fetch_hints.ids) as i (id) group by i.id order by i.id)
        where r.sync_id = run_id;
    else
        run_id := easysync_internal.queue_sync(tenant, entity_name, 'ids', connection_name, ids, null, triggered_by => 'webhook');
    end if;
    update easysync_internal.webhook_events as w set sync_id = run_id, status_reason = null
    where w.event_id = any (event_ids) and w.status = 'accepted';
end
$$;

-- For the worker, when a fetch has ended: its deliveries end with it. Those whose records the shop
-- doesn't have, and never had for us, are ignored. A fetch that failed is tried again, up to six times
-- within an hour; after that the next run brings what it was about.
create function easysync_internal.end_webhooks(run easysync_internal.sync_runs) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    account_key text := (select c.account from easysync_internal.connections as c where c.tenant_id = run.tenant_id and c.name = run.connection);
begin
    if run.status in ('succeeded', 'partial') then
        update easysync_internal.webhook_events as w
        set status = case when f.known then 'processed' else 'ignored' end, processed_at = clock_timestamp(), next_attempt_at = null,
            status_reason = case when f.failed then 'see easysync.sync_failures' when not f.known then 'no such record there, or only a draft' end
        from (select e.event_id,
                     exists (select from easysync_internal.sync_failures as x
                             where x.tenant_id = run.tenant_id and x.connection = run.connection and x.direction = 'pull'
                               and x.entity = run.entity and x.record_id = any (e.remote_ids)) as failed,
                     exists (select from easysync_ledger.links as l
                             where l.tenant_id = run.tenant_id and l.account = account_key and l.entity = run.entity
                               and l.remote_id = any (e.remote_ids)) as known
              from easysync_internal.webhook_events as e where e.sync_id = run.sync_id and e.status = 'accepted') as f
        where w.event_id = f.event_id;
    else
        update easysync_internal.webhook_events as w
        set attempts = w.attempts + 1, status_reason = coalesce(run.error_message, 'the fetch was ' || run.status),
            status = case when w.attempts < 5 and run.status = 'failed' then 'accepted' else 'ignored' end,
            sync_id = case when w.attempts < 5 and run.status = 'failed' then null else w.sync_id end,
            next_attempt_at = case when w.attempts < 5 and run.status = 'failed' then clock_timestamp() + interval '1 minute' * 2 ^ w.attempts end,
            processed_at = case when w.attempts < 5 and run.status = 'failed' then null else clock_timestamp() end
        where w.sync_id = run.sync_id and w.status = 'accepted';
    end if;
    -- What was gathered meanwhile goes now.
    perform easysync_internal.wake_for('webhook_events');
end
$$;

-- For the worker, daily: bodies whose time is over are emptied, and with them the headers, which hold
-- signatures; rows go with the log. Returns how many were touched, a lot at a time.
create function easysync_internal.drop_old_webhooks(lot integer default 1000) returns integer
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    touched integer;
    gone integer;
begin
    update easysync_internal.webhook_events as w set body = '', headers = '{}'
    where w.event_id in (select o.event_id from easysync_internal.webhook_events as o
                         where o.body <> '' and o.status in ('rejected', 'ignored', 'processed')
                           and o.processed_at < now() - easysync_internal.setting(o.tenant_id, 'webhook_body_retention')::interval
                         order by o.event_id limit lot);
    get diagnostics touched = row_count;
    delete from easysync_internal.webhook_events as w
    where w.event_id in (select o.event_id from easysync_internal.webhook_events as o
                         where o.status in ('rejected', 'ignored', 'processed')
                           and o.processed_at < now() - easysync_internal.setting(o.tenant_id, 'log_retention')::interval
                         order by o.event_id limit lot);
    get diagnostics gone = row_count;
    return touched + gone;
end
$$;

-- For the worker, after its daily look at a connection's webhooks. `problem` null: all of them deliver.
create function easysync_internal.note_webhooks(tenant text, connection_name text, problem text, repaired text) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    update easysync_internal.connections as c set webhooks_checked_at = clock_timestamp(), webhooks_problem = problem
    where c.tenant_id = tenant and c.name = connection_name;
    if problem is not null then
        perform easysync_internal.raise_notification(tenant, 'webhooks_down', 'warning', connection_name, connection_name, null,
            format('webhooks of "%s" can not be kept', connection_name),
            format('%s. Changes are found by the next sync only. SELECT * FROM easysync.register_webhooks(%L, ...);', problem, connection_name));
    else
        perform easysync_internal.end_notification(tenant, 'webhooks_down', connection_name);
    end if;
    if repaired is not null then
        perform easysync_internal.audit(tenant, 'repair_webhooks', connection_name, null, to_jsonb(repaired));
        perform easysync_internal.log_row(tenant, 'warn', 'webhook', 'ok', format('webhooks were repaired: %s', repaired), null, connection_name, null);
    end if;
end
$$;

grant execute on function easysync.receive_webhook(text, jsonb, text), easysync.postgrest_webhook(json) to easysync_webhook;
grant execute on function easysync.register_webhooks(text, text) to easysync_admin;

revoke all on all routines in schema easysync, easysync_internal from public;
grant execute on all functions in schema easysync_internal to easysync_worker;

-- The worker, which paused for this, looks again.
select easysync_internal.wake();

-- Makes what is missing of the ledger, and its indexes as they are now. Called by connect and
-- create_hub; idempotent.
create or replace function easysync_internal.create_ledger() returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp
as $function$
begin
    -- Two first connects at once: the second finds everything made.
    perform pg_advisory_xact_lock(hashtextextended('easysync_ledger', 0));
    -- Not a schema that somebody laid ready for us, with triggers of his own on the tables.
    if exists (select from pg_namespace
               where nspname = 'easysync_ledger'
                 and nspowner not in (select oid from pg_roles where rolsuper or rolname = 'easysync_worker')) then
        perform easysync_internal.raise_error('42501', 'schema easysync_ledger belongs to another role',
            'category: validation, code: foreign_ledger',
            'ALTER SCHEMA easysync_ledger OWNER TO easysync_worker, if you trust what is in it.');
    end if;
    if to_regclass('easysync_ledger.links_created_by') is not null
       and to_regclass('easysync_ledger.sync_requests') is not null
       and to_regclass('easysync_ledger.hubs') is not null then
        perform easysync_internal.go_on_counting();
        return;
    end if;
    create schema if not exists easysync_ledger;
    comment on schema easysync_ledger is
        'easysync: links and write requests; keep it when the extension goes, or records are created twice';
    perform easysync_internal.create_links();
    perform easysync_internal.create_requests();
    -- Which hub schemas there are, at which version, and which tenant uses which.
    create table if not exists easysync_ledger.hubs (
        schema_name text primary key,
        schema_version integer not null,
        created_at timestamptz not null default now(),
        created_by name not null
    );
    create table if not exists easysync_ledger.tenants (
        tenant_id text primary key,
        hub_schema text not null
    );
    alter schema easysync_ledger owner to easysync_worker;
    alter table easysync_ledger.links owner to easysync_worker;
    alter table easysync_ledger.sync_requests owner to easysync_worker;
    alter table easysync_ledger.hubs owner to easysync_worker;
    alter table easysync_ledger.tenants owner to easysync_worker;
    perform easysync_internal.go_on_counting();
end
$function$;

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
grant execute on function easysync_internal.go_on_counting() to easysync_worker;

-- Sandboxes.
-- ==========

-- Tenants that ever had a sandbox; `enabled`: it is on.
create table easysync_internal.sandboxes (
    tenant_id text primary key,     -- the live one
    enabled boolean not null,
    switched_at timestamptz not null default clock_timestamp(),
    switched_by name not null
);
select pg_catalog.pg_extension_config_dump('easysync_internal.sandboxes'::pg_catalog.regclass, '');
grant select on easysync_internal.sandboxes to easysync_worker;

create function easysync_internal.twin_of(tenant text) returns text
    language sql immutable set search_path = pg_catalog, pg_temp
as $$ select tenant || ':sandbox' $$;

-- The live tenant whose sandbox this is; null: it is none. By the table, not by the name: an older
-- installation may have a live tenant that is called like that.
create function easysync_internal.live_of(tenant text) returns text
    language sql stable set search_path = pg_catalog, pg_temp
as $$ select s.tenant_id from easysync_internal.sandboxes as s where easysync_internal.twin_of(s.tenant_id) = tenant $$;

create function easysync_internal.is_twin(tenant text) returns boolean
    language sql stable set search_path = pg_catalog, pg_temp
as $$ select easysync_internal.live_of(tenant) is not null $$;

-- Who stands for a live tenant now: itself, or its twin.
create function easysync_internal.in_force(tenant text) returns text
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select case when exists (select from easysync_internal.sandboxes as s where s.tenant_id = tenant and s.enabled)
                then easysync_internal.twin_of(tenant) else tenant end
$$;

-- Live tenants whose sandbox is on, and sandboxes that are off.
create function easysync_internal.resting_tenants() returns text[]
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select coalesce(array_agg(case when s.enabled then s.tenant_id else easysync_internal.twin_of(s.tenant_id) end), '{}')
    from easysync_internal.sandboxes as s
$$;

-- For the worker, in the transaction that starts something for the tenant: until that ends, nobody
-- switches the sandbox. While somebody is about to switch it nothing starts, and nobody waits.
create function easysync_internal.may_start(tenant text) returns boolean
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    if not pg_try_advisory_xact_lock_shared(easysync_internal.sandbox_lock(coalesce(easysync_internal.live_of(tenant), tenant))) then
        return false;
    end if;
    -- A statement of its own: it sees what was committed before the lock was had.
    return tenant <> all (easysync_internal.resting_tenants());
end
$$;

create function easysync_internal.sandbox_lock(live text) returns bigint
    language sql immutable set search_path = pg_catalog, pg_temp
as $$ select hashtextextended('easysync sandbox ' || live, 0) $$;

-- The live tenants that are the session's own.
create function easysync_internal.own_tenants() returns text[]
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
    claim text := easysync_internal.claimed_tenant();
    tenants text[];
begin
    if claim is not null then
        -- A sandbox is reached by its tenant, and only while it is on.
        return case when easysync_internal.is_twin(claim) then array[]::text[] else array[claim] end;
    end if;
    if (select rolsuper from pg_roles where rolname = session_user) then
        select array_agg(distinct t order by t) into tenants
        from (select 'default' union all select tenant_id from easysync_internal.tenant_members
              union all select tenant_id from easysync_internal.sandboxes
              union all select tenant_id from easysync_internal.connections) as known (t)
        where not easysync_internal.is_twin(t);
        return tenants;
    end if;
    -- Nobody is a member of anything: an installation for one tenant, open to every easysync role.
    if not exists (select from easysync_internal.tenant_members) then
        return case when pg_has_role(session_user, 'easysync_viewer', 'member')
                      or pg_has_role(session_user, 'easysync_webhook', 'member')
                    then array['default'] else array[]::text[] end;
    end if;
    select coalesce(array_agg(distinct m.tenant_id order by m.tenant_id), '{}') into tenants
    from easysync_internal.tenant_members as m
    join pg_roles as r on r.rolname = m.role_name
    where pg_has_role(session_user, r.oid, 'member');
    return tenants;
end
$$;

-- With the sandboxes that are on: hub tables of both hold rows, and applications go on reading the live ones.
create or replace function easysync.allowed_tenants() returns text[]
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
    return (select coalesce(array_agg(distinct a.tenant order by a.tenant), '{}')
            from unnest(easysync_internal.own_tenants()) as o (tenant)
            cross join lateral (values (o.tenant), (easysync_internal.in_force(o.tenant))) as a (tenant));
end
$$;

-- What the session asks for: null when it says nothing, or '*' for all. A sandbox that is on is its tenant.
create or replace function easysync_internal.asked_tenant() returns text
    language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
    select coalesce((select s.tenant_id from easysync_internal.sandboxes as s
                     where s.enabled and easysync_internal.twin_of(s.tenant_id) = current_setting('easysync.tenant_id', true)),
                    nullif(current_setting('easysync.tenant_id', true), ''))
$$;

-- The live tenant that the session works for.
create function easysync_internal.selected_tenant() returns text
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
    allowed text[] := easysync_internal.own_tenants();
    asked text := nullif(easysync_internal.asked_tenant(), '*');
begin
    if asked = any (allowed) then
        return asked;
    end if;
    if asked is not null then
        perform easysync_internal.raise_error('42501', format('tenant "%s" is not one of yours', asked),
            'category: authentication, code: tenant_not_allowed',
            format('Tenants: %s.', coalesce(nullif(array_to_string(allowed, ', '), ''), 'none')));
    end if;
    if 'default' = any (allowed) then
        return 'default';
    end if;
    if cardinality(allowed) = 1 then
        return allowed[1];
    end if;
    if cardinality(allowed) = 0 then
        perform easysync_internal.raise_error('42501', format('role "%s" may see no tenant', session_user),
            'category: authentication, code: no_tenant',
            'An admin grants one with easysync.add_tenant_member.');
    end if;
    perform easysync_internal.raise_argument('several tenants, and none is selected',
        format('SET easysync.tenant_id to one of: %s.', array_to_string(allowed, ', ')));
end
$$;

-- While its sandbox is on a tenant is its twin: here, and in what the views show.
create or replace function easysync.current_tenant() returns text
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
    return easysync_internal.in_force(easysync_internal.selected_tenant());
end
$$;

-- The live tenants that the session looks at: the current one, or all allowed where '*' is asked or nothing is
-- and there are several. A tenant that isn't allowed shows nothing.
create function easysync_internal.selected_tenants() returns text[]
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
    allowed text[] := easysync_internal.own_tenants();
    asked text := easysync_internal.asked_tenant();
begin
    if asked = '*' then
        return allowed;
    elsif asked is not null then
        return case when asked = any (allowed) then array[asked] else '{}' end;
    end if;
    return case when 'default' = any (allowed) then array['default'] else allowed end;
end
$$;

-- The tenants that the views show.
create or replace function easysync_internal.visible_tenants() returns text[]
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
    return array(select easysync_internal.in_force(s.tenant) from unnest(easysync_internal.selected_tenants()) as s (tenant));
end
$$;

create or replace function easysync.add_tenant_member(role name, tenant text) returns void
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    allowed text[] := easysync_internal.own_tenants();
    is_super boolean := (select rolsuper from pg_roles where rolname = session_user);
    first_member boolean := not exists (select from easysync_internal.tenant_members);
begin
    if add_tenant_member.tenant is null or add_tenant_member.tenant !~ '^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,62}$' then
        perform easysync_internal.raise_argument(format('invalid tenant %s', coalesce('"' || add_tenant_member.tenant || '"', 'NULL')),
            'A tenant is 1 to 63 letters, digits, "_", ".", ":", "-".');
    end if;
    if add_tenant_member.tenant like '%:sandbox'
       and (easysync_internal.is_twin(add_tenant_member.tenant) or not easysync_internal.tenant_exists(add_tenant_member.tenant)) then
        perform easysync_internal.raise_argument(format('"%s" is the name of a sandbox', add_tenant_member.tenant),
            'Members of a tenant are members of its sandbox, too.');
    end if;
    if not exists (select from pg_roles where rolname = add_tenant_member.role) then
        perform easysync_internal.raise_argument(format('unknown role %s', coalesce('"' || add_tenant_member.role || '"', 'NULL')),
            'Create the role first; \du lists them.');
    end if;
    -- An admin of one tenant opens no door to another; a tenant that nobody has yet is free.
    if not is_super and add_tenant_member.tenant <> all (allowed)
       and easysync_internal.tenant_exists(add_tenant_member.tenant) then
        perform easysync_internal.raise_error('42501', format('tenant "%s" is not one of yours', add_tenant_member.tenant),
            'category: authentication, code: tenant_not_allowed',
            format('Tenants: %s.', coalesce(nullif(array_to_string(allowed, ', '), ''), 'none')));
    end if;
    -- The first member closes the open default: whoever adds it does not lock himself out.
    if first_member and not is_super then
        insert into easysync_internal.tenant_members (tenant_id, role_name, added_by)
        values ('default', session_user, session_user);
        perform easysync_internal.audit('default', 'add_tenant_member', session_user::text, null, to_jsonb('default'::text));
        raise notice 'tenant "default" is closed to other roles from now on; "%" stays a member', session_user;
    end if;
    insert into easysync_internal.tenant_members (tenant_id, role_name, added_by)
    values (add_tenant_member.tenant, add_tenant_member.role, session_user)
    on conflict (tenant_id, role_name) do nothing;
    if found then
        perform easysync_internal.audit(add_tenant_member.tenant, 'add_tenant_member', add_tenant_member.role::text,
                                        null, to_jsonb(add_tenant_member.tenant));
    end if;
end
$$;

-- Does anybody, or anything of ours, belong to the tenant.
create or replace function easysync_internal.tenant_exists(tenant text) returns boolean
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select tenant = 'default'
        or exists (select from easysync_internal.tenant_members as m where m.tenant_id = tenant)
        or exists (select from easysync_internal.connections as c where c.tenant_id = tenant)
        or exists (select from easysync_internal.settings as s where s.tenant_id = tenant)
        or exists (select from easysync_internal.sync_runs as r where r.tenant_id = tenant)
        or exists (select from easysync_internal.sandboxes as x where x.tenant_id = tenant)
$$;

create or replace function easysync.create_hub(schema text default 'commerce') returns text
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    twin boolean := easysync_internal.is_twin(tenant);
    hub text := schema;
    before text := easysync_internal.hub_schema(tenant);
    made integer;
begin
    if hub is null or hub = '' or hub ~ '^pg_' or length(hub) > 63
       or hub in ('information_schema', 'easysync', 'easysync_internal', 'easysync_ledger') then
        perform easysync_internal.raise_argument(format('a hub can not be in schema %s', coalesce('"' || hub || '"', 'NULL')),
            'Name a schema of your own, e.g. commerce.');
    end if;
    if twin then
        hub := easysync_internal.sandbox_hub(hub);
    end if;
    perform easysync_internal.create_ledger();
    -- Two sessions at once: the second finds everything made.
    perform pg_advisory_xact_lock(hashtextextended('easysync hub ' || hub, 0));
    perform easysync_internal.check_hub_rights(hub);
    made := easysync_internal.make_hub_tables(hub);
    perform easysync_internal.make_hub_triggers(hub);
    perform easysync_internal.note_hub(tenant, hub);
    if made > 0 then
        raise notice 'created the hub in schema % (% tables)', hub, made;
        if twin then
            perform easysync_internal.adapt_sandbox_hub(tenant, hub);
        end if;
    end if;
    if made > 0 or easysync_internal.hub_schema(tenant) is distinct from before then
        perform easysync_internal.audit(tenant, 'create_hub', hub, jsonb_build_object('hub', before),
                                        jsonb_build_object('hub', easysync_internal.hub_schema(tenant), 'tables', made));
    end if;
    return hub;
end
$$;

-- Schema of a sandbox's hub, for that of the tenant's: `commerce_sandbox`. A name that would be too long
-- for Postgres is told by its hash.
create function easysync_internal.sandbox_hub(schema_name text) returns text
    language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select case when schema_name ~ '_sandbox$' then schema_name
                when octet_length(schema_name) <= 55 then schema_name || '_sandbox'
                else 'hub_' || left(md5(schema_name), 16) || '_sandbox' end
$$;

-- YS409 where tables of the schema are live and the hub would be a sandbox's, or the other way round.
-- By the names of tenants: links between tenants and hubs outlive DROP EXTENSION.
create function easysync_internal.check_hub_is_apart(schema_name text, twin boolean) returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    if exists (select from easysync_ledger.tenants as t
               where t.hub_schema = schema_name and (t.tenant_id like '%:sandbox' and schema_name like '%\_sandbox') <> twin) then
        perform easysync_internal.raise_error('YS409',
            format('schema "%s" holds the hub of a %s', schema_name, case when twin then 'live tenant' else 'sandbox' end),
            'category: conflict, code: hub_in_use', 'Name another schema: SELECT easysync.create_hub(''...'').');
    end if;
end
$$;

-- What an application writes there is the sandbox's, too; and policies are as on the live hub.
create function easysync_internal.adapt_sandbox_hub(twin text, schema_name text) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    hub_table record;
begin
    for hub_table in select t.table_name from easysync_internal.hub_tables() as t loop
        execute format('alter table %I.%I alter column tenant_id set default %L', schema_name, hub_table.table_name,
                       easysync_internal.twin_of('default'));
    end loop;
    if to_regprocedure(quote_ident(coalesce(easysync_internal.hub_schema(easysync_internal.live_of(twin)), 'commerce')) || '.easysync_tenants()') is not null then
        perform easysync.enable_row_security();
    end if;
end
$$;

-- Keeps which hub schemas there are and which tenant uses which: the tenant's first one is its hub.
create or replace function easysync_internal.note_hub(tenant text, schema_name text) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    chosen text;
begin
    perform easysync_internal.check_hub_is_apart(schema_name, easysync_internal.is_twin(tenant));
    insert into easysync_ledger.hubs as h (schema_name, schema_version, created_by)
    values (schema_name, easysync_internal.schema_version(), session_user)
    on conflict on constraint hubs_pkey do update set schema_version = excluded.schema_version
    where h.schema_version <> excluded.schema_version;
    insert into easysync_ledger.tenants as t (tenant_id, hub_schema) values (tenant, schema_name)
    on conflict on constraint tenants_pkey do nothing;
    select t.hub_schema into chosen from easysync_ledger.tenants as t where t.tenant_id = tenant;
    if chosen = schema_name then
        return;
    end if;
    -- A hub that nothing uses yet, or whose tables are gone, gives way.
    if to_regclass(format('%I.orders', chosen)) is null
       or not exists (select from easysync_internal.connections as c where c.tenant_id = tenant) then
        update easysync_ledger.tenants as t set hub_schema = schema_name where t.tenant_id = tenant;
    else
        raise notice 'the hub of tenant "%" stays in schema %', tenant, chosen;
    end if;
end
$$;

-- Platforms don't know of a sandbox: they deliver to the live tenant, whose events are kept while it is on.
-- Those of the sandbox' own accounts are told by their connection's name, else by who signed; the live one's
-- where both did (a staging shop is often a copy with the same secret): nothing of live may be lost.
create function easysync_internal.delivered_to(tenant text, connection_name text, headers jsonb, body text) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
    twin text := nullif(easysync_internal.in_force(tenant), tenant);
    names text[] := (select coalesce(array_agg(c.tenant_id), '{}') from easysync_internal.connections as c
                     where c.tenant_id in (tenant, twin) and c.name = connection_name);
begin
    if twin is null or twin <> all (names) then
        return tenant;
    elsif tenant <> all (names) then
        return twin;
    end if;
    return coalesce((select c.tenant_id from unnest(array[tenant, twin]) with ordinality as c (tenant_id, nr)
                     where easysync_internal.judge_webhook(c.tenant_id, connection_name, headers, body) ->> 'verdict' in ('accepted', 'ignored')
                     order by c.nr limit 1), tenant);
end
$$;

create function easysync_internal.take_delivery() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    new.tenant_id := coalesce(new.tenant_id, 'default');
    if new.tenant_id <> all (easysync_internal.selected_tenants() || easysync_internal.visible_tenants()) then
        perform easysync_internal.raise_error('42501', format('tenant "%s" is not one of yours', left(new.tenant_id, 63)),
            'category: authentication, code: tenant_not_allowed', 'Leave out tenant_id, or SET easysync.tenant_id to one of your own.');
    end if;
    if jsonb_typeof(new.headers) = 'object' and new.body is not null then
        new.tenant_id := easysync_internal.delivered_to(new.tenant_id, new.connection, new.headers, new.body);
    end if;
    insert into easysync_internal.webhook_events (tenant_id, connection, headers, body)
    values (new.tenant_id, new.connection, new.headers, new.body) returning event_id, received_at, status
    into new.event_id, new.received_at, new.status;
    return new;
exception when check_violation or not_null_violation then
    -- Postgres would quote the row, and with it what customers are called.
    raise exception using errcode = sqlstate, message = sqlerrm, hint = 'headers: a JSON object; body: the raw text, 2 MiB at most.';
end
$$;
create trigger take instead of insert on easysync.webhook_events
    for each row execute function easysync_internal.take_delivery();

-- Two connections to one account would share its links and fight over its rows; and a sandbox has no
-- account that is live.
create or replace function easysync_internal.check_account_is_free(tenant text, connection_name text, account_key text) returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    other text;
begin
    select c.name into other from easysync_internal.connections as c
    where c.tenant_id = tenant and c.name <> connection_name and c.account = account_key;
    if found then
        perform easysync_internal.raise_error('YS409', format('the account of "%s" is already connected as "%s"', connection_name, other),
            'category: conflict, code: account_connected', format('Use "%s", or disconnect it first.', other));
    end if;
    other := easysync_internal.counterpart(tenant, account_key);
    if other is not null then
        perform easysync_internal.raise_error('YS409',
            case when easysync_internal.is_twin(tenant) then format('the account of "%s" is live, as "%s": the sandbox can not have it', connection_name, other)
                 else format('the account of "%s" is connected in the sandbox, as "%s"', connection_name, other) end,
            'category: conflict, code: account_is_live',
            case when easysync_internal.is_twin(tenant) then 'Connect an account that is for trials: a staging shop, a company on QuickBooks'' sandbox.'
                 else format('Disconnect "%s" in the sandbox first.', other) end);
    end if;
end
$$;

-- Connection by which the other one of a tenant and its sandbox has an account; null: it has not. A
-- shop is the same by http and https, and with and without www.
create function easysync_internal.counterpart(tenant text, account_key text) returns text
    language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
    select min(c.name)
    from easysync_internal.connections as c
    where c.tenant_id = coalesce(easysync_internal.live_of(counterpart.tenant), easysync_internal.twin_of(counterpart.tenant))
      and regexp_replace(c.account, '^(https?://)?(www\.)?', '') = regexp_replace(counterpart.account_key, '^(https?://)?(www\.)?', '')
$$;

-- The tenant's hub: the one it has, else schema commerce, made when it isn't there.
create or replace function easysync_internal.prepare_hub(tenant text) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    hub text;
begin
    perform easysync_internal.create_ledger();
    hub := coalesce(easysync_internal.hub_schema(tenant), easysync_internal.hub_schema(easysync_internal.live_of(tenant)), 'commerce');
    if easysync_internal.is_twin(tenant) then
        hub := easysync_internal.sandbox_hub(hub);
    end if;
    if exists (select from easysync_internal.hub_tables() as t where to_regclass(format('%I.%I', hub, t.table_name)) is null)
       or not exists (select from easysync_ledger.hubs as h where h.schema_name = hub) then
        perform easysync.create_hub(hub);
    else
        -- Made before, perhaps by another owner, for another tenant, or before a DROP EXTENSION took
        -- the triggers away.
        perform easysync_internal.make_hub_triggers(hub);
        perform easysync_internal.note_hub(tenant, hub);
    end if;
end
$$;

create or replace function easysync_internal.health_document() returns jsonb
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    worker jsonb := easysync_internal.worker_status();
    fence record;
    connections jsonb;
    reasons jsonb;
    status text;
begin
    select * into fence from easysync_internal.fence_state();
    select coalesce(jsonb_agg(to_jsonb(h) order by h.tenant_id, h.connection), '[]') into connections
    from easysync.connection_health as h;
    reasons := easysync_internal.health_reasons(worker, fence.state, fence.reason, connections);
    status := case when exists (select from jsonb_array_elements(reasons) as r where r ->> 'severity' = 'down') then 'down'
                   when reasons <> '[]' then 'degraded' else 'ok' end;
    return jsonb_build_object(
        'status', status,
        'reasons', (select coalesce(jsonb_agg(r.value - 'severity' order by r.value ->> 'severity' = 'down' desc, r.ordinality), '[]')
                    from jsonb_array_elements(reasons) with ordinality as r),
        'version', easysync_internal.library_version(),
        'worker', worker,
        'fenced', fence.state = 'fenced',
        'sandbox', exists (select from unnest(easysync_internal.visible_tenants()) as v (tenant) where easysync_internal.is_twin(v.tenant)),
        'queue', easysync_internal.health_queue(),
        'connections', connections);
end
$$;

create function easysync.set_sandbox(enabled boolean) returns void
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    live text := coalesce(easysync_internal.live_of(tenant), tenant);
    twin text := easysync_internal.twin_of(live);
    known easysync_internal.sandboxes;
begin
    if set_sandbox.enabled is null then
        perform easysync_internal.raise_argument('enabled can not be NULL', 'true: into the sandbox; false: back to the live accounts.');
    elsif current_setting('transaction_isolation') <> 'read committed' then
        -- An older snapshot doesn't show a sync that has started since.
        perform easysync_internal.raise_error('25001', 'the sandbox can be switched in a transaction that reads what is committed only',
            'category: validation, code: isolation_level', 'BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED;');
    end if;
    -- The worker starts nothing for either of the two from here to the end of this transaction.
    perform pg_advisory_xact_lock(easysync_internal.sandbox_lock(live));
    select * into known from easysync_internal.sandboxes as s where s.tenant_id = live;
    if coalesce(known.enabled, false) = set_sandbox.enabled then
        raise notice 'tenant "%" is % already', live, case when set_sandbox.enabled then 'in its sandbox' else 'live' end;
        return;
    end if;
    perform easysync_internal.check_nothing_runs(case when set_sandbox.enabled then live else twin end);
    if known.tenant_id is null then
        perform easysync_internal.check_twin_is_free(live);
    end if;
    insert into easysync_internal.sandboxes as s (tenant_id, enabled, switched_by) values (live, set_sandbox.enabled, session_user)
    on conflict (tenant_id) do update
        set enabled = excluded.enabled, switched_at = clock_timestamp(), switched_by = excluded.switched_by;
    -- It concerns both, and each sees its own log alone.
    perform easysync_internal.audit(t.id, 'set_sandbox', live, to_jsonb(not set_sandbox.enabled), to_jsonb(set_sandbox.enabled))
    from unnest(array[live, twin]) as t (id);
    if set_sandbox.enabled then
        perform easysync_internal.prepare_sandbox_hub(twin);
    end if;
    perform easysync_internal.wake();
end
$$;
comment on function easysync.set_sandbox(boolean) is 'Switch the tenant to its sandbox, or back';

create function easysync.in_sandbox() returns boolean
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
    return easysync_internal.is_twin(easysync.current_tenant());
end
$$;
comment on function easysync.in_sandbox() is 'Is the tenant in its sandbox';

-- What runs would go on for a tenant that rests.
create function easysync_internal.check_nothing_runs(tenant text) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    running bigint := (select min(r.sync_id) from easysync_internal.sync_runs as r where r.tenant_id = tenant and r.status = 'running');
begin
    if running is not null then
        perform easysync_internal.raise_error('YS409', format('sync %s is running', running),
            'category: conflict, code: sync_running', format('Wait for it, or stop it: SELECT easysync.cancel(%s);', running));
    end if;
end
$$;

-- The first time: the twin's name may belong to a live tenant of an older installation.
create function easysync_internal.check_twin_is_free(live text) returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    twin text := easysync_internal.twin_of(live);
begin
    if easysync_internal.tenant_exists(twin) then
        perform easysync_internal.raise_error('YS409', format('there is a tenant "%s", which is no sandbox', twin),
            'category: conflict, code: tenant_exists', format('Its name is needed for the sandbox of "%s": remove its members and connections.', live));
    end if;
end
$$;

-- The twin's hub, where that can be made now. Else it is made with its first connection, or by create_hub.
create function easysync_internal.prepare_sandbox_hub(twin text) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    said text;
    hint text;
begin
    perform easysync_internal.prepare_hub(twin);
exception when insufficient_privilege or sqlstate 'YS409' or sqlstate '42P07' then
    get stacked diagnostics said = message_text, hint = pg_exception_hint;
    raise notice 'the sandbox has no hub yet: %', said using hint = hint;
end
$$;

-- Every tenant of a copy goes into its sandbox: what its live rows tell of belongs to the original.
create function easysync_internal.sandbox_all() returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    live text;
begin
    for live in
        select 'default' union select c.tenant_id from easysync_internal.connections as c
        union select m.tenant_id from easysync_internal.tenant_members as m
        union select s.tenant_id from easysync_internal.sandboxes as s
        order by 1
    loop
        continue when easysync_internal.is_twin(live) or easysync_internal.in_force(live) <> live;
        if not exists (select from easysync_internal.sandboxes as s where s.tenant_id = live)
           and easysync_internal.tenant_exists(easysync_internal.twin_of(live)) then
            raise warning 'tenant "%" has no sandbox: there is a tenant "%"', live, easysync_internal.twin_of(live);
            continue;
        end if;
        insert into easysync_internal.sandboxes as s (tenant_id, enabled, switched_by) values (live, true, session_user)
        on conflict (tenant_id) do update set enabled = true, switched_at = clock_timestamp(), switched_by = excluded.switched_by;
        perform easysync_internal.audit(t.id, 'set_sandbox', live, 'false', 'true')
        from unnest(array[live, easysync_internal.twin_of(live)]) as t (id);
    end loop;
end
$$;

-- A copy's connections were marked; now its tenants go into their sandboxes, and a mark says whose they are.
update easysync_internal.connections set sandbox = false where sandbox;

-- The audit log: what was missing in it, and nobody writes to it but audit().
revoke insert, select on easysync_internal.audit_log from easysync_worker;

-- Who did what. Nobody but the owner of the log writes to it, and only here. The text of a value never
-- holds credentials: callers pass what a view would show, and mask what people typed. The worker is a
-- session of the first superuser: it is called what it works as.
create or replace function easysync_internal.audit(tenant text, action text, object text, old_value jsonb, new_value jsonb,
                                        sync_id bigint default null)
    returns void
    language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
    insert into easysync_internal.audit_log (tenant_id, session_user_name, current_user_name, action, object,
                                             old_value, new_value, sync_id, client_addr)
    select tenant, case when a.backend_type = 'easysync worker' then 'easysync_worker' else session_user end,
           case when a.backend_type = 'easysync worker' then 'easysync_worker'
                else coalesce(nullif(current_setting('role'), 'none'), session_user) end,
           action, object, old_value, new_value, sync_id, inet_client_addr()
    from (select max(p.backend_type) as backend_type from pg_stat_get_activity(pg_backend_pid()) as p) as a
$$;

create or replace function easysync.remove_tenant_member(role name, tenant text) returns boolean
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    removed boolean;
begin
    if remove_tenant_member.tenant is null
       or remove_tenant_member.tenant <> all (easysync.allowed_tenants()) then
        return false;
    end if;
    delete from easysync_internal.tenant_members
    where tenant_id = remove_tenant_member.tenant and role_name = remove_tenant_member.role;
    removed := found;
    if removed then
        perform easysync_internal.audit(remove_tenant_member.tenant, 'remove_tenant_member', remove_tenant_member.role::text,
                                        to_jsonb(remove_tenant_member.tenant), null);
        -- The other way round of the rule above: no member at all means open again.
        if not exists (select from easysync_internal.tenant_members) then
            raise warning 'no tenant has a member now: tenant "default" is open to every easysync role'
                using hint = 'Add one with easysync.add_tenant_member to close it.';
        end if;
    end if;
    return removed;
end
$$;

-- Policies by tenant on the hub tables. They call a function that lies beside the tables, not in the
-- extension: a plain DROP EXTENSION works, and then nobody but the owner sees a row.
create or replace function easysync.enable_row_security() returns void
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    hub text := easysync_internal.hub_schema(tenant);
    hub_table record;
    relation regclass;
begin
    if hub is null then
        perform easysync_internal.raise_argument(format('tenant "%s" has no hub yet', tenant), 'Make it with easysync.create_hub.');
    end if;
    perform easysync_internal.check_hub_rights(hub);
    if to_regprocedure(format('%I.easysync_tenants()', hub)) is null then
        execute format('create function %I.easysync_tenants() returns text[] language plpgsql stable '
                       'set search_path = pg_catalog, pg_temp as $f$ begin return easysync.allowed_tenants(); end $f$', hub);
        execute format('comment on function %I.easysync_tenants() is %L', hub, 'Tenants whose rows the session may see (policies of easysync.enable_row_security)');
        execute format('alter function %I.easysync_tenants() owner to %I', hub, session_user);
    end if;
    for hub_table in select * from easysync_internal.hub_tables() order by position loop
        relation := to_regclass(format('%I.%I', hub, hub_table.table_name));
        continue when relation is null;
        execute format('alter table %s enable row level security', relation);
        if not exists (select from pg_policy where polrelid = relation and polname = 'easysync_tenant') then
            execute format('create policy easysync_tenant on %s using (tenant_id = any ((select %I.easysync_tenants())::text[])) '
                           'with check (tenant_id = any ((select %I.easysync_tenants())::text[]))', relation, hub, hub);
            -- The worker serves every tenant.
            execute format('create policy easysync_worker on %s to easysync_worker using (true) with check (true)', relation);
        end if;
    end loop;
    perform easysync_internal.audit(tenant, 'enable_row_security', hub, null, 'true');
end
$$;

-- For the worker, when a stream was walked to its end: notes it, and ends verify mode when each stream
-- that flows has been walked since it began; those of sandboxes aside, which may rest for long.
create or replace function easysync_internal.note_verified(tenant text, connection_name text, entity_name text) returns void
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    since timestamptz := (select verify_since from easysync_internal.identity);
begin
    if since is null then
        return;
    end if;
    update easysync_internal.streams set verified_at = clock_timestamp()
    where tenant_id = tenant and connection = connection_name and entity = entity_name;
    if not exists (select from easysync_internal.streams as s
                   join easysync_internal.connections as c on c.tenant_id = s.tenant_id and c.name = s.connection
                   where s.direction <> 'off' and c.status <> 'disabled'
                     and not easysync_internal.is_twin(s.tenant_id)
                     and (s.verified_at is null or s.verified_at < since)) then
        update easysync_internal.identity set verify_since = null;
        perform easysync_internal.audit(tenant, 'verified', current_database(), to_jsonb(since), null);
    end if;
end
$$;

create or replace function easysync.fence(reason text default null) returns boolean
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
begin
    if exists (select from easysync_internal.identity where fenced_at is not null) then
        return false;
    end if;
    -- Also where the identity already says so: a person's fence stays until a person lifts it.
    insert into easysync_internal.identity as i (fenced_at, fenced_by, fence_reason)
    values (clock_timestamp(), session_user, easysync_internal.masked(fence.reason))
    on conflict (singleton) do update
        set fenced_at = excluded.fenced_at, fenced_by = excluded.fenced_by, fence_reason = excluded.fence_reason;
    perform easysync_internal.audit(tenant, 'fence', current_database(), 'false',
        jsonb_build_object('fenced', true, 'reason', easysync_internal.masked(fence.reason)));
    perform easysync_internal.wake();
    return true;
end
$$;

-- What becomes of a plan that needs a confirmation: it waits for one, or goes ahead, with how many.
-- None: a person gave it before, by the schedule that asks.
create function easysync_internal.audit_plan(run_id bigint, tenant text, connection_name text, hash text, summary jsonb, released boolean, given integer)
    returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    run easysync_internal.sync_runs;
begin
    if released and given = 0 and (summary ->> 'destructive')::bigint = 0
       and (select coalesce(sum(a.value::bigint), 0) from jsonb_each_text(summary -> 'by_action') as a)
           <= easysync_internal.setting(tenant, 'confirm_threshold')::bigint then
        return;
    end if;
    select * into run from easysync_internal.sync_runs as r where r.sync_id = run_id;
    perform easysync_internal.audit(tenant, case when released then 'go_ahead' else 'await_confirmation' end,
        format('%s of "%s"', run.entity, connection_name), null,
        jsonb_build_object('plan', hash, 'by_action', summary -> 'by_action', 'confirmations', given,
                           'requested_by', run.requested_by, 'schedule', run.schedule), run_id);
end
$$;

-- Destructive writes, once each: which document, from what to what, and for whom. Those that are about to be
-- sent; with `in_status` done those of the hub (an undo's), in the transaction that makes them.
create function easysync_internal.audit_destructive(run_id bigint, tenant text, account_key text, request text, change_list integer[],
                                                    in_status text default 'planned')
    returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    perform easysync_internal.audit(tenant, c.action,
               concat_ws(' ', case c.direction when 'pull' then 'hub' else c.connection end, c.target, coalesce(c.remote_id, l.remote_id), format('(%s)', easysync_internal.masked(c.label))),
               f.before,
               f.after || jsonb_build_object('request_id', request, 'reason', c.reason,
                                             'requested_by', (select r.requested_by from easysync_internal.sync_runs as r where r.sync_id = run_id)),
               run_id)
    from easysync_internal.sync_changes as c
    left join lateral (
        select min(x.remote_id) as remote_id from easysync_ledger.links as x
        where x.hub_id = c.hub_id and x.tenant_id = c.tenant_id and x.entity = c.entity and x.account = account_key and x.remote_type = c.target) as l on true
    cross join lateral (
        select easysync_internal.masked_json(coalesce(jsonb_object_agg(e.key, e.value -> 'old'), '{}')) as before,
               easysync_internal.masked_json(coalesce(jsonb_object_agg(e.key, e.value -> 'new'), '{}')) as after
        from jsonb_each(c.fields) as e) as f
    where c.sync_id = run_id and c.change_id = any (change_list) and c.status = in_status
      and (c.destructive or c.action in ('void', 'inactivate', 'delete'))
    order by c.change_id;
end
$$;

create or replace function easysync.connect(name text, connector text, settings jsonb default '{}', credentials jsonb default null,
                                 verify boolean default true)
    returns text
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    answer jsonb;
begin
    if connect.name is null or connect.name !~ '^[a-z][a-z0-9_]{0,62}$' then
        perform easysync_internal.raise_argument(format('invalid connection name %s', coalesce('"' || connect.name || '"', 'NULL')),
            'A name is a lower-case letter, then up to 62 of lower-case letters, digits and "_".');
    end if;
    perform easysync_internal.check_word('connector', connect.connector, 'Connectors');
    perform easysync_internal.check_object('settings', connect.settings, nullable => false);
    perform easysync_internal.check_object('credentials', connect.credentials, nullable => true);
    perform easysync_internal.check_name_is_free(tenant, connect.name);
    answer := easysync_internal.ask_account(tenant, connect.name, connect.connector, connect.settings, connect.credentials,
                                            coalesce(connect.verify, true));
    perform easysync_internal.check_account_is_free(tenant, connect.name, answer ->> 'account_key');
    perform easysync_internal.prepare_hub(tenant);
    perform easysync_internal.store_connection(tenant, connect.name, connect.connector, connect.settings, answer, coalesce(connect.verify, true));
    perform easysync_internal.audit(tenant, 'connect', connect.name, null,
        jsonb_build_object('connector', connect.connector, 'settings', connect.settings, 'account', answer ->> 'account_key',
                           'key_id', answer ->> 'key_id', 'hub', easysync_internal.hub_schema(tenant), 'verified', coalesce(connect.verify, true)));
    return connect.name;
end
$$;

create or replace function easysync.disable(connection text, reason text default null) returns void
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    known easysync_internal.connections := easysync_internal.known_connection(tenant, disable.connection);
begin
    update easysync_internal.connections as c
    set status = 'disabled', status_reason = coalesce(easysync_internal.masked(disable.reason), format('disabled by %s', session_user)),
        status_hint = null, changed_at = now()
    where c.tenant_id = tenant and c.name = known.name;
    perform easysync_internal.audit(tenant, 'disable', known.name, to_jsonb(known.status),
        jsonb_build_object('status', 'disabled', 'reason', easysync_internal.masked(disable.reason)));
    -- A run in hand stops after the record it is writing.
    perform easysync_internal.wake();
end
$$;

create or replace function easysync.set_credentials(connection text, credentials jsonb, verify boolean default true) returns void
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    known easysync_internal.connections := easysync_internal.known_connection(tenant, set_credentials.connection);
    answer jsonb;
begin
    perform easysync_internal.check_object('credentials', set_credentials.credentials, nullable => false);
    -- Refused by the platform: this raises, and the old ones stay.
    answer := easysync_internal.ask_account(tenant, known.name, known.connector, known.settings, set_credentials.credentials,
                                            coalesce(verify, true));
    perform easysync_internal.apply_answer(tenant, known.name, answer, coalesce(verify, true), enable => false);
    perform easysync_internal.audit(tenant, 'set_credentials', known.name, jsonb_build_object('key_id', known.key_id, 'sealed_at', known.sealed_at),
        jsonb_build_object('key_id', answer ->> 'key_id', 'verified', coalesce(verify, true)));
end
$$;

create or replace function easysync.rotate_encryption_key(step text default 'both') returns integer
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    before jsonb;
    answer jsonb;
begin
    perform easysync_internal.check_word('key_step', step, 'Steps');
    -- A standby that is promoted before it has the new key could open nothing.
    if step = 'both' and exists (select from pg_stat_get_wal_senders() as s where s.state is not null) then
        perform easysync_internal.raise_error('YS409', 'standbys are attached: they need the new key first',
            'category: conflict, code: standbys_attached',
            'SELECT easysync.rotate_encryption_key(''prepare''), copy the key file to each standby, then ''activate''.');
    end if;
    before := (select jsonb_agg(distinct c.key_id) from easysync_internal.connections as c where c.sealed is not null);
    answer := easysync_internal.rotate_key(step);
    perform easysync_internal.raise_answer(answer -> 'errors', 'key file');
    perform easysync_internal.audit(tenant, 'rotate_encryption_key', step, jsonb_build_object('key_ids', before), answer);
    return coalesce((answer ->> 'resealed')::integer, 0);
end
$$;

-- For the worker: the platform refused the account, and nothing is sent to it before a person has looked.
create function easysync_internal.suspend_connection(tenant text, connection_name text, new_status text, reason text, hint text) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    update easysync_internal.connections as c
    set status = new_status, status_reason = reason, status_hint = hint, changed_at = clock_timestamp()
    where c.tenant_id = tenant and c.name = connection_name and c.status = 'connected';
    if found then
        perform easysync_internal.audit(tenant, 'suspend', connection_name, '"connected"', jsonb_build_object('status', new_status, 'reason', reason));
    end if;
end
$$;

-- For the worker: the platform gave new tokens in place of the old ones, sealed here.
create function easysync_internal.store_tokens(tenant text, connection_name text, sealing_key text, sealed_tokens bytea, grant_ends timestamptz)
    returns boolean
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    known easysync_internal.connections;
begin
    select * into known from easysync_internal.connections as c where c.tenant_id = tenant and c.name = connection_name for update;
    if not found then
        return false;
    end if;
    update easysync_internal.connections as c
    set key_id = sealing_key, sealed = sealed_tokens, sealed_at = clock_timestamp(), token_expires_at = grant_ends
    where c.tenant_id = tenant and c.name = connection_name;
    perform easysync_internal.audit(tenant, 'renew_tokens', connection_name,
        jsonb_build_object('key_id', known.key_id, 'token_expires_at', known.token_expires_at),
        jsonb_build_object('key_id', sealing_key, 'token_expires_at', grant_ends));
    return true;
end
$$;

create or replace function easysync.cancel(sync_id bigint, reason text default null) returns boolean
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    run easysync_internal.sync_runs;
begin
    select * into run from easysync_internal.sync_runs as r
    where r.sync_id = cancel.sync_id and r.tenant_id = tenant for update;
    if not found then
        perform easysync_internal.raise_unknown_sync(cancel.sync_id);
    elsif run.status not in ('queued', 'running', 'awaiting_confirmation') then
        raise warning 'sync % had already ended: %', run.sync_id, run.status;
        return false;
    end if;
    -- A running one is the worker's: it ends it after the record in hand.
    update easysync_internal.sync_runs as r
    set cancel_requested_at = coalesce(r.cancel_requested_at, clock_timestamp()),
        cancel_requested_by = coalesce(r.cancel_requested_by, session_user),
        cancel_reason = coalesce(r.cancel_reason, easysync_internal.masked(cancel.reason)),
        status = case r.status when 'running' then r.status else 'cancelled' end,
        finished_at = case r.status when 'running' then r.finished_at else clock_timestamp() end
    where r.sync_id = run.sync_id;
    update easysync_internal.sync_run_steps as s set status = 'cancelled', finished_at = clock_timestamp()
    where s.sync_id = run.sync_id and run.status <> 'running' and s.finished_at is null;
    perform easysync_internal.audit(tenant, 'cancel', run.entity, to_jsonb(run.status),
        jsonb_build_object('status', 'cancelled', 'reason', easysync_internal.masked(cancel.reason)), run.sync_id);
    return true;
end
$$;

-- The row stays, hidden, with the hash of what failed: a later run that meets the same record unchanged
-- doesn't make a failure of it again.
create or replace function easysync.discard_failure(failure_id bigint, reason text default null) returns boolean
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    failure easysync_internal.sync_failures;
begin
    update easysync_internal.sync_failures as f set discarded_at = clock_timestamp(), next_attempt_at = null
    where f.failure_id = discard_failure.failure_id and f.tenant_id = tenant and f.discarded_at is null
    returning * into failure;
    if not found then
        return false;
    end if;
    perform easysync_internal.audit(tenant, 'discard_failure',
        format('%s %s %s', failure.connection, failure.entity, easysync_internal.masked_id(failure.record_id)),
        jsonb_build_object('failure_id', failure.failure_id, 'error_category', failure.error_category, 'error_code', failure.error_code),
        to_jsonb(easysync_internal.masked(discard_failure.reason)), failure.sync_id);
    return true;
end
$$;

revoke all on all routines in schema easysync, easysync_internal from public;
grant execute on function easysync.set_sandbox(boolean) to easysync_admin;
grant execute on function easysync.in_sandbox() to easysync_viewer;
grant execute on all functions in schema easysync_internal to easysync_worker;

create function easysync_internal.preview_undo(tenant text, connection text, entity text, direction text, undoes bigint) returns jsonb
    language c strict volatile parallel unsafe as 'MODULE_PATHNAME', 'preview_undo_wrapper';
-- undo: the reverse of a sync, as a run of its own. It goes through the same gate as any other.

-- The sync, where it can be undone at all. Raises why it can't.
create function easysync_internal.undoable_sync(tenant text, sync_id bigint) returns easysync_internal.sync_runs
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    run easysync_internal.sync_runs;
    other easysync_internal.sync_runs;
begin
    select * into run from easysync_internal.sync_runs as r
    where r.sync_id = undoable_sync.sync_id and r.tenant_id = tenant;
    if not found then
        perform easysync_internal.raise_unknown_sync(undoable_sync.sync_id);
    elsif run.status in ('queued', 'running', 'awaiting_confirmation') then
        perform easysync_internal.raise_error('YS409', format('sync %s has not ended: it is %s', run.sync_id, run.status),
            'category: conflict, code: not_ended', format('SELECT easysync.cancel(%s);', run.sync_id));
    elsif run.dry_run then
        perform easysync_internal.raise_error('YS409', format('sync %s was a dry run: it wrote nothing', run.sync_id),
            'category: conflict, code: nothing_to_undo', 'SELECT sync_id, entity, request FROM easysync.sync_runs ORDER BY sync_id DESC;');
    end if;
    select * into other from easysync_internal.sync_runs as r
    where r.tenant_id = tenant and r.undoes = run.sync_id and not r.dry_run
      and r.status in ('queued', 'running', 'awaiting_confirmation', 'succeeded')
    order by r.sync_id desc limit 1;
    if found then
        perform easysync_internal.raise_error('YS409', format('sync %s undoes sync %s already: it is %s', other.sync_id, run.sync_id, other.status),
            'category: conflict, code: undone_before',
            case other.status when 'awaiting_confirmation' then format('SELECT * FROM easysync.request_confirmation(%s);', other.sync_id)
                              else format('SELECT * FROM easysync.sync_status(%s);', other.sync_id) end);
    end if;
    return run;
end
$$;

create function easysync.undo(sync_id bigint) returns bigint
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    tenant text := easysync.current_tenant();
    run easysync_internal.sync_runs;
    new_id bigint;
begin
    -- Two undos at once: the second waits here, and finds the first.
    perform from easysync_internal.sync_runs as r where r.sync_id = undo.sync_id and r.tenant_id = tenant for update;
    run := easysync_internal.undoable_sync(tenant, undo.sync_id);
    insert into easysync_internal.sync_runs (tenant_id, entity, mode, connection, triggered_by, undoes, requested_by, sandbox)
    values (tenant, run.entity, 'ids', run.connection, 'undo', run.sync_id, session_user, run.sandbox)
    returning sync_runs.sync_id into new_id;
    perform easysync_internal.audit(tenant, 'undo', run.entity, null, to_jsonb(run.sync_id), new_id);
    perform easysync_internal.warn_if_idle(tenant, new_id, run.entity, run.connection);
    return new_id;
end
$$;
comment on function easysync.undo(bigint) is 'Queue the reverse of a sync; returns the sync_id of the reverse';

create function easysync.dry_run_undo(sync_id bigint) returns setof easysync.change
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    tenant text := easysync.current_tenant();
    run easysync_internal.sync_runs;
    part record;
    answer jsonb;
    last integer := 0;
begin
    run := easysync_internal.undoable_sync(tenant, dry_run_undo.sync_id);
    perform easysync_internal.check_fence();
    -- As the worker goes: the accounts first, then the hub.
    for part in
        select s.connection, s.direction, case s.direction when 'push' then s.entity else run.entity end as entity
        from easysync_internal.sync_run_steps as s where s.sync_id = run.sync_id group by 1, 2, 3 order by s.direction desc, 1, 3
    loop
        answer := easysync_internal.preview_undo(tenant, part.connection, part.entity, part.direction, run.sync_id);
        perform easysync_internal.raise_answer(answer -> 'errors', part.connection);
        return query
            select c.change_id + last, c.connection, c.direction, c.entity, c.record_id, c.label, c.target, c.action, c.destructive, c.reason,
                   c.fields, array(select d.value::integer + last from jsonb_array_elements_text(c.depends_on) as d)
            from jsonb_to_recordset(answer -> 'changes') as c (change_id integer, connection text, direction text, entity text,
                record_id text, label text, target text, action text, destructive boolean, reason text, fields jsonb, depends_on jsonb);
        last := last + coalesce((select max((c.value ->> 'change_id')::integer) from jsonb_array_elements(answer -> 'changes') as c), 0);
    end loop;
end
$$;
comment on function easysync.dry_run_undo(bigint) is 'What undo would change; what can not be undone has action skip and the reason';

revoke all on all routines in schema easysync, easysync_internal from public;
grant execute on function easysync.undo(bigint), easysync.dry_run_undo(bigint) to easysync_operator;
grant execute on all functions in schema easysync_internal to easysync_worker;

-- The id that a record has where it was born: on the platform that it was pulled from, else the hub's.
-- A link that a push made has a state that both sides agreed on; a pull's has none, and its id is that.
create function easysync_internal.record_id_of(tenant text, account_key text, entity_name text, hub bigint, remote text) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
    pushed boolean;
    origin text;
begin
    -- Only what the session may see, whatever was asked for.
    if tenant <> all (easysync.allowed_tenants()) then
        return null;
    end if;
    select l.agreed is not null into pushed from easysync_ledger.links as l
    where l.tenant_id = tenant and l.account = account_key and l.entity = entity_name and l.remote_id = remote;
    if not coalesce(pushed, false) then
        return remote;
    end if;
    select l.remote_id into origin from easysync_ledger.links as l
    where l.hub_id = hub and l.tenant_id = tenant and l.entity = entity_name and l.agreed is null
    order by l.agreed_at, l.remote_id limit 1;
    return coalesce(origin, hub::text);
end
$$;

create or replace view easysync.links with (security_barrier) as
select c.name as connection,
       l.entity,
       easysync_internal.masked_id(easysync_internal.record_id_of(l.tenant_id, l.account, l.entity, l.hub_id, l.remote_id)) as record_id,
       l.hub_id,
       easysync_internal.masked_id(l.remote_id) as remote_id,
       l.remote_type,
       l.remote_number,
       l.remote_version,
       l.agreed_at,
       l.deleted_at,
       l.tenant_id
from easysync_internal.read_links((select easysync_internal.visible_tenants())) as l
left join easysync_internal.connections as c on c.tenant_id = l.tenant_id and c.account = l.account;

revoke all on function easysync_internal.record_id_of(text, text, text, bigint, text) from public;
grant execute on function easysync_internal.record_id_of(text, text, text, bigint, text) to easysync_viewer, easysync_worker;
