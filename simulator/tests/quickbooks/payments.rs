//! Payments, credits, refunds, deposits, voids, deletes: what hangs on what.

use crate::bed::{Bed, id, number, sale};
use serde_json::{Value, json};

fn payment(customer: &str, total: &str, lines: &[(&str, &str, &str)]) -> Value {
    let lines: Vec<Value> = lines
        .iter()
        .map(|(kind, id, amount)| {
            json!({ "Amount": number(amount), "LinkedTxn": [{ "TxnId": id, "TxnType": kind }] })
        })
        .collect();
    json!({ "CustomerRef": { "value": customer }, "TotalAmt": number(total), "Line": lines })
}

#[test]
fn a_payment_moves_the_invoices_balance_links_and_token() {
    let bed = Bed::new("us_single");
    let customer = bed.customer("Maya");
    let invoice = id(&bed.invoice(&customer, "1", "64.78"));
    bed.pass(60);
    let paid = bed.make("Payment", payment(&customer, "70", &[("Invoice", &invoice, "64.78")]));
    assert_eq!(paid["UnappliedAmt"], number("5.22"));
    assert_eq!(paid["DepositToAccountRef"]["name"], "Undeposited Funds");
    let now = bed.record("Invoice", &invoice);
    assert_eq!((&now["Balance"], &now["SyncToken"]), (&json!(0), &json!("1")));
    let link = json!([{ "TxnId": paid["Id"], "TxnType": "Payment" }]);
    assert_eq!(now["LinkedTxn"], link);
    assert_eq!(now["MetaData"]["LastUpdatedTime"], paid["MetaData"]["CreateTime"]);
    assert_eq!(bed.record("Customer", &customer)["Balance"], number("-5.22"), "a credit");
    let stale = json!({ "Id": invoice, "SyncToken": "0", "sparse": true, "PrivateNote": "x" });
    assert_eq!(bed.post("invoice", stale).code(), "5010", "though nobody edited it");
}

#[test]
fn the_documented_payment_has_all_documented_fields() {
    let bed = Bed::new("us_single");
    let customer = bed.customer("Maya");
    let invoice = id(&bed.invoice(&customer, "1", "64.78"));
    let request = include_str!("../../fixtures/quickbooks/payment_create_request.json");
    let mut request: Value = serde_json::from_str(request).unwrap();
    request["CustomerRef"]["value"] = json!(customer);
    request["Line"][0]["LinkedTxn"][0]["TxnId"] = json!(invoice);
    request["PrivateNote"] = json!("woo:store1:order:10452:payment");
    let ours = bed.make("Payment", request);
    let recorded = include_str!("../../fixtures/quickbooks/payment.json");
    let recorded: Value = serde_json::from_str(recorded).unwrap();
    for key in recorded["Payment"].as_object().unwrap().keys() {
        assert!(ours.get(key).is_some(), "{key} is missing: {ours}");
    }
    let extra = |p: &Value| p["Line"][0]["LineEx"]["any"][1]["value"].clone();
    assert_eq!(extra(&ours), extra(&recorded["Payment"]), "the open balance before");
}

#[test]
fn a_payment_must_fit_the_customer_the_type_and_the_balance() {
    let bed = Bed::new("us_single");
    let (maya, noor) = (bed.customer("Maya"), bed.customer("Noor"));
    let invoice = id(&bed.invoice(&maya, "1", "50"));
    let code = |body: Value| bed.post("payment", body).code();
    assert_eq!(code(payment(&noor, "50", &[("Invoice", &invoice, "50")])), "620");
    assert_eq!(
        code(payment(&maya, "60", &[("Invoice", &invoice, "60")])),
        "6000",
        "more than open"
    );
    assert_eq!(
        code(payment(&maya, "10", &[("Invoice", &invoice, "20")])),
        "6000",
        "more than paid"
    );
    assert_eq!(code(payment(&maya, "50", &[("Invoice", "4711", "50")])), "2500");
    assert_eq!(code(payment(&maya, "50", &[("Estimate", &invoice, "50")])), "620");
    assert_eq!(bed.record("Invoice", &invoice)["Balance"], json!(50), "nothing has changed");
    bed.make("Payment", payment(&maya, "20", &[("Invoice", &invoice, "20")]));
    assert_eq!(code(payment(&maya, "31", &[("Invoice", &invoice, "31")])), "6000");
}

