//! What is kept only for a while.

use sea_orm::ConnectionTrait;

use super::sql::Sql;
use super::{Store, StoreError};
use crate::domain::Timestamp;

/// Rows deleted in one transaction, so that housekeeping never holds up the work.
const AT_ONCE: i64 = 1_000;

impl Store {
    /// Deletes sign-ins that ended before `before`; answers how many.
    pub async fn forget_sign_ins(&self, before: Timestamp) -> Result<u64, StoreError> {
        Sql::on(&self.write)
            .text("DELETE FROM sign_ins WHERE expires_at < ")
            .value(before)
            .execute(&self.write)
            .await
    }

    /// Deletes up to a thousand events of the audit trail from before `before`; answers how many, so that
    /// the caller can go on.
    pub async fn forget_audit_events(&self, before: Timestamp) -> Result<u64, StoreError> {
        Sql::on(&self.write)
            .text(
                "DELETE FROM audit_events WHERE id IN \
                 (SELECT id FROM audit_events WHERE at < ",
            )
            .value(before)
            .text(" ORDER BY at, id LIMIT ")
            .value(AT_ONCE)
            .text(")")
            .execute(&self.write)
            .await
    }

    /// Deletes up to a thousand keys of requests that expired by `now`; answers how many, so that the
    /// caller can go on.
    pub async fn forget_keys(&self, now: Timestamp) -> Result<u64, StoreError> {
        Sql::on(&self.write)
            .text(
                "DELETE FROM idempotency_keys WHERE key_hash IN \
                 (SELECT key_hash FROM idempotency_keys WHERE expires_at <= ",
            )
            .value(now)
            .text(" LIMIT ")
            .value(AT_ONCE)
            // Anew here: one that was taken again meanwhile is in use.
            .text(") AND expires_at <= ")
            .value(now)
            .execute(&self.write)
            .await
    }

    /// Deletes up to a thousand jobs that ended before `before`; answers how many, so that the caller
    /// can go on. Failed jobs are kept: somebody may want to replay them. So are the parts of a full
    /// sync that still runs, for its progress counts them.
    pub async fn forget_ended_jobs(&self, before: Timestamp) -> Result<u64, StoreError> {
        let deleted = Sql::on(&self.write)
            .text(
                "DELETE FROM calendar_sync_queue WHERE id IN (SELECT id FROM calendar_sync_queue q \
                 WHERE q.status IN ('completed', 'cancelled') AND q.completed_at < ",
            )
            .value(before)
            .text(
                " AND NOT EXISTS (SELECT 1 FROM calendar_sync_queue running \
                 WHERE running.id = q.sync_id AND running.status = 'processing') LIMIT ",
            )
            .value(AT_ONCE)
            .text(")")
            .build();
        Ok(self.write.execute_raw(deleted).await?.rows_affected())
    }
}
