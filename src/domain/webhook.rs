//! What the platform is told, and how telling it goes: the words of webhooks.

use poem_openapi::Enum;
use sea_orm::{DeriveActiveEnum, EnumIter};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enum)]
pub enum WebhookEvent {
    /// A calendar account was connected, or connected again.
    #[oai(rename = "connection.connected")]
    ConnectionConnected,
    /// The provider refuses the grant: nothing is carried until the coach signs in again.
    #[oai(rename = "connection.needs_reauth")]
    ConnectionNeedsReauth,
    /// Set aside for a while, for a reason of ours.
    #[oai(rename = "connection.quarantined")]
    ConnectionQuarantined,
    /// Active again after one of the two before.
    #[oai(rename = "connection.recovered")]
    ConnectionRecovered,
    #[oai(rename = "connection.disconnected")]
    ConnectionDisconnected,
    /// The calendar shows the appointment as it is.
    #[oai(rename = "appointment.synced")]
    AppointmentSynced,
    /// Given up: the calendar does not show the appointment as it is.
    #[oai(rename = "appointment.sync_failed")]
    AppointmentSyncFailed,
}

impl WebhookEvent {
    pub const ALL: [Self; 7] = [
        Self::ConnectionConnected,
        Self::ConnectionNeedsReauth,
        Self::ConnectionQuarantined,
        Self::ConnectionRecovered,
        Self::ConnectionDisconnected,
        Self::AppointmentSynced,
        Self::AppointmentSyncFailed,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConnectionConnected => "connection.connected",
            Self::ConnectionNeedsReauth => "connection.needs_reauth",
            Self::ConnectionQuarantined => "connection.quarantined",
            Self::ConnectionRecovered => "connection.recovered",
            Self::ConnectionDisconnected => "connection.disconnected",
            Self::AppointmentSynced => "appointment.synced",
            Self::AppointmentSyncFailed => "appointment.sync_failed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == text)
    }
}

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Enum, EnumIter, DeriveActiveEnum)]
#[oai(rename_all = "snake_case")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// Yet to be sent, or sent again.
    Pending,
    /// The receiver took it.
    Delivered,
    /// Given up; kept for a while, and replayable.
    Failed,
}

/// Why a webhook is told nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Enum, EnumIter, DeriveActiveEnum)]
#[oai(rename_all = "snake_case")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum DisabledReason {
    /// An operator switched it off.
    Requested,
    /// It answered 410.
    Gone,
    /// It took nothing for days.
    Failing,
}

/// Why an attempt failed: a stable word, shown in `error_code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeliveryError {
    /// Not reached, or the connection broke off.
    Network,
    Timeout,
    /// Its name leads to an address that nothing is sent to.
    AddressNotAllowed,
    /// It answered with a redirect, which is not followed.
    Redirected,
    /// It answered 410: it wants nothing any more.
    Gone,
    /// It answered with another status than 2xx.
    Refused,
    /// The stored secret cannot be opened, so nothing can be signed.
    SecretUnreadable,
    /// The webhook was disabled before it was told.
    WebhookDisabled,
    /// More was to be told than the webhook took: this was among the oldest of too many.
    Overdue,
}

impl DeliveryError {
    pub const ALL: [Self; 9] = [
        Self::Network,
        Self::Timeout,
        Self::AddressNotAllowed,
        Self::Redirected,
        Self::Gone,
        Self::Refused,
        Self::SecretUnreadable,
        Self::WebhookDisabled,
        Self::Overdue,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Timeout => "timeout",
            Self::AddressNotAllowed => "address_not_allowed",
            Self::Redirected => "redirected",
            Self::Gone => "gone",
            Self::Refused => "refused",
            Self::SecretUnreadable => "secret_unreadable",
            Self::WebhookDisabled => "webhook_disabled",
            Self::Overdue => "overdue",
        }
    }
}

/// Why a connection is set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuarantineReason {
    /// Its worker crashed several times in a row.
    Crashed,
    /// The keys do not open its stored tokens.
    TokensUnreadable,
}

impl QuarantineReason {
    pub fn code(self) -> &'static str {
        match self {
            Self::Crashed => "crashed",
            Self::TokensUnreadable => "tokens_unreadable",
        }
    }
}

/// Whether an event stands for an appointment in a calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalendarEvent {
    Present,
    Absent,
}

impl CalendarEvent {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Absent => "absent",
        }
    }
}
