//! Links: what is tied to what, and the hash that both sides agreed on.

use super::copy::CopyBuffer;
use super::spi::{self, Arg, required};
use crate::error::{DbError, DbResult};
use engine::model::{Entity, Record};
use engine::store::Stream;
use pgrx::pg_sys;
use std::cell::RefCell;

/// The table of links, which is ours.
pub fn table_oid() -> DbResult<pg_sys::Oid> {
    let oid = unsafe {
        let namespace = pg_sys::get_namespace_oid(c"easysync_ledger".as_ptr(), true);
        pg_sys::get_relname_relid(c"links".as_ptr(), namespace)
    };
    match oid {
        pg_sys::InvalidOid => Err(DbError::new(
            "42P01",
            "table easysync_ledger.links is missing: call easysync.create_hub()",
        )),
        oid => Ok(oid),
    }
}

/// The link of a record, as a page needs it.
#[derive(Debug, Clone)]
pub struct Link {
    /// None: known there, but not stored here.
    pub hub_id: Option<i64>,
    pub hash: Vec<u8>,
    pub deleted: bool,
}

/// Uses the primary key. LATERAL with OFFSET 0 keeps it a nested loop over the key, also where the
/// table has no statistics yet (`= any` becomes a filter over the whole account there).
const LOOKUP: &str = "select u.position, l.hub_id, l.hash, l.deleted_at is not null
  from pg_catalog.unnest($4::text[]) with ordinality as u (remote_id, position)
 cross join lateral (select k.hub_id, k.hash, k.deleted_at
                       from easysync_ledger.links k
                      where k.tenant_id = $1 and k.account = $2 and k.entity = $3
                        and k.remote_id = u.remote_id offset 0) as l";

/// The links of `ids`, each in the place of its id.
pub fn lookup(stream: &Stream, entity: Entity, ids: &[&str]) -> DbResult<Vec<Option<Link>>> {
    let mut found = vec![None; ids.len()];
    if ids.is_empty() {
        return Ok(found);
    }
    let mut args = key_args(stream, entity);
    args.push(Arg::Texts(ids.iter().map(|id| Some((*id).to_owned())).collect()));
    let rows = spi::rows(LOOKUP, &args, |row| {
        Ok((
            required::<i64>(row, 1)?,
            Link { hub_id: row.get(2)?, hash: required(row, 3)?, deleted: required(row, 4)? },
        ))
    })?;
    for (position, link) in rows {
        if let Some(place) = usize::try_from(position - 1).ok().and_then(|i| found.get_mut(i)) {
            *place = Some(link);
        }
    }
    Ok(found)
}

thread_local! {
    /// What pages have added that nobody has looked at since.
    static JUST_ADDED: RefCell<Vec<Added>> = const { RefCell::new(Vec::new()) };
}

struct Added {
    tenant: String,
    account: String,
    entity: Entity,
    ids: Vec<String>,
    /// The transaction that added them.
    by: pg_sys::TransactionId,
}

/// Looks once at the links that the page before has added, now that its transaction has ended.
///
/// The first to look at a row notes on it that its transaction was committed. Where that note is
/// logged (checksums, `wal_log_hints`), it costs a copy of the whole page if there was a checkpoint
/// in between, and nothing right after the row was written: so an unchanged shop's next full run,
/// hours later, finds all noted and logs nothing.
pub fn settle_just_added() -> DbResult<()> {
    let own = unsafe { pg_sys::GetTopTransactionIdIfAny() };
    let ended: Vec<Added> =
        JUST_ADDED.with_borrow_mut(|all| all.extract_if(.., |added| added.by != own).collect());
    for added in ended {
        let args = [
            added.tenant.as_str().into(),
            added.account.as_str().into(),
            added.entity.as_str().into(),
            Arg::Texts(added.ids.into_iter().map(Some).collect()),
        ];
        spi::rows(LOOKUP, &args, |_| Ok(()))?;
    }
    Ok(())
}

