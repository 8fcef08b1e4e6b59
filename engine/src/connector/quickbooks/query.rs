//! Statements of QuickBooks' query language, and their answers (quickbooks.md, section 5).

use super::client::{Answer, Api};
use super::kind::Kind;
use super::limits::{self, QUERY_ROWS};
use super::reply;
use crate::error::{Category, Error, Result};
use crate::limits::{LISTED_BYTES, TOTAL, WalkGuard};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::value::RawValue;
use std::fmt::Write;

/// Unreserved characters of RFC 3986; all else is encoded, a blank as `%20`, never as `+`.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A value of a URL's query.
pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// A value of a statement, quoted: `'` and `\` are escaped by a backslash, never doubled. Control
/// characters, which no stored value has, become blanks.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for c in text.chars() {
        match c {
            '\'' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

/// The time of the last change, and of the creation, of any record.
pub const UPDATED: &str = "MetaData.LastUpdatedTime";
pub const CREATED: &str = "MetaData.CreateTime";

/// A statement in the making. Conditions join by AND: there is no OR. Every value is quoted, also
/// numbers; names of fields are the program's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    kind: Kind,
    conditions: Vec<String>,
    order: Option<&'static str>,
}

impl Select {
    /// All records of a kind; of lists only the active ones, unless [`Select::with_inactive`].
    pub fn from(kind: Kind) -> Select {
        Select { kind, conditions: vec![], order: None }
    }

    /// QuickBooks compares without case.
    pub fn equals(self, field: &'static str, value: &str) -> Select {
        self.condition(format!("{field} = {}", quoted(value)))
    }

