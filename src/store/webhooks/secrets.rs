//! What webhooks sign with. A secret is text that nobody can read here; sealing and opening belong to
//! `security`.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::json;

use super::entry;
use crate::domain::{AuditAction, Origin, Timestamp, WebhookId};
use crate::failpoint::Step;
use crate::store::audit::record;
use crate::store::entity::webhook;
use crate::store::open::commit;
use crate::store::patience::in_time;
use crate::store::sql::Sql;
use crate::store::{Store, StoreError};

/// The stored secrets of one webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSecrets {
    pub webhook_id: WebhookId,
    pub current: String,
    pub previous: Option<String>,
    /// Until when the previous one signs.
    pub previous_until: Option<Timestamp>,
}

impl Store {
    /// Puts a new secret in the place of the one that `current` is; `previous`, sealed for its place,
    /// signs as well until `until`. False if it is not the current one any more.
    pub async fn rotate_webhook_secret(
        &self,
        current: &SealedSecrets,
        new: &str,
        previous: Option<&str>,
        until: Timestamp,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        in_time(async {
            let tx = self.begin().await?;
            let id = current.webhook_id;
            let changed = Sql::on(&tx)
                .text("UPDATE webhooks SET secret = ")
                .value(new)
                .text(", previous_secret = ")
                .value(previous.map(str::to_owned))
                .text(", previous_secret_until = ")
                .value(until)
                .text(", updated_at = ")
                .value(now)
                .text(" WHERE id = ")
                .value(id)
                .text(" AND secret = ")
                .value(current.current.as_str())
                .execute(&tx)
                .await?;
            if changed == 0 {
                return Ok(false);
            }
            let entry = entry(id, origin, AuditAction::WebhookSecretRotated, json!({}));
            record(&tx, &entry, now).await?;
            commit(tx, Step::Webhook).await?;
            Ok(true)
        })
        .await
    }

    /// The secrets of all webhooks, or of one.
    pub async fn webhook_secrets(
        &self,
        id: Option<WebhookId>,
    ) -> Result<Vec<SealedSecrets>, StoreError> {
        let mut query = webhook::Entity::find().order_by_asc(webhook::Column::Id);
        if let Some(id) = id {
            query = query.filter(webhook::Column::Id.eq(id));
        }
        let rows = query.all(&self.read).await?;
        Ok(rows
            .into_iter()
            .map(|row| SealedSecrets {
                webhook_id: row.id,
                current: row.secret,
                previous: row.previous_secret,
                previous_until: row.previous_secret_until,
            })
            .collect())
    }

    /// Stores the same secrets under another key; answers whether they were still the same.
    pub async fn reseal_webhook_secrets(
        &self,
        stored: &SealedSecrets,
        resealed: &SealedSecrets,
    ) -> Result<bool, StoreError> {
        let changed = Sql::on(&self.write)
            .text("UPDATE webhooks SET secret = ")
            .value(resealed.current.as_str())
            .text(", previous_secret = ")
            .value(resealed.previous.clone())
            .text(" WHERE id = ")
            .value(stored.webhook_id)
            .text(" AND secret = ")
            .value(stored.current.as_str())
            .execute(&self.write)
            .await?;
        Ok(changed == 1)
    }
}
