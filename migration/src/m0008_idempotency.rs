//! Requests that may be repeated: which keys are in use, and what was answered.

use sea_orm_migration::prelude::*;

use crate::{drop_table, run};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const IDEMPOTENCY_KEYS: &str = "idempotency_keys";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(IDEMPOTENCY_KEYS)
            // Of the caller and the key.
            .col(ColumnDef::new("key_hash").text().not_null().primary_key())
            // Whose calendars the request is about, if it is about one coach's: the answer goes with them.
            .col(ColumnDef::new("coach_id").uuid())
            // Of what was asked for, which holds client details and is not kept itself.
            .col(ColumnDef::new("request_hash").text().not_null())
            // Who carries the request out, or did.
            .col(ColumnDef::new("holder").uuid().not_null())
            // The answer; absent until there is one.
            .col(ColumnDef::new("status").integer())
            .col(ColumnDef::new("headers").text())
            .col(ColumnDef::new("body").text())
            // Until then the holder has the key, or the answer is kept.
            .col(
                ColumnDef::new("expires_at")
                    .timestamp_with_time_zone()
                    .not_null(),
            )
            .check(Expr::col("status").between(100, 599))
            .to_owned();
        manager.create_table(table).await?;
        run(
            manager,
            &[
                "CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at)",
                "CREATE INDEX idempotency_keys_by_coach ON idempotency_keys (coach_id, expires_at)",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_table(manager, IDEMPOTENCY_KEYS).await
    }
}
