//! A compiled mapping: reads a record's JSON in one pass, and makes rows of it.

use super::cell;
use super::path::Step;
use super::transform::{Transform, to_text};
use super::value::{self, Reason, Val, walk};
use crate::limits::{self, LINES};
use crate::model::{Cell, ColumnKind, Row, TableId};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Errors of a record beyond which it isn't read on: a handful is shown.
const MOST_ERRORS: usize = 100;

/// A mapping that is ready to run.
#[derive(Debug)]
pub struct Program {
    pub(super) header: TableProgram,
    pub(super) lines: Vec<LineProgram>,
}

#[derive(Debug)]
pub(super) struct TableProgram {
    pub table: TableId,
    pub tree: Node,
    pub slots: usize,
    pub ops: Vec<Op>,
}

/// Rows from the elements of one array.
#[derive(Debug)]
pub(super) struct LineProgram {
    pub array: Box<str>,
    /// Where the header's reading leaves the array.
    pub slot: usize,
    pub program: TableProgram,
}

#[derive(Debug)]
pub(super) struct Op {
    pub target: Target,
    pub name: Box<str>,
    pub kind: ColumnKind,
    pub not_null: bool,
    pub candidates: Vec<Candidate>,
    pub chain: Vec<Transform>,
    pub default: Option<Cell>,
    pub required: bool,
}

#[derive(Debug)]
pub(super) struct Target {
    pub column: usize,
    pub key: Option<Box<str>>,
}

#[derive(Debug)]
pub(super) enum Candidate {
    Path(Fetch),
    Template(Vec<Piece>),
}

#[derive(Debug)]
pub(super) enum Piece {
    Literal(Box<str>),
    Path(Fetch),
}

#[derive(Debug)]
pub(super) enum Fetch {
    Record { slot: usize, rest: Vec<Step>, list: bool },
    Context(Box<str>, Vec<Step>),
}

/// Members that rules ask for, as a tree; sorted once it is complete.
#[derive(Debug, Default)]
pub(super) struct Node {
    slot: Option<usize>,
    members: Vec<(Box<str>, Node)>,
}

impl Node {
    /// The slot of a path, made on first use.
    pub fn slot(&mut self, keys: &[Step], slots: &mut usize) -> usize {
        match keys.split_first() {
            Some((Step::Key(key), rest)) => {
                let found = self.members.iter().position(|(name, _)| name == key);
                let i = found.unwrap_or_else(|| {
                    self.members.push((key.clone(), Node::default()));
                    self.members.len() - 1
                });
                self.members[i].1.slot(rest, slots)
            }
            _ => *self.slot.get_or_insert_with(|| {
                *slots += 1;
                *slots - 1
            }),
        }
    }

    pub fn seal(&mut self) {
        // By length first: most names of a record differ from those wanted in that already.
        self.members.sort_by(|a, b| (a.0.len(), &a.0).cmp(&(b.0.len(), &b.0)));
        self.members.iter_mut().for_each(|(_, node)| node.seal());
    }

    fn member(&self, name: &str) -> Option<&Node> {
        let wanted = (name.len(), name);
        let found =
            self.members.binary_search_by(|(key, _)| (key.len(), key.as_ref()).cmp(&wanted));
        found.ok().map(|i| &self.members[i].1)
    }

    /// Fills the slots from a piece of JSON.
    fn fill<'a>(&self, raw: &'a RawValue, slots: &mut [Option<&'a RawValue>]) {
        if let Some(slot) = self.slot {
            slots[slot] = Some(raw);
        }
        if !self.members.is_empty() && raw.get().starts_with('{') {
            let mut json = serde_json::Deserializer::from_str(raw.get());
            // A RawValue is whole JSON already; what can't be decoded (half a surrogate pair in a
            // member's name) ends the reading, and what is required shows as missing.
            let _ = json.deserialize_map(Filler { node: self, slots });
        }
    }
}

/// Reads an object's members into the slots that want them, in one pass.
struct Filler<'n, 's, 'a> {
    node: &'n Node,
    slots: &'s mut [Option<&'a RawValue>],
}

impl<'a> Visitor<'a> for Filler<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(found) = map.next_key_seed(Lookup(self.node))? {
            match found {
                None => drop(map.next_value::<IgnoredAny>()?),
                Some(node) if node.slot.is_some() => {
                    node.fill(map.next_value()?, self.slots);
                }
                Some(node) => map.next_value_seed(Filler { node, slots: self.slots })?,
            }
        }
        Ok(())
    }

    // PHP writes an empty object as []; anything else than an object has no members.
    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
}

