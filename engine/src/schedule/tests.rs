use super::*;
use crate::clock::Clock;
use crate::error::Result;
use crate::testing::SimClock;
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn locals(cron: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let slots = Slots::parse(cron, zone).unwrap();
    slots.after(at(after)).take(count).map(|slot| slot.at.to_string()).collect()
}

#[test]
fn a_time_that_does_not_exist_runs_once_right_after() {
    // Edmonton goes from 02:00 to 03:00 on 8 March 2026, at 09:00 UTC.
    let slots = locals("30 2 * * *", "America/Edmonton", "2026-03-07T12:00:00Z", 2);
    assert_eq!(slots, ["2026-03-08T09:00:00Z", "2026-03-09T08:30:00Z"]);
    let slots = locals("*/15 2,3 * * *", "America/Edmonton", "2026-03-08T08:59:00Z", 3);
    assert_eq!(slots, ["2026-03-08T09:00:00Z", "2026-03-08T09:15:00Z", "2026-03-08T09:30:00Z"]);
}

#[test]
fn a_time_that_happens_twice_runs_the_first_time() {
    // From 02:00 back to 01:00 on 1 November 2026, at 08:00 UTC.
    let slots = locals("30 1 * * *", "America/Edmonton", "2026-10-31T12:00:00Z", 2);
    assert_eq!(slots, ["2026-11-01T07:30:00Z", "2026-11-02T08:30:00Z"]);
    // Asked in the middle of the second 01:30.
    let slots = locals("30 1 * * *", "America/Edmonton", "2026-11-01T08:29:59Z", 1);
    assert_eq!(slots, ["2026-11-02T08:30:00Z"]);
}

#[test]
fn every_hour_means_every_hour_that_passes() {
    let slots = locals("0 * * * *", "America/Edmonton", "2026-11-01T06:30:00Z", 4);
    let wanted = ["07", "08", "09", "10"].map(|hour| format!("2026-11-01T{hour}:00:00Z"));
    assert_eq!(slots, wanted);
    let slots = locals("0 * * * *", "America/Edmonton", "2026-03-08T07:30:00Z", 3);
    assert_eq!(slots, ["08", "09", "10"].map(|hour| format!("2026-03-08T{hour}:00:00Z")));
}

#[test]
fn a_step_of_hours_skips_nothing_and_doubles_nothing() {
    // Berlin: 02:00 is missing on 29 March, and happens twice on 25 October 2026.
    let slots = locals("0 */2 * * *", "Europe/Berlin", "2026-03-28T23:00:00Z", 2);
    assert_eq!(slots, ["2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"]);
    let slots = locals("0 */2 * * *", "Europe/Berlin", "2026-10-24T22:00:00Z", 2);
    assert_eq!(slots, ["2026-10-25T00:00:00Z", "2026-10-25T03:00:00Z"]);
}

#[test]
fn a_day_that_a_country_left_out_runs_once() {
    // Samoa had no 30 December 2011.
    let slots = locals("0 9,17 * * *", "Pacific/Apia", "2011-12-29T20:00:00Z", 3);
    assert_eq!(slots, ["2011-12-30T03:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T19:00:00Z"]);
}

#[test]
fn seconds_come_first_where_there_are_six_fields() {
    let slots = locals("*/20 0 12 * * *", "UTC", "2026-01-01T12:00:10Z", 3);
    assert_eq!(slots, ["2026-01-01T12:00:20Z", "2026-01-01T12:00:40Z", "2026-01-02T12:00:00Z"]);
}

#[test]
fn notes_say_what_a_clock_change_does() {
    let slots = Slots::parse("30 2 * * *", "America/Edmonton").unwrap();
    let note = |after: &str| slots.next_after(at(after)).unwrap().note;
    let missing = "02:30 doesn't exist: runs right after the clock change";
    assert_eq!(note("2026-03-07T12:00:00Z").as_deref(), Some(missing));
    assert_eq!(note("2026-03-08T12:00:00Z"), None);
    let hourly = Slots::parse("30 * * * *", "America/Edmonton").unwrap();
    let notes: Vec<_> =
        hourly.after(at("2026-11-01T07:00:00Z")).take(3).map(|slot| slot.note).collect();
    let twice = |which: &str| Some(format!("01:30 happens twice: the {which} one"));
    assert_eq!(notes, [twice("first"), twice("second"), None]);
}

