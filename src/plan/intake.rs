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
/// is alive again: the platform knows best. The appointment that comes back is what to keep: a report
/// that names no revision leaves the stored one, so that an older one is still told by it.
pub fn receive(stored: Option<&Appointment>, reported: &Appointment) -> (Outcome, Appointment) {
    let Some(stored) = stored.filter(|stored| !stored.erased) else {
        return (Outcome::Created, reported.clone());
    };
    if let (Some(before), Some(now)) = (stored.revision, reported.revision)
        && now < before
    {
        return (Outcome::Stale, stored.clone());
    }
    let taken = Appointment {
        revision: reported.revision.or(stored.revision),
        ..reported.clone()
    };
    let same_but_revision = Appointment {
        revision: taken.revision,
        ..stored.clone()
    };
    let outcome = if same_but_revision == taken {
        Outcome::Unchanged
    } else {
        Outcome::Updated
    };
    (outcome, taken)
}
