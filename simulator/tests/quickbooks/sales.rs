//! Sales forms: lines, totals, numbers.

use crate::bed::{Bed, id, number, sale};
use serde_json::{Value, json};

#[test]
fn totals_subtotal_and_due_date_are_the_servers() {
    let bed = Bed::new("us_single");
    let customer = bed.customer("Maya");
    let lines = [("8", "2", "24.5", "TAX"), ("8", "3", "3.33", "NON")];
    let mut body = sale(&customer, "WC-1", &lines);
    body["TxnTaxDetail"] = json!({ "TotalTax": number("4.00") });
    body["SalesTermRef"] = json!({ "value": "2" });
    let made = bed.make("Invoice", body);
    assert_eq!(made["TotalAmt"], number("62.99"));
    assert_eq!(made["Balance"], number("62.99"));
    assert_eq!(made["DueDate"], "2026-12-05", "15 days after the 20th");
    let lines = made["Line"].as_array().unwrap();
    assert_eq!(lines[2]["DetailType"], "SubTotalLineDetail");
    assert_eq!(lines[2]["Amount"], number("58.99"));
    assert_eq!((&lines[0]["Id"], &lines[1]["LineNum"]), (&json!("1"), &json!(2)));
    assert_eq!(lines[0]["SalesItemLineDetail"]["ItemRef"]["name"], "Unmatched product");
    assert_eq!(bed.record("Customer", &customer)["Balance"], number("62.99"));
}

#[test]
fn an_amount_that_isnt_quantity_times_price_is_refused() {
    let bed = Bed::new("us_single");
    let customer = bed.customer("Maya");
    let mut body = sale(&customer, "WC-1", &[("8", "3", "6.66", "NON")]);
    body["Line"][0]["Amount"] = number("19.99");
    let refused = bed.post("salesreceipt", body.clone());
    assert_eq!(refused.code(), "6070");
    body["Line"][0]["Amount"] = number("19.98");
    assert_eq!(bed.make("SalesReceipt", body)["TotalAmt"], number("19.98"));
}

#[test]
fn lines_that_are_sent_replace_all_lines() {
    let bed = Bed::new("us_single");
    let customer = bed.customer("Maya");
    let made = bed.make(
        "SalesReceipt",
        sale(&customer, "1", &[("8", "1", "5", "NON"), ("8", "1", "7", "NON")]),
    );
    let mut body = sale(&customer, "1", &[("8", "1", "7", "NON")]);
    body["Id"] = made["Id"].clone();
    body["SyncToken"] = json!("0");
    body["sparse"] = json!(true);
    body["Line"][0]["Id"] = json!("2");
    let updated = bed.make("SalesReceipt", body);
    assert_eq!(updated["TotalAmt"], json!(7));
    assert_eq!(updated["Line"].as_array().unwrap().len(), 2, "one line and the subtotal");
    assert_eq!(updated["Line"][0]["Id"], "2", "a line that is named keeps its id");
}

#[test]
fn a_number_is_taken_across_sales_types_unless_duplicates_are_allowed() {
    let bed = Bed::new("us_single");
    let customer = bed.customer("Maya");
    let invoice = id(&bed.invoice(&customer, "WC-7", "5"));
    let receipt = sale(&customer, "wc-7", &[("8", "1", "5", "NON")]);
    let refused = bed.post("salesreceipt", receipt.clone());
    assert_eq!(refused.code(), "6140");
    assert!(refused.detail().ends_with(&format!("TxnType=Invoice with TxnId={invoice}")));
    let allowed = bed.post("salesreceipt?include=allowduplicatedocnum", receipt);
    assert_eq!(allowed.status, 200);
    let long = sale(&customer, &"9".repeat(22), &[("8", "1", "5", "NON")]);
    assert_eq!(bed.post("salesreceipt", long).code(), "2050");
}

#[test]
fn without_custom_numbers_quickbooks_counts_itself() {
    let bed = Bed::new("us_single");
    let customer = bed.customer("Maya");
    let mut body = sale(&customer, "", &[("8", "1", "5", "NON")]);
    assert!(bed.make("SalesReceipt", body.clone()).get("DocNumber").is_none());
    bed.act("custom_numbers", json!({ "on": false }));
    assert_eq!(bed.make("SalesReceipt", body.clone())["DocNumber"], "1001");
    assert_eq!(bed.make("SalesReceipt", body.clone())["DocNumber"], "1002");
    body["DocNumber"] = json!("WC-1");
    assert_eq!(bed.make("SalesReceipt", body)["DocNumber"], "WC-1", "a number sent is stored");
}

