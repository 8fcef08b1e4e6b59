//! Customers: all users, really; the list shows one role unless told otherwise.

use super::errors::{ApiError, ApiResult, InvalidParam};
use super::list::{Query, Rules};
use super::meta;
use super::orders::{forced, plausible_email};
use super::record::{Record, number, set, text};
use super::reply::{Call, Reply};
use super::state::Shop;
use super::view::{ALL_METHODS, links};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// No filter by date, no order by modification: reference, 2.6.
const RULES: Rules = Rules {
    orderby: &["id", "include", "name", "registered_date"],
    default_orderby: "name",
    default_desc: false,
    statuses: &[],
    enums: &[],
    posts_table: true,
    dates: false,
};

const ROLES: [&str; 8] = [
    "all",
    "administrator",
    "editor",
    "author",
    "contributor",
    "subscriber",
    "customer",
    "shop_manager",
];

fn not_found() -> ApiError {
    ApiError::new(404, "wc_user_invalid_id", "Invalid user ID.").without_allow()
}

/// A customer as shown.
pub fn render(shop: &Shop, customer: &Record) -> Value {
    let mut record = customer.clone();
    let id = number(customer, "id");
    // The API's key owner may delete customers, not those who run the shop.
    let customer = text(customer, "role") == "customer";
    let allow = if customer { ALL_METHODS } else { "GET, POST, PUT, PATCH" };
    set(&mut record, "_links", links(shop, &format!("customers/{id}"), "customers", allow));
    Value::Object(record)
}

/// `GET /customers`.
pub fn list(shop: &Shop, call: &mut Call<'_>) -> ApiResult<Reply> {
    let role = call.params.text("role").unwrap_or("customer").to_owned();
    if !ROLES.contains(&role.as_str()) {
        let fault = InvalidParam::not_in_enum("role", "role", &ROLES);
        return Err(ApiError::invalid_params(vec![fault]));
    }
    let query = Query::read(&mut call.params, &RULES, &shop.zone)?;
    let email = call.params.text("email").map(str::to_lowercase);
    let found: Vec<&Record> = shop
        .customers
        .values()
        .filter(|c| role == "all" || text(c, "role") == role)
        .filter(|c| email.as_deref().is_none_or(|email| text(c, "email").to_lowercase() == email))
        .filter(|c| query.search.as_deref().is_none_or(|words| matches(c, words)))
        .filter(|c| query.admits(c))
        .collect();
    let (items, paging) = query.page(found, |c| c);
    Ok(Reply::page(items.into_iter().map(|c| render(shop, c)).collect(), paging))
}

fn matches(customer: &Record, words: &str) -> bool {
    ["email", "username", "first_name", "last_name"]
        .iter()
        .any(|key| text(customer, key).to_lowercase().contains(words))
}

/// `GET /customers/{id}`, whatever the role.
pub fn get(shop: &Shop, id: u64) -> ApiResult<Reply> {
    find(shop, id).map(Reply::ok).ok_or_else(not_found)
}

/// A customer as webhooks and batches show it.
pub fn find(shop: &Shop, id: u64) -> Option<Value> {
    shop.customers.get(&id).map(|c| render(shop, c))
}

fn blank(id: u64, email: &str) -> Record {
    let hash = Sha256::digest(email.trim().to_lowercase().as_bytes());
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let billing = json!({"first_name": "", "last_name": "", "company": "", "address_1": "",
        "address_2": "", "city": "", "postcode": "", "country": "", "state": "", "email": "",
        "phone": ""});
    let mut shipping = billing.clone();
    if let Value::Object(address) = &mut shipping {
        address.shift_remove("email");
    }
    let record = json!({
        "id": id, "date_created": null, "date_created_gmt": null, "date_modified": null,
        "date_modified_gmt": null, "email": email, "first_name": "", "last_name": "",
        "role": "customer", "username": "", "billing": billing, "shipping": shipping,
        "is_paying_customer": false,
        "avatar_url": format!("https://secure.gravatar.com/avatar/{hash}?s=96&d=mm&r=g"),
        "meta_data": [],
    });
    record.as_object().cloned().unwrap_or_default()
}

fn validate(body: &Record) -> ApiResult<()> {
    let email = body.get("email");
    let wrong =
        email.is_some_and(|e| !e.as_str().is_some_and(|e| plausible_email(e) && !e.is_empty()));
    match wrong {
        true => {
            let fault = InvalidParam::new("email", "rest_invalid_email", "Invalid email address.");
            Err(ApiError::invalid_params(vec![fault]))
        }
        false => Ok(()),
    }
}

