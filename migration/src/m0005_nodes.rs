//! Several nodes on one database: who is alive, what a provider refuses to all of them, and who
//! waits for whose lease.

use sea_orm_migration::prelude::*;

use crate::{drop_table, one_of, run};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const NODES: &str = "nodes";
const PROVIDER_LIMITS: &str = "provider_limits";
const LEASES: &str = "connection_leases";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(nodes()).await?;
        manager.create_table(provider_limits()).await?;
        // The node that waits for the lease, and until when it does.
        for column in [
            ColumnDef::new("wanted_by").uuid().to_owned(),
            ColumnDef::new("wanted_until")
                .timestamp_with_time_zone()
                .to_owned(),
        ] {
            let change = Table::alter().table(LEASES).add_column(column).to_owned();
            manager.alter_table(change).await?;
        }
        run(
            manager,
            &["CREATE INDEX leases_wanted ON connection_leases (node) WHERE wanted_by IS NOT NULL"],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &["DROP INDEX leases_wanted"]).await?;
        for column in ["wanted_until", "wanted_by"] {
            let change = Table::alter().table(LEASES).drop_column(column).to_owned();
            manager.alter_table(change).await?;
        }
        drop_table(manager, PROVIDER_LIMITS).await?;
        drop_table(manager, NODES).await
    }
}

fn nodes() -> TableCreateStatement {
    Table::create()
        .table(NODES)
        .col(ColumnDef::new("id").uuid().not_null().primary_key())
        .col(
            ColumnDef::new("started_at")
                .timestamp_with_time_zone()
                .not_null(),
        )
        // As that of a lease: a node that is silent for longer acts no more.
        .col(
            ColumnDef::new("expires_at")
                .timestamp_with_time_zone()
                .not_null(),
        )
        // The part of each provider-wide quota that the node uses, from 0 to 1.
        .col(ColumnDef::new("share").double().not_null())
        .check(Expr::col("share").between(0.0, 1.0))
        .to_owned()
}

fn provider_limits() -> TableCreateStatement {
    Table::create()
        .table(PROVIDER_LIMITS)
        .col(ColumnDef::new("provider").text().not_null().primary_key())
        .col(
            ColumnDef::new("limited_until")
                .timestamp_with_time_zone()
                .not_null(),
        )
        .check(one_of("provider", &["google", "outlook"]))
        .to_owned()
}
