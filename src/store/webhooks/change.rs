//! Changing a webhook: where it leads, what it wants, whether it is on.

use sea_orm::{ActiveModelTrait, ActiveValue::Set};
use serde_json::{Map, Value, json};

use super::{Webhook, WebhookRefusal, at_address, entry, locked, take_turns, words, written};
use crate::domain::{AuditAction, DisabledReason, Origin, Timestamp, WebhookEvent, WebhookId};
use crate::failpoint::Step;
use crate::store::audit::record;
use crate::store::entity::webhook;
use crate::store::open::commit;
use crate::store::patience::in_time;
use crate::store::{Store, StoreError};

/// What is to be different; what is `None` stays as it is.
#[derive(Clone, Default)]
pub struct WebhookChanges {
    pub url: Option<String>,
    pub events: Option<Vec<WebhookEvent>>,
    pub is_enabled: Option<bool>,
}

impl std::fmt::Debug for WebhookChanges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookChanges")
            .field("events", &self.events)
            .field("is_enabled", &self.is_enabled)
            .finish_non_exhaustive()
    }
}

impl WebhookChanges {
    /// What of it the webhook is not already.
    fn differing(&self, before: &Webhook) -> Self {
        let is_enabled = before.disabled.is_none();
        Self {
            url: self.url.clone().filter(|url| *url != before.url),
            events: self.events.clone().filter(|it| *it != before.events),
            is_enabled: self.is_enabled.filter(|wanted| *wanted != is_enabled),
        }
    }

    /// One that is switched on or off, or leads elsewhere, begins without a past.
    fn write(&self, row: &mut webhook::ActiveModel, now: Timestamp) {
        if let Some(url) = &self.url {
            row.url = Set(url.clone());
            row.failing_since = Set(None);
        }
        if let Some(events) = &self.events {
            row.events = Set(written(events));
        }
        if let Some(is_enabled) = self.is_enabled {
            row.disabled_at = Set((!is_enabled).then_some(now));
            row.disabled_reason = Set((!is_enabled).then_some(DisabledReason::Requested));
            row.failing_since = Set(None);
        }
        row.updated_at = Set(now);
    }

    /// For the audit trail: what changed. An address may hold a secret of its receiver's.
    fn told(&self) -> Map<String, Value> {
        let url = self.url.as_ref().map(|_| ("url", Value::Null));
        let events = self.events.as_ref();
        let events = events.map(|events| ("events", json!(words(events))));
        let is_enabled = self.is_enabled.map(|it| ("is_enabled", json!(it)));
        let told = [url, events, is_enabled].into_iter().flatten();
        told.map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl Store {
    /// Changes a webhook. One that is switched off is told nothing: what was pending is given up, and
    /// can be replayed.
    pub async fn change_webhook(
        &self,
        id: WebhookId,
        changes: &WebhookChanges,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Result<(), WebhookRefusal>, StoreError> {
        if changes.is_enabled == Some(true) {
            // What was left behind when it was disabled is not told now.
            self.give_up_disabled(id, now).await?;
        }
        let made = match self.write_changes(id, changes, origin, now).await? {
            Ok(made) => made,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if made.is_enabled == Some(false) {
            self.give_up_disabled(id, now).await?;
        } else if changes.url.is_some() {
            // What the old address did not take need not wait at the new one. Also when it is given again:
            // whoever gave it first may have been interrupted here.
            self.hurry_deliveries(id, now).await?;
        }
        Ok(Ok(()))
    }

    /// Answers what is different now.
    async fn write_changes(
        &self,
        id: WebhookId,
        changes: &WebhookChanges,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Result<WebhookChanges, WebhookRefusal>, StoreError> {
        in_time(async {
            let tx = self.begin().await?;
            if changes.url.is_some() {
                take_turns(&tx).await?;
            }
            let Some(row) = locked(&tx, id).await? else {
                return Ok(Err(WebhookRefusal::NoSuchWebhook));
            };
            let changes = changes.differing(&Webhook::try_from(row.clone())?);
            if let Some(url) = &changes.url
                && let Some(other) = at_address(&tx, url).await?
            {
                return Ok(Err(WebhookRefusal::Exists(other)));
            }
            let told = changes.told();
            if told.is_empty() {
                return Ok(Ok(changes));
            }
            let mut row = webhook::ActiveModel::from(row);
            changes.write(&mut row, now);
            row.update(&tx).await?;
            let details = json!({ "changed": told });
            let entry = entry(id, origin, AuditAction::WebhookChanged, details);
            record(&tx, &entry, now).await?;
            commit(tx, Step::Webhook).await?;
            Ok(Ok(changes))
        })
        .await
    }
}
