//! A line of the audit trail.

use std::collections::BTreeMap;

use poem_openapi::Object;
use poem_openapi::types::Example;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::{UtcTime, cursor};
use crate::domain::{ActorRole, AuditAction, AuditEventId, CoachId, ConnectionId};
use crate::store::{AuditEvent, AuditPage};

/// Who asked for what, and got it. Holds no client details and no text of a template.
#[derive(Clone, Debug, Object)]
#[oai(rename = "AuditEvent", example)]
pub(in crate::api) struct AuditEventView {
    id: AuditEventId,
    at: UtcTime,
    /// The `sub` of the token; the command, for the role `command_line`.
    actor: String,
    role: ActorRole,
    action: AuditAction,
    /// The coach whose calendar it is about.
    #[oai(nullable)]
    coach_id: Option<CoachId>,
    #[oai(nullable)]
    connection_id: Option<ConnectionId>,
    /// The appointment or job that was meant.
    #[oai(nullable)]
    subject_id: Option<Uuid>,
    /// More about it: `changed` fields with the new position of switches (null for others), counts, ids.
    /// Emptied when the coach is forgotten.
    details: BTreeMap<String, Value>,
    /// Finds the request in the log. Emptied when the coach is forgotten.
    #[oai(nullable)]
    request_id: Option<String>,
}

impl From<AuditEvent> for AuditEventView {
    fn from(event: AuditEvent) -> Self {
        Self {
            id: event.id,
            at: event.at.into(),
            actor: event.origin.actor.subject,
            role: event.origin.actor.role,
            action: event.action,
            coach_id: event.coach_id,
            connection_id: event.connection_id,
            subject_id: event.subject_id,
            details: event.details,
            request_id: event.origin.cause.request_id,
        }
    }
}

impl Example for AuditEventView {
    fn example() -> Self {
        let changed = json!({ "include_client_details": true, "event_title_template": null });
        Self {
            id: AuditEventId(Uuid::from_u128(0x0193_6b5e_5c00_7000_8000_0000_0000_0001)),
            at: UtcTime(chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::days(20_800)),
            actor: "11111111-1111-4111-8111-111111111111".to_owned(),
            role: ActorRole::Coach,
            action: AuditAction::SettingsChanged,
            coach_id: Some(CoachId(Uuid::from_u128(
                0x1111_1111_1111_4111_8111_1111_1111_1111,
            ))),
            connection_id: Some(ConnectionId(Uuid::from_u128(
                0x0193_6b5e_5800_7000_8000_0000_0000_0002,
            ))),
            subject_id: None,
            details: BTreeMap::from([("changed".to_owned(), changed)]),
            request_id: Some("7f0c2e5a9d3b4c1e8f6a7b2d4c5e6f70".to_owned()),
        }
    }
}

/// Lines of the audit trail, newest first.
#[derive(Debug, Object)]
#[oai(rename = "AuditPage", example)]
pub(in crate::api) struct AuditPageView {
    events: Vec<AuditEventView>,
    /// Leads to the next page; absent on the last one.
    #[oai(skip_serializing_if_is_none)]
    next_cursor: Option<String>,
}

impl From<AuditPage> for AuditPageView {
    fn from(page: AuditPage) -> Self {
        Self {
            events: page.events.into_iter().map(AuditEventView::from).collect(),
            next_cursor: page.next.map(|(at, id)| cursor::write(at, id.0)),
        }
    }
}

impl Example for AuditPageView {
    fn example() -> Self {
        let event = AuditEventView::example();
        Self {
            next_cursor: Some(cursor::write(event.at.0, event.id.0)),
            events: vec![event],
        }
    }
}
