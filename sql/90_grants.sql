-- Who may do what. Nothing for PUBLIC; tables are granted to the worker alone.

revoke all on all routines in schema easysync, easysync_internal from public;
revoke all on all tables in schema easysync, easysync_internal from public;

-- Views.
grant select on easysync.connections, easysync.streams, easysync.sync_runs, easysync.sync_run_steps, easysync.sync_progress,
    easysync.sync_logs, easysync.sync_failures, easysync.sync_queue, easysync.links, easysync.connection_health,
    easysync.settings, easysync.vocabulary to easysync_viewer;
grant select on easysync.sync_changes, easysync.sync_requests, easysync.sync_conflicts to easysync_operator;
grant select on easysync.audit_log to easysync_admin;

-- Functions that these views call: their execution is checked against the reader. Whatever a reader
-- passes to them, they tell of his own tenants only.
grant execute on function easysync_internal.visible_tenants(), easysync_internal.visible_tenant(),
    easysync_internal.visible_several(), easysync_internal.sees_originals(), easysync_internal.masked_id(text),
    easysync_internal.worker_pid(), easysync_internal.count_links(text, text, text),
    easysync_internal.read_links(text[]), easysync_internal.setting_definitions(), easysync_internal.words(),
    easysync_internal.connection_problems(text, text),
    easysync_internal.record_id_of(text, text, text, bigint, text) to easysync_viewer;

-- easysync_viewer: look.
grant execute on function easysync.sync_status(bigint), easysync.health(), easysync.current_tenant(),
    easysync.allowed_tenants() to easysync_viewer;

-- easysync_operator: run the daily business.
grant execute on function easysync.test_connection(text), easysync.enable(text), easysync.disable(text, text),
    easysync.trigger(text, text, text, text[], jsonb, text, boolean), easysync.cancel(bigint, text),
    easysync.retry(text, text, text, text[]), easysync.retry_failure(bigint), easysync.discard_failure(bigint, text),
    easysync.fence(text), easysync.dry_run(text, text, text, text[], jsonb), easysync.request_confirmation(bigint),
    easysync.check_confirmation(text, text, text, text[], jsonb),
    easysync.confirm(text), easysync.undo(bigint), easysync.dry_run_undo(bigint) to easysync_operator;
grant execute on function easysync_internal.read_requests(text[]), easysync_internal.created_records(text, bigint),
    easysync_internal.created_fields(text, text, bigint) to easysync_operator;
grant execute on procedure easysync.run(text, text, text, text[], jsonb, interval) to easysync_operator;
-- What run() calls as the operator himself.
grant usage on schema easysync_internal to easysync_operator;
grant execute on function easysync_internal.in_transaction_block(), easysync_internal.check_worker(),
    easysync_internal.worker_problem(), easysync_internal.worker_serves(), easysync_internal.ended_by(), easysync_internal.run_lines(bigint),
    easysync_internal.raise_outcome(bigint) to easysync_operator;

-- easysync_admin: credentials, streams, settings, tenants.
grant execute on function easysync.connect(text, text, jsonb, jsonb, boolean), easysync.alter_connection(text, jsonb, boolean),
    easysync.set_credentials(text, jsonb, boolean), easysync.disconnect(text, boolean), easysync.rotate_encryption_key(text),
    easysync.set_stream(text, text, text, text, text, jsonb, text, text), easysync.create_hub(text), easysync.unfence(text),
    easysync.set_setting(text, text), easysync.reset_setting(text), easysync.add_tenant_member(name, text),
    easysync.remove_tenant_member(name, text), easysync.enable_row_security(),
    easysync.oauth_authorize_url(text, text), easysync.oauth_complete(text) to easysync_admin;

-- easysync_dba: the whole installation.
grant execute on function easysync.fence(text), easysync.unfence(text), easysync.rotate_encryption_key(text),
    easysync.add_tenant_member(name, text), easysync.remove_tenant_member(name, text) to easysync_dba;

-- easysync_worker: our tables, and the helpers. The audit log is written by audit() alone.
grant select, insert, update, delete on easysync_internal.connections, easysync_internal.streams, easysync_internal.sync_state,
    easysync_internal.sync_runs, easysync_internal.sync_run_steps, easysync_internal.hub_changes, easysync_internal.sync_queue,
    easysync_internal.sync_changes, easysync_internal.sync_failures, easysync_internal.sync_conflicts,
    easysync_internal.confirmations to easysync_worker;
grant select, insert on easysync_internal.sync_log to easysync_worker;
grant select on easysync_internal.identity, easysync_internal.settings, easysync_internal.tenant_members, easysync_internal.sandboxes to easysync_worker;
grant execute on all functions in schema easysync_internal to easysync_worker;
-- But for what opens credentials, calls a platform or writes the key file: our definer functions alone,
-- as their owner. The worker does these in the library, without SQL; code of others that came to run as
-- the worker finds no door here.
revoke execute on function
    easysync_internal.open_account(text, text, text, jsonb, jsonb, boolean),
    easysync_internal.webhooks_at(text, text, text), easysync_internal.judge_webhook(text, text, jsonb, text),
    easysync_internal.authorize_url(text, text, text), easysync_internal.callback_state(text), easysync_internal.exchange_code(text),
    easysync_internal.preview(text, text, text, text, text[], jsonb), easysync_internal.preview_pulls(text, text, text, text, text[], jsonb),
    easysync_internal.preview_undo(text, text, text, text, bigint), easysync_internal.rotate_key(text)
    from easysync_worker;

-- Secrets and customers' data are passed as parameters: whoever may pass them may keep them out of the
-- server's log. The right belongs to the cluster, as the roles do. (Postgres 14 has no such right.)
do $$
begin
    if current_setting('server_version_num')::integer >= 150000 then
        execute 'grant set on parameter log_parameter_max_length to easysync_owner, easysync_viewer, easysync_webhook';
    end if;
end
$$;

-- Last: the launcher looks for this database when CREATE EXTENSION commits.
select easysync_internal.rescan();
