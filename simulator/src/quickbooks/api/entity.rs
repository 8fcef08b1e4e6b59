//! Single records: read, query, create, update, delete, void, send.

use super::journal::Note;
use super::{Call, cdc};
use crate::quickbooks::company::Company;
use crate::quickbooks::fault::{self, Checked, Fault, validation};
use crate::quickbooks::kind::Kind;
use crate::quickbooks::params::Params;
use crate::quickbooks::store::text;
use crate::quickbooks::webhooks::Event;
use crate::quickbooks::write::{self, Voided, With};
use crate::quickbooks::{money, query};
use jiff::Timestamp;
use serde_json::{Value, json};

fn no_such_object(name: &str) -> Fault {
    let detail = format!("Unsupported object name : {name}");
    validation("2000", "Invalid or unsupported object name", detail, "")
}

fn wrong_way() -> Fault {
    let mut fault = fault::unsupported("this method on this path");
    fault.status = 404;
    fault
}

/// Everything that only reads.
pub fn read(company: &mut Company, call: &Call<'_>) -> Checked<Value> {
    match (call.request.method.as_str(), call.rest.as_slice()) {
        ("GET", ["query"]) => {
            let text = call.params.get("query").ok_or_else(|| fault::missing("query"))?;
            run_query(company, text, call.now)
        }
        ("POST", ["query"]) => {
            let text = String::from_utf8_lossy(&call.request.body).into_owned();
            run_query(company, &text, call.now)
        }
        ("GET", ["cdc"]) => cdc::read(company, &call.params, call.now),
        ("GET", ["exchangerate"]) => exchange_rate(company, &call.params, call.now),
        ("GET", ["preferences"]) => one(company, Kind::Preferences, "1"),
        ("GET", ["companyinfo", realm]) => match *realm == company.realm || *realm == "1" {
            true => one(company, Kind::CompanyInfo, "1"),
            false => Err(fault::not_found("The company is another.")),
        },
        ("GET", [name, id]) => {
            let kind = Kind::named(name).ok_or_else(|| no_such_object(name))?;
            one(company, kind, id)
        }
        _ => Err(wrong_way()),
    }
}

/// The content of the envelope for a query.
pub fn run_query(company: &Company, text: &str, now: Timestamp) -> Checked<Value> {
    let query = query::parse(text)?;
    Ok(json!({ "QueryResponse": query::run(company, &query, now)? }))
}

fn one(company: &Company, kind: Kind, id: &str) -> Checked<Value> {
    let found = company.store.find(kind, id);
    let (key, record) = found.ok_or_else(|| fault::not_found("The object doesn't exist."))?;
    Ok(json!({ (kind.name()): record.render(key.1, &company.zone) }))
}

fn exchange_rate(company: &Company, params: &Params, now: Timestamp) -> Checked<Value> {
    let code = params.get("sourcecurrencycode").unwrap_or_default();
    if !company.multicurrency() {
        return Err(fault::no_feature("Multicurrency"));
    }
    if code != company.home && !company.exchange.contains_key(code) {
        return Err(fault::not_found("No exchange rate for this currency."));
    }
    let today = crate::quickbooks::times::today(now, &company.zone).to_string();
    Ok(json!({ "ExchangeRate": {
        "SourceCurrencyCode": code, "TargetCurrencyCode": company.home,
        "Rate": money::json(company.rate(code)),
        "AsOfDate": params.get("asofdate").unwrap_or(&today), "domain": "QBO", "sparse": false,
    }}))
}

/// One operation of a single call or of a batch.
pub struct Operation<'a> {
    pub kind: Kind,
    /// `create`, `update`, `delete`, `void`.
    pub name: &'a str,
    /// `include=` or a batch item's `optionsData`.
    pub options: Params,
    pub body: &'a Value,
    pub request_id: Option<&'a str>,
    pub batch_id: Option<&'a str>,
}

/// Everything that writes one record.
pub fn write(company: &mut Company, call: &Call<'_>) -> Checked<Value> {
    if call.request.method != "POST" {
        return Err(wrong_way());
    }
    let body = parsed(&call.request.body);
    match call.rest.as_slice() {
        ["taxservice", "taxcode"] => {
            let with = With { now: call.now, allow_duplicate_number: false };
            write::create_tax_code(company, &body?, with)
        }
        [name, id, "send"] => send(company, name, id, call),
        [name] => {
            let kind = Kind::named(name).ok_or_else(|| no_such_object(name))?;
            let body = body?;
            let operation = Operation {
                kind,
                name: call.params.get("operation").unwrap_or_default(),
                options: call.params.clone(),
                body: &body,
                request_id: call.params.get("requestid"),
                batch_id: None,
            };
            execute(company, &operation, call.now)
        }
        _ => Err(wrong_way()),
    }
}

