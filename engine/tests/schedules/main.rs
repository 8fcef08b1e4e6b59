//! Schedules over simulated years, against a reference that walks through every minute with Python's
//! zoneinfo (`reference.py`).

use engine::schedule::{Missed, Slots, decide};
use engine::testing::Dice;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::Write;
use std::process::{Command, Stdio};

/// Clocks that change in spring, in autumn, by half an hour, at midnight, for Ramadan, and never.
const ZONES: [&str; 10] = [
    "America/Edmonton",
    "America/New_York",
    "America/St_Johns",
    "America/Santiago",
    "Europe/Berlin",
    "Europe/London",
    "Africa/Casablanca",
    "Africa/Cairo",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
];

const CRONS: [&str; 16] = [
    "0 * * * *",
    "*/15 * * * *",
    "50 0-23 * * *",
    "0 */2 * * *",
    "30 */3 * * *",
    "15 0 * * *",
    "30 1 * * *",
    "0 2 * * *",
    "30 2 * * *",
    "*/20 2 * * *",
    "0 2,3 * * *",
    "0 0 * * *",
    "5 8-18/2 * * 1-5",
    "45 1 13 * 5",
    "0 3 29 2 *",
    "59 23 31 * 0,7",
];

#[derive(Serialize)]
struct Task {
    start: i64,
    end: i64,
    zones: Vec<&'static str>,
    crons: Vec<&'static str>,
    scenarios: Vec<Scenario>,
}

#[derive(Debug, Clone, Serialize)]
struct Scenario {
    zone: &'static str,
    cron: &'static str,
    missed: &'static str,
    limit: usize,
    overlap: &'static str,
    run_minutes: i64,
    down: Vec<(i64, i64)>,
}

#[derive(Deserialize)]
struct Reference {
    slots: HashMap<String, HashMap<String, Vec<i64>>>,
    runs: Vec<Vec<(i64, i64)>>,
}

fn ask(task: &Task) -> Reference {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schedules/reference.py");
    let mut python = Command::new("python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    let input = serde_json::to_vec(task).unwrap();
    python.stdin.take().unwrap().write_all(&input).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "the reference failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn minute(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_second() / 60
}

fn moment(minute: i64) -> Timestamp {
    Timestamp::from_second(minute * 60).unwrap()
}

/// A worker that is down now and then, for minutes or for days.
fn scenarios(start: i64, end: i64) -> Vec<Scenario> {
    let dice = Dice::new(2026);
    let schedules = [(ZONES[0], "0 * * * *"), (ZONES[4], "30 2 * * *"), (ZONES[8], "0 */2 * * *")];
    let mut made = vec![];
    for missed in ["run_once", "skip", "run_all"] {
        for overlap in ["skip", "queue"] {
            for (zone, cron) in schedules {
                let down = times_down(&dice, start, end);
                let run_minutes = dice.below(1..150) as i64;
                let limit = dice.below(1..24) as usize;
                made.push(Scenario { zone, cron, missed, limit, overlap, run_minutes, down });
            }
        }
    }
    made
}

fn times_down(dice: &Dice, start: i64, end: i64) -> Vec<(i64, i64)> {
    let mut down = vec![];
    let mut at = start;
    while at < end {
        let from = at + dice.below(1..12 * 1440) as i64;
        at = from + dice.below(1..3 * 1440) as i64;
        down.push((from, at));
    }
    down
}

/// The same worker, by our own rules.
fn runs(scenario: &Scenario, start: i64, end: i64) -> Vec<(i64, i64)> {
    let slots = Slots::parse(scenario.cron, scenario.zone).unwrap();
    let missed = Missed::parse(scenario.missed).unwrap();
    let (mut now, mut decided) = (start - 1, moment(start) - jiff::SignedDuration::from_secs(1));
    let (mut free_from, mut done) = (start, vec![]);
    loop {
        let next = slots.next_after(decided.max(moment(now))).unwrap();
        now = next.at.as_second() / 60;
        if let Some((_, up)) = scenario.down.iter().find(|(from, up)| (*from..*up).contains(&now)) {
            now = *up;
        }
        if now >= end {
            return done;
        }
        // Twice, where one time of being down follows on another.
        if scenario.down.iter().any(|(from, up)| (*from..*up).contains(&now)) {
            continue;
        }
        let Some(decision) = decide(&slots, decided, moment(now), missed, scenario.limit) else {
            panic!("{scenario:?}: nothing to decide at {}", moment(now));
        };
        decided = decision.until;
        if scenario.overlap == "skip" && free_from > now {
            continue;
        }
        for slot in decision.fire {
            done.push((now, slot.as_second() / 60));
            free_from = free_from.max(now) + scenario.run_minutes;
        }
    }
}

#[test]
fn two_years_in_ten_zones_fire_as_a_walk_through_every_minute_says() {
    let (start, end) = (minute("2026-01-01T00:00:00Z"), minute("2028-01-01T00:00:00Z"));
    let scenarios = scenarios(start, end);
    let task = Task {
        start,
        end,
        zones: ZONES.to_vec(),
        crons: CRONS.to_vec(),
        scenarios: scenarios.clone(),
    };
    let reference = ask(&task);
    let mut compared = 0;
    for zone in ZONES {
        for cron in CRONS {
            let slots = Slots::parse(cron, zone).unwrap();
            let from = moment(start) - jiff::SignedDuration::from_secs(1);
            let ours: Vec<i64> = slots
                .after(from)
                .map(|slot| slot.at.as_second() / 60)
                .take_while(|at| *at < end)
                .collect();
            let theirs = &reference.slots[zone][cron];
            let differ = ours.iter().zip(theirs).find(|(a, b)| a != b);
            let shown = differ.map(|(a, b)| (moment(*a), moment(*b)));
            assert_eq!(ours.len(), theirs.len(), "{cron} in {zone}: first difference {shown:?}");
            assert!(shown.is_none(), "{cron} in {zone}: {shown:?}");
            compared += ours.len();
        }
    }
    assert!(compared > 1_000_000, "only {compared} slots compared");
    for (scenario, theirs) in scenarios.iter().zip(&reference.runs) {
        assert!(theirs.len() > 100, "{scenario:?} hardly runs");
        assert_eq!(&runs(scenario, start, end), theirs, "{scenario:?}");
    }
}
