//! What `connect` and `test_connection` say before anything is posted, and what keeps a whole push
//! back.

use anyhow::{Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::books::Books;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};

/// What stands in the way, and what is only said.
fn told(bed: &mut Bed, name: &str) -> Result<Vec<String>> {
    let rows = bed.db.query(
        "select message, hint from easysync.test_connection($1) where check_name = 'posting'",
        &[&name],
    )?;
    let mut all = vec![];
    for row in rows {
        let hint: Option<String> = row.get(1);
        ensure!(hint.is_some_and(|hint| hint.len() > 10), "{}: no hint", row.get::<_, String>(0));
        all.push(row.get(0));
    }
    Ok(all)
}

fn has(told: &[String], words: &[&str]) -> Result<()> {
    let found = told.iter().any(|line| words.iter().all(|word| line.contains(word)));
    ensure!(found, "{words:?} is not in {told:#?}");
    Ok(())
}

/// A push of everything is refused, with all of these in the reason; nothing was written.
fn is_refused(bed: &mut Bed, books: &Books, words: &[&str]) -> Result<()> {
    let run = books.push(bed, "full")?;
    ensure!(run.status == "failed", "{run:?}");
    let said = bed.text(&format!(
        "select error_code || ': ' || error_message || ' ' || error_hint
           from easysync.sync_runs where sync_id = {}",
        run.sync_id
    ))?;
    let said = said.unwrap_or_default();
    for word in words.iter().chain(&["settings_not_ready"]) {
        ensure!(said.contains(word), "{word} is not in \"{said}\"");
    }
    ensure!(books.writes(bed)? == 0, "something was written");
    Ok(())
}

fn prefers(bed: &Bed, books: &Books, name: &str, value: Value) -> Result<()> {
    books.act(bed, "preference", &json!({"name": name, "value": value})).map(drop)
}

#[test]
fn settings_that_posting_needs_are_asked_for_at_once() -> Result<()> {
    with_bed("policy-needs", Setup::default(), |bed| {
        bed.connect_shop()?;
        let none = json!({"time_zone": null, "start_date": null, "income_account": null,
                          "deposit_accounts": {"stripe": "Stripe Clearing"}});
        let books = Books::found(bed, "bare", "us_single", &none)?;
        let required = ["time_zone", "start_date", "income_account", "deposit_accounts.default"];
        let all = told(bed, "bare")?;
        for key in required {
            has(&all, &["to do before posting", key, "is required"])?;
        }
        is_refused(bed, &books, &required)?;

        let books = Books::found(bed, "no_zero", "uk", &without_zero(bed)?)?;
        is_refused(bed, &books, &["tax.zero_code", "required outside the US"])
    })
}

/// The UK's settings of tax, without the code of lines that bear none.
fn without_zero(bed: &Bed) -> Result<Value> {
    let root = &bed.cluster.environment().root;
    let path = root.join("simulator/fixtures/quickbooks/presets/uk.settings.json");
    let settings: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let mut tax = settings["tax"].clone();
    tax["zero_code"] = Value::Null;
    Ok(json!({"tax": tax}))
}

#[test]
fn a_preview_says_once_what_many_orders_ask_for() -> Result<()> {
    with_bed("policy-preview", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.sync_well("orders", "full")?;
        let rates = json!({"tax": {"rates": {"1": "sales_tax", "2": "sales_tax"}}});
        Books::found(bed, "books", "us_single", &rates)?;
        let said = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&said);
        let mut config = bed.cluster.config(&bed.database);
        config.notice_callback(move |notice| {
            heard.lock().unwrap_or_else(PoisonError::into_inner).push_str(notice.message());
        });
        let mut session = config.connect(postgres::NoTls)?;
        let refused =
            "select count(*) from easysync.dry_run('orders', 'full', connection => 'books')
                        where reason like '%tax that nothing maps%'";
        let refused: i64 = session.query_one(refused, &[])?.get(0);
        ensure!(refused > 50, "{refused} orders are refused for their tax");
        let said = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for rate in ["tax.rates.3", "tax.rates.4", "tax.rates.5", "tax.rates.6", "tax.rates.7"] {
            let one = said.split('"').find(|remark| remark.contains(rate));
            let fits = one
                .is_some_and(|one| one.contains(" orders: USD ") || one.contains(" order: USD "));
            ensure!(fits, "{rate} with its orders and sum is not in {said}");
        }
        Ok(())
    })
}

