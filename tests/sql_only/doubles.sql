-- Doubles of the library's functions, so that the SQL can be tried on a server without the library.
-- They answer as the library would for a shop whose URL says what is wrong with it. Never shipped.
create function easysync_internal.wake() returns void language sql volatile as $$ select $$;
create function easysync_internal.rescan() returns void language sql volatile as $$ select $$;
create function easysync_internal.library_version() returns text language sql stable as $$ select '0.1.0-double' $$;
create function easysync_internal.node_instance() returns text language sql stable
    as $$ select coalesce(nullif(current_setting('easysync.instance', true), ''), 'double-node') $$;
create function easysync_internal.worker_status() returns jsonb language sql stable as $$
    select coalesce(nullif(current_setting('double.worker_status', true), '')::jsonb,
        '{"preloaded":true,"running":true,"pid":4711,"state":"idle","message":null,"schema_version":1}')
$$;
create function easysync_internal.changes_suppressed() returns boolean language sql stable
    as $$ select coalesce(nullif(current_setting('double.suppressed', true), '')::boolean, false) $$;
create function easysync_internal.change_origin() returns text language sql stable
    as $$ select nullif(current_setting('double.origin', true), '') $$;