fn note_added(stream: &Stream, links: &[NewLink<'_>]) {
    let logged = unsafe { pg_sys::wal_log_hints || pg_sys::DataChecksumsEnabled() };
    let Some(first) = links.first().filter(|_| logged) else { return };
    let added = Added {
        tenant: stream.connection.tenant.to_string(),
        account: stream.connection.account.clone(),
        entity: first.record.entity,
        ids: links.iter().map(|link| link.record.remote_id.clone()).collect(),
        by: unsafe { pg_sys::GetTopTransactionIdIfAny() },
    };
    JUST_ADDED.with_borrow_mut(|all| all.push(added));
}

/// `$1` tenant, `$2` account, `$3` entity.
pub fn key_args(stream: &Stream, entity: Entity) -> Vec<Arg> {
    vec![
        stream.connection.tenant.as_str().into(),
        stream.connection.account.as_str().into(),
        entity.as_str().into(),
    ]
}

/// What an order's JSON says of its refunds.
#[derive(serde::Deserialize)]
struct OrderRefunds {
    #[serde(default)]
    refunds: Vec<OrderRefund>,
}

#[derive(serde::Deserialize)]
struct OrderRefund {
    id: u64,
}

/// Of these orders, those whose JSON names a refund that isn't linked, or is linked as gone. An order
/// that isn't stored has no refunds that could be. Uses the primary key, as [`LOOKUP`].
pub fn with_new_refunds(stream: &Stream, orders: &[String]) -> DbResult<Vec<String>> {
    let mut args = key_args(stream, Entity::Orders);
    args.push(Arg::Texts(orders.iter().cloned().map(Some).collect()));
    let found = spi::rows(
        "select u.remote_id, l.raw
           from pg_catalog.unnest($4::text[]) as u (remote_id)
          cross join lateral (select k.raw from easysync_ledger.links k
                               where k.tenant_id = $1 and k.account = $2 and k.entity = $3
                                 and k.remote_id = u.remote_id and k.raw is not null offset 0) as l",
        &args,
        |row| Ok((required::<String>(row, 1)?, required::<String>(row, 2)?)),
    )?;
    let mut wanted = vec![];
    for (order, raw) in found {
        // JSON of another shape says nothing: then the shop is asked.
        let Some(ids) = refunds_named(&raw) else {
            wanted.push(order);
            continue;
        };
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let known = lookup(stream, Entity::Refunds, &ids)?;
        if known.iter().any(|link| link.as_ref().is_none_or(|link| link.deleted)) {
            wanted.push(order);
        }
    }
    Ok(wanted)
}

/// Ids of the refunds that an order's JSON names. None: it is of another shape.
pub fn refunds_named(raw: &str) -> Option<Vec<String>> {
    let OrderRefunds { refunds } = serde_json::from_str(raw).ok()?;
    Some(refunds.iter().map(|refund| refund.id.to_string()).collect())
}

/// What a link is written with.
pub struct NewLink<'a> {
    pub record: &'a Record,
    pub hub_id: i64,
    pub hash: Vec<u8>,
    pub refs_pending: bool,
    /// The sync that made the hub's row; none: it was here before.
    pub created_by: Option<i64>,
}

impl NewLink<'_> {
    fn deleted(&self) -> bool {
        self.record.presence == engine::model::Presence::Trashed
    }

    fn raw(&self) -> Option<String> {
        // A real NUL can't be in JSON text; the escaped one is six harmless characters.
        self.record.raw.as_deref().map(str::to_owned)
    }
}

const COLUMNS: [&str; 12] = [
    "tenant_id",
    "account",
    "entity",
    "remote_id",
    "remote_type",
    "remote_num",
    "hub_id",
    "hash",
    "refs_pending",
    "created_by",
    "deleted_at",
    "raw",
];

