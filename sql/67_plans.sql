-- Plans as confirmations look at them: their hashes, what they come to, and what has moved in them.

-- The plan of a run as a whole: the hashes of its steps' plans.
create function easysync_internal.run_plan_hash(run_id bigint) returns text
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select string_agg(s.plan_hash, '+' order by s.connection, s.step) from easysync_internal.sync_run_steps as s
    where s.sync_id = run_id and s.plan_hash is not null and not s.plan_released
$$;

-- What plans come to together. `summaries`: an array, as the library makes them.
create function easysync_internal.sum_of_plans(tenant text, summaries jsonb)
    returns table (reasons text[], changes integer, destructive integer, by_action jsonb, needed integer)
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    with plans as (select p.value as summary from jsonb_array_elements(summaries) as p),
    actions as (
        select a.key, sum(a.value::bigint) as n from plans as p, jsonb_each_text(p.summary -> 'by_action') as a group by a.key),
    totals as (
        select coalesce((select sum(n) from actions), 0) as writes,
               coalesce((select sum((p.summary ->> 'destructive')::bigint) from plans as p), 0) as destructive,
               coalesce((select sum((p.summary ->> 'overwrites')::bigint) from plans as p), 0) as overwrites)
    select array_remove(array[case when t.writes > easysync_internal.setting(tenant, 'confirm_threshold')::bigint then 'bulk' end,
                              case when exists (select from actions where key = 'delete' and n > 0) then 'delete' end,
                              case when exists (select from actions where key = 'void' and n > 0) then 'void' end,
                              case when t.overwrites > 0 then 'overwrites the source of truth' end], null),
           t.writes::integer, t.destructive::integer, coalesce((select jsonb_object_agg(a.key, a.n) from actions as a), '{}'),
           case when t.destructive > 0 and t.writes > easysync_internal.setting(tenant, 'confirm_threshold')::bigint then 2 else 1 end
    from totals as t
$$;

-- What waits: reasons, counts and confirmations, over all steps of a run.
create function easysync_internal.waiting_plan(tenant text, run_id bigint)
    returns table (reasons text[], changes integer, destructive integer, by_action jsonb, needed integer, given integer, summaries jsonb)
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    with plans as (
        select coalesce(jsonb_agg(s.plan_summary order by s.step), '[]') as summaries,
               coalesce(min(case when s.confirmed_hash = s.plan_hash then s.confirmed else 0 end), 0) as given
        from easysync_internal.sync_run_steps as s
        where s.sync_id = run_id and s.plan_hash is not null and not s.plan_released)
    select t.reasons, t.changes, t.destructive, t.by_action, t.needed, p.given, p.summaries
    from plans as p, easysync_internal.sum_of_plans(tenant, p.summaries) as t
$$;

-- Plans the pushes of a sync in this session: the library's answers by connection; errors, where there are
-- any, under a key that no connection has.
create function easysync_internal.plan_pushes(tenant text, entity_name text, mode text, connections text[], ids text[], filters jsonb)
    returns jsonb
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    target text;
    answer jsonb;
    answers jsonb := '{}';
begin
    -- A copy of production asks nobody anything.
    if (select f.state from easysync_internal.fence_state() as f) = 'fenced' then
        return jsonb_build_object('!', jsonb_build_array(jsonb_build_object('sqlstate', 'YS409', 'category', 'conflict', 'code', 'fenced',
            'message', 'this database is fenced', 'hint', 'easysync.unfence says what this database is.')));
    end if;
    foreach target in array connections loop
        answer := easysync_internal.preview(tenant, target, entity_name, mode, ids, filters);
        if answer ? 'errors' then
            return jsonb_build_object('!', answer -> 'errors');
        end if;
        answers := answers || jsonb_build_object(target, answer);
    end loop;
    return answers;
end
$$;

-- The hash of what was planned now, as run_plan_hash has it of what was planned before.
create function easysync_internal.answers_hash(answers jsonb) returns text
    language sql immutable set search_path = pg_catalog, pg_temp
as $$ select string_agg(a.value ->> 'hash', '+' order by a.key) from jsonb_each(answers) as a $$;

