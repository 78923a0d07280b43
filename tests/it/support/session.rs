//! An appointment as a story changes and reports it.

use calendar_integration::domain::Timestamp;
use chrono::{TimeDelta, Timelike};
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) id: Uuid,
    pub(crate) coach: Uuid,
    pub(crate) status: &'static str,
    pub(crate) starts_at: Timestamp,
    pub(crate) ends_at: Timestamp,
    pub(crate) time_zone: &'static str,
    pub(crate) client: &'static str,
    pub(crate) email: &'static str,
    pub(crate) notes: Option<&'static str>,
    pub(crate) location: Option<&'static str>,
    pub(crate) meeting_url: Option<&'static str>,
    pub(crate) revision: Option<i64>,
}

impl Session {
    /// An hour on the day after `now`, confirmed.
    pub(crate) fn tomorrow(coach: Uuid, now: Timestamp) -> Self {
        let today = now.with_minute(0).and_then(|at| at.with_second(0));
        let starts_at =
            today.and_then(|at| at.with_nanosecond(0)).expect("a time") + TimeDelta::days(1);
        Self {
            id: Uuid::new_v4(),
            coach,
            status: "confirmed",
            starts_at,
            ends_at: starts_at + TimeDelta::hours(1),
            time_zone: "Europe/Berlin",
            client: "Wilhelmina Client",
            email: "wilhelmina@example.com",
            notes: None,
            location: None,
            meeting_url: None,
            revision: None,
        }
    }

    /// The same time of another day or hour.
    pub(crate) fn moved(self, by: TimeDelta) -> Self {
        Self {
            starts_at: self.starts_at + by,
            ends_at: self.ends_at + by,
            ..self
        }
    }

    pub(crate) fn between(self, starts_at: &str, ends_at: &str) -> Self {
        Self {
            starts_at: starts_at.parse().expect("a time"),
            ends_at: ends_at.parse().expect("a time"),
            ..self
        }
    }

    pub(crate) fn with_status(self, status: &'static str) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn body(&self) -> Value {
        json!({
            "coach_id": self.coach,
            "status": self.status,
            "starts_at": self.starts_at.to_rfc3339(),
            "ends_at": self.ends_at.to_rfc3339(),
            "time_zone": self.time_zone,
            "client": {"name": self.client, "email": self.email},
            "notes": self.notes,
            "location": self.location,
            "meeting_url": self.meeting_url,
            "revision": self.revision,
        })
    }

    /// Its job, as the status of a connection's sync shows it; null if it is not there. Other jobs may
    /// have been made in the same millisecond, and stand before or after it.
    pub(crate) fn job_in<'a>(&self, status: &'a Value) -> &'a Value {
        let id = self.id.to_string();
        let mut jobs = status["recent_jobs"].as_array().into_iter().flatten();
        jobs.find(|job| job["appointment_id"] == id.as_str())
            .unwrap_or(&Value::Null)
    }

    /// As one item of a batch.
    pub(crate) fn item(&self) -> Value {
        let mut body = self.body();
        body["id"] = json!(self.id);
        body
    }
}
