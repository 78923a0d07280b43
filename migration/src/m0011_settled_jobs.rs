//! Jobs of a connection in the order in which they ended: streams of live status go on from where they
//! were. Leads also to the last of them, after which the next one is said to end.

use sea_orm_migration::prelude::*;

use crate::run;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            &["CREATE INDEX queue_settled \
               ON calendar_sync_queue (connection_id, completed_at, id) \
               WHERE completed_at IS NOT NULL"],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &["DROP INDEX queue_settled"]).await
    }
}
