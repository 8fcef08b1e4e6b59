//! Orders: lists, single orders, and what writing one does.

mod build;
mod coupons;
mod lines;
mod status;
mod tax;
mod totals;
pub mod view;

pub use lines::full_name;

pub use build::{create, insert_raw, plausible_email, update};
pub use status::{change_status, move_stock};
pub use totals::recalculate;

use super::auth::Purpose;
use super::errors::{ApiError, ApiResult};
use super::list::{Query, Rules, id_param};
use super::record::{Record, number, objects, set, text};
use super::reply::{Call, Paging, Reply};
use super::state::{Order, Shop};
use serde_json::Value;

/// All statuses an order may have, as error texts list them.
pub const STATUSES: [&str; 11] = [
    "any",
    "trash",
    "auto-draft",
    "pending",
    "processing",
    "on-hold",
    "completed",
    "cancelled",
    "refunded",
    "failed",
    "checkout-draft",
];

/// The orders table (HPOS): GMT dates.
pub const RULES: Rules = Rules {
    orderby: &["date", "id", "include", "title", "slug", "modified"],
    default_orderby: "date",
    default_desc: true,
    statuses: &STATUSES,
    enums: &[],
    posts_table: false,
    dates: true,
};

/// 404 when read or deleted, 400 when updated in a batch.
pub fn not_found(status: u16) -> ApiError {
    let mut error = ApiError::new(404, "woocommerce_rest_shop_order_invalid_id", "Invalid ID.");
    error.status = status;
    error.with("status", status)
}

/// The decimals asked for, else the store's of now.
pub fn places(shop: &Shop, call: &Call<'_>) -> u32 {
    let asked = call.params.text("dp").and_then(|dp| dp.trim().parse::<i64>().ok());
    asked.map_or(shop.decimals(), |dp| dp.unsigned_abs().min(12) as u32)
}

/// `GET /orders`.
pub fn list(shop: &mut Shop, call: &mut Call<'_>) -> ApiResult<Reply> {
    let query = Query::read(&mut call.params, &RULES, &shop.zone)?;
    let customer = id_param(&call.params, "customer")?;
    let product = id_param(&call.params, "product")?;
    let found: Vec<&Order> = shop
        .orders
        .values()
        .filter(|order| admits(order, &query, customer, product))
        .filter(|order| query.admits(&order.record))
        .collect();
    let (items, mut paging) = query.page(found, |order| &order.record);
    let places = places(shop, call);
    let ids: Vec<u64> = items.iter().map(|order| number(&order.record, "id")).collect();
    let body: Vec<Value> = items.iter().map(|order| view::render(shop, order, places)).collect();
    past_the_end(&mut paging, body.is_empty());
    if !body.is_empty() {
        // Rendering sets these in the request, and `Link` repeats them.
        call.params.set_text("dp", places.to_string());
        let context = call.params.text("context").unwrap_or("view").to_owned();
        call.params.set_text("context", context);
    }
    ids.into_iter().for_each(|id| shop.was_read(id));
    Ok(Reply::page(body, paging))
}

/// Past the last page the orders table counts nothing: reference, 3.5.
pub fn past_the_end(paging: &mut Paging, empty: bool) {
    if empty {
        (paging.total, paging.pages) = (0, 0);
    }
}

fn admits(order: &Order, query: &Query, customer: Option<u64>, product: Option<u64>) -> bool {
    let record = order.stages.front().unwrap_or(&order.record);
    let status = text(record, "status");
    // `any` wins over what stands beside it, and never means the trash: reference, 4.
    let wanted = match query.wants_any_status() {
        true => status != "trash" && status != "auto-draft",
        false => query.status.iter().any(|s| s == status),
    };
    let sold = |id| {
        objects(record, "line_items")
            .any(|l| number(l, "product_id") == id || number(l, "variation_id") == id)
    };
    wanted
        && customer.is_none_or(|id| number(record, "customer_id") == id)
        && product.is_none_or(sold)
        && query.search.as_deref().is_none_or(|words| matches(record, words))
}

/// Transaction, e-mail, number: reference, 3.9; and the names.
fn matches(record: &Record, words: &str) -> bool {
    let billing = record.get("billing").and_then(Value::as_object);
    let person = ["email", "first_name", "last_name"];
    let mut texts: Vec<&str> =
        billing.map(|b| person.map(|key| text(b, key)).to_vec()).unwrap_or_default();
    texts.extend([text(record, "transaction_id"), text(record, "number")]);
    texts.iter().any(|t| t.to_lowercase().contains(words))
}

impl Shop {
    /// A half-written order may be further along at the next look.
    pub fn was_read(&mut self, id: u64) {
        if !self.half_written.advance_on_read {
            return;
        }
        if let Some(order) = self.orders.get_mut(&id) {
            order.stages.pop_front();
        }
    }
}

