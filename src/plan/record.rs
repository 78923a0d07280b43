//! What is remembered of an event: before a call leaves, and after it is answered.
//!
//! The intent is committed before the call, so that whoever comes next after a crash knows what may
//! be in the calendar.

use super::Plan;
use crate::domain::{
    AppointmentId, CalendarId, Connection, Etag, EventContent, EventId, Fingerprint, Fingerprints,
    Mapping, MappingState, Parts, Timestamp,
};

/// The mapping to commit before the call of this plan leaves; `None` if the stored one will do.
pub fn intent(
    plan: &Plan,
    stored: Option<&Mapping>,
    appointment_id: AppointmentId,
    connection: &Connection,
) -> Option<Mapping> {
    match plan {
        Plan::Create(content) => Some(Mapping {
            connection_id: connection.id,
            appointment_id,
            state: MappingState::Creating,
            generation: stored.map_or(1, |mapping| mapping.generation.saturating_add(1)),
            calendar_id: connection.calendar.id.clone(),
            event_id: None,
            etag: None,
            pushed: Fingerprints::in_doubt(None, Some(&content.fingerprints()), Parts::ALL),
            shares_details: content.shares_details,
            ends_at: content.ends_at,
            last_synced_at: stored.and_then(|mapping| mapping.last_synced_at),
        }),
        Plan::FinishCreate(content) | Plan::Verify(content) => {
            Some(writing(stored?, content, Parts::ALL))
        }
        Plan::Update(content, parts) => Some(writing(stored?, content, *parts)),
        // If it is wanted again before anybody knows that it went, it must be looked for.
        Plan::Delete | Plan::MoveAway => Some(stored?)
            .filter(|stored| stored.pushed.is_some())
            .map(|stored| Mapping {
                pushed: Fingerprints::in_doubt(stored.pushed.as_ref(), None, GONE),
                ..stored.clone()
            }),
        Plan::Nothing(_) => None,
    }
}

/// What an event that may be gone may not show. Its guest would be ours all the same.
const GONE: Parts = Parts {
    guest: false,
    ..Parts::ALL
};

/// A write may land without anybody hearing of it, and what is wanted may be what it was before by
/// the time of the next one. Also a switch-off must find every event that may show details.
fn writing(stored: &Mapping, content: &EventContent, parts: Parts) -> Mapping {
    let new = content.fingerprints();
    let pushed = stored.pushed.as_ref();
    let guest = pushed.and_then(|pushed| pushed.guest.as_ref());
    Mapping {
        // Nobody knows whether our guest is on the list, and who is may have answered: it is read
        // before it is written.
        etag: stored
            .etag
            .clone()
            .filter(|_| !guest.is_some_and(Fingerprint::is_in_doubt)),
        pushed: Fingerprints::in_doubt(pushed, Some(&new), parts),
        shares_details: stored.shares_details || content.shares_details,
        ..stored.clone()
    }
}

/// The mapping after the event was seen to be there.
///
/// `wrote` says which of our parts it now shows as in `content`.
pub fn live(
    before: &Mapping,
    content: &EventContent,
    wrote: Parts,
    event_id: EventId,
    etag: Option<Etag>,
    now: Timestamp,
) -> Mapping {
    let new = content.fingerprints();
    let (text, guest) = (new.text.clone(), new.guest.clone());
    let pushed = match &before.pushed {
        Some(old) => Some(Fingerprints {
            schedule: pick(wrote.schedule, &new.schedule, &old.schedule),
            text: pick(wrote.text, &new.text, &old.text),
            guest: pick(wrote.guest, &new.guest, &old.guest),
        }),
        // Of an event whose first content is unknown, only a whole write tells what it shows.
        None => (wrote == Parts::ALL).then_some(new),
    };
    let clean = pushed
        .as_ref()
        .is_some_and(|pushed| pushed.text == text && pushed.guest == guest);
    Mapping {
        state: MappingState::Live,
        event_id: Some(event_id),
        etag,
        pushed,
        shares_details: content.shares_details || (before.shares_details && !clean),
        ends_at: if wrote.schedule {
            content.ends_at
        } else {
            before.ends_at
        },
        last_synced_at: Some(now),
        ..before.clone()
    }
}

/// The mapping after the event was seen to be gone. `wanted_in` is the calendar that is to hold one
/// ([`wanted_in`](super::wanted_in)).
///
/// There it is owed from now on. That it was there is otherwise known to nobody: should the job be
/// dropped before it has made the next one, automatic creation that is off would keep it away.
pub fn gone(before: &Mapping, wanted_in: Option<&CalendarId>, now: Timestamp) -> Mapping {
    let absent = Mapping {
        state: MappingState::Absent,
        event_id: None,
        etag: None,
        pushed: None,
        shares_details: false,
        last_synced_at: Some(now),
        ..before.clone()
    };
    match wanted_in {
        Some(calendar_id) => Mapping {
            state: MappingState::Creating,
            generation: before.generation.saturating_add(1),
            calendar_id: calendar_id.clone(),
            ..absent
        },
        None => absent,
    }
}

fn pick<T: Clone>(new_one: bool, new: &T, old: &T) -> T {
    if new_one { new.clone() } else { old.clone() }
}
