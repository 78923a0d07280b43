//! Time as an input.
//!
//! Every decision is handed `now`; every wait goes through [`Clock::sleep_until`], so that a test
//! which moves the [`ManualClock`] also fires the timers. Two clocks are kept apart: the wall clock
//! (UTC, may jump) for due times, and [`Clock::monotonic`] (never goes back) for lease deadlines and
//! durations.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

    /// A clock that others share said `reading.now` at `reading.at`. A clock of a machine goes by it
    /// from then on; one that is moved by hand does not.
    fn follow(&self, reading: Reading) {
        let _ = reading;
    }
}

/// What another clock said, and when, as far as can be told.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    pub now: Timestamp,
    /// On our [`Clock::monotonic`].
    pub at: Duration,
    /// How far `at` may be off.
    pub uncertainty: Duration,
}

/// The machine's clock, until there is one to follow: then that one's time, kept by the machine's
/// monotonic clock, so that no jump of its wall clock is felt.
pub struct SystemClock {
    started: std::time::Instant,
    wall: Box<dyn Fn() -> Timestamp + Send + Sync>,
    /// What the followed clock said when the monotonic one began.
    origin: Mutex<Option<Timestamp>>,
}

impl std::fmt::Debug for SystemClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SystemClock")
            .field("now", &self.now())
            .finish_non_exhaustive()
    }
}

impl SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the system clock"
    )]
    pub fn shared() -> Arc<dyn Clock> {
        Self::of_wall_clock(Utc::now)
    }

    /// With another wall clock than the system's, such as one that is wrong.
    pub fn of_wall_clock(wall: impl Fn() -> Timestamp + Send + Sync + 'static) -> Arc<dyn Clock> {
        Arc::new(Self {
            started: std::time::Instant::now(),
            wall: Box::new(wall),
            origin: Mutex::new(None),
        })
    }

    fn origin(&self) -> MutexGuard<'_, Option<Timestamp>> {
        self.origin.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The longest single sleep: after it the wall clock is read again, so that a jump of the clock
/// delays no due work by more than this.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let followed = *self.origin();
        whole_micros(match followed {
            Some(origin) => origin + self.monotonic(),
            None => (self.wall)(),
        })
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

    fn follow(&self, reading: Reading) {
        let read = reading.now - reading.at;
        let mut origin = self.origin();
        // Within what the reading leaves open, time goes on evenly.
        let is_far =
            |origin: Timestamp| (read - origin).abs().to_std().ok() > Some(reading.uncertainty);
        if origin.is_none_or(is_far) {
            *origin = Some(read);
        }
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
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    #[test]
    fn a_clock_that_follows_another_feels_no_jump_of_its_own() {
        let wrong: Timestamp = "2027-01-11T10:00:00Z".parse().expect("a time");
        let right = wrong - TimeDelta::hours(1);
        let clock = SystemClock::of_wall_clock(move || wrong);
        assert_eq!(clock.now(), wrong);
        let at = clock.monotonic();
        let uncertainty = Duration::from_millis(2);
        let follow = |now, at| {
            clock.follow(Reading {
                now,
                at,
                uncertainty,
            });
        };
        follow(right, at);
        let ahead = clock.now() - right;
        assert!(ahead < TimeDelta::seconds(10), "{ahead}");
        let before = clock.now();
        follow(right - TimeDelta::milliseconds(1), at);
        assert!(
            clock.now() >= before,
            "what is uncertain does not turn time back"
        );
        follow(right + TimeDelta::minutes(1), at);
        assert!(clock.now() >= right + TimeDelta::minutes(1));
    }

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
