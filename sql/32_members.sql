-- What concerns the whole installation, and who may do it; members of tenants.

-- Does the installation serve several: then what concerns all of them is no single one's affair. Behind
-- a gateway no roles are members: there it is one while the claimed tenant is the only one.
create function easysync_internal.is_shared() returns boolean
    language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
    select exists (select from easysync_internal.tenant_members)
        or easysync_internal.is_gateway()
           and exists (select from easysync_internal.connections as c
                       where c.tenant_id is distinct from easysync_internal.claimed_tenant()
                         and easysync_internal.live_of(c.tenant_id) is distinct from easysync_internal.claimed_tenant())
$$;

-- Raises unless the session may do what concerns every tenant. Whether it may call the function at all
-- was checked by Postgres.
create function easysync_internal.check_dba(action text) returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    if easysync_internal.is_dba() then
        return;
    elsif easysync_internal.is_shared() then
        perform easysync_internal.raise_error('42501', format('permission denied: %s concerns every tenant of this installation', action),
            'category: authentication, code: not_dba', format('A member of easysync_dba may: GRANT easysync_dba TO %I;', easysync_internal.answerable_role()));
    end if;
    -- Without a tenant nothing may be done, in an installation for one tenant neither.
    perform easysync_internal.selected_tenant();
end
$$;

-- In whose audit log it stands: the session's tenant, or "default" where it hasn't just one.
create function easysync_internal.audited_tenant() returns text
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select easysync_internal.in_force(case when cardinality(s.tenants) = 1 then s.tenants[1] else 'default' end)
    from easysync_internal.selected_tenants() as s (tenants)
$$;

create function easysync.add_tenant_member(role name, tenant text) returns void
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    first_member boolean := not exists (select from easysync_internal.tenant_members);
begin
    perform easysync_internal.check_size('tenant', add_tenant_member.tenant);
    perform easysync_internal.check_dba('add_tenant_member');
    perform easysync_internal.check_member(add_tenant_member.role, add_tenant_member.tenant);
    -- The first member closes the open default: whoever adds it does not lock himself out.
    if first_member and 'default' = any (easysync_internal.own_tenants())
       and not easysync_internal.owns_installation() and not easysync_internal.is_gateway() then
        insert into easysync_internal.tenant_members (tenant_id, role_name, added_by)
        values ('default', session_user, session_user);
        perform easysync_internal.audit('default', 'add_tenant_member', session_user::text, null, to_jsonb('default'::text));
        raise notice 'tenant "default" is closed to other roles from now on; "%" stays a member', session_user
            using hint = 'Further members are added by members of easysync_dba.';
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

-- A name that a tenant may have, a role that there is, and a tenant that the session may open.
create function easysync_internal.check_member(role name, tenant text) returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    allowed text[] := easysync_internal.own_tenants();
begin
    if not easysync_internal.is_tenant_name(tenant) then
        perform easysync_internal.raise_argument(format('invalid tenant %s', coalesce('"' || tenant || '"', 'NULL')),
            'A tenant is 1 to 63 letters, digits, "_", ".", ":", "-".');
    end if;
    if tenant like '%:sandbox' and (easysync_internal.is_twin(tenant) or not easysync_internal.tenant_exists(tenant)) then
        perform easysync_internal.raise_argument(format('"%s" is the name of a sandbox', tenant),
            'Members of a tenant are members of its sandbox, too.');
    end if;
    if not exists (select from pg_roles where rolname = check_member.role) then
        perform easysync_internal.raise_argument(format('unknown role %s', coalesce('"' || role || '"', 'NULL')),
            'Create the role first; \du lists them.');
    end if;
    -- While the installation is open an admin opens no door to a tenant that is there, or whose records are.
    if not easysync_internal.is_dba() and tenant <> all (allowed)
       and (easysync_internal.tenant_exists(tenant) or easysync_internal.is_in_ledger(tenant)) then
        perform easysync_internal.raise_error('42501', format('tenant "%s" is not one of yours', tenant),
            'category: authentication, code: tenant_not_allowed',
            format('Tenants: %s. A member of easysync_dba opens others.', coalesce(nullif(array_to_string(allowed, ', '), ''), 'none')));
    end if;
end
$$;

create function easysync.remove_tenant_member(role name, tenant text) returns boolean
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    perform easysync_internal.check_size('tenant', remove_tenant_member.tenant);
    perform easysync_internal.check_dba('remove_tenant_member');
    delete from easysync_internal.tenant_members
    where tenant_id = remove_tenant_member.tenant and role_name = remove_tenant_member.role;
    if not found then
        return false;
    end if;
    perform easysync_internal.audit(remove_tenant_member.tenant, 'remove_tenant_member', remove_tenant_member.role::text,
                                    to_jsonb(remove_tenant_member.tenant), null);
    -- The other way round of add_tenant_member: no member at all means open again.
    if not exists (select from easysync_internal.tenant_members) then
        raise warning 'no tenant has a member now: tenant "default" is open to every easysync role'
            using hint = 'Add one with easysync.add_tenant_member to close it.';
    end if;
    return true;
end
$$;
comment on function easysync.remove_tenant_member(name, text) is 'Take back what add_tenant_member gave';

-- Of the whole installation: granted to easysync_dba alone, and so not narrowed to tenants.
create view easysync.tenant_members with (security_barrier) as
select m.tenant_id, m.role_name, m.added_at, m.added_by
from easysync_internal.tenant_members as m;
comment on view easysync.tenant_members is 'Which roles see which tenants';
comment on column easysync.tenant_members.tenant_id is 'tenant';
comment on column easysync.tenant_members.role_name is 'role, with its members';
comment on column easysync.tenant_members.added_at is 'when';
comment on column easysync.tenant_members.added_by is 'by whom';

grant select on easysync.tenant_members to easysync_dba;
