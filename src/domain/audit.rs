//! Who asked for what: the words of the audit trail.

use poem_openapi::Enum;
use sea_orm::{DeriveActiveEnum, EnumIter};

use super::Cause;

/// What was asked for and done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Enum, EnumIter, DeriveActiveEnum)]
#[oai(rename_all = "snake_case")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum AuditAction {
    /// A calendar account was connected, or connected again.
    Connected,
    SettingsChanged,
    Disconnected,
    /// "Sync now", of everything or of one appointment.
    SyncStarted,
    /// Failed jobs of a connection are tried again.
    JobsRetried,
    AppointmentErased,
    CoachForgotten,
    /// `keys rotate` was started.
    KeyRotationStarted,
    WebhookRegistered,
    /// Its address, its events, or whether it is told anything.
    WebhookChanged,
    WebhookSecretRotated,
    /// What was told to it, or could not be, is told again.
    WebhookReplayed,
    WebhookDeleted,
}

/// What an actor is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Enum, EnumIter, DeriveActiveEnum)]
#[oai(rename_all = "snake_case")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum ActorRole {
    Coach,
    Service,
    Admin,
    /// Whoever ran a command on the machine itself.
    CommandLine,
}

/// Who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The `sub` of the token; the command, if there was none.
    pub subject: String,
    pub role: ActorRole,
}

/// Who asked, and in which request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub actor: Actor,
    pub cause: Cause,
}
