//! Provider limits as seen from here: one limiter per connection, and this node's part of that of the
//! provider (see [`shared_limiter`](super::shared_limiter)).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;

use super::bucket::Bucket;
use super::shared_limiter::SharedLimiter;
use crate::config::Quota;
use crate::domain::{Clock, RateScope, SyncFailure};
use crate::provider::Budget;
use crate::store::Lease;

/// What one account may use. It begins full for an account that has rested, and else empty: what a node
/// used that died, or a daemon that was killed, counts in the provider's window all the same.
#[derive(Debug)]
pub(super) struct Limiter {
    held: Mutex<Held>,
    quota: Quota,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct Held {
    bucket: Bucket,
    /// Of the lease under which it was last used.
    epoch: Option<i64>,
}

impl Limiter {
    /// Full.
    pub(super) fn new(quota: Quota, clock: Arc<dyn Clock>) -> Self {
        let bucket = Bucket::full(quota, 1.0, clock.clone());
        Self {
            held: Mutex::new(Held {
                bucket,
                epoch: None,
            }),
            quota,
            clock,
        }
    }

    /// To be used under this lease. In another epoch than before, others may have used the quota until now.
    pub(super) fn under(&self, lease: Lease) {
        let mut held = self.lock();
        if held.epoch.replace(lease.epoch) != Some(lease.epoch) && !lease.is_rested {
            held.bucket = Bucket::drained(self.quota, 1.0, self.clock.clone());
        }
    }

    /// Whether a new one in its place would allow no more.
    pub(super) fn is_full(&self) -> bool {
        self.lock().bucket.is_full()
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn charge(&self, units: u32) -> Result<(), SyncFailure> {
        self.lock()
            .bucket
            .take(units)
            .map_err(|wait| SyncFailure::RateLimited {
                until: Some(self.clock.now() + TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX)),
                scope: RateScope::Connection,
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
        // The narrower one first: what it refuses must not use up what others share. And what the
        // wider one refuses is not held against the account.
        self.own.charge(units)?;
        match &self.provider {
            Some(shared) => shared
                .charge(units)
                .inspect_err(|_| self.own.lock().bucket.give_back(units)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;
    use crate::domain::{ConnectionId, ManualClock, NodeId};
    use chrono::DateTime;
    use uuid::Uuid;

    fn quota(units: u32) -> Quota {
        Quota {
            units: NonZeroU32::new(units).expect("not zero"),
            per: Duration::from_secs(60),
        }
    }

    #[test]
    fn what_the_shared_limit_refuses_is_not_taken_from_the_account() {
        let clock = ManualClock::starting_at(DateTime::UNIX_EPOCH);
        let budget = ConnectionBudget {
            own: Arc::new(Limiter::new(quota(50), clock.clone())),
            provider: Some(Arc::new(SharedLimiter::new(quota(5), clock.clone()))),
        };
        clock.advance(Duration::from_secs(120));
        assert_eq!(budget.charge(3), Ok(()));
        for _ in 0..100 {
            let refused = budget.charge(1).expect_err("the shared bucket holds three");
            let SyncFailure::RateLimited { scope, until } = refused else {
                panic!("{refused}");
            };
            assert_eq!(scope, RateScope::Share);
            assert_eq!(until, Some(clock.now() + TimeDelta::seconds(30)));
        }
        // Ten were there, three are used.
        assert_eq!(budget.own.charge(7), Ok(()));
        assert!(budget.own.charge(1).is_err());
    }

    #[test]
    fn in_another_epoch_it_begins_empty_unless_the_account_has_rested() {
        let clock = ManualClock::starting_at(DateTime::UNIX_EPOCH);
        let lease = |epoch, is_rested| Lease {
            connection_id: ConnectionId(Uuid::nil()),
            node: NodeId(Uuid::nil()),
            epoch,
            is_rested,
        };
        let limiter = Limiter::new(quota(50), clock.clone());
        limiter.under(lease(4, true));
        assert_eq!(limiter.charge(3), Ok(()));
        // Somebody else had it, and may have spent all there was.
        limiter.under(lease(6, false));
        assert!(limiter.charge(1).is_err());
        clock.advance(Duration::from_secs(5));
        // The same lease again takes nothing away, however often.
        limiter.under(lease(6, false));
        assert_eq!(limiter.charge(3), Ok(()));
        assert!(limiter.charge(1).is_err());
        // What this node itself used it has used, though nobody else did.
        limiter.under(lease(8, true));
        assert!(limiter.charge(1).is_err());
    }
}
