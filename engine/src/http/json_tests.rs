use super::*;
use crate::http::{StatusCode, header::HeaderMap};
use bytes::Bytes;
use serde_json::value::RawValue;
use std::time::Duration;

fn response(status: u16, body: impl Into<Bytes>) -> Response {
    Response {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: body.into(),
        held: Default::default(),
        elapsed: Duration::ZERO,
        attempts: 1,
        host: "shop.test".into(),
    }
}

fn fixture(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/woocommerce/");
    std::fs::read(format!("{folder}{name}")).unwrap()
}

#[test]
fn json_is_read_with_byte_order_mark_and_white_space() {
    for body in ["[1]", " \r\n[1]\n", "\u{feff}[1]", "\u{feff}\n [1] "] {
        let response = response(200, body);
        let read = json_body(&response).unwrap();
        assert_eq!((read.value.trim(), read.note), ("[1]", None));
        assert_eq!(response.json::<Vec<i32>>().unwrap().value, [1]);
    }
}

#[test]
fn a_recorded_notice_before_the_json_is_left_out_and_noted() {
    let response = response(200, fixture("fault_notice.txt"));
    let orders: Json<Vec<&RawValue>> = response.json().unwrap();
    assert_eq!(orders.value.len(), 1);
    assert!(orders.value[0].get().starts_with("{\"id\":496,"));
    assert!(orders.note.unwrap().contains("PHP notice"));
}

#[test]
fn notices_of_every_kind_are_left_out() {
    let heads = [
        "<br />\n<b>Notice</b>:  Undefined index: [a] {b} in <b>/x.php</b> on line <b>12</b><br />\n",
        "\nWarning: Undefined array key \"x\" in /var/www/x.php on line 3\n",
        "PHP Deprecated:  x() is deprecated in /x.php on line 40\n\n",
        "<br />\n<b>Warning</b>:  a in <b>/x.php</b> on line <b>3</b><br />\n<br />\n<b>Deprecated</b>:  b in <b>/y.php</b> on line <b>33</b><br />\n",
    ];
    for head in heads {
        for json in ["[]", "{\"a\":[{\"b\":1}]}"] {
            let response = response(200, format!("{head}{json}"));
            let read = json_body(&response).unwrap();
            assert_eq!(read.value, json, "{head}");
            assert!(read.note.is_some());
        }
    }
}

#[test]
fn a_notice_before_json_that_breaks_off_does_not_let_a_part_pass_for_the_whole() {
    let head = "<br />\n<b>Warning</b>:  a in <b>/x.php</b> on line <b>3</b><br />\n";
    let response = response(200, format!("{head}[{{\"id\":1}},\n{{\"id\":2}}"));
    let error = json_body(&response).unwrap_err();
    assert_eq!((error.code.as_str(), error.category), ("bad_json", Category::Network));
}

#[test]
fn json_that_only_mentions_a_notice_is_taken_as_it_is() {
    let body = "{\"message\":\"Warning: x in y on line 3\\n[1]\"}";
    assert_eq!(json_body(&response(200, body)).unwrap().value, body);
}

#[test]
fn recorded_error_pages_are_told_apart_by_their_status_and_shown_short() {
    let pages = [
        ("fault_db.txt", 500, "database connection"),
        ("fault_fatal.txt", 500, "critical error"),
        ("fault_fatal_late.txt", 500, "critical error"),
        ("fault_memory.txt", 500, "critical error"),
        ("fault_maintenance.txt", 503, "maintenance"),
    ];
    for (name, status, words) in pages {
        let page = response(status, fixture(name));
        let error = json_body(&page).unwrap_err();
        assert_eq!((error.code.as_str(), error.category), ("html", Category::Network), "{name}");
        assert!(error.retryable);
        assert_eq!(error.http_status, Some(status));
        assert!(error.whole().to_lowercase().contains(words), "{name}: {}", error.whole());
        assert!(error.whole().len() < 300, "{name}: {}", error.whole());
        let error = json_body(&response(200, fixture(name))).unwrap_err();
        assert_eq!((error.category, error.retryable), (Category::Validation, false), "{name}");
    }
}

#[test]
fn what_is_no_single_json_value_is_refused() {
    use Category::{Network, Validation};
    let bodies = [
        (200, "", "bad_json", Network),
        (200, "  \n", "bad_json", Network),
        (200, "[{\"id\":1}", "bad_json", Network),
        (200, "[1] trailing", "bad_json", Validation),
        (200, "[1][2]", "bad_json", Validation),
        (200, "[1]<!-- cached -->", "bad_json", Validation),
        (200, "upstream error", "bad_json", Validation),
        (502, "upstream error", "bad_json", Network),
        (200, "{'a':1}", "bad_json", Validation),
        (200, "{\"a\":1,}", "bad_json", Validation),
        (403, "<html><body>Access denied</body></html>", "html", Validation),
    ];
    for (status, body, code, category) in bodies {
        let error = json_body(&response(status, body)).unwrap_err();
        assert_eq!((error.code.as_str(), error.category), (code, category), "{body:?}");
    }
    let latin1 = response(200, &b"[\"caf\xe9\"]"[..]);
    assert_eq!(json_body(&latin1).unwrap_err().code, "bad_encoding");
}

#[test]
fn json_nested_beyond_reason_is_refused_and_not_followed() {
    let deep = "[".repeat(100_000);
    let error = json_body(&response(200, deep)).unwrap_err();
    assert_eq!(error.code, "bad_json");
}

#[test]
fn json_of_another_shape_is_an_error_that_quotes_no_value() {
    let response = response(200, "{\"id\":\"jane@mail.test\"}");
    #[derive(Debug, Deserialize)]
    struct Order {
        #[allow(dead_code, reason = "only its type matters")]
        id: i64,
    }
    let error = response.json::<Order>().unwrap_err();
    assert_eq!(error.code, "unexpected_json");
    assert!(!error.message.contains("jane"), "{}", error.message);
    assert!(error.message.contains("line 1, column"), "{}", error.message);
}

#[test]
fn an_excerpt_keeps_the_words_and_drops_tags_scripts_and_styles() {
    let page = "<!DOCTYPE html><HTML><head><title>T</title><style>p{x}</style></head>\
                <body><script>var a='<b>';</script><header>Hi</header><p>Not <b>found</b></p></body>";
    assert_eq!(excerpt(page), "Hi Not found");
    assert_eq!(excerpt("<p>open <style>never closed"), "open");
    assert_eq!(excerpt("a < b"), "a");
    let long = excerpt(&"wörd ".repeat(10_000));
    assert_eq!(long.chars().count(), EXCERPT + 3);
}
