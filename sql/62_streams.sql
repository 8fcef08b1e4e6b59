-- Streams, and the filters that streams and syncs share.

-- Checks filters for an entity and brings them into the form the engine reads: status as an array,
-- times in RFC 3339 (a time without a zone is in the session's). Null stays null.
create function easysync_internal.checked_filters(tenant text, entity text, filters jsonb) returns jsonb
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    checked jsonb := '{}';
    allowed text[] := easysync_internal.words_of('filter', entity);
    part record;
begin
    if filters is null then
        return null;
    end if;
    perform easysync_internal.check_object('filters', filters, nullable => false);
    for part in select f.key, f.value from jsonb_each(filters) as f loop
        if part.key <> all (allowed) then
            perform easysync_internal.raise_argument(format('unknown filter "%s" for %s', part.key, entity),
                format('Filters of %s: %s.', entity, array_to_string(allowed, ', ')));
        end if;
        checked := checked || jsonb_build_object(part.key,
            case when part.key = 'status' then easysync_internal.checked_status(tenant, entity, part.value)
                 when part.key ~ '_(since|until)$' then easysync_internal.checked_time(part.key, part.value)
                 else easysync_internal.checked_text(part.key, part.value) end);
    end loop;
    perform easysync_internal.check_range('created', checked);
    perform easysync_internal.check_range('modified', checked);
    return checked;
end
$$;

create function easysync_internal.checked_text(filter_name text, value jsonb) returns jsonb
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    content text := value #>> '{}';
begin
    if jsonb_typeof(value) <> 'string' and not (filter_name = 'customer' and jsonb_typeof(value) = 'number') or content = '' then
        perform easysync_internal.raise_argument(format('filter "%s" must be a text, not %s', filter_name,
            case when content = '' then 'an empty one' else jsonb_typeof(value) end), format('E.g. {"%s": "..."}.', filter_name));
    end if;
    if filter_name = 'currency' and content !~ '^[A-Z]{3}$' then
        perform easysync_internal.raise_argument(format('"%s" is no currency', content), 'Three capitals, as in ISO 4217: USD, EUR.');
    end if;
    if filter_name = 'type' then
        perform easysync_internal.check_word('product_type', content, 'Types');
    end if;
    return to_jsonb(content);
end
$$;

create function easysync_internal.checked_time(filter_name text, value jsonb) returns jsonb
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    moment timestamptz;
begin
    if jsonb_typeof(value) <> 'string' then
        perform easysync_internal.raise_argument(format('filter "%s" must be a time, not %s', filter_name, jsonb_typeof(value)),
            format('E.g. {"%s": "2026-01-31T00:00:00Z"}.', filter_name));
    end if;
    begin
        moment := (value #>> '{}')::timestamptz;
    exception when invalid_datetime_format or datetime_field_overflow or invalid_parameter_value then
        moment := 'infinity';
    end;
    if not isfinite(moment) then
        perform easysync_internal.raise_argument(format('filter "%s" is no time: "%s"', filter_name, value #>> '{}'),
            format('E.g. {"%s": "2026-01-31T00:00:00Z"}.', filter_name));
    end if;
    return to_jsonb(to_char(moment at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'));
end
$$;

-- Statuses that the entity has, or that the hub has seen: a plugin's own.
create function easysync_internal.checked_status(tenant text, entity text, value jsonb) returns jsonb
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    wanted jsonb := case jsonb_typeof(value) when 'string' then jsonb_build_array(value) else value end;
    known text[] := easysync_internal.words_of(case entity when 'orders' then 'order_status' when 'products' then 'product_status' end);
    word jsonb;
begin
    if jsonb_typeof(wanted) <> 'array' or wanted = '[]' then
        perform easysync_internal.raise_argument(format('filter "status" must be a text or an array of texts, not %s',
            case when wanted = '[]' then 'an empty array' else jsonb_typeof(value) end), 'E.g. {"status": ["completed", "processing"]}.');
    end if;
    for word in select jsonb_array_elements(wanted) loop
        continue when jsonb_typeof(word) = 'string' and (known is null or (word #>> '{}') = any (known)
                                                        or easysync_internal.hub_has_status(tenant, entity, word #>> '{}'));
        perform easysync_internal.raise_argument(format('unknown status "%s" for %s', word #>> '{}', entity),
            format('Statuses: %s; a plugin''s own once the hub holds a record with it.', array_to_string(known, ', ')));
    end loop;
    return wanted;
end
$$;

create function easysync_internal.hub_has_status(tenant text, entity text, status text) returns boolean
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    hub text := easysync_internal.hub_schema(tenant);
begin
    return easysync_internal.relation_of(hub, entity) is not null
       and (select h.line[1]::boolean
            from easysync_internal.hub_query(hub, array[entity], format(
                'select array[exists (select from %I.%I where tenant_id = $1 and status = $3 #>> ''{}'')::text]', hub, entity),
                tenant, null, to_jsonb(status)) as h (line));
end
$$;

create function easysync_internal.check_range(kind text, filters jsonb) returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    if (filters ->> (kind || '_since'))::timestamptz >= (filters ->> (kind || '_until'))::timestamptz then
        perform easysync_internal.raise_argument(format('"%s_since" is not before "%s_until"', kind, kind),
            'Since counts, until doesn''t: [since, until).');
    end if;
end
$$;

create function easysync.set_stream(connection text, entity text, direction text default null, source_of_truth text default null,
                                    conflict_strategy text default null, filters jsonb default null,
                                    delete_policy text default null, push_when text default null)
    returns void
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    known easysync_internal.connections := easysync_internal.known_connection(tenant, set_stream.connection);
    old_stream easysync_internal.streams;
    new_stream easysync_internal.streams;
begin
    perform easysync_internal.check_word('entity', set_stream.entity, 'Entities');
    perform easysync_internal.check_stream_words(set_stream.direction, set_stream.source_of_truth, set_stream.conflict_strategy,
                                                 set_stream.delete_policy, set_stream.push_when);
    perform easysync_internal.check_capability(known.connector, set_stream.entity, set_stream.direction);
    select * into old_stream from easysync_internal.streams as s
    where s.tenant_id = tenant and s.connection = known.name and s.entity = set_stream.entity for update;
    update easysync_internal.streams as s
    set direction = coalesce(set_stream.direction, s.direction),
        source_of_truth = coalesce(set_stream.source_of_truth, s.source_of_truth),
        conflict_strategy = coalesce(set_stream.conflict_strategy, s.conflict_strategy),
        filters = coalesce(easysync_internal.checked_filters(tenant, set_stream.entity, set_stream.filters), s.filters),
        delete_policy = coalesce(set_stream.delete_policy, s.delete_policy),
        push_when = coalesce(set_stream.push_when, s.push_when),
        changed_at = now()
    where s.tenant_id = tenant and s.connection = known.name and s.entity = set_stream.entity
    returning * into new_stream;
    -- Wider filters bring in records that were never asked for: the next incremental run is full.
    if new_stream.filters is distinct from old_stream.filters then
        delete from easysync_internal.sync_state as t
        where t.tenant_id = tenant and t.connection = known.name and t.entity = set_stream.entity;
    end if;
    perform easysync_internal.audit(tenant, 'set_stream', format('%s %s', known.name, set_stream.entity),
        to_jsonb(old_stream) - array['tenant_id', 'changed_at', 'verified_at'],
        to_jsonb(new_stream) - array['tenant_id', 'changed_at', 'verified_at']);
    perform easysync_internal.wake();
end
$$;
comment on function easysync.set_stream(text, text, text, text, text, jsonb, text, text) is 'Say how one entity flows on one connection; what is left NULL stays as it is';

create function easysync_internal.check_stream_words(direction text, source_of_truth text, conflict_strategy text,
                                                     delete_policy text, push_when text)
    returns void
    language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
declare
    given record;
begin
    for given in values ('direction', direction, 'Directions'), ('source_of_truth', source_of_truth, 'Sources of truth'),
                        ('conflict_strategy', conflict_strategy, 'Strategies'), ('delete_policy', delete_policy, 'Policies'),
                        ('push_when', push_when, 'Values') loop
        if given.column2 is not null then
            perform easysync_internal.check_word(given.column1, given.column2, given.column3);
        end if;
    end loop;
end
$$;

create function easysync_internal.check_capability(connector_name text, entity_name text, wanted text) returns void
    language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
declare
    able text[] := coalesce((select s.directions from easysync_internal.connector_streams() as s
                             where s.connector = connector_name and s.entity = entity_name), array['off']);
begin
    if wanted <> all (able) then
        perform easysync_internal.raise_error('YS422',
            format('%s can not %s %s', connector_name, case wanted when 'two_way' then 'push' else wanted end, entity_name),
            'category: validation, code: unsupported_direction',
            format('Directions of %s on %s: %s.', entity_name, connector_name, array_to_string(able, ', ')));
    end if;
end
$$;
