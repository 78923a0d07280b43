//! What an event may hold: the schema, and the rules beyond it.

use chrono_tz::Tz;
use serde_json::{Map, Value};

use crate::domain::{Timestamp, is_email};
use crate::simulator::shape::{Fields, Shape, check};

use super::error::Problem;
use super::event::read_time;

const TIME: Shape = Shape::Object(&[
    ("date", Shape::Text),
    ("dateTime", Shape::Text),
    ("timeZone", Shape::Text),
]);
const PERSON: Shape = Shape::Object(&[
    ("id", Shape::Text),
    ("email", Shape::Text),
    ("displayName", Shape::Text),
    ("self", Shape::Flag),
]);
const ATTENDEE: Shape = Shape::Object(&[
    ("additionalGuests", Shape::Integer),
    ("asyncOperation", Shape::Any),
    ("comment", Shape::Text),
    ("displayName", Shape::Text),
    ("email", Shape::Text),
    ("id", Shape::Text),
    ("optional", Shape::Flag),
    ("organizer", Shape::Flag),
    ("resource", Shape::Flag),
    (
        "responseStatus",
        Shape::OneOf(&["needsAction", "declined", "tentative", "accepted"]),
    ),
    ("self", Shape::Flag),
]);
const REMINDERS: Shape = Shape::Object(&[
    ("useDefault", Shape::Flag),
    (
        "overrides",
        Shape::List(&Shape::Object(&[
            ("method", Shape::OneOf(&["email", "popup"])),
            ("minutes", Shape::Integer),
        ])),
    ),
]);

/// Names and types from the schema `Event` of the discovery document.
const EVENT: Fields = &[
    ("anyoneCanAddSelf", Shape::Flag),
    ("attachments", Shape::List(&Shape::Any)),
    ("attendees", Shape::List(&ATTENDEE)),
    ("attendeesOmitted", Shape::Flag),
    ("birthdayProperties", Shape::Any),
    ("colorId", Shape::Text),
    ("conferenceData", Shape::Any),
    ("created", Shape::Text),
    ("creator", PERSON),
    ("description", Shape::Text),
    ("end", TIME),
    ("endTimeUnspecified", Shape::Flag),
    ("etag", Shape::Text),
    ("eventLabelId", Shape::Text),
    ("eventType", Shape::OneOf(&["default"])),
    (
        "extendedProperties",
        Shape::Object(&[("private", Shape::TextMap), ("shared", Shape::TextMap)]),
    ),
    ("focusTimeProperties", Shape::Any),
    ("gadget", Shape::Any),
    ("guestsCanInviteOthers", Shape::Flag),
    ("guestsCanModify", Shape::Flag),
    ("guestsCanSeeOtherGuests", Shape::Flag),
    ("hangoutLink", Shape::Text),
    ("htmlLink", Shape::Text),
    ("iCalUID", Shape::Text),
    ("id", Shape::Text),
    ("kind", Shape::OneOf(&["calendar#event"])),
    ("location", Shape::Text),
    ("locked", Shape::Flag),
    ("organizer", PERSON),
    ("originalStartTime", TIME),
    ("outOfOfficeProperties", Shape::Any),
    ("privateCopy", Shape::Flag),
    ("recurrence", Shape::List(&Shape::Text)),
    ("recurringEventId", Shape::Text),
    ("reminders", REMINDERS),
    ("sequence", Shape::Integer),
    (
        "source",
        Shape::Object(&[("title", Shape::Text), ("url", Shape::Text)]),
    ),
    ("start", TIME),
    (
        "status",
        Shape::OneOf(&["confirmed", "tentative", "cancelled"]),
    ),
    ("summary", Shape::Text),
    ("transparency", Shape::OneOf(&["opaque", "transparent"])),
    ("updated", Shape::Text),
    (
        "visibility",
        Shape::OneOf(&["default", "public", "private", "confidential"]),
    ),
    ("workingLocationProperties", Shape::Any),
];

/// Members that clients may send, but that only the server sets.
const READ_ONLY: &[&str] = &[
    "attendeesOmitted",
    "created",
    "creator",
    "etag",
    "eventType",
    "hangoutLink",
    "htmlLink",
    "id",
    "kind",
    "locked",
    "organizer",
    "originalStartTime",
    "privateCopy",
    "recurringEventId",
    "updated",
    // Has rules of its own.
    "conferenceData",
];

/// A body that fits the schema.
pub(super) fn read(body: &[u8]) -> Result<Map<String, Value>, Problem> {
    let parse_error = || Problem::new(400, "parseError", "Parse Error");
    let body: Value = serde_json::from_slice(body).map_err(|_| parse_error())?;
    check(EVENT, &body).map_err(|misfit| {
        Problem::new(
            400,
            "badRequest",
            format!("Invalid JSON payload received. {misfit}"),
        )
    })?;
    match body {
        Value::Object(members) => Ok(members),
        _ => Err(parse_error()),
    }
}

