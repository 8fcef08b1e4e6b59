//! The lines of sales forms: amounts, items, discount, shipping, the subtotal that the server adds.

use super::Draft;
use super::documents::referred;
use super::lists::tracks_classes;
use crate::quickbooks::company::Company;
use crate::quickbooks::fault::{self, Checked, Fault, validation};
use crate::quickbooks::kind::Kind;
use crate::quickbooks::money;
use crate::quickbooks::store::{Record, reference};
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

/// The item that stands for the form's own shipping field.
pub const SHIPPING: &str = "SHIPPING_ITEM_ID";

/// A line that counts.
#[derive(Debug, Clone)]
pub(super) struct ItemLine {
    pub amount: Decimal,
    /// As on the line: TAX, NON, or a tax code's id.
    pub code: Option<String>,
    /// Quantity moved, for tracked items.
    pub tracked: Option<(u64, Decimal)>,
    /// Where the sale is booked.
    pub account: Option<u64>,
    /// Where it stands in the list of lines.
    pub at: usize,
    /// Gross, as sent.
    pub inclusive: Option<Decimal>,
}

/// All lines of a form.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines {
    pub json: Vec<Value>,
    pub items: Vec<ItemLine>,
    pub discount: Decimal,
    pub discount_account: Option<u64>,
    /// Without shipping and discount.
    pub subtotal: Decimal,
}

impl Lines {
    /// Items, shipping and discount together.
    pub fn net(&self) -> Decimal {
        self.items.iter().map(|line| line.amount).sum::<Decimal>() - self.discount
    }
}

fn amount_mismatch(amount: Decimal) -> Fault {
    let detail = format!("Amount is not equal to UnitPrice * Qty. Supplied value:{amount}");
    let message = "Amount calculation incorrect in the request";
    validation("6070", message, detail, "Line.Amount")
}

/// Reads the draft's lines, checks them and builds those of the answer.
pub(super) fn read(company: &Company, draft: &Draft, day: Date) -> Checked<Lines> {
    let sent = draft.data.get("Line").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut lines = Lines::default();
    let mut shipping = vec![];
    let mut discount = None;
    let mut echoed = vec![];
    for line in sent {
        let Value::Object(line) = line else { continue };
        match line.get("DetailType").and_then(Value::as_str).unwrap_or("SalesItemLineDetail") {
            "SalesItemLineDetail" if is_shipping(&line) => shipping.push(line),
            "SalesItemLineDetail" => item_line(company, draft, line, day, &mut lines)?,
            "DescriptionOnly" => lines.json.push(Value::Object(line)),
            "SubTotalLineDetail" => echoed.push(money::of(&line, "Amount")),
            "DiscountLineDetail" if discount.is_none() => discount = Some(line),
            "DiscountLineDetail" => {
                return Err(fault::business("A transaction can have only one discount line."));
            }
            other => return Err(fault::unsupported(other)),
        }
    }
    if lines.json.is_empty() && shipping.is_empty() {
        return Err(fault::missing("Line"));
    }
    if echoed.iter().any(|amount| *amount != lines.subtotal) {
        return Err(amount_mismatch(echoed[0]));
    }
    number_lines(draft, &mut lines.json);
    let subtotal = json!({
        "Amount": money::json(lines.subtotal),
        "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {},
    });
    lines.json.push(subtotal);
    if let Some(line) = discount {
        discount_line(company, line, &mut lines)?;
    }
    for line in shipping {
        shipping_line(company, line, &mut lines)?;
    }
    Ok(lines)
}

fn is_shipping(line: &Map<String, Value>) -> bool {
    line.get("SalesItemLineDetail").is_some_and(|d| d["ItemRef"]["value"] == SHIPPING)
}

