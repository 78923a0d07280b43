//! What calendars hold, in words that are the same for both providers.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{ProviderKind, Timestamp};

use super::account::{Account, AccountKey, CalendarState, EventState};
use super::markup;
use super::world::World;

/// An account and its calendars.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountView {
    pub provider: ProviderKind,
    pub email: String,
    pub time_zone: String,
    pub calendars: Vec<CalendarView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalendarView {
    pub id: String,
    pub name: String,
    pub time_zone: String,
    pub primary: bool,
    pub writable: bool,
    pub live_events: usize,
}

/// A live event as a person sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LiveEvent {
    pub provider: ProviderKind,
    pub account: String,
    pub calendar_id: String,
    /// For Outlook the immutable id.
    pub event_id: String,
    pub title: String,
    /// As kept: for Google what was sent, for Outlook a page of HTML.
    pub description: String,
    /// The same without markup.
    pub description_text: String,
    pub location: String,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    /// The zone as sent with the start; absent if none was.
    pub time_zone: Option<String>,
    pub attendees: Vec<String>,
    pub appointment_id: Option<String>,
    pub event_key: Option<String>,
    pub has_online_meeting: bool,
    /// The writable fields in the provider's own JSON.
    pub fields: Value,
}

/// More than one event where there should be one at most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Duplicate {
    /// Several live events of one account stand for one appointment.
    LiveEvents {
        provider: ProviderKind,
        account: String,
        appointment_id: String,
        event_ids: Vec<String>,
    },
    /// Events were created more than once under one key.
    Creates {
        provider: ProviderKind,
        event_key: String,
        count: u32,
    },
}

pub(super) fn accounts(world: &World) -> Vec<AccountView> {
    world
        .accounts
        .iter()
        .map(|(key, account)| AccountView {
            provider: key.provider,
            email: key.email.clone(),
            time_zone: account.time_zone.name().to_owned(),
            calendars: account.calendars.iter().map(calendar).collect(),
        })
        .collect()
}

fn calendar(calendar: &CalendarState) -> CalendarView {
    CalendarView {
        id: calendar.id.clone(),
        name: calendar.name.clone(),
        time_zone: calendar.time_zone.name().to_owned(),
        primary: calendar.primary,
        writable: calendar.is_writable(),
        live_events: live(calendar).count(),
    }
}

fn live(calendar: &CalendarState) -> impl Iterator<Item = &EventState> {
    calendar.events.values().filter(|event| event.is_live())
}

/// Live events of an account, of all its calendars or of one, by start.
pub(super) fn live_events(
    world: &World,
    key: &AccountKey,
    calendar_id: Option<&str>,
) -> Vec<LiveEvent> {
    let Some(account) = world.accounts.get(key) else {
        return Vec::new();
    };
    let mut events: Vec<LiveEvent> = account
        .calendars
        .iter()
        .filter(|calendar| match calendar_id {
            Some(id) => account
                .calendar(id)
                .is_some_and(|wanted| wanted.id == calendar.id),
            None => true,
        })
        .flat_map(|calendar| live(calendar).map(|event| event_view(key, calendar, event)))
        .collect();
    events.sort_by(|a, b| (a.starts_at, &a.event_id).cmp(&(b.starts_at, &b.event_id)));
    events
}

pub(super) fn event_view(
    key: &AccountKey,
    calendar: &CalendarState,
    event: &EventState,
) -> LiveEvent {
    let field = |name: &str| event.fields.get(name).unwrap_or(&Value::Null);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (title, description, location, guest_path, meeting) = match key.provider {
        ProviderKind::Google => (
            text(field("summary")),
            text(field("description")),
            text(field("location")),
            "/email",
            "conferenceData",
        ),
        ProviderKind::Outlook => (
            text(field("subject")),
            text(&field("body")["content"]),
            text(&field("location")["displayName"]),
            "/emailAddress/address",
            "onlineMeeting",
        ),
    };
    LiveEvent {
        provider: key.provider,
        account: key.email.clone(),
        calendar_id: calendar.id.clone(),
        event_id: event.id.clone(),
        title,
        description_text: shown_text(key.provider, &description),
        description,
        location,
        starts_at: event.starts_at,
        ends_at: event.ends_at,
        time_zone: field("start")["timeZone"].as_str().map(str::to_owned),
        attendees: field("attendees")
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|guest| Some(guest.pointer(guest_path)?.as_str()?.to_owned()))
            .collect(),
        appointment_id: event.marks.appointment_id.clone(),
        event_key: event.marks.event_key.clone(),
        has_online_meeting: event.fields.contains_key(meeting),
        fields: Value::Object(event.fields.clone()),
    }
}

/// Google shows line ends of a description as they are; in a page of HTML they mean nothing.
fn shown_text(provider: ProviderKind, description: &str) -> String {
    match provider {
        ProviderKind::Google => markup::to_text(&description.replace('\n', "<br>")),
        ProviderKind::Outlook => markup::to_text(description),
    }
}

pub(super) fn duplicates(world: &World) -> Vec<Duplicate> {
    let mut found: Vec<Duplicate> = world
        .accounts
        .iter()
        .flat_map(|(key, account)| live_twice(key, account))
        .collect();
    let created_twice = world.ledger.keys_created_twice().into_iter();
    found.extend(
        created_twice.map(|(provider, event_key, count)| Duplicate::Creates {
            provider,
            event_key,
            count,
        }),
    );
    found
}

fn live_twice(key: &AccountKey, account: &Account) -> Vec<Duplicate> {
    let mut by_appointment = std::collections::BTreeMap::<&str, Vec<String>>::new();
    for event in account.calendars.iter().flat_map(live) {
        if let Some(appointment) = &event.marks.appointment_id {
            let ids = by_appointment.entry(appointment).or_default();
            ids.push(event.id.clone());
        }
    }
    by_appointment
        .into_iter()
        .filter(|(_, ids)| ids.len() > 1)
        .map(|(appointment, event_ids)| Duplicate::LiveEvents {
            provider: key.provider,
            account: key.email.clone(),
            appointment_id: appointment.to_owned(),
            event_ids,
        })
        .collect()
}
