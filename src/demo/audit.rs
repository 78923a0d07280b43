//! The comparison by itself, for stories that drive a daemon and the simulator on their own.

use serde_json::Value;

use super::changes::Change;
use super::compare::{Difference, Holding, compare};
use super::oracle::{Sharing, expectations};
use crate::domain::AppointmentId;

/// What in an account is not as these reports of appointments, in their order, demand from a
/// connection that shows so much of clients.
///
/// # Errors
/// When a body is none of a report.
pub fn audit(
    account: &Holding,
    sharing: Sharing,
    reports: impl IntoIterator<Item = (AppointmentId, Value)>,
) -> Result<Vec<Difference>, serde_json::Error> {
    let changes = reports
        .into_iter()
        .map(|(id, body)| Change::reported(id, body))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(compare(account, &expectations(&changes, sharing)))
}
