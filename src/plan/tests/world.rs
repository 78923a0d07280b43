//! One appointment, one connection, and a calendar in memory that does exactly what a plan asks.
//!
//! Attempts follow the worker's order: the intent is kept, the call leaves, its answer is kept. Each
//! may be cut short after any of the three, as by a crash or a lost answer.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use uuid::Uuid;

use crate::domain::{
    Appointment, AppointmentId, AppointmentStatus, Calendar, CalendarId, Client, CoachId,
    Connection, ConnectionId, ConnectionStatus, Etag, EventContent, EventId, Fingerprint, Flags,
    Generation, LastSync, Mapping, MappingState, Parts, ProviderKind, Settings, Timestamp,
};
use crate::plan::{Plan, Situation, gone, intent, live, plan, wanted_in};

/// Stands in every client detail, and nowhere else.
pub(super) const SECRET: &str = "Confidential";
/// Invited by the coach.
pub(super) const FRIEND: &str = "friend@example.com";

/// How far an attempt gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Answered,
    /// Carried out, but nobody hears of it.
    AnswerLost,
    /// Intended, but never sent.
    NotSent,
}

/// What the calendar shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) calendar: CalendarId,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) location: Option<String>,
    pub(super) starts_at: Timestamp,
    pub(super) ends_at: Timestamp,
    pub(super) guests: BTreeSet<String>,
}

#[derive(Clone, Debug)]
struct Stored {
    event: Event,
    version: u32,
}

#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) appointment: Appointment,
    pub(super) connection: Connection,
    pub(super) mapping: Option<Mapping>,
    /// Of the pending job.
    pub(super) flags: Flags,
    pub(super) now: Timestamp,
    /// Events that were made, also by calls whose answer was lost.
    pub(super) creates: u32,
    events: BTreeMap<Generation, Stored>,
    versions: u32,
}

enum Done {
    Live {
        event_id: EventId,
        etag: Option<Etag>,
        wrote: Parts,
    },
    Gone,
    /// Not there to be changed: the next one takes the next generation.
    Stale,
}

impl World {
    pub(super) fn new() -> Self {
        let now: Timestamp = "2026-11-01T12:00:00Z".parse().expect("an instant");
        let coach_id = CoachId(Uuid::from_u128(1));
        let appointment = Appointment {
            id: AppointmentId(Uuid::from_u128(2)),
            coach_id,
            status: AppointmentStatus::Confirmed,
            starts_at: now + TimeDelta::hours(1),
            ends_at: now + TimeDelta::hours(2),
            time_zone: chrono_tz::Europe::Berlin,
            client: client("a"),
            notes: None,
            location: None,
            meeting_url: None,
            revision: None,
            erased: false,
        };
        let connection = Connection {
            id: ConnectionId(Uuid::from_u128(3)),
            coach_id,
            provider: ProviderKind::Google,
            account_id: "account".into(),
            account_email: "coach@example.com".into(),
            calendar: Calendar {
                id: "home".into(),
                name: "Home".into(),
                time_zone: None,
                primary: true,
            },
            status: ConnectionStatus::Active,
            status_reason: None,
            settings: Settings::default(),
            settings_version: 1,
            last_sync_at: None,
            last_sync_status: LastSync::Pending,
            last_sync_error: None,
            created_at: now,
            updated_at: now,
        };
        Self {
            appointment,
            connection,
            mapping: None,
            flags: Flags::CHANGE,
            now,
            creates: 0,
            events: BTreeMap::new(),
            versions: 0,
        }
    }

    pub(super) fn plan(&self) -> Plan {
        plan(Situation {
            appointment: &self.appointment,
            mapping: self.mapping.as_ref(),
            connection: &self.connection,
            flags: self.flags,
            now: self.now,
        })
    }

