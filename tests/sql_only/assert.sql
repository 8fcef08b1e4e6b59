-- Installs the extension and a few helpers for statements that must hold.
create extension easysync;
create schema expect;
grant usage on schema expect to public;

create function expect.same(what text, got anyelement, wanted anyelement) returns void language plpgsql as $$
begin
    if got is distinct from wanted then
        raise exception '%: got %, wanted %', what, got, wanted;
    end if;
end $$;

create function expect.holds(what text, truth boolean) returns void language plpgsql as $$
begin
    if truth is not true then
        raise exception 'does not hold: %', what;
    end if;
end $$;

-- The statement fails with this SQLSTATE, a message like this one, and a hint like that one.
create function expect.fails(statement text, wanted_state text, message_like text, hint_like text default '%') returns void language plpgsql as $$
declare
    state text; message text; hint text;
begin
    begin
        execute statement;
    exception when others then
        get stacked diagnostics state = returned_sqlstate, message = message_text, hint = pg_exception_hint;
        if state <> wanted_state or message not like message_like or hint not like hint_like then
            raise exception '% failed otherwise: % % (hint: %)', statement, state, message, hint;
        end if;
        return;
    end;
    raise exception 'did not fail: %', statement;
end $$;

create function expect.connect_shop(name text default 'shop', url text default 'https://shop.example') returns void language sql as $$
    select easysync.connect(name, 'woocommerce', jsonb_build_object('url', url), '{"consumer_key":"ck_x","consumer_secret":"cs_x"}')
$$;