#[test]
fn a_company_that_does_not_fit_its_settings_is_told_and_not_written_to() -> Result<()> {
    with_bed("policy-company", Setup::default(), |bed| {
        bed.connect_shop()?;
        let changes = json!({
            "discounts": "discount_line", "inventory": "books", "coupon_item": "Rebates",
            "terms": "Net 7", "gift_cards": {"fees": ["Gift card*"]}, "gift_card_item": "Services",
            "deposit_accounts": {"default": "Sales of Product Income"},
        });
        let books = Books::found(bed, "strange", "us_single", &changes)?;
        prefers(bed, &books, "/SalesFormsPrefs/AllowDiscount", json!(false))?;
        prefers(bed, &books, "/ProductAndServicesPrefs/QuantityOnHand", json!(false))?;
        let wrong = [
            "discounts",
            "inventory",
            "coupon_item",
            "terms",
            "gift_card_item",
            "deposit_accounts.default",
        ];
        let all = told(bed, "strange")?;
        for key in wrong {
            has(&all, &["to do before posting", key])?;
        }
        is_refused(bed, &books, &wrong)?;

        let shared = Books::found(bed, "shared", "us_single", &json!({"guests": "shared"}))?;
        prefers(bed, &shared, "/SalesFormsPrefs/AutoApplyCredit", json!(true))?;
        has(&told(bed, "shared")?, &["to do before posting", "guests", "another's Invoice"])?;
        is_refused(bed, &shared, &["guests"])?;

        let own = Books::found(bed, "own", "us_single", &json!({"start_date": "2024-06-01"}))?;
        prefers(bed, &own, "/SalesFormsPrefs/AutoApplyPayments", json!(true))?;
        prefers(bed, &own, "/SalesFormsPrefs/CustomTxnNumbers", json!(false))?;
        let all = told(bed, "own")?;
        has(&all, &["warning", "applies credits and payments by itself"])?;
        has(&all, &["warning", "custom transaction numbers are off"])?;
        has(&all, &["warning", "start_date", "not after the books' closing date 2024-12-31"])
    })
}

#[test]
fn what_the_shop_holds_is_counted_and_summed_before_the_first_push() -> Result<()> {
    with_bed("policy-shop", Setup::default(), |bed| {
        bed.connect_shop()?;
        let shop = |bed: &Bed, id: i32, change: Value| {
            bed.simulator.put(&format!("/woocommerce/orders/{id}"), &change)
        };
        // 20 characters, which are 23 with the prefix; a status of a plugin; an order long ago.
        let number = "2026-0000-0000-00175";
        shop(bed, 175, json!({"number": number}))?;
        let total = shop(bed, 160, json!({"status": "packed"}))?["total"].clone();
        shop(bed, 170, json!({"date_paid_gmt": "2024-12-31T12:00:00"}))?;
        bed.sync_well("orders", "full")?;
        let books = Books::found(bed, "books", "us_single", &json!({"web_customer": null}))?;
        let all = told(bed, "books")?;
        has(&all, &["document_prefix", number, "23 characters, QuickBooks takes 21"])?;
        has(&all, &["post.statuses.packed", "1 order", total.as_str().unwrap_or("no total")])?;
        has(&all, &["warning", "start_date", "1 order", "USD"])?;
        has(&all, &["warning", "EUR is blocked", "2 orders: EUR 81.73"])?;
        has(&all, &["deposit_accounts.default", "names no payment method", "orders: USD"])?;
        // The one order that doesn't fit is told of; the others go on.
        let push = "select easysync.trigger('orders', connection => 'books', ids => '{175,174}')";
        let id: i64 = bed.db.query_one(push, &[])?.get(0);
        let run = books.wait(bed, id)?;
        ensure!(run.status == "partial", "{run:?}");
        let failed = bed.text(
            "select string_agg(record_id || ' ' || error_code || ' ' || error_message, ',')
               from easysync.sync_failures where entity = 'orders'",
        )?;
        let failed = failed.unwrap_or_default();
        ensure!(failed.starts_with("175 number_too_long"), "{failed}");
        ensure!(failed.contains("23 characters"), "{failed}");
        ensure!(books.count(bed, "SalesReceipt")? == 1, "the other order is posted");
        Ok(())
    })
}
