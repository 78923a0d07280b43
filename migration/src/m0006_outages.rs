//! What a connection remembers of its provider's trouble, and why it waits.

use sea_orm_migration::prelude::*;

use crate::run;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const LEASES: &str = "connection_leases";
const ADDED: [&str; 4] = [
    "wait_reason",
    "fruitless_rounds",
    "outage_since",
    "outage_seen_at",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let [
            mut wait_reason,
            mut fruitless_rounds,
            mut since,
            mut seen_at,
        ] = ADDED.map(ColumnDef::new);
        // One at a time: SQLite knows no other way.
        for column in [
            // Why nothing is called before `not_before`.
            wait_reason.text().take(),
            fruitless_rounds.integer().not_null().default(0).take(),
            // First and last failure that speaks of an outage.
            since.timestamp_with_time_zone().take(),
            seen_at.timestamp_with_time_zone().take(),
        ] {
            let add = Table::alter().table(LEASES).add_column(column).to_owned();
            manager.alter_table(add).await?;
        }
        // Whom the end of an outage concerns.
        run(
            manager,
            &[
                "CREATE INDEX leases_waiting ON connection_leases (wait_reason, connection_id) \
               WHERE wait_reason IS NOT NULL",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &["DROP INDEX leases_waiting"]).await?;
        for column in ADDED {
            let drop = Table::alter().table(LEASES).drop_column(column).to_owned();
            manager.alter_table(drop).await?;
        }
        Ok(())
    }
}