fn item_line(
    company: &Company,
    draft: &Draft,
    mut line: Map<String, Value>,
    day: Date,
    lines: &mut Lines,
) -> Checked<()> {
    let Some(Value::Object(mut detail)) = line.get("SalesItemLineDetail").cloned() else {
        return Err(fault::missing("Line.SalesItemLineDetail"));
    };
    let Some(id) = reference(&detail, "ItemRef").map(str::to_owned) else {
        // Without an item the line is text, and its amount is dropped.
        line.remove("Amount");
        line.remove("SalesItemLineDetail");
        line.insert("DetailType".into(), json!("DescriptionOnly"));
        line.insert("DescriptionLineDetail".into(), json!({}));
        lines.json.push(Value::Object(line));
        return Ok(());
    };
    let element = "Line.SalesItemLineDetail.ItemRef";
    let (key, item) = item(company, draft, &id, element)?;
    let amount = amount(&line, &detail)?;
    let tracked = tracked(item, key.1, &detail, day)?;
    class(company, &mut detail)?;
    let code = reference(&detail, "TaxCodeRef").map(str::to_owned);
    let account = reference(&item.data, "IncomeAccountRef").map(str::to_owned);
    detail.insert("ItemRef".into(), company.store.named_reference(Kind::Item, &id));
    if let Some(account) = &account {
        let named = company.store.named_reference(Kind::Account, account);
        detail.insert("ItemAccountRef".into(), named);
    }
    let inclusive = detail.get("TaxInclusiveAmt").and_then(money::read);
    line.insert("Amount".into(), money::json(amount));
    line.insert("DetailType".into(), json!("SalesItemLineDetail"));
    line.insert("SalesItemLineDetail".into(), Value::Object(detail));
    lines.items.push(ItemLine {
        amount,
        code,
        tracked,
        account: account.and_then(|id| id.parse().ok()),
        at: lines.json.len(),
        inclusive,
    });
    lines.subtotal += amount;
    lines.json.push(Value::Object(line));
    Ok(())
}

/// An item may be used if it is active, or if this very document used it before.
fn item<'a>(
    company: &'a Company,
    draft: &Draft,
    id: &str,
    element: &str,
) -> Checked<(crate::quickbooks::store::Key, &'a Record)> {
    let used = draft.old.as_ref().and_then(|old| old.data.get("Line")).and_then(Value::as_array);
    let used = used.is_some_and(|lines| {
        lines.iter().any(|line| line["SalesItemLineDetail"]["ItemRef"]["value"] == id)
    });
    let (key, item) = match used {
        true => company.store.find(Kind::Item, id).ok_or_else(|| fault::bad_reference(element))?,
        false => referred(company, Kind::Item, id, element)?,
    };
    if item.text("Type") == "Category" {
        return Err(fault::business("You can't use a category on a transaction."));
    }
    if reference(&item.data, "IncomeAccountRef").is_none() {
        return Err(fault::business("This item is not for sale: it has no income account."));
    }
    Ok((key, item))
}

/// The line's amount, held against quantity and price.
pub(super) fn amount(line: &Map<String, Value>, detail: &Map<String, Value>) -> Checked<Decimal> {
    let number = |map: &Map<String, Value>, key: &str| map.get(key).and_then(money::read);
    let product = match (number(detail, "Qty"), number(detail, "UnitPrice")) {
        (Some(quantity), Some(price)) => Some(money::cents(quantity * price)),
        _ => None,
    };
    match (number(line, "Amount"), product) {
        (Some(amount), Some(product)) if money::cents(amount) != product => {
            Err(amount_mismatch(amount))
        }
        (Some(amount), _) => Ok(money::cents(amount)),
        (None, Some(product)) => Ok(product),
        (None, None) => Err(fault::missing("Line.Amount")),
    }
}

/// The tracked quantity that the line moves.
///
/// Errors: 6520 without a quantity, 6270 before the item's start date.
pub(super) fn tracked(
    item: &Record,
    id: u64,
    detail: &Map<String, Value>,
    day: Date,
) -> Checked<Option<(u64, Decimal)>> {
    if item.text("Type") != "Inventory" {
        return Ok(None);
    }
    let Some(quantity) = detail.get("Qty").and_then(money::read) else {
        let detail = "Tracked inventory items need a quantity";
        return Err(validation("6520", "Missing Quantity", detail, "Line.Qty"));
    };
    if item.text("InvStartDate").parse::<Date>().is_ok_and(|start| day < start) {
        let detail = "Transaction date is prior to start date for inventory item : Txn date \
                      prior to InvStartDate";
        return Err(validation("6270", "Invalid Transaction Date", detail, "TxnDate"));
    }
    Ok(Some((id, quantity)))
}

/// Classes on lines need class tracking.
pub(super) fn class(company: &Company, detail: &mut Map<String, Value>) -> Checked<()> {
    let Some(id) = reference(detail, "ClassRef").map(str::to_owned) else { return Ok(()) };
    if !tracks_classes(company) {
        return Err(fault::no_feature("Class tracking"));
    }
    referred(company, Kind::Class, &id, "Line.ClassRef")?;
    company.store.name_reference(detail, "ClassRef", Kind::Class);
    Ok(())
}

