//! A governor for a part of a quota, on our clock.
//!
//! governor counts with a token bucket, the providers with a sliding window. A bucket as large as the
//! quota that refills at the quota's rate would let twice the quota through in one window; so the
//! bucket holds a fifth and refills at four fifths, which never exceeds the quota in any window. Of a
//! quota so small that the dearest call does not fit into a fifth, the bucket holds that call, and
//! refills with the rest.
//! Refusals are waits to be told, never waits here.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{InsufficientCapacity, RateLimiter};

use crate::config::Quota;
use crate::domain::Clock;
use crate::rate_clock::RateClock;

/// Units of the dearest call: a Google PATCH. The settings refuse smaller quotas.
const DEAREST: u32 = 3;

#[derive(Debug)]
pub(super) struct Bucket {
    governor: RateLimiter<NotKeyed, InMemoryState, RateClock, NoOpMiddleware<Nanos>>,
    burst: u32,
    /// Units per second.
    refill: f64,
    returned: Mutex<Returned>,
    clock: RateClock,
}

/// Taken and then not used: goes first, for a governor takes nothing back. It dwindles as fast as the
/// governor refills, so that both together never hold more than a full bucket.
#[derive(Clone, Copy, Debug, Default)]
struct Returned {
    units: f64,
    /// On the monotonic clock.
    as_of: Duration,
}

impl Bucket {
    /// Full. `share` is the part of the quota it is for, above 0 and up to 1.
    pub(super) fn full(quota: Quota, share: f64, clock: Arc<dyn Clock>) -> Self {
        let units = f64::from(quota.units.get()) * share;
        let burst = whole(units / 5.0).max(DEAREST);
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        // A node's part may be smaller than what its bucket holds: then it keeps to it over several windows.
        let refill = (units - f64::from(burst.get())).max(units / 5.0);
        let rate = Duration::try_from_secs_f64(quota.per.as_secs_f64() / refill)
            .ok()
            .and_then(governor::Quota::with_period)
            // Only a period of zero or of ages is refused: a window has at least 100 ms, its units
            // fit in 32 bits, and a share is one node's of a few.
            .unwrap_or_else(|| governor::Quota::per_second(NonZeroU32::MIN));
        let clock = RateClock(clock);
        Self {
            governor: RateLimiter::direct_with_clock(rate.allow_burst(burst), clock.clone()),
            burst: burst.get(),
            refill: refill / quota.per.as_secs_f64(),
            returned: Mutex::default(),
            clock,
        }
    }

    /// Empty.
    pub(super) fn drained(quota: Quota, share: f64, clock: Arc<dyn Clock>) -> Self {
        let bucket = Self::full(quota, share, clock);
        // It is full, so this is granted.
        let _ = bucket.take(bucket.burst);
        bucket
    }

    /// Takes `units`, or says when to come back. More units than the bucket holds are taken as a
    /// full bucket: a batch that is larger than what may be sent at once would else never leave.
    pub(super) fn take(&self, units: u32) -> Result<(), Duration> {
        let units = units.min(self.burst);
        let returned = self.take_returned(units);
        let Some(wanted) = NonZeroU32::new(units - returned) else {
            return Ok(());
        };
        match self.governor.check_n(wanted) {
            Ok(Ok(())) | Err(InsufficientCapacity(_)) => Ok(()),
            Ok(Err(not_until)) => {
                self.give_back(returned);
                Err(not_until.wait_time_from(self.clock.now()))
            }
        }
    }

    /// Whether nothing is missing in it. Asked of one that is then given up: what was all taken and given
    /// back refills more slowly for a while.
    pub(super) fn is_full(&self) -> bool {
        let is_full = self.take(self.burst).is_ok();
        if is_full {
            self.give_back(self.burst);
        }
        is_full
    }

    /// As if these units had not been taken.
    pub(super) fn give_back(&self, units: u32) {
        self.with_returned(|returned| returned.units += f64::from(units.min(self.burst)));
    }

