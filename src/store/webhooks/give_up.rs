//! Giving up what is pending and will not be told, a little at a time.
//!
//! A webhook is disabled first, in a transaction of its own, and then what it was still to be told is given
//! up, so that a long backlog does not stand in the way of the former. Whoever disabled it does that; what
//! they leave behind, or what was committed by others who saw it enabled, the housekeeper finishes.

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, TryGetable};

use super::{AT_ONCE, locked, some_pending};
use crate::domain::{DeliveryError, Timestamp, WebhookId};
use crate::failpoint::Step;
use crate::store::entity::webhook;
use crate::store::open::commit;
use crate::store::patience::in_time;
use crate::store::sql::Sql;
use crate::store::{Store, StoreError};

impl Store {
    /// Gives up whatever is pending at a webhook that is disabled: it can be replayed. What is being sent
    /// just now as well; should it arrive all the same, it is delivered.
    pub async fn give_up_disabled(&self, id: WebhookId, now: Timestamp) -> Result<u64, StoreError> {
        let mut given_up = 0;
        loop {
            let some = self
                .give_up_some(id, DeliveryError::WebhookDisabled, AT_ONCE, now)
                .await?;
            given_up += some;
            if some == 0 {
                return Ok(given_up);
            }
        }
    }

    /// That of all webhooks that are disabled.
    pub async fn give_up_all_disabled(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut given_up = 0;
        for id in self.webhook_ids(false).await? {
            given_up += self.give_up_disabled(id, now).await?;
        }
        Ok(given_up)
    }

    /// Gives up the oldest of what is pending at an enabled webhook beyond so many: one that takes less
    /// than there is to tell would otherwise be owed more and more. Answers how many at which.
    pub async fn give_up_beyond(
        &self,
        most: i64,
        now: Timestamp,
    ) -> Result<Vec<(WebhookId, u64)>, StoreError> {
        let mut given_up = Vec::new();
        for id in self.webhook_ids(true).await? {
            let mut beyond = self.pending_at(id).await? - most;
            let mut of_this = 0;
            while beyond > 0 {
                let limit = beyond.min(AT_ONCE);
                let some = self
                    .give_up_some(id, DeliveryError::Overdue, limit, now)
                    .await?;
                if some == 0 {
                    break;
                }
                of_this += some;
                beyond -= limit;
            }
            if of_this > 0 {
                given_up.push((id, of_this));
            }
        }
        Ok(given_up)
    }

    /// One transaction of it, oldest first. Nothing if the webhook is not, or no longer, as `why` says.
    async fn give_up_some(
        &self,
        id: WebhookId,
        why: DeliveryError,
        limit: i64,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        in_time(async {
            let tx = self.begin().await?;
            let is_disabled = locked(&tx, id).await?.map(|row| row.disabled_at.is_some());
            if is_disabled != Some(why == DeliveryError::WebhookDisabled) {
                return Ok(0);
            }
            let sql = Sql::on(&tx)
                .text("UPDATE webhook_deliveries SET status = 'failed', claimed_by = NULL, claimed_until = NULL, error_code = ")
                .value(why.as_str())
                .text(", completed_at = ")
                .value(now);
            let some = some_pending(sql, id)
                .text(" ORDER BY position LIMIT ")
                .value(limit)
                .text(")")
                .execute(&tx)
                .await?;
            commit(tx, Step::WebhookSettle).await?;
            Ok(some)
        })
        .await
    }

    async fn webhook_ids(&self, are_enabled: bool) -> Result<Vec<WebhookId>, StoreError> {
        in_time(async {
            let disabled_at = webhook::Column::DisabledAt;
            let wanted = if are_enabled {
                disabled_at.is_null()
            } else {
                disabled_at.is_not_null()
            };
            let rows = webhook::Entity::find()
                .filter(wanted)
                .all(&self.read)
                .await?;
            Ok(rows.into_iter().map(|row| row.id).collect())
        })
        .await
    }

    async fn pending_at(&self, id: WebhookId) -> Result<i64, StoreError> {
        let sql = Sql::on(&self.read)
            .text("SELECT COUNT(*) AS pending FROM webhook_deliveries WHERE status = 'pending' AND webhook_id = ")
            .value(id);
        in_time(async {
            let row = self.read.query_one_raw(sql.build()).await?;
            let counted = row.map(|row| i64::try_get(&row, "", "pending"));
            Ok(counted
                .transpose()
                .map_err(sea_orm::DbErr::from)?
                .unwrap_or(0))
        })
        .await
    }
}
