//! What QuickBooks answers when it refuses: the business envelope `Fault` and the gateway's
//! lower-case `fault`.
//!
//! Texts and codes as documented by Intuit (error codes page); clients must branch on codes, so a
//! company may be told to answer in another language.

use crate::http::Response;
use serde_json::{Value, json};

/// A refusal.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    pub status: u16,
    pub code: String,
    pub message: String,
    pub detail: Option<String>,
    /// Dotted path of the offending field; often empty, sometimes missing.
    pub element: Option<String>,
    /// `ValidationFault`, `SystemFault`, `AUTHENTICATION`, `SERVICE`.
    pub kind: &'static str,
    /// In the gateway's lower-case envelope.
    pub gateway: bool,
}

/// The outcome of whatever may be refused.
pub type Checked<T> = Result<T, Fault>;

/// A `ValidationFault` under HTTP 400.
pub fn validation(code: &str, message: &str, detail: impl Into<String>, element: &str) -> Fault {
    Fault {
        status: 400,
        code: code.into(),
        message: message.into(),
        detail: Some(detail.into()),
        element: Some(element.into()),
        kind: "ValidationFault",
        gateway: false,
    }
}

fn gateway(status: u16, code: &str, name: &str, detail: Option<&str>, kind: &'static str) -> Fault {
    Fault {
        status,
        code: code.into(),
        message: format!("message={name}; errorCode=00{code}; statusCode={status}"),
        detail: detail.map(str::to_owned),
        element: None,
        kind,
        gateway: true,
    }
}

/// 401/3200: the access token is old, unknown or no token.
pub fn authentication(detail: &str) -> Fault {
    gateway(401, "3200", "AuthenticationFailed", Some(detail), "AUTHENTICATION")
}

/// 403/3100: the token is for another company, or the company disconnected the app.
pub fn not_authorised() -> Fault {
    gateway(403, "3100", "ApplicationAuthorizationFailed", None, "SERVICE")
}

/// 429/3001.
pub fn throttled(detail: &str) -> Fault {
    gateway(429, "3001", "ThrottleExceeded", Some(detail), "SERVICE")
}

/// 610: no such record.
pub fn not_found(what: &str) -> Fault {
    validation("610", "Object Not Found", format!("Object Not Found : {what}"), "")
}

/// 610: a record that is referred to was made inactive.
pub fn inactive() -> Fault {
    not_found(
        "Something you're trying to use has been made inactive. Check the fields with accounts, \
         customers, items, vendors or employees.",
    )
}

/// 2010.
pub fn unknown_property(entity: &str, key: &str) -> Fault {
    let detail = format!(
        "Property Name:Unrecognized field \"{key}\" (class com.intuit.schema.finance.v3.{entity}), \
         not marked as ignorable specified is unsupported or invalid"
    );
    let mut fault = validation("2010", "Request has invalid or unsupported property", detail, "");
    fault.element = None;
    fault
}

/// 2020.
pub fn missing(element: &str) -> Fault {
    validation(
        "2020",
        "Required param missing, need to supply the required value for the API",
        format!("Required parameter {element} is missing in the request"),
        element,
    )
}

/// 2500: a reference to nothing.
pub fn bad_reference(element: &str) -> Fault {
    validation("2500", "Invalid Reference Id", format!("Invalid Reference Id : {element}"), element)
}

/// 2050.
pub fn length(element: &str, max: usize, supplied: usize) -> Fault {
    validation(
        "2050",
        "String length is either shorter or longer than supported by specification",
        format!(
            "String length specified does not match the supported length. Min:0 Max:{max} \
             supported. Supplied length:{supplied}"
        ),
        element,
    )
}

/// 5010.
pub fn stale() -> Fault {
    validation(
        "5010",
        "Stale Object Error",
        "Stale Object Error : You and Pat Merchant were working on this at the same time. Pat \
         Merchant finished before you did, so your work was not saved.",
        "",
    )
}

/// 6000, the umbrella: only the text tells what is wrong.
pub fn business(text: &str) -> Fault {
    validation(
        "6000",
        "A business validation error has occurred while processing your request",
        format!("Business Validation Error: {text}"),
        "",
    )
}

/// 500: an operation that the entity doesn't have.
pub fn unsupported(operation: &str) -> Fault {
    validation(
        "500",
        "Unsupported Operation",
        format!("Operation {operation} is not supported."),
        "Operation",
    )
}

