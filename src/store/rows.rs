//! Hub rows: new ones by COPY where that is allowed, else by one INSERT; changed ones by one UPDATE.

use super::copy::{self, CopyBuffer};
use super::diff::Fields;
use super::hub::Relation;
use super::spi::{Arg, required};
use crate::error::{DbError, DbResult};
use engine::model::{Cell, ColumnKind, Entity, Row, Table};
use std::collections::{HashMap, HashSet};

/// Hub ids of what the rows of a batch refer to.
#[derive(Default)]
pub struct References {
    pub documents: HashMap<(Entity, String), i64>,
    /// Order lines by their order's hub id and their remote id.
    pub lines: HashMap<(i64, String), i64>,
}

/// A row on its way into a table.
pub struct Outgoing<'a> {
    /// Hub id; None: the table's default (lines).
    pub id: Option<i64>,
    /// Hub id of the document that a line belongs to.
    pub parent: Option<i64>,
    pub row: &'a Row,
    /// The order whose lines `LineRef` cells mean.
    pub line_scope: Option<i64>,
}

/// Where rows go: the table, with the constants of every row.
pub struct Target<'a> {
    pub relation: &'a Relation,
    pub table: &'static Table,
    pub tenant: &'a str,
    pub connection: &'a str,
    pub references: &'a References,
}

