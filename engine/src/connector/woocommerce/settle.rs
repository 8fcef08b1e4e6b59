//! Orders become visible while they are still being written (woocommerce.md, section 6). One that
//! changed a moment ago and doesn't add up is read again until it does, or until two reads agree.

use super::client::Api;
use super::entities::Head;
use super::lists;
use crate::clock::Clock;
use crate::error::{Category, Error, Result};
use crate::mapping::decimal;
use crate::model::{Entity, RecordFailure};
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How young a change must be for an order to be still in the making.
const YOUNG: SignedDuration = SignedDuration::from_mins(5);

/// Reads after the first one.
const ROUNDS: usize = 4;

const PAUSE: Duration = Duration::from_millis(1500);

/// Might this order be half-written?
pub fn is_suspect(raw: &RawValue, head: &Head<'_>, now: Timestamp) -> bool {
    // One that doesn't say when it changed may have changed just now.
    let young = head.modified().is_none_or(|modified| now.duration_since(modified) < YOUNG);
    young && !adds_up(raw)
}

/// Does the header equal its lines? A cent for each line is left to rounding
/// (woocommerce.md, section 7: tax rounded at the subtotal).
fn adds_up(raw: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Order<'o> {
        #[serde(borrow)]
        total: &'o RawValue,
        #[serde(borrow)]
        total_tax: &'o RawValue,
        #[serde(borrow, default)]
        line_items: Vec<Line<'o>>,
        #[serde(borrow, default)]
        shipping_lines: Vec<Line<'o>>,
        #[serde(borrow, default)]
        fee_lines: Vec<Line<'o>>,
    }
    #[derive(Deserialize)]
    struct Line<'o> {
        #[serde(borrow)]
        total: &'o RawValue,
    }
    let amount = |raw: &RawValue| decimal(raw.get().trim_matches('"')).ok();
    // What can't be read at all is told by the mapping, not by waiting.
    let Ok(order) = serde_json::from_str::<Order<'_>>(raw.get()) else { return true };
    let lines: Vec<&RawValue> = order
        .line_items
        .iter()
        .chain(&order.shipping_lines)
        .chain(&order.fee_lines)
        .map(|line| line.total)
        .collect();
    let sum = lines
        .iter()
        .map(|total| amount(total))
        .chain([amount(order.total_tax)])
        .try_fold(Decimal::ZERO, |sum, part| sum.checked_add(part?));
    match (sum, amount(order.total)) {
        (Some(sum), Some(total)) => {
            let parts = Decimal::from(lines.len() as u64 + 1);
            (total - sum).abs() <= Decimal::new(1, 2) * parts
        }
        _ => true,
    }
}

/// What became of the suspects.
#[derive(Debug, Default)]
pub struct Settled {
    /// JSON of those that came to rest, by id.
    pub orders: BTreeMap<i64, Arc<str>>,
    pub failures: Vec<RecordFailure>,
    pub calls: u64,
    pub notes: Vec<String>,
}

/// Reads the suspects again until each adds up, or two reads of it agree. Those that are still
/// moving after a few rounds fail for now. One that vanished counts as it was seen.
pub async fn settle(
    api: &Api,
    clock: &dyn Clock,
    dp: u64,
    suspects: BTreeMap<i64, Arc<str>>,
) -> Result<Settled> {
    let mut settled = Settled::default();
    let mut moving = suspects;
    for _ in 0..ROUNDS {
        if moving.is_empty() {
            break;
        }
        clock.sleep(PAUSE).await;
        let again = read(api, dp, &moving, &mut settled.calls).await?;
        for (id, before) in std::mem::take(&mut moving) {
            let Some(now) = again.get(&id) else {
                settled.orders.insert(id, before);
                continue;
            };
            let rests = serde_json::from_str::<&RawValue>(now).is_ok_and(adds_up);
            if rests || *now == before {
                settled.orders.insert(id, Arc::clone(now));
            } else {
                moving.insert(id, Arc::clone(now));
            }
        }
    }
    if !settled.orders.is_empty() {
        settled.notes.push(format!(
            "{} orders were seen half-written and read again",
            settled.orders.len() + moving.len()
        ));
    }
    settled.failures = moving.into_iter().map(|(id, raw)| in_motion(id, raw)).collect();
    Ok(settled)
}

async fn read(
    api: &Api,
    dp: u64,
    ids: &BTreeMap<i64, Arc<str>>,
    calls: &mut u64,
) -> Result<BTreeMap<i64, Arc<str>>> {
    let list: Vec<String> = ids.keys().map(i64::to_string).collect();
    let mut query = lists::shape(Entity::Orders, dp);
    query.push(("include", list.join(",")));
    query.push(("status", "any".into()));
    query.push(("per_page", lists::MAX_PAGE.to_string()));
    let answer = api.get(lists::path(Entity::Orders), &query).await?;
    *calls += answer.calls();
    let (page, _) = answer.list()?;
    Ok(page
        .into_iter()
        .filter_map(|raw| Some((Head::of(raw).id()?, Arc::from(raw.get()))))
        .collect())
}

fn in_motion(id: i64, raw: Arc<str>) -> RecordFailure {
    let error = Error::new(
        Category::Conflict,
        "order_in_motion",
        format!("order {id} is still being written: its total doesn't equal its lines"),
    )
    .retryable(true)
    .hint("It is read again by the next sync.");
    RecordFailure {
        entity: Entity::Orders,
        remote_id: id.to_string(),
        label: id.to_string(),
        error,
        raw: Some(raw),
    }
}
