//! A bookkeeper's desk: orders of a shop on one side, a company's books on the other. Each case is
//! one order and what becomes of it, stage by stage; all cases of a group go through a stage in one
//! pull and one push.

use crate::looks::money;
use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::books::Books;
use serde_json::{Value, json};

/// What somebody does, in the shop or in QuickBooks.
pub type Act = Box<dyn Fn(&mut Desk<'_>, &Order) -> Result<()>>;

/// Shop and books while an act is carried out.
pub struct Desk<'a> {
    pub bed: &'a mut Bed,
    pub books: &'a Books,
}

/// An order of the shop.
#[derive(Debug, Clone)]
pub struct Order {
    pub id: String,
}

/// One order through its life.
pub struct Case {
    name: &'static str,
    order: Value,
    stages: Vec<(Act, &'static [&'static str])>,
}

/// A case that begins with this order in the shop, and what becomes of it then: the documents in the
/// books, why it was skipped, and what a person is told.
pub fn case(name: &'static str, order: Value, gives: &'static [&'static str]) -> Case {
    Case { name, order, stages: vec![(nothing(), gives)] }
}

pub fn nothing() -> Act {
    Box::new(|_, _| Ok(()))
}

impl Case {
    /// What happens before the first push, once the order is there.
    pub fn after(mut self, act: Act) -> Case {
        self.stages[0].0 = act;
        self
    }

    /// What happens next, and what becomes of the order then.
    pub fn then(mut self, act: Act, gives: &'static [&'static str]) -> Case {
        self.stages.push((act, gives));
        self
    }
}

/// A company of its own for a group of cases.
pub struct Group {
    pub name: &'static str,
    pub preset: &'static str,
    /// Settings in place of the preset's.
    pub settings: Value,
    pub cases: Vec<Case>,
}

impl Group {
    /// `group/case` of each case, as `docs/reference/posting.md` names it.
    pub fn names(&self) -> Vec<String> {
        self.cases.iter().map(|case| format!("{}/{}", self.name, case.name)).collect()
    }
}

