//! Deliveries of QuickBooks: one of them may speak of several companies.

use anyhow::{Context, Result, ensure};
use easysync_tests::bed::Bed;
use easysync_tests::books::{Books, VERIFIER, with_books};
use easysync_tests::hooks::signature;
use serde_json::{Value, json};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

/// Delivers a body, signed, for the connection `books`.
fn deliver(bed: &mut Bed, body: &str) -> Result<i64> {
    let headers = json!({"Intuit-Signature": signature(&mut bed.db, VERIFIER, body)?});
    let row = bed
        .db
        .query_one("select easysync.receive_webhook('books', $1, $2)", &[&headers, &body])
        .context("receive_webhook")?;
    Ok(row.get(0))
}

fn event(realm: &str, kind: &str, id: &str) -> Value {
    json!({"specversion": "1.0", "type": format!("qbo.{kind}.updated.v1"),
           "intuitaccountid": realm, "intuitentityid": id, "data": {}})
}

/// An invoice of the company.
fn an_invoice(bed: &Bed, books: &Books) -> Result<String> {
    let invoices = books.records(bed, "Invoice")?;
    let id = invoices.first().context("no invoice")?["Id"].as_str().context("Id")?;
    Ok(id.to_owned())
}

fn held(connection: &str, id: &str) -> String {
    format!(
        "exists (select from commerce.invoices
                  where source_connection = '{connection}' and source_id = '{id}')"
    )
}

#[test]
fn a_delivery_of_several_companies_is_fetched_from_each_that_is_connected() -> Result<()> {
    with_books("books-webhooks", "us", |bed, books| {
        let pushed = books.push(bed, "full")?;
        ensure!(pushed.created > 0, "{pushed:?}");
        let branch = Books::found(bed, "branch", "us", &json!({}))?;
        let pushed = branch.push(bed, "full")?;
        ensure!(pushed.created > 0, "{pushed:?}");
        let (ours, theirs) = (an_invoice(bed, books)?, an_invoice(bed, &branch)?);
        let body = json!([
            event(&books.realm, "invoice", &ours),
            event(&branch.realm, "invoice", &theirs),
            event("1000000000000000", "invoice", "7"),
            event(&books.realm, "estimate", "8"),
        ])
        .to_string();

        // Nobody pulls invoices yet: told, and nothing fetched.
        let first = deliver(bed, &body)?;
        let status = |id: i64| {
            format!(
                "select status || ': ' || status_reason from easysync.webhook_events where event_id = {id}"
            )
        };
        bed.wait_until(&format!("({}) like 'ignored%'", status(first)), SOON)?;
        let told = bed.text(&status(first))?.unwrap_or_default();
        ensure!(told.starts_with("ignored: invoices are not pulled from"), "{told}");

        for connection in ["books", "branch"] {
            bed.db.execute(
                "select easysync.set_stream($1, 'invoices', direction => 'pull')",
                &[&connection],
            )?;
        }
        // Another body, since the same one again is nothing new for a moment.
        let again = format!("{body} ");
        deliver(bed, &again)?;
        bed.wait_until(&held("books", &ours), SOON)?;
        bed.wait_until(&held("branch", &theirs), SOON)?;
        let none_open = "(select count(*) = 0 from easysync.webhook_events
                           where status in ('received', 'accepted'))";
        bed.wait_until(none_open, SOON)?;
        assert_eq!(bed.count("easysync.webhook_events where status = 'processed'")?, 1);

        // The legacy form; and one that somebody else signed.
        let legacy = json!({"eventNotifications": [{"realmId": books.realm, "dataChangeEvent":
            {"entities": [{"name": "Invoice", "id": ours, "operation": "Update"}]}}]})
        .to_string();
        deliver(bed, &legacy)?;
        bed.wait_until(
            "(select count(*) = 2 from easysync.webhook_events where status = 'processed')",
            SOON,
        )?;
        let forged = json!({"intuit-signature": signature(&mut bed.db, "another", &legacy)?});
        let refused = bed
            .db
            .query_one("select easysync.receive_webhook('books', $1, $2)", &[&forged, &legacy])
            .expect_err("401");
        assert_eq!(refused.code().map(|code| code.code()), Some("PT401"));
        Ok(())
    })
}
