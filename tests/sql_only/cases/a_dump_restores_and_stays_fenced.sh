# A dump of a database in use restores with exit 0 in each way that people restore, on the same day;
# all but log rows is there, and the restored database knows that it is a copy.
psql -Xq -v ON_ERROR_STOP=1 -d test -f "$here/assert.sql" -f - <<'SQL'
select expect.connect_shop();
select easysync.set_setting('confirm_threshold', '25');
select easysync.add_tenant_member('postgres', 'north');
select easysync.trigger('orders', ids => '{1}', idempotency_key => 'k');
insert into easysync_internal.sync_log (tenant_id, level, operation, message) select 'default', 'info', 'fetch', 'x' from generate_series(1, 1000);
insert into commerce.orders (number, status, currency, total) select n::text, 'completed', 'USD', n from generate_series(1, 50) as n;
insert into commerce.order_lines (order_id, line_number, name, quantity) select id, 1, 'x', 1 from commerce.orders;
insert into easysync_ledger.links (tenant_id, account, entity, remote_id, remote_type, remote_num, hub_id, hash, raw)
select 'default', 'https://shop.example', 'orders', id::text, 'order', id, id, '\x00', '{}' from commerce.orders;
insert into easysync_internal.sync_failures (tenant_id, connection, entity, direction, record_id, error_category) values ('default', 'shop', 'orders', 'pull', '7', 'validation');
insert into easysync_internal.sync_state values ('default', 'shop', 'orders', '{"watermark":"2026-01-01T00:00:00Z"}');
select easysync.enable_row_security();
-- One of the tenants is in its sandbox, and stays in it.
set easysync.tenant_id = 'north';
select easysync.set_sandbox(true);
insert into commerce_north_sandbox.orders (tenant_id, number, status, currency) values ('north:sandbox', '1', 'completed', 'USD');
reset easysync.tenant_id;
drop schema expect cascade;
SQL
"$bin/pg_dump" -Fc -d test -f "$work/test.dump"
"$bin/pg_dump" -d test -f "$work/test.sql"
counted="select format('%s=%s', t, (xpath('/row/n/text()', query_to_xml('select count(*) as n from ' || t, false, true, '')))[1]) from unnest(array[
  'easysync_internal.connections','easysync_internal.streams','easysync_internal.sync_runs','easysync_internal.settings','easysync_internal.identity',
  'easysync_internal.tenant_members','easysync_internal.audit_log','easysync_internal.sync_failures','easysync_internal.sync_state','easysync_ledger.links',
  'easysync_ledger.hubs','easysync_internal.sandboxes','commerce_north_sandbox.orders','commerce.orders','commerce.order_lines']) as t"
wanted=$(psql -XqAt -d test -c "$counted")
for how in "--exit-on-error" "--exit-on-error -1" "--exit-on-error -j 4" plain; do
    psql -Xq -c 'drop database if exists restored' -c 'create database restored'
    if [ "$how" = plain ]; then psql -Xq -v ON_ERROR_STOP=1 -d restored -f "$work/test.sql" > /dev/null
    else "$bin/pg_restore" $how -d restored "$work/test.dump"; fi
    got=$(psql -XqAt -d restored -c "$counted")
    [ "$got" = "$wanted" ] || { echo "restore $how: $got"; echo "wanted: $wanted"; exit 1; }
    psql -XqAt -v ON_ERROR_STOP=1 -d restored <<'SQL'
do $$
declare f record := easysync_internal.fence_state();
begin
    if f.state <> 'fenced' then raise exception 'a restored database is %', f.state; end if;
    if (select count(*) from easysync.sync_logs) <> 0 then raise exception 'log rows were dumped'; end if;
    if (easysync.health() ->> 'fenced')::boolean is not true then raise exception 'health does not say so: %', easysync.health(); end if;
    begin
        perform easysync.enable('shop');
        raise exception 'a fenced database called the shop';
    exception when sqlstate 'YS409' then null;
    end;
    if (select ok from easysync.test_connection('shop')) then raise exception 'test_connection called the shop'; end if;
    if easysync_internal.in_force('north') <> 'north:sandbox' then raise exception 'the sandbox was switched off'; end if;
    if (select count(*) from pg_policy where polrelid = 'commerce_north_sandbox.orders'::regclass) <> 1 then raise exception 'policies are missing'; end if;
    -- Sequences go on after what was dumped.
    if easysync.trigger('orders') <= (select min(sync_id) from easysync.sync_runs) then raise exception 'sync_id went back'; end if;
    if (select count(*) from pg_trigger where tgrelid = 'commerce.orders'::regclass and tgname like 'easysync%') <> 4 then raise exception 'hub triggers are missing'; end if;
end $$;
set client_min_messages = error;
select easysync.unfence('takeover');
do $$ begin
    if (select state from easysync_internal.fence_state()) <> 'verify' then raise exception 'takeover does not verify'; end if;
    if (select cursor_at from easysync.streams where entity = 'orders') <> '2025-12-31T00:00:00Z' then raise exception 'the cursor did not step back'; end if;
end $$;
insert into easysync_internal.sync_log (tenant_id, level, operation, message) values ('default', 'info', 'fetch', 'x');
SQL
done
