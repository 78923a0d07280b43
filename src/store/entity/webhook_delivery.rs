//! Table `webhook_deliveries`.

use sea_orm::entity::prelude::*;

use crate::domain::{DeliveryId, DeliveryStatus, NodeId, Timestamp, WebhookId};
use crate::store::Delivery;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_deliveries")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub position: i64,
    pub id: DeliveryId,
    pub webhook_id: WebhookId,
    pub event_type: String,
    pub subject: Uuid,
    pub payload: String,
    pub status: DeliveryStatus,
    pub attempts: i32,
    pub due_at: Timestamp,
    pub claimed_by: Option<NodeId>,
    pub claimed_until: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub response_status: Option<i32>,
    pub error_code: Option<String>,
    pub created_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<Model> for Delivery {
    fn from(row: Model) -> Self {
        Self {
            id: row.id,
            webhook_id: row.webhook_id,
            event_type: row.event_type,
            subject: row.subject,
            payload: row.payload,
            status: row.status,
            attempts: row.attempts,
            due_at: row.due_at,
            completed_at: row.completed_at,
            response_status: row.response_status,
            error_code: row.error_code,
            created_at: row.created_at,
        }
    }
}
