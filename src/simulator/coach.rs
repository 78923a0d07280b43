//! What people do to an event in their calendar's own pages: the coach, and the guest who answers.

use chrono::{NaiveDate, TimeDelta};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::domain::{ProviderKind, Timestamp};

use super::account::{AccountKey, EventState, Standing};
use super::ledger::{Actor, EffectKind, Place};
use super::message::Moment;
use super::random;
use super::world::World;
use super::{google, microsoft};

/// Names an event of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventSelector {
    EventId(String),
    /// The live event that carries our mark for this appointment.
    AppointmentId(String),
}

/// One thing a person does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum CoachEdit {
    /// Google: a colour id such as `"11"`. Outlook: a category.
    SetColour {
        colour: String,
    },
    /// Google: minutes of pop-ups. Outlook: the first is the one reminder, none turns it off.
    SetReminders {
        minutes: Vec<u32>,
    },
    /// The coach invites somebody; nobody else is dropped.
    AddAttendee {
        email: String,
    },
    SetTitle {
        title: String,
    },
    Move {
        starts_at: Timestamp,
        ends_at: Timestamp,
    },
    /// The event has no hours any more, but fills the days that it touched.
    AllDay,
    MoveToCalendar {
        calendar_id: String,
    },
    /// Google Meet, or a Teams meeting with its join block in the body.
    AddOnlineMeeting,
    GuestAnswers {
        email: String,
        answer: GuestAnswer,
    },
    Delete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuestAnswer {
    Accepted,
    Declined,
    Tentative,
}

/// Why an edit by hand could not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    #[error("no such account")]
    NoAccount,
    #[error("no such calendar")]
    NoCalendar,
    #[error("no such live event")]
    NoEvent,
    #[error("no such guest on the event")]
    NoGuest,
    #[error("the event would end before it starts")]
    EmptyRange,
}

pub(super) fn edit(
    world: &mut World,
    at: Moment,
    account: &AccountKey,
    selector: &EventSelector,
    edit: &CoachEdit,
) -> Result<(), EditError> {
    let version = world.next_version();
    let entropy = world.entropy.clone();
    let state = world
        .accounts
        .get_mut(account)
        .ok_or(EditError::NoAccount)?;
    let (calendar_id, event_id) = state
        .find_live(|event| match selector {
            EventSelector::EventId(id) => event.id == *id || event.folder_id == *id,
            EventSelector::AppointmentId(id) => event.marks.appointment_id.as_ref() == Some(id),
        })
        .map(|(calendar, event)| (calendar.to_owned(), event.to_owned()))
        .ok_or(EditError::NoEvent)?;
    let calendar = state
        .calendar_mut(&calendar_id)
        .ok_or(EditError::NoCalendar)?;
    let zone = calendar.time_zone;
    let event = calendar
        .events
        .get_mut(&event_id)
        .ok_or(EditError::NoEvent)?;
    match account.provider {
        ProviderKind::Google => google::by_hand::apply(event, zone, edit)?,
        ProviderKind::Outlook => microsoft::by_hand::apply(event, zone, edit)?,
    }
    event.version = version;
    // Reminders are the coach's own: setting them does not count as a change of the event.
    if !matches!(edit, CoachEdit::SetReminders { .. }) {
        event.updated = at.now;
    }
    let marks = event.marks.clone();
    let mut place = calendar_id.clone();
    let mut operation = EffectKind::Update;
    match edit {
        CoachEdit::Delete => {
            operation = EffectKind::Delete;
            delete(event, account.provider);
            let keep = account.provider == ProviderKind::Google
                || world.config.limits.microsoft_deleted_readable;
            if !keep {
                calendar.events.remove(&event_id);
            }
        }
        CoachEdit::MoveToCalendar { calendar_id: to } => {
            let mut moved = event.clone();
            moved.folder_id = random::token(entropy.as_ref(), "AAMkAD", 60);
            let target = state.calendar_mut(to).ok_or(EditError::NoCalendar)?;
            place.clone_from(&target.id);
            if target.id != calendar_id {
                target.events.insert(event_id.clone(), moved);
                if let Some(source) = state.calendar_mut(&calendar_id) {
                    source.events.remove(&event_id);
                }
            }
        }
        CoachEdit::Move { starts_at, ends_at } => {
            event.starts_at = *starts_at;
            event.ends_at = *ends_at;
        }
        CoachEdit::SetColour { .. }
        | CoachEdit::SetReminders { .. }
        | CoachEdit::AddAttendee { .. }
        | CoachEdit::SetTitle { .. }
        | CoachEdit::AllDay
        | CoachEdit::AddOnlineMeeting
        | CoachEdit::GuestAnswers { .. } => {}
    }
    let place = Place {
        account,
        calendar_id: &place,
        event_id: &event_id,
        starts_at: world.starts_at(account, &place, &event_id),
        marks: &marks,
    };
    world.ledger.record(at, Actor::Person, operation, place);
    Ok(())
}

/// The days that an event touches in the zone of its calendar: the first, and the one after the last.
pub(super) fn days(event: &EventState, zone: Tz) -> (NaiveDate, NaiveDate) {
    let day = |at: Timestamp| at.with_timezone(&zone).date_naive();
    let first = day(event.starts_at);
    // What ends at midnight does not touch the day that begins.
    let last = day(event.ends_at - TimeDelta::seconds(1)).max(first);
    (first, last.succ_opt().unwrap_or(last))
}

fn delete(event: &mut EventState, provider: ProviderKind) {
    event.standing = Standing::Deleted;
    if provider == ProviderKind::Google {
        event.fields.remove("status");
    }
}
