//! Coupons.

use super::errors::{ApiError, ApiResult};
use super::list::{Query, Rules};
use super::meta;
use super::orders::{forced, places};
use super::record::{Record, number, set, text};
use super::reply::{Call, Reply};
use super::state::Shop;
use super::view::{ALL_METHODS, format_amounts, links};
use serde_json::{Value, json};

const RULES: Rules = Rules {
    orderby: &["date", "id", "include", "title", "slug", "modified"],
    default_orderby: "date",
    default_desc: true,
    statuses: &[],
    enums: &[],
    posts_table: true,
    dates: true,
};

fn not_found(status: u16) -> ApiError {
    let mut error = ApiError::new(404, "woocommerce_rest_shop_coupon_invalid_id", "Invalid ID.");
    error.status = status;
    error.with("status", status)
}

/// A coupon as shown, with so many decimals.
pub fn render(shop: &Shop, coupon: &Record, places: u32) -> Value {
    let mut record = coupon.clone();
    let id = number(coupon, "id");
    format_amounts(&mut record, &["amount", "minimum_amount", "maximum_amount"], places);
    set(&mut record, "_links", links(shop, &format!("coupons/{id}"), "coupons", ALL_METHODS));
    Value::Object(record)
}

/// `GET /coupons`; those in the trash don't show.
pub fn list(shop: &Shop, call: &mut Call<'_>) -> ApiResult<Reply> {
    let query = Query::read(&mut call.params, &RULES, &shop.zone)?;
    let code = call.params.text("code").map(str::to_lowercase);
    let found: Vec<&Record> = shop
        .coupons
        .values()
        .filter(|c| text(c, "status") != "trash")
        .filter(|c| code.as_deref().is_none_or(|code| text(c, "code") == code))
        .filter(|c| query.search.as_deref().is_none_or(|words| text(c, "code").contains(words)))
        .filter(|c| query.admits(c))
        .collect();
    let (items, paging) = query.page(found, |c| c);
    let places = places(shop, call);
    Ok(Reply::page(items.into_iter().map(|c| render(shop, c, places)).collect(), paging))
}

/// A coupon as webhooks and batches show it.
pub fn find(shop: &Shop, id: u64) -> Option<Value> {
    shop.coupons.get(&id).map(|c| render(shop, c, shop.decimals()))
}

/// `GET /coupons/{id}`.
pub fn get(shop: &Shop, call: &Call<'_>, id: u64) -> ApiResult<Reply> {
    let coupon = shop.coupons.get(&id).ok_or_else(|| not_found(404))?;
    Ok(Reply::ok(render(shop, coupon, places(shop, call))))
}

fn blank(id: u64) -> Record {
    let record = json!({
        "id": id, "code": "", "amount": "0.00", "status": "publish", "date_created": null,
        "date_created_gmt": null, "date_modified": null, "date_modified_gmt": null,
        "discount_type": "fixed_cart", "description": "", "date_expires": null,
        "date_expires_gmt": null, "usage_count": 0, "individual_use": false, "product_ids": [],
        "excluded_product_ids": [], "usage_limit": null, "usage_limit_per_user": null,
        "limit_usage_to_x_items": null, "free_shipping": false, "product_categories": [],
        "excluded_product_categories": [], "exclude_sale_items": false,
        "minimum_amount": "0.00", "maximum_amount": "0.00", "email_restrictions": [],
        "used_by": [], "meta_data": [],
    });
    record.as_object().cloned().unwrap_or_default()
}

/// Keys that no request may write.
const READ_ONLY: [&str; 9] = [
    "id",
    "date_created",
    "date_created_gmt",
    "date_modified",
    "date_modified_gmt",
    "usage_count",
    "used_by",
    "meta_data",
    "code",
];

fn take_fields(shop: &mut Shop, coupon: &mut Record, body: &Record) {
    for (key, value) in body {
        if coupon.contains_key(key) && !READ_ONLY.contains(&key.as_str()) {
            set(coupon, key, value.clone());
        }
    }
    if body.contains_key("code") {
        set(coupon, "code", text(body, "code").trim().to_lowercase());
    }
    meta::write(shop, coupon, body);
}

