//! The one place that raises our errors: with a SQLSTATE of ours (class YS, which pgrx doesn't know),
//! and without the lines of context that only tell how the functions call each other.
//!
//! A plain function of C's kind, without pgrx's guards, which would turn the error into one of
//! theirs. Its frames own nothing with a destructor, so an error may jump across them.

use pgrx::pg_sys;
use std::ffi::{c_char, c_int};

unsafe extern "C-unwind" {
    #[link_name = "errstart"]
    fn raw_errstart(level: c_int, domain: *const c_char) -> bool;
    #[link_name = "errfinish"]
    fn raw_errfinish(file: *const c_char, line: c_int, function: *const c_char);
    #[link_name = "errcode"]
    fn raw_errcode(code: c_int) -> c_int;
    #[link_name = "errmsg_internal"]
    fn raw_errmsg(format: *const c_char, ...) -> c_int;
    #[link_name = "errdetail_internal"]
    fn raw_errdetail(format: *const c_char, ...) -> c_int;
    #[link_name = "errhint"]
    fn raw_errhint(format: *const c_char, ...) -> c_int;
    #[link_name = "text_to_cstring"]
    fn raw_text(text: *const pg_sys::varlena) -> *mut c_char;
}

/// Version 1 of the calling convention.
#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_easysync_raise() -> &'static pg_sys::Pg_finfo_record {
    const RECORD: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &RECORD
}

/// `easysync_internal.raise_error(sqlstate, message, detail, hint)`: never returns.
///
/// # Safety
///
/// Called by Postgres, as its function manager calls functions.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn easysync_raise(call: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    const TEXT: *const c_char = c"%s".as_ptr();
    unsafe {
        let code = argument(call, 0);
        let (message, detail, hint) = (argument(call, 1), argument(call, 2), argument(call, 3));
        // Whoever catches the error puts its own stack back.
        pg_sys::error_context_stack = std::ptr::null_mut();
        if raw_errstart(pgrx::PgLogLevel::ERROR as c_int, std::ptr::null()) {
            raw_errcode(packed(code));
            raw_errmsg(TEXT, if message.is_null() { c"error".as_ptr() } else { message });
            if !detail.is_null() {
                raw_errdetail(TEXT, detail);
            }
            if !hint.is_null() {
                raw_errhint(TEXT, hint);
            }
            raw_errfinish(c"raise.rs".as_ptr(), line!() as c_int, c"easysync_raise".as_ptr());
        }
    }
    pg_sys::Datum::from(0)
}

/// A text argument; null: SQL's null.
unsafe fn argument(call: pg_sys::FunctionCallInfo, index: usize) -> *const c_char {
    unsafe {
        let argument = (*call).args.as_ptr().add(index);
        match (*argument).isnull {
            true => std::ptr::null(),
            false => raw_text((*argument).value.cast_mut_ptr()),
        }
    }
}

/// Five characters, six bits each (`MAKE_SQLSTATE`); what is no SQLSTATE is `XX000`.
unsafe fn packed(code: *const c_char) -> c_int {
    const INTERNAL: [u8; 5] = *b"XX000";
    let mut bits = 0;
    let known = !code.is_null() && unsafe { libc::strlen(code) } == INTERNAL.len();
    for (index, internal) in INTERNAL.into_iter().enumerate() {
        let character = if known { unsafe { *code.add(index) as u8 } } else { internal };
        bits |= (c_int::from(character.wrapping_sub(b'0')) & 0x3f) << (6 * index);
    }
    bits
}
