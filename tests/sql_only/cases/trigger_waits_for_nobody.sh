q() { psql -Xq -v ON_ERROR_STOP=1 -d test "$@"; }
q -f "$here/assert.sql" -c "select expect.connect_shop()" >/dev/null
# A session that keeps its transaction open: holds a run of the same entity, and a key.
q -c begin -c "select easysync.trigger('orders')" -c "select easysync.trigger('orders', idempotency_key => 'k')" -c 'select pg_sleep(3)' -c commit > "$work/first" & first=$!
sleep 0.7
PGOPTIONS='-c statement_timeout=1000' q -c "select easysync.trigger('orders')" >/dev/null
PGOPTIONS='-c statement_timeout=1000' q -c "select easysync.trigger('orders', idempotency_key => 'other')" >/dev/null
# The same key waits for the first one's end, and is the same sync then.
begun=$(date +%s%N)
id=$(q -At -c "select easysync.trigger('orders', idempotency_key => 'k')")
waited=$(( ($(date +%s%N) - begun) / 1000000 ))
wait $first
[ "$waited" -gt 500 ] || { echo "did not wait: $waited ms"; exit 1; }
[ "$(q -At -c "select count(*) from easysync_internal.sync_runs where idempotency_key = 'k' and sync_id = $id")" = 1 ]
# Rolled back by the first: the second makes it.
q -c begin -c "select easysync.trigger('orders', idempotency_key => 'r')" -c 'select pg_sleep(1)' -c rollback > /dev/null & first=$!
sleep 0.4
id=$(q -At -c "select easysync.trigger('orders', idempotency_key => 'r')")
wait $first
[ "$(q -At -c "select count(*) from easysync_internal.sync_runs where idempotency_key = 'r' and sync_id = $id")" = 1 ]
# Two first connects at once: one gets the name, the other is told.
psql -Xqc 'drop database test' -c 'create database test'; q -f "$here/assert.sql" >/dev/null
q -c begin -c "select expect.connect_shop()" -c 'select pg_sleep(1)' -c commit >/dev/null 2>&1 & first=$!
sleep 0.3
q -v VERBOSITY=verbose -c "select expect.connect_shop()" > "$work/second" 2>&1 && exit 1
wait $first
grep -q 'ERROR:  42710: connection "shop" already exists' "$work/second" || { cat "$work/second"; exit 1; }
