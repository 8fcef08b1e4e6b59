//! What happens in the books shows in the hub.

use anyhow::{Context, Result, ensure};
use easysync_tests::bed::Bed;
use easysync_tests::books::{Books, with_books};
use serde_json::{Value, json};

/// Pulls invoices and payments of the books.
fn pull(bed: &mut Bed, books: &Books, mode: &str) -> Result<()> {
    for entity in ["invoices", "payments"] {
        let id: i64 = bed
            .db
            .query_one(
                "select easysync.trigger($1, $2, connection => $3)",
                &[&entity, &mode, &books.name],
            )?
            .get(0);
        let run = bed.wait(id)?;
        ensure!(run.status == "succeeded", "{entity}: {run:?}");
    }
    Ok(())
}

fn ids(records: &[Value]) -> Vec<String> {
    let mut ids: Vec<String> =
        records.iter().filter_map(|r| r["Id"].as_str().map(str::to_owned)).collect();
    ids.sort();
    ids
}

/// Ids of an entity's rows that came from the books and are there still.
fn present(bed: &mut Bed, table: &str) -> Result<Vec<String>> {
    let text = bed.text(&format!(
        "select string_agg(source_id, ',') from commerce.{table}
         where source_connection = 'books' and deleted_at is null"
    ))?;
    let mut ids: Vec<String> = text
        .unwrap_or_default()
        .split(',')
        .filter(|id| !id.is_empty())
        .map(str::to_owned)
        .collect();
    ids.sort();
    Ok(ids)
}

#[test]
fn an_invoice_paid_in_quickbooks_shows_as_paid_here_and_is_not_paid_again() -> Result<()> {
    with_books("books-pull", "us", |bed, books| {
        books.push(bed, "full")?;
        bed.db.batch_execute(
            "select easysync.set_stream('books', 'invoices', direction => 'pull');
             select easysync.set_stream('books', 'payments', direction => 'pull')",
        )?;
        pull(bed, books, "full")?;
        let invoices = books.records(bed, "Invoice")?;
        ensure!(!invoices.is_empty(), "nothing to pull");
        assert_eq!(present(bed, "invoices")?, ids(&invoices));
        assert_eq!(present(bed, "payments")?, ids(&books.records(bed, "Payment")?));
        // Each belongs to the order that it was made for.
        let strangers =
            bed.count("commerce.invoices where order_id is null or customer_id is null")?;
        assert_eq!(strangers, 0);
        let open =
            invoices.iter().find(|i| i["Balance"] == i["TotalAmt"]).context("no open one")?;
        let id = open["Id"].as_str().context("Id")?.to_owned();
        let of_it = format!("commerce.invoices where source_id = '{id}'");
        assert_eq!(bed.text(&format!("select status from {of_it}"))?.as_deref(), Some("open"));

        books.act(bed, "pay", &json!({"id": id}))?;
        pull(bed, books, "incremental")?;
        assert_eq!(bed.text(&format!("select status from {of_it}"))?.as_deref(), Some("paid"));
        assert_eq!(bed.text(&format!("select balance = 0 from {of_it}"))?.as_deref(), Some("true"));
        let payments = books.records(bed, "Payment")?.len();
        let linked = "commerce.payments p join commerce.invoices i
                      on (i.tenant_id, i.id) = (p.tenant_id, p.invoice_id)";
        assert_eq!(bed.count(&format!("{linked} where i.source_id = '{id}'"))?, 1);

        // The shop isn't told, and nobody pays a second time.
        books.push(bed, "incremental")?;
        assert_eq!(books.records(bed, "Payment")?.len(), payments);

        // What is deleted there is marked here, and nothing else is written.
        books.act(
            bed,
            "delete",
            &json!({"entity": "Payment", "id": books.records(bed, "Payment")?
            .last().context("a payment")?["Id"]}),
        )?;
        pull(bed, books, "incremental")?;
        assert_eq!(present(bed, "payments")?, ids(&books.records(bed, "Payment")?));
        Ok(())
    })
}
