-- Sandboxes. A tenant's sandbox is a twin tenant, `<tenant>:sandbox`: every row of ours and of the hub
-- bears the tenant's name, so the twin has connections, links, queue and settings of its own. While
-- the sandbox is on the twin is in force for everybody who asks for the tenant (30_tenancy.sql), and the
-- other one of the two rests: the worker starts nothing for it, and what comes for it is kept.

create function easysync_internal.twin_of(tenant text) returns text
    language sql immutable set search_path = pg_catalog, pg_temp
as $$ select tenant || ':sandbox' $$;

-- The live tenant whose sandbox this is; null: it is none. By the table, not by the name: an older
-- installation may have a live tenant that is called like that.
create function easysync_internal.live_of(tenant text) returns text
    language sql stable set search_path = pg_catalog, pg_temp
as $$ select s.tenant_id from easysync_internal.sandboxes as s where easysync_internal.twin_of(s.tenant_id) = tenant $$;

create function easysync_internal.is_twin(tenant text) returns boolean
    language sql stable set search_path = pg_catalog, pg_temp
as $$ select easysync_internal.live_of(tenant) is not null $$;

-- Who stands for a live tenant now: itself, or its twin.
create function easysync_internal.in_force(tenant text) returns text
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select case when exists (select from easysync_internal.sandboxes as s where s.tenant_id = tenant and s.enabled)
                then easysync_internal.twin_of(tenant) else tenant end
$$;

-- Live tenants whose sandbox is on, and sandboxes that are off.
create function easysync_internal.resting_tenants() returns text[]
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select coalesce(array_agg(case when s.enabled then s.tenant_id else easysync_internal.twin_of(s.tenant_id) end), '{}')
    from easysync_internal.sandboxes as s
$$;

-- For the worker, in the transaction that starts something for the tenant: until that ends, nobody
-- switches the sandbox. While somebody is about to switch it nothing starts, and nobody waits.
create function easysync_internal.may_start(tenant text) returns boolean
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    if not easysync_internal.try_lock_shared('sandbox ' || coalesce(easysync_internal.live_of(tenant), tenant)) then
        return false;
    end if;
    -- A statement of its own: it sees what was committed before the lock was had.
    return tenant <> all (easysync_internal.resting_tenants());
end
$$;
