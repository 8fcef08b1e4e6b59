q() { psql -Xq -v ON_ERROR_STOP=1 -d test "$@"; }
q -f "$here/assert.sql" -c "select expect.connect_shop()" >/dev/null
q -c "create role case_op login" -c "grant easysync_operator to case_op" 2>/dev/null || q -c "grant easysync_operator to case_op"
# A worker's part: takes the newest queued sync, walks two steps, ends as told.
worker() {
    for _ in $(seq 100); do
        id=$(q -At -c "update easysync_internal.sync_runs set status = 'running', started_at = clock_timestamp() where status = 'queued' returning sync_id")
        [ -z "$id" ] || break
        sleep 0.05
    done
    q -c "insert into easysync_internal.sync_run_steps (sync_id, step, tenant_id, entity, connection, direction, status, started_at, records_total, records_done, along)
          values ($id, 1, 'default', 'products', 'shop', 'pull', 'running', clock_timestamp(), 59, 59, '{\"variations\":74}')" \
      -c "update easysync_internal.sync_run_steps set status = 'succeeded', finished_at = clock_timestamp() where sync_id = $id" \
      -c "insert into easysync_internal.sync_run_steps (sync_id, step, tenant_id, entity, connection, direction, status, started_at, finished_at, records_total, records_done, along, failed)
          values ($id, 2, 'default', 'orders', 'shop', 'pull', '$1', clock_timestamp(), clock_timestamp(), 289, 289, '{\"lines\":855}', $2)" \
      -c "update easysync_internal.sync_runs set status = '$1', finished_at = clock_timestamp(), error_category = $3, error_message = $4, error_hint = $5 where sync_id = $id"
}
has() { grep -qF "$1" "$work/run" || { echo "no '$1' in:"; cat "$work/run"; exit 1; }; }

worker succeeded 0 null null null & w=$!
psql -U case_op -Xq -d test -c "call easysync.run('orders')" > "$work/run" 2>&1; wait $w
has 'NOTICE:  sync 1: products 59 of 59, with 74 variations'
has 'NOTICE:  sync 1: orders 289 of 289, with 855 lines'
[ "$(grep -c NOTICE "$work/run")" = 2 ] || { cat "$work/run"; exit 1; }

worker partial 3 null null null & w=$!
psql -U case_op -Xq -d test -c "call easysync.run('orders')" > "$work/run" 2>&1; wait $w
has 'WARNING:  sync 2: 3 of 348 records failed'; has 'sync_failures WHERE sync_id = 2'

worker failed 0 "'authentication'" "'woocommerce refused the credentials of \"shop\"'" "'Make a key.'" & w=$!
psql -U case_op -Xq -v VERBOSITY=verbose -d test -c "call easysync.run('orders')" > "$work/run" 2>&1 && exit 1; wait $w
has 'ERROR:  YS401: woocommerce refused the credentials of "shop"'; has 'HINT:  Make a key.'

# The time-out ends the wait, not the sync.
psql -U case_op -Xq -v VERBOSITY=verbose -d test -c "call easysync.run('orders', timeout => '300 ms')" > "$work/run" 2>&1 && exit 1
has 'ERROR:  YS504: sync 4 still runs after 00:00:00.3'
[ "$(q -At -c 'select status from easysync.sync_runs where sync_id = 4')" = queued ]
q -c 'select easysync.cancel(4)' >/dev/null

# Ctrl-C cancels the sync.
psql -U case_op -Xq -v VERBOSITY=verbose -d test -c "call easysync.run('orders')" > "$work/run" 2>&1 & c=$!
for _ in $(seq 100); do [ "$(q -At -c 'select count(*) from easysync.sync_runs where sync_id = 5')" = 0 ] || break; sleep 0.05; done
q -c "update easysync_internal.sync_runs set status = 'running' where sync_id = 5"
kill -INT $c; wait $c && exit 1
has 'ERROR:  57014: sync 5 is being cancelled'
[ "$(q -At -c "select status || ' ' || (cancel_requested_at is not null)::text || ' ' || cancel_requested_by from easysync_internal.sync_runs where sync_id = 5")" = 'running true case_op' ]

