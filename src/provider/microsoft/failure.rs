//! What Graph's refusals mean.
//!
//! Decided by the first code we know, from `error.code` inward through every `innerError`, then by
//! status; never by message text. No word of Graph's body gets into a failure.

use reqwest::header::WWW_AUTHENTICATE;
use serde_json::Value;

use crate::domain::{EventId, FailureCode, RateScope, ReauthReason, Stale, SyncFailure, Timestamp};
use crate::provider::http::Answer;

/// How deep `innerError` is followed.
const MAX_DEPTH: usize = 8;
/// Ids of Graph are some 150 bytes long.
const MAX_ID_BYTES: usize = 1024;
pub(super) const DUPLICATE_TRANSACTION: &str = "ErrorDuplicateTransactionId";

/// Reads an answer whose status is not a success.
pub(super) fn classify(answer: &Answer, now: Timestamp) -> SyncFailure {
    if answer.status.as_u16() == 401 && has_claims_challenge(answer) {
        return SyncFailure::NeedsReauth(ReauthReason::PolicyRequires);
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    codes(&body)
        .find_map(by_code)
        .unwrap_or_else(|| by_status(answer, now))
}

/// Whether the answer names this code, at any depth.
pub(super) fn has_code(answer: &Answer, wanted: &str) -> bool {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    codes(&body).any(|code| code == wanted)
}

/// The event that has the transaction id already. Seen of [`DUPLICATE_TRANSACTION`], not documented:
/// what could not be an id, and a path's segment, is as if absent.
pub(super) fn existing_event(answer: &Answer) -> Option<EventId> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let id = body.pointer("/error/@event.existingEventId")?.as_str()?;
    let is_id = id.len() <= MAX_ID_BYTES
        && id.bytes().all(|byte| byte.is_ascii_graphic())
        && id.bytes().any(|byte| byte.is_ascii_alphanumeric());
    is_id.then(|| EventId::from(id))
}

/// Whether what was asked for, an event or a calendar, is not there, as against the mailbox.
pub(super) fn is_gone(answer: &Answer, now: Timestamp) -> bool {
    match answer.status.as_u16() {
        404 => !matches!(classify(answer, now), SyncFailure::Permanent { .. }),
        410 => true,
        _ => false,
    }
}

fn codes(body: &Value) -> impl Iterator<Item = &str> {
    std::iter::successors(body.get("error"), |error| {
        error.get("innerError").or(error.get("innererror"))
    })
    .take(MAX_DEPTH)
    .filter_map(|error| error.get("code")?.as_str())
}

fn by_code(code: &str) -> Option<SyncFailure> {
    Some(match code {
        "InvalidAuthenticationToken" => SyncFailure::NeedsReauth(ReauthReason::GrantRefused),
        "insufficient_claims" => SyncFailure::NeedsReauth(ReauthReason::PolicyRequires),
        "Authorization_RequestDenied" => SyncFailure::NeedsReauth(ReauthReason::ScopeMissing),
        // Scopes are checked at sign-in: what is denied later is the right to this calendar.
        "ErrorAccessDenied" => SyncFailure::permanent(
            FailureCode::CalendarReadOnly,
            "Outlook no longer lets us write to this calendar",
        ),
        "ErrorInvalidRequest" => refused("Outlook refuses the event (ErrorInvalidRequest)"),
        "ErrorOccurrenceCrossingBoundary" => {
            refused("Outlook refuses the event (ErrorOccurrenceCrossingBoundary)")
        }
        "RequestBodyRead" => refused("Outlook refuses the event (RequestBodyRead)"),
        "TimeZoneNotSupportedException" => {
            refused("Outlook refuses the event (TimeZoneNotSupportedException)")
        }
        "ErrorMissingEmailAddress" | "MailboxNotEnabledForRESTAPI" | "ResourceNotFound" => {
            SyncFailure::permanent(
                FailureCode::NoCalendarService,
                "the Microsoft account has no mailbox that Outlook's interface can reach",
            )
        }
        "ErrorIrresolvableConflict" => SyncFailure::StaleTarget(Stale::Changed),
        DUPLICATE_TRANSACTION => SyncFailure::retryable(
            FailureCode::Conflict,
            "Outlook knows the event's key from an earlier attempt",
        ),
        _ => return None,
    })
}

/// The calendar is not there, or not for us: it may come back, and its events with it.
pub(super) fn calendar_not_found() -> SyncFailure {
    SyncFailure::retryable(
        FailureCode::CalendarNotFound,
        "Outlook does not find the calendar",
    )
}

fn refused(detail: &'static str) -> SyncFailure {
    SyncFailure::permanent(FailureCode::InvalidEvent, detail)
}

