//! Our content as Graph's fields, and Graph's calendars as ours. Pure.

use super::body::with_join_block;
use super::wire::{BodyWrite, CalendarEntry, Event, EventWrite, ExtendedProperty, Place, When};
use crate::domain::Parts;
use crate::domain::{Calendar, CreateKey, EventContent, Fingerprint, Timestamp};
use crate::provider::guests::{self, Guest, Ours};

/// The marks of our events. Both names are ours for ever: stored events are found by them.
const APPOINTMENT_ID: &str = "String {9c3f1f0e-5d0b-4f7a-9d58-6f1a2b7c4e10} Name appointment_id";
pub(super) const EVENT_KEY: &str = "String {9c3f1f0e-5d0b-4f7a-9d58-6f1a2b7c4e10} Name event_key";

/// Outlook's subject field ends here, counted as it counts: in UTF-16 units.
const MAX_SUBJECT_UNITS: usize = 255;

/// A new event. `transactionId` makes Graph refuse or repeat a second create with the same key.
pub(super) fn new_event(key: &CreateKey, content: &EventContent) -> EventWrite {
    EventWrite {
        transaction_id: Some(key.hex()),
        location: content.location.clone().map(place),
        attendees: content
            .attendee
            .as_ref()
            .map(|client| vec![Guest::invite(client)]),
        single_value_extended_properties: Some(vec![
            ExtendedProperty {
                id: APPOINTMENT_ID,
                value: content.appointment_id.to_string(),
            },
            ExtendedProperty {
                id: EVENT_KEY,
                value: key.hex(),
            },
        ]),
        ..fields(content, Parts::ALL, plain_text(content))
    }
}

/// Our changed parts for an event that holds nothing but what we wrote.
pub(super) fn blind_patch(
    content: &EventContent,
    parts: Parts,
    pushed_guest: Option<&Fingerprint>,
) -> EventWrite {
    EventWrite {
        attendees: if parts.guest {
            guests::replace(pushed_guest, content.attendee.as_ref())
        } else {
            None
        },
        ..fields(content, parts, plain_text(content))
    }
}

/// Our changed parts for an event as it was read, keeping what is not ours.
pub(super) fn merged_patch(
    content: &EventContent,
    parts: Parts,
    shown: &Event,
    ours: Ours<'_>,
) -> EventWrite {
    let body = if shown.is_online_meeting() {
        meeting_text(content, shown)
    } else {
        plain_text(content)
    };
    EventWrite {
        // An event the coach made all-day must be told that it has hours again.
        is_all_day: (parts.schedule && shown.is_all_day == Some(true)).then_some(false),
        // Only a list that must change is sent: Outlook mails those added or removed.
        attendees: if parts.guest {
            guests::merge(&shown.attendees, ours, content.attendee.as_ref())
        } else {
            None
        },
        ..fields(content, parts, body)
    }
}

/// Whether the event holds what a blind patch would destroy: other guests, or a join block.
pub(super) fn needs_reading(
    shown: &Event,
    content: &EventContent,
    pushed_guest: Option<&Fingerprint>,
) -> bool {
    shown.is_online_meeting()
        || guests::has_others(&shown.attendees, pushed_guest, content.attendee.as_ref())
}

fn fields(content: &EventContent, parts: Parts, body: BodyWrite) -> EventWrite {
    let mut fields = EventWrite::default();
    if parts.schedule {
        fields.start = Some(when(content.starts_at));
        fields.end = Some(when(content.ends_at));
        // An empty name, so that a patch takes away a place that is no longer wanted.
        fields.location = Some(place(content.location.clone().unwrap_or_default()));
    }
    if parts.text {
        fields.subject = Some(subject(&content.title));
        fields.body = Some(body);
    }
    fields
}

/// In UTC: a local time cannot name the hour that autumn repeats.
fn when(at: Timestamp) -> When {
    When {
        date_time: at.format("%Y-%m-%dT%H:%M:%S%.f").to_string(),
        time_zone: "UTC",
    }
}

fn place(display_name: String) -> Place {
    Place { display_name }
}

fn plain_text(content: &EventContent) -> BodyWrite {
    BodyWrite {
        content_type: "text",
        content: content.description.clone(),
    }
}

fn meeting_text(content: &EventContent, shown: &Event) -> BodyWrite {
    let present = shown.body.as_ref().and_then(|body| body.content.as_deref());
    let meeting = shown.online_meeting.as_ref();
    BodyWrite {
        content_type: "html",
        content: with_join_block(
            &content.description,
            present.unwrap_or_default(),
            meeting.and_then(|meeting| meeting.join_url.as_deref()),
        ),
    }
}

/// Shortened at a character, with a mark that it was.
pub(in crate::provider) fn subject(title: &str) -> String {
    if title.encode_utf16().count() <= MAX_SUBJECT_UNITS {
        return title.to_owned();
    }
    let mut units = '…'.len_utf16();
    let mut short: String = title
        .chars()
        .take_while(|char| {
            units += char.len_utf16();
            units <= MAX_SUBJECT_UNITS
        })
        .collect();
    short.push('…');
    short
}

