//! Orders rendered beforehand, for benchmarks: the server must cost next to nothing.
//!
//! All orders lie in one buffer, separated by commas in the order of their ids, so that a page in
//! that order is a slice of it.

use super::auth;
use super::dispatch::rest_path;
use super::errors::ApiError;
use super::generate::{Maker, moment};
use super::params::Params;
use super::php;
use super::record::set;
use super::reply::{Call, Paging, Reply, refuse, respond};
use super::routes::Route;
use super::state::{Order, Shop};
use super::times::{self, DateParam};
use super::{auth::Purpose, orders};
use crate::http::{Request, Response};
use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{PoisonError, RwLock};

/// So many different orders; the rest are copies with other ids and dates.
const TEMPLATES: u64 = 200;

/// Stand-ins in the templates: numbers and dates that occur nowhere else.
const ORDER: u64 = 800_000_000_000;
const ITEM: u64 = 810_000_000_000;
const CREATED: &str = "1971-01-01T00:00:00";
const CREATED_LOCAL: &str = "1970-12-31T19:00:00";
const MODIFIED: &str = "1971-02-01T00:00:00";
const MODIFIED_LOCAL: &str = "1971-01-31T19:00:00";

/// Parameters that this mode understands.
const KNOWN: [&str; 16] = [
    "page",
    "per_page",
    "offset",
    "order",
    "orderby",
    "include",
    "modified_after",
    "modified_before",
    "dates_are_gmt",
    "dp",
    "status",
    "context",
    "_fields",
    "consumer_key",
    "consumer_secret",
    "_method",
];

enum Part {
    Text(String),
    Order,
    Item(u64),
    Created,
    CreatedLocal,
    Modified,
    ModifiedLocal,
}

struct Template {
    parts: Vec<Part>,
    items: u64,
}

/// Where an order lies in the buffer, and when it was modified (seconds).
struct Place {
    bytes: Range<usize>,
    modified: i64,
}

struct Store {
    buffer: Bytes,
    first_id: u64,
    places: Vec<Place>,
    /// Orders changed since, by index.
    changed: BTreeMap<usize, Bytes>,
    templates: Vec<Template>,
    count: u64,
}

/// The pre-rendered orders of a shop.
pub struct Prerendered(RwLock<Store>);

impl Prerendered {
    /// Makes `orders` orders; products and customers stay in `shop`, its orders are taken out.
    pub fn make(shop: &mut Shop, orders: u64, seed: u64) -> Self {
        shop.site_url = "https://shop.test".into();
        let mut maker = Maker::new(shop, orders, seed);
        let ids: Vec<u64> = (0..TEMPLATES.min(orders.max(1)))
            .filter_map(|n| maker.order(shop, moment(n, TEMPLATES)))
            .collect();
        let templates: Vec<Template> = ids
            .iter()
            .filter_map(|id| shop.orders.get(id))
            .map(|order| template(shop, order))
            .collect();
        shop.orders.clear();
        shop.events.clear();
        let first_id = shop.last.post + 1;
        let mut store = Store {
            buffer: Bytes::new(),
            first_id,
            places: vec![],
            changed: BTreeMap::new(),
            templates,
            count: orders,
        };
        store.render_all(&shop.zone);
        shop.last.post += orders;
        Prerendered(RwLock::new(store))
    }

    /// Gives `count` orders, spread evenly, a new modification time.
    pub fn touch(&self, shop: &Shop, count: usize) -> usize {
        let mut store = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let total = store.places.len();
        let now = shop.clock.now();
        let count = count.min(total);
        for n in 0..count {
            let at = n * total / count;
            let text = store.text(at, now, &shop.zone);
            store.changed.insert(at, Bytes::from(text));
            store.places[at].modified = now.as_second();
        }
        count
    }

