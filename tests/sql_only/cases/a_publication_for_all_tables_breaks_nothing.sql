-- Under a publication of all tables, UPDATE and DELETE need a replica identity: every table of ours and
-- of the hub has one, whatever makes it.
select expect.connect_shop();
select easysync.set_sandbox(true);
insert into commerce_sandbox.orders (tenant_id, number, status, currency) values ('default:sandbox', '1', 'completed', 'USD');
select easysync.set_sandbox(false);
select expect.same('tables without a replica identity', (
    select coalesce(string_agg(c.oid::regclass::text, ', '), 'none') from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
    where n.nspname in ('easysync', 'easysync_internal', 'easysync_ledger', 'commerce', 'commerce_sandbox')
      and c.relkind in ('r', 'p') and c.relpersistence = 'p'
      and not exists (select from pg_index as i where i.indrelid = c.oid and i.indisvalid
                      and (i.indisreplident or (i.indisprimary and c.relreplident = 'd')))), 'none');
create publication everything for all tables;
-- One update and one delete of each table, none of which finds a row: the check comes first.
do $$
declare
    one record;
begin
    for one in select c.oid::regclass as relation, (select quote_ident(a.attname) from pg_attribute as a where a.attrelid = c.oid and a.attnum > 0
                          and not a.attisdropped and a.attgenerated = '' and a.attidentity <> 'a' order by a.attnum limit 1) as col
               from pg_class as c where c.relkind = 'r' and c.relnamespace in ('easysync_internal'::regnamespace, 'easysync_ledger'::regnamespace,
                                                                            'commerce'::regnamespace, 'commerce_sandbox'::regnamespace) loop
        execute format('update %s set %s = %s where false', one.relation, one.col, one.col);
        execute format('delete from %s where false', one.relation);
    end loop;
end $$;
-- What a push begins with, what retention does, and what a copy of the database drops.
select easysync_internal.drop_old_logs(), easysync_internal.drop_old_runs(), easysync_internal.drop_old_webhooks();
insert into easysync_internal.hub_changes (tenant_id, hub_schema, entity, hub_id, operation) values ('default', 'commerce', 'orders', 1, 'insert');
delete from easysync_internal.hub_changes;
set client_min_messages = error;
select easysync.fence('moved');
select easysync.unfence('copy');
