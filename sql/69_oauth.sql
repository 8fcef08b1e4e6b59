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
    perform easysync_internal.check_size('redirect_uri', redirect_uri);
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
    perform easysync_internal.hide_parameters();
    perform easysync_internal.check_size('callback_url', oauth_complete.callback_url);
    perform easysync_internal.check_fence();
    state := easysync_internal.callback_state(oauth_complete.callback_url);
    perform easysync_internal.raise_answer(state -> 'errors', '');
    if state ->> 'tenant' <> tenant then
        perform easysync_internal.raise_error('YS401', 'this answer belongs to another tenant', 'category: authentication, code: oauth_state',
            'Begin again: easysync.oauth_authorize_url.');
    end if;
    known := easysync_internal.known_connection(tenant, state ->> 'connection');
    -- Before anybody is asked: a new grant to a live company could end the one that is in use.
    if known.account is not null and known.account <> state ->> 'realm' then
        perform easysync_internal.raise_error('YS409', format('"%s" belongs to another company than before', known.name),
            'category: conflict, code: other_account', 'Connect the other company under a name of its own.');
    end if;
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
