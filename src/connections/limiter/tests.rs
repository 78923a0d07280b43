//! Windows never see more than the quota, whoever uses it.

use std::num::NonZeroU32;

use chrono::DateTime;
use proptest::prelude::*;

use super::*;
use crate::domain::ManualClock;
use crate::plan;

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

const QUOTA: Quota = Quota {
    units: NonZeroU32::new(600).expect("not zero"),
    per: Duration::from_secs(60),
};

/// Nodes that are there (with their part) or not.
struct Cluster {
    clock: Arc<ManualClock>,
    nodes: Vec<Option<(Limiter, f64)>>,
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
            let limiter = Limiter::new(QUOTA, RateScope::Provider, clock);
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
        let alone = Limiter::new(QUOTA, RateScope::Provider, clock.clone());
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
    let limiter = Limiter::new(QUOTA, RateScope::Provider, clock.clone());
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
    let limiter = Limiter::new(QUOTA, RateScope::Provider, clock.clone());
    assert_eq!(limiter.take(200), Ok(()));
    let wait = limiter.take(1).expect_err("80 below zero, at 8 a second");
    assert_eq!(wait.as_secs(), 10);
    limiter.use_share(0.0, Tokens::Kept);
    assert_eq!(limiter.take(1), Err(NO_SHARE_PAUSE));
}
