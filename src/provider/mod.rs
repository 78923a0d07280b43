//! The boundary to calendar services, in our own vocabulary.
//!
//! Owns the [`CalendarProvider`] trait and its two implementations, each with its wire structs,
//! conversion, batch format and failure classification. Leaves to others: *what* to do (`plan`),
//! *when* (`queue`, `connections`), and tokens (`oauth`, `connections`). No retry hides in here: a
//! call is made, its answer classified, and the queue owns time.
//!
//! To add a provider: a `ProviderKind`, a folder beside `google/` implementing the trait, its
//! sign-in settings in `config`, and its half of the simulator.

pub mod google;
mod guests;
#[cfg(test)]
mod hostile;
pub mod http;
pub mod microsoft;
mod script;

use async_trait::async_trait;
use secrecy::SecretString;

use crate::domain::{
    Calendar, CalendarId, CreateKey, Etag, EventContent, EventId, EventRef, Fingerprint, Parts,
    ProviderKind, SyncFailure,
};

/// What a call is made with.
#[derive(Clone, Copy)]
pub struct Access<'a> {
    pub token: &'a SecretString,
    /// Every call beyond the first of a change asks it before it leaves.
    pub budget: &'a dyn Budget,
}

impl std::fmt::Debug for Access<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Access(redacted)")
    }
}

/// The limits a provider sets, as seen by one connection.
pub trait Budget: Send + Sync {
    /// Takes `units` of the provider's quota, or says until when to wait.
    fn charge(&self, units: u32) -> Result<(), SyncFailure>;
}

/// A title as the service keeps it.
pub fn kept_title(provider: ProviderKind, title: &str) -> String {
    match provider {
        ProviderKind::Google => title.to_owned(),
        ProviderKind::Outlook => microsoft::subject(title),
    }
}

/// One change to one event. Carrying it out twice has the effect of once.
#[derive(Clone, Debug)]
pub enum Change {
    /// Make the event, once per key however often this is asked.
    Create {
        key: CreateKey,
        calendar_id: CalendarId,
        content: EventContent,
        /// An earlier attempt with this key may have landed, perhaps with other content.
        unsure: bool,
        /// The key was found taken with no event to be seen under it, for longer than a provider
        /// takes to show one: it is given up as gone.
        unseen_for_long: bool,
    },
    /// Write our parts into an event that should exist.
    Update {
        target: EventRef,
        content: EventContent,
        parts: Parts,
        /// Fingerprint of the guest we pushed last, or may have: the only guest that is ours to
        /// remove.
        pushed_guest: Option<Fingerprint>,
        /// Whether an event that the coach removed is put back, where the provider can; otherwise it
        /// is reported as gone.
        put_back: bool,
    },
    /// Look at the event. Untouched since our last write: done. Else as `Update` of all parts.
    Verify {
        target: EventRef,
        content: EventContent,
        pushed_guest: Option<Fingerprint>,
        put_back: bool,
    },
    /// Remove the event, and any other that carries its key. Gone already is success.
    Delete { target: EventRef },
}

impl Change {
    /// As metrics and traces name it.
    pub fn operation(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Update { .. } => "update",
            Self::Verify { .. } => "verify",
            Self::Delete { .. } => "delete",
        }
    }
}

/// How the event stands after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    Live {
        event_id: EventId,
        /// Present only if the event now holds nothing but what we wrote (see `Mapping::etag`).
        etag: Option<Etag>,
        /// Which of our parts the event now shows as asked.
        wrote: Wrote,
    },
    Gone,
}

/// What a successful change left in the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrote {
    /// Everything of ours is as in the content.
    All,
    /// Only these parts were written; the others are as they were.
    Only(Parts),
    /// Nothing needed writing: it was found as we left it.
    Nothing,
}

impl From<Parts> for Wrote {
    fn from(parts: Parts) -> Self {
        if parts == Parts::ALL {
            Self::All
        } else {
            Self::Only(parts)
        }
    }
}

/// Who signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Stable for ever, unlike the address.
    pub id: String,
    pub email: String,
}

/// A calendar service.
#[async_trait]
pub trait CalendarProvider: Send + Sync + std::fmt::Debug {
    fn kind(&self) -> ProviderKind;

    /// The most changes that [`perform`](Self::perform) takes at once.
    fn max_batch(&self) -> usize;

    /// Quota units that the first call of this change takes.
    fn units(&self, change: &Change) -> u32;

    /// The id an event with this key will have, where we choose it.
    fn planned_event_id(&self, key: &CreateKey) -> Option<EventId>;

    /// Carries out the changes, of different appointments, and answers each in its place.
    ///
    /// The first call of every change is charged by the caller, the calls it leads to (a conflict
    /// looked into, an event read) by the provider through [`Access::budget`].
    ///
    /// `NeedsReauth(GrantRefused)` from here means that the *access token* was refused. If it
    /// seemed valid, refresh it once and try again; only a refused refresh parks the connection.
    /// Every other `NeedsReauth` is final as it stands. This holds for all methods below, too.
    async fn perform(
        &self,
        access: Access<'_>,
        changes: &[Change],
    ) -> Vec<Result<Done, SyncFailure>>;

    /// Who this access belongs to. Charges its call itself, as do the methods below.
    async fn account(&self, access: Access<'_>) -> Result<Account, SyncFailure>;

    /// Calendars of the account that can be written to; the primary one first.
    async fn calendars(&self, access: Access<'_>) -> Result<Vec<Calendar>, SyncFailure>;

    /// One calendar. Absent: `None`; not writable (any more): `Permanent(CalendarReadOnly)`.
    async fn calendar(
        &self,
        access: Access<'_>,
        id: &CalendarId,
    ) -> Result<Option<Calendar>, SyncFailure>;
}
