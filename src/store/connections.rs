//! Connections: signing in, settings, leaving.

use std::collections::HashMap;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::enqueue::{Order, Pairs, enqueue, full_sync, lock_leases, wake};
use super::entity::connection;
use super::sql::{Sql, lock_coaches};
use super::status::open_counts;
use super::{SealedTokens, Store, StoreError, StoredTokens, tokens};
use crate::domain::{
    Calendar, CoachId, Connection, ConnectionId, ConnectionStatus, Flags, Priority, ProviderKind,
    Settings, SettingsChanges, SyncId, Timestamp,
};

/// A connection with its open work counted.
#[derive(Clone, Debug)]
pub struct ConnectionView {
    pub connection: Connection,
    /// Rows pending or being worked on.
    pub pending: u64,
    pub failed: u64,
}

/// An account that has just signed in.
#[derive(Clone, Debug)]
pub struct NewConnection {
    /// The id to use if the account is new to this coach.
    pub fresh_id: ConnectionId,
    pub fresh_sync_id: SyncId,
    pub coach_id: CoachId,
    pub provider: ProviderKind,
    pub account_id: String,
    pub account_email: String,
    pub primary_calendar: Calendar,
    pub max_attempts: i32,
    pub now: Timestamp,
}

/// What a change of settings led to.
#[derive(Clone, Debug)]
pub struct SettingsChange {
    pub connection: Connection,
    pub queued: u64,
}

impl Store {
    /// Connections of a coach, those ended left out, oldest first.
    pub async fn connections_of(
        &self,
        coach_id: CoachId,
    ) -> Result<Vec<ConnectionView>, StoreError> {
        let rows = connection::Entity::find()
            .filter(connection::Column::CoachId.eq(coach_id))
            .filter(connection::Column::Status.ne(ConnectionStatus::Disconnected))
            .order_by_asc(connection::Column::CreatedAt)
            .order_by_asc(connection::Column::Id)
            .all(&self.read)
            .await?;
        let ids: Vec<ConnectionId> = rows.iter().map(|row| row.id).collect();
        let mut counts = open_counts(&self.read, &ids).await?;
        rows.into_iter().map(|row| view(row, &mut counts)).collect()
    }

    /// A connection that was not ended.
    pub async fn connection(&self, id: ConnectionId) -> Result<Option<ConnectionView>, StoreError> {
        let Some(row) = connection::Entity::find_by_id(id)
            .filter(connection::Column::Status.ne(ConnectionStatus::Disconnected))
            .one(&self.read)
            .await?
        else {
            return Ok(None);
        };
        let mut counts = open_counts(&self.read, &[id]).await?;
        view(row, &mut counts).map(Some)
    }

    /// Whether the account was connected by this coach before, and under which id: tokens are sealed
    /// for an id before they are stored.
    pub async fn connection_of_account(
        &self,
        coach_id: CoachId,
        provider: ProviderKind,
        account_id: &str,
    ) -> Result<Option<ConnectionId>, StoreError> {
        let row = connection::Entity::find()
            .filter(connection::Column::CoachId.eq(coach_id))
            .filter(connection::Column::Provider.eq(provider))
            .filter(connection::Column::AccountId.eq(account_id))
            .one(&self.read)
            .await?;
        Ok(row.map(|row| row.id))
    }

    /// Stores a signed-in account as an active connection and queues its first sync, at once. An
    /// account that was connected before keeps its connection, settings and mappings.
    ///
    /// `tokens` must be sealed for `id`. `None` if the id is not the account's: it was connected in
    /// another browser this very moment; look it up again.
    pub async fn connect(
        &self,
        id: ConnectionId,
        new: &NewConnection,
        tokens: &SealedTokens,
    ) -> Result<Option<ConnectionId>, StoreError> {
        let tx = self.begin().await?;
        lock_coaches(&tx, [new.coach_id]).await?;
        let known = connection::Entity::find()
            .filter(connection::Column::CoachId.eq(new.coach_id))
            .filter(connection::Column::Provider.eq(new.provider))
            .filter(connection::Column::AccountId.eq(new.account_id.as_str()))
            .one(&tx)
            .await?;
        match known {
            Some(known) if known.id != id => return Ok(None),
            Some(_) => revive(&tx, id, new, tokens).await?,
            None => insert(&tx, id, new, tokens).await?,
        }
        lock_leases(&tx, &[id]).await?;
        let order = Order {
            priority: Priority::Bulk,
            flags: Flags::CATCH_UP,
            sync_id: None,
            max_attempts: new.max_attempts,
            now: new.now,
        };
        full_sync(&tx, id, new.fresh_sync_id, order).await?;
        wake(&tx, &[id], new.now).await?;
        tx.commit().await?;
        Ok(Some(id))
    }

