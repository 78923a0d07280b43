//! What people do to an event in Google Calendar's own pages.

use chrono::{NaiveTime, SecondsFormat};
use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use crate::domain::Timestamp;
use crate::simulator::account::EventState;
use crate::simulator::coach::{CoachEdit, EditError, GuestAnswer, days};
use crate::simulator::message::local_to_utc;

use super::conference;

pub(crate) fn apply(event: &mut EventState, zone: Tz, edit: &CoachEdit) -> Result<(), EditError> {
    let fields = &mut event.fields;
    match edit {
        CoachEdit::SetColour { colour } => {
            fields.insert("colorId".to_owned(), colour.clone().into());
        }
        CoachEdit::SetReminders { minutes } => {
            let overrides: Vec<Value> = minutes
                .iter()
                .map(|minutes| json!({"method": "popup", "minutes": minutes}))
                .collect();
            let reminders = json!({"useDefault": false, "overrides": overrides});
            fields.insert("reminders".to_owned(), reminders);
        }
        CoachEdit::AddAttendee { email } => {
            attendees(fields).push(json!({"email": email, "responseStatus": "needsAction"}));
        }
        CoachEdit::SetTitle { title } => {
            fields.insert("summary".to_owned(), title.clone().into());
        }
        CoachEdit::Move { starts_at, ends_at } => {
            if ends_at <= starts_at {
                return Err(EditError::EmptyRange);
            }
            set_time(fields, "start", *starts_at);
            set_time(fields, "end", *ends_at);
        }
        CoachEdit::AllDay => make_all_day(event, zone),
        CoachEdit::AddOnlineMeeting => conference::add(fields, &format!("by-hand-{}", event.id)),
        CoachEdit::GuestAnswers { email, answer } => {
            let guest = attendees(fields)
                .iter_mut()
                .find(|guest| {
                    guest["email"]
                        .as_str()
                        .is_some_and(|address| address.eq_ignore_ascii_case(email))
                })
                .ok_or(EditError::NoGuest)?;
            guest["responseStatus"] = match answer {
                GuestAnswer::Accepted => "accepted",
                GuestAnswer::Declined => "declined",
                GuestAnswer::Tentative => "tentative",
            }
            .into();
        }
        // What these do is the same at both providers.
        CoachEdit::MoveToCalendar { .. } | CoachEdit::Delete => {}
    }
    Ok(())
}

fn make_all_day(event: &mut EventState, zone: Tz) {
    let (first, end) = days(event, zone);
    for (name, day, at) in [
        ("start", first, &mut event.starts_at),
        ("end", end, &mut event.ends_at),
    ] {
        let time = json!({"date": day.to_string()});
        event.fields.insert(name.to_owned(), time);
        *at = local_to_utc(day.and_time(NaiveTime::MIN), zone).unwrap_or(*at);
    }
}

fn attendees(fields: &mut Map<String, Value>) -> &mut Vec<Value> {
    let list = fields
        .entry("attendees")
        .and_modify(|list| {
            if !list.is_array() {
                *list = json!([]);
            }
        })
        .or_insert_with(|| json!([]));
    match list {
        Value::Array(list) => list,
        _ => unreachable!("it was just made an array"),
    }
}

fn set_time(fields: &mut Map<String, Value>, name: &str, at: Timestamp) {
    let zone = fields
        .get(name)
        .and_then(|time| time.get("timeZone"))
        .cloned();
    let mut time = json!({"dateTime": at.to_rfc3339_opts(SecondsFormat::Secs, true)});
    if let Some(zone) = zone {
        time["timeZone"] = zone;
    }
    fields.insert(name.to_owned(), time);
}
