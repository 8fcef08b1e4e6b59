//! Answers that no QuickBooks would give.

use super::Attack;
use super::yard::in_yard;
use anyhow::{Result, ensure};
use easysync_tests::hostile::{Asked, Hostile, Reply, pack_many};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

pub const CLASS: &str = "a compromised QuickBooks";

pub fn attacks() -> Vec<Attack> {
    ATTACKS.to_vec()
}

const ATTACKS: &[Attack] = &[
    Attack { name: "books::grants_that_are_none", run: grants },
    Attack {
        name: "books::the_same_page_for_every_position",
        run: || invoices(same, &["no_progress", "moving_list", "restless_list"]),
    },
    Attack {
        name: "books::ten_million_elements_in_one_packed_page",
        run: || invoices(|_| elements(), &["too_large", "too_many", "unexpected_json"]),
    },
    Attack { name: "books::a_page_nested_a_million_deep", run: || invoices(nested, &["*"]) },
    Attack {
        name: "books::a_body_without_end",
        run: || invoices(|_| endless(), &["too_large", "timeout"]),
    },
    Attack {
        name: "books::a_fault_of_seven_megabytes",
        run: || invoices(|_| fault(&"x".repeat(7 << 20), "610"), &["bad_json"]),
    },
    Attack {
        name: "books::a_fault_of_a_hundred_thousand_errors",
        run: || invoices(|_| faults(), &["610"]),
    },
    Attack {
        name: "books::a_fault_with_control_characters",
        run: || invoices(|_| fault("\u{1b}]0;x\u{7}\r\n\u{0}", "610\u{0}\u{1b}"), &["610"]),
    },
    Attack {
        name: "books::an_object_in_place_of_the_list",
        run: || invoices(|_| list("{\"0\":{}}"), &["unexpected_json"]),
    },
    Attack { name: "books::a_trace_with_odd_bytes", run: || invoices(|_| odd_trace(), &[]) },
    Attack { name: "books::ids_that_are_no_ids", run: || invoices(|_| odd_ids(), &["*"]) },
    Attack {
        name: "books::an_unknown_minor_version",
        run: || invoices(|_| fault("minorversion", "2010"), &["2010"]),
    },
    Attack {
        name: "books::access_that_is_refused_again_and_again",
        run: || invoices(|_| Reply::new(401, "", "{}"), &["*"]),
    },
    Attack {
        name: "books::a_redirect",
        run: || {
            invoices(
                |_| Reply::new(302, "location: http://169.254.169.254/\r\n", ""),
                &["redirect"],
            )
        },
    },
];

const JSON: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

/// Pulls invoices from books that turn hostile once they are connected. `codes`: one of these ends the
/// run; none: it succeeds; `*`: any end.
fn invoices(answer: fn(&Asked) -> Reply, codes: &[&str]) -> Result<()> {
    let hostile = Arc::new(AtomicBool::new(false));
    let turned = Arc::clone(&hostile);
    let books = Hostile::start(move |asked| match turned.load(Relaxed) && asks(asked) {
        true => answer(asked),
        false => good(asked),
    })?;
    in_yard(|yard| {
        let connection = yard.connect_books(&books)?;
        hostile.store(true, Relaxed);
        let run = yard.run(&connection, "invoices", "full")?;
        let message = run.error_message.clone().unwrap_or_default();
        let code = run.error_code.as_deref().unwrap_or_default();
        match codes {
            [] => ensure!(run.status == "succeeded", "{run:?}"),
            ["*"] => {}
            codes => ensure!(run.status == "failed" && codes.contains(&code), "{run:?}"),
        }
        ensure!(message.len() < 3000 && !message.contains(char::is_control), "{message:?}");
        ensure!(books.seen().len() < 500, "{} calls", books.seen().len());
        yard.disconnect(&connection)
    })
}

