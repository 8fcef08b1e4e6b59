//! Faults as recorded, understood.

use super::*;
use crate::connector::quickbooks::reply::{FaultItem, fault_in, object};
use crate::connector::quickbooks::tests::fixture;
use serde_json::Value;
use std::fmt::Write;

fn understood(body: &Value, status: u16) -> Refusal {
    let text = body.to_string();
    refusal(&fault_in(&object(&text).unwrap()).unwrap(), status)
}

fn of(code: &str, detail: &str) -> Refusal {
    let item = FaultItem { code: code.into(), detail: detail.into(), ..FaultItem::default() };
    refusal(&Fault { kind: "ValidationFault".into(), items: vec![item] }, 400)
}

fn shown(out: &mut String, name: &str, refusal: &Refusal) {
    let Error { category, code, hint, retryable, retry_after, .. } = &refusal.error;
    let message = refusal.error.whole();
    writeln!(out, "{name}\n  {:?}", refusal.remedy).unwrap();
    writeln!(out, "  {}/{code} retryable={retryable} after={retry_after:?}", category.as_str())
        .unwrap();
    writeln!(out, "  {message}\n  -> {}", hint.as_deref().unwrap_or("-")).unwrap();
}

#[test]
fn every_recorded_fault_says_what_happened_and_what_to_do() {
    let mut out = String::new();
    let faults = fixture("faults_validation.json");
    for (name, fault) in faults.as_object().unwrap() {
        let status = fault["http"].as_u64().unwrap() as u16;
        shown(&mut out, name, &understood(&fault["body"], status));
    }
    for name in [
        "fault_401_token_expired",
        "fault_403_authorization_failed",
        "fault_429_throttle",
        "fault_6000_inventory_lock",
        "fault_6240_lowercase_envelope",
    ] {
        let fault = fixture(&format!("{name}.json"));
        shown(&mut out, name, &understood(&fault["body"], fault["http"].as_u64().unwrap() as u16));
    }
    insta::assert_snapshot!(out);
}

/// The catalogue of the reference is the yardstick: each of its codes is known, and nothing that it
/// says needs a person is tried again.
#[test]
fn every_code_of_the_reference_is_known_and_treated_as_it_says() {
    let file = fixture("error_catalog.json");
    for listed in file["errors"].as_array().unwrap() {
        let code = listed["code"].as_str().unwrap();
        let refusal = of(code, "");
        let class = listed["class"].as_str().unwrap();
        let fits = match class {
            "retry_after_60s" => refusal.remedy == Remedy::Retry { after: Duration::from_secs(60) },
            "retry_backoff" | "retry_backoff_long" | "retry_once" => {
                matches!(refusal.remedy, Remedy::Retry { .. })
            }
            "refresh_then_retry_once" => refusal.remedy == Remedy::RefreshToken,
            "reconnect" | "pause_realm" => refusal.remedy == Remedy::StopConnection,
            "bug" => refusal.remedy == Remedy::Bug,
            "treat_as_unknown_outcome" => refusal.remedy == Remedy::LookUp,
            "refetch_or_user" | "refetch_mapping" => {
                matches!(refusal.remedy, Remedy::Reresolve { .. })
            }
            "refetch_and_rebase" => refusal.remedy == Remedy::Refetch,
            "adopt_existing_or_renumber" => matches!(refusal.remedy, Remedy::AdoptNumber { .. }),
            "adopt_existing" | "adopt_existing_or_rename" => refusal.remedy == Remedy::AdoptName,
            "narrow_query" => refusal.remedy == Remedy::Narrow,
            "full_resync" => refusal.remedy == Remedy::Resync,
            "user" | "user_or_bug" | "payload_fix" | "classify_by_text" => {
                matches!(refusal.remedy, Remedy::Attention | Remedy::Blocked | Remedy::Bug)
            }
            other => panic!("{code}: unknown class {other}"),
        };
        assert!(fits, "{code} {class}: {:?}", refusal.remedy);
        assert_eq!(refusal.error.code, code);
        assert!(refusal.error.hint.is_some(), "{code}");
    }
}

