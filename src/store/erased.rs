//! Erasing appointments: emptied at once, forgotten once no calendar we can reach holds them any more.

use sea_orm::ConnectionTrait;

use super::open::commit;
use super::sql::Sql;
use super::{Store, StoreError};
use crate::domain::{AppointmentId, Timestamp};
use crate::failpoint::Step;

impl Store {
    /// Forgets what the work that removed it could not: an appointment whose last calendar was
    /// disconnected meanwhile.
    pub async fn forget_erased(&self) -> Result<u64, StoreError> {
        let tx = self.begin().await?;
        let forgotten = forget(&tx, None).await?;
        commit(tx, Step::ForgetErased).await?;
        Ok(forgotten)
    }
}

/// Where a calendar we can reach may hold an event: of the mappings `m` that the text goes on about.
pub(super) const HELD: &str = "SELECT 1 FROM calendar_event_mappings m \
    JOIN coach_calendar_connections c ON c.id = m.connection_id \
    WHERE m.appointment_id = appointments.id AND m.state <> 'absent' \
    AND c.status <> 'disconnected'";

/// Marks appointments as erased and empties what is known of their clients; the caller adds which.
pub(super) fn empty(db: &impl ConnectionTrait, now: Timestamp) -> Sql {
    Sql::on(db)
        .text("UPDATE appointments SET erased_at = ")
        .value(now)
        .text(
            ", client_name = '', client_email = '', notes = NULL, location = NULL, \
             meeting_url = NULL WHERE ",
        )
}

/// Locks appointments that are to be forgotten later in the transaction. Of two calendars that settle
/// at the same time, the later one then sees what the earlier one did.
pub(super) async fn lock(
    db: &impl ConnectionTrait,
    appointments: &[AppointmentId],
) -> Result<(), StoreError> {
    if !appointments.is_empty() {
        Sql::on(db)
            .text("SELECT id FROM appointments WHERE id IN ")
            .list(appointments.iter().copied())
            .text(" ORDER BY id")
            .for_no_key_update()
            .execute(db)
            .await?;
    }
    Ok(())
}

/// Forgets those of these appointments, or of all, that are erased and nowhere any more. The caller has
/// locked these; all are locked here.
pub(super) async fn forget(
    db: &impl ConnectionTrait,
    among: Option<&[AppointmentId]>,
) -> Result<u64, StoreError> {
    if among.is_some_and(<[AppointmentId]>::is_empty) {
        return Ok(0);
    }
    let erased = |sql: Sql| {
        let sql = sql.text("erased_at IS NOT NULL");
        match among {
            Some(ids) => sql.text(" AND id IN ").list(ids.iter().copied()),
            None => sql,
        }
    };
    erased(Sql::on(db).text("SELECT id FROM appointments WHERE "))
        .text(" ORDER BY id")
        .for_update()
        .execute(db)
        .await?;
    erased(Sql::on(db).text("DELETE FROM appointments WHERE "))
        .text(" AND NOT EXISTS (")
        .text(HELD)
        .text(
            ") AND NOT EXISTS (SELECT 1 FROM calendar_sync_queue q \
               WHERE q.appointment_id = appointments.id \
               AND q.status IN ('pending', 'processing', 'failed'))",
        )
        .execute(db)
        .await
}