impl<'a> DeserializeSeed<'a> for Filler<'_, '_, 'a> {
    type Value = ();
    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// Compares a member's name with what is wanted, without keeping it.
struct Lookup<'n>(&'n Node);

impl<'n, 'de> DeserializeSeed<'de> for Lookup<'n> {
    type Value = Option<&'n Node>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'n> Visitor<'_> for Lookup<'n> {
    type Value = Option<&'n Node>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }
    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.member(name))
    }
}

/// What the connector adds to a record: `$currency`, `$parent`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'a> {
    pub texts: &'a [(&'a str, &'a str)],
    pub records: &'a [(&'a str, &'a RawValue)],
}

/// A mapped record.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapped {
    pub row: Row,
    pub lines: Vec<Row>,
}

/// A field that couldn't be mapped; without its value, which may be personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The rule's target; of a line with its number: `lines[2].total`.
    pub target: String,
    pub reason: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.target, self.reason)
    }
}

impl Program {
    /// Maps one record; else every field that can't be what its column wants.
    pub fn run(&self, record: &RawValue, context: &Context<'_>) -> Result<Mapped, Vec<FieldError>> {
        if record.get().len() > limits::RECORD_BYTES {
            let reason = format!("is larger than {} bytes", limits::RECORD_BYTES);
            return Err(vec![FieldError { target: "the record".into(), reason }]);
        }
        let mut errors = Vec::new();
        let mut slots = vec![None; self.header.slots];
        let row = self.header.run(record, context, None, &mut slots, &mut errors);
        let mut lines = Vec::new();
        for line in &self.lines {
            let Some(array) = slots[line.slot] else { continue };
            let elements = value::elements(array.get());
            // A line takes hundreds of bytes in memory, a `{}` in the record two.
            if lines.len() + elements.len() > LINES {
                let reason = format!("holds more than {LINES} lines");
                errors.push(FieldError { target: line.array.to_string(), reason });
                break;
            }
            let mut slots = vec![None; line.program.slots];
            for element in elements {
                let number = lines.len() + 1;
                let at = Some((line.array.as_ref(), number));
                slots.fill(None);
                lines.push(line.program.run(element, context, at, &mut slots, &mut errors));
                if errors.len() >= MOST_ERRORS {
                    break;
                }
            }
        }
        if errors.is_empty() { Ok(Mapped { row, lines }) } else { Err(errors) }
    }
}

/// List and number of a line.
type At<'a> = Option<(&'a str, usize)>;

impl TableProgram {
    /// `slots` are empty, and hold what was read afterwards.
    fn run<'a>(
        &self,
        record: &'a RawValue,
        context: &Context<'a>,
        at: At<'_>,
        slots: &mut [Option<&'a RawValue>],
        errors: &mut Vec<FieldError>,
    ) -> Row {
        self.tree.fill(record, slots);
        let scope = Scope { slots, context, at };
        let columns = self.table.table().columns;
        let mut cells = vec![Cell::Unset; columns.len()];
        for op in &self.ops {
            if cells[op.target.column] == Cell::Unset {
                cells[op.target.column] = Cell::Null;
            }
            let cell = op.run(&scope).and_then(|cell| {
                limits::check(&columns[op.target.column], &cell)?;
                Ok(cell)
            });
            match cell {
                Ok(cell) => op.put(cell, &mut cells[op.target.column]),
                Err(reason) => errors.push(FieldError {
                    target: match at {
                        None => op.name.to_string(),
                        Some((_, n)) => op.name.replacen("lines[]", &format!("lines[{n}]"), 1),
                    },
                    reason: reason.into_owned(),
                }),
            }
        }
        for (cell, column) in cells.iter_mut().zip(columns) {
            match cell {
                Cell::Json(json) if json.starts_with('\u{1}') => {
                    json.replace_range(..1, "{");
                    json.push('}');
                }
                // Every member was absent.
                Cell::Null if column.name == "attributes" => *cell = Cell::Json("{}".into()),
                _ => {}
            }
        }
        Row { table: self.table, cells }
    }
}

struct Scope<'s, 'a> {
    slots: &'s [Option<&'a RawValue>],
    context: &'s Context<'a>,
    at: At<'s>,
}

