//! What to do about one appointment in one calendar.
//!
//! desired × mapping × settings → one action. Work is re-planned from what *is* each time, so it does
//! not matter in which order changes were reported, how often, or what happened to an earlier attempt.

use super::compose;
use crate::domain::{
    Appointment, AppointmentStatus, CalendarId, Connection, EventContent, Flags, Mapping,
    MappingState, Parts, Settings, Timestamp,
};

/// Everything a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    pub appointment: &'a Appointment,
    pub mapping: Option<&'a Mapping>,
    pub connection: &'a Connection,
    pub flags: Flags,
    pub now: Timestamp,
}

/// The one thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    Nothing(WhyNot),
    /// Make the next event; there is none.
    Create(EventContent),
    /// The event is owed, and an earlier create may have landed: make sure that there is one with this
    /// content.
    FinishCreate(EventContent),
    /// Write what differs into the event.
    Update(EventContent, Parts),
    /// Look whether the event is as we left it, and put right what is not.
    Verify(EventContent),
    /// Remove the event.
    Delete,
    /// Remove the event from the calendar it is in; the next plan creates it in the right one.
    MoveAway,
}

/// Why nothing is done: the answer to "why is this not in my calendar?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyNot {
    InStep,
    Unconfirmed,
    Cancelled,
    TookPlace,
    Erased,
    OtherCoach,
    SyncDisabled,
    AutoCreateOff,
    AutoUpdateOff,
}

impl WhyNot {
    /// For the coach.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InStep => "The calendar shows the appointment as it is.",
            Self::Unconfirmed => "The appointment is not confirmed yet.",
            Self::Cancelled => "The appointment is cancelled.",
            Self::TookPlace => "The appointment is over; its event, if any, stays as it was.",
            Self::Erased => "The appointment is being erased.",
            Self::OtherCoach => "The appointment belongs to another coach.",
            Self::SyncDisabled => "Sync is switched off for this calendar.",
            Self::AutoCreateOff => {
                "Automatic creation is switched off; \"Sync now\" adds the appointment."
            }
            Self::AutoUpdateOff => {
                "Automatic updates are switched off; \"Sync now\" carries the change."
            }
        }
    }
}

/// What the calendar should hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Desired {
    Event,
    /// Whatever is there stays; nothing is made.
    AsItIs,
    NoEvent(WhyNot),
}

