//! Lists of events, and paging.

use serde_json::json;

use crate::domain::Timestamp;
use crate::simulator::account::{AccountKey, EventState};
use crate::simulator::message::{Call, Reply};
use crate::simulator::world::World;

use super::calendars::role;
use super::error::Problem;
use super::event;

pub(super) const PARAMETERS: &[&str] = &[
    "alwaysIncludeEmail",
    "eventTypes",
    "iCalUID",
    "maxAttendees",
    "maxResults",
    "orderBy",
    "pageToken",
    "privateExtendedProperty",
    "sharedExtendedProperty",
    "showDeleted",
    "showHiddenInvitations",
    "singleEvents",
    "timeMax",
    "timeMin",
    "timeZone",
    "updatedMin",
];

pub(super) fn list(
    world: &World,
    call: &Call,
    account: &AccountKey,
    calendar_id: &str,
) -> Result<Reply, Problem> {
    let state = world.accounts.get(account).ok_or_else(Problem::not_found)?;
    let calendar = state.calendar(calendar_id).ok_or_else(Problem::not_found)?;
    let filter = Filter::read(call)?;
    let mut events: Vec<&EventState> = calendar
        .in_order()
        .into_iter()
        .filter(|event| filter.admits(event))
        .collect();
    match call.param("orderBy") {
        None => {}
        Some("startTime") if call.param("singleEvents") == Some("true") => {
            events.sort_by_key(|event| event.starts_at);
        }
        Some("updated") => events.sort_by_key(|event| event.updated),
        Some(_) => return Err(Problem::invalid("Invalid value for orderBy.")),
    }
    let Page { items, next } = page(world, call, &events, (250, 2500))?;
    let items: Vec<_> = items
        .iter()
        .map(|kept| event::render(state, calendar, kept))
        .collect();
    let mut body = json!({
        "kind": "calendar#events",
        "etag": "\"events\"",
        "summary": calendar.name,
        "timeZone": calendar.time_zone.name(),
        "accessRole": role(calendar),
        "defaultReminders": [],
        "items": items,
    });
    if let Some(next) = next {
        body["nextPageToken"] = next.into();
    }
    Ok(Reply::json(200, &body))
}

struct Filter {
    deleted_too: bool,
    ends_after: Option<Timestamp>,
    starts_before: Option<Timestamp>,
    updated_since: Option<Timestamp>,
    private: Option<(String, String)>,
    shared: Option<(String, String)>,
    ical_uid: Option<String>,
}

impl Filter {
    fn read(call: &Call) -> Result<Self, Problem> {
        let updated_since = time(call, "updatedMin")?;
        let filter = Self {
            deleted_too: call.param("showDeleted") == Some("true") || updated_since.is_some(),
            ends_after: time(call, "timeMin")?,
            starts_before: time(call, "timeMax")?,
            updated_since,
            private: property(call, "privateExtendedProperty")?,
            shared: property(call, "sharedExtendedProperty")?,
            ical_uid: call.param("iCalUID").map(str::to_owned),
        };
        if let (Some(min), Some(max)) = (filter.ends_after, filter.starts_before)
            && max <= min
        {
            let text = "The specified time range is empty.";
            return Err(Problem::new(400, "timeRangeEmpty", text));
        }
        Ok(filter)
    }

    fn admits(&self, event: &EventState) -> bool {
        (self.deleted_too || event.is_live())
            && self.ends_after.is_none_or(|min| event.ends_at > min)
            && self.starts_before.is_none_or(|max| event.starts_at < max)
            && self.updated_since.is_none_or(|min| event.updated >= min)
            && has_property(event, "private", self.private.as_ref())
            && has_property(event, "shared", self.shared.as_ref())
            && self.ical_uid.as_ref().is_none_or(|uid| {
                event.text("iCalUID").map_or_else(
                    || *uid == format!("{}@google.com", event.id),
                    |own| own == uid,
                )
            })
    }
}

fn has_property(event: &EventState, copy: &str, wanted: Option<&(String, String)>) -> bool {
    wanted.is_none_or(|(name, value)| {
        let texts = event
            .fields
            .get("extendedProperties")
            .and_then(|properties| properties.get(copy));
        texts
            .and_then(|texts| texts.get(name))
            .and_then(serde_json::Value::as_str)
            == Some(value)
    })
}

fn time(call: &Call, name: &str) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = call.param(name) else {
        return Ok(None);
    };
    chrono::DateTime::parse_from_rfc3339(text)
        .map(|at| Some(at.to_utc()))
        .map_err(|_| Problem::new(400, "badRequest", format!("Invalid value for {name}.")))
}

/// One constraint at most: of several, one page says all must match and another that any may, so
/// nobody should send them.
fn property(call: &Call, name: &str) -> Result<Option<(String, String)>, Problem> {
    let mut values = call.query.iter().filter(|(key, _)| key == name);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some((_, value)), None) => value
            .split_once('=')
            .map(|(name, value)| Some((name.to_owned(), value.to_owned())))
            .ok_or_else(|| Problem::invalid(format!("Invalid value for {name}."))),
        (Some(_), Some(_)) => Err(Problem::invalid(format!("Repeated {name}."))),
    }
}

/// A stretch of a list, and the token of the next one.
pub(super) struct Page<'a, T> {
    pub(super) items: &'a [T],
    pub(super) next: Option<String>,
}

/// The page a call asks for. `sizes` are the usual and the greatest.
pub(super) fn page<'a, T>(
    world: &World,
    call: &Call,
    all: &'a [T],
    (usual, greatest): (usize, usize),
) -> Result<Page<'a, T>, Problem> {
    let asked = match call.param("maxResults") {
        None => usual,
        Some(text) => text
            .parse()
            .ok()
            .filter(|size| (1..=greatest).contains(size))
            .ok_or_else(|| Problem::invalid("Invalid value for maxResults."))?,
    };
    let size = world
        .config
        .limits
        .page_cap
        .unwrap_or(asked)
        .clamp(1, asked);
    let from = match call.param("pageToken") {
        None => 0,
        Some(token) => data_encoding::BASE64URL_NOPAD
            .decode(token.as_bytes())
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok()?.parse().ok())
            .ok_or_else(|| Problem::invalid("Invalid page token value."))?,
    };
    let from = all.len().min(from);
    let to = all.len().min(from + size);
    Ok(Page {
        items: all.get(from..to).unwrap_or_default(),
        next: (to < all.len())
            .then(|| data_encoding::BASE64URL_NOPAD.encode(to.to_string().as_bytes())),
    })
}
