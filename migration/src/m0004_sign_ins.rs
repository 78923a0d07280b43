//! Sign-ins under way: what must still be known when the browser comes back from consent.

use sea_orm_migration::prelude::*;

use crate::{drop_table, one_of, run};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const SIGN_INS: &str = "sign_ins";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(SIGN_INS)
            // The state itself is only in the browser's address; a copy of this table is of no use.
            .col(ColumnDef::new("state_hash").text().not_null().primary_key())
            .col(ColumnDef::new("id").uuid().not_null())
            .col(ColumnDef::new("provider").text().not_null())
            .col(ColumnDef::new("coach_id").uuid().not_null())
            .col(ColumnDef::new("browser_hash").text().not_null())
            // Sealed.
            .col(ColumnDef::new("verifier").text().not_null())
            .col(ColumnDef::new("return_to").text().not_null())
            .col(
                ColumnDef::new("created_at")
                    .timestamp_with_time_zone()
                    .not_null(),
            )
            .col(
                ColumnDef::new("expires_at")
                    .timestamp_with_time_zone()
                    .not_null(),
            )
            .check(one_of("provider", &["google", "outlook"]))
            .to_owned();
        manager.create_table(table).await?;
        run(
            manager,
            &["CREATE INDEX sign_ins_by_expiry ON sign_ins (expires_at)"],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_table(manager, SIGN_INS).await
    }
}
