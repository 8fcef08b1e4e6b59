//! What this library may take of its process's memory, and what happens beyond that.
//!
//! Rust aborts where an allocation fails. An abort is a crash to the postmaster, which then cuts every
//! session of the cluster and starts recovery. The kernel's out-of-memory killer does the same, and a
//! failed allocation is the rarer case of the two: Linux mostly promises more than it has. So the
//! library's own heap is counted and has a limit ([`MOST`]), far above what the engine's budgets
//! (`engine/src/limits.rs`) let it reach, and both cases, the limit and memory that the system refuses,
//! end the one process in an orderly way:
//!
//! - a reserve is given back, so that the way out has memory to go on with;
//! - a side thread wakes the thread of Postgres and stops for good where it is;
//! - the thread of Postgres leaves by `proc_exit`: locks are released, the transaction is rolled back,
//!   nobody else notices. It can't raise an error instead: an allocator may not unwind.
//!
//! The worker starts again and counts the end against the runs that it had in hand
//! (`store/runs.rs`); a session is told that its connection was lost, and the log says why.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

/// Bytes of the library's heap in one process.
const MOST: usize = 512 << 20;

/// Bytes that are given back when the memory has ended.
const RESERVE: usize = 4 << 20;

/// Bytes beyond [`MOST`] that the way out may take.
const WAY_OUT: usize = 64 << 20;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
static ENDED: AtomicBool = AtomicBool::new(false);
static KEPT: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
/// Descriptor by which side threads wake the thread of Postgres; -1: there are none.
static WAKE: AtomicI32 = AtomicI32::new(-1);

struct Counted;

#[global_allocator]
static ALLOCATOR: Counted = Counted;

/// Has the memory of this process ended? The thread of Postgres leaves when it sees that.
pub fn has_ended() -> bool {
    ENDED.load(Acquire)
}

/// Side threads begin: the reserve is made, and `event` (an eventfd) wakes the thread of Postgres.
pub fn prepare(event: i32) {
    WAKE.store(event, Release);
    if KEPT.load(Acquire).is_null() {
        let reserve = unsafe { System.alloc_zeroed(reserve_layout()) };
        if !reserve.is_null() {
            // Touched, or the system has only promised it.
            (0..RESERVE).step_by(4096).for_each(|at| unsafe { reserve.add(at).write_volatile(1) });
        }
        KEPT.store(reserve, Release);
    }
}

/// Side threads have ended.
pub fn release(event: i32) {
    let _ = WAKE.compare_exchange(event, -1, Release, Relaxed);
}

const fn reserve_layout() -> Layout {
    match Layout::from_size_align(RESERVE, 16) {
        Ok(layout) => layout,
        Err(_) => Layout::new::<u8>(),
    }
}

fn take(bytes: usize) -> bool {
    let most = if ENDED.load(Relaxed) { MOST + WAY_OUT } else { MOST };
    TAKEN.fetch_add(bytes, Relaxed).saturating_add(bytes) <= most
}

fn give(bytes: usize) {
    TAKEN.fetch_sub(bytes, Relaxed);
}

/// Is this the thread that Postgres runs in?
fn is_main() -> bool {
    unsafe { libc::getpid() == libc::gettid() }
}

/// There is no memory for `bytes` more. `again` tries once more with what the reserve gives back;
/// null: not even so. Allocates nothing.
#[cold]
#[inline(never)]
fn ended(bytes: usize, again: impl FnOnce() -> *mut u8) -> *mut u8 {
    if unsafe { !pgrx::pg_sys::IsUnderPostmaster } {
        // The postmaster itself, or a server without one: there is nobody to leave to.
        return again();
    }
    let first = !ENDED.swap(true, Acquire);
    let reserve = KEPT.swap(std::ptr::null_mut(), Acquire);
    if !reserve.is_null() {
        unsafe { System.dealloc(reserve, reserve_layout()) };
    }
    if first {
        say(bytes);
    }
    if is_main() {
        if is_leaving() {
            return again();
        }
        leave();
    }
    let event = WAKE.load(Acquire);
    let one = 1u64;
    unsafe { libc::write(event, (&raw const one).cast(), 8) };
    loop {
        unsafe { libc::pause() };
    }
}

fn is_leaving() -> bool {
    unsafe { pgrx::pg_sys::proc_exit_inprogress }
}

/// Ends this process as FATAL does, without a word to the client: that would take memory.
fn leave() -> ! {
    unsafe extern "C-unwind" {
        fn proc_exit(code: i32) -> !;
    }
    crate::worker::note_fault();
    unsafe { proc_exit(1) }
}

/// One line in the server's log, without an allocation.
fn say(bytes: usize) {
    let mut digits = [b'0'; 20];
    let (mut at, mut rest) = (digits.len(), bytes);
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    for part in [
        b"easysync: out of memory: no ".as_slice(),
        &digits[at..],
        b" bytes more; this process ends, the others go on\n",
    ] {
        unsafe { libc::write(2, part.as_ptr().cast(), part.len()) };
    }
}

// Every method passes on to the system's allocator what it was given.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if take(layout.size()) {
            let memory = unsafe { System.alloc(layout) };
            if !memory.is_null() {
                return memory;
            }
        }
        ended(layout.size(), || unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if take(layout.size()) {
            let memory = unsafe { System.alloc_zeroed(layout) };
            if !memory.is_null() {
                return memory;
            }
        }
        ended(layout.size(), || unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        give(layout.size());
        if take(size) {
            let moved = unsafe { System.realloc(memory, layout, size) };
            if !moved.is_null() {
                return moved;
            }
        }
        ended(size, || unsafe { System.realloc(memory, layout, size) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        give(layout.size());
        unsafe { System.dealloc(memory, layout) };
    }
}
