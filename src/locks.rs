//! Locks by name, to the end of the transaction. They are of the kind of advisory locks, with a mark
//! that no SQL function sets: nobody but our own functions can take, or keep, one.

use pgrx::pg_sys;
use sha2::{Digest, Sha256};

/// Advisory locks that SQL takes have 1 or 2 here (`pg_locks.objsubid`).
const OURS: u16 = 0xE5;
/// `USER_LOCKMETHOD` of `storage/lock.h`, which pgrx doesn't bind.
const USER_LOCKMETHOD: u8 = 2;

fn tag(name: &str) -> pg_sys::LOCKTAG {
    let hash = Sha256::digest(name.as_bytes());
    let word = |at: usize| u32::from_be_bytes([hash[at], hash[at + 1], hash[at + 2], hash[at + 3]]);
    pg_sys::LOCKTAG {
        locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
        locktag_field2: word(0),
        locktag_field3: word(4),
        locktag_field4: OURS,
        locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
        locktag_lockmethodid: USER_LOCKMETHOD,
    }
}

/// Waits for the lock, alone.
pub fn exclusive(name: &str) {
    let tag = tag(name);
    unsafe { pg_sys::LockAcquire(&raw const tag, pg_sys::ExclusiveLock as i32, false, false) };
}

/// The lock beside others, if nobody has it alone.
pub fn try_shared(name: &str) -> bool {
    let tag = tag(name);
    let got = unsafe { pg_sys::LockAcquire(&raw const tag, pg_sys::ShareLock as i32, false, true) };
    got != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
}
