//! Every recorded refusal, and what it means.

use super::fixtures::{read, response};
use crate::connector::woocommerce::errors;
use crate::error::{Category, Error};
use crate::http::{Response, StatusCode, header::HeaderMap};
use std::time::Duration;

fn answer(status: u16, body: String) -> Response {
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

fn refused(status: u16, file: &str) -> Error {
    errors::of(&answer(status, response(file)), true).unwrap()
}

#[test]
fn every_recorded_refusal_has_its_category() {
    use Category::{Authentication, Conflict, NotFound, Validation};
    for (file, status, category) in [
        ("err_400_bad_date", 400, Validation),
        ("err_400_bad_json", 400, Validation),
        ("err_400_bad_status", 400, Validation),
        ("err_400_dup_customer_email", 400, Validation),
        ("err_400_dup_sku", 400, Validation),
        ("err_400_invalid_email", 400, Validation),
        ("err_400_orderby", 400, Validation),
        ("err_400_page_0", 400, Validation),
        ("err_400_per_page_0", 400, Validation),
        ("err_400_per_page_101", 400, Validation),
        ("err_400_refund_too_big", 500, Validation),
        ("err_401_no_auth", 401, Authentication),
        ("err_401_readonly_post", 401, Authentication),
        ("err_401_unknown_key", 401, Authentication),
        ("err_401_writeonly_get", 401, Authentication),
        ("err_401_wrong_secret", 401, Authentication),
        ("err_403_customer_role_key", 403, Authentication),
        ("err_404_coupon", 404, NotFound),
        ("err_404_customer", 404, NotFound),
        ("err_404_order", 404, NotFound),
        ("err_404_product", 404, NotFound),
        ("err_404_refund", 404, NotFound),
        ("err_404_route", 404, NotFound),
        ("err_404_tax", 404, NotFound),
        ("err_404_variation", 404, NotFound),
        ("err_404_webhook", 404, NotFound),
        ("err_410_already_trashed", 410, Conflict),
        ("err_coupon_dup", 400, Validation),
        ("err_customer_delete_noforce", 501, Validation),
        ("err_order_create_unknown_customer", 400, Validation),
        ("err_refund_gateway", 500, Validation),
        ("err_settings_bad", 404, NotFound),
        ("err_tax_delete_noforce", 501, Validation),
    ] {
        let error = refused(status, file);
        assert_eq!(error.category, category, "{file}: {error:?}");
        assert_eq!(error.http_status, Some(status), "{file}");
        assert!(!error.retryable, "{file}: trying again ends the same");
        let platform: serde_json::Value = serde_json::from_str(&response(file)).unwrap();
        assert_eq!(error.code, platform["code"], "{file}");
        let is_record = file.starts_with("err_404") && file != "err_404_route";
        assert_eq!(errors::is_gone(&error), is_record, "{file}");
    }
}

#[test]
fn an_unknown_key_is_told_as_refused_credentials() {
    let error = refused(401, "err_401_unknown_key");
    assert!(error.message.contains("refused the credentials"), "{}", error.message);
    assert!(error.hint.unwrap().contains("X-Forwarded-Proto"));
}

#[test]
fn each_refused_key_has_its_own_cure() {
    let cure = |status, file| refused(status, file).hint.unwrap();
    assert!(cure(401, "err_401_writeonly_get").contains("may read"));
    assert!(cure(401, "err_401_readonly_post").contains("may write"));
    assert!(cure(401, "err_401_wrong_secret").contains("new key"));
    assert!(cure(403, "err_403_customer_role_key").contains("shop manager"));
    for (message, cure) in [("Invalid timestamp.", "clocks"), ("Invalid signature - x", "address")]
    {
        let body =
            format!(r#"{{"code":"woocommerce_rest_authentication_error","message":"{message}"}}"#);
        let error = errors::of(&answer(401, body), false).unwrap();
        assert!(error.hint.unwrap().contains(cure), "{message}");
    }
}

#[test]
fn a_wrong_parameter_is_told_with_what_would_be_right() {
    let error = refused(400, "err_400_bad_status");
    assert!(error.whole().contains("is not one of any, trash"), "{}", error.whole());
}

#[test]
fn an_e_mail_in_a_refusal_is_masked() {
    let error = refused(400, "err_400_dup_customer_email");
    assert!(!error.whole().contains("cust1@example.test"), "{}", error.whole());
}

#[test]
fn a_message_holds_our_words_alone() {
    let body = r#"{"code":"shop_says","message":"Jane Doe of 7 Rose Lane"}"#;
    for status in [400, 401, 403, 404, 410, 418, 500, 501] {
        let error = errors::of(&answer(status, body.into()), true).unwrap();
        assert!(!error.message.contains("Jane") && !error.message.contains("Rose"), "{error:?}");
        assert!(!error.whole().contains("Rose Lane"), "{error:?}");
        assert_eq!(error.code, "shop_says");
    }
    // Where a code belongs stands something else.
    for code in ["Jane Doe", "ck_0123456789abcdef0123456789abcdef01234567", "a\\u001b[31m", ""] {
        let body = format!(r#"{{"code":"{code}","message":""}}"#);
        assert_eq!(errors::of(&answer(400, body), true).unwrap().code, "refused", "{code}");
    }
}

#[test]
fn faults_of_php_are_the_networks_and_pass() {
    for file in ["fault_db", "fault_fatal", "fault_fatal_late", "fault_memory"] {
        let error = errors::of(&answer(500, read(&format!("responses/{file}.txt"))), true).unwrap();
        assert_eq!(error.category, Category::Network, "{file}");
        assert!(error.retryable && errors::is_poison(&error), "{file}");
        assert!(!error.message.contains('<'), "{file}: {}", error.message);
    }
}

#[test]
fn a_page_for_people_is_told_by_its_status() {
    let page = "<html><body>Nope</body></html>".to_owned();
    let told = |status| errors::of(&answer(status, page.clone()), true).unwrap();
    assert_eq!(told(401).category, Category::Authentication);
    assert_eq!(told(403).category, Category::Blocked);
    assert!(told(403).hint.unwrap().contains("firewall"));
    assert!(told(404).hint.unwrap().contains("Permalinks"));
    assert_eq!(told(404).category, Category::NotFound);
    assert!(!errors::is_gone(&told(404)), "a missing page is no missing record");
}

#[test]
fn a_success_is_no_refusal() {
    assert!(errors::of(&answer(200, "[]".into()), true).is_none());
    assert!(errors::of(&answer(201, "{}".into()), true).is_none());
}