    /// How many orders there are.
    pub fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).places.len()
    }

    /// Answers what concerns orders; nothing for everything else.
    pub fn answer(&self, shop: &mut Shop, request: &Request) -> Option<Response> {
        let params = Params::parse(&request.query);
        let path = rest_path(request, &params)?;
        let route = Route::parse(&path)?;
        let of_orders = matches!(route, Route::Orders | Route::Order(_) | Route::OrdersBatch);
        // Who may write is asked by a batch of nothing: the shop itself answers it.
        if !of_orders || matches!(route, Route::OrdersBatch) && request.body.as_ref() == b"{}" {
            return None;
        }
        let allowed = auth::identify(shop, request, &params)
            .and_then(|caller| auth::check_role(caller, Purpose::List).map(|()| caller))
            .and_then(|caller| match caller {
                Some(caller) => auth::check_method(caller, &request.method),
                None => Ok(()),
            });
        if let Err(error) = allowed {
            return Some(refuse(&error, Some(&route), &shop.site_url));
        }
        let mut call = Call {
            method: &request.method,
            route: &route,
            path,
            params,
            body: Default::default(),
            batched: false,
        };
        let answer = match (&route, request.method.as_str()) {
            (Route::Orders, "GET" | "HEAD") => self.list(shop, &mut call),
            (Route::Order(id), "GET" | "HEAD") => self.one(*id),
            _ => Err(refusal("orders are read-only here")),
        };
        Some(match answer {
            Ok((paging, body)) => {
                let reply = Reply { status: 200, body: Value::Null, paging, location: None };
                // Fields were chosen already; the body is bytes by now.
                let fields = call.params.list("_fields").is_some();
                let mut response = match fields {
                    true => respond_without_fields(reply, &mut call, &shop.site_url),
                    false => respond(reply, &call, &shop.site_url),
                };
                response.body = body;
                response.sending.content_length = true;
                response
            }
            Err(error) => refuse(&error, Some(&route), &shop.site_url),
        })
    }

    fn one(&self, id: u64) -> Result<Answer, ApiError> {
        let store = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let at = id.checked_sub(store.first_id).map(|at| at as usize);
        match at.filter(|at| *at < store.places.len()) {
            Some(at) => Ok((None, vec![store.bytes(at)])),
            None => Err(orders::not_found(404)),
        }
    }

    fn list(&self, shop: &Shop, call: &mut Call<'_>) -> Result<Answer, ApiError> {
        if let Some((name, _)) = call
            .params
            .iter()
            .find(|(n, _)| !KNOWN.contains(&n.as_str()) && !n.starts_with("oauth_"))
        {
            return Err(refusal(&format!("no filter by {name}")));
        }
        let query = super::list::Query::read(&mut call.params, &orders::RULES, &shop.zone)?;
        if query.status.iter().any(|s| s == "trash") {
            return Ok((
                Some(Paging { total: 0, pages: 0, page: 1 }),
                vec![Bytes::from_static(b"[]")],
            ));
        }
        let store = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let per_page = call.params.number("per_page").unwrap_or(10) as usize;
        let page = call.params.number("page").unwrap_or(1) as usize;
        let start = call
            .params
            .number("offset")
            .map_or((page - 1).saturating_mul(per_page), |n| n as usize);
        let ascending = call.params.text("order") == Some("asc");
        let chosen = store.chosen(shop, &call.params);
        let (total, picked) = chosen.page(start, per_page, ascending);
        let body = store.body(&picked, call.params.list("_fields").as_deref())?;
        let pages = total.div_ceil(per_page);
        let mut paging = Paging { total, pages, page };
        orders::past_the_end(&mut paging, picked.is_empty());
        call.params.set_text("dp", "2");
        call.params.set_text("context", "view");
        Ok((Some(paging), body))
    }
}

type Answer = (Option<Paging>, Vec<Bytes>);

fn refusal(why: &str) -> ApiError {
    ApiError::new(501, "simulator_prerendered", format!("Pre-rendered shop: {why}."))
}

fn respond_without_fields(reply: Reply, call: &mut Call<'_>, site_url: &str) -> Response {
    let body = Value::Array(vec![]);
    respond(Reply { body, ..reply }, call, site_url)
}

/// Which orders a list is about: all of them in most calls.
enum Chosen {
    All(usize),
    Some(Vec<usize>),
}