#[test]
fn an_expression_that_can_not_be_is_told_by_its_field() {
    for (text, what) in [
        ("61 * * * *", "minute 61"),
        ("* 24 * * *", "hour 24"),
        ("0 0 0 * *", "day of month 0"),
        ("0 0 * 13 *", "month 13"),
        ("0 0 * * 8", "day of week 8"),
        ("99 * * * * *", "second 99"),
        ("* * * *", "4 fields"),
        ("@daily", "1 fields"),
        ("0 0 30 2 *", "no such day"),
        ("x * * * *", "minute x"),
    ] {
        let error = CronExpression::parse(text).unwrap_err();
        assert_eq!(error.message, format!("invalid cron expression \"{text}\": {what}"));
        assert_eq!(error.sqlstate(), "22023");
    }
    assert!(zone("Europe/Berlyn").is_err());
}

fn decided(missed: Missed, minutes_down: i64, limit: usize) -> (usize, usize) {
    let slots = Slots::parse("0 * * * *", "UTC").unwrap();
    let from = at("2026-05-01T00:10:00Z");
    let now = from + SignedDuration::from_mins(minutes_down);
    decide(&slots, from, now, missed, limit).map_or((0, 0), |d| (d.fire.len(), d.missed))
}

#[test]
fn missed_slots_run_once_or_not_or_all_up_to_the_limit() {
    // Three slots passed, the last of them ten minutes ago.
    assert_eq!(decided(Missed::RunOnce, 180, 24), (1, 3));
    assert_eq!(decided(Missed::Skip, 180, 24), (0, 3));
    assert_eq!(decided(Missed::RunAll, 180, 24), (3, 3));
    assert_eq!(decided(Missed::RunAll, 180, 2), (2, 3));
    // The third is due right now.
    assert_eq!(decided(Missed::RunOnce, 170, 24), (1, 2));
    assert_eq!(decided(Missed::Skip, 170, 24), (1, 2));
    assert_eq!(decided(Missed::Skip, 49, 24), (0, 0));
}

#[test]
fn a_year_of_seconds_is_decided_at_once() {
    let slots = Slots::parse("* * * * * *", "UTC").unwrap();
    let (from, now) = (at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00.5Z"));
    let decision = decide(&slots, from, now, Missed::RunAll, 24).unwrap();
    assert_eq!((decision.fire.len(), decision.missed), (24, 1000));
}

/// One schedule in memory.
struct Memory {
    schedule: Mutex<Scheduled>,
    fired: Mutex<Vec<Timestamp>>,
    looks: Mutex<usize>,
}

impl Memory {
    fn new(cron: &str, missed: Missed, decided: Timestamp) -> Arc<Self> {
        let schedule = Scheduled {
            tenant: "default".to_owned().into(),
            name: "orders_incremental".into(),
            cron: cron.into(),
            zone: "America/Edmonton".into(),
            missed,
            missed_limit: 24,
            decided,
        };
        Arc::new(Memory {
            schedule: Mutex::new(schedule),
            fired: Mutex::default(),
            looks: Mutex::default(),
        })
    }

    fn fired(&self) -> Vec<Timestamp> {
        self.fired.lock().unwrap().clone()
    }
}

#[async_trait]
impl ScheduleStore for Memory {
    async fn active_schedules(&self) -> Result<Vec<Scheduled>> {
        *self.looks.lock().unwrap() += 1;
        Ok(vec![self.schedule.lock().unwrap().clone()])
    }

    async fn fire(&self, firing: Firing) -> Result<()> {
        self.schedule.lock().unwrap().decided = firing.decided;
        self.fired.lock().unwrap().extend(firing.slots);
        Ok(())
    }

    async fn schedule_unreadable(&self, _: &Scheduled, error: &crate::Error) -> Result<()> {
        panic!("{error}");
    }

    async fn schedules_changed(&self) {
        std::future::pending().await
    }
}

/// A clock that can be set while somebody sleeps.
#[derive(Clone)]
struct SetClock {
    inner: SimClock,
    ahead: Arc<Mutex<SignedDuration>>,
    set: Arc<tokio::sync::Notify>,
}

impl SetClock {
    fn new(start: Timestamp) -> Self {
        SetClock { inner: SimClock::new(start), ahead: Arc::default(), set: Arc::default() }
    }

    fn set(&self, by: SignedDuration) {
        *self.ahead.lock().unwrap() += by;
        self.set.notify_waiters();
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        self.inner.now() + *self.ahead.lock().unwrap()
    }

    fn sleep(
        &self,
        wait: Duration,
    ) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        self.inner.sleep(wait)
    }

    fn sleep_until(
        &self,
        until: Timestamp,
    ) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        let wait = until.duration_since(self.now()).try_into().unwrap_or(Duration::ZERO);
        let (sleep, set) = (self.inner.sleep(wait), Arc::clone(&self.set));
        Box::pin(async move {
            tokio::select! { () = sleep => {}, () = set.notified() => {} }
        })
    }
}

