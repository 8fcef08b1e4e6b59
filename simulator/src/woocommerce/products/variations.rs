//! Variations: children of variable products, reached through their parents.

use super::super::errors::{ApiError, ApiResult};
use super::super::list::{Query, Rules};
use super::super::meta;
use super::super::orders::full_name;
use super::super::record::{Record, number, objects, set, text};
use super::super::reply::{Call, Reply};
use super::super::state::Shop;
use super::super::view::{ALL_METHODS, link, links, rebase};
use super::write::{check_sku, take_sellable_fields};
use super::{children, price_html};
use serde_json::{Value, json};

const RULES: Rules = Rules {
    orderby: &["date", "id", "include", "title", "slug", "modified", "menu_order"],
    default_orderby: "date",
    default_desc: true,
    statuses: &["any", "future", "trash", "draft", "pending", "private", "publish"],
    enums: &[],
    posts_table: true,
    dates: true,
};

fn not_found(status: u16) -> ApiError {
    let code = "woocommerce_rest_product_variation_invalid_id";
    let mut error = ApiError::new(404, code, "Invalid ID.").without_allow();
    error.status = status;
    error.with("status", status)
}

/// A variation as shown under its parent.
pub fn render(shop: &Shop, variation: &Record) -> Value {
    let mut record = variation.clone();
    let (id, parent) = (number(variation, "id"), number(variation, "parent_id"));
    let permalink = rebase(text(variation, "permalink"), &shop.site_url);
    set(&mut record, "permalink", permalink);
    let own = format!("products/{parent}/variations");
    let mut all = links(shop, &format!("{own}/{id}"), &own, ALL_METHODS);
    all.insert("up".into(), link(shop, &format!("products/{parent}")));
    set(&mut record, "_links", Value::Object(all));
    Value::Object(record)
}

/// A variation in the form of a product: what `GET /products/{id}` and webhooks give.
pub fn as_product(shop: &Shop, variation: &Record) -> Value {
    let parent_id = number(variation, "parent_id");
    let empty = Record::new();
    let parent = shop.products.get(&parent_id).unwrap_or(&empty);
    let own = |key: &str| variation.get(key).cloned().unwrap_or_default();
    let mut slug = text(parent, "slug").to_owned();
    for attribute in objects(variation, "attributes") {
        slug = format!("{slug}-{}", text(attribute, "option").to_lowercase());
    }
    let mut product = Record::new();
    for (key, value) in parent {
        // Whatever the variation has itself comes from it; the rest is empty, not inherited.
        let value = match key.as_str() {
            "name" => json!(full_name(text(parent, "name"), variation)),
            "slug" => json!(slug),
            "type" => json!("variation"),
            "parent_id" => json!(parent_id),
            "total_sales" => json!("0"),
            "reviews_allowed" | "has_options" | "featured" | "sold_individually" => json!(false),
            "catalog_visibility" => json!("visible"),
            "average_rating" => json!("0.00"),
            "price_html" => json!(price_html(text(variation, "price"))),
            _ if variation.contains_key(key) => own(key),
            _ => blank_like(value),
        };
        set(&mut product, key, value);
    }
    super::render(shop, &product)
}

fn blank_like(value: &Value) -> Value {
    match value {
        Value::String(_) => json!(""),
        Value::Array(_) => json!([]),
        other => other.clone(),
    }
}

/// `GET /products/{id}/variations`; an unknown parent has none.
pub fn list_of(shop: &Shop, call: &mut Call<'_>, parent: u64) -> ApiResult<Reply> {
    let query = Query::read(&mut call.params, &RULES, &shop.zone)?;
    let sku = call.params.text("sku").map(str::to_owned);
    let found: Vec<&Record> = children(shop, parent)
        .filter(|v| sku.as_deref().is_none_or(|sku| text(v, "sku") == sku))
        .filter(|v| query.wants_any_status() || query.status.iter().any(|s| s == text(v, "status")))
        .filter(|v| query.admits(v))
        .collect();
    let (items, paging) = query.page(found, |v| v);
    Ok(Reply::page(items.into_iter().map(|v| render(shop, v)).collect(), paging))
}

fn find(shop: &Shop, parent: u64, id: u64, status: u16) -> ApiResult<&Record> {
    let found = shop.variations.get(&id).filter(|v| number(v, "parent_id") == parent);
    found.ok_or_else(|| not_found(status))
}

/// `GET /products/{id}/variations/{id}`.
pub fn get(shop: &Shop, parent: u64, id: u64) -> ApiResult<Reply> {
    Ok(Reply::ok(render(shop, find(shop, parent, id, 404)?)))
}

fn blank(id: u64, parent: u64) -> Record {
    let record = json!({
        "id": id, "type": "variation", "date_created": null, "date_created_gmt": null,
        "date_modified": null, "date_modified_gmt": null, "description": "", "permalink": "",
        "sku": "", "global_unique_id": "", "price": "", "regular_price": "", "sale_price": "",
        "date_on_sale_from": null, "date_on_sale_from_gmt": null, "date_on_sale_to": null,
        "date_on_sale_to_gmt": null, "on_sale": false, "status": "publish",
        "purchasable": false, "virtual": false, "downloadable": false, "downloads": [],
        "download_limit": -1, "download_expiry": -1, "tax_status": "taxable", "tax_class": "",
        "manage_stock": false, "stock_quantity": null, "stock_status": "instock",
        "backorders": "no", "backorders_allowed": false, "backordered": false,
        "low_stock_amount": null, "weight": "",
        "dimensions": {"length": "", "width": "", "height": ""}, "shipping_class": "",
        "shipping_class_id": 0, "image": null, "attributes": [], "menu_order": 0,
        "meta_data": [], "name": "", "parent_id": parent,
    });
    record.as_object().cloned().unwrap_or_default()
}

