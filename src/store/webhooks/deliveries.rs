//! Deliveries as operators see them, their replay, and their end.

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, ExprTrait, FromQueryResult, QueryFilter,
    QueryOrder, QuerySelect,
};
use serde_json::json;
use uuid::Uuid;

use super::{AT_ONCE, MOST_COUNTED, entry, locked, positions};
use crate::domain::{
    AuditAction, DeliveryId, DeliveryStatus, DisabledReason, Origin, Timestamp, WebhookId,
};
use crate::failpoint::Step;
use crate::store::audit::record;
use crate::store::entity::webhook_delivery::{Column, Entity};
use crate::store::open::commit;
use crate::store::patience::in_time;
use crate::store::sql::Sql;
use crate::store::{Store, StoreError};

/// One event for one webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub id: DeliveryId,
    pub webhook_id: WebhookId,
    pub event_type: String,
    /// The appointment or connection it is about.
    pub subject: Uuid,
    /// The body as it is sent.
    pub payload: String,
    pub status: DeliveryStatus,
    pub attempts: i32,
    pub due_at: Timestamp,
    pub completed_at: Option<Timestamp>,
    pub response_status: Option<i32>,
    pub error_code: Option<String>,
    pub created_at: Timestamp,
}

#[derive(Clone, Copy, Debug)]
pub struct DeliveryFilter {
    pub webhook_id: WebhookId,
    pub status: Option<DeliveryStatus>,
}

/// Deliveries, newest first, and where the next page starts.
#[derive(Clone, Debug)]
pub struct DeliveryPage {
    pub deliveries: Vec<Delivery>,
    pub next: Option<(Timestamp, DeliveryId)>,
}

/// Why nothing is replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayRefusal {
    NoSuchWebhook,
    NoSuchDelivery,
    /// It is told nothing for now.
    Disabled,
    /// It is yet to be told for the first time, or again.
    Pending,
}

/// How webhooks stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookReadings {
    /// Enabled, and nothing failed since the last success.
    pub enabled: u64,
    /// Enabled, and nothing succeeded since the last failure.
    pub failing: u64,
    pub switched_off: u64,
    /// Not by an operator.
    pub disabled: u64,
    /// Counted up to ten thousand.
    pub pending: u64,
    /// When the oldest pending event happened. What a disabled webhook was not told is given up in a while.
    pub oldest_pending: Option<Timestamp>,
}

#[derive(FromQueryResult)]
struct Oldest {
    oldest: Option<Timestamp>,
    pending: i64,
}

impl Store {
    pub async fn deliveries(
        &self,
        filter: DeliveryFilter,
        after: Option<(Timestamp, DeliveryId)>,
        limit: u64,
    ) -> Result<DeliveryPage, StoreError> {
        let mut wanted = Condition::all()
            .add(Column::WebhookId.eq(filter.webhook_id))
            .add_option(filter.status.map(|status| Column::Status.eq(status)));
        if let Some((at, id)) = after {
            // Said twice, so that an index leads to the page.
            wanted = wanted.add(Column::CreatedAt.lte(at)).add(
                Condition::any()
                    .add(Column::CreatedAt.lt(at))
                    .add(Column::CreatedAt.eq(at).and(Column::Id.lt(id))),
            );
        }
        let rows = Entity::find()
            .filter(wanted)
            .order_by_desc(Column::CreatedAt)
            .order_by_desc(Column::Id)
            .limit(limit.saturating_add(1))
            .all(&self.read)
            .await?;
        let mut deliveries: Vec<Delivery> = rows.into_iter().map(Delivery::from).collect();
        let page = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = deliveries.len() > page;
        deliveries.truncate(page);
        let next = deliveries
            .last()
            .filter(|_| more)
            .map(|delivery| (delivery.created_at, delivery.id));
        Ok(DeliveryPage { deliveries, next })
    }