pub fn plan(situation: Situation<'_>) -> Plan {
    let Situation {
        appointment,
        mapping,
        connection,
        flags,
        now,
    } = situation;
    let settings = &connection.settings;
    let scrub = mapping.is_some_and(|mapping| must_scrub(mapping, settings));
    if !settings.is_sync_enabled && !appointment.erased && !scrub {
        return Plan::Nothing(WhyNot::SyncDisabled);
    }
    let may_create = settings.auto_create_events || flags.forced;
    let may_update = settings.is_sync_enabled && (settings.auto_update_events || flags.forced);
    let content = compose(appointment, settings);

    match (
        desired(appointment, connection),
        mapping.map(|m| (m.state, m)),
    ) {
        (Desired::NoEvent(why), None | Some((MappingState::Absent, _))) => Plan::Nothing(why),
        // Not seen to exist, so no switch protects it; an event that may exist is settled.
        (Desired::NoEvent(_), Some((MappingState::Creating, _))) => Plan::Delete,
        (Desired::NoEvent(why), Some((MappingState::Live, mapping))) => {
            if may_update || why == WhyNot::Erased {
                Plan::Delete
            } else {
                texts_only_or(scrub, mapping, content, WhyNot::AutoUpdateOff)
            }
        }

        (Desired::AsItIs, None | Some((MappingState::Absent, _))) => {
            Plan::Nothing(WhyNot::TookPlace)
        }
        // Whether there is an event to leave as it is must be looked up.
        (Desired::AsItIs, Some((MappingState::Creating, _))) => Plan::Verify(content),
        (Desired::AsItIs, Some((MappingState::Live, mapping))) => {
            texts_only_or(scrub, mapping, content, WhyNot::TookPlace)
        }

        (Desired::Event, None | Some((MappingState::Absent, _))) => {
            if may_create {
                Plan::Create(content)
            } else {
                Plan::Nothing(WhyNot::AutoCreateOff)
            }
        }
        (Desired::Event, Some((MappingState::Creating, mapping))) => {
            if !settings.is_sync_enabled {
                // To take the details out of what may be there, not to make it.
                Plan::Verify(content)
            } else if mapping.calendar_id == connection.calendar.id {
                Plan::FinishCreate(content)
            } else {
                Plan::MoveAway
            }
        }
        (Desired::Event, Some((MappingState::Live, mapping))) => {
            let elsewhere =
                settings.is_sync_enabled && mapping.calendar_id != connection.calendar.id;
            let parts = differing(mapping, &content);
            if elsewhere && mapping.ends_at.max(content.ends_at) > now {
                Plan::MoveAway
            } else if !may_update {
                let why = if parts.any() {
                    WhyNot::AutoUpdateOff
                } else {
                    WhyNot::InStep
                };
                texts_only_or(scrub, mapping, content, why)
            } else if parts.any() {
                // What should be looked at anyway may differ in more than we know.
                let parts = if flags.verify { Parts::ALL } else { parts };
                Plan::Update(content, parts)
            } else if scrub {
                Plan::Update(content, TEXTS)
            } else if flags.verify {
                Plan::Verify(content)
            } else {
                Plan::Nothing(WhyNot::InStep)
            }
        }
    }
}

/// The calendar that is to hold an event of the appointment, if one is.
pub fn wanted_in<'a>(
    appointment: &Appointment,
    connection: &'a Connection,
) -> Option<&'a CalendarId> {
    (desired(appointment, connection) == Desired::Event).then_some(&connection.calendar.id)
}

fn desired(appointment: &Appointment, connection: &Connection) -> Desired {
    if appointment.erased {
        return Desired::NoEvent(WhyNot::Erased);
    }
    if appointment.coach_id != connection.coach_id {
        return Desired::NoEvent(WhyNot::OtherCoach);
    }
    match appointment.status {
        AppointmentStatus::Confirmed => Desired::Event,
        AppointmentStatus::Pending => Desired::NoEvent(WhyNot::Unconfirmed),
        AppointmentStatus::Cancelled => Desired::NoEvent(WhyNot::Cancelled),
        AppointmentStatus::Completed | AppointmentStatus::NoShow => Desired::AsItIs,
    }
}

/// What may hold client details.
const TEXTS: Parts = Parts {
    schedule: false,
    ..Parts::ALL
};

/// The event may show client details that are no longer shared.
fn must_scrub(mapping: &Mapping, settings: &Settings) -> bool {
    mapping.shares_details
        && !settings.include_client_details
        && mapping.state != MappingState::Absent
}

/// The switches forbid an update, but details that are no longer shared are taken out all the same.
fn texts_only_or(scrub: bool, mapping: &Mapping, content: EventContent, why: WhyNot) -> Plan {
    if !scrub {
        return Plan::Nothing(why);
    }
    let parts = Parts {
        schedule: false,
        ..differing(mapping, &content)
    };
    // Even if the texts happen to be equal, the event must be seen to be clean before we say so.
    let parts = if parts.any() { parts } else { TEXTS };
    Plan::Update(content, parts)
}

fn differing(mapping: &Mapping, content: &EventContent) -> Parts {
    let Some(pushed) = &mapping.pushed else {
        return Parts::ALL;
    };
    let wanted = content.fingerprints();
    Parts {
        schedule: pushed.schedule != wanted.schedule,
        text: pushed.text != wanted.text,
        guest: pushed.guest != wanted.guest,
    }
}
