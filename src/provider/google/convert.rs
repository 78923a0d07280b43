//! Our content as Google's fields, and Google's calendars as ours. Pure.

use chrono::{Offset, SecondsFormat, Utc};
use chrono_tz::Tz;

use super::wire::{Event, EventWrite, ExtendedProperties, PrivateProperties, When};
use crate::domain::Parts;
use crate::domain::{Calendar, CreateKey, EventContent, Fingerprint, Timestamp};
use crate::provider::guests::{self, Guest, Ours};

/// A new event under our own id. `iCalUID` is never sent with it: Google refuses the pair.
pub(super) fn new_event(key: &CreateKey, content: &EventContent) -> EventWrite {
    EventWrite {
        id: Some(key.base32hex()),
        location: content.location.clone(),
        attendees: content
            .attendee
            .as_ref()
            .map(|client| vec![Guest::invite(client)]),
        extended_properties: Some(tags(key, content)),
        ..fields(content, Parts::ALL, false)
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
        ..fields(content, parts, false)
    }
}

/// Our changed parts for an event as it was read, keeping what is not ours.
pub(super) fn merged_patch(
    content: &EventContent,
    parts: Parts,
    shown: &Event,
    ours: Ours<'_>,
) -> EventWrite {
    let all_day = [&shown.start, &shown.end]
        .into_iter()
        .flatten()
        .any(|day| day.date.is_some());
    EventWrite {
        attendees: if parts.guest {
            guests::merge(&shown.attendees, ours, content.attendee.as_ref())
        } else {
            None
        },
        ..fields(content, parts, all_day)
    }
}

/// Everything of ours, with the marks that it is ours: for an event to adopt or to put back.
pub(super) fn whole_patch(
    key: &CreateKey,
    content: &EventContent,
    shown: &Event,
    ours: Ours<'_>,
) -> EventWrite {
    EventWrite {
        extended_properties: Some(tags(key, content)),
        ..merged_patch(content, Parts::ALL, shown, ours)
    }
}

/// Whether the event holds guests whom we did not put there.
pub(super) fn holds_others(
    shown: &Event,
    content: &EventContent,
    pushed_guest: Option<&Fingerprint>,
) -> bool {
    guests::has_others(&shown.attendees, pushed_guest, content.attendee.as_ref())
}

fn fields(content: &EventContent, parts: Parts, clear_day: bool) -> EventWrite {
    let mut fields = EventWrite::default();
    if parts.schedule {
        fields.start = Some(when(content.starts_at, content.time_zone, clear_day));
        fields.end = Some(when(content.ends_at, content.time_zone, clear_day));
        // An empty text, so that a patch takes away a place that is no longer wanted.
        fields.location = Some(content.location.clone().unwrap_or_default());
    }
    if parts.text {
        fields.summary = Some(content.title.clone());
        fields.description = Some(escape(&content.description));
    }
    fields
}

/// The instant with its offset *and* the zone: unambiguous in the hour that autumn repeats.
fn when(at: Timestamp, zone: Tz, clear_day: bool) -> When {
    let local = at.with_timezone(&zone);
    // RFC 3339 has no seconds in an offset; a few zones had some until 1972.
    let date_time = if local.offset().fix().local_minus_utc() % 60 == 0 {
        local.to_rfc3339_opts(SecondsFormat::AutoSi, false)
    } else {
        at.with_timezone(&Utc)
            .to_rfc3339_opts(SecondsFormat::AutoSi, true)
    };
    When {
        date_time,
        time_zone: zone.name(),
        date: clear_day.then_some(()),
    }
}

/// Plain text for a field that holds HTML. Line breaks are shown as they are.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn tags(key: &CreateKey, content: &EventContent) -> ExtendedProperties {
    ExtendedProperties {
        private: PrivateProperties {
            appointment_id: Some(content.appointment_id.to_string()),
            event_key: Some(key.hex()),
        },
    }
}

