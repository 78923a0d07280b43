//! The appointments the demo begins with: two weeks of a coach whose clients live in many zones.

use chrono::{Datelike, NaiveTime, TimeDelta, TimeZone};
use chrono_tz::Tz;
use serde_json::{Value, json};

use crate::domain::{AppointmentId, AppointmentStatus, CoachId, Entropy, Timestamp};

/// An appointment as the platform knows it.
#[derive(Clone, Debug)]
pub(super) struct Booking {
    pub(super) id: AppointmentId,
    pub(super) coach: CoachId,
    pub(super) status: AppointmentStatus,
    pub(super) starts_at: Timestamp,
    pub(super) minutes: i64,
    pub(super) revision: i64,
    who: &'static Client,
}

#[derive(Debug)]
struct Client {
    name: &'static str,
    email: &'static str,
    zone: Tz,
    place: Place,
    notes: Option<&'static str>,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Online(&'static str),
    Room(&'static str),
    Unsaid,
}

const fn client(
    name: &'static str,
    email: &'static str,
    zone: Tz,
    place: Place,
    notes: Option<&'static str>,
) -> Client {
    Client {
        name,
        email,
        zone,
        place,
        notes,
    }
}

/// Everybody is made up.
static CLIENTS: [Client; 12] = [
    client(
        "Amara Okafor",
        "amara.okafor@example.com",
        Tz::Europe__London,
        Place::Online("https://meet.example.com/amara"),
        Some("Values card sort; bring last week's sheet."),
    ),
    client(
        "Jonas Lindqvist",
        "jonas@example.org",
        Tz::Europe__Stockholm,
        Place::Room("Studio 2, Lindengatan 14"),
        None,
    ),
    client(
        "Mei-Ling 陳",
        "meiling@example.net",
        Tz::Asia__Taipei,
        Place::Online("https://meet.example.com/meiling"),
        Some("Prefers to start with a short breathing exercise."),
    ),
    client(
        "Sofía Navarro",
        "sofia.navarro@example.com",
        Tz::Europe__Madrid,
        Place::Unsaid,
        None,
    ),
    client(
        "Dave O'Brien",
        "dave@example.org",
        Tz::America__New_York,
        Place::Online("https://meet.example.com/dave?room=7&lobby=1"),
        Some("Job interview on Friday: rehearse <first answer>."),
    ),
    client(
        "Priya Raman",
        "priya.raman@example.com",
        Tz::Asia__Kolkata,
        Place::Online("https://meet.example.com/priya"),
        None,
    ),
    client(
        "Łukasz Wójcik",
        "lukasz@example.net",
        Tz::Europe__Warsaw,
        Place::Room("Café Prosto, upper floor"),
        None,
    ),
    client(
        "Hannah Schmidt",
        "hannah.schmidt@example.com",
        Tz::Europe__Berlin,
        Place::Room("Office, room 3"),
        Some("Follow-up on commitments."),
    ),
    client(
        "Tiago Fernandes",
        "tiago@example.org",
        Tz::America__Sao_Paulo,
        Place::Online("https://meet.example.com/tiago"),
        None,
    ),
    client(
        "نور الهاشمي",
        "noor@example.com",
        Tz::Asia__Dubai,
        Place::Online("https://meet.example.com/noor"),
        None,
    ),
    client(
        "Ruth Cohen",
        "ruth.cohen@example.net",
        Tz::America__Los_Angeles,
        Place::Unsaid,
        Some("First session."),
    ),
    client(
        "Aroha Walker",
        "aroha@example.com",
        Tz::Pacific__Auckland,
        Place::Online("https://meet.example.com/aroha"),
        None,
    ),
];

/// Day of the week after Monday of this week, local hour and minute, length in minutes.
const TIMES: [(i64, u32, u32, i64); 12] = [
    (0, 9, 0, 50),
    (0, 14, 30, 50),
    (1, 16, 0, 60),
    (2, 10, 0, 50),
    (2, 11, 15, 50),
    (3, 18, 0, 50),
    (4, 9, 30, 90),
    (4, 13, 0, 50),
    (7, 12, 0, 50),
    (8, 15, 0, 60),
    (8, 8, 0, 50),
    (9, 10, 0, 50),
];

/// Which of the twelve is not agreed yet.
const NOT_AGREED: usize = 10;

/// The appointments of this week and the next. What is over took place, one was not agreed to yet,
/// all others are confirmed.
pub(super) fn week(coach: CoachId, now: Timestamp, entropy: &dyn Entropy) -> Vec<Booking> {
    let monday = now.date_naive() - TimeDelta::days(now.weekday().num_days_from_monday().into());
    let begun = CLIENTS.iter().zip(TIMES).enumerate();
    begun
        .filter_map(|(position, (who, (day, hour, minute, minutes)))| {
            let local =
                (monday + TimeDelta::days(day)).and_time(NaiveTime::from_hms_opt(hour, minute, 0)?);
            // Daytime hours exist in every zone, and only once.
            let starts_at = who.zone.from_local_datetime(&local).earliest()?.to_utc();
            let is_over = starts_at + TimeDelta::minutes(minutes) < now;
            let status = match (is_over, position) {
                (true, _) => AppointmentStatus::Completed,
                (false, NOT_AGREED) => AppointmentStatus::Pending,
                (false, _) => AppointmentStatus::Confirmed,
            };
            Some(Booking {
                id: AppointmentId::generate(now, entropy),
                coach,
                status,
                starts_at,
                minutes,
                revision: 1,
                who,
            })
        })
        .collect()
}

impl Booking {
    /// Another appointment of the same coach with the same client.
    pub(super) fn again(&self, id: AppointmentId, starts_at: Timestamp) -> Self {
        Self {
            id,
            status: AppointmentStatus::Confirmed,
            starts_at,
            revision: 1,
            ..self.clone()
        }
    }

    /// As reported to the API.
    pub(super) fn body(&self) -> Value {
        let mut body = json!({
            "coach_id": self.coach,
            "status": self.status,
            "starts_at": self.starts_at,
            "ends_at": self.starts_at + TimeDelta::minutes(self.minutes),
            "time_zone": self.who.zone.name(),
            "client": {"name": self.who.name, "email": self.who.email},
            "revision": self.revision,
        });
        match self.who.place {
            Place::Online(link) => body["meeting_url"] = link.into(),
            Place::Room(room) => body["location"] = room.into(),
            Place::Unsaid => {}
        }
        if let Some(notes) = self.who.notes {
            body["notes"] = notes.into();
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SeededEntropy;
    use std::collections::HashSet;

    #[test]
    fn every_day_of_a_year_has_a_whole_week_around_it() {
        let entropy = SeededEntropy::from_seed(1);
        let first: Timestamp = "2026-01-01T12:00:00Z".parse().expect("an instant");
        for day in 0..365 {
            let now = first + TimeDelta::days(day);
            let week = week(CoachId(uuid::Uuid::nil()), now, &entropy);
            assert_eq!(week.len(), 12);
            let count = |status| {
                week.iter()
                    .filter(|booking| booking.status == status)
                    .count()
            };
            assert_eq!(count(AppointmentStatus::Pending), 1);
            assert!(count(AppointmentStatus::Confirmed) >= 3);
            let zones: HashSet<_> = week.iter().map(|booking| booking.who.zone).collect();
            assert!(zones.len() > 8);
        }
    }
}
