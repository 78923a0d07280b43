//! Indexes that lead nobody astray. A node's leases come in the order in which everyone locks them, so
//! that renewing them sorts nothing. And the one by due time alone goes: of two that fit, a database
//! without fresh statistics may take the one that reads a whole backlog.

use sea_orm_migration::prelude::*;

use crate::run;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            &[
                "CREATE INDEX leases_of_node ON connection_leases (node, connection_id) \
                 WHERE node IS NOT NULL",
                "DROP INDEX leases_by_node",
                "DROP INDEX queue_next_due",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            &[
                "CREATE INDEX leases_by_node ON connection_leases (node) WHERE node IS NOT NULL",
                "DROP INDEX leases_of_node",
                "CREATE INDEX queue_next_due \
                 ON calendar_sync_queue (connection_id, scheduled_for) WHERE status = 'pending'",
            ],
        )
        .await
    }
}
