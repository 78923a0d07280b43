//! What Google's refusals mean.
//!
//! Decided by `error.errors[0].reason`, then a `reason` in `error.details`, then the status; never
//! by message text. No word of Google's body gets into a failure: reasons that are repeated in a
//! detail come from our own list.

use chrono::{NaiveTime, TimeDelta};
use chrono_tz::America::Los_Angeles;
use serde_json::Value;

use crate::domain::{FailureCode, RateScope, ReauthReason, Stale, SyncFailure, Timestamp};
use crate::provider::http::Answer;

/// `quotaExceeded` is a limit on what one account may create; it refills over hours.
const ACCOUNT_QUOTA_WAIT: TimeDelta = TimeDelta::hours(1);
/// The old daily limit ends at midnight in California. Asked again sooner, for an operator may
/// have been granted more meanwhile.
const LONGEST_DAILY_WAIT: TimeDelta = TimeDelta::hours(6);

/// Reads an answer whose status is not a success.
pub(super) fn classify(answer: &Answer, now: Timestamp) -> SyncFailure {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    for reason in reasons(&body) {
        if let Some(failure) = by_reason(reason, &body, answer, now) {
            return failure;
        }
    }
    by_status(answer, now)
}

/// Whether the answer names this reason.
pub(super) fn has_reason(answer: &Answer, wanted: &str) -> bool {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    reasons(&body).any(|reason| reason == wanted)
}

/// Most specific last: `details` repeats `errors` in newer words. A plain `error` string is how
/// the sign-in endpoints answer.
fn reasons(body: &Value) -> impl Iterator<Item = &str> {
    let first = body.pointer("/error/errors/0/reason");
    let details = body.pointer("/error/details").and_then(Value::as_array);
    first
        .into_iter()
        .chain(
            details
                .into_iter()
                .flatten()
                .filter_map(|d| d.get("reason")),
        )
        .chain(body.get("error"))
        .filter_map(Value::as_str)
}

fn by_reason(reason: &str, body: &Value, answer: &Answer, now: Timestamp) -> Option<SyncFailure> {
    let asked = answer.retry_after(now);
    Some(match reason {
        "authError" | "UNAUTHENTICATED" | "ACCESS_TOKEN_EXPIRED" | "invalid_token" => {
            SyncFailure::NeedsReauth(ReauthReason::GrantRefused)
        }
        "insufficientPermissions" | "ACCESS_TOKEN_SCOPE_INSUFFICIENT" | "insufficient_scope" => {
            SyncFailure::NeedsReauth(ReauthReason::ScopeMissing)
        }
        "userRateLimitExceeded" => SyncFailure::RateLimited {
            until: asked,
            scope: RateScope::Connection,
        },
        "rateLimitExceeded" | "RATE_LIMIT_EXCEEDED" => SyncFailure::RateLimited {
            until: asked,
            scope: limit_scope(body),
        },
        "quotaExceeded" => SyncFailure::RateLimited {
            until: asked.max(Some(now + ACCOUNT_QUOTA_WAIT)),
            scope: RateScope::Connection,
        },
        "dailyLimitExceeded" => SyncFailure::RateLimited {
            until: asked.max(Some(end_of_daily_limit(now))),
            scope: RateScope::Provider,
        },
        "accessNotConfigured" | "SERVICE_DISABLED" => SyncFailure::operator(
            FailureCode::ApiDisabled,
            "the Google Calendar API is not enabled for our project",
        ),
        "notACalendarUser" => SyncFailure::permanent(
            FailureCode::NoCalendarService,
            "the Google account has no calendar: open Google Calendar once, then try again",
        ),
        "forbidden" | "requiredAccessLevel" => SyncFailure::permanent(
            FailureCode::CalendarReadOnly,
            "Google no longer lets us write to this calendar",
        ),
        "forbiddenForNonOrganizer" => SyncFailure::permanent(
            FailureCode::InvalidEvent,
            "Google lets only the event's organiser change it (forbiddenForNonOrganizer)",
        ),
        "timeRangeEmpty" => refused("Google refuses the event (timeRangeEmpty)"),
        "invalid" => refused("Google refuses the event (invalid)"),
        "required" => refused("Google refuses the event (required)"),
        "badRequest" => refused("Google refuses the event (badRequest)"),
        "parseError" => refused("Google refuses the event (parseError)"),
        _ => return None,
    })
}

fn refused(detail: &'static str) -> SyncFailure {
    SyncFailure::permanent(FailureCode::InvalidEvent, detail)
}

