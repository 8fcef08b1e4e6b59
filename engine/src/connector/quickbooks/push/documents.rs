//! An order as changes: its documents, and before them the customer and items that they need.

use super::state::{self, document, posted, role};
use super::{Books, Ground, fields};
use crate::connector::quickbooks::kind::Kind;
use crate::connector::quickbooks::write::Ack;
use crate::error::{Category, Error, Result};
use crate::model::Entity;
use crate::plan::{Action, Booked, Draft, Key, Payload};
use crate::posting::compare::{self, FieldChange};
use crate::posting::decide::Decision;
use crate::posting::documents::{self, CustomerKey, Document, Subject};
use crate::posting::input::{self, Customer, Order, Product, Refund};
use crate::posting::plan::{self, Operation, OrderPlan, Step, Subjects};
use crate::posting::posted::{DocumentKind, Posted, PostedDocument};
use crate::posting::render::{self, Refs};
use crate::push::store::{Bundle, Link};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// Where a document counts in the summary of a plan.
fn booked(document: &Document) -> Booked {
    Booked { on: document.date, currency: document.currency.clone(), total: document.total }
}

/// An order with all that belongs to it.
pub(super) struct Sale {
    pub order: Order,
    pub refunds: Vec<Refund>,
    pub customer: Option<Customer>,
    pub products: Vec<(Product, usize)>,
    pub posted: Posted,
}

impl Sale {
    fn read(bundle: &Bundle, record: &str) -> Result<Sale> {
        #[derive(serde::Deserialize)]
        struct Count {
            #[serde(default)]
            same_sku: usize,
        }
        let refunds = bundle.refunds.iter().map(|text| input::row(text, "refunds"));
        let products = bundle.products.iter().map(|text| {
            let count: Count = input::row(text, "products")?;
            Ok((input::row(text, "products")?, count.same_sku.max(1)))
        });
        Ok(Sale {
            order: input::row(record, "orders")?,
            refunds: refunds.collect::<Result<_>>()?,
            customer: bundle.customer.as_deref().map(|t| input::row(t, "customers")).transpose()?,
            products: products.collect::<Result<_>>()?,
            posted: posted(&bundle.links),
        })
    }
}

impl Books {
    /// The changes of an order.
    pub(super) async fn draft_order(&self, bundle: &Bundle) -> Result<Vec<Draft>> {
        let Some(record) = &bundle.record else { return Ok(vec![]) };
        let mut ground = self.ground()?;
        let mut sale = Sale::read(bundle, record)?;
        let mut planned = self.plan_of(&sale, bundle, &ground);
        if is_refused(&planned)
            && let Some(now) = self.look_again().await?
        {
            ground = now;
            planned = self.plan_of(&sale, bundle, &ground);
        }
        if asks_for_the_sale(&planned) && self.look_at_sale(&mut sale).await? {
            planned = self.plan_of(&sale, bundle, &ground);
        }
        let strays = self.strays_of(&sale, bundle, &planned);
        if !strays.is_empty() {
            strays.iter().for_each(|(subject, there)| sale.posted.put(*subject, there.clone()));
            planned = self.plan_of(&sale, bundle, &ground);
            if asks_for_the_sale(&planned) && self.look_at_sale(&mut sale).await? {
                planned = self.plan_of(&sale, bundle, &ground);
            }
        }
        let labels = Labels { sale: &sale, bundle };
        let tie = |(subject, there): &(_, PostedDocument)| {
            labels.tie(*subject, there.kind, &there.remote_id)
        };
        let mut drafts: Vec<Draft> = strays.iter().map(tie).collect();
        match &planned.decision {
            Decision::Skip(reason) => drafts.push(labels.skip(reason.to_string())),
            Decision::Blocked(reason) => {
                drafts.push(labels.failed(Subject::Sale, reason.blocked()))
            }
            Decision::Attention(reason) => {
                drafts.push(labels.failed(Subject::Sale, reason.needs_attention()));
            }
            Decision::Post(_) => {}
        }
        for failure in &planned.failures {
            drafts.push(labels.failed(failure.subject, failure.error.clone()));
        }
        let failed: Vec<Subject> = planned.failures.iter().map(|failure| failure.subject).collect();
        for step in &planned.steps {
            // What can't be written twice under one key: its failure stands there.
            if !failed.contains(&step.subject) {
                self.draft_step(step, &labels, bundle, &ground, &mut drafts).await?;
            }
        }
        Ok(drafts)
    }

