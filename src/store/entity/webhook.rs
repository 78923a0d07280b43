//! Table `webhooks`.

use sea_orm::entity::prelude::*;

use crate::domain::{DisabledReason, Timestamp, WebhookEvent, WebhookId};
use crate::store::{StoreError, Webhook};

#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "webhooks")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: WebhookId,
    pub url: String,
    /// A JSON array.
    pub events: String,
    pub secret: String,
    pub previous_secret: Option<String>,
    pub previous_secret_until: Option<Timestamp>,
    pub disabled_at: Option<Timestamp>,
    pub disabled_reason: Option<DisabledReason>,
    pub failing_since: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// An address may hold a secret of its receiver's.
impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("webhook::Model")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The event types in a stored list. One that a newer version added is none of ours to send.
pub(crate) fn events(stored: &str) -> Result<Vec<WebhookEvent>, StoreError> {
    let words: Vec<String> =
        serde_json::from_str(stored).map_err(|_| StoreError::inconsistent("webhooks", "events"))?;
    Ok(words
        .iter()
        .filter_map(|word| WebhookEvent::parse(word))
        .collect())
}

impl TryFrom<Model> for Webhook {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            events: events(&row.events)?,
            url: row.url,
            disabled: row.disabled_at.zip(row.disabled_reason),
            failing_since: row.failing_since,
            previous_secret_until: row.previous_secret_until,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}
