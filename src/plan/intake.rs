//! What a reported appointment changes.

use poem_openapi::Enum;
use serde::Serialize;

use crate::domain::Appointment;

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Enum)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The appointment was not known.
    Created,
    /// Something that a calendar could show differs.
    Updated,
    /// Nothing differs: no work is queued.
    Unchanged,
    /// An older revision than the stored one: nothing changes.
    Stale,
}

/// Compares a report with what is stored. An appointment that is being erased and is reported again
/// is alive again: the platform knows best.
pub fn receive(stored: Option<&Appointment>, reported: &Appointment) -> Outcome {
    let Some(stored) = stored else {
        return Outcome::Created;
    };
    if stored.erased {
        return Outcome::Created;
    }
    if let (Some(before), Some(now)) = (stored.revision, reported.revision)
        && now < before
    {
        return Outcome::Stale;
    }
    let same_but_revision = Appointment {
        revision: reported.revision,
        ..stored.clone()
    };
    if same_but_revision == *reported {
        Outcome::Unchanged
    } else {
        Outcome::Updated
    }
}
