//! What the event of an appointment shows, for one connection's settings.
//!
//! The one place that decides what leaves the house: with client details off, a client's name,
//! address and notes never reach the template, the description or the guest list.

use chrono::SecondsFormat;

use super::template::render;
use crate::domain::{Appointment, EventContent, Settings};

/// Providers hold longer titles, but none shows them; Outlook cuts at 255.
const MAX_TITLE_CHARS: usize = 255;

pub fn compose(appointment: &Appointment, settings: &Settings) -> EventContent {
    let shares_details = settings.include_client_details;
    let values = |key: &str| placeholder(key, appointment, shares_details);

    let (mut title, names_client) =
        render(&settings.event_title_template, &values, &["client_name"]);
    if shares_details && !names_client {
        title = format!("{title} - {}", appointment.client.name);
    }

    let (mut description, _) = render(&settings.event_description_template, &values, &[]);
    let template_names = |name| render(&settings.event_description_template, &values, &[name]).1;
    if shares_details && !template_names("notes") {
        append(&mut description, "", appointment.notes.as_deref());
    }
    if !template_names("meeting_url") {
        append(
            &mut description,
            "Join: ",
            appointment.meeting_url.as_deref(),
        );
    }

    EventContent {
        appointment_id: appointment.id,
        title: one_line(&title),
        description,
        // A calendar shows its place at a glance, so the meeting link stands there when no room does.
        location: appointment
            .location
            .clone()
            .or_else(|| appointment.meeting_url.clone())
            .map(|place| one_line(&place)),
        starts_at: appointment.starts_at,
        ends_at: appointment.ends_at,
        time_zone: appointment.time_zone,
        attendee: (shares_details && settings.add_client_as_attendee)
            .then(|| appointment.client.clone()),
        shares_details,
    }
}

fn placeholder(key: &str, appointment: &Appointment, shares_details: bool) -> String {
    let shared = |text: &str| {
        if shares_details {
            text.to_owned()
        } else {
            String::new()
        }
    };
    let local = |at: crate::domain::Timestamp| {
        at.with_timezone(&appointment.time_zone)
            .to_rfc3339_opts(SecondsFormat::Secs, true)
    };
    match key {
        "client_name" => shared(&appointment.client.name),
        "client_email" => shared(&appointment.client.email),
        "notes" => shared(appointment.notes.as_deref().unwrap_or_default()),
        "starts_at" => local(appointment.starts_at),
        "ends_at" => local(appointment.ends_at),
        "duration_minutes" => (appointment.ends_at - appointment.starts_at)
            .num_minutes()
            .to_string(),
        "time_zone" => appointment.time_zone.name().to_owned(),
        "meeting_url" => appointment.meeting_url.clone().unwrap_or_default(),
        "location" => appointment.location.clone().unwrap_or_default(),
        "appointment_id" => appointment.id.to_string(),
        // Refused when the template was saved.
        _ => String::new(),
    }
}

fn append(description: &mut String, label: &str, text: Option<&str>) {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return;
    };
    if !description.is_empty() {
        description.push_str("\n\n");
    }
    description.push_str(label);
    description.push_str(text);
}

/// Titles and places are single lines in every calendar.
fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_TITLE_CHARS) {
        Some((end, _)) => line[..end].to_owned(),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AppointmentId, AppointmentStatus, Client, CoachId};
    use proptest::prelude::*;

    fn appointment() -> Appointment {
        Appointment {
            id: AppointmentId(uuid::Uuid::nil()),
            coach_id: CoachId(uuid::Uuid::nil()),
            status: AppointmentStatus::Confirmed,
            starts_at: "2026-10-25T00:30:00Z".parse().expect("an instant"),
            ends_at: "2026-10-25T01:20:00Z".parse().expect("an instant"),
            time_zone: chrono_tz::Europe::Berlin,
            client: Client {
                name: "Zoë <b>".into(),
                email: "zoe@example.com".into(),
            },
            notes: Some("bring the sheet".into()),
            location: None,
            meeting_url: Some("https://meet.example.com/1".into()),
            revision: None,
            erased: false,
        }
    }

    fn details_on() -> Settings {
        Settings {
            include_client_details: true,
            ..Settings::default()
        }
    }

    #[test]
    fn with_details_off_the_event_is_generic() {
        let event = compose(&appointment(), &Settings::default());
        assert_eq!(event.title, "ACT Coaching Session");
        assert_eq!(
            event.description,
            "Coaching session scheduled via ACT Coaching For Life\n\nJoin: https://meet.example.com/1"
        );
        assert_eq!(event.attendee, None);
        assert_eq!(
            event.location.as_deref(),
            Some("https://meet.example.com/1")
        );
    }

    #[test]
    fn with_details_on_name_notes_and_guest_are_added() {
        let event = compose(&appointment(), &details_on());
        assert_eq!(event.title, "ACT Coaching Session - Zoë <b>");
        assert!(event.description.contains("bring the sheet"));
        assert_eq!(event.attendee, Some(appointment().client));
    }

    #[test]
    fn a_title_that_names_the_client_is_not_given_the_name_twice() {
        let settings = Settings {
            event_title_template: "{client_name}, {duration_minutes} min".into(),
            add_client_as_attendee: false,
            ..details_on()
        };
        let event = compose(&appointment(), &settings);
        assert_eq!(event.title, "Zoë <b>, 50 min");
        assert_eq!(event.attendee, None);
    }

    #[test]
    fn a_time_in_the_repeated_hour_keeps_its_offset_in_the_text() {
        let settings = Settings {
            event_title_template: "{starts_at} to {ends_at}".into(),
            ..Settings::default()
        };
        let event = compose(&appointment(), &settings);
        assert_eq!(
            event.title,
            "2026-10-25T02:30:00+02:00 to 2026-10-25T02:20:00+01:00"
        );
    }

    proptest! {
        #[test]
        fn with_details_off_no_template_lets_client_data_through(
            name in "[A-Z]{12}", notes in "[A-Z]{12}",
            keys in prop::collection::vec(prop::sample::select(&super::super::PLACEHOLDERS[..]), 0..6),
        ) {
            let template: String = keys.iter().map(|key| format!("{{{key}}} ")).collect();
            let mut appointment = appointment();
            appointment.client.name.clone_from(&name);
            appointment.client.email = format!("{name}@example.com");
            appointment.notes = Some(notes.clone());
            let event = compose(&appointment, &Settings {
                event_title_template: template.clone(),
                event_description_template: template,
                ..Settings::default()
            });
            let all = format!("{}{}{:?}", event.title, event.description, event.location);
            prop_assert!(!all.contains(&name) && !all.contains(&notes));
            prop_assert_eq!(event.attendee, None);
        }
    }
}
