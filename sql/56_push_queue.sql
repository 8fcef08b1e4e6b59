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

-- The next records that a plan looks at, after a place. `scope`: queue, walk, ids; refunds: the orders of refunds with those ids.
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
