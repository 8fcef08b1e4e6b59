//! Writing products.

use super::super::errors::{ApiError, ApiResult, InvalidParam};
use super::super::meta;
use super::super::record::{Record, number, objects, set, text};
use super::super::state::Shop;
use super::{TYPES, not_found, price_html};
use serde_json::{Value, json};

/// Taken over as they come, if of the right type.
const TEXTS: [&str; 13] = [
    "name",
    "slug",
    "status",
    "type",
    "catalog_visibility",
    "description",
    "short_description",
    "external_url",
    "button_text",
    "tax_status",
    "tax_class",
    "shipping_class",
    "global_unique_id",
];
const FLAGS: [&str; 6] =
    ["featured", "virtual", "downloadable", "sold_individually", "reviews_allowed", "manage_stock"];
const PRICES: [&str; 3] = ["regular_price", "sale_price", "weight"];
const LISTS: [&str; 6] =
    ["upsell_ids", "cross_sell_ids", "grouped_products", "default_attributes", "tags", "images"];

fn blank(shop: &mut Shop) -> Record {
    let id = shop.next_post();
    let record = json!({
        "id": id, "name": "Product", "slug": "", "permalink": "", "date_created": null,
        "date_created_gmt": null, "date_modified": null, "date_modified_gmt": null,
        "type": "simple", "status": "publish", "featured": false,
        "catalog_visibility": "visible", "description": "", "short_description": "", "sku": "",
        "price": "", "regular_price": "", "sale_price": "", "date_on_sale_from": null,
        "date_on_sale_from_gmt": null, "date_on_sale_to": null, "date_on_sale_to_gmt": null,
        "on_sale": false, "purchasable": false, "total_sales": 0, "virtual": false,
        "downloadable": false, "downloads": [], "download_limit": -1, "download_expiry": -1,
        "external_url": "", "button_text": "", "tax_status": "taxable", "tax_class": "",
        "manage_stock": false, "stock_quantity": null, "backorders": "no",
        "backorders_allowed": false, "backordered": false, "low_stock_amount": null,
        "sold_individually": false, "weight": "",
        "dimensions": {"length": "", "width": "", "height": ""}, "shipping_required": true,
        "shipping_taxable": true, "shipping_class": "", "shipping_class_id": 0,
        "reviews_allowed": true, "average_rating": "0", "rating_count": 0, "upsell_ids": [],
        "cross_sell_ids": [], "parent_id": 0, "purchase_note": "", "categories": [],
        "brands": [], "tags": [], "images": [], "attributes": [], "default_attributes": [],
        "variations": [], "grouped_products": [], "menu_order": 0, "price_html": "",
        "related_ids": [], "meta_data": [], "stock_status": "instock", "has_options": false,
        "post_password": "", "global_unique_id": "",
    });
    record.as_object().cloned().unwrap_or_default()
}

/// Refuses a SKU that another product or variation has: the natural key (reference, 8).
pub fn check_sku(shop: &Shop, sku: &str, own: u64) -> ApiResult<()> {
    let Some(owner) = shop.sku_owner(sku, own) else { return Ok(()) };
    let mut n = 1;
    while shop.sku_owner(&format!("{sku}-{n}"), 0).is_some() {
        n += 1;
    }
    Err(ApiError::new(400, "product_invalid_sku", "Invalid or duplicated SKU.")
        .with("resource_id", owner)
        .with("unique_sku", format!("{sku}-{n}")))
}

/// Creates a product; the answer is its id.
pub fn create(shop: &mut Shop, body: &Record) -> ApiResult<u64> {
    if number(body, "id") != 0 {
        let message = "Cannot create existing product.";
        return Err(ApiError::new(400, "woocommerce_rest_product_exists", message));
    }
    validate(body)?;
    check_sku(shop, text(body, "sku"), 0)?;
    let mut product = blank(shop);
    let id = number(&product, "id");
    let now = shop.now();
    shop.set_date(&mut product, "date_created", &now);
    let slug = slug_of(text(body, "name"), id);
    set(&mut product, "slug", slug);
    take_fields(shop, &mut product, body);
    if objects(&product, "categories").next().is_none() {
        set(&mut product, "categories", categories(shop, &[json!({"id": 15})]));
    }
    shop.touch(&mut product);
    shop.products.insert(id, product);
    shop.event("product.created", id);
    Ok(id)
}

