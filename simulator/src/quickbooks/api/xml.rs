//! What a client gets that forgot to ask for JSON.

use crate::http::Response;
use serde_json::Value;

/// The same answer as XML.
pub fn instead_of(response: Response) -> Response {
    let Ok(value) = serde_json::from_slice::<Value>(&response.whole_body()) else {
        return response;
    };
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>");
    element("IntuitResponse", &value, &mut text);
    Response::new(response.status, "application/xml;charset=UTF-8", text)
}

fn element(name: &str, value: &Value, text: &mut String) {
    match value {
        Value::Null => {}
        Value::Array(values) => values.iter().for_each(|value| element(name, value, text)),
        Value::Object(fields) => {
            text.push_str(&format!("<{name}>"));
            fields.iter().for_each(|(key, value)| element(key, value, text));
            text.push_str(&format!("</{name}>"));
        }
        plain => {
            let inner = plain.as_str().map_or_else(|| plain.to_string(), str::to_owned);
            let inner = inner.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            text.push_str(&format!("<{name}>{inner}</{name}>"));
        }
    }
}
