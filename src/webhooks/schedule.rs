//! When a delivery is tried again, and when it, or its webhook, is given up. Pure.

use std::time::Duration;

use chrono::TimeDelta;

use crate::domain::{DeliveryError, DisabledReason, Jitter, Timestamp};
use crate::store::DeliveryEnd;

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
    /// Since when nothing succeeded at the webhook, if that is so.
    pub(super) failing_since: Option<Timestamp>,
}

/// What becomes of a delivery whose attempt failed at `now`.
pub(super) fn judge(failed: FailedAttempt, now: Timestamp, jitter: Jitter) -> DeliveryEnd {
    if failed.error == DeliveryError::Gone {
        return DeliveryEnd::Disabled(DisabledReason::Gone);
    }
    let failing_for = failed.failing_since.map(|since| now - since);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REFUSED: FailedAttempt = FailedAttempt {
        error: DeliveryError::Refused,
        attempts: 0,
        retry_after: None,
        failing_since: None,
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
            let DeliveryEnd::Again(next) = judge(failed, at, Jitter(0)) else {
                panic!("attempt {attempts} is not the last");
            };
            at = next;
        }
        assert_eq!(at - NOW, TimeDelta::seconds(5 + 35 * 60 + 27 * 3600));
        let last = FailedAttempt {
            attempts: 7,
            ..REFUSED
        };
        assert_eq!(judge(last, at, Jitter(0)), DeliveryEnd::GivenUp);
    }

    #[test]
    fn who_is_gone_or_failed_for_days_is_disabled() {
        let gone = FailedAttempt {
            error: DeliveryError::Gone,
            ..REFUSED
        };
        let disabled = DeliveryEnd::Disabled(DisabledReason::Gone);
        assert_eq!(judge(gone, NOW, Jitter(0)), disabled);
        let failing = |days, attempts| FailedAttempt {
            attempts,
            failing_since: Some(NOW - TimeDelta::days(days)),
            ..REFUSED
        };
        let disabled = DeliveryEnd::Disabled(DisabledReason::Failing);
        assert_eq!(judge(failing(5, 3), NOW, Jitter(0)), disabled);
        assert_eq!(judge(failing(5, 7), NOW, Jitter(0)), disabled);
        for (days, attempts) in [(4, 3), (5, 2), (50, 0)] {
            let end = judge(failing(days, attempts), NOW, Jitter(0));
            assert!(matches!(end, DeliveryEnd::Again(_)), "{days} {attempts}");
        }
        assert_eq!(judge(failing(4, 7), NOW, Jitter(0)), DeliveryEnd::GivenUp);
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
            let DeliveryEnd::Again(at) = judge(failed, NOW, Jitter(jitter)) else {
                return Err(TestCaseError::fail("another attempt follows"));
            };
            prop_assert!(at > NOW && at <= NOW + LONGEST_WAIT);
            prop_assert!(at >= NOW + TimeDelta::seconds(asked.min(36_000)));
        }
    }
}