#[test]
fn changing_a_payment_frees_what_it_no_longer_pays() {
    let bed = Bed::new("us_single");
    let customer = bed.customer("Maya");
    let [one, two] = ["1", "2"].map(|n| id(&bed.invoice(&customer, n, "10")));
    let paid = bed.make("Payment", payment(&customer, "10", &[("Invoice", &one, "10")]));
    let mut moved = payment(&customer, "10", &[("Invoice", &two, "10")]);
    moved["Id"] = paid["Id"].clone();
    moved["SyncToken"] = json!("0");
    bed.make("Payment", moved);
    let balances = [&one, &two].map(|id| bed.record("Invoice", id)["Balance"].clone());
    assert_eq!(balances, [json!(10), json!(0)]);
    assert_eq!(bed.record("Invoice", &one)["LinkedTxn"], json!([]));
}

#[test]
fn a_credit_memo_is_applied_by_a_payment_of_nothing() {
    let bed = Bed::new("us_single");
    let customer = bed.customer("Maya");
    let invoice = id(&bed.invoice(&customer, "1", "50"));
    let memo = bed.make("CreditMemo", sale(&customer, "1-R1", &[("8", "1", "24.50", "NON")]));
    assert_eq!(memo["RemainingCredit"], number("24.5"));
    let memo = id(&memo);
    let lines = [("Invoice", invoice.as_str(), "24.50"), ("CreditMemo", memo.as_str(), "24.50")];
    let applied = bed.make("Payment", payment(&customer, "0", &lines));
    assert_eq!(applied["UnappliedAmt"], json!(0));
    assert_eq!(bed.record("Invoice", &invoice)["Balance"], number("25.5"));
    assert_eq!(bed.record("CreditMemo", &memo)["RemainingCredit"], json!(0));
    assert_eq!(bed.record("Customer", &customer)["Balance"], number("25.5"));
}

#[test]
fn a_refund_receipt_takes_money_out_of_the_account_it_names() {
    let bed = Bed::new("us_single");
    let customer = bed.customer("Maya");
    let mut receipt = sale(&customer, "1", &[("8", "1", "50", "NON")]);
    receipt["DepositToAccountRef"] = json!({ "value": "90" });
    bed.make("SalesReceipt", receipt);
    let mut refund = sale(&customer, "1-R1", &[("7", "1", "20", "NON")]);
    assert_eq!(bed.post("refundreceipt", refund.clone()).code(), "2020");
    refund["DepositToAccountRef"] = json!({ "value": "79" });
    assert_eq!(bed.post("refundreceipt", refund.clone()).code(), "6430", "an income account");
    refund["DepositToAccountRef"] = json!({ "value": "90" });
    bed.make("RefundReceipt", refund);
    let accounts = bed.company("GET", "accounts", Value::Null);
    assert_eq!(accounts["Stripe Clearing"], "30.00");
    assert_eq!(accounts["Sales of Product Income"], "50.00");
    assert_eq!(accounts["Refunds and Allowances"], "-20.00");
}

#[test]
fn what_lies_in_a_deposit_is_locked_until_it_is_taken_out() {
    let bed = Bed::new("us_single");
    let customer = bed.customer("Maya");
    let receipt = bed.make("SalesReceipt", sale(&customer, "1", &[("8", "1", "50", "NON")]));
    let slip = bed.act(
        "deposit",
        json!({ "transactions": [
        { "entity": "SalesReceipt", "id": receipt["Id"] }] }),
    );
    assert_eq!(slip["TotalAmt"], json!(50));
    let edit = json!({ "Id": receipt["Id"], "SyncToken": "0", "sparse": true, "PrivateNote": "x" });
    assert_eq!(bed.post("salesreceipt", edit.clone()).code(), "6540");
    let which = json!({ "Id": receipt["Id"], "SyncToken": "0" });
    assert_eq!(bed.post("salesreceipt?operation=delete", which).code(), "6540");
    bed.act("delete", json!({ "entity": "Deposit", "id": slip["Id"] }));
    assert_eq!(bed.post("salesreceipt", edit).status, 200);
}