/// A calendar of the account, with whether it can be written to. Graph keeps time zones with the
/// mailbox, which needs a scope we do not ask for.
pub(super) fn calendar(entry: CalendarEntry) -> (Calendar, bool) {
    let calendar = Calendar {
        id: entry.id.as_str().into(),
        name: entry.name.unwrap_or(entry.id),
        time_zone: None,
        primary: entry.is_default_calendar == Some(true),
    };
    (calendar, entry.can_edit == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AppointmentId, Client, ConnectionId};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    fn key() -> CreateKey {
        CreateKey {
            connection_id: ConnectionId(uuid::Uuid::from_u128(1)),
            appointment_id: AppointmentId(uuid::Uuid::from_u128(2)),
            generation: 1,
        }
    }

    fn content() -> EventContent {
        EventContent {
            appointment_id: key().appointment_id,
            title: "Session <1> & \"更多\"".into(),
            description: "<script>x</script>\nשלום".into(),
            location: Some("Room 1".into()),
            starts_at: at("2026-10-25T00:30:00Z"),
            ends_at: at("2026-10-25T01:30:00.250Z"),
            time_zone: chrono_tz::Europe::Berlin,
            attendee: Some(Client {
                name: "Zoë".into(),
                email: "zoe@example.com".into(),
            }),
            shares_details: true,
        }
    }

    fn shown(value: Value) -> Event {
        serde_json::from_value(value).expect("an event")
    }

    fn json_of(write: &EventWrite) -> Value {
        serde_json::to_value(write).expect("JSON")
    }

    #[test]
    fn a_new_event_is_in_utc_and_carries_text_guest_and_marks() {
        assert_eq!(
            json_of(&new_event(&key(), &content())),
            json!({
                "transactionId": key().hex(),
                "subject": "Session <1> & \"更多\"",
                "body": {"contentType": "text", "content": "<script>x</script>\nשלום"},
                "start": {"dateTime": "2026-10-25T00:30:00", "timeZone": "UTC"},
                "end": {"dateTime": "2026-10-25T01:30:00.250", "timeZone": "UTC"},
                "location": {"displayName": "Room 1"},
                "attendees": [{"type": "required",
                    "emailAddress": {"address": "zoe@example.com", "name": "Zoë"}}],
                "singleValueExtendedProperties": [
                    {"id": APPOINTMENT_ID, "value": "00000000-0000-0000-0000-000000000002"},
                    {"id": EVENT_KEY, "value": key().hex()},
                ],
            })
        );
    }

    #[test]
    fn a_patch_without_the_guest_sends_no_guests() {
        let parts = Parts {
            guest: false,
            ..Parts::ALL
        };
        let nowhere = EventContent {
            location: None,
            ..content()
        };
        let sent = json_of(&blind_patch(&nowhere, parts, None));
        assert!(sent.get("attendees").is_none());
        assert_eq!(sent["location"], json!({"displayName": ""}));
        let event =
            shown(json!({"id": "e", "attendees": [{"emailAddress": {"address": "x@y.z"}}]}));
        let sent = json_of(&merged_patch(&content(), parts, &event, Ours::All));
        assert!(sent.get("attendees").is_none());
    }

    #[test]
    fn a_merge_keeps_foreign_guests_the_meeting_and_undoes_all_day() {
        let rule = "_".repeat(80);
        let join = "https://teams.example/join";
        let event = shown(json!({
            "id": "e", "isAllDay": true, "isOnlineMeeting": true,
            "onlineMeeting": {"joinUrl": join},
            "body": {"contentType": "html", "content": format!("Old {rule}{join}{rule}")},
            "attendees": [{"type": "optional", "status": {"response": "accepted"},
                "emailAddress": {"address": "partner@example.com", "name": "P"}}],
        }));
        let sent = json_of(&merged_patch(
            &content(),
            Parts::ALL,
            &event,
            Ours::Pushed(None),
        ));
        assert_eq!(sent["isAllDay"], false);
        assert_eq!(
            sent["body"],
            json!({"contentType": "html",
                "content": format!("&lt;script&gt;x&lt;/script&gt;<br>\nשלום<br>\n{rule}{join}{rule}")})
        );
        let guests = sent["attendees"].as_array().expect("a list");
        assert_eq!(guests[0]["status"], json!({"response": "accepted"}));
        assert_eq!(guests[1]["emailAddress"]["address"], "zoe@example.com");
        assert!(needs_reading(&event, &content(), None));
    }

    #[test]
    fn an_event_with_only_our_guest_can_be_patched_blindly() {
        let event = shown(json!({"id": "e", "isOnlineMeeting": false, "body": null,
            "attendees": [{"emailAddress": {"address": "ZOE@example.com"}}]}));
        assert!(!needs_reading(&event, &content(), None));
    }

    #[test]
    fn only_editable_calendars_are_writable() {
        for (can_edit, expected) in [
            (json!(true), true),
            (json!(false), false),
            (Value::Null, false),
        ] {
            let entry =
                json!({"id": "c", "name": "Work", "canEdit": can_edit, "isDefaultCalendar": true});
            let (calendar, writable) = calendar(serde_json::from_value(entry).expect("an entry"));
            assert_eq!(writable, expected);
            assert!(calendar.primary && calendar.time_zone.is_none());
        }
    }

    proptest! {
        #[test]
        fn a_subject_is_the_title_or_its_start_and_never_too_long(title in ".{0,300}") {
            let subject = subject(&title);
            prop_assert!(subject.encode_utf16().count() <= MAX_SUBJECT_UNITS);
            prop_assert!(subject == title || title.starts_with(subject.trim_end_matches('…')));
        }
    }
}
