//! A connected calendar account: its settings and how its work stands.

use poem_openapi::{Enum, Object};

use super::JobView;
use crate::api::UtcTime;
use crate::api::body::{MOST_OF_A_COACH, Sent};
use crate::api::entity_tag::EntityTag;
use crate::api::ports::TestReport;
use crate::domain::{
    Calendar, CalendarId, CoachId, ConnectionId, ConnectionStatus, LastSync, ProviderKind,
    SettingsChanges, SyncId, Timestamp, Wait, WaitReason,
};
use crate::store;

/// One calendar account a coach connected. Never holds tokens.
#[derive(Debug, Object)]
#[oai(rename = "Connection")]
pub(in crate::api) struct ConnectionView {
    id: ConnectionId,
    /// Changes with whatever PUT can change, and with nothing else. Sent back as `If-Match`, quotes
    /// included, it keeps a change from overwriting one that the client has not seen.
    etag: String,
    coach_id: CoachId,
    provider: ProviderKind,
    account_email: String,
    /// Where new events go.
    calendar_id: String,
    calendar_name: String,
    #[oai(nullable)]
    calendar_time_zone: Option<String>,
    status: ConnectionStatus,
    /// Why it is not active, in words for the coach.
    #[oai(nullable)]
    status_reason: Option<String>,
    is_sync_enabled: bool,
    auto_create_events: bool,
    auto_update_events: bool,
    include_client_details: bool,
    /// Whether the client is a guest of the event while client details are on. Outlook mails every
    /// guest an invitation and cannot be told not to.
    add_client_as_attendee: bool,
    event_title_template: String,
    event_description_template: String,
    #[oai(nullable)]
    last_sync_at: Option<UtcTime>,
    last_sync_status: LastSync,
    #[oai(nullable)]
    last_sync_error: Option<String>,
    /// Appointments waiting to be carried or being carried.
    pending: u64,
    /// Appointments given up.
    failed: u64,
    /// How far behind the calendar is: the age of the oldest change that it does not show yet, in
    /// seconds; 0 if it shows all. What was given up counts as `failed` instead.
    freshness_seconds: f64,
    created_at: UtcTime,
    updated_at: UtcTime,
}

impl ConnectionView {
    pub(in crate::api) fn new(view: store::ConnectionView, now: Timestamp) -> Self {
        let store::ConnectionView {
            connection,
            pending,
            failed,
            oldest_change,
        } = view;
        let behind = oldest_change.and_then(|since| (now - since).to_std().ok());
        let etag = EntityTag::of_settings(&connection).to_string();
        let settings = connection.settings;
        Self {
            id: connection.id,
            etag,
            coach_id: connection.coach_id,
            provider: connection.provider,
            account_email: connection.account_email,
            calendar_id: connection.calendar.id.0,
            calendar_name: connection.calendar.name,
            calendar_time_zone: connection
                .calendar
                .time_zone
                .map(|zone| zone.name().to_owned()),
            status: connection.status,
            status_reason: connection.status_reason,
            is_sync_enabled: settings.is_sync_enabled,
            auto_create_events: settings.auto_create_events,
            auto_update_events: settings.auto_update_events,
            include_client_details: settings.include_client_details,
            add_client_as_attendee: settings.add_client_as_attendee,
            event_title_template: settings.event_title_template,
            event_description_template: settings.event_description_template,
            last_sync_at: connection.last_sync_at.map(UtcTime),
            last_sync_status: connection.last_sync_status,
            last_sync_error: connection.last_sync_error,
            pending,
            failed,
            freshness_seconds: behind.map_or(0.0, |behind| behind.as_secs_f64()),
            created_at: connection.created_at.into(),
            updated_at: connection.updated_at.into(),
        }
    }
}

/// Connections of a coach, oldest first.
#[derive(Debug, Object)]
pub(in crate::api) struct ConnectionList {
    pub(in crate::api) connections: Vec<ConnectionView>,
}

impl ConnectionList {
    pub(in crate::api) fn new(connections: &[store::ConnectionView], now: Timestamp) -> Self {
        let of_now = |one: &store::ConnectionView| ConnectionView::new(one.clone(), now);
        Self {
            connections: connections.iter().map(of_now).collect(),
        }
    }

