-- Credentials and the keys that seal them. Sealing is the library's; nothing here can read a secret:
--   rotate_key(step text) returns jsonb
--     step 'prepare' writes a fresh key into the key file, 'activate' makes the newest key of the file
--     the one that seals. {"key_id"} or {"errors": [...]}.
--   reseal(tenant text, connection text, sealed bytea, key_id text) returns jsonb
--     The same credentials under the key in force. {"sealed" (base64), "key_id"} or {"errors": [...]}.

create function easysync.set_credentials(connection text, credentials jsonb, verify boolean default true) returns void
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
    perform easysync_internal.audit(tenant, 'set_credentials', known.name, null, jsonb_build_object('key_id', answer ->> 'key_id'));
end
$$;
comment on function easysync.set_credentials(text, jsonb, boolean) is 'Replace the sealed credentials of a connection';

create function easysync.rotate_encryption_key(step text default 'both') returns integer
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    answer jsonb;
    resealed integer := 0;
begin
    perform easysync_internal.check_word('key_step', step, 'Steps');
    -- A standby that is promoted before it has the new key could open nothing.
    if step = 'both' and exists (select from pg_stat_get_wal_senders() as s where s.state is not null) then
        perform easysync_internal.raise_error('YS409', 'standbys are attached: they need the new key first',
            'category: conflict, code: standbys_attached',
            'SELECT easysync.rotate_encryption_key(''prepare''), copy the key file to each standby, then ''activate''.');
    end if;
    if step in ('prepare', 'both') then
        answer := easysync_internal.rotate_key('prepare');
        perform easysync_internal.raise_answer(answer -> 'errors', 'key file');
    end if;
    if step in ('activate', 'both') then
        answer := easysync_internal.rotate_key('activate');
        perform easysync_internal.raise_answer(answer -> 'errors', 'key file');
        resealed := easysync_internal.reseal_all();
    end if;
    perform easysync_internal.audit(tenant, 'rotate_encryption_key', step, null,
        jsonb_build_object('key_id', answer ->> 'key_id', 'resealed', resealed));
    return resealed;
end
$$;
comment on function easysync.rotate_encryption_key(text) is 'Seal every credential anew with a fresh key; returns how many';

-- Every connection of every tenant: the key is the installation's.
create function easysync_internal.reseal_all() returns integer
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    known record;
    answer jsonb;
    resealed integer := 0;
begin
    for known in select c.tenant_id, c.name, c.sealed, c.key_id from easysync_internal.connections as c
                 where c.sealed is not null order by c.tenant_id, c.name for update loop
        answer := easysync_internal.reseal(known.tenant_id, known.name, known.sealed, known.key_id);
        perform easysync_internal.raise_answer(answer -> 'errors', known.name);
        update easysync_internal.connections as c
        set sealed = decode(answer ->> 'sealed', 'base64'), key_id = answer ->> 'key_id', sealed_at = now()
        where c.tenant_id = known.tenant_id and c.name = known.name;
        resealed := resealed + 1;
    end loop;
    return resealed;
end
$$;
