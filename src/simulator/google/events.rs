//! Making, reading, changing and deleting single events.

use chrono_tz::Tz;
use poem::http::Method;
use serde_json::{Map, Value};

use crate::domain::Entropy;
use crate::simulator::account::{Account, AccountKey, CalendarState, EventState, Marks, Standing};
use crate::simulator::ledger::{CallKind, EffectKind};
use crate::simulator::message::{Call, Reply};
use crate::simulator::world::World;

use super::error::Problem;
use super::{conference, event, fields};

pub(super) fn insert(
    world: &mut World,
    call: &Call,
    account: &AccountKey,
    calendar_id: &str,
) -> Result<Reply, Problem> {
    let sent = fields::read(&call.body)?;
    let marks = event::marks(&sent);
    world.ledger.receive(call.at, &marks);
    let version = world.next_version();
    let entropy = world.entropy.clone();
    let calendar = writable(account_mut(world, account)?, calendar_id)?;
    let id = chosen_id(&sent, entropy.as_ref())?;
    if calendar.events.contains_key(&id) {
        let text = "The requested identifier already exists.";
        return Err(Problem::new(409, "duplicate", text));
    }
    let mut kept = Map::new();
    conference::follow(&mut kept, &sent, call.param("conferenceDataVersion"));
    let cancelled = sent.get("status").and_then(Value::as_str) == Some("cancelled");
    fields::merge(&mut kept, sent);
    let (starts_at, ends_at) = fields::settle(&mut kept, calendar.time_zone, &account.email)?;
    let guests = event::guests(&kept);
    let calendar_id = calendar.id.clone();
    calendar.events.insert(
        id.clone(),
        EventState {
            id: id.clone(),
            folder_id: String::new(),
            marks: event::marks(&kept),
            fields: kept,
            starts_at,
            ends_at,
            standing: if cancelled {
                Standing::Deleted
            } else {
                Standing::Live
            },
            made: version,
            version,
            created: call.at.now,
            updated: call.at.now,
        },
    );
    world.record(
        call.at,
        EffectKind::Create,
        account,
        &calendar_id,
        (&id, &marks),
    );
    mail(world, call, account, &calendar_id, (&id, &marks), &guests);
    shown(world, account, &calendar_id, &id)
}

/// `id` or `iCalUID`, never both: the pair yields this same misleading message.
fn chosen_id(sent: &Map<String, Value>, entropy: &dyn Entropy) -> Result<String, Problem> {
    let invalid = || Problem::invalid("Invalid resource id value.");
    match (sent.get("id").and_then(Value::as_str), sent.get("iCalUID")) {
        (Some(_), Some(Value::String(_))) => Err(invalid()),
        (Some(id), _) => {
            let alphabet = |c: char| matches!(c, '0'..='9' | 'a'..='v');
            if (5..=1024).contains(&id.len()) && id.chars().all(alphabet) {
                Ok(id.to_owned())
            } else {
                Err(invalid())
            }
        }
        (None, _) => {
            let mut random = [0; 16];
            entropy.fill(&mut random);
            Ok(data_encoding::BASE32HEX_NOPAD
                .encode(&random)
                .to_lowercase())
        }
    }
}

/// Everything that names an event by its id.
pub(super) fn on_event(
    world: &mut World,
    call: &Call,
    kind: CallKind,
    account: &AccountKey,
    (calendar_id, id): (&str, &str),
) -> Result<Reply, Problem> {
    let state = account_mut(world, account)?;
    let calendar = state.calendar(calendar_id).ok_or_else(Problem::not_found)?;
    let known = calendar.events.get(id).ok_or_else(Problem::not_found)?;
    let calendar_id = calendar.id.clone();
    let marks = known.marks.clone();
    if kind == CallKind::Get {
        let current = event::etag(known);
        world.ledger.receive(call.at, &marks);
        if call.header("if-none-match") == Some(current.as_str()) {
            return Ok(Reply::empty(304).with("etag", current));
        }
        return shown(world, account, &calendar_id, id);
    }
    let expected = call.header("if-match");
    let stale = expected.is_some_and(|tag| tag != "*" && tag != event::etag(known));
    world.ledger.receive(call.at, &marks);
    writable(account_mut(world, account)?, &calendar_id)?;
    if stale {
        return Err(Problem::new(412, "conditionNotMet", "Precondition Failed"));
    }
    if kind == CallKind::Delete {
        delete(world, call, account, (&calendar_id, id))
    } else {
        change(world, call, account, (&calendar_id, id))
    }
}

