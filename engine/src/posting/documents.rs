//! Whole documents: head and amounts, in the hub's terms. [`super::render`] makes the request body.

use super::amounts::Amounts;
use super::company::Company;
use super::input::{Address, Order, Refund};
use super::numbers;
use super::posted::DocumentKind;
use super::reason::Reason;
use super::settings::{ExchangeRate, Guests, Settings};
use super::text;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde_json::Value;

/// What all documents of a push stand on.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    pub settings: &'a Settings,
    pub company: &'a Company,
    /// The company's time zone.
    pub zone: &'a TimeZone,
    /// The shop's account key; part of the mark of ownership.
    pub shop: &'a str,
}

/// What a document stands for. One order has at most one document of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    Sale,
    Payment,
    /// By the refund's hub id.
    Refund(i64),
    /// The zero Payment that applies a refund's CreditMemo to the Invoice.
    CreditApplied(i64),
    /// The CreditMemo that takes back a cancelled Invoice.
    Cancellation,
    /// The zero Payment that applies it.
    CancellationApplied,
}

/// The mark of ownership that the document of a subject bears: the first line of its `PrivateNote`.
/// None: the refund isn't among these.
pub fn mark(subject: Subject, order: &Order, refunds: &[Refund], shop: &str) -> Option<String> {
    let of_order = |part: &str| format!("{}{part}", numbers::order_mark(shop, order));
    Some(match subject {
        Subject::Sale => of_order(""),
        Subject::Payment => of_order(":payment"),
        Subject::Cancellation => of_order(":cancelled"),
        Subject::CancellationApplied => of_order(":credit-cancelled"),
        Subject::CreditApplied(id) => of_order(&format!(":credit-{id}")),
        Subject::Refund(id) => {
            numbers::refund_mark(shop, refunds.iter().find(|refund| refund.id == id)?)
        }
    })
}

/// Whose document it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CustomerKey {
    /// A customer of the hub, by its hub id.
    Customer(i64),
    /// The one that `web_customer` names.
    Web,
}

/// A transaction that a Payment settles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settles {
    pub kind: DocumentKind,
    /// Its id comes from the link, or from the answer when it is made in the same plan.
    pub subject: Subject,
    pub amount: Decimal,
}

/// One document, ready but for the ids of what it refers to.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    pub kind: DocumentKind,
    pub subject: Subject,
    /// None for Payments.
    pub number: Option<String>,
    pub date: Date,
    pub currency: String,
    /// Home units for one of `currency`; None: QuickBooks's own.
    pub exchange_rate: Option<Decimal>,
    pub customer: CustomerKey,
    /// None for Payments.
    pub amounts: Option<Amounts>,
    /// Payments only.
    pub settles: Vec<Settles>,
    pub total: Decimal,
    /// Account by name or id.
    pub deposit_to: Option<String>,
    /// Payment method of QuickBooks by name or id.
    pub payment_method: Option<String>,
    pub payment_ref: Option<String>,
    pub terms: Option<String>,
    pub private_note: String,
    pub memo: Option<String>,
    pub email: Option<String>,
    pub bill_to: Option<Address>,
    pub ship_to: Option<Address>,
    /// `DefinitionId` and value.
    pub custom_fields: Vec<(String, String)>,
}

/// Without addresses, notes and references: those are of people.
impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Document")
            .field("kind", &self.kind)
            .field("number", &self.number)
            .field("date", &self.date)
            .field("currency", &self.currency)
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}