/// An e-mail belongs to one user: the natural key (reference, 8).
fn check_email(shop: &Shop, email: &str, own: u64) -> ApiResult<()> {
    let taken = shop
        .customers
        .iter()
        .any(|(id, c)| *id != own && text(c, "email").eq_ignore_ascii_case(email));
    match taken {
        true => {
            let message = format!(
                "An account is already registered with {email}. Please log in or use a different \
                 email address."
            );
            Err(ApiError::new(400, "registration-error-email-exists", message))
        }
        false => Ok(()),
    }
}

/// Creates a customer; the answer is its id.
pub fn create(shop: &mut Shop, body: &Record) -> ApiResult<u64> {
    if number(body, "id") != 0 {
        let message = "Cannot create existing resource.";
        return Err(ApiError::new(400, "woocommerce_rest_customer_exists", message));
    }
    if !body.contains_key("email") {
        return Err(ApiError::missing_params(&["email"]));
    }
    validate(body)?;
    let email = text(body, "email").to_owned();
    check_email(shop, &email, 0)?;
    shop.last.user += 1;
    let id = shop.last.user;
    let mut customer = blank(id, &email);
    let now = shop.now();
    shop.set_date(&mut customer, "date_created", &now);
    let username = match text(body, "username") {
        "" => email.split('@').next().unwrap_or_default(),
        given => given,
    };
    set(&mut customer, "username", username);
    take_fields(shop, &mut customer, body);
    shop.touch(&mut customer);
    shop.customers.insert(id, customer);
    shop.event("customer.created", id);
    shop.event("customer.updated", id);
    Ok(id)
}

fn take_fields(shop: &mut Shop, customer: &mut Record, body: &Record) {
    for key in ["email", "first_name", "last_name"] {
        if let Some(value) = body.get(key).and_then(Value::as_str) {
            set(customer, key, value);
        }
    }
    for key in ["billing", "shipping"] {
        if let (Some(Value::Object(new)), Some(Value::Object(old))) =
            (body.get(key), customer.get_mut(key))
        {
            super::record::merge(old, new);
        }
    }
    meta::write(shop, customer, body);
}

/// Changes a customer.
pub fn update(shop: &mut Shop, id: u64, body: &Record, unknown: u16) -> ApiResult<()> {
    let Some(mut customer) = shop.customers.get(&id).cloned() else {
        let code = "woocommerce_rest_invalid_id";
        return Err(ApiError::new(unknown, code, "Invalid resource ID."));
    };
    validate(body)?;
    if body.contains_key("email") {
        check_email(shop, text(body, "email"), id)?;
    }
    take_fields(shop, &mut customer, body);
    shop.touch(&mut customer);
    shop.customers.insert(id, customer);
    shop.event("customer.updated", id);
    Ok(())
}

/// `POST /customers`.
pub fn post(shop: &mut Shop, call: &Call<'_>) -> ApiResult<Reply> {
    let id = create(shop, &call.body)?;
    let location = format!("{}/wp-json/wc/v3/customers/{id}", shop.site_url);
    Ok(Reply::created(find(shop, id).unwrap_or_default(), location))
}

/// `PUT /customers/{id}`.
pub fn put(shop: &mut Shop, call: &Call<'_>, id: u64) -> ApiResult<Reply> {
    update(shop, id, &call.body, 400)?;
    get(shop, id)
}

/// `DELETE /customers/{id}`: for good, and only with `force`.
pub fn delete(shop: &mut Shop, call: &Call<'_>, id: u64) -> ApiResult<Reply> {
    let before = find(shop, id)
        .ok_or_else(|| ApiError::new(400, "woocommerce_rest_invalid_id", "Invalid resource id."))?;
    if !forced(call) {
        let message = "Customers do not support trashing.";
        return Err(ApiError::new(501, "woocommerce_rest_trash_not_supported", message));
    }
    destroy(shop, id);
    Ok(Reply::ok(before))
}

/// Their orders become a guest's, and no date of theirs moves: reference, 4.
pub fn destroy(shop: &mut Shop, id: u64) {
    shop.customers.remove(&id);
    for order in shop.orders.values_mut() {
        if number(&order.record, "customer_id") == id {
            set(&mut order.record, "customer_id", 0);
        }
    }
    shop.event("customer.deleted", id);
}

/// Adds a record as it is, with whatever it lacks from a blank one. For the control API.
pub fn insert_raw(shop: &mut Shop, given: &Record, events: bool) -> u64 {
    let id = match number(given, "id") {
        0 => shop.last.user + 1,
        id => id,
    };
    shop.last.user = shop.last.user.max(id);
    let mut customer = blank(id, text(given, "email"));
    let now = shop.now();
    shop.set_date(&mut customer, "date_created", &now);
    shop.set_date(&mut customer, "date_modified", &now);
    super::record::merge(&mut customer, given);
    set(&mut customer, "id", id);
    customer.shift_remove("_links");
    shop.customers.insert(id, customer);
    if events {
        shop.event("customer.created", id);
        shop.event("customer.updated", id);
    }
    id
}
