//! What the SQL of `sql/` calls: functions of schema `easysync_internal`, granted to nobody. Errors
//! that carry a code of ours come back as JSON and are raised by the caller: pgrx knows no SQLSTATE
//! of class YS.

mod accounts;
mod instance;
mod keys;
mod status;

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

    /// Wakes this database's worker when the transaction commits.
    #[pg_extern(volatile, parallel_unsafe)]
    fn wake() {
        crate::shmem::wake_at_commit();
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

    /// Where the key file lies: `inside_data_directory`, `exists`.
    #[pg_extern(volatile, parallel_unsafe)]
    fn key_file_status() -> JsonB {
        JsonB(super::keys::status())
    }

    /// `prepare`, `activate` or `both`; how many credentials were sealed anew.
    #[pg_extern(volatile, parallel_unsafe)]
    fn rotate_key(step: &str) -> JsonB {
        JsonB(super::keys::rotate(step))
    }

    /// Is the change that fires the trigger a pull's own, and nobody else takes it?
    #[pg_extern(volatile, parallel_unsafe)]
    fn changes_suppressed() -> bool {
        crate::store::changes_suppressed()
    }

    /// The connection whose pull makes the change; null: an application.
    #[pg_extern(volatile, parallel_unsafe)]
    fn change_origin() -> Option<String> {
        crate::store::change_origin()
    }
}
