//! The signed-in user and the calendars of the mailbox.

use serde_json::{Value, json};

use crate::simulator::account::{AccountKey, CalendarState};
use crate::simulator::message::{Call, Reply};
use crate::simulator::world::World;

use super::error::Problem;
use super::list::paged;
use super::query::Query;

pub(super) fn me(world: &World, account: &AccountKey) -> Result<Reply, Problem> {
    let state = world
        .accounts
        .get(account)
        .ok_or_else(Problem::unauthorized)?;
    let body = json!({
        "id": state.id,
        "displayName": state.email,
        "mail": state.email,
        "userPrincipalName": state.email,
    });
    Ok(Reply::json(200, &body))
}

pub(super) fn list(
    world: &World,
    call: &Call,
    account: &AccountKey,
    query: &Query,
) -> Result<Reply, Problem> {
    let state = world.accounts.get(account).ok_or_else(Problem::no_item)?;
    let calendars: Vec<Value> = state
        .calendars
        .iter()
        .map(|calendar| render(calendar, &state.email))
        .collect();
    paged(world, call, &calendars, query, None, |calendar| {
        Ok(calendar.clone())
    })
}

pub(super) fn get(world: &World, account: &AccountKey, id: Option<&str>) -> Result<Reply, Problem> {
    let state = world.accounts.get(account).ok_or_else(Problem::no_item)?;
    let calendar = find(&state.calendars, id).ok_or_else(Problem::no_item)?;
    Ok(Reply::json(200, &render(calendar, &state.email)))
}

/// A calendar by its exact id, or the default one.
pub(super) fn find<'a>(
    calendars: &'a [CalendarState],
    id: Option<&str>,
) -> Option<&'a CalendarState> {
    calendars.iter().find(|calendar| match id {
        Some(id) => calendar.id == id,
        None => calendar.primary,
    })
}

fn render(calendar: &CalendarState, owner: &str) -> Value {
    let writable = calendar.is_writable();
    json!({
        "id": calendar.id,
        "name": calendar.name,
        "color": "auto",
        "hexColor": "",
        "changeKey": "simulated",
        "canEdit": writable,
        "canShare": writable,
        "canViewPrivateItems": writable,
        "isDefaultCalendar": calendar.primary,
        "isRemovable": !calendar.primary,
        "isTallyingResponses": calendar.primary,
        "allowedOnlineMeetingProviders": ["teamsForBusiness"],
        "defaultOnlineMeetingProvider": "teamsForBusiness",
        "owner": {"name": owner, "address": owner},
    })
}
