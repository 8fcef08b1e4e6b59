-- Last file. Everything of ours belongs to easysync_owner, which is no superuser: security definer
-- functions run as it, and views read as it. And nothing is granted but by this script: what default
-- privileges of whoever installs gave to others goes.

do $$
declare
    ours constant name[] := array['easysync_owner', 'easysync_worker', 'easysync_viewer', 'easysync_operator',
                                  'easysync_admin', 'easysync_webhook', 'easysync_dba'];
    member record;
    revocations text;
begin
    for member in
        select case when m.classid = 'pg_namespace'::regclass then 'schema'
                    when p.prokind = 'p' then 'procedure'
                    when m.classid = 'pg_proc'::regclass then 'function'
                    when c.relkind = 'S' then 'sequence'
                    when c.relkind = 'v' then 'view'
                    when m.classid = 'pg_class'::regclass and c.relkind in ('r', 'p') then 'table'
                    when m.classid = 'pg_type'::regclass or c.relkind = 'c' then 'type' end as kind,
               case m.classid when 'pg_namespace'::regclass then quote_ident(n.nspname)
                              when 'pg_proc'::regclass then m.objid::regprocedure::text
                              when 'pg_class'::regclass then m.objid::regclass::text
                              when 'pg_type'::regclass then m.objid::regtype::text end as identity,
               coalesce(n.nspacl, p.proacl, c.relacl, t.typacl) as acl,
               -- The sequence of an identity column goes with its table.
               coalesce(c.relkind = 'S' and exists (select from pg_depend as d where d.classid = 'pg_class'::regclass and d.objid = c.oid
                       and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')), false) as is_owned
        from pg_depend as m
        join pg_extension as e on e.oid = m.refobjid and e.extname = 'easysync'
        left join pg_namespace as n on m.classid = 'pg_namespace'::regclass and n.oid = m.objid
        left join pg_proc as p on m.classid = 'pg_proc'::regclass and p.oid = m.objid
        left join pg_class as c on m.classid = 'pg_class'::regclass and c.oid = m.objid
        left join pg_type as t on m.classid = 'pg_type'::regclass and t.oid = m.objid
        where m.refclassid = 'pg_extension'::regclass and m.deptype = 'e'
          -- Row and array types go with their tables.
          and (t.oid is null or t.typtype <> 'b' and not exists (select from pg_class as r where r.oid = t.typrelid and r.relkind <> 'c'))
        union all
        -- No member, and ours all the same.
        select 'schema', quote_ident(n.nspname), n.nspacl, false from pg_namespace as n where n.nspname = 'easysync_ledger'
    loop
        if member.kind is null then
            raise exception 'easysync: % is of a kind that 99_ownership.sql does not know', member.identity;
        end if;
        select string_agg(format('revoke all on %s %s from %s cascade',
                                 case member.kind when 'view' then 'table' else member.kind end, member.identity,
                                 case a.grantee when 0 then 'public' else quote_ident((select r.rolname from pg_roles as r where r.oid = a.grantee)) end), '; ')
          into revocations
        from (select distinct x.grantee from aclexplode(member.acl) as x) as a
        where a.grantee = 0 or (select r.rolname from pg_roles as r where r.oid = a.grantee) <> all (ours || current_user::name);
        if revocations is not null then
            execute revocations;
        end if;
        if not member.is_owned then
            execute format('alter %s %s owner to easysync_owner', member.kind, member.identity);
        end if;
    end loop;
end
$$;
