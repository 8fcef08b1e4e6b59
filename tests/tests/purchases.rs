//! Vendors and bills of the hub reach the books, follow the hub, and leave it again.

use anyhow::{Context, Result, ensure};
use easysync_tests::bed::Bed;
use easysync_tests::books::{Books, with_books};
use easysync_tests::run::Run;
use serde_json::{Value, json};

fn push(bed: &mut Bed, books: &Books, entity: &str) -> Result<Run> {
    let id: i64 = bed
        .db
        .query_one(
            "select easysync.trigger($1, 'full', connection => $2)",
            &[&entity, &books.name],
        )?
        .get(0);
    books.wait(bed, id)
}

fn well(bed: &mut Bed, books: &Books, entity: &str) -> Result<Run> {
    let run = push(bed, books, entity)?;
    ensure!(run.status == "succeeded", "{entity}: {run:?}");
    Ok(run)
}

fn one(records: Vec<Value>, name: &str, value: &str) -> Result<Value> {
    let mut found = records.into_iter().filter(|r| r[name] == value);
    let record = found.next().with_context(|| format!("nothing with {name} {value}"))?;
    ensure!(found.next().is_none(), "several with {name} {value}");
    Ok(record)
}

fn errors(bed: &mut Bed) -> Result<String> {
    let text = bed.text(
        "select string_agg(error_code || ': ' || error_message, '; ' order by failure_id)
         from easysync.sync_failures where direction = 'push' and entity = 'bills'",
    )?;
    Ok(text.unwrap_or_default())
}

#[test]
fn vendors_and_bills_are_made_kept_in_step_and_taken_back() -> Result<()> {
    with_books("purchases", "us_single", |bed, books| {
        let accounts = books.records(bed, "Account")?;
        let expense = accounts
            .iter()
            .find(|a| a["AccountType"] == "Expense")
            .and_then(|a| a["Name"].as_str())
            .context("no expense account")?
            .to_owned();
        // A customer of that name is there already: people share one space of names.
        let taken = json!({"entity": "Customer", "set": {"DisplayName": "Loom Works"}});
        books.act(bed, "create", &taken)?;
        bed.db.batch_execute(
            "select easysync.set_stream('books', 'vendors', direction => 'push');
             select easysync.set_stream('books', 'bills', direction => 'push');
             insert into commerce.vendors (tenant_id, display_name, email, account_number, active)
             values ('default', 'Loom Works', 'loom@example.test', 'LW-9', true);",
        )?;
        bed.db.execute(
            "insert into commerce.bills (tenant_id, vendor_id, number, status, currency, billed_on, due_on,
                                         total_tax, total, balance, lines, memo)
             select 'default', id, 'LW-3391', 'open', 'USD', '2026-11-03', '2026-12-03', 0, 196, 196,
                    jsonb_build_array(
                        jsonb_build_object('account', $1::text, 'description', 'Cloth', 'total', 182.00),
                        jsonb_build_object('account', $1::text, 'description', 'Freight', 'total', 14)), 'first one'
             from commerce.vendors",
            &[&expense],
        )?;

        // The bill brings its vendor.
        let run = well(bed, books, "bills")?;
        ensure!(run.created == 2, "{run:?}");
        let vendor = one(books.records(bed, "Vendor")?, "AcctNum", "LW-9")?;
        assert_eq!(vendor["PrimaryEmailAddr"]["Address"], "loom@example.test");
        ensure!(vendor["DisplayName"] != "Loom Works", "{vendor}");
        let bill = one(books.records(bed, "Bill")?, "DocNumber", "LW-3391")?;
        assert_eq!(bill["VendorRef"]["value"], vendor["Id"]);
        assert_eq!(bill["TotalAmt"].to_string(), "196");
        assert_eq!(bill["DueDate"], "2026-12-03");

        // In step: nothing is written.
        let before = books.writes(bed)?;
        for entity in ["vendors", "bills"] {
            let run = well(bed, books, entity)?;
            ensure!(run.created + run.updated == 0, "{run:?}");
        }
        assert_eq!(books.writes(bed)?, before);

        // What changes here changes there.
        bed.db.batch_execute(
            "update commerce.vendors set phone = '+1 212 555 0100';
             update commerce.bills set due_on = '2026-12-31'",
        )?;
        for entity in ["vendors", "bills"] {
            ensure!(well(bed, books, entity)?.updated == 1, "{entity}");
        }
        let bill = one(books.records(bed, "Bill")?, "DocNumber", "LW-3391")?;
        assert_eq!(bill["DueDate"], "2026-12-31");
        assert_eq!(bill["Line"].as_array().context("lines")?.len(), 2);
        Ok(())
    })
}

