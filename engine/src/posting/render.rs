//! Documents as QuickBooks's JSON (quickbooks.md, 4 and appendix A). Amounts are exact decimals;
//! fields without a value are left out.

use super::company::{Company, TaxModel};
use super::documents::{CustomerKey, Document, Ground, Settles, Subject};
use super::input::Address;
use super::lines::{ItemKey, Line};
use super::money;
use super::posted::DocumentKind;
use super::reason::Reason;
use super::tax::{Code, DocumentTax};
use super::text;
use serde_json::{Map, Value, json};

/// The ids of what documents refer to, beyond what settings name: from links and answers.
pub trait Refs {
    /// The item of a hub product.
    fn item(&self, product: i64) -> Option<String>;
    /// The customer of a hub customer in a currency.
    fn customer(&self, customer: i64, currency: &str) -> Option<String>;
    /// A document of the same order.
    fn document(&self, subject: Subject) -> Option<String>;
}

/// The body that creates a document. Err: something that it refers to isn't there.
pub fn body(document: &Document, refs: &dyn Refs, ground: &Ground<'_>) -> Result<Value, Reason> {
    let company = ground.company;
    let mut body = Map::new();
    if let Some(number) = &document.number {
        body.insert("DocNumber".into(), json!(number));
    }
    body.insert("TxnDate".into(), json!(document.date.to_string()));
    body.insert("CustomerRef".into(), reference(&customer(document, refs, ground)?));
    if company.multicurrency {
        body.insert("CurrencyRef".into(), reference(&document.currency));
        if let Some(rate) = document.exchange_rate {
            body.insert("ExchangeRate".into(), money::exact_json(rate));
        }
    }
    references(document, company, &mut body)?;
    if let Some(reference) = &document.payment_ref {
        // On refunds and receipts alike the field is the shop's transaction.
        body.insert("PaymentRefNum".into(), json!(reference));
    }
    body.insert("PrivateNote".into(), json!(document.private_note));
    match &document.amounts {
        Some(amounts) => {
            head_of_form(document, &mut body);
            let mut lines = vec![];
            for line in &amounts.lines {
                lines.push(sales_line(line, document, refs, ground)?);
            }
            if let Some(discount) = amounts.discount {
                lines.push(json!({
                    "DetailType": "DiscountLineDetail",
                    "Amount": money::to_json(discount),
                    "DiscountLineDetail": {"PercentBased": false},
                }));
            }
            body.insert("Line".into(), Value::Array(lines));
            tax(&amounts.tax, company, &mut body);
        }
        None => {
            body.insert("TotalAmt".into(), money::to_json(document.total));
            let lines: Result<Vec<Value>, Reason> =
                document.settles.iter().map(|one| settled(one, refs)).collect();
            body.insert("Line".into(), Value::Array(lines?));
        }
    }
    Ok(Value::Object(body))
}

fn reference(id: &str) -> Value {
    json!({"value": id})
}

fn customer(document: &Document, refs: &dyn Refs, ground: &Ground<'_>) -> Result<String, Reason> {
    match document.customer {
        CustomerKey::Customer(id) => {
            refs.customer(id, &document.currency).ok_or_else(|| pending("customer", id))
        }
        CustomerKey::Web => {
            let name = ground.settings.web_customer.as_deref().unwrap_or_default();
            let found = ground.company.customer(name, &document.currency);
            found.map(|customer| customer.id.clone()).ok_or_else(|| {
                missing("web_customer", name, &format!("customer in {}", document.currency))
            })
        }
    }
}

/// What a setting names isn't in the company.
fn missing(key: &str, name: &str, what: &str) -> Reason {
    Reason::new(
        "missing_in_books",
        format!("{key}: no active {what} \"{name}\" in QuickBooks"),
        format!("Make it in QuickBooks, or set {key} to another."),
    )
}

/// What it depends on hasn't been pushed.
fn pending(what: &str, id: i64) -> Reason {
    Reason::new(
        "waits_for_dependency",
        format!("{what} {id} is not in QuickBooks yet"),
        "It goes on once that is pushed; see easysync.sync_failures.",
    )
}

fn references(
    document: &Document,
    company: &Company,
    body: &mut Map<String, Value>,
) -> Result<(), Reason> {
    if let Some(name) = &document.deposit_to {
        let account = company.account(name).filter(|account| account.active);
        let account = account.ok_or_else(|| missing("deposit_accounts", name, "account"))?;
        body.insert("DepositToAccountRef".into(), reference(&account.id));
    }
    if let Some(name) = &document.payment_method {
        let method = company.payment_method(name).filter(|method| method.active);
        let method = method.ok_or_else(|| missing("payment_methods", name, "payment method"))?;
        body.insert("PaymentMethodRef".into(), reference(&method.id));
    }
    if let Some(name) = &document.terms {
        let term = company.term(name).filter(|term| term.active);
        let term = term.ok_or_else(|| missing("terms", name, "term"))?;
        body.insert("SalesTermRef".into(), reference(&term.id));
    }
    Ok(())
}

