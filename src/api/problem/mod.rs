//! What a client is told when a request fails: RFC 9457 problem details.
//!
//! Owns the one form of every error answer, also of those poem makes itself ([`foreign`]), and the
//! list of problems each operation documents ([`Refused`]). No inner error, no panic text and no
//! value of a request reaches an answer: causes go to the log, where the request id finds them.

mod code;
mod foreign;
mod refused;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::time::Duration;

use poem::Response;
use poem::error::ResponseError;
use poem::http::{HeaderName, HeaderValue, StatusCode, header};
use poem_openapi::Object;
use poem_openapi::types::ToJSON;

pub(super) use code::Code;
pub(super) use foreign::problem_of;
pub(super) use refused::{Documented, Refused, refusals};

use crate::domain::{SyncFailure, Timestamp};
use crate::store::StoreError;

/// One thing wrong with a body, at its JSON pointer (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq, Object)]
pub(super) struct FieldProblem {
    /// Where, such as `/appointments/3/ends_at`; empty for the body as a whole.
    pub(super) pointer: String,
    /// What is wrong, and what is allowed.
    pub(super) detail: String,
}

/// Problem details (RFC 9457).
#[derive(Clone, Debug, Object)]
#[oai(rename = "Problem")]
pub(super) struct ProblemBody {
    /// Always `about:blank`: `code` tells problems apart.
    #[oai(rename = "type")]
    type_: String,
    /// The status in words.
    title: String,
    status: u16,
    /// What happened, for people.
    detail: String,
    /// What happened, for programs; stable.
    code: Code,
    /// Finds the request in the log.
    request_id: String,
    /// What is wrong with the body, field by field.
    #[oai(skip_serializing_if_is_none)]
    errors: Option<Vec<FieldProblem>>,
}

/// A request that failed.
#[derive(Debug, thiserror::Error)]
#[error("{}", code.as_str())]
pub(super) struct Problem {
    pub(super) code: Code,
    pub(super) detail: Cow<'static, str>,
    pub(super) errors: Vec<FieldProblem>,
    retry_after: Option<Duration>,
    challenge: Option<String>,
    /// For the log alone.
    #[source]
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

impl Problem {
    pub(super) fn new(code: Code) -> Self {
        Self {
            code,
            detail: Cow::Borrowed(code.detail()),
            errors: Vec::new(),
            retry_after: code.retry_after(),
            challenge: None,
            cause: None,
        }
    }

    #[must_use]
    pub(super) fn because(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = detail.into();
        self
    }

    #[must_use]
    pub(super) fn with_errors(mut self, errors: Vec<FieldProblem>) -> Self {
        self.errors = errors;
        self
    }

    #[must_use]
    pub(super) fn at(self, pointer: &str, detail: impl Into<String>) -> Self {
        self.with_errors(vec![FieldProblem {
            pointer: pointer.to_owned(),
            detail: detail.into(),
        }])
    }

    #[must_use]
    pub(super) fn come_back_in(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    #[must_use]
    pub(super) fn challenged(mut self, challenge: String) -> Self {
        self.challenge = Some(challenge);
        self
    }

    #[must_use]
    pub(super) fn caused_by(mut self, cause: impl StdError + Send + Sync + 'static) -> Self {
        self.cause = Some(Box::new(cause));
        self
    }

    /// What a provider's refusal means for the caller who asked for a live call.
    pub(super) fn of_provider(failure: &SyncFailure, now: Timestamp) -> Self {
        match failure {
            SyncFailure::Retryable { detail, .. } => {
                Self::new(Code::ProviderUnavailable).because(detail.clone())
            }
            SyncFailure::RateLimited { until, .. } => {
                let problem = Self::new(Code::ProviderRateLimited);
                match until.and_then(|until| (until - now).to_std().ok()) {
                    Some(wait) => problem.come_back_in(wait),
                    None => problem,
                }
            }
            SyncFailure::NeedsReauth(reason) => {
                Self::new(Code::NeedsReauth).because(reason.as_str())
            }
            SyncFailure::StaleTarget(_) => Self::new(Code::ProviderFailed),
            SyncFailure::Permanent { detail, .. } | SyncFailure::Operator { detail, .. } => {
                Self::new(Code::ProviderFailed).because(detail.clone())
            }
        }
    }

    /// The answer to the request with this id.
    pub(super) fn into_response(self, request_id: &str) -> Response {
        let status = self.code.status();
        let body = ProblemBody {
            type_: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            detail: self.detail.into_owned(),
            code: self.code,
            request_id: request_id.to_owned(),
            errors: (!self.errors.is_empty()).then_some(self.errors),
        };
        let mut response = Response::builder()
            .status(status)
            .content_type("application/problem+json")
            .body(body.to_json_string());
        let mut set = |name: HeaderName, text: String| {
            // Both are made of our own words: what is no header value is left out.
            if let Ok(value) = HeaderValue::from_str(&text) {
                response.headers_mut().insert(name, value);
            }
        };
        if let Some(wait) = self.retry_after {
            // Rounded up: coming back a moment early would be refused again.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            set(header::RETRY_AFTER, seconds.max(1).to_string());
        }
        if let Some(challenge) = self.challenge {
            set(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let code = if error.is_transient() {
            Code::DatabaseUnavailable
        } else {
            Code::Internal
        };
        Self::new(code).caused_by(error)
    }
}

/// Lets a problem travel as poem's error; the outermost layer gives it its form.
impl ResponseError for Problem {
    fn status(&self) -> StatusCode {
        self.code.status()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RateScope;
    use chrono::TimeDelta;

    #[tokio::test]
    async fn a_problem_has_the_form_of_the_rfc_and_no_cause() {
        let error = StoreError::Unavailable(sea_orm::DbErr::Custom("secret inside".into()));
        let response = Problem::from(error).into_response("r-1");
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.header("retry-after"), Some("1"));
        assert_eq!(response.content_type(), Some("application/problem+json"));
        let body: serde_json::Value = response.into_body().into_json().await.expect("JSON");
        assert_eq!(
            body,
            serde_json::json!({
                "type": "about:blank",
                "title": "Service Unavailable",
                "status": 503,
                "detail": "The database is not available for now.",
                "code": "database_unavailable",
                "request_id": "r-1",
            })
        );
    }

    #[test]
    fn a_limit_of_the_provider_says_when_to_come_back() {
        let now: Timestamp = "2026-11-01T12:00:00Z".parse().expect("an instant");
        let failure = SyncFailure::RateLimited {
            until: Some(now + TimeDelta::milliseconds(4_200)),
            scope: RateScope::Connection,
        };
        let response = Problem::of_provider(&failure, now).into_response("r");
        assert_eq!(response.header("retry-after"), Some("5"));
    }
}
