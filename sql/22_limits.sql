-- How large the arguments of the surface may be. One place: whatever takes an argument from SQL calls
-- check_size before it looks at the value, so that a call of any size costs next to nothing and no
-- error repeats what was too large. `tests/tests/attacks/tenants.rs` walks the catalogue.

-- By the argument's name; one that isn't listed has the limit of its type.
create function easysync_internal.limits()
    returns table (argument text, type_name text, most integer, unit text)
    language sql immutable set search_path = pg_catalog, pg_temp
as $$
    values (null, 'text', 255, 'characters'),
           ('reason', 'text', 2000, 'characters'),
           ('notes', 'text', 2000, 'characters'),
           ('value', 'text', 1000, 'characters'),
           ('url', 'text', 2000, 'characters'),
           ('redirect_uri', 'text', 2000, 'characters'),
           ('callback_url', 'text', 8000, 'characters'),
           ('body', 'text', 2097152, 'bytes'),
           (null, 'jsonb', 65536, 'bytes'),
           ('filters', 'jsonb', 16384, 'bytes'),
           ('rules', 'jsonb', 1048576, 'bytes'),
           ('mappings', 'jsonb', 4194304, 'bytes'),
           (null, 'array', 10000, 'elements'),
           ('schedules', 'rows', 500, 'schedules')
$$;

create function easysync_internal.limit_of(argument text, type_name text, out most integer, out unit text)
    language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select l.most, l.unit from easysync_internal.limits() as l
    where l.type_name = limit_of.type_name and (l.argument = limit_of.argument or l.argument is null)
    order by l.argument nulls last limit 1
$$;

create function easysync_internal.raise_size(argument text, type_name text, given bigint) returns void
    language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
declare
    permitted record := easysync_internal.limit_of(argument, type_name);
begin
    perform easysync_internal.raise_error('22023', format('"%s" is too large: %s %s', argument, given, permitted.unit),
        'category: validation, code: too_large', format('At most %s %s.', permitted.most, permitted.unit));
end
$$;

create function easysync_internal.check_size(argument text, given text) returns void
    language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
declare
    permitted record := easysync_internal.limit_of(argument, 'text');
    size bigint := case permitted.unit when 'bytes' then octet_length(given) else length(given) end;
begin
    if size > permitted.most then
        perform easysync_internal.raise_size(argument, 'text', size);
    end if;
end
$$;

-- Also how deep it is nested: what reads it afterwards recurses.
create function easysync_internal.check_size(argument text, given jsonb) returns void
    language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
declare
    permitted record := easysync_internal.limit_of(argument, 'jsonb');
    size bigint := octet_length(given::text);
begin
    if size > permitted.most then
        perform easysync_internal.raise_size(argument, 'jsonb', size);
    elsif jsonb_path_exists(given, '$.**{33}') then
        perform easysync_internal.raise_error('22023', format('"%s" is nested too deep', argument),
            'category: validation, code: too_large', 'At most 32 levels.');
    end if;
end
$$;

-- Each of its elements has the limit of a text of that name.
create function easysync_internal.check_size(argument text, given text[]) returns void
    language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
declare
    longest bigint;
    permitted record := easysync_internal.limit_of(argument, 'text');
begin
    if cardinality(given) > (easysync_internal.limit_of(argument, 'array')).most then
        perform easysync_internal.raise_size(argument, 'array', cardinality(given));
    end if;
    select max(length(e)) into longest from unnest(given) as e;
    if longest > permitted.most then
        perform easysync_internal.raise_size(argument, 'text', longest);
    end if;
end
$$;

create function easysync_internal.check_size(argument text, given bigint[]) returns void
    language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
begin
    if cardinality(given) > (easysync_internal.limit_of(argument, 'array')).most then
        perform easysync_internal.raise_size(argument, 'array', cardinality(given));
    end if;
end
$$;
