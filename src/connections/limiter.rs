//! Provider limits as seen from here: one limiter per connection, and this node's part of that of the
//! provider (see [`shared_limiter`](super::shared_limiter)), on our clock.
//!
//! governor counts with a token bucket, the providers with a sliding window. A bucket as large as the
//! quota that refills at the quota's rate would let twice the quota through in one window; so the
//! bucket holds a fifth and refills at four fifths, which never exceeds the quota in any window.
//! Refusals are due times, never waits.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{InsufficientCapacity, RateLimiter};

use super::shared_limiter::SharedLimiter;
use crate::config::Quota;
use crate::domain::{Clock, RateScope, SyncFailure};
use crate::provider::Budget;

/// governor reads our monotonic clock, so that tests move it.
#[derive(Clone, Debug)]
struct OurClock(Arc<dyn Clock>);

impl GovernorClock for OurClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.monotonic().into()
    }
}

/// A quota that is shared by everyone who holds this.
#[derive(Debug)]
pub(super) struct Limiter {
    bucket: RateLimiter<NotKeyed, InMemoryState, OurClock, NoOpMiddleware<Nanos>>,
    burst: u32,
    clock: Arc<dyn Clock>,
    scope: RateScope,
}

impl Limiter {
    pub(super) fn new(quota: Quota, scope: RateScope, clock: Arc<dyn Clock>) -> Self {
        let burst = (quota.units.get() / 5).max(1);
        let refill = quota.units.get().saturating_sub(burst).max(1);
        let bucket = governor::Quota::with_period(quota.per / refill)
            // Only a period of zero is refused: a quota's window is at least 100 ms long and its
            // units fit in 32 bits, so the division never gets there.
            .unwrap_or_else(|| governor::Quota::per_second(NonZeroU32::MIN))
            .allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN));
        Self {
            bucket: RateLimiter::direct_with_clock(bucket, OurClock(clock.clone())),
            burst,
            clock,
            scope,
        }
    }

    /// Takes `units`, or says when to come back. More units than the bucket holds are taken as a
    /// full bucket: a batch that is larger than what may be sent at once would else never leave.
    fn take(&self, units: u32) -> Result<(), Duration> {
        let units = units.min(self.burst);
        let Some(units) = NonZeroU32::new(units) else {
            return Ok(());
        };
        match self.bucket.check_n(units) {
            Ok(Ok(())) | Err(InsufficientCapacity(_)) => Ok(()),
            Ok(Err(not_until)) => Err(not_until.wait_time_from(OurClock(self.clock.clone()).now())),
        }
    }

    fn charge(&self, units: u32) -> Result<(), SyncFailure> {
        self.take(units).map_err(|wait| SyncFailure::RateLimited {
            until: Some(self.clock.now() + TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX)),
            scope: self.scope,
        })
    }
}

/// The two limits that one connection is under.
#[derive(Clone, Debug)]
pub(super) struct ConnectionBudget {
    pub(super) own: Arc<Limiter>,
    /// Absent where the provider limits only the account.
    pub(super) provider: Option<Arc<SharedLimiter>>,
}

impl Budget for ConnectionBudget {
    fn charge(&self, units: u32) -> Result<(), SyncFailure> {
        // The narrower one first: what it refuses must not use up what others share.
        self.own.charge(units)?;
        match &self.provider {
            Some(shared) => shared.charge(units),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ManualClock;
    use chrono::DateTime;

    #[test]
    fn no_window_ever_lets_more_than_the_quota_through() {
        let clock = ManualClock::starting_at(DateTime::UNIX_EPOCH);
        let quota = Quota {
            units: NonZeroU32::new(600).expect("not zero"),
            per: Duration::from_secs(60),
        };
        let limiter = Limiter::new(quota, RateScope::Connection, clock.clone());
        let mut taken_at = Vec::new();
        for tenth in 0..1800_u32 {
            while limiter.take(3).is_ok() {
                taken_at.push(tenth);
            }
            clock.advance(Duration::from_millis(100));
        }
        let busiest = (0..1200_u32)
            .map(|start| {
                let window = start..start + 600;
                3 * taken_at.iter().filter(|at| window.contains(*at)).count()
            })
            .max();
        assert!(
            busiest.is_some_and(|units| (450..=600).contains(&units)),
            "{busiest:?}"
        );
    }
}
