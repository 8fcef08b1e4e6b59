//! What handlers are given and give back, and how that becomes an HTTP answer.

use super::errors::ApiError;
use super::params::Params;
use super::php;
use super::record::Record;
use super::routes::Route;
use super::view;
use crate::http::Response;
use bytes::Bytes;
use serde_json::Value;

/// A call that passed authentication.
pub struct Call<'a> {
    /// Upper case; HEAD comes as GET.
    pub method: &'a str,
    /// What the path means.
    pub route: &'a Route,
    /// The path as called, behind `/wp-json`.
    pub path: String,
    /// Handlers put in what they understood: `Link` repeats it.
    pub params: Params,
    /// The JSON body's keys; empty when there was none.
    pub body: Record,
    /// Part of a batch: arguments aren't validated there.
    pub batched: bool,
}

/// What a handler answers.
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Before `_fields` are chosen.
    pub body: Value,
    /// Of lists that are paged.
    pub paging: Option<Paging>,
    /// Of what was created.
    pub location: Option<String>,
}

/// How far a list goes.
pub struct Paging {
    /// Records.
    pub total: usize,
    /// Of the size asked for.
    pub pages: usize,
    /// The one asked for, from 1.
    pub page: usize,
}

impl Reply {
    /// 200.
    pub fn ok(body: impl Into<Value>) -> Self {
        Reply { status: 200, body: body.into(), paging: None, location: None }
    }

    /// 201, with the new record's address.
    pub fn created(body: Value, location: String) -> Self {
        Reply { status: 201, body, paging: None, location: Some(location) }
    }

    /// 200, a page of a list.
    pub fn page(body: Vec<Value>, paging: Paging) -> Self {
        Reply { status: 200, body: Value::Array(body), paging: Some(paging), location: None }
    }
}

/// nginx gives FastCGI headers this much room; WooCommerce repeats the query in `Link`, and a long
/// one overflows: reference, 3.7.
const HEADER_ROOM: usize = 4096;

const BAD_GATEWAY: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
    <center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx/1.22.1</center>\r\n</body>\r\n\
    </html>\r\n";

/// The headers that all answers of the REST API share, up to where `Link` may stand.
fn opening() -> Vec<(String, String)> {
    vec![
        ("Server".into(), "nginx/1.22.1".into()),
        ("Content-Type".into(), "application/json; charset=UTF-8".into()),
        ("X-Robots-Tag".into(), "noindex".into()),
    ]
}

fn add(headers: &mut Vec<(String, String)>, name: &str, value: impl Into<String>) {
    headers.push((name.into(), value.into()));
}

fn access(headers: &mut Vec<(String, String)>) {
    add(headers, "X-Content-Type-Options", "nosniff");
    add(headers, "Access-Control-Expose-Headers", "X-WP-Total, X-WP-TotalPages, Link");
    add(
        headers,
        "Access-Control-Allow-Headers",
        "Authorization, X-WP-Nonce, Content-Disposition, Content-MD5, Content-Type",
    );
}

fn closing(headers: &mut Vec<(String, String)>) {
    add(headers, "Expires", "Wed, 11 Jan 1984 05:00:00 GMT");
    add(headers, "Cache-Control", "no-cache, must-revalidate, max-age=0, no-store, private");
}

fn index_link(site_url: &str) -> String {
    format!("<{site_url}/wp-json/>; rel=\"https://api.w.org/\"")
}

/// `Link` of a page: previous and next, built from the site's address and the parameters as
/// WordPress understood them.
fn page_link(site_url: &str, path: &str, params: &Params, paging: &Paging) -> Option<String> {
    let link = |page: usize, rel: &str| {
        let mut params = params.clone();
        params.set_text("page", page.to_string());
        format!("<{site_url}/wp-json{path}?{}>; rel=\"{rel}\"", params.to_query())
    };
    let mut links = vec![];
    if paging.page > 1 {
        links.push(link((paging.page - 1).min(paging.pages), "prev"));
    }
    if paging.pages > paging.page {
        links.push(link(paging.page + 1, "next"));
    }
    (!links.is_empty()).then(|| links.join(", "))
}

/// The answer to a call that succeeded.
pub fn respond(mut reply: Reply, call: &Call<'_>, site_url: &str) -> Response {
    if let Some(fields) = call.params.list("_fields").filter(|f| !f.is_empty()) {
        view::keep_fields(&mut reply.body, &fields, call.route);
    }
    let paged = reply.paging.as_ref();
    let link = paged.and_then(|p| page_link(site_url, &call.path, &call.params, p));
    let mut headers = opening();
    if link.is_none() {
        add(&mut headers, "Link", index_link(site_url));
    }
    access(&mut headers);
    if let Some(paging) = paged {
        add(&mut headers, "X-WP-Total", paging.total.to_string());
        add(&mut headers, "X-WP-TotalPages", paging.pages.to_string());
    }
    if let Some(link) = link {
        add(&mut headers, "Link", link);
    }
    if let Some(location) = reply.location {
        add(&mut headers, "Location", location);
    }
    if *call.route != Route::Index {
        add(&mut headers, "Allow", call.route.allow());
    }
    closing(&mut headers);
    let size: usize = headers.iter().map(|(n, v)| n.len() + v.len() + 4).sum();
    if size > HEADER_ROOM {
        return Response::new(502, "text/html", BAD_GATEWAY).header("Server", "nginx/1.22.1");
    }
    answer(reply.status, headers, php::encode(&reply.body))
}

/// The answer to a call that failed. `route` is unknown when there is none of that name.
pub fn refuse(error: &ApiError, route: Option<&Route>, site_url: &str) -> Response {
    let mut headers = opening();
    add(&mut headers, "Link", index_link(site_url));
    access(&mut headers);
    if let Some(route) = route.filter(|_| error.allow) {
        add(&mut headers, "Allow", route.allow());
    }
    if error.vary {
        add(&mut headers, "Vary", "Origin");
    }
    closing(&mut headers);
    answer(error.status, headers, php::encode(&error.body()))
}

fn answer(status: u16, mut headers: Vec<(String, String)>, body: String) -> Response {
    headers.insert(2, ("Connection".into(), "keep-alive".into()));
    Response { status, headers, body: vec![Bytes::from(body)], sending: Default::default() }
}
