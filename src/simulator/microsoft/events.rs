//! Making, reading, changing and deleting single events.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::simulator::account::{Account, AccountKey, EventState, Marks, Standing, Transaction};
use crate::simulator::ledger::{CallKind, EffectKind};
use crate::simulator::message::{Call, Reply};
use crate::simulator::random;
use crate::simulator::world::World;

use super::error::Problem;
use super::mailing::{Mailing, addresses};
use super::preferences::Preferences;
use super::query::Query;
use super::{body, calendars, event, fields, properties};

pub(super) fn create(
    world: &mut World,
    call: &Call,
    (account, calendar_id): (&AccountKey, Option<&str>),
    preferences: &Preferences,
) -> Result<Reply, Problem> {
    let sent = fields::read(&call.body)?;
    let mut kept = Map::new();
    fields::merge(&mut kept, sent.clone())?;
    let marks = properties::marks(&kept);
    world.ledger.receive(call.at, &marks);
    let (starts_at, ends_at) = fields::settle(&kept)?;
    let calendar_id = writable_calendar(world, account, calendar_id)?;
    if let Some(existing) = repeated(world, account, &calendar_id, &sent)? {
        return shown(
            world,
            201,
            (account, &existing),
            &Query::default(),
            preferences,
        );
    }
    let version = world.next_version();
    let id = random::token(world.entropy.as_ref(), "AAkALgAA", 60);
    let event = EventState {
        id: id.clone(),
        folder_id: random::token(world.entropy.as_ref(), "AAMkAD", 60),
        fields: kept,
        starts_at,
        ends_at,
        standing: Standing::Live,
        made: version,
        version,
        created: call.at.now,
        updated: call.at.now,
        marks: marks.clone(),
    };
    let guests = addresses(&event.fields);
    let state = account_mut(world, account)?;
    if let Some(transaction) = sent.get("transactionId").and_then(Value::as_str) {
        let first = Transaction {
            event_id: id.clone(),
            content: digest(&calendar_id, &sent),
        };
        state.transactions.insert(transaction.to_owned(), first);
    }
    if let Some(calendar) = state.calendar_mut(&calendar_id) {
        calendar.events.insert(id.clone(), event);
    }
    world.record(
        call.at,
        EffectKind::Create,
        account,
        &calendar_id,
        (&id, &marks),
    );
    mail(
        world,
        call,
        account,
        &calendar_id,
        (&id, &marks),
        guests.len(),
    );
    shown(world, 201, (account, &id), &Query::default(), preferences)
}

/// The event that this transaction id made already, if the content is the same. With other content
/// the id is refused.
fn repeated(
    world: &World,
    account: &AccountKey,
    calendar_id: &str,
    sent: &Map<String, Value>,
) -> Result<Option<String>, Problem> {
    let limits = &world.config.limits;
    let first = sent
        .get("transactionId")
        .and_then(Value::as_str)
        .and_then(|id| world.accounts.get(account)?.transactions.get(id));
    let Some(first) = first else {
        return Ok(None);
    };
    let state = world.accounts.get(account).ok_or_else(Problem::no_item)?;
    let lives = state
        .find_live(|event| event.id == first.event_id)
        .is_some();
    if lives && first.content == digest(calendar_id, sent) {
        return Ok(Some(first.event_id.clone()));
    }
    if !lives && !limits.microsoft_transaction_outlives_event {
        return Ok(None);
    }
    let mut problem = Problem::new(
        limits.microsoft_duplicate_status,
        "ErrorDuplicateTransactionId",
        "Your request can't be completed. The TransactionId is used by another event.",
    );
    if limits.microsoft_duplicate_names_event {
        problem.existing_event = Some(first.event_id.clone());
    }
    Err(problem)
}

/// Calendar and body; members of a JSON object are kept sorted, so equal bodies read alike.
fn digest(calendar_id: &str, sent: &Map<String, Value>) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(calendar_id);
    hash.update([0]);
    hash.update(Value::Object(sent.clone()).to_string());
    hash.finalize().into()
}

/// Everything that names an event by its id.
pub(super) fn on_event(
    world: &mut World,
    call: &Call,
    kind: CallKind,
    (account, asked_id): (&AccountKey, &str),
    (query, preferences): (&Query, &Preferences),
) -> Result<Reply, Problem> {
    let readable_when_deleted = world.config.limits.microsoft_deleted_readable
        && preferences.immutable_ids
        && kind == CallKind::Get;
    let state = world.accounts.get(account).ok_or_else(Problem::no_item)?;
    let (calendar, found) = state
        .calendars
        .iter()
        .find_map(|calendar| Some((calendar, find(calendar, asked_id, preferences)?)))
        .filter(|(_, found)| found.is_live() || readable_when_deleted)
        .ok_or_else(Problem::no_item)?;
    let (calendar_id, id, marks) = (calendar.id.clone(), found.id.clone(), found.marks.clone());
    let tag = event::etag(found);
    world.ledger.receive(call.at, &marks);
    if kind == CallKind::Get {
        return shown(world, 200, (account, &id), query, preferences);
    }
    writable_calendar(world, account, Some(&calendar_id))?;
    if call
        .header("if-match")
        .is_some_and(|wanted| wanted != "*" && wanted != tag)
    {
        let text = "The send or update operation could not be performed because the change key \
                    passed in the request does not match the current change key for the item.";
        return Err(Problem::new(412, "ErrorIrresolvableConflict", text));
    }
    if kind == CallKind::Delete {
        delete(world, call, account, &calendar_id, &id)
    } else {
        change(world, call, account, &calendar_id, &id)?;
        shown(world, 200, (account, &id), query, preferences)
    }
}