/// PATCH merges, PUT replaces. A cancelled event stays so unless the call says `confirmed`.
fn change(
    world: &mut World,
    call: &Call,
    account: &AccountKey,
    (calendar_id, id): (&str, &str),
) -> Result<Reply, Problem> {
    let sent = fields::read(&call.body)?;
    let refuses_undelete = world.config.limits.google_refuses_undelete;
    let version = world.next_version();
    let calendar = writable(account_mut(world, account)?, calendar_id)?;
    let zone = calendar.time_zone;
    let kept = calendar.events.get(id).ok_or_else(Problem::not_found)?;
    let before = kept.standing;
    let after = match sent.get("status").and_then(Value::as_str) {
        None => before,
        Some("cancelled") => Standing::Deleted,
        Some(_) => Standing::Live,
    };
    if refuses_undelete && before == Standing::Deleted && after == Standing::Live {
        return Err(Problem::new(403, "forbidden", "Forbidden"));
    }
    let mut changed = kept.clone();
    if call.method == Method::PUT {
        changed.fields = surviving_put(&kept.fields);
    }
    conference::follow(
        &mut changed.fields,
        &sent,
        call.param("conferenceDataVersion"),
    );
    fields::merge(&mut changed.fields, sent);
    let old_guests = event::guests(&kept.fields);
    finish(&mut changed, zone, account)?;
    changed.standing = after;
    changed.version = version;
    changed.updated = call.at.now;
    let marks = changed.marks.clone();
    let mut guests = event::guests(&changed.fields);
    guests.extend(
        old_guests
            .into_iter()
            .filter(|guest| !guests.contains(guest))
            .collect::<Vec<_>>(),
    );
    calendar.events.insert(id.to_owned(), changed);
    world.ledger.receive(call.at, &marks);
    let effect = match (before, after) {
        (Standing::Live, Standing::Live) => Some(EffectKind::Update),
        (Standing::Deleted, Standing::Live) => Some(EffectKind::Restore),
        (Standing::Live, Standing::Deleted) => Some(EffectKind::Delete),
        // Nobody can see a change to a cancelled event.
        (Standing::Deleted, Standing::Deleted) => None,
    };
    if let Some(effect) = effect {
        world.record(call.at, effect, account, calendar_id, (id, &marks));
        mail(world, call, account, calendar_id, (id, &marks), &guests);
    }
    shown(world, account, calendar_id, id)
}

/// What a PUT cannot clear by leaving it out.
fn surviving_put(fields: &Map<String, Value>) -> Map<String, Value> {
    ["iCalUID", "conferenceData", "hangoutLink"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), fields.get(name)?.clone())))
        .collect()
}

fn finish(changed: &mut EventState, zone: Tz, account: &AccountKey) -> Result<(), Problem> {
    let (starts_at, ends_at) = fields::settle(&mut changed.fields, zone, &account.email)?;
    changed.starts_at = starts_at;
    changed.ends_at = ends_at;
    changed.marks = event::marks(&changed.fields);
    Ok(())
}

/// Deleting marks the event cancelled; its id stays taken.
fn delete(
    world: &mut World,
    call: &Call,
    account: &AccountKey,
    (calendar_id, id): (&str, &str),
) -> Result<Reply, Problem> {
    let version = world.next_version();
    let calendar = writable(account_mut(world, account)?, calendar_id)?;
    let kept = calendar.events.get_mut(id).ok_or_else(Problem::not_found)?;
    if !kept.is_live() {
        return Err(Problem::new(410, "deleted", "Resource has been deleted"));
    }
    kept.standing = Standing::Deleted;
    kept.version = version;
    kept.updated = call.at.now;
    let marks = kept.marks.clone();
    let guests = event::guests(&kept.fields);
    world.record(
        call.at,
        EffectKind::Delete,
        account,
        calendar_id,
        (id, &marks),
    );
    mail(world, call, account, calendar_id, (id, &marks), &guests);
    Ok(Reply::empty(204))
}

/// Google mails guests only where the call asks for it.
fn mail(
    world: &mut World,
    call: &Call,
    account: &AccountKey,
    calendar_id: &str,
    event: (&str, &Marks),
    guests: &[String],
) {
    if matches!(call.param("sendUpdates"), Some("all" | "externalOnly")) {
        for _ in guests {
            world.record(call.at, EffectKind::Mail, account, calendar_id, event);
        }
    }
}

fn shown(
    world: &World,
    account: &AccountKey,
    calendar_id: &str,
    id: &str,
) -> Result<Reply, Problem> {
    let state = world.accounts.get(account).ok_or_else(Problem::not_found)?;
    let calendar = state.calendar(calendar_id).ok_or_else(Problem::not_found)?;
    let kept = calendar.events.get(id).ok_or_else(Problem::not_found)?;
    let body = event::render(state, calendar, kept);
    Ok(Reply::json(200, &body).with("etag", event::etag(kept)))
}

fn account_mut<'a>(world: &'a mut World, key: &AccountKey) -> Result<&'a mut Account, Problem> {
    world
        .accounts
        .get_mut(key)
        .ok_or_else(Problem::unauthorized)
}

fn writable<'a>(account: &'a mut Account, id: &str) -> Result<&'a mut CalendarState, Problem> {
    let calendar = account.calendar_mut(id).ok_or_else(Problem::not_found)?;
    if calendar.is_writable() {
        Ok(calendar)
    } else {
        let text = "You need to have writer access to this calendar.";
        Err(Problem::new(403, "requiredAccessLevel", text))
    }
}
