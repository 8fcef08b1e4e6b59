//! Who may act as whom.

use pgrx::pg_sys;
use std::ffi::CString;

/// Is a role another one, or its member? A superuser is a member of nothing by being one.
pub fn acts_as(member: &str, role: &str) -> bool {
    let (Ok(member), Ok(role)) = (CString::new(member), CString::new(role)) else { return false };
    unsafe {
        let (member, role) = (
            pg_sys::get_role_oid(member.as_ptr(), true),
            pg_sys::get_role_oid(role.as_ptr(), true),
        );
        member != pg_sys::InvalidOid
            && role != pg_sys::InvalidOid
            && pg_sys::is_member_of_role_nosuper(member, role)
    }
}