    /// Plans and does; answers what was planned.
    pub(super) fn attempt(&mut self, fate: Fate) -> Plan {
        let plan = self.plan();
        let intended = intent(
            &plan,
            self.mapping.as_ref(),
            self.appointment.id,
            &self.connection,
        );
        if intended.is_some() {
            self.mapping = intended;
        }
        let Some(before) = self
            .mapping
            .clone()
            .filter(|_| !matches!(plan, Plan::Nothing(_)))
        else {
            self.flags = Flags::CHANGE;
            return plan;
        };
        let done = match fate {
            Fate::Answered => self.carry_out(&plan, &before),
            Fate::AnswerLost => {
                self.carry_out(&plan, &before);
                return plan;
            }
            Fate::NotSent => return plan,
        };
        self.settle(&plan, &before, done);
        plan
    }

    /// Attempts until nothing is left to do; answers what was done, or `None` if there is no end.
    pub(super) fn work(&mut self) -> Option<Vec<Plan>> {
        let mut done = Vec::new();
        for _ in 0..8 {
            match self.attempt(Fate::Answered) {
                Plan::Nothing(_) => return Some(done),
                plan => done.push(plan),
            }
        }
        None
    }

    fn settle(&mut self, plan: &Plan, before: &Mapping, done: Done) {
        // What is done has no job any more; the others' goes on.
        if !matches!((&done, plan), (Done::Stale, _) | (_, Plan::MoveAway)) {
            self.flags = Flags::CHANGE;
        }
        let wanted_in = wanted_in(&self.appointment, &self.connection);
        self.mapping = Some(match (done, content(plan)) {
            (
                Done::Live {
                    event_id,
                    etag,
                    wrote,
                },
                Some(content),
            ) => live(before, content, wrote, event_id, etag, self.now),
            (Done::Live { .. } | Done::Gone | Done::Stale, _) => gone(before, wanted_in, self.now),
        });
    }

    fn carry_out(&mut self, plan: &Plan, mapping: &Mapping) -> Done {
        let pushed_guest = mapping
            .pushed
            .as_ref()
            .and_then(|pushed| pushed.guest.as_ref());
        match plan {
            Plan::Nothing(_) => Done::Gone,
            Plan::Create(content) | Plan::FinishCreate(content) => {
                if !self.events.contains_key(&mapping.generation) {
                    self.creates += 1;
                }
                let event = Event {
                    calendar: mapping.calendar_id.clone(),
                    title: content.title.clone(),
                    description: content.description.clone(),
                    location: content.location.clone(),
                    starts_at: content.starts_at,
                    ends_at: content.ends_at,
                    guests: content.attendee.iter().map(|c| c.email.clone()).collect(),
                };
                self.store(mapping.generation, event);
                self.shown(mapping, content, None, Parts::ALL)
            }
            Plan::Update(content, parts) => self.write(mapping, content, *parts, pushed_guest),
            Plan::Verify(content) => {
                if self.is_untouched(mapping) {
                    return self.shown(mapping, content, pushed_guest, Parts::NONE);
                }
                self.write(mapping, content, Parts::ALL, pushed_guest)
            }
            Plan::Delete | Plan::MoveAway => {
                self.events.remove(&mapping.generation);
                Done::Gone
            }
        }
    }

    fn write(
        &mut self,
        mapping: &Mapping,
        content: &EventContent,
        parts: Parts,
        pushed_guest: Option<&Fingerprint>,
    ) -> Done {
        let Some(stored) = self.events.get(&mapping.generation) else {
            return Done::Stale;
        };
        let mut event = stored.event.clone();
        let is_known = parts == Parts::ALL || self.is_untouched(mapping);
        if parts.schedule {
            event.starts_at = content.starts_at;
            event.ends_at = content.ends_at;
            event.location.clone_from(&content.location);
        }
        if parts.text {
            event.title.clone_from(&content.title);
            event.description.clone_from(&content.description);
        }
        if parts.guest {
            event.guests.retain(|guest| !is_ours(guest, pushed_guest));
            event
                .guests
                .extend(content.attendee.iter().map(|c| c.email.clone()));
        }
        self.store(mapping.generation, event);
        match self.shown(mapping, content, pushed_guest, parts) {
            Done::Live {
                event_id, wrote, ..
            } if !is_known => Done::Live {
                event_id,
                etag: None,
                wrote,
            },
            done => done,
        }
    }

