//! Pretended books: they take bodies as QuickBooks would, check them by its rules (quickbooks.md,
//! 4.2 to 4.7) and answer with what it computes. Their arithmetic is their own, from the JSON.

use super::shop::Sale;
use crate::posting::company::{Company, TaxModel};
use crate::posting::compare;
use crate::posting::documents::{Document, Ground, Subject};
use crate::posting::money;
use crate::posting::plan::{self, Operation, OrderPlan, Subjects};
use crate::posting::posted::{Agreed, DocumentKind, Posted, PostedDocument};
use crate::posting::render::{self, Refs};
use crate::posting::settings::Settings;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

pub struct Books<'a> {
    company: &'a Company,
    settings: &'a Settings,
    zone: TimeZone,
    /// Entity name and JSON by id.
    pub documents: BTreeMap<String, (DocumentKind, Value)>,
    pub posted: BTreeMap<i64, Posted>,
    numbers: BTreeSet<String>,
    next: u64,
}

/// Ids of one order's documents; products and customers get theirs from their hub ids.
struct Known<'a> {
    posted: &'a Posted,
    company: &'a Company,
}

impl Refs for Known<'_> {
    fn item(&self, product: i64) -> Option<String> {
        Some(format!("{}", 10_000 + product))
    }
    fn customer(&self, customer: i64, currency: &str) -> Option<String> {
        let foreign = self.company.multicurrency && currency != self.company.home_currency;
        Some(if foreign { format!("{customer}{currency}") } else { customer.to_string() })
    }
    fn document(&self, subject: Subject) -> Option<String> {
        let found = match subject {
            Subject::Sale => self.posted.sale.as_ref(),
            Subject::Payment => self.posted.payment.as_ref(),
            Subject::Refund(id) => self.posted.refunds.get(&id),
            Subject::CreditApplied(id) => self.posted.credits_applied.get(&id),
            Subject::Cancellation => self.posted.cancellation.as_ref(),
            Subject::CancellationApplied => self.posted.cancellation_applied.as_ref(),
        };
        found.map(|document| document.remote_id.clone())
    }
}

fn number(value: &Value) -> Decimal {
    money::from_json(value).unwrap_or_default()
}

impl<'a> Books<'a> {
    pub fn new(company: &'a Company, settings: &'a Settings) -> Self {
        Books {
            company,
            settings,
            zone: settings.zone().unwrap(),
            documents: BTreeMap::new(),
            posted: BTreeMap::new(),
            numbers: BTreeSet::new(),
            next: 1000,
        }
    }

