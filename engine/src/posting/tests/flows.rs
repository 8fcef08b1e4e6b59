//! One order through its life: what is written at each turn.

use super::books::Books;
use super::companies::{demo, demo_with, uk, us};
use super::shop::{Sale, sale};
use crate::posting::company::Company;
use crate::posting::compare::{self, Drift};
use crate::posting::decide::Decision;
use crate::posting::input::Refund;
use crate::posting::plan::{Operation, OrderPlan};
use crate::posting::posted::DocumentKind;
use jiff::ToSpan;
use rust_decimal::Decimal;
use serde_json::{Value, json};

fn d(text: &str) -> Decimal {
    text.parse().unwrap()
}

/// An order that waits for its money, 103.93, without refunds.
fn unpaid() -> Sale {
    Sale { refunds: vec![], ..sale("190") }
}

fn pay(sale: &mut Sale, days: i64) {
    sale.order.paid_at = Some(sale.order.created_at + (24 * days).hours());
}

fn refund(of: &Sale, id: i64, amount: &str, days: i64) -> Refund {
    let created = of.order.created_at + (24 * days).hours();
    serde_json::from_value(json!({
        "id": id, "source_id": id.to_string(), "order_id": of.order.id, "amount": amount,
        "created_at": created.to_string(), "reason": "changed their mind",
    }))
    .unwrap()
}

fn codes(plan: &OrderPlan) -> Vec<&str> {
    plan.failures.iter().map(|failure| failure.error.code.as_str()).collect()
}

fn steps(plan: &OrderPlan) -> Vec<String> {
    let one = |step: &crate::posting::plan::Step| match &step.operation {
        Operation::Create { document, .. } => {
            format!("create {} {}", document.kind, document.total)
        }
        Operation::Update { document, .. } => {
            format!("update {} {}", document.kind, document.total)
        }
        Operation::Void { remote } => format!("void {}", remote.kind),
        Operation::Delete { remote } => format!("delete {}", remote.kind),
        Operation::ReadBalance { remote } => format!("read {}", remote.kind),
        Operation::Adopt { kind, remote_id } => format!("adopt {kind} {remote_id}"),
    };
    plan.steps.iter().map(one).collect()
}

#[test]
fn the_same_push_again_writes_nothing() {
    let (company, settings) = (us(), demo(&us()));
    let mut books = Books::new(&company, &settings);
    for number in ["262", "190", "160", "188", "504"] {
        let sale = sale(number);
        books.push(&sale);
        assert_eq!(books.plan(&sale).steps, [], "order {number}");
    }
}

#[test]
fn a_moved_modified_date_writes_nothing_and_a_changed_line_updates_the_one_document() {
    let (company, settings) = (us(), demo(&us()));
    let mut books = Books::new(&company, &settings);
    let mut sale = sale("262");
    books.push(&sale);
    let lines = sale.order.lines.len();
    let line = &mut sale.order.lines[0];
    line.total -= d("10.00");
    line.subtotal -= d("10.00");
    sale.order.total -= d("10.00");
    let plan = books.push(&sale);
    assert_eq!(steps(&plan), ["update SalesReceipt 1125.04"]);
    let (_, entity) = books.documents.values().next().unwrap();
    assert_eq!(books.documents.len(), 1);
    let written = entity["Line"].as_array().unwrap();
    assert!(written.len() > lines && written.iter().all(|l| l["Id"].is_string()));
    assert_eq!(written[0]["SalesItemLineDetail"]["ItemRef"]["value"], "10011");
    assert_eq!(books.plan(&sale).steps, []);
}

#[test]
fn existing_lines_keep_their_item_and_id_and_the_document_its_number_date_and_customer() {
    let (company, settings) = (us(), demo(&us()));
    let mut books = Books::new(&company, &settings);
    let mut sale = sale("262");
    books.push(&sale);
    sale.order.lines[0].product_id = Some(77);
    sale.order.customer_id = None;
    sale.order.customer_note = Some("Leave it at the door".into());
    sale.order.paid_at = sale.order.paid_at.map(|at| at + 72.hours());
    let before: Value = books.documents.values().next().unwrap().1.clone();
    let plan = books.push(&sale);
    assert_eq!(steps(&plan), ["update SalesReceipt 1135.04"]);
    let after = &books.documents.values().next().unwrap().1;
    for key in ["DocNumber", "TxnDate", "CustomerRef"] {
        assert_eq!(after[key], before[key], "{key}");
    }
    assert_eq!(after["CustomerMemo"]["value"], "Leave it at the door");
    for (a, b) in after["Line"].as_array().unwrap().iter().zip(before["Line"].as_array().unwrap()) {
        assert_eq!(a["Id"], b["Id"]);
        assert_eq!(a["SalesItemLineDetail"]["ItemRef"], b["SalesItemLineDetail"]["ItemRef"]);
    }
}