/// A calendar of the account, with whether it can be written to.
pub(super) fn calendar(entry: super::wire::CalendarEntry) -> (Calendar, bool) {
    let writable = matches!(
        entry.access_role.as_deref(),
        Some("owner" | "writer" | "writerWithoutPrivateAccess")
    ) && !entry.deleted;
    let calendar = Calendar {
        id: entry.id.as_str().into(),
        name: entry.summary_override.or(entry.summary).unwrap_or(entry.id),
        time_zone: entry.time_zone.and_then(|name| name.parse().ok()),
        primary: entry.primary,
    };
    (calendar, writable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AppointmentId, Client, ConnectionId};
    use chrono::{DateTime, TimeDelta};
    use proptest::prelude::*;
    use serde_json::json;

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
            appointment_id: AppointmentId(uuid::Uuid::from_u128(2)),
            title: "Session <1> & \"更多\"".into(),
            description: "Notes: <script>alert('x')</script> & so on\nשלום\nJoin: https://meet.example/?a=1&b=2".into(),
            location: None,
            starts_at: at("2026-11-01T05:30:00Z"),
            ends_at: at("2026-11-01T06:30:00Z"),
            time_zone: chrono_tz::America::New_York,
            attendee: Some(Client {
                name: "Zoë O'Néill".into(),
                email: "zoe@example.com".into(),
            }),
            shares_details: true,
        }
    }

    fn shown(value: serde_json::Value) -> Event {
        serde_json::from_value(value).expect("an event")
    }

    #[test]
    fn a_new_event_carries_our_id_our_marks_and_text_that_stays_text() {
        let sent = serde_json::to_value(new_event(&key(), &content())).expect("JSON");
        assert_eq!(
            sent,
            json!({
                "id": key().base32hex(),
                "summary": "Session <1> & \"更多\"",
                "description": "Notes: &lt;script&gt;alert('x')&lt;/script&gt; &amp; so on\nשלום\nJoin: https://meet.example/?a=1&amp;b=2",
                "start": {"dateTime": "2026-11-01T01:30:00-04:00", "timeZone": "America/New_York"},
                "end": {"dateTime": "2026-11-01T01:30:00-05:00", "timeZone": "America/New_York"},
                "attendees": [{"email": "zoe@example.com", "displayName": "Zoë O'Néill"}],
                "extendedProperties": {"private": {
                    "appointment_id": "00000000-0000-0000-0000-000000000002",
                    "event_key": key().hex(),
                }},
            })
        );
    }

    #[test]
    fn the_hours_around_a_gap_and_in_a_fold_keep_their_instants() {
        let berlin = chrono_tz::Europe::Berlin;
        for (instant, local) in [
            ("2026-03-29T00:59:59Z", "2026-03-29T01:59:59+01:00"),
            ("2026-03-29T01:00:00Z", "2026-03-29T03:00:00+02:00"),
            ("2026-10-25T00:30:00Z", "2026-10-25T02:30:00+02:00"),
            ("2026-10-25T01:30:00Z", "2026-10-25T02:30:00+01:00"),
        ] {
            assert_eq!(when(at(instant), berlin, false).date_time, local);
        }
        let before_1972 = when(
            at("1971-06-01T12:00:00Z"),
            chrono_tz::Africa::Monrovia,
            false,
        );
        assert_eq!(before_1972.date_time, "1971-06-01T12:00:00Z");
    }

    #[test]
    fn a_patch_holds_only_the_parts_that_changed() {
        let schedule = Parts {
            schedule: true,
            text: false,
            guest: false,
        };
        let sent = serde_json::to_value(blind_patch(&content(), schedule, None)).expect("JSON");
        let mut keys: Vec<_> = sent.as_object().expect("an object").keys().collect();
        keys.sort();
        assert_eq!(keys, ["end", "location", "start"]);
        assert_eq!(sent["location"], "");

        let guest = Parts {
            schedule: false,
            text: false,
            guest: true,
        };
        let alone = EventContent {
            attendee: None,
            ..content()
        };
        let pushed = Fingerprint::of_guest("zoe@example.com");
        let sent = serde_json::to_value(blind_patch(&alone, guest, Some(&pushed))).expect("JSON");
        assert_eq!(sent, json!({"attendees": []}));
    }

    #[test]
    fn a_merge_sends_back_foreign_guests_untouched_and_undoes_all_day() {
        let event = shown(json!({
            "start": {"date": "2026-11-01"}, "end": {"date": "2026-11-02"},
            "attendees": [
                {"email": "partner@example.com", "responseStatus": "accepted", "optional": true},
                {"email": "old@example.com", "responseStatus": "tentative"},
            ],
        }));
        let pushed = Fingerprint::of_guest("old@example.com");
        let ours = Ours::Pushed(Some(&pushed));
        let sent =
            serde_json::to_value(merged_patch(&content(), Parts::ALL, &event, ours)).expect("JSON");
        assert_eq!(
            sent["attendees"],
            json!([
                {"email": "partner@example.com", "responseStatus": "accepted", "optional": true},
                {"email": "zoe@example.com", "displayName": "Zoë O'Néill"},
            ])
        );
        assert_eq!(sent["start"]["date"], serde_json::Value::Null);
        assert!(sent["start"].get("date").is_some());
        assert!(holds_others(&event, &content(), Some(&pushed)));
    }

    #[test]
    fn only_calendars_with_a_writing_role_are_writable() {
        for (role, expected) in [
            ("owner", true),
            ("writer", true),
            ("writerWithoutPrivateAccess", true),
            ("reader", false),
            ("freeBusyReader", false),
        ] {
            let entry = serde_json::from_value(json!({
                "id": "c@group.calendar.google.com", "summary": "Work", "accessRole": role,
                "timeZone": "Europe/Berlin", "primary": true,
            }));
            let (calendar, writable) = calendar(entry.expect("an entry"));
            assert_eq!(writable, expected);
            assert_eq!(calendar.time_zone, Some(chrono_tz::Europe::Berlin));
            assert!(calendar.primary);
        }
    }

    proptest! {
        #[test]
        fn every_instant_in_every_zone_is_sent_as_that_instant(
            seconds in 0_i64..7_258_118_400, zone in 0..chrono_tz::TZ_VARIANTS.len(),
        ) {
            let instant = DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
            let sent = when(instant, chrono_tz::TZ_VARIANTS[zone], false);
            prop_assert_eq!(DateTime::parse_from_rfc3339(&sent.date_time).expect("RFC 3339"), instant);
        }

        #[test]
        fn no_text_survives_as_markup(text in any::<String>()) {
            let escaped = escape(&text);
            prop_assert!(!escaped.contains(['<', '>']));
            let back = escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
            prop_assert_eq!(back, text);
        }
    }
}
