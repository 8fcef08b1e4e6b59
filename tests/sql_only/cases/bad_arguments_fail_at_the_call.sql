-- Before anything is connected.
select expect.fails($$select easysync.trigger('orders')$$, '22023', 'no connection carries orders', 'Connect one%');
select expect.fails($$select easysync.connect('Shop','woocommerce')$$, '22023', 'invalid connection name "Shop"');
select expect.fails($$select easysync.connect(null,'woocommerce')$$, '22023', 'invalid connection name NULL');
select expect.fails($$select easysync.connect('shop','shopify')$$, '22023', 'unknown connector "shopify"', 'Connectors: woocommerce, quickbooks.');
select expect.fails($$select easysync.connect('shop','woocommerce','[1]')$$, '22023', 'settings must be a JSON object, not array');
select expect.fails($$select easysync.connect('shop','woocommerce','{"url":"https://s.example"}','"x"')$$, '22023', 'credentials must be a JSON object, not string');
select expect.fails($$select easysync.connect('shop','woocommerce','{"url":"http://s.example"}','{}')$$, '22023', '%https%');
select expect.fails($$select easysync.connect('shop','woocommerce','{"url":"https://unreachable.example"}','{}')$$, 'YS503', '"shop" can not be reached%', 'See%');
select expect.fails($$select easysync.connect('shop','woocommerce','{"url":"https://s.example"}','{"consumer_secret":"wrong"}')$$, 'YS401', 'woocommerce refused the credentials of "shop"', 'Make a key%');
select expect.fails($$select easysync.connect('shop','woocommerce','{"url":"https://two-problems.example"}','{}')$$, 'YS422', 'invalid settings for "shop": 2 problems');
select expect.same('a failed connect leaves no hub', to_regclass('commerce.orders'), null);
select expect.same('nor a ledger', to_regclass('easysync_ledger.links'), null);
select expect.same('nor an identity', (select count(*) from easysync_internal.identity), 0::bigint);

select expect.connect_shop();
select expect.fails($$select easysync.connect('shop','woocommerce','{"url":"https://other.example"}')$$, '42710', 'connection "shop" already exists', '%alter_connection%');
select expect.fails($$select easysync.connect('shop2','woocommerce','{"url":"https://shop.example"}')$$, 'YS409', 'the account of "shop2" is already connected as "shop"');
select expect.fails($$select easysync.enable('shp')$$, 'YS404', 'unknown connection "shp"', 'Connections: shop.');
select expect.fails($$select easysync.alter_connection('shop','[]')$$, '22023', 'settings must be a JSON object, not array');
select expect.fails($$select easysync.set_credentials('shop',null)$$, '22023', 'credentials must be a JSON object, not NULL');

-- Syncs.
select expect.fails($$select easysync.trigger('order')$$, '22023', 'unknown entity "order"', 'Entities: customers, products, orders, refunds, invoices, payments, vendors, bills.');
select expect.fails($$select easysync.trigger(null)$$, '22023', 'unknown entity NULL');
select expect.fails($$select easysync.trigger('orders','all')$$, '22023', 'unknown mode "all"', 'Modes: incremental, full.');
select expect.fails($$select easysync.trigger('orders','ids')$$, '22023', 'unknown mode "ids"');
select expect.fails($$select easysync.trigger('orders',connection=>'shp')$$, 'YS404', 'unknown connection "shp"');
select expect.fails($$select easysync.trigger('bills',connection=>'shop')$$, '22023', '"shop" does not carry bills', '%customers, orders, products, refunds%');
select expect.fails($$select easysync.trigger('orders','full',ids=>'{1}')$$, '22023', 'mode "full" can not be had with ids');
select expect.fails($$select easysync.trigger('orders',ids=>'{}')$$, '22023', 'ids must be a list%');
select expect.fails($$select easysync.trigger('orders',ids=>'{1,NULL}')$$, '22023', '"NULL" is not an id of woocommerce');
select expect.fails($$select easysync.trigger('orders',ids=>'{1,abc}')$$, '22023', '"abc" is not an id of woocommerce');
select expect.fails($$select easysync.trigger('orders',ids=>'{joe@private.example}')$$, '22023', '"j***@private.example" is not an id of woocommerce');
select expect.fails($$select easysync.trigger('orders',filters=>'{"from":"x"}')$$, '22023', 'unknown filter "from" for orders', 'Filters of orders: status, created_since,%');
select expect.fails($$select easysync.trigger('orders',filters=>'[]')$$, '22023', 'filters must be a JSON object, not array');
select expect.fails($$select easysync.trigger('orders',filters=>'{"status":"done"}')$$, '22023', 'unknown status "done" for orders', 'Statuses: pending, processing,%');
select expect.fails($$select easysync.trigger('orders',filters=>'{"status":[]}')$$, '22023', 'filter "status" must be a text or an array of texts, not an empty array');
select expect.fails($$select easysync.trigger('orders',filters=>'{"status":7}')$$, '22023', 'filter "status" must be%not number');
select expect.fails($$select easysync.trigger('orders',filters=>'{"created_since":"soon"}')$$, '22023', 'filter "created_since" is no time: "soon"');
select expect.fails($$select easysync.trigger('orders',filters=>'{"created_since":"infinity"}')$$, '22023', 'filter "created_since" is no time%');
select expect.fails($$select easysync.trigger('orders',filters=>'{"created_since":20250101}')$$, '22023', 'filter "created_since" must be a time, not number');
select expect.fails($$select easysync.trigger('orders',filters=>'{"created_since":"2025-02-01","created_until":"2025-02-01"}')$$, '22023', '"created_since" is not before "created_until"');
select expect.fails($$select easysync.trigger('orders',filters=>'{"currency":"usd"}')$$, '22023', '"usd" is no currency');
select expect.fails($$select easysync.trigger('products',filters=>'{"type":"bundle"}')$$, '22023', 'unknown product type "bundle"', 'Types: simple, variable, grouped, external.');
select expect.fails($$select easysync.trigger('orders',idempotency_key=>'')$$, '22023', 'invalid idempotency key');
select expect.fails($$select easysync.sync_status(99)$$, 'YS404', 'unknown sync 99');
select expect.fails($$select easysync.cancel(99)$$, 'YS404', 'unknown sync 99');
select expect.same('nothing was queued', (select count(*) from easysync.sync_runs), 0::bigint);