    /// Changes settings and target calendar, and queues what that changes in the calendar. `None` if
    /// there is no such connection.
    pub async fn change_settings(
        &self,
        id: ConnectionId,
        changes: &SettingsChanges,
        calendar: Option<&Calendar>,
        fresh_sync_id: SyncId,
        max_attempts: i32,
        now: Timestamp,
    ) -> Result<Option<SettingsChange>, StoreError> {
        let tx = self.begin().await?;
        let Some(before) = locked(&tx, id).await? else {
            return Ok(None);
        };
        if before.status == ConnectionStatus::Disconnected {
            return Ok(None);
        }
        // Applied here, under the lock: two changes of different settings at once both count.
        let settings = &changes.applied_to(&before.settings);
        let calendar = calendar.unwrap_or(&before.calendar);
        if *settings == before.settings && *calendar == before.calendar {
            return Ok(Some(SettingsChange {
                connection: before,
                queued: 0,
            }));
        }
        write_settings(&tx, id, settings, calendar, now).await?;
        let order = Order {
            priority: Priority::Manual,
            flags: Flags::CHANGE,
            sync_id: None,
            max_attempts,
            now,
        };
        let mut queued = 0;
        if before.settings.include_client_details && !settings.include_client_details {
            // First of all, and also while sync is off.
            queued += enqueue(&tx, Pairs::SharingDetails(id), order).await?;
        }
        if settings.is_sync_enabled {
            let order = Order {
                priority: Priority::Bulk,
                flags: if before.settings.is_sync_enabled {
                    Flags::CHANGE
                } else {
                    Flags::CATCH_UP
                },
                ..order
            };
            queued = full_sync(&tx, id, fresh_sync_id, order)
                .await?
                .queued
                .max(queued);
        }
        wake(&tx, &[id], now).await?;
        let row = connection::Entity::find_by_id(id).one(&tx).await?;
        tx.commit().await?;
        match row {
            Some(row) => Ok(Some(SettingsChange {
                connection: row.try_into()?,
                queued,
            })),
            None => Ok(None),
        }
    }

    /// Ends a connection: tokens wiped, open work cancelled, whoever acts for it fenced off. Events,
    /// mappings and history stay. Answers what it was, with its tokens for the revocation and whether
    /// another live connection lives on the same grant.
    pub async fn disconnect(
        &self,
        id: ConnectionId,
        now: Timestamp,
    ) -> Result<Option<(Connection, Option<StoredTokens>, bool)>, StoreError> {
        let tx = self.begin().await?;
        let Some(before) = locked(&tx, id).await? else {
            return Ok(None);
        };
        if before.status == ConnectionStatus::Disconnected {
            return Ok(None);
        }
        let row = connection::Entity::find_by_id(id).one(&tx).await?;
        let tokens = row.as_ref().and_then(tokens::of_row);
        Sql::on(&tx)
            .text("UPDATE coach_calendar_connections SET status = 'disconnected', status_reason = NULL, access_token = NULL, refresh_token = NULL, access_token_expires_at = NULL, token_version = token_version + 1, updated_at = ")
            .value(now)
            .text(" WHERE id = ")
            .value(id)
            .execute(&tx)
            .await?;
        Sql::on(&tx)
            .text("UPDATE connection_leases SET node = NULL, expires_at = NULL, epoch = epoch + 1, due_at = NULL, not_before = NULL WHERE connection_id = ")
            .value(id)
            .execute(&tx)
            .await?;
        Sql::on(&tx)
            .text("UPDATE calendar_sync_queue SET status = 'cancelled', completed_at = ")
            .value(now)
            .text(" WHERE status IN ('pending', 'processing', 'failed') AND connection_id = ")
            .value(id)
            .execute(&tx)
            .await?;
        let shared = connection::Entity::find()
            .filter(connection::Column::Provider.eq(before.provider))
            .filter(connection::Column::AccountId.eq(before.account_id.as_str()))
            .filter(connection::Column::Status.ne(ConnectionStatus::Disconnected))
            .one(&tx)
            .await?
            .is_some();
        tx.commit().await?;
        Ok(Some((before, tokens, shared)))
    }

    /// Every connection of a coach, ended ones included.
    pub async fn all_connections_of(
        &self,
        coach_id: CoachId,
    ) -> Result<Vec<ConnectionId>, StoreError> {
        let rows = connection::Entity::find()
            .filter(connection::Column::CoachId.eq(coach_id))
            .all(&self.read)
            .await?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }

    /// Forgets a coach whose connections were ended: connections, appointments, mappings, jobs.
    pub async fn forget_coach(&self, coach_id: CoachId) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        lock_coaches(&tx, [coach_id]).await?;
        for table in ["coach_calendar_connections", "appointments", "sign_ins"] {
            Sql::on(&tx)
                .text("DELETE FROM ")
                .text(table)
                .text(" WHERE coach_id = ")
                .value(coach_id)
                .execute(&tx)
                .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Sets a connection aside, or takes it back.
    pub async fn set_connection_status(
        &self,
        id: ConnectionId,
        status: ConnectionStatus,
        reason: Option<&str>,
        due_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        let Some(before) = locked(&tx, id).await? else {
            return Ok(());
        };
        // What the coach ended or must repair is not ours to change.
        match before.status {
            ConnectionStatus::Disconnected | ConnectionStatus::NeedsReauth => return Ok(()),
            ConnectionStatus::Active | ConnectionStatus::Quarantined => {}
        }
        set_status(&tx, id, status, reason, now).await?;
        Sql::on(&tx)
            .text("UPDATE connection_leases SET due_at = ")
            .value(due_at)
            .text(" WHERE connection_id = ")
            .value(id)
            .execute(&tx)
            .await?;
        tx.commit().await.map_err(StoreError::from)
    }
}

/// The connection with its coach and lease locked, whatever its status.
pub(super) async fn locked(
    db: &impl ConnectionTrait,
    id: ConnectionId,
) -> Result<Option<Connection>, StoreError> {
    let Some(row) = connection::Entity::find_by_id(id).one(db).await? else {
        return Ok(None);
    };
    lock_coaches(db, [row.coach_id]).await?;
    lock_leases(db, &[id]).await?;
    let mut query = connection::Entity::find_by_id(id);
    if db.get_database_backend() == DbBackend::Postgres {
        query = query.lock_exclusive();
    }
    query.one(db).await?.map(Connection::try_from).transpose()
}

pub(super) async fn set_status(
    db: &impl ConnectionTrait,
    id: ConnectionId,
    status: ConnectionStatus,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    Sql::on(db)
        .text("UPDATE coach_calendar_connections SET status = ")
        .value(status)
        .text(", status_reason = ")
        .value(reason.map(str::to_owned))
        .text(", updated_at = ")
        .value(now)
        .text(" WHERE id = ")
        .value(id)
        .execute(db)
        .await?;
    Ok(())
}

fn view(
    row: connection::Model,
    counts: &mut HashMap<ConnectionId, (u64, u64)>,
) -> Result<ConnectionView, StoreError> {
    let (pending, failed) = counts.remove(&row.id).unwrap_or_default();
    Ok(ConnectionView {
        connection: row.try_into()?,
        pending,
        failed,
    })
}

async fn revive(
    db: &impl ConnectionTrait,
    id: ConnectionId,
    new: &NewConnection,
    tokens: &SealedTokens,
) -> Result<(), StoreError> {
    Sql::on(db)
        .text("UPDATE coach_calendar_connections SET status = 'active', status_reason = NULL, account_email = ")
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
    Ok(())
}

async fn insert(
    db: &impl ConnectionTrait,
    id: ConnectionId,
    new: &NewConnection,
    tokens: &SealedTokens,
) -> Result<(), StoreError> {
    use sea_orm::ActiveValue::Set;
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
        last_sync_status: Set(crate::domain::LastSync::Pending),
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

async fn write_settings(
    db: &impl ConnectionTrait,
    id: ConnectionId,
    settings: &Settings,
    calendar: &Calendar,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Settings {
        is_sync_enabled,
        auto_create_events,
        auto_update_events,
        include_client_details,
        add_client_as_attendee,
        event_title_template,
        event_description_template,
    } = settings;
    Sql::on(db)
        .text("UPDATE coach_calendar_connections SET is_sync_enabled = ")
        .value(*is_sync_enabled)
        .text(", auto_create_events = ")
        .value(*auto_create_events)
        .text(", auto_update_events = ")
        .value(*auto_update_events)
        .text(", include_client_details = ")
        .value(*include_client_details)
        .text(", add_client_as_attendee = ")
        .value(*add_client_as_attendee)
        .text(", event_title_template = ")
        .value(event_title_template.as_str())
        .text(", event_description_template = ")
        .value(event_description_template.as_str())
        .text(", calendar_id = ")
        .value(calendar.id.as_str())
        .text(", calendar_name = ")
        .value(calendar.name.as_str())
        .text(", calendar_time_zone = ")
        .value(zone_name(calendar))
        .text(", calendar_is_primary = ")
        .value(calendar.primary)
        .text(", settings_version = settings_version + 1, updated_at = ")
        .value(now)
        .text(" WHERE id = ")
        .value(id)
        .execute(db)
        .await?;
    Ok(())
}

fn zone_name(calendar: &Calendar) -> Option<String> {
    calendar.time_zone.map(|zone| zone.name().to_owned())
}
