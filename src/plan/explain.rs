//! "Why is this not in my calendar?", answered from the same plan that the work follows.

use std::borrow::Cow;

use chrono::SecondsFormat;
use poem_openapi::Enum;

use super::{Plan, Situation, WhyNot, plan};
use crate::domain::{
    Appointment, Connection, ConnectionStatus, Flags, JobStatus, Mapping, MappingState, Timestamp,
};

/// How an appointment stands in one calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum SyncState {
    /// The calendar shows what it should.
    Synced,
    /// Queued; it is carried without anyone doing anything.
    Pending,
    /// Being carried now.
    Processing,
    /// Given up; it is tried again on request or with the next change.
    Failed,
    /// Held back: until the coach signs in again, a cool-down ends, or "Sync now" is pressed.
    Waiting,
    /// No event belongs there, and none is.
    NotWanted,
    /// The coach switched off what would carry it.
    SwitchedOff,
}

/// The work that is open for an appointment in a connection.
#[derive(Clone, Copy, Debug)]
pub struct OpenWork<'a> {
    pub status: JobStatus,
    pub scheduled_for: Timestamp,
    pub flags: Flags,
    /// Of the last attempt, in our own words.
    pub error: Option<&'a str>,
}

/// The answer, in a word and in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub state: SyncState,
    pub reason: Cow<'static, str>,
}

/// What an explanation is made from.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    pub appointment: &'a Appointment,
    pub connection: &'a Connection,
    pub mapping: Option<&'a Mapping>,
    pub work: Option<OpenWork<'a>>,
    pub now: Timestamp,
}

pub fn explain(standing: Standing<'_>) -> Explanation {
    if let Some(work) = standing.work {
        match work.status {
            JobStatus::Processing => {
                return answer(SyncState::Processing, "It is being carried right now.");
            }
            JobStatus::Failed => return given_up(work),
            // The others are not open.
            JobStatus::Pending | JobStatus::Completed | JobStatus::Cancelled => {}
        }
    }
    let pending = standing
        .work
        .filter(|work| work.status == JobStatus::Pending);
    let planned = plan(Situation {
        appointment: standing.appointment,
        mapping: standing.mapping,
        connection: standing.connection,
        flags: pending.map_or(Flags::CHANGE, |work| work.flags),
        now: standing.now,
    });
    match planned {
        Plan::Nothing(why) => nothing(why, standing.mapping),
        Plan::Create(_)
        | Plan::FinishCreate(_)
        | Plan::Update(..)
        | Plan::Verify(_)
        | Plan::Delete
        | Plan::MoveAway => match held_back(standing.connection) {
            Some(held_back) => held_back,
            None => match pending {
                Some(work) => queued(work, standing.now),
                None => not_queued(&standing),
            },
        },
    }
}

fn nothing(why: WhyNot, mapping: Option<&Mapping>) -> Explanation {
    let has_event = mapping.is_some_and(|mapping| mapping.state == MappingState::Live);
    let state = match why {
        WhyNot::InStep => SyncState::Synced,
        WhyNot::TookPlace if has_event => SyncState::Synced,
        WhyNot::TookPlace
        | WhyNot::Unconfirmed
        | WhyNot::Cancelled
        | WhyNot::Erased
        | WhyNot::OtherCoach => SyncState::NotWanted,
        WhyNot::SyncDisabled | WhyNot::AutoCreateOff | WhyNot::AutoUpdateOff => {
            SyncState::SwitchedOff
        }
    };
    answer(state, why.as_str())
}

fn held_back(connection: &Connection) -> Option<Explanation> {
    let otherwise = match connection.status {
        ConnectionStatus::Active => return None,
        ConnectionStatus::NeedsReauth => {
            "The calendar account asks for a new sign-in; the work is kept until then."
        }
        ConnectionStatus::Quarantined => {
            "This calendar is set aside after repeated failures and is tried again by itself."
        }
        ConnectionStatus::Disconnected => "The calendar is disconnected.",
    };
    let reason = match &connection.status_reason {
        Some(reason) => Cow::Owned(reason.clone()),
        None => Cow::Borrowed(otherwise),
    };
    Some(answer(SyncState::Waiting, reason))
}

fn given_up(work: OpenWork<'_>) -> Explanation {
    let reason = match work.error {
        Some(error) => format!(
            "It was given up: {}. \"Sync now\" tries again.",
            error.trim_end_matches('.')
        ),
        None => "It was given up. \"Sync now\" tries again.".to_owned(),
    };
    answer(SyncState::Failed, reason)
}

fn queued(work: OpenWork<'_>, now: Timestamp) -> Explanation {
    let is_later = work.scheduled_for > now;
    let at = work
        .scheduled_for
        .to_rfc3339_opts(SecondsFormat::Secs, true);
    let reason = match work.error.map(|error| error.trim_end_matches('.')) {
        Some(error) if is_later => {
            format!("The last attempt failed: {error}. The next one is due at {at}.")
        }
        Some(error) => format!("The last attempt failed: {error}. The next one is due now."),
        None if is_later => format!("It is queued and due at {at}."),
        None => "It is queued and due now.".to_owned(),
    };
    answer(SyncState::Pending, reason)
}