fn head_of_form(document: &Document, body: &mut Map<String, Value>) {
    if let Some(memo) = &document.memo {
        body.insert("CustomerMemo".into(), json!({"value": memo}));
    }
    if let Some(email) = &document.email {
        body.insert("BillEmail".into(), json!({"Address": email}));
    }
    for (key, to) in [("BillAddr", &document.bill_to), ("ShipAddr", &document.ship_to)] {
        if let Some(to) = to.as_ref().and_then(address) {
            body.insert(key.into(), to);
        }
    }
    if !document.custom_fields.is_empty() {
        let fields: Vec<Value> = document
            .custom_fields
            .iter()
            .map(|(id, value)| {
                json!({"DefinitionId": id, "Type": "StringType", "StringValue": value})
            })
            .collect();
        body.insert("CustomField".into(), Value::Array(fields));
    }
    // Coupons lower what is taxed, as in the shop (quickbooks.md, 4.5).
    body.insert("ApplyTaxAfterDiscount".into(), json!(true));
}

/// A postal address; None where it is empty.
pub fn address(from: &Address) -> Option<Value> {
    let mut to = Map::new();
    let streets = [&from.name, &from.company, &from.line1, &from.line2];
    let filled = streets.into_iter().flatten().map(|part| text::line(part, 500));
    for (i, part) in filled.filter(|part| !part.is_empty()).enumerate() {
        to.insert(format!("Line{}", i + 1), json!(part));
    }
    let parts = [
        ("City", &from.city, 255),
        ("CountrySubDivisionCode", &from.region, 255),
        ("PostalCode", &from.postal_code, 30),
        ("Country", &from.country, 255),
    ];
    for (key, part, max) in parts {
        let part = part.as_deref().map(|part| text::line(part, max)).unwrap_or_default();
        if !part.is_empty() {
            to.insert(key.into(), json!(part));
        }
    }
    (!to.is_empty()).then_some(Value::Object(to))
}

fn sales_line(
    line: &Line,
    document: &Document,
    refs: &dyn Refs,
    ground: &Ground<'_>,
) -> Result<Value, Reason> {
    let item = item(&line.item, refs, ground)?;
    let mut detail = Map::new();
    detail.insert("ItemRef".into(), reference(&item));
    if let (Some(quantity), Some(price)) = (line.quantity, line.unit_price) {
        detail.insert("Qty".into(), money::exact_json(quantity));
        detail.insert("UnitPrice".into(), money::exact_json(price));
    }
    match &line.code {
        Code::Taxable => detail.insert("TaxCodeRef".into(), reference("TAX")),
        Code::Exempt => detail.insert("TaxCodeRef".into(), reference("NON")),
        Code::Id(id) => detail.insert("TaxCodeRef".into(), reference(id)),
        Code::None => None,
    };
    debug_assert!(document.kind != DocumentKind::Payment);
    Ok(json!({
        "DetailType": "SalesItemLineDetail",
        "Amount": money::to_json(line.amount),
        "Description": text::block(&numbers_free(&line.description), 4000),
        "SalesItemLineDetail": detail,
    }))
}

fn numbers_free(text: &str) -> String {
    super::numbers::unlike_a_card(text)
}

fn item(key: &ItemKey, refs: &dyn Refs, ground: &Ground<'_>) -> Result<String, Reason> {
    let named = |setting: &str, name: &str| {
        let item = ground.company.item(name).filter(|item| item.active);
        item.map(|item| item.id.clone()).ok_or_else(|| missing(setting, name, "item"))
    };
    match key {
        ItemKey::Product(id) => refs.item(*id).ok_or_else(|| pending("product", *id)),
        ItemKey::Role(role) => {
            let (setting, name) = role.setting(ground.settings);
            named(setting, name)
        }
        ItemKey::Named(name) => named("tax", name),
    }
}

fn tax(tax: &DocumentTax, company: &Company, body: &mut Map<String, Value>) {
    match company.tax_model() {
        TaxModel::UsTotal | TaxModel::UsItem => {}
        TaxModel::Off => {
            body.insert("GlobalTaxCalculation".into(), json!("NotApplicable"));
        }
        TaxModel::Codes => {
            body.insert("GlobalTaxCalculation".into(), json!("TaxExcluded"));
        }
    }
    let detail = match tax {
        DocumentTax::None => return,
        DocumentTax::Total(total) => json!({"TotalTax": money::to_json(*total)}),
        DocumentTax::Rates(rates) if rates.is_empty() => return,
        DocumentTax::Rates(rates) => {
            let lines: Vec<Value> = rates
                .iter()
                .map(|rate| {
                    json!({
                        "Amount": money::to_json(rate.amount),
                        "DetailType": "TaxLineDetail",
                        "TaxLineDetail": {
                            "TaxRateRef": {"value": rate.rate},
                            "PercentBased": true,
                            "TaxPercent": money::exact_json(rate.percent),
                            "NetAmountTaxable": money::to_json(rate.net),
                        },
                    })
                })
                .collect();
            json!({"TotalTax": money::to_json(tax.total()), "TaxLine": lines})
        }
    };
    body.insert("TxnTaxDetail".into(), detail);
}

fn settled(one: &Settles, refs: &dyn Refs) -> Result<Value, Reason> {
    let id = refs.document(one.subject).ok_or_else(|| {
        Reason::new(
            "waits_for_dependency",
            format!("the {} that is to be settled is not in QuickBooks yet", one.kind),
            "It goes on once that is pushed; see easysync.sync_failures.",
        )
    })?;
    Ok(json!({
        "Amount": money::to_json(one.amount),
        "LinkedTxn": [{"TxnId": id, "TxnType": one.kind.as_str()}],
    }))
}
