//! Products: lists, single products, and what writing one does.

pub mod variations;
mod write;

pub use write::{create, insert_raw, update};

use super::errors::{ApiError, ApiResult};
use super::list::{Query, Rules, id_param};
use super::orders::forced;
use super::record::{Record, number, objects, set, text};
use super::reply::{Call, Reply};
use super::state::Shop;
use super::view::{ALL_METHODS, link, links, rebase};
use serde_json::{Value, json};

const TYPES: [&str; 4] = ["simple", "grouped", "external", "variable"];
const STOCK: [&str; 3] = ["instock", "outofstock", "onbackorder"];

/// The posts table: dates have a local column of their own, frozen when written.
const RULES: Rules = Rules {
    orderby: &[
        "date",
        "id",
        "include",
        "title",
        "slug",
        "modified",
        "price",
        "popularity",
        "rating",
        "menu_order",
        "post__in",
    ],
    default_orderby: "date",
    default_desc: true,
    statuses: &["any", "future", "trash", "draft", "pending", "private", "publish"],
    enums: &[("type", &TYPES), ("stock_status", &STOCK)],
    posts_table: true,
    dates: true,
};

/// 404 when read or deleted, 400 when updated in a batch.
pub fn not_found(status: u16) -> ApiError {
    let mut error = ApiError::new(404, "woocommerce_rest_product_invalid_id", "Invalid ID.");
    error.status = status;
    error.with("status", status)
}

/// A product as shown. Amounts of products come as they were typed in.
pub fn render(shop: &Shop, product: &Record) -> Value {
    let mut record = product.clone();
    let id = number(product, "id");
    let permalink = rebase(text(product, "permalink"), &shop.site_url);
    set(&mut record, "permalink", permalink);
    if text(product, "type") == "variable" {
        let children: Vec<u64> = children(shop, id).map(|v| number(v, "id")).collect();
        set(&mut record, "variations", children);
    }
    let mut all = links(shop, &format!("products/{id}"), "products", ALL_METHODS);
    let parent = number(product, "parent_id");
    if parent != 0 {
        all.insert("up".into(), link(shop, &format!("products/{parent}")));
    }
    set(&mut record, "_links", Value::Object(all));
    Value::Object(record)
}

/// As the answer to a write shows it: two more keys, before the links.
fn render_written(shop: &Shop, product: &Record) -> Value {
    let mut body = render(shop, product);
    if let Value::Object(record) = &mut body {
        let links = record.shift_remove("_links").unwrap_or_default();
        let template = format!("{}/product/%pagename%/", shop.site_url);
        set(record, "permalink_template", template);
        set(record, "generated_slug", text(product, "slug"));
        set(record, "_links", links);
    }
    body
}

/// The variations of a product, oldest first.
pub fn children(shop: &Shop, parent: u64) -> impl Iterator<Item = &Record> {
    shop.variations.values().filter(move |v| number(v, "parent_id") == parent)
}

/// `GET /products`: no variations among them.
pub fn list(shop: &Shop, call: &mut Call<'_>) -> ApiResult<Reply> {
    let query = Query::read(&mut call.params, &RULES, &shop.zone)?;
    let category = id_param(&call.params, "category")?;
    if let Some(found) = by_sku(shop, call) {
        return Ok(found);
    }
    let kind = call.params.text("type").map(str::to_owned);
    let stock = call.params.text("stock_status").map(str::to_owned);
    let of_category =
        |p: &Record, id| objects(p, "categories").any(|category| number(category, "id") == id);
    let found: Vec<&Record> = shop
        .products
        .values()
        .filter(|p| of_status(p, &query))
        .filter(|p| kind.as_deref().is_none_or(|kind| text(p, "type") == kind))
        .filter(|p| stock.as_deref().is_none_or(|stock| text(p, "stock_status") == stock))
        .filter(|p| category.is_none_or(|id| of_category(p, id)))
        .filter(|p| query.search.as_deref().is_none_or(|words| matches(p, words)))
        .filter(|p| query.admits(p))
        .collect();
    let (items, paging) = query.page(found, |p| p);
    Ok(Reply::page(items.into_iter().map(|p| render(shop, p)).collect(), paging))
}

/// `sku=a,b` finds variations, too: they come in the form of products.
fn by_sku(shop: &Shop, call: &Call<'_>) -> Option<Reply> {
    let wanted: Vec<&str> = call.params.text("sku")?.split(',').map(str::trim).collect();
    let mut body = vec![];
    for product in shop.products.values().filter(|p| wanted.contains(&text(p, "sku"))) {
        body.push(render(shop, product));
    }
    for variation in shop.variations.values().filter(|v| wanted.contains(&text(v, "sku"))) {
        body.push(variations::as_product(shop, variation));
    }
    let total = body.len();
    let paging = super::reply::Paging { total, pages: total.min(1), page: 1 };
    Some(Reply::page(body, paging))
}

fn of_status(product: &Record, query: &Query) -> bool {
    let status = text(product, "status");
    match query.wants_any_status() {
        true => status != "trash",
        false => query.status.iter().any(|s| s == status),
    }
}

