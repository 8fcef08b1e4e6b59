-- Whose data a session may see. The one place where it is decided: every view filters by
-- visible_tenants(), every function starts with easysync.current_tenant(). Whether that is a tenant or
-- its sandbox is decided here, too.
--
-- A tenant is chosen by the setting easysync.tenant_id, which anyone can set: it only selects among
-- the tenants that tenant_members gives to the session's user. Behind a gateway (18_session.sql) the
-- token's claim alone decides: a token without a usable one sees nothing and may do nothing.

-- 1 to 63 letters, digits, "_", ".", ":", "-".
create function easysync_internal.is_tenant_name(tenant text) returns boolean
    language sql immutable set search_path = pg_catalog, pg_temp
as $$ select coalesce(tenant ~ '^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,62}$', false) $$;

-- Does anybody, or anything of ours, belong to the tenant.
create function easysync_internal.tenant_exists(tenant text) returns boolean
    language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
    select tenant = 'default'
        or exists (select from easysync_internal.tenant_members as m where m.tenant_id = tenant)
        or exists (select from easysync_internal.connections as c where c.tenant_id = tenant)
        or exists (select from easysync_internal.settings as s where s.tenant_id = tenant)
        or exists (select from easysync_internal.sync_runs as r where r.tenant_id = tenant)
        or exists (select from easysync_internal.sandboxes as x where x.tenant_id = tenant)
$$;

-- Does the ledger know the tenant: its hub, its links or its writes outlived whoever worked here under
-- that name (DROP EXTENSION leaves them). PL/pgSQL: the ledger may not be there.
create function easysync_internal.is_in_ledger(tenant text) returns boolean
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
    -- All of its tables are made at once (15_ledger.sql).
    if to_regclass('easysync_ledger.tenants') is null then
        return false;
    end if;
    return exists (select from easysync_ledger.tenants as t where t.tenant_id = tenant)
        or exists (select from easysync_ledger.links as l where l.tenant_id = tenant)
        or exists (select from easysync_ledger.sync_requests as r where r.tenant_id = tenant);
end
$$;

-- Nobody works under that name, and records of somebody who did are still there: it is given by a
-- member of easysync_dba, not to whoever comes first.
create function easysync_internal.is_left_behind(tenant text) returns boolean
    language sql stable set search_path = pg_catalog, pg_temp
as $$ select not easysync_internal.tenant_exists(tenant) and easysync_internal.is_in_ledger(tenant) $$;

-- The tenant that the verified token names; null: it names none, or one that it can't have. A sandbox is
-- reached by its tenant, and only while it is on.
create function easysync_internal.claimed_tenant() returns text
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select c.tenant
    from easysync_internal.claimed_text('tenant_id') as c (tenant)
    where easysync_internal.is_tenant_name(c.tenant) and not easysync_internal.is_twin(c.tenant)
      and (c.tenant not like '%:sandbox' or easysync_internal.tenant_exists(c.tenant))
$$;

-- Live tenants of whom anything is here.
create function easysync_internal.known_tenants() returns text[]
    language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
    select array_agg(distinct t order by t)
    from (select 'default' union all select m.tenant_id from easysync_internal.tenant_members as m
          union all select s.tenant_id from easysync_internal.sandboxes as s
          union all select c.tenant_id from easysync_internal.connections as c) as known (t)
    where not easysync_internal.is_twin(t)
$$;

-- The live tenants that are the session's own.
create function easysync_internal.own_tenants() returns text[]
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
    in_hand text := easysync_internal.tenant_in_hand();
    claim text;
begin
    -- Code of a hub's owner (a trigger, a policy), run while the hub is read or written: it is let to
    -- that tenant, whoever's session it is.
    if in_hand is not null then
        return array[coalesce(easysync_internal.live_of(in_hand), in_hand)];
    end if;
    if easysync_internal.is_gateway() then
        claim := easysync_internal.claimed_tenant();
        return case when claim is null or easysync_internal.is_left_behind(claim) then array[]::text[] else array[claim] end;
    end if;
    -- The worker serves every tenant.
    if easysync_internal.is_worker_session() or easysync_internal.owns_installation() then
        return easysync_internal.known_tenants();
    end if;
    -- Nobody is a member of anything: an installation for one tenant, open to every easysync role.
    if not exists (select from easysync_internal.tenant_members) then
        return case when pg_has_role(session_user, 'easysync_viewer', 'member')
                      or pg_has_role(session_user, 'easysync_webhook', 'member')
                    then array['default'] else array[]::text[] end;
    end if;
    return array(select distinct m.tenant_id
                 from easysync_internal.tenant_members as m
                 join pg_roles as r on r.rolname = m.role_name
                 where pg_has_role(session_user, r.oid, 'member')
                 order by m.tenant_id);
