//! Calendars as they are against calendars as they should be, field by field.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::oracle::{Expectation, Shown, Wanted};
use crate::domain::{AppointmentId, CoachId, ProviderKind};
use crate::simulator::LiveEvent;

/// Longer values are cut in the report.
const LONGEST_VALUE: usize = 60;

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    provider: ProviderKind,
    account: String,
    appointment: String,
    field: &'static str,
    wanted: String,
    found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            provider,
            account,
            appointment,
            field,
            wanted,
            found,
        } = self;
        write!(
            f,
            "{provider} {account}, appointment {appointment}: {field} should be {wanted}, is {found}"
        )
    }
}

/// One calendar account and everything live in it.
#[derive(Debug)]
pub struct Holding {
    pub provider: ProviderKind,
    pub account: String,
    pub coach: CoachId,
    /// Where the connection writes.
    pub calendar_id: String,
    pub events: Vec<LiveEvent>,
}

/// Compares one account with what its coach's appointments demand.
pub(super) fn compare(
    holding: &Holding,
    expectations: &BTreeMap<AppointmentId, Expectation>,
) -> Vec<Difference> {
    let mut found = HashMap::<&str, Vec<&LiveEvent>>::new();
    let mut differences = Vec::new();
    for event in &holding.events {
        match event.appointment_id.as_deref() {
            Some(appointment) => found.entry(appointment).or_default().push(event),
            None => differences.push(holding.difference(
                "none",
                "event",
                "absent",
                "an event without our mark",
            )),
        }
    }
    let ours = expectations
        .iter()
        .filter(|(_, expectation)| expectation.coach == holding.coach);
    for (id, expectation) in ours {
        let id = id.to_string();
        let events = found.remove(id.as_str()).unwrap_or_default();
        differences.extend(appointment(holding, &id, &expectation.wanted, &events));
    }
    let strangers = found.into_keys();
    differences.extend(strangers.map(|id| {
        holding.difference(
            id,
            "event",
            "absent",
            "there, though the appointment is not this coach's",
        )
    }));
    differences
}

fn appointment(
    holding: &Holding,
    id: &str,
    wanted: &Wanted,
    events: &[&LiveEvent],
) -> Vec<Difference> {
    let one = |wanted, found: &str| vec![holding.difference(id, "event", wanted, found)];
    match (wanted, events) {
        (Wanted::Event(_) | Wanted::NoEvent | Wanted::AsItWas(_), [_, _, ..]) => {
            one("one at most", &format!("there {} times", events.len()))
        }
        (Wanted::Event(_), []) => one("there", "absent"),
        (Wanted::NoEvent, [_]) => one("absent", "there"),
        (Wanted::NoEvent | Wanted::AsItWas(_), []) => Vec::new(),
        (Wanted::Event(shown), [event]) => fields(holding, id, shown, event),
        // As any of its states will do, the one it is nearest to is reported; and it stays in the
        // calendar it was in when the connection goes on with another.
        (Wanted::AsItWas(states), [event]) => states
            .iter()
            .map(|shown| {
                let mut differences = fields(holding, id, shown, event);
                differences.retain(|difference| difference.field != "calendar");
                differences
            })
            .min_by_key(Vec::len)
            .unwrap_or_else(|| one("absent, for it was never confirmed", "there")),
    }
}

fn fields(holding: &Holding, id: &str, wanted: &Shown, event: &LiveEvent) -> Vec<Difference> {
    let mut checks = vec![
        (
            "calendar",
            holding.calendar_id.clone(),
            event.calendar_id.clone(),
        ),
        ("title", wanted.title.clone(), event.title.clone()),
        (
            "description",
            wanted.description.clone(),
            event.description_text.clone(),
        ),
        ("location", wanted.location.clone(), event.location.clone()),
        (
            "start",
            wanted.starts_at.to_rfc3339(),
            event.starts_at.to_rfc3339(),
        ),
        (
            "end",
            wanted.ends_at.to_rfc3339(),
            event.ends_at.to_rfc3339(),
        ),
        (
            "attendees",
            wanted.attendees.join(", "),
            event.attendees.join(", "),
        ),
    ];
    match holding.provider {
        ProviderKind::Google => {
            let zone = event.time_zone.clone().unwrap_or_default();
            checks.push(("time zone", wanted.time_zone.clone(), zone));
        }
        // Written in UTC: a local time there cannot name the hour that autumn repeats.
        ProviderKind::Outlook => {}
    }
    checks
        .into_iter()
        .filter(|(_, wanted, found)| wanted != found)
        .map(|(field, wanted, found)| {
            holding.difference(id, field, &quoted(&wanted), &quoted(&found))
        })
        .collect()
}

