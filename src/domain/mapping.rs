//! Which event stands for which appointment in which calendar.

use sea_orm::{DeriveActiveEnum, EnumIter};
use sha2::{Digest, Sha256};

use super::{AppointmentId, CalendarId, ConnectionId, Etag, EventId, Fingerprints, Timestamp};

/// Counts the events that were ever made for one (connection, appointment), from 1.
///
/// A deleted Google event keeps its id taken, so the next event needs another generation.
pub type Generation = i32;

/// What we know of the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum MappingState {
    /// An event is owed: a create is to leave, or left and an event may exist. Whoever comes next
    /// settles it, whatever is switched off by then.
    Creating,
    /// The event exists.
    Live,
    /// The event is gone; the row keeps its generation.
    Absent,
}

/// The memory of one (connection, appointment).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    pub connection_id: ConnectionId,
    pub appointment_id: AppointmentId,
    pub state: MappingState,
    pub generation: Generation,
    /// The calendar that holds the event, which the connection's target may have left since.
    pub calendar_id: CalendarId,
    /// Unknown while `Creating` at a provider that makes the ids.
    pub event_id: Option<EventId>,
    /// Kept only while the event holds nothing but what we wrote: all of ours is as in `pushed`, and
    /// nobody else is invited. Then an update needs no read, and "Sync now" nothing but one.
    pub etag: Option<Etag>,
    /// What was last pushed, or may have been; `None` while there is no event, or nothing is known.
    pub pushed: Option<Fingerprints>,
    /// Whether the event may show client details.
    pub shares_details: bool,
    /// When the pushed event ends; decides what moves to another calendar.
    pub ends_at: Timestamp,
    pub last_synced_at: Option<Timestamp>,
}

impl Mapping {
    pub fn key(&self) -> CreateKey {
        CreateKey {
            connection_id: self.connection_id,
            appointment_id: self.appointment_id,
            generation: self.generation,
        }
    }

    /// Whether the calendar may hold the event. One that is owed, and never left, it does not.
    pub fn may_be_there(&self) -> bool {
        match self.state {
            MappingState::Live => true,
            MappingState::Creating => self.pushed.is_some(),
            MappingState::Absent => false,
        }
    }

    pub fn event_ref(&self) -> EventRef {
        EventRef {
            key: self.key(),
            calendar_id: self.calendar_id.clone(),
            event_id: self.event_id.clone(),
            etag: self.etag.clone(),
        }
    }
}

/// Names one event for ever: whoever creates with the same key, however often, makes one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CreateKey {
    pub connection_id: ConnectionId,
    pub appointment_id: AppointmentId,
    pub generation: Generation,
}

impl CreateKey {
    /// 20 bytes that no other key shares.
    fn digest(&self) -> [u8; 20] {
        let mut hash = Sha256::new();
        hash.update(b"calendar-integration event v1");
        hash.update(self.connection_id.0.as_bytes());
        hash.update(self.appointment_id.0.as_bytes());
        hash.update(self.generation.to_le_bytes());
        let mut short = [0; 20];
        short.copy_from_slice(&hash.finalize()[..20]);
        short
    }

    /// In the alphabet of Google's event ids: `0-9a-v`, 32 characters.
    pub fn base32hex(&self) -> String {
        data_encoding::BASE32HEX_NOPAD
            .encode(&self.digest())
            .to_ascii_lowercase()
    }

    /// In lower-case hex, 40 characters: safe where a comparison ignores case.
    pub fn hex(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.digest())
    }
}

/// How to reach an event that exists or may exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRef {
    pub key: CreateKey,
    pub calendar_id: CalendarId,
    pub event_id: Option<EventId>,
    pub etag: Option<Etag>,
}
