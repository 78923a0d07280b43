//! What every calendar should hold, worked out from the contract alone.
//!
//! Deliberately apart from `plan`, and simpler: it knows the whole story of an appointment at once,
//! and every connection carries everything by itself, with the templates it begins with. Sharing code with the daemon would make the comparison agree with the daemon's mistakes.

use std::collections::BTreeMap;

use super::changes::{Change, Client, Reported, Status};
use crate::domain::{AppointmentId, CoachId, Timestamp};

const TITLE: &str = "ACT Coaching Session";
const DESCRIPTION: &str = "Coaching session scheduled via ACT Coaching For Life";
/// A place is one line of at most so many characters.
const LONGEST_PLACE: usize = 255;

/// What a connection may show of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    Nothing,
    /// Name and notes, but the client is no guest.
    Details,
    /// Name and notes, and the client is a guest.
    DetailsAndGuest,
}

impl Sharing {
    /// What an event may show that was written under it, or under what held before: details are
    /// taken out of every event, but put into none that is over.
    fn left_behind(self) -> &'static [Self] {
        match self {
            Self::Nothing => &[Self::Nothing],
            Self::Details | Self::DetailsAndGuest => {
                &[Self::Nothing, Self::Details, Self::DetailsAndGuest]
            }
        }
    }
}

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

/// Replays the reports on paper, for connections that show so much of clients.
pub(super) fn expectations(
    changes: &[Change],
    sharing: Sharing,
) -> BTreeMap<AppointmentId, Expectation> {
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
        .filter_map(|(id, story)| Some((id, expectation(&story, sharing)?)))
        .collect()
}

/// From the reports of one appointment that counted; `None` if there are none.
fn expectation(story: &[&Reported], sharing: Sharing) -> Option<Expectation> {
    let last = story.last()?;
    let wanted = match last.status {
        Status::Confirmed => Wanted::Event(shown(last, sharing)),
        Status::Pending | Status::Cancelled => Wanted::NoEvent,
        Status::Completed | Status::NoShow => Wanted::AsItWas(
            story
                .iter()
                .filter(|told| told.status == Status::Confirmed && told.coach_id == last.coach_id)
                .flat_map(|told| {
                    let ways = sharing.left_behind().iter();
                    ways.map(|sharing| shown(told, *sharing))
                })
                .collect(),
        ),
    };
    Some(Expectation {
        coach: last.coach_id,
        wanted,
    })
}

fn shown(appointment: &Reported, sharing: Sharing) -> Shown {
    let Reported { client, notes, .. } = appointment;
    let link = appointment.meeting_url.as_deref();
    let place = appointment.location.as_deref().or(link).unwrap_or_default();
    let (title, notes, attendees) = match sharing {
        Sharing::Nothing => (TITLE.to_owned(), None, Vec::new()),
        Sharing::Details => (titled(client), notes.clone(), Vec::new()),
        Sharing::DetailsAndGuest => (titled(client), notes.clone(), vec![client.email.clone()]),
    };
    let paragraphs = [
        Some(DESCRIPTION.to_owned()),
        notes.filter(|notes| !notes.is_empty()),
        link.filter(|link| !link.is_empty())
            .map(|link| format!("Join: {link}")),
    ];
    Shown {
        title,
        description: paragraphs
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("\n\n"),
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
        attendees,
    }
}

fn titled(client: &Client) -> String {
    format!("{TITLE} - {}", client.name)
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
            "client": {"name": "Ada", "email": "ada@example.com"}, "notes": "n",
            "revision": revision,
        });
        Change {
            id: AppointmentId(uuid::Uuid::nil()),
            appointment: serde_json::from_value(body.clone()).expect("an appointment"),
            body,
        }
    }

    fn wanted(changes: &[Change]) -> Wanted {
        let all = expectations(changes, Sharing::Nothing);
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
    fn client_details_show_where_they_are_shared() {
        let event = |sharing| shown(&told("confirmed", 1, 9).appointment, sharing);
        assert_eq!(event(Sharing::Nothing).title, TITLE);
        assert_eq!(event(Sharing::Details).title, format!("{TITLE} - Ada"));
        assert!(
            event(Sharing::Details)
                .description
                .contains("\n\nn\n\nJoin: ")
        );
        assert!(event(Sharing::Details).attendees.is_empty());
        let guests = event(Sharing::DetailsAndGuest).attendees;
        assert_eq!(guests, ["ada@example.com"]);
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
