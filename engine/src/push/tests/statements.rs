//! What a push promises, with books that fail in every way.

use super::books::{Books, Fault};
use crate::clock::Clock;
use crate::model::{Direction, Entity, Mode};
use crate::plan::Status;
use crate::push::{End, Push};
use crate::store::{Connection, DeletePolicy, Filters, Run, Secret, Step, Stream};
use crate::testing::MemHub;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Time that goes on only when somebody sleeps.
#[derive(Default)]
struct TestClock(std::sync::Mutex<Timestamp>);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn sleep(
        &self,
        wait: Duration,
    ) -> std::pin::Pin<Box<dyn std::future::Future<Output = ()> + Send + 'static>> {
        let mut now = self.0.lock().unwrap();
        *now = now.checked_add(wait).unwrap();
        Box::pin(std::future::ready(()))
    }
}

struct Bed {
    hub: Arc<MemHub>,
    books: Arc<Books>,
    clock: Arc<TestClock>,
}

impl Bed {
    fn new(threshold: u64, batch: usize) -> Bed {
        let clock = Arc::new(TestClock::default());
        Bed { hub: Arc::new(MemHub::new(threshold)), books: Arc::new(Books::new(batch)), clock }
    }

    fn push(&self) -> Push {
        let connection = Connection {
            tenant: "default".into(),
            name: "books".into(),
            connector: "quickbooks".into(),
            account: "realm".into(),
            settings: Value::Null,
            credentials: Secret::default(),
        };
        let stream = Stream {
            connection: Arc::new(connection),
            entity: Entity::Orders,
            direction: Direction::Push,
            filters: Filters::default(),
            delete_policy: DeletePolicy::Keep,
            rules: None,
        };
        self.hub.state().now = self.clock.now();
        Push {
            store: self.hub.clone(),
            target: self.books.clone(),
            clock: self.clock.clone(),
            cancel: CancellationToken::new(),
            run: Run {
                sync_id: 1,
                tenant: "default".into(),
                entity: Entity::Orders,
                mode: Mode::Incremental,
                connection: None,
                ids: None,
                filters: Filters::default(),
                resumed: false,
                dry_run: false,
                undoes: None,
                agreed: false,
            },
            step: Step { step: 1, stream, finished: false },
            replan: Default::default(),
        }
    }

    /// A new run over what is there.
    async fn run(&self) -> crate::Result<End> {
        {
            let mut state = self.hub.state();
            state.plan = None;
            state.changes.clear();
        }
        self.push().carry_out().await
    }

    fn order(&self, id: i64, customer: i64, total: &str) {
        let name = format!("customer {customer}");
        self.hub.put(Entity::Customers, json!({"id": customer, "name": name}));
        let number = id.to_string();
        let order = json!({"id": id, "number": number, "customer_id": customer, "total": total});
        self.hub.put(Entity::Orders, order);
    }

    fn sales(&self) -> usize {
        self.books.of_kind("Sale").len()
    }

    fn fault(&self, fault: Fault) {
        self.books.state.lock().unwrap().faults.push_back(fault);
    }
}

#[tokio::test]
async fn an_order_brings_its_customer_first_and_a_second_push_makes_no_call() {
    let bed = Bed::new(10, 30);
    bed.order(1, 7, "10.00");
    bed.order(2, 7, "20.00");
    assert!(matches!(bed.run().await.unwrap(), End::Done(counts) if counts.created == 3));
    let calls = bed.books.state.lock().unwrap().calls.clone();
    assert_eq!(calls, [vec!["customers:7"], vec!["orders:1", "orders:2"]]);
    let sale = &bed.books.of_kind("Sale")[0].1;
    assert_eq!(sale.body["CustomerRef"]["value"], "1");
    assert!(bed.hub.state().queue.is_empty());
    bed.run().await.unwrap();
    assert_eq!(bed.books.calls(), 2);
}

#[tokio::test]
async fn a_changed_order_updates_its_one_document() {
    let bed = Bed::new(10, 30);
    bed.order(1, 7, "10.00");
    bed.run().await.unwrap();
    bed.order(1, 7, "12.00");
    bed.run().await.unwrap();
    let sales = bed.books.of_kind("Sale");
    assert_eq!((sales.len(), sales[0].1.version), (1, 1));
    assert_eq!(sales[0].1.body["total"], "12.00");
}

#[tokio::test]
async fn a_dry_run_sends_nothing_and_claims_nothing() {
    let bed = Bed::new(0, 30);
    bed.order(1, 7, "10.00");
    let before = bed.hub.state().queue.clone();
    let mut push = bed.push();
    push.run.dry_run = true;
    assert!(matches!(push.carry_out().await.unwrap(), End::Done(_)));
    assert_eq!(bed.books.calls(), 0);
    let state = bed.hub.state();
    assert_eq!(state.changes.len(), 2);
    // Released, as nothing was claimed.
    assert_eq!(state.queue, before);
}