    fn is_untouched(&self, mapping: &Mapping) -> bool {
        let known = mapping.etag.as_ref().map(Etag::as_str);
        known.is_some() && known == self.version(mapping.generation).as_deref()
    }

    fn shown(
        &self,
        mapping: &Mapping,
        content: &EventContent,
        pushed_guest: Option<&Fingerprint>,
        wrote: Parts,
    ) -> Done {
        let wanted = content.fingerprints().guest;
        let has_others = self
            .events
            .get(&mapping.generation)
            .into_iter()
            .flat_map(|stored| &stored.event.guests)
            .any(|guest| {
                Some(Fingerprint::of_guest(guest)) != wanted && !is_ours(guest, pushed_guest)
            });
        Done::Live {
            event_id: EventId(mapping.key().hex()),
            etag: self
                .version(mapping.generation)
                .filter(|_| !has_others)
                .map(Etag),
            wrote,
        }
    }

    fn store(&mut self, generation: Generation, event: Event) {
        self.versions += 1;
        let version = self.versions;
        self.events.insert(generation, Stored { event, version });
    }

    fn version(&self, generation: Generation) -> Option<String> {
        let stored = self.events.get(&generation)?;
        Some(stored.version.to_string())
    }

    /// Every event there is.
    pub(super) fn events(&self) -> Vec<&Event> {
        self.events.values().map(|stored| &stored.event).collect()
    }

    /// What should be shown while the appointment is confirmed.
    pub(super) fn desired(&self) -> Event {
        let content = crate::plan::compose(&self.appointment, &self.connection.settings);
        Event {
            calendar: self.connection.calendar.id.clone(),
            title: content.title,
            description: content.description,
            location: content.location,
            starts_at: content.starts_at,
            ends_at: content.ends_at,
            guests: content.attendee.into_iter().map(|c| c.email).collect(),
        }
    }

    /// Whether any event shows client details.
    pub(super) fn shows_details(&self) -> bool {
        self.events().iter().any(|event| {
            event.title.contains(SECRET)
                || event.description.contains(SECRET)
                || event.guests.iter().any(|guest| guest.contains(SECRET))
        })
    }

    pub(super) fn is_creating(&self) -> bool {
        self.mapping
            .as_ref()
            .is_some_and(|mapping| mapping.state == MappingState::Creating)
    }

    // What the coach does by hand.

    pub(super) fn coach_deletes(&mut self) {
        self.events.clear();
    }

    pub(super) fn coach_retitles(&mut self) {
        let changed: Vec<_> = self
            .events
            .iter()
            .map(|(generation, stored)| (*generation, stored.event.clone()))
            .collect();
        for (generation, mut event) in changed {
            event.title = "My own words".into();
            self.store(generation, event);
        }
    }

    pub(super) fn coach_invites(&mut self) {
        let changed: Vec<_> = self
            .events
            .iter()
            .map(|(generation, stored)| (*generation, stored.event.clone()))
            .collect();
        for (generation, mut event) in changed {
            event.guests.insert(FRIEND.into());
            self.store(generation, event);
        }
    }
}

/// One of two clients.
pub(super) fn client(which: &str) -> Client {
    Client {
        name: format!("{SECRET} {which}"),
        email: format!("{which}.{SECRET}@example.com"),
    }
}

fn is_ours(guest: &str, pushed: Option<&Fingerprint>) -> bool {
    pushed.is_some_and(|pushed| pushed.may_be(&Fingerprint::of_guest(guest)))
}

fn content(plan: &Plan) -> Option<&EventContent> {
    match plan {
        Plan::Create(content)
        | Plan::FinishCreate(content)
        | Plan::Update(content, _)
        | Plan::Verify(content) => Some(content),
        Plan::Nothing(_) | Plan::Delete | Plan::MoveAway => None,
    }
}
