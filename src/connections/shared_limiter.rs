//! The limit of a whole provider, of which this node has a part that changes as nodes come and go.
//!
//! A token bucket as in [`limiter`](super::limiter): a fifth of the part at once, four fifths of it
//! refilled per window. Written out because a governor's quota cannot change. A part that grows brings
//! no tokens of its own, one that shrinks spills what no longer fits; so the buckets of all nodes never
//! hold more together than one bucket for the whole quota would, and no window ever sees more than the
//! quota, also while it changes hands. What a daemon that ended used is not known to its successor: one
//! that is alone begins with a full bucket, so that a restart may cost a fifth of the quota in that
//! window, which the provider refuses and we obey.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;

use crate::config::Quota;
use crate::domain::{Clock, RateScope, SyncFailure};

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

#[derive(Debug)]
pub(super) struct SharedLimiter {
    quota: Quota,
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

impl SharedLimiter {
    /// With the whole quota, until told otherwise.
    pub(super) fn new(quota: Quota, clock: Arc<dyn Clock>) -> Self {
        let bucket = Bucket {
            share: 1.0,
            level: f64::from(burst(quota)),
            as_of: clock.monotonic(),
        };
        Self {
            quota,
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

    pub(super) fn charge(&self, units: u32) -> Result<(), SyncFailure> {
        self.take(units).map_err(|wait| SyncFailure::RateLimited {
            until: Some(self.clock.now() + TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX)),
            scope: RateScope::Provider,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ManualClock;
    use crate::plan;
    use chrono::DateTime;
    use proptest::prelude::*;
    use std::num::NonZeroU32;

    const QUOTA: Quota = Quota {
        units: NonZeroU32::new(600).expect("not zero"),
        per: Duration::from_secs(60),
    };

    /// Nodes that are there (with their part) or not.
    struct Cluster {
        clock: Arc<ManualClock>,
        nodes: Vec<Option<(SharedLimiter, f64)>>,
        taken_at: Vec<Duration>,
    }

    impl Cluster {
        fn census(&mut self, node: usize) {
            let others: Vec<f64> = (0..self.nodes.len())
                .filter(|other| *other != node)
                .filter_map(|other| self.nodes[other].as_ref().map(|(_, share)| *share))
                .collect();
            let share = plan::share(&others);
            let clock = self.clock.clone();
            let (limiter, before) = self.nodes[node].get_or_insert_with(|| {
                let limiter = SharedLimiter::new(QUOTA, clock);
                limiter.use_share(0.0, Tokens::None);
                (limiter, 0.0)
            });
            *before = share;
            limiter.use_share(share, Tokens::Kept);
        }

        /// Everyone takes what can be had.
        fn take_all(&mut self) {
            for (limiter, _) in self.nodes.iter().flatten() {
                while limiter.take(1).is_ok() {
                    self.taken_at.push(self.clock.monotonic());
                }
            }
        }

        fn busiest_window(&self) -> usize {
            let in_window = |start: &Duration| {
                let end = *start + QUOTA.per;
                self.taken_at
                    .iter()
                    .filter(|at| (*start..end).contains(*at))
                    .count()
            };
            self.taken_at.iter().map(in_window).max().unwrap_or(0)
        }
    }

    proptest! {
        #[test]
        fn nodes_that_come_and_go_never_exceed_the_quota_together(
            steps in prop::collection::vec((0..3_usize, 0..10_u8), 20..150),
        ) {
            let clock = ManualClock::starting_at(DateTime::UNIX_EPOCH);
            let alone = SharedLimiter::new(QUOTA, clock.clone());
            let mut cluster = Cluster {
                clock: clock.clone(),
                nodes: vec![Some((alone, 1.0)), None, None],
                taken_at: Vec::new(),
            };
            for (node, step) in steps {
                match step {
                    0 => cluster.nodes[node] = None,
                    1..4 => cluster.census(node),
                    _ => cluster.take_all(),
                }
                clock.advance(Duration::from_secs(1));
            }
            prop_assert!(cluster.busiest_window() <= 600, "{}", cluster.busiest_window());
        }
    }

    #[test]
    fn a_node_that_is_alone_uses_most_of_the_quota() {
        let clock = ManualClock::starting_at(DateTime::UNIX_EPOCH);
        let limiter = SharedLimiter::new(QUOTA, clock.clone());
        let mut cluster = Cluster {
            clock: clock.clone(),
            nodes: vec![Some((limiter, 1.0))],
            taken_at: Vec::new(),
        };
        for _ in 0..600 {
            cluster.take_all();
            clock.advance(Duration::from_millis(200));
        }
        let busiest = cluster.busiest_window();
        assert!((550..=600).contains(&busiest), "{busiest}");
    }

    #[test]
    fn a_batch_larger_than_the_bucket_leaves_and_is_paid_off() {
        let clock = ManualClock::starting_at(DateTime::UNIX_EPOCH);
        let limiter = SharedLimiter::new(QUOTA, clock.clone());
        assert_eq!(limiter.take(200), Ok(()));
        let wait = limiter.take(1).expect_err("80 below zero, at 8 a second");
        assert_eq!(wait.as_secs(), 10);
        limiter.use_share(0.0, Tokens::Kept);
        assert_eq!(limiter.take(1), Err(NO_SHARE_PAUSE));
    }
}
