-- Every member of the extension as the catalogue has it, one line a fact: what an update leaves must
-- equal what a fresh install makes, to the letter.
with members as (
    select d.classid, d.objid
      from pg_catalog.pg_depend as d
      join pg_catalog.pg_extension as e on e.oid = d.refobjid
     where e.extname = 'easysync' and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
),
relations as (
    select c.* from pg_catalog.pg_class as c
      join members as m on m.classid = 'pg_class'::regclass and m.objid = c.oid
),
facts as (
    select 'function ' || p.oid::regprocedure || ' ' || pg_get_functiondef(p.oid) || ' owner ' || p.proowner::regrole
           || ' grants ' || array(select a::text from unnest(p.proacl) as a order by 1)::text
           || ' comment ' || coalesce(obj_description(p.oid, 'pg_proc'), '-') as fact
      from pg_catalog.pg_proc as p
      join members as m on m.classid = 'pg_proc'::regclass and m.objid = p.oid
    union all
    select 'relation ' || r.oid::regclass || ' ' || r.relkind::text || ' options ' || coalesce(r.reloptions::text, '-')
           || ' grants ' || array(select a::text from unnest(r.relacl) as a order by 1)::text
           || ' comment ' || coalesce(obj_description(r.oid, 'pg_class'), '-')
           || coalesce(' view ' || case when r.relkind = 'v' then pg_get_viewdef(r.oid) end, '')
      from relations as r
    union all
    select 'column ' || r.oid::regclass || ' ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
           || case when a.attnotnull then ' not null' else '' end || a.attidentity::text
           || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
           || ' comment ' || coalesce(col_description(r.oid, a.attnum), '-')
      from relations as r
      join pg_catalog.pg_attribute as a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
      left join pg_catalog.pg_attrdef as d on d.adrelid = r.oid and d.adnum = a.attnum
    union all
    select 'constraint ' || c.conrelid::regclass || ' ' || c.conname || ' ' || pg_get_constraintdef(c.oid)
      from pg_catalog.pg_constraint as c join relations as r on r.oid = c.conrelid
    union all
    select 'index ' || pg_get_indexdef(i.indexrelid)
      from pg_catalog.pg_index as i join relations as r on r.oid = i.indrelid
    union all
    select 'trigger ' || pg_get_triggerdef(t.oid)
      from pg_catalog.pg_trigger as t join relations as r on r.oid = t.tgrelid where not t.tgisinternal
    union all
    select 'dumped ' || configured::regclass
      from pg_catalog.pg_extension as e, unnest(e.extconfig) as configured where e.extname = 'easysync'
    union all
    select 'schema ' || n.nspname || ' grants ' || array(select a::text from unnest(n.nspacl) as a order by 1)::text
      from pg_catalog.pg_namespace as n
      join members as m on m.classid = 'pg_namespace'::regclass and m.objid = n.oid
    union all
    select 'type ' || t.oid::regtype from pg_catalog.pg_type as t
      join members as m on m.classid = 'pg_type'::regclass and m.objid = t.oid
)
select fact from facts order by fact collate "C"
