-- How each entity flows on a connection.
\set SHOW_CONTEXT never
set client_min_messages = warning;
select easysync.connect('shop', 'woocommerce', settings => '{"url":"https://shop.example"}',
    credentials => '{"consumer_key":"ck_1","consumer_secret":"cs_1"}', verify => false);
select easysync.set_stream('shop', 'orders', filters => '{"status":["processing","completed"]}');
select easysync.set_stream('shop', 'products', direction => 'off');
select entity, direction, filters from easysync.streams where connection = 'shop' order by entity;
select easysync.set_stream('shop', 'orders', filters => '{}');
select entity, filters from easysync.streams where connection = 'shop' and entity = 'orders';

-- What is refused names what is valid.
select easysync.set_stream('shp', 'orders');
select easysync.set_stream('shop', 'order');
select easysync.set_stream('shop', 'orders', direction => 'sideways');
select easysync.set_stream('shop', 'orders', direction => 'push');
select easysync.set_stream('shop', 'orders', conflict_strategy => 'coin');
select easysync.set_stream('shop', 'orders', filters => '{"colour":"red"}');