#[test]
fn what_is_reconciled_is_locked_until_the_match_is_undone() {
    let bed = Bed::new("us_single");
    let customer = bed.customer("Maya");
    let receipt = bed.make("SalesReceipt", sale(&customer, "1", &[("8", "1", "50", "NON")]));
    let which = json!({ "entity": "SalesReceipt", "id": receipt["Id"] });
    bed.act("reconcile", which.clone());
    let edit = json!({ "Id": receipt["Id"], "SyncToken": "0", "sparse": true, "PrivateNote": "x" });
    assert_eq!(bed.post("salesreceipt", edit.clone()).code(), "6480");
    let delete = json!({ "Id": receipt["Id"], "SyncToken": "0" });
    assert_eq!(bed.post("salesreceipt?operation=delete", delete).code(), "6480");
    let mut undo = which;
    undo["undo"] = json!(true);
    bed.act("reconcile", undo);
    assert_eq!(bed.post("salesreceipt", edit).status, 200);
}

#[test]
fn a_paid_invoice_is_deleted_only_after_its_payment() {
    let bed = Bed::new("us_single");
    let customer = bed.customer("Maya");
    let invoice = id(&bed.invoice(&customer, "1", "50"));
    let paid = bed.act("pay", json!({ "id": invoice }));
    let delete = |entity: &str, id: &Value, token: &str| {
        bed.post(&format!("{entity}?operation=delete"), json!({ "Id": id, "SyncToken": token }))
    };
    assert_eq!(delete("invoice", &json!(invoice), "1").code(), "6000");
    assert_eq!(delete("payment", &paid["Id"], "0").status, 200);
    let gone = delete("invoice", &json!(invoice), "2").json();
    let recorded = include_str!("../../fixtures/quickbooks/invoice_deleted.json");
    let mut recorded: Value = serde_json::from_str(recorded).unwrap();
    recorded["Invoice"]["Id"] = json!(invoice);
    assert_eq!(gone["Invoice"], recorded["Invoice"]);
    assert_eq!(bed.get(&format!("invoice/{invoice}")).code(), "610");
    assert_eq!(bed.record("Customer", &customer)["Balance"], json!(0));
}

#[test]
fn a_voided_invoice_stays_with_zeros_and_frees_its_payment() {
    let bed = Bed::new("us_single");
    let customer = bed.customer("Maya");
    let mut body = sale(&customer, "1", &[("8", "2", "25", "NON")]);
    body["PrivateNote"] = json!("woo:store1:order:1");
    let invoice = id(&bed.make("Invoice", body));
    let paid = id(&bed.act("pay", json!({ "id": invoice, "amount": 20 })));
    let which = json!({ "Id": invoice, "SyncToken": "1" });
    let voided = bed.post("invoice?operation=void", which).entity("Invoice");
    assert_eq!((&voided["TotalAmt"], &voided["Balance"]), (&json!(0), &json!(0)));
    assert_eq!(voided["PrivateNote"], "Voided - woo:store1:order:1");
    assert_eq!(voided["Line"][0]["SalesItemLineDetail"]["Qty"], json!(0));
    assert_eq!(bed.record("Payment", &paid)["UnappliedAmt"], json!(20));
    assert_eq!(bed.record("Customer", &customer)["Balance"], json!(-20));
    let documents = bed.company("GET", "documents", Value::Null);
    assert_eq!(documents["Invoice"]["USD"]["voided"], 1);
    assert_eq!(documents["Invoice"]["USD"]["count"], 0);
}

#[test]
fn receipts_and_payments_are_voided_by_an_update_and_answer_in_their_way() {
    let bed = Bed::new("us_single");
    let customer = bed.customer("Maya");
    let receipt = bed.make("SalesReceipt", sale(&customer, "1", &[("8", "1", "5", "NON")]));
    let which = json!({ "Id": receipt["Id"], "SyncToken": "0", "sparse": true });
    assert_eq!(bed.post("salesreceipt?operation=void", which.clone()).code(), "500");
    let voided = bed.post("salesreceipt?operation=update&include=void", which);
    assert_eq!(voided.entity("SalesReceipt")["TotalAmt"], json!(0));
    let invoice = id(&bed.invoice(&customer, "2", "9"));
    let paid = bed.act("pay", json!({ "id": invoice }));
    let which = json!({ "Id": paid["Id"], "SyncToken": "0", "sparse": true });
    let voided = bed.post("payment?operation=update&include=void", which).entity("Payment");
    assert_eq!((&voided["sparse"], &voided["PrivateNote"]), (&json!(true), &json!("Voided")));
    assert!(voided.get("Line").is_none(), "a few fields only");
    assert_eq!(bed.record("Invoice", &invoice)["Balance"], json!(9));
}

