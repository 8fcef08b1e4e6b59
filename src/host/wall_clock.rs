//! The machine's clock, with an alarm that follows it: a timerfd on CLOCK_REALTIME. Ordinary timers
//! count time that passes, which is something else once the clock is set or the machine slept.

use engine::clock::{Clock, SystemClock};
use jiff::Timestamp;
use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::pin::Pin;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The system's clock.
#[derive(Debug, Clone, Copy)]
pub struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    fn sleep(&self, wait: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        SystemClock.sleep(wait)
    }

    fn sleep_until(&self, until: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        Box::pin(async move {
            if alarm(until).await.is_err() {
                // No file descriptor left: half a minute of an ordinary timer, then a look.
                let wait =
                    until.duration_since(Timestamp::now()).try_into().unwrap_or(Duration::ZERO);
                tokio::time::sleep(wait.min(Duration::from_secs(30))).await;
            }
        })
    }
}

/// Resolves at the time, or when the clock is set.
async fn alarm(until: Timestamp) -> io::Result<()> {
    let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
    let timer = unsafe { libc::timerfd_create(libc::CLOCK_REALTIME, flags) };
    if timer < 0 {
        return Err(io::Error::last_os_error());
    }
    // Just opened, owned by nobody else.
    let timer = unsafe { OwnedFd::from_raw_fd(timer) };
    let at = libc::itimerspec {
        it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 },
        it_value: libc::timespec {
            tv_sec: until.as_second(),
            // Zero and zero would disarm it.
            tv_nsec: i64::from(until.subsec_nanosecond()).max(1),
        },
    };
    let mode = libc::TFD_TIMER_ABSTIME | libc::TFD_TIMER_CANCEL_ON_SET;
    let armed = unsafe {
        libc::timerfd_settime(timer.as_raw_fd(), mode, &raw const at, std::ptr::null_mut())
    };
    if armed < 0 {
        return Err(io::Error::last_os_error());
    }
    // Readable when it is time; also when the clock was set, which reading would tell apart.
    // Sound: an owned descriptor stays open for as long as it is registered.
    let timer = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }?;
    timer.readable().await.map(drop)
}
