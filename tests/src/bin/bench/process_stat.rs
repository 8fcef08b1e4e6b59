//! Memory and processor time of a process, from `/proc`.

use anyhow::{Context, Result};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Private and file-backed memory in KiB; shared memory (Postgres' buffers) isn't counted.
pub fn own_memory_kib(pid: i32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| -> Option<u64> {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    let anon = field("RssAnon:").context("RssAnon")?;
    Ok(anon + field("RssFile:").context("RssFile")?)
}

/// Processor time used so far by all threads.
pub fn cpu_time(pid: i32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may hold spaces and brackets: fields are counted after its last bracket.
    let after = stat.rsplit_once(')').context("stat")?.1;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks = |index: usize| -> Result<u64> { Ok(fields.get(index).context("stat")?.parse()?) };
    // utime and stime, in ticks of a hundredth of a second (USER_HZ is 100 on Linux).
    Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
}

/// Watches the memory of a process from a thread of its own.
pub struct MemoryWatch {
    stop: Arc<AtomicBool>,
    most: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl MemoryWatch {
    pub fn start(pid: i32) -> Self {
        let (stop, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, seen) = (stop.clone(), most.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if let Ok(kib) = own_memory_kib(pid) {
                    seen.fetch_max(kib, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self { stop, most, thread }
    }

    /// The most that was seen, in KiB.
    pub fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        // A watch that died has seen nothing: that shows as 0.
        let _ = self.thread.join();
        self.most.load(Ordering::Relaxed)
    }
}