/// Lines that were there keep their id; the others get the next ones.
pub(super) fn number_lines(draft: &Draft, lines: &mut [Value]) {
    let old = draft.old.as_ref().and_then(|old| old.data.get("Line")).and_then(Value::as_array);
    let known: Vec<String> = old
        .into_iter()
        .flatten()
        .filter_map(|line| line["Id"].as_str().map(str::to_owned))
        .collect();
    let mut last = known.iter().filter_map(|id| id.parse::<u64>().ok()).max().unwrap_or(0);
    let mut given: Vec<String> = vec![];
    for (at, line) in lines.iter_mut().enumerate() {
        let id = line["Id"].as_str().unwrap_or_default().to_owned();
        let id = match known.contains(&id) && !given.contains(&id) {
            true => id,
            false => {
                last += 1;
                last.to_string()
            }
        };
        line["Id"] = json!(id);
        line["LineNum"] = json!(at + 1);
        given.push(id);
    }
}

fn discount_line(
    company: &Company,
    mut line: Map<String, Value>,
    lines: &mut Lines,
) -> Checked<()> {
    if !company.prefers("/SalesFormsPrefs/AllowDiscount") {
        return Err(fault::business("Discounts are turned off in this company's sales settings."));
    }
    let Some(Value::Object(mut detail)) = line.get("DiscountLineDetail").cloned() else {
        let text = "Discount line is missing required information";
        return Err(validation("6090", "Discount Line Missing", text, "Line.DiscountLineDetail"));
    };
    let percent = detail.get("DiscountPercent").and_then(money::read);
    let by_percent = detail.get("PercentBased") == Some(&json!(true));
    let amount = match (by_percent, percent, line.get("Amount").and_then(money::read)) {
        (true, Some(percent), _) => money::cents(lines.subtotal * percent / Decimal::ONE_HUNDRED),
        (false, _, Some(amount)) => money::cents(amount),
        _ => {
            let text = "Discount line is missing required information";
            return Err(validation("6090", "Discount Line Missing", text, "Line"));
        }
    };
    if amount < Decimal::ZERO {
        let text = "Amount must not be negative";
        return Err(validation("2290", "Negative Amount", text, "Line.Amount"));
    }
    let default = company.preference("/SalesFormsPrefs/DefaultDiscountAccount").clone();
    let account = reference(&detail, "DiscountAccountRef").map(str::to_owned);
    let account = account.or_else(|| default.as_str().map(str::to_owned));
    if let Some(id) = &account {
        referred(company, Kind::Account, id, "Line.DiscountLineDetail.DiscountAccountRef")?;
        let named = company.store.named_reference(Kind::Account, id);
        detail.insert("DiscountAccountRef".into(), named);
    }
    detail.insert("PercentBased".into(), json!(by_percent));
    for key in ["Id", "LineNum"] {
        line.remove(key);
    }
    line.insert("Amount".into(), money::json(amount));
    line.insert("DiscountLineDetail".into(), Value::Object(detail));
    lines.discount = amount;
    lines.discount_account = account.and_then(|id| id.parse().ok());
    lines.json.push(Value::Object(line));
    Ok(())
}

fn shipping_line(
    company: &Company,
    mut line: Map<String, Value>,
    lines: &mut Lines,
) -> Checked<()> {
    if !company.prefers("/SalesFormsPrefs/AllowShipping") {
        return Err(fault::business("Shipping is turned off in this company's sales settings."));
    }
    let Some(amount) = line.get("Amount").and_then(money::read) else {
        return Err(fault::missing("Line.Amount"));
    };
    let account = company.preference("/SalesFormsPrefs/DefaultShippingAccount").as_str();
    let detail = line.get("SalesItemLineDetail").and_then(Value::as_object);
    lines.items.push(ItemLine {
        amount: money::cents(amount),
        code: detail.and_then(|d| reference(d, "TaxCodeRef")).map(str::to_owned),
        tracked: None,
        account: account.and_then(|id| id.parse().ok()),
        at: lines.json.len(),
        inclusive: detail.and_then(|d| d.get("TaxInclusiveAmt")).and_then(money::read),
    });
    for key in ["Id", "LineNum"] {
        line.remove(key);
    }
    lines.json.push(Value::Object(line));
    Ok(())
}
