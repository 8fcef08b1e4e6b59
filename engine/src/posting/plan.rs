//! Everything that one order asks of the books now: the sale, its refunds, its payment, and what a
//! change or a cancellation means for documents that are there.

use super::amounts::{self, Amounts};
use super::compare::{self, Change, FieldChange};
use super::dates::{self, Opened};
use super::decide::{self, Decision, Status};
use super::documents::{self, CustomerKey, Document, Ground, Subject};
use super::input::{Order, Refund};
use super::numbers;
use super::posted::{DocumentKind, Posted, PostedDocument};
use super::reason::Reason;
use super::refunds;
use super::settings::CancelUnpaid;
use crate::error::Error;
use jiff::civil::Date;
use rust_decimal::Decimal;

/// One write, or one read that has to come first.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// Not in the books yet. `ask_first`: numbers under which somebody may have entered it
    /// (`adopt`): [`super::adopt::before_first`] judges what is found.
    Create { document: Box<Document>, ask_first: Vec<String> },
    /// Written in place ([`compare::update_body`]).
    Update { document: Box<Document>, remote: Box<PostedDocument>, changes: Vec<FieldChange> },
    /// An unpaid Invoice of a cancelled order.
    Void { remote: Box<PostedDocument> },
    /// The document of a refund that vanished in the shop, or the Payment that applied it.
    Delete { remote: Box<PostedDocument> },
    /// The balance has to be read, then the order planned again: somebody may have paid it in
    /// QuickBooks, and a payment made there is adopted, not repeated.
    ReadBalance { remote: Box<PostedDocument> },
    /// It is there already, by whomever: it is known from now on.
    Adopt { kind: DocumentKind, remote_id: String },
}

/// One step; steps come in an order in which they can be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub subject: Subject,
    pub operation: Operation,
    /// Steps of this plan, if they are in it, that have to have succeeded.
    pub after: Vec<Subject>,
}

/// Why one of the documents isn't written.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    pub subject: Subject,
    pub error: Error,
}

/// What an order asks for. An order with a document is `Post`, whatever else is wrong with it.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderPlan {
    pub decision: Decision,
    pub steps: Vec<Step>,
    pub failures: Vec<Failure>,
    /// Reversing documents, planned or there, for the summary: kind and amount.
    pub refunds: Vec<(DocumentKind, Decimal)>,
    /// Absolute value of the sale's rounding line, for metrics.
    pub rounding: Decimal,
}

impl OrderPlan {
    fn only(decision: Decision) -> OrderPlan {
        OrderPlan {
            decision,
            steps: vec![],
            failures: vec![],
            refunds: vec![],
            rounding: Decimal::ZERO,
        }
    }
}

/// An order with all that is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Subjects<'a> {
    pub order: &'a Order,
    /// In order of time, deleted ones included.
    pub refunds: &'a [Refund],
    /// Its customer was made from an order.
    pub is_guest: bool,
    pub posted: &'a Posted,
    /// Refunds that somebody asked for by their ids: the document of one that vanished is deleted,
    /// once that is confirmed.
    pub asked: &'a [String],
}

/// Plans an order.
pub fn order(of: &Subjects<'_>, ground: &Ground<'_>) -> OrderPlan {
    let (order, posted) = (of.order, of.posted);
    let decision = decide::decide(order, posted, ground.settings, ground.company, ground.zone);
    let mut plan = OrderPlan::only(decision);
    let kind = match (&plan.decision, &posted.sale) {
        (Decision::Post(kind), _) => *kind,
        (Decision::Attention(reason), Some(sale)) => {
            // The document stays; refunds are money, whatever the status says.
            let error = reason.needs_attention();
            plan.failures.push(Failure { subject: Subject::Sale, error });
            plan.decision = Decision::Post(sale.kind);
            sale.kind
        }
        _ => return plan,
    };
    let prepared = amounts::of_sale(order, ground.settings, ground.company)
        .and_then(|amounts| Ok((amounts, documents::customer_of(order, of.is_guest, ground)?)));
    let (amounts, customer) = match prepared {
        Ok(prepared) => prepared,
        Err(reason) => return refused(plan, posted, reason),
    };
    plan.rounding = amounts.rounding.abs();
    let mut planner = Planner { of, ground, kind, customer, amounts, plan };
    if planner.is_cancelled() {
        planner.cancellation();
        return planner.plan;
    }
    if let Err(reason) = planner.sale() {
        return refused(planner.plan, posted, reason);
    }
    planner.refunds();
    planner.payment();
    planner.plan
}