impl Target<'_> {
    /// The text of a cell as the column's type reads it; None: null.
    pub(super) fn value(&self, outgoing: &Outgoing<'_>, column: usize) -> Option<String> {
        match (&outgoing.row.cells[column], self.table.columns[column].kind) {
            (Cell::Unset | Cell::Null, _) => None,
            (Cell::Text(text) | Cell::Json(text), _) => Some(text.clone()),
            (Cell::Decimal(value), _) => Some(value.to_string()),
            (Cell::Int(value), _) => Some(value.to_string()),
            (Cell::Bool(value), _) => Some(if *value { "t" } else { "f" }.into()),
            (Cell::Time(value), _) => Some(value.to_string()),
            (Cell::Date(value), _) => Some(value.to_string()),
            (Cell::Ref(id), ColumnKind::Ref(entity)) => {
                self.references.documents.get(&(entity, id.clone())).map(ToString::to_string)
            }
            (Cell::Ref(id), ColumnKind::LineRef) => {
                let scope = outgoing.line_scope?;
                self.references.lines.get(&(scope, id.clone())).map(ToString::to_string)
            }
            (Cell::Ref(_), _) => None,
        }
    }

    /// Columns that the rows set, in the table's order.
    pub(super) fn set_columns(&self, mask: u64) -> Vec<usize> {
        (0..self.table.columns.len()).filter(|column| mask & (1 << column) != 0).collect()
    }

    /// Rows that set the same columns go together.
    pub(super) fn groups<'r, 'a>(
        &self,
        rows: &'r [Outgoing<'a>],
    ) -> Vec<(u64, Vec<&'r Outgoing<'a>>)> {
        let mut groups: Vec<(u64, Vec<&Outgoing<'a>>)> = vec![];
        for outgoing in rows {
            let mask = outgoing
                .row
                .cells
                .iter()
                .enumerate()
                .filter(|(_, cell)| **cell != Cell::Unset)
                .fold(0u64, |mask, (column, _)| mask | 1 << column);
            match groups.iter_mut().find(|(known, _)| *known == mask) {
                Some((_, group)) => group.push(outgoing),
                None => groups.push((mask, vec![outgoing])),
            }
        }
        groups
    }

    /// Names of the columns before the mapped ones.
    fn leading(&self, with_id: bool) -> Vec<&'static str> {
        let mut names = vec!["tenant_id"];
        if with_id {
            names.push("id");
        }
        match self.table.parent_column {
            Some(parent) => names.push(parent),
            None => names.push("source_connection"),
        }
        names
    }

    /// Inserts rows that are all new. An error where a trigger left one out, or gave it another key:
    /// what is written counts only when it is there.
    pub fn insert(&self, rows: &[Outgoing<'_>]) -> DbResult<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let may_copy = self.relation.may_copy()?;
        for (mask, group) in self.groups(rows) {
            let landed = match may_copy {
                true => self.copy(mask, &group)?,
                false => self.insert_by_statement(mask, &group)?,
            };
            if landed < group.len() {
                return Err(DbError::swallowed(&self.relation.qualified(), "INSERT"));
            }
        }
        match copy::may_be_rewritten(self.relation.oid) {
            true => self.check_landed(rows),
            false => Ok(()),
        }
    }

    /// Are rows there by the keys that they were given?
    fn check_landed(&self, rows: &[Outgoing<'_>]) -> DbResult<()> {
        let with_id = rows.iter().all(|row| row.id.is_some());
        let keys = rows.iter().map(|row| if with_id { row.id } else { row.parent }).collect();
        let sql = format!(
            "select count(*) from {} where tenant_id = $1 and {} = any ($2)",
            self.relation.qualified(),
            if with_id { "id" } else { self.table.parent_column.unwrap_or("id") },
        );
        let args = [self.tenant.into(), Arg::Ints(keys)];
        let found = self.relation.rows(&sql, &args, |row| required::<i64>(row, 1))?;
        let found = found.first().and_then(|count| usize::try_from(*count).ok());
        if found.unwrap_or(0) < rows.len() {
            return Err(DbError::swallowed(&self.relation.qualified(), "INSERT"));
        }
        Ok(())
    }

    fn copy(&self, mask: u64, rows: &[&Outgoing<'_>]) -> DbResult<usize> {
        let with_id = rows.iter().all(|row| row.id.is_some());
        let columns = self.set_columns(mask);
        let mut names = self.leading(with_id);
        names.extend(columns.iter().map(|column| self.table.columns[*column].name));
        let mut buffer = CopyBuffer::default();
        for outgoing in rows {
            buffer.text(self.tenant);
            if let (true, Some(id)) = (with_id, outgoing.id) {
                buffer.text(&id.to_string());
            }
            match outgoing.parent {
                Some(parent) => buffer.text(&parent.to_string()),
                None => buffer.text(self.connection),
            }
            for column in &columns {
                match &outgoing.row.cells[*column] {
                    // The long ones, without a copy.
                    Cell::Text(text) | Cell::Json(text) => buffer.text(text),
                    _ => buffer.optional(self.value(outgoing, *column).as_deref()),
                }
            }
            buffer.end_row();
        }
        let landed = self.relation.copy(&buffer, &names)?;
        Ok(usize::try_from(landed).unwrap_or(usize::MAX))
    }

    fn insert_by_statement(&self, mask: u64, rows: &[&Outgoing<'_>]) -> DbResult<usize> {
        let with_id = rows.iter().all(|row| row.id.is_some());
        let columns = self.set_columns(mask);
        let mut names = self.leading(with_id);
        let leading = names.len();
        names.extend(columns.iter().map(|column| self.table.columns[*column].name));
        let selected: Vec<String> = names
            .iter()
            .enumerate()
            .map(|(at, name)| match at {
                _ if at < leading && (*name == "id" || self.table.parent_column == Some(*name)) => {
                    format!("u.{name}::bigint")
                }
                _ if at < leading => format!("u.{name}"),
                _ => format!("u.{name}::{}", type_name(self.table, columns[at - leading])),
            })
            .collect();
        let parameters: Vec<String> =
            (1..=names.len()).map(|number| format!("${number}::text[]")).collect();
        let sql = format!(
            "insert into {} ({names}) overriding system value select {} from unnest({}) as u ({names})",
            self.relation.qualified(),
            selected.join(", "),
            parameters.join(", "),
            names = names.join(", "),
        );
        let constant = |text: &str| Arg::Texts(vec![Some(text.to_owned()); rows.len()]);
        let mut args = vec![constant(self.tenant)];
        if with_id {
            args.push(Arg::Texts(rows.iter().map(|r| r.id.map(|id| id.to_string())).collect()));
        }
        args.push(match self.table.parent_column {
            Some(_) => Arg::Texts(rows.iter().map(|r| r.parent.map(|id| id.to_string())).collect()),
            None => constant(self.connection),
        });
        for column in &columns {
            args.push(Arg::Texts(rows.iter().map(|r| self.value(r, *column)).collect()));
        }
        self.relation.run(&sql, &args)
    }

    /// Updates rows by hub id, in key order; returns the ids that were there.
    pub fn update(&self, rows: &[Outgoing<'_>]) -> DbResult<Vec<i64>> {
        let mut updated = vec![];
        for (mask, mut group) in self.groups(rows) {
            group.sort_by_key(|row| row.id);
            let columns = self.set_columns(mask);
            let sql = self.update_statement(&columns);
            let args = self.update_args(&columns, &group);
            updated.extend(self.relation.rows(&sql, &args, |row| required::<i64>(row, 1))?);
        }
        Ok(updated)
    }

    /// The rows of `compared` (what the update changes in each) that are as they should be now: updated,
    /// or left alone by a trigger since nothing differs. An error where a trigger kept a change out.
    pub fn settled(
        &self,
        compared: &HashMap<i64, Fields>,
        updated: Vec<i64>,
    ) -> DbResult<HashSet<i64>> {
        let mut settled: HashSet<i64> = updated.into_iter().collect();
        for (id, fields) in compared {
            if settled.insert(*id) && !fields.is_empty() {
                return Err(DbError::swallowed(&self.relation.qualified(), "UPDATE"));
            }
        }
        Ok(settled)
    }

    /// `$1` tenant, `$2` hub ids, `$3` connection, then one array a column.
    pub(super) fn update_args(&self, columns: &[usize], group: &[&Outgoing<'_>]) -> Vec<Arg> {
        let mut args = vec![
            self.tenant.into(),
            Arg::Ints(group.iter().map(|row| row.id).collect()),
            self.connection.into(),
        ];
        for column in columns {
            args.push(Arg::Texts(group.iter().map(|r| self.value(r, *column)).collect()));
        }
        args
    }

    fn update_statement(&self, columns: &[usize]) -> String {
        let names: Vec<&str> =
            columns.iter().map(|column| self.table.columns[*column].name).collect();
        let mut sets: Vec<String> = columns
            .iter()
            .map(|column| {
                let name = self.table.columns[*column].name;
                format!("{name} = u.{name}::{}", type_name(self.table, *column))
            })
            .collect();
        // A document taken over from somebody else's insert becomes ours; lines have no such column.
        sets.push(match self.table.parent_column {
            None => "source_connection = $3".to_owned(),
            Some(parent) => format!("{parent} = t.{parent}"),
        });
        let parameters: Vec<String> =
            (0..columns.len()).map(|number| format!("${}::text[]", number + 4)).collect();
        format!(
            "update {} as t set {} from unnest($2::bigint[], {}) as u (id, {})
              where t.tenant_id = $1 and t.id = u.id and $3::text is not null returning t.id",
            self.relation.qualified(),
            sets.join(", "),
            parameters.join(", "),
            names.join(", "),
        )
    }
}

pub(super) fn type_name(table: &Table, column: usize) -> &'static str {
    match table.columns[column].kind {
        ColumnKind::Text => "text",
        ColumnKind::Decimal => "numeric",
        ColumnKind::Int => "integer",
        ColumnKind::Bool => "boolean",
        ColumnKind::Time => "timestamptz",
        ColumnKind::Date => "date",
        ColumnKind::Json => "jsonb",
        ColumnKind::Ref(_) | ColumnKind::LineRef => "bigint",
    }
}

/// Moves the table's sequence behind ids that rows were given again.
pub fn reserve_ids(relation: &Relation, highest: i64) -> DbResult<()> {
    relation
        .run(
            "with moved as (
                select pg_catalog.setval(s.name, $2)
                  from (select pg_catalog.pg_get_serial_sequence($1, 'id')::regclass as name) as s
                 where coalesce(pg_catalog.pg_sequence_last_value(s.name), 0) < $2)
             select from moved",
            &[relation.qualified().as_str().into(), highest.into()],
        )
        .map(drop)
}

/// New hub ids from the table's own sequence, in one go.
pub fn new_ids(relation: &Relation, count: usize) -> DbResult<Vec<i64>> {
    if count == 0 {
        return Ok(vec![]);
    }
    relation.rows(
        "with taken as (
             select pg_catalog.nextval(pg_catalog.pg_get_serial_sequence($1, 'id')::regclass) as id
               from pg_catalog.generate_series(1, $2))
         select id from taken",
        &[relation.qualified().as_str().into(), i64::try_from(count).unwrap_or(0).into()],
        |row| required(row, 1),
    )
}