/// What a call to a single order is for, to word its refusal.
pub fn purpose(method: &str) -> Purpose {
    match method {
        "GET" => Purpose::View,
        "DELETE" => Purpose::Delete,
        _ => Purpose::Edit,
    }
}

/// `POST /orders`.
pub fn post(shop: &mut Shop, call: &Call<'_>) -> ApiResult<Reply> {
    let id = create(shop, &call.body, call.batched)?;
    let order = shop.orders.get(&id).ok_or_else(|| not_found(404))?;
    // The writer sees the finished order, whatever readers see.
    let finished = Order { record: order.record.clone(), ..Order::default() };
    let body = view::render(shop, &finished, places(shop, call));
    Ok(Reply::created(body, format!("{}/wp-json/wc/v3/orders/{id}", shop.site_url)))
}

/// `GET`, `PUT` or `DELETE /orders/{id}`.
pub fn single(shop: &mut Shop, call: &Call<'_>, id: u64) -> ApiResult<Reply> {
    match call.method {
        "GET" => get(shop, call, id),
        "DELETE" => delete(shop, call, id),
        _ => {
            update(shop, id, &call.body, call.batched)?;
            get(shop, call, id)
        }
    }
}

/// `GET /orders/{id}`; trashed ones, too.
pub fn get(shop: &mut Shop, call: &Call<'_>, id: u64) -> ApiResult<Reply> {
    let order = shop.orders.get(&id).ok_or_else(|| not_found(404))?;
    let body = view::render(shop, order, places(shop, call));
    shop.was_read(id);
    Ok(Reply::ok(body))
}

/// `DELETE /orders/{id}`: into the trash, or with `force` gone without a trace.
pub fn delete(shop: &mut Shop, call: &Call<'_>, id: u64) -> ApiResult<Reply> {
    let order = shop.orders.get(&id).ok_or_else(|| not_found(404))?;
    // The answer shows the state before.
    let before = view::render(shop, order, places(shop, call));
    if forced(call) {
        destroy(shop, id);
        return Ok(Reply::ok(before));
    }
    if text(&order.record, "status") == "trash" {
        let message = "The shop_order has already been deleted.";
        return Err(ApiError::new(410, "woocommerce_rest_already_trashed", message));
    }
    trash(shop, id);
    Ok(Reply::ok(before))
}

/// `force=true`, in the query or the body.
pub fn forced(call: &Call<'_>) -> bool {
    call.params.flag("force") || call.body.get("force").is_some_and(|f| f == &Value::Bool(true))
}

/// Deletes the order with its refunds and notes. Only a custom topic tells of it.
pub fn destroy(shop: &mut Shop, id: u64) {
    shop.orders.remove(&id);
    shop.refunds.retain(|_, refund| number(refund, "parent_id") != id);
    shop.notes.retain(|_, note| number(note, "order_id") != id);
    shop.event("action.woocommerce_delete_order", id);
}

/// Puts the order into the trash, remembering where it came from.
pub fn trash(shop: &mut Shop, id: u64) {
    let Some(mut order) = shop.orders.remove(&id) else { return };
    let status = format!("wc-{}", text(&order.record, "status"));
    let time = shop.clock.now().as_second().to_string();
    let entries = [
        shop.meta_entry("_wp_trash_meta_status", status.into()),
        shop.meta_entry("_wp_trash_meta_time", time.into()),
    ];
    if let Some(Value::Array(meta)) = order.record.get_mut("meta_data") {
        meta.extend(entries);
    }
    set(&mut order.record, "status", "trash");
    order.stages.clear();
    shop.touch(&mut order.record);
    shop.orders.insert(id, order);
    shop.event("order.deleted", id);
}

/// Takes the order out of the trash again, as WordPress' own screens do.
pub fn untrash(shop: &mut Shop, id: u64) {
    let Some(mut order) = shop.orders.remove(&id) else { return };
    let old = objects(&order.record, "meta_data")
        .find(|m| text(m, "key") == "_wp_trash_meta_status")
        .map(|m| text(m, "value").trim_start_matches("wc-").to_owned());
    set(&mut order.record, "status", old.unwrap_or_else(|| "pending".into()));
    forget_the_trash(&mut order.record);
    shop.touch(&mut order.record);
    shop.orders.insert(id, order);
    shop.event("order.restored", id);
}

fn forget_the_trash(record: &mut Record) {
    if let Some(Value::Array(meta)) = record.get_mut("meta_data") {
        meta.retain(|m| !m["key"].as_str().is_some_and(|key| key.starts_with("_wp_trash_meta_")));
    }
}
