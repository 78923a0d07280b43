//! A signed-in account becomes a connection, or brings its old one back.

use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use serde_json::json;

use super::audit::{Entry, record};
use super::connections::zone_name;
use super::enqueue::{Order, full_sync, lock_leases, wake};
use super::entity::connection;
use super::open::commit;
use super::patience::in_time;
use super::sql::{Sql, lock_account, lock_coaches};
use super::webhooks::{News, tell};
use super::{SealedTokens, Store, StoreError, sign_ins, waits};
use crate::domain::{
    AuditAction, Calendar, CoachId, ConnectionId, ConnectionStatus, Flags, LastSync, Origin,
    Priority, ProviderKind, Settings, SyncId, Timestamp, WebhookEvent,
};
use crate::failpoint::Step;

/// An account that has just signed in.
#[derive(Clone, Debug)]
pub struct NewConnection {
    /// The id to use if the account is new to this coach.
    pub fresh_id: ConnectionId,
    pub fresh_sync_id: SyncId,
    /// Of the used sign-in it comes from.
    pub state_hash: String,
    pub coach_id: CoachId,
    pub provider: ProviderKind,
    pub account_id: String,
    pub account_email: String,
    pub primary_calendar: Calendar,
    pub max_attempts: i32,
    pub origin: Origin,
    pub now: Timestamp,
}

/// Why an account is not connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotConnected {
    /// The id is not the account's: it was connected in another browser this very moment. Look it up
    /// again.
    OtherId,
    /// Its sign-in is gone: the coach left meanwhile.
    SignInGone,
}

impl Store {
    /// Whether the account was connected by this coach before, and under which id: tokens are sealed
    /// for an id before they are stored.
    pub async fn connection_of_account(
        &self,
        coach_id: CoachId,
        provider: ProviderKind,
        account_id: &str,
    ) -> Result<Option<ConnectionId>, StoreError> {
        let found = connection::Entity::find()
            .filter(connection::Column::CoachId.eq(coach_id))
            .filter(connection::Column::Provider.eq(provider))
            .filter(connection::Column::AccountId.eq(account_id));
        let row = in_time(async { Ok(found.one(&self.read).await?) }).await?;
        Ok(row.map(|row| row.id))
    }

    /// Stores a signed-in account as an active connection and queues its first sync, at once. An
    /// account that was connected before keeps its connection, settings and mappings.
    ///
    /// `tokens` must be sealed for `id`, and be the same ones when it is tried again: that it succeeded
    /// before, and nobody heard of it, is known by them.
    pub async fn connect(
        &self,
        id: ConnectionId,
        new: &NewConnection,
        tokens: &SealedTokens,
    ) -> Result<Result<ConnectionId, NotConnected>, StoreError> {
        in_time(self.connect_account(id, new, tokens)).await
    }

    async fn connect_account(
        &self,
        id: ConnectionId,
        new: &NewConnection,
        tokens: &SealedTokens,
    ) -> Result<Result<ConnectionId, NotConnected>, StoreError> {
        let tx = self.begin().await?;
        lock_coaches(&tx, [new.coach_id]).await?;
        lock_account(&tx, new.provider, &new.account_id).await?;
        let known = connection::Entity::find()
            .filter(connection::Column::CoachId.eq(new.coach_id))
            .filter(connection::Column::Provider.eq(new.provider))
            .filter(connection::Column::AccountId.eq(new.account_id.as_str()))
            .one(&tx)
            .await?;
        if known.as_ref().is_some_and(|known| known.id != id) {
            return Ok(Err(NotConnected::OtherId));
        }
        if !sign_ins::finish(&tx, &new.state_hash).await? {
            let is_done = |known: &connection::Model| {
                known.refresh_token.as_deref() == Some(tokens.refresh.as_str())
            };
            return Ok(match known.as_ref() {
                Some(known) if is_done(known) => Ok(id),
                Some(_) | None => Err(NotConnected::SignInGone),
            });
        }
        let is_known = known.is_some();
        let event = known
            .as_ref()
            .map_or(WebhookEvent::ConnectionConnected, news_of);
        match known {
            Some(_) => {
                lock_leases(&tx, &[id]).await?;
                revive(&tx, id, new, tokens).await?;
            }
            None => insert(&tx, id, new, tokens).await?,
        }
        let order = Order {
            priority: Priority::Bulk,
            flags: Flags::CATCH_UP,
            sync_id: None,
            max_attempts: new.max_attempts,
            now: new.now,
            cause: &new.origin.cause,
        };
        full_sync(&tx, id, new.fresh_sync_id, order).await?;
        wake(&tx, &[id], new.now).await?;
        let entry = Entry {
            coach_id: Some(new.coach_id),
            connection_id: Some(id),
            details: json!({ "provider": new.provider.as_str(), "is_known_account": is_known }),
            ..Entry::of(&new.origin, AuditAction::Connected)
        };
        record(&tx, &entry, new.now).await?;
        let whose = (id, new.coach_id, new.provider);
        let news = News::of_connection(event, whose, "active", None);
        let told = tell(&tx, &[news], new.now).await?;
        commit(tx, Step::Connect).await?;
        self.told(told);
        Ok(Ok(id))
    }
}

