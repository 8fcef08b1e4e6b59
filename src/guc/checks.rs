//! Check hooks: what a setting may be. They run in whoever sets the value, in the postmaster and in
//! every process at a reload.

use super::{data_directory, files};
use engine::http::AddressPolicy;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::ffi::{CStr, CString, c_char, c_void};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// The form of a check hook of a text.
pub type Hook = unsafe extern "C-unwind" fn(
    *mut *mut c_char,
    *mut *mut c_void,
    pg_sys::GucSource::Type,
) -> bool;

/// Longest name of an installation.
const LONGEST_INSTANCE: usize = 64;
/// Longest name of a role.
const LONGEST_ROLE: usize = 63;

/// Why a value is refused, and what to do.
struct Refusal {
    detail: String,
    hint: &'static str,
}

fn refused<T>(detail: impl Into<String>, hint: &'static str) -> Result<T, Refusal> {
    Err(Refusal { detail: detail.into(), hint })
}

/// The settings are being defined: values are those of the server's start, or of a session that
/// loads the library late.
static DEFINED: AtomicBool = AtomicBool::new(false);

/// All settings are defined: from now on a value is given by somebody who can be told.
pub fn defined() {
    DEFINED.store(true, Ordering::Relaxed);
}

/// May a value be refused because of a file? Not at the server's start, which would put the default in
/// its place: `health` tells of it. Nor in a parallel worker, which only repeats its leader's values.
fn looks_at_files() -> bool {
    DEFINED.load(Ordering::Relaxed) && !unsafe { pg_sys::InitializingParallelWorker }
}

/// Hands the value to `check` (an empty one is always right) and the refusal to Postgres.
unsafe fn judge(value: *mut *mut c_char, check: impl FnOnce(&str) -> Result<(), Refusal>) -> bool {
    let text = unsafe {
        if value.is_null() || (*value).is_null() {
            return true;
        }
        CStr::from_ptr(*value)
    };
    let outcome = match text.to_str() {
        Ok(text) if text.trim().is_empty() => Ok(()),
        Ok(text) => check(text),
        Err(_) => refused("The value is not valid UTF-8.", "Write it in UTF-8."),
    };
    let Err(refusal) = outcome else { return true };
    unsafe {
        pg_sys::GUC_check_errdetail_string = keep(&refusal.detail);
        pg_sys::GUC_check_errhint_string = keep(refusal.hint);
    }
    false
}

/// A copy that lives until the error is reported.
unsafe fn keep(text: &str) -> *mut c_char {
    let text = CString::new(text.replace('\0', " ")).unwrap_or_default();
    unsafe { pg_sys::MemoryContextStrdup(pg_sys::ErrorContext, text.as_ptr()) }
}

/// Defines the hook `name`, which judges by `check`.
macro_rules! hook {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[pg_guard]
        pub unsafe extern "C-unwind" fn $name(
            value: *mut *mut c_char,
            _extra: *mut *mut c_void,
            _source: pg_sys::GucSource::Type,
        ) -> bool {
            unsafe { judge(value, $check) }
        }
    };
}

hook!(
    /// `easysync.key_file`: a file of ours, or a place where it can be made.
    key_file,
    |text| {
        let path = PathBuf::from(text);
        if path.file_name().is_none() {
            return refused(
                format!("\"{text}\" names no file."),
                "Give the path of a file, absolute or relative to the data directory.",
            );
        }
        if !looks_at_files() {
            return Ok(());
        }
        let path = data_directory().join(path);
        if path.is_dir() {
            return refused(
                format!("\"{text}\" is a directory."),
                "Give the path of a file, absolute or relative to the data directory.",
            );
        }
        match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) if !parent.is_dir() => refused(
                format!("There is no directory \"{}\".", parent.display()),
                "Make the directory first; the server's user must be able to read and write there.",
            ),
            _ => Ok(()),
        }
    }
);

hook!(
    /// `easysync.credential_dir`: a directory.
    credential_dir,
    |text| match looks_at_files() && !data_directory().join(text).is_dir() {
        true => refused(
            format!("There is no directory \"{text}\" that the server's user can reach."),
            "Make it first, with mode 0700, owned by the server's user.",
        ),
        false => Ok(()),
    }
);

hook!(
    /// `easysync.instance`: a name of reasonable length.
    instance,
    |text| {
        let fits = text.len() <= LONGEST_INSTANCE
            && text.trim() == text
            && text.chars().all(|character| !character.is_control());
        match fits {
            true => Ok(()),
            false => refused(
                "The name is longer than 64 bytes, begins or ends with a space, or has control characters in it.",
                "Give a short name, such as production.",
            ),
        }
    }
);

hook!(
    /// `easysync.allowed_private_hosts`: hosts, each with or without a port.
    allowed_private_hosts,
    |text| match AddressPolicy::parse(text) {
        Ok(_) => Ok(()),
        Err(error) => refused(
            format!("{}.", error.message),
            "Write host or host:port, separated by commas: localhost:8443, [::1]:8443.",
        ),
    }
);

hook!(
    /// `easysync.ca_file`: a file with certificates.
    ca_file,
    |text| {
        if !looks_at_files() {
            return Ok(());
        }
        match files::authorities(&data_directory().join(text)) {
            Ok(_) => Ok(()),
            Err(error) => refused(
                format!("{}.", error.message),
                "Give a PEM file with certificates that the server's user may read.",
            ),
        }
    }
);

hook!(
    /// `easysync.gateway_roles`: names of roles as they are, without quotes.
    gateway_roles,
    |text| {
        for role in text.split(',').map(str::trim) {
            if role.is_empty() || role.len() > LONGEST_ROLE || role.contains(['"', '\'', ';', '\n']) {
                return refused(
                    format!("\"{role}\" is no name of a role."),
                    "Write the names as they are, without quotes, separated by commas: authenticator.",
                );
            }
        }
        Ok(())
    }
);