#[test]
fn an_unpaid_order_is_an_invoice_and_its_payment_is_the_open_balance() {
    let (company, settings) = (us(), demo(&us()));
    let mut books = Books::new(&company, &settings);
    let mut sale = sale("190");
    let plan = books.push(&sale);
    assert_eq!(
        steps(&plan),
        [
            "create Invoice 103.93",
            "create CreditMemo 1.01",
            "create Payment 0",
            "create CreditMemo 0.99",
            "create Payment 0",
        ]
    );
    pay(&mut sale, 30);
    let plan = books.push(&sale);
    assert_eq!(steps(&plan), ["create Payment 101.93"]);
    let invoice = books.posted[&190].sale.clone().unwrap();
    assert_eq!(invoice.balance, Some(Decimal::ZERO));
    assert_eq!(books.plan(&sale).steps, []);
}

#[test]
fn a_payment_made_in_quickbooks_is_linked_and_not_repeated() {
    let (company, settings) = (us(), demo(&us()));
    let mut books = Books::new(&company, &settings);
    let mut sale = unpaid();
    books.push(&sale);
    let posted = books.posted.get_mut(&190).unwrap().sale.as_mut().unwrap();
    let id = posted.remote_id.clone();
    posted.balance = None;
    books.documents.get_mut(&id).unwrap().1["Balance"] = json!(0);
    pay(&mut sale, 30);
    let plan = books.push(&sale);
    assert_eq!(steps(&plan), ["read Invoice"], "nobody vouches for the balance: it is read first");
    assert_eq!(books.plan(&sale).steps, []);
}

#[test]
fn a_refund_is_a_credit_while_the_invoice_is_open_and_a_refund_receipt_after() {
    let (company, settings) = (us(), demo(&us()));
    let mut books = Books::new(&company, &settings);
    let mut sale = unpaid();
    books.push(&sale);
    sale.refunds.push(refund(&sale, 9001, "3.93", 1));
    assert_eq!(steps(&books.push(&sale)), ["create CreditMemo 3.93", "create Payment 0"]);
    pay(&mut sale, 2);
    assert_eq!(steps(&books.push(&sale)), ["create Payment 100.00"]);
    sale.refunds.push(refund(&sale, 9002, "50.00", 3));
    assert_eq!(steps(&books.push(&sale)), ["create RefundReceipt 50.00"]);
    assert_eq!(books.net("USD"), d("50.00"));
    assert_eq!(books.posted[&190].refunds[&9001].kind, DocumentKind::CreditMemo);
}

#[test]
fn with_sales_document_invoice_a_paid_order_is_an_invoice_with_its_payment() {
    let company = us();
    let settings = demo_with(&company, json!({"sales_document": "invoice"}));
    let mut books = Books::new(&company, &settings);
    let mut sale = unpaid();
    pay(&mut sale, 5);
    sale.refunds = vec![refund(&sale, 9001, "3.93", 1), refund(&sale, 9002, "10.00", 9)];
    let plan = books.push(&sale);
    assert_eq!(
        steps(&plan),
        [
            "create Invoice 103.93",
            "create CreditMemo 3.93",
            "create Payment 0",
            "create RefundReceipt 10.00",
            "create Payment 100.00",
        ]
    );
}

#[test]
fn a_refund_that_vanished_needs_attention_and_its_document_stays() {
    let (company, settings) = (us(), demo(&us()));
    let mut books = Books::new(&company, &settings);
    let mut sale = sale("188");
    assert!(!sale.refunds.is_empty());
    books.push(&sale);
    let documents = books.documents.len();
    sale.refunds[0].deleted_at = Some(sale.refunds[0].created_at);
    let plan = books.push(&sale);
    assert_eq!(codes(&plan), ["refund_vanished"]);
    assert_eq!(plan.steps, []);
    assert_eq!(books.documents.len(), documents);
}

