//! What a write of the store changes in the hub, field by field: `{"path": {"old", "new"}}`, only
//! what differs. The database compares, since it alone knows what two values of its types have in
//! common (`1.0` and `1.00`, two spellings of one JSON).

use super::rows::{Outgoing, Target, type_name};
use super::spi::{self, Arg, required};
use crate::error::{DbError, DbResult};
use engine::model::{Cell, ColumnKind};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Fields by path.
pub type Fields = Map<String, Value>;

/// A row that goes, with all that it holds.
pub struct Removed {
    pub id: i64,
    pub parent: Option<i64>,
    pub source_id: Option<String>,
    pub fields: Fields,
}

/// A value as it is shown: amounts as texts, times in UTC whatever the session's zone is.
fn shown(kind: ColumnKind, expression: &str) -> String {
    match kind {
        ColumnKind::Decimal => format!("to_jsonb(({expression})::text)"),
        ColumnKind::Time => {
            format!("to_jsonb((to_jsonb(({expression}) at time zone 'UTC') #>> '{{}}') || 'Z')")
        }
        _ => format!("to_jsonb({expression})"),
    }
}

/// A row of `values` (path, old, new, moved).
pub fn compared(path: &str, kind: ColumnKind, old: &str, new: &str) -> String {
    format!("('{path}', {}, {}, {old} is distinct from {new})", shown(kind, old), shown(kind, new))
}

/// The same for a time that is only known when it is written: the word `now`.
pub fn later(path: &str, kind: ColumnKind, old: &str) -> String {
    format!("('{path}', {}, to_jsonb('now'::text), true)", shown(kind, old))
}

/// Fields as the database makes them.
pub fn parse(text: &str) -> DbResult<Fields> {
    serde_json::from_str(text)
        .map_err(|e| DbError::new("XX000", format!("fields can't be read: {e}")))
}

