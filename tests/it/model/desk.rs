//! What was asked for: the appointments as reported, and each calendar's settings.

use std::collections::{BTreeSet, HashMap};

use calendar_integration::demo::Sharing;
use calendar_integration::domain::{ProviderKind, Timestamp};
use chrono::TimeDelta;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use uuid::Uuid;

use super::script::Change;
use crate::support::Session;

pub(super) const SLOTS: usize = 12;
/// Provider and coach of each.
pub(super) const CALENDARS: [(ProviderKind, usize); 4] = [
    (ProviderKind::Google, 0),
    (ProviderKind::Outlook, 0),
    (ProviderKind::Google, 1),
    (ProviderKind::Outlook, 1),
];
/// Nothing is switched off in this calendar, and its coach edits nothing by hand: it must be right
/// without "Sync now".
pub(super) const UNTOUCHED: usize = 3;

pub(super) const CLIENTS: [(&str, &str); 3] = [
    ("Wilhelmina Client", "wilhelmina@example.com"),
    ("Xaver Client", "xaver@example.com"),
    ("Yolanda Client", "yolanda@example.com"),
];
pub(super) const NOTES: [&str; 2] = ["Afraid of heights.", "Wants a new profession."];

/// Versions are this far apart; what a coach moves by hand lies in between.
const STRIDE: TimeDelta = TimeDelta::minutes(15);
/// So much after a quarter they begin: at midnight begins what a coach makes all-day.
const PAST_THE_QUARTER: TimeDelta = TimeDelta::minutes(4);

#[derive(Debug)]
pub(super) struct Calendar {
    pub(super) provider: ProviderKind,
    pub(super) email: String,
    pub(super) coach: Uuid,
    /// Of the connection.
    pub(super) id: Uuid,
    pub(super) connected: bool,
    pub(super) shares_details: bool,
    pub(super) invites: bool,
    /// Where the connection writes.
    pub(super) target: String,
    /// Something was not carried by itself.
    pub(super) needs_sync: bool,
    /// Erased while this calendar was disconnected: out of our reach.
    pub(super) beyond: BTreeSet<Uuid>,
}

impl Calendar {
    pub(super) fn sharing(&self) -> Sharing {
        match (self.shares_details, self.invites) {
            (false, _) => Sharing::Nothing,
            (true, false) => Sharing::Details,
            (true, true) => Sharing::DetailsAndGuest,
        }
    }
}

/// One appointment's history.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) session: Session,
    /// Everything reported since it was last erased; empty: it is not there.
    pub(super) reports: Vec<Session>,
    first_start: Timestamp,
    versions: i32,
    /// The coach had a hand in one of its events.
    touched: bool,
}

#[derive(Debug)]
pub(super) struct Desk {
    pub(super) coaches: [Uuid; 2],
    pub(super) calendars: Vec<Calendar>,
    pub(super) slots: Vec<Slot>,
    /// How often each appointment was erased.
    pub(super) erasures: HashMap<Uuid, usize>,
}

impl Desk {
    pub(super) fn new(seed: u64, now: Timestamp) -> Self {
        let mut dice = StdRng::seed_from_u64(!seed);
        let mut id = || Uuid::from_u128(dice.random());
        let coaches = [id(), id()];
        let calendars = CALENDARS.map(|(provider, coach)| Calendar {
            provider,
            email: format!("{}@example.com", coaches[coach].simple()),
            coach: coaches[coach],
            id: Uuid::nil(),
            connected: false,
            shares_details: false,
            invites: true,
            target: String::new(),
            needs_sync: false,
            beyond: BTreeSet::new(),
        });
        let slots = (0..SLOTS).map(|place| Slot::new(id(), place, coaches[place % 2], now));
        Self {
            coaches,
            calendars: calendars.into(),
            slots: slots.collect(),
            erasures: HashMap::new(),
        }
    }

    /// Takes the change down; the report to send.
    pub(super) fn change(&mut self, slot: usize, change: Change) -> Session {
        let [one, other] = self.coaches;
        let slot = self.alive(slot);
        match change {
            Change::Move { client, notes } => {
                slot.next_version();
                (slot.session.client, slot.session.email) = CLIENTS[client];
                slot.session.notes = notes.map(|notes| NOTES[notes]);
            }
            Change::Again if slot.reports.is_empty() => slot.next_version(),
            Change::Again => return slot.repeated(),
            // What the coach wrote into it would stay.
            Change::Status("completed" | "no_show") if slot.touched => {
                slot.session.status = "cancelled";
            }
            Change::Status(status) => slot.session.status = status,
            Change::Reassign => {
                slot.next_version();
                let is_one = slot.session.coach == one;
                slot.session.coach = if is_one { other } else { one };
            }
        }
        slot.reported()
    }

