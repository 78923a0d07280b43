//! Table `audit_events`.

use sea_orm::entity::prelude::*;

use crate::domain::{
    Actor, ActorRole, AuditAction, AuditEventId, Cause, CoachId, ConnectionId, Origin, Timestamp,
};
use crate::store::{AuditEvent, StoreError};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_events")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AuditEventId,
    pub at: Timestamp,
    pub actor: String,
    pub role: ActorRole,
    pub action: AuditAction,
    pub coach_id: Option<CoachId>,
    pub connection_id: Option<ConnectionId>,
    pub subject_id: Option<Uuid>,
    /// A JSON object.
    pub details: String,
    pub request_id: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TryFrom<Model> for AuditEvent {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self, StoreError> {
        let details = serde_json::from_str(&row.details)
            .map_err(|_| StoreError::inconsistent("audit_events", "details"))?;
        Ok(Self {
            id: row.id,
            at: row.at,
            origin: Origin {
                actor: Actor {
                    subject: row.actor,
                    role: row.role,
                },
                cause: Cause {
                    request_id: row.request_id,
                    traceparent: None,
                },
            },
            action: row.action,
            coach_id: row.coach_id,
            connection_id: row.connection_id,
            subject_id: row.subject_id,
            details,
        })
    }
}
