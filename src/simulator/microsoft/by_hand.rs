//! What people do to an event in Outlook's own pages.

use chrono::NaiveTime;
use chrono_tz::Tz;
use serde_json::{Value, json};

use crate::simulator::account::EventState;
use crate::simulator::coach::{CoachEdit, EditError, GuestAnswer, days};

use super::{body, fields, zone};

pub(crate) fn apply(event: &mut EventState, zone: Tz, edit: &CoachEdit) -> Result<(), EditError> {
    let kept = &mut event.fields;
    let mut set = |name: &str, value: Value| {
        kept.insert(name.to_owned(), value);
    };
    match edit {
        CoachEdit::SetColour { colour } => set("categories", json!([colour])),
        CoachEdit::SetReminders { minutes } => {
            set("isReminderOn", (!minutes.is_empty()).into());
            if let Some(minutes) = minutes.first() {
                set("reminderMinutesBeforeStart", (*minutes).into());
            }
        }
        CoachEdit::AddAttendee { email } => {
            let mut guests = fields::guests_of(kept).to_vec();
            guests.push(json!({
                "type": "required",
                "status": {"response": "none", "time": "0001-01-01T00:00:00Z"},
                "emailAddress": {"name": email, "address": email},
            }));
            kept.insert("attendees".to_owned(), guests.into());
        }
        CoachEdit::SetTitle { title } => set("subject", title.clone().into()),
        CoachEdit::Move { starts_at, ends_at } => {
            if ends_at < starts_at {
                return Err(EditError::EmptyRange);
            }
            set("start", zone::show(*starts_at, Tz::UTC, "UTC"));
            set("end", zone::show(*ends_at, Tz::UTC, "UTC"));
            set("isAllDay", false.into());
        }
        CoachEdit::AllDay => make_all_day(event, zone),
        CoachEdit::AddOnlineMeeting => add_meeting(event),
        CoachEdit::GuestAnswers { email, answer } => {
            let mut guests = fields::guests_of(kept).to_vec();
            let guest = guests
                .iter_mut()
                .find(|guest| {
                    fields::address(guest).is_some_and(|own| own.eq_ignore_ascii_case(email))
                })
                .ok_or(EditError::NoGuest)?;
            guest["status"]["response"] = match answer {
                GuestAnswer::Accepted => "accepted",
                GuestAnswer::Declined => "declined",
                GuestAnswer::Tentative => "tentativelyAccepted",
            }
            .into();
            kept.insert("attendees".to_owned(), guests.into());
        }
        // What these do is the same at both providers.
        CoachEdit::MoveToCalendar { .. } | CoachEdit::Delete => {}
    }
    Ok(())
}

/// Its days are the coach's, its midnights nobody's: they are kept as those of UTC.
fn make_all_day(event: &mut EventState, zone: Tz) {
    let (first, end) = days(event, zone);
    event.starts_at = first.and_time(NaiveTime::MIN).and_utc();
    event.ends_at = end.and_time(NaiveTime::MIN).and_utc();
    for (name, value) in [
        ("isAllDay", true.into()),
        ("start", zone::show(event.starts_at, Tz::UTC, "UTC")),
        ("end", zone::show(event.ends_at, Tz::UTC, "UTC")),
    ] {
        event.fields.insert(name.to_owned(), value);
    }
}

fn add_meeting(event: &mut EventState) {
    let link = format!(
        "https://teams.microsoft.com/l/meetup-join/19%3ameeting_{}%40thread.v2/0?context=%7b%7d&anon=true",
        event.made
    );
    let page = body::with_join_block(event.fields.get("body"), &link);
    for (name, value) in [
        ("body", page),
        ("isOnlineMeeting", true.into()),
        ("onlineMeetingProvider", "teamsForBusiness".into()),
        ("onlineMeeting", json!({"joinUrl": link})),
    ] {
        event.fields.insert(name.to_owned(), value);
    }
}