impl Op {
    fn run(&self, scope: &Scope<'_, '_>) -> Result<Cell, Reason> {
        for candidate in &self.candidates {
            let mut val = candidate.get(scope)?;
            for transform in &self.chain {
                val = transform.apply(val)?;
            }
            if val.is_absent() {
                continue;
            }
            let cell = match self.target.key {
                None => cell::make(val, self.kind)?,
                Some(_) => Cell::Json(cell::keyed(&val)?),
            };
            if cell != Cell::Null {
                return Ok(cell);
            }
        }
        match &self.default {
            Some(cell) => Ok(cell.clone()),
            None if self.required || self.not_null => Err("is missing".into()),
            None => Ok(Cell::Null),
        }
    }

    /// Into its column, or as a member of the object there. An object in the making begins with
    /// U+0001, which no JSON text begins with.
    fn put(&self, cell: Cell, slot: &mut Cell) {
        match (&self.target.key, cell) {
            (None, cell) => *slot = cell,
            (Some(key), Cell::Json(json)) => {
                if !matches!(slot, Cell::Json(_)) {
                    *slot = Cell::Json("\u{1}".into());
                }
                if let Cell::Json(out) = slot {
                    if out.len() > 1 {
                        out.push(',');
                    }
                    super::json::text(key, out);
                    out.push(':');
                    out.push_str(&json);
                }
            }
            (Some(_), _) => {}
        }
    }
}

impl Candidate {
    fn get<'a>(&self, scope: &Scope<'_, 'a>) -> Result<Val<'a>, Reason> {
        match self {
            Candidate::Path(fetch) => fetch.get(scope),
            Candidate::Template(pieces) => {
                let mut out = String::new();
                let (mut any, mut last, mut pending) = (false, false, "");
                for piece in pieces {
                    match piece {
                        Piece::Literal(text) => pending = text,
                        Piece::Path(fetch) => {
                            let val = fetch.get(scope)?;
                            last = !val.is_absent();
                            if !last {
                                continue;
                            }
                            // A separator stands between two values only; what the template
                            // begins with stands before the first.
                            if any
                                || matches!(pieces.first(), Some(Piece::Literal(first)) if first.as_ref() == pending)
                            {
                                out.push_str(pending);
                            }
                            out.push_str(&to_text(val)?);
                            any = true;
                            pending = "";
                        }
                    }
                }
                if !any {
                    return Ok(Val::Null);
                }
                // So does what it ends with, behind the last.
                if last && matches!(pieces.last(), Some(Piece::Literal(_))) {
                    out.push_str(pending);
                }
                Ok(Val::Text(Cow::Owned(out)))
            }
        }
    }
}

impl Fetch {
    fn get<'a>(&self, scope: &Scope<'_, 'a>) -> Result<Val<'a>, Reason> {
        match self {
            Fetch::Record { slot, rest, list } => {
                let Some(raw) = scope.slots[*slot] else {
                    return Ok(if *list { Val::List(vec![]) } else { Val::Null });
                };
                if rest.is_empty() { value::read(raw) } else { walked(raw, rest, *list) }
            }
            Fetch::Context(name, steps) => scope.context(name, steps),
        }
    }
}

fn walked<'a>(raw: &'a RawValue, steps: &[Step], list: bool) -> Result<Val<'a>, Reason> {
    let mut found = Vec::new();
    walk(raw, steps, &mut found);
    if list {
        return found.into_iter().map(value::read).collect::<Result<_, _>>().map(Val::List);
    }
    found.first().map_or(Ok(Val::Null), |raw| value::read(raw))
}

impl<'a> Scope<'_, 'a> {
    fn context(&self, name: &str, steps: &[Step]) -> Result<Val<'a>, Reason> {
        match (name, self.at) {
            ("line_number", Some((_, number))) => return Ok(Val::Int(number as i64)),
            ("list", Some((array, _))) => return Ok(Val::Text(Cow::Owned(array.to_owned()))),
            _ => {}
        }
        if let Some((_, text)) = self.context.texts.iter().find(|(known, _)| *known == name) {
            return Ok(Val::Text(Cow::Borrowed(text)));
        }
        match self.context.records.iter().find(|(known, _)| *known == name) {
            Some((_, raw)) => walked(raw, steps, steps.contains(&Step::All)),
            None => Ok(Val::Null),
        }
    }
}

/// A page of records, each as it was written; no element is judged yet.
pub fn split_page(body: &str) -> Result<Vec<&RawValue>, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(body);
    let page = Vec::<&RawValue>::deserialize(&mut json)?;
    json.end()?;
    Ok(page)
}
