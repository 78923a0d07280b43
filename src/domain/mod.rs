//! The nouns of calendar sync, without I/O.
//!
//! Owns what an appointment, a connection, a mapping, a job and a failure *are*, which values they
//! may hold, and the clock and randomness every other module is handed. Knows no database, no HTTP
//! and no provider. Only the ids derive traits of sea-orm and poem-openapi, so that one type serves
//! from the URL to the row.

mod appointment;
mod audit;
mod cause;
mod clock;
mod connection;
mod content;
mod email;
mod entropy;
mod failure;
mod id;
mod job;
mod mapping;
mod provider;
mod wait;
mod webhook;

pub use appointment::{
    Appointment, AppointmentStatus, Client, InvalidAppointment, MAX_APPOINTMENT_HOURS,
};
pub use audit::{Actor, ActorRole, AuditAction, Origin};
pub use cause::Cause;
pub use clock::{Clock, ManualClock, Reading, SystemClock, Timestamp};
pub use connection::{
    Calendar, Connection, ConnectionStatus, DEFAULT_DESCRIPTION_TEMPLATE, DEFAULT_TITLE_TEMPLATE,
    LastSync, Settings, SettingsChanges,
};
pub use content::{EventContent, Fingerprint, Fingerprints, Parts};
pub use email::{EMAIL_RULE, is_email};
pub use entropy::{Entropy, Jitter, SeededEntropy, SystemEntropy};
pub use failure::{FailureCode, RateScope, ReauthReason, Stale, SyncFailure};
pub use id::{
    AppointmentId, AuditEventId, CalendarId, CoachId, ConnectionId, DeliveryId, Etag, EventId,
    JobId, NodeId, SyncId, WebhookId,
};
pub use job::{Flags, JobStatus, Operation, Priority};
pub use mapping::{CreateKey, EventRef, Generation, Mapping, MappingState};
pub use provider::{ProviderKind, UnknownProvider};
pub use wait::{Wait, WaitReason};
pub use webhook::{
    CalendarEvent, DeliveryError, DeliveryStatus, DisabledReason, QuarantineReason, WebhookEvent,
};
