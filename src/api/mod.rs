//! What the SQL of `sql/` calls: functions of schema `easysync_internal`, granted to nobody. Errors
//! that carry a code of ours come back as JSON and are raised by the caller: pgrx knows no SQLSTATE
//! of class YS.

mod accounts;
mod changes;
mod instance;
mod keys;
mod oauth;
mod preview;
mod raise;
mod roles;
mod schedules;
mod status;
mod tokens;
mod undo;
mod webhooks;

use pgrx::prelude::*;

#[pg_schema]
mod easysync_internal {
    use super::*;
    use pgrx::JsonB;

    /// Judges a connection's settings and credentials, seals the latter, and with `verify` asks the
    /// platform. Credentials null: the sealed ones of the connection.
    #[pg_extern(volatile, parallel_unsafe)]
    fn open_account(
        tenant: &str,
        connection: &str,
        connector: &str,
        settings: JsonB,
        credentials: Option<JsonB>,
        verify: bool,
    ) -> JsonB {
        JsonB(super::accounts::open(
            tenant,
            connection,
            connector,
            settings.0,
            credentials.map(|json| json.0),
            verify,
        ))
    }

    /// A text with what is somebody's own in it masked.
    #[pg_extern(immutable, strict, parallel_safe)]
    fn masked(text: &str) -> String {
        engine::mask::text(text)
    }

    /// The same of a JSON value: by form, and by the keys that things stand under.
    #[pg_extern(immutable, strict, parallel_safe)]
    fn masked_json(value: JsonB) -> JsonB {
        JsonB(engine::mask::json(&value.0))
    }

    /// Wakes this database's worker when the transaction commits.
    #[pg_extern(volatile, parallel_unsafe)]
    fn wake() {
        crate::shmem::wake_at_commit(crate::shmem::ANYTHING);
    }

    /// The same, for a change of that table alone.
    #[pg_extern(volatile, parallel_unsafe)]
    fn wake_for(table: &str) {
        crate::shmem::wake_at_commit(match table {
            "sync_runs" | "hub_changes" => crate::shmem::RUNS,
            "webhook_events" => crate::shmem::DELIVERIES,
            "schedules" => crate::shmem::SCHEDULES,
            _ => crate::shmem::ANYTHING,
        });
    }

    /// Makes the launcher look at the databases again when the transaction commits.
    #[pg_extern(volatile, parallel_unsafe)]
    fn rescan() {
        crate::shmem::rescan_at_commit();
    }

    #[pg_extern(volatile, parallel_unsafe)]
    fn worker_status() -> JsonB {
        JsonB(super::status::worker())
    }

    #[pg_extern(immutable, parallel_safe)]
    fn library_version() -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    /// `easysync.instance`, or a digest of machine id, host name and data directory.
    #[pg_extern(stable, parallel_safe)]
    fn node_instance() -> String {
        super::instance::name()
    }

    /// Is it one of `easysync.gateway_roles`? Read here, since SQL lets superusers alone read the
    /// setting, and its functions belong to a role that is none.
    #[pg_extern(stable, strict, parallel_safe)]
    fn is_gateway(role: &str) -> bool {
        crate::guc::gateway_roles().iter().any(|gateway| gateway == role)
    }

    /// What is wrong with the files and roles that settings name: `severity`, `reason`, `cure` each.
    #[pg_extern(volatile, parallel_unsafe)]
    fn file_problems() -> JsonB {
        JsonB(crate::guc::problems().into())
    }

    /// The key file: `inside_data_directory`, `exists`, `usable`, `key_ids`; `problem` and `cure`.
    #[pg_extern(volatile, parallel_unsafe)]
    fn key_file_status() -> JsonB {
        JsonB(super::keys::status())
    }

    /// `prepare`, `activate` or `both`; how many credentials were sealed anew.
    #[pg_extern(volatile, parallel_unsafe)]
    fn rotate_key(step: &str) -> JsonB {
        JsonB(super::keys::rotate(step))
    }