fn start(clock: &SetClock, store: &Arc<Memory>) -> tokio::task::JoinHandle<()> {
    let scheduler = Scheduler {
        store: Arc::clone(store) as Arc<dyn ScheduleStore>,
        clock: Arc::new(clock.clone()),
    };
    tokio::spawn(scheduler.run())
}

#[tokio::test(start_paused = true)]
async fn slots_fire_on_time_and_nothing_happens_in_between() {
    let begin = at("2026-05-01T00:00:00Z");
    let (clock, store) = (SetClock::new(begin), Memory::new("30 * * * *", Missed::Skip, begin));
    let task = start(&clock, &store);
    clock.sleep(Duration::from_secs(86_400)).await;
    task.abort();
    assert_eq!(store.fired().len(), 24);
    // One look a slot and one an hour of sleep, at most; never a poll.
    assert!(*store.looks.lock().unwrap() <= 2 * 24 + 2);
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_forward_runs_what_was_missed_once() {
    let begin = at("2026-05-01T00:10:00Z");
    let (clock, store) = (SetClock::new(begin), Memory::new("0 * * * *", Missed::RunOnce, begin));
    let task = start(&clock, &store);
    clock.sleep(Duration::from_secs(60)).await;
    clock.set(SignedDuration::from_hours(5));
    clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(store.fired(), [at("2026-05-01T05:00:00Z")]);
    clock.sleep(Duration::from_secs(3600)).await;
    task.abort();
    assert_eq!(store.fired().len(), 2, "no storm: {:?}", store.fired());
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_neither_stalls_nor_storms() {
    let begin = at("2026-05-01T05:50:00Z");
    let (clock, store) = (SetClock::new(begin), Memory::new("0 * * * *", Missed::RunAll, begin));
    let task = start(&clock, &store);
    clock.sleep(Duration::from_secs(900)).await;
    assert_eq!(store.fired(), [at("2026-05-01T06:00:00Z")]);
    // From 06:05 to 01:05: the next slot is 02:00, not 07:00.
    clock.set(SignedDuration::from_hours(-5));
    clock.sleep(Duration::from_secs(3590)).await;
    task.abort();
    assert_eq!(store.fired(), [at("2026-05-01T06:00:00Z"), at("2026-05-01T02:00:00Z")]);
}

#[tokio::test(start_paused = true)]
async fn a_clock_corrected_by_seconds_repeats_no_slot() {
    let begin = at("2026-05-01T05:59:50Z");
    let (clock, store) = (SetClock::new(begin), Memory::new("0 * * * *", Missed::RunOnce, begin));
    let task = start(&clock, &store);
    clock.sleep(Duration::from_secs(11)).await;
    clock.set(SignedDuration::from_secs(-30));
    clock.sleep(Duration::from_secs(3500)).await;
    task.abort();
    assert_eq!(store.fired(), [at("2026-05-01T06:00:00Z")]);
}