/// The calendar differs, and no row says so: what was over before the calendar was connected is not
/// brought in by itself.
fn not_queued(standing: &Standing<'_>) -> Explanation {
    let reason = if standing.mapping.is_none() && standing.appointment.ends_at <= standing.now {
        "It was over before this calendar was connected; \"Sync now\" for it adds it all the same."
    } else {
        "The calendar differs and nothing is queued; \"Sync now\" carries it."
    };
    answer(SyncState::Waiting, reason)
}

fn answer(state: SyncState, reason: impl Into<Cow<'static, str>>) -> Explanation {
    Explanation {
        state,
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        AppointmentId, AppointmentStatus, Calendar, Client, CoachId, ConnectionId, LastSync,
        ProviderKind, Settings,
    };

    fn now() -> Timestamp {
        "2026-11-01T12:00:00Z".parse().expect("an instant")
    }

    fn appointment() -> Appointment {
        Appointment {
            id: AppointmentId(uuid::Uuid::from_u128(1)),
            coach_id: CoachId(uuid::Uuid::from_u128(2)),
            status: AppointmentStatus::Confirmed,
            starts_at: "2026-11-02T12:00:00Z".parse().expect("an instant"),
            ends_at: "2026-11-02T13:00:00Z".parse().expect("an instant"),
            time_zone: chrono_tz::UTC,
            client: Client {
                name: "N".into(),
                email: "n@example.com".into(),
            },
            notes: None,
            location: None,
            meeting_url: None,
            revision: None,
            erased: false,
        }
    }

    fn connection() -> Connection {
        Connection {
            id: ConnectionId(uuid::Uuid::from_u128(3)),
            coach_id: appointment().coach_id,
            provider: ProviderKind::Google,
            account_id: "a".into(),
            account_email: "coach@example.com".into(),
            calendar: Calendar {
                id: "primary".into(),
                name: "Mine".into(),
                time_zone: None,
                primary: true,
            },
            status: ConnectionStatus::Active,
            status_reason: None,
            settings: Settings::default(),
            settings_version: 0,
            last_sync_at: None,
            last_sync_status: LastSync::Pending,
            last_sync_error: None,
            created_at: now(),
            updated_at: now(),
        }
    }

    fn work(status: JobStatus, error: Option<&'static str>) -> OpenWork<'static> {
        OpenWork {
            status,
            scheduled_for: now() + chrono::TimeDelta::minutes(5),
            flags: Flags::CHANGE,
            error,
        }
    }

    fn explain_it(
        appointment: &Appointment,
        connection: &Connection,
        work: Option<OpenWork<'_>>,
    ) -> Explanation {
        explain(Standing {
            appointment,
            connection,
            mapping: None,
            work,
            now: now(),
        })
    }

    #[test]
    fn a_failed_attempt_names_its_error_and_the_next_try() {
        let job = work(JobStatus::Pending, Some("the provider did not answer"));
        let found = explain_it(&appointment(), &connection(), Some(job));
        assert_eq!(found.state, SyncState::Pending);
        assert_eq!(
            found.reason,
            "The last attempt failed: the provider did not answer. The next one is due at \
             2026-11-01T12:05:00Z."
        );
    }

    #[test]
    fn a_refused_grant_holds_back_what_is_queued() {
        let mut connection = connection();
        connection.status = ConnectionStatus::NeedsReauth;
        let job = work(JobStatus::Pending, None);
        let found = explain_it(&appointment(), &connection, Some(job));
        assert_eq!(found.state, SyncState::Waiting);
    }

    #[test]
    fn nothing_wanted_is_told_even_while_a_row_is_open_or_the_connection_is_down() {
        let mut appointment = appointment();
        appointment.status = AppointmentStatus::Cancelled;
        let mut connection = connection();
        connection.status = ConnectionStatus::Quarantined;
        let job = work(JobStatus::Pending, None);
        let found = explain_it(&appointment, &connection, Some(job));
        assert_eq!(found.state, SyncState::NotWanted);
        assert_eq!(found.reason, "The appointment is cancelled.");
    }

    #[test]
    fn a_switch_that_is_off_is_named() {
        let mut connection = connection();
        connection.settings.auto_create_events = false;
        let found = explain_it(&appointment(), &connection, None);
        assert_eq!(found.state, SyncState::SwitchedOff);
        assert_eq!(found.reason, WhyNot::AutoCreateOff.as_str());
    }

    #[test]
    fn what_was_over_before_the_connection_says_so() {
        let mut appointment = appointment();
        appointment.starts_at = now() - chrono::TimeDelta::hours(3);
        appointment.ends_at = now() - chrono::TimeDelta::hours(2);
        let found = explain_it(&appointment, &connection(), None);
        assert_eq!(found.state, SyncState::Waiting);
        assert!(found.reason.contains("over before"));
    }

    #[test]
    fn given_up_work_says_why() {
        let job = work(JobStatus::Failed, Some("the calendar is read-only."));
        let found = explain_it(&appointment(), &connection(), Some(job));
        assert_eq!(found.state, SyncState::Failed);
        assert_eq!(
            found.reason,
            "It was given up: the calendar is read-only. \"Sync now\" tries again."
        );
    }
}
