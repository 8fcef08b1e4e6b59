//! From a request to its handler.

use super::auth::{self, Caller, Purpose};
use super::errors::{ApiError, ApiResult};
use super::params::{Param, Params};
use super::record::Record;
use super::reply::{Call, Reply, refuse, respond};
use super::routes::Route;
use super::state::Shop;
use super::webhooks::Dispatcher;
use super::{batch, catalog, coupons, customers, orders, products, refunds, settings, webhooks};
use crate::http::{Request, Response};
use serde_json::{Map, Value, json};

/// The part of the path behind `/wp-json`, with or without `/index.php` before it; or what
/// `?rest_route=` says.
pub fn rest_path(request: &Request, params: &Params) -> Option<String> {
    let path = request.path.trim_end_matches('/');
    let lower = path.to_ascii_lowercase();
    let skip = if lower.starts_with("/index.php") { "/index.php".len() } else { 0 };
    match lower[skip..].strip_prefix("/wp-json") {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            Some(path[skip + "/wp-json".len()..].to_owned())
        }
        Some(_) => None,
        None => params.text("rest_route").map(str::to_owned),
    }
}

/// WordPress lets clients that can't send PUT or DELETE name the method elsewhere.
fn method_of(request: &Request, params: &Params) -> String {
    let named = params.text("_method").or(request.header("x-http-method-override"));
    match named {
        Some(named) if request.method == "POST" => named.to_ascii_uppercase(),
        _ => request.method.clone(),
    }
}

/// Answers a request to the REST API, or says that there is no such page.
pub fn answer(shop: &mut Shop, dispatcher: &Dispatcher, request: &Request) -> Response {
    let params = Params::parse(&request.query);
    let Some(path) = rest_path(request, &params) else {
        let page = "<!DOCTYPE html>\n<html lang=\"en-US\"><head><title>Page not found</title>\
            </head><body>Nothing here.</body></html>\n";
        return Response::new(404, "text/html; charset=UTF-8", page);
    };
    let method = method_of(request, &params);
    let route = Route::parse(&path);
    let caller = match auth::identify(shop, request, &params) {
        Ok(caller) => caller,
        Err(error) => return refuse(&error, None, &shop.site_url),
    };
    let Some(route) = route.filter(|r| r.takes(&method)) else {
        return refuse(&ApiError::no_route(), None, &shop.site_url);
    };
    let method = if method == "HEAD" { "GET".to_owned() } else { method };
    let mut call =
        Call { method: &method, route: &route, path, params, body: Record::new(), batched: false };
    match handle(shop, dispatcher, request, caller, &mut call) {
        Ok(reply) => respond(reply, &call, &shop.site_url),
        Err(error) => refuse(&error, Some(&route), &shop.site_url),
    }
}

fn handle(
    shop: &mut Shop,
    dispatcher: &Dispatcher,
    request: &Request,
    caller: Option<Caller>,
    call: &mut Call<'_>,
) -> ApiResult<Reply> {
    if let Some(caller) = caller {
        auth::check_method(caller, call.method)?;
    }
    match call.route {
        Route::Index => return Ok(catalog::index(shop)),
        Route::Namespace => return Ok(catalog::namespace(shop)),
        _ => {}
    }
    if caller.is_some() || exists_or_list(shop, call.route) {
        auth::check_role(caller, purpose(call))?;
    }
    if call.method != "GET" {
        call.body = body_of(request)?;
    }
    route(shop, dispatcher, call)
}

/// For single records WooCommerce asks for rights only if the record exists.
fn exists_or_list(shop: &Shop, route: &Route) -> bool {
    match route {
        Route::Order(id) => shop.orders.contains_key(id),
        Route::Product(id) => shop.sellable(*id).is_some(),
        Route::Coupon(id) => shop.coupons.contains_key(id),
        Route::OrderRefund(_, id) => shop.refunds.contains_key(id),
        _ => true,
    }
}

fn purpose(call: &Call<'_>) -> Purpose {
    use Route::*;
    let single = matches!(
        call.route,
        Order(_)
            | OrderNote(..)
            | OrderRefund(..)
            | Product(_)
            | Variation(..)
            | Customer(_)
            | Coupon(_)
            | Tax(_)
            | Webhook(_)
            | Category(_)
            | Attribute(_)
            | Setting(..)
    );
    match call.method {
        _ if call.route.is_batch() => Purpose::Batch,
        "GET" if single => Purpose::View,
        "GET" => Purpose::List,
        _ if single => orders::purpose(call.method),
        _ => Purpose::Create,
    }
}

