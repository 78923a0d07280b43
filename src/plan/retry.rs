//! What a failure leads to.

use std::time::Duration;

use chrono::TimeDelta;

use super::Breaker;
use crate::domain::{FailureCode, Jitter, RateScope, ReauthReason, Stale, SyncFailure, Timestamp};

/// The delays between attempts.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    pub base: Duration,
    pub cap: Duration,
    /// Failed attempts after which a job is given up.
    pub max_attempts: i32,
}

/// How long a provider is left alone after our set-up there was found wrong.
const OPERATOR_PAUSE: TimeDelta = TimeDelta::minutes(1);
/// How often in a row an event may be found stale before its next attempt waits.
const REPLANS: i32 = 3;
/// Failed attempts after which the pause is longer than a provider takes to show what it made: with
/// the usual backoff more than a minute, and two and a half since the first attempt.
const PATIENT_ATTEMPTS: i32 = 5;

/// What happens to the job, its connection and its provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Try again then; the attempt counts.
    RetryAt(Timestamp),
    /// Try again then; the attempt does not count, for an outage must not take the last one.
    WaitOut(Timestamp),
    /// Nobody in `scope` calls before `until`; no attempt is counted.
    Wait { until: Timestamp, scope: RateScope },
    /// The connection waits for its coach; the job is kept and no attempt is counted.
    AwaitReauth(ReauthReason),
    /// Forget what was believed of the event, and plan again then; the attempt counts.
    Replan { stale: Stale, at: Timestamp },
    /// Nobody calls this provider before `until`, unless the refusal may concern the connection alone;
    /// no attempt is counted.
    PauseProvider { until: Timestamp },
    /// The job ends as failed; it can be replayed.
    GiveUp,
}

/// What a job has behind it.
#[derive(Clone, Copy, Debug)]
pub struct Tries {
    /// Before this one.
    pub failed: i32,
    pub reported_at: Timestamp,
}

/// Whether a key that a provider calls taken, without showing an event under it, has been that for
/// so long that none will show: an attempt ended so before, and the pause since was long.
/// Given up sooner, an event that is shown late would stand beside that of the next key.
pub fn is_unseen_for_long(failed_attempts: i32, last_error: Option<&str>) -> bool {
    failed_attempts >= PATIENT_ATTEMPTS && last_error == Some(FailureCode::Conflict.as_str())
}

/// Never schedules in the past, never before the provider's own "until", never further ahead than
/// the cap when the provider said nothing. `breaker` is the connection's as it was before this round.
pub fn judge(
    failure: &SyncFailure,
    tries: Tries,
    backoff: Backoff,
    breaker: &Breaker,
    now: Timestamp,
    jitter: Jitter,
) -> Verdict {
    match failure {
        SyncFailure::Retryable { code, .. } if code.is_outage() => {
            in_outage(tries, backoff, breaker, now, jitter)
        }
        SyncFailure::Retryable { .. } => later(tries.failed, backoff, now, jitter),
        SyncFailure::RateLimited { until, scope } => {
            let unsaid = || now + from_std(breaker.unsaid_limit(jitter));
            let earliest = until.unwrap_or_else(unsaid).max(now);
            // Spread the return, so that not everyone who waited comes at the same moment.
            let spread = jitter.spread(Duration::from_secs(1)) - Duration::from_millis(500);
            Verdict::Wait {
                until: earliest + from_std(spread),
                scope: *scope,
            }
        }
        SyncFailure::NeedsReauth(reason) => Verdict::AwaitReauth(*reason),
        SyncFailure::StaleTarget(stale) => {
            let stale = *stale;
            if tries.failed < REPLANS {
                return Verdict::Replan { stale, at: now };
            }
            // An event that is stale again and again is somebody else's struggle: give it time. It is
            // forgotten all the same, for earlier attempts may have failed for another reason.
            match later(tries.failed, backoff, now, jitter) {
                Verdict::RetryAt(at) => Verdict::Replan { stale, at },
                verdict => verdict,
            }
        }
        SyncFailure::Permanent { .. } => Verdict::GiveUp,
        SyncFailure::Operator { .. } => Verdict::PauseProvider {
            until: now + OPERATOR_PAUSE,
        },
    }
}

fn later(failed_attempts: i32, backoff: Backoff, now: Timestamp, jitter: Jitter) -> Verdict {
    if failed_attempts.saturating_add(1) >= backoff.max_attempts {
        Verdict::GiveUp
    } else {
        Verdict::RetryAt(now + delay(backoff, failed_attempts, jitter))
    }
}

/// As [`later`], but no later than the outage's probes, and without the end.
fn in_outage(
    tries: Tries,
    backoff: Backoff,
    breaker: &Breaker,
    now: Timestamp,
    jitter: Jitter,
) -> Verdict {
    let backoff = Backoff {
        cap: breaker
            .longest_delay(now)
            .map_or(backoff.cap, |longest| longest.min(backoff.cap)),
        ..backoff
    };
    match later(tries.failed, backoff, now, jitter) {
        Verdict::GiveUp if breaker.spares(tries.reported_at, now) => {
            Verdict::WaitOut(now + delay(backoff, tries.failed, jitter))
        }
        verdict => verdict,
    }
}

fn delay(backoff: Backoff, failed_attempts: i32, jitter: Jitter) -> TimeDelta {
    let doublings = u32::try_from(failed_attempts).unwrap_or(0).min(30);
    let full = backoff.base.saturating_mul(1 << doublings).min(backoff.cap);
    from_std(jitter.trim(full))
}