-- Writes of a plan by what people call them, each with a digest of its values: to say what has moved.
create function easysync_internal.plan_lines(changes jsonb) returns jsonb
    language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select coalesce(jsonb_object_agg(l.line, l.digest), '{}')
    from (select concat_ws(' ', c.action, c.target, c.label) as line, md5(string_agg(c.fields::text, ',' order by c.fields::text)) as digest
          from jsonb_to_recordset(changes) as c (action text, target text, label text, fields jsonb)
          where c.action <> 'skip' group by 1) as l
$$;

create function easysync_internal.answers_lines(answers jsonb) returns jsonb
    language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select easysync_internal.plan_lines(coalesce(jsonb_agg(c.value), '[]'))
    from jsonb_each(answers) as a, jsonb_array_elements(a.value -> 'changes') as c
$$;

create function easysync_internal.waiting_lines(run_id bigint) returns jsonb
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select easysync_internal.plan_lines(coalesce(jsonb_agg(jsonb_build_object('action', c.action, 'target', c.target, 'label', c.label,
                                                                              'fields', c.fields)), '[]'))
    from easysync_internal.sync_changes as c
    join easysync_internal.sync_run_steps as s on s.sync_id = c.sync_id and s.step = c.step
    where c.sync_id = run_id and c.status = 'planned' and s.plan_hash is not null and not s.plan_released
$$;

-- What has moved from one plan to another, the first few of each kind.
create function easysync_internal.what_moved(before jsonb, after jsonb) returns text
    language sql immutable set search_path = pg_catalog, pg_temp
as $$
    with moved as (
        select coalesce(b.key, a.key) as line,
               case when b.key is null then 'new' when a.key is null then 'gone' else 'with other values' end as how
        from jsonb_each_text(before) as b full join jsonb_each_text(after) as a on a.key = b.key
        where b.value is distinct from a.value),
    told as (
        select m.how, count(*) as n, string_agg(m.line, ', ' order by m.line) filter (where m.place <= 5) as first_ones
        from (select m.*, row_number() over (partition by m.how order by m.line) as place from moved as m) as m group by m.how)
    select coalesce(string_agg(t.how || ': ' || t.first_ones || case when t.n > 5 then format(' and %s more', t.n - 5) else '' end, '; ' order by t.how),
                    'other values')
    from told as t
$$;

-- Writes of a plan by month, kind and currency, for somebody to compare with his books; month and currency are null for
-- what has no date. Sums are texts, since JSON's readers make floats of numbers.
create function easysync_internal.plan_periods(summaries jsonb) returns jsonb
    language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select coalesce(jsonb_agg(jsonb_build_object('month', g.month, 'kind', g.kind, 'currency', g.currency, 'count', g.n, 'sum', g.total::text)
                              order by g.month nulls first, g.kind, g.currency), '[]')
    from (select case when w.is_dated then w.words[1] end as month, case when w.is_dated then w.words[2] else w.name end as kind,
                 case when w.is_dated then w.words[3] end as currency,
                 sum(w.n) as n, sum(w.total) as total
          from (select k.key as name, string_to_array(k.key, ' ') as words, cardinality(string_to_array(k.key, ' ')) = 3 as is_dated,
                       (k.value ->> 'count')::bigint as n, (k.value ->> 'total')::numeric as total
                from jsonb_array_elements(summaries) as p, jsonb_each(coalesce(p.value -> 'groups', '{}')) as k) as w
          group by 1, 2, 3) as g
$$;

-- What else somebody who confirms should know.
create function easysync_internal.plan_notes(needed integer, given integer) returns text[]
    language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select case when needed > 1 and given = 0 then array['a second confirmation is needed after this one']
                when needed > 1 and given < needed then array['this is the second confirmation that is needed'] else '{}' end
$$;

-- A large plan, in lines that somebody can compare with his books: month, kind, currency.
create function easysync_internal.tell_groups(summaries jsonb) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    line record;
begin
    for line in
        select g.key, sum((g.value ->> 'count')::bigint) as n, sum((g.value ->> 'total')::numeric) as total,
               count(*) over () as lines, row_number() over (order by g.key) as place
        from jsonb_array_elements(summaries) as p, jsonb_each(coalesce(p.value -> 'groups', '{}')) as g
        group by g.key order by g.key limit 100
    loop
        raise notice '%: %', line.key, concat_ws(', ', line.n, line.total);
        if line.place = 100 and line.lines > 100 then
            raise notice '... and % more: see easysync.sync_changes', line.lines - 100;
        end if;
    end loop;
end
$$;