fn by_status(answer: &Answer, now: Timestamp) -> SyncFailure {
    let asked = answer.retry_after(now);
    match answer.status.as_u16() {
        400 => refused("Google refuses the event"),
        401 => SyncFailure::NeedsReauth(ReauthReason::GrantRefused),
        404 => SyncFailure::retryable(
            FailureCode::CalendarNotFound,
            "Google does not find the calendar",
        ),
        408 => SyncFailure::retryable(FailureCode::Timeout, "Google gave up waiting for the call"),
        409 => SyncFailure::retryable(
            FailureCode::Conflict,
            "Google was busy with another change of the same calendar",
        ),
        410 => SyncFailure::StaleTarget(Stale::Gone),
        412 => SyncFailure::StaleTarget(Stale::Changed),
        413 => SyncFailure::permanent(
            FailureCode::EventTooLarge,
            "the event is larger than Google takes",
        ),
        429 => SyncFailure::RateLimited {
            until: asked,
            scope: RateScope::Connection,
        },
        // Told when to come back, an overloaded server is a limit like any other.
        500..=599 if asked.is_some() => SyncFailure::RateLimited {
            until: asked,
            scope: RateScope::Connection,
        },
        500..=599 => SyncFailure::retryable(
            FailureCode::ServerError,
            "Google had trouble carrying out the call",
        ),
        403 => SyncFailure::retryable(
            FailureCode::ServerError,
            "Google refuses the call for a reason we do not know",
        ),
        _ => SyncFailure::retryable(
            FailureCode::BadAnswer,
            "Google answered with a status its interface does not name",
        ),
    }
}

/// A limit holds for the account unless Google names one of the whole project.
///
/// Newer answers name it in `details[].metadata.quota_limit`, in the manner of
/// `defaultPerMinutePerProject`. Without a name the account is the safer guess: it delays nobody
/// else, and should the project be meant, each account soon finds out by itself.
fn limit_scope(body: &Value) -> RateScope {
    let details = body.pointer("/error/details").and_then(Value::as_array);
    let named = details
        .into_iter()
        .flatten()
        .filter_map(|detail| detail.pointer("/metadata/quota_limit")?.as_str())
        .any(|limit| limit.contains("PerProject") && !limit.contains("PerUser"));
    if named {
        RateScope::Provider
    } else {
        RateScope::Connection
    }
}

