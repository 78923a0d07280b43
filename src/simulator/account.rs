//! Accounts, their calendars and the events in them: what the providers hold.

use std::collections::{BTreeMap, HashMap};

use chrono_tz::Tz;
use serde_json::{Map, Value};

use crate::domain::{Entropy, ProviderKind, Timestamp};

use super::quota::SlidingWindow;
use super::random;

/// Every account of both providers.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    all: BTreeMap<AccountKey, Account>,
}

/// Names an account: the provider and the address in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct AccountKey {
    pub(super) provider: ProviderKind,
    pub(super) email: String,
}

impl AccountKey {
    pub(super) fn new(provider: ProviderKind, email: &str) -> Self {
        Self {
            provider,
            email: email.trim().to_lowercase(),
        }
    }
}

impl Accounts {
    pub(super) fn get(&self, key: &AccountKey) -> Option<&Account> {
        self.all.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &AccountKey) -> Option<&mut Account> {
        self.all.get_mut(key)
    }

    /// The account, made with its three calendars if it is new.
    pub(super) fn open(
        &mut self,
        key: &AccountKey,
        time_zone: Tz,
        entropy: &dyn Entropy,
    ) -> &mut Account {
        self.all
            .entry(key.clone())
            .or_insert_with(|| Account::new(key, time_zone, entropy))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&AccountKey, &Account)> {
        self.all.iter()
    }

    pub(super) fn clear(&mut self) {
        self.all.clear();
    }
}

/// One person's account at one provider.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) id: String,
    pub(super) email: String,
    pub(super) time_zone: Tz,
    pub(super) calendars: Vec<CalendarState>,
    pub(super) used: SlidingWindow,
    /// Calls under way, for Graph's limit per mailbox.
    pub(super) in_flight: usize,
    /// Graph's transaction ids: what they were first used for.
    pub(super) transactions: HashMap<String, Transaction>,
}

/// The first use of a transaction id.
#[derive(Clone, Debug)]
pub(super) struct Transaction {
    pub(super) event_id: String,
    /// Digest of calendar and body, to tell a repetition from another use.
    pub(super) content: [u8; 32],
}

impl Account {
    fn new(key: &AccountKey, time_zone: Tz, entropy: &dyn Entropy) -> Self {
        let calendar = |id: String, name: &str, access, primary| CalendarState {
            id,
            name: name.to_owned(),
            time_zone,
            access,
            primary,
            events: HashMap::new(),
        };
        let (primary, second, holidays, primary_name) = match key.provider {
            ProviderKind::Google => (
                key.email.clone(),
                format!(
                    "{}@group.calendar.google.com",
                    random::uuid(entropy).simple()
                ),
                "en.german#holiday@group.v.calendar.google.com".to_owned(),
                key.email.as_str(),
            ),
            ProviderKind::Outlook => (
                random::token(entropy, "AQMkAD", 42),
                random::token(entropy, "AQMkAD", 42),
                random::token(entropy, "AQMkAD", 42),
                "Calendar",
            ),
        };
        Self {
            id: match key.provider {
                ProviderKind::Google => {
                    let id = random::uuid(entropy).as_u128() % 1_000_000_000_000_000_000_000;
                    format!("{id:021}")
                }
                ProviderKind::Outlook => random::uuid(entropy).to_string(),
            },
            email: key.email.clone(),
            time_zone,
            calendars: vec![
                calendar(primary, primary_name, Access::Owner, true),
                calendar(second, "Coaching", Access::Owner, false),
                calendar(holidays, "Holidays", Access::Reader, false),
            ],
            used: SlidingWindow::default(),
            in_flight: 0,
            transactions: HashMap::new(),
        }
    }

    /// A calendar by id, or the primary one by Google's alias.
    pub(super) fn calendar(&self, id: &str) -> Option<&CalendarState> {
        self.calendars.iter().find(|calendar| calendar.answers(id))
    }

    pub(super) fn calendar_mut(&mut self, id: &str) -> Option<&mut CalendarState> {
        self.calendars
            .iter_mut()
            .find(|calendar| calendar.answers(id))
    }

    /// Finds a live event in any calendar.
    pub(super) fn find_live(&self, wanted: impl Fn(&EventState) -> bool) -> Option<(&str, &str)> {
        self.calendars.iter().find_map(|calendar| {
            calendar
                .events
                .values()
                .find(|event| event.is_live() && wanted(event))
                .map(|event| (calendar.id.as_str(), event.id.as_str()))
        })
    }
}

#[derive(Debug)]
pub(super) struct CalendarState {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) time_zone: Tz,
    pub(super) access: Access,
    pub(super) primary: bool,
    pub(super) events: HashMap<String, EventState>,
}

impl CalendarState {
    fn answers(&self, id: &str) -> bool {
        self.id == id || (self.primary && (id == "primary" || id.eq_ignore_ascii_case(&self.id)))
    }

    pub(super) fn is_writable(&self) -> bool {
        self.access == Access::Owner
    }

    /// Events in the order they were made, which is the order lists have.
    pub(super) fn in_order(&self) -> Vec<&EventState> {
        let mut events: Vec<_> = self.events.values().collect();
        events.sort_unstable_by_key(|event| event.made);
        events
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Owner,
    Reader,
}

/// An event as its provider keeps it.
#[derive(Clone, Debug)]
pub(super) struct EventState {
    /// Google: the id. Graph: the immutable id.
    pub(super) id: String,
    /// Graph: the id given to callers who do not ask for immutable ones. Google: unused, empty.
    pub(super) folder_id: String,
    /// Writable fields, in the provider's own JSON.
    pub(super) fields: Map<String, Value>,
    pub(super) starts_at: Timestamp,
    pub(super) ends_at: Timestamp,
    pub(super) standing: Standing,
    /// Position among all events ever made here.
    pub(super) made: u64,
    /// Changes with every change; unique among all versions of all events.
    pub(super) version: u64,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    pub(super) marks: Marks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Live,
    /// Google: cancelled, its id stays taken. Graph: in Deleted Items.
    Deleted,
}

/// What our product wrote into the event to find it again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) appointment_id: Option<String>,
    pub(super) event_key: Option<String>,
}

impl EventState {
    pub(super) fn is_live(&self) -> bool {
        self.standing == Standing::Live
    }

    pub(super) fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field)?.as_str()
    }
}