-- Ids with two shops.
select expect.connect_shop('second', 'https://second.example');
select expect.fails($$select easysync.trigger('orders',ids=>'{1}')$$, '22023', 'several connections carry orders: whose ids are these', 'Say which: connection => ''second''. Connections: second, shop.');
select expect.holds('with the connection it works', easysync.trigger('orders', ids => '{1}', connection => 'second') > 0);

-- Streams, failures, settings, keys, hub.
select expect.fails($$select easysync.set_stream('shop','orders',direction=>'sideways')$$, '22023', 'unknown direction "sideways"', 'Directions: off, pull, push, two_way.');
select expect.fails($$select easysync.set_stream('shop','orders',conflict_strategy=>'x')$$, '22023', 'unknown conflict strategy "x"');
select expect.fails($$select easysync.set_stream('shop','orders',direction=>'two_way')$$, 'YS422', 'woocommerce can not push orders', 'Directions of orders on woocommerce: off, pull.');
select expect.fails($$select easysync.set_stream('shop','bills',direction=>'pull')$$, 'YS422', 'woocommerce can not pull bills');
select expect.fails($$select easysync.retry(category=>'x')$$, '22023', 'unknown error category "x"');
select expect.fails($$select easysync.retry_failure(7)$$, 'YS404', 'unknown failure 7');
select expect.same('nothing to discard', easysync.discard_failure(7), false);
select expect.fails($$select easysync.set_setting('x','1')$$, '22023', 'unknown setting "x"', 'Settings: confirm_threshold,%');
select expect.fails($$select easysync.set_setting('confirm_threshold','many')$$, '22023', 'invalid value for "confirm_threshold": "many"');
select expect.fails($$select easysync.set_setting('confirm_threshold','-1')$$, '22023', '-1 is outside the range%');
select expect.fails($$select easysync.set_setting('log_retention','1 h')$$, '22023', '1 h is outside the range of "log_retention"', 'From 1 d to 3650 d.');
select expect.fails($$select easysync.set_setting('timezone','europe/Berlin')$$, '22023', 'unknown time zone "europe/Berlin"', 'Did you mean Europe/Berlin?');
select expect.fails($$select easysync.set_setting('log_level','loud')$$, '22023', 'unknown log level "loud"');
select expect.fails($$select easysync.rotate_encryption_key('x')$$, '22023', 'unknown key step "x"', 'Steps: prepare, activate, both.');
select expect.fails($$select easysync.unfence('x')$$, '22023', 'unknown unfence mode "x"', 'Modes: takeover, copy.');
select expect.fails($$select easysync.create_hub('pg_catalog')$$, '22023', 'a hub can not be in schema "pg_catalog"%');
select expect.fails($$select easysync.add_tenant_member('nobody_at_all','x')$$, '22023', 'unknown role "nobody_at_all"');
select expect.fails($$select easysync.add_tenant_member('postgres','a b')$$, '22023', 'invalid tenant "a b"');
