-- Schedules: what can't be is an error at the call, and what is said about them.
\set SHOW_CONTEXT never
set client_min_messages = error;
select easysync.connect('shop', 'woocommerce', settings => '{"url":"https://shop.example"}',
    credentials => '{"consumer_key":"ck_1","consumer_secret":"cs_1"}', verify => false);

-- Expressions are told by their field, zones by what they could be.
select easysync.schedule('orders', '61 * * * *');
select easysync.schedule('orders', '0 0 0 * * 9');
select easysync.schedule('orders', 'every day');
select easysync.schedule('orders', '0 0 30 2 *');
select easysync.schedule('orders', '0 * * * *', timezone => 'Mars/Edmonton');
select easysync.schedule('order', '0 * * * *');
select easysync.schedule('orders', '0 * * * *', mode => 'fast');
select easysync.schedule('orders', '0 * * * *', connection => 'shp');
select easysync.schedule('orders', '0 * * * *', overlap => 'wait');
select easysync.schedule('orders', '0 * * * *', missed => 'later');
select easysync.schedule('orders', '0 * * * *', name => 'Orders!');
select easysync.schedule('orders', '0 * * * *', filters => '{"colour":"red"}');
select easysync.schedule('orders', null);
select * from easysync.preview_schedule('0 * * * *', runs => 0);

-- The name says what it does; the same name again replaces it.
select easysync.schedule('orders', '0 * * * *');
select easysync.schedule('orders', ' 5,35   *  * * *', mode => 'full', connection => 'shop', timezone => 'Europe/Berlin',
    filters => '{"status":"processing"}', overlap => 'queue', missed => 'run_all');
select easysync.schedule('orders', '0 0 2 * * *', name => 'nightly');
select easysync.schedule('orders', '0 30 2 * * *', name => 'nightly');
select schedule, entity, mode, connection, cron, timezone, filters, overlap, missed, active, next_run_at > now() as has_next,
       last_sync_id, consecutive_failures
from easysync.schedules order by schedule;
select schedule, count(*) from easysync.upcoming_syncs group by schedule order by schedule;
select run_at > now() as later, extract(minute from local_time) as minute, note
from easysync.preview_schedule('5,35 * * * *', 'America/Edmonton', runs => 2) order by minute;

-- Times that were decided about stay so while the expression stays.
select decided_at as before from easysync_internal.schedules where name = 'nightly' \gset
select easysync.schedule('orders', '0 30 2 * * *', name => 'nightly', missed => 'skip');
select decided_at = :'before' as untouched from easysync_internal.schedules where name = 'nightly';
select easysync.alter_schedule('nightly', cron => '0 45 2 * * *');
select decided_at > :'before' as later, cron, missed from easysync_internal.schedules where name = 'nightly';

select easysync.alter_schedule('weekly', active => false);
select easysync.alter_schedule('nightly', cron => '* * 32 * *');
select easysync.alter_schedule('nightly', active => false);
select active, next_run_at from easysync.schedules where schedule = 'nightly';
select easysync.unschedule('nightly'), easysync.unschedule('nightly');

