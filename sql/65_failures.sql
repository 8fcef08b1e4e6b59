-- Failed records: retry, retry_failure, discard_failure.

create function easysync.retry(entity text default null, connection text default null, category text default null, ids text[] default null)
    returns setof easysync.retry_result
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    lot record;
    queued bigint;
begin
    perform easysync_internal.check_size('ids', retry.ids);
    if retry.entity is not null then
        perform easysync_internal.check_word('entity', retry.entity, 'Entities');
    end if;
    if retry.category is not null then
        perform easysync_internal.check_word('error_category', retry.category, 'Categories');
    end if;
    if retry.connection is not null then
        perform easysync_internal.known_connection(tenant, retry.connection);
    end if;
    if cardinality(retry.ids) = 0 then
        perform easysync_internal.raise_argument('ids must be a list with one id at least', 'E.g. ids => ''{175,176}'', or leave it out.');
    end if;
    -- One sync a stream, in the order in which records depend on each other.
    for lot in
        select f.connection, f.entity, array_agg(f.failure_id order by f.failure_id) as failure_ids,
               array_agg(f.record_id order by f.failure_id) as record_ids
        from easysync_internal.sync_failures as f
        where f.tenant_id = tenant and f.discarded_at is null
          and (retry.entity is null or f.entity = retry.entity)
          and (retry.connection is null or f.connection = retry.connection)
          and (retry.category is null or f.error_category = retry.category)
          and (retry.ids is null or f.record_id = any (retry.ids))
        group by f.connection, f.entity
        order by f.connection, array_position(easysync_internal.words_of('entity'), f.entity)
    loop
        queued := easysync_internal.queue_retry(tenant, lot.connection, lot.entity, lot.failure_ids, lot.record_ids);
        return next row(queued, lot.entity, cardinality(lot.failure_ids))::easysync.retry_result;
    end loop;
end
$$;
comment on function easysync.retry(text, text, text, text[]) is 'Try failed records again now; one row for each sync that this queued';

create function easysync_internal.queue_retry(tenant text, connection_name text, entity_name text, failure_ids bigint[], record_ids text[])
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

create function easysync.retry_failure(failure_id bigint) returns bigint
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    failure easysync_internal.sync_failures;
begin
    select * into failure from easysync_internal.sync_failures as f
    where f.failure_id = retry_failure.failure_id and f.tenant_id = tenant and f.discarded_at is null;
    if not found then
        perform easysync_internal.raise_error('YS404', format('unknown failure %s', coalesce(retry_failure.failure_id::text, 'NULL')),
            'category: not_found, code: unknown_failure',
            'SELECT failure_id, connection, entity, label, error_message FROM easysync.sync_failures;');
    end if;
    return easysync_internal.queue_retry(tenant, failure.connection, failure.entity, array[failure.failure_id], array[failure.record_id]);
end
$$;
comment on function easysync.retry_failure(bigint) is 'Try one failed record again now; returns its sync_id';

-- The row stays, hidden, with the hash of what failed: a later run that meets the same record unchanged
-- doesn't make a failure of it again.
create function easysync.discard_failure(failure_id bigint, reason text default null) returns boolean
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant text := easysync.current_tenant();
    failure easysync_internal.sync_failures;
begin
    perform easysync_internal.check_size('reason', discard_failure.reason);
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
comment on function easysync.discard_failure(bigint, text) is 'Give up on one failed record until it changes again';
