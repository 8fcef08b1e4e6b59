//! Lists: parameters checked, records filtered, sorted and cut into pages.

use super::errors::{ApiError, ApiResult, InvalidParam};
use super::params::{Param, Params};
use super::record::{Record, number, text};
use super::reply::Paging;
use super::times::DateParam;
use jiff::tz::TimeZone;
use std::cmp::Ordering;

/// What lists of a resource understand.
pub struct Rules {
    /// Values of `orderby`.
    pub orderby: &'static [&'static str],
    /// Without the parameter.
    pub default_orderby: &'static str,
    /// Newest or highest first, unless asked otherwise.
    pub default_desc: bool,
    /// Values of `status`; empty: there is no such parameter.
    pub statuses: &'static [&'static str],
    /// More parameters with fixed values.
    pub enums: &'static [(&'static str, &'static [&'static str])],
    /// Dates are compared with the stored local column unless `dates_are_gmt`: the posts table.
    /// Orders (HPOS) have GMT columns only.
    pub posts_table: bool,
    /// Filters by date exist at all; elsewhere they are silently ignored.
    pub dates: bool,
}

const DATES: [&str; 4] = ["after", "before", "modified_after", "modified_before"];

/// A checked query.
pub struct Query {
    page: usize,
    per_page: usize,
    offset: Option<usize>,
    orderby: String,
    desc: bool,
    include: Vec<u64>,
    exclude: Vec<u64>,
    parent: Vec<u64>,
    /// The column, whether the bound is a lower one, and the bound.
    dates: Vec<(String, bool, String)>,
    /// As asked for.
    pub status: Vec<String>,
    /// In lower case.
    pub search: Option<String>,
    posts_table: bool,
}

impl Query {
    /// Checks the parameters.
    ///
    /// Errors: 400 `rest_invalid_param` that names every parameter at fault.
    pub fn read(params: &mut Params, rules: &Rules, zone: &TimeZone) -> ApiResult<Self> {
        let mut faults = vec![];
        let page = integer(params, "page", 1, None, &mut faults).unwrap_or(1);
        let per_page = integer(params, "per_page", 1, Some(100), &mut faults).unwrap_or(10);
        let offset = integer(params, "offset", 0, None, &mut faults);
        one_of(params, "order", &["asc", "desc"], &mut faults);
        one_of(params, "orderby", rules.orderby, &mut faults);
        one_of(params, "context", &["view", "edit"], &mut faults);
        for (name, allowed) in rules.enums {
            one_of(params, name, allowed, &mut faults);
        }
        let status = statuses(params, rules, &mut faults);
        let dates = dates(params, rules, zone, &mut faults);
        if !faults.is_empty() {
            return Err(ApiError::invalid_params(faults));
        }
        for name in ["dates_are_gmt"] {
            if params.get(name).is_some() {
                let flag = if params.flag(name) { "1" } else { "0" };
                params.set_text(name, flag);
            }
        }
        Ok(Query {
            page: page as usize,
            per_page: per_page as usize,
            offset: offset.map(|n| n as usize),
            orderby: params.text("orderby").unwrap_or(rules.default_orderby).to_owned(),
            desc: params.text("order").map_or(rules.default_desc, |order| order == "desc"),
            include: ids(params, "include"),
            exclude: ids(params, "exclude"),
            // Customers, taxes and the like have no parents, and ignore this, too.
            parent: if rules.dates { ids(params, "parent") } else { vec![] },
            dates,
            status,
            search: params.text("search").filter(|s| !s.is_empty()).map(str::to_lowercase),
            posts_table: rules.posts_table,
        })
    }

    /// True unless ids or dates rule the record out.
    pub fn admits(&self, record: &Record) -> bool {
        let id = number(record, "id");
        (self.include.is_empty() || self.include.contains(&id))
            && !self.exclude.contains(&id)
            && (self.parent.is_empty() || self.parent.contains(&number(record, "parent_id")))
            && self.dates.iter().all(|(column, lower, bound)| {
                let value = text(record, column);
                // Both bounds are strict: reference, 2.1.
                if *lower { value > bound.as_str() } else { value < bound.as_str() }
            })
    }

    /// Sorts what was found and cuts out the page.
    pub fn page<T>(&self, mut found: Vec<T>, record: impl Fn(&T) -> &Record) -> (Vec<T>, Paging) {
        let salt = (self.page as u64).wrapping_mul(1_000_003).wrapping_add(self.per_page as u64);
        found.sort_by(|a, b| self.compare(record(a), record(b), salt));
        let total = found.len();
        let pages = total.div_ceil(self.per_page);
        let start = self.offset.unwrap_or((self.page - 1).saturating_mul(self.per_page));
        let items: Vec<T> = found.into_iter().skip(start).take(self.per_page).collect();
        (items, Paging { total, pages, page: self.page })
    }

