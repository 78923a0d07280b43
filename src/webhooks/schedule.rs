//! When a delivery is tried again, and when it, or its webhook, is given up. Pure.

use std::time::Duration;

use chrono::TimeDelta;

use crate::domain::{DeliveryError, DisabledReason, Jitter, Timestamp};
use crate::store::{DeliveryEnd, Standing};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
/// Before each attempt after the first: about a day in all.
const PAUSES: [Duration; 7] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * MINUTE),
    Duration::from_secs(30 * MINUTE),
    Duration::from_secs(2 * HOUR),
    Duration::from_secs(5 * HOUR),
    Duration::from_secs(10 * HOUR),
    Duration::from_secs(10 * HOUR),
];
/// A webhook that took nothing for so long is disabled.
const PATIENCE: TimeDelta = TimeDelta::days(5);
/// But only by a delivery that was tried so often: one mishap after quiet days is none of them.
const TRIED: i32 = 4;
/// After failing for so long, a webhook that takes something is told the rest at once, and not when it was
/// put off to. Shorter pauses are waited for: one event that is refused among others that are taken would
/// else use its attempts up.
const OUTAGE: TimeDelta = TimeDelta::minutes(30);
/// The longest that a receiver may ask us to wait.
const LONGEST_WAIT: TimeDelta = TimeDelta::hours(10);

/// An attempt that failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct FailedAttempt {
    pub(super) error: DeliveryError,
    /// Attempts that failed before this one.
    pub(super) attempts: i32,
    /// When the receiver asks us to come back.
    pub(super) retry_after: Option<Timestamp>,
}

/// What becomes of a delivery whose attempt failed at `now`, at a webhook that then stands so.
pub(super) fn judge(
    failed: FailedAttempt,
    at: Standing,
    now: Timestamp,
    jitter: Jitter,
) -> DeliveryEnd {
    if !at.is_current {
        // An address that was called says nothing of the one to be called.
        return DeliveryEnd::Again(now);
    }
    if failed.error == DeliveryError::Gone {
        return DeliveryEnd::Disabled(DisabledReason::Gone);
    }
    let failing_for = at.failing_since.map(|since| now - since);
    if failing_for >= Some(PATIENCE) && failed.attempts + 1 >= TRIED {
        return DeliveryEnd::Disabled(DisabledReason::Failing);
    }
    let nth = usize::try_from(failed.attempts).unwrap_or(usize::MAX);
    let Some(pause) = PAUSES.get(nth) else {
        return DeliveryEnd::GivenUp;
    };
    let planned = now + TimeDelta::from_std(jitter.trim(*pause)).unwrap_or(TimeDelta::MAX);
    let asked = failed.retry_after.map(|at| at.min(now + LONGEST_WAIT));
    DeliveryEnd::Again(asked.map_or(planned, |asked| asked.max(planned)))
}

/// Whether a webhook that failed since then and now took something is told the rest at once.
pub(super) fn hurries(recovered_from: Option<Timestamp>, now: Timestamp) -> bool {
    recovered_from.is_some_and(|since| now - since >= OUTAGE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REFUSED: FailedAttempt = FailedAttempt {
        error: DeliveryError::Refused,
        attempts: 0,
        retry_after: None,
    };
    const HERE: Standing = Standing {
        failing_since: None,
        is_current: true,
    };
    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn seven_more_attempts_follow_the_first_over_about_a_day() {
        let mut at = NOW;
        for attempts in 0..7 {
            let failed = FailedAttempt {
                attempts,
                ..REFUSED
            };
            let DeliveryEnd::Again(next) = judge(failed, HERE, at, Jitter(0)) else {
                panic!("attempt {attempts} is not the last");
            };
            at = next;
        }
        assert_eq!(at - NOW, TimeDelta::seconds(5 + 35 * 60 + 27 * 3600));
        let last = FailedAttempt {
            attempts: 7,
            ..REFUSED
        };
        assert_eq!(judge(last, HERE, at, Jitter(0)), DeliveryEnd::GivenUp);
    }

    #[test]
    fn who_is_gone_or_failed_for_days_is_disabled() {
        let gone = FailedAttempt {
            error: DeliveryError::Gone,
            ..REFUSED
        };
        let disabled = DeliveryEnd::Disabled(DisabledReason::Gone);
        assert_eq!(judge(gone, HERE, NOW, Jitter(0)), disabled);
        let failing = |days, attempts| {
            let failed = FailedAttempt {
                attempts,
                ..REFUSED
            };
            let at = Standing {
                failing_since: Some(NOW - TimeDelta::days(days)),
                ..HERE
            };
            judge(failed, at, NOW, Jitter(0))
        };
        let disabled = DeliveryEnd::Disabled(DisabledReason::Failing);
        assert_eq!(failing(5, 3), disabled);
        assert_eq!(failing(5, 7), disabled);
        for (days, attempts) in [(4, 3), (5, 2), (50, 0)] {
            let end = failing(days, attempts);
            assert!(matches!(end, DeliveryEnd::Again(_)), "{days} {attempts}");
        }
        assert_eq!(failing(4, 7), DeliveryEnd::GivenUp);
    }

    #[test]
    fn what_an_address_answered_that_is_called_no_more_ends_nothing() {
        let elsewhere = Standing {
            failing_since: Some(NOW - TimeDelta::days(50)),
            is_current: false,
        };
        for (error, attempts) in [(DeliveryError::Gone, 0), (DeliveryError::Refused, 7)] {
            let failed = FailedAttempt {
                error,
                attempts,
                ..REFUSED
            };
            let end = judge(failed, elsewhere, NOW, Jitter(0));
            assert_eq!(end, DeliveryEnd::Again(NOW));
        }
    }

    #[test]
    fn only_after_an_outage_is_the_rest_told_at_once() {
        let after = |minutes| hurries(Some(NOW - TimeDelta::minutes(minutes)), NOW);
        assert!(after(30) && after(600));
        assert!(!after(29) && !hurries(None, NOW));
    }

    proptest! {
        #[test]
        fn no_attempt_is_planned_in_the_past_or_beyond_the_longest_pause(
            attempts in 0..7_i32, jitter: u32, asked in -100_000..100_000_i64,
        ) {
            let failed = FailedAttempt {
                attempts,
                retry_after: Some(NOW + TimeDelta::seconds(asked)),
                ..REFUSED
            };
            let DeliveryEnd::Again(at) = judge(failed, HERE, NOW, Jitter(jitter)) else {
                return Err(TestCaseError::fail("another attempt follows"));
            };
            prop_assert!(at > NOW && at <= NOW + LONGEST_WAIT);
            prop_assert!(at >= NOW + TimeDelta::seconds(asked.min(36_000)));
        }
    }
}