# In a transaction, in whichever way it is one: nothing is queued.
before=$(q -At -c 'select count(*) from easysync.sync_runs')
psql -U case_op -Xq -v VERBOSITY=verbose -d test -c begin -c "call easysync.run('orders')" > "$work/run" 2>&1 && exit 1
has 'ERROR:  25001: easysync.run can not run inside a transaction block'
psql -U case_op -Xq -v VERBOSITY=verbose -d test -c "begin; call easysync.run('orders')" > "$work/run" 2>&1 && exit 1
grep -qE '25001|2D000' "$work/run"
psql -U case_op -Xq -v VERBOSITY=verbose -d test -c "do \$\$ begin call easysync.run('orders'); exception when division_by_zero then null; end \$\$" > "$work/run" 2>&1 && exit 1
has '2D000'
[ "$(q -At -c 'select count(*) from easysync.sync_runs')" = "$before" ]

# Nobody there, nobody allowed: said before anything is queued.
PGOPTIONS="-c double.worker_status={\"preloaded\":false}" psql -Xq -v VERBOSITY=verbose -d test -c "call easysync.run('orders')" > "$work/run" 2>&1 && exit 1
has 'ERROR:  55000: no worker is running'; has 'shared_preload_libraries'
q -c 'select easysync.fence()' >/dev/null
psql -Xq -v VERBOSITY=verbose -d test -c "call easysync.run('orders')" > "$work/run" 2>&1 && exit 1
has 'ERROR:  YS409: this database is fenced'
[ "$(q -At -c 'select count(*) from easysync.sync_runs')" = "$before" ]
# trigger queues all the same, and says so.
psql -Xq -d test -c "select easysync.trigger('orders')" > "$work/run" 2>&1
has 'WARNING:  sync 6 waits: this database is fenced'
# A paused connection is said, named or not.
q -c "select easysync.unfence('takeover')" -c "select easysync.disable('shop', 'year end')" >/dev/null 2>&1
psql -Xq -d test -c "select easysync.trigger('orders', connection => 'shop')" > "$work/run" 2>&1
has 'WARNING:  "shop" is disabled: year end'; has "SELECT easysync.enable('shop');"
psql -Xq -d test -c "select easysync.trigger('orders')" > "$work/run" 2>&1
has 'WARNING:  no connection that carries orders works'

# statement_timeout isn't somebody who interrupted it.
q -c "select easysync.enable('shop')" -c "update easysync_internal.sync_runs set status = 'cancelled', finished_at = clock_timestamp() where finished_at is null" >/dev/null 2>&1
PGOPTIONS="-c statement_timeout=400ms" psql -U case_op -Xq -v VERBOSITY=verbose -d test -c "call easysync.run('orders')" > "$work/run" 2>&1 && exit 1
has 'is being cancelled: statement_timeout (400ms) ended the wait for it'; has 'HINT:  SET statement_timeout = 0'
# A worker that left its process to another database for a while is no missing worker.
PGOPTIONS="-c double.worker_status={\"preloaded\":true,\"running\":true,\"state\":\"resting\"}" psql -Xq -d test -c "select easysync.trigger('orders')" > "$work/run" 2>&1
! grep -q 'no worker is running' "$work/run" || { cat "$work/run"; exit 1; }
# One that has waited for a process for long is named, with what is used up and the cure.
PGOPTIONS="-c double.worker_status={\"preloaded\":true,\"running\":true,\"state\":\"waiting\",\"waiting_since\":\"2026-01-01T00:00:00Z\",\"server\":{\"databases\":30,\"most_databases\":256,\"max_worker_processes\":8}}" \
    psql -AtXq -d test -c "select easysync.health() ->> 'reasons'" > "$work/run" 2>&1
has 'no process for the worker since 2026-01-01 00:00:00 UTC: all are in use (max_worker_processes = 8, 30 databases with easysync)'
has 'Raise max_worker_processes'
# The server has no place for another database.
PGOPTIONS="-c double.worker_status={\"preloaded\":true,\"running\":false,\"server\":{\"databases\":256,\"most_databases\":256}}" \
    psql -AtXq -d test -c "select easysync.health() ->> 'reasons'" > "$work/run" 2>&1
has 'easysync serves at most 256 databases of a server'
