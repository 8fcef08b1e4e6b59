//! Taking back what a sync did, here and in the books; and saying what couldn't be.

use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::books::{Books, with_books};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Hub tables, by the order in which they are shown.
const TABLES: [&str; 6] =
    ["customers", "products", "orders", "order_lines", "refunds", "refund_lines"];

const KINDS: [&str; 7] =
    ["Customer", "Item", "SalesReceipt", "Invoice", "RefundReceipt", "CreditMemo", "Payment"];

/// Every row of the hub as it is stored.
fn hub(bed: &mut Bed) -> Result<BTreeMap<String, Value>> {
    let mut rows = BTreeMap::new();
    for table in TABLES {
        let sql = format!("select t.id, to_jsonb(t) from commerce.{table} as t");
        for row in bed.db.query(&sql, &[])? {
            rows.insert(format!("{table} {}", row.get::<_, i64>(0)), row.get(1));
        }
    }
    Ok(rows)
}

/// Every record of the company, without what it counts by itself.
fn company(bed: &Bed, books: &Books) -> Result<BTreeMap<String, Value>> {
    let mut records = BTreeMap::new();
    for kind in KINDS {
        for mut record in books.records(bed, kind)? {
            let id = record["Id"].as_str().context("id")?.to_owned();
            for name in ["SyncToken", "MetaData"] {
                record.as_object_mut().context("record")?.remove(name);
            }
            without_names(&mut record);
            records.insert(format!("{kind} {id}"), record);
        }
    }
    Ok(records)
}

/// A reference is its id: the name beside it is the record's that it names, at the last write.
fn without_names(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if members.contains_key("value") {
                members.remove("name");
            }
            members.values_mut().for_each(without_names);
        }
        Value::Array(list) => list.iter_mut().for_each(without_names),
        _ => {}
    }
}

/// What of an undo wasn't done, and why.
fn refused(bed: &mut Bed, sync_id: i64) -> Result<Vec<String>> {
    ids(
        bed,
        &format!(
            "select format('%s %s %s: %s', direction, action, target, coalesce(error_message, reason))
               from easysync.sync_changes where sync_id = {sync_id} and status <> 'done' order by 1"
        ),
    )
}

