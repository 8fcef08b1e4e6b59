//! Which records a push looks at, and all that belongs to them.

use super::account_of;
use super::rows;
use crate::error::{DbError, DbResult};
use crate::host;
use crate::store::PgStore;
use crate::store::spi::{self, Arg, required};
use engine::model::Entity;
use engine::posting::input::unreadable_row;
use engine::push::store::{Bundle, Candidate, Root, Scope};
use engine::store::{Run, Stream};
use engine::{Error, Result};
use std::collections::HashMap;

/// Filters that a push can't carry out are refused, never passed over.
fn filters(run: &Run) -> Result<Arg> {
    let filters = &run.filters;
    if filters.customer.is_some() || filters.sku.is_some() || filters.kind.is_some() {
        return Err(Error::argument(
            "a push can not be filtered by customer, sku or type",
            "Filter by status, currency or time, or give ids.",
        ));
    }
    let value = serde_json::to_value(filters).unwrap_or_default();
    Ok(Arg::Json((!filters.is_empty()).then_some(value)))
}

impl PgStore {
    /// As [`engine::push::store::PushStore::candidates`]: behind a place, and how many.
    pub(super) async fn next_records(
        &self,
        run: &Run,
        stream: &Stream,
        roots: &[Root],
        scope: &Scope,
        (after, limit): (Option<Candidate>, usize),
    ) -> Result<Vec<Candidate>> {
        let entities: Vec<Option<String>> =
            roots.iter().map(|root| Some(root.entity.as_str().to_owned())).collect();
        let linked: Vec<Option<String>> =
            roots.iter().map(|root| Some(root.linked_only.to_string())).collect();
        let (word, ids) = match scope {
            Scope::Queue => ("queue", None),
            Scope::Walk => ("walk", None),
            Scope::Ids(ids) => ("ids", Some(ids.clone())),
            Scope::OrdersOfRefunds(ids) => ("refunds", Some(ids.clone())),
        };
        let ids = ids.map(|ids| serde_json::to_string(&ids).unwrap_or_default());
        let tenant: Arg = run.tenant.as_str().into();
        let name: Arg = stream.connection.name.as_str().into();
        let claim = (after.is_none() && !run.dry_run).then(|| {
            vec![
                run.sync_id.into(),
                tenant.clone(),
                name.clone(),
                Arg::Texts(entities.clone()),
                ids.as_deref().into(),
                Arg::Bool(Some(word == "walk")),
            ]
        });
        let (root, id) = after.map_or((0, 0), |after| (after.root, after.hub_id));
        let args = vec![
            run.sync_id.into(),
            tenant,
            name,
            account_of(stream),
            Arg::Texts(entities),
            Arg::Texts(linked),
            word.into(),
            ids.as_deref().into(),
            filters(run)?,
            Arg::Bool(Some(run.dry_run)),
            Arg::Int4(Some(i32::try_from(root).unwrap_or(0))),
            id.into(),
            Arg::Int4(Some(i32::try_from(limit).unwrap_or(200))),
        ];
        self.job(move || {
            if let Some(claim) = &claim {
                spi::run(rows::CLAIM, claim)?;
            }
            spi::rows(rows::CANDIDATES, &args, |row| {
                let root: i32 = required(row, 1)?;
                Ok(Candidate {
                    root: usize::try_from(root).unwrap_or(0),
                    hub_id: required(row, 2)?,
                })
            })
        })
        .await
    }

    /// As [`engine::push::store::PushStore::bundles`].
    pub(super) async fn bundles_of(
        &self,
        stream: &Stream,
        roots: &[Root],
        candidates: &[Candidate],
    ) -> Result<Vec<Bundle>> {
        let mut found: HashMap<(usize, i64), Bundle> = HashMap::new();
        for (index, root) in roots.iter().enumerate() {
            let ids = candidates.iter().filter(|c| c.root == index).map(|c| c.hub_id);
            let ids: Vec<i64> = ids.collect();
            if ids.is_empty() {
                continue;
            }
            let entity = root.entity;
            let (tenant, account) = (stream.connection.tenant.to_string(), account_of(stream));
            self.turn_of(&tenant).await;
            let rows: Vec<Bundle> =
                self.job(move || bundles(&tenant, &account, entity, &ids)).await?;
            found.extend(rows.into_iter().map(|bundle| ((index, bundle.hub_id), bundle)));
        }
        Ok(candidates
            .iter()
            .map(|c| found.remove(&(c.root, c.hub_id)).unwrap_or_else(|| gone(roots, c)))
            .collect())
    }
}

/// Records with all that belongs to them; where one can't be read, the others are read without it.
fn bundles(tenant: &str, account: &Arg, entity: Entity, ids: &[i64]) -> DbResult<Vec<Bundle>> {
    let read = |ids: &[i64]| {
        let args = [
            tenant.into(),
            account.clone(),
            entity.as_str().into(),
            Arg::Ints(ids.iter().copied().map(Some).collect()),
        ];
        host::in_subtransaction(|| spi::rows(rows::BUNDLES, &args, |row| rows::bundle(row, entity)))
    };
    let error = match read(ids) {
        Ok(bundles) => return Ok(bundles),
        Err(error) if error.is_transient() || error.is_about_server() => return Err(error),
        Err(error) => error,
    };
    // What fails without any record is no record's fault.
    read(&[])?;
    match ids {
        [id] => Ok(vec![unreadable(entity, *id, &error)]),
        _ => {
            let (first, second) = ids.split_at(ids.len() / 2);
            let mut found = bundles(tenant, account, entity, first)?;
            found.extend(bundles(tenant, account, entity, second)?);
            Ok(found)
        }
    }
}

fn unreadable(entity: Entity, hub_id: i64, error: &DbError) -> Bundle {
    let what = format!("can't be read from the hub: {}", engine::mask::text(&error.message));
    let row = format!("{{\"id\":{hub_id}}}");
    Bundle {
        entity: Some(entity),
        hub_id,
        record_id: hub_id.to_string(),
        unreadable: Some(unreadable_row(entity.as_str(), &row, &what)),
        ..Bundle::default()
    }
}

/// A record that left the hub between two looks.
fn gone(roots: &[Root], candidate: &Candidate) -> Bundle {
    Bundle {
        entity: roots.get(candidate.root).map(|root| root.entity),
        hub_id: candidate.hub_id,
        record_id: candidate.hub_id.to_string(),
        ..Bundle::default()
    }
}
