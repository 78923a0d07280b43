//! The calendar list and single calendars.

use serde_json::{Value, json};

use crate::simulator::account::{Access, AccountKey, CalendarState};
use crate::simulator::message::{Call, Reply};
use crate::simulator::world::World;

use super::error::Problem;
use super::list::{Page, page};

pub(super) fn list(world: &World, call: &Call, account: &AccountKey) -> Result<Reply, Problem> {
    let state = world
        .accounts
        .get(account)
        .ok_or_else(Problem::unauthorized)?;
    let role = call.param("minAccessRole").unwrap_or("freeBusyReader");
    let calendars: Vec<&CalendarState> = state
        .calendars
        .iter()
        .filter(|calendar| match role {
            "writer" | "owner" => calendar.is_writable(),
            _ => true,
        })
        .collect();
    let Page { items, next } = page(world, call, &calendars, (100, 250))?;
    let mut body = json!({
        "kind": "calendar#calendarList",
        "etag": "\"list\"",
        "items": items.iter().map(|calendar| entry(calendar)).collect::<Vec<_>>(),
    });
    if let Some(next) = next {
        body["nextPageToken"] = next.into();
    }
    Ok(Reply::json(200, &body))
}

pub(super) fn get(world: &World, account: &AccountKey, id: &str) -> Result<Reply, Problem> {
    let calendar = world
        .accounts
        .get(account)
        .and_then(|state| state.calendar(id))
        .ok_or_else(Problem::not_found)?;
    let body = json!({
        "kind": "calendar#calendar",
        "etag": "\"calendar\"",
        "id": calendar.id,
        "summary": calendar.name,
        "timeZone": calendar.time_zone.name(),
    });
    Ok(Reply::json(200, &body))
}

/// The calendar as the account's list shows it, with the account's role.
pub(super) fn entry_of(world: &World, account: &AccountKey, id: &str) -> Result<Reply, Problem> {
    let calendar = world
        .accounts
        .get(account)
        .and_then(|state| state.calendar(id))
        .ok_or_else(Problem::not_found)?;
    Ok(Reply::json(200, &entry(calendar)))
}

fn entry(calendar: &CalendarState) -> Value {
    let mut entry = json!({
        "kind": "calendar#calendarListEntry",
        "etag": "\"entry\"",
        "id": calendar.id,
        "summary": calendar.name,
        "timeZone": calendar.time_zone.name(),
        "colorId": "14",
        "selected": true,
        "defaultReminders": [],
        "accessRole": role(calendar),
    });
    if calendar.primary {
        entry["primary"] = true.into();
    }
    entry
}

pub(super) fn role(calendar: &CalendarState) -> &'static str {
    match calendar.access {
        Access::Owner => "owner",
        Access::Reader => "reader",
    }
}