/// Adds links that aren't there yet.
pub fn insert(stream: &Stream, links: &[NewLink<'_>]) -> DbResult<()> {
    if links.is_empty() {
        return Ok(());
    }
    let now = jiff::Timestamp::now().to_string();
    let mut buffer = CopyBuffer::default();
    for link in links {
        buffer.text(stream.connection.tenant.as_str());
        buffer.text(&stream.connection.account);
        buffer.text(link.record.entity.as_str());
        buffer.text(&link.record.remote_id);
        buffer.text(link.record.remote_type);
        buffer
            .optional(link.record.remote_id.parse::<i64>().ok().map(|n| n.to_string()).as_deref());
        buffer.text(&link.hub_id.to_string());
        buffer.bytes(&link.hash);
        buffer.text(if link.refs_pending { "t" } else { "f" });
        buffer.optional(link.created_by.map(|id| id.to_string()).as_deref());
        buffer.optional(link.deleted().then_some(now.as_str()));
        buffer.optional(link.record.raw.as_deref());
        buffer.end_row();
    }
    buffer.copy_into(table_oid()?, &COLUMNS)?;
    note_added(stream, links);
    Ok(())
}

/// Writes what has changed on links that are there; a link that was made meanwhile is taken over.
const UPDATE: &str = "update easysync_ledger.links as l
   set hub_id = u.hub_id, hash = u.hash, refs_pending = u.refs_pending, raw = u.raw,
       remote_type = u.remote_type, agreed_at = pg_catalog.now(),
       created_by = coalesce(u.created_by, l.created_by),
       deleted_at = case when u.deleted then coalesce(l.deleted_at, pg_catalog.now()) end
  from unnest($4::text[], $5::bigint[], $6::bytea[], $7::text[], $8::text[], $9::text[],
                         $10::text[], $11::bigint[])
       as u0 (remote_id, hub_id, hash, pending, raw, remote_type, gone, created_by)
 cross join lateral (select u0.remote_id, u0.hub_id, u0.hash, u0.pending = 't' as refs_pending,
                            u0.raw, u0.remote_type, u0.gone = 't' as deleted, u0.created_by) as u
 where l.tenant_id = $1 and l.account = $2 and l.entity = $3 and l.remote_id = u.remote_id";

pub fn update(stream: &Stream, entity: Entity, links: &[NewLink<'_>]) -> DbResult<()> {
    if links.is_empty() {
        return Ok(());
    }
    let flag = |value: bool| Some(if value { "t" } else { "f" }.to_owned());
    let mut args = key_args(stream, entity);
    args.extend([
        Arg::Texts(links.iter().map(|l| Some(l.record.remote_id.clone())).collect()),
        Arg::Ints(links.iter().map(|l| Some(l.hub_id)).collect()),
        Arg::ByteArrays(links.iter().map(|l| Some(l.hash.clone())).collect()),
        Arg::Texts(links.iter().map(|l| flag(l.refs_pending)).collect()),
        Arg::Texts(links.iter().map(NewLink::raw).collect()),
        Arg::Texts(links.iter().map(|l| Some(l.record.remote_type.to_owned())).collect()),
        Arg::Texts(links.iter().map(|l| flag(l.deleted())).collect()),
        Arg::Ints(links.iter().map(|l| l.created_by).collect()),
    ]);
    spi::run(UPDATE, &args)?;
    Ok(())
}

/// Notes that records are gone there; returns the hub ids of those that weren't known to be.
pub fn mark_deleted(stream: &Stream, entity: Entity, ids: &[String]) -> DbResult<Vec<i64>> {
    let mut args = key_args(stream, entity);
    args.push(Arg::Texts(ids.iter().cloned().map(Some).collect()));
    let found = spi::rows(
        "update easysync_ledger.links
            set deleted_at = pg_catalog.now()
          where tenant_id = $1 and account = $2 and entity = $3 and remote_id = any ($4)
            and deleted_at is null
      returning hub_id",
        &args,
        |row| row.get::<i64>(1),
    )?;
    Ok(found.into_iter().flatten().collect())
}

/// Notes that records are there again.
pub fn unmark_deleted(stream: &Stream, entity: Entity, ids: &[String]) -> DbResult<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let mut args = key_args(stream, entity);
    args.push(Arg::Texts(ids.iter().cloned().map(Some).collect()));
    spi::run(
        "update easysync_ledger.links set deleted_at = null
          where tenant_id = $1 and account = $2 and entity = $3 and remote_id = any ($4)",
        &args,
    )?;
    Ok(())
}

/// Numeric remote ids that the hub holds as present, in `(after, until]`; index `links_present`.
pub fn present_ids(
    stream: &Stream,
    remote_type: &str,
    after: i64,
    until: Option<i64>,
    limit: usize,
) -> DbResult<Vec<i64>> {
    spi::rows(
        "select remote_num from easysync_ledger.links
          where tenant_id = $1 and account = $2 and remote_type = $3 and deleted_at is null
            and remote_num > $4 and remote_num <= $5
          order by remote_num limit $6",
        &[
            stream.connection.tenant.as_str().into(),
            stream.connection.account.as_str().into(),
            remote_type.into(),
            after.into(),
            until.unwrap_or(i64::MAX).into(),
            i64::try_from(limit).unwrap_or(1000).into(),
        ],
        |row| required(row, 1),
    )
}