    fn ground(&self) -> Ground<'_> {
        Ground {
            settings: self.settings,
            company: self.company,
            zone: &self.zone,
            shop: "shop.example",
        }
    }

    pub fn plan(&self, sale: &Sale) -> OrderPlan {
        let none = Posted::default();
        let posted = self.posted.get(&sale.order.id).unwrap_or(&none);
        let is_guest = sale.order.customer_id.is_some_and(|id| id >= 100_000);
        let of =
            Subjects { order: &sale.order, refunds: &sale.refunds, is_guest, posted, asked: &[] };
        plan::order(&of, &self.ground())
    }

    /// Plans an order and carries the plan out.
    pub fn push(&mut self, sale: &Sale) -> OrderPlan {
        let plan = self.plan(sale);
        for step in &plan.steps {
            self.carry_out(sale.order.id, step.subject, &step.operation);
        }
        plan
    }

    pub fn body(&self, order: i64, document: &Document) -> Value {
        let none = Posted::default();
        let posted = self.posted.get(&order).unwrap_or(&none);
        let refs = Known { posted, company: self.company };
        render::body(document, &refs, &self.ground()).unwrap_or_else(|r| panic!("{r}"))
    }

    fn carry_out(&mut self, order: i64, subject: Subject, operation: &Operation) {
        match operation {
            Operation::Create { document, .. } => {
                let body = self.body(order, document);
                let answer = self.create(document.kind, &body);
                self.remember(order, subject, document, &answer);
            }
            Operation::Update { document, remote, .. } => {
                let create = self.body(order, document);
                let body = compare::update_body(&create, document, remote);
                let answer = self.update(&body);
                self.remember(order, subject, document, &answer);
            }
            Operation::Void { remote } => {
                let body = compare::void_body(remote);
                let (_, entity) = self.documents.get_mut(body["Id"].as_str().unwrap()).unwrap();
                entity["TotalAmt"] = json!(0);
                entity["Balance"] = json!(0);
                entity["Line"]
                    .as_array_mut()
                    .unwrap()
                    .iter_mut()
                    .for_each(|l| l["Amount"] = json!(0));
                self.posted.get_mut(&order).unwrap().sale.as_mut().unwrap().voided = true;
            }
            Operation::ReadBalance { remote } => {
                let balance = number(&self.documents[&remote.remote_id].1["Balance"]);
                let sale = self.posted.get_mut(&order).unwrap().sale.as_mut().unwrap();
                sale.balance = Some(balance);
            }
            Operation::Delete { .. } => unreachable!("nobody asks for a deletion"),
            Operation::Adopt { .. } => unreachable!("nobody else writes into these books"),
        }
    }

    fn create(&mut self, kind: DocumentKind, body: &Value) -> Value {
        self.next += 1;
        let id = self.next.to_string();
        if let Some(number) = body["DocNumber"].as_str() {
            assert!(number.chars().count() <= 21, "{number}");
            assert!(self.numbers.insert(number.to_owned()), "6140: {number}");
        } else {
            assert_eq!(kind, DocumentKind::Payment);
        }
        let mut entity = body.clone();
        entity["Id"] = json!(id);
        entity["SyncToken"] = json!("0");
        self.compute(kind, &mut entity);
        self.documents.insert(id.clone(), (kind, entity.clone()));
        self.apply(kind, &id, body);
        self.documents[&id].1.clone()
    }

    fn update(&mut self, body: &Value) -> Value {
        let id = body["Id"].as_str().unwrap().to_owned();
        let (kind, mut entity) = self.documents[&id].clone();
        assert_eq!(entity["SyncToken"], body["SyncToken"], "5010");
        assert_eq!(body["sparse"], json!(true));
        for (key, value) in body.as_object().unwrap() {
            entity[key] = value.clone();
        }
        let token: u64 = entity["SyncToken"].as_str().unwrap().parse().unwrap();
        entity["SyncToken"] = json!((token + 1).to_string());
        self.compute(kind, &mut entity);
        self.documents.insert(id, (kind, entity.clone()));
        entity
    }

    /// What QuickBooks works out by itself, and refuses.
    fn compute(&self, kind: DocumentKind, entity: &mut Value) {
        let company = self.company;
        assert!(entity["CustomerRef"]["value"].is_string(), "2020");
        assert_eq!(entity["CurrencyRef"]["value"].is_string(), company.multicurrency);
        if kind == DocumentKind::Payment {
            return;
        }
        let mut net: BTreeMap<String, Decimal> = BTreeMap::new();
        let mut last = 0;
        for line in entity["Line"].as_array_mut().unwrap() {
            if line["Id"].is_null() {
                last += 1;
                line["Id"] = json!(format!("n{last}"));
            }
            let amount = number(&line["Amount"]);
            assert_eq!(amount, amount.round_dp(2), "an amount has cents");
            if line["DetailType"] == "DiscountLineDetail" {
                assert!(company.allow_discount && amount > Decimal::ZERO);
                *net.entry("discount".into()).or_default() -= amount;
                continue;
            }
            let detail = &line["SalesItemLineDetail"];
            assert!(detail["ItemRef"]["value"].is_string(), "an amount without item is lost");
            if !detail["Qty"].is_null() {
                let product = money::cents(number(&detail["Qty"]) * number(&detail["UnitPrice"]));
                assert_eq!(product, amount, "6070: {line}");
            }
            let code = detail["TaxCodeRef"]["value"].as_str().unwrap_or_default().to_owned();
            *net.entry(code).or_default() += amount;
        }
        let tax = self.tax(entity, &net);
        let total = net.values().sum::<Decimal>() + tax;
        assert!(total >= Decimal::ZERO, "a form is never negative");
        entity["TotalAmt"] = money::to_json(total);
        let open = matches!(kind, DocumentKind::Invoice | DocumentKind::CreditMemo);
        entity["Balance"] = money::to_json(if open { total } else { Decimal::ZERO });
    }

    /// US: the amount sent is honoured, if a line is taxed. Elsewhere QuickBooks computes.
    fn tax(&self, entity: &Value, net: &BTreeMap<String, Decimal>) -> Decimal {
        let sent = number(&entity["TxnTaxDetail"]["TotalTax"]);
        match self.company.tax_model() {
            TaxModel::UsTotal | TaxModel::UsItem => {
                assert!(net.keys().all(|code| ["TAX", "NON", "discount"].contains(&code.as_str())));
                assert!(sent.is_zero() || net.contains_key("TAX"), "tax needs a taxed line");
                assert!(entity["GlobalTaxCalculation"].is_null());
                sent
            }
            TaxModel::Off => {
                assert_eq!(entity["GlobalTaxCalculation"], "NotApplicable");
                assert!(entity["TxnTaxDetail"].is_null(), "6170");
                Decimal::ZERO
            }
            TaxModel::Codes => {
                assert_eq!(entity["GlobalTaxCalculation"], "TaxExcluded");
                let mut tax = Decimal::ZERO;
                for (code, net) in net {
                    let code = self.company.tax_codes.iter().find(|c| c.id == *code).unwrap();
                    for rate in &code.sales_rates {
                        let percent = self.company.tax_rate(&rate.rate_id).unwrap().percent;
                        tax += money::cents(*net * percent / Decimal::ONE_HUNDRED);
                    }
                }
                assert_eq!(tax, sent, "what is sent is what QuickBooks computes");
                tax
            }
        }
    }

    fn apply(&mut self, kind: DocumentKind, id: &str, body: &Value) {
        if kind != DocumentKind::Payment {
            return;
        }
        let (mut credits, mut debits) = (number(&body["TotalAmt"]), Decimal::ZERO);
        for line in body["Line"].as_array().unwrap() {
            let link = &line["LinkedTxn"][0];
            let amount = number(&line["Amount"]);
            let (kind, target) = self.documents.get_mut(link["TxnId"].as_str().unwrap()).unwrap();
            assert_eq!(link["TxnType"], kind.as_str(), "620");
            assert_eq!(target["CustomerRef"], body["CustomerRef"], "620: another customer");
            let open = number(&target["Balance"]) - amount;
            assert!(open >= Decimal::ZERO, "6000: more than the open balance");
            target["Balance"] = money::to_json(open);
            match kind {
                DocumentKind::CreditMemo => credits += amount,
                _ => debits += amount,
            }
        }
        assert_eq!(credits, debits, "nothing is left unapplied by payment {id}");
    }

    fn remember(&mut self, order: i64, subject: Subject, document: &Document, answer: &Value) {
        compare::check_answer(document, answer).unwrap_or_else(|r| panic!("{r}"));
        let entry = PostedDocument {
            kind: document.kind,
            remote_id: answer["Id"].as_str().unwrap().into(),
            sync_token: answer["SyncToken"].as_str().unwrap().into(),
            txn_date: answer["TxnDate"].as_str().unwrap().parse().unwrap(),
            total: number(&answer["TotalAmt"]),
            balance: Some(number(&answer["Balance"])),
            linked: false,
            payments: vec![],
            locked: false,
            edited: false,
            voided: false,
            adopted: false,
            agreed: Agreed { sent: compare::wanted(document), answered: compare::owned(answer) },
        };
        let posted = self.posted.entry(order).or_default();
        match subject {
            Subject::Sale => posted.sale = Some(entry),
            Subject::Payment => posted.payment = Some(entry),
            Subject::Refund(id) => drop(posted.refunds.insert(id, entry)),
            Subject::CreditApplied(id) => drop(posted.credits_applied.insert(id, entry)),
            Subject::Cancellation => posted.cancellation = Some(entry),
            Subject::CancellationApplied => posted.cancellation_applied = Some(entry),
        }
        self.rebalance(order);
    }

    /// Balance and links of the Invoice, as later answers and reads tell them.
    fn rebalance(&mut self, order: i64) {
        let Some(sale) = self.posted.get_mut(&order).and_then(|posted| posted.sale.as_mut()) else {
            return;
        };
        let balance = number(&self.documents[&sale.remote_id].1["Balance"]);
        sale.linked = balance != sale.total && sale.kind == DocumentKind::Invoice;
        sale.balance = Some(balance);
    }

    /// Sales documents and reversing ones.
    pub fn sales_documents(&self) -> u64 {
        self.documents.values().filter(|(kind, _)| *kind != DocumentKind::Payment).count() as u64
    }

    /// What the books hold in a currency: sales less what was given back.
    pub fn net(&self, currency: &str) -> Decimal {
        let home = &self.company.home_currency;
        let of = |e: &&(DocumentKind, Value)| {
            e.1["CurrencyRef"]["value"].as_str().unwrap_or(home) == currency
        };
        let signed = |(kind, entity): &(DocumentKind, Value)| match kind {
            DocumentKind::SalesReceipt | DocumentKind::Invoice => number(&entity["TotalAmt"]),
            DocumentKind::CreditMemo | DocumentKind::RefundReceipt => -number(&entity["TotalAmt"]),
            DocumentKind::Payment => Decimal::ZERO,
        };
        self.documents.values().filter(of).map(signed).sum()
    }
}
