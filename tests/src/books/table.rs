//! The table at the end of the posting policy: what a push made of every order, by currency.

use super::{Books, Recorded};
use crate::bed::Bed;
use anyhow::{Context, Result, bail};
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use std::ops::AddAssign;

/// How many, and how much in total.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub count: i64,
    pub sum: Decimal,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.count += other.count;
        self.sum += other.sum;
    }
}

/// Tallies by reason or kind.
pub type Tallies = BTreeMap<String, Tally>;

/// One currency.
#[derive(Debug, Clone, Default)]
pub struct Row {
    pub orders: Tally,
    pub skipped: Tallies,
    pub blocked: Tallies,
    pub attention: Tallies,
    /// Sales documents by kind.
    pub posted: Tallies,
    /// Reversing documents by kind.
    pub refunds: Tallies,
    /// Orders of which the sync says nothing: there must be none.
    pub lost: Tallies,
}

/// The sum over all reasons or kinds.
pub fn total(tallies: &Tallies) -> Tally {
    let mut sum = Tally::default();
    tallies.values().for_each(|tally| sum += *tally);
    sum
}

impl Row {
    pub fn net(&self) -> Decimal {
        total(&self.posted).sum - total(&self.refunds).sum
    }

    fn part(&mut self, class: &str) -> Result<&mut Tallies> {
        Ok(match class {
            "skipped" => &mut self.skipped,
            "blocked" => &mut self.blocked,
            "attention" => &mut self.attention,
            "posted" => &mut self.posted,
            "refunded" => &mut self.refunds,
            "lost" => &mut self.lost,
            other => bail!("an order is {other}"),
        })
    }
}

/// All currencies.
#[derive(Debug, Clone, Default)]
pub struct Table(pub BTreeMap<String, Row>);

/// Every order once, by what its changes say; below, the refunds that have a document.
const OUTCOMES: &str = "
    with told as (
        select o.currency, o.total, o.status,
               min(c.target) filter (where c.status = 'done' and c.action = 'create'
                                       and c.target in ('SalesReceipt', 'Invoice')) as posted,
               min(c.reason) filter (where c.status = 'skipped') as skipped,
               min(c.error_code) filter (where c.error_category = 'blocked') as blocked,
               min(c.error_code) filter (where c.error_category = 'needs_attention') as attention
        from commerce.orders as o
        left join easysync.sync_changes as c
            on c.sync_id = $1 and c.entity = 'orders' and c.record_id = o.source_id
        group by o.tenant_id, o.id, o.currency, o.total, o.status)
    select currency,
           case when posted is not null then 'posted' when skipped is not null then 'skipped'
                when blocked is not null then 'blocked' when attention is not null then 'attention'
                else 'lost' end as class,
           coalesce(posted, status || ' ' || regexp_replace(skipped, '^order [^ ]+ ', ''), blocked,
                    attention, status) as label,
           count(*), sum(total)
    from told group by 1, 2, 3
    union all
    select o.currency, 'refunded', c.target, count(*), sum(r.amount)
    from commerce.refunds as r
    join commerce.orders as o on o.id = r.order_id
    join easysync.sync_changes as c
        on c.sync_id = $1 and c.entity = 'refunds' and c.record_id = r.source_id
       and c.status = 'done' and c.action = 'create' and c.target in ('RefundReceipt', 'CreditMemo')
    group by 1, 2, 3";

impl Table {
    /// What the first push into a company made of the hub's orders.
    pub fn of(bed: &mut Bed, sync_id: i64) -> Result<Table> {
        let mut table = Table::default();
        for row in bed.db.query(OUTCOMES, &[&sync_id]).context("outcomes")? {
            let (currency, class, label): (String, String, String) =
                (row.get(0), row.get(1), row.get(2));
            let tally = Tally { count: row.get(3), sum: row.get(4) };
            let of_currency = table.0.entry(currency).or_default();
            if class != "refunded" {
                of_currency.orders += tally;
            }
            *of_currency.part(&class)?.entry(label).or_default() += tally;
        }
        Ok(table)
    }

    /// Sales and reversing documents (zero Payments that apply credits aren't counted).
    pub fn documents(&self) -> i64 {
        self.0.values().map(|row| total(&row.posted).count + total(&row.refunds).count).sum()
    }

    pub fn blocked(&self) -> i64 {
        self.0.values().map(|row| total(&row.blocked).count).sum()
    }

    /// What is wrong with it: an order that is not accounted for, a document whose count or sum
    /// isn't the company's own, a figure that isn't the posting policy's.
    pub fn problems(&self, bed: &Bed, books: &Books, expected: &[Recorded]) -> Result<Vec<String>> {
        let mut problems = vec![];
        let mut check = |what: String, found: Tally, wanted: Tally| {
            if found != wanted {
                problems.push(format!("{what}: {found:?}, expected {wanted:?}"));
            }
        };
        for (currency, row) in &self.0 {
            let mut parts = total(&row.posted);
            for part in [&row.skipped, &row.blocked, &row.attention] {
                parts += total(part);
            }
            check(format!("{currency}: skipped, blocked, attention, posted"), parts, row.orders);
            check(format!("{currency}: not accounted for"), total(&row.lost), Tally::default());
            let Some(known) = expected.iter().find(|known| known.currency == currency) else {
                problems.push(format!("{currency}: not in the table of the posting policy"));
                return Ok(problems);
            };
            check(format!("{currency}: orders"), row.orders, known.orders);
            for (kind, wanted) in known.documents() {
                let ours = row.posted.get(kind).or(row.refunds.get(kind));
                let ours = ours.copied().unwrap_or_default();
                check(format!("{currency}: {kind}"), ours, wanted);
            }
            let net = Tally { count: 0, sum: row.net() };
            check(format!("{currency}: net"), net, Tally { count: 0, sum: known.net });
        }
        problems.extend(books.differences(bed, expected)?);
        Ok(problems)
    }
}