/// Creates a variation; moves the parent's date, too.
pub fn create(shop: &mut Shop, parent: u64, body: &Record) -> ApiResult<u64> {
    let Some(owner) = shop.products.get(&parent) else {
        let message = "Invalid parent ID.";
        return Err(ApiError::new(
            404,
            "woocommerce_rest_product_variation_invalid_parent",
            message,
        ));
    };
    check_sku(shop, text(body, "sku"), 0)?;
    // Without a SKU of its own it shows its parent's.
    let inherited = text(owner, "sku").to_owned();
    let permalink = text(owner, "permalink").to_owned();
    let id = shop.next_post();
    let mut record = blank(id, parent);
    set(&mut record, "sku", inherited);
    set(&mut record, "permalink", permalink);
    let now = shop.now();
    shop.set_date(&mut record, "date_created", &now);
    take_fields(shop, &mut record, body);
    save(shop, id, parent, record);
    shop.event("product.created", id);
    Ok(id)
}

fn take_fields(shop: &mut Shop, record: &mut Record, body: &Record) {
    for key in ["description", "status", "tax_class", "global_unique_id"] {
        if let Some(value) = body.get(key).and_then(Value::as_str) {
            set(record, key, value);
        }
    }
    if let Some(given) = body.get("attributes").and_then(Value::as_array) {
        let all: Vec<Value> = given.iter().map(|a| attribute(shop, a)).collect();
        let options: Vec<&str> = all.iter().filter_map(|a| a["option"].as_str()).collect();
        set(record, "name", options.join(", "));
        set(record, "attributes", all);
    }
    take_sellable_fields(record, body);
    meta::write(shop, record, body);
}

fn attribute(shop: &Shop, given: &Value) -> Value {
    let id = super::super::record::as_id(&given["id"]).unwrap_or_default();
    let known = shop.attributes.get(&id);
    let name = known.map(|a| text(a, "name")).or(given["name"].as_str()).unwrap_or_default();
    let slug = known.map(|a| text(a, "slug")).unwrap_or(name);
    json!({"id": id, "name": name, "slug": slug, "option": given["option"].as_str().unwrap_or("")})
}

fn save(shop: &mut Shop, id: u64, parent: u64, mut record: Record) {
    shop.touch(&mut record);
    shop.variations.insert(id, record);
    sync_parent(shop, parent);
}

/// The parent's price is its cheapest variation's; its date moves with any of them.
fn sync_parent(shop: &mut Shop, parent: u64) {
    let cheapest = children(shop, parent)
        .filter(|v| !text(v, "price").is_empty())
        .min_by_key(|v| super::super::record::amount(v, "price"))
        .map(|v| text(v, "price").to_owned());
    if let (Some(price), Some(owner)) = (cheapest, shop.products.get_mut(&parent)) {
        set(owner, "price", price);
    }
    shop.touch_product(parent);
}

/// Changes a variation.
pub fn update(shop: &mut Shop, parent: u64, id: u64, body: &Record, unknown: u16) -> ApiResult<()> {
    let mut record = find(shop, parent, id, unknown)?.clone();
    if body.contains_key("sku") {
        check_sku(shop, text(body, "sku"), id)?;
    }
    take_fields(shop, &mut record, body);
    save(shop, id, parent, record);
    shop.event("product.updated", id);
    Ok(())
}

/// `POST /products/{id}/variations`.
pub fn post(shop: &mut Shop, call: &Call<'_>, parent: u64) -> ApiResult<Reply> {
    let id = create(shop, parent, &call.body)?;
    let location = format!("{}/wp-json/wc/v3/products/{parent}/variations/{id}", shop.site_url);
    Ok(Reply::created(render(shop, find(shop, parent, id, 404)?), location))
}

/// `PUT /products/{id}/variations/{id}`.
pub fn put(shop: &mut Shop, call: &Call<'_>, parent: u64, id: u64) -> ApiResult<Reply> {
    update(shop, parent, id, &call.body, 404)?;
    get(shop, parent, id)
}

/// Always for good, with `force` or without: reference, 4.
pub fn delete(shop: &mut Shop, parent: u64, id: u64, unknown: u16) -> ApiResult<Reply> {
    let before = render(shop, find(shop, parent, id, unknown)?);
    destroy(shop, id);
    Ok(Reply::ok(before))
}

/// Deletes it; the parent's date moves, and only a custom topic tells.
pub fn destroy(shop: &mut Shop, id: u64) {
    let Some(record) = shop.variations.remove(&id) else { return };
    sync_parent(shop, number(&record, "parent_id"));
    shop.event("action.woocommerce_delete_product_variation", id);
}
