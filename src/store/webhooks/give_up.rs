//! Giving up what is pending and will not be told, a little at a time.
//!
//! A webhook is disabled first, in a transaction of its own, and then what it was still to be told is given
//! up, so that a long backlog does not stand in the way of the former. Whoever disabled it does that; what
//! they leave behind, or what was committed by others who saw it enabled, the housekeeper finishes.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

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
                .give_up_some(id, DeliveryError::WebhookDisabled, None, now)
                .await?;
            given_up += some;
            if some == 0 {
                return Ok(given_up);
            }
        }
    }

    /// Gives up the oldest, a thousand at most, of what is pending at an enabled webhook beyond so many: one
    /// that takes less than there is to tell would otherwise be owed more and more. Answers how many, and
    /// whether there may be more, so that the caller can go on.
    pub async fn give_up_beyond(
        &self,
        id: WebhookId,
        most: i64,
        now: Timestamp,
    ) -> Result<(u64, bool), StoreError> {
        let some = self
            .give_up_some(id, DeliveryError::Overdue, Some(most), now)
            .await?;
        Ok((some, some >= AT_ONCE.unsigned_abs()))
    }

    /// One transaction of it, oldest first; so many of the newest are kept. Nothing if the webhook is not, or
    /// no longer, as `why` says.
    async fn give_up_some(
        &self,
        id: WebhookId,
        why: DeliveryError,
        kept: Option<i64>,
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
            let sql = some_pending(sql, id);
            // Counted under the lock: another node gives up as well.
            let sql = match kept {
                Some(kept) => sql
                    .text(
                        " AND position <= (SELECT position FROM webhook_deliveries \
                         WHERE status = 'pending' AND webhook_id = ",
                    )
                    .value(id)
                    .text(" ORDER BY position DESC LIMIT 1 OFFSET ")
                    .value(kept)
                    .text(")"),
                None => sql,
            };
            let some = sql
                .text(" ORDER BY position LIMIT ")
                .value(AT_ONCE)
                .text(")")
                .execute(&tx)
                .await?;
            // Looking for nothing writes nothing.
            if some > 0 {
                commit(tx, Step::WebhookSettle).await?;
            }
            Ok(some)
        })
        .await
    }

    /// Those that are enabled, or those that are not.
    pub async fn webhook_ids(&self, are_enabled: bool) -> Result<Vec<WebhookId>, StoreError> {
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
}
