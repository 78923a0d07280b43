//! What settings that are not saved yet would lead to, from the same plan that the work follows.

use chrono::{DurationRound, TimeDelta};
use chrono_tz::Tz;

use super::{Plan, Situation, WhyNot, compose, plan};
use crate::domain::{
    Appointment, AppointmentId, AppointmentStatus, Client, CoachId, Connection, EventContent,
    Flags, Mapping, Settings, Timestamp,
};

/// The event of one appointment, in both privacy modes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    pub details_off: EventContent,
    pub details_on: EventContent,
}

pub fn preview(appointment: &Appointment, settings: &Settings) -> Preview {
    let with = |include_client_details| {
        let settings = Settings {
            include_client_details,
            ..settings.clone()
        };
        compose(appointment, &settings)
    };
    Preview {
        details_off: with(false),
        details_on: with(true),
    }
}

/// Why an event would not be written as it is shown; `None` if it would be, or is.
pub fn why_not_written(situation: Situation<'_>) -> Option<WhyNot> {
    match plan(situation) {
        Plan::Nothing(WhyNot::InStep) => None,
        Plan::Nothing(why) => Some(why),
        Plan::Create(_)
        | Plan::FinishCreate(_)
        | Plan::Update(..)
        | Plan::Verify(_)
        | Plan::Delete
        | Plan::MoveAway => None,
    }
}

/// Whether going from one to the other changes an event that is in the calendar: rewrites, moves or
/// removes it. What is under way anyway does not count.
pub fn is_changed(
    appointment: &Appointment,
    mapping: &Mapping,
    before: &Connection,
    after: &Connection,
    now: Timestamp,
) -> bool {
    let planned = |connection, flags| {
        plan(Situation {
            appointment,
            mapping: Some(mapping),
            connection,
            flags,
            now,
        })
    };
    let is_switched_on = after.settings.is_sync_enabled && !before.settings.is_sync_enabled;
    let flags = if is_switched_on {
        Flags::CATCH_UP
    } else {
        Flags::CHANGE
    };
    let after = planned(after, flags);
    match &after {
        Plan::Update(..) | Plan::Delete | Plan::MoveAway => after != planned(before, Flags::CHANGE),
        Plan::Nothing(_) | Plan::Create(_) | Plan::FinishCreate(_) | Plan::Verify(_) => false,
    }
}

/// A made-up appointment of tomorrow, for a coach who has none.
pub fn example(coach_id: CoachId, time_zone: Tz, now: Timestamp) -> Appointment {
    let tomorrow = now + TimeDelta::days(1);
    let starts_at = tomorrow
        .duration_trunc(TimeDelta::hours(1))
        .unwrap_or(tomorrow);
    Appointment {
        id: AppointmentId(uuid::Uuid::nil()),
        coach_id,
        status: AppointmentStatus::Confirmed,
        starts_at,
        ends_at: starts_at + TimeDelta::minutes(50),
        time_zone,
        client: Client {
            name: "John Doe".into(),
            email: "john.doe@example.com".into(),
        },
        notes: Some("Bring the values sheet.".into()),
        location: None,
        meeting_url: Some("https://meet.example.com/john".into()),
        revision: None,
        erased: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        Calendar, ConnectionId, ConnectionStatus, EventId, LastSync, MappingState, ProviderKind,
    };

    fn now() -> Timestamp {
        "2026-11-01T12:34:56Z".parse().expect("an instant")
    }

    fn appointment() -> Appointment {
        example(CoachId(uuid::Uuid::from_u128(1)), Tz::Europe__Berlin, now())
    }

    fn connection(settings: Settings) -> Connection {
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
            settings,
            settings_version: 0,
            last_sync_at: None,
            last_sync_status: LastSync::Success,
            last_sync_error: None,
            created_at: now(),
            updated_at: now(),
        }
    }

    /// As it is when the event shows what these settings ask for.
    fn pushed_under(settings: &Settings) -> Mapping {
        let content = compose(&appointment(), settings);
        Mapping {
            connection_id: connection(settings.clone()).id,
            appointment_id: content.appointment_id,
            state: MappingState::Live,
            generation: 1,
            calendar_id: "primary".into(),
            event_id: Some(EventId("e".into())),
            etag: None,
            pushed: Some(content.fingerprints()),
            shares_details: content.shares_details,
            ends_at: content.ends_at,
            last_synced_at: None,
        }
    }

    fn details(include_client_details: bool) -> Settings {
        Settings {
            include_client_details,
            ..Settings::default()
        }
    }

    fn changes(before: &Settings, after: Settings) -> bool {
        is_changed(
            &appointment(),
            &pushed_under(before),
            &connection(before.clone()),
            &connection(after),
            now(),
        )
    }

    #[test]
    fn both_modes_are_shown_whatever_is_switched_on() {
        for include in [false, true] {
            let shown = preview(&appointment(), &details(include));
            assert_eq!(shown.details_off.title, "ACT Coaching Session");
            assert_eq!(shown.details_off.attendee, None);
            assert_eq!(shown.details_on.title, "ACT Coaching Session - John Doe");
            assert_eq!(shown.details_on.attendee, Some(appointment().client));
        }
    }

    #[test]
    fn settings_that_show_the_same_change_no_event() {
        let off = details(false);
        assert!(!changes(&off, off.clone()));
        let other_switch = Settings {
            add_client_as_attendee: false,
            auto_create_events: false,
            ..off.clone()
        };
        assert!(!changes(&off, other_switch));
    }

    #[test]
    fn another_title_changes_an_event_unless_changes_are_not_carried() {
        let off = details(false);
        let renamed = Settings {
            event_title_template: "Session".into(),
            ..off.clone()
        };
        assert!(changes(&off, renamed.clone()));
        let by_hand_only = Settings {
            auto_update_events: false,
            ..renamed
        };
        assert!(!changes(&off, by_hand_only));
    }

    #[test]
    fn switching_details_off_changes_what_shows_them_even_with_sync_off() {
        let without = Settings {
            is_sync_enabled: false,
            ..details(false)
        };
        assert!(changes(&details(true), without));
    }

    #[test]
    fn another_calendar_moves_what_has_not_ended() {
        let before = connection(details(false));
        let mut after = before.clone();
        after.calendar.id = "other".into();
        let (appointment, mapping) = (appointment(), pushed_under(&details(false)));
        let moved = |now| is_changed(&appointment, &mapping, &before, &after, now);
        assert!(moved(now()));
        assert!(!moved(now() + TimeDelta::days(3)));
    }

    #[test]
    fn an_appointment_that_is_called_off_says_why_nothing_is_written() {
        let connection = connection(details(false));
        let mut appointment = appointment();
        let why = |appointment: &Appointment| {
            why_not_written(Situation {
                appointment,
                mapping: None,
                connection: &connection,
                flags: Flags::CHANGE,
                now: now(),
            })
        };
        assert_eq!(why(&appointment), None);
        appointment.status = AppointmentStatus::Cancelled;
        assert_eq!(why(&appointment), Some(WhyNot::Cancelled));
    }
}
