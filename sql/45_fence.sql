-- The fence: a copy of production must never write to production's books, nor read from them (a pull
-- refreshes the token and kills production's grant). The table `identity` says what this database was
-- when somebody last vouched for it; fence_state() compares that with where it runs now.

-- Where the database runs now. The timeline comes from the WAL's write position, not from the control
-- file: that one still shows the old timeline until the first checkpoint after a promotion.
create function easysync_internal.whereabouts()
    returns table (system_identifier bigint, database_oid oid, instance text, timeline bigint, major integer)
    language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
    select c.system_identifier, d.oid, easysync_internal.node_instance(),
           ('x' || lpad(substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8), 16, '0'))::bit(64)::bigint,
           current_setting('server_version_num')::integer / 10000
    from pg_control_system() as c, pg_database as d
    where d.datname = current_database()
$$;

-- new: nothing was ever connected and verified, there is nothing to do.
-- ok: work. verify: work, but every create asks the target first.
-- fenced: no network call of any kind, no row written by worker or sync; `reason` says why.
create function easysync_internal.fence_state(out state text, out reason text)
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
    known easysync_internal.identity;
    here record;
begin
    if pg_is_in_recovery() then
        state := 'fenced';
        reason := 'a standby: its primary does the work';
        return;
    end if;
    select * into known from easysync_internal.identity;
    if known.fenced_at is not null then
        state := 'fenced';
        reason := format('fenced by %s at %s%s', known.fenced_by,
            to_char(known.fenced_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'), coalesce(': ' || known.fence_reason, ''));
        return;
    end if;
    if known.system_identifier is null then
        state := case when exists (select from easysync_internal.connections where verified_at is not null)
                      then 'fenced' else 'new' end;
        reason := case state when 'fenced' then 'connections without an identity: loaded from elsewhere' end;
        return;
    end if;
    select * into here from easysync_internal.whereabouts();
    reason := case
        when known.system_identifier <> here.system_identifier then 'another cluster: restored from a dump or upgraded'
        when known.database_oid <> here.database_oid then 'another database of the cluster: restored or copied'
        when known.instance is distinct from here.instance then 'another machine, data directory or easysync.instance: a clone'
        when known.major <> here.major then 'another major version of Postgres'
    end;
    state := case when reason is not null then 'fenced'
                  when known.timeline <> here.timeline or known.verify_since is not null then 'verify'
                  else 'ok' end;
    if state = 'verify' then
        reason := case when known.timeline <> here.timeline then 'promoted' else 'taken over or promoted' end
            || ': intents of the last moments may be lost, every create asks first';
    end if;
end
$$;

-- Raises unless the network may be used: the first line of every function that calls a platform.
create function easysync_internal.check_fence() returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    fence record;
begin
    select * into fence from easysync_internal.fence_state();
    if fence.state = 'fenced' then
        perform easysync_internal.raise_error('YS409', format('this database is fenced: %s', fence.reason),
            'category: conflict, code: fenced',
            'Only if it is production now: SELECT easysync.unfence(''takeover''). If it is a copy: SELECT easysync.unfence(''copy'').');
    end if;
end
$$;

-- Writes where the database runs now as what it is. `verify`: starts in verify mode.
create function easysync_internal.accept_identity(accepted_mode text, verify boolean) returns void
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    here record;
begin
    select * into here from easysync_internal.whereabouts();
    insert into easysync_internal.identity as i
        (system_identifier, database_oid, instance, timeline, major, accepted_at, accepted_by, accepted_mode, verify_since)
    values (here.system_identifier, here.database_oid, here.instance, here.timeline, here.major,
            now(), session_user, accept_identity.accepted_mode, case when verify then clock_timestamp() end)
    on conflict (singleton) do update
        set system_identifier = excluded.system_identifier, database_oid = excluded.database_oid,
            instance = excluded.instance, timeline = excluded.timeline, major = excluded.major,
            accepted_at = excluded.accepted_at, accepted_by = excluded.accepted_by,
            accepted_mode = excluded.accepted_mode, verify_since = excluded.verify_since,
            fenced_at = null, fenced_by = null, fence_reason = null;
    if verify then
        perform easysync_internal.step_cursors_back();
    end if;
end
$$;

-- What was read in the last moments before a failover may be lost: read a day of it again.
create function easysync_internal.step_cursors_back() returns void
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    update easysync_internal.sync_state
    set cursor = jsonb_set(cursor, '{watermark}', to_jsonb(to_char(
                     ((cursor ->> 'watermark')::timestamptz - interval '1 day') at time zone 'UTC',
                     'YYYY-MM-DD"T"HH24:MI:SS"Z"'))),
        changed_at = now()
    where cursor ->> 'watermark' is not null
$$;

-- For the worker, before anything else: where only the timeline moved the database was promoted. Notes
-- the new timeline and starts verify mode; returns fence_state as it is then.
create function easysync_internal.note_promotion(out state text, out reason text)
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
    select f.state, f.reason into state, reason from easysync_internal.fence_state() as f;
    if state = 'verify' and (select i.timeline from easysync_internal.identity as i)
                            <> (select w.timeline from easysync_internal.whereabouts() as w) then
        perform easysync_internal.accept_identity('promotion', verify => true);
        perform easysync_internal.audit('default', 'promotion', current_database(), null, null);
        select f.state, f.reason into state, reason from easysync_internal.fence_state() as f;
    end if;
end
$$;

-- For the worker, when a stream was walked to its end: notes it, and ends verify mode when each stream
-- that flows has been walked since it began; those of sandboxes aside, which may rest for long.
create function easysync_internal.note_verified(tenant text, connection_name text, entity_name text) returns void
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

create function easysync.fence(reason text default null) returns boolean
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
    perform easysync_internal.check_size('reason', fence.reason);
    perform easysync_internal.check_dba('fence');
    if exists (select from easysync_internal.identity where fenced_at is not null) then
        return false;
    end if;
    -- Also where the identity already says so: a person's fence stays until a person lifts it.
    insert into easysync_internal.identity as i (fenced_at, fenced_by, fence_reason)
    values (clock_timestamp(), session_user, easysync_internal.masked(fence.reason))
    on conflict (singleton) do update
        set fenced_at = excluded.fenced_at, fenced_by = excluded.fenced_by, fence_reason = excluded.fence_reason;
    perform easysync_internal.audit(easysync_internal.audited_tenant(), 'fence', current_database(), 'false',
        jsonb_build_object('fenced', true, 'reason', easysync_internal.masked(fence.reason)));
    perform easysync_internal.wake();
    return true;
end
$$;
comment on function easysync.fence(text) is 'Emergency stop: this database sends nothing until unfence()';

create function easysync.unfence(mode text) returns boolean
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text;
    was record;
    here record;
    accounts text;
    others integer;
begin
    perform easysync_internal.check_dba('unfence');
    perform easysync_internal.check_word('unfence_mode', mode, 'Modes');
    tenant := easysync_internal.audited_tenant();
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
    from (select tenant as id union select easysync_internal.audited_tenant()) as t;
    perform easysync_internal.wake();
    return true;
end
$$;
comment on function easysync.unfence(text) is 'Accept this cluster and database as the one that syncs';

-- A copy: credentials are erased, queue, intents and what was still to run dropped. Hub rows, links and
-- logs stay.
create function easysync_internal.forget_accounts() returns void
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
