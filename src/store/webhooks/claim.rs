//! Taking what is due at a webhook.
//!
//! A claim is a lease of its own: a node that dies in the middle of a call leaves the delivery to
//! whoever finds it once the claim has ended, and it is then sent again under the same id. Of deliveries
//! about one subject only the first that is pending can be claimed.

use chrono::TimeDelta;
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, FromQueryResult};
use sea_orm::{QueryFilter, TryGetable};

use super::{AT_ONCE, locked, positions, some_pending};
use crate::domain::{DeliveryId, NodeId, Timestamp, WebhookEvent, WebhookId};
use crate::failpoint::{self, Step};
use crate::store::entity::webhook;
use crate::store::open::commit;
use crate::store::patience::in_time;
use crate::store::sql::Sql;
use crate::store::{Store, StoreError};

/// Much longer than an attempt may take, and its record.
const CLAIMED_FOR: TimeDelta = TimeDelta::seconds(60);

/// What sending to a webhook needs.
#[derive(Clone)]
pub struct WebhookTarget {
    pub id: WebhookId,
    pub url: String,
    /// Sealed.
    pub secret: String,
    /// Sealed, and for as long as it signs.
    pub previous_secret: Option<String>,
}

/// An address may hold a secret of its receiver's.
impl std::fmt::Debug for WebhookTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookTarget")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A delivery that this node sends.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct DueDelivery {
    pub position: i64,
    pub id: DeliveryId,
    pub event_type: String,
    pub payload: String,
    /// That failed before.
    pub attempts: i32,
    /// Until when nobody else sends it; by this the claim is known again.
    pub claimed_until: Timestamp,
}

/// What was claimed, and when something is due after that.
#[derive(Clone, Debug, Default)]
pub struct ClaimedDeliveries {
    pub due: Vec<DueDelivery>,
    pub next_due: Option<Timestamp>,
}

impl Store {
    /// Resolves when something may have been written down for a webhook since this was asked last.
    pub async fn webhook_news(&self) {
        self.webhook_news.notified().await;
    }

    /// To be called once what was told is committed.
    pub(in crate::store) fn told(&self, somebody: bool) {
        if somebody {
            self.look_at_webhooks();
        }
    }

    /// Something may be due at a webhook. A hint, as all of them.
    pub fn look_at_webhooks(&self) {
        self.webhook_news.notify_one();
    }

    /// Webhooks that are enabled, or the one asked for if it is.
    pub async fn webhook_targets(
        &self,
        id: Option<WebhookId>,
        now: Timestamp,
    ) -> Result<Vec<WebhookTarget>, StoreError> {
        in_time(async {
            let mut query = webhook::Entity::find().filter(webhook::Column::DisabledAt.is_null());
            if let Some(id) = id {
                query = query.filter(webhook::Column::Id.eq(id));
            }
            let rows = query.all(&self.read).await?;
            Ok(rows
                .into_iter()
                .map(|row| WebhookTarget {
                    id: row.id,
                    url: row.url,
                    secret: row.secret,
                    previous_secret: row
                        .previous_secret
                        .filter(|_| row.previous_secret_until.is_some_and(|until| until > now)),
                })
                .collect())
        })
        .await
    }

    /// Takes up to `limit` deliveries that are due at the webhook.
    pub async fn claim_deliveries(
        &self,
        webhook_id: WebhookId,
        node: NodeId,
        limit: usize,
        now: Timestamp,
    ) -> Result<ClaimedDeliveries, StoreError> {
        in_time(async {
            // Asked beforehand, so that looking for nothing writes nothing.
            let is_due = self
                .read
                .query_one_raw(due(&self.read, webhook_id, 1, now).build())
                .await?;
            let due = match is_due {
                Some(_) if limit > 0 => self.take(webhook_id, node, limit, now).await?,
                Some(_) | None => Vec::new(),
            };
            let next_due = self.next_due(webhook_id, now).await?;
            Ok(ClaimedDeliveries { due, next_due })
        })
        .await
    }

    async fn take(
        &self,
        webhook_id: WebhookId,
        node: NodeId,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let until = now + CLAIMED_FOR;
        let sql = Sql::on(&self.write)
            .text("UPDATE webhook_deliveries SET claimed_by = ")
            .value(node)
            .text(", claimed_until = ")
            .value(until)
            .text(" WHERE position IN (");
        let sql = due_in(sql, webhook_id, limit, now);
        // Two nodes that look at the same time take different ones.
        let sql = match sql.backend() {
            DbBackend::Postgres => sql.text(" FOR UPDATE OF d SKIP LOCKED"),
            _ => sql,
        };
        let sql =
            sql.text(") RETURNING position, id, event_type, payload, attempts, claimed_until");
        failpoint::before(Step::WebhookClaim)?;
        let mut taken = DueDelivery::find_by_statement(sql.build())
            .all(&self.write)
            .await?;
        failpoint::after(Step::WebhookClaim)?;
        taken.sort_by_key(|delivery| delivery.position);
        Ok(taken)
    }