fn validate(body: &Record) -> ApiResult<()> {
    let mut faults = vec![];
    let kind = body.get("type").and_then(Value::as_str);
    if kind.is_some_and(|kind| !TYPES.contains(&kind)) {
        faults.push(InvalidParam::not_in_enum("type", "type", &TYPES));
    }
    if body.get("name").is_some_and(|name| !name.is_string()) {
        faults.push(InvalidParam::not_of_type("name", "string"));
    }
    for key in ["regular_price", "sale_price"] {
        if body.get(key).is_some_and(|price| !price.is_string()) {
            faults.push(InvalidParam::not_of_type(key, "string"));
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(ApiError::invalid_params(faults)) }
}

fn slug_of(name: &str, id: u64) -> String {
    let slug: String = name
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let parts: Vec<&str> = slug.split('-').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { format!("product-{id}") } else { parts.join("-") }
}

fn categories(shop: &Shop, given: &[Value]) -> Vec<Value> {
    let ids = given.iter().filter_map(|c| super::super::record::as_id(&c["id"]));
    ids.filter_map(|id| shop.categories.get(&id))
        .map(|c| json!({"id": number(c, "id"), "name": text(c, "name"), "slug": text(c, "slug")}))
        .collect()
}

fn take_fields(shop: &mut Shop, product: &mut Record, body: &Record) {
    for key in TEXTS {
        if let Some(value) = body.get(key).and_then(Value::as_str) {
            set(product, key, value);
        }
    }
    for key in LISTS {
        if let Some(Value::Array(value)) = body.get(key) {
            set(product, key, value.clone());
        }
    }
    if let Some(Value::Array(given)) = body.get("categories") {
        set(product, "categories", categories(shop, given));
    }
    if let Some(Value::Array(given)) = body.get("attributes") {
        let all: Vec<Value> = given.iter().map(|a| attribute(shop, a)).collect();
        set(product, "attributes", all);
    }
    if let (Some(Value::Object(new)), Some(Value::Object(old))) =
        (body.get("dimensions"), product.get_mut("dimensions"))
    {
        super::super::record::merge(old, new);
    }
    take_sellable_fields(product, body);
    let slug = text(product, "slug").to_owned();
    set(product, "permalink", format!("{}/product/{slug}/", shop.site_url));
    meta::write(shop, product, body);
}

fn attribute(shop: &Shop, given: &Value) -> Value {
    let id = super::super::record::as_id(&given["id"]).unwrap_or_default();
    let known = shop.attributes.get(&id);
    let name = known.map(|a| text(a, "name")).or(given["name"].as_str()).unwrap_or_default();
    let slug = known.map(|a| text(a, "slug")).unwrap_or(name);
    let flag = |key: &str| given[key].as_bool().unwrap_or_default();
    json!({
        "id": id, "name": name, "slug": slug, "position": given["position"].as_u64().unwrap_or(0),
        "visible": flag("visible"), "variation": flag("variation"),
        "options": given["options"].as_array().cloned().unwrap_or_default(),
    })
}

/// What products and variations share: SKU, prices, stock.
pub fn take_sellable_fields(record: &mut Record, body: &Record) {
    for key in PRICES {
        if let Some(value) = body.get(key).and_then(Value::as_str) {
            set(record, key, value);
        }
    }
    for key in FLAGS {
        if let Some(flag) = body.get(key).and_then(Value::as_bool) {
            set(record, key, flag);
        }
    }
    if let Some(sku) = body.get("sku").and_then(Value::as_str) {
        set(record, "sku", sku);
    }
    for key in ["stock_quantity", "menu_order", "low_stock_amount"] {
        if let Some(value) = body.get(key).filter(|v| v.is_number() || v.is_null()) {
            set(record, key, value.clone());
        }
    }
    if record.get("manage_stock") == Some(&Value::Bool(true)) {
        let stock = super::super::record::amount(record, "stock_quantity");
        let state = if stock > 0.into() { "instock" } else { "outofstock" };
        set(record, "stock_status", state);
    } else if let Some(state) = body.get("stock_status").and_then(Value::as_str) {
        set(record, "stock_status", state);
    }
    let sale = text(record, "sale_price").to_owned();
    let price = if sale.is_empty() { text(record, "regular_price").to_owned() } else { sale };
    set(record, "on_sale", !text(record, "sale_price").is_empty());
    set(record, "purchasable", !price.is_empty());
    if record.contains_key("price_html") {
        set(record, "price_html", price_html(&price));
    }
    set(record, "price", price);
}

/// Changes a product; every PUT moves its date.
pub fn update(shop: &mut Shop, id: u64, body: &Record, unknown: u16) -> ApiResult<()> {
    let Some(mut product) = shop.products.get(&id).cloned() else { return Err(not_found(unknown)) };
    validate(body)?;
    if body.contains_key("sku") {
        check_sku(shop, text(body, "sku"), id)?;
    }
    let variable = text(&product, "type") == "variable";
    let price = text(&product, "price").to_owned();
    take_fields(shop, &mut product, body);
    if variable {
        // The parent's price follows from its variations.
        set(&mut product, "price", price);
        set(&mut product, "purchasable", true);
    }
    shop.touch(&mut product);
    shop.products.insert(id, product);
    shop.event("product.updated", id);
    Ok(())
}

/// Adds a record as it is, with whatever it lacks from a blank one. For the control API.
pub fn insert_raw(shop: &mut Shop, given: &Record, events: bool) -> u64 {
    let mut product = blank(shop);
    let fresh = number(&product, "id");
    let now = shop.now();
    shop.set_date(&mut product, "date_created", &now);
    shop.set_date(&mut product, "date_modified", &now);
    super::super::record::merge(&mut product, given);
    let id = if number(given, "id") == 0 { fresh } else { number(given, "id") };
    set(&mut product, "id", id);
    shop.last.post = shop.last.post.max(id);
    product.shift_remove("_links");
    shop.products.insert(id, product);
    if events {
        shop.event("product.created", id);
    }
    id
}
