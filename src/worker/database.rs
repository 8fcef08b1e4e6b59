//! The databases of the server, read from the shared catalogue without being connected to any.

use pgrx::pg_sys;

/// Databases that take connections and are no templates.
pub fn list() -> Vec<(pg_sys::Oid, String)> {
    let mut found = vec![];
    unsafe {
        pg_sys::StartTransactionCommand();
        let _ = pg_sys::GetTransactionSnapshot();
        let relation =
            pg_sys::table_open(pg_sys::DatabaseRelationId, pg_sys::AccessShareLock as i32);
        let scan = pg_sys::table_beginscan_catalog(relation, 0, std::ptr::null_mut());
        loop {
            let tuple = pg_sys::heap_getnext(scan, pg_sys::ScanDirection::ForwardScanDirection);
            if tuple.is_null() {
                break;
            }
            let header = (*tuple).t_data;
            let row = (header as *const u8)
                .add((*header).t_hoff as usize)
                .cast::<pg_sys::FormData_pg_database>();
            // -2: a DROP DATABASE that was interrupted.
            if (*row).datallowconn && !(*row).datistemplate && (*row).datconnlimit != -2 {
                let name = std::ffi::CStr::from_ptr((*row).datname.data.as_ptr());
                found.push(((*row).oid, name.to_string_lossy().into_owned()));
            }
        }
        // table_endscan is an inline function of C.
        if let Some(end) = (*(*relation).rd_tableam).scan_end {
            end(scan);
        }
        pg_sys::table_close(relation, pg_sys::AccessShareLock as i32);
        pg_sys::CommitTransactionCommand();
        pg_sys::MemoryContextSwitchTo(pg_sys::TopMemoryContext);
    }
    found
}
