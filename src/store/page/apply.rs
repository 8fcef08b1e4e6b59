//! Applies records that belong together: which are new, which have changed, and what they refer to.

use super::gone::{self, Follower};
use super::journal::Journal;
use super::look;
use crate::error::{DbError, DbResult};
use crate::store::diff::Fields;
use crate::store::hub::{Hub, Relation};
use crate::store::lines::{self, Document};
use crate::store::links::{self, Link, NewLink};
use crate::store::lookup;
use crate::store::rows::{self, Outgoing, References, Target};
use crate::store::spi::{Arg, required};
use engine::model::{Cell, ColumnKind, Entity, Presence, Record, TableId};
use engine::plan::Action;
use engine::store::{Counts, Stream, SyncId};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};

/// Entities in the order in which they are written: what others refer to comes first.
const ORDER: [Entity; 8] = [
    Entity::Customers,
    Entity::Products,
    Entity::Orders,
    Entity::Refunds,
    Entity::Vendors,
    Entity::Invoices,
    Entity::Payments,
    Entity::Bills,
];

/// The last of several appearances of a record in a page counts.
pub fn newest(records: &[Record]) -> Vec<&Record> {
    let mut seen = HashSet::new();
    let mut kept: Vec<&Record> =
        records.iter().rev().filter(|r| seen.insert((r.entity, r.remote_id.as_str()))).collect();
    kept.reverse();
    kept
}

/// What happens to a record.
pub(super) struct Work<'a> {
    pub record: &'a Record,
    pub hub_id: i64,
    /// The link was there before.
    pub linked: bool,
    pub is_new: bool,
    pub hash: Vec<u8>,
    pub refs_pending: bool,
    pub was_deleted: bool,
}

impl<'a> Work<'a> {
    fn follower(&self) -> Follower<'a> {
        Follower { hub_id: self.hub_id, record: self.record, was_deleted: self.was_deleted }
    }
}

pub fn apply(
    hub: &mut Hub,
    stream: &Stream,
    records: &[&Record],
    take_over: bool,
    journal: &mut Journal<'_>,
) -> DbResult<Counts> {
    let mut counts = Counts::default();
    let mut references = References::default();
    for entity in ORDER {
        let of_entity: Vec<&Record> =
            records.iter().copied().filter(|r| r.entity == entity).collect();
        if !of_entity.is_empty() {
            let batch =
                apply_entity(hub, stream, entity, &of_entity, take_over, &mut references, journal)?;
            // What comes along with another entity's pages isn't counted there.
            if entity == stream.entity {
                counts += batch;
            }
        }
    }
    Ok(counts)
}

fn apply_entity(
    hub: &mut Hub,
    stream: &Stream,
    entity: Entity,
    records: &[&Record],
    take_over: bool,
    references: &mut References,
    journal: &mut Journal<'_>,
) -> DbResult<Counts> {
    let mut counts = Counts::default();
    let ids: Vec<&str> = records.iter().map(|r| r.remote_id.as_str()).collect();
    let known = journal.links(stream, entity, &ids)?;
    let there = there(hub, stream, entity, records, &known, journal)?;
    let mut candidates: Vec<(&Record, Option<Link>)> = vec![];
    for (record, link) in records.iter().copied().zip(known) {
        if let Some(hub_id) = link.as_ref().and_then(|l| l.hub_id) {
            references.documents.insert((entity, record.remote_id.clone()), hub_id);
        }
        let is_there = |link: &Link| link.hub_id.is_some_and(|id| there.contains(&id));
        match judge(record, link.as_ref()) {
            Verdict::Unchanged | Verdict::Candidate
                if link.as_ref().is_some_and(|link| may_be_unchanged(record, link))
                    && !link.as_ref().is_some_and(is_there) =>
            {
                // Without a hash it counts as changed.
                candidates.push((record, link.map(|link| Link { hash: vec![], ..link })));
            }
            Verdict::Candidate => candidates.push((record, link)),
            Verdict::Unchanged => counts.unchanged += 1,
            Verdict::NotStored => {}
        }
    }
    if candidates.is_empty() {
        return Ok(counts);
    }
    let mut work = assign_ids(hub, stream, entity, candidates, take_over, journal)?;
    for item in &work {
        references.documents.insert((entity, item.record.remote_id.clone()), item.hub_id);
    }
    resolve(hub, stream, &work, references, journal)?;
    settle_hashes(&mut work, references, &mut counts);
    if !journal.writes() {
        look::refuse(&mut work, references, &mut counts, journal);
        look::reserve(&work, journal);
    }
    write(hub, stream, entity, &work, references, journal)?;
    for item in &work {
        match (item.is_new, item.record.presence, item.was_deleted) {
            (true, ..) => counts.created += 1,
            (false, Presence::Trashed, false) => counts.deleted += 1,
            _ => counts.updated += 1,
        }
    }
    Ok(counts)
}

