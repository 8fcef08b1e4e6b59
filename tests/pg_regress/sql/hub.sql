-- The hub is ordinary tables that outlive the extension.
\set SHOW_CONTEXT never
select easysync.create_hub('commerce');
select easysync.create_hub('commerce');
select table_name from information_schema.tables where table_schema = 'commerce' order by 1;
select count(*) as tables_that_belong_to_the_extension
from pg_depend as d join pg_class as c on c.oid = d.objid and d.classid = 'pg_class'::regclass
where d.deptype = 'e' and c.relnamespace in ('commerce'::regnamespace, 'easysync_ledger'::regnamespace);

insert into commerce.customers (display_name, is_guest, active, attributes, created_at, modified_at)
values ('Ada', false, true, '{}', now(), now());
select tenant_id, display_name from commerce.customers;

-- Without CASCADE, and with the rows still there afterwards.
drop extension easysync;
select count(*) from commerce.customers;
select to_regclass('easysync_ledger.links') is not null as ledger;
update commerce.customers set display_name = 'Ada L.';

create extension easysync;
select easysync.create_hub('commerce');
select count(*) from commerce.customers;
