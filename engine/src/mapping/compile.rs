//! Turns rules into a program: paths into a tree of members, targets into column numbers,
//! transforms into a chain. Done once; a page of records only runs it.

use super::path::{Alternative, Part, Path, Source, Step};
use super::pipeline;
use super::program::{
    Candidate, Fetch, LineProgram, Node, Op, Piece, Program, TableProgram, Target,
};
use super::rule::{Problem, Rule};
use super::transform::{Gives, Transform};
use super::{cell, value::Val};
use crate::model::{Cell, ColumnKind, Table, TableId};
use std::borrow::Cow;

/// What a program is compiled for.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub table: TableId,
    pub lines: Option<TableId>,
    /// Targets that rules may not change: identity.
    pub fixed: &'static [&'static str],
    /// What the connector adds to a record: names that may follow a `$`.
    pub context: &'static [&'static str],
}

/// A rule, read.
struct Parsed<'r> {
    rule: &'r Rule,
    table: &'static Table,
    column: usize,
    key: Option<Box<str>>,
    source: Option<Source>,
    chain: Vec<Transform>,
    default: Option<Cell>,
}

/// Compiles the rules in force; else every problem.
pub fn compile(shape: &Shape, rules: &[Rule]) -> Result<Program, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut header = Vec::new();
    let mut lines = Vec::new();
    for rule in rules {
        let before = problems.len();
        match parse(shape, rule, &mut problems) {
            Some((true, parsed)) if problems.len() == before => lines.push(parsed),
            Some((false, parsed)) if problems.len() == before => header.push(parsed),
            _ => {}
        }
    }
    clashes(&header, &mut problems);
    clashes(&lines, &mut problems);
    missing(shape.table.table(), &header, "", rules, &mut problems);
    if let Some(table) = shape.lines {
        missing(table.table(), &lines, "lines[].", rules, &mut problems);
    }
    let mut lines = match shape.lines {
        Some(table) => line_programs(table, lines, &mut problems),
        None => vec![],
    };
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut header = table_program(shape.table, header, None);
    for line in &mut lines {
        line.slot = header.tree.slot(&[Step::Key(line.array.clone())], &mut header.slots);
    }
    header.tree.seal();
    Ok(Program { header, lines })
}

fn parse<'r>(
    shape: &Shape,
    rule: &'r Rule,
    problems: &mut Vec<Problem>,
) -> Option<(bool, Parsed<'r>)> {
    if rule.origin != super::Origin::Default && shape.fixed.contains(&rule.target.as_str()) {
        let hint = format!("Not to be changed: {}.", shape.fixed.join(", "));
        let message = format!("\"{}\" is what a record is known by", rule.target);
        problems.push(Problem::error("fixed_target", message, hint).of(rule));
        return None;
    }
    let (is_line, name) = match rule.target.strip_prefix("lines[].") {
        Some(name) => (true, name),
        None => (false, rule.target.as_str()),
    };
    let Some((table, column, key)) = target(shape, is_line, name) else {
        problems.push(unknown_target(shape, rule));
        return None;
    };
    let kind = table.columns[column].kind;
    let source = rule.source.as_deref().and_then(|text| source(shape, text, rule, problems));
    let chain = match rule.transform.as_deref().map(pipeline::parse) {
        None => vec![],
        Some(Ok(chain)) => chain,
        Some(Err(message)) => {
            let hint = "SELECT name, arguments, example FROM easysync.transforms();";
            problems.push(Problem::error("bad_transform", message, hint).of(rule));
            vec![]
        }
    };
    if key.is_none() {
        check_type(rule, kind, source.as_ref(), &chain, problems);
    }
    let default = rule.default.as_ref().and_then(|value| {
        default_cell(value, kind, key.is_some())
            .map_err(|reason| {
                let message = format!("the default of \"{}\" {reason}", rule.target);
                let hint = format!("The column holds {}.", cell::words(kind));
                problems.push(Problem::error("bad_default", message, hint).of(rule));
            })
            .ok()
    });
    Some((is_line, Parsed { rule, table, column, key, source, chain, default }))
}

