-- Deliveries: who may bring them, what is refused at the door.
\set SHOW_CONTEXT never
set client_min_messages = error;
select easysync.connect('shop', 'woocommerce', settings => '{"url":"https://shop.example"}',
    credentials => '{"consumer_key":"ck_1","consumer_secret":"cs_1","webhook_secret":"whsec1"}', verify => false);

-- A ping is no event, an unsigned or wrongly signed one is refused.
select easysync.receive_webhook('shop', '{}', 'webhook_id=3');
select easysync.receive_webhook('shop', '{}', '{"id":1}');
select easysync.receive_webhook('shop', '{"X-WC-Webhook-Signature":"AAAA"}', '{"id":1}');
select easysync.receive_webhook('shop', '[]', '{"id":1}');
select easysync.receive_webhook('shp', '{}', '{"id":1}');
select easysync.postgrest_webhook('{"id":1}');
-- printf '{"id":1}' | openssl dgst -sha256 -hmac whsec1 -binary | base64
select easysync.receive_webhook('shop', '{"X-WC-Webhook-Signature":"UB4TIKwgLTZbi7AQLliHtdhbqnz2K9MZgrtp15lz+pc=","x-wc-webhook-topic":"order.updated"}', '{"id":1}') > 0 as stored;
begin;
set local "request.headers" = '{"x-wc-webhook-signature":"UB4TIKwgLTZbi7AQLliHtdhbqnz2K9MZgrtp15lz+pc=","x-wc-webhook-topic":"order.updated"}';
select easysync.postgrest_webhook('{"id":1}');
commit;
select connection, body, topic is null or topic = 'order.updated' as topic_fits, status <> 'rejected' as genuine
from easysync.webhook_events order by event_id;

-- Whoever may deliver may insert, and nothing else; for his own tenants only, and no more than a delivery has.
create role regress_hook login;
grant easysync_webhook to regress_hook;
set session authorization regress_hook;
insert into easysync.webhook_events (connection, headers, body) values ('shop', '{}', 'webhook_id=4');
insert into easysync.webhook_events (tenant_id, connection, headers, body) values ('north', 'shop', '{}', '');
insert into easysync.webhook_events (connection, headers, body) values ('shop', '[1]', '');
insert into easysync.webhook_events (connection, headers, body, status) values ('shop', '{}', '', 'processed');
select count(*) from easysync.webhook_events;
delete from easysync.webhook_events;
select easysync.register_webhooks('shop', 'https://pos.example/hooks');
reset session authorization;
drop role regress_hook;

select easysync.register_webhooks('shop', 'nowhere');
select term, value from easysync.vocabulary where term = 'webhook_status' order by value;
