//! One calendar account that a coach connected, and how it wants to be written to.

use chrono_tz::Tz;
use poem_openapi::Enum;
use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};

use super::{CalendarId, CoachId, ConnectionId, ProviderKind, Timestamp};

pub const DEFAULT_TITLE_TEMPLATE: &str = "ACT Coaching Session";
pub const DEFAULT_DESCRIPTION_TEMPLATE: &str =
    "Coaching session scheduled via ACT Coaching For Life";

/// Whether a connection can be worked for.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    Enum,
    EnumIter,
    DeriveActiveEnum,
)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum ConnectionStatus {
    /// Working.
    Active,
    /// The provider refuses the stored grant; the coach must sign in again. Work is kept.
    NeedsReauth,
    /// Failed again and again for a reason of ours; tried again after a cool-down. Work is kept.
    Quarantined,
    /// Ended by the coach; its tokens are wiped.
    Disconnected,
}

/// How the last finished piece of work of a connection ended.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    Enum,
    EnumIter,
    DeriveActiveEnum,
)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum LastSync {
    /// Nothing has been carried yet.
    Pending,
    Success,
    Error,
}

/// What a coach can switch, per connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub is_sync_enabled: bool,
    pub auto_create_events: bool,
    pub auto_update_events: bool,
    pub include_client_details: bool,
    pub add_client_as_attendee: bool,
    pub event_title_template: String,
    pub event_description_template: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            is_sync_enabled: true,
            auto_create_events: true,
            auto_update_events: true,
            include_client_details: false,
            add_client_as_attendee: true,
            event_title_template: DEFAULT_TITLE_TEMPLATE.into(),
            event_description_template: DEFAULT_DESCRIPTION_TEMPLATE.into(),
        }
    }
}

/// Settings to change; what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsChanges {
    pub is_sync_enabled: Option<bool>,
    pub auto_create_events: Option<bool>,
    pub auto_update_events: Option<bool>,
    pub include_client_details: Option<bool>,
    pub add_client_as_attendee: Option<bool>,
    pub event_title_template: Option<String>,
    pub event_description_template: Option<String>,
}

impl SettingsChanges {
    pub fn applied_to(&self, settings: &Settings) -> Settings {
        Settings {
            is_sync_enabled: self.is_sync_enabled.unwrap_or(settings.is_sync_enabled),
            auto_create_events: self
                .auto_create_events
                .unwrap_or(settings.auto_create_events),
            auto_update_events: self
                .auto_update_events
                .unwrap_or(settings.auto_update_events),
            include_client_details: self
                .include_client_details
                .unwrap_or(settings.include_client_details),
            add_client_as_attendee: self
                .add_client_as_attendee
                .unwrap_or(settings.add_client_as_attendee),
            event_title_template: self
                .event_title_template
                .as_ref()
                .unwrap_or(&settings.event_title_template)
                .clone(),
            event_description_template: self
                .event_description_template
                .as_ref()
                .unwrap_or(&settings.event_description_template)
                .clone(),
        }
    }
}

/// A calendar of a connected account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    pub id: CalendarId,
    pub name: String,
    /// As the provider says it; `None` when it says none or one that is not an IANA zone.
    pub time_zone: Option<Tz>,
    pub primary: bool,
}

/// A connection as stored, without its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    pub id: ConnectionId,
    pub coach_id: CoachId,
    pub provider: ProviderKind,
    /// The account's stable id at the provider; its e-mail address may change.
    pub account_id: String,
    pub account_email: String,
    /// Where new events go.
    pub calendar: Calendar,
    pub status: ConnectionStatus,
    /// In words for the coach; set whenever `status` is not active.
    pub status_reason: Option<String>,
    pub settings: Settings,
    /// Counts changes of `settings` and `calendar`: work planned under an older one is planned again.
    pub settings_version: i64,
    pub last_sync_at: Option<Timestamp>,
    pub last_sync_status: LastSync,
    pub last_sync_error: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}
