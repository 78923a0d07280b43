//! Webhooks and what is told to them.
//!
//! [`mod@tell`] writes what happened in the transaction in which it happens, once for each webhook that
//! wants it; nothing is written where nobody does. [`mod@claim`] takes what is due, for a while, and
//! [`mod@settle`] records what became of it: the call itself happens outside any transaction.
//! [`mod@give_up`] lets go what will not be told. [`mod@deliveries`] is what operators see of it, and the
//! replay. Here are the webhooks themselves, [`mod@change`] alters one, [`mod@secrets`] keeps what they
//! sign with.
//!
//! Who touches both locks the webhook's row before its deliveries.

mod change;
mod claim;
mod deliveries;
mod give_up;
mod secrets;
mod settle;
mod tell;
#[cfg(test)]
mod tests;

use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, FromQueryResult, QueryOrder};
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbErr, PaginatorTrait, QuerySelect, TryGetable,
};
use serde_json::json;

use super::audit::{Entry, record};
use super::entity::webhook;
use super::open::commit;
use super::patience::in_time;
use super::sql::Sql;
use super::{Store, StoreError};
use crate::domain::{AuditAction, DisabledReason, Origin, Timestamp, WebhookEvent, WebhookId};
use crate::failpoint::Step;

pub use change::WebhookChanges;
#[cfg(test)]
pub(super) use claim::due;
pub use claim::{ClaimedDeliveries, DueDelivery, WebhookTarget};
pub use deliveries::{Delivery, DeliveryFilter, DeliveryPage, ReplayRefusal, WebhookReadings};
pub use secrets::SealedSecrets;
pub use settle::{DeliveryEnd, EndedDelivery, SettledDelivery, Standing};
pub(super) use tell::{News, data_of_connection, tell};

/// Each costs a row for every event.
pub const MOST_WEBHOOKS: u64 = 32;
/// Any number, as long as it stays the same.
const REGISTRATION_LOCK: i64 = 0x77_65_62_68_6f_6f_6b;
/// Pending deliveries are counted up to here.
const MOST_COUNTED: i64 = 10_000;
/// Rows touched in one transaction, so that nobody is held up.
const AT_ONCE: i64 = 1_000;

/// An address of the platform that is told what happens.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    pub id: WebhookId,
    pub url: String,
    pub events: Vec<WebhookEvent>,
    /// Since when and why it is told nothing.
    pub disabled: Option<(Timestamp, DisabledReason)>,
    /// The first attempt that failed since the last one that succeeded.
    pub failing_since: Option<Timestamp>,
    /// Until when the secret before this one signs as well.
    pub previous_secret_until: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// An address may hold a secret of its receiver's.
impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A webhook with its pending deliveries counted.
#[derive(Clone, Debug)]
pub struct WebhookView {
    pub webhook: Webhook,
    pub pending: u64,
}

/// A webhook about to be registered.
#[derive(Clone)]
pub struct NewWebhook {
    pub id: WebhookId,
    pub url: String,
    pub events: Vec<WebhookEvent>,
    pub sealed_secret: String,
}

impl std::fmt::Debug for NewWebhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewWebhook")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Why no webhook was registered or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookRefusal {
    /// There are as many as there may be.
    TooMany,
    /// This one has the address already.
    Exists(WebhookId),
    NoSuchWebhook,
}

#[derive(FromQueryResult)]
struct Pending {
    id: WebhookId,
    pending: i64,
}

