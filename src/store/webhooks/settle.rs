//! Recording what became of a delivery, and what that means for its webhook and for what is behind it.
//!
//! When a delivery is put off, those behind it of the same subject are put off with it, so that a claim
//! does not read them in vain.

use sea_orm::ConnectionTrait;

use super::locked;
use crate::domain::{DeliveryError, DisabledReason, NodeId, Timestamp, WebhookId};
use crate::failpoint::Step;
use crate::store::open::commit;
use crate::store::patience::in_time;
use crate::store::sql::Sql;
use crate::store::{Store, StoreError};

/// What becomes of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryEnd {
    Delivered,
    /// Due again then.
    Again(Timestamp),
    GivenUp,
    /// Given up, and with it the webhook.
    Disabled(DisabledReason),
}

/// An attempt that ended.
#[derive(Clone, Copy)]
pub struct EndedDelivery<'a> {
    pub webhook_id: WebhookId,
    /// Where it went.
    pub url: &'a str,
    pub position: i64,
    pub node: NodeId,
    pub claimed_until: Timestamp,
    pub response_status: Option<u16>,
    /// `None`: it was taken.
    pub error: Option<DeliveryError>,
    pub now: Timestamp,
}

/// An address may hold a secret of its receiver's.
impl std::fmt::Debug for EndedDelivery<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EndedDelivery")
            .field("webhook_id", &self.webhook_id)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

/// How the webhook stands when an attempt is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub failing_since: Option<Timestamp>,
    /// It still leads where the attempt went.
    pub is_current: bool,
}

/// What was recorded of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettledDelivery {
    pub end: DeliveryEnd,
    /// Since when the webhook had been failing that has now taken something.
    pub recovered_from: Option<Timestamp>,
}

impl Store {
    /// Records what became of a delivery that this node claimed; `judge` says that, with the webhook's row
    /// locked. One whose claim ended, or that was given up with its webhook, is left as it
    /// is, and so is the webhook, unless it was delivered: that is true whoever says it. Answers `None` if
    /// nothing was recorded.
    pub async fn settle_delivery(
        &self,
        ended: &EndedDelivery<'_>,
        judge: impl FnOnce(Standing) -> DeliveryEnd + Send,
    ) -> Result<Option<SettledDelivery>, StoreError> {
        in_time(async {
            let tx = self.begin().await?;
            // First, as everyone does.
            let Some(webhook) = locked(&tx, ended.webhook_id).await? else {
                return Ok(None);
            };
            let is_current = webhook.url == ended.url;
            let failing_since = webhook.failing_since;
            let end = judge(Standing {
                failing_since,
                is_current,
            });
            if !record(&tx, ended, end).await? {
                return Ok(None);
            }
            // What happened elsewhere says nothing of where it leads now.
            if is_current {
                mark_webhook(&tx, ended.webhook_id, end, ended.now).await?;
            }
            match end {
                DeliveryEnd::Again(at) => put_off_followers(&tx, ended, at).await?,
                DeliveryEnd::Delivered | DeliveryEnd::GivenUp => call_followers(&tx, ended).await?,
                // Given up in their own time, see `give_up_disabled`.
                DeliveryEnd::Disabled(_) => {}
            }
            commit(tx, Step::WebhookSettle).await?;
            let has_recovered = is_current && end == DeliveryEnd::Delivered;
            Ok(Some(SettledDelivery {
                end,
                recovered_from: failing_since.filter(|_| has_recovered),
            }))
        })
        .await
    }
}

async fn mark_webhook(
    db: &impl ConnectionTrait,
    id: WebhookId,
    end: DeliveryEnd,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = Sql::on(db).text("UPDATE webhooks SET ");
    let sql = match end {
        DeliveryEnd::Delivered => sql
            .text("failing_since = NULL WHERE failing_since IS NOT NULL AND id = ")
            .value(id),
        DeliveryEnd::Again(_) | DeliveryEnd::GivenUp => sql
            .text("failing_since = ")
            .value(now)
            .text(" WHERE failing_since IS NULL AND id = ")
            .value(id),
        DeliveryEnd::Disabled(reason) => sql
            .text("disabled_at = ")
            .value(now)
            .text(", disabled_reason = ")
            .value(reason)
            .text(", updated_at = ")
            .value(now)
            .text(" WHERE disabled_at IS NULL AND id = ")
            .value(id),
    };
    sql.execute(db).await?;
    Ok(())
}

async fn record(
    db: &impl ConnectionTrait,
    ended: &EndedDelivery<'_>,
    end: DeliveryEnd,
) -> Result<bool, StoreError> {
    let sql = Sql::on(db)
        .text("UPDATE webhook_deliveries SET claimed_by = NULL, claimed_until = NULL, attempts = attempts + 1, response_status = ")
        .value(ended.response_status.map(i32::from))
        .text(", error_code = ")
        .value(ended.error.map(DeliveryError::as_str));
    let sql = match end {
        DeliveryEnd::Delivered => sql
            .text(", status = 'delivered', completed_at = ")
            .value(ended.now),
        DeliveryEnd::Again(at) => sql.text(", due_at = ").value(at),
        DeliveryEnd::GivenUp | DeliveryEnd::Disabled(_) => sql
            .text(", status = 'failed', completed_at = ")
            .value(ended.now),
    };
    let sql = sql.text(" WHERE position = ").value(ended.position);
    let sql = match end {
        DeliveryEnd::Delivered => sql.text(" AND status <> 'delivered'"),
        // By this claim, not another of the same node's.
        DeliveryEnd::Again(_) | DeliveryEnd::GivenUp | DeliveryEnd::Disabled(_) => sql
            .text(" AND status = 'pending' AND claimed_by = ")
            .value(ended.node)
            .text(" AND claimed_until = ")
            .value(ended.claimed_until),
    };
    Ok(sql.execute(db).await? == 1)
}

/// What is about the same subject, and pending.
fn followers(sql: Sql, ended: &EndedDelivery<'_>) -> Sql {
    sql.text(" WHERE status = 'pending' AND webhook_id = ")
        .value(ended.webhook_id)
        .text(" AND subject = (SELECT d.subject FROM webhook_deliveries d WHERE d.position = ")
        .value(ended.position)
        .text(") AND position > ")
        .value(ended.position)
}

async fn put_off_followers(
    db: &impl ConnectionTrait,
    ended: &EndedDelivery<'_>,
    at: Timestamp,
) -> Result<(), StoreError> {
    let sql = Sql::on(db)
        .text("UPDATE webhook_deliveries SET due_at = ")
        .value(at);
    followers(sql, ended)
        .text(" AND due_at < ")
        .value(at)
        .execute(db)
        .await?;
    Ok(())
}

async fn call_followers(
    db: &impl ConnectionTrait,
    ended: &EndedDelivery<'_>,
) -> Result<(), StoreError> {
    let sql = Sql::on(db)
        .text("UPDATE webhook_deliveries SET due_at = ")
        .value(ended.now);
    followers(sql, ended)
        .text(" AND due_at > ")
        .value(ended.now)
        .execute(db)
        .await?;
    Ok(())
}