#[tokio::test]
async fn a_bulk_plan_waits_and_goes_on_once_the_same_plan_is_confirmed() {
    let bed = Bed::new(1, 30);
    bed.order(1, 7, "10.00");
    assert_eq!(bed.push().carry_out().await.unwrap(), End::Waits);
    assert_eq!(bed.books.calls(), 0);
    {
        let mut state = bed.hub.state();
        let plan = state.plan.as_mut().unwrap();
        plan.confirmed = 1;
        plan.confirmed_hash = Some(plan.hash.clone());
    }
    assert!(matches!(bed.push().carry_out().await.unwrap(), End::Done(_)));
    assert_eq!(bed.sales(), 1);
}

#[tokio::test]
async fn a_confirmation_is_worth_nothing_once_the_plan_has_moved() {
    let bed = Bed::new(1, 30);
    bed.order(1, 7, "10.00");
    assert_eq!(bed.push().carry_out().await.unwrap(), End::Waits);
    {
        let mut state = bed.hub.state();
        let plan = state.plan.as_mut().unwrap();
        plan.confirmed = 1;
        plan.confirmed_hash = Some(plan.hash.clone());
    }
    bed.order(1, 7, "99.00");
    assert_eq!(bed.push().carry_out().await.unwrap(), End::Waits);
    assert_eq!(bed.sales(), 0);
    assert_eq!(bed.hub.state().plan.as_ref().unwrap().confirmed, 0);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_by_the_same_request() {
    let bed = Bed::new(10, 30);
    bed.order(1, 7, "10.00");
    bed.fault(Fault::LostAnswer);
    bed.fault(Fault::LostAnswer);
    bed.run().await.unwrap();
    assert_eq!((bed.sales(), bed.books.of_kind("Customer").len()), (1, 1));
    assert_eq!(bed.hub.state().links.len(), 2);
}

#[tokio::test]
async fn calls_that_were_lost_go_out_again_until_somebody_answers() {
    let bed = Bed::new(10, 30);
    bed.order(1, 7, "10.00");
    // All that patience allows, and once more at the end of the step.
    for _ in 0..3 {
        bed.fault(Fault::LostCall);
    }
    bed.run().await.unwrap();
    assert_eq!(bed.books.of_kind("Customer").len(), 1);
    assert_eq!(bed.hub.state().queue.len(), 1);
    // The order waited for its customer by name.
    assert_eq!(bed.hub.state().blocked_by["WC-1"], "customer 7");
    bed.run().await.unwrap();
    assert_eq!((bed.sales(), bed.books.of_kind("Customer").len()), (1, 1));
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_document_where_request_ids_are_ignored() {
    let bed = Bed::new(10, 30);
    bed.books.state.lock().unwrap().forgets_requests = true;
    bed.order(1, 7, "10.00");
    for _ in 0..2 {
        bed.fault(Fault::LostAnswer);
    }
    bed.run().await.unwrap();
    assert_eq!((bed.sales(), bed.books.of_kind("Customer").len()), (1, 1));
}

#[tokio::test]
async fn a_server_that_dies_after_the_send_finds_the_document_and_adopts_it() {
    for later in [Duration::from_secs(1), Duration::from_secs(3600)] {
        for forgets in [false, true] {
            let bed = Bed::new(10, 30);
            bed.books.state.lock().unwrap().forgets_requests = forgets;
            bed.order(1, 7, "10.00");
            bed.order(2, 8, "10.00");
            bed.hub.state().dies_at_settlement = Some(1);
            assert!(bed.push().carry_out().await.is_err());
            bed.hub.state().dies_at_settlement = None;
            bed.clock.sleep(later).await;
            // The same run, taken up by the next worker.
            bed.push().carry_out().await.unwrap();
            assert_eq!((bed.sales(), bed.books.of_kind("Customer").len()), (2, 2));
            assert_eq!(bed.hub.state().links.len(), 4);
            assert!(bed.hub.state().queue.is_empty());
        }
    }
}

#[tokio::test]
async fn what_never_arrived_stays_planned_and_the_step_says_why() {
    let bed = Bed::new(10, 30);
    bed.order(1, 7, "10.00");
    bed.fault(Fault::NotSent);
    let error = bed.run().await.unwrap_err();
    assert_eq!(error.code, "timeout");
    assert_eq!(bed.hub.state().changes[&1].status, Status::Planned);
    assert!(bed.hub.state().queue.values().all(|e| e.status == "waiting"));
    bed.run().await.unwrap();
    assert_eq!(bed.sales(), 1);
}

#[tokio::test]
async fn a_refused_customer_holds_back_its_order_by_name_and_no_other() {
    let bed = Bed::new(10, 1);
    bed.order(1, 7, "10.00");
    bed.order(2, 8, "20.00");
    bed.fault(Fault::RefuseFirst);
    assert!(matches!(bed.run().await.unwrap(), End::Done(counts) if counts.failed == 2));
    let state = bed.hub.state();
    assert_eq!(state.blocked_by.get("WC-1").map(String::as_str), Some("customer 7"));
    assert_eq!(bed.books.of_kind("Sale").len(), 1);
    assert_eq!(state.queue.keys().collect::<Vec<_>>(), [&(Entity::Orders, 1)]);
}

#[tokio::test]
async fn what_was_refused_is_asked_for_anew_and_gets_no_old_answer() {
    let bed = Bed::new(10, 1);
    bed.order(1, 7, "10.00");
    bed.fault(Fault::RefuseFirst);
    assert!(matches!(bed.run().await.unwrap(), End::Done(counts) if counts.failed == 2));
    // The reason is gone; the body is the same, and these books repeat answers, refusals too.
    bed.order(1, 7, "10.00");
    assert!(matches!(bed.run().await.unwrap(), End::Done(counts) if counts.failed == 0));
    assert_eq!(bed.books.of_kind("Sale").len(), 1);
}

#[tokio::test]
async fn a_document_that_a_person_edited_is_a_conflict_and_stays_as_it_is() {
    let bed = Bed::new(10, 30);
    bed.order(1, 7, "10.00");
    bed.run().await.unwrap();
    {
        let mut state = bed.books.state.lock().unwrap();
        let sale = state.records.values_mut().find(|r| r.kind == "Sale").unwrap();
        sale.version += 1;
        sale.body["memo"] = "by hand".into();
    }
    bed.order(1, 7, "12.00");
    bed.run().await.unwrap();
    assert_eq!(bed.books.of_kind("Sale")[0].1.body["total"], "10.00");
    assert_eq!(bed.hub.state().conflicts, 1);
}

#[tokio::test]
async fn a_version_that_moved_alone_is_rebased() {
    let bed = Bed::new(10, 30);
    bed.order(1, 7, "10.00");
    bed.run().await.unwrap();
    {
        let mut state = bed.books.state.lock().unwrap();
        state.records.values_mut().find(|r| r.kind == "Sale").unwrap().version += 5;
    }
    bed.order(1, 7, "12.00");
    bed.run().await.unwrap();
    assert_eq!(bed.books.of_kind("Sale")[0].1.body["total"], "12.00");
    assert!(bed.hub.state().failures.is_empty());
}

#[tokio::test]
async fn a_rebased_write_is_settled_and_never_goes_out_again() {
    let bed = Bed::new(10, 30);
    bed.order(1, 7, "10.00");
    bed.run().await.unwrap();
    {
        let mut state = bed.books.state.lock().unwrap();
        state.forgets_requests = true;
        state.records.values_mut().find(|r| r.kind == "Sale").unwrap().version += 5;
    }
    bed.order(1, 7, "12.00");
    let calls = bed.books.calls();
    bed.run().await.unwrap();
    bed.run().await.unwrap();
    // The stale one, and the one on the newer version.
    assert_eq!(bed.books.calls(), calls + 2);
    assert_eq!(bed.books.of_kind("Sale")[0].1.version, 6);
    assert!(bed.hub.state().calls.values().all(|call| call.status == "done"));
}

#[tokio::test]
async fn a_rebased_write_whose_answer_was_lost_ends_in_one_update() {
    for forgets in [false, true] {
        let bed = Bed::new(10, 30);
        bed.order(1, 7, "10.00");
        bed.run().await.unwrap();
        {
            let mut state = bed.books.state.lock().unwrap();
            state.forgets_requests = forgets;
            state.records.values_mut().find(|r| r.kind == "Sale").unwrap().version += 5;
            // The stale one is answered, the rebased one isn't.
            state.faults.extend([Fault::None, Fault::LostAnswer]);
        }
        bed.order(1, 7, "12.00");
        bed.run().await.unwrap();
        bed.run().await.unwrap();
        let calls = bed.books.calls();
        bed.run().await.unwrap();
        assert_eq!(bed.books.calls(), calls, "{forgets}");
        let sale = bed.books.of_kind("Sale")[0].1.clone();
        assert_eq!((sale.body["total"].as_str(), sale.version), (Some("12.00"), 6), "{forgets}");
        let state = bed.hub.state();
        assert!(state.failures.is_empty() && state.queue.is_empty(), "{forgets}");
        assert!(state.calls.values().all(|call| call.status == "done"), "{forgets}");
    }
}

#[tokio::test]
async fn a_server_that_dies_behind_a_rebased_write_goes_on_and_comes_to_an_end() {
    let bed = Bed::new(10, 30);
    bed.order(1, 7, "10.00");
    bed.run().await.unwrap();
    bed.books
        .state
        .lock()
        .unwrap()
        .records
        .values_mut()
        .find(|r| r.kind == "Sale")
        .unwrap()
        .version += 5;
    bed.order(1, 7, "12.00");
    // The write on the newer version is settled, the call that it stands for isn't.
    bed.hub.state().dies_at_settlement = Some(1);
    bed.run().await.unwrap_err();
    bed.hub.state().dies_at_settlement = None;
    bed.clock.sleep(Duration::from_secs(600)).await;
    // The worker that takes over, with the plan as it is.
    bed.push().carry_out().await.unwrap();
    let sale = bed.books.of_kind("Sale")[0].1.clone();
    assert_eq!((sale.body["total"].as_str(), sale.version), (Some("12.00"), 6));
    let state = bed.hub.state();
    assert!(state.failures.is_empty() && state.queue.is_empty());
    assert!(state.changes.values().all(|change| change.status == Status::Done));
}

#[tokio::test]
async fn verify_mode_asks_before_every_create() {
    let bed = Bed::new(10, 30);
    bed.order(1, 7, "10.00");
    bed.run().await.unwrap();
    // The server's last moments are lost: links, intents and plan.
    {
        let mut state = bed.hub.state();
        state.links.clear();
        state.calls.clear();
        state.verify = true;
    }
    bed.books.state.lock().unwrap().forgets_requests = true;
    bed.order(1, 7, "10.00");
    let calls = bed.books.calls();
    bed.run().await.unwrap();
    assert_eq!((bed.sales(), bed.books.calls()), (1, calls));
    assert_eq!(bed.hub.state().links.len(), 2);
}

#[tokio::test]
async fn a_sale_whose_link_was_lost_stays_what_it_was_first_written_as() {
    for verify in [false, true] {
        let bed = Bed::new(10, 30);
        bed.hub
            .put(Entity::Orders, json!({"id": 1, "number": "1", "total": "5.00", "paid": false}));
        bed.run().await.unwrap();
        assert_eq!(bed.books.of_kind("Bill").len(), 1);
        {
            let mut state = bed.hub.state();
            state.links.clear();
            state.calls.clear();
            state.verify = verify;
        }
        // Paid meanwhile: a sale that was never billed would be written as another kind.
        bed.hub.put(Entity::Orders, json!({"id": 1, "number": "1", "total": "5.00", "paid": true}));
        bed.run().await.unwrap();
        let bill = bed.books.of_kind("Bill")[0].1.clone();
        assert_eq!((bed.sales(), bed.books.of_kind("Bill").len()), (0, 1), "{verify}");
        assert_eq!(bill.body["paid"], true, "planned anew in the same run");
        let state = bed.hub.state();
        assert_eq!(state.links[&(Entity::Orders, 1)][0].remote_type, "Bill");
        assert!(state.failures.is_empty() && state.queue.is_empty(), "{verify}");
    }
}

#[tokio::test]
async fn a_number_of_somebody_elses_needs_a_person() {
    let bed = Bed::new(10, 30);
    bed.order(1, 7, "10.00");
    {
        let mut state = bed.books.state.lock().unwrap();
        let body = json!({"id": 999});
        let number = "WC-1".to_owned();
        state
            .records
            .insert(50, super::books::Stored { kind: "Sale".into(), version: 0, body, number });
    }
    bed.run().await.unwrap();
    let state = bed.hub.state();
    assert_eq!(state.failures[&(Entity::Orders, "1".into())].code, "6140");
    assert_eq!(bed.sales(), 1);
}

#[tokio::test]
async fn a_large_hub_is_planned_in_pages_and_sent_in_full_batches() {
    let bed = Bed::new(100_000, 30);
    for id in 1..=1000 {
        bed.order(id, id % 50 + 2000, "1.00");
    }
    bed.run().await.unwrap();
    assert_eq!(bed.sales(), 1000);
    assert!(bed.hub.state().most_saved <= 400);
    // 50 customers in two calls, 1000 orders in 34, at best; waves end in part-filled calls.
    assert!(bed.books.calls() <= 2 + 34 + 2, "{} calls", bed.books.calls());
}

#[tokio::test]
async fn what_changes_while_it_is_sent_stays_in_the_queue() {
    let bed = Bed::new(10, 30);
    bed.order(1, 7, "10.00");
    let push = bed.push();
    // Claimed now, changed before the end.
    let roots = [crate::push::store::Root { entity: Entity::Orders, linked_only: false }];
    let stream = push.step.stream.clone();
    let scope = crate::push::store::Scope::Queue;
    push.store.candidates(&push.run, &stream, &roots, &scope, None, 10).await.unwrap();
    bed.order(1, 7, "11.00");
    push.store.finish(&push.run, &push.step).await.unwrap();
    assert!(bed.hub.state().queue.contains_key(&(Entity::Orders, 1)));
}
