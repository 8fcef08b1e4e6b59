-- Credentials and the keys that seal them. Sealing is the library's; nothing here can read a secret:
--   rotate_key(step text) returns jsonb
--     'prepare' writes a fresh key into the key file, 'activate' seals every credential of every tenant
--     with the newest one (the key is the installation's), 'both' does both.
--     {"key_id", "resealed"} or {"errors": [...]}.

-- Bound parameters reach the server's log with the statement's duration, once it has ended
-- (log_min_duration_statement and its kin). Functions that are given a secret, or customers' data, call
-- this first: for the rest of the transaction the server logs no parameters. What is logged before a
-- statement begins (log_statement = 'all') a client keeps out itself: SET LOCAL
-- log_parameter_max_length = 0, which our roles may do (90_grants.sql).
create function easysync_internal.hide_parameters() returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    perform set_config('log_parameter_max_length', '0', true);
exception when insufficient_privilege then
    -- Before Postgres 15 the right to this setting can't be granted; health() warns.
    null;
end
$$;

-- By which settings of the server a client's parameters would be logged all the same; null: by none. As
-- sessions begin, not as this one is at the moment.
create function easysync_internal.parameters_logged_by() returns text
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    with known as (
        select s.name, s.reset_val as value from pg_settings as s
        where s.name in ('log_statement', 'log_parameter_max_length', 'log_parameter_max_length_on_error', 'log_min_duration_statement',
                         'log_min_duration_sample', 'log_transaction_sample_rate',
                         'auto_explain.log_min_duration', 'auto_explain.log_parameter_max_length', 'pgaudit.log_parameter')
    ), server as (
        select coalesce((select k.value from known as k where k.name = 'log_parameter_max_length'), '-1') <> '0' as keeps,
               -- What waits for a duration is hidden by then, but for the statement's preparation, which takes no time.
               case when current_setting('server_version_num')::integer >= 150000 then '^0$' else '^\d' end as threshold
    )
    select string_agg(format('%s = %s', k.name, k.value), ', ' order by k.name)
    from known as k cross join server as s
    where s.keeps and (k.name = 'log_statement' and k.value = 'all'
                       or k.name in ('log_min_duration_statement', 'log_min_duration_sample') and k.value ~ s.threshold
                       or k.name = 'log_transaction_sample_rate' and k.value::double precision > 0)
       or k.name = 'log_parameter_max_length_on_error' and k.value <> '0'
       or k.name = 'auto_explain.log_parameter_max_length' and k.value <> '0'
          and exists (select from known as d where d.name = 'auto_explain.log_min_duration' and d.value <> '-1')
       or k.name = 'pgaudit.log_parameter' and k.value = 'on'
$$;

create function easysync.set_credentials(connection text, credentials jsonb, verify boolean default true) returns void
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    known easysync_internal.connections := easysync_internal.known_connection(tenant, set_credentials.connection);
    answer jsonb;
begin
    perform easysync_internal.hide_parameters();
    perform easysync_internal.check_object('credentials', set_credentials.credentials, nullable => false);
    -- Refused by the platform: this raises, and the old ones stay.
    answer := easysync_internal.ask_account(tenant, known.name, known.connector, known.settings, set_credentials.credentials,
                                            coalesce(verify, true));
    -- Tokens of another company.
    if known.account is not null and coalesce(answer ->> 'account_key', known.account) <> known.account then
        perform easysync_internal.check_account_is_free(tenant, known.name, answer ->> 'account_key');
        perform easysync_internal.check_account_may_change(tenant, known, answer ->> 'account_key');
    end if;
    perform easysync_internal.apply_answer(tenant, known.name, answer, coalesce(verify, true), enable => false);
    perform easysync_internal.audit(tenant, 'set_credentials', known.name, jsonb_build_object('key_id', known.key_id, 'sealed_at', known.sealed_at),
        jsonb_build_object('key_id', answer ->> 'key_id', 'verified', coalesce(verify, true)));
end
$$;
comment on function easysync.set_credentials(text, jsonb, boolean) is 'Replace the sealed credentials of a connection';

create function easysync.rotate_encryption_key(step text default 'both') returns integer
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    before jsonb;
    answer jsonb;
begin
    perform easysync_internal.check_dba('rotate_encryption_key');
    perform easysync_internal.check_word('key_step', step, 'Steps');
    -- A standby that is promoted before it has the new key could open nothing.
    if step = 'both' and exists (select from pg_stat_get_wal_senders() as s where s.pid is not null) then
        perform easysync_internal.raise_error('YS409', 'standbys are attached: they need the new key first',
            'category: conflict, code: standbys_attached',
            'SELECT easysync.rotate_encryption_key(''prepare''), copy the key file to each standby, then ''activate''.');
    end if;
    before := (select jsonb_agg(distinct c.key_id) from easysync_internal.connections as c where c.sealed is not null);
    answer := easysync_internal.rotate_key(step);
    perform easysync_internal.raise_answer(answer -> 'errors', 'key file');
    perform easysync_internal.audit(easysync_internal.audited_tenant(), 'rotate_encryption_key', step, jsonb_build_object('key_ids', before), answer);
    return coalesce((answer ->> 'resealed')::integer, 0);
end
$$;
comment on function easysync.rotate_encryption_key(text) is 'Seal every credential anew with a fresh key; returns how many';

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
