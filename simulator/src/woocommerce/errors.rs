//! WordPress' error bodies: `{"code", "message", "data"}`.

use serde_json::{Map, Value, json};

/// A failed call as the API answers it.
#[derive(Debug, Clone)]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// WordPress' own name for the error.
    pub code: String,
    /// Text for people, in WordPress' words.
    pub message: String,
    /// Mostly an object with the status; refund errors have a bare number here.
    pub data: Box<Value>,
    /// The answer carries an `Allow` header.
    pub allow: bool,
    /// The answer carries `Vary: Origin` (nobody is logged in).
    pub vary: bool,
}

/// What a handler gives.
pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// With the status as its data, and an `Allow` header.
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        ApiError {
            status,
            code: code.into(),
            message: message.into(),
            data: Box::new(json!({ "status": status })),
            allow: true,
            vary: false,
        }
    }

    /// Adds a key to `data`.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        if let Value::Object(data) = &mut *self.data {
            data.insert(key.into(), value.into());
        }
        self
    }

    /// Refusals before the handler don't list methods.
    pub fn without_allow(mut self) -> Self {
        self.allow = false;
        self
    }

    /// 404 for a path or method that no route has.
    pub fn no_route() -> Self {
        let text = "No route was found matching the URL and request method.";
        ApiError::new(404, "rest_no_route", text).without_allow()
    }

    /// 400 for one or more parameters.
    pub fn invalid_params(faults: Vec<InvalidParam>) -> Self {
        let names: Vec<&str> = faults.iter().map(|f| f.name.as_str()).collect();
        let message = format!("Invalid parameter(s): {}", names.join(", "));
        let mut params = Map::new();
        let mut details = Map::new();
        for fault in &faults {
            params.insert(fault.name.clone(), json!(fault.message));
            details.insert(
                fault.name.clone(),
                json!({"code": fault.code, "message": fault.message, "data": fault.data}),
            );
        }
        let params = if params.is_empty() { json!([]) } else { Value::Object(params) };
        ApiError::new(400, "rest_invalid_param", message)
            .with("params", params)
            .with("details", Value::Object(details))
    }

    /// 400 for required parameters that are missing.
    pub fn missing_params(names: &[&str]) -> Self {
        let message = format!("Missing parameter(s): {}", names.join(", "));
        ApiError::new(400, "rest_missing_callback_param", message).with("params", json!(names))
    }

    /// As sent.
    pub fn body(&self) -> Value {
        json!({"code": self.code, "message": self.message, "data": self.data})
    }
}

/// One parameter that failed validation.
#[derive(Debug, Clone)]
pub struct InvalidParam {
    /// The parameter.
    pub name: String,
    /// What is wrong with it, by WordPress' name.
    pub code: &'static str,
    /// What is wrong with it, for people.
    pub message: String,
    /// Mostly null.
    pub data: Value,
}

impl InvalidParam {
    /// Without data.
    pub fn new(name: &str, code: &'static str, message: impl Into<String>) -> Self {
        InvalidParam { name: name.into(), code, message: message.into(), data: Value::Null }
    }

    /// A value of the wrong JSON type.
    pub fn not_of_type(name: &str, kind: &str) -> Self {
        let mut fault =
            Self::new(name, "rest_invalid_type", format!("{name} is not of type {kind}."));
        fault.data = json!({ "param": name });
        fault
    }

    /// `label` is the name as the message has it, `status[0]` for a list.
    pub fn not_in_enum(name: &str, label: &str, allowed: &[&str]) -> Self {
        let message = format!("{label} is not one of {}.", in_words(allowed));
        Self::new(name, "rest_not_in_enum", message)
    }
}

/// `a`, `a and b`, or `a, b, and c`.
fn in_words(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [one, two] => format!("{one} and {two}"),
        [most @ .., last] => format!("{}, and {last}", most.join(", ")),
    }
}
