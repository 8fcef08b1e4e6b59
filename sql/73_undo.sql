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
    insert into easysync_internal.sync_runs (tenant_id, entity, mode, connection, triggered_by, undoes, requested_by, person, sandbox)
    values (tenant, run.entity, 'ids', run.connection, 'undo', run.sync_id, session_user, easysync_internal.person(), run.sandbox)
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
