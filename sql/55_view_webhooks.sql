-- Deliveries as people and platforms see them: a view, so that it shows and takes those of the session's
-- own tenants only. It is inserted into like a table; what is left out has the table's defaults.
create view easysync.webhook_events with (security_barrier, check_option = local) as
select w.event_id, w.tenant_id, w.connection, w.headers, w.body, w.received_at, w.status, w.status_reason, w.topic,
       w.remote_ids, w.sync_id, w.processed_at
from easysync_internal.webhook_events as w
where w.tenant_id = any ((select easysync_internal.visible_tenants())::text[]);
comment on view easysync.webhook_events is 'Deliveries from platforms: insert (connection, headers, body), the worker does the rest';
comment on column easysync.webhook_events.event_id is 'key';
comment on column easysync.webhook_events.tenant_id is 'tenant';
comment on column easysync.webhook_events.connection is 'connection it was sent to';
comment on column easysync.webhook_events.headers is 'as received, names in any case';
comment on column easysync.webhook_events.body is 'raw, as received: the signature is over these bytes';
comment on column easysync.webhook_events.received_at is 'when';
comment on column easysync.webhook_events.status is 'received, accepted, rejected, ignored, processed';
comment on column easysync.webhook_events.status_reason is 'why';
comment on column easysync.webhook_events.topic is 'filled by the worker';
comment on column easysync.webhook_events.remote_ids is 'filled by the worker';
comment on column easysync.webhook_events.sync_id is 'run that fetched it';
comment on column easysync.webhook_events.processed_at is 'when';

grant insert (tenant_id, connection, headers, body) on easysync.webhook_events to easysync_webhook;
grant select on easysync.webhook_events to easysync_operator;
-- Which tenants it takes: checked against whoever delivers.
grant execute on function easysync_internal.visible_tenants() to easysync_webhook;