/// Carries all groups out in one shop, and lists everything that came out otherwise.
pub fn hold(name: &str, groups: Vec<Group>) -> Result<()> {
    with_bed(name, Setup::default(), |bed| {
        bed.connect_shop()?;
        // Each case is looked at, not the number of writes.
        bed.db.execute("select easysync.set_setting('confirm_threshold', '100000')", &[])?;
        let mut wrong = vec![];
        for group in &groups {
            let books = Books::found(bed, group.name, group.preset, &group.settings)
                .with_context(|| group.name)?;
            wrong.extend(hold_group(&mut Desk { bed, books: &books }, group)?);
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    })
}

fn hold_group(desk: &mut Desk<'_>, group: &Group) -> Result<Vec<String>> {
    let mut orders = vec![];
    for case in &group.cases {
        let made = desk.bed.simulator.post("/woocommerce/orders", &case.order);
        let made = made.with_context(|| case.name)?;
        orders.push(Order { id: made["id"].to_string() });
    }
    let mut wrong = vec![];
    let stages = group.cases.iter().map(|case| case.stages.len()).max().unwrap_or(0);
    for stage in 0..stages {
        let of_stage =
            |(case, order): (&'_ Case, Order)| (case.stages.len() > stage).then_some(order);
        let here: Vec<Order> =
            group.cases.iter().zip(orders.iter().cloned()).filter_map(of_stage).collect();
        for (case, order) in group.cases.iter().zip(&orders) {
            if let Some((act, _)) = case.stages.get(stage)
                && let Err(error) = act(desk, order)
            {
                let name = (group.name, case.name);
                wrong.push(format!("{name:?}, stage {stage}: {error:#}"));
            }
        }
        let sync_id = desk.sync(&here)?;
        for (case, order) in group.cases.iter().zip(&orders) {
            let Some((_, gives)) = case.stages.get(stage) else { continue };
            let told = desk.told(order, sync_id)?;
            if let Err(error) = desk.agrees_to_the_cent(order, &told) {
                let name = (group.name, case.name);
                wrong.push(format!("{name:?}, stage {stage}: {error:#}"));
            }
            if told != *gives {
                wrong.push(format!(
                    "{}, {} (order {}), stage {stage}: {told:?}, expected {gives:?}",
                    group.name, case.name, order.id
                ));
            }
        }
    }
    Ok(wrong)
}

impl Desk<'_> {
    /// Brings these orders into the hub.
    pub fn pull(&mut self, orders: &[Order]) -> Result<()> {
        let ids: Vec<&str> = orders.iter().map(|order| order.id.as_str()).collect();
        let trigger = "select easysync.trigger('orders', connection => $1, ids => $2)";
        let pull: i64 = self.bed.db.query_one(trigger, &[&"shop", &ids])?.get(0);
        let run = self.bed.wait(pull)?;
        ensure!(run.status == "succeeded", "{run:?}");
        Ok(())
    }

    /// Pulls these orders and pushes them.
    fn sync(&mut self, orders: &[Order]) -> Result<i64> {
        self.pull(orders)?;
        let ids: Vec<&str> = orders.iter().map(|order| order.id.as_str()).collect();
        let trigger = "select easysync.trigger('orders', connection => $1, ids => $2)";
        let push: i64 = self.bed.db.query_one(trigger, &[&self.books.name, &ids])?.get(0);
        let run = self.books.wait(self.bed, push)?;
        ensure!(matches!(run.status.as_str(), "succeeded" | "partial" | "failed"), "{run:?}");
        ensure!(run.error_code.is_none(), "{run:?}");
        Ok(push)
    }

    /// The order's documents, why it was skipped, and what a person is told.
    fn told(&mut self, order: &Order, sync_id: i64) -> Result<Vec<String>> {
        let mut told: Vec<String> = self.documents(order)?.iter().map(shown).collect();
        told.sort();
        let skipped = self.bed.text(&format!(
            "select regexp_replace(reason, '^order [^ ]+ ', 'skipped: ') from easysync.sync_changes
              where sync_id = {sync_id} and record_id = '{}' and status = 'skipped'",
            order.id
        ))?;
        told.extend(skipped);
        told.extend(self.failures(order)?);
        Ok(told)
    }

    /// Failed records of the order and its refunds. A person can do something with each: its
    /// message says what and where, its hint what to do.
    fn failures(&mut self, order: &Order) -> Result<Vec<String>> {
        let rows = self.bed.db.query(
            "select f.error_category, f.error_code, f.error_message, f.error_hint,
                    f.retryable or f.next_attempt_at is not null
               from easysync.sync_failures as f
              where f.connection = $1
                and (f.entity = 'orders' and f.record_id = $2
                     or f.entity = 'refunds' and f.record_id in (
                         select r.source_id from commerce.refunds as r
                         join commerce.orders as o on o.id = r.order_id where o.source_id = $2))
              order by f.entity, f.record_id",
            &[&self.books.name, &order.id],
        )?;
        let mut told = vec![];
        for row in rows {
            let (category, code): (String, String) = (row.get(0), row.get(1));
            let (message, hint): (String, Option<String>) = (row.get(2), row.get(3));
            let waits = matches!(category.as_str(), "needs_attention" | "blocked");
            ensure!(!(waits && row.get(4)), "order {}: {code} is tried again by itself", order.id);
            ensure!(category != "internal", "order {}: {code}: {message}", order.id);
            ensure!(message.len() > 20, "order {}: {code}: {message}", order.id);
            ensure!(
                hint.as_ref().is_some_and(|hint| hint.len() > 10),
                "order {}: {code}: no hint",
                order.id
            );
            eprintln!("order {}: {code}: {message}. {}", order.id, hint.unwrap_or_default());
            told.push(format!("{category}: {code}"));
        }
        Ok(told)
    }

    /// Documents that bear the order's number, or our mark of the order or one of its refunds.
    pub fn documents(&mut self, order: &Order) -> Result<Vec<Value>> {
        let refunds = self.bed.db.query(
            "select r.source_id from commerce.refunds as r
             join commerce.orders as o on o.id = r.order_id where o.source_id = $1",
            &[&order.id],
        )?;
        let mut marks = vec![format!(":order:{}", order.id)];
        marks.extend(refunds.iter().map(|row| format!(":refund:{}", row.get::<_, String>(0))));
        let list = self.books.get(self.bed, "documents/list")?;
        let number = format!("WC-{}", order.id);
        let named = |document: &&Value| {
            let theirs = document["doc_number"].as_str().unwrap_or_default();
            let note = document["private_note"].as_str().unwrap_or_default();
            let note = note.lines().next().unwrap_or_default();
            let bears = |m: &String| note.ends_with(m) || note.contains(&format!("{m}:"));
            theirs == number || theirs.starts_with(&format!("{number}-")) || marks.iter().any(bears)
        };
        Ok(list.as_array().context("documents")?.iter().filter(named).cloned().collect())
    }

    /// The order's document of a kind, as the API shows it.
    pub fn document(&mut self, order: &Order, kind: &str) -> Result<Value> {
        let all = self.documents(order)?;
        let found = all.iter().find(|document| document["type"] == kind);
        let found = found.with_context(|| format!("order {} has no {kind}: {all:?}", order.id))?;
        let id = found["id"].as_str().context("id")?;
        self.books.get(self.bed, &format!("records/{kind}/{id}"))
    }
}

impl Desk<'_> {
    /// The books' own ledger holds what the shop says: the sale comes to the order's total, each
    /// reversing document to its refund's amount. Not asked where a person is told of a difference.
    fn agrees_to_the_cent(&mut self, order: &Order, told: &[String]) -> Result<()> {
        if told.iter().any(|line| line.contains(": ") && !line.starts_with("skipped")) {
            return Ok(());
        }
        let documents = self.documents(order)?;
        let rest = self.bed.simulator.rest()?;
        let total = |document: &Value| document["total"].as_str().unwrap_or_default().to_owned();
        let of_kind = |kinds: [&str; 2]| -> Vec<&Value> {
            let kind = |d: &&Value| kinds.iter().any(|kind| d["type"] == *kind);
            documents.iter().filter(kind).filter(|d| d["voided"] != json!(true)).collect()
        };
        let sales = of_kind(["SalesReceipt", "Invoice"]);
        let [sale] = sales[..] else {
            ensure!(sales.is_empty(), "order {} has several sales: {sales:?}", order.id);
            return Ok(());
        };
        let shown = rest.get(&format!("orders/{}?dp=2", order.id))?;
        let owed = money(&shown["total"]);
        ensure!(total(sale) == owed, "order {} comes to {owed}: {sale}", order.id);
        let refunds = rest.get(&format!("orders/{}/refunds?dp=2", order.id))?;
        let refunds = refunds.as_array().context("refunds")?;
        let reversed = of_kind(["RefundReceipt", "CreditMemo"]);
        for refund in refunds {
            let number = format!("-R{}", refund["id"]);
            let ends = |d: &&&Value| d["doc_number"].as_str().is_some_and(|n| n.ends_with(&number));
            let document = reversed.iter().find(ends).with_context(|| format!("no {number}"))?;
            let amount = money(&refund["amount"]);
            ensure!(total(document) == amount, "refund {} of {amount}: {document}", refund["id"]);
        }
        let own = |d: &&&Value| d["doc_number"].as_str().is_some_and(|n| n.contains("-R"));
        ensure!(reversed.iter().filter(own).count() == refunds.len(), "too many: {reversed:?}");
        Ok(())
    }
}

/// `Invoice 20.00 open 5.00`
fn shown(document: &Value) -> String {
    let text = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
    let kind = text("type");
    if document["voided"] == json!(true) {
        return format!("{kind} voided");
    }
    let open = match (kind.as_str(), text("balance").as_str()) {
        ("Invoice" | "CreditMemo", balance) if balance != "0.00" => format!(" open {balance}"),
        _ => String::new(),
    };
    format!("{kind} {}{open}", text("total"))
}
