select expect.connect_shop();
insert into commerce.orders (number, status, currency) values ('1', 'completed', 'USD');
insert into easysync_ledger.links (tenant_id, account, entity, remote_id, remote_type, hub_id, hash) values ('default', 'https://shop.example', 'orders', '1', 'order', 1, '\x00');
select easysync.enable_row_security();
drop schema expect cascade;
drop extension easysync;
select 1 / (select count(*) from commerce.orders)::integer, 1 / (select count(*) from easysync_ledger.links)::integer;
select 1 / (select (count(*) = 0)::integer from pg_trigger where tgname like 'easysync%');
-- Without the extension the hub is an ordinary table.
insert into commerce.orders (number, status, currency) values ('2', 'completed', 'USD');
\i :assert
select expect.connect_shop();
select expect.same('orders stay', (select count(*) from commerce.orders), 2::bigint);
select expect.same('links are found again', (select links from easysync.streams where entity = 'orders'), 1::bigint);
select expect.same('triggers are back', (select count(*) from pg_trigger where tgname like 'easysync%'), 40::bigint);