/// What comes in place of tokens, in the session of whoever grants access.
fn grants() -> Result<()> {
    let tokens = |access: &str, expires: &str| {
        Reply::json(format!(
            r#"{{"token_type":"bearer","access_token":"{access}","refresh_token":"r","expires_in":{expires},
                "x_refresh_token_expires_in":{expires}}}"#
        ))
    };
    let answers = [
        tokens("a", "9223372036854775807"),
        tokens("a", "18446744073709551615"),
        tokens("a", "-9223372036854775808"),
        tokens("a", "1e400"),
        tokens("a\\r\\nx: y", "3600"),
        tokens("\\u0000", "3600"),
        tokens(&"a".repeat(1 << 20), "3600"),
        tokens(&"a".repeat(9 << 20), "3600"),
        endless(),
        Reply::json("[".repeat(1 << 20)),
        fault("\u{1b}]0;x\u{7}", "1\u{0}"),
        Reply::new(
            400,
            "content-type: application/json\r\n",
            r#"{"error":"\u001b","error_description":"\u0000\u001b"}"#,
        ),
    ];
    for answer in answers {
        let books = Hostile::start(move |asked| match asked.path.starts_with("/oauth2/") {
            true => answer.clone(),
            false => good(asked),
        })?;
        in_yard(|yard| {
            let (connection, landed) = yard.begin_books(&books)?;
            yard.refused("select easysync.oauth_complete($1)", &[&landed])?;
            yard.disconnect(&connection)
        })?;
    }
    Ok(())
}

/// Does it ask for invoices?
fn asks(asked: &Asked) -> bool {
    let query = asked.query.get("query").is_some_and(|query| query.contains("Invoice"));
    query || asked.path.ends_with("/cdc")
}

/// What books answer that nobody has taken over.
fn good(asked: &Asked) -> Reply {
    let answer = match asked.path.as_str() {
        path if path.starts_with("/oauth2/") => json!({
            "token_type": "bearer", "access_token": "access", "refresh_token": "refresh",
            "expires_in": 3600, "x_refresh_token_expires_in": 8_726_400
        }),
        path if path.contains("companyinfo") => json!({
            "CompanyInfo": {"Id": "1", "CompanyName": "Books", "Country": "US"}
        }),
        path if path.contains("preferences") => json!({"Preferences": {"Id": "1"}}),
        _ => json!({"QueryResponse": {}}),
    };
    Reply::json(answer.to_string())
}

fn list(invoices: &str) -> Reply {
    Reply::json(format!("{{\"QueryResponse\":{{\"Invoice\":{invoices}}}}}"))
}

fn invoice(id: &Value) -> Value {
    json!({"Id": id, "SyncToken": "0", "DocNumber": "1", "TotalAmt": 1, "Balance": 1,
           "TxnDate": "2026-01-01", "CurrencyRef": {"value": "USD"}, "CustomerRef": {"value": "1"},
           "MetaData": {"CreateTime": "2026-01-01T00:00:00Z", "LastUpdatedTime": "2026-01-01T00:00:00Z"}})
}

/// A thousand, whatever was asked for.
fn same(_: &Asked) -> Reply {
    let all: Vec<Value> = (1..=1000).map(|id: u32| invoice(&id.to_string().into())).collect();
    list(&Value::from(all).to_string())
}

fn elements() -> Reply {
    let body = pack_many(b"{\"QueryResponse\":{\"Invoice\":[", b"{},", 10_000_000, b"{}]}}");
    Reply::json_with("content-encoding: gzip\r\n", body)
}

fn nested(_: &Asked) -> Reply {
    let (open, close) = ("[".repeat(1_000_000), "]".repeat(1_000_000));
    list(&format!("{open}{close}"))
}

fn endless() -> Reply {
    Reply::endless(&format!("{JSON}\r\n{{\"QueryResponse\":"), vec![b' '; 65536], Duration::ZERO)
}

fn fault(text: &str, code: &str) -> Reply {
    let error = json!({"Message": text, "Detail": text, "code": code, "element": text});
    let body = json!({"Fault": {"Error": [error], "type": "ValidationFault"}});
    Reply::new(400, "content-type: application/json\r\n", body.to_string())
}

/// In 250 kB, which is what is read of a refusal.
fn faults() -> Reply {
    let errors = vec!["{\"code\":\"610\"}"; 15_000].join(",");
    let body = format!("{{\"Fault\":{{\"Error\":[{errors}],\"type\":\"ValidationFault\"}}}}");
    Reply::new(400, "content-type: application/json\r\n", body)
}

fn odd_trace() -> Reply {
    let mut reply = Reply::json("{\"QueryResponse\":{}}");
    let at = reply.head.len() - 2;
    let trace = [b"intuit_tid: \x80\xff\x1b[31m\t".as_slice(), &[b'x'; 8000], b"\r\n"].concat();
    reply.head.splice(at..at, trace.into_iter().filter(|byte| *byte != 0x1b));
    reply
}

fn odd_ids() -> Reply {
    let ids =
        json!(["-1", 0, "9223372036854775808", "x".repeat(5000), [1], null, 1e300, "1' or '1'='1"]);
    let odd = ids.as_array().into_iter().flatten().map(invoice);
    list(&Value::from(odd.collect::<Vec<_>>()).to_string())
}