    pub fn any_of<'v>(
        self,
        field: &'static str,
        values: impl IntoIterator<Item = &'v str>,
    ) -> Select {
        let values: Vec<String> = values.into_iter().map(quoted).collect();
        self.condition(format!("{field} IN ({})", values.join(",")))
    }

    /// In `[from, until)`, with an offset: without one QuickBooks takes its own zone.
    pub fn between(
        self,
        field: &'static str,
        from: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Select {
        let mut select = self;
        for (operator, time) in [(">=", from), ("<", until)] {
            if let Some(time) = time {
                select = select.condition(format!("{field} {operator} '{}'", seconds(time)));
            }
        }
        select
    }

    /// Inactive records, too.
    pub fn with_inactive(self) -> Select {
        self.condition("Active IN (true,false)".into())
    }

    pub fn order_by(mut self, field: &'static str) -> Select {
        self.order = Some(field);
        self
    }

    fn condition(mut self, condition: String) -> Select {
        self.conditions.push(condition);
        self
    }

    /// `rows` records from the one at `start` on, counted from 0 here and from 1 there.
    pub fn page(&self, start: u64, rows: u64) -> String {
        let mut text = format!("SELECT * FROM {}{}", self.kind, self.filter());
        if let Some(order) = self.order {
            // Writing to a String can't fail.
            let _ = write!(text, " ORDERBY {order}");
        }
        let rows = rows.clamp(1, QUERY_ROWS);
        let _ = write!(text, " STARTPOSITION {} MAXRESULTS {rows}", start + 1);
        text
    }

    pub fn count(&self) -> String {
        format!("SELECT COUNT(*) FROM {}{}", self.kind, self.filter())
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    fn filter(&self) -> String {
        if self.conditions.is_empty() {
            return String::new();
        }
        format!(" WHERE {}", self.conditions.join(" AND "))
    }
}

/// Whole seconds, as the platform keeps them.
fn seconds(time: Timestamp) -> String {
    let whole = Timestamp::from_second(time.as_second()).unwrap_or(time);
    whole.to_string()
}

/// Records of a query, of one answer or of several that are parts of it.
pub struct Rows {
    answers: Vec<Answer>,
    kind: Kind,
    /// There may be more: it holds what was asked for, or ends before that since more would be too
    /// much at a time.
    pub full: bool,
}

impl Rows {
    /// The records as they came, byte for byte. None is an empty list, not an error.
    pub fn rows(&self) -> Result<Vec<&RawValue>> {
        let mut all = vec![];
        for answer in &self.answers {
            all.extend(rows_of(answer, self.kind)?);
        }
        Ok(all)
    }

    /// QuickBooks' clock when it answered.
    pub fn served_at(&self) -> Option<Timestamp> {
        self.answers.first()?.body().ok()?.time()
    }

    pub fn calls(&self) -> u64 {
        self.answers.iter().map(Answer::calls).sum()
    }
}

fn rows_of(answer: &Answer, kind: Kind) -> Result<Vec<&RawValue>> {
    let body = answer.body()?;
    let response = body.get("QueryResponse").ok_or_else(no_list)?;
    let members = reply::object(response.get()).ok_or_else(no_list)?;
    members.get(kind.as_str()).map_or(Ok(vec![]), |list| reply::list(list))
}

fn no_list() -> Error {
    Error::new(Category::Network, "unexpected_json", "QuickBooks answered a query without a list")
}

fn too_long(kind: Kind) -> Error {
    Error::new(
        Category::Validation,
        "too_long",
        format!("QuickBooks: the list of {kind} is larger than easysync reads as a whole"),
    )
    .hint("Look at it in QuickBooks: a list of that size is unusual.")
}

/// A whole list, read page by page.
#[derive(Debug, Default)]
pub struct Listed {
    pub rows: Vec<Box<RawValue>>,
    pub calls: u64,
}

/// How often a list is read anew when records came or went meanwhile.
const READINGS: u32 = 3;

impl Api {
    /// One page of a query.
    pub async fn rows(&self, select: &Select, start: u64, rows: u64) -> Result<Rows> {
        let kind = select.kind;
        let (mut answers, mut found, mut bytes, mut size) = (vec![], 0, 0, rows);
        loop {
            let asked = size.min(rows - found);
            let statement = select.page(start + found, asked);
            let answer = match self.read("query", &[("query", &statement)]).await {
                // Fewer of them at a time.
                Err(error) if error.code == "too_large" && size > 1 => {
                    size = size.div_ceil(4);
                    continue;
                }
                answer => answer?,
            };
            let got = rows_of(&answer, kind)?.len() as u64;
            found += got;
            bytes += answer.body_bytes();
            answers.push(answer);
            let full = got >= asked;
            // Two at least: pages share one.
            if !full || found >= rows || (bytes >= limits::RESPONSE_BYTES && found >= 2) {
                return Ok(Rows { answers, kind, full });
            }
        }
    }

    /// How many records a query finds.
    pub async fn count(&self, select: &Select) -> Result<u64> {
        let statement = select.count();
        let answer = self.read("query", &[("query", &statement)]).await?;
        let body = answer.body()?;
        let response = body.get("QueryResponse").ok_or_else(no_list)?;
        let members = reply::object(response.get()).ok_or_else(no_list)?;
        let count = members.get("totalCount").and_then(|raw| raw.get().parse().ok());
        // An empty company answers `"QueryResponse":{}`.
        Ok(count.filter(|count| *count <= TOTAL).unwrap_or(0))
    }

    /// All records of a query. Each page begins with the last record of the one before, and a list
    /// of several pages is counted afterwards: where records came or went meanwhile, others may
    /// have slipped through, and it is read again.
    pub async fn all(&self, select: &Select) -> Result<Listed> {
        let keep = |raw: &RawValue| (raw.to_owned(), 4 * raw.get().len());
        let (rows, calls) = self.all_as(select, keep).await?;
        Ok(Listed { rows, calls })
    }

    /// The ids of all records of a query, in order: pages are read and dropped again.
    pub async fn ids(&self, select: &Select) -> Result<(Vec<i64>, u64)> {
        let keep = |raw: &RawValue| (id_of(raw).and_then(|id| id.parse::<i64>().ok()), 16);
        let (ids, calls) = self.all_as(select, keep).await?;
        let mut ids: Vec<i64> = ids.into_iter().flatten().collect();
        ids.sort_unstable();
        Ok((ids, calls))
    }

    /// The same, with what `keep` makes of each record, and the bytes that this takes. Error:
    /// `too_long` (validation) where all of them take more than [`limits`] lets a list take.
    pub async fn all_as<T>(
        &self,
        select: &Select,
        keep: impl Fn(&RawValue) -> (T, usize) + Sync,
    ) -> Result<(Vec<T>, u64)> {
        let mut calls = 0;
        for _ in 0..READINGS {
            let Some(kept) = self.reading(select, &keep, &mut calls).await? else { continue };
            if (kept.len() as u64) < QUERY_ROWS {
                return Ok((kept, calls));
            }
            calls += 1;
            if self.count(select).await? == kept.len() as u64 {
                return Ok((kept, calls));
            }
        }
        Err(Error::new(
            Category::Network,
            "moving_list",
            format!("QuickBooks: the list of {} changed while it was read", select.kind),
        )
        .hint("It is tried again by itself."))
    }

    /// One reading of a list, page after page. None: it moved under it.
    async fn reading<T>(
        &self,
        select: &Select,
        keep: &(impl Fn(&RawValue) -> (T, usize) + Sync),
        calls: &mut u64,
    ) -> Result<Option<Vec<T>>> {
        // Without an order QuickBooks promises none, which only matters beyond the first page.
        let ordered = Select { order: select.order.or(Some(CREATED)), ..select.clone() };
        let mut select = select;
        let mut kept: Vec<T> = Vec::new();
        let mut last: Option<String> = None;
        let mut bytes = 0;
        let mut guard = WalkGuard::default();
        loop {
            let start = (kept.len() as u64).saturating_sub(1);
            let page = self.rows(select, start, QUERY_ROWS).await?;
            *calls += page.calls();
            let mut rows = page.rows()?;
            let full = page.full;
            if full && select.order.is_none() {
                select = &ordered;
                continue;
            }
            if last.is_some() {
                if rows.first().and_then(|raw| id_of(raw)) != last {
                    return Ok(None);
                }
                rows.remove(0);
            }
            let now_last = rows.last().and_then(|raw| id_of(raw));
            guard.page(rows.len(), now_last.is_some() && now_last != last)?;
            for raw in &rows {
                let (what, size) = keep(raw);
                bytes += size;
                kept.push(what);
            }
            if bytes > LISTED_BYTES {
                return Err(too_long(select.kind));
            }
            if !full {
                return Ok(Some(kept));
            }
            last = now_last;
        }
    }
}

/// A record's id, without reading the rest of it into memory.
pub(super) fn id_of(raw: &RawValue) -> Option<String> {
    let members = reply::object(raw.get())?;
    let id = members.get("Id")?;
    Some(id.get().trim_matches('"').to_owned()).filter(|id| !id.is_empty())
}