    /// What changes with the connections alone: where the answer says how long a calendar has been
    /// behind, this says since when.
    pub(in crate::api) fn at_rest(connections: &[store::ConnectionView]) -> Self {
        let start = Timestamp::UNIX_EPOCH;
        let mut list = Self::new(connections, start);
        for (view, one) in list.connections.iter_mut().zip(connections) {
            let since = one.oldest_change.map(|since| (since - start).to_std());
            let since = since.and_then(Result::ok);
            view.freshness_seconds = since.map_or(0.0, |since| since.as_secs_f64());
        }
        list
    }
}

/// Settings to change; what is absent or null stays as it is.
#[derive(Debug, Object)]
#[oai(rename = "ConnectionSettings", deny_unknown_fields)]
pub(in crate::api) struct SettingsBody {
    /// Off: nothing is carried. Turning it on catches up.
    #[oai(nullable)]
    is_sync_enabled: Option<bool>,
    /// Off: new appointments are added only by "Sync now".
    #[oai(nullable)]
    auto_create_events: Option<bool>,
    /// Off: changes and cancellations are carried only by "Sync now".
    #[oai(nullable)]
    auto_update_events: Option<bool>,
    /// Turning it off takes client details out of every event already written.
    #[oai(nullable)]
    include_client_details: Option<bool>,
    /// Whether the client is a guest of the event while client details are on. Outlook mails every
    /// guest an invitation and cannot be told not to.
    #[oai(nullable)]
    add_client_as_attendee: Option<bool>,
    /// Text with `{placeholders}`: client_name, client_email, notes, starts_at, ends_at,
    /// duration_minutes, time_zone, meeting_url, location, appointment_id.
    #[oai(nullable)]
    event_title_template: Option<String>,
    /// As the title's.
    #[oai(nullable)]
    event_description_template: Option<String>,
    /// A calendar of the account that can be written to. Events that have not ended move there.
    #[oai(nullable, validator(min_length = 1, max_length = 1024))]
    calendar_id: Option<String>,
}

impl Sent for SettingsBody {
    const MAX_BYTES: usize = MOST_OF_A_COACH;
}

impl SettingsBody {
    /// The change of settings, and the calendar asked for.
    pub(in crate::api) fn into_parts(self) -> (SettingsChanges, Option<CalendarId>) {
        let changes = SettingsChanges {
            is_sync_enabled: self.is_sync_enabled,
            auto_create_events: self.auto_create_events,
            auto_update_events: self.auto_update_events,
            include_client_details: self.include_client_details,
            add_client_as_attendee: self.add_client_as_attendee,
            event_title_template: self.event_title_template,
            event_description_template: self.event_description_template,
        };
        (changes, self.calendar_id.map(CalendarId))
    }
}

/// A calendar of the account.
#[derive(Debug, Object)]
#[oai(rename = "Calendar")]
pub(in crate::api) struct CalendarView {
    id: String,
    name: String,
    /// IANA name; absent where the provider says none.
    #[oai(nullable)]
    time_zone: Option<String>,
    primary: bool,
    /// Whether new events go there.
    selected: bool,
}

impl CalendarView {
    pub(in crate::api) fn new(calendar: Calendar, selected: &CalendarId) -> Self {
        Self {
            selected: calendar.id == *selected,
            id: calendar.id.0,
            name: calendar.name,
            time_zone: calendar.time_zone.map(|zone| zone.name().to_owned()),
            primary: calendar.primary,
        }
    }
}

/// Calendars that can be written to.
#[derive(Debug, Object)]
pub(in crate::api) struct CalendarList {
    pub(in crate::api) calendars: Vec<CalendarView>,
}

/// How a connection fared when it was tried.
#[derive(Debug, Object)]
#[oai(rename = "TestReport")]
pub(in crate::api) struct TestReportView {
    ok: bool,
    #[oai(nullable)]
    calendar_name: Option<String>,
    account_email: String,
    latency_ms: u64,
    #[oai(nullable)]
    problem: Option<TestProblem>,
}