    /// Rows of a statement of ours on tables of a hub, carried out as the hub's owner; each row is an
    /// array of texts. `$1` is the tenant, `$2` ids, `$3` more values. The tables are locked and looked
    /// at first.
    #[pg_extern(volatile, parallel_unsafe)]
    fn hub_query(
        hub: &str,
        tables: Vec<Option<String>>,
        statement: &str,
        tenant: &str,
        ids: Option<Vec<Option<i64>>>,
        more: Option<JsonB>,
    ) -> SetOfIterator<'static, Vec<Option<String>>> {
        let tables: Vec<String> = tables.into_iter().flatten().collect();
        let more = more.map(|json| json.0);
        let rows = crate::store::hub_query(hub, &tables, statement, tenant, ids, more);
        SetOfIterator::new(crate::error::raised(rows))
    }

    /// Carries out commands as a role that the session's user may act as: a superuser as itself alone.
    #[pg_extern(volatile, parallel_unsafe)]
    fn as_owner(owner: &str, commands: Vec<Option<String>>) {
        let commands: Vec<String> = commands.into_iter().flatten().collect();
        crate::error::raised(crate::host::command_as(owner, &commands));
    }

    /// Is a role another one, or its member? That a superuser may do everything doesn't count.
    #[pg_extern(stable, parallel_safe)]
    fn acts_as(member: &str, role: &str) -> bool {
        super::roles::acts_as(member, role)
    }

    /// The tenant whose hub is being read or written just now, by whatever code of its owner asks.
    #[pg_extern(volatile, parallel_unsafe)]
    fn tenant_in_hand() -> Option<String> {
        crate::host::tenant_in_hand()
    }

    /// Is the session within BEGIN ... COMMIT? The times of statement and transaction don't tell: under
    /// the extended protocol they differ anyway.
    #[pg_extern(volatile, parallel_unsafe)]
    fn in_transaction_block() -> bool {
        unsafe { pgrx::pg_sys::IsTransactionBlock() }
    }

    /// Is this the worker's session?
    #[pg_extern(stable, parallel_unsafe)]
    fn is_worker_session() -> bool {
        crate::worker::is_this_process()
    }

    /// Waits for a lock of ours, alone, to the end of the transaction.
    #[pg_extern(volatile, parallel_unsafe)]
    fn lock_exclusive(name: &str) {
        crate::locks::exclusive(name);
    }

    /// Takes a lock of ours beside others, if nobody has it alone.
    #[pg_extern(volatile, parallel_unsafe)]
    fn try_lock_shared(name: &str) -> bool {
        crate::locks::try_shared(name)
    }

    /// Notes changes of hub tables (sql/42_hub_changes.sql).
    #[pg_trigger]
    fn note_hub_change<'a>(
        trigger: &'a PgTrigger<'a>,
    ) -> Result<Option<PgHeapTuple<'a, AllocatedByPostgres>>, PgTriggerError> {
        super::changes::note(trigger)?;
        Ok(None)
    }

    /// What a push would change: `changes`, or `errors`. Writes nothing.
    #[pg_extern(volatile, parallel_unsafe)]
    #[allow(clippy::too_many_arguments)]
    fn preview(
        tenant: &str,
        connection: &str,
        entity: &str,
        mode: &str,
        ids: Option<Vec<Option<String>>>,
        filters: Option<JsonB>,
    ) -> JsonB {
        JsonB(super::preview::plan(
            tenant,
            connection,
            entity,
            mode,
            ids.map(|ids| ids.into_iter().flatten().collect()),
            filters.map(|json| json.0),
        ))
    }

    /// What the pulls of a sync would change: `changes`, or `errors`. Writes nothing.
    #[pg_extern(volatile, parallel_unsafe)]
    fn preview_pulls(
        tenant: &str,
        connection: Option<&str>,
        entity: &str,
        mode: &str,
        ids: Option<Vec<Option<String>>>,
        filters: Option<JsonB>,
    ) -> JsonB {
        JsonB(super::preview::pulls(
            tenant,
            connection,
            entity,
            mode,
            ids.map(|ids| ids.into_iter().flatten().collect()),
            filters.map(|json| json.0),
        ))
    }

    /// What undoing a sync would change through a connection: `changes`, or `errors`. Writes nothing.
    #[pg_extern(volatile, parallel_unsafe)]
    fn preview_undo(
        tenant: &str,
        connection: &str,
        entity: &str,
        direction: &str,
        undoes: i64,
    ) -> JsonB {
        JsonB(super::undo::plan(tenant, connection, entity, direction, undoes))
    }

    /// The page on which access is granted: `url`, or `errors`.
    #[pg_extern(volatile, parallel_unsafe)]
    fn authorize_url(tenant: &str, connection: &str, redirect_uri: &str) -> JsonB {
        JsonB(super::oauth::authorize_url(tenant, connection, redirect_uri))
    }

    /// What the state of a callback stands for: `tenant`, `connection`, `nonce`, `realm`, or `errors`.
    #[pg_extern(volatile, parallel_unsafe)]
    fn callback_state(callback_url: &str) -> JsonB {
        JsonB(super::oauth::state(callback_url))
    }

    /// Exchanges the code of a callback and seals what it gives: `realm`, `sealed`, or `errors`.
    #[pg_extern(volatile, parallel_unsafe)]
    fn exchange_code(callback_url: &str) -> JsonB {
        JsonB(super::oauth::exchange(callback_url))
    }

    /// Null where the cron expression can be read, else `errors`.
    #[pg_extern(immutable, parallel_safe)]
    fn check_cron(cron: &str) -> Option<JsonB> {
        super::schedules::check_cron(cron).map(JsonB)
    }

    /// Slots of a cron expression in a zone, in (`after`, `until`] (microseconds since 1970), at
    /// most `most`.
    #[pg_extern(stable, parallel_safe)]
    fn reckon_slots(cron: &str, zone: &str, after: i64, until: Option<i64>, most: i32) -> JsonB {
        JsonB(super::schedules::reckon(cron, zone, after, until, most))
    }

    /// Judges a delivery with the connection's secret: `verdict`, `reason`.
    #[pg_extern(stable, parallel_unsafe)]
    fn judge_webhook(tenant: &str, connection: &str, headers: JsonB, body: &str) -> JsonB {
        JsonB(super::webhooks::judge(tenant, connection, &headers.0, body))
    }

    /// Makes and repairs a connection's webhooks on the platform: `registrations`, `sealed`,
    /// `key_id`; or `errors`.
    #[pg_extern(volatile, parallel_unsafe)]
    fn webhooks_at(tenant: &str, connection: &str, url: &str) -> JsonB {
        JsonB(super::webhooks::register(tenant, connection, url))
    }
}
