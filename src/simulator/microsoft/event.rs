//! An event as Graph shows it.

use chrono::SecondsFormat;
use serde_json::{Map, Value, json};

use crate::domain::Timestamp;
use crate::simulator::account::{Account, EventState};

use super::error::Problem;
use super::preferences::Preferences;
use super::query::Query;
use super::{body, properties, zone};

fn change_key(event: &EventState) -> String {
    let key = format!("simulated-{:08}", event.version);
    data_encoding::BASE64.encode(key.as_bytes())
}

/// The weak tag, as it stands in body and `If-Match`.
pub(super) fn etag(event: &EventState) -> String {
    format!("W/\"{}\"", change_key(event))
}

/// The id a caller with these preferences knows.
pub(super) fn id<'a>(event: &'a EventState, preferences: &Preferences) -> &'a str {
    if preferences.immutable_ids {
        &event.id
    } else {
        &event.folder_id
    }
}

/// The event as a resource, cut down to what the query selects.
pub(super) fn render(
    account: &Account,
    event: &EventState,
    query: &Query,
    preferences: &Preferences,
) -> Result<Value, Problem> {
    let mut shown = defaults();
    shown.extend(event.fields.clone());
    shown.remove(properties::NAME);
    let id = id(event, preferences);
    let kept_body = event.fields.get("body");
    let time = |at| zone::show(at, preferences.zone, &preferences.zone_name);
    let organizer = json!({"name": account.email, "address": account.email});
    let fixed = json!({
        "@odata.etag": etag(event),
        "id": id,
        "changeKey": change_key(event),
        "createdDateTime": stamp(event.created),
        "lastModifiedDateTime": stamp(event.updated),
        "iCalUId": format!("040000008200E00074C5B7101A82E008{:016X}", event.made),
        "webLink": format!("https://outlook.office365.com/owa/?itemid={id}"),
        "start": time(event.starts_at),
        "end": time(event.ends_at),
        "originalStartTimeZone": sent_zone(event, "start"),
        "originalEndTimeZone": sent_zone(event, "end"),
        "body": body::show(kept_body, preferences.text_bodies),
        "bodyPreview": body::preview(kept_body),
        "organizer": {"emailAddress": organizer},
    });
    if let Value::Object(fixed) = fixed {
        shown.extend(fixed);
    }
    select(&mut shown, query)?;
    if !query.expand.is_empty() {
        let wanted: Vec<&Value> = properties::of(&event.fields)
            .iter()
            .filter(|property| query.expand.iter().any(|id| property["id"] == id.as_str()))
            .collect();
        if !wanted.is_empty() {
            shown.insert(properties::NAME.to_owned(), json!(wanted));
        }
    }
    Ok(Value::Object(shown))
}

fn stamp(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn sent_zone<'a>(event: &'a EventState, name: &str) -> &'a str {
    event
        .fields
        .get(name)
        .and_then(|time| time["timeZone"].as_str())
        .unwrap_or("UTC")
}

/// What an event holds that says nothing of the kind.
fn defaults() -> Map<String, Value> {
    let defaults = json!({
        "allowNewTimeProposals": true,
        "attendees": [],
        "categories": [],
        "hasAttachments": false,
        "hideAttendees": false,
        "importance": "normal",
        "isAllDay": false,
        "isCancelled": false,
        "isDraft": false,
        "isOnlineMeeting": false,
        "isOrganizer": true,
        "isReminderOn": true,
        "location": {"displayName": "", "locationType": "default"},
        "locations": [],
        "onlineMeeting": null,
        "onlineMeetingProvider": "unknown",
        "onlineMeetingUrl": null,
        "recurrence": null,
        "reminderMinutesBeforeStart": 15,
        "responseRequested": true,
        "responseStatus": {"response": "organizer", "time": "0001-01-01T00:00:00Z"},
        "sensitivity": "normal",
        "seriesMasterId": null,
        "showAs": "busy",
        "subject": "",
        "type": "singleInstance",
    });
    match defaults {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn select(shown: &mut Map<String, Value>, query: &Query) -> Result<(), Problem> {
    let Some(names) = &query.select else {
        return Ok(());
    };
    let unshown = ["transactionId", properties::NAME];
    let known = |name: &str| shown.contains_key(name) || unshown.contains(&name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        return Err(Problem::invalid(format!(
            "Could not find a property named '{unknown}'."
        )));
    }
    shown.retain(|name, _| name == "id" || name == "@odata.etag" || names.contains(name));
    Ok(())
}