/// Of the rows that records are linked to which may be unchanged, those that the hub has: a link counts only with
/// its row, since a hub may have been emptied. What a dry run has planned for a row counts as it.
fn there(
    hub: &mut Hub,
    stream: &Stream,
    entity: Entity,
    records: &[&Record],
    known: &[Option<Link>],
    journal: &Journal<'_>,
) -> DbResult<HashSet<i64>> {
    let mut there = HashSet::new();
    let mut asked = vec![];
    for (record, link) in records.iter().zip(known) {
        let Some(link) = link.as_ref().filter(|link| may_be_unchanged(record, link)) else {
            continue;
        };
        let Some(hub_id) = link.hub_id else { continue };
        // Gone there, and what is gone is not filled in again.
        let is_gone = record.presence == Presence::Trashed;
        if is_gone || journal.row_state(entity, hub_id).is_some() {
            there.insert(hub_id);
        } else {
            asked.push(hub_id);
        }
    }
    let table = tables(entity)?.0;
    let tenant = stream.connection.tenant.as_str();
    there.extend(lookup::present(hub, table, tenant, asked.into_iter())?);
    Ok(there)
}

enum Verdict {
    Candidate,
    Unchanged,
    /// In the trash, and never seen here.
    NotStored,
}

/// A hash of 16 bytes says: every reference was resolved. A longer one has, behind the content's,
/// which were.
fn judge(record: &Record, link: Option<&Link>) -> Verdict {
    let Some(link) = link.filter(|l| l.hub_id.is_some()) else {
        return match record.presence {
            Presence::Trashed => Verdict::NotStored,
            Presence::Live => Verdict::Candidate,
        };
    };
    match may_be_unchanged(record, link) && (is_kept(record, link) || link.hash == record.hash.0) {
        true => Verdict::Unchanged,
        false => Verdict::Candidate,
    }
}

/// Was the content stored already? Whether what it refers to is there as it was then shows later
/// ([`settle_hashes`]).
fn may_be_unchanged(record: &Record, link: &Link) -> bool {
    is_kept(record, link)
        || link.hash.starts_with(&record.hash.0)
            && link.deleted == (record.presence == Presence::Trashed)
}

fn is_kept(record: &Record, link: &Link) -> bool {
    record.keep_existing && !link.deleted
}

/// Hub ids: the link's, or that of a row that is taken over, or a new one.
fn assign_ids<'a>(
    hub: &mut Hub,
    stream: &Stream,
    entity: Entity,
    candidates: Vec<(&'a Record, Option<Link>)>,
    take_over: bool,
    journal: &mut Journal<'_>,
) -> DbResult<Vec<Work<'a>>> {
    let (table, _) = tables(entity)?;
    let relation = hub.table(table)?;
    let mut here = if take_over {
        let ids = candidates.iter().map(|(r, _)| Some(r.remote_id.clone())).collect();
        rows_of_source(stream, &relation, ids)?
    } else {
        HashMap::new()
    };
    let is_known = |link: &Option<Link>| link.as_ref().is_some_and(|l| l.hub_id.is_some());
    let fresh = candidates
        .iter()
        .filter(|(r, link)| !is_known(link) && !here.contains_key(&r.remote_id))
        .count();
    let mut new_ids = journal.new_ids(&relation, fresh)?.into_iter();
    let mut work = Vec::with_capacity(candidates.len());
    for (record, link) in candidates {
        let linked_id = link.as_ref().and_then(|l| l.hub_id);
        let taken = here.remove(&record.remote_id);
        let is_new = linked_id.is_none() && taken.is_none();
        let hub_id = linked_id
            .or(taken)
            .or_else(|| new_ids.next())
            .ok_or_else(|| DbError::new("XX000", "too few new ids"))?;
        work.push(Work {
            record,
            hub_id,
            linked: link.is_some(),
            is_new,
            hash: link.as_ref().map(|l| l.hash.clone()).unwrap_or_default(),
            refs_pending: false,
            was_deleted: link.is_some_and(|l| l.deleted),
        });
    }
    Ok(work)
}

