//! Google's error bodies.

use serde_json::json;

use crate::simulator::message::Reply;

/// A refused call: HTTP status, documented reason, and a text for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) status: u16,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) retry_after: Option<String>,
}

impl Problem {
    pub(super) fn new(status: u16, reason: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.to_owned(),
            message: message.into(),
            retry_after: None,
        }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid", message)
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(401, "authError", "Invalid Credentials")
    }

    pub(super) fn insufficient_scope() -> Self {
        Self::new(
            403,
            "insufficientPermissions",
            "Request had insufficient authentication scopes.",
        )
    }

    pub(super) fn not_found() -> Self {
        Self::new(404, "notFound", "Not Found")
    }

    /// The usual answer with this status, for scripted faults.
    pub(super) fn scripted(status: u16, reason: Option<&str>) -> Self {
        let usual = match status {
            400 => "badRequest",
            401 => "authError",
            403 => "forbidden",
            404 => "notFound",
            409 => "duplicate",
            410 => "deleted",
            412 => "conditionNotMet",
            429 => "rateLimitExceeded",
            _ => "backendError",
        };
        Self::new(status, reason.unwrap_or(usual), "A scripted fault.")
    }

    fn domain(&self) -> &'static str {
        match self.reason.as_str() {
            "rateLimitExceeded"
            | "userRateLimitExceeded"
            | "quotaExceeded"
            | "dailyLimitExceeded" => "usageLimits",
            "forbiddenForNonOrganizer" | "timeRangeEmpty" => "calendar",
            _ => "global",
        }
    }
}

impl From<Problem> for Reply {
    fn from(problem: Problem) -> Self {
        let mut body = json!({"error": {
            "code": problem.status,
            "message": problem.message,
            "errors": [{
                "domain": problem.domain(),
                "reason": problem.reason,
                "message": problem.message,
            }],
        }});
        if problem.status == 401 {
            body["error"]["status"] = "UNAUTHENTICATED".into();
        }
        if problem.reason == "insufficientPermissions" {
            body["error"]["status"] = "PERMISSION_DENIED".into();
            body["error"]["details"] = json!([{
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
                "domain": "googleapis.com",
            }]);
        }
        let reply = Self::json(problem.status, &body);
        match problem.retry_after {
            Some(text) => reply.with("retry-after", text),
            None => reply,
        }
    }
}

/// An error of the token and revocation endpoints (RFC 6749, section 5.2).
pub(super) fn oauth(status: u16, code: &str, text: &str) -> Reply {
    Reply::json(status, &json!({"error": code, "error_description": text}))
}

/// The usual OAuth error with this status, for scripted faults.
pub(super) fn scripted_oauth(status: u16, code: Option<&str>) -> Reply {
    let usual = match status {
        400 => "invalid_grant",
        401 => "invalid_client",
        429 => "rate_limit_exceeded",
        _ => "internal_failure",
    };
    oauth(status, code.unwrap_or(usual), "A scripted fault.")
}
