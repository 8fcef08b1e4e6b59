-- Connections: made, looked at, changed, removed. Nothing here reaches a network.
\set SHOW_CONTEXT never

-- What is wrong is said at the call, with the valid words or the cure.
select easysync.connect('shop', 'shopify', settings => '{}');
select easysync.connect('My Shop', 'woocommerce', settings => '{"url":"https://shop.example"}');
select easysync.connect('shop', 'woocommerce', settings => '{"url":"ftp://shop.example","colour":"red"}',
    credentials => '{"consumer_key":"ck_1"}', verify => false);
select easysync.connect('shop', 'woocommerce', settings => '{"url":"http://shop.example"}',
    credentials => '{"consumer_key":"ck_1","consumer_secret":"cs_1"}', verify => false);
select easysync.connect('shop', 'woocommerce', settings => '{"url":"https://127.0.0.1"}',
    credentials => '{"consumer_key":"ck_1","consumer_secret":"cs_1"}', verify => false);
select easysync.connect('shop', 'woocommerce', settings => '{"url":"https://shop.example"}',
    credentials => '{"file":"../shop.json"}', verify => false);
select count(*) from easysync.connections;

-- Stored without a look at the shop: disabled until it is enabled.
select easysync.connect('shop', 'woocommerce', settings => '{"url":"https://shop.example/"}',
    credentials => '{"consumer_key":"ck_1","consumer_secret":"cs_1"}', verify => false);
select connection, connector, status, settings, token_expires_at, sandbox, tenant_id from easysync.connections;
select entity, direction, source_of_truth, conflict_strategy, delete_policy, push_when
from easysync.streams where connection = 'shop' and direction <> 'off' order by entity;
\dt commerce.*

select easysync.connect('shop', 'woocommerce', settings => '{"url":"https://other.example"}',
    credentials => '{"consumer_key":"ck_1","consumer_secret":"cs_1"}', verify => false);

-- No view and no table gives a credential back.
select count(*) from easysync.connections as c where c::text ~ 'c[ks]_1';
select count(*) from easysync_internal.connections as c where c::text ~ 'c[ks]_1';

select easysync.alter_connection('shp', '{}');

-- Settings are merged at every depth; a null removes (RFC 7396 and its own examples).
select easysync.connect('books', 'quickbooks', settings => '{"environment":"sandbox","tax":{"rates":{"1":"sales_tax","2":"sales_tax","3":"sales_tax"}}}',
    credentials => '{"client_id":"c1","client_secret":"s1"}', verify => false);
select easysync.alter_connection('books', '{"tax":{"rates":{"4":"sales_tax","2":null}}}', verify => false);
select settings from easysync.connections where connection = 'books';
select easysync.disconnect('books');
select target, patch, easysync_internal.merge_patch(target::jsonb, patch::jsonb) as merged
from (values ('{"a":"b"}', '{"a":"c"}'), ('{"a":"b"}', '{"b":"c"}'), ('{"a":"b"}', '{"a":null}'), ('{"a":"b","b":"c"}', '{"a":null}'),
             ('{"a":["b"]}', '{"a":"c"}'), ('{"a":"c"}', '{"a":["b"]}'), ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}'),
             ('{"a":[{"b":"c"}]}', '{"a":[1]}'), ('["a","b"]', '["c","d"]'), ('{"a":"b"}', '["c"]'), ('{"a":"foo"}', 'null'),
             ('{"a":"foo"}', '"bar"'), ('{"e":null}', '{"a":1}'), ('[1,2]', '{"a":"b","c":null}'), ('{}', '{"a":{"bb":{"ccc":null}}}')) as t (target, patch);

-- Nothing is sent to an account that the credentials weren't given for.
select easysync.alter_connection('shop', '{"url":"https://other.example"}');
select easysync.disconnect('shop');
select easysync.disconnect('shop');
select count(*) from easysync.connections;
