-- Whose data a session may see. The one place where it is decided: every view filters by
-- visible_tenants(), every function starts with easysync.current_tenant(). Whether that is a tenant or
-- its sandbox is decided here, too.
--
-- A tenant is chosen by the setting easysync.tenant_id, which anyone can set: it only selects among
-- the tenants that tenant_members gives to the session's user. Under a role of easysync.gateway_roles
-- (PostgREST's authenticator, which has verified the token) the claim counts instead.

-- The claim `tenant_id` of the verified token; null: no gateway session, or no such claim.
create function easysync_internal.claimed_tenant() returns text
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if not easysync_internal.is_gateway(session_user) then
        return null;
    end if;
    return nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'tenant_id', '');
exception when invalid_text_representation then
    -- Claims that are no JSON claim nothing.
    return null;
end
$$;

-- The live tenants that are the session's own.
create function easysync_internal.own_tenants() returns text[]
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
    claim text := easysync_internal.claimed_tenant();
    in_hand text := easysync_internal.tenant_in_hand();
    tenants text[];
begin
    -- Code of a hub's owner (a trigger, a policy), run while the hub is read or written: it is let to
    -- that tenant, whoever's session it is.
    if in_hand is not null then
        return array[coalesce(easysync_internal.live_of(in_hand), in_hand)];
    end if;
    if claim is not null then
        -- A sandbox is reached by its tenant, and only while it is on.
        return case when easysync_internal.is_twin(claim) then array[]::text[] else array[claim] end;
    end if;
    -- The worker serves every tenant.
    if easysync_internal.is_worker_session() or (select rolsuper from pg_roles where rolname = session_user) then
        select array_agg(distinct t order by t) into tenants
        from (select 'default' union all select tenant_id from easysync_internal.tenant_members
              union all select tenant_id from easysync_internal.sandboxes
              union all select tenant_id from easysync_internal.connections) as known (t)
        where not easysync_internal.is_twin(t);
        return tenants;
    end if;
    -- Nobody is a member of anything: an installation for one tenant, open to every easysync role.
    if not exists (select from easysync_internal.tenant_members) then
        return case when pg_has_role(session_user, 'easysync_viewer', 'member')
                      or pg_has_role(session_user, 'easysync_webhook', 'member')
                    then array['default'] else array[]::text[] end;
    end if;
    select coalesce(array_agg(distinct m.tenant_id order by m.tenant_id), '{}') into tenants
    from easysync_internal.tenant_members as m
    join pg_roles as r on r.rolname = m.role_name
    where pg_has_role(session_user, r.oid, 'member');
    return tenants;
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

-- The live tenant that the session works for.
create function easysync_internal.selected_tenant() returns text
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
    allowed text[] := easysync_internal.own_tenants();
    asked text := nullif(easysync_internal.asked_tenant(), '*');
begin
    if asked = any (allowed) then
        return asked;
    end if;
    if asked is not null then
        perform easysync_internal.raise_error('42501', format('tenant "%s" is not one of yours', asked),
            'category: authentication, code: tenant_not_allowed',
            format('Tenants: %s.', coalesce(nullif(array_to_string(allowed, ', '), ''), 'none')));
    end if;
    if 'default' = any (allowed) then
        return 'default';
    end if;
    if cardinality(allowed) = 1 then
        return allowed[1];
    end if;
    if cardinality(allowed) = 0 then
        perform easysync_internal.raise_error('42501', format('role "%s" may see no tenant', session_user),
            'category: authentication, code: no_tenant',
            'An admin grants one with easysync.add_tenant_member.');
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

create function easysync.add_tenant_member(role name, tenant text) returns void
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    allowed text[] := easysync_internal.own_tenants();
    is_super boolean := (select rolsuper from pg_roles where rolname = session_user);
    first_member boolean := not exists (select from easysync_internal.tenant_members);