#[test]
fn three_ugly_voids_are_as_observed() {
    let bed = Bed::new("us_single");
    let customer = bed.customer("Maya");
    let memo = bed.make("CreditMemo", sale(&customer, "1", &[("8", "1", "5", "NON")]));
    let which = json!({ "Id": memo["Id"], "SyncToken": "0" });
    assert_eq!(bed.post("creditmemo?operation=void", which.clone()).code(), "500");
    let bill = bed.post("bill?operation=void", which.clone());
    assert_eq!((bill.status, bill.code()), (200, "10000".into()), "a fault under 200");
    let journal = bed.post("journalentry?operation=void", which.clone());
    assert_eq!((journal.status, &journal.json()["BatchItemResponse"]), (200, &json!([])));
    assert_eq!(bed.post("billpayment?operation=void", which).code(), "500");
}

#[test]
fn the_books_are_closed_to_create_update_delete_and_void() {
    let bed = Bed::new("us_single");
    let customer = bed.customer("Maya");
    let invoice = bed.invoice(&customer, "1", "5");
    let which = json!({ "Id": invoice["Id"], "SyncToken": "0" });
    bed.act("close_books", json!({ "until": "2026-11-20" }));
    let old = sale(&customer, "2", &[("8", "1", "5", "NON")]);
    assert_eq!(bed.post("invoice", old.clone()).code(), "6210");
    let mut edit = which.clone();
    edit["sparse"] = json!(true);
    edit["TxnDate"] = json!("2026-11-21");
    assert_eq!(bed.post("invoice", edit).code(), "6210", "the old day counts, too");
    assert_eq!(bed.post("invoice?operation=delete", which.clone()).code(), "6210");
    assert_eq!(bed.post("invoice?operation=void", which).code(), "6210");
    let mut new = old;
    new["TxnDate"] = json!("2026-11-21");
    assert_eq!(bed.post("invoice", new).status, 200);
}

#[test]
fn bills_are_written_updated_paid_and_deleted() {
    let bed = Bed::new("us_single");
    let vendor = id(&bed.make("Vendor", json!({ "DisplayName": "Freight Co" })));
    let line = json!({ "DetailType": "AccountBasedExpenseLineDetail", "Amount": 14,
        "AccountBasedExpenseLineDetail": { "AccountRef": { "value": "82" } } });
    let body = json!({ "VendorRef": { "value": vendor }, "DocNumber": "TM-3391",
        "TxnDate": "2026-11-03", "DueDate": "2026-12-03", "Line": [line] });
    let bill = bed.make("Bill", body.clone());
    let recorded = include_str!("../../fixtures/quickbooks/bill.json");
    let recorded: Value = serde_json::from_str(recorded).unwrap();
    for key in recorded["Bill"].as_object().unwrap().keys() {
        assert!(bill.get(key).is_some(), "{key} is missing: {bill}");
    }
    assert_eq!(bed.post("bill", body.clone()).code(), "6140", "per vendor");
    let sparse = json!({ "Id": bill["Id"], "SyncToken": "0", "sparse": true, "PrivateNote": "x" });
    assert_eq!(bed.post("bill", sparse).code(), "2020", "the vendor is demanded even so");
    let payment = json!({ "VendorRef": { "value": vendor }, "PayType": "Check", "TotalAmt": 14,
        "CheckPayment": { "BankAccountRef": { "value": "35" } },
        "Line": [{ "Amount": 14, "LinkedTxn": [{ "TxnId": bill["Id"], "TxnType": "Bill" }] }] });
    bed.make("BillPayment", payment);
    let paid = bed.record("Bill", &id(&bill));
    assert_eq!((&paid["Balance"], &paid["SyncToken"]), (&json!(0), &json!("1")));
    assert_eq!(bed.record("Vendor", &vendor)["Balance"], json!(0));
}