    fn take_returned(&self, most: u32) -> u32 {
        self.with_returned(|returned| {
            let taken = whole(returned.units).min(most);
            returned.units -= f64::from(taken);
            taken
        })
    }

    fn with_returned<T>(&self, change: impl FnOnce(&mut Returned) -> T) -> T {
        let mut returned = self.returned.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.0.monotonic();
        let refilled = now.saturating_sub(returned.as_of).as_secs_f64() * self.refill;
        returned.units = (returned.units - refilled).max(0.0);
        returned.as_of = now;
        change(&mut returned)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part of a number that fits is not negative and fits"
)]
fn whole(units: f64) -> u32 {
    units as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ManualClock;
    use chrono::DateTime;

    fn bucket(units: u32, clock: &Arc<ManualClock>) -> Bucket {
        let quota = Quota {
            units: NonZeroU32::new(units).expect("not zero"),
            per: Duration::from_secs(60),
        };
        Bucket::full(quota, 1.0, clock.clone())
    }

    #[test]
    fn no_window_ever_lets_more_than_the_quota_through() {
        let quotas = [3, 4, 7, 14, 15, 60, 600];
        let cases = quotas.map(|quota| [(quota, 1), (quota, DEAREST)]);
        for (quota, price) in cases.into_iter().flatten() {
            let clock = ManualClock::starting_at(DateTime::UNIX_EPOCH);
            let bucket = bucket(quota, &clock);
            let mut taken_at = Vec::new();
            for tenth in 0..1800_u32 {
                while bucket.take(price).is_ok() {
                    taken_at.extend((0..price).map(|_| tenth));
                }
                clock.advance(Duration::from_millis(100));
            }
            let busiest = (0..1200_u32)
                .map(|start| {
                    let window = start..start + 600;
                    taken_at.iter().filter(|at| window.contains(*at)).count()
                })
                .max();
            let quota = usize::try_from(quota).expect("small");
            assert!(
                busiest.is_some_and(|units| (quota * 3 / 4..=quota).contains(&units)),
                "{busiest:?} of {quota}, {price} at a time"
            );
        }
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_once() {
        let clock = ManualClock::starting_at(DateTime::UNIX_EPOCH);
        let bucket = bucket(50, &clock);
        assert_eq!(bucket.take(10), Ok(()));
        bucket.give_back(4);
        assert!(bucket.take(5).is_err());
        assert_eq!(bucket.take(4), Ok(()));
        assert!(bucket.take(1).is_err());
    }

    #[test]
    fn it_is_full_again_when_what_was_taken_has_come_back_and_a_look_in_between_takes_nothing() {
        let clock = ManualClock::starting_at(DateTime::UNIX_EPOCH);
        let bucket = bucket(600, &clock);
        assert_eq!(bucket.take(80), Ok(()));
        // Eight a second.
        for _ in 0..10 {
            assert!(!bucket.is_full());
            clock.advance(Duration::from_secs(1));
        }
        assert!(bucket.is_full());
        assert_eq!(bucket.take(120), Ok(()));
        assert!(bucket.take(1).is_err());
    }

    #[test]
    fn what_is_given_back_takes_no_window_beyond_the_quota() {
        let clock = ManualClock::starting_at(DateTime::UNIX_EPOCH);
        let bucket = bucket(600, &clock);
        let mut taken = Vec::new();
        for second in 0..240_u32 {
            // Granted here, refused elsewhere, for half of the time; then as much as can be had.
            let is_refused = second % 60 < 30;
            while bucket.take(50).is_ok() {
                if is_refused {
                    bucket.give_back(50);
                    break;
                }
                taken.push(second);
            }
            clock.advance(Duration::from_secs(1));
        }
        let busiest = (0..180_u32)
            .map(|start| {
                let window = start..start + 60;
                50 * taken.iter().filter(|at| window.contains(*at)).count()
            })
            .max();
        assert!(busiest.is_some_and(|units| units <= 600), "{busiest:?}");
    }
}
