//! What an event shows, independent of any provider, and how two versions are told apart.

use std::fmt;

use chrono_tz::Tz;
use sha2::{Digest, Sha256};

use super::{AppointmentId, Client, Timestamp};

/// The fields of an event that are ours. Everything else in the event is the coach's.
///
/// All texts are plain text: a provider whose field holds markup must escape them. `Debug` shows
/// nothing of them, for they may name a client.
#[derive(Clone, PartialEq, Eq)]
pub struct EventContent {
    pub appointment_id: AppointmentId,
    pub title: String,
    pub description: String,
    pub location: Option<String>,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    pub time_zone: Tz,
    /// The guest of the event: the client, only while the coach shares client details.
    pub attendee: Option<Client>,
    /// Whether any of the texts may hold client details.
    pub shares_details: bool,
}

impl fmt::Debug for EventContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventContent")
            .field("appointment_id", &self.appointment_id)
            .field("starts_at", &self.starts_at)
            .field("ends_at", &self.ends_at)
            .field("shares_details", &self.shares_details)
            .finish_non_exhaustive()
    }
}

/// A short stand-in for a part of the content: equal parts have equal fingerprints.
///
/// While a write is under way, and after one whose answer was lost, it stands for several: what was
/// shown before, and what may be shown since. Such a one equals none of them, so the part is written
/// again.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub String);

/// Between the alternatives; hexadecimal does not hold it.
const OR: char = '|';

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get(..8).unwrap_or(&self.0))
    }
}

impl Fingerprint {
    fn of(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            // Length first: ("ab", "c") and ("a", "bc") must differ.
            hash.update(part.len().to_le_bytes());
            hash.update(part.as_bytes());
        }
        Self(data_encoding::HEXLOWER.encode(&hash.finalize()[..16]))
    }

    /// In doubt: what was shown before, or this; `None` where nothing was, or may be.
    fn either(before: Option<&Self>, new: Option<&Self>) -> Option<Self> {
        if before == new {
            return before.cloned();
        }
        let mut alternatives: Vec<&str> = [before, new]
            .into_iter()
            .flat_map(|print| print.map_or("", |print| &print.0).split(OR))
            .collect();
        alternatives.sort_unstable();
        alternatives.dedup();
        Some(Self(alternatives.join(&OR.to_string())))
    }

    /// Whether it stands for several.
    pub fn is_in_doubt(&self) -> bool {
        self.0.contains(OR)
    }

    /// Whether this is `other`, or in doubt between it and others.
    pub fn may_be(&self, other: &Self) -> bool {
        self.0.split(OR).any(|alternative| alternative == other.0)
    }

    /// The fingerprint of one guest, by address. A provider's guest list is searched with it for
    /// the guest *we* added, without our keeping the address of a client who is no longer shared.
    pub fn of_guest(email: &str) -> Self {
        Self::of(&["guest", &email.to_lowercase()])
    }
}

/// What was last pushed, in the three parts that can be pushed apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprints {
    /// Times, zone, place.
    pub schedule: Fingerprint,
    /// Title and description.
    pub text: Fingerprint,
    /// The guest, if there is one.
    pub guest: Option<Fingerprint>,
}

impl Fingerprints {
    /// What the event may show while `parts` go from `before` to `new`; `None` is an event that is
    /// not there.
    pub fn in_doubt(before: Option<&Self>, new: Option<&Self>, parts: Parts) -> Option<Self> {
        let either = |written: bool, part: fn(&Self) -> Option<&Fingerprint>| {
            let (before, new) = (before.and_then(part), new.and_then(part));
            if written {
                Fingerprint::either(before, new)
            } else {
                before.cloned()
            }
        };
        Some(Self {
            schedule: either(parts.schedule, |prints| Some(&prints.schedule))?,
            text: either(parts.text, |prints| Some(&prints.text))?,
            guest: either(parts.guest, |prints| prints.guest.as_ref()),
        })
    }
}

/// Which parts of our fields an update carries; a part that did not change is not sent, so that
/// what the coach or the guest did to it survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Times, zone, place.
    pub schedule: bool,
    /// Title and description.
    pub text: bool,
    /// The guest.
    pub guest: bool,
}

impl Parts {
    pub const ALL: Self = Self {
        schedule: true,
        text: true,
        guest: true,
    };

    pub const NONE: Self = Self {
        schedule: false,
        text: false,
        guest: false,
    };

    pub fn any(self) -> bool {
        self.schedule || self.text || self.guest
    }
}

