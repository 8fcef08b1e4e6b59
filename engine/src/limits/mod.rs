//! What a platform may send, in one place. Memory that a worker takes beyond its idle size is
//! bounded by these: at most four runs at a time, each with one page in hand ([`PAGE_BYTES`]) and a
//! few answers under way ([`RESPONSE_BYTES`]), pages read ahead out of one store for all of them
//! ([`AHEAD_BYTES`]), and one batch that is being written.
//!
//! A record beyond its limits is one failed record, by name; an answer or a list beyond them ends
//! the step with an error that names what was sent and the limit.

use crate::error::{Category, Error};
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;

mod cells;
mod json;

pub use cells::{KEY_BYTES, TEXT_BYTES, check};
pub use json::{Excess, JSON_DEPTH, RECORD_BYTES, check_json, check_record};

/// Bytes of one answer, unpacked, unless a client says otherwise.
pub const RESPONSE_BYTES: usize = 8 << 20;

/// Bytes that one page may take in memory, mapped: what is beyond is read with the next page.
pub const PAGE_BYTES: usize = 8 << 20;

/// Bytes that pages read ahead may take, of all runs of a process together.
pub const AHEAD_BYTES: usize = 48 << 20;

/// Bytes that come along with one element of a page (a product's variations).
pub const ALONG_BYTES: usize = 16 << 20;

/// Bytes kept of a list that is read as a whole (the company's items), see [`kept`].
pub const LISTED_BYTES: usize = 48 << 20;

/// Elements of one answer's list. Nobody is asked for more than a thousand.
pub const LIST_ELEMENTS: usize = 1000;

/// Members of an answer's outer object.
pub const MEMBERS: usize = 10_000;

/// Lines of one record.
pub const LINES: usize = 5000;

/// A list's length beyond which it isn't believed.
pub const TOTAL: u64 = 1_000_000_000;

/// Pages in a row that bring nothing new, at a place of the list that wasn't reached before: with
/// elements of which all are known, and without any (a plugin that hides elements behind the
/// paging leaves such holes).
pub const STALE_PAGES: u32 = 5;
pub const EMPTY_PAGES: u32 = 100;

/// Pages of a list that is read as a whole.
pub const LIST_PAGES: u64 = 10_000;

/// Characters of a foreign text that are looked at, masked and shown.
pub const TEXT_CHARS: usize = 2000;

/// The first elements of a JSON array, and whether there were more than that.
#[derive(Debug, Default)]
pub struct Few<'a> {
    pub items: Vec<&'a RawValue>,
    pub more: bool,
}

/// Reads a JSON array of at most [`LIST_ELEMENTS`]: what is beyond is passed over, not kept.
impl<'de> serde::Deserialize<'de> for Few<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements;
        impl<'de> Visitor<'de> for Elements {
            type Value = Few<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Few<'de>, A::Error> {
                let mut few = Few::default();
                while few.items.len() < LIST_ELEMENTS {
                    match seq.next_element()? {
                        Some(item) => few.items.push(item),
                        None => return Ok(few),
                    }
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    few.more = true;
                }
                Ok(few)
            }
        }
        deserializer.deserialize_seq(Elements)
    }
}

/// The members of a JSON object, at most [`MEMBERS`] of them.
pub struct Members<'a>(pub BTreeMap<String, &'a RawValue>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    members.insert(name, value);
                    if members.len() > MEMBERS {
                        return Err(serde::de::Error::custom("too many members"));
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// Roughly what is kept of a record of which a few fields are read: a quarter, or, where it is
/// suspiciously large, all of it.
pub fn kept(raw: &RawValue) -> usize {
    let len = raw.get().len();
    if len > 8192 { len } else { len / 4 + 64 }
}

/// A list of more elements than anybody asked for.
pub fn too_many(host: &str, what: &str) -> Error {
    Error::new(
        Category::Validation,
        "too_many",
        format!("\"{host}\" answered with a list of more than {LIST_ELEMENTS} {what}"),
    )
    .hint(
        "It was asked for fewer: a plugin or a proxy that changes its answers is the usual cause.",
    )
}

/// What is left of a foreign text before anything is done with it: masking a text of megabytes
/// takes minutes.
pub fn cut_text(text: &str) -> &str {
    match text.char_indices().nth(TEXT_CHARS) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// Watches a walk over a list: each page must bring something that no page before it brought, and
/// there is an end to their number.
#[derive(Debug)]
pub struct WalkGuard {
    pages: u64,
    most: u64,
    stale: u32,
    empty: u32,
}

impl Default for WalkGuard {
    fn default() -> Self {
        WalkGuard::up_to(LIST_PAGES)
    }
}

impl WalkGuard {
    /// For a list of at most so many pages.
    pub fn up_to(most: u64) -> Self {
        WalkGuard { pages: 0, most, stale: 0, empty: 0 }
    }

    /// A page of `len` elements at a place where no page was read before; `fresh`: one of them is
    /// new. Errors (validation): `no_progress`, `endless_list`.
    pub fn page(&mut self, len: usize, fresh: bool) -> Result<(), Error> {
        self.pages += 1;
        if fresh {
            (self.stale, self.empty) = (0, 0);
        } else if len == 0 {
            self.empty += 1;
        } else {
            self.stale += 1;
        }
        if self.stale >= STALE_PAGES || self.empty >= EMPTY_PAGES {
            let (times, what) = match len {
                0 => (self.empty, "nothing"),
                _ => (self.stale, "the same elements"),
            };
            return Err(Error::new(
                Category::Validation,
                "no_progress",
                format!("the list does not end: its pages showed {what} {times} times in a row"),
            )
            .hint("The platform, or something before it (a cache, a plugin), ignores which part of a list is asked for."));
        }
        if self.pages > self.most {
            return Err(Error::new(
                Category::Validation,
                "endless_list",
                format!("the list does not end: {} pages of it were read", self.most),
            )
            .hint("No list of that kind is that long: look at it in the platform's own pages."));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
