//! What the token and revoke endpoints mean when they say no.
//!
//! Decided by status and by the documented `error` code, never by description: texts change.
//! Busy and broken servers come first, whatever their body says, because network trouble must never
//! end a connection.

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::domain::{FailureCode, RateScope, ReauthReason, SyncFailure, Timestamp};
use crate::provider::http::Answer;

/// Why the provider's sign-in service refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The code or token is not, or no longer, good.
    GrantRefused,
    /// Policy wants the person to sign in again.
    SignInRequired,
    /// What is asked for was not consented to.
    ConsentMissing,
    /// Somebody said no.
    Denied,
    /// Our client id or secret is wrong.
    ClientRejected,
    /// Our client is known, and may not do this: nowhere, or not in this account's organisation. Entra
    /// answers so by directory, where the application is disabled or was never let in.
    ClientUnauthorized,
    /// The request itself is wrong: our mistake, or that of the settings.
    RequestRejected,
    /// The server is busy, and may say until when.
    Busy { until: Option<Timestamp> },
    /// The server is broken for now.
    Broken,
    /// Not an answer this endpoint should give.
    Unreadable,
}

/// The error body (RFC 6749, section 5.2), read so that no odd field hides the others.
#[derive(Default, Deserialize)]
struct ErrorBody {
    #[serde(default)]
    error: Value,
    /// Google, documented for session control only.
    #[serde(default)]
    error_subtype: Value,
    /// Microsoft's AADSTS numbers: for logs and support, never for decisions.
    #[serde(default)]
    error_codes: Value,
}

impl Refusal {
    /// Reads an answer whose status is not 200.
    pub(super) fn read(answer: &Answer, now: Timestamp) -> Self {
        let body: ErrorBody = serde_json::from_slice(&answer.body).unwrap_or_default();
        let refusal = Self::classify(answer, &body, now);
        tracing::info!(
            status = answer.status.as_u16(),
            ?refusal,
            aadsts = ?support_numbers(&body.error_codes),
            "the sign-in service refused"
        );
        refusal
    }

    fn classify(answer: &Answer, body: &ErrorBody, now: Timestamp) -> Self {
        let status = answer.status;
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Self::Busy {
                until: answer.retry_after(now),
            };
        }
        if status.is_server_error() {
            return Self::unavailable(answer, now);
        }
        match body.error.as_str() {
            // A Workspace that limits sessions ends the grant until the next sign-in.
            Some("invalid_grant") if body.error_subtype.as_str() == Some("invalid_rapt") => {
                Self::SignInRequired
            }
            Some("invalid_grant" | "invalid_token") => Self::GrantRefused,
            Some("interaction_required" | "login_required" | "admin_policy_enforced") => {
                Self::SignInRequired
            }
            Some("consent_required" | "invalid_scope") => Self::ConsentMissing,
            Some("access_denied") => Self::Denied,
            Some("invalid_client") => Self::ClientRejected,
            Some("unauthorized_client") => Self::ClientUnauthorized,
            Some(
                "invalid_request"
                | "unsupported_grant_type"
                | "invalid_resource"
                | "redirect_uri_mismatch",
            ) => Self::RequestRejected,
            Some("temporarily_unavailable" | "server_error") => Self::unavailable(answer, now),
            // 401 is kept for the client's own credentials (RFC 6749, section 5.2).
            Some(_) | None if status == StatusCode::UNAUTHORIZED => Self::ClientRejected,
            Some(_) | None if status == StatusCode::REQUEST_TIMEOUT => Self::Broken,
            Some(_) | None => Self::Unreadable,
        }
    }

    /// A server in trouble that says when to come back is obeyed.
    fn unavailable(answer: &Answer, now: Timestamp) -> Self {
        match answer.retry_after(now) {
            Some(until) => Self::Busy { until: Some(until) },
            None => Self::Broken,
        }
    }

    /// What it means for the access of a connection.
    pub(super) fn into_failure(self) -> SyncFailure {
        match self {
            Self::GrantRefused | Self::Denied => {
                SyncFailure::NeedsReauth(ReauthReason::GrantRefused)
            }
            Self::SignInRequired => SyncFailure::NeedsReauth(ReauthReason::PolicyRequires),
            Self::ConsentMissing => SyncFailure::NeedsReauth(ReauthReason::ScopeMissing),
            Self::ClientRejected => SyncFailure::operator(
                FailureCode::ClientRejected,
                "the provider does not accept our client id and secret",
            ),
            Self::ClientUnauthorized => SyncFailure::Operator {
                code: FailureCode::ClientRejected,
                detail: "the provider does not let our application act for the account: its \
                         organisation has not let it in or has disabled it, or our registration \
                         there is not complete"
                    .into(),
                scope: RateScope::Connection,
            },
            Self::RequestRejected => SyncFailure::operator(
                FailureCode::RequestRejected,
                "the provider does not accept how we ask for access: check the tenant, the \
                 redirect address and the endpoints",
            ),
            Self::Busy { until } => SyncFailure::RateLimited {
                until,
                scope: RateScope::Connection,
            },
            Self::Broken => SyncFailure::retryable(
                FailureCode::ServerError,
                "the provider's sign-in service has trouble",
            ),
            Self::Unreadable => unreadable(),
        }
    }
}