fn from_std(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Outage;
    use proptest::prelude::*;

    const BACKOFF: Backoff = Backoff {
        base: Duration::from_secs(5),
        cap: Duration::from_secs(3600),
        max_attempts: 80,
    };

    fn now() -> Timestamp {
        "2026-11-01T12:00:00Z".parse().expect("an instant")
    }

    #[test]
    fn eighty_attempts_last_about_three_days() {
        let total = (0..79).fold(TimeDelta::zero(), |sum, attempt| {
            sum + delay(BACKOFF, attempt, Jitter(u32::MAX / 2))
        });
        assert!((62..=74).contains(&total.num_hours()), "{total}");
    }

    #[test]
    fn being_limited_counts_no_attempt_and_respects_the_provider() {
        let until = now() + TimeDelta::minutes(7);
        let failure = SyncFailure::RateLimited {
            until: Some(until),
            scope: RateScope::Connection,
        };
        let breaker = Breaker::default();
        let verdict = judge(&failure, after(79), BACKOFF, &breaker, now(), Jitter(0));
        assert!(matches!(verdict, Verdict::Wait { until: at, .. } if at >= until));
    }

    /// A job that was there before anything went wrong.
    fn after(failed: i32) -> Tries {
        Tries {
            failed,
            reported_at: Timestamp::UNIX_EPOCH,
        }
    }

    /// In an outage for `age`, without a success.
    fn down_for(age: TimeDelta) -> Breaker {
        Breaker {
            fruitless: 9,
            outage: Some(Outage {
                since: now() - age,
                seen_at: now(),
            }),
        }
    }

    #[test]
    fn an_outage_takes_no_last_attempt_and_delays_nothing_beyond_its_end() {
        let failure = SyncFailure::retryable(FailureCode::Timeout, "silence");
        let verdict = |attempts, age| {
            let breaker = down_for(age);
            judge(
                &failure,
                after(attempts),
                BACKOFF,
                &breaker,
                now(),
                Jitter(0),
            )
        };
        let soon = now() + TimeDelta::minutes(5);
        assert_eq!(verdict(20, TimeDelta::hours(1)), Verdict::RetryAt(soon));
        assert_eq!(verdict(79, TimeDelta::hours(72)), Verdict::WaitOut(soon));
        assert_eq!(verdict(79, TimeDelta::minutes(5)), Verdict::GiveUp);
        assert_eq!(verdict(79, TimeDelta::hours(74)), Verdict::GiveUp);
        // Nor one that was on before the job was reported.
        let since = Tries {
            failed: 79,
            reported_at: now() - TimeDelta::hours(28),
        };
        let breaker = down_for(TimeDelta::hours(75));
        let verdict = judge(&failure, since, BACKOFF, &breaker, now(), Jitter(0));
        assert_eq!(verdict, Verdict::WaitOut(soon));
    }

    #[test]
    fn an_event_that_is_gone_is_known_to_be_however_much_failed_before() {
        let stale = Stale::Gone;
        let failure = SyncFailure::StaleTarget(stale);
        let verdict = |attempts| {
            let breaker = Breaker::default();
            judge(
                &failure,
                after(attempts),
                BACKOFF,
                &breaker,
                now(),
                Jitter(0),
            )
        };
        assert_eq!(verdict(2), Verdict::Replan { stale, at: now() });
        for attempts in [3, 78] {
            let Verdict::Replan { at, .. } = verdict(attempts) else {
                panic!("after {attempts} attempts");
            };
            assert!(at > now(), "the one who removes it is given time");
        }
        assert_eq!(verdict(79), Verdict::GiveUp);
    }

    #[test]
    fn an_outage_excuses_only_what_it_may_have_caused() {
        let breaker = down_for(TimeDelta::hours(1));
        let conflict = SyncFailure::retryable(FailureCode::Conflict, "another change");
        let verdict = judge(&conflict, after(79), BACKOFF, &breaker, now(), Jitter(0));
        assert_eq!(verdict, Verdict::GiveUp);
    }

    #[test]
    fn a_key_is_given_up_only_after_a_long_pause_in_which_no_event_showed() {
        let conflict = Some("conflict");
        for attempts in [0, 1, 4] {
            assert!(!is_unseen_for_long(attempts, conflict));
        }
        assert!(is_unseen_for_long(5, conflict));
        let shortest = delay(BACKOFF, 4, Jitter(0)).min(delay(BACKOFF, 4, Jitter(u32::MAX)));
        assert!(shortest >= TimeDelta::seconds(30), "{shortest}");
        // Spent on something else, attempts say nothing about the key.
        for other in [Some("timeout"), Some("event_changed"), None] {
            assert!(!is_unseen_for_long(79, other));
        }
    }

    proptest! {
        #[test]
        fn a_retry_is_never_in_the_past_and_never_beyond_the_cap(
            attempt in 0..200_i32, jitter in any::<u32>(),
        ) {
            let failure = SyncFailure::retryable(FailureCode::Network, "off");
            let breaker = Breaker::default();
            match judge(&failure, after(attempt), BACKOFF, &breaker, now(), Jitter(jitter)) {
                Verdict::RetryAt(at) => {
                    prop_assert!(attempt < 79);
                    prop_assert!(at > now());
                    prop_assert!(at <= now() + TimeDelta::hours(1));
                }
                verdict => prop_assert!(attempt >= 79 && verdict == Verdict::GiveUp),
            }
        }
    }
}