impl Target<'_> {
    /// What the rows would change in those that are there, by hub id: empty where nothing differs,
    /// and left out where there is no such row. With `lock` the rows stay as they were compared
    /// until this transaction's end.
    pub fn changed(&self, rows: &[Outgoing<'_>], lock: bool) -> DbResult<HashMap<i64, Fields>> {
        let mut found = HashMap::new();
        for (mask, mut group) in self.groups(rows) {
            group.sort_by_key(|row| row.id);
            let columns = self.set_columns(mask);
            let sql = self.compare_statement(&columns, lock);
            let args = self.update_args(&columns, &group);
            let compared = self.relation.rows(&sql, &args, |row| {
                Ok((required::<i64>(row, 1)?, required::<String>(row, 2)?))
            })?;
            for (id, fields) in compared {
                found.insert(id, parse(&fields)?);
            }
        }
        Ok(found)
    }

    /// Parameters as of [`Target::update`].
    fn compare_statement(&self, columns: &[usize], lock: bool) -> String {
        let mut values: Vec<String> = columns
            .iter()
            .map(|column| {
                let described = &self.table.columns[*column];
                let name = described.name;
                let new = format!("u.{name}::{}", type_name(self.table, *column));
                compared(name, described.kind, &format!("t.{name}"), &new)
            })
            .collect();
        if self.table.parent_column.is_none() {
            values.push(
                "('source_connection', to_jsonb(t.source_connection), to_jsonb($3::text),
                  t.source_connection is distinct from $3)"
                    .to_owned(),
            );
        }
        let names: Vec<&str> = columns.iter().map(|c| self.table.columns[*c].name).collect();
        let parameters: Vec<String> =
            (0..columns.len()).map(|number| format!("${}::text[]", number + 4)).collect();
        let query = format!(
            "select t.id, coalesce((select jsonb_object_agg(v.path, jsonb_build_object('old', v.old, 'new', v.new))
                                      from (values {}) as v (path, old, new, moved) where v.moved), '{{}}')::text
               from unnest($2::bigint[], {}) as u (id, {})
              cross join lateral (select k.* from {} as k
                                   where k.tenant_id = $1 and k.id = u.id and $3::text is not null
                                  offset 0{}) as t",
            values.join(", "),
            parameters.join(", "),
            names.join(", "),
            self.relation.qualified(),
            if lock { " for no key update" } else { "" },
        );
        locking(query, lock)
    }

    /// What a row holds that is new: every value but nulls and empty JSON. `defaults`: values of
    /// columns that no rule writes, as expressions.
    pub fn added(
        &self,
        outgoing: &Outgoing<'_>,
        defaults: &HashMap<String, String>,
    ) -> DbResult<Fields> {
        let columns: Vec<usize> = (0..self.table.columns.len())
            .filter(|column| outgoing.row.cells[*column] != Cell::Unset)
            .collect();
        let sql = self.added_statement(&columns, defaults);
        let mut args: Vec<Arg> = vec![self.connection.into()];
        args.extend(columns.iter().map(|c| self.value(outgoing, *c).as_deref().into()));
        parse(&spi::one::<String>(&sql, &args)?.unwrap_or_default())
    }

    fn added_statement(&self, columns: &[usize], defaults: &HashMap<String, String>) -> String {
        let mut values = vec![match self.table.parent_column {
            None => "('source_connection', to_jsonb($1::text))".to_owned(),
            Some(_) => "('', to_jsonb(nullif($1::text, $1::text)))".to_owned(),
        }];
        for (index, column) in self.table.columns.iter().enumerate() {
            let expression = match columns.iter().position(|c| *c == index) {
                Some(place) => format!("${}::{}", place + 2, type_name(self.table, index)),
                None => match defaults.get(column.name) {
                    Some(default) => format!("({default})::{}", type_name(self.table, index)),
                    None => continue,
                },
            };
            values.push(format!("('{}', {})", column.name, shown(column.kind, &expression)));
        }
        format!(
            "select coalesce(jsonb_object_agg(v.path, jsonb_build_object('old', null, 'new', v.new)), '{{}}')::text
               from (values {}) as v (path, new)
              where v.new is not null and v.new not in ('{{}}', '[]')",
            values.join(", ")
        )
    }

    /// All that rows hold which are about to go: what it takes to put them back, their ids too.
    pub fn removed(&self, ids: &[i64], lock: bool) -> DbResult<Vec<Removed>> {
        if ids.is_empty() {
            return Ok(vec![]);
        }
        let mut values = vec!["('id', to_jsonb(t.id))".to_owned()];
        values.extend(self.table.columns.iter().map(|column| {
            let expression = format!("t.{}", column.name);
            format!("('{}', {})", column.name, shown(column.kind, &expression))
        }));
        let parent = match self.table.parent_column {
            Some(parent) => format!("t.{parent}"),
            None => {
                values.push("('source_connection', to_jsonb(t.source_connection))".into());
                "null::bigint".into()
            }
        };
        let query = format!(
            "select t.id, {parent}, t.source_id,
                    (select jsonb_object_agg(v.path, jsonb_build_object('old', v.old, 'new', null))
                       from (values {}) as v (path, old) where v.old is not null)::text
               from unnest($2::bigint[]) as u (id)
              cross join lateral (select k.* from {} as k
                                   where k.tenant_id = $1 and k.id = u.id offset 0{}) as t
              order by t.id",
            values.join(", "),
            self.relation.qualified(),
            if lock { " for update" } else { "" },
        );
        let args = [self.tenant.into(), Arg::Ints(ids.iter().copied().map(Some).collect())];
        let sql = locking(query, lock);
        self.relation.rows(&sql, &args, |row| {
            Ok(Removed {
                id: required(row, 1)?,
                parent: row.get(2)?,
                source_id: row.get(3)?,
                fields: parse(&required::<String>(row, 4)?)?,
            })
        })
    }
}

impl Target<'_> {
    /// Lines of documents.
    pub fn lines_of(&self, documents: &[i64]) -> DbResult<Vec<i64>> {
        let Some(parent) = self.table.parent_column.filter(|_| !documents.is_empty()) else {
            return Ok(vec![]);
        };
        let sql = format!(
            "select l.id from {} as l where l.tenant_id = $1 and l.{parent} = any ($2) order by l.id",
            self.relation.qualified()
        );
        let args = [self.tenant.into(), Arg::Ints(documents.iter().copied().map(Some).collect())];
        self.relation.rows(&sql, &args, |row| required(row, 1))
    }
}

/// A query that locks is none for SPI: what begins with `select` may not.
pub fn locking(query: String, lock: bool) -> String {
    match lock {
        true => format!("with found as ({query}) select * from found"),
        false => query,
    }
}

/// Puts the fields of a line under its name in its document's.
pub fn add_line(fields: &mut Fields, line: &str, of_line: Fields) {
    fields
        .extend(of_line.into_iter().map(|(path, value)| (format!("lines[{line}].{path}"), value)));
}
