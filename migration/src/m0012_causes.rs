//! Where work came from: the request that asked for it, and the trace it belongs to. Null in the rows
//! of an older node, and of work that nobody asked for.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const QUEUE: &str = "calendar_sync_queue";
const ADDED: [&str; 2] = ["request_id", "traceparent"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ADDED {
            let column = ColumnDef::new(column).text().take();
            let add = Table::alter().table(QUEUE).add_column(column).to_owned();
            manager.alter_table(add).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ADDED {
            let drop = Table::alter().table(QUEUE).drop_column(column).to_owned();
            manager.alter_table(drop).await?;
        }
        Ok(())
    }
}
