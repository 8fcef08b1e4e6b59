//! Batches: up to 100 items, always answered 200, failures beside successes.

use super::errors::{ApiError, ApiResult};
use super::record::{Record, as_id, number, objects};
use super::reply::{Call, Reply};
use super::routes::Route;
use super::state::Shop;
use super::{coupons, customers, orders, products};
use serde_json::{Map, Value, json};

const LIMIT: usize = 100;

/// `POST /…/batch`. Arguments aren't validated in here: reference, 8.
pub fn run(shop: &mut Shop, call: &Call<'_>) -> ApiResult<Reply> {
    let list = |key: &str| call.body.get(key).and_then(Value::as_array);
    let items: usize =
        ["create", "update", "delete"].iter().filter_map(|key| list(key)).map(Vec::len).sum();
    if items > LIMIT {
        let message = format!("Unable to accept more than {LIMIT} items for this request.");
        let code = "woocommerce_rest_request_entity_too_large";
        return Err(ApiError::new(413, code, message));
    }
    let mut body = Map::new();
    let given: Vec<Record> = objects(&call.body, "create").cloned().collect();
    if list("create").is_some() {
        let done = given.iter().map(|item| or_error(0, create(shop, call, item)));
        body.insert("create".into(), done.collect());
    }
    let given: Vec<Record> = objects(&call.body, "update").cloned().collect();
    if list("update").is_some() {
        let done = given.iter().map(|item| {
            let id = number(item, "id");
            or_error(id, update(shop, call, id, item))
        });
        body.insert("update".into(), done.collect());
    }
    if let Some(ids) = list("delete") {
        let ids: Vec<u64> = ids.iter().filter_map(as_id).collect();
        let done = ids.iter().map(|id| or_error(*id, delete(shop, call, *id)));
        body.insert("delete".into(), done.collect());
    }
    Ok(Reply::ok(Value::Object(body)))
}

fn or_error(id: u64, outcome: ApiResult<Value>) -> Value {
    outcome.unwrap_or_else(|error| {
        let mut failed = json!({ "id": id });
        failed["error"] = error.body();
        failed
    })
}

fn unsupported() -> ApiError {
    ApiError::no_route()
}

fn create(shop: &mut Shop, call: &Call<'_>, item: &Record) -> ApiResult<Value> {
    let id = match call.route {
        Route::OrdersBatch => orders::create(shop, item, true)?,
        Route::ProductsBatch => products::create(shop, item)?,
        Route::VariationsBatch(parent) => products::variations::create(shop, *parent, item)?,
        Route::CustomersBatch => customers::create(shop, item)?,
        Route::CouponsBatch => coupons::create(shop, item)?,
        _ => return Err(unsupported()),
    };
    shown(shop, call, id)
}

/// Unknown ids say 400 here and 404 when deleting.
fn update(shop: &mut Shop, call: &Call<'_>, id: u64, item: &Record) -> ApiResult<Value> {
    match call.route {
        Route::OrdersBatch => orders::update(shop, id, item, true)?,
        Route::ProductsBatch => products::update(shop, id, item, 400)?,
        Route::VariationsBatch(parent) => {
            products::variations::update(shop, *parent, id, item, 400)?;
        }
        Route::CustomersBatch => customers::update(shop, id, item, 400)?,
        Route::CouponsBatch => coupons::update(shop, id, item, 400)?,
        _ => return Err(unsupported()),
    }
    shown(shop, call, id)
}

fn shown(shop: &mut Shop, call: &Call<'_>, id: u64) -> ApiResult<Value> {
    let places = orders::places(shop, call);
    let found = match call.route {
        Route::OrdersBatch => {
            shop.orders.get(&id).map(|order| orders::view::render(shop, order, places))
        }
        Route::ProductsBatch => Some(products::written(shop, id)),
        Route::VariationsBatch(_) => {
            shop.variations.get(&id).map(|v| products::variations::render(shop, v))
        }
        Route::CustomersBatch => customers::find(shop, id),
        Route::CouponsBatch => coupons::find(shop, id),
        _ => None,
    };
    Ok(found.unwrap_or_default())
}

/// Batches delete for good.
fn delete(shop: &mut Shop, call: &Call<'_>, id: u64) -> ApiResult<Value> {
    let mut one = Call {
        method: "DELETE",
        route: call.route,
        path: String::new(),
        params: call.params.clone(),
        body: Record::new(),
        batched: true,
    };
    one.params.set_text("force", "1");
    let reply = match call.route {
        Route::OrdersBatch => orders::delete(shop, &one, id)?,
        Route::ProductsBatch => products::delete(shop, &one, id)?,
        Route::VariationsBatch(parent) => products::variations::delete(shop, *parent, id, 404)?,
        Route::CustomersBatch => customers::delete(shop, &one, id)?,
        Route::CouponsBatch => coupons::delete(shop, &one, id)?,
        _ => return Err(unsupported()),
    };
    Ok(reply.body)
}
