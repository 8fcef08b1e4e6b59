//! What each code of QuickBooks means and what helps (quickbooks.md, section 2.1). Words of our
//! own: QuickBooks' texts are in the language of whoever connected, and can hold names.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What a code calls for, before its text was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    Throttled,
    RefreshToken,
    StopConnection,
    Retry,
    RetrySlow,
    LookUp,
    Refetch,
    AdoptNumber,
    AdoptName,
    Reresolve,
    ByText,
    Attention,
    Blocked,
    Narrow,
    Resync,
    Bug,
}

/// One code.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Entry {
    pub code: String,
    pub class: Class,
    /// What went wrong, for a bookkeeper.
    pub says: String,
    /// What to do.
    pub hint: String,
}

static ENTRIES: LazyLock<BTreeMap<String, Entry>> = LazyLock::new(|| {
    // It is part of the program, and a test reads it.
    let list: Vec<Entry> = serde_json::from_str(include_str!("catalogue.json")).unwrap_or_default();
    list.into_iter().map(|entry| (entry.code.clone(), entry)).collect()
});

/// The entry of a code without leading zeros. None: a code that nobody has told us of.
pub fn entry(code: &str) -> Option<&'static Entry> {
    ENTRIES.get(code)
}

/// All entries, for the docs.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    ENTRIES.values()
}
