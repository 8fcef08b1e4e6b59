-- Row types of functions that return rows, and the one place that raises errors.
--
-- Types instead of RETURNS TABLE: \df stays narrow, an upgrade adds an attribute without dropping the
-- function, and PL/pgSQL takes no result column that is named as an argument.

create type easysync.connection_check as (
    check_name text,
    ok boolean,
    message text,
    hint text,
    duration_ms integer
);
comment on type easysync.connection_check is 'One check of a connection or a channel';

create type easysync.retry_result as (
    sync_id bigint,
    entity text,
    failures integer
);
comment on type easysync.retry_result is 'One sync queued by retry';

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
    expires_at timestamptz,
    by_period jsonb,
    notes text[]
);
comment on type easysync.confirmation is 'What a sync would do, and the token to let it';

-- raise_error(sqlstate_code, message, detail, hint) is the library's (src/api/raise.rs): what, where; a
-- detail with category and code; what to do, where something can be done. Texts hold no secret and no
-- personal data.

-- A word that isn't one of those that an argument takes.
create function easysync_internal.raise_argument(message text, hint text) returns void
    language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    perform easysync_internal.raise_error('22023', message, 'category: validation, code: invalid_argument', hint);
end
$$;

-- SQLSTATE for an error category (the engine's own table, for errors that were stored with a run).
create function easysync_internal.category_sqlstate(category text) returns text
    language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select case category
        when 'authentication' then 'YS401' when 'not_found' then 'YS404' when 'conflict' then 'YS409'
        when 'validation' then 'YS422' when 'needs_attention' then 'YS422' when 'blocked' then 'YS422'
        when 'rate_limit' then 'YS429' when 'network' then 'YS503' else 'YS500' end
$$;

-- Errors as the library answers them: [{"sqlstate","category","code","message","hint"}, ...]. One is
-- raised as it is; more are listed, all of them, under one heading.
create function easysync_internal.raise_answer(errors jsonb, connection text) returns void
    language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    first_error jsonb := errors -> 0;
    listing text;
begin
    if coalesce(jsonb_array_length(errors), 0) = 0 then
        return;
    end if;
    if jsonb_array_length(errors) = 1 then
        perform easysync_internal.raise_error(
            coalesce(first_error ->> 'sqlstate', easysync_internal.category_sqlstate(first_error ->> 'category')),
            first_error ->> 'message',
            format('category: %s, code: %s', first_error ->> 'category', first_error ->> 'code'),
            first_error ->> 'hint');
    end if;
    select string_agg(format('%s (%s)', e ->> 'message', rtrim(coalesce(e ->> 'hint', e ->> 'code'), '.')), E'\n')
      into listing
      from jsonb_array_elements(errors) as e;
    perform easysync_internal.raise_error('YS422',
        format('invalid settings for "%s": %s problems', connection, jsonb_array_length(errors)),
        listing, 'Each problem is in the DETAIL, with its cure.');
end
$$;

-- Who did what. Nobody but the owner of the log writes to it, and only here. The text of a value never
-- holds credentials: callers pass what a view would show, and mask what people typed.
create function easysync_internal.audit(tenant text, action text, object text, old_value jsonb, new_value jsonb,
                                        sync_id bigint default null)
    returns void
    language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
    insert into easysync_internal.audit_log (tenant_id, session_user_name, current_user_name, person, action, object,
                                             old_value, new_value, sync_id, client_addr)
    select tenant, session_user, easysync_internal.acting_role(), easysync_internal.person(),
           action, object, old_value, new_value, sync_id, inet_client_addr()
$$;

-- An id as views may show it: a guest's id is an e-mail address.
create function easysync_internal.masked_id(id text) returns text
    language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
    select case when id like '%@%' then regexp_replace(id, '([^:@])[^:@]*@', '\1***@') else id end
$$;