type Found = (&'static Table, usize, Option<Box<str>>);

fn target(shape: &Shape, is_line: bool, name: &str) -> Option<Found> {
    let table = if is_line { shape.lines? } else { shape.table }.table();
    if let Some(column) = table.column(name) {
        return Some((table, column, None));
    }
    let (column, key) = name.split_once('.')?;
    let column = table.column(column)?;
    // Lists (`taxes`, `shipping_lines`) are written whole.
    let is_object = matches!(table.columns[column].kind, ColumnKind::Json)
        && (table.columns[column].name == "attributes"
            || table.columns[column].name.ends_with("address"));
    (is_object && !key.is_empty()).then(|| (table, column, Some(key.into())))
}

fn unknown_target(shape: &Shape, rule: &Rule) -> Problem {
    let names = |table: TableId| {
        table.table().columns.iter().map(|c| c.name).collect::<Vec<_>>().join(", ")
    };
    let mut hint = format!(
        "Columns: {}; and <column>.<key> in attributes, billing_address, shipping_address.",
        names(shape.table)
    );
    if let Some(lines) = shape.lines {
        hint.push_str(&format!(" Of lines (lines[].<column>): {}.", names(lines)));
    }
    let message = format!("unknown target \"{}\"", rule.target);
    Problem::error("unknown_target", message, hint).of(rule)
}

fn source(shape: &Shape, text: &str, rule: &Rule, problems: &mut Vec<Problem>) -> Option<Source> {
    const HINT: &str = "Paths: billing.email, refunds[].total, meta_data[key=po].value, \
        {first_name} {last_name}, a ?? b, $currency.";
    let source = match Source::parse(text) {
        Ok(source) => source,
        Err(message) => {
            let message = format!("the source \"{text}\" can't be read: {message}");
            problems.push(Problem::error("bad_path", message, HINT).of(rule));
            return None;
        }
    };
    let mut known = true;
    for name in source.paths().filter_map(|path| path.context.as_deref()) {
        if !shape.context.contains(&name) {
            known = false;
            let hint = format!("There are: ${}.", shape.context.join(", $"));
            let message = format!("\"${name}\" isn't known here");
            problems.push(Problem::error("unknown_context", message, hint).of(rule));
        }
    }
    known.then_some(source)
}

/// The kind that a chain certainly gives must fit the column.
fn check_type(
    rule: &Rule,
    kind: ColumnKind,
    source: Option<&Source>,
    chain: &[Transform],
    problems: &mut Vec<Problem>,
) {
    let gives = chain.iter().rev().map(Transform::gives).find(|gives| *gives != Gives::Same);
    let fits = match (gives, kind) {
        (None, _) => true,
        (Some(Gives::Json), kind) => matches!(kind, ColumnKind::Json),
        (Some(Gives::Time), kind) => {
            matches!(kind, ColumnKind::Time | ColumnKind::Date | ColumnKind::Text)
        }
        (Some(Gives::Bool), kind) => {
            matches!(kind, ColumnKind::Bool | ColumnKind::Text | ColumnKind::Json)
        }
        (Some(Gives::Number), kind) => {
            !matches!(kind, ColumnKind::Time | ColumnKind::Date | ColumnKind::Bool)
        }
        // Text may hold a number or a time: that shows on the record.
        (Some(Gives::Text | Gives::Same), _) => true,
    };
    if !fits {
        let message = format!(
            "\"{}\" doesn't give what \"{}\" holds",
            rule.transform.as_deref().unwrap_or_default(),
            rule.target
        );
        let hint = format!("The column holds {}.", cell::words(kind));
        problems.push(Problem::error("type_mismatch", message, hint).of(rule));
    }
    let lists = |path: &Path| {
        let own = usize::from(rule.target.starts_with("lines[]."));
        path.steps.iter().filter(|step| **step == Step::All).count() > own
    };
    let reduced = chain.iter().any(|t| {
        use Transform::{Concat, Count, First, Json, Last, Sum};
        matches!(t, Concat(_) | Count | First | Json | Last | Sum)
    });
    if !matches!(kind, ColumnKind::Json)
        && !reduced
        && source.is_some_and(|source| source.paths().any(lists))
    {
        let message = format!("\"{}\" is one value, its source is a list", rule.target);
        let hint = "Add sum, count, first, last or concat to the transform.";
        problems.push(Problem::error("type_mismatch", message, hint).of(rule));
    }
}

fn default_cell(value: &serde_json::Value, kind: ColumnKind, keyed: bool) -> Result<Cell, String> {
    let text = value.to_string();
    let raw = serde_json::value::RawValue::from_string(text).map_err(|e| e.to_string())?;
    let val = super::value::read(&raw).map_err(Cow::into_owned)?;
    if keyed {
        return cell::keyed(&val).map(Cell::Json).map_err(Cow::into_owned);
    }
    match val {
        // A default means what it says: "" is an empty text.
        Val::Text(text) if matches!(kind, ColumnKind::Text) => Ok(Cell::Text(text.into_owned())),
        val => cell::make(val, kind).map_err(Cow::into_owned),
    }
}

fn clashes(parsed: &[Parsed<'_>], problems: &mut Vec<Problem>) {
    for rule in parsed.iter().filter(|p| p.key.is_some() && p.source.is_some()) {
        let whole = |p: &&Parsed<'_>| {
            p.key.is_none()
                && p.column == rule.column
                && (p.source.is_some() || p.default.is_some())
        };
        if let Some(other) = parsed.iter().find(whole) {
            let message =
                format!("\"{}\" and \"{}\" both write it", other.rule.target, rule.rule.target);
            let hint = "Switch one off with \"source\": null.";
            problems.push(Problem::error("target_clash", message, hint).of(rule.rule));
        }
    }
}

/// Columns that can't be null need a rule that fills them.
fn missing(
    table: &'static Table,
    parsed: &[Parsed<'_>],
    prefix: &str,
    rules: &[Rule],
    problems: &mut Vec<Problem>,
) {
    for (i, column) in table.columns.iter().enumerate() {
        // An object without members is `{}`.
        if !column.not_null || column.name == "attributes" {
            continue;
        }
        let filled =
            parsed.iter().any(|p| p.column == i && (p.source.is_some() || p.default.is_some()));
        let target = format!("{prefix}{}", column.name);
        let faulty = problems.iter().any(|p| p.target_path.as_deref() == Some(&target));
        if filled || faulty {
            continue;
        }
        let mut problem = Problem::error(
            "missing_target",
            format!("\"{target}\" can't be empty and nothing fills it"),
            "Give the rule a source or a default.",
        );
        problem.target_path = Some(target.clone());
        problem.source_path =
            rules.iter().find(|r| r.target == target).and_then(|r| r.source.clone());
        problems.push(problem);
    }
}

fn table_program(table: TableId, parsed: Vec<Parsed<'_>>, array: Option<&str>) -> TableProgram {
    let mut tree = Node::default();
    let mut slots = 0;
    let mut ops: Vec<Op> = parsed
        .iter()
        .filter(|p| p.source.is_some() || p.default.is_some())
        .map(|p| Op {
            target: Target { column: p.column, key: p.key.clone() },
            name: p.rule.target.as_str().into(),
            kind: p.table.columns[p.column].kind,
            not_null: p.table.columns[p.column].not_null && p.key.is_none(),
            candidates: candidates(p.source.as_ref(), array, &mut tree, &mut slots),
            chain: p.chain.clone(),
            default: p.default.clone(),
            required: p.rule.required,
        })
        .collect();
    // Members of one object follow each other, in order of their names: a canonical form.
    ops.sort_by(|a, b| (a.target.column, &a.target.key).cmp(&(b.target.column, &b.target.key)));
    tree.seal();
    TableProgram { table, tree, slots, ops }
}

/// One program for each array that lines come from, in the order in which rules name them.
fn line_programs(
    table: TableId,
    parsed: Vec<Parsed<'_>>,
    problems: &mut Vec<Problem>,
) -> Vec<LineProgram> {
    let mut arrays: Vec<Box<str>> = Vec::new();
    for rule in &parsed {
        for path in rule.source.iter().flat_map(Source::paths) {
            match (&path.context, path.steps.as_slice()) {
                (Some(_), _) => {}
                (None, [Step::Key(name), Step::All, ..]) => {
                    if !arrays.contains(name) {
                        arrays.push(name.clone());
                    }
                }
                _ => problems.push(
                    Problem::error(
                        "bad_path",
                        "the source of a line's column must begin with its list",
                        "As in line_items[].price, or $line_number.",
                    )
                    .of(rule.rule),
                ),
            }
        }
    }
    let program = |array: Box<str>| {
        let copies = parsed
            .iter()
            .map(|p| Parsed {
                rule: p.rule,
                table: p.table,
                column: p.column,
                key: p.key.clone(),
                source: p.source.clone(),
                chain: p.chain.clone(),
                default: p.default.clone(),
            })
            .collect();
        LineProgram { program: table_program(table, copies, Some(&array)), array, slot: 0 }
    };
    arrays.into_iter().map(program).collect()
}

fn candidates(
    source: Option<&Source>,
    array: Option<&str>,
    tree: &mut Node,
    slots: &mut usize,
) -> Vec<Candidate> {
    let mut out = Vec::new();
    for alternative in source.iter().flat_map(|source| &source.alternatives) {
        let mut add = |path: &Path| fetch(path, array, tree, slots);
        match alternative {
            Alternative::Path(path) => out.extend(add(path).map(Candidate::Path)),
            Alternative::Template(parts) => {
                let pieces = parts
                    .iter()
                    .filter_map(|part| match part {
                        Part::Literal(text) => Some(Piece::Literal(text.clone())),
                        Part::Path(path) => add(path).map(Piece::Path),
                    })
                    .collect();
                out.push(Candidate::Template(pieces));
            }
        }
    }
    out
}

/// Members that a path begins with go into the tree, so that a record is read in one pass; the
/// rest of the path is walked from there. None: the path belongs to another list.
fn fetch(path: &Path, array: Option<&str>, tree: &mut Node, slots: &mut usize) -> Option<Fetch> {
    if let Some(name) = &path.context {
        return Some(Fetch::Context(name.clone(), path.steps.clone()));
    }
    let steps = match array {
        None => path.steps.as_slice(),
        Some(array) => match path.steps.as_slice() {
            [Step::Key(name), Step::All, rest @ ..] if name.as_ref() == array => rest,
            _ => return None,
        },
    };
    let keys = steps.iter().take_while(|step| matches!(step, Step::Key(_))).count();
    let slot = tree.slot(&steps[..keys], slots);
    let rest = steps[keys..].to_vec();
    Some(Fetch::Record { slot, list: rest.contains(&Step::All), rest })
}