impl Holding {
    fn difference(&self, id: &str, field: &'static str, wanted: &str, found: &str) -> Difference {
        Difference {
            provider: self.provider,
            account: self.account.clone(),
            appointment: id.to_owned(),
            field,
            wanted: wanted.to_owned(),
            found: found.to_owned(),
        }
    }
}

fn quoted(value: &str) -> String {
    match value.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{:?}…", &value[..end]),
        None => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn coach() -> CoachId {
        CoachId(uuid::Uuid::from_u128(1))
    }

    fn shown(title: &str) -> Shown {
        Shown {
            title: title.to_owned(),
            description: "d".to_owned(),
            location: String::new(),
            starts_at: "2027-01-07T09:00:00Z".parse().expect("an instant"),
            ends_at: "2027-01-07T10:00:00Z".parse().expect("an instant"),
            time_zone: "Europe/Berlin".to_owned(),
            attendees: Vec::new(),
        }
    }

    fn event(appointment: u128, title: &str) -> LiveEvent {
        serde_json::from_value(json!({
            "provider": "google", "account": "a@example.com", "calendar_id": "c", "event_id": "e",
            "title": title, "description": "d", "description_text": "d", "location": "",
            "starts_at": "2027-01-07T09:00:00Z", "ends_at": "2027-01-07T10:00:00Z",
            "time_zone": "Europe/Berlin", "attendees": [], "event_key": null,
            "appointment_id": uuid::Uuid::from_u128(appointment).to_string(),
            "has_online_meeting": false, "fields": {},
        }))
        .expect("an event")
    }

    fn differences(wanted: Wanted, events: Vec<LiveEvent>) -> Vec<String> {
        let holding = Holding {
            provider: ProviderKind::Google,
            account: "a@example.com".to_owned(),
            coach: coach(),
            calendar_id: "c".to_owned(),
            events,
        };
        let expectation = Expectation {
            coach: coach(),
            wanted,
        };
        let id = AppointmentId(uuid::Uuid::from_u128(7));
        compare(&holding, &BTreeMap::from([(id, expectation)]))
            .iter()
            .map(|difference| format!("{}: {}", difference.field, difference.found))
            .collect()
    }

    #[test]
    fn what_is_as_it_should_be_makes_no_difference() {
        let none: [&str; 0] = [];
        assert_eq!(
            differences(Wanted::Event(shown("t")), vec![event(7, "t")]),
            none
        );
        assert_eq!(differences(Wanted::NoEvent, vec![]), none);
        let states = vec![shown("s"), shown("t")];
        assert_eq!(
            differences(Wanted::AsItWas(states.clone()), vec![event(7, "t")]),
            none
        );
        assert_eq!(differences(Wanted::AsItWas(states), vec![]), none);
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        assert_eq!(
            differences(Wanted::Event(shown("t")), vec![event(7, "x")]),
            ["title: \"x\""]
        );
        assert_eq!(
            differences(Wanted::Event(shown("t")), vec![]),
            ["event: absent"]
        );
        assert_eq!(
            differences(Wanted::NoEvent, vec![event(7, "t")]),
            ["event: there"]
        );
        let twice = vec![event(7, "t"), event(7, "t")];
        assert_eq!(
            differences(Wanted::Event(shown("t")), twice),
            ["event: there 2 times"]
        );
        let strange = vec![event(8, "t")];
        assert_eq!(differences(Wanted::NoEvent, strange).len(), 1);
        assert_eq!(
            differences(Wanted::AsItWas(vec![]), vec![event(7, "t")]),
            ["event: there"]
        );
    }
}