/// The order can't be posted as it is. One that has its document keeps it.
fn refused(mut plan: OrderPlan, posted: &Posted, reason: Reason) -> OrderPlan {
    if posted.sale.is_some() {
        let error = reason.needs_attention();
        plan.failures.push(Failure { subject: Subject::Sale, error });
    } else {
        plan.steps.clear();
        plan.refunds.clear();
        plan.decision = Decision::Attention(reason);
    }
    plan
}

struct Planner<'a> {
    of: &'a Subjects<'a>,
    ground: &'a Ground<'a>,
    kind: DocumentKind,
    customer: CustomerKey,
    amounts: Amounts,
    plan: OrderPlan,
}

impl Planner<'_> {
    fn fail(&mut self, subject: Subject, error: Error) {
        self.plan.failures.push(Failure { subject, error });
    }

    fn create(&mut self, document: Document, after: Vec<Subject>) {
        let subject = document.subject;
        let ask_first = match subject {
            Subject::Sale if self.ground.settings.adopt => {
                numbers::adoptable(self.ground.settings, self.of.order)
            }
            _ => vec![],
        };
        let operation = Operation::Create { document: Box::new(document), ask_first };
        self.plan.steps.push(Step { subject, operation, after });
    }

    /// A date that the books are open on.
    fn open(&self, date: Date, what: &str) -> Result<Date, Reason> {
        match dates::open(date, self.ground.company, self.ground.settings) {
            Opened::On(date) => Ok(date),
            Opened::Closed { until } => Err(Reason::new(
                "closed_period",
                format!(
                    "{what} of order {} is dated {date}, and the books are closed to {until}",
                    self.of.order.number
                ),
                "Set closed_period to first_open_day, or open the books.",
            )),
        }
    }

    /// A document keeps the date that it was first written with.
    fn sale_date(&self) -> Result<Date, Reason> {
        match &self.of.posted.sale {
            Some(sale) => Ok(sale.txn_date),
            None => {
                let (order, ground) = (self.of.order, self.ground);
                let date = dates::of_sale(order, self.kind, ground.settings, ground.zone);
                self.open(date, "the sale")
            }
        }
    }

    fn sale(&mut self) -> Result<(), Reason> {
        let date = self.sale_date()?;
        let (order, amounts) = (self.of.order, self.amounts.clone());
        let document =
            documents::sale(order, self.kind, date, self.customer, amounts, self.ground)?;
        match &self.of.posted.sale {
            None => self.create(document, vec![]),
            // A status that needs attention leaves the document alone.
            Some(_) if !self.plan.failures.is_empty() => {}
            Some(sale) => self.changed(document, sale),
        }
        Ok(())
    }

    fn changed(&mut self, document: Document, posted: &PostedDocument) {
        let subject = document.subject;
        let number = &self.of.order.number;
        match compare::on_change(&document, posted, self.ground.company, number) {
            Change::Nothing => {}
            Change::Attention(reason) => self.fail(subject, reason.needs_attention()),
            Change::Update(changes) => {
                let (document, remote) = (Box::new(document), Box::new(posted.clone()));
                let operation = Operation::Update { document, remote, changes };
                self.plan.steps.push(Step { subject, operation, after: vec![] });
            }
        }
    }

    fn refunds(&mut self) {
        let of = self.of;
        self.vanished();
        let sale_date = match self.sale_date() {
            Ok(date) => date,
            Err(_) => return,
        };
        let (settings, company) = (self.ground.settings, self.ground.company);
        match refunds::of_order(of.order, &self.amounts, of.refunds, settings, company) {
            Err(reason) => self.fail(Subject::Sale, reason.needs_attention()),
            Ok(all) => {
                for (refund, amounts) in all {
                    let planned = amounts.and_then(|a| self.refund(refund, a, sale_date));
                    if let Err(reason) = planned {
                        let error = match reason.code {
                            "closed_period" => reason.blocked(),
                            _ => reason.needs_attention(),
                        };
                        self.fail(Subject::Refund(refund.id), error);
                    }
                }
            }
        }
    }

    /// Documents of refunds that are gone in the shop: they stay until somebody confirms.
    fn vanished(&mut self) {
        let of = self.of;
        for (id, document) in &of.posted.refunds {
            let refund = of.refunds.iter().find(|refund| refund.id == *id);
            if document.voided || refund.is_some_and(|refund| refund.deleted_at.is_none()) {
                continue;
            }
            let asked = refund.is_some_and(|refund| of.asked.contains(&refund.key()));
            let fixed = compare::fixed(document, self.ground.company);
            if asked && fixed.is_none() {
                self.deletion(*id, document);
                continue;
            }
            let why = fixed.map(|why| format!(", since {why}")).unwrap_or_default();
            let reason = Reason::new(
                "refund_vanished",
                format!(
                    "a refund of order {} is gone in the shop, and its {} stays{why}",
                    of.order.number, document.kind
                ),
                "easysync.retry_failure deletes the document once that is confirmed; or enter the \
                 refund again.",
            );
            self.fail(Subject::Refund(*id), reason.needs_attention());
            self.plan.refunds.push((document.kind, document.total));
        }
    }

    /// The Payment that applied a CreditMemo goes before it: QuickBooks deletes nothing that
    /// something is linked to (quickbooks.md, 4.3).
    fn deletion(&mut self, refund: i64, document: &PostedDocument) {
        let applied = self.of.posted.credits_applied.get(&refund);
        let applied = applied.map(|payment| (Subject::CreditApplied(refund), payment));
        let mut after = vec![];
        for (subject, remote) in applied.into_iter().chain([(Subject::Refund(refund), document)]) {
            let operation = Operation::Delete { remote: Box::new(remote.clone()) };
            self.plan.steps.push(Step { subject, operation, after: after.clone() });
            after.push(subject);
        }
    }

    fn refund(&mut self, refund: &Refund, amounts: Amounts, sale: Date) -> Result<(), Reason> {
        let (of, ground) = (self.of, self.ground);
        let posted = of.posted.refunds.get(&refund.id);
        let kind = posted.map_or_else(|| self.refund_kind(refund), |posted| posted.kind);
        let total = amounts.total;
        let date = match posted {
            Some(posted) => posted.txn_date,
            None => self.open(dates::of_refund(refund, sale, ground.zone), "a refund")?,
        };
        let document =
            documents::refund(of.order, refund, kind, date, self.customer, amounts, ground)?;
        self.plan.refunds.push((kind, total));
        match posted {
            Some(posted) => self.changed(document, posted),
            None => self.create(document, vec![Subject::Sale]),
        }
        let applied = of.posted.credits_applied.contains_key(&refund.id);
        if kind == DocumentKind::CreditMemo && !applied {
            let credit = Subject::Refund(refund.id);
            let application =
                documents::apply_credit(of.order, credit, total, date, self.customer, ground)?;
            self.create(application, vec![Subject::Sale, credit]);
        }
        Ok(())
    }

    /// RefundReceipt when the money was received, CreditMemo while the Invoice is open.
    fn refund_kind(&self, refund: &Refund) -> DocumentKind {
        let received = match (self.kind, &self.of.posted.sale, self.of.order.paid_at) {
            (DocumentKind::SalesReceipt, ..) => true,
            (_, Some(sale), _) if sale.balance == Some(Decimal::ZERO) => true,
            (_, _, Some(_)) if self.of.posted.payment.is_some() => true,
            (_, _, Some(paid)) => refund.created_at >= paid,
            (_, _, None) => false,
        };
        if received { DocumentKind::RefundReceipt } else { DocumentKind::CreditMemo }
    }

    /// The Payment is the open balance, not the order's total: credits are off it.
    fn payment(&mut self) {
        let (of, ground) = (self.of, self.ground);
        let Some(paid) = of.order.paid_at else { return };
        let settled = of.posted.payment.is_some() || !self.plan.failures.is_empty();
        if self.kind != DocumentKind::Invoice || settled {
            return;
        }
        let credits = self.credits_in_plan();
        let open = match &of.posted.sale {
            None => self.amounts.total - credits,
            Some(sale) => match sale.balance {
                Some(balance) => balance - credits,
                None => {
                    let operation = Operation::ReadBalance { remote: Box::new(sale.clone()) };
                    let step = Step { subject: Subject::Payment, operation, after: vec![] };
                    return self.plan.steps.push(step);
                }
            },
        };
        if open <= Decimal::ZERO {
            return self.paid_there();
        }
        let document = self
            .open(dates::day(paid, ground.zone), "the payment")
            .and_then(|date| documents::payment(of.order, open, date, self.customer, ground));
        match document {
            Ok(document) => {
                let mut after = vec![Subject::Sale];
                after.extend(self.plan.steps.iter().filter_map(|step| match step.subject {
                    Subject::CreditApplied(id) => Some(Subject::CreditApplied(id)),
                    _ => None,
                }));
                self.create(document, after);
            }
            Err(reason) => self.fail(Subject::Payment, reason.blocked()),
        }
    }

    /// The Invoice is settled. Its Payment is taken for the order's, or each plan would ask again.
    fn paid_there(&mut self) {
        let posted = self.of.posted;
        let applies_a_credit = |id: &String| {
            let applied = posted.credits_applied.values().chain(&posted.cancellation_applied);
            applied.into_iter().any(|document| document.remote_id == *id)
        };
        let payments = posted.sale.iter().flat_map(|sale| &sale.payments);
        if let Some(id) = payments.into_iter().find(|id| !applies_a_credit(id)) {
            let operation = Operation::Adopt { kind: DocumentKind::Payment, remote_id: id.clone() };
            self.plan.steps.push(Step { subject: Subject::Payment, operation, after: vec![] });
        }
    }

    /// Credits that this plan applies.
    fn credits_in_plan(&self) -> Decimal {
        let applied = self.plan.steps.iter().filter_map(|step| match &step.operation {
            Operation::Create { document, .. }
                if matches!(step.subject, Subject::CreditApplied(_)) =>
            {
                document.settles.first().map(|settles| settles.amount)
            }
            _ => None,
        });
        applied.sum()
    }

    fn is_cancelled(&self) -> bool {
        let gone = decide::status(self.of.order, self.ground.settings) == Ok(Status::Gone);
        gone && self.of.posted.sale.is_some() && self.plan.failures.is_empty()
    }

    /// The unpaid Invoice of an order that is gone.
    fn cancellation(&mut self) {
        let (of, ground) = (self.of, self.ground);
        let Some(sale) = &of.posted.sale else { return };
        let done = sale.voided || of.posted.cancellation_applied.is_some();
        if done {
            return;
        }
        let wanted = match ground.settings.cancel_unpaid {
            CancelUnpaid::Auto if ground.company.is_us() => CancelUnpaid::Void,
            CancelUnpaid::Auto => CancelUnpaid::CreditMemo,
            other => other,
        };
        let begun = of.posted.cancellation.is_some();
        let touched = sale.linked || sale.balance.is_some_and(|balance| balance != sale.total);
        let fixed =
            compare::fixed(sale, ground.company).or(touched.then_some("something is linked to it"));
        match (wanted, fixed) {
            (CancelUnpaid::Void, None) => {
                let operation = Operation::Void { remote: Box::new(sale.clone()) };
                self.plan.steps.push(Step { subject: Subject::Sale, operation, after: vec![] });
            }
            (CancelUnpaid::CreditMemo, None) => self.take_back(sale, begun),
            (_, why) => {
                let why = why.unwrap_or("settings leave it to a person");
                let reason = Reason::new(
                    "cancelled_with_document",
                    format!(
                        "order {} is cancelled or gone; its Invoice stays, since {why}",
                        of.order.number
                    ),
                    "Settle or void the Invoice in QuickBooks.",
                );
                self.fail(Subject::Sale, reason.needs_attention());
            }
        }
    }

    fn take_back(&mut self, sale: &PostedDocument, begun: bool) {
        let (of, ground) = (self.of, self.ground);
        let date = sale.txn_date;
        let credit = Subject::Cancellation;
        let made =
            documents::cancellation(of.order, date, self.customer, self.amounts.clone(), ground)
                .and_then(|memo| {
                    let total = sale.total;
                    let applied = documents::apply_credit(
                        of.order,
                        credit,
                        total,
                        date,
                        self.customer,
                        ground,
                    )?;
                    Ok((memo, applied))
                });
        match made {
            Ok((memo, applied)) => {
                if !begun {
                    self.create(memo, vec![]);
                }
                self.create(applied, vec![credit]);
            }
            Err(reason) => self.fail(credit, reason.needs_attention()),
        }
    }
}
