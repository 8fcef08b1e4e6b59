//! The faults a WooCommerce shop has of its own, with the bodies recorded from one.

use crate::faults::FaultKind;
use serde_json::{Map, Value, json};

const FATAL: &str = include_str!("../../fixtures/woocommerce/responses/fault_fatal.txt");
const DATABASE: &str = include_str!("../../fixtures/woocommerce/responses/fault_db.txt");
const MAINTENANCE: &str =
    include_str!("../../fixtures/woocommerce/responses/fault_maintenance.txt");

/// A plugin's notice, as PHP prints it before the JSON.
const NOTICE: &str = "<br />\n<b>Warning</b>:  Undefined variable $x in <b>/plugin.php</b> on \
    line <b>3</b><br />\n";

fn page(status: u16, body: &str, more: &[(&str, &str)]) -> FaultKind {
    let mut headers = vec![
        ("Server".to_owned(), "nginx/1.22.1".to_owned()),
        ("Content-Type".to_owned(), "text/html; charset=UTF-8".to_owned()),
    ];
    headers.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    FaultKind::Answer { status, headers, body: body.to_owned() }
}

fn error(status: u16, code: &str, message: &str, retry_after: Option<&Value>) -> FaultKind {
    let body = json!({"code": code, "message": message, "data": {"status": status}});
    let json = "application/json; charset=UTF-8".to_owned();
    let mut headers = vec![("Content-Type".to_owned(), json)];
    if let Some(seconds) = retry_after.filter(|value| !value.is_null()) {
        let text = seconds.as_str().map(str::to_owned).unwrap_or_else(|| seconds.to_string());
        headers.push(("Retry-After".to_owned(), text));
    }
    FaultKind::Answer { status, headers, body: body.to_string() }
}

/// A fault by the shop's own name for it; the README lists them.
pub fn named(name: &str, arguments: &Value) -> Option<FaultKind> {
    let status = arguments["status"].as_u64().and_then(|s| u16::try_from(s).ok());
    Some(match name {
        "fatal_error" => page(500, FATAL, &[]),
        "database_error" => page(500, DATABASE, &[]),
        "maintenance" => page(503, MAINTENANCE, &[("Retry-After", "600")]),
        "notice" => FaultKind::Prefix(NOTICE.into()),
        "too_many_requests" => {
            let message = "Too many requests.";
            error(429, "rest_too_many_requests", message, Some(&arguments["retry_after"]))
        }
        "server_error" => {
            let status = status.unwrap_or(500);
            let message = "There has been a critical error on this website.";
            error(status, "internal_server_error", message, Some(&arguments["retry_after"]))
        }
        "lost_totals" => FaultKind::LoseHeaders(
            ["x-wp-total", "x-wp-totalpages", "link"].map(String::from).into(),
        ),
        "wrong_shape" => FaultKind::ReplaceBody(r#"{"orders":{"0":{"id":"x"}}}"#.into()),
        "garbage_order" => {
            let mut set = Map::new();
            set.insert("/total".into(), json!("a lot"));
            set.insert("/line_items".into(), json!("none"));
            set.insert("/date_created_gmt".into(), json!(false));
            FaultKind::SpoilRecord { id: arguments["id"].as_u64()?, text: None, set }
        }
        _ => return None,
    })
}
