-- The queue of a push: hub changes are folded into it, a run claims entries and gives them back.
-- Called by the worker alone. An orders run holds its customers, products and refunds: what happens
-- to a refund is queued as its order.

-- Folds noted changes of a tenant's hub into the queues of the connections that are pushed to; never
-- into that of the connection that a change came from. Returns how many notes were taken. What was written
-- in the tenant's name into another schema (a sandbox's hub, an old one) is nobody's.
create function easysync_internal.push_fold(tenant text) returns bigint
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    hub text := easysync_internal.hub_schema(tenant);
    taken bigint[];
begin
    if hub is null then
        return 0;
    end if;
    select array_agg(c.change_id) into taken
    from (select x.change_id from easysync_internal.hub_changes as x
          where x.tenant_id = push_fold.tenant order by x.change_id limit 20000) as c;
    if taken is null then
        return 0;
    end if;
    with noted as (
        select c.entity, c.hub_id, c.origin, c.changed_at, c.operation
        from easysync_internal.hub_changes as c where c.change_id = any (taken) and c.hub_schema = hub and c.entity <> 'refunds'
        union all
        select 'orders', r.order_id, c.origin, c.changed_at, 'update'
        from easysync_internal.hub_changes as c
        join easysync_internal.orders_of_refunds(hub, push_fold.tenant, array(
                 select x.hub_id from easysync_internal.hub_changes as x
                 where x.change_id = any (taken) and x.hub_schema = hub and x.entity = 'refunds' and x.hub_id is not null)) as r
            on r.refund_id = c.hub_id
        where c.change_id = any (taken) and c.hub_schema = hub and c.entity = 'refunds'),
    wanted as materialized (
        select s.connection, n.entity, n.hub_id, min(n.changed_at) as queued_at,
               case when bool_or(n.operation = 'delete') then 'delete' else 'update' end as operation
        from noted as n
        join easysync_internal.streams as s on s.tenant_id = push_fold.tenant and s.entity = n.entity and s.direction in ('push', 'two_way')
        where n.hub_id is not null and n.origin is distinct from s.connection
        group by s.connection, n.entity, n.hub_id),
    named as materialized (
        select e.entity, h.line[1]::bigint as hub_id, h.line[2] as source_id
        from (select w.entity, array_agg(distinct w.hub_id) as ids from wanted as w
              where w.entity in ('customers', 'products', 'orders') group by w.entity) as e
        cross join lateral easysync_internal.hub_query(hub, array[e.entity], format(
            'select array[h.id::text, h.source_id] from %I.%I as h where h.tenant_id = $1 and h.id = any ($2)', hub, e.entity),
            push_fold.tenant, e.ids, null) as h (line))
    insert into easysync_internal.sync_queue as q (tenant_id, connection, entity, hub_id, record_id, operation, queued_at)
    select push_fold.tenant, w.connection, w.entity, w.hub_id, coalesce(n.source_id, w.hub_id::text), w.operation, w.queued_at
    from wanted as w
    left join named as n on n.entity = w.entity and n.hub_id = w.hub_id
    order by w.connection, w.entity, w.hub_id
    on conflict (tenant_id, connection, entity, hub_id) do update
        set generation = q.generation + 1, operation = excluded.operation, attempts = 0, next_attempt_at = null,
            status = case q.status when 'claimed' then 'claimed' else 'waiting' end;
    delete from easysync_internal.hub_changes as c where c.change_id = any (taken);
    return cardinality(taken);
end
$$;

-- The orders that refunds of the hub belong to.
create function easysync_internal.orders_of_refunds(hub text, tenant text, refund_ids bigint[])
    returns table (refund_id bigint, order_id bigint)
    language plpgsql stable set search_path = pg_catalog, pg_temp rows 10
