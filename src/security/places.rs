//! The places where secrets lie sealed. A secret opens in its own place only, so each is named once,
//! here.

use uuid::Uuid;

use super::Context;
use crate::domain::{ConnectionId, WebhookId};

/// A connection's access token.
pub fn access_token(id: ConnectionId) -> Context {
    connection(id, "access_token")
}

/// A connection's refresh token.
pub fn refresh_token(id: ConnectionId) -> Context {
    connection(id, "refresh_token")
}

/// The verifier of a sign-in under way.
pub fn verifier(sign_in: Uuid) -> Context {
    Context {
        table: "sign_ins",
        column: "verifier",
        row: sign_in,
    }
}

/// The secret that a webhook's deliveries are signed with.
pub fn webhook_secret(id: WebhookId) -> Context {
    webhook(id, "secret")
}

/// The one before it.
pub fn previous_webhook_secret(id: WebhookId) -> Context {
    webhook(id, "previous_secret")
}

/// The body of an answer that is kept for whoever repeats the request.
pub fn kept_answer(holder: Uuid) -> Context {
    Context {
        table: "idempotency_keys",
        column: "body",
        row: holder,
    }
}

fn webhook(id: WebhookId, column: &'static str) -> Context {
    Context {
        table: "webhooks",
        column,
        row: id.0,
    }
}

fn connection(id: ConnectionId, column: &'static str) -> Context {
    Context {
        table: "coach_calendar_connections",
        column,
        row: id.0,
    }
}
