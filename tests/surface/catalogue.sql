-- The surface as the catalogue has it, one line a fact, in an order that doesn't depend on the server.
-- Run in two databases and compared: the contract (contract.sql) and what is installed.
\pset format unaligned
\pset tuples_only on
set search_path = pg_catalog;
with
functions as (
    select p.proname as name, format('%s(%s)', p.proname, pg_get_function_arguments(p.oid)) as signature, p.*
    from pg_proc as p where p.pronamespace = 'easysync'::regnamespace
),
grants as (
    select c.kind, c.name, c.part, a.privilege_type as privilege, coalesce(r.rolname, 'PUBLIC') as grantee
    from (
        select 'function' as kind, f.signature as name, '' as part, coalesce(f.proacl, acldefault('f', f.proowner)) as acl, f.proowner as owner from functions as f
        union all
        select 'relation', c.relname::text, '', coalesce(c.relacl, acldefault('r', c.relowner)), c.relowner
        from pg_class as c where c.relnamespace = 'easysync'::regnamespace and c.relkind in ('v', 'r')
        union all
        select 'schema', n.nspname::text, '', coalesce(n.nspacl, acldefault('n', n.nspowner)), n.nspowner
        from pg_namespace as n where n.nspname = 'easysync'
    ) as c
    cross join aclexplode(c.acl) as a
    left join pg_roles as r on r.oid = a.grantee
    where a.grantee <> c.owner
),
facts as (
    select f.name as object, format('function %s returns %s%s', f.signature,
               case when f.proretset then 'setof ' else '' end,
               case f.prokind when 'p' then 'procedure' else format_type(f.prorettype, null) || ' ' || f.provolatile::text end) as fact
    from functions as f
    union all
    select f.name, format('function %s comment %s', f.signature, obj_description(f.oid, 'pg_proc')) from functions as f
    union all
    select c.relname, format('column %s.%s %s %s', c.relname, lpad(row_number() over (partition by c.oid order by a.attnum)::text, 2, '0'), a.attname, format_type(a.atttypid, a.atttypmod))
    from pg_class as c join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relnamespace = 'easysync'::regnamespace and c.relkind in ('v', 'r', 'c')
    union all
    select c.relname, format('comment %s.%s %s', c.relname, coalesce(a.attname, '*'), coalesce(
               case when a.attnum is null then obj_description(case c.relkind when 'c' then c.reltype else c.oid end, case c.relkind when 'c' then 'pg_type' else 'pg_class' end)
                    else col_description(c.oid, a.attnum) end, '-'))
    from pg_class as c
    cross join lateral (select null::name as attname, null::smallint as attnum
                        union all select x.attname, x.attnum from pg_attribute as x
                                  where x.attrelid = c.oid and x.attnum > 0 and not x.attisdropped and c.relkind <> 'c') as a
    where c.relnamespace = 'easysync'::regnamespace and c.relkind in ('v', 'r', 'c')
    union all
    select split_part(g.name, '(', 1), format('grant %s on %s %s to %s', g.privilege, g.kind, g.name, g.grantee) from grants as g
    union all
    select 'roles', format('role %s in %s', m.rolname, g.rolname)
    from pg_auth_members as x join pg_roles as m on m.oid = x.member join pg_roles as g on g.oid = x.roleid
    where m.rolname like 'easysync\_%' and g.rolname like 'easysync\_%'
    union all
    -- The hub: columns, keys, references, indexes and comments; its triggers are the extension's own.
    select 'commerce.' || c.relname, format('hub %s.%s %s %s%s%s%s comment %s', c.relname, lpad(a.attnum::text, 2, '0'), a.attname,
               format_type(a.atttypid, a.atttypmod), case when a.attnotnull then ' not null' end,
               ' default ' || pg_get_expr(d.adbin, d.adrelid), case when a.attidentity <> '' then ' identity ' || a.attidentity::text end,
               coalesce(col_description(c.oid, a.attnum), '-'))
    from pg_class as c join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef as d on d.adrelid = c.oid and d.adnum = a.attnum
    where c.relnamespace = to_regnamespace('commerce') and c.relkind = 'r'
    union all
    select 'commerce.' || t.relname, format('hub constraint %s %s %s', t.relname, o.conname, pg_get_constraintdef(o.oid))
    from pg_constraint as o join pg_class as t on t.oid = o.conrelid where o.connamespace = to_regnamespace('commerce')
    union all
    select 'commerce.' || i.tablename, format('hub index %s', i.indexdef) from pg_indexes as i where i.schemaname = 'commerce'
    union all
    select 'commerce.' || c.relname, format('hub comment %s %s', c.relname, obj_description(c.oid, 'pg_class'))
    from pg_class as c where c.relnamespace = to_regnamespace('commerce') and c.relkind = 'r'
)
select object || E'\t' || fact from facts order by (object || fact) collate "C";