    /// Later and later versions that may arrive in any order; nothing where the last to arrive wins.
    pub(super) fn storm(&mut self, slot: usize, count: usize) -> Vec<Session> {
        let slot = self.alive(slot);
        if slot.session.revision.is_none() {
            return Vec::new();
        }
        (0..count)
            .map(|_| {
                slot.next_version();
                slot.reported()
            })
            .collect()
    }

    pub(super) fn erase(&mut self, slot: usize) -> Uuid {
        let slot = &mut self.slots[slot];
        slot.reports.clear();
        let id = slot.session.id;
        *self.erasures.entry(id).or_default() += 1;
        let away = self.calendars.iter_mut().filter(|one| !one.connected);
        for calendar in away {
            calendar.beyond.insert(id);
        }
        id
    }

    /// What was erased may not have left this calendar yet, and now it will not.
    pub(super) fn disconnected(&mut self, calendar: usize) {
        let erased = self.slots.iter().filter(|slot| slot.reports.is_empty());
        let erased = erased.map(|slot| slot.session.id);
        let calendar = &mut self.calendars[calendar];
        calendar.connected = false;
        calendar.beyond.extend(erased);
    }

    /// The appointment to report. One whose event may have been left behind is not reported again:
    /// nobody knows of that event any more.
    fn alive(&mut self, slot: usize) -> &mut Slot {
        let slot = &mut self.slots[slot];
        let left_behind = |one: &Calendar| one.beyond.contains(&slot.session.id);
        if slot.reports.is_empty() && self.calendars.iter().any(left_behind) {
            slot.session.id = Uuid::from_u128(slot.session.id.as_u128().wrapping_add(1));
        }
        slot
    }

    /// Whether the coach may have a hand in the event, and notes that.
    pub(super) fn touch(&mut self, slot: usize) -> bool {
        let slot = &mut self.slots[slot];
        let is_over = matches!(slot.session.status, "completed" | "no_show");
        slot.touched |= !is_over;
        !is_over
    }

    /// Everything reported, each appointment's in order.
    pub(super) fn reports(&self) -> impl Iterator<Item = &Session> {
        self.slots.iter().flat_map(|slot| &slot.reports)
    }

    /// Place of a start among the versions of its appointment.
    pub(super) fn version(&self, appointment: &str, starts_at: Timestamp) -> Option<i32> {
        let mut slots = self.slots.iter();
        let slot = slots.find(|slot| slot.session.id.to_string() == appointment)?;
        (0..=slot.versions).find(|version| slot.first_start + STRIDE * *version == starts_at)
    }
}

impl Slot {
    fn new(id: Uuid, place: usize, coach: Uuid, now: Timestamp) -> Self {
        let day = TimeDelta::days(i64::try_from(place).expect("few") + 1);
        let mut session = Session {
            id,
            time_zone: ["Europe/Berlin", "America/New_York", "Asia/Kolkata"][place % 3],
            location: [None, Some("Room 4")][place / 2 % 2],
            meeting_url: [None, Some("https://meet.example.com/1")][place / 4 % 2],
            ..Session::tomorrow(coach, now).moved(day + PAST_THE_QUARTER)
        };
        session.revision = (!place.is_multiple_of(3)).then_some(1);
        Self {
            first_start: session.starts_at,
            session,
            reports: Vec::new(),
            versions: 0,
            touched: false,
        }
    }

    fn next_version(&mut self) {
        self.versions += 1;
        self.session = self.session.clone().with_status("confirmed").moved(STRIDE);
    }

    fn reported(&mut self) -> Session {
        self.session.revision = self.session.revision.map(|revision| revision + 1);
        self.repeated()
    }

    fn repeated(&mut self) -> Session {
        self.reports.push(self.session.clone());
        self.session.clone()
    }

    /// What arrives too late, if that can be told.
    pub(super) fn stale(&self) -> Option<Session> {
        let last = self.reports.last()?;
        let late = last.clone().with_status("confirmed");
        Some(Session {
            revision: Some(last.revision? - 1),
            ..late.moved(TimeDelta::minutes(5))
        })
    }
}
