//! Graph's error bodies.

use serde_json::{Value, json};

use crate::simulator::message::{Call, Reply};
use crate::simulator::random::{self, Dice};
use crate::simulator::world::World;

/// A refused call: HTTP status, code, and a text for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) retry_after: Option<String>,
    /// The event that has the transaction id already.
    pub(super) existing_event: Option<String>,
}

impl Problem {
    pub(super) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            retry_after: None,
            existing_event: None,
        }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "ErrorInvalidRequest", message)
    }

    pub(super) fn unauthorized() -> Self {
        let text = "Access token has expired or is not yet valid.";
        Self::new(401, "InvalidAuthenticationToken", text)
    }

    pub(super) fn no_item() -> Self {
        let text = "The specified object was not found in the store.";
        Self::new(404, "ErrorItemNotFound", text)
    }

    pub(super) fn no_such_segment() -> Self {
        Self::invalid("Resource not found for the segment.")
    }

    pub(super) fn over_concurrency(dice: &Dice) -> Self {
        let text = "Application is over its MailboxConcurrency limit.";
        let mut problem = Self::new(429, "ApplicationThrottled", text);
        // Fractional, as seen in the field.
        problem.retry_after = Some(format!("{}.{:03}", dice.below(2), 1 + dice.below(999)));
        problem
    }

    /// The usual answer with this status, for scripted faults.
    pub(super) fn scripted(status: u16, code: Option<&str>) -> Self {
        let usual = match status {
            400 => "ErrorInvalidRequest",
            401 => "InvalidAuthenticationToken",
            403 => "ErrorAccessDenied",
            404 => "ErrorItemNotFound",
            412 => "ErrorIrresolvableConflict",
            429 => "TooManyRequests",
            500 => "ErrorInternalServerTransientError",
            503 => "ServiceUnavailable",
            504 => "GatewayTimeout",
            _ => "UnknownError",
        };
        Self::new(status, code.unwrap_or(usual), "A scripted fault.")
    }

    fn body(&self) -> Value {
        let mut error = json!({"code": self.code, "message": self.message});
        if let Some(id) = &self.existing_event {
            error["@event.existingEventId"] = id.clone().into();
        }
        error
    }

    pub(super) fn reply(&self, world: &World, call: &Call) -> Reply {
        let request_id = random::uuid(world.entropy.as_ref()).to_string();
        let client_id = call.header("client-request-id").unwrap_or(&request_id);
        let mut error = self.body();
        error["innerError"] = json!({
            "date": call.at.now.format("%Y-%m-%dT%H:%M:%S").to_string(),
            "request-id": request_id,
            "client-request-id": client_id,
        });
        self.with_retry(Reply::json(self.status, &json!({"error": error})))
    }

    /// Without the inner error, whose ids only a real request has.
    pub(super) fn bare_reply(&self) -> Reply {
        self.with_retry(Reply::json(self.status, &json!({"error": self.body()})))
    }

    fn with_retry(&self, reply: Reply) -> Reply {
        match &self.retry_after {
            Some(text) => reply.with("retry-after", text.clone()),
            None => reply,
        }
    }
}

/// Adds the ids that every answer of Graph carries.
pub(super) fn stamp(reply: Reply, call: &Call, world: &World) -> Reply {
    let id = random::uuid(world.entropy.as_ref()).to_string();
    match call.header("client-request-id") {
        Some(theirs) => reply
            .with("request-id", id)
            .with("client-request-id", theirs),
        None => reply.with("request-id", id),
    }
}