    /// Has one delivery that ended sent again, under the id it has.
    pub async fn replay_delivery(
        &self,
        webhook_id: WebhookId,
        id: DeliveryId,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Result<Delivery, ReplayRefusal>, StoreError> {
        in_time(async {
            let tx = self.begin().await?;
            if let Err(refusal) = may_replay(&tx, webhook_id).await? {
                return Ok(Err(refusal));
            }
            let found = Entity::find()
                .filter(Column::Id.eq(id))
                .filter(Column::WebhookId.eq(webhook_id))
                .one(&tx)
                .await?;
            let Some(found) = found else {
                return Ok(Err(ReplayRefusal::NoSuchDelivery));
            };
            if found.status == DeliveryStatus::Pending {
                return Ok(Err(ReplayRefusal::Pending));
            }
            let sql = again(Sql::on(&tx), now)
                .text(" WHERE status <> 'pending' AND position = ")
                .value(found.position);
            sql.execute(&tx).await?;
            let details = json!({ "delivery_id": id });
            let entry = entry(webhook_id, origin, AuditAction::WebhookReplayed, details);
            record(&tx, &entry, now).await?;
            let revived = Entity::find_by_id(found.position).one(&tx).await?;
            commit(tx, Step::WebhookReplay).await?;
            self.told(true);
            Ok(revived
                .map(Delivery::from)
                .ok_or(ReplayRefusal::NoSuchDelivery))
        })
        .await
    }

    /// Has every failed delivery of what happened at `since` or later sent again; answers how many.
    pub async fn replay_failed(
        &self,
        webhook_id: WebhookId,
        since: Timestamp,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Result<u64, ReplayRefusal>, StoreError> {
        let mut queued = 0;
        let mut last = 0;
        loop {
            let revived = self.replay_some(webhook_id, (since, last), queued == 0, origin, now);
            let revived = match in_time(revived).await? {
                Ok(revived) => revived,
                Err(refusal) => return Ok(Err(refusal)),
            };
            self.told(!revived.is_empty());
            queued += u64::try_from(revived.len()).unwrap_or(u64::MAX);
            last = match revived.into_iter().max() {
                Some(last) => last,
                None => return Ok(Ok(queued)),
            };
        }
    }

    /// One transaction of it, in the order of positions behind `last`; answers which.
    async fn replay_some(
        &self,
        webhook_id: WebhookId,
        (since, last): (Timestamp, i64),
        is_first: bool,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Result<Vec<i64>, ReplayRefusal>, StoreError> {
        let tx = self.begin().await?;
        if let Err(refusal) = may_replay(&tx, webhook_id).await? {
            return Ok(Err(refusal));
        }
        // In the order in which it happened: what is behind another of its subject is not revived before
        // it. What fails again meanwhile lies behind us, or is newer than this replay.
        let sql = again(Sql::on(&tx), now)
            .text(
                " WHERE position IN (SELECT position FROM webhook_deliveries \
                 WHERE status = 'failed' AND webhook_id = ",
            )
            .value(webhook_id)
            .text(" AND created_at >= ")
            .value(since)
            .text(" AND completed_at <= ")
            .value(now)
            .text(" AND position > ")
            .value(last)
            .text(" ORDER BY position LIMIT ")
            .value(AT_ONCE)
            .text(") RETURNING position");
        let revived = positions(&tx, sql).await?;
        if is_first {
            let details = json!({ "since": since });
            let entry = entry(webhook_id, origin, AuditAction::WebhookReplayed, details);
            record(&tx, &entry, now).await?;
        }
        commit(tx, Step::WebhookReplay).await?;
        Ok(Ok(revived))
    }

    /// Deletes up to a thousand deliveries that ended before `before`; answers how many, so that the
    /// caller can go on.
    pub async fn forget_deliveries(&self, before: Timestamp) -> Result<u64, StoreError> {
        Sql::on(&self.write)
            .text(
                "DELETE FROM webhook_deliveries WHERE position IN \
                 (SELECT position FROM webhook_deliveries \
                 WHERE status IN ('delivered', 'failed') AND completed_at < ",
            )
            .value(before)
            .text(" LIMIT ")
            .value(AT_ONCE)
            .text(") AND status <> 'pending'")
            .execute(&self.write)
            .await
    }

    pub async fn webhook_readings(&self) -> Result<WebhookReadings, StoreError> {
        let mut readings = WebhookReadings::default();
        for view in self.webhooks().await? {
            let webhook = view.webhook;
            match webhook.disabled {
                None if webhook.failing_since.is_some() => readings.failing += 1,
                None => readings.enabled += 1,
                Some((_, DisabledReason::Requested)) => readings.switched_off += 1,
                Some((_, DisabledReason::Gone | DisabledReason::Failing)) => readings.disabled += 1,
            }
        }
        let counted = Sql::on(&self.read)
            .text(
                "SELECT MIN(created_at) AS oldest, COUNT(*) AS pending FROM \
                 (SELECT created_at FROM webhook_deliveries WHERE status = 'pending' \
                 AND position > 0 AND webhook_id IN (SELECT id FROM webhooks WHERE disabled_at IS NULL) \
                 ORDER BY position LIMIT ",
            )
            .value(MOST_COUNTED)
            .text(") counted");
        let counted = Oldest::find_by_statement(counted.build())
            .one(&self.read)
            .await?;
        if let Some(counted) = counted {
            readings.pending = u64::try_from(counted.pending).unwrap_or(0);
            readings.oldest_pending = counted.oldest;
        }
        Ok(readings)
    }
}

async fn may_replay(
    db: &impl ConnectionTrait,
    id: WebhookId,
) -> Result<Result<(), ReplayRefusal>, StoreError> {
    Ok(match locked(db, id).await? {
        None => Err(ReplayRefusal::NoSuchWebhook),
        Some(row) if row.disabled_at.is_some() => Err(ReplayRefusal::Disabled),
        Some(_) => Ok(()),
    })
}

fn again(sql: Sql, now: Timestamp) -> Sql {
    sql.text(
        "UPDATE webhook_deliveries SET status = 'pending', attempts = 0, completed_at = NULL, \
         response_status = NULL, error_code = NULL, due_at = ",
    )
    .value(now)
}