#[test]
fn codes_are_the_same_with_and_without_leading_zeros_and_as_numbers() {
    for code in ["\"003200\"", "\"3200\"", "3200"] {
        let body =
            format!(r#"{{"fault":{{"error":[{{"code":{code}}}],"type":"AUTHENTICATION"}}}}"#);
        let fault = fault_in(&object(&body).unwrap()).unwrap();
        assert_eq!(refusal(&fault, 401).remedy, Remedy::RefreshToken, "{code}");
    }
    let body = r#"{"fault":{"error":[{"message":"message=X; errorCode=003001; statusCode=429"}]}}"#;
    let fault = fault_in(&object(body).unwrap()).unwrap();
    assert_eq!(refusal(&fault, 429).codes, ["3001"]);
}

#[test]
fn a_number_taken_is_found_in_any_language() {
    let french =
        of("6140", "Numéro en double. DocNumber=WC-1 attribué à TxnType=Facture avec TxnId=77");
    assert_eq!(french.remedy, Remedy::AdoptNumber { txn_type: None, txn_id: Some("77".into()) });
    let silent = of("6140", "");
    assert_eq!(silent.remedy, Remedy::AdoptNumber { txn_type: None, txn_id: None });
}

#[test]
fn the_text_of_6000_decides_and_what_it_does_not_say_needs_a_person() {
    let remedy = |text: &str| of("6000", text).remedy;
    assert!(
        remedy("Another user ... at exactly the same time. Please try again in 30 min.").is_retry()
    );
    assert_eq!(remedy("You must turn on multicurrency first"), Remedy::Blocked);
    assert_eq!(remedy("The account period has closed"), Remedy::Blocked);
    assert_eq!(remedy("You can't link more than the open balance"), Remedy::Attention);
    assert_eq!(remedy("Une erreur de validation"), Remedy::Attention);
    let shown = of("6000", "Send it to jane.roe@shop.test or call +1 503 555 0142").error.whole();
    assert!(!shown.contains("jane.roe") && !shown.contains("555"), "{shown}");
}

#[test]
fn of_several_errors_the_one_that_no_retry_helps_decides() {
    let item = |code: &str| FaultItem { code: code.into(), ..FaultItem::default() };
    let items = vec![item("10000"), item("5010"), item("6210"), item("2050")];
    let refusal = refusal(&Fault { kind: "ValidationFault".into(), items }, 400);
    assert_eq!((refusal.remedy, refusal.error.code.as_str()), (Remedy::Attention, "2050"));
    assert!(refusal.error.message.contains("and 3 more: 10000, 5010, 6210"), "{}", refusal.error);
}

#[test]
fn a_code_that_nobody_told_us_of_follows_its_kind() {
    let fault = |kind: &str| Fault {
        kind: kind.into(),
        items: vec![FaultItem { code: "98765".into(), ..FaultItem::default() }],
    };
    assert_eq!(refusal(&fault("ValidationFault"), 400).remedy, Remedy::Attention);
    assert!(refusal(&fault("SystemFault"), 500).remedy.is_retry());
    assert_eq!(refusal(&fault("AUTHENTICATION"), 401).remedy, Remedy::StopConnection);
    let empty = refusal(&Fault::default(), 400);
    assert_eq!((empty.remedy, empty.error.code.as_str()), (Remedy::Attention, "unknown"));
}

#[test]
fn no_text_of_a_person_comes_through() {
    let body = &fixture("faults_validation.json")["5010_stale_object"]["body"];
    let error = understood(body, 400).error;
    assert!(!error.whole().contains("Pat Merchant"), "{error}");
    let token = &fixture("fault_401_token_expired.json")["body"];
    assert!(!understood(token, 401).error.whole().contains("eyJ"));
    // What QuickBooks says is for operators.
    for code in ["6000", "2010", "98765"] {
        let error = of(code, "the name of Pat Merchant is taken").error;
        assert!(!error.message.contains("taken") && !error.message.contains("Pat"), "{error:?}");
    }
}