/// Whatever came, it was no answer of a token endpoint.
pub(super) fn unreadable() -> SyncFailure {
    SyncFailure::retryable(
        FailureCode::BadAnswer,
        "the provider's sign-in service answered with something else than its interface promises",
    )
}

/// The first few numbers; anything that is not a number stays out of the logs.
fn support_numbers(codes: &Value) -> Vec<u64> {
    let codes = codes.as_array().map(Vec::as_slice).unwrap_or_default();
    codes.iter().filter_map(Value::as_u64).take(4).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use proptest::prelude::*;
    use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};

    fn now() -> Timestamp {
        "2026-11-01T12:00:00Z".parse().expect("an instant")
    }

    fn read(status: u16, body: &str, wait: Option<&'static str>) -> Refusal {
        let mut headers = HeaderMap::new();
        if let Some(wait) = wait {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(wait));
        }
        let answer = Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            headers,
            body: body.into(),
        };
        Refusal::read(&answer, now())
    }

    #[test]
    fn each_documented_code_has_its_meaning() {
        for (error, expected) in [
            ("invalid_grant", Refusal::GrantRefused),
            ("invalid_token", Refusal::GrantRefused),
            ("interaction_required", Refusal::SignInRequired),
            ("login_required", Refusal::SignInRequired),
            ("admin_policy_enforced", Refusal::SignInRequired),
            ("consent_required", Refusal::ConsentMissing),
            ("invalid_scope", Refusal::ConsentMissing),
            ("access_denied", Refusal::Denied),
            ("invalid_client", Refusal::ClientRejected),
            ("unauthorized_client", Refusal::ClientUnauthorized),
            ("invalid_request", Refusal::RequestRejected),
            ("unsupported_grant_type", Refusal::RequestRejected),
            ("invalid_resource", Refusal::RequestRejected),
            ("redirect_uri_mismatch", Refusal::RequestRejected),
            ("temporarily_unavailable", Refusal::Broken),
            ("server_error", Refusal::Broken),
            ("something_new", Refusal::Unreadable),
        ] {
            let body = format!(r#"{{"error":"{error}","error_description":7,"error_codes":[1]}}"#);
            assert_eq!(read(400, &body, None), expected, "{error}");
        }
    }

    #[test]
    fn a_wrong_secret_concerns_everybody_and_an_organisation_perhaps_itself_alone() {
        for (error, expected) in [
            ("invalid_client", RateScope::Provider),
            ("unauthorized_client", RateScope::Connection),
        ] {
            let body = format!(r#"{{"error":"{error}"}}"#);
            let failure = read(400, &body, None).into_failure();
            let SyncFailure::Operator { code, scope, .. } = failure else {
                panic!("{failure:?}");
            };
            assert_eq!((code, scope), (FailureCode::ClientRejected, expected));
        }
    }

    #[test]
    fn session_control_asks_for_a_sign_in() {
        let body = r#"{"error":"invalid_grant","error_subtype":"invalid_rapt"}"#;
        assert_eq!(read(400, body, None), Refusal::SignInRequired);
    }

    #[test]
    fn a_body_of_another_shape_is_judged_by_its_status() {
        for (status, body, expected) in [
            (401, "", Refusal::ClientRejected),
            (
                401,
                r#"{"error":"deleted_client"}"#,
                Refusal::ClientRejected,
            ),
            (400, "<html>", Refusal::Unreadable),
            (
                400,
                r#"{"error":{"code":400,"status":"X"}}"#,
                Refusal::Unreadable,
            ),
            (400, "[]", Refusal::Unreadable),
            (302, "", Refusal::Unreadable),
            (404, "", Refusal::Unreadable),
            (408, "", Refusal::Broken),
            (429, "", Refusal::Busy { until: None }),
            (502, "<html>", Refusal::Broken),
        ] {
            assert_eq!(read(status, body, None), expected, "{status} {body}");
        }
    }

    #[test]
    fn a_broken_server_ends_no_grant_whatever_it_says() {
        for status in [429, 500, 503, 599] {
            let refusal = read(status, r#"{"error":"invalid_grant"}"#, None);
            assert!(!matches!(
                refusal.into_failure(),
                SyncFailure::NeedsReauth(_) | SyncFailure::Operator { .. }
            ));
        }
    }

    #[test]
    fn a_wait_is_obeyed_and_a_wait_of_nothing_costs_an_attempt() {
        let until = Some(now() + TimeDelta::seconds(30));
        assert_eq!(read(429, "", Some("30")), Refusal::Busy { until });
        assert_eq!(read(503, "", Some("30")), Refusal::Busy { until });
        assert_eq!(read(503, "", Some("0")), Refusal::Broken);
        assert_eq!(read(503, "", Some("soon")), Refusal::Broken);
    }

    proptest! {
        #[test]
        fn no_body_makes_reading_panic(status in 100_u16..600, body in ".{0,80}") {
            read(status, &body, None);
        }
    }
}
