//! What the calendars should hold after all that was acknowledged, and how to judge what they hold.

use std::collections::{BTreeMap, BTreeSet};

use calendar_integration::domain::{ProviderKind, Timestamp};
use calendar_integration::simulator::{Actor, EffectKind, LiveEvent, SimulatorHandle};
use uuid::Uuid;

use crate::support::Session;

/// A connection as the coach left it.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) id: Uuid,
    pub(super) coach: Uuid,
    pub(super) provider: ProviderKind,
    pub(super) email: String,
    pub(super) shows_details: bool,
    /// Ended ones keep their events as they were.
    pub(super) is_active: bool,
}

/// Acknowledged appointments and connections. Appointments only ever move to a later time, and what
/// is cancelled stays so: then the ledger shows whether something old came after something new.
#[derive(Clone, Debug, Default)]
pub(super) struct Desired {
    sessions: BTreeMap<Uuid, Session>,
    erased: BTreeSet<Uuid>,
    pub(super) links: Vec<Link>,
    /// Subjects of webhooks, and what is said of each at last.
    pub(super) told: Vec<(Uuid, &'static str)>,
}

impl Desired {
    pub(super) fn acknowledge(&mut self, session: Session) {
        self.sessions.insert(session.id, session);
    }

    /// Appointments that were reported, erased ones too.
    pub(super) fn shown(&self) -> impl Iterator<Item = Uuid> {
        self.sessions.keys().chain(&self.erased).copied()
    }

    pub(super) fn acknowledge_erasure(&mut self, id: Uuid) {
        self.sessions.remove(&id);
        self.erased.insert(id);
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.sessions.extend(other.sessions);
        self.erased.extend(other.erased);
        self.links.extend(other.links);
    }

    pub(super) fn link(&mut self, id: Uuid) -> &mut Link {
        let mut links = self.links.iter_mut();
        links.find(|link| link.id == id).expect("the connection")
    }

    /// Everything that is not as last acknowledged.
    pub(super) fn differences(&self, calendars: &SimulatorHandle) -> Vec<String> {
        let active = self.links.iter().filter(|link| link.is_active);
        active
            .flat_map(|link| {
                let events = calendars.live_events(link.provider, &link.email, None);
                self.differences_of(link, &events)
            })
            .collect()
    }

    fn differences_of(&self, link: &Link, events: &[LiveEvent]) -> Vec<String> {
        let mut wanted: BTreeMap<String, &Session> = self
            .sessions
            .values()
            .filter(|session| session.coach == link.coach && session.status == "confirmed")
            .map(|session| (session.id.to_string(), session))
            .collect();
        let place = format!("{} of {}", link.provider, link.email);
        let mut found = Vec::new();
        for event in events {
            let id = event.appointment_id.as_deref().unwrap_or_default();
            match wanted.remove(id) {
                None => found.push(format!("{place}: unwanted or twice: {event:?}")),
                Some(session) if !shows(event, session, link) => {
                    found.push(format!("{place}: not {session:?} but {event:?}"));
                }
                Some(_) => {}
            }
        }
        found.extend(wanted.keys().map(|id| format!("{place}: missing: {id}")));
        found
    }

    /// Effects that wrote an older state over a newer one, or came after the end of an appointment.
    pub(super) fn misordered(&self, calendars: &SimulatorHandle) -> Vec<String> {
        let mut newest: BTreeMap<(ProviderKind, String, String), Option<Timestamp>> =
            BTreeMap::new();
        let mut found = Vec::new();
        for effect in calendars.effects(0, usize::MAX) {
            let Some(id) = effect.appointment_id.clone() else {
                continue;
            };
            assert_eq!(effect.actor, Actor::Client, "nobody edits by hand here");
            let key = (effect.provider, effect.account.clone(), id);
            let before = newest.get(&key).copied();
            match effect.operation {
                EffectKind::Create | EffectKind::Restore | EffectKind::Update => {
                    let is_older = match before {
                        None => false,
                        Some(None) => true,
                        Some(newest) => effect.starts_at < newest,
                    };
                    if is_older {
                        found.push(format!("older or after its end: {effect:?}"));
                    }
                    newest.insert(key, effect.starts_at);
                }
                EffectKind::Delete => {
                    if !self.is_over(&key.2) {
                        found.push(format!("removed, but never cancelled: {effect:?}"));
                    }
                    newest.insert(key, None);
                }
                EffectKind::Mail | EffectKind::MeetingLost => {}
            }
        }
        found
    }

    fn is_over(&self, id: &str) -> bool {
        let id: Uuid = id.parse().expect("an id of ours");
        let session = self.sessions.get(&id);
        self.erased.contains(&id) || session.is_some_and(|session| session.status == "cancelled")
    }
}

fn shows(event: &LiveEvent, session: &Session, link: &Link) -> bool {
    let (title, guests) = if link.shows_details {
        let title = format!("ACT Coaching Session - {}", session.client);
        (title, vec![session.email])
    } else {
        ("ACT Coaching Session".to_owned(), Vec::new())
    };
    event.starts_at == session.starts_at
        && event.ends_at == session.ends_at
        && event.title == title
        && event.attendees == guests
}