#[test]
fn references_must_exist_and_be_active() {
    let bed = Bed::new("us_single");
    let customer = bed.customer("Maya");
    let unknown = bed.post("invoice", sale(&customer, "1", &[("4711", "1", "5", "NON")]));
    assert_eq!(unknown.code(), "2500");
    assert_eq!(unknown.json()["Fault"]["Error"][0]["element"], "Line.SalesItemLineDetail.ItemRef");
    let item = bed.item("Lamp");
    bed.act("inactivate", json!({ "entity": "Item", "id": item }));
    let inactive = bed.post("invoice", sale(&customer, "1", &[(&item, "1", "5", "NON")]));
    assert_eq!(inactive.code(), "610");
    assert_eq!(bed.post("invoice", sale("4711", "1", &[("8", "1", "5", "NON")])).code(), "2500");
    let mut nobody = sale(&customer, "1", &[("8", "1", "5", "NON")]);
    nobody.as_object_mut().unwrap().remove("CustomerRef");
    assert_eq!(bed.post("invoice", nobody).code(), "2020");
}

#[test]
fn the_documented_invoice_request_gives_the_documented_answer() {
    let bed = Bed::new("us_single");
    let customer = bed.customer("Maya Okafor (WC 88)");
    let request = include_str!("../../fixtures/quickbooks/invoice_create_request_us.json");
    let mut request: Value = serde_json::from_str(request).unwrap();
    request["CustomerRef"]["value"] = json!(customer);
    for line in 0..2 {
        request["Line"][line]["SalesItemLineDetail"]["ItemRef"]["value"] = json!("8");
    }
    let made = bed.make("Invoice", request);
    let recorded = include_str!("../../fixtures/quickbooks/invoice_us_ast.json");
    let recorded: Value = serde_json::from_str(recorded).unwrap();
    let recorded = &recorded["Invoice"];
    for key in ["TotalAmt", "Balance", "DocNumber", "TxnDate", "PrivateNote", "LinkedTxn"] {
        // The recording writes 4.0 where we write 4.
        let plain = |value: &Value| value.to_string().trim_end_matches(".0").to_owned();
        assert_eq!(plain(&made[key]), plain(&recorded[key]), "{key}");
    }
    assert_eq!(made["TxnTaxDetail"]["TotalTax"], json!(4));
    let kinds = |invoice: &Value| -> Vec<Value> {
        let lines = invoice["Line"].as_array().unwrap().iter();
        lines.map(|line| line["DetailType"].clone()).collect()
    };
    assert_eq!(kinds(&made), kinds(recorded));
}

#[test]
fn an_invoice_to_be_mailed_needs_an_address_and_sending_it_moves_its_token() {
    let bed = Bed::new("us_single");
    let mut body = sale("1", "1", &[("8", "1", "5", "NON")]);
    body["EmailStatus"] = json!("NeedToSend");
    assert_eq!(bed.post("invoice", body.clone()).code(), "2020");
    body["BillEmail"] = json!({ "Address": "maya@example.test" });
    let made = bed.make("Invoice", body);
    let target = format!("invoice/{}/send?sendTo=noor%40example.test", id(&made));
    let sent = bed.api("POST", &target, "").entity("Invoice");
    assert_eq!((&sent["EmailStatus"], &sent["SyncToken"]), (&json!("EmailSent"), &json!("1")));
    assert_eq!(sent["BillEmail"]["Address"], "noor@example.test");
}

#[test]
fn terms_of_the_customer_or_the_company_date_what_is_due() {
    let bed = Bed::new("us_single");
    let customer = bed.customer("Maya");
    assert_eq!(bed.invoice(&customer, "1", "5")["DueDate"], "2026-12-20", "net 30 by default");
    let terms = json!({ "Id": customer, "SyncToken": "0", "sparse": true,
        "SalesTermRef": { "value": "2" } });
    bed.make("Customer", terms);
    assert_eq!(bed.invoice(&customer, "2", "5")["DueDate"], "2026-12-05");
    let mut body = sale(&customer, "3", &[("8", "1", "5", "NON")]);
    body["DueDate"] = json!("2027-01-01");
    assert_eq!(bed.make("Invoice", body)["DueDate"], "2027-01-01");
}

#[test]
fn what_should_never_be_is_found() {
    let bed = Bed::new("us_single");
    let mut body = sale("1", "WC-1", &[("8", "1", "5", "NON")]);
    body["PrivateNote"] = json!("woo:store1:order:1");
    bed.post("salesreceipt?requestid=a", body.clone());
    let clean = bed.company("GET", "suspicious", Value::Null);
    assert_eq!(
        clean,
        json!({ "duplicate_numbers": {}, "duplicate_notes": {},
        "writes_without_request_id": 0 })
    );
    bed.post("invoice?include=allowduplicatedocnum", body);
    let found = bed.company("GET", "suspicious", Value::Null);
    let both = json!(["Invoice 2", "SalesReceipt 1"]);
    assert_eq!(found["duplicate_numbers"]["wc-1"], both);
    assert_eq!(found["duplicate_notes"]["woo:store1:order:1"], both);
    assert_eq!(found["writes_without_request_id"], 1);
}
