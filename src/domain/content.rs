//! What an event shows, independent of any provider, and how two versions are told apart.

use std::fmt;

use chrono_tz::Tz;
use sha2::{Digest, Sha256};

use super::{AppointmentId, Client, Timestamp};

/// The fields of an event that are ours. Everything else in the event is the coach's.
///
/// All texts are plain text: a provider whose field holds markup must escape them. `Debug` shows
/// nothing of them, for they may name a client.
#[derive(Clone, PartialEq, Eq)]
pub struct EventContent {
    pub appointment_id: AppointmentId,
    pub title: String,
    pub description: String,
    pub location: Option<String>,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    pub time_zone: Tz,
    /// The guest of the event: the client, only while the coach shares client details.
    pub attendee: Option<Client>,
    /// Whether any of the texts may hold client details.
    pub shares_details: bool,
}

impl fmt::Debug for EventContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventContent")
            .field("appointment_id", &self.appointment_id)
            .field("starts_at", &self.starts_at)
            .field("ends_at", &self.ends_at)
            .field("shares_details", &self.shares_details)
            .finish_non_exhaustive()
    }
}

/// A short stand-in for a part of the content: equal parts have equal fingerprints.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub String);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get(..8).unwrap_or(&self.0))
    }
}

impl Fingerprint {
    fn of(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            // Length first: ("ab", "c") and ("a", "bc") must differ.
            hash.update(part.len().to_le_bytes());
            hash.update(part.as_bytes());
        }
        Self(data_encoding::HEXLOWER.encode(&hash.finalize()[..16]))
    }

    /// The fingerprint of one guest, by address. A provider's guest list is searched with it for
    /// the guest *we* added, without our keeping the address of a client who is no longer shared.
    pub fn of_guest(email: &str) -> Self {
        Self::of(&["guest", &email.to_lowercase()])
    }
}

/// What was last pushed, in the three parts that can be pushed apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprints {
    /// Times, zone, place.
    pub schedule: Fingerprint,
    /// Title and description.
    pub text: Fingerprint,
    /// The guest, if there is one.
    pub guest: Option<Fingerprint>,
}

/// Which parts of our fields an update carries; a part that did not change is not sent, so that
/// what the coach or the guest did to it survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Times, zone, place.
    pub schedule: bool,
    /// Title and description.
    pub text: bool,
    /// The guest.
    pub guest: bool,
}

impl Parts {
    pub const ALL: Self = Self {
        schedule: true,
        text: true,
        guest: true,
    };

    pub const NONE: Self = Self {
        schedule: false,
        text: false,
        guest: false,
    };

    pub fn any(self) -> bool {
        self.schedule || self.text || self.guest
    }
}

impl EventContent {
    pub fn fingerprints(&self) -> Fingerprints {
        Fingerprints {
            schedule: Fingerprint::of(&[
                "schedule",
                &self.starts_at.timestamp_micros().to_string(),
                &self.ends_at.timestamp_micros().to_string(),
                self.time_zone.name(),
                self.location.as_deref().unwrap_or_default(),
            ]),
            text: Fingerprint::of(&["text", &self.title, &self.description]),
            guest: self
                .attendee
                .as_ref()
                .map(|attendee| Fingerprint::of_guest(&attendee.email)),
        }
    }
}