end
$$;

-- With the sandboxes that are on: hub tables of both hold rows, and applications go on reading the live ones.
create function easysync.allowed_tenants() returns text[]
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
    return (select coalesce(array_agg(distinct a.tenant order by a.tenant), '{}')
            from unnest(easysync_internal.own_tenants()) as o (tenant)
            cross join lateral (values (o.tenant), (easysync_internal.in_force(o.tenant))) as a (tenant));
end
$$;
comment on function easysync.allowed_tenants() is 'The tenants that this session''s user may see';

-- What the session asks for: null when it says nothing, or '*' for all. A sandbox that is on is its tenant.
create function easysync_internal.asked_tenant() returns text
    language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
    select coalesce((select s.tenant_id from easysync_internal.sandboxes as s
                     where s.enabled and easysync_internal.twin_of(s.tenant_id) = current_setting('easysync.tenant_id', true)),
                    nullif(current_setting('easysync.tenant_id', true), ''))
$$;

-- Why the session has no tenant, and who can change that.
create function easysync_internal.raise_no_tenant() returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    claim text := easysync_internal.claimed_tenant();
begin
    if claim is not null then
        perform easysync_internal.raise_error('42501', format('tenant "%s" is not open: records of an earlier one of that name are here', claim),
            'category: authentication, code: tenant_left_behind',
            format('A member of easysync_dba opens it: SELECT easysync.add_tenant_member(%L, %L);', session_user, claim));
    elsif easysync_internal.is_gateway() then
        perform easysync_internal.raise_error('42501', 'the token names no tenant', 'category: authentication, code: no_tenant',
            'It needs a claim "tenant_id": a text of 1 to 63 letters, digits, "_", ".", ":", "-".');
    end if;
    perform easysync_internal.raise_error('42501', format('role "%s" may see no tenant', session_user),
        'category: authentication, code: no_tenant', 'A member of easysync_dba grants one with easysync.add_tenant_member.');
end
$$;

-- The live tenant that the session works for.
create function easysync_internal.selected_tenant() returns text
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
    allowed text[] := easysync_internal.own_tenants();
    asked text := nullif(easysync_internal.asked_tenant(), '*');
begin
    if cardinality(allowed) = 0 then
        perform easysync_internal.raise_no_tenant();
    end if;
    if asked = any (allowed) then
        return asked;
    end if;
    if asked is not null then
        perform easysync_internal.raise_error('42501', format('tenant "%s" is not one of yours', left(asked, 71)),
            'category: authentication, code: tenant_not_allowed',
            format('Tenants: %s.', array_to_string(allowed, ', ')));
    end if;
    if 'default' = any (allowed) then
        return 'default';
    end if;
    if cardinality(allowed) = 1 then
        return allowed[1];
    end if;
    perform easysync_internal.raise_argument('several tenants, and none is selected',
        format('SET easysync.tenant_id to one of: %s.', array_to_string(allowed, ', ')));
end
$$;

-- While its sandbox is on a tenant is its twin: here, and in what the views show.
create function easysync.current_tenant() returns text
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
    return easysync_internal.in_force(easysync_internal.selected_tenant());
end
$$;
comment on function easysync.current_tenant() is 'The tenant of this session';

-- May the session see what platforms and the hub's database said of an error: an operator. The role that
-- it works as counts (SET ROLE; a gateway's), which is also known inside of definer functions.
create function easysync_internal.sees_originals() returns boolean
    language sql stable set search_path = pg_catalog, pg_temp
as $$ select pg_has_role(coalesce(nullif(current_setting('role'), 'none'), session_user)::name, 'easysync_operator', 'usage') $$;

-- The live tenants that the session looks at: the current one, or all allowed where '*' is asked or nothing is
-- and there are several. A tenant that isn't allowed shows nothing.
create function easysync_internal.selected_tenants() returns text[]
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
    allowed text[] := easysync_internal.own_tenants();
    asked text := easysync_internal.asked_tenant();
begin
    if asked = '*' then
        return allowed;
    elsif asked is not null then
        return case when asked = any (allowed) then array[asked] else '{}' end;
    end if;
    return case when 'default' = any (allowed) then array['default'] else allowed end;
end
$$;

-- The tenants that the views show.
create function easysync_internal.visible_tenants() returns text[]
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
    return array(select easysync_internal.in_force(s.tenant) from unnest(easysync_internal.selected_tenants()) as s (tenant));
end
$$;