    fn plan_of(&self, sale: &Sale, bundle: &Bundle, ground: &Ground) -> OrderPlan {
        let subjects = Subjects {
            order: &sale.order,
            refunds: &sale.refunds,
            is_guest: sale.customer.as_ref().is_some_and(|customer| customer.is_guest),
            posted: &sale.posted,
            asked: &bundle.asked_refunds,
        };
        plan::order(&subjects, &posting_ground(ground, bundle))
    }

    fn strays_of(
        &self,
        sale: &Sale,
        bundle: &Bundle,
        planned: &OrderPlan,
    ) -> Vec<(Subject, PostedDocument)> {
        let strays = self.strays.get();
        strays.map(|all| all.of(sale, &bundle.source_account, planned)).unwrap_or_default()
    }

    /// Reads the sale before money is tied to it or it is taken back: its balance may have moved,
    /// and a person may have changed it.
    async fn look_at_sale(&self, sale: &mut Sale) -> Result<bool> {
        let Some(known) = &mut sale.posted.sale else { return Ok(false) };
        let kind = super::kind(known.kind.as_str())?;
        let Some(found) = self.api.get(kind, &known.remote_id).await? else { return Ok(false) };
        let sent = known.agreed.sent.clone();
        let mut now = state::read(known.kind, &found.record, sent)?;
        now.adopted = known.adopted;
        let drift = self.drift(known, &found.record).await?;
        now.edited = matches!(drift, compare::Drift::Conflict(_));
        let customer = now.agreed.answered["CustomerRef"].clone();
        now.agreed = known.agreed.clone();
        // A merge there moves it.
        now.agreed.answered["CustomerRef"] = customer;
        *known = now;
        Ok(true)
    }

    async fn draft_step(
        &self,
        step: &Step,
        labels: &Labels<'_>,
        bundle: &Bundle,
        ground: &Ground,
        drafts: &mut Vec<Draft>,
    ) -> Result<()> {
        match &step.operation {
            Operation::ReadBalance { .. } => {}
            Operation::Adopt { kind, remote_id } => {
                drafts.push(labels.tie(step.subject, *kind, remote_id));
            }
            Operation::Void { remote } => drafts.push(labels.void(step.subject, remote, bundle)),
            Operation::Delete { remote } => drafts.push(labels.deletion(step, remote, bundle)),
            Operation::Create { document, .. } => {
                let rendered = self.render(document, labels, bundle, ground, drafts).await?;
                drafts.push(labels.create(document, rendered, step));
            }
            Operation::Update { document, remote, changes } => {
                let rendered = self.render(document, labels, bundle, ground, drafts).await?;
                drafts.push(labels.update(document, remote, rendered, changes, bundle));
            }
        }
        Ok(())
    }

