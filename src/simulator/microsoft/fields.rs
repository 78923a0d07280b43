//! What an event may hold: the schema, and the rules beyond it.

use serde_json::{Map, Value, json};

use crate::domain::{Timestamp, is_email};
use crate::simulator::shape::{Fields, Misfit, Shape, check};

use super::error::Problem;
use super::{body, properties, zone};

const TIME: Shape = Shape::Object(&[("dateTime", Shape::Text), ("timeZone", Shape::Text)]);
const LOCATION: Shape = Shape::Object(&[
    ("address", Shape::Any),
    ("coordinates", Shape::Any),
    ("displayName", Shape::Text),
    ("locationEmailAddress", Shape::Text),
    ("locationType", Shape::Text),
    ("locationUri", Shape::Text),
    ("uniqueId", Shape::Text),
    ("uniqueIdType", Shape::Text),
]);
const STATUS: Shape = Shape::Object(&[
    (
        "response",
        Shape::OneOf(&[
            "none",
            "organizer",
            "tentativelyAccepted",
            "accepted",
            "declined",
            "notResponded",
        ]),
    ),
    ("time", Shape::Text),
]);
const ATTENDEE: Shape = Shape::Object(&[
    (
        "emailAddress",
        Shape::Object(&[("address", Shape::Text), ("name", Shape::Text)]),
    ),
    ("type", Shape::OneOf(&["required", "optional", "resource"])),
    ("proposedNewTime", Shape::Any),
    ("status", STATUS),
]);

/// What POST and PATCH may carry, from the type `microsoft.graph.event`. Read-only members are left
/// out: sending one is refused like an unknown name. So is `recurrence`, which is not simulated.
const EVENT: Fields = &[
    ("allowNewTimeProposals", Shape::Flag),
    ("attendees", Shape::List(&ATTENDEE)),
    (
        "body",
        Shape::Object(&[
            ("content", Shape::Text),
            (
                "contentType",
                Shape::OneOf(&["text", "html", "Text", "HTML"]),
            ),
        ]),
    ),
    ("categories", Shape::List(&Shape::Text)),
    ("end", TIME),
    ("hideAttendees", Shape::Flag),
    ("importance", Shape::OneOf(&["low", "normal", "high"])),
    ("isAllDay", Shape::Flag),
    ("isOnlineMeeting", Shape::Flag),
    ("isReminderOn", Shape::Flag),
    ("location", LOCATION),
    ("locations", Shape::List(&LOCATION)),
    (
        "onlineMeetingProvider",
        Shape::OneOf(&[
            "unknown",
            "teamsForBusiness",
            "skypeForBusiness",
            "skypeForConsumer",
        ]),
    ),
    ("reminderMinutesBeforeStart", Shape::Integer),
    ("responseRequested", Shape::Flag),
    (
        "sensitivity",
        Shape::OneOf(&["normal", "personal", "private", "confidential"]),
    ),
    (
        "showAs",
        Shape::OneOf(&[
            "free",
            "tentative",
            "busy",
            "oof",
            "workingElsewhere",
            "unknown",
        ]),
    ),
    (
        properties::NAME,
        Shape::List(&Shape::Object(&[
            ("id", Shape::Text),
            ("value", Shape::Text),
        ])),
    ),
    ("start", TIME),
    ("subject", Shape::Text),
    ("transactionId", Shape::Text),
];

/// A body that fits the schema.
pub(super) fn read(body: &[u8]) -> Result<Map<String, Value>, Problem> {
    let unreadable = |text: &str| Problem::new(400, "RequestBodyRead", text.to_owned());
    let body: Value =
        serde_json::from_slice(body).map_err(|_| unreadable("The body is not JSON."))?;
    check(EVENT, &body).map_err(|misfit| match misfit {
        Misfit::Unknown(path) => unreadable(&format!("The property '{path}' does not exist.")),
        Misfit::Wrong(path) => unreadable(&format!("The property '{path}' has a wrong value.")),
    })?;
    match body {
        Value::Object(members) => Ok(members),
        _ => Err(unreadable("The body is not an object.")),
    }
}

