//! Table `coach_calendar_connections`.

use sea_orm::entity::prelude::*;

use crate::domain::{
    Calendar, CalendarId, CoachId, Connection, ConnectionId, ConnectionStatus, LastSync,
    ProviderKind, Settings, Timestamp,
};
use crate::store::StoreError;

#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "coach_calendar_connections")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ConnectionId,
    pub coach_id: CoachId,
    pub provider: ProviderKind,
    pub account_id: String,
    pub account_email: String,
    pub calendar_id: CalendarId,
    pub calendar_name: String,
    pub calendar_time_zone: Option<String>,
    pub calendar_is_primary: bool,
    pub status: ConnectionStatus,
    pub status_reason: Option<String>,
    pub set_aside_at: Option<Timestamp>,
    pub access_token: Option<String>,
    pub refresh_token: Option<String>,
    pub access_token_expires_at: Option<Timestamp>,
    pub token_version: i64,
    pub is_sync_enabled: bool,
    pub auto_create_events: bool,
    pub auto_update_events: bool,
    pub include_client_details: bool,
    pub add_client_as_attendee: bool,
    pub event_title_template: String,
    pub event_description_template: String,
    pub settings_version: i64,
    pub last_sync_at: Option<Timestamp>,
    pub last_sync_status: LastSync,
    pub last_sync_error: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Tokens are sealed, yet even a sealed one has no place in a log.
impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("connection::Model")
            .field("id", &self.id)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TryFrom<Model> for Connection {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self, StoreError> {
        let time_zone = match row.calendar_time_zone {
            Some(name) => Some(name.parse().map_err(|_| {
                StoreError::inconsistent("coach_calendar_connections", "calendar_time_zone")
            })?),
            None => None,
        };
        Ok(Self {
            id: row.id,
            coach_id: row.coach_id,
            provider: row.provider,
            account_id: row.account_id,
            account_email: row.account_email,
            calendar: Calendar {
                id: row.calendar_id,
                name: row.calendar_name,
                time_zone,
                primary: row.calendar_is_primary,
            },
            status: row.status,
            status_reason: row.status_reason,
            settings: Settings {
                is_sync_enabled: row.is_sync_enabled,
                auto_create_events: row.auto_create_events,
                auto_update_events: row.auto_update_events,
                include_client_details: row.include_client_details,
                add_client_as_attendee: row.add_client_as_attendee,
                event_title_template: row.event_title_template,
                event_description_template: row.event_description_template,
            },
            settings_version: row.settings_version,
            last_sync_at: row.last_sync_at,
            last_sync_status: row.last_sync_status,
            last_sync_error: row.last_sync_error,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}