begin
    if add_tenant_member.tenant is null or add_tenant_member.tenant !~ '^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,62}$' then
        perform easysync_internal.raise_argument(format('invalid tenant %s', coalesce('"' || add_tenant_member.tenant || '"', 'NULL')),
            'A tenant is 1 to 63 letters, digits, "_", ".", ":", "-".');
    end if;
    if add_tenant_member.tenant like '%:sandbox'
       and (easysync_internal.is_twin(add_tenant_member.tenant) or not easysync_internal.tenant_exists(add_tenant_member.tenant)) then
        perform easysync_internal.raise_argument(format('"%s" is the name of a sandbox', add_tenant_member.tenant),
            'Members of a tenant are members of its sandbox, too.');
    end if;
    if not exists (select from pg_roles where rolname = add_tenant_member.role) then
        perform easysync_internal.raise_argument(format('unknown role %s', coalesce('"' || add_tenant_member.role || '"', 'NULL')),
            'Create the role first; \du lists them.');
    end if;
    -- An admin of one tenant opens no door to another; a tenant that nobody has yet is free.
    if not is_super and add_tenant_member.tenant <> all (allowed)
       and easysync_internal.tenant_exists(add_tenant_member.tenant) then
        perform easysync_internal.raise_error('42501', format('tenant "%s" is not one of yours', add_tenant_member.tenant),
            'category: authentication, code: tenant_not_allowed',
            format('Tenants: %s.', coalesce(nullif(array_to_string(allowed, ', '), ''), 'none')));
    end if;
    -- The first member closes the open default: whoever adds it does not lock himself out.
    if first_member and not is_super then
        insert into easysync_internal.tenant_members (tenant_id, role_name, added_by)
        values ('default', session_user, session_user);
        perform easysync_internal.audit('default', 'add_tenant_member', session_user::text, null, to_jsonb('default'::text));
        raise notice 'tenant "default" is closed to other roles from now on; "%" stays a member', session_user;
    end if;
    insert into easysync_internal.tenant_members (tenant_id, role_name, added_by)
    values (add_tenant_member.tenant, add_tenant_member.role, session_user)
    on conflict (tenant_id, role_name) do nothing;
    if found then
        perform easysync_internal.audit(add_tenant_member.tenant, 'add_tenant_member', add_tenant_member.role::text,
                                        null, to_jsonb(add_tenant_member.tenant));
    end if;
end
$$;
comment on function easysync.add_tenant_member(name, text) is 'Let a role see a tenant';

create function easysync.remove_tenant_member(role name, tenant text) returns boolean
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    removed boolean;
begin
    if remove_tenant_member.tenant is null
       or remove_tenant_member.tenant <> all (easysync.allowed_tenants()) then
        return false;
    end if;
    delete from easysync_internal.tenant_members
    where tenant_id = remove_tenant_member.tenant and role_name = remove_tenant_member.role;
    removed := found;
    if removed then
        perform easysync_internal.audit(remove_tenant_member.tenant, 'remove_tenant_member', remove_tenant_member.role::text,
                                        to_jsonb(remove_tenant_member.tenant), null);
        -- The other way round of the rule above: no member at all means open again.
        if not exists (select from easysync_internal.tenant_members) then
            raise warning 'no tenant has a member now: tenant "default" is open to every easysync role'
                using hint = 'Add one with easysync.add_tenant_member to close it.';
        end if;
    end if;
    return removed;
end
$$;
comment on function easysync.remove_tenant_member(name, text) is 'Take back what add_tenant_member gave';

-- Does anybody, or anything of ours, belong to the tenant.
create function easysync_internal.tenant_exists(tenant text) returns boolean
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select tenant = 'default'
        or exists (select from easysync_internal.tenant_members as m where m.tenant_id = tenant)
        or exists (select from easysync_internal.connections as c where c.tenant_id = tenant)
        or exists (select from easysync_internal.settings as s where s.tenant_id = tenant)
        or exists (select from easysync_internal.sync_runs as r where r.tenant_id = tenant)
        or exists (select from easysync_internal.sandboxes as x where x.tenant_id = tenant)
$$;