as $$
begin
    if cardinality(refund_ids) > 0 then
        return query
            select h.line[1]::bigint, h.line[2]::bigint
            from easysync_internal.hub_query(hub, array['refunds'], format(
                'select array[r.id::text, r.order_id::text] from %I.refunds as r where r.tenant_id = $1 and r.id = any ($2)', hub),
                tenant, refund_ids, null) as h (line);
    end if;
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
-- The hub is asked for ids alone, and what is ours (queue, notes, links) is compared here.
create function easysync_internal.push_candidates(run_id bigint, tenant text, connection_name text, account_key text,
                                                  root_entities text[], linked_only boolean[], scope text, ids text[],
                                                  filters jsonb, looks_only boolean, after_root integer, after_id bigint, most integer)
    returns table (root integer, hub_id bigint)
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    hub text := easysync_internal.hub_schema(tenant);
    left_over integer := most;
    place bigint;
    lot bigint[];
    found_now bigint[];
begin
    for i in after_root .. cardinality(root_entities) - 1 loop
        place := case when i = after_root then after_id else 0 end;
        while left_over > 0 loop
            -- `lot`: ids that come next, by whoever knows them; `found_now`: those of them that are wanted.
            if scope = 'queue' then
                lot := easysync_internal.queued_ids(run_id, tenant, connection_name, root_entities[i + 1], looks_only, hub, place, 1000);
                exit when cardinality(lot) = 0;
                found_now := easysync_internal.hub_ids(hub, tenant, root_entities[i + 1], scope, lot, ids, filters, 0, 1000);
            else
                lot := easysync_internal.hub_ids(hub, tenant, root_entities[i + 1], scope, null, ids, filters, place, 1000);
                exit when cardinality(lot) = 0;
                found_now := lot;
            end if;
            place := lot[cardinality(lot)];
            if linked_only[i + 1] then
                found_now := array(
                    select u.id from unnest(found_now) as u (id)
                    where exists (select from easysync_ledger.links as l where l.tenant_id = tenant and l.entity = root_entities[i + 1]
                                  and l.hub_id = u.id and l.account = account_key and l.deleted_at is null)
                    order by u.id);
            end if;
            found_now := found_now[1:left_over];
            return query select i, u.id from unnest(found_now) as u (id);
            left_over := left_over - cardinality(found_now);
        end loop;
        exit when left_over <= 0;
    end loop;
end
$$;

-- Ids of an entity, after a place, that the queue holds for a run; for a look, which claims nothing, also
-- those that wait or are noted only.
create function easysync_internal.queued_ids(run_id bigint, tenant text, connection_name text, entity_name text, looks_only boolean,
                                             hub text, after_id bigint, most integer) returns bigint[]
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    if not looks_only then
        return array(
            select q.hub_id from easysync_internal.sync_queue as q
            where q.tenant_id = tenant and q.connection = connection_name and q.entity = entity_name
              and q.sync_id = run_id and q.status = 'claimed' and q.hub_id > after_id
            order by q.hub_id limit most);
    end if;
    return array(
        select x.id
        from (select q.hub_id from easysync_internal.sync_queue as q
              where q.tenant_id = tenant and q.connection = connection_name and q.entity = entity_name
                and (q.status in ('waiting', 'claimed') or q.next_attempt_at <= clock_timestamp())
              union
              select c.hub_id from easysync_internal.hub_changes as c
              where c.tenant_id = tenant and c.entity = entity_name and c.origin is distinct from connection_name
              union
              select r.order_id from easysync_internal.orders_of_refunds(hub, tenant, array(
                  select c.hub_id from easysync_internal.hub_changes as c
                  where entity_name = 'orders' and c.tenant_id = tenant and c.entity = 'refunds' and c.hub_id is not null
                    and c.origin is distinct from connection_name)) as r) as x (id)
        where x.id > after_id
        order by x.id limit most);
end
$$;