impl EventContent {
    pub fn fingerprints(&self) -> Fingerprints {
        Fingerprints {
            schedule: Fingerprint::of(&[
                "schedule",
                &self.starts_at.timestamp_micros().to_string(),
                &self.ends_at.timestamp_micros().to_string(),
                self.time_zone.name(),
                self.location.as_deref().unwrap_or_default(),
            ]),
            text: Fingerprint::of(&["text", &self.title, &self.description]),
            guest: self
                .attendee
                .as_ref()
                .map(|attendee| Fingerprint::of_guest(&attendee.email)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use uuid::Uuid;

    fn prints(schedule: &str, guest: Option<&str>) -> Fingerprints {
        Fingerprints {
            schedule: Fingerprint(schedule.into()),
            text: Fingerprint("text".into()),
            guest: guest.map(Fingerprint::of_guest),
        }
    }

    fn content() -> EventContent {
        EventContent {
            appointment_id: AppointmentId(Uuid::nil()),
            title: "Session".into(),
            description: "Bring the sheet".into(),
            location: Some("Room 1".into()),
            starts_at: "2026-10-25T00:30:00Z".parse().expect("an instant"),
            ends_at: "2026-10-25T01:20:00Z".parse().expect("an instant"),
            time_zone: chrono_tz::Europe::Berlin,
            attendee: Some(client("anna@example.com")),
            shares_details: true,
        }
    }

    fn client(email: &str) -> Client {
        Client {
            name: "Anna".into(),
            email: email.into(),
        }
    }

    fn assert_changes(expected: Parts, changes: &[fn(&mut EventContent)]) {
        let before = content().fingerprints();
        for (place, change) in changes.iter().enumerate() {
            let mut content = content();
            change(&mut content);
            let after = content.fingerprints();
            let changed = Parts {
                schedule: before.schedule != after.schedule,
                text: before.text != after.text,
                guest: before.guest != after.guest,
            };
            assert_eq!(changed, expected, "change {place}");
        }
    }

    #[test]
    fn every_field_that_changes_changes_its_part_and_no_other() {
        let part = |schedule, text, guest| Parts {
            schedule,
            text,
            guest,
        };
        let schedule: [fn(&mut EventContent); 4] = [
            |event| event.starts_at += TimeDelta::minutes(1),
            |event| event.ends_at += TimeDelta::minutes(1),
            |event| event.time_zone = chrono_tz::UTC,
            |event| event.location = None,
        ];
        let text: [fn(&mut EventContent); 2] = [
            |event| event.title.push('!'),
            |event| event.description.clear(),
        ];
        let guest: [fn(&mut EventContent); 2] = [
            |event| event.attendee = None,
            |event| event.attendee = Some(client("ben@example.com")),
        ];
        assert_changes(Parts::NONE, &[|_| {}]);
        assert_changes(part(true, false, false), &schedule);
        assert_changes(part(false, true, false), &text);
        assert_changes(part(false, false, true), &guest);
    }

    #[test]
    fn a_part_in_doubt_equals_neither_what_was_nor_what_may_be() {
        let (old, new) = (prints("1", None), prints("2", Some("a@example.com")));
        let doubt = Fingerprints::in_doubt(Some(&old), Some(&new), Parts::ALL).expect("prints");
        assert!(doubt.schedule != old.schedule && doubt.schedule != new.schedule);
        assert!(doubt.schedule.may_be(&old.schedule) && doubt.schedule.may_be(&new.schedule));
        assert!(doubt.guest != old.guest && doubt.guest != new.guest);
        assert_eq!(doubt.text, old.text);
        assert!(doubt.schedule.is_in_doubt() && !doubt.text.is_in_doubt());
    }

    #[test]
    fn every_guest_that_may_have_been_pushed_is_remembered() {
        let guests = ["a@example.com", "b@example.com", "c@example.com"];
        let doubt = guests.iter().fold(None, |before, guest| {
            let new = prints("1", Some(guest));
            Fingerprints::in_doubt(before.as_ref(), Some(&new), Parts::ALL)
        });
        let guest = doubt.and_then(|doubt| doubt.guest).expect("a guest");
        for known in guests {
            assert!(guest.may_be(&Fingerprint::of_guest(known)));
        }
        assert!(!guest.may_be(&Fingerprint::of_guest("friend@example.com")));
    }

    #[test]
    fn a_part_that_is_not_written_stays_as_it_was() {
        let (old, new) = (prints("1", None), prints("2", None));
        let doubt = Fingerprints::in_doubt(Some(&old), Some(&new), Parts::NONE);
        assert_eq!(doubt, Some(old));
    }
}