    async fn next_due(
        &self,
        webhook_id: WebhookId,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let sql = Sql::on(&self.read)
            .text(
                "SELECT due_at FROM webhook_deliveries WHERE status = 'pending' AND webhook_id = ",
            )
            .value(webhook_id)
            .text(" AND due_at > ")
            .value(now)
            .text(" ORDER BY due_at LIMIT 1");
        let due = self.one_time(sql, "due_at").await?;
        // What another node was sending when it died is due when its claim ends.
        let sql = Sql::on(&self.read)
            .text(
                "SELECT claimed_until FROM webhook_deliveries \
                 WHERE claimed_until IS NOT NULL AND webhook_id = ",
            )
            .value(webhook_id)
            .text(" AND claimed_until > ")
            .value(now)
            .text(" ORDER BY claimed_until LIMIT 1");
        let left_behind = self.one_time(sql, "claimed_until").await?;
        Ok(due.into_iter().chain(left_behind).min())
    }

    async fn one_time(&self, sql: Sql, column: &str) -> Result<Option<Timestamp>, StoreError> {
        let row = self.read.query_one_raw(sql.build()).await?;
        Ok(row
            .map(|row| Timestamp::try_get(&row, "", column))
            .transpose()
            .map_err(DbErr::from)?)
    }

    /// Has what a webhook is still to be told tried now, and not when it was put off to. Each once: what is
    /// put off again meanwhile stays put off.
    pub async fn hurry_deliveries(&self, id: WebhookId, now: Timestamp) -> Result<(), StoreError> {
        let mut last = 0;
        loop {
            let hurried = self.hurry_some(id, last, now).await?;
            self.told(!hurried.is_empty());
            last = hurried.iter().copied().fold(last, i64::max);
            // Not until there is nothing: more may be told all the time.
            if i64::try_from(hurried.len()).unwrap_or(i64::MAX) < AT_ONCE {
                return Ok(());
            }
        }
    }

    /// One transaction of it, in the order of positions behind `last`; answers which.
    pub(super) async fn hurry_some(
        &self,
        id: WebhookId,
        last: i64,
        now: Timestamp,
    ) -> Result<Vec<i64>, StoreError> {
        in_time(async {
            let tx = self.begin().await?;
            if locked(&tx, id).await?.is_none() {
                return Ok(Vec::new());
            }
            let sql = Sql::on(&tx)
                .text("UPDATE webhook_deliveries SET due_at = ")
                .value(now);
            let sql = some_pending(sql, id)
                .text(" AND due_at > ")
                .value(now)
                .text(" AND position > ")
                .value(last)
                .text(" ORDER BY position LIMIT ")
                .value(AT_ONCE)
                .text(") RETURNING position");
            let hurried = positions(&tx, sql).await?;
            // Looking for nothing writes nothing.
            if !hurried.is_empty() {
                commit(tx, Step::WebhookSettle).await?;
            }
            Ok(hurried)
        })
        .await
    }

    /// Gives back what a node claimed, or all there is: they are due again at once.
    pub async fn release_deliveries(&self, node: Option<NodeId>) -> Result<(), StoreError> {
        in_time(async {
            let sql = Sql::on(&self.write).text(
                "UPDATE webhook_deliveries SET claimed_by = NULL, claimed_until = NULL \
                 WHERE status = 'pending' AND claimed_by ",
            );
            let sql = match node {
                Some(node) => sql.text("= ").value(node),
                None => sql.text("IS NOT NULL"),
            };
            sql.execute(&self.write).await?;
            Ok(())
        })
        .await
    }
}

/// Which deliveries can be claimed.
pub(in crate::store) fn due(
    db: &impl ConnectionTrait,
    webhook_id: WebhookId,
    limit: i64,
    now: Timestamp,
) -> Sql {
    due_in(Sql::on(db), webhook_id, limit, now)
}

fn due_in(sql: Sql, webhook_id: WebhookId, limit: i64, now: Timestamp) -> Sql {
    sql.text(
        "SELECT d.position FROM webhook_deliveries d WHERE d.status = 'pending' AND d.webhook_id = ",
    )
    .value(webhook_id)
    .text(" AND d.due_at <= ")
    .value(now)
    .text(" AND (d.claimed_until IS NULL OR d.claimed_until <= ")
    .value(now)
    // No claim ends later than this, unless the clock was set back since: such a one has ended too.
    // Twice the time, for another node's clock may be a little ahead.
    .text(" OR d.claimed_until > ")
    .value(now + CLAIMED_FOR * 2)
    .text(
        ") AND NOT EXISTS (SELECT 1 FROM webhook_deliveries b WHERE b.status = 'pending' \
         AND b.webhook_id = d.webhook_id AND b.subject = d.subject AND b.position < d.position) \
         ORDER BY d.due_at LIMIT ",
    )
    .value(limit)
}

impl DueDelivery {
    pub fn event(&self) -> Option<WebhookEvent> {
        WebhookEvent::parse(&self.event_type)
    }
}