/// JSON, or a form as PHP would read it.
fn body_of(request: &Request) -> ApiResult<Record> {
    if request.body.is_empty() {
        return Ok(Record::new());
    }
    let kind = request.header("content-type").unwrap_or_default();
    if kind.starts_with("application/x-www-form-urlencoded") {
        return Ok(form(&String::from_utf8_lossy(&request.body)));
    }
    match serde_json::from_slice(&request.body) {
        Ok(Value::Object(body)) => Ok(body),
        Ok(_) => Ok(Map::new()),
        Err(_) => Err(ApiError::new(400, "rest_invalid_json", "Invalid JSON body passed.")
            .with("json_error_code", 4)
            .with("json_error_message", "Syntax error")),
    }
}

fn form(text: &str) -> Record {
    let value = |param: &Param| match param {
        Param::Text(text) => json!(text),
        Param::List(values) => json!(values),
    };
    Params::parse(text).iter().map(|(name, param)| (name.clone(), value(param))).collect()
}

fn route(shop: &mut Shop, dispatcher: &Dispatcher, call: &mut Call<'_>) -> ApiResult<Reply> {
    use Route::*;
    let get = call.method == "GET";
    match call.route.clone() {
        OrdersBatch | ProductsBatch | VariationsBatch(_) | CustomersBatch | CouponsBatch => {
            batch::run(shop, call)
        }
        Orders if get => orders::list(shop, call),
        Orders => orders::post(shop, call),
        Order(id) => orders::single(shop, call, id),
        OrderStatuses => Ok(settings::order_statuses()),
        OrderTotals => Ok(settings::order_totals(shop)),
        OrderNotes(id) if get => catalog::notes(shop, id),
        OrderNotes(id) => catalog::create_note(shop, call, id),
        OrderNote(order, id) => catalog::note(shop, call, order, id),
        OrderRefunds(id) if get => refunds::list_of(shop, call, Some(id)),
        OrderRefunds(id) => refunds::create(shop, call, id),
        OrderRefund(order, id) if get => refunds::get(shop, call, order, id),
        OrderRefund(order, id) => refunds::delete(shop, call, order, id),
        Refunds => refunds::list_of(shop, call, None),
        Products if get => products::list(shop, call),
        Products => products::post(shop, call),
        Product(id) => match call.method {
            "GET" => products::get(shop, id),
            "DELETE" => products::delete(shop, call, id),
            _ => products::put(shop, call, id),
        },
        Variations(parent) if get => products::variations::list_of(shop, call, parent),
        Variations(parent) => products::variations::post(shop, call, parent),
        Variation(parent, id) => match call.method {
            "GET" => products::variations::get(shop, parent, id),
            "DELETE" => products::variations::delete(shop, parent, id, 404),
            _ => products::variations::put(shop, call, parent, id),
        },
        _ => rest(shop, dispatcher, call),
    }
}

fn rest(shop: &mut Shop, dispatcher: &Dispatcher, call: &mut Call<'_>) -> ApiResult<Reply> {
    use Route::*;
    let get = call.method == "GET";
    match call.route.clone() {
        Customers if get => customers::list(shop, call),
        Customers => customers::post(shop, call),
        Customer(id) => match call.method {
            "GET" => customers::get(shop, id),
            "DELETE" => customers::delete(shop, call, id),
            _ => customers::put(shop, call, id),
        },
        Coupons if get => coupons::list(shop, call),
        Coupons => coupons::post(shop, call),
        Coupon(id) => match call.method {
            "GET" => coupons::get(shop, call, id),
            "DELETE" => coupons::delete(shop, call, id),
            _ => coupons::put(shop, call, id),
        },
        Taxes if get => catalog::taxes(shop, call),
        Taxes => Ok(catalog::create_tax(shop, call)),
        Tax(id) => catalog::tax(shop, call, id),
        TaxClasses if get => Ok(catalog::tax_classes(shop)),
        Categories if get => catalog::categories(shop, call),
        Category(id) if get => catalog::category(shop, id),
        Attributes if get => Ok(catalog::attributes(shop)),
        Attribute(id) if get => catalog::attribute(shop, id),
        SettingGroups => Ok(settings::groups(shop)),
        Settings(group) => settings::list(shop, &group),
        Setting(group, id) => settings::one(shop, call, &group, &id),
        SystemStatus => Ok(settings::system_status(shop)),
        CurrentCurrency => Ok(settings::current_currency(shop)),
        Webhooks if get => webhooks::list(shop, call),
        Webhooks => webhooks::post(shop, call, dispatcher),
        Webhook(id) => match call.method {
            "GET" => webhooks::get(shop, id),
            "DELETE" => webhooks::delete(shop, call, id),
            _ => webhooks::put(shop, call, id),
        },
        Fixed(path) => Ok(catalog::fixed(shop, path)),
        // Writes to taxonomies aren't built: the engine never makes them.
        _ => Err(ApiError::new(501, "simulator_not_built", "The simulator doesn't do this.")),
    }
}