/// Rows that differ, with what they were and are.
fn differences(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Vec<String> {
    let mut found = vec![];
    for (key, was) in before {
        match after.get(key) {
            None => found.push(format!("{key} is gone")),
            Some(is) if is != was => found.push(format!("{key}: {was} became {is}")),
            Some(_) => {}
        }
    }
    found
}

/// Somebody in Wyoming, where the shop collects no tax.
fn order(name: &str, status: &str, paid: bool) -> Value {
    json!({
        "status": status, "set_paid": paid, "payment_method": "stripe",
        "billing": {"first_name": name, "last_name": "Lee", "email": format!("{}@lee.test", name.to_lowercase()),
                    "address_1": "1 Main Street", "city": "Somewhere", "postcode": "82001", "state": "WY",
                    "country": "US"},
        "line_items": [{"product_id": 25, "quantity": 2, "subtotal": "20.00", "total": "20.00"}],
    })
}

fn ids(bed: &mut Bed, sql: &str) -> Result<Vec<String>> {
    Ok(bed.db.query(sql, &[])?.iter().map(|row| row.get(0)).collect())
}

/// Orders, customers and products that are in the books, by their ids in the shop.
fn posted(bed: &mut Bed, entity: &str, kind: &str, limit: usize) -> Result<Vec<String>> {
    ids(
        bed,
        &format!(
            "select h.source_id from commerce.{entity} as h
               join easysync.links as l on l.entity = '{entity}' and l.hub_id = h.id and l.remote_type = '{kind}'
              where h.source_id ~ '^[0-9]+$' and h.deleted_at is null order by h.id limit {limit}"
        ),
    )
}

/// Half of it new, half changed: orders, customers and products, in the shop, here and in the books.
fn run_of_fifty(bed: &mut Bed, books: &Books) -> Result<i64> {
    let orders = posted(bed, "orders", "SalesReceipt", 15)?;
    let customers = posted(bed, "customers", "Customer", 5)?;
    let products = posted(bed, "products", "Item", 5)?;
    ensure!((orders.len(), customers.len(), products.len()) == (15, 5, 5), "too few are posted");
    let rest = bed.simulator.rest()?;
    for (index, id) in orders.iter().enumerate() {
        let note = json!({"customer_note": format!("Ring twice ({index})")});
        rest.put(&format!("orders/{id}"), &note)?;
    }
    for id in &customers {
        rest.put(&format!("customers/{id}"), &json!({"billing": {"phone": "307 555 0100"}}))?;
    }
    for id in &products {
        rest.put(&format!("products/{id}"), &json!({"name": format!("Renamed {id}")}))?;
    }
    for number in 0..25 {
        let (status, paid) =
            if number % 3 == 0 { ("processing", false) } else { ("completed", true) };
        let name = format!("Guest{}", number % 7);
        let made = bed.simulator.post("/woocommerce/orders", &order(&name, status, paid))?;
        if !paid {
            let unpaid = json!({"date_paid_gmt": null, "date_paid": null});
            bed.simulator.put(&format!("/woocommerce/orders/{}", made["id"]), &unpaid)?;
        }
    }
    let id: i64 = bed.db.query_one("select easysync.trigger('orders')", &[])?.get(0);
    let run = books.wait(bed, id)?;
    ensure!(matches!(run.status.as_str(), "succeeded" | "partial"), "{run:?}");
    Ok(id)
}

fn undo(bed: &mut Bed, id: i64) -> Result<i64> {
    Ok(bed.db.query_one("select easysync.undo($1)", &[&id]).context("easysync.undo")?.get(0))
}

#[test]
fn an_undone_sync_of_fifty_leaves_both_sides_as_they_were() -> Result<()> {
    with_books("undo-fifty", "us_single", |bed, books| {
        books.push(bed, "full")?;
        let (hub_before, books_before) = (hub(bed)?, company(bed, books)?);
        let id = run_of_fifty(bed, books)?;
        let made = hub(bed)?.len() - hub_before.len();
        let (hub_now, books_now) = (hub(bed)?, company(bed, books)?);
        ensure!(made >= 25 && differences(&hub_before, &hub_now).len() >= 25, "{made} rows made");
        let changed = differences(&books_before, &books_now).len();
        let new = books_now.len() - books_before.len();
        ensure!(changed >= 25 && new >= 25, "the books: {changed} changed, {new} new");

        // Shown first, and nothing of it done.
        let shown = bed.db.query(
            "select action, direction, reason, target from easysync.dry_run_undo($1)",
            &[&id],
        )?;
        let skipped: Vec<_> =
            shown.iter().filter(|row| row.get::<_, String>(0) == "skip").collect();
        ensure!(
            skipped.is_empty(),
            "{:?}",
            skipped.iter().map(|r| r.get::<_, Option<String>>(2)).collect::<Vec<_>>()
        );
        ensure!(hub(bed)? == hub_now && company(bed, books)? == books_now, "a dry run wrote");

        let reverse = undo(bed, id)?;
        let waits = format!(
            "select status = 'awaiting_confirmation' from easysync.sync_runs where sync_id = {reverse}"
        );
        bed.wait_until(&waits, std::time::Duration::from_secs(60))?;
        ensure!(hub(bed)? == hub_now && company(bed, books)? == books_now, "it wrote unasked");
        let run = books.wait(bed, reverse)?;
        let refused = refused(bed, reverse)?;
        ensure!(run.status == "succeeded" && refused.is_empty(), "{run:?}: {refused:#?}");
        let problems = differences(&hub_before, &hub(bed)?);
        ensure!(problems.is_empty(), "the hub: {}", problems.join("\n"));
        ensure!(hub(bed)?.len() == hub_before.len(), "rows are left");
        let after = company(bed, books)?;
        let problems = differences(&books_before, &after);
        ensure!(problems.is_empty(), "the books: {}", problems.join("\n"));
        for (key, record) in after.iter().filter(|(key, _)| !books_before.contains_key(*key)) {
            let gone =
                record["Active"] == false || record["TotalAmt"].to_string().parse() == Ok(0.0);
            ensure!(gone, "{key} is left: {record}");
        }
        let done: i64 = bed
            .db
            .query_one(
                "select count(*) from easysync.sync_changes where sync_id = $1 and status = 'done'",
                &[&reverse],
            )?
            .get(0);
        ensure!(done == shown.len() as i64, "{done} of {} were done", shown.len());

        // Once is enough, and what was undone stays so until somebody changes it.
        let again = bed.db.query("select easysync.undo($1)", &[&id]);
        let error = again.err().context("it was undone twice")?;
        ensure!(error.code().is_some_and(|code| code.code() == "YS409"), "{error:?}");
        let writes = books.writes(bed)?;
        let run = books.push(bed, "incremental")?;
        ensure!(run.written() == 0 && books.writes(bed)? == writes, "{run:?}");
        Ok(())
    })
}

/// The order's receipt in the books.
fn receipt(bed: &mut Bed, number: &str) -> Result<String> {
    let sql = format!(
        "select l.remote_id from easysync.links as l join commerce.orders as o on o.id = l.hub_id
          where l.entity = 'orders' and l.remote_type = 'SalesReceipt' and o.source_id = '{number}'"
    );
    bed.text(&sql)?.context("a receipt")
}

/// Five orders, pulled and pushed: their numbers, and the two syncs.
fn five_orders(bed: &mut Bed, books: &Books) -> Result<(Vec<String>, i64, i64)> {
    bed.db.execute("select easysync.set_setting('confirm_threshold', '100000')", &[])?;
    let mut numbers = vec![];
    for name in ["Ann", "Ben", "Cid", "Dee", "Eve"] {
        let made = bed.simulator.post("/woocommerce/orders", &order(name, "completed", true))?;
        numbers.push(made["id"].to_string());
    }
    let pull = "select easysync.trigger('orders', connection => 'shop', ids => $1)";
    let pulled: i64 = bed.db.query_one(pull, &[&numbers])?.get(0);
    bed.wait(pulled)?;
    let pushed: i64 = bed.db.query_one(PUSH, &[&numbers])?.get(0);
    books.wait(bed, pushed)?;
    Ok((numbers, pulled, pushed))
}

const PUSH: &str = "select easysync.trigger('orders', connection => 'books', ids => $1)";

/// The first is deposited, the second edited there, the third changed here, the fourth pushed again:
/// by the sync that is returned.
fn people_go_on(bed: &mut Bed, books: &Books, numbers: &[String]) -> Result<i64> {
    let deposited = receipt(bed, &numbers[0])?;
    let one = json!([{"entity": "SalesReceipt", "id": deposited}]);
    books.act(bed, "deposit", &json!({"transactions": one}))?;
    let edited = receipt(bed, &numbers[1])?;
    let set = json!({"CustomerMemo": {"value": "by hand"}});
    books.act(bed, "edit", &json!({"entity": "SalesReceipt", "id": edited, "set": set}))?;
    for number in &numbers[2..4] {
        let touch =
            "update commerce.orders set customer_note = 'by an application' where source_id = $1";
        bed.db.execute(touch, &[number])?;
    }
    let later: i64 = bed.db.query_one(PUSH, &[&vec![numbers[3].clone()]])?.get(0);
    let run = books.wait(bed, later)?;
    ensure!(run.updated == 1, "{run:?}");
    Ok(later)
}

#[test]
fn what_has_moved_since_stays_and_says_why() -> Result<()> {
    with_books("undo-moved", "us_single", |bed, books| {
        let (numbers, pulled, pushed) = five_orders(bed, books)?;
        let later = people_go_on(bed, books, &numbers)?;
        let reverse = undo(bed, pushed)?;
        let run = books.wait(bed, reverse)?;
        ensure!(run.status == "partial", "{run:?}: {:#?}", refused(bed, reverse)?);
        let failures = "select count(*) from easysync.sync_failures where connection = 'books'";
        let failures: i64 = bed.db.query_one(failures, &[])?.get(0);
        ensure!(failures == 0, "an undo that failed is no record to push again");
        let reasons = bed.db.query(
            "select record_id, coalesce(error_message, reason) from easysync.sync_changes
              where sync_id = $1 and status <> 'done' and target = 'SalesReceipt' order by record_id",
            &[&reverse],
        )?;
        let told: BTreeMap<String, String> =
            reasons.iter().map(|row| (row.get(0), row.get(1))).collect();
        let expected = BTreeMap::from([
            (
                numbers[0].clone(),
                "QuickBooks: the transaction is part of a bank deposit [6540]".to_owned(),
            ),
            (numbers[1].clone(), "SalesReceipt was changed in QuickBooks since".to_owned()),
            (
                numbers[3].clone(),
                format!("sync {later} has written to SalesReceipt since: undo that one first"),
            ),
        ]);
        ensure!(told == expected, "{told:#?}");
        let mut voided: Vec<String> = books
            .records(bed, "SalesReceipt")?
            .iter()
            .filter(|record| record["TotalAmt"].to_string().parse() == Ok(0.0))
            .filter_map(|record| record["DocNumber"].as_str().map(str::to_owned))
            .collect();
        let mut wanted = vec![format!("WC-{}", numbers[2]), format!("WC-{}", numbers[4])];
        wanted.sort();
        voided.sort();
        ensure!(voided == wanted, "{voided:?}");

        // Rows that an application has changed, or whose document stays, stay in the hub.
        let reverse = undo(bed, pulled)?;
        books.wait(bed, reverse)?;
        let left = ids(
            bed,
            &format!(
                "select source_id from commerce.orders where source_id in ('{}') order by 1",
                numbers.join("', '")
            ),
        )?;
        ensure!(left == numbers[..4], "{left:?}");
        Ok(())
    })
}

/// Lines that came, went and changed, an order that went with its refunds, and one that was marked.
#[test]
fn lines_and_rows_that_went_come_back_under_their_ids() -> Result<()> {
    with_bed("undo-lines", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.sync_well("orders", "full")?;
        let two_lines = "select o.source_id from commerce.orders as o
            where (select count(*) from commerce.order_lines as l where l.order_id = o.id) between 2 and 4
              and not exists (select from commerce.refunds as r where r.order_id = o.id)
              and o.deleted_at is null order by o.id limit 2";
        let refunded = "select o.source_id from commerce.orders as o join commerce.refunds as r on r.order_id = o.id
            join commerce.refund_lines as l on l.refund_id = r.id
            where l.order_line_id is not null and o.deleted_at is null order by o.id limit 2";
        let (edited, gone) = (ids(bed, two_lines)?, ids(bed, refunded)?);
        for entity in ["orders", "refunds"] {
            let sql = "select easysync.set_stream('shop', $1, delete_policy => 'delete')";
            bed.db.execute(sql, &[&entity])?;
        }
        let before = hub(bed)?;
        let rest = bed.simulator.rest()?;
        for id in &edited {
            let shown = rest.get(&format!("orders/{id}"))?;
            let lines = shown["line_items"].as_array().context("lines")?;
            let (first, second) = (&lines[0]["id"], &lines[1]["id"]);
            let change = json!({"line_items": [
                {"id": first, "quantity": 9}, {"id": second, "quantity": 0},
                {"product_id": 25, "quantity": 1, "subtotal": "10.00", "total": "10.00"}]});
            rest.put(&format!("orders/{id}"), &change)?;
        }
        let line: i64 = rest.get(&format!("orders/{}", gone[0]))?["line_items"][0]["id"]
            .as_i64()
            .context("line")?;
        rest.put(
            &format!("orders/{}", gone[0]),
            &json!({"line_items": [{"id": line, "quantity": 0}]}),
        )?;
        rest.delete(&format!("orders/{}?force=true", gone[1]))?;
        let id: i64 = bed.db.query_one("select easysync.trigger('orders', 'full')", &[])?.get(0);
        let run = bed.wait(id)?;
        ensure!(run.status == "succeeded", "{run:?}");
        let changed = differences(&before, &hub(bed)?);
        ensure!(changed.len() >= 6, "{changed:#?}");

        let shown = bed
            .db
            .query("select reason from easysync.dry_run_undo($1) where action = 'skip'", &[&id])?;
        ensure!(
            shown.is_empty(),
            "{:?}",
            shown.iter().map(|r| r.get::<_, String>(0)).collect::<Vec<_>>()
        );
        let reverse = undo(bed, id)?;
        let run = bed.wait(reverse)?;
        ensure!(run.status == "succeeded", "{run:?}: {:#?}", refused(bed, reverse)?);
        let after = hub(bed)?;
        let problems = differences(&before, &after);
        ensure!(problems.is_empty() && after.len() == before.len(), "{}", problems.join("\n"));
        // A hub that was put back is as good as one that never changed.
        let stays = bed.sync_well("orders", "incremental")?;
        ensure!(stays.written() == 0 && hub(bed)? == before, "{stays:?}");
        Ok(())
    })
}
