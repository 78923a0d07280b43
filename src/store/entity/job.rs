//! Table `calendar_sync_queue`.

use sea_orm::entity::prelude::*;

use crate::domain::{
    AppointmentId, Cause, ConnectionId, Flags, JobId, JobStatus, Operation, SyncId, Timestamp,
};
use crate::store::Job;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "calendar_sync_queue")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: JobId,
    pub connection_id: ConnectionId,
    pub appointment_id: Option<AppointmentId>,
    pub operation: Operation,
    pub status: JobStatus,
    pub priority: i32,
    pub attempts: i32,
    pub max_attempts: i32,
    pub scheduled_for: Timestamp,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub created_at: Timestamp,
    pub forced: bool,
    pub verify: bool,
    pub sync_id: Option<SyncId>,
    pub request_id: Option<String>,
    pub traceparent: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<Model> for Job {
    fn from(row: Model) -> Self {
        Self {
            id: row.id,
            connection_id: row.connection_id,
            appointment_id: row.appointment_id,
            operation: row.operation,
            status: row.status,
            priority: row.priority,
            attempts: row.attempts,
            max_attempts: row.max_attempts,
            scheduled_for: row.scheduled_for,
            started_at: row.started_at,
            completed_at: row.completed_at,
            error_code: row.error_code,
            error_message: row.error_message,
            created_at: row.created_at,
            flags: Flags {
                forced: row.forced,
                verify: row.verify,
            },
            cause: Cause {
                request_id: row.request_id,
                traceparent: row.traceparent,
            },
        }
    }
}