fn end_of_daily_limit(now: Timestamp) -> Timestamp {
    let tomorrow = now.with_timezone(&Los_Angeles).date_naive() + chrono::Days::new(1);
    let latest = now + LONGEST_DAILY_WAIT;
    tomorrow
        .and_time(NaiveTime::MIN)
        .and_local_timezone(Los_Angeles)
        .earliest()
        .map_or(latest, |midnight| midnight.to_utc().min(latest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::StatusCode;
    use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
    use serde_json::json;

    fn now() -> Timestamp {
        "2026-11-02T06:00:00Z".parse().expect("an instant")
    }

    fn answer(status: u16, retry_after: Option<&'static str>, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        if let Some(text) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
        }
        Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            headers,
            body: body.as_bytes().to_vec(),
        }
    }

    fn with_reason(status: u16, reason: &str) -> SyncFailure {
        let body = json!({"error": {
            "code": status, "message": "Anna Client has an appointment",
            "errors": [{"domain": "x", "reason": reason, "message": "Anna Client"}],
        }});
        classify(&answer(status, None, &body.to_string()), now())
    }

    fn limited(wait: Option<i64>, scope: RateScope) -> SyncFailure {
        SyncFailure::RateLimited {
            until: wait.map(|seconds| now() + TimeDelta::seconds(seconds)),
            scope,
        }
    }

    fn word(failure: &SyncFailure) -> (&'static str, FailureCode) {
        let class = match failure {
            SyncFailure::Retryable { .. } => "retry",
            SyncFailure::RateLimited { .. } => "limit",
            SyncFailure::NeedsReauth(_) => "reauth",
            SyncFailure::StaleTarget(_) => "stale",
            SyncFailure::Permanent { .. } => "permanent",
            SyncFailure::Operator { .. } => "operator",
        };
        (class, failure.code())
    }

    #[test]
    fn every_documented_reason_has_its_class() {
        for (status, reason, class, code) in [
            (
                400,
                "timeRangeEmpty",
                "permanent",
                FailureCode::InvalidEvent,
            ),
            (400, "invalid", "permanent", FailureCode::InvalidEvent),
            (400, "neverHeardOf", "permanent", FailureCode::InvalidEvent),
            (401, "authError", "reauth", FailureCode::ReauthRequired),
            (403, "rateLimitExceeded", "limit", FailureCode::RateLimited),
            (
                403,
                "userRateLimitExceeded",
                "limit",
                FailureCode::RateLimited,
            ),
            (403, "quotaExceeded", "limit", FailureCode::RateLimited),
            (403, "dailyLimitExceeded", "limit", FailureCode::RateLimited),
            (
                403,
                "insufficientPermissions",
                "reauth",
                FailureCode::ReauthRequired,
            ),
            (
                403,
                "accessNotConfigured",
                "operator",
                FailureCode::ApiDisabled,
            ),
            (
                403,
                "forbiddenForNonOrganizer",
                "permanent",
                FailureCode::InvalidEvent,
            ),
            (403, "forbidden", "permanent", FailureCode::CalendarReadOnly),
            (
                403,
                "requiredAccessLevel",
                "permanent",
                FailureCode::CalendarReadOnly,
            ),
            (
                403,
                "notACalendarUser",
                "permanent",
                FailureCode::NoCalendarService,
            ),
            (403, "neverHeardOf", "retry", FailureCode::ServerError),
            (404, "notFound", "retry", FailureCode::CalendarNotFound),
            (409, "conflict", "retry", FailureCode::Conflict),
            (410, "deleted", "stale", FailureCode::EventChanged),
            (412, "conditionNotMet", "stale", FailureCode::EventChanged),
            (
                413,
                "uploadTooLarge",
                "permanent",
                FailureCode::EventTooLarge,
            ),
            (429, "rateLimitExceeded", "limit", FailureCode::RateLimited),
            (500, "backendError", "retry", FailureCode::ServerError),
        ] {
            let failure = with_reason(status, reason);
            assert_eq!(word(&failure), (class, code), "{status} {reason}");
            assert!(!format!("{failure} {failure:?}").contains("Anna"));
        }
    }

    #[test]
    fn an_answer_without_reasons_is_judged_by_status() {
        for (status, class) in [
            (401, "reauth"),
            (403, "retry"),
            (404, "retry"),
            (429, "limit"),
            (502, "retry"),
            (503, "retry"),
            (504, "retry"),
            (302, "retry"),
            (418, "retry"),
        ] {
            for body in ["", "<html>no</html>", "[]", "{\"error\": 7}"] {
                let failure = classify(&answer(status, None, body), now());
                assert_eq!(word(&failure).0, class, "{status} {body}");
            }
        }
    }

    #[test]
    fn a_missing_scope_is_also_read_from_the_details() {
        let body = json!({"error": {"code": 403, "status": "PERMISSION_DENIED",
            "details": [{"@type": "x"}, {"reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}]}});
        assert_eq!(
            classify(&answer(403, None, &body.to_string()), now()),
            SyncFailure::NeedsReauth(ReauthReason::ScopeMissing)
        );
    }

    #[test]
    fn a_limit_is_the_accounts_unless_the_project_is_named() {
        for (limit, scope) in [
            ("defaultPerMinutePerProject", RateScope::Provider),
            ("defaultPerMinutePerUser", RateScope::Connection),
            ("defaultPerMinutePerProjectPerUser", RateScope::Connection),
        ] {
            let body = json!({"error": {"errors": [{"reason": "rateLimitExceeded"}],
                "details": [{"reason": "RATE_LIMIT_EXCEEDED", "metadata": {"quota_limit": limit}}]}});
            let failure = classify(&answer(429, Some("7"), &body.to_string()), now());
            assert_eq!(failure, limited(Some(7), scope), "{limit}");
        }
        let bare = classify(&answer(429, None, ""), now());
        assert_eq!(bare, limited(None, RateScope::Connection));
    }

    #[test]
    fn slow_limits_wait_for_hours_and_an_overloaded_server_for_what_it_asks() {
        assert_eq!(
            with_reason(403, "quotaExceeded"),
            limited(Some(3_600), RateScope::Connection)
        );
        // 06:00 UTC is 22:00 of the day before in California: midnight is two hours off.
        assert_eq!(
            with_reason(403, "dailyLimitExceeded"),
            limited(Some(2 * 3_600), RateScope::Provider)
        );
        assert_eq!(
            end_of_daily_limit(now() + TimeDelta::hours(3)),
            now() + TimeDelta::hours(9)
        );
        assert_eq!(
            classify(&answer(503, Some("120"), ""), now()),
            limited(Some(120), RateScope::Connection)
        );
    }
}