/// Puts what was sent over what is there: named fields are replaced whole, null clears, extended
/// properties are merged by id. Guests that stay keep their answers.
pub(super) fn merge(
    into: &mut Map<String, Value>,
    sent: Map<String, Value>,
) -> Result<(), Problem> {
    for (name, value) in sent {
        match (name.as_str(), &value) {
            (properties::NAME, value) => properties::merge(into, value)?,
            (_, Value::Null) => {
                into.remove(&name);
            }
            ("body", value) => {
                into.insert(name, body::keep(value));
            }
            ("attendees", Value::Array(guests)) => {
                let guests = settle_guests(guests, guests_of(into))?;
                into.insert(name, guests);
            }
            ("location", value) => {
                into.insert("locations".to_owned(), json!([value]));
                into.insert(name, value.clone());
            }
            ("locations", Value::Array(places)) => {
                let first = places.first().cloned().unwrap_or_else(|| json!({}));
                into.insert("location".to_owned(), first);
                into.insert(name, value);
            }
            // Once set it cannot be taken back.
            ("isOnlineMeeting", Value::Bool(false)) => {}
            _ => {
                into.insert(name, value);
            }
        }
    }
    Ok(())
}

pub(super) fn guests_of(fields: &Map<String, Value>) -> &[Value] {
    fields
        .get("attendees")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

pub(super) fn address(guest: &Value) -> Option<&str> {
    guest["emailAddress"]["address"].as_str()
}

fn settle_guests(sent: &[Value], kept: &[Value]) -> Result<Value, Problem> {
    let mut settled = Vec::with_capacity(sent.len());
    for guest in sent {
        let address_of = address(guest)
            .filter(|address| is_email(address))
            .ok_or_else(|| {
                let text = "At least one recipient is not valid.";
                Problem::new(400, "ErrorInvalidRecipients", text)
            })?;
        let known = kept.iter().find(|other| {
            address(other).is_some_and(|other| other.eq_ignore_ascii_case(address_of))
        });
        let unanswered = json!({"response": "none", "time": "0001-01-01T00:00:00Z"});
        settled.push(json!({
            "type": guest["type"].as_str().unwrap_or("required"),
            "status": known.map_or(unanswered, |known| known["status"].clone()),
            "emailAddress": {
                "name": guest["emailAddress"]["name"].as_str().unwrap_or(address_of),
                "address": address_of,
            },
        }));
    }
    if settled.len() > 500 {
        return Err(Problem::invalid("More than 500 attendees."));
    }
    Ok(settled.into())
}

/// Checks the whole of an event.
pub(super) fn settle(fields: &Map<String, Value>) -> Result<(Timestamp, Timestamp), Problem> {
    let starts_at = zone::read(fields, "start")?;
    let ends_at = zone::read(fields, "end")?;
    if ends_at < starts_at {
        return Err(Problem::invalid("The end lies before the start."));
    }
    if fields.get("isAllDay") == Some(&Value::Bool(true)) {
        let midnight = |name: &str| {
            let local = fields.get(name).and_then(|time| time["dateTime"].as_str());
            local.is_some_and(|local| local.contains("T00:00"))
        };
        let zone_of = |name: &str| fields.get(name).map(|time| &time["timeZone"]);
        if !midnight("start") || !midnight("end") || zone_of("start") != zone_of("end") {
            return Err(Problem::invalid(
                "An all-day event lasts from midnight to midnight.",
            ));
        }
    }
    let subject = fields.get("subject").and_then(Value::as_str);
    if subject.is_some_and(|subject| subject.chars().count() > 255) {
        return Err(Problem::invalid(
            "The subject is longer than 255 characters.",
        ));
    }
    Ok((starts_at, ends_at))
}