    fn compare(&self, a: &Record, b: &Record, salt: u64) -> Ordering {
        let (ids, reverse) = ((number(a, "id"), number(b, "id")), self.desc);
        let by_text = |key: &str| text(a, key).cmp(text(b, key));
        let order = match self.orderby.as_str() {
            "modified" => by_text("date_modified_gmt"),
            "date" | "registered_date" => by_text("date_created_gmt"),
            "title" => by_text("name"),
            "slug" => by_text("slug"),
            "name" => by_text("username"),
            "price" => super::record::amount(a, "price").cmp(&super::record::amount(b, "price")),
            "order" | "menu_order" => number(a, "order").cmp(&number(b, "order")),
            "include" => {
                let place = |id| self.include.iter().position(|i| *i == id);
                return place(ids.0).cmp(&place(ids.1));
            }
            _ => Ordering::Equal,
        };
        let order = if reverse { order.reverse() } else { order };
        order.then_with(|| match self.breaks_ties() {
            true if reverse => ids.1.cmp(&ids.0),
            true => ids.0.cmp(&ids.1),
            false => shuffled(ids.0, salt).cmp(&shuffled(ids.1, salt)),
        })
    }

    /// Without a tie-breaker the database returns equal rows in an order that changes from page to
    /// page, so that walks lose rows: reference, 3.1. Orders by date are safe (the source adds the
    /// id); products recorded within one second came unordered.
    fn breaks_ties(&self) -> bool {
        match self.orderby.as_str() {
            "modified" | "title" | "slug" | "price" => false,
            "date" => !self.posts_table,
            _ => true,
        }
    }

    /// Nothing was asked, or `any` was: it wins over what stands beside it.
    pub fn wants_any_status(&self) -> bool {
        self.status.is_empty() || self.status.iter().any(|s| s == "any")
    }
}

/// Deterministic, but different on every page.
fn shuffled(id: u64, salt: u64) -> u64 {
    let mut z = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt.wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    z = (z ^ (z >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 32)
}

fn integer(
    params: &mut Params,
    name: &str,
    low: u64,
    high: Option<u64>,
    faults: &mut Vec<InvalidParam>,
) -> Option<u64> {
    let text = params.text(name)?.trim().to_owned();
    let Ok(value) = text.parse::<i64>() else {
        faults.push(InvalidParam::not_of_type(name, "integer"));
        return None;
    };
    let value = u64::try_from(value).ok().filter(|v| *v >= low && high.is_none_or(|h| *v <= h));
    if value.is_none() {
        let message = match high {
            Some(high) => {
                format!("{name} must be between {low} (inclusive) and {high} (inclusive)")
            }
            None => format!("{name} must be greater than or equal to {low}"),
        };
        faults.push(InvalidParam::new(name, "rest_out_of_bounds", message));
    }
    value
}

fn one_of(params: &Params, name: &str, allowed: &[&str], faults: &mut Vec<InvalidParam>) {
    if let Some(value) = params.text(name)
        && !allowed.contains(&value)
    {
        faults.push(InvalidParam::not_in_enum(name, name, allowed));
    }
}

/// A list for orders; the others take one status. What was understood goes back into the
/// parameters: `Link` shows it.
fn statuses(params: &mut Params, rules: &Rules, faults: &mut Vec<InvalidParam>) -> Vec<String> {
    if rules.statuses.is_empty() {
        return vec![];
    }
    if rules.posts_table {
        one_of(params, "status", rules.statuses, faults);
        return params.text("status").map(str::to_owned).into_iter().collect();
    }
    let Some(given) = params.list("status") else {
        params.set("status", Param::List(vec!["any".into()]));
        return vec!["any".into()];
    };
    if let Some(at) = given.iter().position(|s| !rules.statuses.contains(&s.as_str())) {
        let label = format!("status[{at}]");
        faults.push(InvalidParam::not_in_enum("status", &label, rules.statuses));
    }
    params.set("status", Param::List(given.clone()));
    given
}

fn dates(
    params: &Params,
    rules: &Rules,
    zone: &TimeZone,
    faults: &mut Vec<InvalidParam>,
) -> Vec<(String, bool, String)> {
    if !rules.dates {
        return vec![];
    }
    let gmt = params.flag("dates_are_gmt");
    let mut bounds = vec![];
    for name in DATES {
        let Some(text) = params.text(name) else { continue };
        let Some(date) = DateParam::read(text) else {
            faults.push(InvalidParam::new(name, "rest_invalid_date", "Invalid date."));
            continue;
        };
        let lower = name.ends_with("after");
        let column = if name.starts_with("modified") { "date_modified" } else { "date_created" };
        let bound = match rules.posts_table && !gmt {
            true => (column.to_owned(), lower, date.local_bound(zone)),
            false => (format!("{column}_gmt"), lower, date.bound(gmt, zone, !lower)),
        };
        bounds.push(bound);
    }
    bounds
}

fn ids(params: &Params, name: &str) -> Vec<u64> {
    let texts = params.list(name).unwrap_or_default();
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

/// A number, or nothing when the parameter is missing.
///
/// Errors: 400 when it is no number.
pub fn id_param(params: &Params, name: &str) -> ApiResult<Option<u64>> {
    match params.text(name) {
        None => Ok(None),
        Some(text) => match text.trim().parse() {
            Ok(id) => Ok(Some(id)),
            Err(_) => {
                Err(ApiError::invalid_params(vec![InvalidParam::not_of_type(name, "integer")]))
            }
        },
    }
}
