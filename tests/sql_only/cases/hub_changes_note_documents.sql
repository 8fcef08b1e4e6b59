select expect.connect_shop();
create view pg_temp.noted as select entity, hub_id, operation, origin from easysync_internal.hub_changes order by change_id;
insert into commerce.orders (number, status, currency) values ('0', 'completed', 'USD');
select expect.same('nobody pushes: nothing is noted', (select count(*) from pg_temp.noted), 0::bigint);
update easysync_internal.streams set direction = 'push' where entity = 'orders';
create function pg_temp.taken() returns text language sql as $$
    with d as (delete from easysync_internal.hub_changes returning *)
    select string_agg(format('%s %s %s', operation, entity, coalesce(hub_id::text, '*')), ', ' order by entity, hub_id, operation) from d
$$;
insert into commerce.orders (number, status, currency) select n::text, 'completed', 'USD' from generate_series(1, 3) as n;
select expect.same('insert', pg_temp.taken(), 'insert orders 2, insert orders 3, insert orders 4');
insert into commerce.order_lines (order_id, line_number, name, quantity) values (2, 1, 'a', 1), (2, 2, 'b', 1), (3, 1, 'c', 1);
select expect.same('lines are their document', pg_temp.taken(), 'update orders 2, update orders 3');
update commerce.order_lines set order_id = 4 where name = 'c';
select expect.same('a moved line is two documents', pg_temp.taken(), 'update orders 3, update orders 4');
insert into commerce.orders (id, number, status, currency) values (2, 'x', 'completed', 'USD'), (9, 'y', 'completed', 'USD')
    on conflict (tenant_id, id) do update set number = excluded.number;
select expect.same('upsert', pg_temp.taken(), 'update orders 2, insert orders 9');
delete from commerce.orders where id = 2;
select expect.holds('delete, with its lines', pg_temp.taken() like 'delete orders 2%');
insert into commerce.refunds (order_id, currency, amount) values (3, 'USD', 1);
insert into commerce.refund_lines (refund_id) values (1);
select expect.same('refunds', pg_temp.taken(), 'insert refunds 1, update refunds 1');
copy commerce.customers (display_name) from stdin;
Ann
\.
select expect.same('copy', pg_temp.taken(), 'insert customers 1');
truncate commerce.order_lines cascade;
select expect.holds('truncate', pg_temp.taken() like '%truncate orders *%');
set double.origin = 'shop';
update commerce.customers set notes = 'x';
select expect.same('origin', (select origin from pg_temp.noted), 'shop');
select pg_temp.taken();
set double.suppressed = on;
update commerce.customers set notes = 'y';
select expect.same('suppressed', pg_temp.taken(), null);
-- An application without any right of ours writes the hub.
reset double.suppressed; reset double.origin;
create role case_till login; grant usage on schema commerce to case_till; grant select, insert, update on commerce.customers to case_till;
set session authorization case_till;
insert into commerce.customers (display_name) values ('Bob');
reset session authorization;
select expect.same('noted for it too', pg_temp.taken(), 'insert customers 2');
