//! Which lists a pull walks, and how they are asked for.
//!
//! Always `orderby=id&order=asc`: by any other order rows get lost where times are equal. Always
//! naive UTC with `dates_are_gmt=true`: with an offset, shops east of Greenwich silently miss
//! changes. Never `modified_before`: rows that change while the list is walked leave it and shift
//! the pages (woocommerce.md, sections 2 and 3).

use super::client::Query;
use crate::connector::Pass;
use crate::model::{Cell, Entity, Mode, Record};
use crate::store::Filters;
use jiff::{SignedDuration, Timestamp};

/// Elements of a page, at the most; and of an `include=`, whose echo in a header breaks nginx
/// somewhere above.
pub const MAX_PAGE: u64 = 100;

/// Fields of an id walk.
const ID_FIELD: &str = "id";

/// The passes of a stream. `refunds_by_order`: the shop is too old for a list of all refunds.
pub fn passes(
    entity: Entity,
    mode: Mode,
    watermark: Option<Timestamp>,
    filters: &Filters,
    refunds_by_order: bool,
) -> Vec<Pass> {
    let filters = applying(entity, filters);
    // Customers can't be asked for by time: all of them are compared.
    let after = watermark.filter(|_| mode == Mode::Incremental && entity != Entity::Customers);
    let by_order = entity == Entity::Refunds && refunds_by_order;
    let live = Pass {
        name: "live",
        modified_after: after,
        complete: after.is_none() && filters.is_empty() && !by_order,
        remote_type: if by_order { "order" } else { remote_type(entity) },
        ids_only: false,
        filters: filters.clone(),
    };
    let mut passes = vec![live];
    let wants_trash = filters.status.as_ref().is_none_or(|s| s.iter().any(|s| s == "trash"));
    if matches!(entity, Entity::Orders | Entity::Products) && wants_trash {
        passes.push(Pass {
            name: "trash",
            modified_after: after,
            complete: false,
            remote_type: remote_type(entity),
            ids_only: false,
            filters,
        });
    }
    passes
}

/// The light list of all ids, for what was deleted without a trace.
pub fn id_walk(entity: Entity) -> Option<Pass> {
    // Customers are walked whole each time.
    matches!(entity, Entity::Orders | Entity::Products | Entity::Refunds).then(|| Pass {
        name: "ids",
        modified_after: None,
        filters: Filters::default(),
        complete: true,
        remote_type: remote_type(entity),
        ids_only: true,
    })
}

pub fn remote_type(entity: Entity) -> &'static str {
    match entity {
        Entity::Customers => "customer",
        Entity::Products => "product",
        Entity::Orders => "order",
        _ => "refund",
    }
}

/// The filters that mean something for the entity; the others don't narrow what comes along with
/// it (an orders run brings customers).
fn applying(entity: Entity, filters: &Filters) -> Filters {
    let mut filters = filters.clone();
    if !matches!(entity, Entity::Orders | Entity::Products) {
        filters.status = None;
    }
    if !matches!(entity, Entity::Orders | Entity::Refunds) {
        filters.currency = None;
    }
    if entity != Entity::Orders {
        filters.customer = None;
    }
    if entity != Entity::Products {
        filters.sku = None;
        filters.kind = None;
    }
    filters
}

/// The list's path after `/wp-json/`.
pub fn path(entity: Entity) -> &'static str {
    match entity {
        Entity::Customers => "wc/v3/customers",
        Entity::Products => "wc/v3/products",
        Entity::Orders => "wc/v3/orders",
        _ => "wc/v3/refunds",
    }
}

/// The query of one page. What the API can't filter by, [`matches`] does.
pub fn query(entity: Entity, pass: &Pass, offset: u64, limit: u64, dp: u64) -> Query {
    let mut query: Query = vec![
        ("orderby", "id".into()),
        ("order", "asc".into()),
        ("per_page", limit.clamp(1, MAX_PAGE).to_string()),
        ("offset", offset.to_string()),
    ];
    if pass.ids_only {
        query.push(("_fields", ID_FIELD.into()));
    }
    query.extend(shape(entity, dp));
    query.extend(status(entity, pass));
    query.extend(times(entity, pass));
    if entity == Entity::Orders
        && let Some(id) = pass.filters.customer.as_ref().filter(|c| is_id(c))
    {
        query.push(("customer", id.clone()));
    }
    if entity == Entity::Products {
        query.extend(pass.filters.sku.iter().map(|sku| ("sku", sku.clone())));
        // The list has no variations: they come with their parents.
        let kind =
            pass.filters.kind.as_deref().map(|k| if k == "variation" { "variable" } else { k });
        query.extend(kind.map(|kind| ("type", kind.to_owned())));
    }
    query
}

/// What every request of the entity's records carries.
pub fn shape(entity: Entity, dp: u64) -> Query {
    match entity {
        // `dp` by default is the shop's setting of today: at 0, cents are gone.
        Entity::Orders | Entity::Refunds => vec![("dp", dp.to_string())],
        // By default only the role "customer"; managers buy, too.
        Entity::Customers => vec![("role", "all".into())],
        _ => vec![],
    }
}

fn status(entity: Entity, pass: &Pass) -> Option<(&'static str, String)> {
    if !matches!(entity, Entity::Orders | Entity::Products) {
        return None;
    }
    if pass.name == "trash" {
        return Some(("status", "trash".into()));
    }
    let wanted: Vec<&str> = match &pass.filters.status {
        Some(list) => list.iter().map(String::as_str).filter(|s| *s != "trash").collect(),
        None => vec![],
    };
    // Products take one status only; an empty list would mean all of them.
    let wanted = match (entity, wanted.as_slice()) {
        (_, []) => "any".to_owned(),
        (Entity::Products, [one]) => (*one).to_owned(),
        (Entity::Products, _) => "any".to_owned(),
        (_, list) => list.join(","),
    };
    Some(("status", wanted))
}

