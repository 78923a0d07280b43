//! An appointment as the platform reports it, and as it stands in each calendar.

use chrono_tz::Tz;
use poem_openapi::{Enum, Object};

use crate::api::UtcTime;
use crate::api::body::Sent;
use crate::api::problem::FieldProblem;
use crate::domain::{
    Appointment, AppointmentId, AppointmentStatus, Client, CoachId, ConnectionId, JobStatus,
    MappingState, ProviderKind, Timestamp,
};
use crate::plan::{OpenWork, Standing, SyncState, explain};
use crate::store::EventStatus;

/// Where an appointment stands, in the platform's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub(in crate::api) enum ReportedStatus {
    Pending,
    Confirmed,
    /// Read as `confirmed`.
    Scheduled,
    Completed,
    Cancelled,
    NoShow,
}

impl From<ReportedStatus> for AppointmentStatus {
    fn from(status: ReportedStatus) -> Self {
        match status {
            ReportedStatus::Pending => Self::Pending,
            ReportedStatus::Confirmed | ReportedStatus::Scheduled => Self::Confirmed,
            ReportedStatus::Completed => Self::Completed,
            ReportedStatus::Cancelled => Self::Cancelled,
            ReportedStatus::NoShow => Self::NoShow,
        }
    }
}

/// Whom the coach meets, as reported.
#[derive(Object)]
#[oai(rename = "ClientReport", deny_unknown_fields)]
pub(in crate::api) struct ClientBody {
    /// At most 200 characters.
    name: String,
    /// An address alone, such as `client@example.com`: no name around it, a host with a dot, at most 254
    /// characters.
    email: String,
}

/// Whom the coach meets.
#[derive(Object)]
#[oai(rename = "Client")]
pub(in crate::api) struct ClientView {
    name: String,
    email: String,
}

impl From<Client> for ClientView {
    fn from(client: Client) -> Self {
        Self {
            name: client.name,
            email: client.email,
        }
    }
}

/// The appointment as it now is.
#[derive(Object)]
#[oai(rename = "AppointmentReport", deny_unknown_fields)]
pub(in crate::api) struct AppointmentBody {
    coach_id: CoachId,
    status: ReportedStatus,
    starts_at: UtcTime,
    /// After `starts_at`, by at most 24 hours.
    ends_at: UtcTime,
    /// IANA name, such as `Europe/Berlin`.
    time_zone: String,
    client: ClientBody,
    #[oai(nullable)]
    notes: Option<String>,
    #[oai(nullable)]
    location: Option<String>,
    /// An http or https address.
    #[oai(nullable)]
    meeting_url: Option<String>,
    /// The platform's count of changes. A report with a lower one than the last is stale and changes
    /// nothing.
    #[oai(nullable)]
    revision: Option<i64>,
}

impl Sent for AppointmentBody {
    const MAX_BYTES: usize = 256 * 1024;
}

impl AppointmentBody {
    pub(in crate::api) fn into_appointment(
        self,
        id: AppointmentId,
    ) -> Result<Appointment, Vec<FieldProblem>> {
        BatchItem {
            id,
            coach_id: self.coach_id,
            status: self.status,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            time_zone: self.time_zone,
            client: self.client,
            notes: self.notes,
            location: self.location,
            meeting_url: self.meeting_url,
            revision: self.revision,
        }
        .into_appointment("")
    }
}

/// An appointment as it now is, with its id.
#[derive(Object)]
#[oai(rename = "BatchAppointmentReport", deny_unknown_fields)]
pub(in crate::api) struct BatchItem {
    id: AppointmentId,
    coach_id: CoachId,
    status: ReportedStatus,
    starts_at: UtcTime,
    /// After `starts_at`, by at most 24 hours.
    ends_at: UtcTime,
    /// IANA name, such as `Europe/Berlin`.
    time_zone: String,
    client: ClientBody,
    #[oai(nullable)]
    notes: Option<String>,
    #[oai(nullable)]
    location: Option<String>,
    /// An http or https address.
    #[oai(nullable)]
    meeting_url: Option<String>,
    /// The platform's count of changes. A report with a lower one than the last is stale and changes
    /// nothing.
    #[oai(nullable)]
    revision: Option<i64>,
}

impl BatchItem {
    /// The appointment, or everything wrong with it, at pointers behind `prefix`.
    pub(in crate::api) fn into_appointment(
        self,
        prefix: &str,
    ) -> Result<Appointment, Vec<FieldProblem>> {
        let at = |pointer: &str, detail: String| FieldProblem {
            pointer: format!("{prefix}{pointer}"),
            detail,
        };
        let time_zone = self.time_zone.parse::<Tz>();
        let appointment = Appointment {
            id: self.id,
            coach_id: self.coach_id,
            status: self.status.into(),
            starts_at: self.starts_at.0,
            ends_at: self.ends_at.0,
            time_zone: time_zone.unwrap_or(Tz::UTC),
            client: Client {
                name: self.client.name,
                email: self.client.email,
            },
            notes: self.notes,
            location: self.location,
            meeting_url: self.meeting_url,
            revision: self.revision,
            erased: false,
        };
        let mut problems: Vec<_> = appointment
            .problems()
            .into_iter()
            .map(|problem| at(problem.pointer, problem.detail))
            .collect();
        if time_zone.is_err() {
            let rule = "must be an IANA time zone, such as Europe/Berlin";
            problems.push(at("/time_zone", rule.to_owned()));
        }
        if problems.is_empty() {
            Ok(appointment)
        } else {
            Err(problems)
        }
    }
}