-- Ids of an entity in the hub that a plan's scope and filters let through, in order: of `lot`, or after a
-- place. The statement is the hub owner's: it names nothing of ours.
create function easysync_internal.hub_ids(hub text, tenant text, entity_name text, scope text, lot bigint[], ids text[], filters jsonb,
                                          after_id bigint, most integer) returns bigint[]
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    conditions text := '';
begin
    if entity_name = 'orders' and filters is not null then
        conditions := conditions
            || ' and ($3 #> ''{filters,status}'' is null or h.status = any (array(select jsonb_array_elements_text(case jsonb_typeof($3 #> ''{filters,status}'')'
               ' when ''array'' then $3 #> ''{filters,status}'' else jsonb_build_array($3 #> ''{filters,status}'') end))))'
               ' and ($3 #>> ''{filters,created_since}'' is null or h.created_at >= ($3 #>> ''{filters,created_since}'')::timestamptz)'
               ' and ($3 #>> ''{filters,created_until}'' is null or h.created_at < ($3 #>> ''{filters,created_until}'')::timestamptz)'
               ' and ($3 #>> ''{filters,modified_since}'' is null or h.modified_at >= ($3 #>> ''{filters,modified_since}'')::timestamptz)'
               ' and ($3 #>> ''{filters,modified_until}'' is null or h.modified_at < ($3 #>> ''{filters,modified_until}'')::timestamptz)'
               ' and ($3 #>> ''{filters,currency}'' is null or h.currency = $3 #>> ''{filters,currency}'')';
    end if;
    if scope = 'refunds' then
        conditions := conditions || format(' and exists (select from %I.refunds as r where r.tenant_id = $1 and r.order_id = h.id'
            ' and (r.source_id = any (array(select jsonb_array_elements_text($3 -> ''ids'')))'
            ' or (r.source_id is null and r.id::text = any (array(select jsonb_array_elements_text($3 -> ''ids''))))))', hub);
    elsif scope = 'ids' then
        conditions := conditions || ' and (h.source_id = any (array(select jsonb_array_elements_text($3 -> ''ids'')))'
            ' or (h.source_id is null and h.id::text = any (array(select jsonb_array_elements_text($3 -> ''ids'')))))';
    end if;
    return coalesce((
        select h.line::bigint[]
        from easysync_internal.hub_query(hub, case scope when 'refunds' then array[entity_name, 'refunds'] else array[entity_name] end,
            format('select array(select h.id::text from %I.%I as h where h.tenant_id = $1 and %s and $3 is not null%s order by h.id limit %s)',
                   hub, entity_name, case when lot is null then 'h.id > ($3 ->> ''after'')::bigint and ($2 is null or true)' else 'h.id = any ($2)' end,
                   conditions, most),
            tenant, lot, jsonb_build_object('filters', filters, 'ids', to_jsonb(ids), 'after', after_id)) as h (line)), '{}');
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
    tables text[] := case entity when 'orders' then array['orders', 'order_lines', 'refunds', 'refund_lines', 'customers', 'products']
                                 when 'bills' then array['bills', 'vendors', 'products'] else array[entity] end;
begin
    return query
        select b.line[1]::bigint, b.line[2],
               coalesce((select c.account from easysync_internal.connections as c where c.tenant_id = tenant and c.name = b.line[3]), ''),
               b.line[4], b.line[5]::text[], b.line[6], b.line[7]::text[],
               coalesce((select jsonb_agg(jsonb_build_object('entity', l.entity, 'hub_id', l.hub_id, 'remote_type', l.remote_type,
                                    'remote_id', l.remote_id, 'remote_number', l.remote_number, 'version', l.remote_version,
                                    'revision', l.revision, 'agreed', l.agreed, 'deleted', l.deleted_at is not null))
                         from unnest(b.line[8]::jsonb[]) as k (key)
                         join lateral (select x.* from easysync_ledger.links as x
                                       where x.hub_id = (k.key ->> 1)::bigint and x.tenant_id = tenant and x.entity = k.key ->> 0
                                         and x.account = account_key offset 0) as l on true), '[]')
        from easysync_internal.hub_query(hub, tables, easysync_internal.bundle_statement(hub, entity), tenant, ids, null) as b (line);
