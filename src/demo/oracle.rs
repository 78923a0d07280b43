//! What every calendar should hold, worked out from the contract alone.
//!
//! Deliberately apart from `plan`, and simpler: it knows the whole story of an appointment at once,
//! and every connection has its default settings (everything carried by itself, client details
//! off). Sharing code with the daemon would make the comparison agree with the daemon's mistakes.

use std::collections::BTreeMap;

use super::changes::{Change, Reported, Status};
use crate::domain::{AppointmentId, CoachId, Timestamp};

const TITLE: &str = "ACT Coaching Session";
const DESCRIPTION: &str = "Coaching session scheduled via ACT Coaching For Life";
/// A place is one line of at most so many characters.
const LONGEST_PLACE: usize = 255;

/// The event of an appointment, as a person sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) title: String,
    pub(super) description: String,
    /// Empty if there is none.
    pub(super) location: String,
    pub(super) starts_at: Timestamp,
    pub(super) ends_at: Timestamp,
    pub(super) time_zone: String,
    pub(super) attendees: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Event(Shown),
    NoEvent,
    /// The appointment is over: an event that was there stays as it was, and none is made. Which
    /// of these was there, if any, depends on how far the work had come when it was over.
    AsItWas(Vec<Shown>),
}

/// What the calendars of `coach` should hold of an appointment; those of others hold nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expectation {
    pub(super) coach: CoachId,
    pub(super) wanted: Wanted,
}

/// Replays the reports on paper.
pub(super) fn expectations(changes: &[Change]) -> BTreeMap<AppointmentId, Expectation> {
    let mut told = BTreeMap::<AppointmentId, Vec<&Reported>>::new();
    for change in changes {
        let story = told.entry(change.id).or_default();
        let is_stale = match (
            story.last().and_then(|last| last.revision),
            change.appointment.revision,
        ) {
            (Some(stored), Some(reported)) => reported < stored,
            (Some(_) | None, None) | (None, Some(_)) => false,
        };
        if !is_stale {
            story.push(&change.appointment);
        }
    }
    told.into_iter()
        .filter_map(|(id, story)| Some((id, expectation(&story)?)))
        .collect()
}

/// From the reports of one appointment that counted; `None` if there are none.
fn expectation(story: &[&Reported]) -> Option<Expectation> {
    let last = story.last()?;
    let wanted = match last.status {
        Status::Confirmed => Wanted::Event(shown(last)),
        Status::Pending | Status::Cancelled => Wanted::NoEvent,
        Status::Completed | Status::NoShow => Wanted::AsItWas(
            story
                .iter()
                .filter(|told| told.status == Status::Confirmed && told.coach_id == last.coach_id)
                .map(|told| shown(told))
                .collect(),
        ),
    };
    Some(Expectation {
        coach: last.coach_id,
        wanted,
    })
}

fn shown(appointment: &Reported) -> Shown {
    let link = appointment.meeting_url.as_deref();
    let place = appointment.location.as_deref().or(link).unwrap_or_default();
    Shown {
        title: TITLE.to_owned(),
        description: match link {
            Some(link) if !link.is_empty() => format!("{DESCRIPTION}\n\nJoin: {link}"),
            Some(_) | None => DESCRIPTION.to_owned(),
        },
        location: place
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .chars()
            .take(LONGEST_PLACE)
            .collect(),
        starts_at: appointment.starts_at,
        ends_at: appointment.ends_at,
        time_zone: appointment.time_zone.clone(),
        attendees: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(status: &str, revision: i64, hour: u32) -> Change {
        let body = json!({
            "coach_id": "3e2434e3-7af0-47bc-88d6-af57da711448", "status": status,
            "starts_at": format!("2027-01-07T{hour:02}:00:00Z"),
            "ends_at": format!("2027-01-07T{hour:02}:50:00Z"),
            "time_zone": "Europe/Berlin", "meeting_url": "https://meet.example.com/1",
            "revision": revision,
        });
        Change {
            id: AppointmentId(uuid::Uuid::nil()),
            appointment: serde_json::from_value(body.clone()).expect("an appointment"),
            body,
        }
    }

    fn wanted(changes: &[Change]) -> Wanted {
        let all = expectations(changes);
        all.into_values().next().expect("one appointment").wanted
    }

    #[test]
    fn the_last_report_that_is_not_stale_decides() {
        let late = [
            told("confirmed", 1, 9),
            told("cancelled", 3, 9),
            told("confirmed", 2, 10),
        ];
        assert_eq!(wanted(&late), Wanted::NoEvent);
        let Wanted::Event(event) = wanted(&[told("pending", 1, 9), told("confirmed", 2, 10)])
        else {
            panic!("an event is wanted");
        };
        assert_eq!(event.starts_at.to_rfc3339(), "2027-01-07T10:00:00+00:00");
        assert_eq!(event.location, "https://meet.example.com/1");
        assert!(
            event
                .description
                .ends_with("\n\nJoin: https://meet.example.com/1")
        );
    }

    #[test]
    fn what_is_over_shows_one_of_its_confirmed_states_or_nothing() {
        let story = [
            told("confirmed", 1, 9),
            told("confirmed", 2, 10),
            told("completed", 3, 11),
        ];
        let Wanted::AsItWas(states) = wanted(&story) else {
            panic!("left as it was");
        };
        assert_eq!(states.len(), 2);
        assert_eq!(
            wanted(&[told("no_show", 1, 9)]),
            Wanted::AsItWas(Vec::new())
        );
    }
}
