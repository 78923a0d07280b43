//! The limit of a whole provider, of which this node has a part that changes as nodes come and go.
//!
//! A governor's quota cannot change, so a part that changes gets a new [`Bucket`], and that one begins
//! empty: what the buckets of all nodes hold together is then never more than one bucket for the whole
//! quota would, and no window ever sees more than the quota, also while it changes hands. What a daemon
//! that ended used is not known to its successor: so that one begins empty as well.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;

use super::bucket::Bucket;
use crate::config::Quota;
use crate::domain::{Clock, RateScope, SyncFailure};

/// How long to wait for a part, while this node has none.
const NO_SHARE_PAUSE: Duration = Duration::from_millis(250);
/// Parts that differ by less are the same.
const SAME: f64 = 1e-6;

/// What a bucket holds when its part is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tokens {
    /// What it held, unless the part changes.
    Kept,
    /// Others used the quota until now.
    None,
}

#[derive(Debug)]
pub(super) struct SharedLimiter {
    quota: Quota,
    clock: Arc<dyn Clock>,
    part: Mutex<Part>,
}

#[derive(Debug)]
struct Part {
    share: f64,
    /// Absent while there is no part.
    bucket: Option<Bucket>,
}

impl SharedLimiter {
    /// With the whole quota, until told otherwise; empty.
    pub(super) fn new(quota: Quota, clock: Arc<dyn Clock>) -> Self {
        let bucket = Some(Bucket::drained(quota, 1.0, clock.clone()));
        Self {
            quota,
            clock,
            part: Mutex::new(Part { share: 1.0, bucket }),
        }
    }

    /// From now on this part of the quota.
    pub(super) fn use_share(&self, share: f64, tokens: Tokens) {
        let mut part = self.lock();
        let is_same = (part.share - share).abs() < SAME;
        let clock = self.clock.clone();
        part.share = share;
        part.bucket = match (share > 0.0, tokens) {
            (false, _) => None,
            (true, Tokens::Kept) if is_same => return,
            (true, Tokens::Kept | Tokens::None) => Some(Bucket::drained(self.quota, share, clock)),
        };
    }

    pub(super) fn charge(&self, units: u32) -> Result<(), SyncFailure> {
        self.take(units).map_err(|wait| SyncFailure::RateLimited {
            until: Some(self.clock.now() + TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX)),
            scope: RateScope::Share,
        })
    }

    fn take(&self, units: u32) -> Result<(), Duration> {
        match &self.lock().bucket {
            Some(bucket) => bucket.take(units),
            None => Err(NO_SHARE_PAUSE),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Part> {
        self.part.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        clock.advance(QUOTA.per);
        for _ in 0..600 {
            cluster.take_all();
            clock.advance(Duration::from_millis(200));
        }
        let busiest = cluster.busiest_window();
        assert!((550..=600).contains(&busiest), "{busiest}");
    }

    #[test]
    fn a_batch_larger_than_the_bucket_leaves_when_that_is_full() {
        let clock = ManualClock::starting_at(DateTime::UNIX_EPOCH);
        let limiter = SharedLimiter::new(QUOTA, clock.clone());
        clock.advance(QUOTA.per);
        assert_eq!(limiter.take(200), Ok(()));
        let wait = limiter.take(200).expect_err("120 at 8 a second");
        assert_eq!(wait.as_secs(), 15);
        limiter.use_share(0.0, Tokens::Kept);
        assert_eq!(limiter.take(1), Err(NO_SHARE_PAUSE));
    }
}