end
$$;

-- What the hub is asked for bundles: id, record id, source connection, the row, refunds, customer (or
-- vendor), products, and the keys (entity, id) of all whose links matter.
create function easysync_internal.bundle_statement(hub text, entity text) returns text
    language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
declare
    product_row text := format('(to_jsonb(p) || jsonb_build_object(''same_sku'', (select count(*) from %1$I.products as o '
        'where o.tenant_id = $1 and o.sku = p.sku and o.deleted_at is null)))::text', hub);
    bought text := 'select (x.value ->> ''product_id'')::bigint from jsonb_array_elements(case jsonb_typeof(h.lines) when ''array'' then h.lines else ''[]'' end) as x '
        'where x.value ->> ''product_id'' ~ ''^[0-9]{1,18}$''';
    head text := 'select array[h.id::text, coalesce(h.source_id, h.id::text), h.source_connection, ';
    tail text := format(' from unnest($2) with ordinality as u (id, nr) join %I.%I as h on h.tenant_id = $1 and h.id = u.id order by u.nr', hub, entity);
begin
    case entity
        when 'orders' then
            return head || format(
               '(to_jsonb(h) || jsonb_build_object(''lines'', coalesce((select jsonb_agg(to_jsonb(l) order by l.line_number, l.id)
                   from %1$I.order_lines as l where l.tenant_id = $1 and l.order_id = h.id), ''[]'')))::text,
                array(select (to_jsonb(r) || jsonb_build_object(''lines'', coalesce((select jsonb_agg(to_jsonb(l) order by l.id)
                   from %1$I.refund_lines as l where l.tenant_id = $1 and l.refund_id = r.id), ''[]'')))::text
                   from %1$I.refunds as r where r.tenant_id = $1 and r.order_id = h.id order by r.created_at, r.id)::text,
                (select to_jsonb(c)::text from %1$I.customers as c where c.tenant_id = $1 and c.id = h.customer_id),
                array(select %2$s from %1$I.products as p where p.tenant_id = $1
                   and p.id in (select l.product_id from %1$I.order_lines as l where l.tenant_id = $1 and l.order_id = h.id) order by p.id)::text,
                (array[jsonb_build_array(''orders'', h.id), jsonb_build_array(''customers'', h.customer_id)]
                   || array(select jsonb_build_array(''refunds'', r.id) from %1$I.refunds as r where r.tenant_id = $1 and r.order_id = h.id order by r.id)
                   || array(select distinct jsonb_build_array(''products'', x.product_id) from %1$I.order_lines as x
                            where x.tenant_id = $1 and x.order_id = h.id and x.product_id is not null order by 1))::text]', hub, product_row) || tail;
        when 'bills' then
            -- A bill comes with its vendor and the products of its lines.
            return head || format(
               'to_jsonb(h)::text, ''{}'', (select to_jsonb(v)::text from %1$I.vendors as v where v.tenant_id = $1 and v.id = h.vendor_id),
                array(select %2$s from %1$I.products as p where p.tenant_id = $1 and p.id in (%3$s) order by p.id)::text,
                (array[jsonb_build_array(''bills'', h.id), jsonb_build_array(''vendors'', h.vendor_id)]
                   || array(select distinct jsonb_build_array(''products'', b.id) from (%3$s) as b (id) order by 1))::text]', hub, product_row, bought) || tail;
        when 'products' then
            return head || format('(select %2$s from %1$I.products as p where p.tenant_id = $1 and p.id = h.id), ''{}'', null, ''{}'',
                array[jsonb_build_array(''products'', h.id)]::text]', hub, product_row) || tail;
        else
            return head || format('to_jsonb(h)::text, ''{}'', null, ''{}'', array[jsonb_build_array(%L, h.id)]::text]', entity) || tail;
    end case;
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
