-- Last of all: what the bodies of our functions rely on is tied to them, since anyone may set it for his
-- session: how a literal is read (the backslash of a regular expression), how times, numbers and bytes
-- become text, whether a query may be refused. The functions of the library have no such bodies; the
-- procedure run() can't have settings (it commits), and its body relies on none of them.
--
-- A function without a search_path of its own is one that the planner has to see through: settings would
-- hide its body. tests/tests/settings.rs lists those by name.
--
-- A setting that only concerns plans, locks, time limits or messages is the session's own.
do $$
declare
    member record;
begin
    for member in
        select p.oid::regprocedure as signature
        from pg_depend as d
        join pg_extension as e on e.oid = d.refobjid and e.extname = 'easysync'
        join pg_proc as p on p.oid = d.objid
        join pg_language as l on l.oid = p.prolang and l.lanname in ('sql', 'plpgsql')
        where d.classid = 'pg_proc'::regclass and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
          and p.prokind = 'f' and p.proconfig is not null
        order by p.oid
    loop
        execute format('alter function %s
            set standard_conforming_strings = on
            set datestyle = ''ISO, YMD''
            set intervalstyle = postgres
            set timezone = ''UTC''
            set extra_float_digits = 1
            set bytea_output = hex
            set quote_all_identifiers = off
            set transform_null_equals = off
            set array_nulls = on
            set row_security = on
            set plpgsql.extra_errors = none', member.signature);
    end loop;
end
$$;