/// Bounds of the API are strict on both sides; ours count the beginning and not the end.
fn times(entity: Entity, pass: &Pass) -> Query {
    let mut query = Query::new();
    if entity == Entity::Customers {
        return query;
    }
    // The shop cuts its times to whole seconds: what changes within the watermark's own second
    // carries that second's beginning.
    let watermark = pass.modified_after.and_then(|t| Timestamp::from_second(t.as_second()).ok());
    let after = watermark.max(pass.filters.modified_since);
    query.extend(after.map(|t| ("modified_after", naive(out_of_gap(before_second(t))))));
    query
        .extend(pass.filters.created_since.map(|t| ("after", naive(out_of_gap(before_second(t))))));
    query.extend(pass.filters.created_until.map(|t| ("before", naive(whole_second(t)))));
    if !query.is_empty() {
        query.push(("dates_are_gmt", "true".into()));
    }
    query
}

/// The first whole second that isn't before `time`.
fn whole_second(time: Timestamp) -> Timestamp {
    let floor = Timestamp::from_second(time.as_second()).unwrap_or(time);
    if floor < time {
        floor.checked_add(SignedDuration::from_secs(1)).unwrap_or(floor)
    } else {
        floor
    }
}

fn before_second(time: Timestamp) -> Timestamp {
    let whole = whole_second(time);
    whole.checked_sub(SignedDuration::from_secs(1)).unwrap_or(whole)
}

/// WordPress reads a time in the site's zone even where `dates_are_gmt` says that it is UTC. One that
/// the site's clock skips (02:30 on the day when summer time begins) is taken for an hour later, and
/// that hour's changes would be missed. Clocks skip hours between midnight and four: from such a
/// time on, an hour more is asked for. What comes twice is dropped by its hash.
fn out_of_gap(time: Timestamp) -> Timestamp {
    let hour = time.to_zoned(jiff::tz::TimeZone::UTC).hour();
    if hour >= 4 {
        return time;
    }
    time.checked_sub(jiff::SignedDuration::from_hours(1)).unwrap_or(time)
}

/// UTC without a suffix.
fn naive(time: Timestamp) -> String {
    time.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Does a record pass the filters? All are checked: a plugin, or an older version, may not honour
/// what the query asks for.
pub fn matches(record: &Record, filters: &Filters) -> bool {
    let row = &record.row;
    let text = |column: &str| match row.cell(column) {
        Cell::Text(text) | Cell::Ref(text) => Some(text.as_str()),
        _ => None,
    };
    let since = |column: &str, bound: Option<Timestamp>| {
        bound.is_none_or(|bound| matches!(row.cell(column), Cell::Time(t) if *t >= bound))
    };
    let until = |column: &str, bound: Option<Timestamp>| {
        bound.is_none_or(|bound| matches!(row.cell(column), Cell::Time(t) if *t < bound))
    };
    let is = |column: &str, wanted: &Option<String>| {
        wanted.as_deref().is_none_or(|wanted| text(column) == Some(wanted))
    };
    let status = filters
        .status
        .as_ref()
        .is_none_or(|list| list.iter().any(|status| text("status") == Some(status)));
    let currency = filters
        .currency
        .as_deref()
        .is_none_or(|wanted| text("currency").is_some_and(|c| c.eq_ignore_ascii_case(wanted)));
    status
        && currency
        && since("created_at", filters.created_since)
        && until("created_at", filters.created_until)
        && since("modified_at", filters.modified_since)
        && until("modified_at", filters.modified_until)
        && is("customer_id", &filters.customer)
        && is("sku", &filters.sku)
        && is("kind", &filters.kind)
}

#[cfg(test)]
mod tests {
    use super::{naive, out_of_gap};
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    /// What WordPress makes of the value: a local time of the site, moved on where its clock skips
    /// it, read as UTC again.
    fn as_the_site_reads_it(value: &str, zone: &TimeZone) -> String {
        let local: jiff::civil::DateTime = value.parse().expect("a naive time");
        let read = zone.to_ambiguous_zoned(local).compatible().expect("a time");
        read.datetime().strftime("%Y-%m-%dT%H:%M:%S").to_string()
    }

    proptest! {
        #[test]
        fn a_watermark_in_an_hour_that_the_site_skips_misses_nothing(
            seconds in 1_735_689_600i64..1_830_000_000,
            zone in prop::sample::select(vec![
                "America/New_York", "Europe/Berlin", "America/Santiago", "America/Havana",
                "Asia/Beirut", "Australia/Lord_Howe", "Europe/London", "Asia/Kolkata",
            ]),
        ) {
            let zone = TimeZone::get(zone).expect("a zone of the system");
            let asked = jiff::Timestamp::from_second(seconds).expect("a time");
            let read = as_the_site_reads_it(&naive(out_of_gap(asked)), &zone);
            prop_assert!(read <= naive(asked), "{} was read as {read}", naive(asked));
        }
    }

    #[test]
    fn the_skipped_hour_of_new_york_is_asked_for_from_an_hour_before() {
        let asked: jiff::Timestamp = "2026-03-08T02:30:00Z".parse().expect("a time");
        assert_eq!(naive(out_of_gap(asked)), "2026-03-08T01:30:00");
    }
}
