-- Who the session is: the role it acts as, and, behind a gateway, what the verified token says.
--
-- A gateway is a login role of easysync.gateway_roles (PostgREST's authenticator): it signs in for
-- many people, verifies each one's token, and puts the claims into the setting request.jwt.claims.
-- Anyone can set that setting; under any other role nothing here believes it.

create function easysync_internal.is_gateway() returns boolean
    language sql stable set search_path = pg_catalog, pg_temp
as $$ select easysync_internal.is_gateway(session_user) $$;

-- Claims of the verified token. Null: no gateway's session, or claims that can't be read, whatever is
-- wrong with them (no JSON, no object, characters or depths that jsonb refuses).
create function easysync_internal.claims() returns jsonb
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
    found jsonb;
begin
    if not easysync_internal.is_gateway() then
        return null;
    end if;
    begin
        found := nullif(current_setting('request.jwt.claims', true), '')::jsonb;
    exception when others then
        return null;
    end;
    return case when jsonb_typeof(found) = 'object' then found end;
end
$$;

-- A claim that is a text; null: there is none, or it is anything else.
create function easysync_internal.claimed_text(claim text) returns text
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select case when jsonb_typeof(c.claims -> claimed_text.claim) = 'string' then nullif(c.claims ->> claimed_text.claim, '') end
    from easysync_internal.claims() as c (claims)
$$;

-- The person that the gateway has verified: e-mail, else the token's subject. Without control
-- characters: it is shown in views and logs.
create function easysync_internal.person() returns text
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select left(regexp_replace(coalesce(easysync_internal.claimed_text('email'), easysync_internal.claimed_text('sub')),
                               '[[:cntrl:]]', '', 'g'), 320)
$$;

-- The role whose rights the session has: that of SET ROLE, else the one that signed in. Inside our own
-- functions, too, where current_user is their owner.
create function easysync_internal.acting_role() returns text
    language sql stable set search_path = pg_catalog, pg_temp
as $$ select coalesce(nullif(current_setting('role'), 'none'), session_user) $$;

-- Whose membership in easysync_dba counts. Not a gateway's login role: that is a member of everything
-- that any of its users may become.
create function easysync_internal.answerable_role() returns text
    language sql stable set search_path = pg_catalog, pg_temp
as $$ select case when easysync_internal.is_gateway() then easysync_internal.acting_role() else session_user::text end $$;

-- May the session do what concerns the whole installation?
create function easysync_internal.is_dba() returns boolean
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select pg_has_role(easysync_internal.answerable_role(), 'easysync_dba',
                       case when easysync_internal.is_gateway() then 'usage' else 'member' end)
$$;

-- Members of the role that the extension belongs to: superusers, who are members of every role, and no
-- one else where that role is easysync_owner.
create function easysync_internal.owns_installation() returns boolean
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select pg_has_role(session_user, n.nspowner, 'member') from pg_namespace as n where n.nspname = 'easysync_internal'
$$;