impl Store {
    pub async fn register_webhook(
        &self,
        new: &NewWebhook,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Result<Webhook, WebhookRefusal>, StoreError> {
        in_time(async {
            let tx = self.begin().await?;
            take_turns(&tx).await?;
            if let Some(existing) = at_address(&tx, &new.url).await? {
                return Ok(Err(WebhookRefusal::Exists(existing)));
            }
            if webhook::Entity::find().count(&tx).await? >= MOST_WEBHOOKS {
                return Ok(Err(WebhookRefusal::TooMany));
            }
            let row = webhook::ActiveModel {
                id: Set(new.id),
                url: Set(new.url.clone()),
                events: Set(written(&new.events)),
                secret: Set(new.sealed_secret.clone()),
                previous_secret: Set(None),
                previous_secret_until: Set(None),
                disabled_at: Set(None),
                disabled_reason: Set(None),
                failing_since: Set(None),
                created_at: Set(now),
                updated_at: Set(now),
            };
            let row = row.insert(&tx).await?;
            let details = json!({ "events": words(&new.events) });
            let entry = entry(new.id, origin, AuditAction::WebhookRegistered, details);
            record(&tx, &entry, now).await?;
            commit(tx, Step::Webhook).await?;
            row.try_into().map(Ok)
        })
        .await
    }

    /// All of them, oldest first.
    pub async fn webhooks(&self) -> Result<Vec<WebhookView>, StoreError> {
        let rows = webhook::Entity::find()
            .order_by_asc(webhook::Column::CreatedAt)
            .order_by_asc(webhook::Column::Id)
            .all(&self.read)
            .await?;
        let counts = self.pending_counts().await?;
        rows.into_iter()
            .map(|row| {
                let counted = counts.iter().find(|counted| counted.id == row.id);
                let pending = counted.map_or(0, |counted| counted.pending);
                Ok(WebhookView {
                    webhook: row.try_into()?,
                    pending: u64::try_from(pending).unwrap_or(0),
                })
            })
            .collect()
    }

    pub async fn webhook(&self, id: WebhookId) -> Result<Option<WebhookView>, StoreError> {
        // There are only a few.
        let all = self.webhooks().await?;
        Ok(all.into_iter().find(|found| found.webhook.id == id))
    }

    async fn pending_counts(&self) -> Result<Vec<Pending>, StoreError> {
        let sql = Sql::on(&self.read)
            .text(
                "SELECT w.id, (SELECT COUNT(*) FROM (SELECT 1 FROM webhook_deliveries d \
                 WHERE d.status = 'pending' AND d.webhook_id = w.id LIMIT ",
            )
            .value(MOST_COUNTED)
            .text(") counted) AS pending FROM webhooks w");
        Ok(Pending::find_by_statement(sql.build())
            .all(&self.read)
            .await?)
    }

    /// Forgets a webhook and all that was told to it, or was yet to be. Answers whether there was one.
    pub async fn delete_webhook(
        &self,
        id: WebhookId,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        // Nothing more is added from here on. Interrupted, it stays switched off and can be repeated.
        let switch_off = Sql::on(&self.write)
            .text("UPDATE webhooks SET disabled_at = ")
            .value(now)
            .text(", disabled_reason = ")
            .value(DisabledReason::Requested)
            .text(" WHERE disabled_at IS NULL AND id = ")
            .value(id);
        in_time(switch_off.execute(&self.write)).await?;
        while in_time(self.forget_some_deliveries_of(id)).await? > 0 {}
        in_time(async {
            let tx = self.begin().await?;
            let deleted = webhook::Entity::delete_by_id(id).exec(&tx).await?;
            if deleted.rows_affected == 0 {
                return Ok(false);
            }
            let entry = entry(id, origin, AuditAction::WebhookDeleted, json!({}));
            record(&tx, &entry, now).await?;
            commit(tx, Step::Webhook).await?;
            Ok(true)
        })
        .await
    }

    async fn forget_some_deliveries_of(&self, id: WebhookId) -> Result<u64, StoreError> {
        Sql::on(&self.write)
            .text(
                "DELETE FROM webhook_deliveries WHERE position IN \
                 (SELECT position FROM webhook_deliveries WHERE webhook_id = ",
            )
            .value(id)
            .text(" LIMIT ")
            .value(AT_ONCE)
            .text(")")
            .execute(&self.write)
            .await
    }
}

/// Of those who register addresses at once each sees what the others did. SQLite has one writer anyway.
async fn take_turns(tx: &DatabaseTransaction) -> Result<(), StoreError> {
    if tx.get_database_backend() == sea_orm::DbBackend::Postgres {
        let turn = format!("SELECT pg_advisory_xact_lock({REGISTRATION_LOCK})");
        tx.execute_unprepared(&turn).await?;
    }
    Ok(())
}

/// Which webhook has the address.
async fn at_address(db: &impl ConnectionTrait, url: &str) -> Result<Option<WebhookId>, StoreError> {
    // There are only a few.
    let rows = webhook::Entity::find().all(db).await?;
    let found = rows.into_iter().find(|row| row.url == url);
    Ok(found.map(|row| row.id))
}

/// The webhook, with its row locked.
async fn locked(
    db: &impl ConnectionTrait,
    id: WebhookId,
) -> Result<Option<webhook::Model>, StoreError> {
    let mut query = webhook::Entity::find_by_id(id);
    if db.get_database_backend() == sea_orm::DbBackend::Postgres {
        query = query.lock(sea_orm::sea_query::LockType::NoKeyUpdate);
    }
    Ok(query.one(db).await?)
}

/// `WHERE position IN (SELECT …` of what is pending at a webhook, to be bounded and closed. The caller has the
/// webhook's row locked.
fn some_pending(sql: Sql, id: WebhookId) -> Sql {
    sql.text(
        " WHERE status = 'pending' AND position IN (SELECT position FROM webhook_deliveries \
         WHERE status = 'pending' AND webhook_id = ",
    )
    .value(id)
}

/// What a statement answers that ends with `RETURNING position`.
async fn positions(db: &impl ConnectionTrait, sql: Sql) -> Result<Vec<i64>, StoreError> {
    let rows = db.query_all_raw(sql.build()).await?;
    let positions = rows.iter().map(|row| i64::try_get(row, "", "position"));
    Ok(positions.collect::<Result<_, _>>().map_err(DbErr::from)?)
}

fn entry(
    id: WebhookId,
    origin: &Origin,
    action: AuditAction,
    details: serde_json::Value,
) -> Entry<'_> {
    Entry {
        subject_id: Some(id.0),
        details,
        ..Entry::of(origin, action)
    }
}

fn words(events: &[WebhookEvent]) -> Vec<&'static str> {
    events.iter().map(|event| event.as_str()).collect()
}

fn written(events: &[WebhookEvent]) -> String {
    json!(words(events)).to_string()
}
