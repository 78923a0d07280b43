//! Changing what a coach can switch, and queueing what that changes in the calendar.

use sea_orm::{ConnectionTrait, EntityTrait};
use serde_json::{Map, Value, json};

use super::audit::{Entry, record};
use super::connections::{locked, zone_name};
use super::enqueue::{Order, Pairs, enqueue, full_sync, wake};
use super::entity::connection;
use super::open::commit;
use super::patience::in_time;
use super::sql::Sql;
use super::{Store, StoreError};
use crate::domain::{
    AuditAction, Calendar, Connection, ConnectionId, ConnectionStatus, Flags, Origin, Priority,
    Settings, SettingsChanges, SyncId, Timestamp,
};
use crate::failpoint::Step;

/// What a change of settings led to.
#[derive(Clone, Debug)]
pub struct SettingsChange {
    pub connection: Connection,
    pub queued: u64,
}

/// What is to be changed.
#[derive(Clone, Copy, Debug)]
pub struct SettingsRequest<'a> {
    pub changes: &'a SettingsChanges,
    /// The new target, if it is to be another.
    pub calendar: Option<&'a Calendar>,
    pub fresh_sync_id: SyncId,
    pub max_attempts: i32,
    /// In whose name.
    pub origin: &'a Origin,
    pub now: Timestamp,
}

/// Why nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingsRefusal {
    NotFound,
    /// The caller does not allow a change of the connection as it is.
    NotAllowed,
}

impl Store {
    /// Changes settings and target calendar, and queues what that changes in the calendar: if `allows`
    /// says so of the connection as nobody else can change it until this change is written.
    pub async fn change_settings(
        &self,
        id: ConnectionId,
        request: SettingsRequest<'_>,
        allows: impl Fn(&Connection) -> bool,
    ) -> Result<Result<SettingsChange, SettingsRefusal>, StoreError> {
        in_time(async {
            let SettingsRequest {
                changes,
                calendar,
                fresh_sync_id,
                max_attempts,
                origin,
                now,
            } = request;
            let tx = self.begin().await?;
            let Some(before) = locked(&tx, id).await? else {
                return Ok(Err(SettingsRefusal::NotFound));
            };
            if before.status == ConnectionStatus::Disconnected {
                return Ok(Err(SettingsRefusal::NotFound));
            }
            if !allows(&before) {
                return Ok(Err(SettingsRefusal::NotAllowed));
            }
            // Applied here, under the lock: two changes of different settings at once both count.
            let settings = &changes.applied_to(&before.settings);
            let calendar = calendar.unwrap_or(&before.calendar);
            if *settings == before.settings && *calendar == before.calendar {
                return Ok(Ok(SettingsChange {
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
                cause: &origin.cause,
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
            let entry = Entry {
                coach_id: Some(before.coach_id),
                connection_id: Some(id),
                details: json!({ "changed": changed_fields(&before, settings, calendar) }),
                ..Entry::of(origin, AuditAction::SettingsChanged)
            };
            record(&tx, &entry, now).await?;
            let row = connection::Entity::find_by_id(id).one(&tx).await?;
            commit(tx, Step::Settings).await?;
            match row {
                Some(row) => Ok(Ok(SettingsChange {
                    connection: row.try_into()?,
                    queued,
                })),
                None => Ok(Err(SettingsRefusal::NotFound)),
            }
        })
        .await
    }
}

/// What became different, by field: the new position of a switch, and null for texts and calendars,
/// which may name people.
fn changed_fields(
    before: &Connection,
    after: &Settings,
    calendar: &Calendar,
) -> Map<String, Value> {
    let Settings {
        is_sync_enabled,
        auto_create_events,
        auto_update_events,
        include_client_details,
        add_client_as_attendee,
        event_title_template,
        event_description_template,
    } = &before.settings;
    let switch = |name, before: bool, after: bool| {
        (before != after).then(|| (String::from(name), Value::from(after)))
    };
    let text = |name, is_other: bool| is_other.then(|| (String::from(name), Value::Null));
    [
        switch("is_sync_enabled", *is_sync_enabled, after.is_sync_enabled),
        switch(
            "auto_create_events",
            *auto_create_events,
            after.auto_create_events,
        ),
        switch(
            "auto_update_events",
            *auto_update_events,
            after.auto_update_events,
        ),
        switch(
            "include_client_details",
            *include_client_details,
            after.include_client_details,
        ),
        switch(
            "add_client_as_attendee",
            *add_client_as_attendee,
            after.add_client_as_attendee,
        ),
        text(
            "event_title_template",
            *event_title_template != after.event_title_template,
        ),
        text(
            "event_description_template",
            *event_description_template != after.event_description_template,
        ),
        text("calendar_id", before.calendar.id != calendar.id),
    ]
    .into_iter()
    .flatten()
    .collect()
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