fn check_code(shop: &Shop, body: &Record, own: u64) -> ApiResult<()> {
    let code = text(body, "code").trim().to_lowercase();
    let taken = shop
        .coupons
        .iter()
        .any(|(id, c)| *id != own && text(c, "code") == code && text(c, "status") != "trash");
    match taken {
        true => {
            let error = "woocommerce_rest_coupon_code_already_exists";
            Err(ApiError::new(400, error, "The coupon code already exists"))
        }
        false => Ok(()),
    }
}

/// Creates a coupon; the answer is its id. The code is its natural key: reference, 8.
pub fn create(shop: &mut Shop, body: &Record) -> ApiResult<u64> {
    if number(body, "id") != 0 {
        let message = "Cannot create existing shop_coupon.";
        return Err(ApiError::new(400, "woocommerce_rest_shop_coupon_exists", message));
    }
    if text(body, "code").is_empty() {
        return Err(ApiError::missing_params(&["code"]));
    }
    check_code(shop, body, 0)?;
    let id = shop.next_post();
    let mut coupon = blank(id);
    let now = shop.now();
    shop.set_date(&mut coupon, "date_created", &now);
    take_fields(shop, &mut coupon, body);
    shop.touch(&mut coupon);
    shop.coupons.insert(id, coupon);
    shop.event("coupon.created", id);
    Ok(id)
}

/// Changes a coupon. `unknown`: the status for an id that isn't there.
pub fn update(shop: &mut Shop, id: u64, body: &Record, unknown: u16) -> ApiResult<()> {
    let Some(mut coupon) = shop.coupons.get(&id).cloned() else { return Err(not_found(unknown)) };
    if body.contains_key("code") {
        check_code(shop, body, id)?;
    }
    take_fields(shop, &mut coupon, body);
    shop.touch(&mut coupon);
    shop.coupons.insert(id, coupon);
    shop.event("coupon.updated", id);
    Ok(())
}

/// `POST /coupons`.
pub fn post(shop: &mut Shop, call: &Call<'_>) -> ApiResult<Reply> {
    let id = create(shop, &call.body)?;
    let location = format!("{}/wp-json/wc/v3/coupons/{id}", shop.site_url);
    Ok(Reply::created(find(shop, id).unwrap_or_default(), location))
}

/// `PUT /coupons/{id}`.
pub fn put(shop: &mut Shop, call: &Call<'_>, id: u64) -> ApiResult<Reply> {
    update(shop, id, &call.body, 404)?;
    get(shop, call, id)
}

/// `DELETE /coupons/{id}`: into the trash, or with `force` for good.
pub fn delete(shop: &mut Shop, call: &Call<'_>, id: u64) -> ApiResult<Reply> {
    let coupon = shop.coupons.get(&id).ok_or_else(|| not_found(404))?;
    let before = render(shop, coupon, places(shop, call));
    if forced(call) {
        shop.coupons.remove(&id);
        return Ok(Reply::ok(before));
    }
    if text(coupon, "status") == "trash" {
        let message = "The shop_coupon has already been deleted.";
        return Err(ApiError::new(410, "woocommerce_rest_already_trashed", message));
    }
    trash(shop, id);
    Ok(Reply::ok(before))
}

/// Fires for products, too: reference, 10.9.
pub fn trash(shop: &mut Shop, id: u64) {
    if let Some(mut coupon) = shop.coupons.remove(&id) {
        set(&mut coupon, "status", "trash");
        shop.touch(&mut coupon);
        shop.coupons.insert(id, coupon);
        shop.event("coupon.deleted", id);
        shop.event("product.deleted", id);
    }
}

/// Adds a record as it is, with whatever it lacks from a blank one. For the control API.
pub fn insert_raw(shop: &mut Shop, given: &Record) -> u64 {
    let id = match number(given, "id") {
        0 => shop.next_post(),
        id => id,
    };
    shop.last.post = shop.last.post.max(id);
    let mut coupon = blank(id);
    let now = shop.now();
    shop.set_date(&mut coupon, "date_created", &now);
    shop.set_date(&mut coupon, "date_modified", &now);
    super::record::merge(&mut coupon, given);
    set(&mut coupon, "id", id);
    shop.coupons.insert(id, coupon);
    id
}