fn parsed(body: &[u8]) -> Checked<Value> {
    if std::str::from_utf8(body).is_err() {
        let detail = "MalformedByteSequence : the body is no UTF-8";
        return Err(validation("500", "Unsupported Operation", detail, ""));
    }
    serde_json::from_slice(body).map_err(|_| {
        let detail = "An error occured while parsing the request body";
        validation("2010", "Request has invalid or unsupported property", detail, "")
    })
}

/// Carries out an operation and notes it; the answer is `{"Invoice": {...}}`.
///
/// Errors: refusals of the write; nothing has changed then.
pub fn execute(company: &mut Company, operation: &Operation<'_>, now: Timestamp) -> Checked<Value> {
    let (name, outcome) = acted(company, operation, now);
    let entity = operation.kind.name();
    let written = outcome.as_ref().ok().map(|body| &body[entity]);
    let field = |key: &str| written.and_then(|w| w[key].as_str()).map(str::to_owned);
    company.journal.note(Note {
        at: now,
        entity,
        operation: name,
        request_id: operation.request_id.map(str::to_owned),
        batch_id: operation.batch_id.map(str::to_owned),
        id: field("Id"),
        doc_number: field("DocNumber")
            .or_else(|| operation.body["DocNumber"].as_str().map(str::to_owned)),
        code: outcome.as_ref().err().map(|fault| fault.code.clone()),
        replayed: false,
    });
    outcome
}

fn acted(
    company: &mut Company,
    operation: &Operation<'_>,
    now: Timestamp,
) -> (&'static str, Checked<Value>) {
    let Operation { kind, body, .. } = *operation;
    let allow = operation.options.lists("include", "allowduplicatedocnum");
    let with = With { now, allow_duplicate_number: allow };
    let include_void = operation.options.lists("include", "void");
    let update = body["Id"].as_str().is_some_and(|id| !id.is_empty());
    let name = match operation.name {
        "delete" => "delete",
        "void" => "void",
        "update" if include_void => "void",
        "create" => "create",
        "" | "update" if update => "update",
        "" | "update" => "create",
        other => return ("update", Err(fault::unsupported(other))),
    };
    if company.lapsed {
        return (name, Err(fault::lapsed()));
    }
    let outcome = match name {
        "delete" => write::delete(company, kind, body, with),
        "void" => match write::void(company, kind, operation.name, body, with) {
            Ok(Voided::Nothing) => {
                return (name, Ok(json!({ "BatchItemResponse": [] })));
            }
            Ok(Voided::Sparse(value)) => Ok(value),
            Ok(Voided::Record(id)) => Ok(company.render(kind, id)),
            Err(fault) => Err(fault),
        },
        _ => write::save(company, kind, body, with).map(|id| company.render(kind, id)),
    };
    (name, outcome.map(|value| json!({ (kind.name()): value })))
}

/// Marks the call as answered from memory.
pub fn note_replay(company: &mut Company, call: &Call<'_>, id: &str) {
    let entity = call.rest.first().and_then(|name| Kind::named(name)).map_or("batch", Kind::name);
    company.journal.note(Note {
        at: call.now,
        entity,
        operation: "replay",
        request_id: Some(id.to_owned()),
        batch_id: None,
        id: None,
        doc_number: None,
        code: None,
        replayed: true,
    });
}

/// `POST /invoice/{id}/send?sendTo=`: the mail goes nowhere, the record says it went.
fn send(company: &mut Company, name: &str, id: &str, call: &Call<'_>) -> Checked<Value> {
    let kind = Kind::named(name).filter(|k| k.is_sales()).ok_or_else(|| no_such_object(name))?;
    let found = company.store.find(kind, id).map(|(key, _)| key);
    let key = found.ok_or_else(|| fault::not_found("The object doesn't exist."))?;
    let Some(record) = company.store.get_mut(key) else { return Err(fault::unsupported("send")) };
    let to = call.params.get("sendTo").map(str::to_owned);
    let stored = record.data.get("BillEmail").and_then(|e| e["Address"].as_str());
    let Some(address) = to.or_else(|| stored.map(str::to_owned)) else {
        return Err(fault::missing("BillEmail"));
    };
    record.data.insert("BillEmail".into(), json!({ "Address": address }));
    record.data.insert("EmailStatus".into(), json!("EmailSent"));
    record.token += 1;
    record.updated = call.now;
    let number = text(&record.data, "DocNumber").to_owned();
    company.events.push(Event::new(key, "emailed", call.now));
    company.journal.note(Note {
        at: call.now,
        entity: kind.name(),
        operation: "update",
        request_id: call.params.get("requestid").map(str::to_owned),
        batch_id: None,
        id: Some(id.to_owned()),
        doc_number: Some(number),
        code: None,
        replayed: false,
    });
    Ok(json!({ (kind.name()): company.render(kind, key.1) }))
}