impl Document {
    /// The hub products whose items it needs.
    pub fn products(&self) -> Vec<i64> {
        let lines = self.amounts.iter().flat_map(|amounts| &amounts.lines);
        let mut ids: Vec<i64> = lines
            .filter_map(|line| match line.item {
                super::lines::ItemKey::Product(id) => Some(id),
                _ => None,
            })
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

/// Whose documents an order's are: guests are shared where settings say so, and an order of nobody
/// is the web customer's.
pub fn customer_of(
    order: &Order,
    is_guest: bool,
    ground: &Ground<'_>,
) -> Result<CustomerKey, Reason> {
    let shared = is_guest && ground.settings.guests == Guests::Shared;
    match order.customer_id.filter(|_| !shared) {
        Some(id) => Ok(CustomerKey::Customer(id)),
        None if ground.settings.web_customer.is_some() => Ok(CustomerKey::Web),
        None => Err(Reason::new(
            "no_web_customer",
            format!("order {} has no customer of its own", order.number),
            "Set web_customer to a customer in QuickBooks for such orders.",
        )),
    }
}

fn empty(kind: DocumentKind, subject: Subject, date: Date, order: &Order) -> Document {
    Document {
        kind,
        subject,
        number: None,
        date,
        currency: order.currency.clone(),
        exchange_rate: None,
        customer: CustomerKey::Web,
        amounts: None,
        settles: vec![],
        total: Decimal::ZERO,
        deposit_to: None,
        payment_method: None,
        payment_ref: None,
        terms: None,
        private_note: String::new(),
        memo: None,
        email: None,
        bill_to: None,
        ship_to: None,
        custom_fields: vec![],
    }
}

/// The rate of a foreign document; Err: rates are fixed and this one isn't given.
fn exchange_rate(order: &Order, ground: &Ground<'_>) -> Result<Option<Decimal>, Reason> {
    if ground.settings.exchange_rate == ExchangeRate::QuickBooks
        || order.currency == ground.company.home_currency
    {
        return Ok(None);
    }
    ground.settings.exchange_rates.get(&order.currency).copied().map(Some).ok_or_else(|| {
        Reason::new(
            "no_exchange_rate",
            format!("order {} is in {}, which has no fixed rate", order.number, order.currency),
            format!("Set exchange_rates.{}.", order.currency),
        )
    })
}

fn money_side(document: &mut Document, order: &Order, settings: &Settings) {
    let account = settings.deposit_account(order.method(), &order.currency);
    document.deposit_to = account.map(str::to_owned);
    document.payment_method =
        order.method().and_then(|method| settings.payment_methods.get(method)).cloned();
}

/// The SalesReceipt or Invoice of an order.
pub fn sale(
    order: &Order,
    kind: DocumentKind,
    date: Date,
    customer: CustomerKey,
    amounts: Amounts,
    ground: &Ground<'_>,
) -> Result<Document, Reason> {
    let settings = ground.settings;
    let mut document = empty(kind, Subject::Sale, date, order);
    document.number = Some(numbers::of_order(settings, &order.number)?);
    document.customer = customer;
    document.exchange_rate = exchange_rate(order, ground)?;
    document.total = amounts.total;
    document.amounts = Some(amounts);
    if kind == DocumentKind::SalesReceipt {
        money_side(&mut document, order, settings);
        document.payment_ref = numbers::payment_reference(order.transaction_id.as_deref());
    } else {
        document.terms.clone_from(&settings.terms);
    }
    document.private_note = note(Subject::Sale, order, ground, &[transaction(order)]);
    document.memo = order
        .customer_note
        .as_deref()
        .map(|note| text::block(&numbers::unlike_a_card(note), 1000))
        .filter(|note| !note.is_empty());
    document.email = text::email(order.email.as_deref());
    document.bill_to.clone_from(&order.billing_address);
    document.ship_to.clone_from(&order.shipping_address);
    document.custom_fields = custom_fields(order, settings);
    Ok(document)
}

/// The whole transaction id; the reference holds its end only.
fn transaction(order: &Order) -> String {
    let id = order.transaction_id.as_deref().map(str::trim).filter(|id| !id.is_empty());
    id.map_or(String::new(), |id| {
        format!("Transaction: {}", text::line(&numbers::unlike_a_card(id), 1000))
    })
}

/// The RefundReceipt or CreditMemo of a refund. The money comes from where the sale's went.
pub fn refund(
    order: &Order,
    refund: &Refund,
    kind: DocumentKind,
    date: Date,
    customer: CustomerKey,
    amounts: Amounts,
    ground: &Ground<'_>,
) -> Result<Document, Reason> {
    let mut document = empty(kind, Subject::Refund(refund.id), date, order);
    document.number = Some(numbers::of_refund(ground.settings, order, refund)?);
    document.customer = customer;
    document.exchange_rate = exchange_rate(order, ground)?;
    document.total = amounts.total;
    document.amounts = Some(amounts);
    if kind == DocumentKind::RefundReceipt {
        money_side(&mut document, order, ground.settings);
    }
    let reason = refund.reason.as_deref().map(numbers::unlike_a_card).unwrap_or_default();
    let note = [format!("Order {}", order.number), text::line(&reason, 1000)];
    document.private_note = numbers::note(&numbers::refund_mark(ground.shop, refund), &note);
    document.email = text::email(order.email.as_deref());
    document.bill_to.clone_from(&order.billing_address);
    Ok(document)
}

/// The CreditMemo that takes back what is open of a cancelled Invoice.
pub fn cancellation(
    order: &Order,
    date: Date,
    customer: CustomerKey,
    amounts: Amounts,
    ground: &Ground<'_>,
) -> Result<Document, Reason> {
    let mut document = empty(DocumentKind::CreditMemo, Subject::Cancellation, date, order);
    document.number = Some(numbers::of_cancellation(ground.settings, order)?);
    document.customer = customer;
    document.exchange_rate = exchange_rate(order, ground)?;
    document.total = amounts.total;
    document.amounts = Some(amounts);
    document.private_note = note(Subject::Cancellation, order, ground, &[]);
    document.bill_to.clone_from(&order.billing_address);
    Ok(document)
}

/// The Payment of an Invoice's open balance.
pub fn payment(
    order: &Order,
    amount: Decimal,
    date: Date,
    customer: CustomerKey,
    ground: &Ground<'_>,
) -> Result<Document, Reason> {
    let mut document = empty(DocumentKind::Payment, Subject::Payment, date, order);
    document.customer = customer;
    document.exchange_rate = exchange_rate(order, ground)?;
    document.total = amount;
    document.settles =
        vec![Settles { kind: DocumentKind::Invoice, subject: Subject::Sale, amount }];
    money_side(&mut document, order, ground.settings);
    document.payment_ref = numbers::payment_reference(order.transaction_id.as_deref());
    document.private_note = note(Subject::Payment, order, ground, &[transaction(order)]);
    Ok(document)
}

/// The zero Payment that applies a credit to the Invoice (quickbooks.md, 4.7).
pub fn apply_credit(
    order: &Order,
    credit: Subject,
    amount: Decimal,
    date: Date,
    customer: CustomerKey,
    ground: &Ground<'_>,
) -> Result<Document, Reason> {
    let subject = match credit {
        Subject::Refund(id) => Subject::CreditApplied(id),
        _ => Subject::CancellationApplied,
    };
    let mut document = empty(DocumentKind::Payment, subject, date, order);
    document.customer = customer;
    document.exchange_rate = exchange_rate(order, ground)?;
    document.settles = vec![
        Settles { kind: DocumentKind::Invoice, subject: Subject::Sale, amount },
        Settles { kind: DocumentKind::CreditMemo, subject: credit, amount },
    ];
    document.private_note = note(subject, order, ground, &[]);
    Ok(document)
}

/// `PrivateNote` of an order's document.
fn note(subject: Subject, order: &Order, ground: &Ground<'_>, more: &[String]) -> String {
    let mark = mark(subject, order, &[], ground.shop).unwrap_or_default();
    numbers::note(&mark, more)
}

/// `StringValue` of a custom field holds 31 characters.
fn custom_fields(order: &Order, settings: &Settings) -> Vec<(String, String)> {
    let attribute =
        |key: &str| order.attributes.get(key).and_then(Value::as_str).map(str::to_owned);
    let coupons = || {
        let codes: Vec<&str> = order.coupon_lines.iter().map(|c| c.code.as_str()).collect();
        codes.join(", ")
    };
    let fields = settings.custom_fields.iter().filter_map(|(id, source)| {
        let value = match source.as_str() {
            "number" => Some(order.number.clone()),
            "source_id" => order.source_id.clone(),
            "payment_method" => order.payment_method.clone(),
            "transaction_id" => order.transaction_id.as_deref().map(numbers::unlike_a_card),
            "email" => order.email.clone(),
            "status" => Some(order.status.clone()),
            "customer_note" => order.customer_note.as_deref().map(numbers::unlike_a_card),
            "coupons" => Some(coupons()),
            other => attribute(other),
        };
        Some((id.clone(), text::line(&value?, 31)))
    });
    fields.filter(|(_, value)| !value.is_empty()).collect()
}
