//! An event as Google shows it, and the times in it.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat};
use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use crate::domain::Timestamp;
use crate::simulator::account::{Account, CalendarState, EventState, Marks};
use crate::simulator::message::local_to_utc;

use super::error::Problem;

/// The `ETag` of an event, quotes included, as it stands in body and header.
pub(super) fn etag(event: &EventState) -> String {
    format!("\"{:016}\"", 3_400_000_000_000_000_u64 + event.version * 2)
}

/// The event as a resource.
pub(super) fn render(account: &Account, calendar: &CalendarState, event: &EventState) -> Value {
    let mut shown = event.fields.clone();
    let person = json!({"email": account.email, "self": true});
    let fixed = json!({
        "kind": "calendar#event",
        "etag": etag(event),
        "id": event.id,
        "htmlLink": format!("https://www.google.com/calendar/event?eid={}", event.id),
        "created": stamp(event.created),
        "updated": stamp(event.updated),
        "creator": person,
        "organizer": if calendar.primary {
            person.clone()
        } else {
            json!({"email": calendar.id, "displayName": calendar.name, "self": true})
        },
        "start": shown_time(&event.fields, "start", event.starts_at, calendar.time_zone),
        "end": shown_time(&event.fields, "end", event.ends_at, calendar.time_zone),
        "eventType": "default",
    });
    if let Value::Object(fixed) = fixed {
        shown.extend(fixed);
    }
    shown
        .entry("iCalUID")
        .or_insert_with(|| format!("{}@google.com", event.id).into());
    shown.entry("sequence").or_insert_with(|| 0.into());
    shown
        .entry("reminders")
        .or_insert_with(|| json!({"useDefault": true}));
    let status = if event.is_live() {
        event.text("status").unwrap_or("confirmed")
    } else {
        "cancelled"
    };
    shown.insert("status".to_owned(), status.into());
    Value::Object(shown)
}

fn stamp(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn shown_time(fields: &Map<String, Value>, name: &str, at: Timestamp, zone: Tz) -> Value {
    let sent = fields.get(name);
    if let Some(date) = sent.and_then(|time| time.get("date")) {
        return json!({"date": date});
    }
    let named = sent.and_then(|time| time.get("timeZone")).cloned();
    json!({
        "dateTime": at.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Secs, true),
        "timeZone": named.unwrap_or_else(|| zone.name().into()),
    })
}

/// A start or end as sent, resolved to an instant.
pub(super) fn read_time(
    fields: &Map<String, Value>,
    name: &str,
    calendar_zone: Tz,
) -> Result<Timestamp, Problem> {
    let missing = || Problem::new(400, "required", format!("Missing {name} time."));
    let time = fields
        .get(name)
        .and_then(Value::as_object)
        .ok_or_else(missing)?;
    let zone = match time.get("timeZone").and_then(Value::as_str) {
        Some(text) => Some(text.parse::<Tz>().map_err(|_| {
            Problem::invalid(format!("Invalid time zone definition for {name} time."))
        })?),
        None => None,
    };
    let text = |key| time.get(key).and_then(Value::as_str);
    match (text("dateTime"), text("date")) {
        (Some(text), None) => read_date_time(text, zone).map_err(|reason| {
            Problem::new(400, reason, format!("Invalid or incomplete {name} time."))
        }),
        (None, Some(date)) => date
            .parse::<NaiveDate>()
            .ok()
            .and_then(|date| local_to_utc(date.and_time(NaiveTime::MIN), calendar_zone))
            .ok_or_else(|| Problem::invalid(format!("Invalid {name} date."))),
        (Some(_), Some(_)) => Err(Problem::invalid(format!(
            "The {name} time has both date and dateTime."
        ))),
        (None, None) => Err(missing()),
    }
}

/// RFC 3339; the offset may be left out only where a zone is given. The error is a reason.
fn read_date_time(text: &str, zone: Option<Tz>) -> Result<Timestamp, &'static str> {
    if let Ok(at) = chrono::DateTime::parse_from_rfc3339(text) {
        return Ok(at.to_utc());
    }
    let local: NaiveDateTime = text.parse().map_err(|_| "invalid")?;
    zone.and_then(|zone| local_to_utc(local, zone))
        .ok_or("required")
}

/// Our marks among the private extended properties.
pub(super) fn marks(fields: &Map<String, Value>) -> Marks {
    let private = fields
        .get("extendedProperties")
        .and_then(|properties| properties.get("private"));
    let text = |name| Some(private?.get(name)?.as_str()?.to_owned());
    Marks {
        appointment_id: text("appointment_id"),
        event_key: text("event_key"),
    }
}

/// Addresses of the guests, which do not include the account itself.
pub(super) fn guests(fields: &Map<String, Value>) -> Vec<String> {
    fields
        .get("attendees")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|guest| guest.get("self") != Some(&Value::Bool(true)))
        .filter_map(|guest| Some(guest.get("email")?.as_str()?.to_owned()))
        .collect()
}