/// What is wrong with a connection.
#[derive(Debug, Object)]
pub(in crate::api) struct TestProblem {
    /// Stable word.
    code: String,
    detail: String,
}

impl From<TestReport> for TestReportView {
    fn from(report: TestReport) -> Self {
        Self {
            ok: report.ok,
            calendar_name: report.calendar_name,
            account_email: report.account_email,
            latency_ms: u64::try_from(report.latency.as_millis()).unwrap_or(u64::MAX),
            problem: report.problem.map(|(code, detail)| TestProblem {
                code: code.as_str().to_owned(),
                detail,
            }),
        }
    }
}

/// A full sync under way.
#[derive(Debug, Object)]
#[oai(rename = "SyncProgress")]
pub(in crate::api) struct ProgressView {
    sync_id: SyncId,
    total: u64,
    done: u64,
    failed: u64,
}

/// What a whole connection waits for: the provider's limit, or ours on its behalf; the end of an outage;
/// an operator who puts the provider's set-up right, or switches it on again.
#[derive(Clone, Copy, Debug, Enum)]
#[oai(rename_all = "snake_case", rename = "WaitReason")]
pub(in crate::api) enum WaitReasonView {
    Limit,
    Outage,
    SetUp,
    NotConfigured,
}

impl From<WaitReason> for WaitReasonView {
    fn from(why: WaitReason) -> Self {
        match why {
            WaitReason::Limit => Self::Limit,
            WaitReason::Outage => Self::Outage,
            WaitReason::SetUp => Self::SetUp,
            WaitReason::NotConfigured => Self::NotConfigured,
        }
    }
}

/// Nothing is asked of the provider before then.
#[derive(Debug, Object)]
#[oai(rename = "Wait")]
pub(in crate::api) struct WaitView {
    until: UtcTime,
    reason: WaitReasonView,
}

impl WaitView {
    fn of(wait: Wait) -> Self {
        Self {
            until: wait.until.into(),
            reason: wait.why.into(),
        }
    }
}

/// How the work of a connection stands.
#[derive(Debug, Object)]
#[oai(rename = "SyncStatus")]
pub(in crate::api) struct SyncStatusView {
    #[oai(nullable)]
    last_sync_at: Option<UtcTime>,
    last_sync_status: LastSync,
    #[oai(nullable)]
    last_sync_error: Option<String>,
    /// Waiting to be carried.
    pending: u64,
    /// Being carried now.
    processing: u64,
    /// Given up.
    failed: u64,
    /// Events in the calendar.
    synced: u64,
    /// The full sync under way, if there is one.
    #[oai(nullable)]
    current: Option<ProgressView>,
    /// What the whole connection waits for, while it does.
    #[oai(nullable)]
    waiting: Option<WaitView>,
    /// When the access token that is stored ends. It is renewed by itself as needed.
    #[oai(nullable)]
    access_expires_at: Option<UtcTime>,
    /// Newest first.
    recent_jobs: Vec<JobView>,
}

impl From<store::SyncProgress> for ProgressView {
    fn from(progress: store::SyncProgress) -> Self {
        Self {
            sync_id: progress.sync_id,
            total: progress.total,
            done: progress.done,
            failed: progress.failed,
        }
    }
}

impl SyncStatusView {
    pub(in crate::api) fn new(
        connection: crate::domain::Connection,
        status: store::SyncStatus,
        now: Timestamp,
    ) -> Self {
        Self {
            last_sync_at: connection.last_sync_at.map(UtcTime),
            last_sync_status: connection.last_sync_status,
            last_sync_error: connection.last_sync_error,
            pending: status.pending,
            processing: status.processing,
            failed: status.failed,
            synced: status.synced,
            current: status.current.map(ProgressView::from),
            waiting: status
                .wait
                .filter(|wait| wait.until > now)
                .map(WaitView::of),
            access_expires_at: status.access_expires_at.map(UtcTime),
            recent_jobs: status.recent_jobs.into_iter().map(JobView::from).collect(),
        }
    }
}