/// An event by the kind of id the caller asked for: the other kind names nothing.
fn find<'a>(
    calendar: &'a crate::simulator::account::CalendarState,
    id: &str,
    preferences: &Preferences,
) -> Option<&'a EventState> {
    if preferences.immutable_ids {
        calendar.events.get(id)
    } else {
        calendar.events.values().find(|event| event.folder_id == id)
    }
}

fn change(
    world: &mut World,
    call: &Call,
    account: &AccountKey,
    calendar_id: &str,
    id: &str,
) -> Result<(), Problem> {
    let sent = fields::read(&call.body)?;
    let version = world.next_version();
    let kept = event_mut(world, account, calendar_id, id)?;
    if sent.contains_key("transactionId")
        && sent.get("transactionId") != kept.fields.get("transactionId")
    {
        return Err(Problem::invalid("The transactionId cannot be changed."));
    }
    let mailing = Mailing::of(&sent);
    let mut changed = kept.clone();
    fields::merge(&mut changed.fields, sent)?;
    (changed.starts_at, changed.ends_at) = fields::settle(&changed.fields)?;
    let lost_meeting = drop_lost_meeting(&mut changed.fields);
    changed.marks = properties::marks(&changed.fields);
    changed.version = version;
    changed.updated = call.at.now;
    let mails = mailing.count(&addresses(&kept.fields), &addresses(&changed.fields));
    let marks = changed.marks.clone();
    *kept = changed;
    world.ledger.receive(call.at, &marks);
    world.record(
        call.at,
        EffectKind::Update,
        account,
        calendar_id,
        (id, &marks),
    );
    if lost_meeting {
        world.record(
            call.at,
            EffectKind::MeetingLost,
            account,
            calendar_id,
            (id, &marks),
        );
    }
    mail(world, call, account, calendar_id, (id, &marks), mails);
    Ok(())
}

/// An online meeting whose body no longer carries the join link is one no more.
fn drop_lost_meeting(fields: &mut Map<String, Value>) -> bool {
    let link = fields
        .get("onlineMeeting")
        .and_then(|meeting| meeting["joinUrl"].as_str());
    let lost = match (link, fields.get("body")) {
        (Some(link), Some(body)) => !body::has_join_link(body, link),
        (Some(_), None) => true,
        (None, _) => false,
    };
    if lost {
        fields.remove("onlineMeeting");
        fields.remove("onlineMeetingProvider");
        fields.insert("isOnlineMeeting".to_owned(), false.into());
    }
    lost
}

fn delete(
    world: &mut World,
    call: &Call,
    account: &AccountKey,
    calendar_id: &str,
    id: &str,
) -> Result<Reply, Problem> {
    let keeps = world.config.limits.microsoft_deleted_readable;
    let version = world.next_version();
    let kept = event_mut(world, account, calendar_id, id)?;
    kept.standing = Standing::Deleted;
    kept.version = version;
    let (marks, guests) = (kept.marks.clone(), addresses(&kept.fields));
    if !keeps && let Some(calendar) = account_mut(world, account)?.calendar_mut(calendar_id) {
        calendar.events.remove(id);
    }
    world.record(
        call.at,
        EffectKind::Delete,
        account,
        calendar_id,
        (id, &marks),
    );
    mail(
        world,
        call,
        account,
        calendar_id,
        (id, &marks),
        guests.len(),
    );
    Ok(Reply::empty(204))
}

fn mail(
    world: &mut World,
    call: &Call,
    account: &AccountKey,
    calendar_id: &str,
    event: (&str, &Marks),
    mails: usize,
) {
    for _ in 0..mails {
        world.record(call.at, EffectKind::Mail, account, calendar_id, event);
    }
}

fn shown(
    world: &World,
    status: u16,
    (account, id): (&AccountKey, &str),
    query: &Query,
    preferences: &Preferences,
) -> Result<Reply, Problem> {
    let state = world.accounts.get(account).ok_or_else(Problem::no_item)?;
    let kept = state
        .calendars
        .iter()
        .find_map(|calendar| calendar.events.get(id))
        .ok_or_else(Problem::no_item)?;
    let body = event::render(state, kept, query, preferences)?;
    Ok(Reply::json(status, &body).with("etag", event::etag(kept)))
}

fn account_mut<'a>(world: &'a mut World, key: &AccountKey) -> Result<&'a mut Account, Problem> {
    world.accounts.get_mut(key).ok_or_else(Problem::no_item)
}

fn event_mut<'a>(
    world: &'a mut World,
    account: &AccountKey,
    calendar_id: &str,
    id: &str,
) -> Result<&'a mut EventState, Problem> {
    account_mut(world, account)?
        .calendar_mut(calendar_id)
        .and_then(|calendar| calendar.events.get_mut(id))
        .ok_or_else(Problem::no_item)
}

fn writable_calendar(
    world: &World,
    account: &AccountKey,
    id: Option<&str>,
) -> Result<String, Problem> {
    let state = world.accounts.get(account).ok_or_else(Problem::no_item)?;
    let calendar = calendars::find(&state.calendars, id).ok_or_else(Problem::no_item)?;
    if calendar.is_writable() {
        Ok(calendar.id.clone())
    } else {
        let text = "Access is denied. Check credentials and try again.";
        Err(Problem::new(403, "ErrorAccessDenied", text))
    }
}
