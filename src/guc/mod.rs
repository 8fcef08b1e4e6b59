//! Settings of the server's owner. What a tenant decides is a row of `easysync.settings`.
//!
//! A value that can't be right is refused where it is given (`SET`, `ALTER SYSTEM`, a reload), by the
//! check hooks of [`checks`]. What goes wrong with a file later, [`files::problems`] tells `health()`.

mod checks;
mod files;

use engine::http::AddressPolicy;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, pg_sys};
use std::ffi::CString;
use std::path::PathBuf;

static POLL_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(60);
static KEY_FILE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static CREDENTIAL_DIR: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static INSTANCE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static ALLOWED_PRIVATE_HOSTS: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(None);
static CA_FILE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static GATEWAY_ROLES: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static TENANT_ID: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);

/// Defines all settings. None is of the postmaster's context: such a one can't be defined after
/// start-up, and would end the session of whoever loads the library late.
pub fn define() {
    GucRegistry::define_int_guc(
        c"easysync.poll_interval",
        c"Seconds between two looks of an idle worker at its queue.",
        c"A safety net: the worker is woken by every commit that queues work.",
        &POLL_INTERVAL,
        1,
        3600,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
    let texts = [
        (
            c"easysync.key_file",
            c"File with the keys that seal credentials.",
            c"Relative to the data directory. Empty: easysync.keys there, made on first use.",
            &KEY_FILE,
            checks::key_file as checks::Hook,
        ),
        (
            c"easysync.credential_dir",
            c"Directory from which connect may read credential files.",
            c"Empty: credentials can't be given by file.",
            &CREDENTIAL_DIR,
            checks::credential_dir,
        ),
        (
            c"easysync.instance",
            c"Name of this installation; the same on all nodes of a failover group, different on every copy.",
            c"Empty: a digest of machine id, host name and data directory.",
            &INSTANCE,
            checks::instance,
        ),
        (
            c"easysync.allowed_private_hosts",
            c"Hosts (host or host:port, separated by commas) that may be private addresses.",
            c"Every other outgoing call goes to public addresses only.",
            &ALLOWED_PRIVATE_HOSTS,
            checks::allowed_private_hosts,
        ),
        (
            c"easysync.ca_file",
            c"PEM file with more certificate authorities to trust in outgoing calls.",
            c"Empty: only the public ones.",
            &CA_FILE,
            checks::ca_file,
        ),
        (
            c"easysync.gateway_roles",
            c"Login roles (separated by commas) whose JWT claim tenant_id is believed.",
            c"PostgREST's authenticator, for example.",
            &GATEWAY_ROLES,
            checks::gateway_roles,
        ),
    ];
    for (name, short, long, setting, check) in texts {
        unsafe {
            GucRegistry::define_string_guc_with_hooks(
                name,
                short,
                long,
                setting,
                GucContext::Sighup,
                GucFlags::SUPERUSER_ONLY,
                Some(check),
                None,
                None,
            );
        }
    }
    GucRegistry::define_string_guc(
        c"easysync.tenant_id",
        c"The tenant that this session works for, of those it may see.",
        c"* shows all of them in views. Empty: the default one.",
        &TENANT_ID,
        GucContext::Userset,
        GucFlags::default(),
    );
    checks::defined();
    reserve_prefix();
}

/// A name of ours that doesn't exist (`easysync.tenantid`) is refused from now on, not kept as a
/// placeholder that nobody reads.
fn reserve_prefix() {
    unsafe {
        #[cfg(feature = "pg14")]
        pg_sys::EmitWarningsOnPlaceholders(c"easysync".as_ptr());
        #[cfg(not(feature = "pg14"))]
        pg_sys::MarkGUCPrefixReserved(c"easysync".as_ptr());
    }
}

fn text(setting: &GucSetting<Option<CString>>) -> Option<String> {
    setting.get().and_then(|text| text.into_string().ok()).filter(|text| !text.trim().is_empty())
}

pub fn poll_interval() -> std::time::Duration {
    std::time::Duration::from_secs(u64::try_from(POLL_INTERVAL.get()).unwrap_or(60))
}

/// The key file, or the default one in the data directory (`true`: it lies there, and base
/// backups copy it).
pub fn key_file() -> (PathBuf, bool) {
    match text(&KEY_FILE) {
        Some(path) => {
            let path = data_directory().join(path);
            let inside = path.starts_with(data_directory());
            (path, inside)
        }
        None => (data_directory().join("easysync.keys"), true),
    }
}

pub fn credential_dir() -> Option<PathBuf> {
    text(&CREDENTIAL_DIR).map(|dir| data_directory().join(dir))
}

pub fn instance() -> Option<String> {
    text(&INSTANCE)
}

pub fn address_policy() -> engine::Result<AddressPolicy> {
    AddressPolicy::parse(&text(&ALLOWED_PRIVATE_HOSTS).unwrap_or_default())
}

pub use files::{authorities, problems};

pub fn ca_file() -> Option<PathBuf> {
    text(&CA_FILE).map(|path| data_directory().join(path))
}

/// The login roles of `easysync.gateway_roles`.
pub fn gateway_roles() -> Vec<String> {
    let list = text(&GATEWAY_ROLES).unwrap_or_default();
    list.split(',').map(|role| role.trim().to_owned()).filter(|role| !role.is_empty()).collect()
}

/// What the worker's outgoing calls go by; a change starts it again. The file of authorities counts
/// with its version: it is renewed in place.
#[derive(Debug, PartialEq, Eq)]
pub struct Outgoing {
    private_hosts: Option<String>,
    ca_file: Option<(String, Option<files::Version>)>,
    poll_interval: i32,
}

/// What outgoing calls go by now. Reads the state of one file.
pub fn outgoing() -> Outgoing {
    Outgoing {
        private_hosts: text(&ALLOWED_PRIVATE_HOSTS),
        ca_file: text(&CA_FILE)
            .map(|name| (name, ca_file().and_then(|path| files::Version::of(&path)))),
        poll_interval: POLL_INTERVAL.get(),
    }
}

/// The data directory of this server.
pub fn data_directory() -> PathBuf {
    let dir = unsafe {
        if pg_sys::DataDir.is_null() {
            return PathBuf::from(".");
        }
        std::ffi::CStr::from_ptr(pg_sys::DataDir)
    };
    PathBuf::from(dir.to_string_lossy().into_owned())
}
