//! COPY straight into a table, from memory: the quickest way in for rows that are all new. COPY by
//! this door checks neither privileges nor row security; whoever calls has done so
//! ([`super::lookup`]).

use crate::error::{DbError, DbResult};
use pgrx::pg_sys;
use std::ffi::CString;

/// Rows in COPY's text format.
#[derive(Default)]
pub struct CopyBuffer {
    data: Vec<u8>,
    in_row: bool,
    rows: u64,
}

impl CopyBuffer {
    fn separate(&mut self) {
        if self.in_row {
            self.data.push(b'\t');
        }
        self.in_row = true;
    }

    pub fn null(&mut self) {
        self.separate();
        self.data.extend_from_slice(b"\\N");
    }

    pub fn optional(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.null(),
        }
    }

    /// A value as text, with what COPY reads as its own escaped.
    pub fn text(&mut self, text: &str) {
        self.separate();
        let mut rest = text.as_bytes();
        // Almost no text has any of these: looking for them in large steps is what counts.
        while let Some(at) = next_special(rest) {
            let (plain, special) = rest.split_at(at);
            self.data.extend_from_slice(plain);
            self.data.extend_from_slice(match special[0] {
                b'\\' => b"\\\\",
                b'\t' => b"\\t",
                b'\n' => b"\\n",
                _ => b"\\r",
            });
            rest = &special[1..];
        }
        self.data.extend_from_slice(rest);
    }

    /// A `bytea`.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.separate();
        self.data.extend_from_slice(b"\\\\x");
        for byte in bytes {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            self.data.push(DIGITS[usize::from(byte >> 4)]);
            self.data.push(DIGITS[usize::from(byte & 15)]);
        }
    }

    pub fn end_row(&mut self) {
        self.data.push(b'\n');
        self.in_row = false;
        self.rows += 1;
    }

    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Copies the rows into the table; triggers and constraints work as for any COPY. Returns how many
    /// landed: a trigger may leave some out.
    pub fn copy_into(&self, table: pg_sys::Oid, columns: &[&str]) -> DbResult<u64> {
        if self.is_empty() {
            return Ok(0);
        }
        let names = columns
            .iter()
            .map(|name| CString::new(*name))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| DbError::new("XX000", e.to_string()))?;
        let landed = unsafe { copy(table, &names, &self.data) };
        super::statistics::note_growth(table, self.rows);
        Ok(landed)
    }
}

/// Where COPY would read something of its own: a backslash, or a control character that separates.
fn next_special(bytes: &[u8]) -> Option<usize> {
    let is_special = |byte: &u8| matches!(byte, b'\\' | b'\t' | b'\n' | b'\r');
    let mut chunks = bytes.chunks_exact(32);
    for (n, chunk) in chunks.by_ref().enumerate() {
        // Without a way out in the middle the compiler compares all of them at once.
        if chunk.iter().fold(false, |any, byte| any | is_special(byte)) {
            return chunk.iter().position(is_special).map(|at| n * 32 + at);
        }
    }
    let tail = chunks.remainder();
    tail.iter().position(is_special).map(|at| bytes.len() - tail.len() + at)
}

/// What the callback reads from: one COPY at a time, on the one thread of Postgres.
struct Source {
    data: *const u8,
    length: usize,
    position: usize,
}

static mut SOURCE: Source = Source { data: std::ptr::null(), length: 0, position: 0 };

unsafe extern "C-unwind" fn read_source(out: *mut std::ffi::c_void, _least: i32, most: i32) -> i32 {
    unsafe {
        let source = &raw mut SOURCE;
        let left = (*source).length - (*source).position;
        let count = left.min(usize::try_from(most).unwrap_or(0));
        std::ptr::copy_nonoverlapping((*source).data.add((*source).position), out.cast(), count);
        (*source).position += count;
        count as i32
    }
}

/// The steps of Postgres's own COPY FROM, with a callback as its source. An error leaves the
/// clean-up to the (sub)transaction's end.
unsafe fn copy(table: pg_sys::Oid, columns: &[CString], data: &[u8]) -> u64 {
    unsafe {
        SOURCE = Source { data: data.as_ptr(), length: data.len(), position: 0 };
        let lock = pg_sys::RowExclusiveLock as i32;
        let relation = pg_sys::table_open(table, lock);
        let state = pg_sys::make_parsestate(std::ptr::null_mut());
        pg_sys::addRangeTableEntryForRelation(
            state,
            relation,
            lock,
            std::ptr::null_mut(),
            false,
            false,
        );
        let mut names: *mut pg_sys::List = std::ptr::null_mut();
        for column in columns {
            let name = pg_sys::makeString(pg_sys::pstrdup(column.as_ptr()));
            names = pg_sys::lappend(names, name.cast());
        }
        // Else COPY takes the rows to be in the encoding of the session's client.
        let encoding = pg_sys::makeDefElem(
            c"encoding".as_ptr().cast_mut(),
            pg_sys::makeString(c"UTF8".as_ptr().cast_mut()).cast(),
            -1,
        );
        let options = pg_sys::lappend(std::ptr::null_mut(), encoding.cast());
        let copy = pg_sys::BeginCopyFrom(
            state,
            relation,
            std::ptr::null_mut(),
            std::ptr::null(),
            false,
            Some(read_source),
            names,
            options,
        );
        let landed = pg_sys::CopyFrom(copy);
        pg_sys::EndCopyFrom(copy);
        pg_sys::free_parsestate(state);
        pg_sys::table_close(relation, pg_sys::NoLock as i32);
        pg_sys::CommandCounterIncrement();
        SOURCE = Source { data: std::ptr::null(), length: 0, position: 0 };
        landed
    }
}

/// Has the table a trigger that may change a row on its way in, its key as well?
pub fn may_be_rewritten(table: pg_sys::Oid) -> bool {
    unsafe {
        let relation = pg_sys::table_open(table, pg_sys::AccessShareLock as i32);
        let triggers = (*relation).trigdesc;
        let found = !triggers.is_null() && (*triggers).trig_insert_before_row;
        pg_sys::table_close(relation, pg_sys::NoLock as i32);
        found
    }
}
