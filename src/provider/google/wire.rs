//! Google's JSON, as far as it concerns us. Field names are Google's.
//!
//! What is read is lenient: every field may be absent. Nothing here has `Debug`, for texts and
//! guests are secret.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::Client;
use crate::provider::guests::Guest;

/// An event to insert, or the fields of one to patch. What is `None` is not sent.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventWrite {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) summary: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start: Option<When>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<When>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attendees: Option<Vec<Attendee>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) extended_properties: Option<ExtendedProperties>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct When {
    pub(super) date_time: String,
    pub(super) time_zone: &'static str,
    /// `Some` is sent as `null`: it takes the day off an event that was made all-day. A patch
    /// merges, and an event with both a day and a time is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) date: Option<()>,
}

/// One guest. All that is not ours is sent back as it came, or answers would be lost.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Attendee {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) email: Option<String>,
    #[serde(
        default,
        rename = "displayName",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) display_name: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Guest for Attendee {
    fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }

    fn invite(client: &Client) -> Self {
        Self {
            email: Some(client.email.clone()),
            display_name: Some(client.name.clone()).filter(|name| !name.is_empty()),
            rest: Map::new(),
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
pub(super) struct ExtendedProperties {
    #[serde(default)]
    pub(super) private: PrivateProperties,
}

/// The mark that events are searched by, as [`PrivateProperties`] spells it.
pub(super) const EVENT_KEY: &str = "event_key";

#[derive(Default, Serialize, Deserialize)]
pub(super) struct PrivateProperties {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) appointment_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) event_key: Option<String>,
}

/// An event as Google shows it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    pub(super) id: Option<String>,
    pub(super) etag: Option<String>,
    pub(super) status: Option<String>,
    pub(super) start: Option<Shown>,
    pub(super) end: Option<Shown>,
    #[serde(default)]
    pub(super) attendees: Vec<Attendee>,
    #[serde(default)]
    pub(super) extended_properties: ExtendedProperties,
}

#[derive(Deserialize)]
pub(super) struct Shown {
    /// Present on an all-day event.
    pub(super) date: Option<String>,
}

impl Event {
    pub(super) fn is_cancelled(&self) -> bool {
        self.status.as_deref() == Some("cancelled")
    }
}

/// A list of events. Without `items` it is no list, and no proof that an event is not there.
#[derive(Deserialize)]
pub(super) struct EventList {
    pub(super) items: Vec<Event>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CalendarList {
    #[serde(default)]
    pub(super) items: Vec<CalendarEntry>,
    pub(super) next_page_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CalendarEntry {
    pub(super) id: String,
    pub(super) summary: Option<String>,
    pub(super) summary_override: Option<String>,
    pub(super) time_zone: Option<String>,
    pub(super) access_role: Option<String>,
    #[serde(default)]
    pub(super) primary: bool,
    #[serde(default)]
    pub(super) deleted: bool,
}

/// Who signed in; the two userinfo endpoints name the id differently.
#[derive(Deserialize)]
pub(super) struct UserInfo {
    pub(super) id: Option<String>,
    pub(super) sub: Option<String>,
    pub(super) email: Option<String>,
}
