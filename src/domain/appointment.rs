//! An appointment as the booking platform reports it.

use std::fmt;

use chrono::{Datelike, TimeDelta};
use chrono_tz::Tz;
use poem_openapi::Enum;
use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{AppointmentId, CoachId, EMAIL_RULE, Timestamp, is_email};

/// Longest appointment, hours.
pub const MAX_APPOINTMENT_HOURS: i64 = 24;
const MAX_NAME_CHARS: usize = 200;
const MAX_NOTES_CHARS: usize = 8_000;
const MAX_LOCATION_CHARS: usize = 1_000;
const MAX_URL_CHARS: usize = 2_000;
/// Years that every database and both providers can hold.
const YEARS: std::ops::RangeInclusive<i32> = 1970..=2200;

/// Where an appointment stands on the platform.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    Enum,
    EnumIter,
    DeriveActiveEnum,
)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum AppointmentStatus {
    /// Asked for, not agreed: no event.
    Pending,
    /// Agreed: has an event.
    Confirmed,
    /// Took place: an event stays as it is, none is created.
    Completed,
    /// Called off: its event is removed.
    Cancelled,
    /// The client did not come: an event stays as it is, none is created.
    NoShow,
}

/// Whom the coach meets. `Debug` shows nothing: client details are secret until shared.
#[derive(Clone, PartialEq, Eq)]
pub struct Client {
    pub name: String,
    pub email: String,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client(redacted)")
    }
}

/// The appointment as it now is.
#[derive(Clone, PartialEq, Eq)]
pub struct Appointment {
    pub id: AppointmentId,
    pub coach_id: CoachId,
    pub status: AppointmentStatus,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    pub time_zone: Tz,
    pub client: Client,
    pub notes: Option<String>,
    pub location: Option<String>,
    pub meeting_url: Option<String>,
    /// The platform's count of changes; a lower one than stored is stale.
    pub revision: Option<i64>,
    /// Set when the platform asked for erasure: the event goes, whatever the switches say.
    pub erased: bool,
}

impl fmt::Debug for Appointment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Appointment")
            .field("id", &self.id)
            .field("status", &self.status)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

/// One thing wrong with a reported appointment, at a JSON pointer of its body.
///
/// The text names what is allowed and never repeats the value: it may be a client's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {detail}")]
pub struct InvalidAppointment {
    pub pointer: &'static str,
    pub detail: String,
}

impl Appointment {
    /// Checks everything the types cannot say; returns all problems, or none.
    pub fn problems(&self) -> Vec<InvalidAppointment> {
        let mut problems = Vec::new();
        let mut refuse = |pointer, detail: String| {
            problems.push(InvalidAppointment { pointer, detail });
        };
        for (pointer, at) in [("/starts_at", self.starts_at), ("/ends_at", self.ends_at)] {
            if !YEARS.contains(&at.year()) {
                refuse(
                    pointer,
                    format!("the year must be {} to {}", YEARS.start(), YEARS.end()),
                );
            }
        }
        if self.ends_at <= self.starts_at {
            refuse("/ends_at", "must be after starts_at".into());
        } else if self.ends_at - self.starts_at > TimeDelta::hours(MAX_APPOINTMENT_HOURS) {
            refuse(
                "/ends_at",
                format!("must be at most {MAX_APPOINTMENT_HOURS} h after starts_at"),
            );
        }
        if !is_email(&self.client.email) {
            refuse("/client/email", format!("must be {EMAIL_RULE}"));
        }
        let texts = [
            ("/client/name", Some(&self.client.name), MAX_NAME_CHARS),
            ("/notes", self.notes.as_ref(), MAX_NOTES_CHARS),
            ("/location", self.location.as_ref(), MAX_LOCATION_CHARS),
            ("/meeting_url", self.meeting_url.as_ref(), MAX_URL_CHARS),
        ];
        for (pointer, text, most) in texts {
            let Some(text) = text else { continue };
            if text.chars().count() > most {
                refuse(pointer, format!("must have at most {most} characters"));
            }
            // PostgreSQL cannot store it and no calendar can show it.
            if text.contains('\0') {
                refuse(pointer, "must not hold the character U+0000".into());
            }
        }
        if self
            .meeting_url
            .as_deref()
            .is_some_and(|text| !is_web_address(text))
        {
            refuse("/meeting_url", "must be an http or https address".into());
        }
        if self.revision.is_some_and(|revision| revision < 0) {
            refuse("/revision", "must be 0 or more".into());
        }
        problems
    }
}

fn is_web_address(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}