    /// The body, with what it needs planned before it.
    async fn render(
        &self,
        document: &Document,
        labels: &Labels<'_>,
        bundle: &Bundle,
        ground: &Ground,
        drafts: &mut Vec<Draft>,
    ) -> Result<Rendered> {
        let mut refs = Known::of(labels.sale);
        let mut needs = vec![];
        for id in document.products() {
            match self.item_for(id, labels.sale, bundle, ground) {
                Err(error) => return Ok(Err(error)),
                Ok((item, draft)) => {
                    needs.extend(Key::of_placeholder(&item));
                    drafts.extend(draft);
                    refs.items.insert(id, item);
                }
            }
        }
        let kept = labels.customer_of_sale();
        if let (CustomerKey::Customer(id), Some(kept)) = (document.customer, kept) {
            refs.customers.insert((id, document.currency.clone()), kept.to_owned());
        } else if let (CustomerKey::Customer(id), Some(customer)) =
            (document.customer, &labels.sale.customer)
        {
            match self.customer_for(customer, &document.currency, bundle, ground).await? {
                Err(error) => return Ok(Err(error)),
                Ok((remote, draft)) => {
                    needs.extend(Key::of_placeholder(&remote));
                    drafts.extend(draft);
                    refs.customers.insert((id, document.currency.clone()), remote);
                }
            }
        }
        for settles in &document.settles {
            needs.push(labels.key(settles.subject));
        }
        let mut body = render::body(document, &refs, &posting_ground(ground, bundle));
        if let (Ok(body), Some(kept)) = (&mut body, kept) {
            body["CustomerRef"] = json!({"value": kept});
        }
        if let (Ok(body), Some(account)) = (&mut body, labels.account_of_sale())
            && document.kind == DocumentKind::RefundReceipt
        {
            body["DepositToAccountRef"] = json!({"value": account});
        }
        Ok(body.map(|body| (body, needs)).map_err(|reason| reason.needs_attention()))
    }
}

/// A body with the keys that it refers to, or why there is none.
type Rendered = Result<(Value, Vec<Key>), Error>;

fn posting_ground<'a>(ground: &'a Ground, bundle: &'a Bundle) -> documents::Ground<'a> {
    documents::Ground {
        settings: &ground.settings,
        company: &ground.company,
        zone: &ground.zone,
        shop: &bundle.source_account,
    }
}

/// Is something refused for how the company is: its currencies, its closed books?
fn is_refused(plan: &OrderPlan) -> bool {
    let of_the_company = |error: &Error| {
        error.category == Category::Blocked || error.code == "changed_after_posting"
    };
    matches!(plan.decision, Decision::Blocked(_))
        || plan.failures.iter().any(|failure| of_the_company(&failure.error))
}

/// Does the plan touch the money of a sale that was posted in an earlier run?
fn asks_for_the_sale(plan: &OrderPlan) -> bool {
    plan.steps.iter().any(|step| match &step.operation {
        Operation::ReadBalance { .. } | Operation::Void { .. } => true,
        Operation::Create { .. } => step.subject == Subject::Cancellation,
        Operation::Update { .. } | Operation::Adopt { .. } | Operation::Delete { .. } => false,
    })
}

/// Ids, and placeholders for those that this plan makes.
struct Known<'a> {
    items: HashMap<i64, String>,
    customers: HashMap<(i64, String), String>,
    posted: &'a Posted,
    sale: &'a Sale,
}

impl<'a> Known<'a> {
    fn of(sale: &'a Sale) -> Known<'a> {
        Known { items: HashMap::new(), customers: HashMap::new(), posted: &sale.posted, sale }
    }
}

impl Refs for Known<'_> {
    fn item(&self, product: i64) -> Option<String> {
        self.items.get(&product).cloned()
    }

    fn customer(&self, customer: i64, currency: &str) -> Option<String> {
        self.customers.get(&(customer, currency.to_owned())).cloned()
    }

    fn document(&self, subject: Subject) -> Option<String> {
        let there = document(self.posted, subject).map(|document| document.remote_id.clone());
        there.or_else(|| Some(key(self.sale, subject).placeholder()))
    }
}

/// The plan's key of a document of an order.
fn key(sale: &Sale, subject: Subject) -> Key {
    let order = |part| Key::new(Entity::Orders, sale.order.id, part);
    match subject {
        Subject::Sale => order(""),
        Subject::Payment | Subject::Cancellation | Subject::CancellationApplied => {
            order(role(subject))
        }
        Subject::Refund(id) => Key::new(Entity::Refunds, id, ""),
        Subject::CreditApplied(id) => Key::new(Entity::Refunds, id, role(subject)),
    }
}