fn by_status(answer: &Answer, now: Timestamp) -> SyncFailure {
    let asked = answer.retry_after(now);
    // Graph's limits count per app *and* mailbox; pages that say otherwise contradict each other.
    let limited = SyncFailure::RateLimited {
        until: asked,
        scope: RateScope::Connection,
    };
    match answer.status.as_u16() {
        400 => refused("Outlook refuses the event"),
        401 => SyncFailure::NeedsReauth(ReauthReason::GrantRefused),
        403 => SyncFailure::retryable(
            FailureCode::ServerError,
            "Outlook refuses the call for a reason we do not know",
        ),
        404 => calendar_not_found(),
        408 => SyncFailure::retryable(FailureCode::Timeout, "Outlook gave up waiting for the call"),
        409 | 423 | 424 => SyncFailure::retryable(
            FailureCode::Conflict,
            "Outlook was busy with another change of the same mailbox",
        ),
        410 => SyncFailure::StaleTarget(Stale::Gone),
        412 => SyncFailure::StaleTarget(Stale::Changed),
        413 => SyncFailure::permanent(
            FailureCode::EventTooLarge,
            "the event is larger than Outlook takes",
        ),
        429 => limited,
        507 => SyncFailure::permanent(FailureCode::MailboxFull, "the mailbox is full"),
        // Told when to come back, an overloaded server is a limit like any other.
        500..=599 if asked.is_some() => limited,
        500..=599 => SyncFailure::retryable(
            FailureCode::ServerError,
            "Outlook had trouble carrying out the call",
        ),
        _ => SyncFailure::retryable(
            FailureCode::BadAnswer,
            "Outlook answered with a status its interface does not name",
        ),
    }
}