fn matches(product: &Record, words: &str) -> bool {
    ["name", "sku", "description", "short_description"]
        .iter()
        .any(|key| text(product, key).to_lowercase().contains(words))
}

/// `GET /products/{id}`; the id may be a variation's.
pub fn get(shop: &Shop, id: u64) -> ApiResult<Reply> {
    find(shop, id).map(Reply::ok).ok_or_else(|| not_found(404))
}

/// A product, or a variation in the form of one.
pub fn find(shop: &Shop, id: u64) -> Option<Value> {
    let product = shop.products.get(&id).map(|p| render(shop, p));
    product.or_else(|| shop.variations.get(&id).map(|v| variations::as_product(shop, v)))
}

/// `POST /products`.
pub fn post(shop: &mut Shop, call: &Call<'_>) -> ApiResult<Reply> {
    let id = create(shop, &call.body)?;
    let location = format!("{}/wp-json/wc/v3/products/{id}", shop.site_url);
    Ok(Reply::created(written(shop, id), location))
}

/// The answer to a write.
pub fn written(shop: &Shop, id: u64) -> Value {
    shop.products.get(&id).map(|p| render_written(shop, p)).unwrap_or_default()
}

/// `PUT /products/{id}`.
pub fn put(shop: &mut Shop, call: &Call<'_>, id: u64) -> ApiResult<Reply> {
    update(shop, id, &call.body, 404)?;
    Ok(Reply::ok(written(shop, id)))
}

/// `DELETE /products/{id}`.
pub fn delete(shop: &mut Shop, call: &Call<'_>, id: u64) -> ApiResult<Reply> {
    let product = shop.products.get(&id).ok_or_else(|| not_found(404))?;
    let before = render(shop, product);
    if forced(call) {
        destroy(shop, id);
        return Ok(Reply::ok(before));
    }
    if text(product, "status") == "trash" {
        let message = "The product has already been deleted.";
        return Err(ApiError::new(410, "woocommerce_rest_already_trashed", message));
    }
    trash(shop, id);
    Ok(Reply::ok(before))
}

/// Gone without a trace, variations and all. Only custom topics tell.
pub fn destroy(shop: &mut Shop, id: u64) {
    let gone: Vec<u64> = children(shop, id).map(|v| number(v, "id")).collect();
    for variation in gone {
        shop.variations.remove(&variation);
        shop.event("action.woocommerce_delete_product_variation", variation);
    }
    shop.products.remove(&id);
    shop.event("action.woocommerce_delete_product", id);
}

/// Into the trash. Two topics fire, since WordPress' hook doesn't say what was trashed:
/// reference, 10.9.
pub fn trash(shop: &mut Shop, id: u64) {
    let Some(mut product) = shop.products.remove(&id) else { return };
    let status = text(&product, "status").to_owned();
    let slug = text(&product, "slug").to_owned();
    let time = shop.clock.now().as_second().to_string();
    let entries = [
        shop.meta_entry("_wp_trash_meta_status", status.into()),
        shop.meta_entry("_wp_trash_meta_time", time.into()),
        shop.meta_entry("_wp_desired_post_slug", slug.clone().into()),
    ];
    if let Some(Value::Array(meta)) = product.get_mut("meta_data") {
        meta.extend(entries);
    }
    set(&mut product, "status", "trash");
    set(&mut product, "slug", format!("{slug}__trashed"));
    set(&mut product, "permalink", format!("{}/?post_type=product&p={id}", shop.site_url));
    shop.touch(&mut product);
    shop.products.insert(id, product);
    shop.event("coupon.deleted", id);
    shop.event("product.deleted", id);
}

/// Out of the trash again; `coupon.restored` fires as well, and finds no coupon.
pub fn untrash(shop: &mut Shop, id: u64) {
    let Some(mut product) = shop.products.remove(&id) else { return };
    let meta = |key: &str| {
        objects(&product, "meta_data")
            .find(|m| text(m, "key") == key)
            .map(|m| text(m, "value").to_owned())
    };
    let status = meta("_wp_trash_meta_status").unwrap_or_else(|| "draft".into());
    let slug = meta("_wp_desired_post_slug").unwrap_or_default();
    set(&mut product, "status", status);
    set(&mut product, "permalink", format!("{}/product/{slug}/", shop.site_url));
    set(&mut product, "slug", slug);
    if let Some(Value::Array(all)) = product.get_mut("meta_data") {
        let ours = ["_wp_trash_meta_status", "_wp_trash_meta_time", "_wp_desired_post_slug"];
        all.retain(|m| !m["key"].as_str().is_some_and(|key| ours.contains(&key)));
    }
    shop.touch(&mut product);
    shop.products.insert(id, product);
    shop.event("product.updated", id);
    shop.event("coupon.restored", id);
    shop.event("product.restored", id);
}

/// What `price_html` looks like; shops format it, nobody should read it.
fn price_html(price: &str) -> String {
    match super::record::as_amount(&json!(price)) {
        None => String::new(),
        Some(amount) => format!(
            "<span class=\"woocommerce-Price-amount amount\"><bdi><span class=\"\
             woocommerce-Price-currencySymbol\">&#36;</span>{}</bdi></span>",
            super::record::formatted(amount, 2)
        ),
    }
}