/// What the changes of an order are called.
struct Labels<'a> {
    sale: &'a Sale,
    bundle: &'a Bundle,
}

impl Labels<'_> {
    fn key(&self, subject: Subject) -> Key {
        key(self.sale, subject)
    }

    /// A change without content.
    fn empty(&self, subject: Subject, target: &str) -> Draft {
        let (entity, hub_id, record_id) = match subject {
            Subject::Refund(id) | Subject::CreditApplied(id) => {
                let refund = self.sale.refunds.iter().find(|refund| refund.id == id);
                let source = refund.and_then(|refund| refund.source_id.clone());
                (Entity::Refunds, id, source.unwrap_or_else(|| id.to_string()))
            }
            _ => (Entity::Orders, self.sale.order.id, self.bundle.record_id.clone()),
        };
        let label = format!("Order {}", self.sale.order.number);
        let draft = Draft::skip(self.key(subject), entity, hub_id, target, String::new());
        Draft { record_id, label, reason: None, ..draft }
    }

    fn skip(&self, reason: String) -> Draft {
        Draft { reason: Some(reason), ..self.empty(Subject::Sale, "SalesReceipt") }
    }

    fn failed(&self, subject: Subject, error: Error) -> Draft {
        let known = document(&self.sale.posted, subject).map(|document| document.kind.as_str());
        let target = known.unwrap_or(match subject {
            Subject::Sale => "SalesReceipt",
            Subject::Refund(_) => "RefundReceipt",
            Subject::Cancellation => "CreditMemo",
            _ => "Payment",
        });
        let reason = Some(error.message.clone());
        Draft { error: Some(error), reason, ..self.empty(subject, target) }
    }

    /// Whose the sale is in the books: what belongs to it is the same customer's, whoever the shop
    /// says has bought it by now.
    fn customer_of_sale(&self) -> Option<&str> {
        self.sale.posted.sale.as_ref()?.agreed.answered["CustomerRef"].as_str()
    }

    /// Where the sale's money went, whatever settings say by now: a refund takes it from there.
    fn account_of_sale(&self) -> Option<&str> {
        let posted = &self.sale.posted;
        let paid = [&posted.sale, &posted.payment].into_iter().flatten();
        let mut accounts =
            paid.filter_map(|document| document.agreed.answered["DepositToAccountRef"].as_str());
        accounts.next()
    }

    fn payload(&self, document: &Document, body: Value) -> Payload {
        let mut memo = json!({"role": role(document.subject), "wanted": compare::wanted(document)});
        if let Some(sale) = &self.sale.posted.sale {
            memo["sale"] = json!({"kind": sale.kind, "id": sale.remote_id});
        }
        Payload {
            number: document.number.clone(),
            total: (document.kind != DocumentKind::Payment).then_some(document.total),
            ..Payload::new(self.key(document.subject), body, memo)
        }
    }

    fn create(&self, document: &Document, rendered: Rendered, step: &Step) -> Draft {
        let empty = self.empty(document.subject, document.kind.as_str());
        let (body, mut needs) = match rendered {
            Ok(rendered) => rendered,
            Err(error) => return self.failed(document.subject, error),
        };
        needs.extend(step.after.iter().map(|subject| self.key(*subject)));
        let mut shown = compare::wanted(document);
        shown["TotalAmt"] = fields::amount(document.total);
        shown["TxnDate"] = json!(document.date.to_string());
        if let Some(number) = &document.number {
            shown["DocNumber"] = json!(number);
        }
        Draft {
            action: Action::Create,
            needs,
            fields: fields::of_new(&shown),
            payload: Some(self.payload(document, body)),
            booked: Some(booked(document)),
            ..empty
        }
    }

    fn update(
        &self,
        document: &Document,
        remote: &PostedDocument,
        rendered: Rendered,
        changes: &[FieldChange],
        bundle: &Bundle,
    ) -> Draft {
        let empty = self.empty(document.subject, document.kind.as_str());
        let (body, needs) = match rendered {
            Ok(rendered) => rendered,
            Err(error) => return self.failed(document.subject, error),
        };
        let mut body = compare::update_body(&body, document, remote);
        if let Some(members) = body.as_object_mut() {
            // The write puts them there, with the version that is then the newest.
            ["Id", "SyncToken", "sparse"].iter().for_each(|name| drop(members.remove(*name)));
        }
        let mut payload = self.payload(document, body);
        payload.memo["was"] = fields::amount(remote.total);
        payload.memo["money"] = json!(changes.iter().any(compare::is_money));
        at(&mut payload, remote, bundle);
        let (fields, payload) = (fields::of(changes.to_vec()), Some(payload));
        // What a person entered isn't written to until somebody confirms.
        let destructive = remote.adopted;
        let booked = Some(booked(document));
        Draft { action: Action::Update, destructive, needs, fields, payload, booked, ..empty }
    }

    /// A document that is there already gets its link.
    fn tie(&self, subject: Subject, kind: DocumentKind, remote_id: &str) -> Draft {
        let Key(key) = self.key(subject);
        let memo = json!({"role": role(subject)});
        let payload = Payload {
            remote_id: Some(remote_id.to_owned()),
            ..Payload::new(Key(format!("{key}:there")), json!({}), memo)
        };
        let empty = self.empty(subject, kind.as_str());
        Draft {
            key: payload.key.clone(),
            reason: Some(format!("{kind} {remote_id} is in QuickBooks already")),
            payload: Some(payload),
            ..empty
        }
    }

    fn deletion(&self, step: &Step, remote: &PostedDocument, bundle: &Bundle) -> Draft {
        let memo = json!({"role": role(step.subject)});
        let mut payload = Payload::new(self.key(step.subject), json!({}), memo);
        at(&mut payload, remote, bundle);
        Draft {
            action: Action::Delete,
            reason: Some("its refund is gone in the shop".into()),
            needs: step.after.iter().map(|subject| self.key(*subject)).collect(),
            payload: Some(payload),
            ..self.empty(step.subject, remote.kind.as_str())
        }
    }

    fn void(&self, subject: Subject, remote: &PostedDocument, bundle: &Bundle) -> Draft {
        let mut payload = Payload::new(
            self.key(subject),
            json!({}),
            json!({"role": role(subject), "wanted": remote.agreed.sent}),
        );
        at(&mut payload, remote, bundle);
        let change = json!({"old": fields::amount(remote.total), "new": "0.00"});
        let mut changes = Map::new();
        changes.insert("TotalAmt".into(), change);
        Draft {
            action: Action::Void,
            reason: Some("the order was cancelled unpaid".into()),
            fields: changes,
            payload: Some(payload),
            ..self.empty(subject, remote.kind.as_str())
        }
    }
}

/// Directs a payload at a record as it was just read.
pub(super) fn at_link(payload: &mut Payload, now: &Ack, link: Option<&Link>) {
    payload.remote_id = Some(now.id.clone());
    payload.version.clone_from(&now.sync_token);
    payload.revision = link.map_or(0, |link| link.revision);
}

/// Directs a payload at a document that is there.
fn at(payload: &mut Payload, remote: &PostedDocument, bundle: &Bundle) {
    let same = |link: &&Link| {
        link.remote_id == remote.remote_id
            && Kind::parse(&link.remote_type) == Kind::parse(remote.kind.as_str())
    };
    payload.remote_id = Some(remote.remote_id.clone());
    payload.version = Some(remote.sync_token.clone());
    payload.revision = bundle.links.iter().find(same).map_or(0, |link| link.revision);
}
