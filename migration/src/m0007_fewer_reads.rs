//! Indexes that lead nobody astray. A node's leases come in the order in which everyone locks them, so
//! that renewing them sorts nothing. And the one by due time alone goes: of two that fit, a database
//! without fresh statistics may take the one that reads a whole backlog.

use sea_orm_migration::prelude::*;

use crate::run;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// Each statement by itself: a node that works meanwhile locks the same tables in another order. So
    /// each may also be repeated.
    fn use_transaction(&self) -> Option<bool> {
        Some(false)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            &[
                "CREATE INDEX IF NOT EXISTS leases_of_node ON connection_leases (node, connection_id) \
                 WHERE node IS NOT NULL",
                "DROP INDEX IF EXISTS leases_by_node",
                "DROP INDEX IF EXISTS queue_next_due",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            &[
                "CREATE INDEX IF NOT EXISTS leases_by_node ON connection_leases (node) \
                 WHERE node IS NOT NULL",
                "DROP INDEX IF EXISTS leases_of_node",
                "CREATE INDEX IF NOT EXISTS queue_next_due \
                 ON calendar_sync_queue (connection_id, scheduled_for) WHERE status = 'pending'",
            ],
        )
        .await
    }
}