/// Appointments as they now are. Taken in all or not at all.
#[derive(Object)]
#[oai(rename = "AppointmentBatch", deny_unknown_fields)]
pub(in crate::api) struct BatchBody {
    #[oai(validator(min_items = 1, max_items = 1000))]
    pub(in crate::api) appointments: Vec<BatchItem>,
}

impl Sent for BatchBody {
    const MAX_BYTES: usize = 8 * 1024 * 1024;
}

/// The appointment as it was last reported.
#[derive(Object)]
#[oai(rename = "Appointment")]
pub(in crate::api) struct AppointmentView {
    id: AppointmentId,
    coach_id: CoachId,
    status: AppointmentStatus,
    starts_at: UtcTime,
    ends_at: UtcTime,
    time_zone: String,
    client: ClientView,
    #[oai(nullable)]
    notes: Option<String>,
    #[oai(nullable)]
    location: Option<String>,
    #[oai(nullable)]
    meeting_url: Option<String>,
    #[oai(nullable)]
    revision: Option<i64>,
}

impl From<Appointment> for AppointmentView {
    fn from(appointment: Appointment) -> Self {
        Self {
            id: appointment.id,
            coach_id: appointment.coach_id,
            status: appointment.status,
            starts_at: appointment.starts_at.into(),
            ends_at: appointment.ends_at.into(),
            time_zone: appointment.time_zone.name().to_owned(),
            client: appointment.client.into(),
            notes: appointment.notes,
            location: appointment.location,
            meeting_url: appointment.meeting_url,
            revision: appointment.revision,
        }
    }
}

/// Appointments of a coach, by start.
#[derive(Object)]
#[oai(rename = "AppointmentPage")]
pub(in crate::api) struct AppointmentPageView {
    pub(in crate::api) appointments: Vec<AppointmentView>,
    /// Leads to the next page; absent on the last one.
    #[oai(skip_serializing_if_is_none)]
    pub(in crate::api) next_cursor: Option<String>,
}

/// How the appointment stands in one calendar.
#[derive(Object)]
pub(in crate::api) struct ConnectionStanding {
    connection_id: ConnectionId,
    provider: ProviderKind,
    /// `synced`: the calendar shows what it should. `pending`: queued. `processing`: being carried.
    /// `failed`: given up. `waiting`: held back until the coach signs in again, a cool-down ends or
    /// "Sync now" is pressed. `not_wanted`: no event belongs there. `switched_off`: the coach switched
    /// off what would carry it.
    sync_status: SyncState,
    /// The event's id at the provider, while there is one.
    #[oai(nullable)]
    external_event_id: Option<String>,
    #[oai(nullable)]
    last_synced_at: Option<UtcTime>,
    /// What the last attempt failed with.
    #[oai(nullable)]
    error: Option<String>,
    /// Why it stands as it does, in a sentence.
    reason: String,
}

impl ConnectionStanding {
    fn new(appointment: &Appointment, status: EventStatus, now: Timestamp) -> Self {
        let EventStatus {
            connection,
            mapping,
            job,
        } = status;
        let work = job.as_ref().map(|job| OpenWork {
            status: job.status,
            scheduled_for: job.scheduled_for,
            flags: job.flags,
            error: job.error_message.as_deref(),
        });
        let explanation = explain(Standing {
            appointment,
            connection: &connection,
            mapping: mapping.as_ref(),
            work,
            now,
        });
        let is_live = |state| match state {
            MappingState::Live => true,
            MappingState::Creating | MappingState::Absent => false,
        };
        Self {
            connection_id: connection.id,
            provider: connection.provider,
            sync_status: explanation.state,
            external_event_id: mapping
                .as_ref()
                .filter(|mapping| is_live(mapping.state))
                .and_then(|mapping| mapping.event_id.clone())
                .map(|id| id.0),
            last_synced_at: mapping
                .and_then(|mapping| mapping.last_synced_at)
                .map(UtcTime),
            error: job
                .filter(|job| job.status != JobStatus::Processing)
                .and_then(|job| job.error_message),
            reason: explanation.reason.into_owned(),
        }
    }
}

/// An appointment, and why it is or is not in each calendar.
#[derive(Object)]
#[oai(rename = "ExplainedAppointment")]
pub(in crate::api) struct ExplainedAppointmentView {
    #[oai(flatten)]
    appointment: AppointmentView,
    /// One per connected calendar of the coach, and per calendar that still holds the event.
    connections: Vec<ConnectionStanding>,
}

impl ExplainedAppointmentView {
    pub(in crate::api) fn new(
        appointment: Appointment,
        statuses: Vec<EventStatus>,
        now: Timestamp,
    ) -> Self {
        let connections = statuses
            .into_iter()
            .map(|status| ConnectionStanding::new(&appointment, status, now))
            .collect();
        Self {
            appointment: appointment.into(),
            connections,
        }
    }
}