fn tables(entity: Entity) -> DbResult<(TableId, Option<TableId>)> {
    TableId::of(entity).ok_or_else(|| DbError::new("0A000", format!("{entity} are not pulled")))
}

/// Rows of the hub that carry the connection's name and the record's id without a link.
fn rows_of_source(
    stream: &Stream,
    relation: &Relation,
    ids: Vec<Option<String>>,
) -> DbResult<HashMap<String, i64>> {
    let sql = format!(
        "select t.source_id, t.id
           from pg_catalog.unnest($3::text[]) as u (source_id)
          cross join lateral (select k.source_id, k.id from {} k
                               where k.tenant_id = $1 and k.source_connection = $2
                                 and k.source_id = u.source_id offset 0) as t",
        relation.qualified()
    );
    let found = relation.rows(
        &sql,
        &[
            stream.connection.tenant.as_str().into(),
            stream.connection.name.as_str().into(),
            Arg::Texts(ids),
        ],
        |row| Ok((required(row, 1)?, required(row, 2)?)),
    )?;
    Ok(found.into_iter().collect())
}

/// Every reference cell of a record, with what it refers to.
pub(super) fn references_of(record: &Record) -> impl Iterator<Item = (ColumnKind, &str)> {
    std::iter::once(&record.row).chain(&record.lines).flat_map(|row| {
        row.table.table().columns.iter().zip(&row.cells).filter_map(|(column, cell)| match cell {
            Cell::Ref(id) => Some((column.kind, id.as_str())),
            _ => None,
        })
    })
}

