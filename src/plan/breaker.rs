//! The breaker of one connection: how much is asked of a provider that is in trouble, and what an
//! outage costs.
//!
//! While nothing succeeds, rounds shrink to one change (half-open: a probe) and grow apart, from the
//! backoff's base to [`QUICK`], and once an outage is established to a twentieth of its age, at most
//! [`SLOW`]. So one bad row delays the others by seconds, an outage of days is noticed to be over
//! within minutes, and a down provider is asked by one connection no more than once in two and a half
//! minutes (`SLOW`, spread over its second half).
//!
//! An outage that is established takes no job's last attempt for [`LONGEST_OUTAGE`], counted from its
//! beginning or from the job's report, whichever was later. It is remembered for [`MEMORY`] after its
//! last sign: when the provider stumbles while it comes back, a job that spent its attempts in the outage
//! is still spared. For the same reason two outages with little between them look like one that began
//! with the first; of a job reported since, that first part took nothing.
//!
//! The state is stored beside the lease, so that neither a restart nor another node starts from anew.

use std::time::Duration;

use chrono::TimeDelta;

use super::Backoff;
use crate::domain::{Jitter, Timestamp};

/// How long nothing may succeed before it is an outage rather than a mishap.
const ESTABLISHED: TimeDelta = TimeDelta::minutes(10);
/// For how long an outage takes no job's last attempt. Promised are three days.
const LONGEST_OUTAGE: TimeDelta = TimeDelta::hours(73);
/// For how long after its last sign an outage is believed to go on.
const MEMORY: TimeDelta = TimeDelta::hours(2);
/// Rounds without a success after which the next ones are probes.
const HALF_OPEN_AFTER: i32 = 2;
/// The longest hold before an outage is established: it may be one bad row alone.
const QUICK: Duration = Duration::from_secs(30);
/// How long to wait when a provider limits us for the first time without saying for how long.
const FIRST_LIMIT: Duration = Duration::from_secs(10);
/// The longest hold in an outage, and the longest a job waits because of it, or of a limit without a time.
const SLOW: Duration = Duration::from_secs(300);

/// What a round heard from the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A success, or a refusal that makes sense: the provider works.
    Sense,
    /// It answered, but nothing succeeded that may yet.
    Trouble,
    /// Nothing but failures that speak of an outage.
    Outage,
    /// It limited us without saying for how long, and let nothing through.
    Limit,
    /// It was not asked, or only limited us for a time that it named.
    Nothing,
}

/// When a connection first and last had nothing but failures that speak of an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    pub since: Timestamp,
    pub seen_at: Timestamp,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    /// Rounds in a row in which nothing succeeded and something failed that may work later, or was limited
    /// without a time.
    pub fruitless: i32,
    pub outage: Option<Outage>,
}

impl Breaker {
    #[must_use]
    pub fn after(self, heard: Heard, now: Timestamp) -> Self {
        let remembered = self.remembered(now);
        match heard {
            Heard::Nothing => self,
            Heard::Sense => Self {
                fruitless: 0,
                outage: remembered,
            },
            Heard::Trouble | Heard::Limit => Self {
                fruitless: self.fruitless.saturating_add(1),
                outage: remembered,
            },
            Heard::Outage => Self {
                fruitless: self.fruitless.saturating_add(1),
                outage: Some(Outage {
                    since: remembered.map_or(now, |outage| outage.since),
                    seen_at: now,
                }),
            },
        }
    }

    fn remembered(&self, now: Timestamp) -> Option<Outage> {
        self.outage.filter(|outage| now - outage.seen_at <= MEMORY)
    }

    /// How many changes the next round may send, of `most`.
    pub fn batch(&self, most: usize) -> usize {
        if self.fruitless < HALF_OPEN_AFTER {
            most
        } else {
            most.min(1)
        }
    }

    /// How long the connection waits after another fruitless round.
    pub fn hold(&self, backoff: Backoff, now: Timestamp, jitter: Jitter) -> Duration {
        let longest = match self.age(now) {
            Some(age) if self.lasts(now) => (age / 20).clamp(QUICK, SLOW),
            Some(_) | None => QUICK,
        };
        let full = backoff
            .base
            .saturating_mul(1 << self.fruitless.clamp(0, 20))
            .min(backoff.cap)
            .min(longest);
        jitter.spread(full)
    }