impl Chosen {
    fn page(&self, start: usize, size: usize, ascending: bool) -> (usize, Vec<usize>) {
        let total = match self {
            Chosen::All(total) => *total,
            Chosen::Some(list) => list.len(),
        };
        let end = start.saturating_add(size).min(total);
        let at = |n: usize| {
            let n = if ascending { n } else { total - 1 - n };
            match self {
                Chosen::All(_) => n,
                Chosen::Some(list) => list[n],
            }
        };
        (total, (start.min(end)..end).map(at).collect())
    }
}

impl Store {
    fn render_all(&mut self, zone: &jiff::tz::TimeZone) {
        let mut buffer = BytesMut::new();
        for n in 0..self.count {
            if n > 0 {
                buffer.extend_from_slice(b",");
            }
            let modified = moment(n, self.count);
            let text = self.text(n as usize, modified, zone);
            let start = buffer.len();
            buffer.extend_from_slice(text.as_bytes());
            let bytes = start..buffer.len();
            self.places.push(Place { bytes, modified: modified.as_second() });
        }
        self.buffer = buffer.freeze();
    }

    fn text(&self, at: usize, modified: Timestamp, zone: &jiff::tz::TimeZone) -> String {
        let template = &self.templates[at % self.templates.len()];
        let created = times::gmt(moment(at as u64, self.count));
        let modified = times::gmt(modified);
        let local = |gmt: &str| times::local(gmt, zone).unwrap_or_default();
        let id = self.first_id + at as u64;
        let first_item = 1 + at as u64 * 8;
        let mut text = String::with_capacity(4096);
        for part in &template.parts {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Order => text.push_str(&id.to_string()),
                Part::Item(n) => {
                    text.push_str(&(first_item + n % template.items.max(1)).to_string())
                }
                Part::Created => text.push_str(&created),
                Part::CreatedLocal => text.push_str(&local(&created)),
                Part::Modified => text.push_str(&modified),
                Part::ModifiedLocal => text.push_str(&local(&modified)),
            }
        }
        text
    }

    fn bytes(&self, at: usize) -> Bytes {
        match self.changed.get(&at) {
            Some(bytes) => bytes.clone(),
            None => self.buffer.slice(self.places[at].bytes.clone()),
        }
    }

    fn chosen(&self, shop: &Shop, params: &Params) -> Chosen {
        let gmt = params.flag("dates_are_gmt");
        let bound = |name: &str, upper: bool| {
            let date = DateParam::read(params.text(name)?)?;
            Some(times::moment(&date.bound(gmt, &shop.zone, upper))?.as_second())
        };
        let (after, before) = (bound("modified_after", false), bound("modified_before", true));
        let include = params.list("include").filter(|ids| !ids.is_empty());
        if after.is_none() && before.is_none() && include.is_none() {
            return Chosen::All(self.places.len());
        }
        let wanted: Option<Vec<usize>> = include.map(|ids| {
            let index =
                |id: &String| Some(id.parse::<u64>().ok()?.checked_sub(self.first_id)? as usize);
            let mut list: Vec<usize> = ids.iter().filter_map(index).collect();
            list.retain(|at| *at < self.places.len());
            list.sort_unstable();
            list.dedup();
            list
        });
        let fits = |at: &usize| {
            let modified = self.places[*at].modified;
            after.is_none_or(|a| modified > a) && before.is_none_or(|b| modified < b)
        };
        Chosen::Some(match wanted {
            Some(list) => list.into_iter().filter(fits).collect(),
            None => (0..self.places.len()).filter(fits).collect(),
        })
    }

    fn body(&self, picked: &[usize], fields: Option<&[String]>) -> Result<Vec<Bytes>, ApiError> {
        if let Some(fields) = fields.filter(|f| !f.is_empty()) {
            return self.ids_only(picked, fields);
        }
        let (Some(first), Some(last)) = (picked.first(), picked.last()) else {
            return Ok(vec![Bytes::from_static(b"[]")]);
        };
        let run = last.checked_sub(*first).is_some_and(|n| n + 1 == picked.len());
        let untouched = self.changed.range(*first.min(last)..=*first.max(last)).next().is_none();
        let mut body = vec![Bytes::from_static(b"[")];
        if run && untouched {
            body.push(
                self.buffer.slice(self.places[*first].bytes.start..self.places[*last].bytes.end),
            );
        } else {
            for (n, at) in picked.iter().enumerate() {
                if n > 0 {
                    body.push(Bytes::from_static(b","));
                }
                body.push(self.bytes(*at));
            }
        }
        body.push(Bytes::from_static(b"]"));
        Ok(body)
    }

    /// `_fields=id,date_modified_gmt`: the walk over ids that finds deleted orders.
    fn ids_only(&self, picked: &[usize], fields: &[String]) -> Result<Vec<Bytes>, ApiError> {
        if fields.iter().any(|f| f != "id" && f != "date_modified_gmt") {
            return Err(refusal("_fields may name id and date_modified_gmt only"));
        }
        let mut text = String::from("[");
        for (n, at) in picked.iter().enumerate() {
            let time = Timestamp::from_second(self.places[*at].modified).unwrap_or_default();
            let id = self.first_id + *at as u64;
            let both =
                [format!("\"id\":{id}"), format!("\"date_modified_gmt\":\"{}\"", times::gmt(time))];
            let shown: Vec<String> = both
                .into_iter()
                .filter(|part| fields.iter().any(|f| part.starts_with(&format!("\"{f}\""))))
                .collect();
            text.push_str(if n > 0 { ",{" } else { "{" });
            text.push_str(&shown.join(","));
            text.push('}');
        }
        text.push(']');
        Ok(vec![Bytes::from(text)])
    }
}