#[test]
fn a_refunded_order_that_was_never_paid_takes_its_open_invoice_back() {
    let (company, settings) = (us(), demo(&us()));
    let mut books = Books::new(&company, &settings);
    let mut sale = unpaid();
    books.push(&sale);
    sale.order.status = "refunded".into();
    sale.order.refunded_total = sale.order.total;
    sale.refunds = vec![refund(&sale, 9001, "103.93", 1)];
    assert_eq!(steps(&books.push(&sale)), ["create CreditMemo 103.93", "create Payment 0"]);
    assert_eq!(books.net("USD"), Decimal::ZERO);
    assert_eq!(books.posted[&190].sale.as_ref().unwrap().balance, Some(Decimal::ZERO));
}

fn cancelled(company: &Company, settings: Value, touch: impl Fn(&mut Books<'_>)) -> OrderPlan {
    let settings = demo_with(company, settings);
    let mut books = Books::new(company, &settings);
    let mut sale = unpaid();
    books.push(&sale);
    touch(&mut books);
    sale.order.status = "cancelled".into();
    let plan = books.push(&sale);
    assert_eq!(books.plan(&sale).steps, [], "and it stays so");
    plan
}

#[test]
fn an_unpaid_invoice_is_voided_in_the_us_and_credited_elsewhere_when_the_order_is_cancelled() {
    assert_eq!(steps(&cancelled(&us(), json!({}), |_| {})), ["void Invoice"]);
    let uk = super::companies::multicurrency(uk());
    let credited = ["create CreditMemo 103.93", "create Payment 0"];
    assert_eq!(steps(&cancelled(&uk, json!({}), |_| {})), credited);
    let memo = json!({"cancel_unpaid": "credit_memo"});
    assert_eq!(steps(&cancelled(&us(), memo, |_| {})), credited);
    let attention = cancelled(&us(), json!({"cancel_unpaid": "attention"}), |_| {});
    assert_eq!((steps(&attention).len(), codes(&attention)), (0, vec!["cancelled_with_document"]));
}

#[test]
fn a_cancelled_invoice_that_somebody_touched_stays() {
    let touches: [fn(&mut super::super::posted::PostedDocument); 3] =
        [|sale| sale.linked = true, |sale| sale.edited = true, |sale| sale.locked = true];
    for touch in touches {
        let plan = cancelled(&us(), json!({}), |books| {
            touch(books.posted.get_mut(&190).unwrap().sale.as_mut().unwrap());
        });
        assert_eq!((steps(&plan).len(), codes(&plan)), (0, vec!["cancelled_with_document"]));
    }
}

#[test]
fn a_paid_order_that_is_cancelled_keeps_its_document_and_needs_attention() {
    let (company, settings) = (us(), demo(&us()));
    let mut books = Books::new(&company, &settings);
    let mut sale = sale("262");
    books.push(&sale);
    for status in ["cancelled", "trash", "failed", "on-hold", "pending"] {
        sale.order.status = status.into();
        let plan = books.push(&sale);
        assert_eq!(plan.decision, Decision::Post(DocumentKind::SalesReceipt), "its kind stays");
        assert_eq!(plan.failures.len(), 1, "{status}");
        assert_eq!(plan.steps, []);
    }
}

#[test]
fn the_kind_of_a_document_never_changes() {
    let (company, settings) = (us(), demo(&us()));
    let mut books = Books::new(&company, &settings);
    let mut sale = unpaid();
    books.push(&sale);
    pay(&mut sale, 3);
    sale.order.status = "completed".into();
    let plan = books.push(&sale);
    assert_eq!(plan.decision, Decision::Post(DocumentKind::Invoice));
    assert_eq!(steps(&plan), ["create Payment 103.93"]);
}

/// A posted order whose total then changes, with something done to its document before.
fn changed(
    company: &Company,
    touch: impl Fn(&mut super::super::posted::PostedDocument),
) -> OrderPlan {
    let settings = demo(company);
    let open = us();
    let mut books = Books::new(&open, &settings);
    let mut sale = sale("262");
    books.push(&sale);
    touch(books.posted.get_mut(&262).unwrap().sale.as_mut().unwrap());
    let line = &mut sale.order.lines[0];
    line.total += d("1.00");
    line.subtotal += d("1.00");
    sale.order.total += d("1.00");
    let mut after = Books::new(company, &settings);
    after.posted = books.posted;
    after.plan(&sale)
}

#[test]
fn a_change_of_money_needs_attention_with_both_totals_where_the_document_is_fixed() {
    let mut closed = us();
    closed.book_close_date = Some("2026-12-31".parse().unwrap());
    let plans = [
        changed(&us(), |sale| sale.locked = true),
        changed(&us(), |sale| sale.edited = true),
        changed(&closed, |_| {}),
    ];
    for plan in plans {
        assert_eq!(codes(&plan), ["changed_after_posting"]);
        let text = &plan.failures[0].error.message;
        assert!(text.contains("USD 1136.04") && text.contains("USD 1135.04"), "{text}");
        assert_eq!(plan.steps, []);
    }
    assert_eq!(steps(&changed(&us(), |_| {})), ["update SalesReceipt 1136.04"]);
}

#[test]
fn after_5010_moved_links_are_rebased_and_a_person_s_edit_is_a_conflict() {
    let (company, settings) = (us(), demo(&us()));
    let mut books = Books::new(&company, &settings);
    books.push(&unpaid());
    let posted = books.posted[&190].sale.clone().unwrap();
    let mut now = books.documents[&posted.remote_id].1.clone();
    now["SyncToken"] = json!("4");
    now["Balance"] = json!("3.93");
    now["LinkedTxn"] = json!([{"TxnId": "77", "TxnType": "Payment"}]);
    now["MetaData"] = json!({"LastUpdatedTime": "2026-11-20T08:00:00-08:00"});
    now["BillAddr"] = json!({"Line1": "re-flowed"});
    now["CustomerRef"] = json!({"value": "merged"});
    assert_eq!(compare::drift(&posted, &now), Drift::Rebase);
    now["Line"][0]["Amount"] = json!("1.00");
    let Drift::Conflict(changes) = compare::drift(&posted, &now) else { panic!("a conflict") };
    assert_eq!(changes[0].path, "Line[0].Amount");
    assert_eq!(changes[0].new, json!("1"));
}

#[test]
fn an_answer_that_is_a_cent_off_is_refused() {
    let (company, settings) = (us(), demo(&us()));
    let books = Books::new(&company, &settings);
    let plan = books.plan(&sale("262"));
    let Operation::Create { document, .. } = &plan.steps[0].operation else { panic!() };
    let answer =
        |total: &str, tax: &str| json!({"TotalAmt": total, "TxnTaxDetail": {"TotalTax": tax}});
    assert_eq!(compare::check_answer(document, &answer("1135.04", "104.35")), Ok(()));
    let off = compare::check_answer(document, &answer("1135.05", "104.35")).unwrap_err();
    assert!(off.message.ends_with("USD 0.01 off"), "{}", off.message);
    assert!(compare::check_answer(document, &answer("1135.04", "104.34")).is_err());
}

#[test]
fn a_refund_in_closed_books_is_blocked_or_moved_and_the_sale_is_left_alone() {
    let (open, settings) = (us(), demo(&us()));
    let mut books = Books::new(&open, &settings);
    let mut sale = sale("262");
    books.push(&sale);
    sale.refunds.push(refund(&sale, 9001, "10.00", 2));
    let mut closed = us();
    closed.book_close_date = Some("2026-12-31".parse().unwrap());
    let mut after = Books::new(&closed, &settings);
    after.posted = books.posted.clone();
    let plan = after.plan(&sale);
    assert_eq!(codes(&plan), ["closed_period"]);
    assert_eq!(plan.failures[0].error.category, crate::error::Category::Blocked);
    let moving = demo_with(&closed, json!({"closed_period": "first_open_day"}));
    let mut after = Books::new(&closed, &moving);
    after.posted = books.posted;
    let plan = after.plan(&sale);
    let Operation::Create { document, .. } = &plan.steps[0].operation else { panic!("{plan:?}") };
    assert_eq!(document.date.to_string(), "2027-01-01");
}
