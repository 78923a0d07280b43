//! Lists of events, and paging by link.

use serde_json::{Value, json};

use crate::simulator::account::{AccountKey, EventState};
use crate::simulator::message::{Call, Reply};
use crate::simulator::world::World;

use super::error::Problem;
use super::preferences::Preferences;
use super::query::Query;
use super::{calendars, event, properties};

pub(super) fn list(
    world: &World,
    call: &Call,
    (account, calendar_id): (&AccountKey, Option<&str>),
    query: &Query,
    preferences: &Preferences,
) -> Result<Reply, Problem> {
    let state = world.accounts.get(account).ok_or_else(Problem::no_item)?;
    let calendar = calendars::find(&state.calendars, calendar_id).ok_or_else(Problem::no_item)?;
    let events: Vec<&EventState> = calendar
        .in_order()
        .into_iter()
        .filter(|event| event.is_live())
        .filter(|event| {
            let wanted = query.filter.as_ref();
            wanted.is_none_or(|(id, value)| properties::has(event, id, value))
        })
        .collect();
    paged(world, call, &events, query, preferences.page_size, |kept| {
        event::render(state, kept, query, preferences)
    })
}

/// The page a call asks for, and the link to the next one.
pub(super) fn paged<T>(
    world: &World,
    call: &Call,
    all: &[T],
    query: &Query,
    preferred: Option<usize>,
    render: impl Fn(&T) -> Result<Value, Problem>,
) -> Result<Reply, Problem> {
    let asked = query.top.or(preferred).unwrap_or(USUAL_PAGE).max(1);
    let size = world
        .config
        .limits
        .page_cap
        .unwrap_or(asked)
        .clamp(1, asked);
    let from = all.len().min(query.skip);
    let to = all.len().min(from + size);
    let page = all.get(from..to).unwrap_or_default();
    let items = page.iter().map(render).collect::<Result<Vec<_>, _>>()?;
    let mut body = json!({"value": items});
    if to < all.len() {
        body["@odata.nextLink"] = next_link(world, call, to).into();
    }
    Ok(Reply::json(200, &body))
}

const USUAL_PAGE: usize = 10;

fn next_link(world: &World, call: &Call, skip: usize) -> String {
    let mut pairs = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in call.query.iter().filter(|(name, _)| name != "$skip") {
        pairs.append_pair(name, value);
    }
    pairs.append_pair("$skip", &skip.to_string());
    format!("{}{}?{}", world.base, call.path, pairs.finish())
}