/// Finds the hub ids of what the records refer to.
fn resolve(
    hub: &mut Hub,
    stream: &Stream,
    work: &[Work<'_>],
    references: &mut References,
    journal: &Journal<'_>,
) -> DbResult<()> {
    let mut wanted: HashMap<Entity, HashSet<&str>> = HashMap::new();
    for item in work {
        for (kind, id) in references_of(item.record) {
            if let ColumnKind::Ref(entity) = kind
                && !references.documents.contains_key(&(entity, id.to_owned()))
            {
                wanted.entry(entity).or_default().insert(id);
            }
        }
    }
    for (entity, mut ids) in wanted {
        look::resolve(entity, &mut ids, references, journal);
        let ids = ids.into_iter().map(str::to_owned).collect();
        for (id, hub_id) in lookup::references(hub, stream, entity, ids)? {
            references.documents.insert((entity, id), hub_id);
        }
    }
    let orders: HashSet<i64> =
        work.iter().filter_map(|item| line_scope(item.record, references)).collect();
    let orders: Vec<i64> = orders.into_iter().collect();
    references.lines.extend(lines::of_orders(hub, stream.connection.tenant.as_str(), &orders)?);
    look::resolve_lines(&orders, references, journal);
    Ok(())
}

/// The order whose lines the record's lines refer to: a refund's.
pub(super) fn line_scope(record: &Record, references: &References) -> Option<i64> {
    match (record.entity, record.row.cell("order_id")) {
        (Entity::Refunds, Cell::Ref(order)) => {
            references.documents.get(&(Entity::Orders, order.clone())).copied()
        }
        _ => None,
    }
}

/// The hash that is kept: the content's, and, where a reference leads nowhere yet, which do. A
/// record that was stored just so is unchanged after all.
fn settle_hashes(work: &mut Vec<Work<'_>>, references: &References, counts: &mut Counts) {
    work.retain_mut(|item| {
        let scope = line_scope(item.record, references);
        let mut state = Sha256::new();
        let mut pending = false;
        for (kind, id) in references_of(item.record) {
            let found = match kind {
                ColumnKind::Ref(entity) => {
                    references.documents.contains_key(&(entity, id.to_owned()))
                }
                _ => scope.is_some_and(|s| references.lines.contains_key(&(s, id.to_owned()))),
            };
            pending |= !found;
            state.update([u8::from(found)]);
        }
        let mut hash = item.record.hash.0.to_vec();
        if pending {
            hash.extend_from_slice(&state.finalize()[..8]);
        }
        let gone = item.record.presence == Presence::Trashed;
        let same = item.linked && !item.is_new && item.hash == hash && item.was_deleted == gone;
        if same {
            counts.unchanged += 1;
        }
        item.hash = hash;
        item.refs_pending = pending;
        !same
    });
}

fn write(
    hub: &mut Hub,
    stream: &Stream,
    entity: Entity,
    work: &[Work<'_>],
    references: &References,
    journal: &mut Journal<'_>,
) -> DbResult<()> {
    let (table, line_table) = tables(entity)?;
    let relation = hub.table(table)?;
    let target = Target {
        relation: &relation,
        table: table.table(),
        tenant: stream.connection.tenant.as_str(),
        connection: stream.connection.name.as_str(),
        references,
    };
    let (mut inserts, mut updates) = (vec![], vec![]);
    for item in work {
        let row = &item.record.row;
        let outgoing = Outgoing { id: Some(item.hub_id), parent: None, row, line_scope: None };
        if item.is_new { &mut inserts } else { &mut updates }.push(outgoing);
    }
    let defaults = look::defaults(journal, table)?;
    let writes = journal.writes();
    let mut fields = target.changed(&updates, writes)?;
    let updated: HashSet<i64> = match writes {
        true => target.settled(&fields, target.update(&updates)?)?,
        false => look::there(entity, &fields, journal),
    };
    // The platform's record has changed, and the hub's row was deleted here: it comes back.
    let back: Vec<_> =
        updates.into_iter().filter(|u| u.id.is_some_and(|id| !updated.contains(&id))).collect();
    let told = back.iter().chain(inserts.iter().filter(|_| !writes));
    for outgoing in told {
        fields.insert(outgoing.id.unwrap_or_default(), target.added(outgoing, &defaults)?);
    }
    let highest = back.iter().filter_map(|outgoing| outgoing.id).max();
    inserts.extend(back);
    if writes {
        target.insert(&inserts)?;
        highest.map_or(Ok(()), |id| rows::reserve_ids(&relation, id))?;
    }
    if let Some(line_table) = line_table {
        let documents: Vec<Document<'_>> =
            work.iter().map(|item| document(item, references)).collect();
        let defaults = look::defaults(journal, line_table)?;
        let looks = (!writes).then_some(&defaults);
        lines::write(hub, stream, line_table, &documents, references, looks, &mut fields)?;
    }
    note(work, fields, &updated, journal);
    let known = || work.iter().filter(|item| !item.is_new);
    gone::related(hub, stream, known().map(|i| (i.hub_id, i.record)), journal)?;
    match writes {
        true => write_links(stream, entity, work, journal.sync_id)?,
        false => look::note_work(hub, stream, entity, work, journal)?,
    }
    gone::follow(hub, stream, known().map(Work::follower), journal)
}

fn document<'a>(item: &Work<'a>, references: &References) -> Document<'a> {
    Document {
        hub_id: item.hub_id,
        is_new: item.is_new || item.hub_id < 0,
        lines: &item.record.lines,
        line_scope: line_scope(item.record, references),
    }
}

/// What has changed in records that were here before. A new one is told of by its link, and where
/// it is only planned, here.
fn note(
    work: &[Work<'_>],
    mut fields: HashMap<i64, Fields>,
    updated: &HashSet<i64>,
    journal: &mut Journal<'_>,
) {
    let writes = journal.writes();
    for item in work.iter().filter(|item| !item.is_new || !writes) {
        let action = match (item.record.presence, item.was_deleted) {
            _ if !updated.contains(&item.hub_id) => Action::Create,
            (Presence::Trashed, false) => Action::Inactivate,
            _ => Action::Update,
        };
        let fields = fields.remove(&item.hub_id).unwrap_or_default();
        journal.record(item.record, item.hub_id, action, fields);
    }
}

fn write_links(
    stream: &Stream,
    entity: Entity,
    work: &[Work<'_>],
    sync_id: SyncId,
) -> DbResult<()> {
    let (mut fresh, mut known) = (vec![], vec![]);
    for item in work {
        let link = NewLink {
            record: item.record,
            hub_id: item.hub_id,
            hash: item.hash.clone(),
            refs_pending: item.refs_pending,
            created_by: item.is_new.then_some(sync_id),
        };
        if item.linked { &mut known } else { &mut fresh }.push(link);
    }
    links::insert(stream, &fresh)?;
    links::update(stream, entity, &known)
}
