//! Connected calendar accounts, and who may act for each and when.

use sea_orm_migration::prelude::*;

use crate::{drop_table, one_of, run};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const CONNECTIONS: &str = "coach_calendar_connections";
const LEASES: &str = "connection_leases";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(connections()).await?;
        manager.create_table(leases()).await?;
        run(
            manager,
            &[
                // Which other connections live on the same grant, before it is revoked.
                "CREATE INDEX connections_by_account \
                 ON coach_calendar_connections (provider, account_id)",
                // Who needs somebody to look.
                "CREATE INDEX connections_set_aside \
                 ON coach_calendar_connections (updated_at) WHERE status = 'quarantined'",
                // What the poller asks: only connections with due work are in this index.
                "CREATE INDEX leases_by_due ON connection_leases (due_at) \
                 WHERE due_at IS NOT NULL",
                // What a node asks about itself: renewing and releasing.
                "CREATE INDEX leases_by_node ON connection_leases (node) WHERE node IS NOT NULL",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_table(manager, LEASES).await?;
        drop_table(manager, CONNECTIONS).await
    }
}

fn connections() -> TableCreateStatement {
    Table::create()
        .table(CONNECTIONS)
        .col(ColumnDef::new("id").uuid().not_null().primary_key())
        .col(ColumnDef::new("coach_id").uuid().not_null())
        .col(ColumnDef::new("provider").text().not_null())
        .col(ColumnDef::new("account_id").text().not_null())
        .col(ColumnDef::new("account_email").text().not_null())
        .col(ColumnDef::new("calendar_id").text().not_null())
        .col(ColumnDef::new("calendar_name").text().not_null())
        .col(ColumnDef::new("calendar_time_zone").text())
        .col(ColumnDef::new("calendar_is_primary").boolean().not_null())
        .col(ColumnDef::new("status").text().not_null())
        .col(ColumnDef::new("status_reason").text())
        // Sealed; see `security` for the form.
        .col(ColumnDef::new("access_token").text())
        .col(ColumnDef::new("refresh_token").text())
        .col(ColumnDef::new("access_token_expires_at").timestamp_with_time_zone())
        .col(big_count("token_version"))
        .col(ColumnDef::new("is_sync_enabled").boolean().not_null())
        .col(ColumnDef::new("auto_create_events").boolean().not_null())
        .col(ColumnDef::new("auto_update_events").boolean().not_null())
        .col(
            ColumnDef::new("include_client_details")
                .boolean()
                .not_null(),
        )
        .col(
            ColumnDef::new("add_client_as_attendee")
                .boolean()
                .not_null(),
        )
        .col(ColumnDef::new("event_title_template").text().not_null())
        .col(
            ColumnDef::new("event_description_template")
                .text()
                .not_null(),
        )
        .col(big_count("settings_version"))
        .col(ColumnDef::new("last_sync_at").timestamp_with_time_zone())
        .col(ColumnDef::new("last_sync_status").text().not_null())
        .col(ColumnDef::new("last_sync_error").text())
        .col(
            ColumnDef::new("created_at")
                .timestamp_with_time_zone()
                .not_null(),
        )
        .col(
            ColumnDef::new("updated_at")
                .timestamp_with_time_zone()
                .not_null(),
        )
        .index(
            Index::create()
                .name("connections_one_per_account")
                .col("coach_id")
                .col("provider")
                .col("account_id")
                .unique(),
        )
        .check(one_of("provider", &["google", "outlook"]))
        .check(one_of(
            "status",
            &["active", "needs_reauth", "quarantined", "disconnected"],
        ))
        .check(one_of("last_sync_status", &["pending", "success", "error"]))
        // A disconnected connection holds no token.
        .check(
            Expr::col("status")
                .ne("disconnected")
                .or(Expr::col("access_token")
                    .is_null()
                    .and(Expr::col("refresh_token").is_null())),
        )
        .to_owned()
}

fn leases() -> TableCreateStatement {
    Table::create()
        .table(LEASES)
        .col(
            ColumnDef::new("connection_id")
                .uuid()
                .not_null()
                .primary_key(),
        )
        .col(ColumnDef::new("node").uuid())
        .col(big_count("epoch"))
        .col(ColumnDef::new("expires_at").timestamp_with_time_zone())
        // When there is something to do; null while there is nothing, or while it must not be done.
        .col(ColumnDef::new("due_at").timestamp_with_time_zone())
        // The provider asked not to be called before.
        .col(ColumnDef::new("not_before").timestamp_with_time_zone())
        .foreign_key(
            ForeignKey::create()
                .from(LEASES, "connection_id")
                .to(CONNECTIONS, "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .check(
            Expr::col("node")
                .is_null()
                .eq(Expr::col("expires_at").is_null()),
        )
        .to_owned()
}

fn big_count(column: &'static str) -> ColumnDef {
    let mut definition = ColumnDef::new(column);
    definition.big_integer().not_null().default(0);
    definition
}
