-- An admin who may create owns what he makes; one who may not gets 42501.
create role case_maker login; grant easysync_admin to case_maker;
set session authorization case_maker;
select expect.fails($$select easysync.create_hub()$$, '42501', 'permission denied to create schema commerce', 'GRANT CREATE ON DATABASE test TO case_maker%');
reset session authorization;
grant create on database test to case_maker;
set session authorization case_maker;
select easysync.create_hub();
select expect.same('his tables', (select array_agg(distinct pg_get_userbyid(relowner)) from pg_class where relnamespace = 'commerce'::regnamespace and relkind = 'r'), array['case_maker'::name]);
insert into commerce.orders (number, status, currency) values ('1', 'completed', 'USD');
select expect.same('idempotent', easysync.create_hub(), 'commerce');
alter table commerce.orders drop column customer_note;
alter table commerce.orders add column till integer;
drop index commerce.orders_tenant_id_number_idx;
drop table commerce.bills;
select easysync.create_hub();
select expect.holds('adds what is missing', to_regclass('commerce.bills') is not null and to_regclass('commerce.orders_tenant_id_number_idx') is not null
    and exists (select from pg_attribute where attrelid = 'commerce.orders'::regclass and attname = 'customer_note'));
select expect.holds('and leaves what is there', exists (select from pg_attribute where attrelid = 'commerce.orders'::regclass and attname = 'till'));
reset session authorization;
-- Another shape.
create schema crm; create table crm.orders (id integer primary key, total text);
select expect.fails($$select easysync.create_hub('crm')$$, '42P07', 'table crm.orders has another shape than the hub''s', '%another schema%');
create schema views; create view views.orders as select 1 as x;
select expect.fails($$select easysync.create_hub('views')$$, '42P07', 'table views.orders has another shape%');
select expect.same('nothing was made beside it', to_regclass('crm.customers'), null);
-- Another's tables are not altered.
create role case_other login; grant easysync_admin to case_other; grant create on schema commerce to case_other;
alter table commerce.orders drop column email;
set session authorization case_other;
select expect.fails($$select easysync.create_hub()$$, '42501', 'the hub in schema commerce belongs to role case_maker', 'Sign in as case_maker%');
reset session authorization;
-- A ledger laid ready by somebody else is not taken.
create extension if not exists easysync;
