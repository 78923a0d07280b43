//! Time as an input.
//!
//! Every decision is handed `now`; every wait goes through [`Clock::sleep_until`], so that a test
//! which moves the [`ManualClock`] also fires the timers. Two clocks are kept apart: the wall clock
//! (UTC, may jump) for due times, and [`Clock::monotonic`] (never goes back) for lease deadlines and
//! durations.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use tokio::sync::watch;

/// An instant in UTC, in whole microseconds: the finest that both databases keep.
pub type Timestamp = DateTime<Utc>;

/// Where time comes from.
#[async_trait]
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The wall clock, UTC, in whole microseconds.
    fn now(&self) -> Timestamp;

    /// Time since an arbitrary start that never goes back, whatever the wall clock does.
    fn monotonic(&self) -> Duration;

    /// Returns once [`Clock::now`] has reached `at`; at once if it already has.
    async fn sleep_until(&self, at: Timestamp);

    /// Returns once [`Clock::monotonic`] has moved on by `duration`.
    async fn sleep(&self, duration: Duration);
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    started: std::time::Instant,
}

impl SystemClock {
    pub fn shared() -> Arc<dyn Clock> {
        Arc::new(Self {
            started: std::time::Instant::now(),
        })
    }
}

/// The longest single sleep: after it the wall clock is read again, so that a jump of the clock
/// delays no due work by more than this.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

#[async_trait]
impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the system clock"
    )]
    fn now(&self) -> Timestamp {
        whole_micros(Utc::now())
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    async fn sleep_until(&self, at: Timestamp) {
        while let Ok(wait) = (at - self.now()).to_std() {
            if wait.is_zero() {
                return;
            }
            tokio::time::sleep(wait.min(LONGEST_SLEEP)).await;
        }
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// A clock that stands still until it is moved. For tests and for replaying an outage.
#[derive(Debug)]
pub struct ManualClock {
    state: Mutex<ManualState>,
    moved: watch::Sender<()>,
}

#[derive(Debug)]
struct ManualState {
    now: Timestamp,
    elapsed: Duration,
}

impl ManualClock {
    pub fn starting_at(now: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(ManualState {
                now: whole_micros(now),
                elapsed: Duration::ZERO,
            }),
            moved: watch::Sender::new(()),
        })
    }

    /// Lets time pass: both clocks advance and every timer that became due fires.
    pub fn advance(&self, by: Duration) {
        {
            let mut state = self.lock();
            state.now += TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
            state.elapsed += by;
        }
        self.moved.send_replace(());
    }

    /// Sets the wall clock alone, as an operator or NTP does; it may go back.
    pub fn jump_to(&self, now: Timestamp) {
        self.lock().now = whole_micros(now);
        self.moved.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, ManualState> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.lock().now
    }

    fn monotonic(&self) -> Duration {
        self.lock().elapsed
    }

    async fn sleep_until(&self, at: Timestamp) {
        let mut moved = self.moved.subscribe();
        while self.now() < at {
            // An error means that the clock is gone, and with it the daemon: nothing to wait for.
            if moved.changed().await.is_err() {
                return;
            }
        }
    }

    async fn sleep(&self, duration: Duration) {
        let mut moved = self.moved.subscribe();
        let until = self.monotonic() + duration;
        while self.monotonic() < until {
            if moved.changed().await.is_err() {
                return;
            }
        }
    }
}

fn whole_micros(at: Timestamp) -> Timestamp {
    at.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn advancing_the_manual_clock_fires_a_sleeper() {
        let clock = ManualClock::starting_at(DateTime::UNIX_EPOCH);
        let until = clock.now() + TimeDelta::hours(1);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(until).await }
        });
        clock.advance(Duration::from_secs(3600));
        sleeper.await.expect("the sleeper ends");
    }
}