#[test]
fn a_bill_that_a_person_changed_stays_and_one_that_does_not_add_up_is_not_sent() -> Result<()> {
    with_books("purchases-refused", "us_single", |bed, books| {
        let accounts = books.records(bed, "Account")?;
        let expense = accounts.iter().find(|a| a["AccountType"] == "Expense");
        let expense = expense.and_then(|a| a["Id"].as_str()).context("no account")?.to_owned();
        bed.db.batch_execute(
            "select easysync.set_stream('books', 'vendors', direction => 'push');
             select easysync.set_stream('books', 'bills', direction => 'push');
             insert into commerce.vendors (tenant_id, display_name, account_number, active)
             values ('default', 'Tote Mill', 'CT-77', true);",
        )?;
        let bill = "insert into commerce.bills (tenant_id, vendor_id, number, status, currency, billed_on,
                                                total_tax, total, balance, lines)
             select 'default', id, $1, 'open', 'USD', '2026-11-03', $2::text::numeric, $3::text::numeric, 0,
                    jsonb_build_array(jsonb_build_object('account', $4::text, 'total', 10.00))
             from commerce.vendors";
        bed.db.execute(bill, &[&"GOOD-1", &"0", &"10", &expense])?;
        bed.db.execute(bill, &[&"SUM-1", &"0", &"11", &expense])?;
        bed.db.execute(bill, &[&"TAX-1", &"1", &"10", &expense])?;
        bed.db.execute(bill, &[&"ACCT-1", &"0", &"10", &"No such account"])?;
        // A vendor of that account number is in the books: it is the one.
        let vendors = books.count(bed, "Vendor")?;
        let run = push(bed, books, "bills")?;
        assert_eq!(books.count(bed, "Vendor")?, vendors);
        ensure!(run.status == "partial" && run.failed == 3, "{run:?}");
        let told = errors(bed)?;
        for what in
            ["bill_total", "its lines come to 10", "bill_tax", "no_account", "No such account"]
        {
            ensure!(told.contains(what), "{what}: {told}");
        }
        assert_eq!(books.count(bed, "Bill")?, 1);

        // A person changes it there, and the hub's changes too: it is theirs now.
        let good = one(books.records(bed, "Bill")?, "DocNumber", "GOOD-1")?;
        let edit = json!({"entity": "Bill", "id": good["Id"], "set": {"PrivateNote": "checked"}});
        books.act(bed, "edit", &edit)?;
        bed.db.batch_execute(
            "update commerce.bills set due_on = '2026-12-31' where number = 'GOOD-1'",
        )?;
        push(bed, books, "bills")?;
        ensure!(errors(bed)?.contains("edited_there"), "{}", errors(bed)?);
        let now = one(books.records(bed, "Bill")?, "DocNumber", "GOOD-1")?;
        assert_eq!(now["PrivateNote"], "checked");

        // Taken back: the bill is deleted there once a person says so, the vendor made inactive.
        bed.db.batch_execute(
            "delete from commerce.bills where number <> 'GOOD-1';
             update commerce.bills set deleted_at = now();
             update commerce.vendors set active = false",
        )?;
        let id: i64 = bed
            .db
            .query_one("select easysync.trigger('bills', 'full', connection => 'books')", &[])?
            .get(0);
        bed.wait_until(
            &format!("select status = 'awaiting_confirmation' from easysync.sync_runs where sync_id = {id}"),
            std::time::Duration::from_secs(60),
        )?;
        assert_eq!(books.count(bed, "Bill")?, 1, "nothing is deleted unasked");
        books.wait(bed, id)?;
        let bills = books.records(bed, "Bill")?;
        ensure!(
            bills.iter().all(|bill| bill["status"] == "Deleted" || bill["Id"] == good["Id"]),
            "{bills:?}"
        );
        well(bed, books, "vendors")?;
        let vendor = books.records(bed, "Vendor")?.into_iter().find(|v| v["AcctNum"] == "CT-77");
        assert_eq!(vendor.context("the vendor")?["Active"], false);
        Ok(())
    })
}