/// 5020: the plan or the preferences lack the feature.
pub fn no_feature(feature: &str) -> Fault {
    let detail = format!(
        "Permission Denied Error : {feature} is not available in this subscription or turned off."
    );
    validation("5020", "Permission Denied Error", detail, "")
}

/// 6210.
pub fn books_closed() -> Fault {
    validation(
        "6210",
        "Account Period Closed, Cannot Update Through Services API",
        "The account period has closed and the account books cannot be updated through the QBO \
         Services API. Please use the QBO website to make these changes.",
        "",
    )
}

/// 6240 among customers, vendors and employees.
pub fn duplicate_name() -> Fault {
    validation(
        "6240",
        "Duplicate Name Exists Error",
        "The name supplied already exists. : Another customer, vendor or employee is already using \
         this \nname. Please use a different name.",
        "",
    )
}

/// 6540.
pub fn deposited() -> Fault {
    validation(
        "6540",
        "Deposited Transaction cannot be changed",
        "This transaction is part of a deposit. If you want to change or delete it, you must edit \
         the deposit it appears on and remove it.",
        "",
    )
}

/// 6480.
pub fn matched() -> Fault {
    validation(
        "6480",
        "Matched transaction delete error",
        "This transaction is matched with the bank's. Undo the match first.",
        "",
    )
}

/// 6190.
pub fn lapsed() -> Fault {
    validation(
        "6190",
        "Invalid Company Status",
        "Subscription period has ended or been canceled, or there was a billing problem : You \
         can't add data to QuickBooks Online Plus because your trial or subscription period ended, \
         you canceled your subscription, or there was a billing problem.",
        "",
    )
}

/// 10000 as a SystemFault, under any status: even 200.
pub fn system(status: u16) -> Fault {
    Fault {
        status,
        code: "10000".into(),
        message: "An application error has occurred while processing your request".into(),
        detail: Some("System Failure Error: java.lang.UnsupportedOperationException".into()),
        element: Some("SystemFailureError".into()),
        kind: "SystemFault",
        gateway: false,
    }
}

impl Fault {
    /// The content of the business envelope's `Fault`.
    pub fn to_json(&self) -> Value {
        let mut error = json!({ "Message": self.message });
        if let Some(detail) = &self.detail {
            error["Detail"] = json!(detail);
        }
        error["code"] = json!(self.code);
        if let Some(element) = &self.element {
            error["element"] = json!(element);
        }
        json!({ "Error": [error], "type": self.kind })
    }

    /// The whole answer. `time` is the envelope's spelling of now, `millis` the gateway's.
    pub fn response(&self, time: &str, millis: i64) -> Response {
        let body = match self.gateway {
            false => json!({ "Fault": self.to_json(), "time": time }),
            true => json!({
                "warnings": null, "intuitObject": null,
                "fault": {
                    "error": [{
                        "message": self.message, "detail": self.detail, "code": self.code,
                        "element": self.element,
                    }],
                    "type": self.kind,
                },
                "report": null, "queryResponse": null, "batchItemResponse": [],
                "attachableResponse": [], "syncErrorResponse": null, "requestId": null,
                "time": millis, "status": null, "cdcresponse": [],
            }),
        };
        Response::new(self.status, "application/json;charset=UTF-8", body.to_string())
    }

    /// The same refusal as a company with another language would word it: codes stay, texts don't.
    pub fn in_french(mut self) -> Self {
        let Some(detail) = &mut self.detail else { return self };
        for (english, french) in FRENCH {
            *detail = detail.replace(english, french);
            self.message = self.message.replace(english, french);
        }
        self
    }
}

/// What the simulator translates: enough to catch a client that reads texts.
const FRENCH: [(&str, &str); 10] = [
    ("TxnType=Invoice", "TxnType=Facture"),
    ("TxnType=SalesReceipt", "TxnType=Reçu de vente"),
    ("TxnType=CreditMemo", "TxnType=Note de crédit"),
    ("TxnType=RefundReceipt", "TxnType=Reçu de remboursement"),
    ("Duplicate Document Number Error", "Erreur de numéro de document en double"),
    (
        "You must specify a different number. This number has already been used.",
        "Vous devez indiquer un autre numéro. Ce numéro a déjà été utilisé.",
    ),
    ("Duplicate Name Exists Error", "Erreur : ce nom existe déjà"),
    ("The name supplied already exists.", "Le nom fourni existe déjà."),
    ("Stale Object Error", "Erreur d'objet périmé"),
    ("Object Not Found", "Objet introuvable"),
];