/// What signing in again means for an account that was known.
fn news_of(known: &connection::Model) -> WebhookEvent {
    match known.status {
        ConnectionStatus::NeedsReauth | ConnectionStatus::Quarantined => {
            WebhookEvent::ConnectionRecovered
        }
        ConnectionStatus::Active if known.set_aside_at.is_some() => {
            WebhookEvent::ConnectionRecovered
        }
        ConnectionStatus::Active | ConnectionStatus::Disconnected => {
            WebhookEvent::ConnectionConnected
        }
    }
}

async fn revive(
    db: &impl ConnectionTrait,
    id: ConnectionId,
    new: &NewConnection,
    tokens: &SealedTokens,
) -> Result<(), StoreError> {
    Sql::on(db)
        .text("UPDATE coach_calendar_connections SET status = 'active', status_reason = NULL, set_aside_at = NULL, last_sync_status = 'pending', last_sync_error = NULL, account_email = ")
        .value(new.account_email.as_str())
        .text(", access_token = ")
        .value(tokens.access.as_str())
        .text(", refresh_token = ")
        .value(tokens.refresh.as_str())
        .text(", access_token_expires_at = ")
        .value(tokens.access_expires_at)
        .text(", token_version = token_version + 1, updated_at = ")
        .value(new.now)
        .text(" WHERE id = ")
        .value(id)
        .execute(db)
        .await?;
    // Whatever else held the connection back held back the access it had then.
    waits::end_all_but_limits(Sql::on(db).text("UPDATE connection_leases SET "))
        .text(" WHERE connection_id = ")
        .value(id)
        .execute(db)
        .await?;
    Ok(())
}

async fn insert(
    db: &impl ConnectionTrait,
    id: ConnectionId,
    new: &NewConnection,
    tokens: &SealedTokens,
) -> Result<(), StoreError> {
    let settings = Settings::default();
    let row = connection::ActiveModel {
        id: Set(id),
        coach_id: Set(new.coach_id),
        provider: Set(new.provider),
        account_id: Set(new.account_id.clone()),
        account_email: Set(new.account_email.clone()),
        calendar_id: Set(new.primary_calendar.id.clone()),
        calendar_name: Set(new.primary_calendar.name.clone()),
        calendar_time_zone: Set(zone_name(&new.primary_calendar)),
        calendar_is_primary: Set(new.primary_calendar.primary),
        status: Set(ConnectionStatus::Active),
        status_reason: Set(None),
        set_aside_at: Set(None),
        access_token: Set(Some(tokens.access.clone())),
        refresh_token: Set(Some(tokens.refresh.clone())),
        access_token_expires_at: Set(Some(tokens.access_expires_at)),
        token_version: Set(0),
        is_sync_enabled: Set(settings.is_sync_enabled),
        auto_create_events: Set(settings.auto_create_events),
        auto_update_events: Set(settings.auto_update_events),
        include_client_details: Set(settings.include_client_details),
        add_client_as_attendee: Set(settings.add_client_as_attendee),
        event_title_template: Set(settings.event_title_template),
        event_description_template: Set(settings.event_description_template),
        settings_version: Set(0),
        last_sync_at: Set(None),
        last_sync_status: Set(LastSync::Pending),
        last_sync_error: Set(None),
        created_at: Set(new.now),
        updated_at: Set(new.now),
    };
    connection::Entity::insert(row)
        .exec_without_returning(db)
        .await?;
    Sql::on(db)
        .text("INSERT INTO connection_leases (connection_id, epoch) VALUES (")
        .value(id)
        .text(", 0)")
        .execute(db)
        .await?;
    Ok(())
}
