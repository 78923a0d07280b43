//! Graph's JSON, as far as it concerns us. Field names are Graph's.
//!
//! What is read is lenient: every field may be absent or null. Nothing here has `Debug`, for texts
//! and guests are secret.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::Client;
use crate::provider::guests::Guest;

/// An event to create, or the fields of one to patch. What is `None` is not sent.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventWrite {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) transaction_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<BodyWrite>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start: Option<When>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<When>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) is_all_day: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) location: Option<Place>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attendees: Option<Vec<Attendee>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) single_value_extended_properties: Option<Vec<ExtendedProperty>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BodyWrite {
    pub(super) content_type: &'static str,
    pub(super) content: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct When {
    /// Without offset: the zone is named apart.
    pub(super) date_time: String,
    pub(super) time_zone: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Place {
    pub(super) display_name: String,
}

#[derive(Serialize)]
pub(super) struct ExtendedProperty {
    pub(super) id: &'static str,
    pub(super) value: String,
}

/// One guest. All that is not ours is sent back as it came, or answers would be lost.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Attendee {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email_address: Option<EmailAddress>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct EmailAddress {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

impl Guest for Attendee {
    fn email(&self) -> Option<&str> {
        self.email_address.as_ref()?.address.as_deref()
    }

    fn invite(client: &Client) -> Self {
        Self {
            email_address: Some(EmailAddress {
                address: Some(client.email.clone()),
                name: Some(client.name.clone()).filter(|name| !name.is_empty()),
            }),
            rest: Map::from_iter([("type".to_owned(), Value::from("required"))]),
        }
    }
}

/// An event as Graph shows it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    pub(super) id: String,
    #[serde(rename = "@odata.etag")]
    pub(super) etag: Option<String>,
    pub(super) created_date_time: Option<String>,
    pub(super) is_cancelled: Option<bool>,
    pub(super) is_all_day: Option<bool>,
    pub(super) is_online_meeting: Option<bool>,
    pub(super) online_meeting: Option<OnlineMeeting>,
    pub(super) body: Option<Body>,
    #[serde(default)]
    pub(super) attendees: Vec<Attendee>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OnlineMeeting {
    pub(super) join_url: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Body {
    pub(super) content: Option<String>,
}

impl Event {
    pub(super) fn is_online_meeting(&self) -> bool {
        self.is_online_meeting == Some(true)
    }
}

/// A page of a collection.
#[derive(Deserialize)]
pub(super) struct Page<T> {
    pub(super) value: Vec<T>,
    #[serde(rename = "@odata.nextLink")]
    pub(super) next: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CalendarEntry {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) can_edit: Option<bool>,
    pub(super) is_default_calendar: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct User {
    pub(super) id: Option<String>,
    pub(super) mail: Option<String>,
    pub(super) user_principal_name: Option<String>,
}