/// Conditional access that bites an issued token: another token of the same grant will not help.
fn has_claims_challenge(answer: &Answer) -> bool {
    answer
        .headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("insufficient_claims") || value.contains("claims="))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, TimeDelta};
    use reqwest::StatusCode;
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
    use serde_json::json;

    fn now() -> Timestamp {
        DateTime::UNIX_EPOCH
    }

    fn answer(status: u16, header: Option<(HeaderName, &'static str)>, body: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: header
                .into_iter()
                .map(|(name, text)| (name, HeaderValue::from_static(text)))
                .collect::<HeaderMap>(),
            body: body.as_bytes().to_vec(),
        }
    }

    fn with_code(status: u16, code: &str) -> SyncFailure {
        let body = json!({"error": {"code": code, "message": "Anna Client is busy"}});
        classify(&answer(status, None, &body.to_string()), now())
    }

    #[test]
    fn every_documented_code_has_its_class() {
        use FailureCode as Code;
        for (status, code, class, word) in [
            (400, "ErrorInvalidRequest", "permanent", Code::InvalidEvent),
            (
                400,
                "ErrorOccurrenceCrossingBoundary",
                "permanent",
                Code::InvalidEvent,
            ),
            (400, "RequestBodyRead", "permanent", Code::InvalidEvent),
            (
                400,
                "TimeZoneNotSupportedException",
                "permanent",
                Code::InvalidEvent,
            ),
            (400, "NeverHeardOf", "permanent", Code::InvalidEvent),
            (400, "ErrorDuplicateTransactionId", "retry", Code::Conflict),
            (409, "ErrorDuplicateTransactionId", "retry", Code::Conflict),
            (
                400,
                "ErrorMissingEmailAddress",
                "permanent",
                Code::NoCalendarService,
            ),
            (
                401,
                "InvalidAuthenticationToken",
                "reauth",
                Code::ReauthRequired,
            ),
            (403, "insufficient_claims", "reauth", Code::ReauthRequired),
            (
                403,
                "ErrorAccessDenied",
                "permanent",
                Code::CalendarReadOnly,
            ),
            (
                403,
                "Authorization_RequestDenied",
                "reauth",
                Code::ReauthRequired,
            ),
            (403, "NeverHeardOf", "retry", Code::ServerError),
            (404, "ErrorItemNotFound", "retry", Code::CalendarNotFound),
            (
                404,
                "MailboxNotEnabledForRESTAPI",
                "permanent",
                Code::NoCalendarService,
            ),
            (
                404,
                "ResourceNotFound",
                "permanent",
                Code::NoCalendarService,
            ),
            (409, "NeverHeardOf", "retry", Code::Conflict),
            (410, "NeverHeardOf", "stale", Code::EventChanged),
            (
                412,
                "ErrorIrresolvableConflict",
                "stale",
                Code::EventChanged,
            ),
            (413, "NeverHeardOf", "permanent", Code::EventTooLarge),
            (423, "NeverHeardOf", "retry", Code::Conflict),
            (424, "NeverHeardOf", "retry", Code::Conflict),
            (429, "TooManyRequests", "limit", Code::RateLimited),
            (429, "ApplicationThrottled", "limit", Code::RateLimited),
            (
                500,
                "ErrorInternalServerTransientError",
                "retry",
                Code::ServerError,
            ),
            (502, "", "retry", Code::ServerError),
            (503, "", "retry", Code::ServerError),
            (504, "", "retry", Code::ServerError),
            (507, "", "permanent", Code::MailboxFull),
            (509, "", "retry", Code::ServerError),
            (302, "", "retry", Code::BadAnswer),
        ] {
            let failure = with_code(status, code);
            let shown = match &failure {
                SyncFailure::Retryable { .. } => "retry",
                SyncFailure::RateLimited { .. } => "limit",
                SyncFailure::NeedsReauth(_) => "reauth",
                SyncFailure::StaleTarget(_) => "stale",
                SyncFailure::Permanent { .. } => "permanent",
                SyncFailure::Operator { .. } => "operator",
            };
            assert_eq!((shown, failure.code()), (class, word), "{status} {code}");
            assert!(!format!("{failure} {failure:?}").contains("Anna"));
        }
    }

    #[test]
    fn the_first_known_code_going_inward_decides() {
        let body = json!({"error": {"code": "BadRequest", "innerError": {
            "code": "Unknown", "date": "x", "innererror": {"code": "ErrorDuplicateTransactionId"}}}});
        let refusal = answer(400, None, &body.to_string());
        assert!(has_code(&refusal, DUPLICATE_TRANSACTION));
        assert_eq!(classify(&refusal, now()).code(), FailureCode::Conflict);
    }

    #[test]
    fn an_existing_event_is_named_by_what_could_be_an_id_and_by_nothing_else() {
        let named = |id: Value| {
            let body = json!({"error": {
                "code": DUPLICATE_TRANSACTION, "@event.existingEventId": id}});
            existing_event(&answer(400, None, &body.to_string()))
        };
        for id in ["AAMkAD/b+c-d_e=", &"A".repeat(MAX_ID_BYTES)] {
            assert_eq!(named(id.into()), Some(id.into()));
        }
        for text in [
            "",
            "..",
            "a b",
            "a\r\nX: y",
            "\0",
            "é",
            &"A".repeat(MAX_ID_BYTES + 1),
        ] {
            assert_eq!(named(text.into()), None, "{text:?}");
        }
        assert_eq!(named(json!(7)), None);
        assert_eq!(named(json!(["e1"])), None);
        assert_eq!(existing_event(&answer(400, None, "<html>")), None);
    }

    #[test]
    fn what_is_not_an_error_object_is_judged_by_status() {
        for body in [
            "",
            "<html>",
            "[]",
            "{\"error\":\"x\"}",
            "{\"error\":{\"code\":7}}",
        ] {
            let failure = classify(&answer(503, None, body), now());
            assert_eq!(failure.code(), FailureCode::ServerError);
        }
        let deep = format!("{}1{}", "{\"error\":".repeat(500), "}".repeat(500));
        assert_eq!(
            classify(&answer(500, None, &deep), now()).code(),
            FailureCode::ServerError
        );
    }

    #[test]
    fn waits_that_graph_names_are_kept_and_rounded_up() {
        for status in [429, 503, 509] {
            let refusal = answer(status, Some((RETRY_AFTER, "2.128")), "");
            assert_eq!(
                classify(&refusal, now()),
                SyncFailure::RateLimited {
                    until: Some(now() + TimeDelta::seconds(3)),
                    scope: RateScope::Connection,
                }
            );
        }
    }

    #[test]
    fn a_claims_challenge_asks_for_a_new_sign_in_and_a_bare_401_for_a_new_token() {
        let challenge = "Bearer error=\"insufficient_claims\", claims=\"e30=\"";
        for body in ["", "{\"error\":{\"code\":\"InvalidAuthenticationToken\"}}"] {
            let refusal = answer(401, Some((WWW_AUTHENTICATE, challenge)), body);
            assert_eq!(
                classify(&refusal, now()),
                SyncFailure::NeedsReauth(ReauthReason::PolicyRequires)
            );
        }
        assert_eq!(
            classify(&answer(401, None, ""), now()),
            SyncFailure::NeedsReauth(ReauthReason::GrantRefused)
        );
    }

    #[test]
    fn a_missing_mailbox_is_not_a_missing_event() {
        let mailbox = json!({"error": {"code": "MailboxNotEnabledForRESTAPI"}}).to_string();
        assert!(!is_gone(&answer(404, None, &mailbox), now()));
        let item = json!({"error": {"code": "ErrorItemNotFound"}}).to_string();
        assert!(is_gone(&answer(404, None, &item), now()));
        assert!(is_gone(&answer(410, None, ""), now()));
        assert!(!is_gone(&answer(403, None, ""), now()));
    }
}
