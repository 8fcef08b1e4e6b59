//! easysync: keeps a shop, the books and a warehouse in step from inside Postgres.
//!
//! The extension is three things around the [`engine`]: the SQL surface (`sql/` and [`api`]), the
//! background worker ([`worker`]), and the engine's store over SPI ([`store`]). [`host`] lets the
//! engine's threads ask Postgres for work without ever calling it.

mod api;
mod error;
mod guc;
mod host;
mod locks;
mod memory;
mod pace;
mod planner;
mod secrets;
mod shmem;
mod store;
mod worker;

use pgrx::prelude::*;

::pgrx::pg_module_magic!(name, version);

/// Called when the library is loaded: by the postmaster when preloaded, else by the first session
/// that calls a function.
#[allow(non_snake_case)]
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    guc::define();
    planner::install();
    // A worker during pg_upgrade would write to a cluster that is being moved.
    if unsafe { !pg_sys::process_shared_preload_libraries_in_progress || pg_sys::IsBinaryUpgrade } {
        return;
    }
    shmem::init();
    worker::register();
}

extension_sql_file!("../sql/00_schemas_roles.sql", name = "schemas_roles", bootstrap);
// Not pgrx's kind of function: see `api::raise`.
extension_sql!(
    r#"
create function easysync_internal.raise_error(sqlstate_code text, message text, detail text, hint text) returns void
    language c volatile parallel safe as 'MODULE_PATHNAME', 'easysync_raise';
"#,
    name = "raise",
    requires = ["schemas_roles"]
);
extension_sql_file!(
    "../sql/10_tables.sql",
    name = "tables",
    requires = [
        "raise",
        api::easysync_internal::is_gateway,
        api::easysync_internal::file_problems,
        api::easysync_internal::open_account,
        api::easysync_internal::masked,
        api::easysync_internal::masked_json,
        api::easysync_internal::wake,
        api::easysync_internal::wake_for,
        api::easysync_internal::rescan,
        api::easysync_internal::worker_status,
        api::easysync_internal::library_version,
        api::easysync_internal::node_instance,
        api::easysync_internal::key_file_status,
        api::easysync_internal::rotate_key,
        api::easysync_internal::hub_query,
        api::easysync_internal::as_owner,
        api::easysync_internal::acts_as,
        api::easysync_internal::tenant_in_hand,
        api::easysync_internal::in_transaction_block,
        api::easysync_internal::is_worker_session,
        api::easysync_internal::lock_exclusive,
        api::easysync_internal::try_lock_shared,
        api::easysync_internal::note_hub_change,
        api::easysync_internal::preview,
        api::easysync_internal::preview_pulls,
        api::easysync_internal::preview_undo,
        api::easysync_internal::authorize_url,
        api::easysync_internal::callback_state,
        api::easysync_internal::exchange_code,
        api::easysync_internal::check_cron,
        api::easysync_internal::reckon_slots,
        api::easysync_internal::judge_webhook,
        api::easysync_internal::webhooks_at,
    ]
);
extension_sql_file!("../sql/12_event_tables.sql", name = "event_tables", requires = ["tables"]);
extension_sql_file!("../sql/15_ledger.sql", name = "ledger", requires = ["event_tables"]);
extension_sql_file!("../sql/18_session.sql", name = "session", requires = ["ledger"]);
extension_sql_file!("../sql/20_types.sql", name = "types", requires = ["session"]);
extension_sql_file!("../sql/22_limits.sql", name = "limits", requires = ["types"]);
extension_sql_file!("../sql/25_words.sql", name = "words", requires = ["limits"]);
extension_sql_file!("../sql/28_sandbox.sql", name = "twins", requires = ["words"]);
extension_sql_file!("../sql/30_tenancy.sql", name = "tenancy", requires = ["twins"]);
extension_sql_file!("../sql/32_members.sql", name = "members", requires = ["tenancy"]);
extension_sql_file!("../sql/35_settings.sql", name = "settings", requires = ["members"]);
extension_sql_file!("../sql/40_hub_tables.sql", name = "hub_tables", requires = ["settings"]);
extension_sql_file!("../sql/41_hub.sql", name = "hub", requires = ["hub_tables"]);
extension_sql_file!("../sql/42_hub_changes.sql", name = "hub_changes", requires = ["hub"]);
extension_sql_file!("../sql/45_fence.sql", name = "fence", requires = ["hub_changes"]);
extension_sql_file!("../sql/47_log.sql", name = "log", requires = ["fence"]);
extension_sql_file!("../sql/48_schedule_slots.sql", name = "schedule_slots", requires = ["log"]);
extension_sql_file!("../sql/48_visible.sql", name = "visible", requires = ["schedule_slots"]);
extension_sql_file!("../sql/49_created.sql", name = "created", requires = ["visible"]);
extension_sql_file!("../sql/50_views_syncs.sql", name = "views_syncs", requires = ["created"]);
extension_sql_file!("../sql/51_views_state.sql", name = "views_state", requires = ["views_syncs"]);
extension_sql_file!(
    "../sql/52_views_health.sql",
    name = "views_health",
    requires = ["views_state"]
);
extension_sql_file!("../sql/53_views_push.sql", name = "views_push", requires = ["views_health"]);
extension_sql_file!(
    "../sql/54_views_schedules.sql",
    name = "views_schedules",
    requires = ["views_push"]
);
extension_sql_file!(
    "../sql/55_view_webhooks.sql",
    name = "view_webhooks",
    requires = ["views_schedules"]
);
extension_sql_file!("../sql/56_push_queue.sql", name = "push_queue", requires = ["view_webhooks"]);
extension_sql_file!("../sql/57_push_changes.sql", name = "push_changes", requires = ["push_queue"]);
extension_sql_file!(
    "../sql/59_installation.sql",
    name = "installation",
    requires = ["push_changes"]
);
extension_sql_file!("../sql/60_connections.sql", name = "connections", requires = ["installation"]);
extension_sql_file!("../sql/61_credentials.sql", name = "credentials", requires = ["connections"]);
extension_sql_file!("../sql/62_streams.sql", name = "streams", requires = ["credentials"]);
extension_sql_file!("../sql/63_syncs.sql", name = "syncs", requires = ["streams"]);
extension_sql_file!("../sql/64_run.sql", name = "run", requires = ["syncs"]);
extension_sql_file!("../sql/65_failures.sql", name = "failures", requires = ["run"]);
extension_sql_file!("../sql/66_health.sql", name = "health", requires = ["failures"]);
extension_sql_file!("../sql/67_plans.sql", name = "plans", requires = ["health"]);
extension_sql_file!("../sql/67_preview.sql", name = "preview", requires = ["plans"]);
extension_sql_file!("../sql/68_confirm.sql", name = "confirm", requires = ["preview"]);
extension_sql_file!("../sql/69_oauth.sql", name = "oauth", requires = ["confirm"]);
extension_sql_file!("../sql/70_schedules.sql", name = "schedules", requires = ["oauth"]);
extension_sql_file!("../sql/71_webhooks.sql", name = "webhooks", requires = ["schedules"]);
extension_sql_file!("../sql/72_sandbox.sql", name = "sandbox", requires = ["webhooks"]);
extension_sql_file!("../sql/73_undo.sql", name = "undo", requires = ["sandbox"]);
extension_sql_file!("../sql/90_grants.sql", name = "grants", requires = ["undo"]);
extension_sql_file!(
    "../sql/95_settings_of_functions.sql",
    name = "settings_of_functions",
    requires = ["grants"]
);
extension_sql_file!(
    "../sql/99_ownership.sql",
    name = "ownership",
    requires = ["settings_of_functions"]
);
