//! Connections that are set aside, in the order in which they are shown. The index by age that it
//! replaces helped nobody: a page of them read the whole table along its primary key.

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
                "CREATE INDEX IF NOT EXISTS connections_set_aside_by_id \
                 ON coach_calendar_connections (id) WHERE status = 'quarantined'",
                "DROP INDEX IF EXISTS connections_set_aside",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            &[
                "CREATE INDEX IF NOT EXISTS connections_set_aside \
                 ON coach_calendar_connections (updated_at) WHERE status = 'quarantined'",
                "DROP INDEX IF EXISTS connections_set_aside_by_id",
            ],
        )
        .await
    }
}
