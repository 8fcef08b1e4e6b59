//! What a bookkeeper sees in a document, told by the books' own store.

use crate::desk::{Act, Desk, Order};
use anyhow::{Context, Result, ensure};
use rust_decimal::Decimal;
use serde_json::Value;

/// The amount as a text of two decimals, exactly as the number stands there.
pub fn money(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.parse::<Decimal>().map_or(text, |amount| format!("{amount:.2}"))
}

/// A line as `Ring (WC 25) 20.00 NON`; QuickBooks's own discount as `discount 5.00`.
fn line(line: &Value) -> Option<String> {
    let amount = money(&line["Amount"]);
    match line["DetailType"].as_str()? {
        "SubTotalLineDetail" => None,
        "DiscountLineDetail" => Some(format!("discount {amount}")),
        _ => {
            let detail = &line["SalesItemLineDetail"];
            let item = detail["ItemRef"]["name"].as_str().unwrap_or("no item");
            let code = detail["TaxCodeRef"]["value"].as_str().unwrap_or("no code");
            Some(format!("{item} {amount} {code}"))
        }
    }
}

/// The order's document has these lines, in this order.
pub fn has_lines(kind: &'static str, lines: &'static [&'static str]) -> Act {
    Box::new(move |desk, order| {
        let document = desk.document(order, kind)?;
        let found: Vec<String> =
            document["Line"].as_array().context("lines")?.iter().filter_map(line).collect();
        ensure!(found == lines, "order {}, lines of its {kind}: {found:?}", order.id);
        Ok(())
    })
}

/// As [`has_lines`], for the document of the order's last refund.
pub fn last_refund_has(lines: &'static [&'static str], tax: &'static str) -> Act {
    Box::new(move |desk, order| {
        let document = last_refund(desk, order)?;
        let found: Vec<String> =
            document["Line"].as_array().context("lines")?.iter().filter_map(line).collect();
        ensure!(found == lines, "order {}, lines of its refund: {found:?}", order.id);
        let is = money(&document["TxnTaxDetail"]["TotalTax"]);
        ensure!(is == tax || is == "null", "order {}, tax of its refund: {is}", order.id);
        Ok(())
    })
}

/// The document of the order's last refund.
pub fn last_refund(desk: &mut Desk<'_>, order: &Order) -> Result<Value> {
    let refunds = desk.bed.simulator.rest()?.get(&format!("orders/{}/refunds", order.id))?;
    let newest = refunds[0]["id"].as_i64().context("a refund")?;
    let all = desk.documents(order)?;
    let ends = format!("-R{newest}");
    let number = |one: &Value| one["doc_number"].as_str().unwrap_or_default().to_owned();
    let found = all.iter().find(|one| number(one).ends_with(&ends));
    let found = found.with_context(|| format!("no document of refund {newest}: {all:?}"))?;
    let (kind, id) = (found["type"].as_str(), found["id"].as_str());
    desk.books.get(desk.bed, &format!("records/{}/{}", kind.context("type")?, id.context("id")?))
}

/// A field of the order's document, by its place in the JSON; `none` where it isn't there.
pub fn shows(kind: &'static str, place: &'static str, wanted: &'static str) -> Act {
    Box::new(move |desk, order| {
        let document = desk.document(order, kind)?;
        let found = match document.pointer(place) {
            None | Some(Value::Null) => "none".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        ensure!(found == wanted, "order {}: {place} of its {kind} is {found}", order.id);
        Ok(())
    })
}

/// What a person is told of the order has all of these in it.
pub fn tells(words: &'static [&'static str]) -> Act {
    Box::new(move |desk, order| {
        let told = desk.bed.text(&format!(
            "select string_agg(error_message || ' ' || error_hint, '; ') from easysync.sync_failures
              where connection = '{}' and entity = 'orders' and record_id = '{}'",
            desk.books.name, order.id
        ))?;
        let told = told.unwrap_or_default();
        for word in words {
            ensure!(told.contains(word), "order {}: {word} is not in \"{told}\"", order.id);
        }
        Ok(())
    })
}

/// What an account of the company holds.
pub fn account_holds(name: &'static str, amount: &'static str) -> Act {
    Box::new(move |desk, _| {
        let accounts = desk.books.get(desk.bed, "accounts")?;
        let holds = accounts[name].as_str().unwrap_or("0.00");
        ensure!(holds == amount, "{name} holds {holds}, not {amount}");
        Ok(())
    })
}

/// All of these, one after the other.
pub fn all(acts: Vec<Act>) -> Act {
    Box::new(move |desk, order| acts.iter().try_for_each(|act| act(desk, order)))
}
