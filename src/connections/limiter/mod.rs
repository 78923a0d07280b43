//! Provider limits as seen from here: one limiter per connection, one per provider, on our clock.
//!
//! A token bucket counts, the providers use a sliding window. A bucket as large as the quota that
//! refills at the quota's rate would let twice the quota through in one window; so the bucket holds a
//! fifth and refills at four fifths, which never exceeds the quota in any window. Refusals are due
//! times, never waits. The bucket is our own because what one limit granted must be given back when the
//! other refuses, and because the quota of a whole provider is shared by nodes that come and go; neither
//! is offered by the well-known crates.
//!
//! Of a provider's quota this node has a part. One that grows brings no tokens of its own, one that
//! shrinks spills what no longer fits; so the buckets of all nodes never hold more together than one
//! bucket for the whole quota would, and no window sees more than the quota, also while it changes
//! hands. What a daemon that ended has used is not known to its successor: one that is alone begins
//! with a full bucket, so a restart may cost a fifth of the quota more in that window. The provider
//! then refuses, and we obey.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;

use crate::config::Quota;
use crate::domain::{Clock, RateScope, SyncFailure};
use crate::provider::Budget;

/// How long to wait for a part, while this node has none.
const NO_SHARE_PAUSE: Duration = Duration::from_millis(250);

/// What a bucket holds when its part changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tokens {
    /// As much as it can: the quota was nobody's.
    Full,
    /// What it held, as far as that fits.
    Kept,
    /// Others used the quota until now.
    None,
}

/// A quota, or this node's part of it, shared by everyone who holds this.
#[derive(Debug)]
pub(super) struct Limiter {
    quota: Quota,
    scope: RateScope,
    clock: Arc<dyn Clock>,
    bucket: Mutex<Bucket>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    share: f64,
    /// Units; below zero after a batch that is larger than the bucket.
    level: f64,
    /// On the monotonic clock.
    as_of: Duration,
}

impl Limiter {
    /// With the whole quota, until told otherwise.
    pub(super) fn new(quota: Quota, scope: RateScope, clock: Arc<dyn Clock>) -> Self {
        let bucket = Bucket {
            share: 1.0,
            level: f64::from(burst(quota)),
            as_of: clock.monotonic(),
        };
        Self {
            quota,
            scope,
            clock,
            bucket: Mutex::new(bucket),
        }
    }

    /// From now on this part of the quota.
    pub(super) fn use_share(&self, share: f64, tokens: Tokens) {
        self.with(|bucket| {
            bucket.share = share;
            let most = f64::from(burst(self.quota)) * share;
            bucket.level = match tokens {
                Tokens::Full => most,
                Tokens::Kept => bucket.level.min(most),
                Tokens::None => bucket.level.min(0.0),
            };
        });
    }

    fn charge(&self, units: u32) -> Result<(), SyncFailure> {
        self.take(units).map_err(|wait| SyncFailure::RateLimited {
            until: Some(self.clock.now() + TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX)),
            scope: self.scope,
        })
    }

    /// Takes `units`, or says when to come back. More units than the bucket holds leave when it is
    /// full, and are paid off afterwards.
    fn take(&self, units: u32) -> Result<(), Duration> {
        self.with(|bucket| {
            let most = f64::from(burst(self.quota)) * bucket.share;
            let units = f64::from(units);
            // A part of a small quota may hold less than one unit: that one leaves all the same.
            let needed = units.min(most.max(1.0));
            if bucket.share > 0.0 && bucket.level >= needed {
                bucket.level -= units;
                return Ok(());
            }
            let rate = self.rate(bucket.share);
            if rate > 0.0 {
                let wait = (needed - bucket.level) / rate;
                Err(Duration::try_from_secs_f64(wait).unwrap_or(self.quota.per))
            } else {
                Err(NO_SHARE_PAUSE)
            }
        })
    }

    /// As if these units had not been taken.
    fn give_back(&self, units: u32) {
        self.with(|bucket| {
            let most = f64::from(burst(self.quota)) * bucket.share;
            bucket.level = (bucket.level + f64::from(units)).min(most);
        });
    }

    /// Units per second.
    fn rate(&self, share: f64) -> f64 {
        let units = self
            .quota
            .units
            .get()
            .saturating_sub(burst(self.quota))
            .max(1);
        f64::from(units) * share / self.quota.per.as_secs_f64()
    }

    /// The bucket as it is now.
    fn with<T>(&self, change: impl FnOnce(&mut Bucket) -> T) -> T {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.monotonic();
        let most = (f64::from(burst(self.quota)) * bucket.share).max(1.0);
        let refilled = now.saturating_sub(bucket.as_of).as_secs_f64() * self.rate(bucket.share);
        bucket.level = (bucket.level + refilled).min(most.max(bucket.level));
        bucket.as_of = now;
        change(&mut bucket)
    }
}

/// What may leave at once, if the whole quota is one node's.
fn burst(quota: Quota) -> u32 {
    (quota.units.get() / 5).max(1)
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