    /// How long a limit is believed to last of which the provider did not say so: longer each time, as
    /// both providers ask for.
    pub fn unsaid_limit(&self, jitter: Jitter) -> Duration {
        let full = FIRST_LIMIT
            .saturating_mul(1 << self.fruitless.clamp(0, 20))
            .min(SLOW);
        // Never shorter than that, and not all at once.
        full + jitter.spread(full / 4) - full / 8
    }

    /// Whether the last attempt of a job reported then is not spent on a failure that speaks of an
    /// outage.
    pub fn spares(&self, reported_at: Timestamp, now: Timestamp) -> bool {
        self.established(now)
            .is_some_and(|outage| now - outage.since.max(reported_at) < LONGEST_OUTAGE)
    }

    /// The longest a job waits for its next attempt, where an outage is why it waits: it would
    /// otherwise outlast the outage by up to the backoff's cap.
    pub(super) fn longest_delay(&self, now: Timestamp) -> Option<Duration> {
        self.lasts(now).then_some(SLOW)
    }

    /// An established outage without a success since.
    fn lasts(&self, now: Timestamp) -> bool {
        self.fruitless >= HALF_OPEN_AFTER && self.established(now).is_some()
    }

    fn established(&self, now: Timestamp) -> Option<Outage> {
        self.remembered(now)
            .filter(|outage| now - outage.since >= ESTABLISHED)
    }

