//! Provider limits as seen from here: one limiter per connection, one per provider, on our clock.
//!
//! A token bucket counts, the providers use a sliding window. A bucket as large as the quota that
//! refills at the quota's rate would let twice the quota through in one window; so the bucket holds a
//! fifth and refills at four fifths, which never exceeds the quota in any window. Refusals are due
//! times, never waits. The bucket is our own because what one limit granted must be given back when the
//! other refuses, which the well-known crates do not offer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;

use crate::config::Quota;
use crate::domain::{Clock, RateScope, SyncFailure};
use crate::provider::Budget;

/// A quota that is shared by everyone who holds this.
#[derive(Debug)]
pub(super) struct Limiter {
    /// When the bucket is full again, on the monotonic clock.
    full_at: Mutex<Duration>,
    per_unit: Duration,
    burst: u32,
    clock: Arc<dyn Clock>,
    scope: RateScope,
}

impl Limiter {
    pub(super) fn new(quota: Quota, scope: RateScope, clock: Arc<dyn Clock>) -> Self {
        let burst = (quota.units.get() / 5).max(1);
        let refill = quota.units.get().saturating_sub(burst).max(1);
        Self {
            full_at: Mutex::default(),
            per_unit: quota.per / refill,
            burst,
            clock,
            scope,
        }
    }

    /// Takes `units`, or says when to come back. More units than the bucket holds are taken as a
    /// full bucket: a batch that is larger than what may be sent at once would else never leave.
    fn take(&self, units: u32) -> Result<(), Duration> {
        let mut full_at = self.lock();
        let now = self.clock.monotonic();
        let full_again = (*full_at).max(now) + self.time_for(units);
        let latest = now + self.time_for(self.burst);
        if full_again > latest {
            return Err(full_again - latest);
        }
        *full_at = full_again;
        Ok(())
    }

    /// As if these units had not been taken.
    fn give_back(&self, units: u32) {
        let mut full_at = self.lock();
        *full_at = full_at.saturating_sub(self.time_for(units));
    }

    fn time_for(&self, units: u32) -> Duration {
        self.per_unit * units.min(self.burst)
    }

    fn lock(&self) -> MutexGuard<'_, Duration> {
        self.full_at.lock().unwrap_or_else(PoisonError::into_inner)
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
    pub(super) provider: Option<Arc<Limiter>>,
}

impl Budget for ConnectionBudget {
    fn charge(&self, units: u32) -> Result<(), SyncFailure> {
        // The narrower one first: what it refuses must not use up what others share. And what the
        // wider one refuses is not held against the account.
        self.own.charge(units)?;
        match &self.provider {
            Some(shared) => shared
                .charge(units)
                .inspect_err(|_| self.own.give_back(units)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::domain::ManualClock;
    use chrono::DateTime;

    fn limiter(units: u32, scope: RateScope, clock: &Arc<ManualClock>) -> Arc<Limiter> {
        let quota = Quota {
            units: NonZeroU32::new(units).expect("not zero"),
            per: Duration::from_secs(60),
        };
        Arc::new(Limiter::new(quota, scope, clock.clone()))
    }

    #[test]
    fn what_the_shared_limit_refuses_is_not_taken_from_the_account() {
        let clock = ManualClock::starting_at(DateTime::UNIX_EPOCH);
        let budget = ConnectionBudget {
            own: limiter(50, RateScope::Connection, &clock),
            provider: Some(limiter(5, RateScope::Provider, &clock)),
        };
        assert_eq!(budget.charge(1), Ok(()));
        for _ in 0..100 {
            let refused = budget.charge(1).expect_err("the shared bucket holds one");
            let SyncFailure::RateLimited { scope, until } = refused else {
                panic!("{refused}");
            };
            assert_eq!(scope, RateScope::Provider);
            assert_eq!(until, Some(clock.now() + TimeDelta::seconds(15)));
        }
        // Ten were there, one is used.
        assert_eq!(budget.own.take(9), Ok(()));
        assert!(budget.own.take(1).is_err());
    }

    #[test]
    fn no_window_ever_lets_more_than_the_quota_through() {
        let clock = ManualClock::starting_at(DateTime::UNIX_EPOCH);
        let limiter = limiter(600, RateScope::Connection, &clock);
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
