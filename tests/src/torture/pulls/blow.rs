//! The ways in which things break.

use super::Torture;
use crate::bed::Bed;
use crate::cluster::Stop;
use crate::torture::breaking;
use anyhow::Result;
use fastrand::Rng;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// One way in which things break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    WorkerKilled,
    WorkerTerminated,
    WorkerCancelled,
    ServerStoppedAtOnce,
    ServerStoppedFast,
    ConnectionsReset,
    AnswersTruncated,
    ShopDown,
    ShopThrottles,
    TriggerRefuses,
    DiskFull,
    SyncCancelled,
}

const ALL: [Blow; 12] = [
    Blow::WorkerKilled,
    Blow::WorkerTerminated,
    Blow::WorkerCancelled,
    Blow::ServerStoppedAtOnce,
    Blow::ServerStoppedFast,
    Blow::ConnectionsReset,
    Blow::AnswersTruncated,
    Blow::ShopDown,
    Blow::ShopThrottles,
    Blow::TriggerRefuses,
    Blow::SyncCancelled,
    Blow::DiskFull,
];

impl Blow {
    /// The last one of the list needs a small disk.
    pub fn draw(random: &mut Rng, disk: bool) -> Self {
        ALL[random.usize(..if disk { ALL.len() } else { ALL.len() - 1 })]
    }

    pub fn name(self) -> &'static str {
        match self {
            Blow::WorkerKilled => "kill -9 of the worker",
            Blow::WorkerTerminated => "pg_terminate_backend on the worker",
            Blow::WorkerCancelled => "pg_cancel_backend on the worker",
            Blow::ServerStoppedAtOnce => "immediate stop of the server",
            Blow::ServerStoppedFast => "fast stop of the server",
            Blow::ConnectionsReset => "connections reset",
            Blow::AnswersTruncated => "answers cut off",
            Blow::ShopDown => "the shop answers 500 with HTML",
            Blow::ShopThrottles => "the shop answers 429",
            Blow::TriggerRefuses => "an application's trigger refuses rows",
            Blow::DiskFull => "the disk is full",
            Blow::SyncCancelled => "the sync is cancelled",
        }
    }

    pub(super) fn strike(self, torture: &mut Torture) -> Result<()> {
        match self {
            Blow::WorkerKilled => kill_worker(torture),
            Blow::WorkerTerminated => {
                breaking::signal_worker(&mut torture.bed, "pg_terminate_backend")
            }
            Blow::WorkerCancelled => breaking::signal_worker(&mut torture.bed, "pg_cancel_backend"),
            Blow::ServerStoppedAtOnce => stop_and_start(torture, Stop::Immediate),
            Blow::ServerStoppedFast => stop_and_start(torture, Stop::Fast),
            Blow::ConnectionsReset => some_calls(torture, "reset", json!({})),
            Blow::AnswersTruncated => some_calls(torture, "truncate", json!({"bytes": 900})),
            Blow::ShopDown => {
                let page = json!({"status": 500, "body": "<html>There has been a critical error"});
                some_calls(torture, "answer", page)
            }
            Blow::ShopThrottles => {
                let page = json!({"status": 429, "headers": {"Retry-After": "1"}, "body": "{}"});
                some_calls(torture, "answer", page)
            }
            Blow::TriggerRefuses => refuse_rows(torture),
            Blow::DiskFull => fill_disk(torture),
            Blow::SyncCancelled => breaking::cancel_syncs(&mut torture.bed),
        }
    }
}

fn kill_worker(torture: &mut Torture) -> Result<()> {
    let killed = breaking::kill_worker(&mut torture.bed)?;
    torture.crashes_wanted += usize::from(killed);
    Ok(())
}

fn stop_and_start(torture: &mut Torture, mode: Stop) -> Result<()> {
    let took = breaking::stop_and_start(&mut torture.bed, mode)?;
    if mode == Stop::Fast {
        torture.report.slowest_stop = torture.report.slowest_stop.max(took);
    }
    Ok(())
}

/// The next few calls go wrong, or some of many.
fn some_calls(torture: &mut Torture, fault: &str, arguments: Value) -> Result<()> {
    let matching = match torture.random.bool() {
        true => json!({"count": torture.random.u64(1..=6)}),
        false => json!({"probability": 0.4, "seed": torture.random.u32(..), "count": 30}),
    };
    torture.bed.simulator.fault(fault, arguments, matching)?;
    std::thread::sleep(Duration::from_millis(torture.random.u64(20..400)));
    Ok(())
}

/// An application that won't have certain orders in its hub, for a while.
fn refuse_rows(torture: &mut Torture) -> Result<()> {
    let remainder = torture.random.u32(..7);
    torture.bed.db.batch_execute(&format!(
        "create or replace function public.refuse() returns trigger language plpgsql as $$
         begin
             if new.source_id::bigint % 7 = {remainder} then
                 raise exception 'not this one' using errcode = 'check_violation';
             end if;
             return new;
         end $$;
         create or replace trigger refuse before insert or update on commerce.orders
         for each row execute function public.refuse()"
    ))?;
    std::thread::sleep(Duration::from_millis(torture.random.u64(20..400)));
    Ok(())
}

pub fn end_refusals(bed: &mut Bed) -> Result<()> {
    bed.db.batch_execute("drop trigger if exists refuse on commerce.orders")?;
    Ok(())
}

fn fill_disk(torture: &mut Torture) -> Result<()> {
    let wait = Duration::from_millis(torture.random.u64(50..500));
    let Some(disk) = &torture.disk else { return Ok(()) };
    disk.fill()?;
    let began = Instant::now();
    // Something has to be written meanwhile: every order has another date.
    torture.bed.simulator.post("/woocommerce/orders/touch", &json!({}))?;
    torture.bed.db.execute("select easysync.trigger('orders', 'full')", &[])?;
    std::thread::sleep(wait.saturating_sub(began.elapsed()));
    disk.free()
}