    fn age(&self, now: Timestamp) -> Option<Duration> {
        (now - self.outage?.since).to_std().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BACKOFF: Backoff = Backoff {
        base: Duration::from_secs(5),
        cap: Duration::from_secs(3600),
        max_attempts: 80,
    };

    fn start() -> Timestamp {
        "2026-11-01T12:00:00Z".parse().expect("an instant")
    }

    /// Nothing but outage for `length`, probed as late as allowed; the breaker, the time, the probes.
    fn after_outage_of(length: TimeDelta) -> (Breaker, Timestamp, u32) {
        let (mut breaker, mut now, mut probes) = (Breaker::default(), start(), 0);
        while now < start() + length {
            let hold = breaker.hold(BACKOFF, now, Jitter(0));
            breaker = breaker.after(Heard::Outage, now);
            now += hold;
            probes += 1;
        }
        (breaker, now, probes)
    }

    #[test]
    fn an_outage_is_probed_more_and_more_slowly_but_never_given_up() {
        let (breaker, now, probes) = after_outage_of(TimeDelta::hours(71));
        assert!(breaker.spares(start(), now));
        assert_eq!(breaker.batch(50), 1);
        assert_eq!(breaker.hold(BACKOFF, now, Jitter(u32::MAX)), SLOW);
        // With the shortest holds there are: a probe in two and a half minutes, and the beginning.
        assert!((1_700..1_850).contains(&probes), "{probes}");
    }

    #[test]
    fn a_mishap_takes_attempts_and_delays_by_seconds() {
        let (breaker, now, _) = after_outage_of(TimeDelta::minutes(9));
        assert!(!breaker.spares(start(), now));
        assert_eq!(breaker.longest_delay(now), None);
        assert!(breaker.hold(BACKOFF, now, Jitter(u32::MAX)) <= QUICK);
    }

    #[test]
    fn one_success_lets_full_batches_through_again() {
        let (breaker, now, _) = after_outage_of(TimeDelta::hours(5));
        let breaker = breaker.after(Heard::Sense, now);
        assert_eq!(breaker.batch(50), 50);
        assert_eq!(breaker.longest_delay(now), None);
    }

    #[test]
    fn a_provider_that_stumbles_while_it_comes_back_is_still_forgiven() {
        let (breaker, now, _) = after_outage_of(TimeDelta::hours(71));
        let breaker = breaker.after(Heard::Sense, now);
        assert!(breaker.spares(start(), now + TimeDelta::minutes(1)));
        let much_later = now + TimeDelta::hours(3);
        assert!(!breaker.spares(start(), much_later));
        let anew = breaker.after(Heard::Outage, much_later);
        assert_eq!(anew.outage.map(|outage| outage.since), Some(much_later));
    }

    #[test]
    fn after_three_days_an_outage_takes_the_last_attempt_of_what_was_reported_before_them() {
        let (breaker, now, _) = after_outage_of(TimeDelta::hours(73));
        assert!(!breaker.spares(start() - TimeDelta::hours(1), now));
        assert!(!breaker.spares(start(), now));
        assert!(breaker.spares(start() + TimeDelta::hours(1), now));
        // It is probed no faster for that.
        assert_eq!(breaker.hold(BACKOFF, now, Jitter(u32::MAX)), SLOW);
    }

    #[test]
    fn two_outages_with_little_between_them_are_not_added_up() {
        let (breaker, back_at, _) = after_outage_of(TimeDelta::hours(40));
        // All is carried, and what is reported from now on was in no outage yet.
        let mut breaker = breaker.after(Heard::Sense, back_at);
        let reported_at = back_at + TimeDelta::hours(1);
        let mut now = reported_at;
        while now < reported_at + TimeDelta::hours(72) {
            breaker = breaker.after(Heard::Outage, now);
            assert!(breaker.spares(reported_at, now), "{}", now - reported_at);
            now += TimeDelta::minutes(5);
        }
        // Bounded all the same: it may be this job alone.
        assert!(!breaker.spares(reported_at, reported_at + LONGEST_OUTAGE));
    }

    fn heard() -> impl Strategy<Value = Heard> {
        prop_oneof![
            1 => Just(Heard::Sense),
            1 => Just(Heard::Trouble),
            1 => Just(Heard::Nothing),
            1 => Just(Heard::Limit),
            12 => Just(Heard::Outage),
        ]
    }

    proptest! {
        /// However good and bad times follow each other.
        #[test]
        fn an_outage_that_is_on_spares_every_job_for_three_days_from_its_report_and_none_for_ever(
            // Long enough for outages that follow each other to last for days together.
            rounds in prop::collection::vec((heard(), 1..60_i64), 1..400),
            reported_in in 0..400_usize,
        ) {
            let (mut breaker, mut now, mut reported_at) = (Breaker::default(), start(), start());
            for (number, (heard, minutes)) in rounds.into_iter().enumerate() {
                now += TimeDelta::minutes(minutes);
                if number == reported_in {
                    reported_at = now;
                }
                breaker = breaker.after(heard, now);
                let is_on = heard == Heard::Outage
                    && breaker.outage.is_some_and(|outage| now - outage.since >= ESTABLISHED);
                let age = now - reported_at;
                if is_on && age <= TimeDelta::hours(72) {
                    prop_assert!(breaker.spares(reported_at, now), "{age} {breaker:?}");
                }
                // That of the outage may be shorter, if it is not the first that the job has met.
                let met = breaker.outage.map_or(age, |outage| age.min(now - outage.since));
                if met >= LONGEST_OUTAGE {
                    prop_assert!(!breaker.spares(reported_at, now), "{age} {breaker:?}");
                }
            }
        }
    }

    #[test]
    fn a_limit_without_a_time_is_waited_for_ever_longer_and_then_tried_with_one_change() {
        let mut breaker = Breaker::default();
        let mut waits = Vec::new();
        for _ in 0..8 {
            waits.push(breaker.unsaid_limit(Jitter(0)).as_secs());
            breaker = breaker.after(Heard::Limit, start());
        }
        assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300, 300]);
        assert!(breaker.unsaid_limit(Jitter(u32::MAX)) <= SLOW * 9 / 8);
        assert_eq!((breaker.batch(50), breaker.outage), (1, None));
        // One named wait changes nothing of it, one success all.
        assert_eq!(breaker.after(Heard::Nothing, start()), breaker);
        let breaker = breaker.after(Heard::Sense, start());
        assert_eq!(breaker.unsaid_limit(Jitter(0)), FIRST_LIMIT);
    }

    #[test]
    fn an_answer_about_one_event_begins_no_outage() {
        let breaker = Breaker::default().after(Heard::Trouble, start());
        assert_eq!((breaker.fruitless, breaker.outage), (1, None));
        assert_eq!(breaker.after(Heard::Nothing, start()), breaker);
    }
}