/// Turns an order into a text with holes for what differs between copies.
fn template(shop: &Shop, order: &Order) -> Template {
    let mut order = order.clone();
    let record = &mut order.record;
    let old = super::record::number(record, "id");
    let mut items = 0;
    for list in ["line_items", "shipping_lines", "tax_lines", "fee_lines"] {
        for line in super::record::objects_mut(record, list) {
            set(line, "id", ITEM + items);
            items += 1;
        }
    }
    set(record, "id", ORDER);
    set(record, "number", ORDER.to_string());
    let url = super::record::text(record, "payment_url")
        .replace(&format!("/{old}/"), &format!("/{ORDER}/"));
    set(record, "payment_url", url);
    for key in ["date_created", "date_paid", "date_completed"] {
        if record.get(&format!("{key}_gmt")).is_some_and(Value::is_string) {
            set(record, &format!("{key}_gmt"), CREATED);
        }
    }
    set(record, "date_modified_gmt", MODIFIED);
    let mut value = orders::view::render(shop, &order, 2);
    for key in ["date_created", "date_paid", "date_completed"] {
        if value[key].is_string() {
            value[key] = CREATED_LOCAL.into();
        }
    }
    value["date_modified"] = MODIFIED_LOCAL.into();
    Template { parts: parts(&php::encode(&value), items), items }
}

/// A stand-in, what it becomes, and the number of its line.
type Mark = (String, fn(u64) -> Part, u64);

fn parts(text: &str, items: u64) -> Vec<Part> {
    let mut marks: Vec<Mark> = vec![
        (ORDER.to_string(), |_| Part::Order, 0),
        (CREATED.into(), |_| Part::Created, 0),
        (CREATED_LOCAL.into(), |_| Part::CreatedLocal, 0),
        (MODIFIED.into(), |_| Part::Modified, 0),
        (MODIFIED_LOCAL.into(), |_| Part::ModifiedLocal, 0),
    ];
    marks.extend((0..items).map(|n| ((ITEM + n).to_string(), Part::Item as fn(u64) -> Part, n)));
    let mut found: Vec<(usize, usize, Part)> = vec![];
    for (mark, part, n) in &marks {
        found.extend(text.match_indices(mark.as_str()).map(|(at, _)| (at, mark.len(), part(*n))));
    }
    found.sort_by_key(|(at, ..)| *at);
    let mut parts = vec![];
    let mut end = 0;
    for (at, length, part) in found {
        parts.push(Part::Text(text[end..at].to_owned()));
        parts.push(part);
        end = at + length;
    }
    parts.push(Part::Text(text[end..].to_owned()));
    parts
}
