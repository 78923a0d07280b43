//! At the end of which epoch an account had rested: its owner had left nothing of the quota used. Null in
//! the rows of an older node, which says nothing of it.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const LEASES: &str = "connection_leases";
const RESTED: &str = "rested_epoch";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = ColumnDef::new(RESTED).big_integer().take();
        let add = Table::alter().table(LEASES).add_column(column).to_owned();
        manager.alter_table(add).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let drop = Table::alter().table(LEASES).drop_column(RESTED).to_owned();
        manager.alter_table(drop).await
    }
}