/// Puts what was sent over what is there: objects merge, null removes, all else replaces.
pub(super) fn merge(into: &mut Map<String, Value>, sent: Map<String, Value>) {
    for (name, value) in sent {
        if !READ_ONLY.contains(&name.as_str()) {
            merge_member(into, name, value);
        }
    }
}

fn merge_member(into: &mut Map<String, Value>, name: String, value: Value) {
    match value {
        Value::Null => {
            into.remove(&name);
        }
        Value::Object(members) => {
            let kept = into.entry(name).or_insert_with(|| Map::new().into());
            if !kept.is_object() {
                *kept = Map::new().into();
            }
            if let Value::Object(kept) = kept {
                for (name, value) in members {
                    merge_member(kept, name, value);
                }
            }
        }
        other => {
            into.insert(name, other);
        }
    }
}

/// Checks the whole of an event and brings it into the form it is kept in.
pub(super) fn settle(
    fields: &mut Map<String, Value>,
    zone: Tz,
    own_email: &str,
) -> Result<(Timestamp, Timestamp), Problem> {
    let starts_at = read_time(fields, "start", zone)?;
    let ends_at = read_time(fields, "end", zone)?;
    let all_day = |name: &str| fields.get(name).is_some_and(|t| t.get("date").is_some());
    if all_day("start") != all_day("end") {
        return Err(Problem::invalid(
            "Start and end times must both be date or dateTime.",
        ));
    }
    if ends_at <= starts_at {
        let text = "The specified time range is empty.";
        return Err(Problem::new(400, "timeRangeEmpty", text));
    }
    if let Some(Value::Array(attendees)) = fields.get_mut("attendees") {
        settle_attendees(attendees, own_email)?;
    }
    if let Some(reminders) = fields.get("reminders") {
        check_reminders(reminders)?;
    }
    if let Some(Value::Object(properties)) = fields.get_mut("extendedProperties") {
        settle_properties(properties)?;
    }
    let url = fields.get("source").and_then(|source| source.get("url"));
    if let Some(url) = url.and_then(Value::as_str)
        && !["http://", "https://"]
            .iter()
            .any(|scheme| url.starts_with(scheme))
    {
        return Err(Problem::invalid("Invalid source URL."));
    }
    Ok((starts_at, ends_at))
}

fn settle_attendees(attendees: &mut [Value], own_email: &str) -> Result<(), Problem> {
    for attendee in attendees.iter_mut().filter_map(Value::as_object_mut) {
        let email = attendee.get("email").and_then(Value::as_str);
        let email =
            email.ok_or_else(|| Problem::new(400, "required", "Missing attendee email."))?;
        if !is_email(email) {
            return Err(Problem::invalid("Invalid attendee email."));
        }
        let is_own = email.eq_ignore_ascii_case(own_email);
        attendee.remove("self");
        if is_own {
            attendee.insert("self".to_owned(), true.into());
        }
        attendee
            .entry("responseStatus")
            .or_insert_with(|| "needsAction".into());
    }
    Ok(())
}

fn check_reminders(reminders: &Value) -> Result<(), Problem> {
    let overrides = reminders.get("overrides").and_then(Value::as_array);
    let overrides = overrides.map(Vec::as_slice).unwrap_or_default();
    let in_range = overrides.iter().all(|reminder| {
        reminder.get("method").is_some_and(Value::is_string)
            && reminder
                .get("minutes")
                .and_then(Value::as_i64)
                .is_some_and(|minutes| (0..=40_320).contains(&minutes))
    });
    let both = !overrides.is_empty() && reminders.get("useDefault") == Some(&Value::Bool(true));
    if overrides.len() > 5 || !in_range || both {
        return Err(Problem::invalid("Invalid reminders."));
    }
    Ok(())
}

const LONGEST_KEY: usize = 44;
const LONGEST_VALUE: usize = 1024;
const MOST_PROPERTIES: usize = 300;
const MOST_PROPERTY_BYTES: usize = 32 * 1024;

/// Keys that are too long are dropped and values that are too long cut, without a word.
fn settle_properties(properties: &mut Map<String, Value>) -> Result<(), Problem> {
    let (mut count, mut bytes) = (0, 0);
    for texts in properties.values_mut().filter_map(Value::as_object_mut) {
        texts.retain(|key, value| key.chars().count() <= LONGEST_KEY && value.is_string());
        for (key, value) in texts.iter_mut() {
            let text = value.as_str().unwrap_or_default();
            if text.chars().count() > LONGEST_VALUE {
                *value = text.chars().take(LONGEST_VALUE).collect::<String>().into();
            }
            count += 1;
            bytes += key.len() + value.as_str().unwrap_or_default().len();
        }
    }
    if count > MOST_PROPERTIES || bytes > MOST_PROPERTY_BYTES {
        return Err(Problem::invalid(
            "Too many or too large extended properties.",
        ));
    }
    Ok(())
}
