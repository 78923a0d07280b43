//! Jobs of one status by age, an index for each status but `completed`.
//!
//! One index over all statuses had every job in three places of it, one after the other, and beside a
//! backlog each of these is another page: it was most of what 100,000 waiting rows cost others. Completed
//! jobs are nearly all there are, and are found by age alone.

use sea_orm_migration::prelude::*;

use crate::run;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// Each statement by itself, so that none waits while it holds another's lock: nodes work meanwhile.
    /// So each may also be repeated.
    fn use_transaction(&self) -> Option<bool> {
        Some(false)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            &[
                "CREATE INDEX IF NOT EXISTS queue_pending \
                 ON calendar_sync_queue (created_at, id) WHERE status = 'pending'",
                "CREATE INDEX IF NOT EXISTS queue_processing \
                 ON calendar_sync_queue (created_at, id) WHERE status = 'processing'",
                "CREATE INDEX IF NOT EXISTS queue_failed \
                 ON calendar_sync_queue (created_at, id) WHERE status = 'failed'",
                "CREATE INDEX IF NOT EXISTS queue_cancelled \
                 ON calendar_sync_queue (created_at, id) WHERE status = 'cancelled'",
                "DROP INDEX IF EXISTS queue_by_status",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            &[
                "CREATE INDEX IF NOT EXISTS queue_by_status \
                 ON calendar_sync_queue (status, created_at, id)",
                "DROP INDEX IF EXISTS queue_pending",
                "DROP INDEX IF EXISTS queue_processing",
                "DROP INDEX IF EXISTS queue_failed",
                "DROP INDEX IF EXISTS queue_cancelled",
            ],
        )
        .await
    }
}
